"""How a delivery becomes part of what we know of a source: staged, judged for clashes, merged in one piece."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

import pytest
import sqlalchemy as sa

from ent_sync.core.completeness import Complete, LinkCount
from ent_sync.core.record import Key, Population
from ent_sync.store import snapshot, staging
from ent_sync.store.database import Database
from ent_sync.store.staging import Staged, StagedLink

SOURCE = "lille-2d"
DAY = dt.date(2026, 11, 21)


def row(population: str, key: str, place: int = 0, state: str = "new", **given: object) -> Staged:
    values = {"entry_id": f"e-{population}-{key}", "raw": b"r", "content": key.encode(), "sealed": b"s"}
    if state != "new":
        values = dict.fromkeys(values)
    return Staged(population, key, 0, place, place + 1, state, **{**values, **given})  # type: ignore[arg-type]


def link(pupil: str, guardian: str, place: int = 0, tie: str = "legal") -> StagedLink:
    return StagedLink(pupil=pupil, guardian=guardian, tie=tie, ordinal=0, place=place)


def stage(database: Database, rows: Iterable[Staged], links: Iterable[StagedLink] = ()) -> None:
    with database.reading() as connection:
        staging.begin(connection)
        staging.stage(connection, list(rows), list(links))


def proof(*keyless: Population) -> Complete:
    return Complete(SOURCE, "ENT_Complet_20261121", DAY, {}, frozenset(keyless))


def merge(database: Database, complete: Complete | None = None) -> list[str]:
    """Merge what is staged; gives the entries that must be mapped again."""
    with database.transaction() as connection:
        snapshot.merge(connection, SOURCE, delivery="d", left_on=DAY, proof=complete)
        return sorted(connection.execute(sa.text("SELECT entry_id FROM touched")).scalars())


def known(database: Database, rows: Iterable[Staged], links: Iterable[StagedLink] = ()) -> None:
    stage(database, rows, links)
    merge(database, proof())


def states(database: Database) -> dict[str, str]:
    with database.reading() as connection:
        return {each[0]: each[1] for each in connection.execute(sa.text("SELECT key, state FROM records"))}


def links(database: Database) -> list[tuple[str, str, str]]:
    with database.reading() as connection:
        query = sa.text("SELECT pupil, guardian, tie FROM links ORDER BY pupil, guardian")
        return [(each[0], each[1], each[2]) for each in connection.execute(query)]


def clashes(database: Database, *, delta: bool = False) -> list[tuple[str, int, str]]:
    with database.transaction() as connection:
        found = staging.clashes(connection, SOURCE, delta=delta)
        staging.set_aside(connection, found)
        return [(each.key, each.place, each.rule) for each in found]


# -- clashes -----------------------------------------------------------------------------------------------------------


def test_of_two_records_with_one_key_the_second_is_set_aside_with_its_links(database: Database) -> None:
    stage(
        database,
        [row("pupil", "1", 0, content=b"first"), row("pupil", "1", 1, content=b"second"), row("guardian", "9", 2)],
        [link("1", "9", 0), link("1", "9", 1, "contact")],
    )

    found = clashes(database)
    merge(database, proof())

    assert found == [("1", 1, "duplicate-key")]
    assert links(database) == [("1", "9", "legal")]


def test_a_repeated_record_that_is_bad_in_itself_is_not_set_aside_twice(database: Database) -> None:
    stage(database, [row("pupil", "1", 0), row("pupil", "1", 1, "bad")])

    assert clashes(database) == []


def test_one_key_in_two_populations_sets_both_aside_and_both_count_as_seen(database: Database) -> None:
    known(database, [row("pupil", "1"), row("staff", "2")])
    stage(database, [row("pupil", "1"), row("staff", "1"), row("staff", "2", 1, "same")])

    found = clashes(database)
    merge(database, proof())

    assert found == [("1", 0, "key-in-two-populations"), ("1", 0, "key-in-two-populations")]
    assert states(database) == {"1": "present", "2": "present"}


def test_a_school_may_have_the_key_of_a_person(database: Database) -> None:
    stage(database, [row("pupil", "1"), row("school", "1", 1)])

    assert clashes(database) == []


def test_in_a_delta_the_key_of_a_known_person_of_another_kind_clashes(database: Database) -> None:
    known(database, [row("staff", "1")])
    stage(database, [row("pupil", "1")])

    assert clashes(database, delta=True) == [("1", 0, "key-in-two-populations")]


def test_in_a_delta_the_key_of_somebody_who_leaves_with_it_is_free(database: Database) -> None:
    known(database, [row("staff", "1")])
    stage(database, [row("staff", "1", 0, "gone"), row("pupil", "1", 1)])

    assert clashes(database, delta=True) == []


def test_of_several_requests_of_a_delta_the_last_one_counts_with_its_links(database: Database) -> None:
    stage(
        database,
        [row("pupil", "1", 0), row("pupil", "1", 1, content=b"last"), row("guardian", "8", 2), row("guardian", "9", 3)],
        [link("1", "8", 0), link("1", "9", 1)],
    )

    with database.reading() as connection:
        staging.keep_last(connection)
    merge(database)

    assert links(database) == [("1", "9", "legal")]


# -- links -------------------------------------------------------------------------------------------------------------


def test_links_of_new_and_of_unchanged_pupils_are_counted_and_own_ones_are_not(database: Database) -> None:
    known(database, [row("pupil", "1"), row("guardian", "9", 1)], [link("1", "9")])
    stage(
        database,
        [row("pupil", "1", 0, "same"), row("pupil", "2", 1), row("pupil", "3", 2), row("guardian", "9", 3, "same")],
        [link("2", "9", 1), link("2", "404", 1), link("3", "3", 2, "self")],
    )

    with database.reading() as connection:
        assert staging.count_links(connection, SOURCE) == LinkCount(links=3, dangling=1)


def test_a_link_to_a_guardian_who_is_delivered_but_bad_does_not_dangle(database: Database) -> None:
    stage(database, [row("pupil", "1"), row("guardian", "9", 1, "bad")], [link("1", "9")])

    with database.reading() as connection:
        assert staging.count_links(connection, SOURCE) == LinkCount(links=1, dangling=0)


def test_after_the_merge_links_to_nobody_are_named(database: Database) -> None:
    known(database, [row("pupil", "1"), row("guardian", "9", 1)], [link("1", "9"), link("1", "404")])

    with database.reading() as connection:
        assert snapshot.dangling_links(connection, SOURCE, staged_only=False) == [("1", "404")]


# -- who left ----------------------------------------------------------------------------------------------------------


def test_whom_a_complete_delivery_does_not_hold_is_absent_with_a_proof(database: Database) -> None:
    known(database, [row("pupil", "1"), row("pupil", "2", 1)])
    stage(database, [row("pupil", "1", 0, "same")])

    merge(database, proof())

    assert states(database) == {"1": "present", "2": "absent"}


def test_without_a_proof_nobody_is_absent(database: Database) -> None:
    known(database, [row("pupil", "1"), row("pupil", "2", 1)])
    stage(database, [row("pupil", "1", 0, "same")])

    merge(database)

    assert states(database) == {"1": "present", "2": "present"}


def test_a_population_in_which_somebody_has_no_key_is_spared(database: Database) -> None:
    known(database, [row("pupil", "1"), row("staff", "2", 1)])
    stage(database, [])

    merge(database, proof(Population.PUPIL))

    assert states(database) == {"1": "present", "2": "absent"}


@pytest.mark.parametrize("state", ["same", "bad", "new"])
def test_whoever_was_seen_is_not_absent(database: Database, state: str) -> None:
    known(database, [row("pupil", "1")])
    stage(database, [row("pupil", "1", 0, state)])

    merge(database, proof())

    assert states(database) == {"1": "present"}


def test_a_delete_request_withdraws_with_date_and_delivery(database: Database) -> None:
    known(database, [row("pupil", "1")])
    stage(database, [row("pupil", "1", 0, "gone")])

    touched = merge(database)

    with database.reading() as connection:
        query = "SELECT state, sealed, raw, left_on, delivery FROM records"
        assert connection.exec_driver_sql(query).all() == [("withdrawn", None, None, "2026-11-21", "d")]
    assert touched == ["e-pupil-1"]


def test_who_left_leaves_no_link_and_the_guardian_is_looked_at_again(database: Database) -> None:
    known(database, [row("pupil", "1"), row("guardian", "9", 1)], [link("1", "9")])
    stage(database, [row("guardian", "9", 0, "same")])

    touched = merge(database, proof())

    assert links(database) == []
    assert touched == ["e-guardian-9", "e-pupil-1"]


def test_another_source_is_never_touched(database: Database) -> None:
    known(database, [row("pupil", "1")])
    with database.transaction() as connection:
        connection.execute(sa.text("UPDATE records SET source = 'amiens-2d'"))
    stage(database, [])

    merge(database, proof())

    assert states(database) == {"1": "present"}


def test_who_comes_back_is_the_person_he_was(database: Database) -> None:
    known(database, [row("pupil", "1", entry_id="first")])
    stage(database, [])
    merge(database, proof())
    stage(database, [row("pupil", "1", entry_id="other")])

    merge(database, proof())

    with database.reading() as connection:
        query = "SELECT entry_id, state, left_on, delivery FROM records"
        assert connection.exec_driver_sql(query).all() == [("first", "present", None, None)]


# -- what is touched ---------------------------------------------------------------------------------------------------


def test_a_record_that_is_delivered_with_the_same_content_touches_nobody(database: Database) -> None:
    known(database, [row("pupil", "1")])
    stage(database, [row("pupil", "1", raw=b"written otherwise")])

    assert merge(database, proof()) == []


def test_a_changed_pupil_touches_the_guardians_of_before_and_of_now(database: Database) -> None:
    known(
        database,
        [row("pupil", "1"), row("guardian", "8", 1), row("guardian", "9", 2), row("guardian", "7", 3)],
        [link("1", "8")],
    )
    stage(database, [row("pupil", "1", content=b"changed")], [link("1", "9")])

    assert merge(database) == ["e-guardian-8", "e-guardian-9", "e-pupil-1"]


def test_a_structure_that_changes_its_uai_touches_everybody_of_its_source(database: Database) -> None:
    known(database, [row("school", "5", entry_id="0590001A"), row("pupil", "1", 1)])
    stage(database, [row("school", "5", entry_id="0590002B", content=b"changed")])

    assert merge(database) == ["0590001A", "0590002B", "e-pupil-1"]


# -- reading -----------------------------------------------------------------------------------------------------------


def test_what_was_delivered_alike_is_known_by_its_digest(database: Database) -> None:
    known(database, [row("pupil", "1", raw=b"digest"), row("staff", "2", 1)])

    with database.reading() as connection:
        found = snapshot.known(connection, SOURCE, Population.PUPIL, [Key("1"), Key("2"), Key("3")])

    assert found == {"1": b"digest"}


def test_a_delta_follows_on_what_it_said_itself(database: Database) -> None:
    known(database, [row("pupil", "1", sealed=b"old"), row("pupil", "2", 1), row("pupil", "3", 2, sealed=b"old")])
    stage(database, [row("pupil", "1", 0, sealed=b"new"), row("pupil", "2", 1, "gone")])

    with database.reading() as connection:
        found = staging.latest(connection, SOURCE, Population.PUPIL, [Key("1"), Key("2"), Key("3")])

    assert {key: each.sealed for key, each in found.items()} == {"1": b"new", "3": b"old"}


# -- correlation -------------------------------------------------------------------------------------------------------


def correlated(database: Database) -> tuple[list[str], str | None]:
    """The rules by which staged pupils were set aside, and the person that pupil 2 became."""
    with database.transaction() as connection:
        unclear = snapshot.correlate(connection, SOURCE)
        entry = connection.execute(sa.text("SELECT entry_id FROM staged WHERE key = '2'")).scalar()
    return [each.rule for each in unclear], entry


@pytest.mark.parametrize(
    ("ine", "birth", "person"),
    [
        (b"ine", b"birth", "person-1"),
        (b"ine", None, "person-1"),
        (b"ine", b"another", "e-pupil-2"),
        (b"another", b"birth", "e-pupil-2"),
        (None, b"birth", "e-pupil-2"),
    ],
)
def test_a_pupil_under_a_new_key_is_the_person_of_his_ine_and_birth(
    database: Database, ine: bytes | None, birth: bytes | None, person: str
) -> None:
    known(database, [row("pupil", "1", entry_id="person-1", ine=b"ine", birth=b"birth")])
    stage(database, [row("pupil", "2", ine=ine, birth=birth)])

    assert correlated(database) == ([], person)


def test_a_pupil_under_a_known_key_stays_who_he_is(database: Database) -> None:
    known(
        database,
        [row("pupil", "1", entry_id="person-1", ine=b"ine"), row("pupil", "2", 1, entry_id="person-2", ine=b"other")],
    )
    stage(database, [row("pupil", "2", entry_id="person-2", ine=b"ine")])

    assert correlated(database) == ([], "person-2")


def test_a_pupil_who_answers_to_two_persons_is_merged_with_neither(database: Database) -> None:
    known(
        database,
        [row("pupil", "1", entry_id="person-1", ine=b"ine"), row("pupil", "3", 1, entry_id="person-3", ine=b"ine")],
    )
    stage(database, [row("pupil", "2", ine=b"ine")])

    assert correlated(database)[0] == ["two-candidates"]


def test_two_new_pupils_of_one_delivery_with_one_ine_are_one_person(database: Database) -> None:
    stage(database, [row("pupil", "1", 0, entry_id="person-1", ine=b"ine"), row("pupil", "2", 1, ine=b"ine")])

    assert correlated(database) == ([], "person-1")


def test_a_guardian_is_never_correlated(database: Database) -> None:
    known(database, [row("pupil", "1", entry_id="person-1", ine=b"ine")])
    stage(database, [row("guardian", "2", ine=b"ine")])

    assert correlated(database) == ([], "e-guardian-2")
