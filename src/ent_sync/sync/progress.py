"""What a run found out so far, and the answer it gives in the end."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field

from ent_sync.core.event import RunEnded
from ent_sync.core.guard import Hold
from ent_sync.core.plan import Operation
from ent_sync.core.record import Population
from ent_sync.core.run import Kind, Outcome, RunResult, SourceRead
from ent_sync.store import entries, journal, measures, runs
from ent_sync.sync.parts import Parts


@dataclass(slots=True)
class Waiting:
    """What a compare left waiting of the plan for one target: how many changes, and what holds them, in words too.

    The next compare of the run plans and judges it again.
    """

    changes: dict[Operation, int] = field(default_factory=dict)
    holds: tuple[Hold, ...] = ()
    reasons: tuple[str, ...] = ()
    plan: str | None = None


@dataclass(slots=True)
class Progress:
    """What a run found out so far. `holds` and `reasons` are about deliveries; those of plans are in `waiting`."""

    run: str
    started: dt.datetime
    kind: Kind
    reads: dict[str, SourceRead] = field(default_factory=dict)
    holds: list[Hold] = field(default_factory=list)
    reasons: list[tuple[Hold, str]] = field(default_factory=list)
    aside: int = 0
    changes: dict[Operation, int] = field(default_factory=dict)
    applied: dict[Operation, int] = field(default_factory=dict)
    failed: int = 0
    stopped: bool = False
    plan: str | None = None
    waiting: dict[str, Waiting] = field(default_factory=dict)
    unavailable: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what else is to be told
    silent: set[str] = field(default_factory=set)  # targets that did not answer: this run leaves them alone
    passes: int = 0
    known: int = 0


def add_counts(total: dict[Operation, int], more: dict[Operation, int], times: int = 1) -> None:
    """Add counts by operation to a total, or take them away again with `times` -1."""
    for each, count in more.items():
        total[each] = total.get(each, 0) + count * times


def end(parts: Parts, progress: Progress, outcome: Outcome | None = None) -> RunResult:
    """Store how a run ended and tell it; without `outcome`, it follows from what was found."""
    if outcome is None:
        outcome = _outcome(progress)
    now = parts.now()
    held = list(progress.holds)
    reasons = [why for hold, why in progress.reasons if hold in held]
    plan = progress.plan
    for waiting in progress.waiting.values():
        held += [hold for hold in waiting.holds if hold not in held]
        reasons += waiting.reasons
        plan = waiting.plan or plan
    touched = sum(progress.changes.get(each, 0) for each in (Operation.UPDATE, Operation.SUSPEND))
    with parts.database.transaction() as connection:
        result = RunResult(
            run=progress.run,
            kind=progress.kind,
            outcome=outcome,
            plan=plan,
            sources=tuple(progress.reads.values()),
            changes=progress.changes,
            unchanged=max(progress.known - touched, 0),
            applied=progress.applied,
            failed=progress.failed,
            quarantined=progress.aside,
            held=tuple(held),
            reasons=(*reasons, *progress.notes, *progress.unavailable),
            started=progress.started,
            seconds=(now - progress.started).total_seconds(),
        )
        runs.end(connection, result)
        journal.forget(connection, now - parts.journal)
        measures.count_run(connection, result, _standing_still(held, progress.reads))
        if outcome in {Outcome.DONE, Outcome.PARTIAL, Outcome.HELD}:
            for name in progress.reads.keys() - _standing_still(held, progress.reads):
                runs.succeeded(connection, name, now)
    parts.tell(RunEnded(result))
    return result


def _standing_still(held: Iterable[Hold], reads: Iterable[str]) -> set[str]:
    """The sources of which something is held; the others of a run have succeeded."""
    sources = {hold.source for hold in held}
    return set(reads) if None in sources else {source for source in sources if source is not None}


def active_accounts(parts: Parts, sources: tuple[str, ...] | None) -> int:
    """How many accounts the targets hold active of these sources: those that a run may leave unchanged."""
    return sum(
        count
        for name in parts.target_names
        for (source, population), count in entries.active(parts.database.connection, name).items()
        if population is not Population.SCHOOL and (sources is None or source in sources)
    )


def _outcome(progress: Progress) -> Outcome:
    if progress.stopped:
        return Outcome.STOPPED
    if progress.unavailable:
        return Outcome.FAILED
    if progress.holds or any(each.holds for each in progress.waiting.values()):
        return Outcome.HELD
    if progress.aside or progress.failed:
        return Outcome.PARTIAL
    return Outcome.DONE
