"""What `synth --format ldif` writes: the same region as AAF, as entries of the national schema."""

import json
import re
import subprocess
import sys
import tracemalloc
from datetime import date

import pytest
from aaf_reading import read
from ldif_reading import below, blocks, entries

from ent_sync.core.errors import UsageError
from ent_sync.core.record import Degree, Population
from ent_sync.synth.delivery import SynthRequest, write_delivery
from ent_sync.synth.formats import Format
from ent_sync.synth.national import Directory
from ent_sync.wire.aaf.names import FileKind

FIRST, SECOND = date(2026, 11, 2), date(2026, 11, 3)
NOWHERE = Directory("LILLE", frozenset({"1001"}))
SCHOOL = "ENTStructureSIREN=19000432100013,ou=structures,dc=ac-lille,dc=fr"


def region(directory, day=FIRST, **options):
    return SynthRequest(
        **{"directory": directory, "date": day, "pupils": 300, "seed": 3, "format": Format.LDIF} | options
    )


@pytest.fixture(scope="module", params=list(Degree))
def both(request, tmp_path_factory):
    """One region in both formats: what was written, and what stands in it."""
    directory = tmp_path_factory.mktemp("region")
    aaf = write_delivery(region(directory, degree=request.param, format=Format.AAF))
    ldif = write_delivery(region(directory, degree=request.param))
    return aaf, ldif, read(aaf.path).state, below(ldif.path)


def one_of(found, object_class):
    return next(each for each in found.values() if object_class in each["objectClass"])


# -- the same region ---------------------------------------------------------------------------------------------------


def test_an_ldif_counts_what_the_delivery_of_the_same_seed_counts(both):
    aaf, ldif, _, _ = both

    assert ldif.counts == aaf.counts


def test_an_ldif_has_an_entry_for_each_record(both):
    _, ldif, _, found = both

    assert len(found) == sum(ldif.counts.values())


def test_both_formats_name_the_same_keys(both):
    _, _, state, found = both

    keys = {
        value for each in found.values() for value in each.get("ENTPersonJointure", each.get("ENTStructureJointure"))
    }

    told = {key for kind in ("EtabEducNat", "Eleve", "PersRelEleve", "PersEducNat") for key in state[kind]}
    assert keys == {f"AC-LILLE${key}" for key in told}


@pytest.mark.parametrize(
    ("names", "attribute"),
    [
        (("sn", "ENTPersonNom"), "sn"),
        (("givenName", "ENTPersonPrenom"), "givenName"),
        (("mail", "ENTPersonMail"), "mail"),
        (("ENTEleveINE",), "ENTEleveINE"),
        (("ENTPersonDateNaissance",), "ENTPersonDateNaissance"),
        (("mobile", "ENTPersRelEleveTelMobile"), "mobile"),
        (("ENTPersonMobileSMS",), "ENTPersonMobileSMS"),
    ],
)
def test_both_formats_say_the_same_of_a_person(both, names, attribute):
    _, _, state, found = both
    people = [(key, one) for kind in ("Eleve", "PersRelEleve", "PersEducNat") for key, one in state[kind].items()]

    said = {f"AC-LILLE${key}": {value for name in names for value in one.get(name, ())} for key, one in people}

    [entered] = [
        {key: each.get(attribute, set()) for each in found.values() for key in each.get("ENTPersonJointure", ())}
    ]
    assert entered == said


def test_a_dn_in_a_value_leads_to_an_entry(both):
    _, _, _, found = both
    pattern = re.compile(r"(?:uid|ENTStructureSIREN)=[^$]+,dc=fr(?=\$|$)")

    named = {
        dn.lower() for each in found.values() for values in each.values() for v in values for dn in pattern.findall(v)
    }

    assert named <= found.keys()
    assert len(named) > 300


def test_uids_are_opaque_and_of_eight_characters(both):
    _, _, _, found = both

    uids = [uid for each in found.values() for uid in each.get("uid", ())]

    assert len({uid.lower() for uid in uids}) == len(uids) > 600
    assert all(re.fullmatch(r"L[0-9a-z]{2}2[0-9a-z]{4}", uid) for uid in uids)


def test_a_key_beyond_the_room_of_eight_characters_has_a_longer_uid():
    uids = {NOWHERE.uid(str(key)) for key in (5, 36**6 + 5, 2 * 36**6 + 5)}

    assert sorted(map(len, uids)) == [8, 9, 9]


# -- entries -----------------------------------------------------------------------------------------------------------


def test_a_pupil_of_the_second_degree_is_entered():
    attributes = [
        ("ENTPersonJointure", ("1000001",)),
        ("sn", ("D'ALMEIDA",)),
        ("givenName", ("Zoé",)),
        ("ENTPersonDateNaissance", ("01/09/2008",)),
        ("ENTElevePersRelEleve", ("10000001$10$1$1$0$1",)),
        ("ENTPersonStructRattach", ("4321",)),
        ("ENTEleveClasses", ("4321$-1ÈRE A",)),
        ("ENTEleveNivFormation", ("1ERE G",)),
        ("ENTEleveDateEntreeClasses", ("4321$01/09/2026$3A",)),
        ("ENTEleveGroupes", ("",)),
    ]

    entry = NOWHERE.entry(FileKind.PUPILS, "1000001", attributes)

    guardian = NOWHERE.person("10000001")
    assert entry.dn == f"uid={NOWHERE.uid('1000001')},ou=people,dc=ac-lille,dc=fr"
    assert {name: list(values) for name, values in entry.content.items() if name not in ("uid", "objectClass")} == {
        "ENTPersonJointure": ["AC-LILLE$1000001"],
        "ENTPersonLogin": ["zoe.d-almeida0001"],
        "cn": ["D'ALMEIDA ZOÉ"],
        "displayName": ["Zoé D'ALMEIDA"],
        "ENTPersonProfils": ["National_ELV", "National_1"],
        "sn": ["D'ALMEIDA"],
        "givenName": ["Zoé"],
        "ENTPersonDateNaissance": ["01/09/2008"],
        "ENTElevePersRelEleve": [f"{guardian}$10$1$1$0$1"],
        "ENTPersonStructRattach": [SCHOOL],
        "ENTEleveClasses": [f"{SCHOOL}$-1ÈRE A"],
        "ENTEleveStatutEleve": ["SCOLAIRE"],
        "ENTEleveMEF": ["00000000000"],
        "ENTEleveLibelleMEF": ["1ERE G"],
        "ENTEleveNivFormation": ["1ERE G"],
        "ENTEleveFiliere": ["1ERE G"],
        "ENTEleveMajeur": ["O"],
    }


def test_a_class_of_the_first_degree_is_entered_by_its_id_and_in_full():
    attributes = [
        ("ENTPersonNom", ("BENSAÏD",)),
        ("ENTPersonDateNaissance", ("02/03/2017",)),
        ("ENTEleveNiveau", ("1124$CM1",)),
        ("ENTPersonClasses", ("4321$11$ORDINAIRE$68815$CM1 A",)),
    ]

    content = NOWHERE.entry(FileKind.PUPILS, "4000001", attributes).content

    assert content["ENTEleveClasses"] == [f"{SCHOOL}$68815"]
    assert content["ENTPersonClasses"] == [f"{SCHOOL}$11$ORDINAIRE$68815$CM1 A"]
    assert content["ENTEleveNivFormation"] == ("CM1",)
    assert content["ENTEleveMajeur"] == ("N",)


@pytest.mark.parametrize(
    ("functions", "classes"),
    [
        (["4321$ENS$ENSEIGNEMENT$L1300$MATHEMATIQUES"], ["ENTAuxEnseignant"]),
        (["4321$EDU$EDUCATION$E0030$EDUCATION"], ["ENTAuxNonEnsEtab"]),
        (["1001$ADF$PERSONNELS ADMINISTRATIFS$-$SANS OBJET"], ["ENTAuxNonEnsServAc"]),
        (["4321$-$SANS OBJET$-$SANS OBJET"], ["ENTAuxNonEnsEtab"]),
        (["4321$DOC$DOCUMENTATION$L0080$X", "4321$DIR$DIRECTION$D0010$Y"], ["ENTAuxEnseignant", "ENTAuxNonEnsEtab"]),
    ],
)
def test_the_functions_of_staff_tell_their_object_classes(functions, classes):
    content = NOWHERE.entry(FileKind.STAFF, "3000001", [("sn", ("X",)), ("ENTPersonFonctions", functions)]).content

    assert [each for each in content["objectClass"] if each.startswith("ENTAux")] == classes


def test_a_value_that_a_directory_holds_to_be_the_same_comes_once():
    attributes = [
        ("sn", ("X",)),
        ("mobile", ("+33 6 39 98 00 01", "+33639980001", "+33 6 39 98 00 02")),
        ("ENTPersonAutresPrenoms", ("",)),
        ("ENTPersonAutresPrenoms", ("Léa", "LÉA", "Anne")),
    ]

    content = NOWHERE.entry(FileKind.GUARDIANS, "10000001", attributes).content

    assert content["mobile"] == ("+33 6 39 98 00 01", "+33 6 39 98 00 02")
    assert content["ENTPersonAutresPrenoms"] == ("Léa", "Anne")


def test_a_service_has_no_siret_in_a_delivery_and_is_named_by_one_here(both):
    _, _, _, found = both

    service = one_of(found, "ENTServAc")

    assert {re.fullmatch("[0-9]{14}", siret)[0] for siret in service["ENTStructureSIREN"]}
    assert service["ENTServAcAcademie"] == {"LILLE"}
    assert not any(name.startswith(("ENTEtablissement", "ENTEcole")) for name in service)


# -- the file ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("degree", list(Degree))
def test_the_same_request_gives_the_same_bytes(tmp_path, degree):
    first = write_delivery(region(tmp_path / "a", degree=degree))
    second = write_delivery(region(tmp_path / "b", degree=degree))

    assert first.path.read_bytes() == second.path.read_bytes()


def test_another_seed_gives_other_people(tmp_path):
    first = write_delivery(region(tmp_path / "a"))
    second = write_delivery(region(tmp_path / "b", seed=4))

    assert below(first.path) != below(second.path)


def test_the_kinds_come_in_their_order(tmp_path):
    path = write_delivery(region(tmp_path, pupils=60)).path

    kinds = []
    for _, *lines in blocks(path.read_text()):
        classes = [value for name, value in lines if name == "objectClass"]
        kinds.append(
            next((each for each in classes if each in ("ENTStructure", "ENTEleve", "ENTAuxPersRelEleve")), classes[-1])
        )
    order = list(dict.fromkeys("staff" if each.startswith(("ENTAuxE", "ENTAuxN")) else each for each in kinds))

    assert order == ["dcObject", "organizationalUnit", "ENTStructure", "ENTEleve", "ENTAuxPersRelEleve", "staff"]


def test_an_ldif_lies_beside_what_is_there(tmp_path):
    written = write_delivery(region(tmp_path, pupils=10))

    assert written.files == (tmp_path / "ENT2DVA_LILLE_Complet_20261102.ldif",)
    assert [path.name for path in tmp_path.iterdir()] == ["ENT2DVA_LILLE_Complet_20261102.ldif"]


def test_a_file_that_synth_did_not_write_is_not_replaced(tmp_path):
    (tmp_path / "ENT2DVA_LILLE_Complet_20261102.ldif").write_text("dn: dc=fr\ndc: fr\n")

    with pytest.raises(UsageError, match="was not written by synth"):
        write_delivery(region(tmp_path, pupils=10))


def peak(request):
    tracemalloc.start()
    try:
        write_delivery(request)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_an_ldif_streams_as_a_delivery_does(tmp_path):
    write_delivery(region(tmp_path, pupils=10))

    aaf = peak(region(tmp_path, pupils=700, format=Format.AAF))
    ldif = peak(region(tmp_path, pupils=700))

    assert ldif < aaf + 1_000_000


# -- faults ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["bad-archive", "no-key", "entity-bomb", "iso-8859-15", "missing-part"])
def test_a_fault_of_aaf_files_is_refused(tmp_path, fault):
    with pytest.raises(UsageError, match=f"'{fault}' is one of AAF files"):
        write_delivery(region(tmp_path, faults=(fault,)))


def test_a_shrunken_ldif_lacks_two_pupils_in_five(tmp_path):
    assert write_delivery(region(tmp_path, faults=("shrunken",))).counts[Population.PUPIL] == 180


def test_an_ldif_without_guardians_has_none(tmp_path):
    found = below(write_delivery(region(tmp_path, faults=("missing-kind",))).path)

    assert not any("ENTAuxPersRelEleve" in each["objectClass"] for each in found.values())


def test_a_truncated_ldif_ends_in_its_middle(tmp_path):
    whole = write_delivery(region(tmp_path / "a")).path.read_bytes()
    half = write_delivery(region(tmp_path / "b", faults=("truncated-file",))).path.read_bytes()

    assert half == whole[: len(whole) // 2]


# -- deltas ------------------------------------------------------------------------------------------------------------


def test_a_delta_names_nobody_who_did_not_change(tmp_path):
    base = entries(write_delivery(region(tmp_path)).path.read_text())
    delta = write_delivery(region(tmp_path, SECOND, delta_of=tmp_path, arrivals=2.0, leavers=2.0, changes=10.0))

    replaced = {
        (dn.lower(), attribute): {value for name, value in lines if name == attribute}
        for (_, dn), (_, kind), *lines in blocks(delta.path.read_text())
        if kind == "modify"
        for name, attribute in lines
        if name == "replace"
    }
    same = [attribute for (dn, attribute), values in replaced.items() if base[dn].get(attribute, set()) == values]

    assert same == []
    assert sum(delta.requests.values()) == len(blocks(delta.path.read_text())) > 20


def test_a_delta_needs_a_complete_ldif_of_the_same_options(tmp_path):
    write_delivery(region(tmp_path, seed=9))

    with pytest.raises(UsageError, match="same options"):
        write_delivery(region(tmp_path, SECOND, delta_of=tmp_path))


def test_an_aaf_delivery_is_no_base_for_an_ldif(tmp_path):
    write_delivery(region(tmp_path, format=Format.AAF))

    with pytest.raises(UsageError, match="no earlier complete delivery"):
        write_delivery(region(tmp_path, SECOND, delta_of=tmp_path))


def test_the_base_of_a_delta_may_be_named_itself(tmp_path):
    base = write_delivery(region(tmp_path))

    delta = write_delivery(region(tmp_path, SECOND, delta_of=base.path))

    assert (delta.delta, delta.path.name) == (True, "ENT2DVA_LILLE_Delta_20261103.ldif")


# -- by command --------------------------------------------------------------------------------------------------------


def synth(*arguments):
    command = [sys.executable, "-m", "ent_sync", "synth", *arguments, "--pupils", "20", "--format", "ldif"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_the_command_writes_an_ldif(tmp_path):
    done = synth(tmp_path, "--date", "2026-11-02", "--json")

    assert json.loads(done.stdout)["files"] == [str(tmp_path / "ENT2DVA_LILLE_Complet_20261102.ldif")]


def test_the_command_refuses_a_fault_that_makes_no_sense_with_a_sentence(tmp_path):
    done = synth(tmp_path, "--fault", "bad-archive")

    assert done.returncode == 2
    assert "the fault 'bad-archive' is one of AAF files" in done.stderr
