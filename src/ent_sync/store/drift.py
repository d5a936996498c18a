"""What verifying a target needs to keep: what it saw and what drifted, in temporary tables; and what it last found.

A directory may hold millions of entries and tells them in any order, so what was seen stands in tables that die with
the connection, as staging does. Nothing here changes what a target acknowledged, but `acknowledge`.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from ent_sync.core.entry import EntryId
from ent_sync.store import runs, schema
from ent_sync.store.database import bulk

_TABLES = (
    "CREATE TEMPORARY TABLE IF NOT EXISTS read_back (entry_id TEXT PRIMARY KEY)",
    "CREATE TEMPORARY TABLE IF NOT EXISTS drifted (target TEXT NOT NULL, entry_id TEXT NOT NULL, "
    "PRIMARY KEY (target, entry_id))",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What the last verification of a target found: the share of what it looked at that had drifted, and when."""

    ratio: float
    looked: int
    sample: float | None
    at: dt.datetime


@dataclass(frozen=True, slots=True, repr=False, kw_only=True)
class Loaded:
    """An entry that a target turned out to hold just as it should be, though nobody had acknowledged it."""

    id: EntryId
    fingerprint: bytes
    parts: bytes
    source_key: str | None
    uais: str | None


def begin(connection: sa.Connection) -> None:
    """Empty tables on this connection."""
    for statement in _TABLES:
        connection.execute(sa.text(statement))
    for table in ("read_back", "drifted"):
        connection.execute(sa.text(f"DELETE FROM {table}"))


def begin_target(connection: sa.Connection, target: str) -> None:
    """Nothing of this target was seen yet, and nothing of it drifted."""
    connection.execute(sa.text("DELETE FROM read_back"))
    connection.execute(sa.text("DELETE FROM drifted WHERE target = :target"), {"target": target})


def see(connection: sa.Connection, ids: Iterable[EntryId]) -> None:
    """The target holds these."""
    bulk(connection, "INSERT INTO read_back (entry_id) VALUES (?) ON CONFLICT DO NOTHING", [(id_,) for id_ in ids])


def mark(connection: sa.Connection, target: str, ids: Iterable[EntryId]) -> None:
    """These drifted, in a way that can be repaired."""
    rows = [(target, id_) for id_ in ids]
    bulk(connection, "INSERT INTO drifted (target, entry_id) VALUES (?, ?) ON CONFLICT DO NOTHING", rows)


def acknowledged(connection: sa.Connection, target: str, after: str, limit: int) -> list[EntryId]:
    """The next entries that the target acknowledged, in the order of their identifiers."""
    return _page(connection, "", target, after, limit)


def unseen(connection: sa.Connection, target: str, after: str, limit: int) -> list[EntryId]:
    """The next entries that the target acknowledged and that were not seen."""
    lacking = " AND NOT EXISTS (SELECT 1 FROM read_back WHERE read_back.entry_id = entries.entry_id)"
    return _page(connection, lacking, target, after, limit)


def _page(connection: sa.Connection, also: str, target: str, after: str, limit: int) -> list[EntryId]:
    query = (
        f"SELECT entry_id FROM entries WHERE target = :target AND lifecycle IS NOT NULL AND entry_id > :after{also} "
        "ORDER BY entry_id LIMIT :limit"
    )
    asked = {"target": target, "after": after, "limit": limit}
    return list(connection.execute(sa.text(query), asked).scalars())


def count(connection: sa.Connection, target: str) -> int:
    """How many entries the target acknowledged."""
    query = sa.text("SELECT count(*) FROM entries WHERE target = :target AND lifecycle IS NOT NULL")
    return int(connection.execute(query, {"target": target}).scalar_one())


def drifted(connection: sa.Connection, target: str, after: str, limit: int) -> list[EntryId]:
    """The next entries of the target that drifted."""
    query = "SELECT entry_id FROM drifted WHERE target = :target AND entry_id > :after ORDER BY entry_id LIMIT :limit"
    asked = {"target": target, "after": after, "limit": limit}
    return list(connection.execute(sa.text(query), asked).scalars())


def drifted_anywhere(connection: sa.Connection, limit: int) -> list[EntryId]:
    """So many of the entries that drifted at some target."""
    query = sa.text("SELECT DISTINCT entry_id FROM drifted ORDER BY entry_id LIMIT :limit")
    return list(connection.execute(query, {"limit": limit}).scalars())


# Written so that SQLite does not see the condition of `ix_changes_waiting`: it would look at all that waits.
_JOURNAL = sa.text(
    "UPDATE changes SET status = 'acknowledged', decided = :at WHERE entry_id IN :ids AND target = :target AND "
    "status NOT IN ('acknowledged', 'refused', 'overtaken', 'rejected') AND fingerprint = (SELECT acknowledged FROM "
    "entries WHERE entries.target = changes.target AND entries.entry_id = changes.entry_id)"
).bindparams(sa.bindparam("ids", expanding=True))


def acknowledge(connection: sa.Connection, target: str, loaded: Sequence[Loaded], at: dt.datetime) -> None:
    """Store that the target holds these entries active, as they should be; what a plan wanted of them is done.

    People and structures are mapped again by the next run: something may have touched them since they were mapped.
    """
    moment = schema.instant(at)
    bulk(
        connection,
        "UPDATE entries SET stale = (kind <> 'group' OR desired IS DISTINCT FROM ?), lifecycle = 'active', "
        "acknowledged = ?, parts = ?, source_key = coalesce(?, source_key), uais = ?, acknowledged_at = ?, "
        "changed_at = NULL, left_on = NULL, suspended_at = NULL WHERE target = ? AND entry_id = ?",
        [
            (each.fingerprint, each.fingerprint, each.parts, each.source_key, each.uais, moment, target, each.id)
            for each in loaded
        ],
    )
    if loaded:
        connection.execute(_JOURNAL, {"ids": [each.id for each in loaded], "target": target, "at": moment})


def settle_loaded(connection: sa.Connection, target: str, at: dt.datetime) -> None:
    """A plan of the target of which nothing waits any more is applied."""
    waiting = sa.select(schema.changes.c.seq).where(
        schema.changes.c.target == target, schema.changes.c.plan == schema.plans.c.plan, schema.WAITING
    )
    connection.execute(
        sa.update(schema.plans)
        .where(schema.plans.c.target == target, schema.plans.c.status.in_(["held", "planned"]), ~waiting.exists())
        .values(status="applied", decided=at)
    )


def remember(connection: sa.Connection, target: str, measured: Measured) -> None:
    """Store what a verification found, for those who ask later."""
    document = {"ratio": measured.ratio, "looked": measured.looked, "sample": measured.sample}
    runs.remember_fact(connection, _fact(target), json.dumps({**document, "at": measured.at.isoformat()}))


def last(connection: sa.Connection, target: str) -> Measured | None:
    """What the last verification of a target found; None before the first."""
    if (told := runs.fact(connection, _fact(target))) is None:
        return None
    document = json.loads(told)
    return Measured(
        ratio=document["ratio"],
        looked=document["looked"],
        sample=document["sample"],
        at=dt.datetime.fromisoformat(document["at"]),
    )


def _fact(target: str) -> str:
    return f"drift of {target}"
