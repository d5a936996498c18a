"""Worker processes: the same results as in one process, and no trust in one that died."""

import os
import signal
from dataclasses import replace

import pytest

from delivering import pupil, village, without
from ent_sync import compose
from ent_sync.sync import compare, pull
from ent_sync.sync.engine import Inline, Processes, WorkerError


def double(_parts, task):
    """Work: each task gives its double, twice."""
    yield task * 2
    yield task * 2


def die(_parts, task):
    """Work of which one task kills its process, as a machine without memory would."""
    yield task
    if task == 7:
        os.kill(os.getpid(), signal.SIGKILL)


def raise_a_name(_parts, task):
    """Work that fails with somebody's name in its exception."""
    yield task
    raise ValueError("DUPONT")


def chatter(_parts, task):
    """Work that gives more results than a pipe holds."""
    for _ in range(2000):
        yield bytes(1000)
    yield task


def is_the_run(parts, task):
    """Work that tells in which process it is done."""
    yield os.getpid()


def read_and_die(parts, task):
    """Reading that ends in the middle of the pupils."""
    for pulled in pull.read_shard(parts, task):
        yield pulled
        if "_Eleve_" in task.shard.file:
            os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture
def workers(here):
    here.synced(1, village())
    engine = processes(here)
    yield engine
    engine.close()


def processes(there, count=2):
    return Processes(count, compose.worker_parts, (str(there.config.absolute()),), Inline(lambda: None))


def test_every_result_of_every_task_comes_once(workers):
    assert sorted(workers.map(double, range(50))) == sorted([2 * n for n in range(50)] * 2)


def test_the_results_are_those_of_one_process(workers):
    inline = Inline(lambda: None)

    assert sorted(workers.map(double, range(20))) == sorted(inline.map(double, range(20)))


def test_workers_can_be_used_again(workers):
    list(workers.map(double, range(5)))

    assert sorted(workers.map(double, [1])) == [2, 2]


def test_little_work_is_done_where_the_run_is(here):
    engine = processes(here)

    assert list(engine.map(is_the_run, [1], small=True)) == [os.getpid()]


def test_a_worker_that_dies_fails_the_work(workers):
    with pytest.raises(WorkerError):
        list(workers.map(die, range(50)))


def test_an_error_in_a_worker_tells_its_kind_and_place_and_no_value(workers):
    with pytest.raises(WorkerError, match=r"ValueError at test_engine\.py:\d+") as raised:
        list(workers.map(raise_a_name, [1]))

    assert "DUPONT" not in str(raised.value)


def test_after_a_failure_new_workers_are_made(workers):
    with pytest.raises(WorkerError):
        list(workers.map(die, range(50)))

    assert sorted(workers.map(double, [1])) == [2, 2]


def test_tasks_are_taken_as_they_are_needed(workers):
    """What is on its way is bounded: two workers have at most three tasks each before anybody looks at a result."""
    taken = []

    def tasks():
        for n in range(1000):
            taken.append(n)
            yield n

    results = workers.map(double, tasks())
    next(results)

    assert len(taken) <= 2 * 3 + 2
    results.close()


def test_a_worker_waits_while_nobody_takes_its_results(workers):
    """Results are handed over one by one through a pipe, never gathered: the last comes from a worker that waited."""
    results = workers.map(chatter, range(6))
    first = [next(results) for _ in range(3)]

    rest = list(results)

    assert len(first) + len(rest) == 6 * 2001


def test_a_run_with_workers_leads_where_one_without_leads(here, tmp_path, monkeypatch):
    monkeypatch.setattr(pull, "_SMALL", 0)
    monkeypatch.setattr(compare, "_SMALL", 0)
    other = here.copy(tmp_path / "other")
    people = [village(60), [*without(village(60), "100"), pupil("500")]]

    for number, each in enumerate(people, start=1):
        here.complete(number, each, part_size=25)
        with here.opened() as parts:
            engine = processes(here)
            here.sync(replace(parts, engine=engine))
            engine.close()
        other.complete(number, each)
        with other.opened() as parts:
            other.sync(replace(parts, engine=Inline(lambda parts=parts: parts)))

    assert here.views() == other.views()


def test_of_a_delivery_whose_reader_died_nothing_is_used(here, monkeypatch):
    people = village(60)
    here.synced(1, people)
    before = here.views()
    here.complete(2, [*without(people, "100"), pupil("500")])
    monkeypatch.setattr(pull, "_SMALL", 0)
    monkeypatch.setattr(pull, "read_shard", read_and_die)
    with here.opened() as parts:
        engine = processes(here)
        with pytest.raises(WorkerError):
            here.sync(replace(parts, engine=engine))
        engine.close()
    monkeypatch.undo()

    assert here.views() == before
    assert here.stored("SELECT applied_date FROM sources") == [("2026-09-02",)]
    assert here.sync().outcome == "done"
    assert (here.status("LILLE$100"), here.status("LILLE$500")) == ("suspended", "active")
