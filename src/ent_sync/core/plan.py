"""Changes, their reasons, and what a plan says of them before anything is written.

A suspension or a deletion cannot be written down without a reason, and a reason only exists where something proved it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from ent_sync.core.completeness import Absence
from ent_sync.core.entry import Account, Entry, EntryId, EntryKind
from ent_sync.core.record import Population


class Operation(StrEnum):
    """What a change does, as the contract spells it."""

    CREATE = "create"
    UPDATE = "update"
    SUSPEND = "suspend"
    RESTORE = "restore"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A source said in so many words that the person left: a delete request."""

    source: str
    delivery: str
    left_on: dt.date


@dataclass(frozen=True, slots=True)
class Unentitled:
    """The sources still hold the person, but nothing entitles them to an account any more.

    A guardian without a releasing link, staff without a function: a statement of the records, not a silence.
    """

    since: dt.date


Departure: TypeAlias = Absence | Withdrawal | Unentitled


@dataclass(frozen=True, slots=True)
class RetentionOver:
    """The register's clock ran out: the account stayed suspended as long as it may."""

    left_on: dt.date


@dataclass(frozen=True, slots=True)
class Erasure:
    """A decision under Art. 17, by its case."""

    case: str


@dataclass(frozen=True, slots=True)
class Emptied:
    """A group without members, or a structure that no source delivers any more."""


@dataclass(frozen=True, slots=True)
class Undone:
    """The run that created the entry is undone."""

    run: str


DeleteReason: TypeAlias = RetentionOver | Erasure | Emptied | Undone


@dataclass(frozen=True, slots=True)
class Create:
    """Make an entry that the target does not hold."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Update:
    """Make an entry what it should be; `parts` names what differs."""

    entry: Entry
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Restore:
    """Make a suspended account active again, with all that it should hold now."""

    entry: Account


@dataclass(frozen=True, slots=True)
class Suspend:
    """Take an account out of use at once: of its attributes only those in `keep` stay, and no relation."""

    id: EntryId
    population: Population
    keep: tuple[str, ...]
    because: Departure


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove an entry."""

    id: EntryId
    kind: EntryKind
    because: DeleteReason


Change: TypeAlias = Create | Update | Suspend | Restore | Delete


def operation(change: Change) -> Operation:
    """The contract's word for a change."""
    match change:
        case Create():
            return Operation.CREATE
        case Update():
            return Operation.UPDATE
        case Suspend():
            return Operation.SUSPEND
        case Restore():
            return Operation.RESTORE
        case Delete():
            return Operation.DELETE


def subject(change: Change) -> EntryId:
    """The entry that a change is about."""
    return change.id if isinstance(change, Suspend | Delete) else change.entry.id


def kind(change: Change) -> EntryKind:
    """The kind of entry that a change is about."""
    match change:
        case Suspend():
            return EntryKind.ACCOUNT
        case Delete():
            return change.kind
        case Create() | Update() | Restore():
            return change.entry.kind


# Structures before the groups in them, groups before their members, pupils before the guardians who point at them;
# what goes away goes last, in the reverse order.
_RANK: Mapping[tuple[EntryKind, bool], int] = {
    (EntryKind.STRUCTURE, False): 0,
    (EntryKind.GROUP, False): 1,
    (EntryKind.ACCOUNT, False): 2,
    (EntryKind.ACCOUNT, True): 6,
    (EntryKind.GROUP, True): 7,
    (EntryKind.STRUCTURE, True): 8,
}


def rank(change: Change) -> int:
    """The place of a change in dependency order: lower goes first."""
    if isinstance(change, Suspend):
        return 5
    place = _RANK[kind(change), isinstance(change, Delete)]
    if isinstance(change, Create | Update | Restore) and isinstance(change.entry, Account):
        return place + (change.entry.population is Population.GUARDIAN)
    return place


def changed_parts(before: Mapping[str, bytes], now: Mapping[str, bytes]) -> tuple[str, ...]:
    """The names of the parts whose fingerprints differ between two states of one entry, sorted."""
    return tuple(sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name)))
