"""The entries of each target: what each should be, beside what the target last confirmed that it is.

State is what the target acknowledged. An entry is stale from the moment something touched it until what the target
acknowledged is what it should be: stale entries are looked at in every run, all others cost nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa

from ent_sync.core.entry import EntryId, EntryKind, Lifecycle
from ent_sync.core.record import Key, Population
from ent_sync.core.relations import Tie
from ent_sync.store import schema
from ent_sync.store.database import bulk

_ENTRIES = schema.entries
_PAGE = 500
# Looking an enumeration up by its value costs ten times a mapping, and these are looked up for every person.
_KINDS = {each.value: each for each in EntryKind}
_POPULATIONS = {each.value: each for each in Population}
_LIFECYCLES = {each.value: each for each in Lifecycle}


@dataclass(frozen=True, slots=True, repr=False, kw_only=True)
class Known:
    """What is stored of one entry at one target; fingerprints are None where the target holds nothing."""

    id: EntryId
    kind: EntryKind
    population: Population | None
    source: str
    desired: bytes | None
    lifecycle: Lifecycle | None
    acknowledged: bytes | None
    parts: bytes | None
    source_key: Key | None
    uais: str | None


@dataclass(frozen=True, slots=True, repr=False)
class RecordRow:
    """A record of a person or structure; who left has a state, a date and the delivery that proved it."""

    entry_id: EntryId
    source: str
    population: Population
    key: Key
    state: str
    sealed: bytes | None
    birth: bytes | None
    left_on: dt.date | None
    delivery: str | None


class Placed(NamedTuple):
    """An entry's place in a group; the label that its record gives the group is sealed for the group."""

    entry_id: str
    group_id: str
    label_digest: bytes | None = None
    label: bytes | None = None

    def __repr__(self) -> str:
        return f"<Placed {self.entry_id}>"


class Mapped(NamedTuple):
    """What mapping made of an entry: its desired fingerprint, None where nothing is to be held of it.

    With `stays`, it could not be told: the entry stays as acknowledged, and in its groups.
    """

    entry_id: str
    source: str
    desired: bytes | None
    due: int | None
    likeness: bytes | None
    withheld: int
    stays: bool = False


def mark_touched(connection: sa.Connection, target: str, changed: dt.datetime) -> None:
    """Mark what a merge touched for mapping; persons and structures that are new get their row.

    `changed` is when the source changed it: what waited before waits since then.
    """
    at = {"target": target, "changed": schema.instant(changed)}
    connection.execute(
        sa.text(
            "INSERT INTO entries (target, entry_id, kind, population, source, stale, changed_at) SELECT :target, "
            "touched.entry_id, CASE WHEN min(known.population) = 'school' THEN 'structure' ELSE 'account' END, "
            "min(known.population), min(known.source), TRUE, :changed FROM touched JOIN records known ON "
            "known.entry_id = touched.entry_id WHERE TRUE GROUP BY touched.entry_id ON CONFLICT (target, entry_id) "
            "DO NOTHING"
        ),
        at,
    )
    connection.execute(
        sa.text(
            "UPDATE entries SET stale = TRUE, changed_at = CASE WHEN stale THEN coalesce(changed_at, :changed) ELSE "
            ":changed END WHERE target = :target AND entry_id IN (SELECT entry_id FROM touched)"
        ),
        at,
    )


def mark_all(connection: sa.Connection, target: str) -> None:
    """Mark everybody for mapping: the policy changed, or the target is new."""
    connection.execute(
        sa.text(
            "INSERT INTO entries (target, entry_id, kind, population, source, stale) SELECT :target, entry_id, "
            "CASE WHEN min(population) = 'school' THEN 'structure' ELSE 'account' END, min(population), min(source), "
            "TRUE FROM records GROUP BY entry_id ON CONFLICT (target, entry_id) DO UPDATE SET stale = TRUE"
        ),
        {"target": target},
    )


def mark(connection: sa.Connection, target: str, ids: Sequence[EntryId]) -> None:
    """Mark some people and structures for mapping."""
    connection.execute(
        sa.update(_ENTRIES)
        .where(_ENTRIES.c.target == target, _ENTRIES.c.entry_id.in_(ids), _ENTRIES.c.kind != EntryKind.GROUP.value)
        .values(stale=True)
    )


def mark_due(connection: sa.Connection, target: str, buckets: Collection[int]) -> None:
    """Mark what time alone may have changed (gdpr.md R20), and whatever shares a bucket with it."""
    due = _ENTRIES.c.due.in_(sorted(buckets))
    connection.execute(sa.update(_ENTRIES).where(_ENTRIES.c.target == target, due).values(stale=True))


def candidates(
    connection: sa.Connection, target: str, after: EntryId | None, limit: int, sources: Sequence[str] | None
) -> list[EntryId]:
    """The next accounts and structures to map, in the order of their identifiers."""
    query = (
        sa.select(_ENTRIES.c.entry_id)
        .where(_ENTRIES.c.target == target, _ENTRIES.c.stale == sa.true(), _ENTRIES.c.kind != EntryKind.GROUP.value)
        .order_by(_ENTRIES.c.entry_id)
        .limit(limit)
    )
    if after is not None:
        query = query.where(_ENTRIES.c.entry_id > after)
    if sources is not None:
        query = query.where(_ENTRIES.c.source.in_(sources))
    return list(connection.execute(query).scalars())


_KNOWN_COLUMNS = "entry_id, kind, population, source, desired, lifecycle, acknowledged, parts, source_key, uais"
_LOAD = sa.text(f"SELECT {_KNOWN_COLUMNS} FROM entries WHERE target = :target AND entry_id IN :ids").bindparams(
    sa.bindparam("ids", expanding=True)
)


def load(connection: sa.Connection, target: str, ids: Sequence[EntryId]) -> dict[EntryId, Known]:
    """What is stored of these entries."""
    rows = connection.execute(_LOAD, {"target": target, "ids": list(ids)}).all()
    return {row[0]: _known(row) for row in rows}


def of_kind(connection: sa.Connection, target: str, kind: EntryKind) -> list[Known]:
    """All entries of one kind; for structures and groups, which grow with schools."""
    query = sa.text(f"SELECT {_KNOWN_COLUMNS} FROM entries WHERE target = :target AND kind = :kind")
    return [_known(row) for row in connection.execute(query, {"target": target, "kind": kind.value}).all()]


def _known(row: Sequence[Any]) -> Known:
    """The row of `_KNOWN_COLUMNS`, by place: naming columns costs more than reading them."""
    return Known(
        id=row[0],
        kind=_KINDS[row[1]],
        population=_POPULATIONS[row[2]] if row[2] else None,
        source=row[3],
        desired=row[4],
        lifecycle=_LIFECYCLES[row[5]] if row[5] else None,
        acknowledged=row[6],
        parts=row[7],
        source_key=row[8],
        uais=row[9],
    )


# CROSS JOIN keeps the order: without statistics, SQLite would look at every pupil for every guardian.
_WARDS = sa.text(
    "SELECT guardian.entry_id, pupil.entry_id, link.tie FROM records guardian CROSS JOIN links link CROSS JOIN "
    "records pupil WHERE guardian.entry_id IN :ids AND guardian.population = 'guardian' AND "
    "guardian.state = 'present' AND link.source = guardian.source AND link.guardian = guardian.key AND "
    "pupil.source = link.source AND pupil.population = 'pupil' AND pupil.key = link.pupil AND pupil.state = 'present'"
).bindparams(sa.bindparam("ids", expanding=True))


_RECORDS = sa.text(
    "SELECT entry_id, source, population, key, state, sealed, birth, left_on, delivery FROM records "
    "WHERE entry_id IN :ids"
).bindparams(sa.bindparam("ids", expanding=True))


def records_of(connection: sa.Connection, ids: Sequence[EntryId]) -> dict[EntryId, list[RecordRow]]:
    """All records of these persons and structures, of those who left too."""
    found: dict[EntryId, list[RecordRow]] = {}
    for row in connection.execute(_RECORDS, {"ids": list(ids)}).all():
        left_on = None if row[7] is None else dt.date.fromisoformat(str(row[7]))
        record = RecordRow(row[0], row[1], _POPULATIONS[row[2]], row[3], row[4], row[5], row[6], left_on, row[8])
        found.setdefault(row[0], []).append(record)
    return found


def wards_of(connection: sa.Connection, ids: Sequence[EntryId]) -> dict[EntryId, list[tuple[EntryId, Tie]]]:
    """The present pupils whom these guardians are linked to."""
    found: dict[EntryId, list[tuple[EntryId, Tie]]] = {}
    for guardian, pupil, tie in connection.execute(_WARDS, {"ids": list(ids)}).all():
        found.setdefault(guardian, []).append((pupil, Tie(tie)))
    return found


_FORGET_MEMBERSHIPS = sa.text("DELETE FROM memberships WHERE target = :target AND entry_id IN :ids").bindparams(
    sa.bindparam("ids", expanding=True)
)


def remember(connection: sa.Connection, target: str, mapped: Sequence[Mapped], groups: Sequence[Placed]) -> None:
    """Store what mapping made of entries; `groups` are all their memberships."""
    bulk(
        connection,
        "UPDATE entries SET stale = (acknowledged IS DISTINCT FROM ?), changed_at = CASE WHEN acknowledged IS DISTINCT "
        "FROM ? THEN changed_at END, desired = ?, source = ?, due = ?, likeness = ?, withheld = ? WHERE target = ? AND "
        "entry_id = ?",
        [
            (
                each.desired,
                each.desired,
                each.desired,
                each.source,
                each.due,
                each.likeness,
                each.withheld,
                target,
                each.entry_id,
            )
            for each in mapped
        ],
    )
    for start in range(0, len(mapped), _PAGE):
        ids = [each.entry_id for each in mapped[start : start + _PAGE] if not each.stays]
        connection.execute(_FORGET_MEMBERSHIPS, {"target": target, "ids": ids})
    bulk(
        connection,
        "INSERT INTO memberships (target, entry_id, group_id, label_digest, label) VALUES (?, ?, ?, ?, ?)",
        [(target, *each) for each in groups],
    )


_CONFIRM = sa.text(
    "UPDATE entries SET stale = (entries.desired IS DISTINCT FROM change.fingerprint), changed_at = CASE WHEN "
    "entries.desired IS DISTINCT FROM change.fingerprint THEN entries.changed_at END, lifecycle = change.lifecycle, "
    "acknowledged = change.fingerprint, parts = change.part_fingerprints, "
    "source_key = coalesce(change.source_key, entries.source_key), uais = change.uais, acknowledged_at = :at, "
    "left_on = change.left_on, suspended_at = CASE WHEN change.lifecycle = 'suspended' THEN :at END "
    "FROM changes change WHERE change.plan = :plan AND change.seq IN :places AND change.lifecycle IS NOT NULL AND "
    "entries.target = change.target AND entries.entry_id = change.entry_id"
).bindparams(sa.bindparam("places", expanding=True))


def confirm(connection: sa.Connection, plan: str, places: Sequence[int], at: dt.datetime) -> None:
    """Store that the target acknowledged these changes of a plan: it holds what they make of their entries."""
    if places:
        connection.execute(_CONFIRM, {"plan": plan, "places": list(places), "at": schema.instant(at)})


def confirm_gone(connection: sa.Connection, target: str, ids: Sequence[EntryId], at: dt.datetime) -> None:
    """Store that the target holds these entries no more: accounts leave a tombstone and their departed records go."""
    if not ids:
        return
    asked = {"target": target, "ids": list(ids), "at": schema.instant(at)}
    for statement in (
        "INSERT INTO tombstones (target, entry_id, deleted) SELECT target, entry_id, :at FROM entries WHERE "
        "target = :target AND kind = 'account' AND entry_id IN :ids ON CONFLICT (target, entry_id) DO UPDATE SET "
        "deleted = excluded.deleted",
        "DELETE FROM memberships WHERE target = :target AND entry_id IN :ids",
        "DELETE FROM entries WHERE target = :target AND entry_id IN :ids",
        "DELETE FROM records WHERE state <> 'present' AND entry_id IN :ids AND NOT EXISTS (SELECT 1 FROM entries "
        "WHERE entries.entry_id = records.entry_id)",
    ):
        text = sa.text(statement).bindparams(sa.bindparam("ids", expanding=True))
        connection.execute(text, {name: value for name, value in asked.items() if f":{name}" in statement})


def disown(connection: sa.Connection, target: str, ids: Sequence[EntryId]) -> None:
    """Store that the target does not hold what it acknowledged for these entries; the next compare pushes it again."""
    connection.execute(
        sa.update(_ENTRIES)
        .where(_ENTRIES.c.target == target, _ENTRIES.c.entry_id.in_(ids))
        .values(stale=True, lifecycle=None, acknowledged=None, parts=None)
    )


def correct(
    connection: sa.Connection,
    target: str,
    entry_id: EntryId,
    acknowledged: bytes,
    parts: bytes,
    source_key: Key | None,
    uais: str | None,
) -> None:
    """Store what the target really holds active of an entry, where it is not what it acknowledged.

    People and structures are mapped again; of a group it is known already what it should be.
    """
    connection.execute(
        sa.update(_ENTRIES)
        .where(_ENTRIES.c.target == target, _ENTRIES.c.entry_id == entry_id)
        .values(
            stale=sa.or_(_ENTRIES.c.kind != EntryKind.GROUP.value, _ENTRIES.c.desired.is_distinct_from(acknowledged)),
            lifecycle=Lifecycle.ACTIVE.value,
            acknowledged=acknowledged,
            parts=parts,
            source_key=sa.func.coalesce(source_key, _ENTRIES.c.source_key),
            uais=uais,
            left_on=None,
            suspended_at=None,
        )
    )


def doubt(connection: sa.Connection, target: str, ids: Sequence[EntryId]) -> None:
    """Store that the target holds these active entries otherwise than acknowledged: whatever they are to be is new."""
    connection.execute(
        sa.update(_ENTRIES)
        .where(_ENTRIES.c.target == target, _ENTRIES.c.entry_id.in_(ids))
        .values(stale=True, acknowledged=None)
    )


def forget_unheld(connection: sa.Connection, target: str) -> None:
    """Drop what is left of persons who left without ever having had an account: no source and no target holds them."""
    connection.execute(
        sa.text(
            "DELETE FROM entries WHERE target = :target AND lifecycle IS NULL AND desired IS NULL AND NOT stale AND "
            "kind <> 'group' AND entry_id IN (SELECT entry_id FROM records WHERE state <> 'present') AND NOT EXISTS "
            "(SELECT 1 FROM records WHERE records.entry_id = entries.entry_id AND records.state = 'present')"
        ),
        {"target": target},
    )
    connection.execute(
        sa.text(
            "DELETE FROM records WHERE state <> 'present' AND NOT EXISTS (SELECT 1 FROM entries WHERE "
            "entries.entry_id = records.entry_id)"
        )
    )


def retention_over(
    connection: sa.Connection, target: str, left_before: dt.date, suspended_before: dt.datetime
) -> list[Known]:
    """The suspended accounts whose clock ran out (gdpr.md R31, R32); of whom it is known that they did not come back.

    Somebody who is stale may have: they are mapped again, or wait to be restored.
    """
    query = sa.text(
        f"SELECT {_KNOWN_COLUMNS} FROM entries WHERE target = :target AND lifecycle = 'suspended' AND NOT stale AND "
        "left_on <= :left AND suspended_at <= :suspended"
    )
    asked = {"target": target, "left": left_before.isoformat(), "suspended": schema.instant(suspended_before)}
    return [_known(row) for row in connection.execute(query, asked).all()]


def active(connection: sa.Connection, target: str) -> dict[tuple[str, Population], int]:
    """How many entries the target holds active, by source and population; structures are `school`."""
    rows = connection.execute(
        sa.text(
            "SELECT source, population, count(*) FROM entries WHERE target = :target AND lifecycle = 'active' AND "
            "population IS NOT NULL GROUP BY 1, 2"
        ),
        {"target": target},
    )
    return {(row[0], Population(row[1])): row[2] for row in rows}


def active_by_school(connection: sa.Connection, target: str) -> dict[tuple[str, str], int]:
    """How many active accounts of pupils and staff each source has in each school."""
    found: dict[tuple[str, str], int] = {}
    rows = connection.execute(
        sa.text(
            "SELECT source, uais, count(*) FROM entries WHERE target = :target AND lifecycle = 'active' AND "
            "kind = 'account' AND uais IS NOT NULL GROUP BY 1, 2"
        ),
        {"target": target},
    )
    for source, uais, count in rows:
        for uai in uais.split():
            found[source, uai] = found.get((source, uai), 0) + count
    return found


def at_school(connection: sa.Connection, target: str, uai: str) -> list[EntryId]:
    """The accounts of a school's pupils and staff, and of those pupils' guardians."""
    members = list(
        connection.execute(
            sa.text(
                "SELECT entry_id FROM memberships WHERE target = :target AND group_id LIKE :group UNION "
                "SELECT entry_id FROM entries WHERE target = :target AND uais LIKE :uai"
            ),
            {"target": target, "group": f"{uai}$%", "uai": f"%{uai}%"},
        ).scalars()
    )
    guardians: list[EntryId] = []
    asked = sa.text(
        "SELECT DISTINCT guardian.entry_id FROM records pupil JOIN links link ON link.source = pupil.source AND "
        "link.pupil = pupil.key JOIN records guardian ON guardian.source = link.source AND "
        "guardian.population = 'guardian' AND guardian.key = link.guardian WHERE pupil.population = 'pupil' AND "
        "pupil.entry_id IN :ids"
    ).bindparams(sa.bindparam("ids", expanding=True))
    for start in range(0, len(members), 500):
        guardians += connection.execute(asked, {"ids": members[start : start + 500]}).scalars()
    return sorted({*members, *guardians})


def keys_of(connection: sa.Connection, ids: Sequence[EntryId]) -> dict[str, set[Key]]:
    """The join keys of the people behind some entries, by the source that delivers them."""
    found: dict[str, set[Key]] = {}
    for start in range(0, len(ids), 500):
        for row in (row for rows in records_of(connection, ids[start : start + 500]).values() for row in rows):
            if row.population is not Population.SCHOOL:
                found.setdefault(row.source, set()).add(row.key)
    return found


def find(connection: sa.Connection, key_or_id: str) -> list[EntryId]:
    """The entries that a join key or an account identifier names, whatever feed it came from."""
    rows = connection.execute(
        sa.text(
            "SELECT entry_id FROM records WHERE source IN (SELECT source FROM sources) AND population IN "
            "('pupil', 'guardian', 'staff') AND key = :asked UNION SELECT entry_id FROM entries WHERE "
            "entry_id = :asked AND kind = 'account'"
        ),
        {"asked": key_or_id},
    )
    return sorted(rows.scalars())
