"""Step 10: what no guard holds goes to the target, batch by batch; each acknowledgement is stored as it comes.

One transaction commits the new state of a batch and the way back. If we die before it, the target holds something that
we do not know of, and the next run pushes the same again: pushes are idempotent, so nothing is lost or doubled.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import Enum, auto

import sqlalchemy as sa
import tenacity

from ent_sync.core.entry import EntryId, EntryKind, Lifecycle, flatten
from ent_sync.core.errors import UnavailableError
from ent_sync.core.event import BatchPushed
from ent_sync.core.fingerprint import fingerprint, suspended_fingerprint
from ent_sync.core.plan import Change, Delete, Operation, RetentionOver, Undone, kind, operation
from ent_sync.ports import Acknowledged, Held, PushOutcome, Refused, Target, Unanswered
from ent_sync.store import entries, hands, lease, measures, plans
from ent_sync.store.lease import Lease
from ent_sync.store.plans import Pending
from ent_sync.sync.heartbeat import give_way
from ent_sync.sync.parts import Parts

BATCH = 1000
UNDER_WAY = 2 * BATCH  # changes of which a run that dies may leave it unknown whether they were made
_ATTEMPTS = 4
_LONGEST_PAUSE = 20.0
_MOVED = Refused(EntryId(""), "state-moved", "the entry changed since the plan was made; the next run plans it again")


@dataclass(slots=True)
class Pushed:
    """How a push went. Only accounts are counted as applied (contract, rule 6)."""

    applied: dict[Operation, int] = field(default_factory=dict)
    failed: int = 0
    stopped: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class _Ready:
    """A pending change, opened."""

    pending: Pending
    change: Change


def push(
    parts: Parts,
    name: str,
    target: Target,
    plan: str,
    held: Lease,
    *,
    from_stored: bool = False,
    undoing: bool = False,
    patient: bool = True,
    pushed: Pushed | None = None,
) -> Pushed:
    """Push all that is pending of a plan, in dependency order; stops before the next batch when asked to.

    With `from_stored`, the plan was made by an earlier run: a change whose entry has moved since is refused. A plan
    that is `undoing` a run goes on where sources want something else, for they do. Without patience, a target that does
    not answer is not asked again. `pushed` is counted into: an error loses no count.

    Raises:
        UnavailableError: the target did not answer, in several attempts; what it acknowledged before is stored.
        LeaseLostError: another run took over; nothing of the last batch is stored.
    """

    def moved(ready: Sequence[_Ready]) -> frozenset[int]:
        return _moved(parts, name, ready, wanted=not undoing) if from_stored else frozenset()

    attempts = _ATTEMPTS if patient else 1
    pushed = pushed or Pushed()
    batch = _next(parts, name, plan, None)
    pushed.stopped = parts.stopping() or (bool(batch) and _asked(parts, name, held) is _Asked.STOP)
    if pushed.stopped:
        return pushed
    # While the target works on a batch, the one before it is stored and the one behind it opened: most of each is
    # waiting for a disk or for a server.
    with (
        _retries_counted(parts, name) as again,
        ThreadPoolExecutor(max_workers=1, thread_name_prefix="push") as pushing,
    ):
        under_way = pushing.submit(_offer, parts, target, batch, moved(batch), attempts, again)
        while batch:
            following = _next(parts, name, plan, batch[-1].pending)
            decided = under_way.result()
            asked = _asked(parts, name, held)
            if asked is _Asked.STOP:
                pushed.stopped, following = bool(following), []
            if following and asked is not _Asked.WAY:
                under_way = pushing.submit(_offer, parts, target, following, moved(following), attempts, again)
            _store(parts, name, plan, held, decided)
            _count(pushed, decided)
            acknowledged = sum(isinstance(outcome, Acknowledged) for _, outcome in decided)
            parts.tell(BatchPushed(name, acknowledged, len(decided) - acknowledged))
            if following and asked is _Asked.WAY:
                if not give_way(parts, held):
                    pushed.stopped = True
                    return pushed
                with parts.database.transaction() as connection:
                    plans.drop_moved(connection, plan)
                if following := _next(parts, name, plan, batch[-1].pending):
                    under_way = pushing.submit(_offer, parts, target, following, moved(following), attempts, again)
            batch = following
    return pushed


class _Asked(Enum):
    """What hands ask of a push before its next batch."""

    STOP = auto()
    WAY = auto()


def _asked(parts: Parts, name: str, held: Lease) -> _Asked | None:
    with parts.database.reading() as connection:
        if parts.stopping() or hands.stop_asked(connection, held.run) or hands.paused_since(connection, name):
            return _Asked.STOP
        return _Asked.WAY if parts.gives_way and hands.wanted(connection, parts.now()) else None


def _next(parts: Parts, name: str, plan: str, after: Pending | None) -> list[_Ready]:
    with parts.database.reading() as connection:
        place = (after.rank, after.seq) if after else (-1, -1)
        waiting = plans.pending(connection, plan, name, BATCH, place)
    return [_open(parts, name, each) for each in waiting]


def _offer(
    parts: Parts, target: Target, ready: Sequence[_Ready], moved: frozenset[int], attempts: int, again: list[int]
) -> list[tuple[_Ready, PushOutcome]]:
    """Push a batch and say how each change ended; one whose entry moved is not pushed."""
    going = [each for each in ready if each.pending.seq not in moved]
    outcomes = _attempt(parts, target, [each.change for each in going], attempts, again)
    outcomes = [_answered(parts, target, each, outcome) for each, outcome in zip(going, outcomes, strict=True)]
    decided = [*zip(going, outcomes, strict=True)]
    return decided + [(each, _MOVED) for each in ready if each.pending.seq in moved]


def _open(parts: Parts, name: str, pending: Pending) -> _Ready:
    return _Ready(pending, opened(parts, name, pending))


def opened(parts: Parts, name: str, pending: Pending) -> Change:
    """The change that waits."""
    return plans.unpack(parts.seal.open(pending.sealed, plans.sealing_context(name, pending.entry_id)))


def _moved(parts: Parts, name: str, ready: Sequence[_Ready], *, wanted: bool) -> frozenset[int]:
    """The changes whose entry is not any more what it was when the plan was made, or not `wanted` any more."""
    with parts.database.reading() as connection:
        known = entries.load(connection, name, [each.pending.entry_id for each in ready])
    moved: set[int] = set()
    for each in ready:
        now = known.get(each.pending.entry_id)
        base = now.acknowledged if now else None
        desired = now.desired if now else None
        otherwise = wanted and desired != each.pending.fingerprint and not _without_way_back(each.change)
        if base != each.pending.base or otherwise:
            moved.add(each.pending.seq)
    return frozenset(moved)


def _attempt(
    parts: Parts, target: Target, changes: Sequence[Change], attempts: int, again: list[int]
) -> list[PushOutcome]:
    """Push a batch; a target that cannot be reached is asked again, with growing pauses that a stop cuts short."""
    if not changes:
        return []
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(UnavailableError),
        stop=tenacity.stop_after_attempt(attempts),
        wait=tenacity.wait_random_exponential(multiplier=0.5, max=_LONGEST_PAUSE),
        before_sleep=lambda state: again.append(state.attempt_number),
        sleep=lambda seconds: None if parts.stopping() else _pause(seconds),
        reraise=True,
    )
    return retrying(lambda: list(target.push(changes)))


@contextlib.contextmanager
def _retries_counted(parts: Parts, name: str) -> Iterator[list[int]]:
    """Takes down each batch that is offered once more, and counts them in the end, however the push ends."""
    again: list[int] = []
    try:
        yield again
    finally:
        if again:
            with parts.database.transaction() as connection:
                measures.count(connection, "retries", (name,), len(again))


def _pause(seconds: float) -> None:
    threading.Event().wait(seconds)


def _answered(parts: Parts, target: Target, ready: _Ready, outcome: PushOutcome) -> PushOutcome:
    """A change that nobody answered for is looked up: either it is there, or the next run tries again."""
    if not isinstance(outcome, Unanswered):
        return outcome
    if found(parts, next(iter(target.read_back([outcome.id])), None)) == ready.pending.fingerprint:
        return Acknowledged(outcome.id, None)
    return Refused(outcome.id, "unanswered", "the target did not answer, and does not hold the change")


def found(parts: Parts, there: Held | None) -> bytes | None:
    """The fingerprint of what a target holds of an entry; None for nothing."""
    if there is None:
        return None
    if there.lifecycle is Lifecycle.SUSPENDED:
        return suspended_fingerprint(parts.keys, there.entry.id)
    return fingerprint(parts.keys, there.entry)


def _store(parts: Parts, name: str, plan: str, held: Lease, decided: Sequence[tuple[_Ready, PushOutcome]]) -> None:
    """State, journal and lease in one transaction."""
    now = parts.now()
    places, images, refused = [], [], []
    gone: list[tuple[EntryId, Change]] = []
    for ready, outcome in decided:
        place, entry_id = ready.pending.seq, ready.pending.entry_id
        match outcome:
            case Acknowledged():
                places.append(place)
                if isinstance(ready.change, Delete):
                    gone.append((entry_id, ready.change))
                if outcome.before is not None and not _without_way_back(ready.change):
                    image = [outcome.before.lifecycle.value, flatten(outcome.before.entry)]
                    images.append((place, parts.seal.close(image, plans.sealing_context(name, entry_id))))
            case Refused():
                refused.append((place, outcome.rule, outcome.message))
            case Unanswered():
                refused.append((place, "unanswered", "nobody knows whether it was made"))
    with parts.database.transaction() as connection:
        lease.renew(connection, held, now)
        plans.acknowledge(connection, plan, places, now, held.run)
        plans.keep_before(connection, plan, images)
        plans.refuse(connection, plan, refused, now)
        measures.count_acknowledged(connection, plan, places, now)
        measures.count_refused(connection, plan, [place for place, *_ in refused])
        entries.confirm(connection, plan, places, now)
        confirm_gone(connection, name, gone, now)


def confirm_gone(
    connection: sa.Connection, name: str, gone: Sequence[tuple[EntryId, Change]], now: dt.datetime
) -> None:
    """Store that the target holds these no more. What an undoing took away is still wanted: the next compare tells."""
    undone: list[EntryId] = []
    ended: list[EntryId] = []
    for id_, change in gone:
        taken_back = isinstance(change, Delete) and isinstance(change.because, Undone)
        (undone if taken_back else ended).append(id_)
    entries.disown(connection, name, undone)
    entries.confirm_gone(connection, name, ended, now)


def _without_way_back(change: Change) -> bool:
    """What the law's clock deletes leaves no way back (gdpr.md R34)."""
    return isinstance(change, Delete) and isinstance(change.because, RetentionOver)


def _count(pushed: Pushed, decided: Sequence[tuple[_Ready, PushOutcome]]) -> None:
    for ready, outcome in decided:
        if not isinstance(outcome, Acknowledged):
            pushed.failed += 1
        elif kind(ready.change) is EntryKind.ACCOUNT:
            done = operation(ready.change)
            pushed.applied[done] = pushed.applied.get(done, 0) + 1
