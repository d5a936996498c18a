"""What hands leave in the store for runs to find."""

import datetime as dt
import socket
from contextlib import closing

import pytest
import sqlalchemy as sa

from ent_sync.store import hands, lease, schema
from ent_sync.store.database import Database
from ent_sync.store.hands import EVERYTHING, Turn

NOW = dt.datetime(2026, 11, 10, 8, tzinfo=dt.UTC)
LATER = NOW + dt.timedelta(hours=1)


@pytest.fixture
def store(tmp_path):
    with closing(Database(f"sqlite:///{tmp_path}/state.sqlite")) as database:
        database.upgrade()
        with database.transaction() as connection:
            yield connection


def become_another(store, **values):
    """Every turn is then that of another process."""
    store.execute(sa.update(schema.turns).values(**values))


# -- turns


def test_nobody_waits_at_first(store):
    assert not hands.wanted(store, NOW)


def test_a_command_that_waits_is_wanted(store):
    hands.take_turn(store, "run-1", Turn.WAITS, NOW)

    assert hands.wanted(store, NOW)


def test_a_command_that_has_its_turn_is_not_wanted_any_more(store):
    hands.take_turn(store, "run-1", Turn.WAITS, NOW)
    hands.drop_turn(store, "run-1")

    assert not hands.wanted(store, NOW)


def test_whoever_does_not_say_it_again_waits_no_more(store):
    hands.take_turn(store, "run-1", Turn.WAITS, NOW)

    assert not hands.wanted(store, NOW + lease.DURATION)


def test_whoever_says_it_again_goes_on_waiting(store):
    hands.take_turn(store, "run-1", Turn.WAITS, NOW)
    hands.take_turn(store, "run-1", Turn.WAITS, NOW + lease.DURATION / 2)

    assert hands.wanted(store, NOW + lease.DURATION)


def test_a_command_that_died_here_waits_no_more(store):
    hands.take_turn(store, "run-1", Turn.WAITS, NOW)
    become_another(store, process_start="before the machine started")

    assert not hands.wanted(store, NOW)


def test_of_another_machine_nobody_knows_who_died(store):
    hands.take_turn(store, "run-1", Turn.WAITS, NOW)
    become_another(store, process_start="1", host=f"not-{socket.gethostname()}")

    assert hands.wanted(store, NOW)


def test_a_run_that_gave_way_is_away_and_wants_nothing(store):
    hands.take_turn(store, "run-1", Turn.AWAY, NOW)

    assert (hands.away(store, NOW), hands.wanted(store, NOW)) == ({"run-1"}, False)


# -- pauses


def test_nothing_is_paused_at_first(store):
    assert hands.paused_since(store, "ent") is None


def test_a_target_is_paused_alone(store):
    hands.pause(store, "ent", NOW)

    assert (hands.paused_since(store, "ent"), hands.paused_since(store, "other")) == (NOW, None)


def test_a_pause_of_everything_holds_for_a_target_that_nobody_named(store):
    hands.pause(store, EVERYTHING, NOW)

    assert hands.paused_since(store, "ent") == NOW


def test_a_pause_keeps_the_time_since_when(store):
    hands.pause(store, "ent", NOW)
    hands.pause(store, "ent", LATER)

    assert hands.pauses(store) == {"ent": NOW}


def test_the_end_of_one_pause_leaves_the_others(store):
    hands.pause(store, "ent", NOW)
    hands.pause(store, "other", LATER)
    hands.resume(store, "ent")

    assert hands.pauses(store) == {"other": LATER}


def test_the_end_of_all_pauses_ends_all(store):
    hands.pause(store, "ent", NOW)
    hands.pause(store, EVERYTHING, NOW)
    hands.resume(store, EVERYTHING)

    assert hands.pauses(store) == {}


# -- stops


def test_a_run_is_stopped_by_its_name(store):
    hands.ask_stop(store, "run-1", NOW)
    hands.ask_stop(store, "run-1", LATER)

    assert (hands.stop_asked(store, "run-1"), hands.stop_asked(store, "run-2")) == (True, False)


def test_of_a_run_that_is_over_nothing_is_asked(store):
    hands.ask_stop(store, "run-1", NOW)
    hands.forget(store, "run-1")

    assert not hands.stop_asked(store, "run-1")


# -- the two leases


def test_a_daemon_and_a_run_do_not_take_the_lease_from_each_other(store):
    daemon = lease.acquire(store, "daemon-1", NOW, lease.DAEMON)
    run = lease.acquire(store, "run-1", NOW)

    assert daemon is not None
    assert run is not None


def test_a_lease_that_is_taken_again_has_a_higher_number(store):
    held = lease.acquire(store, "run-1", NOW)
    before = held.fence
    lease.release(store, held)
    held.away = True

    taken = lease.retake(store, held, NOW)

    assert (taken, held.fence > before, held.away) == (True, True, False)


def test_a_lease_that_somebody_else_holds_is_not_taken_again(store):
    held = lease.acquire(store, "run-1", NOW)
    lease.release(store, held)
    held.away = True
    lease.acquire(store, "run-2", NOW)

    assert (lease.retake(store, held, NOW), held.away) == (False, True)
