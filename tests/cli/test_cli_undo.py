"""`undo`: what is asked, and what is answered."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import pytest

from ent_sync import compose
from ent_sync.store import hands
from ent_sync.store.database import Database


def accounts(installation: Any) -> list[Any]:
    with closing(sqlite3.connect(installation.dir / "ent.sqlite")) as connection:
        return connection.execute("SELECT * FROM accounts ORDER BY account").fetchall()


def newest(installation: Any) -> str:
    return str(installation("runs", "list", "--limit", "1", "--json").document[0]["run"])


@pytest.fixture
def approved(held: Any) -> tuple[Any, str, list[Any]]:
    """An installation in which 9 % of the pupils were suspended by approval, the run that did, and what was before."""
    installation, plan = held
    before = accounts(installation)
    installation("plan", "approve", plan)
    return installation, newest(installation), before


def test_an_undoing_that_no_guard_holds_is_applied_at_once(approved: Any) -> None:
    installation, run, before = approved

    answer = installation("undo", run, "--json")

    assert (answer.code, answer.document["kind"], answer.document["outcome"]) == (0, "undo", "done")
    assert answer.document["applied"]["restore"] > 0
    assert accounts(installation) == before


def test_the_answer_is_a_run_that_can_be_shown(approved: Any) -> None:
    installation, run, _ = approved

    document = installation("undo", run, "--json").document

    assert installation("runs", "show", document["run"], "--json").document == document


def test_people_are_told_that_the_sources_still_say_so(approved: Any) -> None:
    installation, run, _ = approved

    answer = installation("undo", run)

    assert f"Mind:\n  - the sources still say what run {run} did: the next sync does it again." in answer.out


def test_an_undoing_that_a_guard_holds_exits_4_with_its_plan(approved: Any) -> None:
    installation, run, before = approved
    installation("undo", run)

    answer = installation("undo", newest(installation), "--json")

    assert (answer.code, answer.document["outcome"]) == (4, "held")
    assert installation("status", "--json").document["holds"][0]["plan"] == answer.document["plan"]
    assert accounts(installation) == before


def test_a_held_undoing_is_applied_by_approving_its_plan(approved: Any) -> None:
    installation, run, _ = approved
    after = accounts(installation)
    installation("undo", run)
    plan = installation("undo", newest(installation), "--json").document["plan"]

    answer = installation("plan", "approve", plan, "--json")

    assert (answer.code, answer.document["kind"]) == (0, "undo")
    assert accounts(installation) == after


def test_a_paused_target_is_not_touched(approved: Any) -> None:
    installation, run, _ = approved
    after = accounts(installation)
    installation("pause")

    answer = installation("undo", run, "--json")

    assert (answer.code, accounts(installation)) == (4, after)


def test_only_one_kind_of_change_is_undone(approved: Any) -> None:
    installation, run, _ = approved

    document = installation("undo", run, "--only", "update", "--json").document

    assert document["applied"]["restore"] == 0


def test_an_unknown_run_is_wrong_usage(demo: Any) -> None:
    answer = demo("undo", "nothing")

    assert (answer.code, answer.out) == (2, "")
    assert answer.err == "no run is called nothing; look: ent-sync runs list\n"


def test_a_way_that_cannot_be_undone_is_wrong_usage(demo: Any) -> None:
    assert demo("undo", "nothing", "--only", "delete").code == 2


def test_a_run_without_changes_is_undone_with_zeros(copied: Any) -> None:
    copied("sync")

    answer = copied("undo", newest(copied), "--json")

    assert (answer.code, answer.document["outcome"]) == (0, "done")
    assert {name: count for name, count in answer.document["changes"].items() if count and name != "unchanged"} == {}


def test_a_run_that_gave_way_is_not_undone_before_it_has_ended(approved: Any) -> None:
    installation, run, _ = approved
    store = f"sqlite:///{installation.dir / 'state.sqlite'}"
    with closing(Database(store)) as database, database.transaction() as connection:
        hands.take_turn(connection, run, hands.Turn.AWAY, compose.now())

    answer = installation("undo", run)

    assert answer.code == 5
    assert answer.err == f"run {run} gave way and goes on: end it first, with ent-sync stop\n"
