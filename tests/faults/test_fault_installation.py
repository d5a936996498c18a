"""What can be wrong around the deliveries: folders, keys, store, configuration, and another run at work."""

from __future__ import annotations

import contextlib
import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from spoiled import Installation

Directory = list[tuple[Any, ...]]


def edit(path: Path, old: str, new: str) -> int:
    """Replace some text of a file once; gives its line."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return text[: text.index(old)].count("\n") + 1


def at_work(place: Installation) -> list[str]:
    with contextlib.closing(sqlite3.connect(place.dir / "state.sqlite")) as connection:
        return [row[0] for row in connection.execute("SELECT run FROM runs")]


def test_a_missing_delivery_folder_is_unavailable(place: Installation, before: Directory) -> None:
    place.deliveries.rmdir()

    answer = place.sync()

    assert (answer.code, answer.run["outcome"]) == (7, "failed")
    assert f"source lille-2d: the folder {place.deliveries} does not exist or cannot be read" in answer.err
    assert place.directory == before


def test_a_missing_target_folder_is_unavailable(place: Installation, before: Directory) -> None:
    edit(place.config, "path: ent.sqlite", "path: gone/ent.sqlite")

    answer = place.sync()

    assert (answer.code, answer.run["outcome"]) == (7, "failed")
    assert "target ent cannot be reached" in answer.err
    assert place.directory == before


def test_what_came_while_the_target_was_away_arrives_when_it_is_back(place: Installation) -> None:
    delivered = place.deliver()
    delivered.keep("pupil", delivered.records("pupil")[:290])
    edit(place.config, "path: ent.sqlite", "path: gone/ent.sqlite")
    codes = [place.sync().code]
    edit(place.config, "path: gone/ent.sqlite", "path: ent.sqlite")

    codes.append(place.sync().code)

    assert codes == [7, 0]
    assert place.active["pupil"] == 290


def test_a_target_file_that_is_no_directory_is_bad_configuration(place: Installation) -> None:
    (place.dir / "ent.sqlite").write_bytes(b"something else " * 100)

    answer = place.sync()

    assert (answer.code, answer.out) == (78, "")
    assert f"{place.dir / 'ent.sqlite'}: is not a SQLite file" in answer.err


def test_a_store_without_its_key_is_not_touched(place: Installation, before: Directory) -> None:
    (place.dir / "keys").unlink()
    store = (place.dir / "state.sqlite").read_bytes()

    answer = place.sync()

    assert (answer.code, answer.out) == (1, "")
    assert answer.err.strip() == (
        f"the key file {place.dir / 'keys'} is missing, but there is a store that was sealed with it: put it back. "
        "Without it, nothing in the store can be opened"
    )
    assert (place.dir / "state.sqlite").read_bytes() == store
    assert not (place.dir / "keys").exists()
    assert place.directory == before


def test_a_key_that_others_can_read_is_bad_configuration(place: Installation) -> None:
    (place.dir / "keys").chmod(0o644)

    answer = place.sync()

    assert (answer.code, answer.out) == (78, "")
    assert answer.err.strip() == f"{place.dir / 'keys'}: can be read or changed by others: chmod 600"


def test_a_store_that_others_can_read_is_found_by_its_check(place: Installation) -> None:
    (place.dir / "state.sqlite").chmod(0o644)

    answer = place("db", "check")

    assert answer.code == 1
    assert "state.sqlite can be read by others: chmod 600" in answer.out


def test_a_store_that_is_damaged_stops_the_command(place: Installation, before: Directory) -> None:
    (place.dir / "state.sqlite").write_bytes(b"something else " * 100)

    answer = place.sync()

    assert (answer.code, answer.out) == (1, "")
    assert "cannot be opened" in answer.err
    assert place.directory == before


@pytest.fixture
def another_run(place: Installation) -> Iterator[subprocess.Popen[bytes]]:
    """A run of another process, which holds the lease and does not end."""
    code = (
        "import sys, datetime as dt\n"
        "from ent_sync.store import lease\n"
        "from ent_sync.store.database import Database\n"
        "database = Database(sys.argv[1])\n"
        "with database.transaction() as connection:\n"
        "    lease.acquire(connection, 'the-other-run', dt.datetime.now(dt.timezone.utc))\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, f"sqlite:///{place.dir / 'state.sqlite'}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_run_that_meets_another_run_is_busy(
    place: Installation, before: Directory, another_run: subprocess.Popen[bytes]
) -> None:
    place.deliver().keep("pupil", [])
    runs = at_work(place)

    answer = place.sync("--wait", "0")

    assert (answer.code, answer.out) == (5, "")
    assert answer.err.strip() == (
        f"another run holds the lease (run the-other-run, process {another_run.pid} on {socket.gethostname()}); "
        "`ent-sync status` follows it"
    )
    assert at_work(place) == runs
    assert place.directory == before


def test_the_lease_of_a_process_that_died_is_free_at_once(
    place: Installation, another_run: subprocess.Popen[bytes]
) -> None:
    another_run.kill()
    another_run.wait()

    answer = place.sync("--wait", "0")

    assert answer.code == 0


def test_a_bad_configuration_is_told_with_its_line(place: Installation, before: Directory) -> None:
    line = edit(place.config, "degree: 2d", "degre: 2d")

    answer = place.sync()

    assert (answer.code, answer.out) == (78, "")
    assert answer.err.startswith(f"{place.config}:{line}:5: sources.0.degre: is not a key here; known: name, format,")
    assert place.directory == before


def test_a_bad_register_is_told_with_its_line(place: Installation, before: Directory) -> None:
    register = place.dir / "register.yaml"
    line = edit(register, "\npurposes:", "\npurpose:") + 1

    answer = place.sync()

    assert (answer.code, answer.out) == (78, "")
    assert f"{register}:{line}:1: purpose: is not a key here; known: purposes, attributes, targets" in answer.err
    assert place.directory == before


def test_a_bad_mapping_is_told_with_its_line(place: Installation, before: Directory) -> None:
    mapping = place.dir / "mappings" / "ent" / "pupil.yaml"
    line = edit(mapping, "{from: [sn", "{form: [sn")

    answer = place.sync()

    assert (answer.code, answer.out) == (78, "")
    assert f"{mapping}:{line}:17: attributes.family_name.form: is not a key here; known: from, transforms" in answer.err
    assert place.directory == before


def test_a_configuration_that_is_not_there_is_told(tmp_path: Path) -> None:
    answer = Installation(tmp_path, tmp_path).sync()

    assert (answer.code, answer.out) == (78, "")
    assert str(tmp_path / "ent-sync.yaml") in answer.err


def test_the_command_itself_ends_with_the_exit_code(place: Installation) -> None:
    (place.dir / "keys").chmod(0o644)

    done = subprocess.run(
        [sys.executable, "-m", "ent_sync", "sync", "--config", str(place.config)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "200"},
        timeout=60,
    )

    assert (done.returncode, done.stdout) == (78, "")
    assert "chmod 600" in done.stderr
