"""The state store's database: opening, transactions, upgrade, check and backup."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from ent_sync.core.errors import StoreError

if TYPE_CHECKING:
    from alembic.config import Config

_BUSY_SECONDS = 30


class Database:
    """One connection to the state store. Not shared between threads or processes: each opens its own."""

    def __init__(self, url: str) -> None:
        self.url = sa.make_url(url)
        self.path = Path(self.url.database) if self.url.get_backend_name() == "sqlite" and self.url.database else None
        if self.path is not None:
            _private(self.path)
        self.engine = sa.create_engine(self.url, hide_parameters=True, poolclass=sa.pool.StaticPool)
        if self.path is not None:
            sa.event.listen(self.engine, "connect", _prepare_sqlite)
            sa.event.listen(self.engine, "begin", _begin_immediate)
        try:
            self.connection = self.engine.connect()
        except sa.exc.SQLAlchemyError:
            raise StoreError(f"the state store {self.url.render_as_string()} cannot be opened") from None

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """A short write transaction; it commits when the block ends and rolls back when it raises."""
        try:
            with self.connection.begin():
                yield self.connection
        except sa.exc.SQLAlchemyError as error:
            raise StoreError(f"the state store refused a transaction: {_named(error)}") from None

    @contextlib.contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A consistent view for reading, and for writing temporary tables; no writer waits for it."""
        connection = self.connection.execution_options(ent_sync_reading=True)
        try:
            with connection.begin():
                yield connection
        except sa.exc.SQLAlchemyError as error:
            raise StoreError(f"the state store refused to be read: {_named(error)}") from None
        finally:
            connection.execution_options(ent_sync_reading=False)

    def upgrade(self) -> None:
        """Bring the schema to this version's; a store of a newer version is refused."""
        current = self._revision()
        if current == _head():
            return
        # What migrates is imported where something is to be migrated: every command comes by here.
        from alembic import command  # noqa: PLC0415
        from alembic.script import ScriptDirectory  # noqa: PLC0415

        script = ScriptDirectory.from_config(_alembic(self.url))
        if current is not None and all(current != each.revision for each in script.walk_revisions()):
            raise StoreError("the state store was made by a newer version of ent-sync; install that version")
        config = _alembic(self.url)
        config.attributes["connection"] = self.connection
        with self.transaction():
            command.upgrade(config, "head")

    def check(self) -> list[str]:
        """What is wrong with the store, in sentences; empty when all is well."""
        found = []
        if self._revision() != _head():
            found.append("the schema is not this version's: run `ent-sync db upgrade`")
        if self.path is not None:
            with self.reading() as connection:
                verdict = connection.exec_driver_sql("PRAGMA integrity_check").scalars().all()
            found += [f"integrity check: {each}" for each in verdict if each != "ok"]
            if stat.S_IMODE(self.path.stat().st_mode) & 0o077:
                found.append(f"{self.path.name} can be read by others: chmod 600")
        return found

    def backup(self, to: Path) -> None:
        """A consistent copy of an SQLite store, while it may be in use.

        Raises:
            StoreError: the store is not SQLite, or the copy cannot be written.
        """
        if self.path is None:
            raise StoreError("use the database's own backup (pg_dump) for this store")
        _private(to)
        try:
            with (
                contextlib.closing(sqlite3.connect(self.path)) as here,
                contextlib.closing(sqlite3.connect(to)) as there,
            ):
                here.backup(there)
        except sqlite3.Error:
            raise StoreError(f"the backup {to} cannot be written") from None

    def forget_traces(self) -> None:
        """Leave nothing deleted readable in the write-ahead log (gdpr.md R28)."""
        if self.path is not None:
            self.connection.connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Let go of the connection."""
        self.connection.close()
        self.engine.dispose()

    def _revision(self) -> str | None:
        with self.reading() as connection:
            if not sa.inspect(connection).has_table("alembic_version"):
                return None
            revision: str | None = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
            return revision


def bulk(connection: sa.Connection, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
    """Run a statement with `?` for each parameter for many rows; values go to the driver as they are.

    Measured on the first load of 50,000 people: naming and checking each value costs as much as SQLite's own work.
    """
    if rows:
        if connection.dialect.paramstyle != "qmark":
            statement = statement.replace("?", "%s")
        connection.exec_driver_sql(statement, list(rows))


_MIGRATIONS = Path(__file__).parent / "migrations"


def _head() -> str:
    """The newest revision; each names its file."""
    return max(path.stem.partition("_")[0] for path in (_MIGRATIONS / "versions").glob("[0-9]*.py"))


def _alembic(url: sa.URL) -> Config:
    from alembic.config import Config  # noqa: PLC0415 - see `upgrade`

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("sqlalchemy.url", url.render_as_string(hide_password=False).replace("%", "%%"))
    return config


def _named(error: sa.exc.SQLAlchemyError) -> str:
    """The kind of a database error; its text may hold values."""
    return type(getattr(error, "orig", None) or error).__name__


def _private(path: Path) -> None:
    """Make the file ours alone before the first byte is written.

    One that is there is not opened: whoever closes a file takes all the locks away that this process has on it (POSIX),
    those of SQLite's other connections too, and another process may then delete the write-ahead log under them.
    """
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        if not os.access(path, os.W_OK) or path.is_dir():
            raise StoreError(f"{path} cannot be opened for writing") from None
    except OSError as error:
        raise StoreError(f"{path} cannot be opened for writing: {error.strerror}") from None


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # SQLAlchemy's BEGIN is ours: see _begin_immediate
    for pragma in (
        f"busy_timeout = {_BUSY_SECONDS * 1000}",
        "journal_mode = WAL",
        "synchronous = FULL",
        "secure_delete = ON",
        "foreign_keys = ON",
        # Each checkpoint copies and syncs; at SQLite's default of 4 MB, a first load does little else.
        "wal_autocheckpoint = 16384",
        "cache_size = -8192",
        # Staging may be as large as a delivery: it goes to a file, without a journal, since nobody rolls it back.
        "temp_store = FILE",
        "temp.cache_size = -8192",
        "temp.journal_mode = OFF",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_immediate(connection: sa.Connection) -> None:
    """Writers take the write lock at once: one that asks for it later can fail where waiting would have helped."""
    reading = connection.get_execution_options().get("ent_sync_reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
