"""The verdict on which absences rest (contract, rule 2)."""

import datetime as dt
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ent_sync.core.completeness import (
    Absence,
    Complete,
    Delivery,
    Evidence,
    Incomplete,
    LinkCount,
    Part,
    prove,
)
from ent_sync.core.errors import Problem, Where
from ent_sync.core.record import Population

DAY = dt.date(2026, 9, 1)
NO_LINKS = LinkCount(0, 0)
KINDS = {
    "EtabEducNat": Population.SCHOOL,
    "Eleve": Population.PUPIL,
    "PersRelEleve": Population.GUARDIAN,
    "PersEducNat": Population.STAFF,
    "MefEducNat": None,
}


def part(kind, number=0):
    return Part(f"ENT_{kind}_{number:04d}.xml", f"ENT_{kind}", number, KINDS[kind])


def delivery(*parts, problems=()):
    return Delivery(
        id="ENT_Complet_20260901",
        source="lille-2d",
        complete=True,
        date=DAY,
        signature="s",
        place="p",
        parts=parts or tuple(part(kind) for kind in KINDS),
        size=1,
        problems=problems,
    )


def read(whole, records=10, **keyless):
    """What a reader says that read every part to its end."""
    missing = {Population(name): count for name, count in keyless.items()}
    return [
        Evidence(
            each.file,
            {each.population: records} if each.population else {},
            {each.population: missing[each.population]} if each.population in missing else {},
        )
        for each in whole.parts
    ]


def rules(verdict):
    assert isinstance(verdict, Incomplete)
    return [reason.rule for reason in verdict.reasons]


def test_a_delivery_read_to_its_end_is_complete():
    whole = delivery()

    verdict = prove(whole, read(whole), [], LinkCount(100, 1), 0.02)

    assert verdict == Complete("lille-2d", "ENT_Complet_20260901", DAY, dict.fromkeys(Population, 10), frozenset())


def test_the_records_of_a_population_are_counted_over_its_parts():
    whole = delivery(part("EtabEducNat"), part("Eleve", 0), part("Eleve", 1), part("PersRelEleve"), part("PersEducNat"))

    verdict = prove(whole, read(whole), [], NO_LINKS, 0.02)

    assert verdict.records[Population.PUPIL] == 20


def test_files_of_subjects_and_programmes_may_lack():
    whole = delivery(*(part(kind) for kind, population in KINDS.items() if population))

    assert isinstance(prove(whole, read(whole), [], NO_LINKS, 0.02), Complete)


def test_records_without_a_key_are_remembered_by_population():
    whole = delivery()

    verdict = prove(whole, read(whole, pupil=1, staff=0), [], NO_LINKS, 0.02)

    assert verdict.exempt == {Population.PUPIL}


@pytest.mark.parametrize("population", ["school", "pupil", "guardian", "staff"])
def test_a_missing_population_makes_a_delivery_incomplete(population):
    kept = [part(kind) for kind, each in KINDS.items() if each != population]
    whole = delivery(*kept)

    assert rules(prove(whole, read(whole), [], NO_LINKS, 0.02)) == ["population-missing"]


def test_a_population_with_a_file_but_no_record_is_missing_too():
    whole = delivery()
    evidence = [replace(each, records={}) if "_Eleve_" in each.file else each for each in read(whole)]

    assert rules(prove(whole, evidence, [], NO_LINKS, 0.02)) == ["population-missing"]


@pytest.mark.parametrize(
    ("numbers", "missing"),
    [
        ([0], []),
        ([1], ["0000"]),
        ([0, 1, 2], []),
        ([1, 2, 3], ["0000"]),
        ([0, 2], ["0001"]),
        ([1, 3], ["0000", "0002"]),
        ([0, 3], ["0001", "0002"]),
        ([2], ["0000", "0001"]),
        ([2, 3], ["0000", "0001"]),
        ([3, 0, 1], ["0002"]),
    ],
)
def test_a_number_that_lacks_in_a_series_is_told(numbers, missing):
    others = [part(kind) for kind in KINDS if kind != "Eleve"]
    whole = delivery(*others, *(part("Eleve", number) for number in numbers))

    verdict = prove(whole, read(whole), [], NO_LINKS, 0.02)

    told = [] if isinstance(verdict, Complete) else [each.message.split()[1] for each in verdict.reasons]
    assert told == missing


@pytest.mark.parametrize(("numbers", "missing"), [([1], []), ([1, 2], []), ([1, 3], ["0002"]), ([2], ["0001"])])
def test_a_delivery_may_count_from_one_in_all_its_series(numbers, missing):
    others = [part(kind, 1) for kind in KINDS if kind != "Eleve"]
    whole = delivery(*others, *(part("Eleve", number) for number in numbers))

    verdict = prove(whole, read(whole), [], NO_LINKS, 0.02)

    told = [] if isinstance(verdict, Complete) else [each.message.split()[1] for each in verdict.reasons]
    assert told == missing


def test_each_series_is_numbered_for_itself():
    others = [part(kind) for kind in KINDS if kind not in {"Eleve", "PersRelEleve"}]
    whole = delivery(*others, part("Eleve", 0), part("PersRelEleve", 0), part("PersRelEleve", 1))

    assert isinstance(prove(whole, read(whole), [], NO_LINKS, 0.02), Complete)


def test_a_part_that_could_not_be_read_is_the_reason_and_no_population_is_accused():
    whole = delivery()
    broken = Problem(Where("ENT_Eleve_0000.xml", 7), "not-well-formed", "ends before its last tag")
    evidence = [each for each in read(whole) if "_Eleve_" not in each.file]

    verdict = prove(whole, evidence, [broken], NO_LINKS, 0.02)

    assert verdict == Incomplete((broken,), 1.0, 0.0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_part_that_nobody_read_makes_a_delivery_incomplete_though_nobody_complains(kind):
    """A worker that dies gives neither evidence nor a problem; its silence must prove nothing."""
    whole = delivery(*(part(each, number) for each in KINDS for number in (0, 1)))
    evidence = [each for each in read(whole) if each.file != part(kind, 1).file]

    assert rules(prove(whole, evidence, [], NO_LINKS, 0.02)) == ["part-unread"]


def test_a_delivery_without_any_evidence_is_incomplete():
    assert isinstance(prove(delivery(), [], [], NO_LINKS, 0.02), Incomplete)


def test_what_the_source_complains_of_makes_a_delivery_incomplete():
    complaint = Problem(Where("x.zip"), "broken-archive", "cannot be unpacked")
    whole = delivery(problems=(complaint,))

    assert rules(prove(whole, read(whole), [], NO_LINKS, 0.02)) == ["broken-archive"]


@pytest.mark.parametrize(
    ("links", "dangling", "complete"),
    [(100, 2, True), (1000, 20, True), (1000, 21, False), (100, 3, False), (3, 1, False), (0, 0, True), (50, 1, True)],
)
def test_more_than_two_percent_of_links_to_nobody_make_a_delivery_incomplete(links, dangling, complete):
    whole = delivery()

    verdict = prove(whole, read(whole), [], LinkCount(links, dangling), 0.02)

    assert isinstance(verdict, Complete) is complete


def test_the_share_of_links_to_nobody_is_told_with_its_limit():
    whole = delivery()

    verdict = prove(whole, read(whole), [], LinkCount(200, 10), 0.02)

    assert (verdict.observed, verdict.limit, rules(verdict)) == (0.05, 0.02, ["dangling-links"])


@given(
    numbers=st.sets(st.integers(0, 5), min_size=1),
    lacking=st.sets(st.sampled_from(["EtabEducNat", "Eleve", "PersRelEleve", "PersEducNat"]), max_size=2),
    unread=st.integers(0, 2),
    forgotten=st.booleans(),
    links=st.integers(0, 300),
    dangling=st.integers(0, 20),
)
def test_a_proof_is_given_exactly_where_nothing_speaks_against_it(numbers, lacking, unread, forgotten, links, dangling):
    dangling = min(dangling, links)
    kinds = [kind for kind in KINDS if kind not in lacking and kind != "Eleve"]
    pupils = [] if "Eleve" in lacking else [part("Eleve", number) for number in sorted(numbers)]
    whole = delivery(*(part(kind) for kind in kinds), *pupils)
    evidence = read(whole)[1:] if forgotten else read(whole)
    problems = [Problem(Where("f.xml"), "unreadable", "cannot be read")] * unread

    verdict = prove(whole, evidence, problems, LinkCount(links, dangling), 0.02)

    gapless = bool(lacking & {"Eleve"}) or numbers == set(range(max(numbers) + 1))
    few_dangling = dangling * 50 <= links
    sound = gapless and not lacking and not unread and not forgotten and few_dangling
    assert isinstance(verdict, Complete if sound else Incomplete)


def test_an_absence_names_the_delivery_that_proves_it_and_its_day():
    proof = Complete("lille-2d", "d1", DAY, {}, frozenset())

    assert proof.absence(DAY) == Absence("lille-2d", "d1", DAY)
