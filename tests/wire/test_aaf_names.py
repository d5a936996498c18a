import datetime as dt

import pytest

from ent_sync.core.record import Population
from ent_sync.wire.aaf.names import DeliveredName, FileKind, parse_name, population


@pytest.mark.parametrize(
    ("filename", "prefix", "complete", "date", "kind", "part"),
    [
        ("FULL_ENTTSSERVICES_Complet_20130117_Eleve_0000.xml", "FULL_ENTTSSERVICES", True, (2013, 1, 17), "Eleve", 0),
        (
            "FULL_ENTTSSERVICES_Delta_20130122_PersRelEleve_0000.xml",
            "FULL_ENTTSSERVICES",
            False,
            (2013, 1, 22),
            "PersRelEleve",
            0,
        ),
        ("ENTTSSERVICES-saran_Complet_20130305_Eleve_0000.xml", "ENTTSSERVICES-saran", True, (2013, 3, 5), "Eleve", 0),
        ("ENT_TS_SERVICES_21_Delta_20140225_Eleve_0001.xml", "ENT_TS_SERVICES_21", False, (2014, 2, 25), "Eleve", 1),
        (
            "EnvOLE_ENT2DVA_0940072T_Complet_20180830_Eleve_0000.xml",
            "EnvOLE_ENT2DVA_0940072T",
            True,
            (2018, 8, 30),
            "Eleve",
            0,
        ),
        ("ENTBFC_BESANCON_Complet_20200516_Eleve_0005.xml", "ENTBFC_BESANCON", True, (2020, 5, 16), "Eleve", 5),
        ("ENT_0690078K_Complet_20170327_MefEducNat_0000.xml", "ENT_0690078K", True, (2017, 3, 27), "MefEducNat", 0),
        ("ENT2DVA-ENT16_Complet_20240916_PersEducNat_0000.xml", "ENT2DVA-ENT16", True, (2024, 9, 16), "PersEducNat", 0),
        ("ENT_Complet_20200101_Eleve_0000.xml", "ENT", True, (2020, 1, 1), "Eleve", 0),
        ("ENT_Delta_201300408_MatiereEducNat_0000.xml", "ENT", False, (2013, 4, 8), "MatiereEducNat", 0),
        ("ENT_Complet_20200101_EtabEducNat_0012.XML", "ENT", True, (2020, 1, 1), "EtabEducNat", 12),
    ],
)
def test_a_name_is_taken_apart(filename, prefix, complete, date, kind, part):
    assert parse_name(filename) == DeliveredName(
        prefix=prefix, complete=complete, date=dt.date(*date), kind=FileKind(kind), part=part
    )


@pytest.mark.parametrize(
    "filename",
    [
        "ficAlimMENESR.dtd",
        "CLG95_GPEI_Complet_20251024_InfosEducNat_0000.xml",
        "ENT_Complet_20201301_Eleve_0000.xml",
        "ENT_Complet_201301008_Eleve_0000.xml",
        "ENT_Complet_20200101_Eleve_000.xml",
        "ENT_Complet_20200101_Eleve_0000.xml.md5",
        "ENT_Complet_20200101_XEleve_0000.xml",
        "ENT_complet_20200101_Eleve_0000.xml",
    ],
)
def test_another_name_is_none(filename):
    assert parse_name(filename) is None


def test_nomenclature_has_no_population():
    assert [population(kind) for kind in FileKind] == [
        Population.SCHOOL,
        None,
        None,
        Population.PUPIL,
        Population.GUARDIAN,
        Population.STAFF,
    ]
