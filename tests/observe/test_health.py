"""Whether the daemon can do its work, in words."""

import datetime as dt
import sqlite3
import threading
from contextlib import closing

import pytest
import sqlalchemy as sa

from ent_sync import compose
from ent_sync.core.errors import Problem, UnavailableError, Where
from ent_sync.observe import health
from ent_sync.observe.health import Health
from ent_sync.store import lease
from ent_sync.store.database import Database

NOW = dt.datetime(2026, 11, 24, 6, 0, tzinfo=dt.UTC)


@pytest.fixture
def store(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'state.sqlite'}")
    database.upgrade()
    yield database
    database.close()


def unreachable():
    raise UnavailableError("ldaps://a.example does not answer")


def one(name, check, **how):
    return Health({name: check}, **how).reasons()


# -- asking ------------------------------------------------------------------------------------------------------------


def test_nothing_is_said_while_all_is_well():
    assert one("store", lambda: None) == []


def test_a_reason_names_what_it_is_about():
    assert one("source lille-2d", unreachable) == ["source lille-2d: ldaps://a.example does not answer"]


def test_all_reasons_are_told_in_the_order_of_the_checks():
    found = Health({"a": lambda: "is ill", "b": lambda: None, "c": lambda: "is worse"}).reasons()

    assert found == ["a: is ill", "c: is worse"]


def test_what_a_library_says_is_not_repeated():
    def broken():
        raise ValueError("the record of DUPONT")

    assert one("target ent", broken) == ["target ent: ValueError"]


def test_a_server_that_hangs_delays_nobody_for_longer_than_the_limit_and_hides_no_other_reason():
    hanging = threading.Event()

    def silent():
        hanging.wait()

    found = Health({"target ent": silent, "b": lambda: "is ill"}, within=0.2).reasons()

    hanging.set()
    assert found == ["target ent: no answer within 0.2 seconds", "b: is ill"]


def test_a_check_that_hangs_is_not_started_again():
    hanging, asked = threading.Event(), []

    def check():
        asked.append(1)
        hanging.wait()

    slow = Health({"a": check}, within=0.05, lasting=0.0)
    slow.reasons()
    slow.reasons()

    hanging.set()
    assert asked == [1]


def test_an_answer_is_good_for_some_time():
    asked = []
    kept = Health({"a": lambda: asked.append(1)}, lasting=60.0)

    kept.reasons()
    kept.reasons()

    assert asked == [1]


def test_after_that_time_it_is_asked_again():
    reasons = iter(["is ill", None])
    fresh = Health({"a": lambda: next(reasons)}, lasting=0.0)

    assert (fresh.reasons(), fresh.reasons()) == (["a: is ill"], [])


# -- the store ---------------------------------------------------------------------------------------------------------


def test_a_store_in_order_is_no_reason(store):
    assert one("store", health.of_store(f"sqlite:///{store.path}")) == []


def test_a_store_that_somebody_writes_at_this_moment_is_no_reason(store):
    with closing(sqlite3.connect(store.path)) as writer:
        writer.execute("BEGIN IMMEDIATE")

        assert one("store", health.of_store(f"sqlite:///{store.path}")) == []


def test_a_store_that_is_gone_is_a_reason_and_is_not_made_anew(store):
    store.close()
    for path in store.path.parent.iterdir():
        path.unlink()

    assert one("store", health.of_store(f"sqlite:///{store.path}")) == [
        "store: the state store cannot be written: SQLITE_CANTOPEN"
    ]
    assert not store.path.exists()


def test_a_store_that_is_no_database_is_a_reason(store):
    store.close()
    store.path.write_bytes(b"no database at all" * 100)

    assert one("store", health.of_store(f"sqlite:///{store.path}")) == [
        "store: the state store cannot be written: SQLITE_NOTADB"
    ]


def test_a_full_disk_is_a_reason(store, monkeypatch):
    nearly_full = type("Usage", (), {"free": 3 << 20})
    monkeypatch.setattr("shutil.disk_usage", lambda _: nearly_full)

    assert one("store", health.of_store(f"sqlite:///{store.path}")) == [
        "store: the disk of the state store has 3 MB left; it needs 64"
    ]


# -- the lease ---------------------------------------------------------------------------------------------------------


def leased(store, *, seconds_ago, host="elsewhere"):
    """The answer of the check so many seconds after a holder on another machine last gave a sign of life."""
    with store.transaction() as connection:
        lease.acquire(connection, "run-7", NOW)
        connection.execute(sa.text("UPDATE leases SET host = :host, process = 4711"), {"host": host})
    return one("lease", health.of_lease(store.reading, lambda: NOW + dt.timedelta(seconds=seconds_ago)))


def test_a_lease_that_nobody_holds_is_no_reason(store):
    assert one("lease", health.of_lease(store.reading, lambda: NOW)) == []


def test_a_holder_that_works_is_no_reason(store):
    assert leased(store, seconds_ago=16) == []


def test_a_holder_without_a_sign_of_life_is_a_reason_until_it_runs_out(store):
    assert leased(store, seconds_ago=45) == [
        "lease: run run-7, process 4711 on elsewhere, holds it and gives no sign of life; it runs out in 15 seconds"
    ]


def test_a_lease_that_ran_out_is_no_reason(store):
    """The next run takes it over."""
    assert leased(store, seconds_ago=61) == []


# -- sources and targets -----------------------------------------------------------------------------------------------


class Directory:
    """A source and target at once, which answers as it is told."""

    def __init__(self, problems=(), error=None):
        self.problems, self.error, self.closed = problems, error, False

    def deliveries(self, settled_for, cursor):
        return self.check()

    def check(self):
        if self.error:
            raise self.error
        return self.problems

    def close(self):
        self.closed = True


def test_a_source_that_answers_is_no_reason():
    assert one("source a", health.of_source(Directory)) == []


def test_a_source_that_cannot_be_reached_is_a_reason():
    gone = Directory(error=UnavailableError("source a: the folder deliveries/a cannot be read"))

    assert one("source a", health.of_source(lambda: gone)) == ["source a: the folder deliveries/a cannot be read"]


def test_a_target_that_would_refuse_is_a_reason():
    problem = Problem(Where("ent"), "rights", "may not write under ou=people")

    assert one("target ent", health.of_target(lambda: Directory([problem]))) == [
        "target ent: ent: may not write under ou=people"
    ]


@pytest.mark.parametrize("error", [None, UnavailableError("is away")])
def test_a_target_is_closed_after_each_look(error):
    there = Directory(error=error)

    one("target ent", health.of_target(lambda: there))

    assert there.closed


def test_a_folder_that_is_gone_is_named(tmp_path):
    config = compose.new_installation(tmp_path, ["lille-2d"])
    with compose.opened(config) as parts:
        source = parts.sources["lille-2d"].source
        (tmp_path / "deliveries" / "lille-2d").rmdir()

        found = one("source lille-2d", health.of_source(lambda: source))

    folder = tmp_path / "deliveries" / "lille-2d"
    assert found == [f"source lille-2d: the folder {folder} does not exist or cannot be read"]
