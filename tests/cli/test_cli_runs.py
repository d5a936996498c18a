"""`sync` and `resync`: the document of a run, exit codes, lease and signals."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
from contextlib import closing
from typing import Any

import pytest

from ent_sync import compose
from ent_sync.cli.call import Stop
from ent_sync.cli.progress import Progress
from ent_sync.core.event import PlanMade
from ent_sync.store import lease

RUN = {
    "schema": str,
    "run": str,
    "kind": str,
    "outcome": str,
    "sources": list,
    "changes": dict,
    "applied": dict,
    "failed": int,
    "quarantined": int,
    "held": list,
    "started": str,
    "seconds": float,
}
OPERATIONS = ["create", "update", "suspend", "restore", "delete"]


def rows(installation: Any, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(installation.dir / "ent.sqlite")) as connection:
        return connection.execute(query).fetchall()


def test_a_run_answers_with_the_document_of_the_contract(copied: Any) -> None:
    answer = copied("sync", "--json")

    document = answer.document
    assert answer.code == 0
    assert {name: type(document[name]) for name in RUN} == RUN
    assert list(document["applied"]) == OPERATIONS
    assert list(document["changes"]) == [*OPERATIONS, "unchanged"]
    assert list(document["sources"][0]) == ["name", "complete", "delivery", "read"]


def test_the_same_deliveries_twice_change_nothing(demo: Any) -> None:
    document = demo("sync", "--full", "--source", "amiens-2d", "--json").document

    assert {name: count for name, count in document["changes"].items() if name != "unchanged"} == dict.fromkeys(
        OPERATIONS, 0
    )


def test_a_truncated_delivery_is_held_with_exit_4(demo: Any) -> None:
    answer = demo("sync", "--json")

    assert answer.code == 4
    assert [(each["guard"], each["scope"]) for each in answer.document["held"]] == [("completeness", "lille-2d")]


def test_people_are_told_why_something_is_held(demo: Any) -> None:
    answer = demo("sync")

    assert "Held, and why:" in answer.out
    assert "is cut or damaged" in answer.out


def test_people_are_told_what_to_type_next(held: Any) -> None:
    installation, _ = held

    out = installation("sync").out

    [plan] = [each["plan"] for each in installation("plan", "list", "--json").document if each["status"] == "held"]
    assert f"ent-sync plan approve {plan}" in out


def test_only_the_sources_asked_for_are_read(demo: Any) -> None:
    document = demo("sync", "--source", "amiens-2d", "--json").document

    assert [each["name"] for each in document["sources"]] == ["amiens-2d"]


def test_an_unknown_source_is_wrong_usage(demo: Any) -> None:
    answer = demo("sync", "--source", "dijon-2d")

    assert (answer.code, answer.out) == (2, "")
    assert answer.err == "no source is called dijon-2d; there are: lille-2d, amiens-2d, lille-1d\n"


def test_plan_only_applies_nothing(held_once: Any, tmp_path: Any, ent_sync: Any) -> None:
    place = shutil.copytree(held_once.dir, tmp_path / "region")
    ent_sync("synth", place / "deliveries" / "lille-2d", "--pupils", "400", "--date", "2026-09-03", "--arrivals", "1")

    document = ent_sync("--config", place / "ent-sync.yaml", "sync", "--plan-only", "--json").document

    assert set(document["applied"].values()) == {0}
    assert document["changes"]["create"] > 0


def test_a_source_that_cannot_be_reached_exits_7(copied: Any) -> None:
    shutil.rmtree(copied.dir / "deliveries")

    answer = copied("sync", "--json")

    assert answer.code == 7
    assert answer.document["outcome"] == "failed"
    assert "cannot be read" in answer.err


def test_a_held_lease_exits_5_and_names_the_holder(copied: Any) -> None:
    settings = compose.load(copied.config)
    with closing(compose.open_store(settings)) as database, database.transaction() as connection:
        lease.acquire(connection, "another-run", compose.now())

    answer = copied("sync", "--wait", "0")

    assert (answer.code, answer.out) == (5, "")
    assert f"run another-run, process {os.getpid()} on {socket.gethostname()}" in answer.err


def test_whoever_waits_is_told_for_whom(copied: Any) -> None:
    settings = compose.load(copied.config)
    with closing(compose.open_store(settings)) as database, database.transaction() as connection:
        lease.acquire(connection, "another-run", compose.now())

    answer = copied("sync", "--wait", "0.1")

    assert answer.err.startswith("Waiting for run another-run")


def test_the_first_signal_asks_and_the_second_interrupts() -> None:
    stop = Stop()

    with stop.on_signals():
        signal.raise_signal(signal.SIGTERM)
        asked = stop()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)

    assert asked


def test_a_run_that_is_asked_to_stop_ends_before_its_next_batch(copied: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(copied)

    def stop_at_the_plan(_: object, event: object) -> None:
        if isinstance(event, PlanMade):
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Progress, "listen", stop_at_the_plan)
    answer = copied("resync", "person", PUPIL(copied), "--json")

    assert answer.code == 3
    assert (answer.document["outcome"], answer.document["applied"]["update"]) == ("stopped", 0)


def PUPIL(installation: Any) -> str:  # noqa: N802
    return str(rows(installation, "SELECT min(source_key) FROM accounts WHERE population = 'pupil'")[0][0])


def spoil(installation: Any) -> None:
    """Somebody edits every given name in the ENT."""
    with closing(sqlite3.connect(installation.dir / "ent.sqlite")) as connection, connection:
        connection.execute(
            "UPDATE stored_account SET attributes = json_set(attributes, '$.given_name', json('[\"X\"]'))"
        )


def test_resync_of_a_person_puts_right_what_the_target_holds(copied: Any) -> None:
    spoil(copied)
    key = PUPIL(copied)

    answer = copied("resync", "person", key, "--json")

    assert (answer.code, answer.document["kind"], answer.document["applied"]["update"]) == (0, "targeted", 1)
    assert rows(copied, f"SELECT count(*) FROM accounts WHERE source_key = '{key}' AND given_name = 'X'") == [(0,)]


def test_a_key_may_have_the_prefix_of_feeds_and_come_from_stdin(copied: Any) -> None:
    answer = copied("resync", "person", "-", "--json", stdin=f"AC-{PUPIL(copied)}\n")

    assert answer.code == 0


def test_a_person_is_found_by_account_identifier_too(copied: Any) -> None:
    [(account,)] = rows(copied, "SELECT min(account) FROM accounts")

    assert copied("resync", "person", account).code == 0


@pytest.mark.parametrize("command", [["resync", "person"], ["explain"]])
def test_an_unknown_key_from_stdin_is_not_repeated(demo: Any, command: list[str]) -> None:
    answer = demo(*command, "-", stdin="LILLE$77777777\n")

    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("the key on standard input names nobody here")
    assert "77777777" not in answer.err


def test_nothing_on_stdin_is_wrong_usage(demo: Any) -> None:
    assert demo("resync", "person", "-").code == 2


def test_resync_of_a_school_puts_right_its_people_and_their_guardians(copied: Any) -> None:
    spoil(copied)
    [(uai,)] = rows(copied, "SELECT min(uai) FROM affiliations")
    [(pupils,)] = rows(
        copied,
        f"SELECT count(*) FROM accounts JOIN affiliations USING (account) WHERE uai = '{uai}' "
        "AND population = 'pupil' AND status = 'active'",
    )

    copied("resync", "school", uai.lower())

    [(right,)] = rows(
        copied,
        f"SELECT count(DISTINCT account) FROM accounts JOIN affiliations USING (account) WHERE uai = '{uai}' "
        "AND population = 'pupil' AND given_name <> 'X'",
    )
    assert right == pupils


def test_an_unknown_school_is_wrong_usage(demo: Any) -> None:
    answer = demo("resync", "school", "0000000X")

    assert (answer.code, answer.err) == (2, "no source delivers a school with UAI 0000000X\n")


def test_resync_of_a_source_compares_it_again(copied: Any) -> None:
    answer = copied("resync", "source", "amiens-2d", "--json")

    assert (answer.code, answer.document["kind"], answer.document["sources"][0]["name"]) == (0, "targeted", "amiens-2d")


def test_resync_of_an_unknown_source_is_wrong_usage(demo: Any) -> None:
    assert demo("resync", "source", "dijon-2d").code == 2
