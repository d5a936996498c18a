"""Guards: rules over the tally of a plan, judged before its first write.

What a guard allows is a limit; what it stops waits as a hold for somebody who approves that one plan, or rejects it.
There is no way to switch them all off.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ent_sync.core.plan import Operation
from ent_sync.core.record import Population


class Guard(StrEnum):
    """The names of the guards, as `held` spells them. The first three concern deliveries, the others plans."""

    COMPLETENESS = "completeness"
    ORDER = "order"
    GAP = "gap"
    SHRINKAGE = "shrinkage"
    DEPARTURES = "departures"
    DELETIONS = "deletions"
    JOIN_KEYS = "join-keys"
    UPDATES = "updates"
    FREEZE = "freeze"


@dataclass(frozen=True, slots=True)
class Limit:
    """A share and a count that must both be exceeded for a guard to trip."""

    share: float
    count: int

    def exceeded(self, part: int, whole: int) -> bool:
        """Whether `part` of `whole` is more than the limit allows."""
        return part > self.count and part > self.share * whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """All limits, with the contract's defaults (rules 2 to 4)."""

    dangling_links: float = 0.02
    unknown_keys: Limit = Limit(0.02, 20)
    shrinkage: float = 0.90
    source_departures: Limit = Limit(0.03, 20)
    school_departures: Limit = Limit(0.25, 20)
    deletions: Limit = Limit(0.01, 20)
    join_keys: Limit = Limit(0.01, 20)
    updates: Limit = Limit(0.50, 200)


@dataclass(frozen=True, slots=True, kw_only=True)
class Freeze:
    """A calendar time in which departures, or all changes, wait."""

    begins: dt.datetime
    ends: dt.datetime
    everything: bool
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What a plan would do to the entries of one source and population; `known` are active before it."""

    source: str
    population: Population
    known: int
    creations: int = 0
    suspensions: int = 0
    absences: int = 0
    deletions: int = 0
    updates: int = 0
    changed_keys: int = 0


@dataclass(frozen=True, slots=True)
class SchoolTally:
    """The departures that a plan holds for one school: pupils and staff."""

    source: str
    uai: str
    known: int
    suspensions: int


@dataclass(frozen=True, slots=True)
class Hold:
    """A stop: which guard, over what, what was seen and what is allowed, and which changes it keeps back.

    `source` None stands for all sources. With `changed_keys`, only updates of join keys are meant.
    """

    guard: Guard
    scope: str
    observed: float
    limit: float
    source: str | None = None
    operations: frozenset[Operation] = frozenset()
    changed_keys: bool = False

    @property
    def departures(self) -> bool:
        """Whether it keeps departures back.

        Updates of guardianships wait with them: a pupil whose suspension waits is not taken from his guardians.
        """
        return Operation.SUSPEND in self.operations


def in_words(guard: Guard, scope: str, observed: float, limit: float) -> str:
    """A hold as one sentence for people."""
    if guard is Guard.SHRINKAGE:
        return f"{guard} of {scope}: {observed:.1%} of them would remain, at least {limit:.1%} must"
    if guard is Guard.FREEZE:
        return f"{guard}: {scope}"
    return f"{guard} of {scope}: {observed:.1%}, at most {limit:.1%} without approval"


_DEPARTING = frozenset({Operation.SUSPEND, Operation.DELETE})
_ALL = frozenset(Operation)


def judge(
    tallies: Sequence[Tally],
    schools: Sequence[SchoolTally],
    limits: Limits,
    freezes: Sequence[Freeze],
    now: dt.datetime,
) -> tuple[Hold, ...]:
    """Every hold that the limits and the calendar make of a plan."""
    return (
        *_shrinkage(tallies, limits),
        *_departures(tallies, schools, limits),
        *_by_source(tallies, limits),
        *_freezes(freezes, now),
    )


def _shrinkage(tallies: Sequence[Tally], limits: Limits) -> Iterator[Hold]:
    """Only absences count: a source that withdraws somebody says so, and does not look truncated."""
    for tally in tallies:
        if tally.known and tally.absences:
            share = (tally.known + tally.creations - tally.absences) / tally.known
            if share < limits.shrinkage:
                scope = f"{tally.source}/{tally.population}"
                yield Hold(Guard.SHRINKAGE, scope, share, limits.shrinkage, tally.source, _DEPARTING)


def _departures(tallies: Sequence[Tally], schools: Sequence[SchoolTally], limits: Limits) -> Iterator[Hold]:
    for tally in tallies:
        limit = limits.source_departures
        if limit.exceeded(tally.suspensions, tally.known):
            scope = f"{tally.source}/{tally.population}"
            yield Hold(
                Guard.DEPARTURES, scope, tally.suspensions / max(tally.known, 1), limit.share, tally.source, _DEPARTING
            )
    for school in schools:
        limit = limits.school_departures
        if limit.exceeded(school.suspensions, school.known):
            share = school.suspensions / max(school.known, 1)
            yield Hold(Guard.DEPARTURES, school.uai, share, limit.share, school.source, _DEPARTING)


def _by_source(tallies: Sequence[Tally], limits: Limits) -> Iterator[Hold]:
    """Deletions, changed join keys and updates are judged over all people of a source."""
    for source in sorted({tally.source for tally in tallies}):
        people = [each for each in tallies if each.source == source and each.population is not Population.SCHOOL]
        known = sum(tally.known for tally in people)
        deletions = sum(tally.deletions for tally in people)
        changed_keys = sum(tally.changed_keys for tally in people)
        updates = sum(tally.updates for tally in people)
        if limits.deletions.exceeded(deletions, known):
            share = deletions / max(known, 1)
            yield Hold(Guard.DELETIONS, source, share, limits.deletions.share, source, _DEPARTING)
        if limits.join_keys.exceeded(changed_keys, known):
            share = changed_keys / max(known, 1)
            held = frozenset({Operation.UPDATE, Operation.RESTORE})
            yield Hold(Guard.JOIN_KEYS, source, share, limits.join_keys.share, source, held, changed_keys=True)
        if limits.updates.exceeded(updates, known):
            share = updates / max(known, 1)
            yield Hold(Guard.UPDATES, source, share, limits.updates.share, source, frozenset({Operation.UPDATE}))


def _freezes(freezes: Sequence[Freeze], now: dt.datetime) -> Iterator[Hold]:
    for freeze in freezes:
        if freeze.begins <= now < freeze.ends:
            yield Hold(Guard.FREEZE, freeze.title, 1.0, 0.0, None, _ALL if freeze.everything else _DEPARTING)
