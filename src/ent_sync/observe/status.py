"""How things stand, as one document: sources, targets, holds, pauses, lease, quarantine (contract §3, `status`).

Computed from the store alone, so that it says the same whether a daemon runs or not.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import sqlalchemy as sa

from ent_sync.core.entry import Lifecycle
from ent_sync.core.record import PEOPLE, Population
from ent_sync.store import drift, figures, hands, lease, plans, runs, snapshot
from ent_sync.store.plans import Plan


def status(
    connection: sa.Connection, sources: Sequence[str], targets: Sequence[str], now: dt.datetime
) -> dict[str, object]:
    """The document `ent-sync/status/1`."""
    holder = lease.holder(connection, now)
    last = runs.listed(connection, 1)
    return {
        "schema": "ent-sync/status/1",
        "sources": [_source(connection, name, now) for name in sources],
        "targets": _targets(connection, targets),
        "holds": [hold_document(connection, plan) for name in targets for plan in plans.held(connection, name)],
        "lease": None
        if holder is None
        else {
            "host": holder.host,
            "process": holder.process,
            "run": holder.run,
            "expires": holder.expires.isoformat(),
        },
        "daemon": _daemon(connection, now),
        "pauses": [
            {"target": None if name == hands.EVERYTHING else name, "since": since.isoformat()}
            for name, since in hands.pauses(connection).items()
        ],
        "quarantine": [
            {"source": each.source, "population": each.population, "rule": each.rule, "count": each.count}
            for each in figures.quarantine_by_rule(connection)
        ],
        "doubles": {"alike": figures.alike(connection), "same_ine": figures.one_ine_two_accounts(connection)},
        "last_run": {name: last[0].get(name) for name in ("run", "kind", "outcome", "started")} if last else None,
    }


def _daemon(connection: sa.Connection, now: dt.datetime) -> dict[str, object] | None:
    """Where the daemon of this store lives; None where there is none."""
    holder = lease.holder(connection, now, lease.DAEMON)
    return None if holder is None else {"host": holder.host, "process": holder.process}


def _source(connection: sa.Connection, name: str, now: dt.datetime) -> dict[str, object]:
    state = runs.source_state(connection, name)
    present = snapshot.present(connection, name)
    success = state.last_success
    return {
        "name": name,
        "cursor": state.applied_date.isoformat() if state.applied_date else None,
        "delivery": state.applied_delivery,
        "last_success": success.isoformat() if success else None,
        "seconds_since_success": round((now - success).total_seconds(), 3) if success else None,
        "records": {population.value: present.get(population, 0) for population in Population},
        "deliveries": [
            {
                "delivery": each.delivery,
                "complete": each.complete,
                "date": each.date.isoformat(),
                "status": each.status,
                "reasons": list(each.reasons),
            }
            for each in figures.unused_deliveries(connection, name)
        ],
    }


def _targets(connection: sa.Connection, targets: Sequence[str]) -> list[dict[str, object]]:
    counts = {(each.target, each.population, each.status): each.count for each in figures.accounts(connection)}
    return [
        {
            "name": name,
            "accounts": {
                population.value: {status.value: counts.get((name, population, status), 0) for status in Lifecycle}
                for population in PEOPLE
            },
            "drift": _drift(connection, name),
        }
        for name in targets
    ]


def _drift(connection: sa.Connection, target: str) -> dict[str, object] | None:
    """What the last `verify` of a target found; None before the first."""
    found = drift.last(connection, target)
    return None if found is None else {"ratio": found.ratio, "looked": found.looked, "at": found.at.isoformat()}


def hold_document(connection: sa.Connection, plan: Plan) -> dict[str, object]:
    """A plan that waits for somebody, with the commands to type."""
    return {
        "plan": plan.plan,
        "target": plan.target,
        "run": plan.run,
        "created": plan.created.isoformat(),
        "held": [dict(each) for each in plan.holds],
        "waiting": figures.waiting(connection, plan.plan),
        "commands": {
            "show": f"ent-sync plan show {plan.plan} --by school",
            "approve": f"ent-sync plan approve {plan.plan}",
            "reject": f"ent-sync plan reject {plan.plan}",
        },
    }
