"""Steps 4 to 7 for a few hundred entries: what each should be, and the change that makes it so.

Runs in worker processes. What comes back is a fingerprint per entry, and a sealed change where it differs from what the
target acknowledged. Knows one target at a time, and never asks it anything.
"""

from __future__ import annotations

import datetime as dt
import unicodedata
from collections import ChainMap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import msgpack

from ent_sync.core.completeness import Absence
from ent_sync.core.entry import (
    KEPT_WHEN_SUSPENDED,
    Account,
    Entry,
    EntryId,
    EntryKind,
    Group,
    Lifecycle,
    Membership,
    Structure,
)
from ent_sync.core.fingerprint import (
    correlation_digest,
    day_bucket,
    part_fingerprints,
    suspended_fingerprint,
    whole_fingerprint,
)
from ent_sync.core.identity import Person, Ward
from ent_sync.core.plan import (
    Change,
    Create,
    Delete,
    Departure,
    Emptied,
    Restore,
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
from ent_sync.core.record import Key, Population, Record
from ent_sync.core.relations import Tie
from ent_sync.store import entries, plans, snapshot
from ent_sync.store.entries import Known, Mapped, Placed, RecordRow
from ent_sync.store.plans import NewChange
from ent_sync.store.runs import Quarantined, quarantine_id
from ent_sync.sync.parts import Parts
from ent_sync.sync.pull import open_record


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
    groups: list[Placed] = field(default_factory=list)
    changes: list[NewChange] = field(default_factory=list)
    aside: list[Quarantined] = field(default_factory=list)
    withheld: dict[Population, int] = field(default_factory=dict)

    def take(self, other: MappedBatch) -> None:
        """Add what became of other entries."""
        self.mapped += other.mapped
        self.groups += other.groups
        self.changes += other.changes
        self.aside += other.aside
        for population, number in other.withheld.items():
            self.withheld[population] = self.withheld.get(population, 0) + number


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
        guardians = [each.id for each in known.values() if each.population is Population.GUARDIAN]
        wards = entries.wards_of(connection, guardians)
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
            self._stays(known, source)
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
                self.batch.groups.append(_placed(self._parts, known.id, membership))
            likeness = _likeness(self._parts, release.entry, birth)
            due = day_bucket(self._parts.keys, release.valid_until) if release.valid_until else None
            withheld = self.batch.withheld
            withheld[person.population] = withheld.get(person.population, 0) + len(release.withheld)
            self._want(known, release.entry, source, due, likeness, len(release.withheld))

    def _want(
        self, known: Known, entry: Entry, source: str, due: int | None, likeness: bytes | None, withheld: int
    ) -> None:
        keys = self._parts.keys
        fingerprints = part_fingerprints(keys, entry)
        desired = whole_fingerprint(keys, entry.id, fingerprints)
        self._remember(known, source, desired, due, likeness, withheld)
        if desired == known.acknowledged:
            return
        change: Change
        names: tuple[str, ...] = ()
        if known.lifecycle is None:
            change = Create(entry)
        elif known.lifecycle is Lifecycle.SUSPENDED and isinstance(entry, Account):
            change = Restore(entry)
            names = ("source_key",) if known.source_key != entry.source_key else ()
        else:
            names = changed_parts(part_fingerprints_of(known), fingerprints)
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
            self._stays(known, known.source)
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
                name: each
                for name, each in part_fingerprints_of(known).items()
                if name in {"source_key", *KEPT_WHEN_SUSPENDED}
            }
            self._change(known, change, source, (type(because).__name__,), kept, desired)

    def _stays(self, known: Known, source: str) -> None:
        self.batch.mapped.append(Mapped(known.id, source, known.acknowledged, None, None, 0, stays=True))

    def _remember(
        self, known: Known, source: str, desired: bytes | None, due: int | None, likeness: bytes | None, withheld: int
    ) -> None:
        self.batch.mapped.append(Mapped(known.id, source, desired, due, likeness, withheld))

    def _change(
        self,
        known: Known,
        change: Change,
        source: str,
        names: tuple[str, ...],
        fingerprints: dict[str, bytes],
        desired: bytes | None,
    ) -> None:
        uais = schools_of(change.entry) if isinstance(change, Create | Update | Restore) else known.uais
        self.batch.changes.append(
            new_change(self._parts, self._target, known, change, source, uais, names, fingerprints, desired)
        )


def _placed(parts: Parts, entry_id: EntryId, membership: Membership) -> Placed:
    """A membership as it is stored."""
    if membership.label is None:
        return Placed(entry_id, membership.group)
    digest = correlation_digest(parts.keys, f"{membership.group}|{membership.label}")
    return Placed(entry_id, membership.group, digest, parts.seal.close(membership.label, _label_of(membership.group)))


def open_label(parts: Parts, group: EntryId, sealed: bytes | None) -> str | None:
    """The label of a group that people tell."""
    return None if sealed is None else str(parts.seal.open(sealed, _label_of(group)))


def _label_of(group: EntryId) -> str:
    return f"label|{group}"


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
    after: Lifecycle | None = Lifecycle.ACTIVE
    left_on = source_key = None
    match change:
        case Delete():
            after = None
        case Suspend():
            after, left_on = Lifecycle.SUSPENDED, plans.left_on(change.because).isoformat()
        case Create() | Update() | Restore():
            source_key = None if isinstance(change.entry, Group) else change.entry.source_key
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
        part_fingerprints=msgpack.packb(fingerprints) if after else None,
        lifecycle=after.value if after else None,
        source_key=source_key,
        left_on=left_on,
        sealed=parts.seal.close(plans.pack(change), plans.sealing_context(target, subject(change))),
    )


def schools_of(entry: Entry) -> str | None:
    """The schools of a pupil, of staff or of a group, in one string."""
    match entry:
        case Account():
            return " ".join(sorted({each.uai for each in entry.affiliations})) or None
        case Group():
            return entry.uai
        case Structure():
            return None


def part_fingerprints_of(known: Known) -> dict[str, bytes]:
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
    """Without accents, signs and case."""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKD", text))).casefold()
