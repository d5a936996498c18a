"""Steps 2 and 3: a delivery is read into staging.

A complete delivery is read part by part, in worker processes: a record whose bytes were delivered alike before is only
seen, everything else is opened, narrowed and sealed where it was read. A delta is read in order, since its requests
follow on each other. Nothing of a delivery is used before it is judged (`sync.judge`).
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import msgpack
import sqlalchemy as sa

from ent_sync.core.completeness import Delivery, Evidence
from ent_sync.core.entry import EntryId, Structure
from ent_sync.core.errors import Problem, StoreError, Where
from ent_sync.core.event import PartRead, ReadingBegan
from ent_sync.core.fingerprint import account_id, content_digest, correlation_digest
from ent_sync.core.record import Key, Origin, Population, Record, Values, reference
from ent_sync.core.relations import guardian_links
from ent_sync.ports import Batch, Modification, Opened, Shard, Sighting, UnreadableError, Verb
from ent_sync.store import snapshot, staging
from ent_sync.store.runs import Quarantined, quarantine_id
from ent_sync.store.staging import Latest, Staged, StagedLink
from ent_sync.sync.parts import Parts

# Below this many bytes, starting worker processes takes longer than reading.
_SMALL = 16 << 20


@dataclass(frozen=True, slots=True)
class ReadTask:
    """A shard to read; `afresh` opens every record, whatever was delivered before."""

    shard: Shard
    delivery: str
    afresh: bool


@dataclass(slots=True)
class Rows:
    """What a few hundred sightings became: rows to stage, links to stage, records set aside."""

    staged: list[Staged] = field(default_factory=list)
    links: list[StagedLink] = field(default_factory=list)
    aside: list[Quarantined] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ShardEnd:
    """A shard was read to its end, or why it was not."""

    shard: Shard
    evidence: Evidence | None
    problem: Problem | None = None


Pulled: TypeAlias = Rows | ShardEnd


@dataclass(slots=True)
class Reading:
    """What reading a delivery gave, beside the staged rows."""

    evidence: list[Evidence] = field(default_factory=list)
    unread: list[Problem] = field(default_factory=list)
    aside: list[Quarantined] = field(default_factory=list)
    requests: int = 0
    unknown: int = 0

    @property
    def changed(self) -> dt.datetime | None:
        """When the oldest change of the delivery was made, where the source told."""
        return min((each.changed for each in self.evidence if each.changed is not None), default=None)

    @property
    def cursor(self) -> str | None:
        """Where the next delta begins, as each part told it; None where no part did."""
        cursors = {each.file: each.cursor for each in self.evidence if each.cursor is not None}
        return json.dumps(cursors, sort_keys=True) if cursors else None

    @property
    def counts(self) -> dict[Population, int]:
        """Records read, by population."""
        return {each: sum(part.records.get(each, 0) for part in self.evidence) for each in Population}


def read_complete(parts: Parts, delivery: Delivery, *, afresh: bool) -> Reading:
    """Stage a complete delivery, its parts side by side."""
    reading = Reading()
    tasks = [ReadTask(shard, delivery.id, afresh) for shard in _begin(parts, delivery, reading)]
    for pulled in parts.engine.map(read_shard, tasks, small=delivery.size < _SMALL):
        _take(parts, reading, pulled)
    reading.aside.sort(key=lambda each: (each.file, each.line or 0))
    return reading


def _begin(parts: Parts, delivery: Delivery, reading: Reading) -> Sequence[Shard]:
    """Empty staging tables, and what is to be read into them; nothing where the delivery cannot even be unpacked."""
    with parts.database.reading() as connection:
        staging.begin(connection)
    try:
        shards = parts.sources[delivery.source].source.shards(delivery)
    except UnreadableError as error:
        reading.unread.append(error.problem)
        return ()
    parts.tell(ReadingBegan(delivery.source, delivery.id, len(shards)))
    return shards


def read_delta(parts: Parts, delivery: Delivery) -> Reading:
    """Stage a delta, request by request in the order of its files."""
    reading = Reading()
    source = parts.sources[delivery.source].source
    for shard in _begin(parts, delivery, reading):
        place = 0
        batches = source.read(shard)
        while True:
            try:
                batch = next(batches)
            except StopIteration as end:
                _take(parts, reading, ShardEnd(shard, end.value))
                break
            except UnreadableError as error:
                _take(parts, reading, ShardEnd(shard, None, error.problem))
                break
            opening = _Opening(parts, shard, delivery.id)
            with parts.database.reading() as connection:
                follow = _answer if delivery.live else _follow
                rows = follow(opening, batch, place, connection, reading)
            place += len(batch.sightings)
            _take(parts, reading, rows)
    return reading


def _take(parts: Parts, reading: Reading, pulled: Pulled) -> None:
    """The run is the one writer: stage what was pulled, keep count of the rest."""
    match pulled:
        case Rows():
            with parts.database.reading() as connection:
                staging.stage(connection, pulled.staged, pulled.links)
            reading.aside += pulled.aside
        case ShardEnd(shard, evidence, problem):
            if evidence is not None:
                reading.evidence.append(evidence)
            if problem is not None:
                reading.unread.append(problem)
            number = sum(evidence.records.values()) if evidence else 0
            unknown = evidence.unknown if evidence else {}
            parts.tell(PartRead(shard.source, shard.file, number, evidence is not None, unknown))


def read_shard(parts: Parts, task: ReadTask) -> Iterator[Pulled]:
    """Read one shard of a complete delivery; runs in a worker process."""
    shard = task.shard
    opening = _Opening(parts, shard, task.delivery)
    batches = parts.sources[shard.source].source.read(shard)
    place = 0
    while True:
        try:
            batch = next(batches)
        except StopIteration as end:
            yield ShardEnd(shard, end.value)
            return
        except UnreadableError as error:
            yield ShardEnd(shard, None, error.problem)
            return
        yield _sift(opening, batch, place, afresh=task.afresh)
        place += len(batch.sightings)


def _sift(opening: _Opening, batch: Batch, first: int, *, afresh: bool) -> Rows:
    """Tell what is new from what was delivered alike before, and open only the former."""
    rows = Rows()
    parts, shard, population = opening.parts, opening.shard, opening.population
    known: dict[str, bytes] = {}
    if not afresh:
        keys = [each.key for each in batch.sightings if each.key is not None]
        with parts.database.reading() as connection:
            known = snapshot.known(connection, shard.source, population, keys)
    digests: dict[int, bytes] = {}
    for index, sighting in enumerate(batch.sightings):
        if sighting.key is None:
            rows.aside.append(opening.aside(sighting, _NO_KEY))
        elif sighting.verb is not Verb.ADD:
            rows.staged.append(opening.bad(sighting, first + index))
            rows.aside.append(opening.aside(sighting, _NOT_AN_ADD))
        else:
            digest = content_digest(parts.keys, population, sighting.key, sighting.raw)
            if known.get(sighting.key) == digest:
                rows.staged.append(opening.row(sighting, first + index, "same"))
            else:
                digests[index] = digest
    for index, opened in batch.open(list(digests)):
        opening.add(rows, batch.sightings[index], first + index, opened, digests[index])
    return rows


def _follow(opening: _Opening, batch: Batch, first: int, connection: sa.Connection, reading: Reading) -> Rows:
    """Apply the requests of a delta on what is known of each key at that point (rule 3)."""
    rows = Rows()
    parts, shard = opening.parts, opening.shard
    keys = sorted({each.key for each in batch.sightings if each.key is not None})
    latest = staging.latest(connection, shard.source, opening.population, keys) if keys else {}
    with_content = [index for index, each in enumerate(batch.sightings) if each.key and each.verb is not Verb.DELETE]
    opened = dict(batch.open(with_content))
    for index, sighting in enumerate(batch.sightings):
        place = first + index
        key = sighting.key
        if sighting.verb is not Verb.ADD:
            reading.requests += 1
            reading.unknown += key is None or key not in latest
        if key is None:
            rows.aside.append(opening.aside(sighting, _NO_KEY))
        elif sighting.verb is Verb.DELETE:
            if latest.pop(key, None) is not None:
                rows.staged.append(opening.row(sighting, place, "gone"))
        else:
            content, known = opened[index], latest.get(key)
            if isinstance(content, Modification):
                change = content
                content = opening.modified(change, known)
                known = opening.still_known(change, known)
            before = len(rows.staged)
            digest = content_digest(parts.keys, opening.population, key, sighting.raw)
            opening.add(rows, sighting, place, content, digest if sighting.verb is Verb.ADD else None, known)
            for row in rows.staged[before:]:
                if row.state == "new" and row.entry_id is not None and row.sealed is not None:
                    latest[key] = Latest(EntryId(row.entry_id), row.sealed, row.ine, row.birth)
    return rows


def _answer(opening: _Opening, batch: Batch, first: int, connection: sa.Connection, reading: Reading) -> Rows:
    """What a directory says that changed: records as they are now, and by their handles those that left or stay.

    A record whose handle is known by another key has changed its key: the old one left.
    """
    del reading  # a directory says nothing of what it does not know
    rows = Rows()
    shard, population = opening.shard, opening.population
    handles = [each.handle for each in batch.sightings if each.handle is not None]
    held = snapshot.keys_by_handle(connection, shard.source, population, handles)
    keys = [each.key for each in batch.sightings if each.key is not None]
    known = snapshot.known(connection, shard.source, population, keys)
    changed: dict[int, bytes] = {}
    for index, sighting in enumerate(batch.sightings):
        before = held.get(sighting.handle) if sighting.handle is not None else None
        if sighting.verb is not Verb.ADD:
            if before is not None:
                state = "same" if sighting.verb is Verb.PRESENT else "gone"
                rows.staged.append(opening.row(replace(sighting, key=before), first + index, state))
        elif sighting.key is None:
            rows.aside.append(opening.aside(sighting, _NO_KEY))
            if before is not None:
                rows.staged.append(opening.bad(replace(sighting, key=before), first + index))
        else:
            if before is not None and before != sighting.key:
                rows.staged.append(opening.row(replace(sighting, key=before), first + index, "gone"))
            digest = content_digest(opening.parts.keys, population, sighting.key, sighting.raw)
            if known.get(sighting.key) == digest:
                rows.staged.append(opening.row(sighting, first + index, "same"))
            else:
                changed[index] = digest
    for index, opened in batch.open(list(changed)):
        opening.add(rows, batch.sightings[index], first + index, opened, changed[index])
    return rows


_NO_KEY = ("no-key", "has no readable key (identifier/id); ask the academy to correct it")
_NOT_AN_ADD = (
    "not-an-add",
    "is no add request, and a complete delivery holds nothing else; ask the academy to correct it",
)
_UNKNOWN = (
    "modify-unknown",
    "changes part of a record that the source never delivered; it waits for the next complete delivery",
)


class _Opening:
    """Makes rows of the records of one shard."""

    def __init__(self, parts: Parts, shard: Shard, delivery: str) -> None:
        if shard.population is None:
            self.population = Population.SCHOOL  # nomenclature gives no sightings
        else:
            self.population = shard.population
        self.parts = parts
        self.shard = shard
        self.delivery = delivery
        self._academy = parts.sources[shard.source].academy
        inside = parts.policy.inside.get(self.population, {})
        self._ine = inside.get("ine", ())
        self._birth = inside.get("birth_date", ())
        released = parts.policy.stored[self.population]
        self._stored = released
        self._target = parts.target_names[0] if parts.target_names else ""

    def row(self, sighting: Sighting, place: int, state: str) -> Staged:
        """A row that has no content of its own."""
        return Staged(
            self.population.value,
            sighting.key or "",
            self.shard.ordinal,
            place,
            sighting.origin.line,
            state,
            handle=sighting.handle,
            name=self._name(sighting),
        )

    def _name(self, sighting: Sighting) -> str | None:
        return reference(self._academy, sighting.name) if sighting.name is not None else None

    def bad(self, sighting: Sighting, place: int) -> Staged:
        """A record that cannot be used, but was seen."""
        return self.row(sighting, place, "bad")

    def aside(self, sighting: Sighting, why: tuple[str, str], line: int | None = None) -> Quarantined:
        """A record for the quarantine, with its delivered content sealed."""
        rule, message = why
        subject = sighting.key or f"{self.shard.file}:{sighting.origin.line}"
        id_ = quarantine_id(self.shard.source, self.population, subject, rule)
        return Quarantined(
            id=id_,
            source=self.shard.source,
            population=self.population,
            key=sighting.key,
            rule=rule,
            file=self.shard.file,
            line=line or sighting.origin.line,
            message=message,
            sealed=self.parts.seal.close([sighting.verb.value, sighting.raw], f"quarantine|{id_}"),
            delivery=self.delivery,
        )

    def add(
        self,
        rows: Rows,
        sighting: Sighting,
        place: int,
        opened: Opened,
        raw: bytes | None,
        latest: Latest | None = None,
    ) -> None:
        """Add what a sighting holds to the rows: a record, or its place in the quarantine."""
        problem = opened if isinstance(opened, Problem) else None
        if isinstance(opened, Record):
            problem = self._record(rows, sighting, place, opened, raw, latest)
        if problem is not None:
            rows.staged.append(self.bad(sighting, place))
            rows.aside.append(self.aside(sighting, (problem.rule, problem.message), problem.where.line))

    def _record(
        self, rows: Rows, sighting: Sighting, place: int, record: Record, raw: bytes | None, latest: Latest | None
    ) -> Problem | None:
        parts, key = self.parts, record.key
        if record.population is Population.SCHOOL:
            structure = parts.policy.structure(self._target, record)
            if not isinstance(structure, Structure):
                return structure
            entry_id = structure.id
        else:
            if (problem := parts.policy.unusable(record)) is not None:
                return problem
            entry_id = latest.entry_id if latest else account_id(parts.keys, record.population, key)
        ine, birth = record.first(*self._ine), record.first(*self._birth)
        values = {name: list(found) for name, found in sorted(record.values.items()) if name in self._stored}
        packed: bytes = msgpack.packb(values)
        ine_digest = correlation_digest(parts.keys, ine) if ine else (latest.ine if latest and raw is None else None)
        birth_digest = (
            correlation_digest(parts.keys, birth) if birth else (latest.birth if latest and raw is None else None)
        )
        rows.staged.append(
            Staged(
                record.population.value,
                key,
                self.shard.ordinal,
                place,
                sighting.origin.line,
                "new",
                entry_id,
                raw,
                content_digest(parts.keys, record.population, key, packed + (ine_digest or b"")),
                seal_record(parts, record.source, record.population, key, values, record.origin),
                ine_digest,
                birth_digest,
                sighting.handle,
                self._name(sighting),
            )
        )
        if record.population is Population.PUPIL:
            rows.links += [
                StagedLink(key, self.shard.ordinal, place, link.guardian, link.tie)
                for link in guardian_links(record, self._academy)
            ]
        return None

    def still_known(self, change: Modification, latest: Latest | None) -> Latest | None:
        """What is known of a pupil beside the values, without what a modify request says to be empty now."""
        if latest is None:
            return None
        return latest._replace(
            ine=None if change.cleared.intersection(self._ine) else latest.ine,
            birth=None if change.cleared.intersection(self._birth) else latest.birth,
        )

    def modified(self, change: Modification, latest: Latest | None) -> Opened:
        """The record that a modify request leaves, or why it cannot be told."""
        where = Where(change.origin.file, change.origin.line)
        if latest is None:
            if not change.whole:
                return Problem(where, *_UNKNOWN)
            base: Values = {}
        else:
            base = open_record(self.parts, change.source, change.population, change.key, latest.sealed).values
        values = {name: found for name, found in base.items() if name not in change.cleared} | dict(change.values)
        return Record(change.population, change.key, values, change.origin, change.source)


def seal_record(
    parts: Parts, source: str, population: Population, key: Key, values: dict[str, list[str]], origin: Origin
) -> bytes:
    """The sealed row of the snapshot for a record."""
    return parts.seal.close([values, origin.file, origin.line], f"record|{source}|{population}|{key}")


def open_record(parts: Parts, source: str, population: Population, key: Key, sealed: bytes) -> Record:
    """The record of a sealed row of the snapshot."""
    match parts.seal.open(sealed, f"record|{source}|{population}|{key}"):
        case [dict(values), str(file), int(line)]:
            found = {name: tuple(each) for name, each in values.items()}
            return Record(population, key, found, Origin(file, line), source)
        case _:
            raise StoreError("a record of the snapshot is not as it was written")
