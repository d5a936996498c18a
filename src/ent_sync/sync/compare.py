"""Steps 7 and 8: what differs from what each target acknowledged becomes a plan.

Only what something touched is mapped, in worker processes (`sync.map`), and the run writes down what comes back. Groups
follow from their members; what the register's clock ended is deleted.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgpack

from ent_sync.core.entry import (
    STAFF_GROUP_CODE,
    EntryId,
    EntryKind,
    Group,
    Lifecycle,
    group_id,
)
from ent_sync.core.event import BatchMapped
from ent_sync.core.fingerprint import BUCKETS, day_bucket, fingerprint, part_fingerprints
from ent_sync.core.plan import (
    Change,
    Create,
    Delete,
    Emptied,
    RetentionOver,
    Update,
    changed_parts,
)
from ent_sync.core.relations import GroupKind, declared_groups
from ent_sync.ports import Target
from ent_sync.store import entries, groups, lease, measures, plans, runs, snapshot
from ent_sync.store.entries import Known
from ent_sync.store.lease import Lease
from ent_sync.store.plans import NewChange
from ent_sync.sync.map import (
    MappedBatch,
    MapTask,
    map_entries,
    new_change,
    open_label,
    part_fingerprints_of,
    schools_of,
)
from ent_sync.sync.parts import Parts
from ent_sync.sync.pull import open_record

_BATCH = 400
_SMALL = 2000
_TOGETHER = 4000  # entries that are written down in one transaction


@dataclass(frozen=True, slots=True)
class Scope:
    """What a compare is about: everything, the entries of some sources, or some entries."""

    sources: tuple[str, ...] | None = None
    ids: tuple[EntryId, ...] | None = None


class PlanWriter:
    """Adds the changes of a run to its plan for one target."""

    def __init__(self, parts: Parts, target: str, held: Lease) -> None:
        self.parts = parts
        self.target = target
        self.held = held
        self.plan: str | None = None
        self._place = 0

    def add(self, changes: Sequence[NewChange]) -> int:
        """Add changes, inside a transaction; the plan is made with the first. Gives the place of the first."""
        first = self._place
        if not changes:
            return first
        connection = self.parts.database.connection
        if self.plan is None:
            self.plan = self.parts.new_id()
            plans.make(connection, self.plan, self.held.run, self.target, self.parts.now())
        self._place = plans.add(connection, self.plan, self.target, first, changes)
        return first


def prepare(parts: Parts) -> None:
    """Mark what the policy, the calendar or a new target asks to be mapped again; once in a run, before it reads."""
    for target in parts.target_names:
        with parts.database.transaction() as connection:
            if runs.fact(connection, f"policy of {target}") != parts.policy.digest:
                entries.mark_all(connection, target)
                runs.remember_fact(connection, f"policy of {target}", parts.policy.digest)
            looked = runs.fact(connection, f"looked at {target}")
            entries.mark_due(connection, target, _buckets_since(parts, looked))
            runs.remember_fact(connection, f"looked at {target}", parts.today.isoformat())


def _buckets_since(parts: Parts, looked: str | None) -> set[int]:
    """The buckets of the days since the last look, today with them; all of them after a long time."""
    before = dt.date.fromisoformat(looked) if looked else parts.today
    days = max((parts.today - before).days, 0)
    return {day_bucket(parts.keys, parts.today - dt.timedelta(days=back)) for back in range(min(days, 4 * BUCKETS) + 1)}


def compare(parts: Parts, writer: PlanWriter, scope: Scope, moment: str) -> int:
    """Map every candidate of the scope and plan the differences; returns how many records were set aside."""
    aside: set[str] = set()
    tasks = list(_tasks(parts, writer.target, scope, moment, limit=_SMALL // _BATCH + 1))
    small = len(tasks) * _BATCH <= _SMALL
    all_tasks = tasks if small else _tasks(parts, writer.target, scope, moment)
    waiting = MappedBatch()
    for batch in parts.engine.map(map_entries, all_tasks, small=small):
        waiting.take(batch)
        if len(waiting.mapped) >= _TOGETHER:
            _write_down(parts, writer, waiting)
            waiting = MappedBatch()
        aside |= {each.id for each in batch.aside}
        parts.tell(BatchMapped(writer.target, len(batch.mapped)))
    _write_down(parts, writer, waiting)
    with parts.database.reading() as connection:
        due = runs.fact(connection, _groups_due(writer.target)) == "due" or groups.stale(connection, writer.target)
    if due:
        _plan_groups(parts, writer)
    if scope.ids is None:
        _plan_retention(parts, writer)
    return len(aside)


def _write_down(parts: Parts, writer: PlanWriter, batch: MappedBatch) -> None:
    if batch.mapped:
        with parts.database.transaction() as connection:
            lease.renew(connection, writer.held, parts.now())
            if runs.fact(connection, _groups_due(writer.target)) != "due" and groups.moved(
                connection, writer.target, batch.mapped, batch.groups
            ):
                runs.remember_fact(connection, _groups_due(writer.target), "due")
            entries.remember(connection, writer.target, batch.mapped, batch.groups)
            writer.add(batch.changes)
            runs.quarantine(connection, batch.aside, parts.now())
            measures.count_withheld(connection, batch.withheld)


def _tasks(parts: Parts, target: str, scope: Scope, moment: str, limit: int | None = None) -> Iterator[MapTask]:
    """The candidates in tasks; read page by page, each page in a short look at the store."""
    if scope.ids is not None:
        for start in range(0, len(scope.ids), _BATCH):
            yield MapTask(target, scope.ids[start : start + _BATCH], moment)
        return
    after: EntryId | None = None
    given = 0
    while limit is None or given < limit:
        with parts.database.reading() as connection:
            ids = entries.candidates(connection, target, after, _BATCH, scope.sources)
        if not ids:
            return
        after = ids[-1]
        given += 1
        yield MapTask(target, tuple(ids), moment)


def _plan_groups(parts: Parts, writer: PlanWriter) -> None:
    """Groups exist while somebody is a member or their structure declares them; it names them, or its people do."""
    target = writer.target
    with parts.database.transaction() as connection:
        wanted: dict[EntryId, Group] = {}
        for entry_id, sealed in groups.names(connection, target):
            uai, group_kind, code = entry_id.split("$", 2)
            label = open_label(parts, entry_id, sealed)
            name = _STAFF_NAME if code == STAFF_GROUP_CODE and group_kind == GroupKind.STAFF else label or code
            wanted[entry_id] = Group(id=entry_id, uai=uai, group_kind=GroupKind(group_kind), code=code, name=name)
        sources: dict[str, str] = {}
        for row in snapshot.school_rows(connection):
            sources.setdefault(row.entry_id, row.source)
            if row.sealed is None:
                continue
            record = open_record(parts, row.source, row.population, row.key, row.sealed)
            for declared in declared_groups(record):
                entry_id = group_id(row.entry_id, declared.kind, declared.code)
                name = declared.label or (wanted[entry_id].name if entry_id in wanted else declared.code)
                wanted[entry_id] = Group(
                    id=entry_id, uai=row.entry_id, group_kind=declared.kind, code=declared.code, name=name
                )
        remembered: list[tuple[EntryId, str, bytes | None]] = []
        changes: list[NewChange] = []
        held = {known.id: known for known in entries.of_kind(connection, target, EntryKind.GROUP)}
        for entry_id, group in sorted(wanted.items()):
            source = sources.get(group.uai, "")
            known = held.pop(entry_id, None) or Known(
                id=entry_id,
                kind=EntryKind.GROUP,
                population=None,
                source=source,
                desired=None,
                lifecycle=None,
                acknowledged=None,
                parts=None,
                source_key=None,
                uais=None,
            )
            desired = fingerprint(parts.keys, group)
            if desired != known.desired:
                remembered.append((entry_id, source, desired))
            if desired != known.acknowledged:
                fingerprints = part_fingerprints(parts.keys, group)
                names = changed_parts(part_fingerprints_of(known), fingerprints) if known.lifecycle else ()
                change: Change = Update(group, names) if known.lifecycle else Create(group)
                changes.append(
                    new_change(parts, target, known, change, source, group.uai, names, fingerprints, desired)
                )
        for known in held.values():
            remembered.append((known.id, known.source, None))
            if known.lifecycle is not None:
                change = Delete(known.id, EntryKind.GROUP, Emptied())
                changes.append(
                    new_change(parts, target, known, change, known.source, known.uais, ("Emptied",), {}, None)
                )
        groups.want(connection, target, remembered)
        runs.remember_fact(connection, _groups_due(target), "done")
        writer.add(changes)


def _groups_due(target: str) -> str:
    """The fact that tells, across a crash too, that groups are to be looked at since somebody was mapped."""
    return f"groups of {target}"


_STAFF_NAME = "Personnels"


def _plan_retention(parts: Parts, writer: PlanWriter) -> None:
    """Suspended accounts whose clock ran out are deleted (gdpr.md R31, R32)."""
    retention = parts.policy.retention
    left_before = parts.today - retention.delete_after
    suspended_before = parts.now() - retention.suspended_at_least
    with parts.database.transaction() as connection:
        due = entries.retention_over(connection, writer.target, left_before, suspended_before)
        writer.add(
            [
                new_change(
                    parts,
                    writer.target,
                    known,
                    Delete(known.id, EntryKind.ACCOUNT, RetentionOver(left_before)),
                    known.source,
                    known.uais,
                    ("RetentionOver",),
                    {},
                    None,
                )
                for known in due
            ]
        )


def adopt_drift(parts: Parts, name: str, target: Target, ids: Sequence[EntryId]) -> None:
    """What the target really holds of these entries counts, whatever it acknowledged."""
    real = {each.entry.id: each for each in target.read_back(ids)}
    with parts.database.transaction() as connection:
        known = entries.load(connection, name, ids)
        gone = [id_ for id_, each in known.items() if each.lifecycle is not None and id_ not in real]
        entries.disown(connection, name, gone)
        suspended = [id_ for id_, held in real.items() if held.lifecycle is Lifecycle.SUSPENDED]
        entries.doubt(
            connection, name, [id_ for id_ in suspended if id_ in known and known[id_].lifecycle is Lifecycle.ACTIVE]
        )
        for id_, held in real.items():
            if id_ not in known or held.lifecycle is Lifecycle.SUSPENDED:
                continue
            found = fingerprint(parts.keys, held.entry)
            if found != known[id_].acknowledged:
                entries.correct(
                    connection,
                    name,
                    id_,
                    found,
                    msgpack.packb(part_fingerprints(parts.keys, held.entry)),
                    None if isinstance(held.entry, Group) else held.entry.source_key,
                    schools_of(held.entry),
                )
