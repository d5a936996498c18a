"""Steps 4 to 8: what each entry should be, beside what its target acknowledged, and the plan that follows.

Persons are mapped in worker processes, a few hundred at a time, and only those whom something touched. What comes back
is a fingerprint, and a sealed change where it differs from the acknowledged one. Groups follow from their members.
"""

from __future__ import annotations

import datetime as dt
import unicodedata
from collections import ChainMap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import msgpack

from ent_sync.core.completeness import Absence
from ent_sync.core.entry import (
    KEPT_WHEN_SUSPENDED,
    STAFF_GROUP_CODE,
    Account,
    Entry,
    EntryId,
    EntryKind,
    Group,
    Lifecycle,
    Structure,
    group_id,
)
from ent_sync.core.event import BatchMapped
from ent_sync.core.fingerprint import correlation_digest, fingerprint, part_fingerprints, suspended_fingerprint
from ent_sync.core.identity import Person, Ward
from ent_sync.core.plan import (
    Change,
    Create,
    Delete,
    Departure,
    Emptied,
    Restore,
    RetentionOver,
    Suspend,
    Unentitled,
    Update,
    Withdrawal,
    changed_parts,
    kind,
    operation,
    rank,
    subject,
)
from ent_sync.core.record import Key, Record
from ent_sync.core.relations import GroupKind, Tie, declared_groups
from ent_sync.ports import Target
from ent_sync.store import entries, plans, runs, snapshot
from ent_sync.store.entries import Known, Mapped, RecordRow
from ent_sync.store.plans import NewChange
from ent_sync.store.runs import Quarantined, quarantine_id
from ent_sync.sync.parts import Parts
from ent_sync.sync.pull import open_record

_BATCH = 400
_SMALL = 2000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class MapTask:
    """Entries to map for a target. `moment` changes whenever the snapshot may have, so that workers look again."""

    target: str
    ids: tuple[EntryId, ...]
    moment: str


@dataclass(slots=True)
class MappedBatch:
    """What became of the entries of one task."""

    mapped: list[Mapped] = field(default_factory=list)
    groups: list[tuple[str, str, str | None]] = field(default_factory=list)
    changes: list[NewChange] = field(default_factory=list)
    aside: list[Quarantined] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Scope:
    """What a compare is about: everything, the entries of some sources, or some entries."""

    sources: tuple[str, ...] | None = None
    ids: tuple[EntryId, ...] | None = None


# -- mapping, in workers -----------------------------------------------------------------------------------------------


class _Reference:
    """Reference tables of a worker: they grow with schools, so they are read once per snapshot, not per batch."""

    moment = ""
    schools: dict[str, dict[Key, str]] = {}  # noqa: RUF012 - replaced as a whole


def map_entries(parts: Parts, task: MapTask) -> Iterator[MappedBatch]:
    """Map some entries and tell what differs from what is acknowledged; runs in a worker process."""
    with parts.database.reading() as connection:
        if _Reference.moment != task.moment:
            _Reference.moment, _Reference.schools = task.moment, snapshot.schools(connection)
        known = entries.load(connection, task.target, task.ids)
        records = entries.records_of(connection, task.ids)
        wards = entries.wards_of(connection, task.ids)
    mapping = _Mapping(parts, task.target, _Reference.schools)
    for entry_id in task.ids:
        if entry_id in known:
            mapping.map(known[entry_id], records.get(entry_id, []), wards.get(entry_id, []))
    yield mapping.batch


class _Mapping:
    """Maps entries of one target, one after the other."""

    def __init__(self, parts: Parts, target: str, schools: dict[str, dict[Key, str]]) -> None:
        self.batch = MappedBatch()
        self._parts = parts
        self._target = target
        self._schools = schools
        self._today = parts.today
        self._precedence = {name: each.precedence for name, each in parts.sources.items()}

    def map(self, known: Known, rows: Sequence[RecordRow], wards: Sequence[tuple[EntryId, Tie]]) -> None:
        """What the entry should be, from the records that are present, and the change that makes it so."""
        held = sorted(
            (row for row in rows if row.state == "present"),
            key=lambda row: (self._precedence.get(row.source, len(self._precedence)), row.source, row.key),
        )
        records = tuple(self._open(row) for row in held)
        if not records:
            self._absent(known, rows)
        elif known.kind is EntryKind.STRUCTURE:
            self._structure(known, records[0])
        else:
            person = Person(
                known.id,
                records[0].population,
                records,
                tuple(Ward(pupil, tie) for pupil, tie in wards),
            )
            self._person(known, person, next((row.birth for row in held if row.birth), None))

    def _open(self, row: RecordRow) -> Record:
        if row.sealed is None:
            raise ValueError("a present record has content")
        return open_record(self._parts, row.source, row.population, row.key, row.sealed)

    def _structure(self, known: Known, record: Record) -> None:
        structure = self._parts.policy.structure(self._target, record)
        if isinstance(structure, Structure):
            self._want(known, structure, record.source, None, None, 0)

    def _person(self, known: Known, person: Person, birth: bytes | None) -> None:
        source = person.records[0].source
        # A structure key means what the feed means by it; the few people of several feeds are looked up in each.
        feeds = dict.fromkeys(record.source for record in person.records)
        schools = ChainMap(*[self._schools.get(feed, {}) for feed in feeds])
        release = self._parts.policy.release(self._target, person, schools, self._today)
        if release.problems:
            # The person stays as acknowledged: what cannot be mapped is no departure.
            self._remember(known, source, known.acknowledged, None, None, 0)
            for problem in release.problems:
                id_ = quarantine_id(source, person.population, person.records[0].key, problem.rule)
                self.batch.aside.append(
                    Quarantined(
                        id_,
                        source,
                        person.population,
                        person.records[0].key,
                        problem.rule,
                        problem.where.file,
                        problem.where.line,
                        problem.message,
                        None,
                        "",
                    )
                )
        elif release.entry is None:
            self._depart(known, source, Unentitled(self._today))
        else:
            for membership in release.entry.memberships:
                self.batch.groups.append((known.id, membership.group, membership.label))
            likeness = _likeness(self._parts, release.entry, birth)
            until = release.valid_until.isoformat() if release.valid_until else None
            self._want(known, release.entry, source, until, likeness, len(release.withheld))

    def _want(
        self, known: Known, entry: Entry, source: str, until: str | None, likeness: bytes | None, withheld: int
    ) -> None:
        keys = self._parts.keys
        desired = fingerprint(keys, entry)
        self._remember(known, source, desired, until, likeness, withheld)
        if desired == known.acknowledged:
            return
        fingerprints = part_fingerprints(keys, entry)
        change: Change
        names: tuple[str, ...] = ()
        if known.lifecycle is None:
            change = Create(entry)
        elif known.lifecycle is Lifecycle.SUSPENDED and isinstance(entry, Account):
            change = Restore(entry)
            names = ("source_key",) if known.source_key != entry.source_key else ()
        else:
            names = changed_parts(_parts_of(known), fingerprints)
            change = Update(entry, names)
        self._change(known, change, source, names, fingerprints, desired)

    def _absent(self, known: Known, rows: Sequence[RecordRow]) -> None:
        """Nobody delivers it any more; each row says who proved that, and since when."""
        if known.kind is EntryKind.STRUCTURE:
            self._remember(known, known.source, None, None, None, 0)
            if known.lifecycle is not None:
                self._change(
                    known, Delete(known.id, EntryKind.STRUCTURE, Emptied()), known.source, ("Absence",), {}, None
                )
            return
        last = max(
            (row for row in rows if row.left_on is not None), key=lambda row: row.left_on or dt.date.min, default=None
        )
        if last is None or last.left_on is None:
            # Without a row that tells why, nothing is a reason to take anybody away.
            self._remember(known, known.source, known.acknowledged, None, None, 0)
            return
        reason = Absence if last.state == "absent" else Withdrawal
        self._depart(known, known.source, reason(last.source, last.delivery or "", last.left_on))

    def _depart(self, known: Known, source: str, because: Departure) -> None:
        if known.lifecycle is None:
            self._remember(known, source, None, None, None, 0)
            return
        desired = suspended_fingerprint(self._parts.keys, known.id)
        self._remember(known, source, desired, None, None, 0)
        if known.lifecycle is Lifecycle.ACTIVE and known.population is not None:
            change = Suspend(known.id, known.population, KEPT_WHEN_SUSPENDED, because)
            kept = {
                name: each for name, each in _parts_of(known).items() if name in {"source_key", *KEPT_WHEN_SUSPENDED}
            }
            self._change(known, change, source, (type(because).__name__,), kept, desired)

    def _remember(
        self, known: Known, source: str, desired: bytes | None, until: str | None, likeness: bytes | None, withheld: int
    ) -> None:
        self.batch.mapped.append(Mapped(known.id, source, desired, until, likeness, withheld))

    def _change(
        self,
        known: Known,
        change: Change,
        source: str,
        names: tuple[str, ...],
        fingerprints: dict[str, bytes],
        desired: bytes | None,
    ) -> None:
        uais = _uais(change) if isinstance(change, Create | Update | Restore) else known.uais
        self.batch.changes.append(
            new_change(self._parts, self._target, known, change, source, uais, names, fingerprints, desired)
        )


def new_change(
    parts: Parts,
    target: str,
    known: Known,
    change: Change,
    source: str,
    uais: str | None,
    names: Sequence[str],
    fingerprints: dict[str, bytes],
    desired: bytes | None,
) -> NewChange:
    """A change as a plan stores it, sealed."""
    return NewChange(
        entry_id=subject(change),
        rank=rank(change),
        kind=kind(change).value,
        population=known.population.value if known.population else None,
        source=source,
        uais=uais,
        operation=operation(change).value,
        parts=" ".join(names),
        base=known.acknowledged,
        fingerprint=desired,
        sealed=parts.seal.close(plans.pack(change, fingerprints), plans.sealing_context(target, subject(change))),
    )


def _uais(change: Create | Update | Restore) -> str | None:
    """The schools of a pupil or of staff, in one string."""
    if isinstance(change.entry, Account):
        return " ".join(sorted({each.uai for each in change.entry.affiliations})) or None
    return None


def _parts_of(known: Known) -> dict[str, bytes]:
    """The acknowledged fingerprints of an entry's parts."""
    if known.parts is None:
        return {}
    found: dict[str, bytes] = msgpack.unpackb(known.parts)
    return found


def _likeness(parts: Parts, account: Account, birth: bytes | None) -> bytes | None:
    """Equal for accounts that may be one human: names, and a birth date, an address or a number that agree (§10).

    Names alone are not enough: homonyms are no doubles.
    """
    names = [*account.attributes.get("family_name", ()), *account.attributes.get("given_name", ())]
    reach = (*account.attributes.get("mail", ()), *account.attributes.get("mobile", ()))
    third = birth.hex() if birth else (reach[0] if reach else None)
    if third is None or not names:
        return None
    text = "|".join([account.population, *(_folded(name) for name in names), _folded(third)])
    return correlation_digest(parts.keys, text)


def _folded(text: str) -> str:
    bare = "".join(each for each in unicodedata.normalize("NFKD", text) if each.isalnum())
    return bare.casefold()


# -- the plan, in the run ----------------------------------------------------------------------------------------------


class PlanWriter:
    """Adds the changes of a run to its plan for one target."""

    def __init__(self, parts: Parts, target: str, run: str) -> None:
        self.parts = parts
        self.target = target
        self.run = run
        self.plan: str | None = None
        self._place = 0

    def add(self, changes: Sequence[NewChange]) -> None:
        """Add changes, inside a transaction; the plan is made with the first."""
        if not changes:
            return
        connection = self.parts.database.connection
        if self.plan is None:
            self.plan = self.parts.new_id()
            plans.make(connection, self.plan, self.run, self.target, self.parts.now())
        self._place = plans.add(connection, self.plan, self.target, self._place, changes)


def prepare(parts: Parts, target: str) -> None:
    """Mark what the policy, the calendar or a new target asks to be mapped again."""
    name = f"policy of {target}"
    with parts.database.transaction() as connection:
        if runs.fact(connection, name) != parts.policy.digest:
            entries.mark_all(connection, target)
            runs.remember_fact(connection, name, parts.policy.digest)
        entries.mark_due(connection, target, parts.today)


def compare(parts: Parts, writer: PlanWriter, scope: Scope, moment: str) -> int:
    """Map every candidate of the scope and plan the differences; returns how many records were set aside."""
    aside: set[str] = set()
    tasks = list(_tasks(parts, writer.target, scope, moment, limit=_SMALL // _BATCH + 1))
    small = len(tasks) * _BATCH <= _SMALL
    all_tasks = tasks if small else _tasks(parts, writer.target, scope, moment)
    for batch in parts.engine.map(map_entries, all_tasks, small=small):
        with parts.database.transaction() as connection:
            entries.remember(connection, writer.target, batch.mapped, batch.groups)
            writer.add(batch.changes)
            runs.quarantine(connection, batch.aside, parts.now())
        aside |= {each.id for each in batch.aside}
        parts.tell(BatchMapped(writer.target, len(batch.mapped)))
    _plan_groups(parts, writer)
    if scope.ids is None:
        _plan_retention(parts, writer)
    return len(aside)


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
        for entry_id, label in entries.group_names(connection, target):
            uai, group_kind, code = entry_id.split("$", 2)
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
                names = changed_parts(_parts_of(known), fingerprints) if known.lifecycle else ()
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
        entries.want_groups(connection, target, remembered)
        writer.add(changes)


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
    """Before a targeted run: what the target really holds of these entries counts, whatever it acknowledged."""
    real = {each.entry.id: each for each in target.read_back(ids)}
    with parts.database.transaction() as connection:
        known = entries.load(connection, name, ids)
        gone = [id_ for id_, each in known.items() if each.lifecycle is not None and id_ not in real]
        entries.disown(connection, name, gone)
        for id_, held in real.items():
            if id_ not in known or held.lifecycle is Lifecycle.SUSPENDED:
                continue
            found = fingerprint(parts.keys, held.entry)
            if found != known[id_].acknowledged:
                entries.correct(
                    connection,
                    name,
                    id_,
                    held.lifecycle,
                    found,
                    msgpack.packb(part_fingerprints(parts.keys, held.entry)),
                )
