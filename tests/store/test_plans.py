"""A change from birth to way back: which status follows on which, and what overtakes what."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa

from ent_sync.core.completeness import Absence
from ent_sync.core.entry import EntryId, EntryKind
from ent_sync.core.guard import Guard, Hold
from ent_sync.core.plan import (
    Delete,
    Emptied,
    Erasure,
    Operation,
    RetentionOver,
    Suspend,
    Undone,
    Unentitled,
    Withdrawal,
)
from ent_sync.core.record import Population
from ent_sync.store import plans, runs
from ent_sync.store.database import Database
from ent_sync.store.plans import Facet, NewChange

NOW = dt.datetime(2026, 11, 24, 6, 0, tzinfo=dt.UTC)
DAY = dt.date(2026, 11, 20)
SUSPENSIONS = Hold(Guard.DEPARTURES, "lille-2d/pupil", 0.5, 0.03, "lille-2d", frozenset({Operation.SUSPEND}))


def change(entry: str, operation: str = "create", **given: object) -> NewChange:
    values: dict[str, object] = dict.fromkeys(NewChange._fields)
    values |= {"entry_id": entry, "rank": 1, "kind": "account", "population": "pupil", "source": "lille-2d"}
    values |= {"operation": operation, "parts": "", "sealed": b"sealed"}
    return NewChange(**{**values, **given})


def planned(database: Database, plan: str, *changes: NewChange) -> None:
    with database.transaction() as connection:
        plans.make(connection, plan, "run-1", "ent", NOW)
        plans.add(connection, plan, "ent", 0, changes)


def statuses(connection: sa.Connection, plan: str) -> dict[str, str]:
    query = sa.text("SELECT entry_id, status FROM changes WHERE plan = :plan")
    return {row[0]: row[1] for row in connection.execute(query, {"plan": plan})}


def pending(connection: sa.Connection, plan: str, limit: int = 10) -> list[str]:
    return [each.entry_id for each in plans.pending(connection, plan, "ent", limit)]


# -- status moves ------------------------------------------------------------------------------------------------------


def test_a_change_is_pending_from_the_start(database: Database) -> None:
    planned(database, "plan-1", change("a"))

    with database.reading() as connection:
        assert statuses(connection, "plan-1") == {"a": "pending"}


def test_changes_are_pushed_by_rank_and_then_in_the_order_in_which_they_came(database: Database) -> None:
    planned(database, "plan-1", change("c", rank=2), change("b"), change("a"), change("s", rank=0))

    with database.reading() as connection:
        assert pending(connection, "plan-1") == ["s", "b", "a", "c"]
        assert pending(connection, "plan-1", limit=2) == ["s", "b"]


def test_places_go_on_where_the_plan_ended(database: Database) -> None:
    planned(database, "plan-1", change("a"), change("b"))

    with database.transaction() as connection:
        after = plans.add(connection, "plan-1", "ent", 2, [change("c")])

    assert after == 3


def test_what_is_acknowledged_or_refused_waits_no_more(database: Database) -> None:
    planned(database, "plan-1", change("a"), change("b"), change("c"))

    with database.transaction() as connection:
        plans.acknowledge(connection, "plan-1", [0], NOW)
        plans.refuse(connection, "plan-1", [(1, "full", "the disk is full")], NOW)

        assert statuses(connection, "plan-1") == {"a": "acknowledged", "b": "refused", "c": "pending"}
        assert pending(connection, "plan-1") == ["c"]


def test_a_refused_change_says_why(database: Database) -> None:
    planned(database, "plan-1", change("a"))

    with database.transaction() as connection:
        plans.refuse(connection, "plan-1", [(0, "full", "the disk is full")], NOW)
        [row] = plans.of_entry(connection, EntryId("a"))

    assert (row.status, row.rule, row.message, row.decided) == ("refused", "full", "the disk is full", NOW)


def test_a_hold_keeps_back_what_it_names_and_nothing_else(database: Database) -> None:
    planned(
        database,
        "plan-1",
        change("a"),
        change("b", "suspend"),
        change("c", "suspend", source="amiens-2d"),
    )

    with database.transaction() as connection:
        held = plans.hold(connection, "plan-1", [SUSPENSIONS])

        assert held == 1
        assert statuses(connection, "plan-1") == {"a": "pending", "b": "held", "c": "pending"}
        assert plans.waits(connection, "plan-1")


def test_a_hold_of_changed_keys_keeps_back_only_those(database: Database) -> None:
    keys = Hold(Guard.JOIN_KEYS, "lille-2d", 0.5, 0.01, "lille-2d", frozenset({Operation.UPDATE}), changed_keys=True)
    planned(
        database,
        "plan-1",
        change("a", "update", parts="family_name source_key"),
        change("b", "update", parts="family_name"),
        change("c", "update", parts="old_source_key_note"),
        change("d", "update", parts="source_key"),
    )

    with database.transaction() as connection:
        plans.hold(connection, "plan-1", [keys])

        assert statuses(connection, "plan-1") == {"a": "held", "b": "pending", "c": "pending", "d": "held"}


def test_held_changes_keep_their_order_when_they_are_approved(database: Database) -> None:
    planned(
        database,
        "plan-1",
        change("z", "suspend", rank=1),
        change("y", "suspend", rank=0),
        change("x", "suspend", rank=1),
    )
    with database.transaction() as connection:
        plans.hold(connection, "plan-1", [SUSPENSIONS])
        while_held = pending(connection, "plan-1")

        plans.drop_waiting(connection, "plan-1", "pending", only="held")

        assert while_held == []
        assert pending(connection, "plan-1") == ["y", "z", "x"]


def test_a_digest_of_what_is_held_does_not_depend_on_the_plan_that_found_it(database: Database) -> None:
    for plan, order in (("plan-1", "ab"), ("plan-2", "ba")):
        planned(database, plan, *(change(entry, "suspend", base=b"1") for entry in order), change("c"))
        with database.transaction() as connection:
            plans.hold(connection, plan, [SUSPENSIONS])

    with database.reading() as connection:
        assert plans.held_digest(connection, "plan-1") == plans.held_digest(connection, "plan-2")


@pytest.mark.parametrize("other", [change("a", "suspend", base=b"2"), change("b", "suspend", base=b"1")])
def test_another_held_change_gives_another_digest(database: Database, other: NewChange) -> None:
    for plan, each in (("plan-1", change("a", "suspend", base=b"1")), ("plan-2", other)):
        planned(database, plan, each)
        with database.transaction() as connection:
            plans.hold(connection, plan, [SUSPENSIONS])

    with database.reading() as connection:
        assert plans.held_digest(connection, "plan-1") != plans.held_digest(connection, "plan-2")


def test_what_a_run_that_died_left_pending_is_overtaken_and_what_was_held_waits_on(database: Database) -> None:
    planned(database, "plan-1", change("a"), change("b", "suspend"))
    with database.transaction() as connection:
        plans.hold(connection, "plan-1", [SUSPENSIONS])
        plans.settle(connection, "plan-1", "held", NOW, digest="d")

        runs.end_dead(connection, "run-2", ["ent"], NOW)

        [found] = plans.held(connection, "ent")
        assert statuses(connection, "plan-1") == {"a": "overtaken", "b": "held"}
    assert found.plan == "plan-1"


# -- overtaking --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "left"),
    [
        ({}, []),
        ({"ids": [EntryId("a")]}, ["b", "c"]),
        ({"sources": ["amiens-2d"]}, ["a", "b"]),
        ({"ids": [EntryId("a")], "sources": ["amiens-2d"]}, ["a", "b", "c"]),
    ],
)
def test_a_compare_overtakes_what_waits_in_its_scope(
    database: Database, scope: dict[str, list[str]], left: list[str]
) -> None:
    planned(database, "plan-1", change("a"), change("b"), change("c", source="amiens-2d"))

    with database.transaction() as connection:
        plans.overtake(connection, "ent", "plan-2", **scope)  # type: ignore[arg-type]

        assert sorted(pending(connection, "plan-1")) == left


def test_a_compare_overtakes_neither_its_own_plan_nor_another_target(database: Database) -> None:
    planned(database, "plan-1", change("a"))
    with database.transaction() as connection:
        plans.make(connection, "plan-2", "run-1", "ldap", NOW)
        plans.add(connection, "plan-2", "ldap", 0, [change("a")])

        plans.overtake(connection, "ent", "plan-1")

        assert [statuses(connection, plan) for plan in ("plan-1", "plan-2")] == [{"a": "pending"}, {"a": "pending"}]


def test_what_is_decided_is_not_overtaken(database: Database) -> None:
    planned(database, "plan-1", change("a"), change("b"))
    with database.transaction() as connection:
        plans.acknowledge(connection, "plan-1", [0], NOW)

        plans.overtake(connection, "ent", None)

        assert statuses(connection, "plan-1") == {"a": "acknowledged", "b": "overtaken"}


@pytest.mark.parametrize(("ids", "status"), [(["a"], "held"), (["a", "b"], "overtaken")])
def test_a_held_plan_is_overtaken_when_nothing_of_it_waits(database: Database, ids: list[str], status: str) -> None:
    planned(database, "plan-1", change("a", "suspend"), change("b", "suspend"))
    with database.transaction() as connection:
        plans.hold(connection, "plan-1", [SUSPENSIONS])
        plans.settle(connection, "plan-1", "held", NOW, digest="d")

        plans.overtake(connection, "ent", None, [EntryId(each) for each in ids])
        found = plans.get(connection, "plan-1")

    assert found is not None
    assert found.status == status


# -- counting ----------------------------------------------------------------------------------------------------------


def test_a_plan_is_counted_by_what_guards_look_at(database: Database) -> None:
    planned(
        database,
        "plan-1",
        change("a", "suspend", parts="Absence", uais="0590001A"),
        change("b", "suspend", parts="Absence", uais="0590001A"),
        change("c", "update", parts="mail source_key", uais="0590001A"),
    )

    with database.reading() as connection:
        counts = {
            (each.operation.value, each.absence, each.changes_key, each.uais): each.count
            for each in plans.count(connection, "plan-1")
        }

    assert counts == {("suspend", True, False, "0590001A"): 2, ("update", False, True, None): 1}


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("school", {("-", "create", 1), ("0590001A", "update", 1), ("0590002B", "update", 2)}),
        ("attribute", {("-", "create", 1), ("mail", "update", 2), ("title", "update", 1)}),
        ("population", {("school", "create", 1), ("pupil", "update", 1), ("staff", "update", 1)}),
    ],
)
def test_facets_count_a_change_in_each_line_that_it_touches(
    database: Database, by: str, expected: set[tuple[str, str, int]]
) -> None:
    planned(
        database,
        "plan-1",
        change("a", kind="structure", population="school"),
        change("b", "update", parts="mail title", uais="0590001A 0590002B"),
        change("c", "update", parts="mail", uais="0590002B", population="staff"),
    )

    with database.reading() as connection:
        found = plans.facets(connection, "plan-1", by)

    assert all(isinstance(each, Facet) and each.status == "pending" for each in found)
    assert {(each.facet, each.operation, each.count) for each in found} == expected


# -- packing -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "each",
    [
        *(
            Suspend(EntryId("a"), Population.PUPIL, ("family_name",), because)
            for because in (Absence("lille-2d", "d", DAY), Withdrawal("lille-2d", "d", DAY), Unentitled(DAY))
        ),
        *(
            Delete(EntryId("a"), EntryKind.ACCOUNT, because)
            for because in (RetentionOver(DAY), Erasure("17.1.a"), Emptied(), Undone("run-1"))
        ),
    ],
    ids=lambda each: f"{type(each).__name__}-{type(each.because).__name__}",
)
def test_a_reason_is_the_same_after_it_was_stored(each: Suspend | Delete) -> None:
    assert plans.unpack(plans.pack(each)) == each
