"""The store as a file: its schema, its protections, its copy, and what is left of what was deleted (gdpr.md R28)."""

from __future__ import annotations

import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from ent_sync.core.errors import StoreError
from ent_sync.store import runs, schema
from ent_sync.store.database import Database

NAME = "TRESPRIVE"


def url(path: Path) -> str:
    return f"sqlite:///{path}"


# -- schema ------------------------------------------------------------------------------------------------------------


def test_migrations_lead_to_the_tables_that_the_code_knows(database: Database) -> None:
    context = MigrationContext.configure(database.connection, opts={"compare_type": True})

    assert compare_metadata(context, schema.metadata) == []


def test_migrations_make_the_indexes_with_their_conditions(database: Database) -> None:
    expected = sa.create_engine("sqlite://")
    schema.metadata.create_all(expected)
    query = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"

    with expected.connect() as there, database.reading() as here:
        wanted = {row[0]: row[1] for row in there.exec_driver_sql(query)}
        found = {row[0]: row[1] for row in here.exec_driver_sql(query)}
    expected.dispose()

    assert found == wanted


def test_upgrading_twice_changes_nothing(database: Database) -> None:
    with database.transaction() as connection:
        runs.remember_fact(connection, "kept", "yes")

    database.upgrade()

    with database.reading() as connection:
        assert runs.fact(connection, "kept") == "yes"


def test_a_store_of_a_newer_version_is_refused(database: Database) -> None:
    with database.transaction() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(StoreError, match="was made by a newer version of ent-sync; install that version"):
        database.upgrade()


def test_a_store_without_its_schema_is_told(tmp_path: Path) -> None:
    with closing(Database(url(tmp_path / "empty.sqlite"))) as empty:
        assert empty.check() == ["the schema is not this version's: run `ent-sync db upgrade`"]


# -- protections -------------------------------------------------------------------------------------------------------


def test_a_store_is_made_for_its_owner_alone(database: Database) -> None:
    assert database.path is not None

    assert stat.S_IMODE(database.path.stat().st_mode) == 0o600


def test_a_store_in_order_has_no_problem(database: Database) -> None:
    assert database.check() == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_mode_that_lets_others_in_is_found(database: Database, mode: int) -> None:
    assert database.path is not None
    database.path.chmod(mode)

    assert database.check() == ["state.sqlite can be read by others: chmod 600"]


def test_a_file_that_is_no_database_is_refused_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    path.write_bytes(b"something else " * 100)

    with pytest.raises(StoreError, match="cannot be opened"):
        Database(url(path))


def test_a_folder_that_lacks_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be opened for writing: No such file or directory"):
        Database(url(tmp_path / "gone" / "state.sqlite"))


def test_an_error_of_the_database_shows_no_value(database: Database) -> None:
    row = {"name": NAME, "value": NAME}

    with pytest.raises(StoreError) as refused, database.transaction() as connection:
        connection.execute(sa.insert(schema.facts), [row, row])

    assert str(refused.value) == "the state store refused a transaction: IntegrityError"
    assert refused.value.__suppress_context__


def test_a_transaction_that_raises_leaves_nothing(database: Database) -> None:
    def fail() -> None:
        with database.transaction() as connection:
            runs.remember_fact(connection, "kept", "no")
            raise KeyError

    with pytest.raises(KeyError):
        fail()

    with database.reading() as connection:
        assert runs.fact(connection, "kept") is None


# -- copies ------------------------------------------------------------------------------------------------------------


def test_a_backup_is_whole_while_a_writer_is_at_work(database: Database, tmp_path: Path) -> None:
    with database.transaction() as connection:
        for number in range(2000):
            runs.remember_fact(connection, f"fact-{number}", "x" * 1000)

    with database.transaction() as connection:
        connection.execute(sa.update(schema.facts).values(value="half of a transaction"))
        with closing(Database(database.url.render_as_string())) as other:
            other.backup(tmp_path / "copy.sqlite")

    with closing(Database(url(tmp_path / "copy.sqlite"))) as copy, copy.reading() as connection:
        values = set(connection.execute(sa.select(schema.facts.c.value)).scalars())
    assert values == {"x" * 1000}


def test_a_backup_never_holds_half_of_a_transaction(database: Database, tmp_path: Path) -> None:
    """Both facts change in every transaction; in a copy they must agree, whenever it was made."""
    stop = threading.Event()
    started = threading.Event()

    def write() -> None:
        with closing(Database(database.url.render_as_string())) as own:
            turn = 0
            while not stop.is_set():
                turn += 1
                with own.transaction() as connection:
                    runs.remember_fact(connection, "left", str(turn))
                    runs.remember_fact(connection, "right", str(turn))
                started.set()

    writer = threading.Thread(target=write)
    writer.start()
    started.wait(30)
    try:
        for number in range(3):
            database.backup(tmp_path / f"copy-{number}.sqlite")
    finally:
        stop.set()
        writer.join(30)

    pairs = []
    for number in range(3):
        with closing(Database(url(tmp_path / f"copy-{number}.sqlite"))) as copy, copy.reading() as connection:
            pairs.append((runs.fact(connection, "left"), runs.fact(connection, "right")))
    assert all(left is not None and left == right for left, right in pairs)


def test_a_backup_is_for_its_owner_alone(database: Database, tmp_path: Path) -> None:
    database.backup(tmp_path / "copy.sqlite")

    assert stat.S_IMODE((tmp_path / "copy.sqlite").stat().st_mode) == 0o600


def test_a_backup_that_cannot_be_written_is_told(database: Database, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be opened for writing"):
        database.backup(tmp_path / "gone" / "copy.sqlite")


# -- what was deleted --------------------------------------------------------------------------------------------------


def bytes_of(database: Database) -> bytes:
    assert database.path is not None
    found = b""
    for path in sorted(database.path.parent.glob("state.sqlite*")):
        found += path.read_bytes()
    return found


def test_what_was_deleted_is_gone_from_the_bytes_of_the_store(database: Database) -> None:
    with database.transaction() as connection:
        for number in range(500):
            runs.remember_fact(connection, f"{NAME}-{number}", NAME * 20)
    there = NAME.encode() in bytes_of(database)
    with database.transaction() as connection:
        connection.execute(sa.delete(schema.facts))

    database.forget_traces()

    assert there
    assert NAME.encode() not in bytes_of(database)


def test_what_is_deleted_does_not_stay_in_free_pages(database: Database) -> None:
    assert database.path is not None
    with database.transaction() as connection:
        runs.remember_fact(connection, "long", NAME * 5000)
    with database.transaction() as connection:
        connection.execute(sa.delete(schema.facts))
    database.close()

    with closing(sqlite3.connect(database.path)) as raw:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    assert NAME.encode() not in bytes_of(database)
