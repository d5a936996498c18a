"""Global options, exit codes, and what is said where."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from ent_sync.cli.app import hoisted

COMMANDS = [
    "sync",
    "plan",
    "resync",
    "explain",
    "status",
    "runs",
    "quarantine",
    "init",
    "demo",
    "synth",
    "config",
    "db",
    "verify",
    "undo",
    "federation",
]
LATER = ["privacy", "audit"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_this_step_has_its_help(ent_sync: Any, command: str) -> None:
    answer = ent_sync(command, "--help")

    assert (answer.code, answer.err) == (0, "")


@pytest.mark.parametrize("command", LATER)
def test_what_comes_later_is_no_command_yet(ent_sync: Any, command: str) -> None:
    answer = ent_sync(command)

    assert (answer.code, answer.out) == (2, "")


def test_global_options_are_taken_before_and_after_the_command() -> None:
    assert hoisted(["plan", "list", "--json", "--config", "a.yaml"]) == ["--json", "--config", "a.yaml", "plan", "list"]


def test_what_follows_two_dashes_is_no_option() -> None:
    assert hoisted(["explain", "--", "--json"]) == ["explain", "--", "--json"]


def test_the_configuration_is_named_by_the_environment_too(
    ent_sync: Any, demo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENT_SYNC_CONFIG", str(demo.config))

    assert ent_sync("status").code == 0


@pytest.mark.parametrize("command", [["sync"], ["status"], ["plan", "list"], ["config", "show"], ["explain", "A$1"]])
def test_a_configuration_that_is_not_there_exits_78_with_a_sentence(
    ent_sync: Any, tmp_path: Any, command: list[str]
) -> None:
    answer = ent_sync("--config", str(tmp_path / "no.yaml"), *command)

    assert (answer.code, answer.out) == (78, "")
    assert answer.err == f"{tmp_path / 'no.yaml'}: cannot be read: No such file or directory\n"


def test_every_problem_of_a_configuration_is_told_with_its_place(copied: Any) -> None:
    text = copied.config.read_text().replace("level: info", "level: loud").replace("degree: 1d", "degree: 3d")
    copied.config.write_text(text)

    answer = copied("sync")

    assert answer.code == 78
    assert [line.split(": ")[1] for line in answer.err.splitlines()] == ["log.level", "sources.2.degree"]


def test_what_nobody_expected_is_one_line_without_values(copied: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise ValueError("DUPONT")

    monkeypatch.setattr("ent_sync.sync.run.run", fails)

    answer = copied("sync")

    assert (answer.code, answer.out) == (1, "")
    assert answer.err == "ent-sync failed unexpectedly (ValueError); the log says where\n"
    assert copied.log[-1]["exception"] == "ValueError"
    assert "DUPONT" not in (copied.dir / "ent-sync.log").read_text()


def test_the_lease_is_let_go_when_a_run_fails(copied: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise ValueError

    monkeypatch.setattr("ent_sync.sync.run.run", fails)
    copied("sync")

    assert copied("status", "--json").document["lease"] is None


def test_log_lines_go_to_stderr_when_asked_for(copied: Any) -> None:
    answer = copied("sync", "--json", "-v")

    assert answer.document["schema"] == "ent-sync/run/1"
    assert '"event": "run ended"' in answer.err


def test_help_answers_without_loading_what_runs_need() -> None:
    heavy = ["sqlalchemy", "lxml", "faker", "pydantic", "cryptography", "ent_sync.compose"]
    code = f"import sys, ent_sync.cli.app; print([name for name in {heavy} if name in sys.modules])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout == "[]\n"


def test_the_console_script_gives_the_exit_code() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ent_sync", "sync", "--config", "/nowhere.yaml"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (done.returncode, done.stdout) == (78, "")
