"""The file itself: opened with its protections, and its library's errors turned into ours.

Knows nothing of entries. An error of SQLite may hold a row, so none gets past `answering`.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from ent_sync.core.errors import UnavailableError
from ent_sync.targets.embedded.schema import UnfitError, prepare

_BUSY_MS = 10_000
_PRAGMAS = (
    f"PRAGMA busy_timeout = {_BUSY_MS}",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA secure_delete = ON",  # what leaves the directory leaves the disk
    "PRAGMA cache_size = -32768",
    "PRAGMA wal_autocheckpoint = 32768",  # a batch of a first load fills 2,000 pages: the default halves its speed
)
_WRITING = "ent_sync_writing"
_REASONS = {
    "SQLITE_BUSY": "is locked by another writer",
    "SQLITE_LOCKED": "is locked by another writer",
    "SQLITE_FULL": "does not fit: the disk is full",
    "SQLITE_READONLY": "cannot be written",
    "SQLITE_PERM": "cannot be written",
    "SQLITE_CANTOPEN": "cannot be opened",
    "SQLITE_IOERR": "cannot be read or written: the disk reports an error",
    "SQLITE_CORRUPT": "is damaged",
    "SQLITE_NOTADB": "is not a SQLite file",
}

Identity: TypeAlias = tuple[int, int]
"""What makes a file the same file: device and inode."""


def open_file(path: Path, views: Mapping[str, str]) -> Engine:
    """The file, made if it lacks (mode 0600; whoever gives an ENT's group access to it later is not overruled).

    Raises:
        UnfitError: it is not a directory of this version.
        UnavailableError: it cannot be reached.
    """
    if not path.parent.is_dir():
        raise UnavailableError("the folder of the embedded directory does not exist")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise UnavailableError("the folder of the embedded directory cannot be written")
    try:
        # One that is there is not opened: closing it would take away the locks that this process has on it (POSIX).
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        if not os.access(path, os.R_OK | os.W_OK):
            raise UnavailableError("the file of the embedded directory cannot be opened for writing") from None
    except OSError:
        raise UnavailableError("the file of the embedded directory cannot be opened for writing") from None
    engine = create_engine(URL.create("sqlite", database=str(path)), hide_parameters=True)
    event.listen(engine, "connect", _protect)
    event.listen(engine, "begin", _begin)
    try:
        with answering(), writing(engine) as connection:
            prepare(connection, views)
    except BaseException:
        engine.dispose()
        raise
    return engine


def _protect(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # the driver would begin transactions too late; `_begin` does
    for pragma in _PRAGMAS:
        connection.execute(pragma)


def _begin(connection: Connection) -> None:
    # A writer that begins as a reader and meets another writer cannot wait: SQLite refuses it at once.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get(_WRITING) else "BEGIN")


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One transaction that may write; durable when it ends without an exception, and otherwise nothing of it stays."""
    with engine.connect() as connection, connection.execution_options(**{_WRITING: True}).begin():
        yield connection


@contextmanager
def answering() -> Iterator[None]:
    """Turns what SQLite says into `UnavailableError` or `UnfitError` without a value.

    Raises:
        UnfitError: the file is damaged or none of SQLite's.
        UnavailableError: it could not be used for any other reason.
    """
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error) as error:
        code = _code(error)
    except UnicodeError:
        raise UnavailableError("a change for the embedded directory holds text that is not Unicode") from None
    else:
        return
    reason = next((text for start, text in _REASONS.items() if code.startswith(start)), f"cannot be used ({code})")
    if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        raise UnfitError("damaged", reason) from None
    raise UnavailableError(f"the file of the embedded directory {reason}") from None


def _code(error: SQLAlchemyError | sqlite3.Error) -> str:
    cause = error.orig if isinstance(error, DBAPIError) else error
    return str(getattr(cause, "sqlite_errorname", type(cause).__name__))


def identity(path: Path) -> Identity | None:
    """Which file lies at the path now; None if there is none, or it cannot be seen."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def let_go(engine: Engine) -> None:
    """Close the file, with the log written into it: what was deleted must not live on there while an ENT reads."""
    try:
        with engine.connect() as connection:
            driver = connection.connection.driver_connection
            if isinstance(driver, sqlite3.Connection):
                connection.rollback()
                driver.execute("PRAGMA busy_timeout = 0")
                driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except (SQLAlchemyError, sqlite3.Error):
        pass  # a reader keeps the log busy: the next close, or the next automatic checkpoint, does it
    finally:
        engine.dispose()
