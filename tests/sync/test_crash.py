"""Law 8: die anywhere, run again, it converges. Each scenario dies by SIGKILL at every commit, on either side of it."""

import os
import signal

import pytest

from delivering import LEGAL, changed, guardian, pupil, staff, village, without
from ent_sync.sync import push
from ent_sync.sync.heartbeat import take_lease
from sync.dying import Moment, dies
from sync.installed import Installation, applied

PEOPLE = village(24)
NEXT = [
    *changed(without(PEOPLE, "100", "101"), pupil("102", classes=["6B"], guardians={"100102": LEGAL})),
    pupil("500"),
]
MANY = village(60)


def first_load(there):
    there.complete(1, PEOPLE)


def delta(there):
    there.synced(1, PEOPLE)
    there.delta(
        2,
        add=[pupil("500", guardians={"55": LEGAL}), guardian("55")],
        modify=[staff("9", functions=[("1", "DIR")])],
        delete=[pupil("100")],
    )


def leavers(there):
    there.synced(1, PEOPLE)
    there.complete(2, NEXT)


def read_again(there):
    """The complete delivery and the delta after it, for a run that is asked for everything."""
    delta(there)
    there.sync()


def held(there):
    there.synced(1, MANY)
    there.synced(2, without(MANY, *(str(100 + n) for n in range(21))))


def sync(there):
    there.sync()


def sync_full(there):
    there.sync(full=True)


def approve(there):
    for plan in there.held():
        there.approve(plan)


def again(there):
    """What an operator does after a crash: the next sync, and the approval that was meant."""
    there.sync()
    approve(there)


SCENARIOS = {
    "first load": (first_load, sync, sync),
    "delta": (delta, sync, sync),
    "complete with leavers": (leavers, sync, sync),
    "read again": (read_again, sync_full, sync),
    "held and approved": (held, approve, again),
}


@pytest.fixture(params=SCENARIOS, ids=lambda name: name.replace(" ", "-"))
def scenario(request, tmp_path, monkeypatch):
    """A prepared installation, the work that dies, what is done after it, and the rows of one that was left alone."""
    monkeypatch.setattr(push, "BATCH", 25)  # so that a push has several batches
    prepare, work, after = SCENARIOS[request.param]
    prepared = Installation(tmp_path / "prepared")
    prepare(prepared)
    undisturbed = prepared.copy(tmp_path / "undisturbed")
    work(undisturbed)
    return prepared, work, after, undisturbed.views()


@pytest.mark.parametrize("moment", Moment)
def test_a_run_that_dies_at_any_commit_is_finished_by_the_next(scenario, moment, tmp_path):
    prepared, work, after, expected = scenario
    number, found = 0, {}
    died = True
    while died:
        number += 1
        there = prepared.copy(tmp_path / f"{moment}-{number}")
        died = dies(there, work, number, moment)
        if died:
            after(there)
        found[number] = (there.views() == expected, waiting(there), unended(there))

    assert number > 3
    assert {each: what for each, what in found.items() if what != (True, 0, 0)} == {}


def waiting(there):
    """Changes that wait, and entries that are not as they should be."""
    ((changes,),) = there.stored("SELECT count(*) FROM changes WHERE status IN ('pending', 'held')")
    ((entries,),) = there.stored("SELECT count(*) FROM entries WHERE stale")
    return changes + entries


def unended(there):
    ((runs,),) = there.stored("SELECT count(*) FROM runs WHERE outcome IS NULL")
    return runs


# -- between the crash and the next run, the source says something else ------------------------------------------------


def pushed_but_not_stored(there, work):
    """The work dies right after the last commit of the directory: it holds what the store does not know of."""
    number = 1
    while dies(there.copy(there.folder.parent / f"trial-{number}"), work, number, Moment.AFTER, directory_only=True):
        number += 1
    assert dies(there, work, number - 1, Moment.AFTER, directory_only=True)


def test_who_was_created_in_a_run_that_died_and_left_before_the_next_is_suspended(here):
    here.synced(1, PEOPLE)
    here.complete(2, [*PEOPLE, pupil("500")])
    pushed_but_not_stored(here, sync)
    assert here.status("LILLE$500") == "active"

    here.synced(3, PEOPLE)

    assert here.status("LILLE$500") == "suspended"


def test_who_was_changed_in_a_run_that_died_and_changed_back_before_the_next_is_as_before(here):
    here.synced(1, PEOPLE)
    before = here.views()
    here.complete(2, changed(PEOPLE, pupil("100", family="AUTRE", guardians={"100100": LEGAL})))
    pushed_but_not_stored(here, sync)
    assert here.views() != before

    here.synced(3, PEOPLE)

    assert here.views() == before


def test_who_was_suspended_in_a_run_that_died_and_came_back_before_the_next_is_active(here):
    here.synced(1, PEOPLE)
    before = here.views()
    here.complete(2, without(PEOPLE, "100"))
    pushed_but_not_stored(here, sync)
    assert here.status("LILLE$100") == "suspended"

    here.synced(3, PEOPLE)

    assert here.views() == before


def test_who_was_restored_in_a_run_that_died_and_left_again_before_the_next_is_suspended(here):
    here.synced(1, PEOPLE)
    here.synced(2, without(PEOPLE, "100"))
    here.complete(3, PEOPLE)
    pushed_but_not_stored(here, sync)
    assert here.status("LILLE$100") == "active"

    here.synced(4, without(PEOPLE, "100"))

    assert here.status("LILLE$100") == "suspended"


# -- the lease of the dead ---------------------------------------------------------------------------------------------


def test_the_lease_of_a_dead_run_is_free_at_once_even_if_nobody_buried_it(here):
    """A container without an init leaves its dead processes as zombies."""
    here.complete(1, PEOPLE)
    process = os.fork()
    if process == 0:
        with here.opened() as parts:
            take_lease(parts, "dying")
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)  # dead, and not buried
    assert here.stored("SELECT run FROM leases") == [("dying",)]

    result = here.sync()

    os.waitpid(process, 0)
    assert applied(result) == {"create": 49}


# -- an approval that died ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 6])
def test_an_approval_that_died_can_be_given_again(here, monkeypatch, number):
    monkeypatch.setattr(push, "BATCH", 25)
    held(here)
    (plan,) = here.held()
    dies(here, approve, number, Moment.AFTER)

    if here.held():
        here.approve(plan)

    assert len([key for key, status in here.accounts() if status == "suspended"]) == 42
    assert (here.sync().outcome, here.held()) == ("done", [])
