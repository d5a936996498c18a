"""Step 9: the guards look at what a plan would do, and what they stop waits for a human.

Everything is counted before the first write. What is held is marked in the plan, which keeps its name over runs for as
long as it holds the same.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence

import sqlalchemy as sa

from ent_sync.core import guard
from ent_sync.core.entry import EntryKind
from ent_sync.core.event import PlanMade
from ent_sync.core.guard import Freeze, Hold, SchoolTally, Tally
from ent_sync.core.plan import Operation
from ent_sync.core.record import Population
from ent_sync.store import entries, hands, plans
from ent_sync.sync.compare import PlanWriter, Scope
from ent_sync.sync.parts import Parts
from ent_sync.sync.progress import Progress, Waiting, add_counts


def begin_again(parts: Parts, writer: PlanWriter, progress: Progress) -> None:
    """What an earlier delivery of this run left waiting is planned and judged afresh: it counts once, as it is now."""
    if (left := progress.waiting.pop(writer.target, None)) is not None:
        add_counts(progress.changes, left.changes, -1)
    if writer.plan is not None:
        with parts.database.transaction() as connection:
            plans.drop_waiting(connection, writer.plan, "overtaken")


def stop(parts: Parts, writer: PlanWriter, progress: Progress) -> tuple[Hold, ...]:
    """Count what waits in the plan, and let the guards look before the first write."""
    name = writer.target
    with parts.database.transaction() as connection:
        if writer.plan is None:
            return ()
        counts = plans.count(connection, writer.plan)
        known = entries.active(connection, name)
        suspending = any(each.operation is Operation.SUSPEND for each in counts)
        by_school = entries.active_by_school(connection, name) if suspending else {}
        holds = guard.judge(
            _tallies(counts, known),
            _schools(counts, by_school),
            parts.limits,
            [*parts.freezes, *_pauses(connection, name)],
            parts.now(),
        )
        if holds:
            plans.hold(connection, writer.plan, holds)
            if not plans.waits(connection, writer.plan):
                holds = ()
    found = _accounts(counts)
    add_counts(progress.changes, found)
    progress.waiting[name] = Waiting(found)
    parts.tell(PlanMade(writer.plan, name, found, sum(each.count for each in counts), holds))
    return holds


def _pauses(connection: sa.Connection, target: str) -> list[Freeze]:
    """A target that somebody paused is frozen until somebody resumes it."""
    since = hands.paused_since(connection, target)
    end = dt.datetime.max.replace(tzinfo=dt.UTC)
    title = f"target {target} is paused; ent-sync resume ends it"
    return [] if since is None else [Freeze(begins=since, ends=end, everything=True, title=title)]


def _accounts(counts: Iterable[plans.Count]) -> dict[Operation, int]:
    found: dict[Operation, int] = {}
    for each in counts:
        if each.kind is EntryKind.ACCOUNT:
            found[each.operation] = found.get(each.operation, 0) + each.count
    return found


def _tallies(counts: Iterable[plans.Count], known: dict[tuple[str, Population], int]) -> list[Tally]:
    seen: dict[tuple[str, Population], list[plans.Count]] = {key: [] for key in known}
    for each in counts:
        if each.population is not None:
            seen.setdefault((each.source, each.population), []).append(each)

    def total(group: list[plans.Count], *operations: Operation) -> int:
        return sum(each.count for each in group if each.operation in operations)

    return [
        Tally(
            source=source,
            population=population,
            known=known.get((source, population), 0),
            creations=total(group, Operation.CREATE, Operation.RESTORE),
            suspensions=total(group, Operation.SUSPEND),
            absences=sum(each.count for each in group if each.absence),
            deletions=total(group, Operation.DELETE),
            updates=total(group, Operation.UPDATE),
            changed_keys=sum(each.count for each in group if each.changes_key),
        )
        for (source, population), group in seen.items()
    ]


def _schools(counts: Iterable[plans.Count], known: dict[tuple[str, str], int]) -> list[SchoolTally]:
    leaving: dict[tuple[str, str], int] = {}
    for each in counts:
        if each.operation is Operation.SUSPEND and each.uais:
            for uai in each.uais.split():
                leaving[each.source, uai] = leaving.get((each.source, uai), 0) + each.count
    return [SchoolTally(source, uai, known.get((source, uai), 0), count) for (source, uai), count in leaving.items()]


def settle(parts: Parts, writer: PlanWriter, scope: Scope, holds: tuple[Hold, ...], progress: Progress) -> None:
    """Say where the plan stands after the push. What is held keeps the name under which it waits already."""
    name, plan = writer.target, writer.plan
    with parts.database.transaction() as connection:
        if plan is not None and holds and not plans.waits(connection, plan):
            holds = ()  # a command that went first planned it again: what waits now, waits in its plan
        left = _accounts(plans.count(connection, plan)) if plan is not None else {}
        if plan is not None and holds:
            digest = plans.held_digest(connection, plan)
            # Asked of what waits, not of what did: an approval that died half-way has taken from it.
            others = [each.plan for each in plans.held(connection, name) if each.plan != plan]
            same = [each for each in others if plans.held_digest(connection, each) == digest]
            if same:
                plans.drop_waiting(connection, plan, "overtaken", only="held")
                plans.settle(connection, plan, "applied", parts.now())
                plan = same[0]
            else:
                plans.settle(connection, plan, "held", parts.now(), digest=digest, holds=_documents(holds))
        elif plan is not None:
            plans.settle(connection, plan, "applied", parts.now())
        plans.overtake(connection, name, plan if holds else None, scope.ids, scope.sources, until=writer.plan)
    if holds and plan is not None:
        progress.waiting[name] = Waiting(left, holds, _told(holds, plan), plan)
    else:
        progress.waiting[name] = Waiting(left)
    if progress.plan is None:
        progress.plan = plan


def show(parts: Parts, writer: PlanWriter, holds: tuple[Hold, ...], progress: Progress) -> None:
    """A plan that is only shown: all of it waits for approval, until the next run plans and judges it again."""
    if writer.plan is None:
        return
    with parts.database.transaction() as connection:
        plans.drop_waiting(connection, writer.plan, "held", only="pending")
        digest = plans.held_digest(connection, writer.plan)
        plans.settle(connection, writer.plan, "planned", parts.now(), digest=digest, holds=_documents(holds))
    left = progress.waiting[writer.target]
    left.plan, left.holds = writer.plan, holds
    left.reasons = tuple(f"{_words(each)}; it would wait for approval" for each in holds)


def _documents(holds: Iterable[Hold]) -> list[dict[str, object]]:
    return [
        {
            "guard": each.guard.value,
            "scope": each.scope,
            "observed": each.observed,
            "limit": each.limit,
            "source": each.source,
        }
        for each in holds
    ]


def _told(holds: Sequence[Hold], plan: str) -> tuple[str, ...]:
    """Holds in words, and with the last of them what to type next."""
    look, then = f"ent-sync plan show {plan} --by school", f"ent-sync plan approve {plan}, or plan reject {plan}"
    return (*(_words(each) for each in holds), f"Look: {look}. Then: {then}")


def _words(hold: Hold) -> str:
    return guard.in_words(hold.guard, hold.scope, hold.observed, hold.limit)
