"""Each fault is really in the files, and the rest of the delivery is not touched by it."""

import re
import zipfile
from collections import Counter
from datetime import date
from pathlib import Path

import pytest
from aaf_reading import read
from lxml import etree

from ent_sync.core.errors import UsageError
from ent_sync.core.record import Population
from ent_sync.synth.delivery import SynthRequest, WrittenDelivery, write_delivery
from ent_sync.synth.faults import FAULTS

DAY = date(2026, 11, 2)
FOUND_ELSEWHERE = {"partial-modify", "unknown-keys"}


def with_fault(directory: Path, *faults: str, **options) -> WrittenDelivery:
    return write_delivery(
        SynthRequest(
            **{"directory": directory, "pupils": 300, "date": DAY, "part_size": 120, "faults": faults} | options
        )
    )


def delta_with_fault(directory: Path, *faults: str, **options) -> WrittenDelivery:
    with_fault(directory)
    return with_fault(directory, *faults, date=date(2026, 11, 3), delta_of=directory, **options)


def pupil_files(delivery: WrittenDelivery) -> list[Path]:
    return [path for path in delivery.files if "_Eleve_" in path.name]


def malformed(delivery: WrittenDelivery) -> list[str]:
    found = []
    for path in delivery.files:
        try:
            etree.fromstring(path.read_bytes(), etree.XMLParser(resolve_entities=False))
        except etree.XMLSyntaxError:
            found.append(path.name.split("_", 4)[-1])
    return found


def test_every_fault_is_described_in_a_line():
    descriptions = FAULTS.values()

    assert len(FAULTS) == 17
    assert all(text and "\n" not in text for text in descriptions)


def test_a_delivery_without_faults_is_well_formed(tmp_path):
    delivery = with_fault(tmp_path)

    assert malformed(delivery) == []


def test_truncated_file(tmp_path):
    delivery = with_fault(tmp_path, "truncated-file")
    content = pupil_files(delivery)[-1].read_bytes()

    assert malformed(delivery) == ["Eleve_0002.xml"]
    assert 0 < content.count(b"</addRequest>") < 60


@pytest.mark.parametrize("part_size", [5000, 120, 50])
def test_missing_part(tmp_path, part_size):
    delivery = with_fault(tmp_path, "missing-part", part_size=part_size)
    numbers = [int(path.stem[-4:]) for path in pupil_files(delivery)]

    assert 0 in numbers
    assert 1 not in numbers
    assert 2 in numbers


def test_missing_part_of_a_delta(tmp_path):
    delivery = delta_with_fault(tmp_path, "missing-part", arrivals=2.0, leavers=2.0)
    numbers = [int(path.stem[-4:]) for path in pupil_files(delivery)]

    assert numbers[:2] == [0, 2]


def test_missing_kind(tmp_path):
    delivery = with_fault(tmp_path, "missing-kind")

    assert not [path for path in delivery.path.iterdir() if "PersRelEleve" in path.name]
    assert len(pupil_files(delivery)) == 3


def test_duplicate_keys(tmp_path):
    keys = Counter(read(with_fault(tmp_path, "duplicate-keys").path).keys["Eleve"])

    assert sorted(keys.values())[-4:] == [1, 2, 2, 2]


def test_bad_encoding(tmp_path):
    delivery = with_fault(tmp_path, "bad-encoding")
    content = pupil_files(delivery)[-1].read_bytes()

    assert b'encoding="UTF-8"' in content
    assert malformed(delivery) == ["Eleve_0002.xml"]
    assert re.search(rb"Prenoms\"><value>[^<]*[\xc0-\xff][^<]*</value>", content)


def test_entity_bomb(tmp_path):
    content = pupil_files(with_fault(tmp_path, "entity-bomb"))[-1].read_text("ascii")

    assert content.count("<!ENTITY ") == 10
    assert f'<!ENTITY w9 "{"&w8;" * 10}">' in content
    assert '<attr name="givenName"><value>&w9;' in content


def test_external_entity(tmp_path):
    content = pupil_files(with_fault(tmp_path, "external-entity"))[-1].read_text("ascii")

    assert '<!ENTITY secret SYSTEM "file:///' in content
    assert '<attr name="givenName"><value>&secret;' in content


def test_oversized_value(tmp_path):
    names = read(with_fault(tmp_path, "oversized-value").path).values("Eleve", "givenName")

    assert sorted(len(name) > 900_000 for name in names)[-2:] == [False, True]


def test_out_of_order(tmp_path):
    delivery = with_fault(tmp_path, "out-of-order")

    assert delivery.path.name == "ENT2DVA_LILLE_Complet_20261003"
    assert b'dateGenerationExport="03/10/2026"' in delivery.files[0].read_bytes()


def test_shrunken(tmp_path):
    whole = read(with_fault(tmp_path / "whole").path)
    delivery = with_fault(tmp_path, "shrunken")
    shrunken = read(delivery.path)
    cited = {link.split("$")[0] for link in shrunken.values("Eleve", "ENTElevePersRelEleve")}

    assert len(shrunken.state["Eleve"]) == 180
    assert set(shrunken.state["PersRelEleve"]) == cited - set(shrunken.state["Eleve"])
    assert shrunken.state["PersEducNat"] == whole.state["PersEducNat"]
    assert delivery.counts[Population.PUPIL] == 180


def test_no_key(tmp_path):
    reading = read(with_fault(tmp_path, "no-key").path)

    assert reading.keys["Eleve"].count("") == 1
    assert "ENTPersonJointure" not in reading.state["Eleve"][""]


def test_dangling_links(tmp_path):
    reading = read(with_fault(tmp_path, "dangling-links").path)
    links = [
        link.split("$")[0] in reading.state["PersRelEleve"]
        for link in reading.values("Eleve", "ENTElevePersRelEleve")
        if link.split("$")[1] != "70"
    ]

    assert 0.04 < links.count(False) / len(links) < 0.06


def test_iso_8859_15(tmp_path):
    delivery = with_fault(tmp_path / "other", "iso-8859-15")
    content = pupil_files(delivery)[0].read_bytes()

    assert b'encoding="ISO-8859-15"' in content
    assert re.search(rb"[\xc0-\xff]", content)
    assert read(delivery.path).state == read(with_fault(tmp_path).path).state


def test_partial_modify(tmp_path):
    delivery = delta_with_fault(tmp_path, "partial-modify", changes=10.0)
    text = "".join(path.read_text("ascii") for path in delivery.files)
    sizes = Counter(body.count("<modification ") for body in text.split("<modifyRequest>")[1:])

    assert sizes[1] > 5
    assert sum(count for size, count in sizes.items() if size > 10) > 5


def test_unknown_attribute(tmp_path):
    reading = read(with_fault(tmp_path, "unknown-attribute").path)

    assert len(reading.values("Eleve", "ENTEleveNouveaute")) == 300


def test_unknown_keys(tmp_path):
    delivery = delta_with_fault(tmp_path, "unknown-keys", changes=10.0)
    known = read(with_fault(tmp_path).path).state["Eleve"]
    modified = [key for kind, ask, key in read(delivery.path).requests if kind == "Eleve" and ask == "modifyRequest"]
    strangers = [key for key in modified if key not in known]

    assert len(strangers) == 40 + len(modified) - len(strangers)
    assert len(set(strangers)) == len(strangers)


def test_bad_archive(tmp_path):
    delivery = with_fault(tmp_path, "bad-archive")

    assert delivery.path.name == "ENT2DVA_LILLE_Complet_20261102.zip"
    assert delivery.path.read_bytes().startswith(b"PK")
    assert not zipfile.is_zipfile(delivery.path)
    assert list(tmp_path.iterdir()) == [delivery.path]


@pytest.mark.parametrize("fault", sorted(set(FAULTS) - FOUND_ELSEWHERE))
def test_a_fault_is_reproducible(tmp_path, fault):
    one, other = (with_fault(tmp_path / name, fault) for name in "ab")
    contents = [
        {
            path.relative_to(tmp_path / name): path.read_bytes()
            for path in (tmp_path / name).rglob("*.*")
            if path.is_file()
        }
        for name in "ab"
    ]

    assert one.counts == other.counts
    assert contents[0] == contents[1]


@pytest.mark.parametrize("fault", sorted(FOUND_ELSEWHERE))
def test_faults_of_deltas_are_refused_for_a_complete_delivery(tmp_path, fault):
    with pytest.raises(UsageError):
        with_fault(tmp_path, fault)


def test_a_shrunken_delta_is_refused(tmp_path):
    with pytest.raises(UsageError):
        delta_with_fault(tmp_path, "shrunken")
