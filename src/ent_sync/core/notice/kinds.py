"""What partners are told, with all its clocks: malfunction, planned maintenance, evolution (federation-slo.md §5)."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from ent_sync.core.levels.samples import UNDECIDED
from ent_sync.core.levels.spans import Span, span


class Kind(StrEnum):
    """What there is to tell."""

    MALFUNCTION = "malfunction"
    MAINTENANCE = "maintenance"
    EVOLUTION = "evolution"


class State(StrEnum):
    """How far a notice has come; the comments say of which kind each is."""

    DETECTED = "detected"  # malfunction: nobody, or not yet every role, has been told
    TOLD = "told"  # malfunction; evolution that is not in force yet
    UPDATED = "updated"  # malfunction
    UNSTABLE = "unstable"  # malfunction: it comes and goes, and is told once an hour
    ENDED = "ended"  # malfunction: over, its cause and measures are not written yet
    CLOSED = "closed"  # malfunction
    PLANNED = "planned"  # maintenance
    ANNOUNCED = "announced"  # maintenance: every role has been told
    REMINDED = "reminded"  # maintenance
    RUNNING = "running"  # maintenance
    OVERRUN = "overrun"  # maintenance: its time is over, and a service is not back
    DONE = "done"  # maintenance
    CANCELLED = "cancelled"  # maintenance
    SEEN = "seen"  # evolution: nobody, or not yet every role, has been told
    IN_FORCE = "in_force"  # evolution


OVER = frozenset({State.ENDED, State.CLOSED, State.DONE, State.CANCELLED, State.IN_FORCE})
"""The states in which there is nothing more to wait for."""


class Author(StrEnum):
    """Whose word a notice is. Article 3.1 is about the authority's own telling; ours is the measure of it."""

    PROBE = "probe"
    HAND = "hand"
    AUTHORITY = "authority"


class What(StrEnum):
    """What an update says."""

    OPENED = "opened"
    UPDATED = "updated"
    JOINED = "joined"  # a further service fell with the same cause
    REOPENED = "reopened"  # it began again within half an hour
    UNSTABLE = "unstable"
    ESCALATED = "escalated"  # it has become the crisis cell's business
    ENDED = "ended"
    CLOSED = "closed"
    PLANNED = "planned"
    MOVED = "moved"
    REMINDED = "reminded"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One notice. `sequence` is that of its last update, from 0; every moment has a time zone.

    Of a malfunction: `began`, `detected`, `ended`. Of maintenance: `announced` (the last announcement that moved or
    lengthened it), `starts`, `ends` as planned, `began`, `ended` as it was. Of an evolution: `announced` ahead, or None
    where it was not; `starts`, when it comes into force; `detected`, when the probe saw it.
    `told` and `end_told`: the first word, and the word of the end, to the last of the roles due.
    """

    id: str
    kind: Kind
    state: State
    author: Author
    title: str
    services: tuple[str, ...]
    sequence: int = 0
    cause: str | None = None
    began: dt.datetime | None = None
    detected: dt.datetime | None = None
    told: dt.datetime | None = None
    ended: dt.datetime | None = None
    end_told: dt.datetime | None = None
    closed: dt.datetime | None = None
    announced: dt.datetime | None = None
    starts: dt.datetime | None = None
    ends: dt.datetime | None = None

    @property
    def open(self) -> bool:
        """Whether it is not over yet."""
        return self.state not in OVER

    @property
    def internal(self) -> bool:
        """Whether it is about ourselves (a cause of our own): a word to operators, and to nobody else."""
        return self.cause in UNDECIDED

    @property
    def planned(self) -> Span | None:
        """The time of a maintenance as planned; None of the other kinds."""
        return span(self.starts, self.ends) if self.starts and self.ends else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """One word about a notice: what happened, when, and what somebody wrote about it.

    `text` is empty where the catalogue has the words.
    """

    sequence: int
    at: dt.datetime
    what: What
    text: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """A notice as it becomes, and the update that says why; without an update only a clock or a state moved.

    `tell` says whether partners get a message of the update.
    """

    notice: Notice
    update: Update | None = None
    tell: bool = True


def step(notice: Notice, what: What, at: dt.datetime, text: str = "", *, tell: bool = True) -> Step:
    """The next update of a notice, with its sequence."""
    sequence = notice.sequence + 1
    return Step(replace(notice, sequence=sequence), Update(sequence=sequence, at=at, what=what, text=text), tell)


def first(notice: Notice, what: What, at: dt.datetime, text: str = "") -> Step:
    """A new notice with its first update."""
    return Step(notice, Update(sequence=notice.sequence, at=at, what=what, text=text))


def identifier(kind: Kind, moment: dt.datetime, services: Iterable[str], distinction: str = "") -> str:
    """The name of a notice: the same for whoever finds the same thing, so that two probes do not tell it twice."""
    said = "\n".join([kind, moment.isoformat(), *sorted(services), distinction])
    digest = hashlib.sha256(said.encode()).hexdigest()[:6]
    return f"{kind}-{moment.astimezone(dt.UTC):%Y%m%dT%H%M%S}-{digest}"
