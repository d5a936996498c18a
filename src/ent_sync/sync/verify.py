"""Whether targets really hold what they acknowledged: read back as a sample or whole, compared, counted.

Works under the lease, or a push under way would look like drift. What was acknowledged stays as it is, so that others
still see the last confirmed state; only a repair adopts what was found, and then repairs by an ordinary run under the
guards. What nobody acknowledged is told and left alone, but for entries that are just as they should be: those were
loaded by another way (a first load from a file), and reading them all back is their acknowledgement.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import islice

import msgpack

from ent_sync.core.entry import KEPT_WHEN_SUSPENDED, Account, Entry, EntryId, Group, Lifecycle
from ent_sync.core.errors import UnavailableError
from ent_sync.core.fingerprint import Keys, part_fingerprints, whole_fingerprint
from ent_sync.core.plan import changed_parts
from ent_sync.core.run import RunResult
from ent_sync.ports import Held, Target
from ent_sync.store import drift, entries, lease
from ent_sync.store.drift import Loaded, Measured
from ent_sync.store.entries import Known
from ent_sync.store.lease import Lease
from ent_sync.sync import compare, run, salvage
from ent_sync.sync.map import part_fingerprints_of, schools_of
from ent_sync.sync.parts import Parts

USUAL_SAMPLE = 1.0
USUALLY_AT_LEAST = 100
_BATCH = 1000
_TOLD = 10
_BY_NAME = 5000  # entries that a repair names; what is more is found by its mark, with whatever else waits


class Drift(StrEnum):
    """How what a target holds of an entry can differ from what it acknowledged."""

    MISSING = "missing"
    CHANGED = "changed"
    LIFECYCLE = "lifecycle"
    UNKNOWN = "unknown"


_OURS = re.compile(r"[0-9a-f]{32}")
_KEPT = frozenset({"source_key", *KEPT_WHEN_SUSPENDED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What to read back: all, or a share in percent of what was acknowledged, chosen by `seed`.

    Without a share, it is the usual one, and at least a hundred entries.
    """

    targets: Sequence[str]
    whole: bool = False
    percent: float | None = None
    seed: str = ""


@dataclass(frozen=True, slots=True)
class Drifted:
    """One entry that drifted, and the names of the parts that differ; without a name that may name a person."""

    id: EntryId | None
    drift: Drift
    parts: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class Verified:
    """What was found at one target: `looked` is what is held as acknowledged, what drifted and what was loaded."""

    target: str
    known: int
    sample: float | None
    seed: str | None
    held: int = 0
    acknowledged: int = 0
    drift: dict[Drift, int] = field(default_factory=lambda: dict.fromkeys(Drift, 0))
    attributes: dict[str, int] = field(default_factory=dict)
    first: list[Drifted] = field(default_factory=list)

    @property
    def drifted(self) -> int:
        """How many entries drifted."""
        return sum(self.drift.values())

    @property
    def repairable(self) -> int:
        """How many of them can be repaired; ent-sync does not touch what it never made."""
        return self.drifted - self.drift[Drift.UNKNOWN]

    @property
    def looked(self) -> int:
        """How many entries were compared."""
        return self.held + self.acknowledged + self.drifted

    @property
    def ratio(self) -> float:
        """The share of them that drifted."""
        return self.drifted / self.looked if self.looked else 0.0

    def count(self, found: Drifted) -> None:
        """Count one more that drifted; the first few are kept by name."""
        self.drift[found.drift] += 1
        for name in found.parts:
            self.attributes[name] = self.attributes.get(name, 0) + 1
        if len(self.first) < _TOLD:
            self.first.append(found)

    def document(self) -> dict[str, object]:
        """As the report of the command holds it; identifiers are keyed digests, and values are not in it."""
        return {
            "target": self.target,
            "known": self.known,
            "looked": self.looked,
            "held": self.held,
            "drift": {each.value: self.drift[each] for each in Drift},
            "attributes": dict(sorted(self.attributes.items())),
            "acknowledged": self.acknowledged,
            "ratio": round(self.ratio, 6),
            "sample": self.sample,
            "seed": self.seed,
            "first": [{"id": each.id, "drift": each.drift.value, "parts": list(each.parts)} for each in self.first],
        }


@dataclass(slots=True)
class Report:
    """What was found at each target, and which ones did not answer, in words."""

    targets: list[Verified] = field(default_factory=list)
    unavailable: list[str] = field(default_factory=list)
    stopped: bool = False

    @property
    def drifted(self) -> int:
        """How many entries drifted, at all targets."""
        return sum(each.drifted for each in self.targets)

    @property
    def repairable(self) -> int:
        """How many of them can be repaired."""
        return sum(each.repairable for each in self.targets)

    def document(self, result: RunResult | None) -> dict[str, object]:
        """The JSON document `ent-sync/verify/1`, with the run that repaired, if any."""
        return {
            "schema": "ent-sync/verify/1",
            "targets": [each.document() for each in self.targets],
            "unavailable": list(self.unavailable),
            "stopped": self.stopped,
            "run": result.document() if result is not None else None,
        }


def verify(parts: Parts, asked: Asked, held: Lease) -> Report:
    """Compare what each target really holds with what it acknowledged; one that does not answer delays only itself.

    Raises:
        LeaseLostError: another run took over.
    """
    parts = _about(parts, asked.targets)
    # What a run that died pushed and did not store is no drift.
    salvage.take_over(parts, held)
    report = Report()
    with parts.database.reading() as connection:
        drift.begin(connection)
    for name in parts.target_names:
        target = parts.targets.get(name)
        if target is None:
            report.unavailable.append(parts.unreachable[name])
            continue
        try:
            found = _Verification(parts, name, target, asked, held).done()
        except UnavailableError as error:
            report.unavailable.append(f"target {name} was not read back to its end: {error}")
            with parts.database.reading() as connection:
                drift.begin_target(connection, name)
            continue
        if found is None:
            report.stopped = True
            break
        report.targets.append(found)
    return report


def repair(parts: Parts, report: Report, held: Lease) -> RunResult:
    """Adopt what was found of all that drifted, and plan and push what it should be instead, as any run does.

    Raises:
        UnavailableError: a target did not answer any more; what was adopted is repaired by the next run.
    """
    parts = _about(parts, [each.target for each in report.targets])
    for name, target in parts.targets.items():
        _adopt(parts, name, target, held)
    with parts.database.reading() as connection:
        ids = drift.drifted_anywhere(connection, _BY_NAME + 1)
    few = len(ids) <= _BY_NAME
    return run.run(parts, run.Request(ids=tuple(ids)) if few else run.Request(targeted=True), held)


def _about(parts: Parts, names: Sequence[str]) -> Parts:
    """The same parts, with no other targets."""
    targets = {name: target for name, target in parts.targets.items() if name in names}
    return replace(parts, target_names=tuple(name for name in parts.target_names if name in names), targets=targets)


class _Verification:
    """Reads one target back and counts what it finds."""

    def __init__(self, parts: Parts, name: str, target: Target, asked: Asked, held: Lease) -> None:
        self._parts = parts
        self._name = name
        self._target = target
        self._lease = held
        self._whole = asked.whole
        with parts.database.reading() as connection:
            drift.begin_target(connection, name)
            known = drift.count(connection, name)
        percent = None if asked.whole else asked.percent or USUAL_SAMPLE
        self.found = Verified(target=name, known=known, sample=percent, seed=asked.seed if percent else None)
        self._wanted = _wanted(known, asked.percent)

    def done(self) -> Verified | None:
        """What was found, and stored as the last that is known; None when it was stopped before its end."""
        complete = self._read_all() if self._whole else self._read_sample()
        if not complete:
            return None
        found = self.found
        now = self._parts.now()
        with self._parts.database.transaction() as connection:
            lease.renew(connection, self._lease, now)
            if self._whole:
                drift.settle_loaded(connection, self._name, now)
            measured = Measured(ratio=found.ratio, looked=found.looked, sample=found.sample, at=now)
            drift.remember(connection, self._name, measured)
        return found

    def _read_all(self) -> bool:
        there = iter(self._target.read_back(None))
        while batch := {each.entry.id: each for each in islice(there, _BATCH)}:
            if self._parts.stopping():
                return False
            with self._parts.database.reading() as connection:
                known = entries.load(connection, self._name, list(batch))
                drift.see(connection, batch)
            self._compare(known, batch)
        after = ""
        while True:
            with self._parts.database.reading() as connection:
                lacking = drift.unseen(connection, self._name, after, _BATCH)
            if not lacking:
                return True
            self._count([Drifted(each, Drift.MISSING) for each in lacking])
            after = lacking[-1]

    def _read_sample(self) -> bool:
        chosen = self._chosen()
        while ids := list(islice(chosen, _BATCH)):
            if self._parts.stopping():
                return False
            with self._parts.database.reading() as connection:
                known = entries.load(connection, self._name, ids)
            batch = {each.entry.id: each for each in self._target.read_back(ids)}
            self._compare(known, batch)
            self._count([Drifted(each, Drift.MISSING) for each in ids if each not in batch])
        return True

    def _chosen(self) -> Iterator[EntryId]:
        """Exactly as many entries as wanted, each as likely, in one pass over all of them (Knuth, algorithm S)."""
        left, wanted = self.found.known, self._wanted
        after = ""
        while wanted:
            with self._parts.database.reading() as connection:
                page = drift.acknowledged(connection, self._name, after, _BATCH)
            if not page:
                return
            after = page[-1]
            for entry_id in page:
                if _draw(self.found.seed or "", entry_id) * left < wanted:
                    wanted -= 1
                    yield entry_id
                left -= 1

    def _compare(self, known: dict[EntryId, Known], there: dict[EntryId, Held]) -> None:
        drifted, loaded = [], []
        for entry_id, held in there.items():
            judged = _judged(self._parts.keys, known.get(entry_id), held)
            if judged is None:
                self.found.held += 1
            elif isinstance(judged, Loaded):
                loaded.append(judged)
            else:
                drifted.append(judged)
        self._count(drifted)
        if loaded:
            self.found.acknowledged += len(loaded)
            now = self._parts.now()
            with self._parts.database.transaction() as connection:
                lease.renew(connection, self._lease, now)
                drift.acknowledge(connection, self._name, loaded, now)

    def _count(self, drifted: Sequence[Drifted]) -> None:
        for each in drifted:
            self.found.count(each)
        ids = [each.id for each in drifted if each.id is not None and each.drift is not Drift.UNKNOWN]
        if ids:
            with self._parts.database.reading() as connection:
                drift.mark(connection, self._name, ids)


def _wanted(known: int, percent: float | None) -> int:
    """How many entries a sample has; never more than there are, and never none of some."""
    share = -(-known * (percent or USUAL_SAMPLE) // 100)
    return min(known, int(share) if percent is not None else max(int(share), USUALLY_AT_LEAST))


def _draw(seed: str, entry_id: EntryId) -> float:
    """A number from 0 to 1, exclusive, by chance of the seed."""
    digest = hashlib.blake2b(f"{seed}|{entry_id}".encode(), digest_size=6).digest()
    return int.from_bytes(digest) / 2**48


def _judged(keys: Keys, known: Known | None, held: Held) -> Drifted | Loaded | None:
    """How what is there differs from what was acknowledged; None where it does not."""
    entry_id = held.entry.id
    now = part_fingerprints(keys, held.entry)
    whole = whole_fingerprint(keys, entry_id, now)
    if known is None or known.lifecycle is None:
        if known is None or known.desired != whole or held.lifecycle is not Lifecycle.ACTIVE:
            return Drifted(_sayable(held.entry), Drift.UNKNOWN)
        source_key = None if isinstance(held.entry, Group) else held.entry.source_key
        packed: bytes = msgpack.packb(now)
        return Loaded(id=entry_id, fingerprint=whole, parts=packed, source_key=source_key, uais=schools_of(held.entry))
    if held.lifecycle is not known.lifecycle:
        return Drifted(entry_id, Drift.LIFECYCLE)
    if known.lifecycle is Lifecycle.SUSPENDED:
        differing = _beyond(known, held, now)
    else:
        differing = () if known.acknowledged == whole else changed_parts(part_fingerprints_of(known), now)
    return Drifted(entry_id, Drift.CHANGED, differing) if differing else None


def _sayable(entry: Entry) -> EntryId | None:
    """The identifier of an entry that we may not have made; of somebody else's account it may be a person's name."""
    return None if isinstance(entry, Account) and not _OURS.fullmatch(entry.id) else entry.id


def _beyond(known: Known, held: Held, now: dict[str, bytes]) -> tuple[str, ...]:
    """What a suspended account holds beyond what it may keep (contract, rule 9), and what of that is not as it was."""
    before = {name: each for name, each in part_fingerprints_of(known).items() if name in _KEPT}
    kept = {name: each for name, each in now.items() if name in _KEPT}
    beyond = {name for name, value in held.entry.parts() if value and name not in _KEPT}
    return tuple(sorted({*beyond, *(changed_parts(before, kept) if before else ())}))


def _adopt(parts: Parts, name: str, target: Target, held: Lease) -> None:
    """What the target really holds of all that drifted counts, whatever it acknowledged."""
    after = ""
    while True:
        with parts.database.reading() as connection:
            ids = drift.drifted(connection, name, after, _BATCH)
        if not ids:
            return
        after = ids[-1]
        compare.adopt_drift(parts, name, target, ids)
        _adopt_suspended(parts, name, target, ids, held)


def _adopt_suspended(parts: Parts, name: str, target: Target, ids: Sequence[EntryId], held: Lease) -> None:
    """A suspended account that holds more than it may counts as one that was never suspended: it will be, again."""
    with parts.database.reading() as connection:
        known = entries.load(connection, name, ids)
    suspended = [each.id for each in known.values() if each.lifecycle is Lifecycle.SUSPENDED]
    there = list(target.read_back(suspended)) if suspended else []
    with parts.database.transaction() as connection:
        lease.renew(connection, held, parts.now())
        for each in there:
            entry, now = each.entry, part_fingerprints(parts.keys, each.entry)
            if each.lifecycle is Lifecycle.SUSPENDED and _beyond(known[entry.id], each, now):
                whole = whole_fingerprint(parts.keys, entry.id, now)
                key = None if isinstance(entry, Group) else entry.source_key
                entries.correct(connection, name, entry.id, whole, msgpack.packb(now), key, schools_of(entry))
