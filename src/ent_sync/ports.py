"""All the edges of ent-sync on one page: what a source, a target and an engine promise.

Protocols and the values that cross them, nothing else. An adapter is one module with a class that takes its settings
section and fulfils one of these.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol, TypeAlias, TypeVar, runtime_checkable

from ent_sync.core.completeness import Delivery, Evidence
from ent_sync.core.entry import Entry, EntryId, Lifecycle
from ent_sync.core.errors import Problem
from ent_sync.core.plan import Change, Create
from ent_sync.core.record import Key, Origin, Population, Record, Values

PartsT = TypeVar("PartsT", covariant=True)  # noqa: PLC0105 - its name says what it stands for
Task = TypeVar("Task")
Result = TypeVar("Result")


class Verb(StrEnum):
    """What a source says of a record: here it is, these attributes changed, it left (AAF requests, aaf.md §3).

    Or, of a record known from before: it is there, as it was (a directory that lists what it holds).
    """

    ADD = "add"
    MODIFY = "modify"
    DELETE = "delete"
    PRESENT = "present"


@dataclass(frozen=True, slots=True)
class Shard:
    """A part of a delivery that one process reads on its own. `place` is the source's own way to open it."""

    source: str
    file: str
    place: str
    population: Population | None
    ordinal: int


@dataclass(frozen=True, slots=True, repr=False)
class Sighting:
    """One record seen in a shard, not yet opened: `raw` is all it holds, byte for byte; `key` None if unreadable.

    A directory knows a record by two names of its own. `handle` stays when key and place change (LDAP: entryUUID):
    DELETE and PRESENT may come with nothing else. `name` is what other records refer to it by, in their values
    (LDAP: the keyed digest of its DN; see `core.record.reference`).
    """

    verb: Verb
    population: Population
    key: Key | None
    raw: bytes
    origin: Origin
    handle: bytes | None = None
    name: bytes | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Modification:
    """What a modify request sets, and the attributes that it empties; `whole` if it names all that its kind needs."""

    population: Population
    key: Key
    values: Values
    cleared: frozenset[str]
    whole: bool
    origin: Origin
    source: str


Opened: TypeAlias = Record | Modification | Problem


class Batch(Protocol):
    """A few hundred sightings that travel together."""

    @property
    def sightings(self) -> Sequence[Sighting]:
        """What was seen, in the order of the shard."""
        ...

    def open(self, which: Sequence[int]) -> Iterator[tuple[int, Opened]]:
        """The content of the sightings at these places, narrowed to what mappings read, or why it cannot be used.

        DELETE and PRESENT have no content and are not asked for.
        """
        ...


@dataclass(frozen=True, slots=True)
class SourceContext:
    """What a source is given beside its settings.

    `base` is the folder of the configuration, `spool` a private folder for copies, `now` the clock. `wanted` names the
    attributes that some mapping reads; all others stay behind. `whole` tells whether a modify request names all that
    its kind of record needs. `digest` gives 16 bytes, keyed, for a name that may not be kept in clear.
    """

    base: Path
    spool: Path
    now: Callable[[], dt.datetime]
    wanted: Mapping[Population, frozenset[str]]
    whole: Callable[[Population, Collection[str]], bool]
    digest: Callable[[bytes], bytes]


class Source(Protocol):
    """A federating directory."""

    @property
    def name(self) -> str:
        """The source's name in the configuration."""
        ...

    def deliveries(self, settled_for: float, cursor: str | None = None) -> Sequence[Delivery]:
        """What could be read now, oldest first.

        Of files: what did not change for so many seconds, applied or not. A directory that is asked has one `live`
        delivery: all that it holds, or, with the cursor that its last applied delivery ended with, what changed since.

        Raises:
            UnavailableError: the place where deliveries appear cannot be read, or no server answers.
        """
        ...

    def lookup(self, keys: Collection[Key]) -> Delivery | None:
        """A live delivery of these keys only; None where the source cannot be asked (its snapshot answers then).

        Raises:
            UnavailableError: no server answers.
        """
        ...

    def shards(self, delivery: Delivery) -> Sequence[Shard]:
        """The parts to read, schools first; picklable."""
        ...

    def read(self, shard: Shard) -> Generator[Batch, None, Evidence]:
        """The shard's records; the evidence is the return value, so whoever stops early has none.

        Raises:
            UnreadableError: the shard cannot be read to its end.
            StaleCursorError: the source does not know any more what changed since the cursor.
        """
        ...

    def again(self, sightings: Sequence[Sighting]) -> Batch:
        """Sightings that were set aside, as a batch that can be opened once more."""
        ...

    def done(self, delivery: Delivery) -> None:
        """Nobody reads the delivery any more: what `shards` unpacked goes."""
        ...

    def forget(self, delivery: Delivery) -> None:
        """Remove the delivered files of a delivery that is applied and superseded."""
        ...


class UnreadableError(Exception):
    """A part of a delivery cannot be read to its end; `problem` says where and why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class StaleCursorError(Exception):
    """A directory cannot tell what changed since the cursor: all that it holds is to be read (RFC 4533 §3.5)."""


@dataclass(frozen=True, slots=True, repr=False)
class Held:
    """What a target really holds of one entry; `entry` holds what is left of it when suspended."""

    entry: Entry
    lifecycle: Lifecycle


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The target confirms a change; `before` is what it held until then, None if nothing."""

    id: EntryId
    before: Held | None


@dataclass(frozen=True, slots=True)
class Refused:
    """The target will not make the change; `rule` names why, `message` says it without a value."""

    id: EntryId
    rule: str
    message: str


@dataclass(frozen=True, slots=True)
class Unanswered:
    """Nobody knows whether the change was made; reading back will tell."""

    id: EntryId


PushOutcome: TypeAlias = Acknowledged | Refused | Unanswered


@dataclass(frozen=True, slots=True)
class TargetContext:
    """What a target is given beside its settings: the folder of the configuration, and what is released to it.

    `single` and `multiple` name the released attributes of accounts with at most one value, and with several.
    `mappings` is the folder of the target's profile, where a layout may lie.
    """

    base: Path
    single: tuple[str, ...]
    multiple: tuple[str, ...]
    mappings: Path


class Target(Protocol):
    """A directory that we keep true. Pushes are idempotent: the same change twice is the same state."""

    @property
    def name(self) -> str:
        """The target's name in the configuration."""
        ...

    def check(self) -> Sequence[Problem]:
        """What would keep pushes from working: rights, schema. Empty when all is well.

        Raises:
            UnavailableError: the target cannot be reached.
        """
        ...

    def push(self, changes: Sequence[Change]) -> Iterator[PushOutcome]:
        """One outcome per change, in order; everything acknowledged is durable when the iterator ends.

        Raises:
            UnavailableError: the target cannot be reached; nothing of the batch is then acknowledged.
        """
        ...

    def read_back(self, ids: Collection[EntryId] | None) -> Iterator[Held]:
        """What is there, for some entries or for all, in any order; nothing that ent-sync would not have made.

        Raises:
            UnavailableError: the target cannot be read to the end.
        """
        ...

    def neutral(self, entry: Entry) -> Mapping[str, str]:
        """What the target's format demands and may not know of an entry: its attributes, each with what stands there.

        Such a value is neutral: it tells nothing, and is nothing when it is read back.
        """
        ...

    def close(self) -> None:
        """Let go of the target."""
        ...


@runtime_checkable
class Writing(Protocol):
    """A target whose first load can be written to a file, for a tool of its own that is faster than any protocol."""

    def written(self, creates: Iterable[Create]) -> Iterator[str]:
        """The entries in the target's own format (LDAP: LDIF, RFC 2849), piece by piece."""
        ...


class Engine(Protocol[PartsT]):
    """Runs work on tasks, somewhere. Work is a function of a module; tasks and results are small and picklable.

    `PartsT` is what work is done with: each process that works has composed its own.
    """

    def map(
        self, work: Callable[[PartsT, Task], Iterable[Result]], tasks: Iterable[Task], *, small: bool = False
    ) -> Iterator[Result]:
        """All results of all tasks, as they come, in any order; tasks are taken as they are needed.

        `small` says that the work is not worth waiting for other processes to start.
        """
        ...

    def rest(self) -> None:
        """There is no work for a while; the next `map` may take longer to begin."""
        ...
