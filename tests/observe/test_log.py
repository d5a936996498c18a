"""The log takes what is on its list, and nothing else."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from ent_sync.observe import log


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    log.configure(tmp_path / "ent-sync.log", "info")
    yield tmp_path / "ent-sync.log"
    log.configure(None, "info")


def last(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text().splitlines()[-1])
    return found


def test_a_field_that_is_not_on_the_list_is_named_and_dropped(file: Path) -> None:
    structlog.get_logger().info("record read", records=3, family_name="DUPONT")

    line = last(file)
    assert (line["records"], line["refused"]) == (3, ["family_name"])
    assert "DUPONT" not in file.read_text()


def test_a_person_is_a_pseudonym_or_nothing(file: Path) -> None:
    structlog.get_logger().info("person explained", person="LILLE$1234")

    assert last(file)["refused"] == ["person"]


def test_what_stands_inside_a_field_must_be_on_the_list_too(file: Path) -> None:
    structlog.get_logger().info("plan made", changes={"create": 1, "DUPONT": 2})

    assert last(file)["refused"] == ["changes"]


def test_values_that_are_not_plain_are_dropped(file: Path) -> None:
    structlog.get_logger().info("record read", records=object())

    assert last(file)["refused"] == ["records"]


def test_an_exception_is_a_type_and_places(file: Path) -> None:
    try:
        int("DUPONT")
    except ValueError:
        structlog.get_logger().exception("command failed")

    line = last(file)
    assert line["exception"] == "ValueError"
    assert line["traceback"][-1].startswith("test_log.py:")
    assert "DUPONT" not in file.read_text()


def test_no_local_of_a_function_that_failed_is_written(file: Path) -> None:
    def bind(password: str) -> None:
        raise OSError(len(password))

    try:
        bind("very-secret")
    except OSError:
        structlog.get_logger().exception("source cannot be reached")

    assert last(file)["traceback"][-1].endswith(" bind")
    assert "very-secret" not in file.read_text()


def test_what_a_library_says_is_not_repeated(file: Path) -> None:
    logging.getLogger("some.library").warning("cannot read %s", "DUPONT")

    assert (last(file)["library"], "DUPONT" in file.read_text()) == ("some.library", False)


def test_less_than_the_level_is_not_logged(file: Path) -> None:
    structlog.get_logger().debug("batch mapped", entries=3)

    assert file.read_text() == ""


def test_the_file_is_private(file: Path) -> None:
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_log_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(log.LogError, match="cannot be written: No such file or directory"):
        log.configure(tmp_path / "no" / "folder", "info")


def test_a_log_that_cannot_be_written_any_more_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    echo = io.StringIO()
    log.configure(tmp_path / "folder" / "log", "info", echo=echo)
    shutil.rmtree(tmp_path / "folder")

    structlog.get_logger().info("run began")

    assert json.loads(echo.getvalue())["event"] == "run began"
    log.configure(None, "info")


def test_whoever_looks_and_has_gone_stops_nothing(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as echo:
        log.configure(tmp_path / "log", "info", echo=echo)
        os.close(reading)

        structlog.get_logger().info("run began")
        with contextlib.suppress(BrokenPipeError):
            echo.close()

    assert last(tmp_path / "log")["event"] == "run began"
    log.configure(None, "info")


def test_on_a_terminal_a_line_is_for_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    ours, its = os.openpty()
    with os.fdopen(its, "w") as echo:
        log.configure(tmp_path / "log", "info", echo=echo)

        structlog.get_logger().info("run began", run="20260901T0-ab")
        echo.flush()
        shown = os.read(ours, 65536).decode()

    os.close(ours)
    assert "[info     ] run began" in shown
    assert "run=20260901T0-ab" in shown
    log.configure(None, "info")


def test_lines_are_echoed_as_they_are_where_nobody_looks(tmp_path: Path) -> None:
    echo = io.StringIO()
    log.configure(tmp_path / "log", "info", echo=echo)

    structlog.get_logger().info("run began")

    assert echo.getvalue() == (tmp_path / "log").read_text()
    log.configure(None, "info")
