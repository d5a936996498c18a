"""`ent-sync undo RUN`, on an installation of the tests."""

from ent_sync.core.plan import Operation
from ent_sync.store import lease
from ent_sync.sync.heartbeat import take_lease
from ent_sync.sync.undo import Request, undo


def undone(there, run, only=None, **how):
    """Undo a run under the lease; gives the result."""
    with there.opened() as parts:
        held = take_lease(parts, parts.new_id())
        try:
            return undo(parts, Request(run=run, only=Operation(only) if only else None, **how), held)
        finally:
            with parts.database.transaction() as connection:
                lease.release(connection, held)
