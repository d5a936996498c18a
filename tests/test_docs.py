"""The documentation says what is so: its commands exist, and each line of the bad-input table is a test."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from ent_sync.cli.app import app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BAD_INPUT = ROOT / "docs" / "bad-input.md"
COLUMNS = ("what", "read", "exit", "rest", "test")


# -- commands ----------------------------------------------------------------------------------------------------------


# At the place of a command: `ent-sync` is a user, a folder and a word in a sentence, too.
_CALL = re.compile(r"(?:\$ )?(?:\w+=\S+ )*(?:sudo (?:-\S+ )*(?:-u \S+ )?)?(?:\S*/)?ent-sync (.*)")


def commands_in(text: str) -> list[str]:
    """The calls of ent-sync in code blocks, line by line, and in inline code."""
    blocks = re.findall(r"^```[^\n]*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))
    parts = [part.strip() for each in (*lines, *inline) for part in re.split(r"\||&&|;", each)]
    return [found[1] for part in parts if (found := _CALL.match(part))]


CALLS = sorted({(page.relative_to(ROOT).as_posix(), call) for page in PAGES for call in commands_in(page.read_text())})


def words_of(call: str) -> list[str]:
    """The words of one call, up to what belongs to the shell or to the sentence; marks of a synopsis are dropped."""
    call = re.split(r"\s(?:#|\||&&|;|>|·)\s?", call)[0]
    return [word for each in shlex.split(re.sub(r"[\[\]…]", " ", call)) if (word := each.rstrip(",.:;"))]


def options_of(command: Any) -> dict[str, bool]:
    """The options of a command, and whether each takes a value."""
    return {name: not each.is_flag for each in command.params if each.param_type_name == "option" for name in each.opts}


def complaint(call: str) -> str | None:
    """What is wrong with a call; None where nothing is."""
    command: Any = typer.main.get_command(app)
    everywhere = options_of(command)
    known = dict(everywhere)
    waiting = iter(words_of(call))
    for word in waiting:
        if word.startswith("-") and word != "-":
            name, _, value = word.partition("=")
            if name in {"-h", "--help"}:
                continue
            if name not in known:
                return f"{name} is no option of {command.name}"
            if known[name] and not value and next(waiting, None) is None:
                return f"{name} lacks its value"
        elif hasattr(command, "commands"):
            if re.search(r"[|/]", word):  # several commands in one synopsis
                return next((each for one in re.split(r"[|/]", word) if (each := _unknown(command, one))), None)
            if unknown := _unknown(command, word):
                return unknown
            command = command.commands[word]
            known = everywhere | options_of(command)
    return None


def _unknown(command: Any, word: str) -> str | None:
    return None if word in command.commands else f"{word} is no command of {command.name}"


@pytest.mark.parametrize(("page", "call"), CALLS)
def test_every_command_of_the_documentation_exists(page: str, call: str) -> None:
    assert complaint(call) is None


@pytest.mark.parametrize(
    "call",
    ["synch", "plan shoe PLAN", "sync --fool", "--config", "plan show PLAN --by school --sort", "quarantine list|shew"],
)
def test_the_test_would_see_a_command_that_does_not_exist(call: str) -> None:
    assert complaint(call) is not None


# -- bad input ---------------------------------------------------------------------------------------------------------


def rows() -> list[dict[str, str]]:
    found = []
    for line in BAD_INPUT.read_text().splitlines():
        if line.startswith("| ") and not line.startswith(("| ---", "| What arrives |", "| What is wrong |")):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            assert len(cells) == len(COLUMNS), line
            found.append(dict(zip(COLUMNS, cells, strict=True)))
    return found


def fault_tests() -> dict[str, ast.FunctionDef]:
    trees = [ast.parse(path.read_text()) for path in sorted((ROOT / "tests" / "faults").glob("test_*.py"))]
    return {
        each.name: each
        for tree in trees
        for each in tree.body
        if isinstance(each, ast.FunctionDef) and each.name.startswith("test_")
    }


ROWS = rows()
TESTS = fault_tests()


def texts_of(test: ast.FunctionDef) -> str:
    """The texts that a test holds, one a line, with `…` for what is put into them."""
    found = []
    for node in ast.walk(test):
        if isinstance(node, ast.JoinedStr):
            parts = [each.value if isinstance(each, ast.Constant) else "…" for each in node.values]
            found.append("".join(str(each) for each in parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(node.value)
    return "\n".join(found)


def test_the_table_has_a_row_for_what_the_issue_names() -> None:
    assert len(ROWS) > 60


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["what"])
def test_each_row_names_a_test(row: dict[str, str]) -> None:
    assert row["test"].strip("`") in TESTS


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["what"])
def test_each_message_of_a_row_is_one_that_its_test_reads(row: dict[str, str]) -> None:
    texts = texts_of(TESTS[row["test"].strip("`")])

    quoted = [
        part
        for each in re.findall(r"`([^`]+)`", row["read"])
        for part in each.split("…")
        if not each.startswith("ent-sync ")
    ]

    assert [part for part in quoted if part not in texts] == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["what"])
def test_each_exit_code_of_a_row_is_one_that_its_test_reads(row: dict[str, str]) -> None:
    numbers = {str(node.value) for node in ast.walk(TESTS[row["test"].strip("`")]) if isinstance(node, ast.Constant)}

    assert set(re.findall(r"\d+", row["exit"])) <= numbers or helper_asserts(row)


def helper_asserts(row: dict[str, str]) -> bool:
    """Whether the exit code is asserted by the function that the test hands its answer to."""
    called = {
        node.func.id
        for node in ast.walk(TESTS[row["test"].strip("`")])
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    return {"4": "assert_nothing_used", "3": "assert_set_aside"}.get(row["exit"]) in called


def test_every_test_of_a_fault_that_changes_an_exit_code_has_a_row() -> None:
    named = {row["test"].strip("`") for row in ROWS}
    beside = {
        "test_a_delivery_in_an_archive_is_no_fault_and_leaves_nothing_unpacked",
        "test_quarantine_says_where_and_why_and_never_whom",
        "test_what_comes_in_good_order_leaves_quarantine",
        "test_every_fault_that_synth_makes_ends_with_the_exit_code_of_its_kind",
        "test_a_complete_delivery_in_good_order_changes_nothing",
        "test_a_configuration_that_is_not_there_is_told",
        "test_the_command_itself_ends_with_the_exit_code",
    }

    assert set(TESTS) - named == beside
