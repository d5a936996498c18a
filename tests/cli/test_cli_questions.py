"""`status`, `runs`, `explain`, `quarantine`, `db`: what is asked, and what is answered."""

from __future__ import annotations

import os
import socket
import sqlite3
import stat
from contextlib import closing
from typing import Any

import pytest

from ent_sync import compose
from ent_sync.store import lease


def one(installation: Any, query: str) -> Any:
    with closing(sqlite3.connect(installation.dir / "ent.sqlite")) as connection:
        return connection.execute(query).fetchone()[0]


# -- status ------------------------------------------------------------------------------------------------------------


def test_status_tells_of_sources_targets_holds_lease_and_quarantine(demo: Any) -> None:
    answer = demo("status", "--json")

    assert answer.code == 0
    assert set(answer.document) == {
        *("schema", "sources", "targets", "holds", "lease", "daemon", "pauses", "quarantine", "doubles", "last_run")
    }


def test_status_tells_what_is_paused_since_when(copied: Any) -> None:
    copied("pause", "--target", "ent")

    [pause] = copied("status", "--json").document["pauses"]

    assert pause["target"] == "ent"
    assert f"Paused: ent, since {pause['since']}" in copied("status").out


def test_status_tells_what_the_last_verification_found(copied: Any) -> None:
    before = copied("status", "--json").document["targets"][0]["drift"]
    copied("verify", "--all")

    drift = copied("status", "--json").document["targets"][0]["drift"]

    assert (before, drift["ratio"]) == (None, 0.0)
    assert f"Drift of ent: 0.00% of {drift['looked']} entries" in copied("status").out


def test_status_tells_whether_a_daemon_runs(copied: Any) -> None:
    nobody = copied("status", "--json").document["daemon"]
    settings = compose.load(copied.config)
    with closing(compose.open_store(settings)) as database, database.transaction() as connection:
        lease.acquire(connection, "daemon", compose.now(), lease.DAEMON)

    daemon = copied("status", "--json").document["daemon"]

    assert (nobody, daemon) == (None, {"host": socket.gethostname(), "process": os.getpid()})
    assert f"Daemon: process {os.getpid()}" in copied("status").out


def test_status_tells_why_a_delivery_is_not_used(demo: Any) -> None:
    [lille, amiens, _] = demo("status", "--json").document["sources"]

    assert [(each["status"], len(each["reasons"])) for each in lille["deliveries"]] == [("held", 1)]
    assert amiens["deliveries"] == []


def test_status_counts_what_the_target_holds(demo: Any) -> None:
    [target] = demo("status", "--json").document["targets"]

    assert target["accounts"]["pupil"]["active"] == one(
        demo, "SELECT count(*) FROM accounts WHERE population = 'pupil' AND status = 'active'"
    )


def test_status_gives_the_commands_to_type_for_what_is_held(held: Any) -> None:
    installation, plan = held

    [hold] = installation("status", "--json").document["holds"]

    assert hold["plan"] == plan
    assert hold["commands"]["approve"] == f"ent-sync plan approve {plan}"


def test_status_works_before_the_first_run_and_leaves_nothing(ent_sync: Any, tmp_path: Any) -> None:
    ent_sync("init", tmp_path / "new", "--source", "lille-2d")

    answer = ent_sync("--config", tmp_path / "new" / "ent-sync.yaml", "status", "--json")

    assert (answer.code, answer.document["sources"][0]["last_success"]) == (0, None)
    assert not (tmp_path / "new" / "state.sqlite").exists()


def test_people_see_the_same_as_programs(demo: Any) -> None:
    document = demo("status", "--json").document

    drawn = demo("status").out

    assert str(document["targets"][0]["accounts"]["guardian"]["active"]) in drawn
    assert document["last_run"]["run"] in drawn


# -- runs --------------------------------------------------------------------------------------------------------------


def test_runs_are_listed_newest_first(told: Any) -> None:
    demo, answer = told
    names = [each["run"] for each in answer.document["runs"]]

    listed = [each["run"] for each in demo("runs", "list", "--json", "--limit", "50").document]

    assert [each for each in listed if each in names] == names[::-1]


def test_a_run_is_shown_as_it_was_answered(told: Any) -> None:
    demo, answer = told
    first = answer.document["runs"][0]

    assert demo("runs", "show", first["run"], "--json").document == first


def test_a_run_is_shown_with_its_errors(demo: Any, told: Any) -> None:
    run = told[1].document["runs"][0]["run"]

    document = demo("runs", "show", run, "--errors", "--json").document

    assert document["errors"] == {"refused": [], "quarantined": []}


def test_an_unknown_run_is_wrong_usage(demo: Any) -> None:
    assert demo("runs", "show", "nothing").code == 2


# -- explain -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def pupil(demo: Any) -> str:
    return str(
        one(
            demo,
            "SELECT min(source_key) FROM accounts JOIN members USING (account) WHERE population = 'pupil' AND "
            "status = 'active'",
        )
    )


def test_each_released_value_names_its_file_line_and_rule(demo: Any, pupil: str) -> None:
    document = demo("explain", pupil, "--json").document

    [name] = [each for each in document["targets"][0]["released"] if each["name"] == "family_name"]
    assert name["values"] == [one(demo, f"SELECT family_name FROM accounts WHERE source_key = '{pupil}'")]
    assert name["file"].endswith(".xml")
    assert name["line"] > 1
    assert name["rule"].startswith("mappings/ent/pupil.yaml:")


def test_what_never_leaves_is_told_with_its_reason(demo: Any, pupil: str) -> None:
    document = demo("explain", pupil, "--json").document

    unread = {each["name"]: each["why"] for each in document["targets"][0]["unread"]}
    assert unread["ENTPersonAdresse"] == "may never leave: it is dropped while reading"


def test_an_explanation_tells_what_was_pushed_when(demo: Any, pupil: str) -> None:
    [*_, first] = demo("explain", pupil, "--json").document["pushed"]

    assert (first["operation"], first["status"]) == ("create", "acknowledged")
    assert first["when"].startswith("20")


def test_an_explanation_speaks_of_schools_and_classes_by_name(demo: Any, pupil: str) -> None:
    school = one(
        demo,
        "SELECT name FROM structures JOIN affiliations USING (uai) JOIN accounts USING (account) "
        f"WHERE accounts.source_key = '{pupil}'",
    )

    page = demo("explain", pupil).out

    assert f"School: {school}" in page
    assert "Class: " in page


def test_a_guardian_is_explained_with_the_number_of_children(demo: Any) -> None:
    key = one(
        demo,
        "SELECT source_key FROM accounts JOIN guardianships ON guardian = account GROUP BY account "
        "HAVING count(*) = 2 ORDER BY 1",
    )

    assert "Follows 2 children" in demo("explain", key).out


def test_who_left_is_explained_by_the_delivery_that_says_so(demo: Any) -> None:
    key = one(demo, "SELECT min(source_key) FROM accounts WHERE status = 'suspended'")

    page = demo("explain", key).out

    assert "At ent: suspended" in page
    assert "that they left" in page


def test_a_key_with_its_prefix_names_the_same_person(demo: Any, pupil: str) -> None:
    assert demo("explain", f"AC-{pupil}", "--json").document == demo("explain", pupil, "--json").document


def test_an_unknown_key_is_wrong_usage(demo: Any) -> None:
    answer = demo("explain", "LILLE$77777777")

    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("the key LILLE$77777777 names nobody here")


# -- quarantine --------------------------------------------------------------------------------------------------------


@pytest.fixture
def aside(copied: Any, ent_sync: Any) -> Any:
    """A pupil without an id is in quarantine."""
    into = copied.dir / "deliveries" / "amiens-2d"
    ent_sync(
        *("synth", into, "--pupils", "40", "--academy", "AMIENS", "--date", "2099-01-01", "--fault", "no-key"),
        *("--arrivals", "1"),
    )
    copied("sync")
    return copied


def test_quarantine_is_listed_by_id(aside: Any) -> None:
    listed = aside("quarantine", "list", "--json").document

    assert "no-key" in [each["rule"] for each in listed]
    assert all(each["id"] for each in listed)


def test_a_quarantined_record_is_shown_by_place_and_never_by_content(aside: Any) -> None:
    [bad] = [each for each in aside("quarantine", "list", "--json").document if each["rule"] == "no-key"]

    document = aside("quarantine", "show", bad["id"], "--json").document

    assert (document["source"], document["population"]) == ("amiens-2d", "pupil")
    assert document["file"].endswith(".xml")
    assert not {"key", "content", "raw"} & set(document)


def test_its_content_is_shown_on_a_terminal_only(aside: Any) -> None:
    [bad, *_] = aside("quarantine", "list", "--json").document

    assert aside("quarantine", "show", bad["id"], "--reveal").code == 2


def test_a_dropped_record_is_gone(aside: Any) -> None:
    [bad, *others] = aside("quarantine", "list", "--json").document

    assert aside("quarantine", "drop", bad["id"], "--json").document["dropped"] is True
    assert aside("quarantine", "list", "--json").document == others


def test_a_retry_answers_as_a_run(aside: Any) -> None:
    answer = aside("quarantine", "retry", "--json")

    assert answer.document["schema"] == "ent-sync/run/1"


@pytest.mark.parametrize("verb", ["show", "drop", "retry"])
def test_an_unknown_id_is_wrong_usage(demo: Any, verb: str) -> None:
    assert demo("quarantine", verb, "nothing").code == 2


# -- the store ---------------------------------------------------------------------------------------------------------


def test_the_store_of_the_demonstration_is_in_order(demo: Any) -> None:
    answer = demo("db", "check", "--json")

    assert (answer.code, answer.document["problems"]) == (0, [])


def test_a_store_that_others_can_read_is_a_problem(copied: Any) -> None:
    (copied.dir / "state.sqlite").chmod(0o644)

    answer = copied("db", "check")

    assert answer.code == 1
    assert "chmod 600" in answer.out


def test_a_backup_is_a_store_and_private(copied: Any, tmp_path: Any) -> None:
    answer = copied("db", "backup", tmp_path / "copy.sqlite", "--json")

    assert (answer.code, answer.document["file"]) == (0, str(tmp_path / "copy.sqlite"))
    assert stat.S_IMODE((tmp_path / "copy.sqlite").stat().st_mode) == 0o600
    with closing(sqlite3.connect(tmp_path / "copy.sqlite")) as connection:
        assert connection.execute("SELECT count(*) FROM entries").fetchone()[0] > 100


def test_a_backup_overwrites_nothing(copied: Any, tmp_path: Any) -> None:
    (tmp_path / "copy.sqlite").write_text("mine")

    assert copied("db", "backup", tmp_path / "copy.sqlite").code == 2
    assert (tmp_path / "copy.sqlite").read_text() == "mine"


def test_an_upgrade_makes_the_store_of_a_new_installation(ent_sync: Any, tmp_path: Any) -> None:
    ent_sync("init", tmp_path / "new", "--source", "lille-2d")
    config = tmp_path / "new" / "ent-sync.yaml"

    assert ent_sync("db", "upgrade", "--config", config).code == 0
    assert ent_sync("sync", "--config", config).code == 0
