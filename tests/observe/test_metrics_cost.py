"""What a scrape costs: nothing that grows with people is read."""

import re

import pytest
import sqlalchemy as sa

from ent_sync.observe.metrics import StoreCollector
from observe.measuring import CONFIGURED, NOW, open_store

MAY_BE_READ_WHOLE = {
    "measures": "some rows for each source and target",
    "sources": "one row each",
    "leases": "one row",
    "plans USING INDEX ix_plans_held": "at most one for each target",
    "unused USING INDEX ix_deliveries_unused": "what waits for somebody",
    "quarantine USING COVERING INDEX ix_quarantine_source": "without the sealed records",
}


@pytest.fixture
def store(tmp_path):
    database = open_store(tmp_path / "state.sqlite")
    yield database
    database.close()


@pytest.fixture
def plan(store):
    """The lines of SQLite's plans for all that a scrape asks."""
    asked = []

    def remember(_c, _k, statement, parameters, _x, _many):
        asked.append((statement, parameters))

    sa.event.listen(store.engine, "before_cursor_execute", remember)
    list(StoreCollector(store.reading, CONFIGURED, lambda: NOW).collect())
    sa.event.remove(store.engine, "before_cursor_execute", remember)
    with store.reading() as connection:
        return [
            row[3]
            for statement, parameters in asked
            if statement.startswith("SELECT")
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]


def test_only_small_tables_are_read_from_end_to_end(plan):
    scanned = {re.sub(r"^SCAN ", "", line) for line in plan if line.startswith("SCAN")}

    assert scanned <= MAY_BE_READ_WHOLE.keys()


def test_neither_people_nor_changes_are_looked_at(plan):
    assert [line for line in plan if re.search("entries|records|changes|memberships|links", line)] == []


def test_the_test_would_see_a_scan(store):
    with store.reading() as connection:
        [row] = connection.exec_driver_sql("EXPLAIN QUERY PLAN SELECT count(*) FROM changes WHERE status = 'x'").all()

    assert row[3].startswith("SCAN changes")


def test_nothing_is_sorted(plan):
    assert [line for line in plan if "TEMP B-TREE FOR ORDER BY" in line] == []
