"""A real installation in a folder: store, keys, embedded directory, deliveries; driven as the commands drive it."""

import contextlib
import datetime as dt
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

from delivering import write_complete, write_delta
from ent_sync import compose
from ent_sync.store import lease, plans, runs
from ent_sync.sync import run as spine
from ent_sync.sync.approve import approve
from ent_sync.sync.engine import Inline
from ent_sync.sync.heartbeat import take_lease
from ent_sync.sync.run import Request

KEY = "5e" * 32
VIEWS = ("accounts", "structures", "groups", "members", "affiliations", "guardianships")
FIRST_DAY = dt.date(2026, 9, 1)


def day(number: int) -> dt.date:
    """The day of the number-th delivery."""
    return FIRST_DAY + dt.timedelta(days=number)


class Installation:
    """An installation with the same keys as every other one of these tests."""

    def __init__(self, folder: Path, *sources: str) -> None:
        self.folder = folder
        self.config = compose.new_installation(folder, sources or ("lille-2d",))
        (folder / "keys").write_text(KEY + "\n")
        (folder / "keys").chmod(0o600)
        self.source = (sources or ("lille-2d",))[0]
        self.now: dt.datetime | None = None

    def copy(self, folder: Path) -> "Installation":
        """The same installation, files and all, in another place."""
        shutil.copytree(self.folder, folder, copy_function=shutil.copy2)
        other = object.__new__(Installation)
        other.folder, other.config, other.source, other.now = folder, folder / self.config.name, self.source, self.now
        return other

    # -- what is done with it

    def edit(self, name: str, old: str, new: str) -> None:
        """Change the text of a configuration file."""
        path = self.folder / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    def deliveries(self, source: str | None = None) -> Path:
        """Where a source looks."""
        return self.folder / "deliveries" / (source or self.source)

    def complete(self, number: int, people, source: str | None = None, **how) -> Path:
        """A complete delivery of a day."""
        return write_complete(self.deliveries(source), day(number), people, **how)

    def delta(self, number: int, source: str | None = None, **what) -> Path:
        """A delta of a day."""
        return write_delta(self.deliveries(source), day(number), **what)

    @contextlib.contextmanager
    def opened(self, **others):
        """Its parts, with others in their place where a test asks for it."""
        with compose.opened(self.config) as parts:
            if self.now is not None:
                others = {"now": lambda: self.now, "engine": Inline(lambda: there), **others}
            there = replace(parts, **others)
            yield there

    def sync(self, parts=None, **request):
        """One run; gives its result."""
        with self._with(parts) as there:
            return _held(there, lambda held: spine.run(there, Request(**request), held))

    def synced(self, number: int, people, source: str | None = None, **how):
        """A complete delivery, and the run that reads it."""
        self.complete(number, people, source, **how)
        return self.sync()

    def approve(self, plan: str):
        """Approve a held plan; gives the result of the run."""
        with self.opened() as parts:
            with parts.database.reading() as connection:
                found = plans.get(connection, plan)
            return _held(parts, lambda held: approve(parts, found, held))

    def reject(self, plan: str) -> None:
        """Throw away what a plan holds, as `plan reject` does."""
        with self.opened() as parts, parts.database.transaction() as connection:
            plans.drop_waiting(connection, plan, "rejected")
            plans.settle(connection, plan, "rejected", parts.now())

    @contextlib.contextmanager
    def _with(self, parts):
        if parts is not None:
            yield parts
        else:
            with self.opened() as opened:
                yield opened

    # -- what is there

    def ask(self, query: str, *values: object, database: str = "ent.sqlite"):
        """The rows of a query, over a connection of its own."""
        with contextlib.closing(sqlite3.connect(self.folder / database)) as reader:
            return reader.execute(query, values).fetchall()

    def stored(self, query: str, *values: object):
        """The rows of a query to the store."""
        return self.ask(query, *values, database="state.sqlite")

    def views(self) -> dict[str, list[tuple[object, ...]]]:
        """All rows of all views of the contract."""
        return {view: sorted(self.ask(f"SELECT * FROM {view}"), key=repr) for view in VIEWS}

    def accounts(self, columns: str = "source_key, status"):
        """Some columns of all accounts, by their first."""
        return self.ask(f"SELECT {columns} FROM accounts ORDER BY 1, 2")

    def status(self, key: str) -> str | None:
        """The status of the accounts with a join key; None where there is none."""
        return " ".join(row[0] for row in self.ask("SELECT status FROM accounts WHERE source_key = ?", key)) or None

    def account(self, key: str) -> str:
        """The identifier of the one account with a join key."""
        ((found,),) = self.ask("SELECT account FROM accounts WHERE source_key = ?", key)
        return found

    def quarantine(self):
        """Rule and key of all that is set aside."""
        return self.stored("SELECT rule, key FROM quarantine ORDER BY 1, 2")

    def held(self):
        """The plans that wait."""
        return [plan for (plan,) in self.stored("SELECT plan FROM plans WHERE status = 'held' ORDER BY plan")]


def _held(parts, work):
    held = take_lease(parts, parts.new_id())
    assert held is not None, "the lease is not free"
    try:
        return work(held)
    finally:
        with parts.database.transaction() as connection:
            lease.release(connection, held)


def applied(result) -> dict[str, int]:
    """What a run applied, without the zeros."""
    return {str(each): count for each, count in result.applied.items() if count}


def changes(result) -> dict[str, int]:
    """What a run planned, without the zeros."""
    return {str(each): count for each, count in result.changes.items() if count}


def guards(result) -> list[tuple[str, str]]:
    """The guards that held something, and what it is about."""
    return [(str(each.guard), each.scope) for each in result.held]


def statuses(parts, source: str = "lille-2d") -> list[str]:
    """The statuses of a source's deliveries."""
    with parts.database.reading() as connection:
        return sorted(runs.delivery_statuses(connection, source).values())
