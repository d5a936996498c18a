"""The journal: what a run changed at the targets, and the way back, for as long as it is kept.

A change that a target acknowledged stays as a row; `before` holds, sealed, what the target held until then. Of a run
that changed an entry more than once, the first change knows what was before and the last one what the run left.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from ent_sync.core.entry import EntryId, EntryKind, Lifecycle
from ent_sync.core.plan import Operation
from ent_sync.core.record import Population
from ent_sync.store import plans, schema
from ent_sync.store.database import bulk
from ent_sync.store.entries import Known

_PAGE = 500


@dataclass(frozen=True, slots=True, repr=False, kw_only=True)
class Made:
    """A change that a target acknowledged: where it left its entry, and what was there `before`, sealed."""

    seq: int
    entry_id: EntryId
    kind: EntryKind
    population: Population | None
    source: str
    uais: str | None
    operation: Operation
    left: bytes | None
    lifecycle: Lifecycle | None
    before: bytes | None
    decided: dt.datetime


_COLUMNS = "seq, entry_id, kind, population, source, uais, operation, fingerprint, lifecycle, before, decided"
_OF_RUN = (
    "FROM changes WHERE plan = :plan AND status = 'acknowledged' AND "
    "coalesce(run, (SELECT plans.run FROM plans WHERE plans.plan = :plan)) = :run"
)


def plans_of(connection: sa.Connection, run: str) -> list[tuple[str, str]]:
    """The plans of which a run pushed something, or might have, each with its target."""
    rows = connection.execute(
        sa.text(
            "SELECT plan, target FROM plans WHERE run = :run UNION "
            "SELECT plan, target FROM changes WHERE run = :run AND run IS NOT NULL ORDER BY 1"
        ),
        {"run": run},
    )
    return [(row[0], row[1]) for row in rows]


def made(connection: sa.Connection, plan: str, run: str, after: int, limit: int) -> list[Made]:
    """The next acknowledged changes of a plan that a run pushed, from behind the place `after`."""
    query = sa.text(f"SELECT {_COLUMNS} {_OF_RUN} AND seq > :after ORDER BY seq LIMIT :limit").columns(
        decided=schema.Instant
    )
    rows = connection.execute(query, {"plan": plan, "run": run, "after": after, "limit": limit}).all()
    return [_made(row) for row in rows]


def several(connection: sa.Connection, plan: str, run: str) -> set[EntryId]:
    """The entries that a run changed more than once, in several passes over its sources."""
    query = sa.text(f"SELECT entry_id {_OF_RUN} GROUP BY entry_id HAVING count(*) > 1")
    return set(connection.execute(query, {"plan": plan, "run": run}).scalars())


_ALL_OF = (
    sa.text(f"SELECT {_COLUMNS} {_OF_RUN} AND entry_id IN :ids ORDER BY seq")
    .bindparams(sa.bindparam("ids", expanding=True))
    .columns(decided=schema.Instant)
)


def made_of(connection: sa.Connection, plan: str, run: str, ids: Sequence[EntryId]) -> dict[EntryId, list[Made]]:
    """All that a run changed of these entries, in order."""
    found: dict[EntryId, list[Made]] = {}
    for start in range(0, len(ids), _PAGE):
        asked = {"plan": plan, "run": run, "ids": list(ids[start : start + _PAGE])}
        for row in connection.execute(_ALL_OF, asked).all():
            found.setdefault(row.entry_id, []).append(_made(row))
    return found


def _made(row: sa.Row[tuple[object, ...]]) -> Made:
    return Made(
        seq=row.seq,
        entry_id=row.entry_id,
        kind=EntryKind(row.kind),
        population=Population(row.population) if row.population else None,
        source=row.source,
        uais=row.uais,
        operation=Operation(row.operation),
        left=row.fingerprint,
        lifecycle=Lifecycle(row.lifecycle) if row.lifecycle else None,
        before=row.before,
        decided=row.decided,
    )


_SUSPENSIONS = sa.text(
    "SELECT entry_id, sealed FROM changes WHERE entry_id IN :ids AND target = :target AND operation = 'suspend' AND "
    "status = 'acknowledged' AND decided < :before ORDER BY decided"
).bindparams(sa.bindparam("ids", expanding=True))


def last_suspensions(
    connection: sa.Connection, target: str, ids: Sequence[EntryId], before: dt.datetime
) -> dict[EntryId, bytes]:
    """The last suspension of each of these accounts before a moment, sealed: it knows why they left."""
    asked = {"ids": list(ids), "target": target, "before": schema.instant(before)}
    return {row[0]: row[1] for row in connection.execute(_SUSPENSIONS, asked)}


def expect(connection: sa.Connection, target: str, created: Sequence[Known]) -> None:
    """A row for each entry that is made again though no source asks for it: what a target confirms needs one."""
    bulk(
        connection,
        "INSERT INTO entries (target, entry_id, kind, population, source, stale) VALUES (?, ?, ?, ?, ?, FALSE) "
        "ON CONFLICT DO NOTHING",
        [
            (target, each.id, each.kind.value, each.population.value if each.population else None, each.source)
            for each in created
        ],
    )


def keep_needed(connection: sa.Connection, plan: str, target: str, refuse: tuple[str, str], at: dt.datetime) -> int:
    """Refuse, with rule and message, to delete groups and structures that somebody beyond the plan is in; how many.

    Groups by the memberships that are wanted of active accounts, structures by what is acknowledged.
    """
    asked = {"plan": plan, "target": target}
    groups = connection.execute(_NEEDED_GROUPS, asked).scalars().all()
    plans.refuse(connection, plan, [(place, *refuse) for place in groups], at)
    structures = {row[0]: row[1] for row in connection.execute(_STRUCTURES, asked)}
    if not structures:
        return len(groups)
    used = {uai for uais in connection.execute(_UAIS_BEYOND, asked).scalars() for uai in uais.split()}
    needed = [place for place, uai in structures.items() if uai in used]
    plans.refuse(connection, plan, [(place, *refuse) for place in needed], at)
    return len(groups) + len(needed)


_BEYOND = (
    "NOT EXISTS (SELECT 1 FROM changes other WHERE other.entry_id = entries.entry_id AND other.plan = :plan AND "
    "other.status = 'pending')"
)
_GONE = "change.plan = :plan AND change.status = 'pending' AND change.operation = 'delete'"
_NEEDED_GROUPS = sa.text(
    f"SELECT change.seq FROM changes change WHERE {_GONE} AND change.kind = 'group' AND EXISTS (SELECT 1 FROM "
    "memberships CROSS JOIN entries WHERE memberships.target = :target AND memberships.group_id = change.entry_id AND "
    "entries.target = :target AND entries.entry_id = memberships.entry_id AND entries.lifecycle = 'active' AND "
    f"{_BEYOND})"
)
_STRUCTURES = sa.text(f"SELECT change.seq, change.entry_id FROM changes change WHERE {_GONE} AND kind = 'structure'")
_UAIS_BEYOND = sa.text(
    "SELECT DISTINCT uais FROM entries WHERE target = :target AND lifecycle = 'active' AND uais IS NOT NULL AND "
    f"{_BEYOND}"
)


# The index holds only what still has a way back, by age: nothing is looked at but what goes.
_FORGET = sa.text("UPDATE changes SET before = NULL WHERE before IS NOT NULL AND decided < :before")


def forget(connection: sa.Connection, before: dt.datetime) -> None:
    """What was changed before a moment has no way back any more: its before-images go."""
    connection.execute(_FORGET, {"before": schema.instant(before)})
