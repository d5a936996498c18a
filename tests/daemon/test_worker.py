"""The worker runs what is due, one after the other, and again after a pause what failed."""

import queue

import pytest

from daemon.started import LONG, until
from delivering import village
from ent_sync import compose
from ent_sync.daemon import worker as module
from ent_sync.daemon.worker import Due, Worker
from sync.installed import Installation


@pytest.fixture
def here(tmp_path):
    return Installation(tmp_path / "here", "lille-2d", "amiens-2d")


@pytest.fixture
def working(here, monkeypatch):
    """A worker, and what it succeeded with."""
    monkeypatch.setattr(module, "_FIRST_PAUSE", 0.1)
    with here.opened():
        pass  # there is a store
    done = queue.SimpleQueue()
    made = Worker(compose.load(here.config), done.put)
    yield made, done
    made.drain()
    if made.is_alive():
        made.join(LONG)


def test_what_was_asked_for_first_is_run_first(working):
    worker, done = working
    worker.ask(Due("amiens-2d"))
    worker.ask(Due("lille-2d"))

    worker.start()

    assert [done.get(timeout=LONG) for _ in range(2)] == [Due("amiens-2d"), Due("lille-2d")]


def test_what_waits_already_is_not_run_twice(working):
    worker, _ = working
    worker.ask(Due("lille-2d"))
    worker.ask(Due("lille-2d"))

    assert worker.waiting() == ["lille-2d"]


def test_a_complete_read_is_not_the_same_as_a_delta(working):
    worker, _ = working
    worker.ask(Due("lille-2d"))
    worker.ask(Due("lille-2d", full=True))

    assert worker.waiting() == ["lille-2d", "lille-2d complete"]


def test_what_failed_is_tried_again_after_a_pause(here, working):
    worker, done = working
    away = here.deliveries("lille-2d").rename(here.folder / "away")
    worker.ask(Due("lille-2d"))
    worker.start()
    until(lambda: here.stored("SELECT 1 FROM runs WHERE outcome = 'failed'"), "a run that failed")
    away.rename(here.deliveries("lille-2d"))

    until(lambda: worker.ask_again() or not done.empty(), "another run")

    assert done.get() == Due("lille-2d")


def test_what_nobody_configures_any_more_is_not_run(here, working):
    worker, done = working
    worker.ask(Due("rouen-2d"))
    worker.ask(Due("lille-2d"))
    worker.start()

    assert done.get(timeout=LONG) == Due("lille-2d")


def test_a_worker_that_is_drained_ends(working):
    worker, _ = working
    worker.start()
    worker.drain()
    worker.join(LONG)

    assert not worker.is_alive()


def test_what_is_on_its_way_is_told_and_nothing_is_after_the_run(here, working):
    worker, done = working
    here.complete(1, village(3), "lille-2d")
    worker.ask(Due("lille-2d"))
    worker.start()
    done.get(timeout=LONG)

    assert until(lambda: worker.doing == module.IDLE, "the end of the run")
    assert worker.in_flight() == {}
