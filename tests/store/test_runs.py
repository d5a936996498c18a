"""Runs, deliveries, cursors and quarantine."""

from __future__ import annotations

import datetime as dt

import pytest

from ent_sync.core.completeness import Delivery
from ent_sync.core.errors import Problem, Where
from ent_sync.core.record import Key, Population
from ent_sync.core.run import Kind, Outcome, RunResult
from ent_sync.store import runs, staging
from ent_sync.store.database import Database
from ent_sync.store.runs import Quarantined
from ent_sync.store.staging import Staged

NOW = dt.datetime(2026, 11, 24, 6, 0, tzinfo=dt.UTC)
COUNTS = {Population.PUPIL: 3}


def delivery(day: int, *, complete: bool = True, signature: str = "s") -> Delivery:
    return Delivery(
        id=f"ENT_{'Complet' if complete else 'Delta'}_202611{day:02d}",
        source="lille-2d",
        complete=complete,
        date=dt.date(2026, 11, day),
        signature=signature,
        place="",
        parts=(),
        size=0,
    )


def apply(database: Database, each: Delivery, at: dt.datetime = NOW) -> None:
    with database.transaction() as connection:
        runs.applied(connection, each, COUNTS, "wanted-1", at)


def hold(database: Database, each: Delivery) -> None:
    reason = Problem(Where(each.id), "truncated", "is cut")
    with database.transaction() as connection:
        runs.judged(connection, each, "held", [reason], {}, NOW)


def status(database: Database, each: Delivery) -> str | None:
    with database.reading() as connection:
        return runs.delivery_statuses(connection, "lille-2d").get((each.id, each.signature))


# -- cursor ------------------------------------------------------------------------------------------------------------


def test_before_its_first_delivery_a_source_has_no_cursor(database: Database) -> None:
    with database.reading() as connection:
        assert runs.source_state(connection, "lille-2d") == runs.SourceState(None, None, None, None, None)


def test_an_applied_delivery_moves_the_cursor(database: Database) -> None:
    apply(database, delivery(20))
    apply(database, delivery(21, complete=False))

    with database.reading() as connection:
        state = runs.source_state(connection, "lille-2d")

    assert (state.applied_date, state.applied_delivery) == (dt.date(2026, 11, 21), "ENT_Delta_20261121")
    assert state.wanted == "wanted-1"


def test_the_cursor_does_not_go_back_when_a_delivery_is_read_again(database: Database) -> None:
    apply(database, delivery(21))
    apply(database, delivery(20))

    with database.reading() as connection:
        assert runs.source_state(connection, "lille-2d").applied_date == dt.date(2026, 11, 21)


def test_a_held_delivery_leaves_the_cursor(database: Database) -> None:
    apply(database, delivery(20))
    hold(database, delivery(21))

    with database.reading() as connection:
        assert runs.source_state(connection, "lille-2d").applied_date == dt.date(2026, 11, 20)


@pytest.mark.parametrize(("day", "expected"), [(20, "superseded"), (21, "superseded"), (22, "held")])
def test_a_complete_delivery_supersedes_what_was_held_up_to_its_date(
    database: Database, day: int, expected: str
) -> None:
    held = delivery(day, signature="held")
    hold(database, held)

    apply(database, delivery(21))

    assert status(database, held) == expected


def test_a_delta_supersedes_nothing(database: Database) -> None:
    held = delivery(20)
    hold(database, held)

    apply(database, delivery(21, complete=False))

    assert status(database, held) == "held"


def test_a_delivery_whose_files_change_is_another_one(database: Database) -> None:
    hold(database, delivery(21, signature="first"))

    assert status(database, delivery(21, signature="second")) is None


# -- deltas that wait --------------------------------------------------------------------------------------------------


def before(database: Database, each: Delivery) -> str | None:
    with database.reading() as connection:
        return runs.held_before(connection, each)


def test_a_delta_that_is_held_is_missing_before_the_next_one(database: Database) -> None:
    apply(database, delivery(20))
    hold(database, delivery(21, complete=False))

    assert before(database, delivery(22, complete=False)) == "ENT_Delta_20261121"


@pytest.mark.parametrize("replacing", [delivery(21, complete=False, signature="again"), delivery(22)])
def test_a_held_delta_is_missing_until_it_is_replaced(database: Database, replacing: Delivery) -> None:
    apply(database, delivery(20))
    hold(database, delivery(21, complete=False))

    apply(database, replacing)

    assert before(database, delivery(23, complete=False)) is None


def test_a_delta_is_not_missing_before_itself(database: Database) -> None:
    hold(database, delivery(21, complete=False, signature="first"))

    assert before(database, delivery(21, complete=False, signature="second")) is None


# -- outlived files ----------------------------------------------------------------------------------------------------


def test_files_are_outlived_when_a_newer_complete_delivery_is_applied_and_their_time_is_over(
    database: Database,
) -> None:
    apply(database, delivery(20), NOW - dt.timedelta(days=8))
    apply(database, delivery(21, complete=False), NOW - dt.timedelta(days=6))
    apply(database, delivery(22), NOW)

    with database.reading() as connection:
        found = runs.outlived(connection, "lille-2d", NOW - dt.timedelta(days=7))

    assert found == {("ENT_Complet_20261120", "s")}


def test_the_newest_complete_delivery_and_the_deltas_since_are_kept(database: Database) -> None:
    apply(database, delivery(20), NOW - dt.timedelta(days=9))
    apply(database, delivery(21, complete=False), NOW - dt.timedelta(days=8))

    with database.reading() as connection:
        assert runs.outlived(connection, "lille-2d", NOW) == set()


# -- runs --------------------------------------------------------------------------------------------------------------


def result(run: str) -> RunResult:
    return RunResult(
        run=run,
        kind=Kind.FULL,
        outcome=Outcome.DONE,
        plan=None,
        sources=(),
        changes={},
        unchanged=1,
        applied={},
        failed=0,
        quarantined=0,
        held=(),
        reasons=(),
        started=NOW,
        seconds=1.0,
    )


def test_a_run_that_ended_is_kept_as_its_document(database: Database) -> None:
    with database.transaction() as connection:
        runs.begin(connection, "run-1", "delta", NOW)
        runs.end(connection, result("run-1"))

        assert runs.get(connection, "run-1") == result("run-1").document()


def test_a_run_whose_process_died_failed(database: Database) -> None:
    with database.transaction() as connection:
        runs.begin(connection, "run-1", "full", NOW)
        runs.begin(connection, "run-2", "full", NOW)

        runs.end_dead(connection, "run-2", ["ent"], NOW)

        assert [each["outcome"] for each in runs.listed(connection)] == [None, "failed"]


# -- quarantine --------------------------------------------------------------------------------------------------------


def bad(key: str, line: int = 7, delivered: str = "ENT_Complet_20261121") -> Quarantined:
    return Quarantined(
        runs.quarantine_id("lille-2d", Population.PUPIL, key, "no-name"),
        "lille-2d",
        Population.PUPIL,
        Key(key),
        "no-name",
        "ENT_Eleve_0000.xml",
        line,
        "has no name",
        b"sealed",
        delivered,
    )


def test_the_same_trouble_delivered_again_is_the_same_row_and_keeps_its_time(database: Database) -> None:
    with database.transaction() as connection:
        runs.quarantine(connection, [bad("LILLE$1")], NOW)

        runs.quarantine(connection, [bad("LILLE$1", line=99)], NOW + dt.timedelta(days=1))

        [found] = runs.quarantined(connection)
        since = connection.exec_driver_sql("SELECT since FROM quarantine").scalar_one()
    assert found.line == 99
    assert since.startswith("2026-11-24")


@pytest.mark.parametrize(
    ("population", "subject", "rule"),
    [
        (Population.STAFF, "LILLE$1", "no-name"),
        (Population.PUPIL, "LILLE$2", "no-name"),
        (Population.PUPIL, "LILLE$1", "x"),
    ],
)
def test_another_trouble_has_another_id(population: Population, subject: str, rule: str) -> None:
    first = runs.quarantine_id("lille-2d", Population.PUPIL, "LILLE$1", "no-name")

    assert runs.quarantine_id("lille-2d", population, subject, rule) != first


def test_after_a_complete_delivery_only_its_own_troubles_are_left(database: Database) -> None:
    with database.reading() as connection:
        staging.begin(connection)
    with database.transaction() as connection:
        runs.quarantine(connection, [bad("LILLE$1", delivered="old"), bad("LILLE$2", delivered="new")], NOW)

        runs.release_quarantine(connection, "lille-2d", delivery="new", complete=True)

        assert [each.key for each in runs.quarantined(connection)] == ["LILLE$2"]


def test_what_mapping_set_aside_stays_while_the_record_comes_unchanged(database: Database) -> None:
    with database.reading() as connection:
        staging.begin(connection)
        staging.stage(
            connection,
            [Staged("pupil", "LILLE$1", 0, 0, 1, "same"), Staged("pupil", "LILLE$2", 0, 1, 9, "new", "e2")],
            [],
        )
    with database.transaction() as connection:
        runs.quarantine(connection, [bad("LILLE$1", delivered=""), bad("LILLE$2", delivered="")], NOW)

        runs.release_quarantine(connection, "lille-2d", delivery="new", complete=True)

        assert [each.key for each in runs.quarantined(connection)] == ["LILLE$1"]


def test_after_a_delta_what_it_brought_in_good_order_is_free(database: Database) -> None:
    with database.reading() as connection:
        staging.begin(connection)
        staging.stage(connection, [Staged("pupil", "LILLE$1", 0, 0, 1, "new", "e1")], [])
    with database.transaction() as connection:
        runs.quarantine(connection, [bad("LILLE$1", delivered="old"), bad("LILLE$2", delivered="old")], NOW)

        runs.release_quarantine(connection, "lille-2d", delivery="new", complete=False)

        assert [each.key for each in runs.quarantined(connection)] == ["LILLE$2"]


def test_what_is_dropped_is_counted(database: Database) -> None:
    with database.transaction() as connection:
        runs.quarantine(connection, [bad("LILLE$1"), bad("LILLE$2")], NOW)

        dropped = runs.drop_quarantined(connection, [bad("LILLE$1").id, "nobody"])

        assert (dropped, [each.key for each in runs.quarantined(connection)]) == (1, ["LILLE$2"])
