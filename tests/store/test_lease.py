"""One writer at a time, whoever dies (contract §3, lease)."""

from __future__ import annotations

import datetime as dt
import multiprocessing
import os
import socket
import subprocess
import sys
from contextlib import closing
from multiprocessing.connection import Connection
from typing import Any

import pytest
import sqlalchemy as sa

from ent_sync.core.errors import LeaseLostError
from ent_sync.store import lease, schema
from ent_sync.store.database import Database

NOW = dt.datetime(2026, 11, 24, 6, 0, tzinfo=dt.UTC)


def acquire(database: Database, run: str, now: dt.datetime = NOW) -> lease.Lease | None:
    with database.transaction() as connection:
        return lease.acquire(connection, run, now)


def granted(database: Database, run: str, now: dt.datetime = NOW) -> lease.Lease:
    found = acquire(database, run, now)
    assert found is not None
    return found


def held_by_another(database: Database, **changed: object) -> None:
    with database.transaction() as connection:
        connection.execute(sa.update(schema.leases).values(**changed))


def test_a_free_lease_is_granted_and_names_its_holder(database: Database) -> None:
    granted(database, "run-1")

    with database.reading() as connection:
        found = lease.holder(connection, NOW)

    assert found is not None
    assert (found.run, found.host, found.process) == ("run-1", socket.gethostname(), os.getpid())
    assert found.expires == dt.datetime(2026, 11, 24, 6, 1, tzinfo=dt.UTC)


def test_a_held_lease_is_granted_to_nobody_else(database: Database) -> None:
    granted(database, "run-1")

    assert acquire(database, "run-2") is None


def test_a_released_lease_is_granted_again(database: Database) -> None:
    first = granted(database, "run-1")
    with database.transaction() as connection:
        lease.release(connection, first)

    assert granted(database, "run-2").fence == first.fence + 1


@pytest.mark.parametrize(("seconds", "free"), [(59, False), (60, True)])
def test_a_lease_runs_out_60_seconds_after_its_last_renewal(database: Database, seconds: int, *, free: bool) -> None:
    granted(database, "run-1")

    found = acquire(database, "run-2", NOW + dt.timedelta(seconds=seconds))

    assert (found is not None) == free


def test_a_renewed_lease_lasts_60_seconds_from_then(database: Database) -> None:
    first = granted(database, "run-1")
    with database.transaction() as connection:
        lease.renew(connection, first, NOW + dt.timedelta(seconds=50))

    assert acquire(database, "run-2", NOW + dt.timedelta(seconds=109)) is None


def test_a_holder_who_lost_the_lease_cannot_renew_it(database: Database) -> None:
    stale = granted(database, "run-1")
    granted(database, "run-2", NOW + dt.timedelta(seconds=61))

    with pytest.raises(LeaseLostError), database.transaction() as connection:
        lease.renew(connection, stale, NOW + dt.timedelta(seconds=62))


def test_what_a_stale_holder_wrote_in_that_transaction_does_not_commit(database: Database) -> None:
    stale = granted(database, "run-1")
    granted(database, "run-2", NOW + dt.timedelta(seconds=61))

    def write() -> None:
        with database.transaction() as connection:
            connection.execute(sa.insert(schema.facts).values(name="written", value="too late"))
            lease.renew(connection, stale, NOW + dt.timedelta(seconds=62))

    with pytest.raises(LeaseLostError):
        write()

    with database.reading() as connection:
        assert connection.execute(sa.select(schema.facts)).all() == []


def test_a_stale_holder_does_not_release_the_lease_of_the_new_one(database: Database) -> None:
    stale = granted(database, "run-1")
    granted(database, "run-2", NOW + dt.timedelta(seconds=61))
    with database.transaction() as connection:
        lease.release(connection, stale)

    assert acquire(database, "run-3", NOW + dt.timedelta(seconds=62)) is None


def test_a_holder_on_this_machine_who_died_holds_nothing(database: Database) -> None:
    granted(database, "run-1")
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    held_by_another(database, process=gone.pid, process_start="12345")

    assert acquire(database, "run-2") is not None


def test_another_process_with_the_number_of_the_dead_holder_is_not_taken_for_it(database: Database) -> None:
    granted(database, "run-1")
    held_by_another(database, process_start="1")

    assert acquire(database, "run-2") is not None


def test_a_holder_on_another_machine_is_believed_until_the_lease_runs_out(database: Database) -> None:
    granted(database, "run-1")
    held_by_another(database, host="another.example", process_start="1")

    assert acquire(database, "run-2") is None


def _race(url: str, run: str, pipe: Connection[Any, Any]) -> None:
    with closing(Database(url)) as own:
        pipe.send("ready")
        pipe.recv()
        pipe.send(acquire(own, run) is not None)
        pipe.recv()


def test_of_two_processes_that_ask_at_once_exactly_one_gets_it(database: Database) -> None:
    context = multiprocessing.get_context("forkserver")
    racers = []
    for run in ("run-1", "run-2"):
        here, there = context.Pipe()
        process = context.Process(target=_race, args=(database.url.render_as_string(), run, there))
        process.start()
        there.close()  # or the death of a racer would be waited for without end
        racers.append((process, here))
    for _, here in racers:
        assert here.recv() == "ready"

    for _, here in racers:
        here.send("go")
    won = [here.recv() for _, here in racers]

    for process, here in racers:
        here.send("end")
        process.join(30)
        here.close()
    assert sorted(won) == [False, True]
