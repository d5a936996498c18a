"""The ten steps of a run, in order. Every kind of run is this one, with another beginning (architecture §3).

Reads and judges what the sources delivered, maps and compares what that touched, plans, lets the guards look, and
pushes what they allow. The decisions are made elsewhere, in pure functions; this is the order in which they are asked.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ent_sync.core.completeness import Delivery
from ent_sync.core.entry import EntryId
from ent_sync.core.errors import EntSyncError, Problem, UnavailableError, Where
from ent_sync.core.event import CursorLost, DeliveryJudged, RunBegan
from ent_sync.core.guard import Guard, Hold
from ent_sync.core.record import Key
from ent_sync.core.run import Kind, Outcome, RunResult, SourceRead
from ent_sync.ports import StaleCursorError
from ent_sync.store import circuit, entries, runs
from ent_sync.store.lease import Lease
from ent_sync.sync import compare, hold, judge, pull, push, salvage
from ent_sync.sync.compare import PlanWriter, Scope
from ent_sync.sync.engine import StoppedError
from ent_sync.sync.parts import Parts
from ent_sync.sync.progress import Progress, active_accounts, add_counts, end


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a run is asked to do.

    `sources` None stands for all. `full` reads the newest complete delivery of each again. `ids` make it a targeted
    run: no delivery is read, and these entries are compared with what the target really holds; directories that can be
    asked live are asked for the records of those entries, and of `keys`, first. `targeted` reads nothing either, and
    compares the sources from their snapshots.
    """

    sources: tuple[str, ...] | None = None
    full: bool = False
    plan_only: bool = False
    settled_for: float = 0.0
    ids: tuple[EntryId, ...] | None = None
    keys: tuple[Key, ...] = ()
    targeted: bool = False


def run(parts: Parts, request: Request, held: Lease) -> RunResult:
    """One pass of the spine, under a lease that the caller got (step 1).

    Raises:
        UnavailableError: a source or a target could not be reached; what could be done without it is done.
    """
    progress = Progress(
        held.run, parts.now(), Kind.TARGETED if request.ids is not None or request.targeted else Kind.DELTA
    )
    salvage.take_over(parts, held)
    with parts.database.transaction() as connection:
        runs.begin(connection, held.run, progress.kind.value, progress.started)
        progress.known = len(request.ids) if request.ids is not None else active_accounts(parts, request.sources)
    parts.tell(RunBegan(held.run, progress.kind))
    writers = {name: PlanWriter(parts, name, held) for name in parts.target_names}
    try:
        if request.ids is not None:
            _target_some(parts, request, writers, held, progress)
        elif request.targeted:
            progress.reads = {name: SourceRead(name, complete=False, delivery=None) for name in request.sources or ()}
            compare.prepare(parts)
            _compare_and_push(parts, request, writers, held, progress, Scope(sources=request.sources))
        else:
            compare.prepare(parts)
            _follow_sources(parts, request, writers, held, progress)
    except StoppedError:
        progress.stopped = True
    except EntSyncError:
        end(parts, progress, Outcome.FAILED)
        raise
    result = end(parts, progress)
    if progress.unavailable:
        raise UnavailableError("; ".join(progress.unavailable))
    return result


# -- steps 2 to 6: what the sources say --------------------------------------------------------------------------------


def _follow_sources(
    parts: Parts, request: Request, writers: dict[str, PlanWriter], held: Lease, progress: Progress
) -> None:
    """Take all that is new at each source, oldest first, and push after each; then compare what had nothing new."""
    names = [name for name in parts.sources if request.sources is None or name in request.sources]
    compared = False
    for name in names:
        progress.reads[name] = SourceRead(name, complete=False, delivery=None)
        try:
            found = parts.sources[name].source.deliveries(request.settled_for, _cursor(parts, name, request))
        except UnavailableError as error:
            progress.unavailable.append(str(error))
            continue
        for group in _groups(parts, name, found, request, progress):
            if parts.stopping():
                progress.stopped = True
                return
            applied = [_taken(parts, delivery, held, progress, request) for delivery in group]
            if any(applied):
                _compare_and_push(parts, request, writers, held, progress, Scope(sources=request.sources))
                compared = True
        if not any(each.live for each in found):
            _forget_outlived(parts, name)
    if not compared and len(progress.unavailable) < max(len(names), 1):
        _compare_and_push(parts, request, writers, held, progress, Scope(sources=request.sources))


def _cursor(parts: Parts, name: str, request: Request) -> str | None:
    """Where a directory's next delta begins; None where all that it holds is to be read."""
    if request.full or _narrowed_otherwise(parts, name):
        return None
    with parts.database.reading() as connection:
        return runs.source_state(connection, name).cursor


def _groups(
    parts: Parts, name: str, found: Sequence[Delivery], request: Request, progress: Progress
) -> Iterator[list[Delivery]]:
    """The deliveries to read, in groups that are compared as one; what comes out of order is refused (rule 3).

    Whoever reads a group moves the cursor, so it is asked for each.
    """
    if found and found[0].live:
        yield list(found)
        return
    with parts.database.reading() as connection:
        statuses = runs.delivery_statuses(connection, name)
        since = runs.since_newest_complete(connection, name)
    afresh = request.full or _narrowed_otherwise(parts, name)
    if again := _to_read_again(found, statuses, since if afresh else set()):
        yield again
    for delivery in found:
        status = statuses.get((delivery.id, delivery.signature))
        if status in {"applied", "again", "refused", "superseded"}:
            continue
        with parts.database.reading() as connection:
            cursor = runs.source_state(connection, name).applied_date
        if cursor is None or delivery.date > cursor:
            yield [delivery]
        elif status is None:
            _refuse(parts, delivery, cursor, progress)


def _to_read_again(
    found: Sequence[Delivery], statuses: dict[tuple[str, str], str], since: set[tuple[str, str]]
) -> list[Delivery]:
    """The newest complete delivery and the deltas after it, all of them or nothing: without one it would go back.

    Else the deltas that a run did not come to any more after it read their complete delivery again.
    """
    again = [each for each in found if (each.id, each.signature) in since]
    if since and len(again) == len(since):
        return again
    return [each for each in found if statuses.get((each.id, each.signature)) == "again"]


def _refuse(parts: Parts, delivery: Delivery, cursor: dt.date, progress: Progress) -> None:
    reason = Problem(
        Where(delivery.id),
        "order",
        f"is dated {delivery.date.isoformat()}, but {delivery.source} is applied up to {cursor.isoformat()}: going "
        "back in time would undo what came since. Remove it, or ask for a newer one",
    )
    with parts.database.transaction() as connection:
        runs.judged(connection, delivery, "refused", [reason], {}, parts.now(), Guard.ORDER.value)
    observed = float((cursor - delivery.date).days)
    hold = Hold(Guard.ORDER, delivery.source, observed, 0.0, delivery.source)
    progress.holds.append(hold)
    progress.reasons.append((hold, str(reason)))
    parts.tell(DeliveryJudged(delivery.source, delivery.id, "refused", (str(reason),)))


def _taken(parts: Parts, delivery: Delivery, held: Lease, progress: Progress, request: Request) -> bool:
    """Read a delivery; where a directory does not know any more what changed, all that it holds."""
    try:
        return _read(parts, delivery, held, progress, afresh=request.full)
    except StaleCursorError:
        source = parts.sources[delivery.source].source
        parts.tell(CursorLost(delivery.source))
        whole = source.deliveries(request.settled_for)
        applied = [_read(parts, each, held, progress, afresh=request.full) for each in whole]
        return any(applied)


def _read(parts: Parts, delivery: Delivery, held: Lease, progress: Progress, *, afresh: bool) -> bool:
    """Read, judge and merge one delivery; whether it was applied."""
    source = parts.sources[delivery.source].source
    try:
        if delivery.complete:
            afresh = afresh or _narrowed_otherwise(parts, delivery.source)
            reading = pull.read_complete(parts, delivery, afresh=afresh)
            judgement = judge.apply_complete(parts, delivery, reading, held)
            progress.kind = Kind.FULL
        else:
            reading = pull.read_delta(parts, delivery)
            apply = judge.apply_answer if delivery.live else judge.apply_delta
            judgement = apply(parts, delivery, reading, held)
    finally:
        source.done(delivery)
    progress.reads[delivery.source] = SourceRead(
        delivery.source, complete=delivery.complete and judgement.applied, delivery=delivery.id, read=reading.counts
    )
    if judgement.applied:
        progress.aside += judgement.aside
        if delivery.complete or delivery.live:
            # A complete delivery supersedes what was held before it (rule 2), an answer what was answered before.
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
    parts: Parts, request: Request, writers: dict[str, PlanWriter], held: Lease, progress: Progress
) -> None:
    """Compare some entries with what the target really holds of them, and push what differs."""
    _ask_live(parts, request, held, progress)
    ids = request.ids or ()
    if request.keys:
        with parts.database.reading() as connection:
            ids = tuple({*ids, *(found for key in request.keys for found in entries.find(connection, key))})
    for name, target in parts.targets.items():
        compare.adopt_drift(parts, name, target, ids)
    _compare_and_push(parts, request, writers, held, progress, Scope(ids=ids))


def _ask_live(parts: Parts, request: Request, held: Lease, progress: Progress) -> None:
    """What directories that can be asked hold of these records now; whom they do not hold is not absent for that.

    A directory that does not answer is told, and its snapshot speaks for it.
    """
    with parts.database.reading() as connection:
        keys = entries.keys_of(connection, request.ids or ())
    for name, source in parts.sources.items():
        asked = keys.get(name, set()) | {key for key in request.keys if key.startswith(f"{source.academy}$")}
        if not asked:
            continue
        try:
            delivery = source.source.lookup(sorted(asked))
        except UnavailableError as error:
            progress.unavailable.append(str(error))
            continue
        if delivery is not None:
            progress.reads[name] = SourceRead(name, complete=False, delivery=None)
            _read(parts, delivery, held, progress, afresh=True)


# -- steps 7 to 10: compare, plan, guard, push -------------------------------------------------------------------------


def _compare_and_push(
    parts: Parts, request: Request, writers: dict[str, PlanWriter], held: Lease, progress: Progress, scope: Scope
) -> None:
    progress.passes += 1
    judged = []
    for name, writer in writers.items():
        if name in progress.silent:
            continue
        hold.begin_again(parts, writer, progress)
        progress.aside += compare.compare(parts, writer, scope, f"{progress.run}/{progress.passes}")
        holds = hold.stop(parts, writer, progress)
        if request.plan_only:
            hold.show(parts, writer, holds, progress)
        else:
            judged.append((writer, holds))
    # One that does not answer delays only itself: it is asked again, with patience, when all others have been pushed.
    slow = [each for each in judged if not _pushed(parts, *each, scope, held, progress, patient=len(judged) == 1)]
    for each in slow:
        if each[0].target not in progress.silent:
            _pushed(parts, *each, scope, held, progress, patient=True)


def _pushed(
    parts: Parts,
    writer: PlanWriter,
    holds: tuple[Hold, ...],
    scope: Scope,
    held: Lease,
    progress: Progress,
    *,
    patient: bool,
) -> bool:
    """Push what no guard holds of a plan; False where the target did not answer."""
    name = writer.target
    target = parts.targets.get(name)
    if target is None:
        _silent(parts, name, parts.unreachable[name], progress)
        return False
    if writer.plan is not None:
        pushed = push.Pushed()
        with parts.database.reading() as connection:
            broken = circuit.open_since(connection, name) is not None
        try:
            parts.engine.rest()
            push.push(parts, name, target, writer.plan, held, patient=patient and not broken, pushed=pushed)
        except UnavailableError as error:
            if patient:
                _silent(parts, name, str(error), progress)
            return False
        finally:
            add_counts(progress.applied, pushed.applied)
            progress.failed += pushed.failed
            progress.stopped |= pushed.stopped
    if held.away:
        return True  # asked to stop while others had the lease: what is left is the next run's
    hold.settle(parts, writer, scope, holds, progress)
    with parts.database.transaction() as connection:
        entries.forget_unheld(connection, name)
        if writer.plan is not None:
            circuit.closed(connection, name)
    return True


def _silent(parts: Parts, name: str, why: str, progress: Progress) -> None:
    """A target did not answer: this run leaves it alone, and the next ones ask it once."""
    progress.unavailable.append(why)
    progress.silent.add(name)
    with parts.database.transaction() as connection:
        circuit.opened(connection, name, parts.now())
