"""Plans and their changes, from birth to way back.

A change is a row whose status moves: `pending` (the outbox) or `held`, then `acknowledged` (the journal, with the
sealed before-image) or `refused`; `overtaken` when a later plan wants something else of its entry. The change itself is
sealed, bound to its plan and place.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import sqlalchemy as sa

from ent_sync.core.completeness import Absence
from ent_sync.core.entry import Account, EntryId, EntryKind, flatten, unflatten
from ent_sync.core.guard import Hold
from ent_sync.core.plan import (
    Change,
    Create,
    Delete,
    DeleteReason,
    Departure,
    Emptied,
    Erasure,
    Operation,
    Restore,
    RetentionOver,
    Suspend,
    Undone,
    Unentitled,
    Update,
    Withdrawal,
)
from ent_sync.core.record import Population
from ent_sync.store import schema
from ent_sync.store.database import bulk

_PLANS = schema.plans
_CHANGES = schema.changes


class NewChange(NamedTuple):
    """A change as it enters a plan; `sealed` is for the context that `sealing_context` gives."""

    entry_id: str
    rank: int
    kind: str
    population: str | None
    source: str
    uais: str | None
    operation: str
    parts: str
    base: bytes | None
    fingerprint: bytes | None
    part_fingerprints: bytes | None
    lifecycle: str | None
    source_key: str | None
    left_on: str | None
    sealed: bytes


@dataclass(frozen=True, slots=True, repr=False)
class Pending:
    """A change that waits to be pushed."""

    rank: int
    seq: int
    entry_id: EntryId
    base: bytes | None
    fingerprint: bytes | None
    sealed: bytes


@dataclass(frozen=True, slots=True)
class Plan:
    """A stored plan: whose run made it, for which target, and where it stands."""

    plan: str
    run: str
    target: str
    status: str
    created: dt.datetime
    digest: str | None
    holds: tuple[Mapping[str, object], ...]


def sealing_context(target: str, entry_id: str) -> str:
    """What a sealed change or before-image is bound to."""
    return f"change|{target}|{entry_id}"


def pack(change: Change) -> list[object]:
    """A change as plain values, for sealing."""
    match change:
        case Create() | Restore():
            return [type(change).__name__, flatten(change.entry)]
        case Update():
            return ["Update", flatten(change.entry), list(change.parts)]
        case Suspend():
            return ["Suspend", change.id, change.population.value, list(change.keep), _reason(change.because)]
        case Delete():
            return ["Delete", change.id, change.kind.value, _reason(change.because)]


def unpack(packed: object) -> Change:
    """What `pack` was given."""
    match packed:
        case ["Create", list(entry)]:
            return Create(unflatten(entry))
        case ["Update", list(entry), list(changed)]:
            return Update(unflatten(entry), tuple(changed))
        case ["Restore", list(entry)] if isinstance(account := unflatten(entry), Account):
            return Restore(account)
        case ["Suspend", str(id_), str(population), list(keep), list(reason)]:
            return Suspend(EntryId(id_), Population(population), tuple(keep), _departure(reason))
        case ["Delete", str(id_), str(kind), list(reason)]:
            return Delete(EntryId(id_), EntryKind(kind), _delete_reason(reason))
        case _:
            raise ValueError("not a packed change")


def _reason(because: Departure | DeleteReason) -> list[str]:
    match because:
        case Absence() | Withdrawal():
            return [type(because).__name__, because.source, because.delivery, because.left_on.isoformat()]
        case Unentitled():
            return ["Unentitled", because.since.isoformat()]
        case RetentionOver():
            return ["RetentionOver", because.left_on.isoformat()]
        case Erasure():
            return ["Erasure", because.case]
        case Emptied():
            return ["Emptied"]
        case Undone():
            return ["Undone", because.run]


def _departure(reason: Sequence[str]) -> Departure:
    match reason:
        case ["Absence", source, delivery, date]:
            return Absence(source, delivery, dt.date.fromisoformat(date))
        case ["Withdrawal", source, delivery, date]:
            return Withdrawal(source, delivery, dt.date.fromisoformat(date))
        case ["Unentitled", date]:
            return Unentitled(dt.date.fromisoformat(date))
        case _:
            raise ValueError("not a departure")


def _delete_reason(reason: Sequence[str]) -> DeleteReason:
    match reason:
        case ["RetentionOver", date]:
            return RetentionOver(dt.date.fromisoformat(date))
        case ["Erasure", case]:
            return Erasure(case)
        case ["Emptied"]:
            return Emptied()
        case ["Undone", run]:
            return Undone(run)
        case _:
            raise ValueError("not a reason to delete")


def left_on(because: Departure) -> dt.date:
    """The day from which the retention clock of a departure counts."""
    return because.since if isinstance(because, Unentitled) else because.left_on


def make(connection: sa.Connection, plan: str, run: str, target: str, at: dt.datetime) -> None:
    """A new plan, open and empty."""
    connection.execute(sa.insert(_PLANS).values(plan=plan, run=run, target=target, status="open", created=at, holds=[]))


def add(connection: sa.Connection, plan: str, target: str, first: int, new: Sequence[NewChange]) -> int:
    """Add changes to a plan from place `first` on; returns the next free place."""
    columns = ", ".join(NewChange._fields)
    marks = ", ".join("?" * len(NewChange._fields))
    bulk(
        connection,
        f"INSERT INTO changes (plan, seq, target, status, {columns}) VALUES (?, ?, ?, 'pending', {marks})",
        [(plan, first + place, target, *each) for place, each in enumerate(new)],
    )
    return first + len(new)


def overtake(
    connection: sa.Connection,
    target: str,
    but: str | None,
    ids: Sequence[EntryId] | None = None,
    sources: Sequence[str] | None = None,
    until: str | None = None,
) -> None:
    """A compare looked at its scope again: what other plans than `but` hold of it is overtaken.

    With `until`, the plans that are later than it know better: their run went before while this one gave way.

    A held plan of which nothing waits any more is overtaken as a whole. A plan that undoes a run says on purpose what
    no source says: it waits until somebody decides.
    """
    undoing = (
        sa.select(_PLANS.c.plan)
        .join(schema.runs, schema.runs.c.run == _PLANS.c.run)
        .where(_PLANS.c.target == target, _PLANS.c.status.in_(["held", "planned"]), schema.runs.c.kind == "undo")
    )
    update = sa.update(_CHANGES).where(_CHANGES.c.target == target, schema.WAITING, _CHANGES.c.plan.not_in(undoing))
    if until is not None:
        update = update.where(_CHANGES.c.plan <= until)
    if but is not None:
        update = update.where(_CHANGES.c.plan != but)
    if ids is not None:
        update = update.where(_CHANGES.c.entry_id.in_(ids))
    if sources is not None:
        update = update.where(_CHANGES.c.source.in_(sources))
    connection.execute(update.values(status="overtaken"))
    waiting = sa.select(_CHANGES.c.seq).where(_CHANGES.c.plan == _PLANS.c.plan, schema.WAITING).exists()
    emptied = sa.update(_PLANS).where(_PLANS.c.target == target, _PLANS.c.status.in_(["held", "planned"]), ~waiting)
    connection.execute(emptied.values(status="overtaken"))


@dataclass(frozen=True, slots=True)
class Count:
    """How many waiting changes of a plan are alike in these respects."""

    source: str
    kind: EntryKind
    population: Population | None
    operation: Operation
    changes_key: bool
    absence: bool
    uais: str | None
    count: int


def count(connection: sa.Connection, plan: str) -> list[Count]:
    """The changes of a plan that wait, counted by what guards look at."""
    rows = connection.execute(
        sa.text(
            "SELECT source, kind, population, operation, ' ' || parts || ' ' LIKE '% source_key %', "
            "parts = 'Absence', CASE WHEN operation = 'suspend' THEN uais END, count(*) FROM changes "
            "WHERE plan = :plan AND status IN ('pending', 'held') GROUP BY 1, 2, 3, 4, 5, 6, 7"
        ),
        {"plan": plan},
    )
    return [
        Count(
            row[0],
            EntryKind(row[1]),
            Population(row[2]) if row[2] else None,
            Operation(row[3]),
            bool(row[4]),
            bool(row[5]),
            row[6],
            row[7],
        )
        for row in rows
    ]


def hold(connection: sa.Connection, plan: str, holds: Iterable[Hold]) -> int:
    """Keep back what the holds name; returns how many changes of the plan are held."""
    for each in holds:
        kept: sa.ColumnElement[bool] = _CHANGES.c.operation.in_([operation.value for operation in each.operations])
        if each.changed_keys:
            kept = sa.and_(kept, _changes_part("source_key"))
        if each.departures:
            kept = sa.or_(kept, sa.and_(_CHANGES.c.operation == "update", _changes_part("guardianships")))
        waiting = sa.update(_CHANGES).where(_CHANGES.c.plan == plan, _CHANGES.c.status == "pending", kept)
        if each.source is not None:
            waiting = waiting.where(_CHANGES.c.source == each.source)
        connection.execute(waiting.values(status="held"))
    asked = sa.select(sa.func.count()).where(_CHANGES.c.plan == plan, _CHANGES.c.status == "held")
    return int(connection.execute(asked).scalar_one())


def _changes_part(name: str) -> sa.ColumnElement[bool]:
    return (" " + _CHANGES.c.parts + " ").contains(f" {name} ")


def held_digest(connection: sa.Connection, plan: str) -> str:
    """A digest of what a plan holds: the same changes from the same state give the same, whichever run found them."""
    state = hashlib.blake2b(digest_size=16)
    rows = connection.execute(
        sa.select(_CHANGES.c.entry_id, _CHANGES.c.operation, _CHANGES.c.base, _CHANGES.c.fingerprint)
        .where(_CHANGES.c.plan == plan, _CHANGES.c.status == "held")
        .order_by(_CHANGES.c.entry_id)
    )
    for entry_id, operation, base, fingerprint in rows:
        state.update(repr((entry_id, operation, base, fingerprint)).encode())
    return state.hexdigest()


def settle(
    connection: sa.Connection,
    plan: str,
    status: str,
    at: dt.datetime,
    *,
    digest: str | None = None,
    holds: Sequence[Mapping[str, object]] = (),
) -> None:
    """Say where a plan stands."""
    values: dict[str, object] = {"status": status, "decided": at}
    if digest is not None:
        values |= {"digest": digest, "holds": [dict(each) for each in holds]}
    connection.execute(sa.update(_PLANS).where(_PLANS.c.plan == plan).values(**values))


def drop_waiting(connection: sa.Connection, plan: str, status: str, only: str | None = None) -> None:
    """Give all waiting changes of a plan, or those of one status, another status."""
    chosen = [_CHANGES.c.plan == plan, schema.WAITING if only is None else _CHANGES.c.status == only]
    connection.execute(sa.update(_CHANGES).where(*chosen).values(status=status))


def pending(
    connection: sa.Connection, plan: str, target: str, limit: int, after: tuple[int, int] = (-1, -1)
) -> list[Pending]:
    """The next changes to push, in dependency order, from behind the place (rank and seq) `after`."""
    rows = connection.execute(
        sa.text(
            "SELECT rank, seq, entry_id, base, fingerprint, sealed FROM changes WHERE target = :target AND "
            "plan = :plan AND status IN ('pending', 'held') AND status = 'pending' AND (rank, seq) > (:rank, :seq) "
            "ORDER BY rank, seq LIMIT :limit"
        ),
        {"plan": plan, "target": target, "limit": limit, "rank": after[0], "seq": after[1]},
    )
    return [Pending(*row) for row in rows.all()]


def drop_moved(connection: sa.Connection, plan: str) -> None:
    """What waits of a plan is overtaken where its entry is not any more what it was, or is wanted otherwise."""
    entry = schema.entries
    as_it_was = sa.select(entry.c.entry_id).where(
        entry.c.target == _CHANGES.c.target,
        entry.c.entry_id == _CHANGES.c.entry_id,
        entry.c.acknowledged.is_not_distinct_from(_CHANGES.c.base),
        sa.or_(entry.c.desired.is_not_distinct_from(_CHANGES.c.fingerprint), _CHANGES.c.operation == "delete"),
    )
    connection.execute(
        sa.update(_CHANGES)
        .where(_CHANGES.c.plan == plan, schema.WAITING, ~as_it_was.exists())
        .values(status="overtaken")
    )


def started(connection: sa.Connection, target: str, away: Collection[str] = frozenset()) -> list[str]:
    """The plans of which something may be on its way to the target, oldest first; not of runs that are `away`."""
    waiting = sa.select(_CHANGES.c.seq).where(
        _CHANGES.c.target == target, _CHANGES.c.plan == _PLANS.c.plan, schema.WAITING, _CHANGES.c.status == "pending"
    )
    query = sa.select(_PLANS.c.plan).where(
        _PLANS.c.target == target, _PLANS.c.status.in_(["open", "held"]), _PLANS.c.run.not_in(away)
    )
    return list(connection.execute(query.where(waiting.exists()).order_by(_PLANS.c.plan)).scalars())


_ACKNOWLEDGE = sa.text(
    "UPDATE changes SET status = 'acknowledged', decided = :at, run = (SELECT :run FROM plans WHERE "
    "plans.plan = :plan AND plans.run <> :run) WHERE plan = :plan AND seq IN :places"
).bindparams(sa.bindparam("places", expanding=True))


def acknowledge(
    connection: sa.Connection, plan: str, places: Sequence[int], at: dt.datetime, run: str | None = None
) -> None:
    """Store that the target acknowledged these changes; `run` pushed them, None for the one that made the plan."""
    if places:
        asked = {"plan": plan, "places": list(places), "at": schema.instant(at), "run": run}
        connection.execute(_ACKNOWLEDGE, asked)


def keep_before(connection: sa.Connection, plan: str, images: Sequence[tuple[int, bytes]]) -> None:
    """Store the way back: for the place of each change, what the target held until then, sealed."""
    bulk(
        connection,
        "UPDATE changes SET before = ? WHERE plan = ? AND seq = ?",
        [(before, plan, place) for place, before in images],
    )


def refuse(connection: sa.Connection, plan: str, refused: Sequence[tuple[int, str, str]], at: dt.datetime) -> None:
    """Store which changes were not made: place, rule, message."""
    bulk(
        connection,
        "UPDATE changes SET status = 'refused', rule = ?, message = ?, decided = ? WHERE plan = ? AND seq = ?",
        [(rule, message, schema.instant(at), plan, place) for place, rule, message in refused],
    )


def get(connection: sa.Connection, plan: str) -> Plan | None:
    """A stored plan."""
    row = connection.execute(sa.select(_PLANS).where(_PLANS.c.plan == plan)).one_or_none()
    return _plan(row) if row is not None else None


def held(connection: sa.Connection, target: str) -> list[Plan]:
    """The plans of a target that wait for approval, newest first: at most one of what sources say, and undoings."""
    query = sa.select(_PLANS).where(_PLANS.c.target == target, _PLANS.c.status == "held").order_by(_PLANS.c.plan.desc())
    return [_plan(row) for row in connection.execute(query)]


def listed(connection: sa.Connection, limit: int = 50) -> list[Plan]:
    """The newest plans, newest first."""
    return [_plan(row) for row in connection.execute(sa.select(_PLANS).order_by(_PLANS.c.plan.desc()).limit(limit))]


def _plan(row: sa.Row[tuple[object, ...]]) -> Plan:
    return Plan(row.plan, row.run, row.target, row.status, row.created, row.digest, tuple(row.holds))


@dataclass(frozen=True, slots=True)
class Facet:
    """A line of `plan show`: so many changes of one operation, status and facet (a school, population or part)."""

    facet: str
    operation: str
    status: str
    count: int


def facets(connection: sa.Connection, plan: str, by: str) -> list[Facet]:
    """The changes of a plan counted by `school`, `population` or `attribute`; one change may count in several lines."""
    column = {"school": "coalesce(uais, '')", "attribute": "parts", "population": "coalesce(population, kind)"}[by]
    rows = connection.execute(
        sa.text(f"SELECT {column}, operation, status, count(*) FROM changes WHERE plan = :plan GROUP BY 1, 2, 3"),
        {"plan": plan},
    )
    found: dict[tuple[str, str, str], int] = {}
    for text, operation, status, number in rows:
        for facet in text.split() or ["-"]:
            found[facet, operation, status] = found.get((facet, operation, status), 0) + number
    return [Facet(*key, number) for key, number in sorted(found.items())]


def listed_changes(
    connection: sa.Connection, plan: str, limit: int | None = None
) -> Iterator[sa.Row[tuple[object, ...]]]:
    """The changes of a plan in the order in which they are pushed, sealed."""
    query = sa.select(_CHANGES).where(_CHANGES.c.plan == plan).order_by(_CHANGES.c.rank, _CHANGES.c.seq).limit(limit)
    yield from connection.execute(query)


def of_entry(connection: sa.Connection, entry_id: EntryId, limit: int = 20) -> list[sa.Row[tuple[object, ...]]]:
    """The newest changes of one entry, newest first: what was pushed when, what was refused, what still waits."""
    query = (
        sa.select(
            _CHANGES.c.plan,
            _CHANGES.c.target,
            _CHANGES.c.operation,
            _CHANGES.c.parts,
            _CHANGES.c.status,
            _CHANGES.c.rule,
            _CHANGES.c.message,
            _CHANGES.c.decided,
            _PLANS.c.run,
        )
        .join(_PLANS, _PLANS.c.plan == _CHANGES.c.plan)
        .where(_CHANGES.c.entry_id == entry_id, _CHANGES.c.status.not_in(["overtaken", "rejected"]))
        .order_by(_CHANGES.c.plan.desc(), _CHANGES.c.seq.desc())
        .limit(limit)
    )
    return list(connection.execute(query))


def waits(connection: sa.Connection, plan: str) -> bool:
    """Whether anything of a plan is held."""
    asked = sa.select(_CHANGES.c.seq).where(_CHANGES.c.plan == plan, _CHANGES.c.status == "held").limit(1)
    return connection.execute(asked).first() is not None
