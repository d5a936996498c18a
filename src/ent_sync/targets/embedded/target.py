"""The port's methods over the file: what a change makes of an entry, in memory; then one transaction for the batch."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from heapq import merge
from itertools import islice
from pathlib import Path
from typing import Literal, TypeAlias, assert_never

from pydantic import Field
from sqlalchemy import Engine

from ent_sync.config.settings import TargetSection
from ent_sync.core.entry import Account, Entry, EntryId, EntryKind, Lifecycle
from ent_sync.core.errors import Problem, UnavailableError, Where
from ent_sync.core.plan import Change, Create, Delete, Restore, Suspend, Update, kind, subject
from ent_sync.ports import Acknowledged, Held, PushOutcome, Refused, TargetContext
from ent_sync.targets.embedded.file import Identity, answering, identity, let_go, open_file, writing
from ent_sync.targets.embedded.rows import find, page, save
from ent_sync.targets.embedded.schema import UnfitError, views

_PAGE = 1_000

_State: TypeAlias = dict[EntryId, Held]


class EmbeddedTarget:
    """The embedded directory as a target. Nothing is opened before the first call that needs it."""

    class Settings(TargetSection):
        """A target of format `embedded`."""

        format: Literal["embedded"] = Field(default="embedded", description="Names this kind of target.")
        path: Path = Field(
            description="The SQLite file that the ENT reads; made on first use, with mode 0600. "
            "Its folder must exist and be writable, for SQLite keeps its log beside the file."
        )

    def __init__(self, settings: Settings, context: TargetContext) -> None:
        self._name = settings.name
        self._path = context.base / settings.path
        self._views = views(context.single, context.multiple)
        self._engine: Engine | None = None
        self._identity: Identity | None = None

    @property
    def name(self) -> str:
        """The target's name in the configuration."""
        return self._name

    def check(self) -> Sequence[Problem]:
        """What would keep pushes from working, tried by beginning one.

        Raises:
            UnavailableError: the file cannot be reached.
        """
        self.close()
        try:
            self._opened()
        except UnfitError as unfit:
            return [Problem(Where(str(self._path)), unfit.rule, unfit.message)]
        return []

    def push(self, changes: Sequence[Change]) -> Iterator[PushOutcome]:
        """Make the changes, in order, in one transaction; it is committed when the iterator is handed out.

        Raises:
            UnavailableError: nothing of the batch was made.
        """
        with self._usable() as engine, writing(engine) as connection:
            there = {of: find(connection, of, ids) for of, ids in _ids(changes).items()}
            now = {of: dict(found.held) for of, found in there.items()}
            outcomes = [_make(change, now[kind(change)]) for change in changes]
            for of, found in there.items():
                save(connection, of, found, now[of])
        return iter(outcomes)

    def read_back(self, ids: Collection[EntryId] | None) -> Iterator[Held]:
        """What is there, in the order of the identifiers, a page at a time; a page is true to one moment.

        Raises:
            UnavailableError: the file cannot be read.
        """
        wanted = None if ids is None else sorted(set(ids))
        return merge(*(self._read(of, wanted) for of in EntryKind), key=lambda held: held.entry.id)

    def neutral(self, entry: Entry) -> Mapping[str, str]:
        """See `ports.Target`. Nothing is demanded here."""
        del entry
        return {}

    def close(self) -> None:
        """Let go of the file."""
        if self._engine is not None:
            let_go(self._engine)
            self._engine = None

    def _read(self, of: EntryKind, wanted: Sequence[EntryId] | None) -> Iterator[Held]:
        if wanted is not None:
            rest = iter(wanted)
            while asked := list(islice(rest, _PAGE)):
                with self._usable() as engine, engine.begin() as connection:
                    found = find(connection, of, asked)
                yield from found.held.values()
            return
        after = ""
        while True:
            with self._usable() as engine, engine.begin() as connection:
                found = page(connection, of, after, _PAGE)
            yield from found.held.values()
            if len(found.held) < _PAGE:
                return
            after = next(reversed(found.held))

    def _opened(self) -> Engine:
        # A file that was moved away or restored under an open target would take pushes that nobody ever reads.
        if self._engine is not None and identity(self._path) != self._identity:
            self.close()
        if self._engine is None:
            self._engine = open_file(self._path, self._views)
            self._identity = identity(self._path)
        return self._engine

    @contextmanager
    def _usable(self) -> Iterator[Engine]:
        """The file, open; whatever keeps it from being used while it is needed is an `UnavailableError`."""
        try:
            with answering():
                yield self._opened()
        except UnfitError as unfit:
            raise UnavailableError(f"the file of the embedded directory {unfit.message}") from None


def _ids(changes: Sequence[Change]) -> dict[EntryKind, set[EntryId]]:
    ids: dict[EntryKind, set[EntryId]] = {}
    for change in changes:
        ids.setdefault(kind(change), set()).add(subject(change))
    return ids


def _make(change: Change, now: _State) -> PushOutcome:
    """What the target answers to a change; `now` is what it holds of that kind, and holds the result after."""
    match change:
        case Create() | Update() | Restore():
            before = now.get(change.entry.id)
            now[change.entry.id] = Held(change.entry, Lifecycle.ACTIVE)
            return Acknowledged(change.entry.id, before)
        case Suspend():
            before = now.get(change.id)
            if before is None or not isinstance(before.entry, Account):
                return Refused(change.id, "unknown-entry", "the directory holds no such account to suspend")
            now[change.id] = Held(_reduced(before.entry, change.keep), Lifecycle.SUSPENDED)
            return Acknowledged(change.id, before)
        case Delete():
            return Acknowledged(change.id, now.pop(change.id, None))
        case _:
            assert_never(change)


def _reduced(account: Account, keep: Collection[str]) -> Account:
    kept = {name: values for name, values in account.attributes.items() if name in keep}
    return replace(account, profile=None, attributes=kept, affiliations=(), memberships=(), guardianships=())
