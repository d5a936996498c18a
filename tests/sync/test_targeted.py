"""Targeted runs: what the directory really holds of somebody is put right, by the same way as every change."""

import sqlite3
from contextlib import closing

import pytest

from delivering import village
from sync.installed import applied, changes

HARM = {
    "changed": "UPDATE stored_account SET attributes = '{}' WHERE source_key = 'LILLE$100'",
    "suspended": "UPDATE stored_account SET status = 'suspended', profile = NULL WHERE source_key = 'LILLE$100'",
    "removed": "DELETE FROM stored_account WHERE source_key = 'LILLE$100'",
    "moved to no class": "DELETE FROM stored_membership",
}


@pytest.fixture(params=HARM)
def harmed(request, here):
    """A directory in which somebody changed an account by hand."""
    here.synced(1, village())
    here.before = here.views()
    here.person = here.account("LILLE$100")
    with closing(sqlite3.connect(here.folder / "ent.sqlite")) as directory:
        directory.execute(HARM[request.param])
        directory.commit()
    assert here.views() != here.before
    return here


def test_an_ordinary_run_trusts_what_was_acknowledged(harmed):
    assert changes(harmed.sync()) == {}


def test_a_targeted_run_puts_right_what_the_directory_holds_of_somebody(harmed):
    everybody = tuple(row[0] for row in harmed.stored("SELECT entry_id FROM entries WHERE kind = 'account'"))

    result = harmed.sync(ids=everybody)

    assert (result.kind, result.outcome) == ("targeted", "done")
    assert harmed.views() == harmed.before


def test_after_it_nothing_waits(harmed):
    everybody = tuple(row[0] for row in harmed.stored("SELECT entry_id FROM entries WHERE kind = 'account'"))
    harmed.sync(ids=everybody)

    again = harmed.sync(ids=everybody)

    assert (changes(again), harmed.stored("SELECT entry_id FROM entries WHERE stale")) == ({}, [])


def test_a_targeted_run_about_one_leaves_the_others_alone(here):
    here.synced(1, village())
    with closing(sqlite3.connect(here.folder / "ent.sqlite")) as directory:
        directory.execute("UPDATE stored_account SET attributes = '{}'")
        directory.commit()

    result = here.sync(ids=(here.account("LILLE$100"),))

    assert applied(result) == {"update": 1}
