"""Runs, deliveries, cursors and quarantine: what was done, how far each source is consumed, what could not be used."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from ent_sync.core.completeness import Delivery
from ent_sync.core.errors import Problem
from ent_sync.core.record import Key, Population
from ent_sync.core.run import RunResult
from ent_sync.store import measures, schema

LINK_TO_NOBODY = "link-to-nobody"
"""The rule of a pupil's link to a guardian whom the source does not deliver; its subject is `pupil|guardian`."""


@dataclass(frozen=True, slots=True)
class SourceState:
    """How far a source is consumed: the date and name of the last applied delivery, and where the next delta begins."""

    applied_date: dt.date | None
    applied_delivery: str | None
    wanted: str | None
    last_success: dt.datetime | None
    cursor: str | None


@dataclass(frozen=True, slots=True, repr=False)
class Quarantined:
    """A record or link that could not be used. `sealed` is its delivered content, where there is one."""

    id: str
    source: str
    population: Population
    key: Key | None
    rule: str
    file: str
    line: int | None
    message: str
    sealed: bytes | None
    delivery: str


def begin(connection: sa.Connection, run: str, kind: str, at: dt.datetime) -> None:
    """A run starts."""
    connection.execute(sa.insert(schema.runs).values(run=run, kind=kind, started=at))


def end(connection: sa.Connection, result: RunResult) -> None:
    """A run ended."""
    connection.execute(
        sa.update(schema.runs)
        .where(schema.runs.c.run == result.run)
        .values(kind=result.kind.value, outcome=result.outcome.value, result=result.document())
    )


def end_dead(
    connection: sa.Connection,
    survivor: str,
    targets: Sequence[str],
    at: dt.datetime,
    away: Collection[str] = frozenset(),
) -> None:
    """Runs that never ended did so when their process died; what they left open at `targets` is done by this one.

    Of a plan that somebody was approving, what was not pushed yet waits again. Runs that are `away` will be back.
    """
    alive = sa.select(schema.plans.c.plan).where(schema.plans.c.run.in_(away))
    dead = connection.execute(
        sa.update(schema.runs)
        .where(schema.runs.c.outcome.is_(None), schema.runs.c.run.not_in([survivor, *away]))
        .values(outcome="failed")
    )
    measures.count_dead(connection, dead.rowcount, at)
    pending = sa.update(schema.changes).where(
        schema.WAITING,
        schema.changes.c.status == "pending",
        schema.changes.c.target.in_(targets),
        schema.changes.c.plan.not_in(alive),
    )
    connection.execute(pending.where(schema.changes.c.plan.in_(_under_approval())).values(status="held"))
    connection.execute(pending.values(status="overtaken"))
    connection.execute(
        sa.update(schema.plans)
        .where(schema.plans.c.status == "open", schema.plans.c.target.in_(targets), schema.plans.c.run.not_in(away))
        .values(status="overtaken")
    )


def _under_approval() -> sa.Select[tuple[str]]:
    """The held plans of which nothing is held any more: all of it was given free when somebody approved it."""
    held = sa.select(schema.changes.c.seq).where(
        schema.WAITING, schema.changes.c.plan == schema.plans.c.plan, schema.changes.c.status == "held"
    )
    return sa.select(schema.plans.c.plan).where(schema.plans.c.status == "held", ~held.exists())


def listed(connection: sa.Connection, limit: int = 20) -> list[dict[str, object]]:
    """The newest runs, newest first, as their documents; one that works or died has only what is known of it."""
    rows = connection.execute(sa.select(schema.runs).order_by(schema.runs.c.run.desc()).limit(limit))
    return [_document(row) for row in rows]


def get(connection: sa.Connection, run: str) -> dict[str, object] | None:
    """The document of one run."""
    row = connection.execute(sa.select(schema.runs).where(schema.runs.c.run == run)).one_or_none()
    return _document(row) if row is not None else None


def _document(row: sa.Row[tuple[object, ...]]) -> dict[str, object]:
    if row.result is not None:
        return dict(row.result)
    return {
        "schema": "ent-sync/run/1",
        "run": row.run,
        "kind": row.kind,
        "outcome": row.outcome,
        "started": row.started.isoformat(),
    }


def source_state(connection: sa.Connection, source: str) -> SourceState:
    """How far a source is consumed; all None before its first delivery."""
    row = connection.execute(sa.select(schema.sources).where(schema.sources.c.source == source)).one_or_none()
    return (
        SourceState(row.applied_date, row.applied_delivery, row.wanted, row.last_success, row.cursor)
        if row
        else SourceState(None, None, None, None, None)
    )


def succeeded(connection: sa.Connection, source: str, at: dt.datetime) -> None:
    """A run ended well for a source."""
    connection.execute(sa.update(schema.sources).where(schema.sources.c.source == source).values(last_success=at))


def applied(
    connection: sa.Connection, delivery: Delivery, counts: Mapping[Population, int], wanted: str, at: dt.datetime
) -> None:
    """A delivery became part of the snapshot: the cursor moves, and what it supersedes is said so."""
    state = source_state(connection, delivery.source)
    if state.applied_date is None:
        connection.execute(
            sa.text("INSERT INTO sources (source) VALUES (:source) ON CONFLICT DO NOTHING"), {"source": delivery.source}
        )
    if state.applied_date is None or delivery.date >= state.applied_date:
        connection.execute(
            sa.update(schema.sources)
            .where(schema.sources.c.source == delivery.source)
            .values(applied_date=delivery.date, applied_delivery=delivery.id)
        )
    if delivery.complete:
        connection.execute(
            sa.update(schema.sources).where(schema.sources.c.source == delivery.source).values(wanted=wanted)
        )
        connection.execute(
            sa.update(schema.deliveries)
            .where(
                schema.deliveries.c.source == delivery.source,
                schema.deliveries.c.status == "held",
                schema.deliveries.c.date <= delivery.date,
            )
            .values(status="superseded")
        )
        # Read again, it takes the snapshot back to its day: until the deltas after it are read again too, a run that
        # dies here must leave word of them.
        connection.execute(
            sa.update(schema.deliveries)
            .where(
                schema.deliveries.c.source == delivery.source,
                schema.deliveries.c.status == "applied",
                schema.deliveries.c.date > delivery.date,
            )
            .values(status="again")
        )
    if delivery.live:
        # What was asked before is answered anew; a directory asked every few minutes keeps no row for each.
        table = schema.deliveries
        connection.execute(sa.delete(table).where(table.c.source == delivery.source))
    judged(connection, delivery, "applied", (), counts, at)


def move_cursor(connection: sa.Connection, source: str, cursor: str | None) -> None:
    """Where the next delta of a directory begins; None: with all that it holds."""
    connection.execute(sa.update(schema.sources).where(schema.sources.c.source == source).values(cursor=cursor))


def judged(
    connection: sa.Connection,
    delivery: Delivery,
    status: str,
    reasons: Iterable[Problem],
    counts: Mapping[Population, int],
    at: dt.datetime,
    guard: str | None = None,
) -> None:
    """What became of a delivery, why, and which guard holds or refuses it."""
    measures.count_read(connection, delivery.source, counts)
    values = {
        "guard": guard,
        "complete": delivery.complete,
        "date": delivery.date,
        "status": status,
        "reasons": [str(each) for each in reasons],
        "counts": {population.value: number for population, number in counts.items()},
        "decided": at,
    }
    key = {"source": delivery.source, "delivery": delivery.id, "signature": delivery.signature}
    table = schema.deliveries
    where = [table.c[name] == value for name, value in key.items()]
    if connection.execute(sa.update(table).where(*where).values(**values)).rowcount == 0:
        connection.execute(sa.insert(table).values(**key, **values))


def delivery_statuses(connection: sa.Connection, source: str) -> dict[tuple[str, str], str]:
    """The status of every delivery of a source that was judged, by id and signature."""
    table = schema.deliveries
    rows = connection.execute(
        sa.select(table.c.delivery, table.c.signature, table.c.status).where(table.c.source == source)
    )
    return {(row[0], row[1]): row[2] for row in rows}


def held_before(connection: sa.Connection, delivery: Delivery) -> str | None:
    """The newest delta that is held and not replaced: what it changed is missing before this delivery."""
    applied = source_state(connection, delivery.source).applied_date
    table = schema.deliveries
    query = (
        sa.select(table.c.delivery)
        .where(table.c.source == delivery.source, table.c.status == "held", sa.not_(table.c.complete))
        .where(table.c.date < delivery.date, table.c.date > (applied or dt.date.min))
        .order_by(table.c.date.desc())
    )
    return connection.execute(query).scalars().first()


def since_newest_complete(connection: sa.Connection, source: str) -> set[tuple[str, str]]:
    """The newest applied complete delivery and the deltas applied after it, by id and signature."""
    table = schema.deliveries
    rows = connection.execute(
        sa.select(table.c.delivery, table.c.signature, table.c.complete)
        .where(table.c.source == source, table.c.status.in_(["applied", "again"]))
        .order_by(table.c.date, table.c.complete.desc())
    ).all()
    newest = max((place for place, row in enumerate(rows) if row.complete), default=len(rows))
    return {(row.delivery, row.signature) for row in rows[newest:]}


def outlived(connection: sa.Connection, source: str, before: dt.datetime) -> set[tuple[str, str]]:
    """Applied deliveries that are superseded by a later complete one and were decided before a moment."""
    table = schema.deliveries
    newest = connection.execute(
        sa.select(sa.func.max(table.c.date)).where(
            table.c.source == source, table.c.complete, table.c.status == "applied"
        )
    ).scalar()
    if newest is None:
        return set()
    rows = connection.execute(
        sa.select(table.c.delivery, table.c.signature).where(
            table.c.source == source,
            table.c.status.in_(["applied", "superseded"]),
            table.c.date < newest,
            table.c.decided < before,
        )
    )
    return {(row[0], row[1]) for row in rows}


def quarantine_id(source: str, population: Population, subject: str, rule: str) -> str:
    """The name of a quarantined record: the same trouble delivered again is the same row."""
    return hashlib.blake2b(f"{source}|{population}|{subject}|{rule}".encode(), digest_size=8).hexdigest()


def quarantine(connection: sa.Connection, rows: Sequence[Quarantined], at: dt.datetime) -> None:
    """Set records aside; one that already is keeps the time since when."""
    text = sa.text(
        "INSERT INTO quarantine (id, source, population, key, rule, file, line, message, sealed, delivery, since) "
        "VALUES (:id, :source, :population, :key, :rule, :file, :line, :message, :sealed, :delivery, :since) "
        "ON CONFLICT (id) DO UPDATE SET file = excluded.file, line = excluded.line, message = excluded.message, "
        "sealed = excluded.sealed, delivery = excluded.delivery"
    )
    if rows:
        connection.execute(
            text,
            [
                {
                    "id": row.id,
                    "source": row.source,
                    "population": row.population.value,
                    "key": row.key,
                    "rule": row.rule,
                    "file": row.file,
                    "line": row.line,
                    "message": row.message,
                    "sealed": row.sealed,
                    "delivery": row.delivery,
                    "since": schema.instant(at),
                }
                for row in rows
            ],
        )


def release_quarantine(connection: sa.Connection, source: str, *, delivery: str, complete: bool) -> None:
    """After a merge: what the delivery brought in good order, or does not hold any more, is not in quarantine."""
    if complete:
        # What mapping set aside names no delivery: it stays until the record comes in another form.
        connection.execute(
            sa.text(
                "DELETE FROM quarantine WHERE source = :source AND delivery <> :delivery AND (delivery <> '' OR "
                "NOT EXISTS (SELECT 1 FROM staged WHERE staged.population = quarantine.population AND "
                "staged.key = quarantine.key AND staged.state = 'same'))"
            ),
            {"source": source, "delivery": delivery},
        )
        return
    connection.execute(
        sa.text(
            "DELETE FROM quarantine WHERE source = :source AND delivery <> :delivery AND EXISTS (SELECT 1 FROM staged "
            "WHERE staged.population = quarantine.population AND staged.key = quarantine.key AND "
            "staged.state IN ('new', 'gone'))"
        ),
        {"source": source, "delivery": delivery},
    )
    _release_links(connection, source)


def _release_links(connection: sa.Connection, source: str) -> None:
    """Links to nobody that their pupil does not name any more, or whose pupil left."""
    here = {"source": source, "rule": LINK_TO_NOBODY}
    rows = connection.execute(
        sa.text(
            "SELECT quarantine.id, link.pupil, quarantine.key FROM quarantine LEFT JOIN links link ON "
            "link.source = quarantine.source AND link.guardian = quarantine.key "
            "WHERE quarantine.source = :source AND quarantine.rule = :rule"
        ),
        here,
    ).all()
    named = {quarantine_id(source, Population.GUARDIAN, f"{row[1]}|{row[2]}", LINK_TO_NOBODY) for row in rows}
    for id_ in {row[0] for row in rows} - named:
        connection.execute(sa.delete(schema.quarantine).where(schema.quarantine.c.id == id_))


def quarantined(connection: sa.Connection, id_: str | None = None) -> list[Quarantined]:
    """Everything in quarantine, or one of it."""
    query = sa.select(schema.quarantine).order_by(schema.quarantine.c.source, schema.quarantine.c.id)
    if id_ is not None:
        query = query.where(schema.quarantine.c.id == id_)
    return [
        Quarantined(
            row.id,
            row.source,
            Population(row.population),
            row.key,
            row.rule,
            row.file,
            row.line,
            row.message,
            row.sealed,
            row.delivery,
        )
        for row in connection.execute(query)
    ]


def drop_quarantined(connection: sa.Connection, ids: Sequence[str]) -> int:
    """Forget quarantined records; returns how many there were."""
    return connection.execute(sa.delete(schema.quarantine).where(schema.quarantine.c.id.in_(ids))).rowcount


def fact(connection: sa.Connection, name: str) -> str | None:
    """A remembered fact, such as the policy that a target's entries were mapped with."""
    return connection.execute(sa.select(schema.facts.c.value).where(schema.facts.c.name == name)).scalar()


def remember_fact(connection: sa.Connection, name: str, value: str) -> None:
    """Remember a fact."""
    connection.execute(
        sa.text(
            "INSERT INTO facts (name, value) VALUES (:name, :value) ON CONFLICT (name) DO UPDATE SET "
            "value = excluded.value"
        ),
        {"name": name, "value": value},
    )
