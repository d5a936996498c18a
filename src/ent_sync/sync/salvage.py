"""Step 1: what a run that died left behind.

It may have pushed changes whose acknowledgement it did not live to store. Where nothing else happens, the next run
pushes the same again; but where a source says something else by now, it would not. So each target is asked what it
holds of the entries that were under way, before anything is read.
"""

from __future__ import annotations

from ent_sync.core.errors import UnavailableError
from ent_sync.ports import Target
from ent_sync.store import entries, hands, lease, measures, plans, runs
from ent_sync.store.lease import Lease
from ent_sync.sync import push
from ent_sync.sync.parts import Parts


def take_over(parts: Parts, held: Lease) -> None:
    """End the runs that never ended, once it is known what they did.

    A target that cannot be asked now keeps what waits for it: the next run asks.
    """
    asked = []
    with parts.database.reading() as connection:
        away = hands.away(connection, parts.now())
    for name, target in parts.targets.items():
        with parts.database.reading() as connection:
            started = plans.started(connection, name, away)
        try:
            for plan in started:
                _look(parts, name, target, plan, held)
        except UnavailableError:
            continue
        asked.append(name)
    with parts.database.transaction() as connection:
        runs.end_dead(connection, held.run, asked, parts.now(), away)


def _look(parts: Parts, name: str, target: Target, plan: str, held: Lease) -> None:
    """What the target holds of the first waiting changes of a plan counts as acknowledged; no others were pushed."""
    with parts.database.reading() as connection:
        waiting = plans.pending(connection, plan, name, push.UNDER_WAY)
    if not waiting:
        return
    there = {each.entry.id: each for each in target.read_back([each.entry_id for each in waiting])}
    made = [each for each in waiting if push.found(parts, there.get(each.entry_id)) == each.fingerprint]
    gone = [(each.entry_id, push.opened(parts, name, each)) for each in made if each.fingerprint is None]
    now = parts.now()
    with parts.database.transaction() as connection:
        lease.renew(connection, held, now)
        places = [each.seq for each in made]
        plans.acknowledge(connection, plan, places, now)
        measures.count_acknowledged(connection, plan, places, now)
        entries.confirm(connection, plan, places, now)
        push.confirm_gone(connection, name, gone, now)
        # The run that died may have read more before it did.
        entries.mark(connection, name, [each.entry_id for each in made])
