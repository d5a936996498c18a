"""What is asked for every batch finds its rows by an index, however many people there are.

The statements are caught as the modules send them, and SQLite is asked how it would answer them: without statistics, on
an empty store, which is how a first load meets them.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import sqlalchemy as sa

from ent_sync.core.completeness import Complete
from ent_sync.core.entry import EntryId
from ent_sync.core.record import Key, Population
from ent_sync.store import entries, figures, groups, journal, plans, snapshot, staging
from ent_sync.store.database import Database

IDS = [EntryId(each) for each in "abc"]
KEYS = [Key(each) for each in "abc"]
LARGE = ("records", "entries", "changes", "links", "memberships")
# An alias stands for its table in a plan; these are the ones that the modules use.
ALIASES = {"guardian", "pupil", "link", "held", "kept", "found", "known", "change", "other"}

MAPPED = [entries.Mapped(each, "lille-2d", b"", None, None, 0) for each in "abc"]

DAY = dt.date(2026, 11, 21)
MOMENT = dt.datetime(2026, 11, 21, tzinfo=dt.UTC)
PROOF = Complete("lille-2d", "d", DAY, {}, frozenset())

QUERIES: dict[str, Callable[[sa.Connection], object]] = {
    "candidates": lambda connection: entries.candidates(connection, "ent", EntryId("a"), 100, None),
    "candidates of sources": lambda connection: entries.candidates(connection, "ent", None, 100, ["lille-2d"]),
    "load": lambda connection: entries.load(connection, "ent", IDS),
    "records_of": lambda connection: entries.records_of(connection, IDS),
    "wards_of": lambda connection: entries.wards_of(connection, IDS),
    "known": lambda connection: snapshot.known(connection, "lille-2d", Population.PUPIL, KEYS),
    "latest": lambda connection: staging.latest(connection, "lille-2d", Population.PUPIL, KEYS),
    "pending": lambda connection: plans.pending(connection, "plan", "ent", 100),
    "waits": lambda connection: plans.waits(connection, "plan"),
    "overtake": lambda connection: plans.overtake(connection, "ent", "plan"),
    "overtake of some": lambda connection: plans.overtake(connection, "ent", "plan", IDS),
    "overtake of sources": lambda connection: plans.overtake(connection, "ent", None, None, ["lille-2d"]),
    "of_entry": lambda connection: plans.of_entry(connection, IDS[0]),
    "mark": lambda connection: entries.mark(connection, "ent", IDS),
    "mark_touched": lambda connection: entries.mark_touched(connection, "ent", MOMENT),
    "guardians_of": lambda connection: figures.guardians_of(connection, IDS),
    "names of groups": lambda connection: groups.names(connection, "ent", IDS),
    "moved": lambda connection: groups.moved(connection, "ent", MAPPED, []),
    "made": lambda connection: journal.made(connection, "plan", "run", 0, 100),
    "several": lambda connection: journal.several(connection, "plan", "run"),
    "made_of": lambda connection: journal.made_of(connection, "plan", "run", IDS),
    "plans_of": lambda connection: journal.plans_of(connection, "run"),
    "last_suspensions": lambda connection: journal.last_suspensions(connection, "ent", IDS, MOMENT),
    "forget": lambda connection: journal.forget(connection, MOMENT),
    "merge of a delta": lambda connection: merge(connection, None),
}
ONCE_A_DELIVERY: dict[str, Callable[[sa.Connection], object]] = {
    "merge of a complete delivery": lambda connection: merge(connection, PROOF),
    "count_links": lambda connection: staging.count_links(connection, "lille-2d"),
    "dangling_links": lambda connection: snapshot.dangling_links(connection, "lille-2d", staged_only=False),
    "dangling_links of a delta": lambda connection: snapshot.dangling_links(connection, "lille-2d", staged_only=True),
    "clashes": lambda connection: staging.clashes(connection, "lille-2d", delta=False),
    "clashes of a delta": lambda connection: staging.clashes(connection, "lille-2d", delta=True),
    "keep_last": staging.keep_last,
    "correlate": lambda connection: snapshot.correlate(connection, "lille-2d"),
    "mark_all": lambda connection: entries.mark_all(connection, "ent"),
    "forget_unheld": lambda connection: entries.forget_unheld(connection, "ent"),
    "keep_needed": lambda connection: journal.keep_needed(connection, "plan", "ent", ("rule", "message"), MOMENT),
}
"""These may read a table once; never once for every row of another."""


def merge(connection: sa.Connection, proof: Complete | None) -> None:
    snapshot.merge(connection, "lille-2d", delivery="d", left_on=DAY, proof=proof)


@contextmanager
def caught(connection: sa.Connection) -> Iterator[list[tuple[str, Any]]]:
    statements: list[tuple[str, Any]] = []

    def remember(_c: object, _k: object, statement: str, parameters: Any, _x: object, many: bool) -> None:
        statements.append((statement, parameters[0] if many else parameters))

    sa.event.listen(connection.engine, "before_cursor_execute", remember)
    try:
        yield statements
    finally:
        sa.event.remove(connection.engine, "before_cursor_execute", remember)


@dataclass(frozen=True)
class Step:
    """One line of SQLite's plan, with the lines above it in the tree, and those before it beside it."""

    text: str
    above: tuple[str, ...]
    beside: tuple[str, ...]

    @property
    def scanned(self) -> str | None:
        """What is read from end to end here, if anything is."""
        found = re.match(r"SCAN (\w+)", self.text)
        return found[1] if found else None


def steps(connection: sa.Connection, statement: str, parameters: Any) -> list[Step]:
    rows = [tuple(row) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
    parents = {row[0]: row[1] for row in rows}
    texts = {row[0]: row[3] for row in rows}

    def above(number: int) -> Iterator[str]:
        while number := parents.get(number, 0):
            yield texts[number]

    return [
        Step(row[3], tuple(above(row[0])), tuple(each[3] for each in rows[:place] if each[1] == row[1]))
        for place, row in enumerate(rows)
    ]


def scans(plan: list[Step]) -> list[str]:
    """The steps that read a whole large table, or a whole index of one; schools are few."""
    return [
        step.text
        for step in plan
        if (step.scanned in LARGE or step.scanned in ALIASES) and not step.text.endswith("INDEX ix_records_schools")
    ]


def nested(plan: list[Step]) -> list[str]:
    """The steps that read something from end to end for every row of something else."""
    return [
        step.text
        for step in plan
        if step.scanned
        and (
            any("CORRELATED" in each for each in step.above)
            or any(each.startswith(("SCAN", "SEARCH")) for each in step.beside)
        )
    ]


def plans_of(database: Database, query: Callable[[sa.Connection], object]) -> list[Step]:
    with database.transaction() as connection:
        staging.begin(connection)
        with caught(connection) as statements:
            query(connection)
        return [step for statement, parameters in statements for step in steps(connection, statement, parameters)]


@pytest.mark.parametrize("name", QUERIES)
def test_a_hot_query_reads_no_large_table_from_end_to_end(database: Database, name: str) -> None:
    plan = plans_of(database, QUERIES[name])

    assert plan != []
    assert scans(plan) == []
    assert nested(plan) == []


@pytest.mark.parametrize("name", ONCE_A_DELIVERY)
def test_what_is_asked_once_a_delivery_reads_nothing_once_for_every_row(database: Database, name: str) -> None:
    plan = plans_of(database, ONCE_A_DELIVERY[name])

    assert plan != []
    assert nested(plan) == []


def test_stale_entries_are_found_by_the_index_of_the_few(database: Database) -> None:
    plan = plans_of(database, QUERIES["candidates"])

    assert any("ix_entries_stale" in step.text for step in plan)


def test_waiting_changes_are_found_by_the_index_of_the_few_in_their_order(database: Database) -> None:
    plan = plans_of(database, QUERIES["pending"])

    assert any("ix_changes_waiting" in step.text for step in plan)
    assert not any("TEMP B-TREE" in step.text for step in plan)


def test_wards_are_found_from_the_guardian_on(database: Database) -> None:
    """The other way round, SQLite would look at every pupil for every guardian."""
    plan = plans_of(database, QUERIES["wards_of"])

    assert [step.text.split()[1] for step in plan if step.text.startswith("SEARCH")] == ["guardian", "link", "pupil"]


def test_a_merge_of_a_delta_goes_from_what_was_delivered_to_what_is_known(database: Database) -> None:
    """The other way round, it would read all that the source ever delivered, for a handful of requests."""
    plan = plans_of(database, QUERIES["merge of a delta"])

    assert [step.text for step in plan if re.search(r"\(source=\?\)$", step.text) and "schools" not in step.text] == []


def test_the_test_would_see_a_scan(database: Database) -> None:
    plan = plans_of(
        database, lambda connection: connection.exec_driver_sql("SELECT * FROM records WHERE ine > 'a' OR 1")
    )

    assert scans(plan) == ["SCAN records"]


def test_the_test_would_see_a_nested_scan(database: Database) -> None:
    query = "SELECT 1 FROM records one WHERE EXISTS (SELECT 1 FROM records two WHERE two.birth > one.birth)"

    plan = plans_of(database, lambda connection: connection.exec_driver_sql(query))

    assert nested(plan) == ["SCAN two"]
