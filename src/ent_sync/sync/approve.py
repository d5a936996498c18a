"""The held part of a stored plan is applied as it is stored, once somebody approved it."""

from __future__ import annotations

from ent_sync.core.entry import EntryKind
from ent_sync.core.errors import EntSyncError, UnavailableError
from ent_sync.core.run import Kind, Outcome, RunResult
from ent_sync.store import hands, plans, runs
from ent_sync.store.lease import Lease
from ent_sync.sync import push, salvage
from ent_sync.sync.parts import Parts
from ent_sync.sync.progress import Progress, active_accounts, end


class PausedError(EntSyncError):
    """Somebody paused the target; what waits goes on waiting."""

    exit_code = 4


def approve(parts: Parts, plan: plans.Plan, held: Lease) -> RunResult:
    """Apply the held part of a stored plan, exactly as stored; what moved since is refused and told."""
    with parts.database.reading() as connection:
        if hands.paused_since(connection, plan.target):
            raise PausedError(f"target {plan.target} is paused, and nothing was applied. First: ent-sync resume")
    salvage.take_over(parts, held)
    with parts.database.transaction() as connection:
        made_by = runs.get(connection, plan.run) or {}
        progress = Progress(held.run, parts.now(), Kind(str(made_by.get("kind", Kind.TARGETED.value))))
        runs.begin(connection, held.run, progress.kind.value, progress.started)
        plans.settle(connection, plan.plan, "held", parts.now())
        plans.drop_waiting(connection, plan.plan, "pending", only="held")
        waiting = plans.count(connection, plan.plan)
        progress.known = active_accounts(parts, None)
    progress.plan = plan.plan
    for each in waiting:
        if each.kind is EntryKind.ACCOUNT:
            progress.changes[each.operation] = progress.changes.get(each.operation, 0) + each.count
    target = parts.targets.get(plan.target)
    try:
        if target is None:
            raise UnavailableError(parts.unreachable[plan.target])
        undoing = progress.kind is Kind.UNDO
        pushed = push.push(parts, plan.target, target, plan.plan, held, from_stored=True, undoing=undoing)
    except EntSyncError:
        with parts.database.transaction() as connection:
            plans.drop_waiting(connection, plan.plan, "held", only="pending")
        end(parts, progress, Outcome.FAILED)
        raise
    progress.applied, progress.failed, progress.stopped = pushed.applied, pushed.failed, pushed.stopped
    with parts.database.transaction() as connection:
        if pushed.stopped:
            plans.drop_waiting(connection, plan.plan, "held", only="pending")
        else:
            plans.settle(connection, plan.plan, "applied", parts.now())
    return end(parts, progress)
