"""Undoing at an LDAP directory, and undoing when it or we break down."""

import contextlib

import pytest

from delivering import LEGAL, changed, pupil, village, without
from ent_sync.core.errors import UnavailableError
from servers.slapd import slapd
from sync.at_directory import at_directory, entries, new_base
from sync.dying import Moment, dies
from sync.installed import applied
from sync.undoing import undone

PEOPLE = village(6)
NEXT = [
    *changed(without(PEOPLE, "100", "100100"), pupil("102", classes=["6B"], guardians={"100102": LEGAL})),
    pupil("500", classes=["6B"]),
]


def undo_newest(there):
    ((run,),) = there.stored("SELECT run FROM runs WHERE kind = 'full' ORDER BY run DESC LIMIT 1")
    return undone(there, run)


@pytest.fixture
def unlimited(here):
    here.edit("ent-sync.yaml", "guards: {}", "guards: {shrinkage: 0 %}")
    here.synced(1, PEOPLE)
    here.before = here.views()
    here.synced(2, NEXT)
    return here


@pytest.mark.parametrize("moment", Moment)
def test_an_undoing_that_died_anywhere_is_ended_by_the_next_one(unlimited, tmp_path, moment):
    after = unlimited.views()
    number, alive = 0, True
    while alive:
        number += 1
        there = unlimited.copy(tmp_path / f"copy{number}")
        alive = dies(there, undo_newest, number, moment)

        undo_newest(there)

        assert there.views() == unlimited.before, number
        there.sync()
        assert there.views() == after, number
    assert number > 5


@pytest.fixture(scope="module")
def server():
    with slapd(durable=False) as running:
        yield running


def at_base(tmp_path, server):
    base = new_base(server)
    there = at_directory(tmp_path / "there", server, base)
    there.edit("ent-sync.yaml", "guards: {}", "guards: {shrinkage: 0 %}")
    there.synced(1, PEOPLE)
    there.before = entries(server, base)
    there.synced(2, NEXT)
    return there, base


def test_a_directory_holds_again_what_it_held(tmp_path, server):
    there, base = at_base(tmp_path, server)

    result = undo_newest(there)

    assert applied(result) == {"update": 1, "restore": 2, "delete": 1}
    assert entries(server, base) == there.before


def test_a_directory_that_is_down_is_told_and_the_same_command_ends_it_later(tmp_path):
    with slapd(durable=False) as server:
        there, base = at_base(tmp_path, server)
        server.stop()
        with contextlib.suppress(UnavailableError):
            undo_newest(there)
        server.restart()

        result = undo_newest(there)

        assert applied(result) == {"update": 1, "restore": 2, "delete": 1}
        assert entries(server, base) == there.before
