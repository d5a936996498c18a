"""Figures for those who ask how things stand: counts over what the other modules of the store keep.

Reads only, one query a figure. Nothing here names a person, except `quarantined_keys`, which is asked about some.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from ent_sync.core.entry import EntryId
from ent_sync.core.record import Key, Population
from ent_sync.store import schema
from ent_sync.store.runs import Quarantined, quarantined


@dataclass(frozen=True, slots=True)
class AccountCount:
    """How many accounts of a population a target holds in a status."""

    target: str
    population: str
    status: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedDelivery:
    """A delivery that is not used, and why."""

    source: str
    delivery: str
    complete: bool
    date: dt.date
    status: str
    reasons: tuple[str, ...]
    decided: dt.datetime


@dataclass(frozen=True, slots=True)
class QuarantineCount:
    """How many records a rule keeps in quarantine."""

    source: str
    population: str
    rule: str
    count: int


@dataclass(frozen=True, slots=True)
class RefusedChange:
    """Changes of a run that a target did not make, counted by why."""

    target: str
    population: str
    operation: str
    rule: str
    message: str
    count: int


def accounts(connection: sa.Connection) -> list[AccountCount]:
    """The accounts of every target by population and status, as acknowledged."""
    rows = connection.execute(
        sa.text(
            "SELECT target, population, lifecycle, count(*) FROM entries WHERE kind = 'account' AND "
            "lifecycle IS NOT NULL GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
        )
    )
    return [AccountCount(*row) for row in rows]


def unused_deliveries(connection: sa.Connection, source: str) -> list[JudgedDelivery]:
    """What lies there and is not used: all that is held, and what was refused since the last one that was applied."""
    table = schema.deliveries
    last = (
        sa.select(sa.func.max(table.c.decided))
        .where(table.c.source == source, table.c.status == "applied")
        .scalar_subquery()
    )
    refused = sa.and_(table.c.status == "refused", sa.or_(last.is_(None), table.c.decided >= last))
    query = (
        sa.select(table)
        .where(table.c.source == source, sa.or_(table.c.status == "held", refused))
        .order_by(table.c.date, table.c.delivery)
    )
    return [
        JudgedDelivery(
            source=row.source,
            delivery=row.delivery,
            complete=row.complete,
            date=row.date,
            status=row.status,
            reasons=tuple(row.reasons),
            decided=row.decided,
        )
        for row in connection.execute(query)
    ]


def quarantine_by_rule(connection: sa.Connection) -> list[QuarantineCount]:
    """The quarantine by source, population and rule."""
    rows = connection.execute(
        sa.text("SELECT source, population, rule, count(*) FROM quarantine GROUP BY 1, 2, 3 ORDER BY 1, 2, 3")
    )
    return [QuarantineCount(*row) for row in rows]


def alike(connection: sa.Connection) -> int:
    """Groups of active accounts of one target that may be one human: names, and birth, address or number agree."""
    return int(
        connection.execute(
            sa.text(
                "SELECT count(*) FROM (SELECT 1 FROM entries WHERE likeness IS NOT NULL AND lifecycle = 'active' "
                "GROUP BY target, likeness HAVING count(*) > 1) AS doubled"
            )
        ).scalar_one()
    )


def one_ine_two_accounts(connection: sa.Connection) -> int:
    """National pupil numbers (their digests) that stand in present records of different persons."""
    return int(
        connection.execute(
            sa.text(
                "SELECT count(*) FROM (SELECT 1 FROM records WHERE ine IS NOT NULL AND state = 'present' "
                "GROUP BY ine HAVING count(DISTINCT entry_id) > 1) AS doubled"
            )
        ).scalar_one()
    )


def waiting(connection: sa.Connection, plan: str) -> int:
    """How many changes of a plan wait."""
    asked = sa.select(sa.func.count()).where(schema.changes.c.plan == plan, schema.WAITING)
    return int(connection.execute(asked).scalar_one())


def refused(connection: sa.Connection, run: str) -> list[RefusedChange]:
    """What targets did not make of the plans of a run, by why."""
    rows = connection.execute(
        sa.text(
            "SELECT changes.target, coalesce(changes.population, changes.kind), changes.operation, "
            "coalesce(changes.rule, ''), coalesce(changes.message, ''), count(*) FROM changes JOIN plans ON "
            "plans.plan = changes.plan WHERE plans.run = :run AND changes.status = 'refused' "
            "GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5"
        ),
        {"run": run},
    )
    return [RefusedChange(*row) for row in rows]


def quarantined_in(connection: sa.Connection, source: str, delivery: str) -> list[Quarantined]:
    """What of a delivery is in quarantine."""
    return [each for each in quarantined(connection) if each.source == source and each.delivery == delivery]


def quarantined_keys(connection: sa.Connection, keys: Sequence[Key]) -> list[Quarantined]:
    """What of these join keys is in quarantine."""
    asked = sa.select(schema.quarantine.c.id).where(schema.quarantine.c.key.in_(keys))
    ids = set(connection.execute(asked).scalars())
    return [each for id_ in sorted(ids) for each in quarantined(connection, id_)]


def guardians_of(connection: sa.Connection, ids: Sequence[EntryId]) -> dict[str, int]:
    """How many guardians pupils have, by what they are to them (`legal`, `in-charge`, `contact`)."""
    # CROSS JOIN keeps the order: without statistics, SQLite would look at every link for one pupil.
    text = sa.text(
        "SELECT link.tie, count(DISTINCT guardian.entry_id) FROM records pupil CROSS JOIN links link CROSS JOIN "
        "records guardian WHERE pupil.population = :pupil AND pupil.entry_id IN :ids AND link.source = pupil.source "
        "AND link.pupil = pupil.key AND link.tie <> 'self' AND guardian.source = link.source AND "
        "guardian.population = 'guardian' AND guardian.key = link.guardian AND guardian.state = 'present' "
        "GROUP BY 1 ORDER BY 1"
    ).bindparams(sa.bindparam("ids", expanding=True))
    rows = connection.execute(text, {"pupil": Population.PUPIL.value, "ids": list(ids)})
    return {row[0]: row[1] for row in rows}


def mark_source(connection: sa.Connection, source: str) -> None:
    """Mark everybody of a source for mapping: the accounts and structures that count as its own."""
    entries = schema.entries
    connection.execute(
        sa.update(entries).where(entries.c.source == source, entries.c.kind != "group").values(stale=True)
    )


def school_known(connection: sa.Connection, uai: str) -> bool:
    """Whether some source delivers a structure of this UAI, or did."""
    asked = sa.text("SELECT 1 FROM records WHERE population = 'school' AND entry_id = :uai LIMIT 1")
    return connection.execute(asked, {"uai": uai}).first() is not None
