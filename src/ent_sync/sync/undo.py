"""What a run changed at the targets becomes again what it was: another plan, under the same guards.

The way back comes from the journal, not from the sources: they still say what they said, so the next compare would do
the same again, and what a target acknowledged is no more what is wanted of it. An entry that moved since is left alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from ent_sync.core.entry import KEPT_WHEN_SUSPENDED, Account, Entry, EntryId, Lifecycle, unflatten
from ent_sync.core.errors import BusyError, EntSyncError, UnavailableError
from ent_sync.core.event import RunBegan
from ent_sync.core.fingerprint import part_fingerprints, suspended_fingerprint, whole_fingerprint
from ent_sync.core.plan import Change, Create, Delete, Operation, Restore, Suspend, Undone, Update, changed_parts
from ent_sync.core.record import Population
from ent_sync.core.run import Kind, Outcome, RunResult
from ent_sync.ports import Held
from ent_sync.store import entries, hands, journal, lease, measures, plans, runs
from ent_sync.store.entries import Known
from ent_sync.store.journal import Made
from ent_sync.store.lease import Lease
from ent_sync.store.plans import NewChange
from ent_sync.sync import hold, push, salvage
from ent_sync.sync.compare import PlanWriter, Scope
from ent_sync.sync.engine import StoppedError
from ent_sync.sync.map import new_change, part_fingerprints_of, schools_of
from ent_sync.sync.parts import Parts
from ent_sync.sync.progress import Progress, active_accounts, add_counts, end

_PAGE = 500
MOVED, NO_WAY_BACK, NO_REASON = "state-moved", "no-way-back", "no-reason"
NOT_RELEASED, STILL_NEEDED = "not-released", "still-needed"
_TOLD = {
    MOVED: "changed again since that run, and left as it is now",
    NO_WAY_BACK: "no way back: deleted by the register's clock, or what was there before is not kept any more",
    NO_REASON: "restored by that run, and nothing tells any more why it had been suspended",
    NOT_RELEASED: "the register does not let it go to the target any more",
    STILL_NEEDED: "accounts that are not undone are in it",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Which run to undo; `only` what it did in one way, and with `plan_only` nothing is done yet."""

    run: str
    only: Operation | None = None
    plan_only: bool = False


def undo(parts: Parts, request: Request, held: Lease) -> RunResult:
    """Plan the way back from all that a run changed, and push what no guard holds of it.

    Raises:
        BusyError: the run to undo gave way to this one, and goes on after it.
        UnavailableError: a target could not be reached; what could be done without it is done.
    """
    salvage.take_over(parts, held)
    with parts.database.transaction() as connection:
        if request.run in hands.away(connection, parts.now()):
            raise BusyError(f"run {request.run} gave way and goes on: end it first, with ent-sync stop")
        progress = Progress(held.run, parts.now(), Kind.UNDO, known=active_accounts(parts, None))
        runs.begin(connection, held.run, progress.kind.value, progress.started)
        changed = journal.plans_of(connection, request.run)
        undone = (runs.get(connection, request.run) or {}).get("kind") == Kind.UNDO
    parts.tell(RunBegan(held.run, progress.kind))
    left: Counter[str] = Counter()
    try:
        for name in dict.fromkeys(target for _, target in changed):
            mine = [plan for plan, target in changed if target == name]
            if name in parts.target_names:
                left += _Undoing(parts, name, request, held).plan(mine, progress)
            else:
                progress.notes.append(f"target {name} is not configured any more: nothing of it was undone")
    except StoppedError:
        progress.stopped = True
    except EntSyncError:
        end(parts, progress, Outcome.FAILED)
        raise
    # Whatever is deleted here was active; `unchanged` takes only updates and suspensions off.
    progress.known -= progress.changes.get(Operation.DELETE, 0)
    progress.failed += left.total()
    progress.notes += [f"{count:,} not undone ({rule}): {_TOLD[rule]}" for rule, count in sorted(left.items())]
    if progress.changes and not undone:
        progress.notes.append(
            f"the sources still say what run {request.run} did: the next sync does it again. Before it: correct the "
            "source or the mapping, or ent-sync pause"
        )
    result = end(parts, progress)
    if progress.unavailable:
        raise UnavailableError("; ".join(progress.unavailable))
    return result


class _Undoing:
    """The way back at one target."""

    def __init__(self, parts: Parts, target: str, request: Request, held: Lease) -> None:
        self._parts = parts
        self._target = target
        self._request = request
        self._lease = held
        self._writer = PlanWriter(parts, target, held)
        self._left: Counter[str] = Counter()

    def plan(self, changed: Sequence[str], progress: Progress) -> Counter[str]:
        """Plan all of it, let the guards look, and push what they allow; what is left as it is, counted by why."""
        for plan in changed:
            for batch in self._batches(plan):
                self._write_down(batch)
        self._keep_needed()
        holds = hold.stop(self._parts, self._writer, progress)
        if self._writer.plan is None:
            return self._left
        if self._request.plan_only:
            hold.show(self._parts, self._writer, holds, progress)
        elif self._pushed(self._writer.plan, progress):
            hold.settle(self._parts, self._writer, Scope(ids=()), holds, progress)
        return self._left

    def _pushed(self, plan: str, progress: Progress) -> bool:
        parts, name = self._parts, self._target
        target = parts.targets.get(name)
        if target is None:
            progress.unavailable.append(parts.unreachable[name])
            return False
        pushed = push.Pushed()
        try:
            push.push(parts, name, target, plan, self._lease, undoing=True, pushed=pushed)
        except UnavailableError as error:
            progress.unavailable.append(str(error))
            return False
        finally:
            add_counts(progress.applied, pushed.applied)
            progress.failed += pushed.failed
            progress.stopped |= pushed.stopped
        with parts.database.transaction() as connection:
            plans.drop_waiting(connection, plan, "overtaken", only="pending")
        return True

    # -- what the run did

    def _batches(self, plan: str) -> Iterator[list[_Net]]:
        """What the run did to each entry, all its passes taken together."""
        run = self._request.run
        with self._parts.database.reading() as connection:
            several = journal.several(connection, plan, run)
        after = -1
        while True:
            if self._parts.stopping():
                raise StoppedError("stopped before anything of this target was undone")
            with self._parts.database.reading() as connection:
                page = journal.made(connection, plan, run, after, _PAGE)
                again = [each.entry_id for each in page if each.entry_id in several]
                whole = journal.made_of(connection, plan, run, list(dict.fromkeys(again)))
            if not page:
                return
            after = page[-1].seq
            # An entry of several changes is looked at where the last of them stands.
            last = {id_: rows[-1].seq for id_, rows in whole.items()}
            rows = [each for each in page if last.get(each.entry_id, each.seq) == each.seq]
            nets = [_net(whole.get(each.entry_id, [each])) for each in rows]
            yield [each for each in nets if each is not None and self._asked(each)]

    def _asked(self, net: _Net) -> bool:
        """Whether it is to be undone. What went with others, such as their group, comes back before they do."""
        only = self._request.only
        if only is None or net.operation is only:
            return True
        emptied = net.operation is Operation.DELETE and net.last.population in {None, Population.SCHOOL}
        return emptied and only in {Operation.UPDATE, Operation.SUSPEND}

    # -- the way back

    def _write_down(self, batch: Sequence[_Net]) -> None:
        parts, name = self._parts, self._target
        ids = [each.last.entry_id for each in batch]
        with parts.database.reading() as connection:
            known = entries.load(connection, name, ids)
            reasons = _reasons(connection, name, [each.first for each in batch if each.operation is Operation.RESTORE])
        going: list[NewChange] = []
        moved: list[NewChange] = []
        missing: list[Known] = []
        for each in batch:
            now = known.get(each.last.entry_id) or _unknown(each.last)
            back = self._back(each, now, reasons.get(each.last.entry_id))
            if isinstance(back, str):
                self._left[back] += 1
                continue
            planned = self._new(now, back)
            if planned.fingerprint == now.acknowledged and planned.lifecycle == now.lifecycle:
                continue  # it is already what it was
            if (now.acknowledged, now.lifecycle) != (each.last.left, each.last.lifecycle):
                moved.append(planned)
                continue
            going.append(planned)
            if each.last.entry_id not in known:
                missing.append(now)
        self._left[MOVED] += len(moved)
        with parts.database.transaction() as connection:
            now_ = parts.now()
            lease.renew(connection, self._lease, now_)
            journal.expect(connection, name, missing)
            self._writer.add(going)
            first = self._writer.add(moved)
            if self._writer.plan is not None:
                places = range(first, first + len(moved))
                message = _TOLD[MOVED]
                plans.refuse(connection, self._writer.plan, [(place, MOVED, message) for place in places], now_)
                measures.count_refused(connection, self._writer.plan, places)

    def _keep_needed(self) -> None:
        if (plan := self._writer.plan) is not None:
            why = (STILL_NEEDED, _TOLD[STILL_NEEDED])
            with self._parts.database.transaction() as connection:
                self._left[STILL_NEEDED] += journal.keep_needed(connection, plan, self._target, why, self._parts.now())

    def _back(self, net: _Net, now: Known, reason: bytes | None) -> Change | str:
        """The change that leads back, or the rule by which there is none."""
        before = self._opened(net.first)
        entry: Entry | None = before.entry if before is not None and before.lifecycle is Lifecycle.ACTIVE else None
        if entry is not None and push.found(self._parts, before) == net.last.left:
            entry = None  # pushed twice, by a run that died and the next one: what was there before is lost
        if net.operation is Operation.RESTORE:
            return self._suspend(net.last, reason)
        if entry is None:
            created = net.operation is Operation.CREATE
            return Delete(now.id, now.kind, Undone(self._request.run)) if created else NO_WAY_BACK
        if isinstance(entry, Account):
            # The register may have become stricter since it was like this.
            entry = self._parts.policy.narrowed(self._target, entry, self._parts.today)
        return NOT_RELEASED if entry is None else self._again(net, now, entry)

    def _again(self, net: _Net, now: Known, entry: Entry) -> Change:
        """What makes an entry active as it was, from where the run left it."""
        if net.operation is Operation.DELETE:
            return Create(entry)
        if net.operation is Operation.SUSPEND and isinstance(entry, Account):
            return Restore(entry)
        return Update(entry, changed_parts(part_fingerprints_of(now), part_fingerprints(self._parts.keys, entry)))

    def _opened(self, made: Made) -> Held | None:
        """What the target held before a change."""
        if made.before is None:
            return None
        match self._parts.seal.open(made.before, plans.sealing_context(self._target, made.entry_id)):
            case [str(lifecycle), list(entry)]:
                return Held(unflatten(entry), Lifecycle(lifecycle))
            case _:
                raise ValueError("not a before-image")

    def _suspend(self, made: Made, reason: bytes | None) -> Change | str:
        """Suspended again for the reason for which it had been: the journal still holds it."""
        if reason is None or made.population is None:
            return NO_REASON
        earlier = plans.unpack(self._parts.seal.open(reason, plans.sealing_context(self._target, made.entry_id)))
        if not isinstance(earlier, Suspend):
            return NO_REASON
        return Suspend(made.entry_id, made.population, KEPT_WHEN_SUSPENDED, earlier.because)

    def _new(self, now: Known, change: Change) -> NewChange:
        keys = self._parts.keys
        fingerprints: dict[str, bytes] = {}
        desired: bytes | None = None
        names: tuple[str, ...] = ()
        uais = now.uais
        match change:
            case Create() | Update() | Restore():
                fingerprints = part_fingerprints(keys, change.entry)
                desired = whole_fingerprint(keys, now.id, fingerprints)
                uais = schools_of(change.entry)
                names = change.parts if isinstance(change, Update) else _changed_key(now, change.entry)
            case Suspend():
                kept = {"source_key", *KEPT_WHEN_SUSPENDED}
                fingerprints = {name: each for name, each in part_fingerprints_of(now).items() if name in kept}
                desired = suspended_fingerprint(keys, now.id)
                names = ("Undone",)
            case Delete():
                names = ("Undone",)
        return new_change(self._parts, self._target, now, change, now.source, uais, names, fingerprints, desired)


def _reasons(connection: sa.Connection, target: str, restored: Sequence[Made]) -> dict[EntryId, bytes]:
    """Why these had been suspended before they were restored, sealed."""
    if not restored:
        return {}
    begun = min(each.decided for each in restored)
    return journal.last_suspensions(connection, target, [each.entry_id for each in restored], begun)


def _changed_key(now: Known, entry: Entry) -> tuple[str, ...]:
    changed = now.lifecycle is Lifecycle.SUSPENDED and isinstance(entry, Account) and now.source_key != entry.source_key
    return ("source_key",) if changed else ()


@dataclass(frozen=True, slots=True)
class _Net:
    """What a run did to an entry in sum: the `first` change knows what was before, the `last` what it left."""

    operation: Operation
    first: Made
    last: Made


def _net(made: Sequence[Made]) -> _Net | None:
    """The sum of a run's changes of one entry; None where it is nothing."""
    first, last = made[0], made[-1]
    created = first.operation is Operation.CREATE
    was_suspended = first.operation is Operation.RESTORE
    if last.lifecycle is None:
        return None if created else _Net(Operation.DELETE, first, last)
    if created:
        return _Net(Operation.CREATE, first, last)
    suspended = last.lifecycle is Lifecycle.SUSPENDED
    if was_suspended and suspended:
        return None
    operation = Operation.RESTORE if was_suspended else Operation.SUSPEND if suspended else Operation.UPDATE
    return _Net(operation, first, last)


def _unknown(made: Made) -> Known:
    """An entry of which nothing is stored any more."""
    return Known(
        id=made.entry_id,
        kind=made.kind,
        population=made.population,
        source=made.source,
        desired=None,
        lifecycle=None,
        acknowledged=None,
        parts=None,
        source_key=None,
        uais=made.uais,
    )
