"""Whoever works holds the lease, renews it, and lets it go; whoever waits is told for whom."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ent_sync import compose
from ent_sync.core.errors import BusyError
from ent_sync.store import lease
from ent_sync.store.database import Database
from ent_sync.store.lease import Holder
from ent_sync.sync.heartbeat import holding
from ent_sync.sync.parts import Parts

LONG = 30.0


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    with compose.opened(compose.new_installation(tmp_path / "region", ["lille-2d"])) as opened:
        yield opened


def holder(parts: Parts) -> Holder | None:
    with closing(Database(str(parts.database.url))) as other, other.reading() as connection:
        return lease.holder(connection, parts.now())


def beats() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "lease-heartbeat"]


def test_the_lease_is_held_while_the_block_runs(parts: Parts) -> None:
    with holding(parts, "run-1"):
        held = holder(parts)

    assert held is not None
    assert held.run == "run-1"


def test_the_lease_is_let_go_whatever_happens(parts: Parts) -> None:
    with pytest.raises(ZeroDivisionError), holding(parts, "run-1"):
        raise ZeroDivisionError

    assert holder(parts) is None


def test_no_heartbeat_outlives_its_run(parts: Parts) -> None:
    with holding(parts, "run-1"):
        during = beats()

    assert [thread.daemon for thread in during] == [True]
    assert beats() == []


def test_a_second_run_is_told_who_holds_the_lease(parts: Parts) -> None:
    with (
        holding(parts, "run-1"),
        pytest.raises(BusyError, match=r"run run-1, process \d+ on "),
        holding(parts, "run-2"),
    ):
        pass


def test_whoever_waits_gets_the_lease_once_it_is_free(parts: Parts) -> None:
    with parts.database.transaction() as connection:
        first = lease.acquire(connection, "run-1", parts.now())
    told = []

    def free(of: Holder) -> None:
        told.append(of.run)
        with parts.database.transaction() as connection:
            assert first is not None
            lease.release(connection, first)

    with holding(parts, "run-2", wait=LONG, told=free):
        now_held = holder(parts)

    assert told == ["run-1"]
    assert now_held is not None
    assert now_held.run == "run-2"


def test_a_lease_that_was_taken_over_is_told(parts: Parts) -> None:
    lost = threading.Event()

    with holding(parts, "run-1", lost=lost.set, every=0.01) as held:
        with closing(Database(str(parts.database.url))) as other, other.transaction() as connection:
            lease.release(connection, held)
            lease.acquire(connection, "run-2", parts.now())
        heard = lost.wait(LONG)

    assert heard
    other_holder = holder(parts)
    assert other_holder is not None
    assert other_holder.run == "run-2"


def test_a_run_that_works_long_keeps_its_lease(parts: Parts) -> None:
    with holding(parts, "run-1", every=0.01):
        first = holder(parts)
        later = first
        while later == first:  # ends with the first beat
            later = holder(parts)

    assert first is not None
    assert later is not None
    assert later.expires > first.expires
