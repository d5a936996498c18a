"""The ten steps of a run, in order. Every kind of run is this one, with another beginning (architecture §3).

Reads and judges what the sources delivered, maps and compares what that touched, plans, lets the guards look, and
pushes what they allow. The decisions are made elsewhere, in pure functions; this is the order in which they are asked.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ent_sync.core import guard
from ent_sync.core.completeness import Delivery
from ent_sync.core.entry import EntryId, EntryKind
from ent_sync.core.errors import EntSyncError, Problem, UnavailableError, Where
from ent_sync.core.event import DeliveryJudged, PlanMade, RunBegan, RunEnded
from ent_sync.core.guard import Guard, Hold, SchoolTally, Tally
from ent_sync.core.plan import Operation
from ent_sync.core.record import Population
from ent_sync.core.run import Kind, Outcome, RunResult, SourceRead
from ent_sync.store import entries, lease, plans, runs
from ent_sync.store.lease import Lease
from ent_sync.sync import compare, judge, pull, push
from ent_sync.sync.compare import PlanWriter, Scope
from ent_sync.sync.parts import Parts


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a run is asked to do.

    `sources` None stands for all. `full` reads the newest complete delivery of each again. `ids` make it a targeted
    run: nothing is read, and these entries are compared with what the target really holds.
    """

    sources: tuple[str, ...] | None = None
    full: bool = False
    plan_only: bool = False
    settled_for: float = 0.0
    ids: tuple[EntryId, ...] | None = None


@dataclass(slots=True)
class _Progress:
    """What a run found out so far."""

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
    unavailable: list[str] = field(default_factory=list)
    passes: int = 0


def run(parts: Parts, request: Request, held: Lease) -> RunResult:
    """One pass of the spine, under a lease that the caller got (step 1).

    Raises:
        UnavailableError: nothing could be done, because no source or no target could be reached.
    """
    progress = _Progress(held.run, parts.now(), Kind.TARGETED if request.ids is not None else Kind.DELTA)
    with parts.database.transaction() as connection:
        runs.end_dead(connection, held.run)
        runs.begin(connection, held.run, progress.kind.value, progress.started)
    parts.tell(RunBegan(held.run, progress.kind))
    writers = {name: PlanWriter(parts, name, held.run) for name in parts.target_names}
    try:
        if request.ids is not None:
            _target_some(parts, request, writers, held, progress)
        else:
            _follow_sources(parts, request, writers, held, progress)
    except EntSyncError:
        _end(parts, progress, Outcome.FAILED)
        raise
    result = _end(parts, progress, None)
    if progress.unavailable and not any(read.delivery for read in progress.reads.values()):
        raise UnavailableError("; ".join(progress.unavailable))
    return result


# -- steps 2 to 6: what the sources say --------------------------------------------------------------------------------


def _follow_sources(
    parts: Parts, request: Request, writers: dict[str, PlanWriter], held: Lease, progress: _Progress
) -> None:
    """Take all that is new at each source, oldest first, and push after each; then compare what had nothing new."""
    names = [name for name in parts.sources if request.sources is None or name in request.sources]
    compared = False
    for name in names:
        progress.reads[name] = SourceRead(name, complete=False, delivery=None)
        try:
            waiting = _new_deliveries(parts, name, request, progress)
        except UnavailableError as error:
            progress.unavailable.append(str(error))
            continue
        for group in waiting:
            if parts.stopping():
                progress.stopped = True
                return
            applied = [_read(parts, delivery, progress, afresh=request.full) for delivery in group]
            if any(applied):
                _compare_and_push(parts, request, writers, held, progress, Scope(sources=request.sources))
                compared = True
        _forget_outlived(parts, name)
    if not compared and len(progress.unavailable) < max(len(names), 1):
        _compare_and_push(parts, request, writers, held, progress, Scope(sources=request.sources))


def _new_deliveries(parts: Parts, name: str, request: Request, progress: _Progress) -> list[list[Delivery]]:
    """The deliveries to read, in groups that are compared as one; what comes out of order is refused (rule 3)."""
    source = parts.sources[name].source
    found = source.deliveries(request.settled_for)
    with parts.database.reading() as connection:
        statuses = runs.delivery_statuses(connection, name)
        state = runs.source_state(connection, name)
    afresh = request.full or (state.wanted is not None and state.wanted != parts.policy.wanted_digest)
    groups: list[list[Delivery]] = []
    if afresh and (again := _since_newest_complete(found, statuses)):
        groups.append(again)
    cursor = state.applied_date
    for delivery in found:
        status = statuses.get((delivery.id, delivery.signature))
        if status in {"applied", "refused", "superseded"}:
            continue
        if cursor is not None and delivery.date <= cursor:
            if status is None:
                _refuse(parts, delivery, cursor, progress)
            continue
        groups.append([delivery])
    return groups


def _since_newest_complete(found: Sequence[Delivery], statuses: dict[tuple[str, str], str]) -> list[Delivery]:
    """The newest applied complete delivery whose files are still there, and the applied deltas after it."""
    applied = [each for each in found if statuses.get((each.id, each.signature)) == "applied"]
    newest = max((place for place, each in enumerate(applied) if each.complete), default=None)
    return applied[newest:] if newest is not None else []


def _refuse(parts: Parts, delivery: Delivery, cursor: dt.date, progress: _Progress) -> None:
    reason = Problem(
        Where(delivery.id),
        "order",
        f"is dated {delivery.date.isoformat()}, but {delivery.source} is applied up to {cursor.isoformat()}: going "
        "back in time would undo what came since. Remove it, or ask for a newer one",
    )
    with parts.database.transaction() as connection:
        runs.judged(connection, delivery, "refused", [reason], {}, parts.now())
    observed = float((cursor - delivery.date).days)
    hold = Hold(Guard.ORDER, delivery.source, observed, 0.0, delivery.source)
    progress.holds.append(hold)
    progress.reasons.append((hold, str(reason)))
    parts.tell(DeliveryJudged(delivery.source, delivery.id, "refused", (str(reason),)))


def _read(parts: Parts, delivery: Delivery, progress: _Progress, *, afresh: bool) -> bool:
    """Read, judge and merge one delivery; whether it was applied."""
    source = parts.sources[delivery.source].source
    try:
        if delivery.complete:
            afresh = afresh or _narrowed_otherwise(parts, delivery.source)
            reading = pull.read_complete(parts, delivery, afresh=afresh)
            judgement = judge.apply_complete(parts, delivery, reading)
            progress.kind = Kind.FULL
        else:
            reading = pull.read_delta(parts, delivery)
            judgement = judge.apply_delta(parts, delivery, reading)
    finally:
        source.done(delivery)
    progress.reads[delivery.source] = SourceRead(
        delivery.source, complete=delivery.complete and judgement.applied, delivery=delivery.id, read=reading.counts
    )
    if judgement.applied:
        progress.aside += judgement.aside
        if delivery.complete:
            # A complete delivery supersedes what was held before it (rule 2).
            progress.holds = [
                hold
                for hold in progress.holds
                if hold.source != delivery.source or hold.guard not in {Guard.COMPLETENESS, Guard.GAP}
            ]
    reasons = tuple(str(reason) for reason in judgement.reasons)
    if judgement.hold is not None:
        progress.holds.append(judgement.hold)
        progress.reasons += [(judgement.hold, reason) for reason in reasons]
    verdict = "applied" if judgement.applied else "held"
    parts.tell(DeliveryJudged(delivery.source, delivery.id, verdict, reasons))
    return judgement.applied


def _narrowed_otherwise(parts: Parts, source: str) -> bool:
    """Whether the snapshot was narrowed to other attributes than mappings read now."""
    with parts.database.reading() as connection:
        wanted = runs.source_state(connection, source).wanted
    return wanted is not None and wanted != parts.policy.wanted_digest


def _forget_outlived(parts: Parts, name: str) -> None:
    """Delivered files go some time after they were applied, once superseded."""
    source = parts.sources[name]
    with parts.database.reading() as connection:
        outlived = runs.outlived(connection, name, parts.now() - source.keep)
    if outlived:
        for delivery in source.source.deliveries(0.0):
            if (delivery.id, delivery.signature) in outlived:
                source.source.forget(delivery)


# -- targeted runs -----------------------------------------------------------------------------------------------------


def _target_some(
    parts: Parts, request: Request, writers: dict[str, PlanWriter], held: Lease, progress: _Progress
) -> None:
    """Compare some entries with what the target really holds of them, and push what differs."""
    ids = request.ids or ()
    for name, target in parts.targets.items():
        compare.adopt_drift(parts, name, target, ids)
    _compare_and_push(parts, request, writers, held, progress, Scope(ids=ids))


# -- steps 7 to 10: compare, plan, guard, push -------------------------------------------------------------------------


def _compare_and_push(
    parts: Parts, request: Request, writers: dict[str, PlanWriter], held: Lease, progress: _Progress, scope: Scope
) -> None:
    progress.passes += 1
    for name, writer in writers.items():
        if scope.ids is None:
            compare.prepare(parts, name)
        progress.aside += compare.compare(parts, writer, scope, f"{progress.run}/{progress.passes}")
        holds = _judge(parts, writer, progress)
        if request.plan_only:
            _keep_plan(parts, writer)
            continue
        target = parts.targets.get(name)
        if target is None:
            progress.unavailable.append(f"target {name} cannot be reached")
            continue
        if writer.plan is not None:
            try:
                pushed = push.push(parts, name, target, writer.plan, held)
            except UnavailableError as error:
                progress.unavailable.append(str(error))
                continue
            _add(progress.applied, pushed.applied)
            progress.failed += pushed.failed
            progress.stopped |= pushed.stopped
        _settle(parts, writer, scope, holds, progress)
        with parts.database.transaction() as connection:
            entries.forget_unheld(connection, name)


def _judge(parts: Parts, writer: PlanWriter, progress: _Progress) -> tuple[Hold, ...]:
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
            _tallies(counts, known), _schools(counts, by_school), parts.limits, parts.freezes, parts.now()
        )
        if holds:
            plans.hold(connection, writer.plan, holds)
            if not plans.waits(connection, writer.plan):
                holds = ()
    found: dict[Operation, int] = {}
    for each in counts:
        if each.kind is EntryKind.ACCOUNT:
            found[each.operation] = found.get(each.operation, 0) + each.count
    _add(progress.changes, found)
    parts.tell(PlanMade(writer.plan, name, found, sum(each.count for each in counts), holds))
    return holds


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


def _settle(parts: Parts, writer: PlanWriter, scope: Scope, holds: tuple[Hold, ...], progress: _Progress) -> None:
    """Say where the plan stands after the push. What is held keeps the name under which it waits already."""
    name, plan = writer.target, writer.plan
    with parts.database.transaction() as connection:
        waiting = plans.held(connection, name)
        if plan is not None and holds:
            digest = plans.held_digest(connection, plan)
            if waiting is not None and waiting.plan != plan and waiting.digest == digest:
                plans.drop_waiting(connection, plan, "overtaken", only="held")
                plans.settle(connection, plan, "applied", parts.now())
                plan = waiting.plan
            else:
                plans.settle(connection, plan, "held", parts.now(), digest=digest, holds=_documents(holds))
        elif plan is not None:
            plans.settle(connection, plan, "applied", parts.now())
        plans.overtake(connection, name, plan if holds else None, scope.ids, scope.sources)
    if holds and plan is not None:
        progress.holds += [hold for hold in holds if hold not in progress.holds]
        progress.reasons += [(each, _told(each, plan)) for each in holds]
        progress.plan = plan
    elif progress.plan is None:
        progress.plan = plan


def _documents(holds: Iterable[Hold]) -> list[dict[str, object]]:
    return [
        {"guard": each.guard.value, "scope": each.scope, "observed": each.observed, "limit": each.limit}
        for each in holds
    ]


def _told(hold: Hold, plan: str) -> str:
    """A hold in words, with what to type next."""
    return (
        f"{hold.guard} of {hold.scope}: {hold.observed:.1%} seen, {hold.limit:.1%} allowed. "
        f"Look: ent-sync plan show {plan} --by school. Then: ent-sync plan approve {plan}, or plan reject {plan}"
    )


def _keep_plan(parts: Parts, writer: PlanWriter) -> None:
    """A plan that is only shown: its changes are dropped from the outbox, the next run plans them again."""
    if writer.plan is not None:
        with parts.database.transaction() as connection:
            plans.drop_waiting(connection, writer.plan, "overtaken")
            plans.settle(connection, writer.plan, "planned", parts.now())


def _add(total: dict[Operation, int], more: dict[Operation, int]) -> None:
    for each, count in more.items():
        total[each] = total.get(each, 0) + count


# -- the end -----------------------------------------------------------------------------------------------------------


def _end(parts: Parts, progress: _Progress, outcome: Outcome | None) -> RunResult:
    if outcome is None:
        outcome = _outcome(progress)
    now = parts.now()
    with parts.database.transaction() as connection:
        unchanged = sum(
            count
            for name in parts.target_names
            for (_, population), count in entries.active(connection, name).items()
            if population is not Population.SCHOOL
        )
        touched = sum(progress.changes.get(each, 0) for each in (Operation.UPDATE, Operation.SUSPEND))
        result = RunResult(
            run=progress.run,
            kind=progress.kind,
            outcome=outcome,
            plan=progress.plan,
            sources=tuple(progress.reads.values()),
            changes=progress.changes,
            unchanged=max(unchanged - touched, 0),
            applied=progress.applied,
            failed=progress.failed,
            quarantined=progress.aside,
            held=tuple(progress.holds),
            reasons=(*(why for hold, why in progress.reasons if hold in progress.holds), *progress.unavailable),
            started=progress.started,
            seconds=(now - progress.started).total_seconds(),
        )
        runs.end(connection, result)
        if outcome in {Outcome.DONE, Outcome.PARTIAL}:
            for name in progress.reads:
                runs.succeeded(connection, name, now)
    parts.tell(RunEnded(result))
    return result


def _outcome(progress: _Progress) -> Outcome:
    if progress.stopped:
        return Outcome.STOPPED
    if progress.unavailable:
        return Outcome.FAILED
    if progress.holds:
        return Outcome.HELD
    if progress.aside or progress.failed:
        return Outcome.PARTIAL
    return Outcome.DONE


# -- plans of earlier runs ---------------------------------------------------------------------------------------------


def approve(parts: Parts, plan: plans.Plan, held: Lease) -> RunResult:
    """Apply the held part of a stored plan, exactly as stored; what moved since is refused and told."""
    progress = _Progress(held.run, parts.now(), Kind.DELTA)
    with parts.database.transaction() as connection:
        runs.end_dead(connection, held.run)
        runs.begin(connection, held.run, progress.kind.value, progress.started)
        plans.drop_waiting(connection, plan.plan, "pending", only="held")
    progress.plan = plan.plan
    for each in plans_counts(parts, plan.plan):
        if each.kind is EntryKind.ACCOUNT:
            progress.changes[each.operation] = progress.changes.get(each.operation, 0) + each.count
    target = parts.targets.get(plan.target)
    try:
        if target is None:
            raise UnavailableError(f"target {plan.target} cannot be reached")
        pushed = push.push(parts, plan.target, target, plan.plan, held, from_stored=True)
    except EntSyncError:
        with parts.database.transaction() as connection:
            plans.drop_waiting(connection, plan.plan, "held", only="pending")
        _end(parts, progress, Outcome.FAILED)
        raise
    progress.applied, progress.failed, progress.stopped = pushed.applied, pushed.failed, pushed.stopped
    with parts.database.transaction() as connection:
        plans.settle(connection, plan.plan, "applied", parts.now())
    return _end(parts, progress, None)


def plans_counts(parts: Parts, plan: str) -> list[plans.Count]:
    """What waits in a stored plan."""
    with parts.database.reading() as connection:
        return plans.count(connection, plan)


def take_lease(parts: Parts, run_id: str) -> Lease | None:
    """The lease for a run, if nobody else holds it (step 1)."""
    with parts.database.transaction() as connection:
        return lease.acquire(connection, run_id, parts.now())
