"""What verifying asks the store for every batch is found by an index, however many people there are."""

import datetime as dt

import pytest
import sqlalchemy as sa

from ent_sync.core.entry import EntryId
from ent_sync.store import drift
from ent_sync.store.database import Database
from ent_sync.store.drift import Loaded

IDS = [EntryId(each) for each in "abc"]
LOADED = [Loaded(id=each, fingerprint=b"f", parts=b"p", source_key=None, uais=None) for each in IDS]
NOW = dt.datetime(2026, 11, 21, tzinfo=dt.UTC)

ASKED = {
    "acknowledged": lambda connection: drift.acknowledged(connection, "ent", "a", 100),
    "unseen": lambda connection: drift.unseen(connection, "ent", "a", 100),
    "drifted": lambda connection: drift.drifted(connection, "ent", "a", 100),
    "acknowledge": lambda connection: drift.acknowledge(connection, "ent", LOADED, NOW),
}
BY = {
    "SEARCH entries USING INDEX sqlite_autoindex_entries_1 (target=? AND entry_id>?)",
    "SEARCH entries USING INDEX sqlite_autoindex_entries_1 (target=? AND entry_id=?)",
    "SEARCH changes USING INDEX ix_changes_entry (entry_id=?)",
    "SEARCH read_back USING COVERING INDEX sqlite_autoindex_read_back_1 (entry_id=?)",
    "SEARCH drifted USING COVERING INDEX sqlite_autoindex_drifted_1 (target=? AND entry_id>?)",
    "CORRELATED SCALAR SUBQUERY 1",
}


@pytest.fixture
def database(tmp_path):
    opened = Database(f"sqlite:///{tmp_path / 'state.sqlite'}")
    opened.upgrade()
    yield opened
    opened.close()


@pytest.mark.parametrize("name", ASKED)
def test_a_batch_is_answered_by_an_index(database, name):
    sent = []
    with database.transaction() as connection:
        drift.begin(connection)
        sa.event.listen(database.engine, "before_cursor_execute", lambda *told: sent.append((told[2], told[3])))
        ASKED[name](connection)
        asked = tuple(sent)

        plans = []
        for statement, values in asked:
            one = values[0] if isinstance(values, list) else values
            plans += [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", one)]

    assert set(plans) <= BY
    assert plans


def test_a_plan_of_which_something_waits_is_not_settled(database):
    with database.transaction() as connection:
        for plan, status in (("one", "pending"), ("two", "acknowledged")):
            connection.exec_driver_sql(
                "INSERT INTO plans (plan, run, target, status, created, holds) VALUES (?, 'r', 'ent', 'planned', "
                "'2026-11-21 00:00:00.000000', '[]')",
                (plan,),
            )
            connection.exec_driver_sql(
                "INSERT INTO changes (plan, seq, target, rank, entry_id, kind, source, operation, parts, status, sealed) "
                "VALUES (?, 0, 'ent', 0, 'a', 'account', 's', 'create', '', ?, X'00')",
                (plan, status),
            )

        drift.settle_loaded(connection, "ent", NOW)

        rows = connection.exec_driver_sql("SELECT plan, status FROM plans ORDER BY plan").all()
    assert [tuple(row) for row in rows] == [("one", "planned"), ("two", "applied")]
