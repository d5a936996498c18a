"""Writes one delivery of an invented region, complete or delta, in the real format.

A delta is the difference between the region before and after its changes, attribute by attribute: so it cannot lead
elsewhere than the complete delivery of the same changes. Nothing but one household is in memory.
"""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

from ent_sync.core.errors import UsageError
from ent_sync.core.record import Degree, Population
from ent_sync.synth import faults, ldif
from ent_sync.synth.aaf import AafFiles
from ent_sync.synth.changes import Changes, Shares, decide, without
from ent_sync.synth.describe import Describer, Description, describer, mefs, subjects
from ent_sync.synth.faults import Outgoing
from ent_sync.synth.formats import Format, Sink
from ent_sync.synth.households import FIRST_PUPIL, Household
from ent_sync.synth.national import Directory
from ent_sync.synth.region import Movers, region
from ent_sync.synth.schools import Layout, Plan, lay_out
from ent_sync.synth.staff import Staff, staff
from ent_sync.wire.aaf.names import FileKind, population
from ent_sync.wire.aaf.write import RequestKind, delivery_name

_ACADEMY = re.compile(r"[A-Z][A-Z0-9]*(-[A-Z0-9]+)*")
_HEAD = 2000
_PROJECTS = {Degree.SECOND: "ENT2DVA", Degree.FIRST: "ENT1D"}
_SDET = {Degree.SECOND: "Annexe 4bis version 6.4", Degree.FIRST: "Annexe 1 version 6.3"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SynthRequest:
    """What to write. Shares are percent of the pupils; None is 0 for a complete delivery, 0.5, 0.5 and 1 for a delta.

    `delta_of` is a complete delivery of the same format, seed, academy, degree and number of pupils, written without
    shares, or the folder that holds it.
    """

    directory: Path
    pupils: int
    date: date
    seed: int = 0
    academy: str = "LILLE"
    degree: Degree = Degree.SECOND
    delta_of: Path | None = None
    arrivals: float | None = None
    leavers: float | None = None
    changes: float | None = None
    faults: tuple[str, ...] = ()
    format: Format = Format.AAF
    part_size: int = 5000
    movers: Movers = field(default_factory=Movers)


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenDelivery:
    """What was written: the folder (or archive, or LDIF), its files, and how many requests each population has."""

    path: Path
    files: tuple[Path, ...]
    counts: Mapping[Population, int]
    requests: Mapping[RequestKind, int]
    delta: bool


def write_delivery(request: SynthRequest) -> WrittenDelivery:
    """Writes what is asked, all or nothing; replaces an earlier one of that name only if synth wrote it.

    Raises `UsageError` where the request makes no sense.
    """
    delta = request.delta_of is not None
    _check(request)
    plan = Plan(seed=request.seed, academy=request.academy, degree=request.degree, pupils=request.pupils)
    layout = lay_out(plan)
    changes = decide(layout, _shares(request))
    day = request.date - timedelta(days=30) if "out-of-order" in request.faults else request.date
    name = delivery_name(_project(request), day, delta=delta)
    final = request.directory / f"{name}{_suffix(request)}"
    _check_ours(final)
    temporary = request.directory / f".{name}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        with closing(_sink(request, layout, changes, temporary, _versions(request, layout, day))) as sink:
            out = _Out(sink, request)
            if delta:
                _write_delta(out, layout, changes, request.movers)
            else:
                _write_complete(out, layout, changes, request.movers, _dropped(request))
            files = sink.finish(final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return WrittenDelivery(path=final, files=files, counts=dict(out.counts), requests=dict(out.requests), delta=delta)


def _suffix(request: SynthRequest) -> str:
    if request.format is Format.LDIF:
        return ldif.SUFFIX
    return ".zip" if "bad-archive" in request.faults else ""


def _sink(
    request: SynthRequest, layout: Layout, changes: Changes, folder: Path, versions: tuple[tuple[str, str], ...]
) -> Sink:
    delta = request.delta_of is not None
    if request.format is Format.LDIF:
        services = frozenset(str(service.key) for service in layout.services)
        directory = Directory(request.academy, services)
        return ldif.LdifFile(folder, directory, delta=delta, versions=versions, spoilt=request.faults)
    kinds = [
        kind
        for kind in FileKind
        if request.degree is Degree.SECOND or kind not in {FileKind.PROGRAMMES, FileKind.SUBJECTS}
    ]
    part_size = request.part_size
    if "missing-part" in request.faults:
        sure = len(changes.leavers) + changes.newcomers if delta else request.pupils
        part_size = min(part_size, max(1, sure // 3))
    name = folder.name.removeprefix(".").removesuffix(".tmp")
    return AafFiles(folder, name, kinds, part_size=part_size, versions=versions, spoilt=request.faults)


def _project(request: SynthRequest) -> str:
    return f"{_PROJECTS[request.degree]}_{request.academy}"


def _generator(request: SynthRequest, shares: Shares) -> str:
    moved = f", movers {request.movers.share:g} from {request.movers.academy}" if request.movers.share else ""
    return (
        f"ent-sync synth: seed {request.seed}, {request.pupils} pupils, "
        f"arrivals {shares.arrivals:g}, leavers {shares.leavers:g}, changes {shares.changes:g}{moved}"
    )


def _versions(request: SynthRequest, layout: Layout, day: date) -> tuple[tuple[str, str], ...]:
    """What real files say in comments, and that these people are invented."""
    return (
        ("versionAF", "AAF-VE2407"),
        ("versionSDET", _SDET[request.degree]),
        ("codeAcademieExport", layout.academy.code[1:]),
        ("degre", request.degree.upper()),
        ("dateGenerationExport", f"{day:%d/%m/%Y}"),
        ("generator", _generator(request, _shares(request))),
    )


def _shares(request: SynthRequest) -> Shares:
    usual = (0.5, 0.5, 1.0) if request.delta_of is not None else (0.0, 0.0, 0.0)
    asked = (request.arrivals, request.leavers, request.changes)
    arrivals, leavers, changes = (own if own is not None else other for own, other in zip(asked, usual, strict=True))
    return Shares(arrivals=arrivals, leavers=leavers, changes=changes)


def _check(request: SynthRequest) -> None:
    if request.pupils < 1 or request.part_size < 1:
        raise UsageError("a delivery has at least one pupil, and one record in a file")
    if not all(_ACADEMY.fullmatch(name) for name in (request.academy, request.movers.academy)):
        raise UsageError("the name of an academy is made of capitals, digits and single dashes, such as LILLE")
    shares = _shares(request)
    if not all(0 <= share <= 100 for share in (shares.arrivals, shares.leavers, shares.changes)):
        raise UsageError("shares are percentages from 0 to 100")
    faults.check(request.faults, delta=request.delta_of is not None)
    if request.format is Format.LDIF:
        ldif.check(request.faults)
    if request.delta_of is not None:
        _check_base(request, request.delta_of)


def _check_base(request: SynthRequest, place: Path) -> None:
    whole = _project(request) + r"_Complet_(\d{8})"
    pattern = re.compile(whole + (re.escape(ldif.SUFFIX) if request.format is Format.LDIF else ""))
    found = [
        (path, named[1])
        for path in (place, *sorted(place.glob("*")))
        if path.is_dir() != (request.format is Format.LDIF) and (named := pattern.fullmatch(path.name))
    ]
    earlier = [path for path, day in found if day < f"{request.date:%Y%m%d}"]
    if not earlier:
        raise UsageError(f"{place} is and holds no earlier complete delivery of {_project(request)}")
    wanted = re.compile(re.escape(_generator(request, Shares())) + r'"?\s')
    if not any(wanted.search(_heads(path)) for path in earlier):
        raise UsageError(f"no complete delivery in {place} was written by synth with the same options, without shares")


def _heads(delivery: Path) -> str:
    """The beginnings of the files of a delivery, where their comments are."""
    heads = []
    for path in sorted(delivery.glob("*.xml")) if delivery.is_dir() else (delivery,):
        with path.open("rb") as stream:
            heads.append(stream.read(_HEAD).decode("latin-1"))
    return "\n".join(heads)


def _check_ours(final: Path) -> None:
    there = any(final.iterdir()) if final.is_dir() else final.suffix == ldif.SUFFIX and final.exists()
    if there and "ent-sync synth: " not in _heads(final):
        raise UsageError(f"{final} is there already and was not written by synth")


def _dropped(request: SynthRequest) -> frozenset[int]:
    """The pupils whom a shrunken delivery lacks."""
    if "shrunken" not in request.faults:
        return frozenset()
    plan = Plan(seed=request.seed, academy=request.academy, degree=request.degree, pupils=request.pupils)
    first = FIRST_PUPIL[plan.degree]
    lost = plan.chance("shrunken").sample(range(plan.pupils), plan.pupils - round(plan.pupils * 0.6))
    return frozenset(first + number for number in lost)


class _Out:
    """Where requests go: through the faults asked for, to where the format has them, counted."""

    def __init__(self, sink: Sink, request: SynthRequest) -> None:
        self._sink = sink
        self._spoilers = faults.spoilers(request.faults)
        self.describe: Describer = describer(request.degree)
        self.degree = request.degree
        self.counts: Counter[Population] = Counter(dict.fromkeys(Population, 0))
        self.requests: Counter[RequestKind] = Counter(dict.fromkeys(RequestKind, 0))

    def add(self, kind: FileKind, key: int | str, attributes: Description) -> None:
        self._send(Outgoing(kind=kind, request=RequestKind.ADD, key=str(key), attributes=attributes))

    def compare(self, kind: FileKind, key: int, before: Description, after: Description) -> None:
        """A modify request with all attributes, where one of them changed."""
        old = {name: tuple(values) for name, values in before}
        changed = frozenset(name for name, values in after if old.get(name) != tuple(values))
        if changed:
            self._send(
                Outgoing(
                    kind=kind,
                    request=RequestKind.MODIFY,
                    key=str(key),
                    attributes=after,
                    before=before,
                    changed=changed,
                )
            )

    def delete(self, kind: FileKind, key: int) -> None:
        self._send(Outgoing(kind=kind, request=RequestKind.DELETE, key=str(key)))

    def _send(self, outgoing: Outgoing) -> None:
        if not self._spoilers:
            self._write(outgoing)
            return
        sent: Iterable[Outgoing] = (outgoing,)
        for spoil in self._spoilers:
            sent = [spoilt for one in sent for spoilt in spoil(one)]
        for one in sent:
            self._write(one)

    def _write(self, outgoing: Outgoing) -> None:
        if not self._sink.write(outgoing):
            return
        self.requests[outgoing.request] += 1
        if counted := population(outgoing.kind):
            self.counts[counted] += 1


def _write_reference(out: _Out, layout: Layout) -> None:
    """Structures, MEF and subjects are sent in full in every delivery (aaf.md §3)."""
    for school in layout.structures():
        out.add(FileKind.SCHOOLS, school.key, out.describe.structure(school, layout))
    if out.degree is Degree.SECOND:
        for code, rows in mefs():
            out.add(FileKind.PROGRAMMES, code, rows)
        for code, rows in subjects():
            out.add(FileKind.SUBJECTS, code, rows)


def _write_complete(out: _Out, layout: Layout, changes: Changes, movers: Movers, dropped: frozenset[int]) -> None:
    _write_reference(out, layout)
    for base in region(layout, movers):
        after = changes.of_household(base)
        _add_household(out, layout, without(after, dropped) if dropped else after)
    for new in changes.new_households():
        _add_household(out, layout, new)
    for school, team in staff(layout):
        for one in changes.of_staff(school.key, team):
            out.add(FileKind.STAFF, one.key, out.describe.staff(one))


def _add_household(out: _Out, layout: Layout, household: Household) -> None:
    for pupil in household.pupils:
        out.add(FileKind.PUPILS, pupil.key, out.describe.pupil(pupil, layout))
    for guardian in household.guardians:
        out.add(FileKind.GUARDIANS, guardian.key, out.describe.guardian(guardian))


def _write_delta(out: _Out, layout: Layout, changes: Changes, movers: Movers) -> None:
    _write_reference(out, layout)
    for base in region(layout, movers):
        after = changes.of_household(base)
        if after is not base:
            _compare_households(out, layout, base, after)
    for new in changes.new_households():
        _add_household(out, layout, new)
    for before, changed in _changed_staff(layout, changes):
        out.compare(FileKind.STAFF, before.key, out.describe.staff(before), out.describe.staff(changed))


def _changed_staff(layout: Layout, changes: Changes) -> Iterator[tuple[Staff, Staff]]:
    for school, team in staff(layout):
        for before, after in zip(team, changes.of_staff(school.key, team), strict=True):
            if after is not before:
                yield before, after


def _compare_households(out: _Out, layout: Layout, base: Household, after: Household) -> None:
    pupils_before = {pupil.key: pupil for pupil in base.pupils}
    pupils_after = {pupil.key: pupil for pupil in after.pupils}
    for key, pupil in pupils_after.items():
        description = out.describe.pupil(pupil, layout)
        if before := pupils_before.get(key):
            out.compare(FileKind.PUPILS, key, out.describe.pupil(before, layout), description)
        else:
            out.add(FileKind.PUPILS, key, description)
    for key in pupils_before.keys() - pupils_after.keys():
        out.delete(FileKind.PUPILS, key)
    guardians_after = {guardian.key: guardian for guardian in after.guardians}
    for guardian in base.guardians:
        if (now := guardians_after.get(guardian.key)) is None:
            out.delete(FileKind.GUARDIANS, guardian.key)
        else:
            described = out.describe.guardian(now)
            out.compare(FileKind.GUARDIANS, guardian.key, out.describe.guardian(guardian), described)
