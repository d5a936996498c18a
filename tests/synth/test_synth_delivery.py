"""What `synth` writes: one self-consistent delivery, the same for the same request."""

import re
from collections import Counter
from datetime import date
from pathlib import Path

import pytest
from aaf_reading import Reading, read
from lxml import etree

from ent_sync.core.errors import UsageError
from ent_sync.core.record import Degree, Population
from ent_sync.synth.delivery import SynthRequest, write_delivery
from ent_sync.synth.region import Movers

DAY = date(2026, 11, 2)


def region(tmp_path_factory, degree: Degree) -> Reading:
    directory = tmp_path_factory.mktemp("region")
    return read(write_delivery(SynthRequest(directory=directory, pupils=900, date=DAY, seed=3, degree=degree)).path)


@pytest.fixture(scope="module")
def second_degree(tmp_path_factory) -> Reading:
    return region(tmp_path_factory, Degree.SECOND)


@pytest.fixture(scope="module")
def first_degree(tmp_path_factory) -> Reading:
    return region(tmp_path_factory, Degree.FIRST)


@pytest.fixture(params=list(Degree))
def written(request, first_degree, second_degree) -> tuple[Degree, Reading]:
    return request.param, second_degree if request.param is Degree.SECOND else first_degree


LINKS = {Degree.SECOND: "ENTElevePersRelEleve", Degree.FIRST: "ENTEleveAutoriteParentale"}
BACK = {Degree.SECOND: "ENTAuxPersRelEleveEleve", Degree.FIRST: "ENTPersRelEleveEleve"}


def test_a_delivery_is_a_folder_named_after_project_date_and_kind(tmp_path):
    delivery = write_delivery(SynthRequest(directory=tmp_path, pupils=7, date=DAY, part_size=3))

    names = [path.name for path in delivery.files if "_Eleve_" in path.name]

    assert delivery.path.name == "ENT2DVA_LILLE_Complet_20261102"
    assert names == [f"ENT2DVA_LILLE_Complet_20261102_Eleve_000{part}.xml" for part in range(3)]


def test_a_delivery_of_the_first_degree_has_its_four_kinds_of_file(tmp_path):
    delivery = write_delivery(
        SynthRequest(directory=tmp_path, pupils=5, date=DAY, degree=Degree.FIRST, academy="AMIENS")
    )

    names = [path.name for path in delivery.files]

    assert names == [
        f"ENT1D_AMIENS_Complet_20261102_{kind}_0000.xml"
        for kind in ("Eleve", "EtabEducNat", "PersEducNat", "PersRelEleve")
    ]


def test_every_file_obeys_the_document_type(tmp_path):
    delivery = write_delivery(SynthRequest(directory=tmp_path, pupils=60, date=DAY))
    dtd = etree.DTD(str(delivery.path / "ficAlimMENESR.dtd"))

    verdicts = {path.name: dtd.validate(etree.parse(path)) for path in delivery.files}

    assert len(verdicts) == 6
    assert all(verdicts.values())


def test_the_same_request_gives_the_same_bytes(tmp_path):
    first, second = (
        write_delivery(SynthRequest(directory=tmp_path / name, pupils=300, date=DAY, seed=9)) for name in "ab"
    )

    assert [path.read_bytes() for path in first.files] == [path.read_bytes() for path in second.files]


def test_another_date_has_the_same_people(tmp_path):
    first = write_delivery(SynthRequest(directory=tmp_path, pupils=200, date=DAY, seed=9))
    later = write_delivery(SynthRequest(directory=tmp_path, pupils=200, date=date(2027, 3, 1), seed=9))

    assert read(first.path).state == read(later.path).state


def test_another_seed_has_other_people(tmp_path):
    one, other = (
        write_delivery(SynthRequest(directory=tmp_path / str(seed), pupils=50, date=DAY, seed=seed)) for seed in (1, 2)
    )

    assert read(one.path).values("Eleve", "sn") != read(other.path).values("Eleve", "sn")


def test_there_are_as_many_pupils_as_asked_and_counts_tell_the_rest(tmp_path):
    delivery = write_delivery(SynthRequest(directory=tmp_path, pupils=431, date=DAY))
    reading = read(delivery.path)

    assert delivery.counts[Population.PUPIL] == 431
    assert delivery.counts == {
        Population.PUPIL: len(reading.state["Eleve"]),
        Population.GUARDIAN: len(reading.state["PersRelEleve"]),
        Population.STAFF: len(reading.state["PersEducNat"]),
        Population.SCHOOL: len(reading.state["EtabEducNat"]),
    }


def test_guardians_and_staff_come_in_the_usual_proportion(tmp_path):
    counts = write_delivery(SynthRequest(directory=tmp_path, pupils=3000, date=DAY)).counts

    assert 1.4 < counts[Population.GUARDIAN] / 3000 < 1.8
    assert 0.2 < counts[Population.STAFF] / 3000 < 0.3


def test_every_link_leads_to_a_guardian_or_to_the_pupil_himself(written):
    degree, reading = written

    nowhere = [
        key
        for key, pupil in reading.state["Eleve"].items()
        for link in pupil.get(LINKS[degree], ())
        if link.split("$")[0] not in reading.state["PersRelEleve"] and link.split("$")[:2] != [key, "70"]
    ]

    assert nowhere == []


def test_the_reverse_links_are_the_links_turned_round(written):
    degree, reading = written

    forward = {
        (link.split("$")[0], key)
        for key, pupil in reading.state["Eleve"].items()
        for link in pupil.get(LINKS[degree], ())
        if link.split("$")[0] != key
    }
    backward = {
        (key, pupil) for key, guardian in reading.state["PersRelEleve"].items() for pupil in guardian[BACK[degree]]
    }

    assert forward == backward


def test_no_two_records_of_people_share_a_key(written):
    _, reading = written

    keys = Counter(key for kind in ("Eleve", "PersRelEleve", "PersEducNat") for key in reading.keys[kind])

    assert max(keys.values()) == 1


def test_the_id_of_a_request_is_the_join_key_of_its_record(written):
    _, reading = written

    differing = [
        key
        for kind in ("Eleve", "PersRelEleve", "PersEducNat")
        for key, record in reading.state[kind].items()
        if record["ENTPersonJointure"] != (key,)
    ]

    assert differing == []


def test_the_letter_of_every_uai_proves_its_digits(written):
    _, reading = written

    codes = reading.values("EtabEducNat", "ENTStructureUAI")

    assert len(set(codes)) == len(codes) > 3
    assert all("ABCDEFGHJKLMNPRSTUVWXYZ"[int(code[:7]) % 23] == code[7] for code in codes)


def test_every_ine_is_single_and_of_nine_digits_and_two_letters(written):
    _, reading = written

    numbers = reading.values("Eleve", "ENTEleveINE")

    assert len(set(numbers)) == len(numbers) > 850
    assert all(re.fullmatch(r"\d{9}[A-Z]{2}", number) for number in numbers)


def test_telephones_and_mailboxes_are_of_the_ranges_kept_for_fiction(written):
    _, reading = written
    text = "\n".join(value for kind in reading.state.values() for r in kind.values() for v in r.values() for value in v)

    phones = re.findall(r"\+33[ \d]+", text)
    mails = re.findall(r"@\S+", text)

    assert all(re.fullmatch(r"\+33 (6 39 98|3 53 01) \d\d \d\d", phone) for phone in phones)
    assert all(mail.endswith("example.org") for mail in mails)
    assert len(phones) > 100
    assert len(mails) > 100


def test_staff_work_in_structures_of_the_delivery(written):
    _, reading = written

    places = {value.split("$")[0] for value in reading.values("PersEducNat", "ENTPersonFonctions")}

    assert places <= set(reading.state["EtabEducNat"])


def test_staff_hold_the_functions_of_a_school(written):
    degree, reading = written
    expected = {"ENS", "AES", "-"} | ({"DIR", "EDU", "DOC", "AED", "ADF", "TEC"} if degree is Degree.SECOND else set())

    codes = {value.split("$")[1] for value in reading.values("PersEducNat", "ENTPersonFonctions")}

    assert codes >= expected


def test_some_staff_work_in_several_schools(written):
    _, reading = written

    several = [r for r in reading.state["PersEducNat"].values() if len(r["ENTPersonFonctions"]) > 1]

    assert several


def test_classes_of_pupils_and_teachers_are_those_of_the_structures(second_degree):
    reading = second_degree

    known = {
        f"{key}${value.split('$')[0]}"
        for key, school in reading.state["EtabEducNat"].items()
        for value in school.get("ENTStructureClasses", ())
    }
    named = set(reading.values("Eleve", "ENTEleveClasses")) | set(reading.values("PersEducNat", "ENTAuxEnsClasses"))

    assert named <= known


def test_every_class_with_pupils_has_a_head_teacher_who_teaches_it(second_degree):
    reading = second_degree

    classes = set(reading.values("Eleve", "ENTEleveClasses"))
    heads = [
        value
        for teacher in reading.state["PersEducNat"].values()
        for value in teacher.get("ENTAuxEnsClassesPrincipal", ())
        if value in teacher["ENTAuxEnsClasses"]
    ]

    assert classes <= set(heads)
    assert len(set(heads)) == len(heads)


def test_most_pupils_have_no_group(written):
    _, reading = written

    grouped = [r for r in reading.state["Eleve"].values() if "ENTEleveGroupes" in r or "ENTPersonGroupes" in r]

    assert 0 < len(grouped) < 450


def test_households_are_of_every_kind(written):
    degree, reading = written
    types = Counter(
        "no guardian" if LINKS[degree] not in pupil else link.split("$")[1]
        for pupil in reading.state["Eleve"].values()
        for link in pupil.get(LINKS[degree], ("",))
    )

    assert types.keys() >= {"10", "20", "no guardian", "42", "50", "38", "39"}
    assert types["no guardian"] < 45


def test_links_of_the_second_degree_know_contacts_people_in_charge_and_adult_pupils(tmp_path):
    delivery = write_delivery(SynthRequest(directory=tmp_path, pupils=2000, date=DAY))

    links = read(delivery.path).values("Eleve", "ENTElevePersRelEleve")
    flags = Counter(link.split("$")[3] for link in links)

    assert {len(link.split("$")) for link in links} == {6}
    assert flags["1"] > flags["0"] > flags["2"] > 0
    assert any(link.split("$")[1] == "70" for link in links)


def test_brothers_and_sisters_go_to_several_schools(written):
    degree, reading = written

    schools = [
        {reading.state["Eleve"][pupil]["ENTPersonStructRattach"] for pupil in guardian[BACK[degree]]}
        for guardian in reading.state["PersRelEleve"].values()
    ]

    assert any(len(several) > 1 for several in schools)


def test_heads_of_schools_of_the_first_degree_are_named_by_their_school(tmp_path):
    delivery = write_delivery(SynthRequest(directory=tmp_path, pupils=300, date=DAY, degree=Degree.FIRST))
    reading = read(delivery.path)

    headed = set(reading.values("PersEducNat", "ENTEnsFonctionDir"))
    attended = set(reading.values("Eleve", "ENTPersonStructRattach"))

    assert attended <= headed


def test_a_few_staff_are_in_both_feeds_of_an_academy_under_one_key_and_nobody_else(tmp_path):
    second_degree, first_degree = (
        read(write_delivery(SynthRequest(directory=tmp_path, pupils=800, date=DAY, degree=degree)).path)
        for degree in (Degree.SECOND, Degree.FIRST)
    )

    shared = second_degree.all_keys() & first_degree.all_keys()

    assert shared == {"9000000", "9000001", "9000002"}
    for key in shared:
        one, other = second_degree.state["PersEducNat"][key], first_degree.state["PersEducNat"][key]
        assert (one["sn"], one["ENTPersonDateNaissance"]) == (other["ENTPersonNom"], other["ENTPersonDateNaissance"])


def test_no_ine_is_in_two_feeds_of_one_region(tmp_path):
    numbers = Counter(
        number
        for academy in ("LILLE", "AMIENS")
        for degree in Degree
        for number in set(
            read(
                write_delivery(
                    SynthRequest(directory=tmp_path, pupils=300, date=DAY, academy=academy, degree=degree)
                ).path
            ).values("Eleve", "ENTEleveINE")
        )
    )

    assert max(numbers.values()) == 1
    assert len(numbers) > 1100


def test_the_rare_shapes_of_real_deliveries_occur(tmp_path):
    delivery = write_delivery(SynthRequest(directory=tmp_path, pupils=6000, date=DAY))
    text = "".join(path.read_text("ascii") for path in delivery.files)
    structures = read(delivery.path).state["EtabEducNat"].values()

    assert "<value/>" in text
    assert "&apos;" in text
    assert "&amp;" in text
    assert "&#201;" in text
    assert re.search(r'Prenoms"><value/></attr>\n<attr name="ENTPersonAutresPrenoms"', text)
    assert re.search(r"\$SANS OBJET\$-\$</value>|\$-\$</value>", text)
    assert any(" " in value.split("$")[0] for r in structures for value in r.get("ENTStructureClasses", ()))
    assert any(max(Counter(r.get("ENTStructureClasses", ("",))).values()) == 2 for r in structures)


def test_a_folder_that_synth_did_not_write_is_never_replaced(tmp_path):
    theirs = tmp_path / "ENT2DVA_LILLE_Complet_20261102"
    theirs.mkdir()
    (theirs / "ENT2DVA_LILLE_Complet_20261102_Eleve_0000.xml").write_text("<ficAlimMENESR/>")

    with pytest.raises(UsageError):
        write_delivery(SynthRequest(directory=tmp_path, pupils=5, date=DAY))

    assert [path.name for path in theirs.iterdir()] == ["ENT2DVA_LILLE_Complet_20261102_Eleve_0000.xml"]


def test_writing_again_replaces_what_synth_wrote_and_leaves_nothing_else(tmp_path):
    write_delivery(SynthRequest(directory=tmp_path, pupils=50, date=DAY, part_size=10))

    delivery = write_delivery(SynthRequest(directory=tmp_path, pupils=5, date=DAY))

    assert list(tmp_path.iterdir()) == [delivery.path]
    assert len(delivery.files) == 6


@pytest.mark.parametrize(
    "wrong",
    [
        {"pupils": 0},
        {"part_size": 0},
        {"academy": "../Lille"},
        {"leavers": 101.0},
        {"faults": ("no-such-fault",)},
        {"delta_of": Path("nowhere")},
    ],
)
def test_a_request_that_makes_no_sense_is_refused_and_writes_nothing(tmp_path, wrong):
    request = {"directory": tmp_path / "out", "pupils": 5, "date": DAY} | wrong

    with pytest.raises(UsageError):
        write_delivery(SynthRequest(**request))

    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("pupils", [1, 2, 3, 10])
@pytest.mark.parametrize("degree", list(Degree))
def test_the_smallest_regions_are_written_too(tmp_path, pupils, degree):
    delivery = write_delivery(SynthRequest(directory=tmp_path, pupils=pupils, date=DAY, degree=degree))

    assert len(read(delivery.path).state["Eleve"]) == pupils


def test_movers_are_pupils_of_the_other_academy_under_another_key(tmp_path):
    amiens = read(write_delivery(SynthRequest(directory=tmp_path, pupils=400, date=DAY, academy="AMIENS")).path)
    lille = read(
        write_delivery(SynthRequest(directory=tmp_path, pupils=400, date=DAY, movers=Movers(5.0, "AMIENS"))).path
    )

    def identities(reading: Reading) -> set[tuple]:
        names = ("ENTEleveINE", "sn", "givenName", "ENTPersonDateNaissance")
        return {tuple(r.get(name) for name in names) for r in reading.state["Eleve"].values() if "ENTEleveINE" in r}

    assert 5 < len(identities(lille) & identities(amiens)) < 30
