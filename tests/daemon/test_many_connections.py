"""A daemon has several connections to one file; SQLite's locks are those of the process, and must survive all of them."""

import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from ent_sync.store.database import Database
from ent_sync.targets.embedded.file import open_file

ANOTHER = """
import sqlite3, sys
with sqlite3.connect(sys.argv[1]) as store:
    store.execute("CREATE TABLE IF NOT EXISTS another (x)")
store.close()
"""


def another_process_writes(path):
    """And closes: if it believes to be the last one, it takes the write-ahead log away."""
    subprocess.run([sys.executable, "-c", ANOTHER, path], check=True, timeout=60)


@pytest.mark.parametrize("kind", ["store", "embedded"])
def test_a_second_connection_takes_no_lock_from_the_first(tmp_path, kind):
    path = tmp_path / "file.sqlite"

    def opened():
        if kind == "store":
            return Database(f"sqlite:///{path}")
        return open_file(path, {})

    first = opened()
    reading = first.connection if kind == "store" else first.connect()
    if kind == "store":
        first.upgrade()
    second = opened()
    second.close() if kind == "store" else second.dispose()

    another_process_writes(path)

    # While somebody reads, the log stays; without it, what the reader knows of the file would be wrong.
    there = path.with_name("file.sqlite-wal").exists()
    reading.close()
    first.close() if kind == "store" else first.dispose()
    assert there
    with closing(sqlite3.connect(path)) as found:
        assert found.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
