"""Runs hear what hands ask between two batches: to give way, to push nothing, to stop."""

import threading
import time
from contextlib import closing

import pytest

from delivering import village
from ent_sync.core.event import BatchMapped, BatchPushed
from ent_sync.store import hands, lease
from ent_sync.store.database import Database
from ent_sync.sync import push
from ent_sync.sync import run as spine
from ent_sync.sync.approve import PausedError
from ent_sync.sync.heartbeat import holding
from ent_sync.sync.run import Request
from sync.installed import Installation, applied, guards

LONG = 60.0
PEOPLE = village(40)  # 40 pupils, 40 guardians, a teacher: nine batches of ten


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.setattr(push, "BATCH", 10)
    return Installation(tmp_path / "here")


def store(here):
    return closing(Database(f"sqlite:///{here.folder}/state.sqlite"))


class Once:
    """Does something at the first event of a kind, in the thread of the run."""

    def __init__(self, kind, act):
        self.kind, self.act, self.done = kind, act, False

    def __call__(self, event):
        if isinstance(event, self.kind) and not self.done:
            self.done = True
            self.act()


def by_daemon(here, listener, request=None, **others):
    """A run as the daemon does it."""
    with (
        here.opened(listeners=[listener], gives_way=True, **others) as parts,
        holding(parts, parts.new_id(), wait=LONG, typed=False) as held,
    ):
        return spine.run(parts, request or Request(), held)


class Typed(threading.Thread):
    """A typed command in a thread of its own: waits for the lease, and works."""

    def __init__(self, here, work):
        super().__init__()
        self.here, self.work, self.result = here, work, None

    def run(self):
        with self.here.opened() as parts, holding(parts, parts.new_id(), wait=LONG) as held:
            self.result = self.work(parts, held)

    def begin(self):
        """Start, and come back when it waits for the lease."""
        self.start()
        until = time.monotonic() + LONG
        with store(self.here) as database:
            while time.monotonic() < until:
                with database.reading() as connection:
                    if hands.wanted(connection, self.now()):
                        return
                time.sleep(0.02)
        raise AssertionError("it never asked")

    @staticmethod
    def now():
        from ent_sync import compose

        return compose.now()


def asked(here, act):
    """What a hand does, over a connection of its own."""
    with store(here) as database, database.transaction() as connection:
        act(connection)


def the_run(connection):
    return lease.holder(connection, Typed.now()).run


# -- giving way --------------------------------------------------------------------------------------------------------


def test_a_push_of_the_daemon_gives_way_to_a_typed_command(here):
    here.complete(1, PEOPLE)
    seen = []
    typed = Typed(here, lambda parts, held: seen.append(len(here.accounts())))

    by_daemon(here, Once(BatchPushed, typed.begin))
    typed.join(LONG)

    assert 0 < seen[0] < 81


def test_the_daemon_goes_on_where_it_was(here):
    here.complete(1, PEOPLE)
    typed = Typed(here, lambda parts, held: None)

    result = by_daemon(here, Once(BatchPushed, typed.begin))
    typed.join(LONG)

    assert (result.outcome, applied(result), len(here.accounts())) == ("done", {"create": 81}, 81)


def test_a_push_of_a_typed_command_gives_no_way(here):
    here.complete(1, PEOPLE)
    seen = []
    typed = Typed(here, lambda parts, held: seen.append(len(here.accounts())))

    with here.opened(listeners=[Once(BatchPushed, typed.begin)]) as parts, holding(parts, "20260101T0-first") as held:
        spine.run(parts, Request(), held)
    typed.join(LONG)

    assert seen == [81]


def test_a_command_that_does_all_that_is_left_leaves_nothing_to_the_daemon(here):
    here.complete(1, PEOPLE)
    typed = Typed(here, lambda parts, held: spine.run(parts, Request(), held))

    result = by_daemon(here, Once(BatchPushed, typed.begin))
    typed.join(LONG)

    together = applied(result).get("create", 0) + applied(typed.result).get("create", 0)
    assert (result.outcome, typed.result.outcome, together, len(here.accounts())) == ("done", "done", 81, 81)


def test_after_a_run_that_gave_way_there_is_nothing_left_to_do(here):
    here.complete(1, PEOPLE)
    typed = Typed(here, lambda parts, held: spine.run(parts, Request(), held))
    by_daemon(here, Once(BatchPushed, typed.begin))
    typed.join(LONG)

    result = here.sync()

    assert (result.outcome, applied(result), here.held()) == ("done", {}, [])


def test_what_a_command_found_to_hold_still_waits_when_the_daemon_is_back(here):
    """The daemon pushes arrivals; meanwhile a command reads a delivery in which half of the people are missing."""
    here.synced(1, PEOPLE)
    here.complete(2, village(80))

    def leave(parts, held):
        here.complete(3, village(40, first=140))
        return spine.run(parts, Request(), held)

    typed = Typed(here, leave)

    by_daemon(here, Once(BatchPushed, typed.begin))
    typed.join(LONG)

    assert typed.result.outcome == "held"
    assert here.held() == [typed.result.plan]
    assert here.stored("SELECT count(*) FROM changes WHERE status = 'held' AND plan = ?", typed.result.plan) != [(0,)]


def test_a_run_of_the_daemon_does_not_begin_before_a_command_that_waits(here):
    here.complete(1, PEOPLE)
    order = []
    with here.opened() as parts, holding(parts, "20260101T0-first"):
        typed = Typed(here, lambda parts, held: order.append("typed"))
        typed.begin()
        daemon = threading.Thread(target=by_daemon, args=(here, Once(BatchMapped, lambda: order.append("daemon"))))
        daemon.start()
    typed.join(LONG)
    daemon.join(LONG)

    assert order == ["typed", "daemon"]


def test_a_run_that_is_asked_to_stop_while_it_is_away_writes_no_more(here):
    here.complete(1, PEOPLE)
    stop = threading.Event()

    def work(parts, held):
        stop.set()
        time.sleep(0.5)  # longer than the daemon takes to look
        return spine.run(parts, Request(), held)

    typed = Typed(here, work)
    result = by_daemon(here, Once(BatchPushed, typed.begin), stopping=stop.is_set)
    typed.join(LONG)

    assert (result.outcome, typed.result.outcome, len(here.accounts())) == ("stopped", "done", 81)


# -- pauses ------------------------------------------------------------------------------------------------------------


def test_nothing_is_pushed_to_a_target_that_is_paused(here):
    here.complete(1, PEOPLE)
    here.sync(plan_only=True)
    asked(here, lambda connection: hands.pause(connection, "ent", Typed.now()))

    result = here.sync()

    assert (result.outcome, applied(result), guards(result)) == (
        "held",
        {},
        [("freeze", "target ent is paused; ent-sync resume ends it")],
    )


def test_what_waited_for_the_end_of_a_pause_goes_with_the_next_run(here):
    here.complete(1, PEOPLE)
    here.sync(plan_only=True)
    asked(here, lambda connection: hands.pause(connection, hands.EVERYTHING, Typed.now()))
    here.sync()
    asked(here, lambda connection: hands.resume(connection, hands.EVERYTHING))

    result = here.sync()

    assert (result.outcome, len(here.accounts()), here.held()) == ("done", 81, [])


def test_a_plan_is_not_approved_while_its_target_is_paused(here):
    here.complete(1, PEOPLE)
    here.sync(plan_only=True)
    asked(here, lambda connection: hands.pause(connection, "ent", Typed.now()))
    plan = here.sync().plan

    with pytest.raises(PausedError, match="ent-sync resume"):
        here.approve(plan)

    assert here.accounts() == []


def test_a_pause_ends_a_push_before_its_next_batch(here):
    here.complete(1, PEOPLE)
    pause = Once(BatchPushed, lambda: asked(here, lambda connection: hands.pause(connection, "ent", Typed.now())))

    result = by_daemon(here, pause)

    assert result.outcome == "stopped"
    assert 0 < len(here.accounts()) < 81


# -- stops -------------------------------------------------------------------------------------------------------------


def test_a_run_that_is_asked_to_stop_ends_before_its_next_batch(here):
    here.complete(1, PEOPLE)
    stop = Once(BatchPushed, lambda: asked(here, lambda change: hands.ask_stop(change, the_run(change), Typed.now())))

    result = by_daemon(here, stop)

    assert result.outcome == "stopped"
    assert 0 < len(here.accounts()) < 81


def test_what_a_stopped_run_left_is_done_by_the_next(here):
    here.complete(1, PEOPLE)
    stop = Once(BatchPushed, lambda: asked(here, lambda change: hands.ask_stop(change, the_run(change), Typed.now())))
    by_daemon(here, stop)

    result = here.sync()

    assert (result.outcome, len(here.accounts())) == ("done", 81)


def test_a_run_that_reads_is_stopped_too(here):
    here.complete(1, PEOPLE)
    stop = threading.Event()

    result = by_daemon_of_commands(here, Once(BatchMapped, stop.set), stop.is_set)

    assert (result.outcome, here.accounts()) == ("stopped", [])


def by_daemon_of_commands(here, listener, stopping):
    """The same with the engine that commands and daemon have, which can be broken off."""
    from ent_sync import compose

    with compose.opened(here.config, [listener], stopping) as parts, holding(parts, parts.new_id()) as held:
        return spine.run(parts, Request(), held)


def test_the_heartbeat_hears_of_a_stop_while_a_run_is_busy_elsewhere(here):
    heard = threading.Event()

    with here.opened() as parts, holding(parts, "20260101T0-first", lost=heard.set, every=0.05):
        asked(here, lambda change: hands.ask_stop(change, "20260101T0-first", Typed.now()))
        found = heard.wait(LONG)

    assert found
