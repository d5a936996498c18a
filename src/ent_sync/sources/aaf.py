"""AAF deliveries that appear in a folder: folders, archives or loose files (aaf.md §1 to §3).

Finds deliveries, opens them part by part, and reports what it saw. Whether a delivery is complete, what is new in it,
and what follows from it is for others to say; this module knows no store and no target.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import re
import shutil
import tarfile
import zipfile
from collections import Counter
from collections.abc import Collection, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import Field

from ent_sync.config.settings import SourceSection
from ent_sync.core.completeness import Delivery, Evidence, Part
from ent_sync.core.errors import Problem, UnavailableError, Where
from ent_sync.core.record import Key, Origin, Population, Record, join_key
from ent_sync.ports import Modification, Opened, Shard, Sighting, SourceContext, UnreadableError, Verb
from ent_sync.wire import archive
from ent_sync.wire.aaf import names, parse, read
from ent_sync.wire.aaf.names import DeliveredName, FileKind
from ent_sync.wire.aaf.read import Cut
from ent_sync.wire.aaf.wellformed import ROOT, UnreadableFileError

_ARCHIVES = (".zip", ".tar.gz", ".tgz", ".tar")
_UNFINISHED = (".part", ".tmp", ".filepart", ".crdownload")
_GLANCE = 64 << 10
_DATE = re.compile(r"20[0-9]{6}")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_CORRECT = "ask the academy to correct it"
# Schools first and nomenclature with them; a pupil's links are known before the guardians they lead to.
_ORDER = (
    FileKind.SCHOOLS,
    FileKind.SUBJECTS,
    FileKind.PROGRAMMES,
    FileKind.PUPILS,
    FileKind.GUARDIANS,
    FileKind.STAFF,
)
_CATEGORIES = {
    Population.SCHOOL: "EtabEducNat",
    Population.PUPIL: "Eleve",
    Population.GUARDIAN: "PersRelEleve",
    Population.STAFF: "PersEducNat",
}


@dataclass(frozen=True, slots=True)
class _Found:
    """One delivered file: where it lies (in an archive: its name there) and what its name says."""

    path: str
    name: DeliveredName


@dataclass(slots=True)
class _Container:
    """A folder, an archive, or the loose files of one project, date and kind of delivery."""

    path: Path
    files: list[_Found] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    stamps: list[str] = field(default_factory=list)
    newest: float = 0.0
    size: int = 0

    def stamp(self, path: Path) -> None:
        """Take note of a file: the delivery is another one when its size, beginning or end change.

        Not of its time: a copy is the same delivery. The beginning of a file says when it was made, and the end of an
        archive holds the checksums of all of it.
        """
        status = path.stat()
        digest = hashlib.blake2b(digest_size=12)
        with path.open("rb") as file:
            digest.update(file.read(_GLANCE))
            file.seek(max(status.st_size - _GLANCE, 0))
            digest.update(file.read(_GLANCE))
        self.stamps.append(f"{path.name}|{status.st_size}|{digest.hexdigest()}")
        self.newest = max(self.newest, status.st_mtime)
        self.size += status.st_size


class AafSource:
    """A federating directory that delivers AAF files into a folder."""

    class Settings(SourceSection):
        """An AAF source: a folder in which complete and delta deliveries appear."""

        path: Path = Field(description="Folder in which deliveries appear: folders, archives or loose XML files.")

    def __init__(self, settings: Settings, context: SourceContext) -> None:
        self.name = settings.name
        self._academy = settings.academy
        self._root = context.base / settings.path
        self._spool = context.spool / settings.name
        self._now = context.now
        self._wanted = context.wanted
        self._whole = context.whole

    def deliveries(self, settled_for: float, cursor: str | None = None) -> Sequence[Delivery]:
        """See `ports.Source`. Files lie there whatever was read of them."""
        del cursor
        if not self._root.is_dir():
            raise UnavailableError(f"source {self.name}: the folder {self._root} does not exist or cannot be read")
        before = self._now().timestamp() - settled_for
        try:
            containers = list(self._containers())
        except OSError as error:
            reason = f"source {self.name}: something in {self._root} cannot be looked at: {error.strerror}"
            raise UnavailableError(reason) from None
        found = [
            delivery
            for container in containers
            if settled_for <= 0 or container.newest <= before  # a clock that runs ahead elsewhere hides nothing
            for delivery in self._split(container)
        ]
        return sorted(found, key=lambda each: (each.date, not each.complete, each.id))

    def lookup(self, keys: Collection[Key]) -> None:
        """See `ports.Source`. A folder cannot be asked."""
        del keys

    def shards(self, delivery: Delivery) -> Sequence[Shard]:
        """See `ports.Source`. An archive is unpacked into the spool, where `done` removes it."""
        place = Path(delivery.place)
        if place.is_file():
            if not delivery.parts:
                raise UnreadableError(_broken_archive(place))
            into = self._spool / delivery.signature
            shutil.rmtree(into, ignore_errors=True)
            into.mkdir(parents=True, mode=0o700)
            try:
                archive.unpack(place, into)
            except archive.BrokenArchiveError as error:
                raise UnreadableError(error.problem) from None
            place = into
        return [
            Shard(self.name, part.file, str(place / part.file), part.population, ordinal)
            for ordinal, part in enumerate(delivery.parts)
        ]

    def read(self, shard: Shard) -> Generator[_Batch, None, Evidence]:
        """See `ports.Source`."""
        records = keyless = 0
        names: Counter[str] = Counter()
        try:
            with Path(shard.place).open("rb") as stream:
                cuts = read.read(stream, shard.file)
                while True:
                    try:
                        ready = next(cuts)
                    except StopIteration as end:
                        records = end.value.records
                        break
                    if shard.population is not None:
                        sightings = [self._sighting(cut, shard.population, shard.file) for cut in ready]
                        batch = _Batch(sightings, ready, self, names)
                        keyless += sum(each.key is None for each in batch.sightings)
                        yield batch
        except UnreadableFileError as error:
            raise UnreadableError(error.problem) from None
        except OSError as error:
            problem = Problem(Where(shard.file), "unreadable", f"cannot be read: {error.strerror}")
            raise UnreadableError(problem) from None
        if shard.population is None:
            return Evidence(shard.file, {})
        # A name that is none is not told: it may be anything.
        unknown = {name: count for name, count in sorted(names.items()) if _NAME.fullmatch(name)}
        return Evidence(
            shard.file, {shard.population: records}, {shard.population: keyless} if keyless else {}, unknown
        )

    def again(self, sightings: Sequence[Sighting]) -> _Batch:
        """See `ports.Source`."""
        return _Batch(sightings, [_cut_again(each) for each in sightings], self)

    def done(self, delivery: Delivery) -> None:
        """See `ports.Source`."""
        shutil.rmtree(self._spool / delivery.signature, ignore_errors=True)

    def forget(self, delivery: Delivery) -> None:
        """See `ports.Source`. Only files that the delivery names are removed, then folders left empty."""
        place = Path(delivery.place)
        if place.is_file():
            place.unlink(missing_ok=True)
            return
        for part in delivery.parts:
            (place / part.file).unlink(missing_ok=True)
        if place != self._root and place.is_dir() and not any(place.iterdir()):
            place.rmdir()

    def open(self, batch: _Batch, which: Sequence[int]) -> Iterator[tuple[int, Opened]]:
        """The content of some sightings of one population and file."""
        population, file = batch.sightings[0].population, batch.sightings[0].origin.file
        raws = [cut for place in which if isinstance(cut := batch.cuts[place], read.RawRecord)]
        results = parse.parse(raws, wanted=self._wanted[population], file=file, seen_names=batch.names)
        for place in which:
            sighting = batch.sightings[place]
            if isinstance(batch.cuts[place], read.RawRecord):
                yield place, self._opened(sighting, next(results))
            else:
                where = Where(file, sighting.origin.line)
                yield (
                    place,
                    Problem(where, "record-size", "is larger than a record can be; ask the academy to correct it"),
                )

    def _opened(self, sighting: Sighting, result: parse.Result) -> Opened:
        if isinstance(result, parse.BadRecord):
            return result.problem
        where = Where(sighting.origin.file, sighting.origin.line)
        if result.category != _CATEGORIES[sighting.population]:
            return Problem(
                where, "category", f"is not of the category {_CATEGORIES[sighting.population]} of its file; {_CORRECT}"
            )
        if sighting.key is None:
            return Problem(where, "no-key", f"has no readable key (identifier/id); {_CORRECT}")
        if sighting.verb is Verb.MODIFY:
            return Modification(
                population=sighting.population,
                key=sighting.key,
                values=result.values,
                cleared=result.cleared,
                whole=self._whole(sighting.population, result.values.keys()),
                origin=sighting.origin,
                source=self.name,
            )
        return Record(sighting.population, sighting.key, result.values, sighting.origin, self.name)

    def _sighting(self, cut: Cut, population: Population, file: str) -> Sighting:
        key: Key | None = join_key(self._academy, cut.id) if cut.id is not None else None
        if isinstance(cut, read.Oversized):
            return Sighting(Verb.ADD, population, key, b"", Origin(file, cut.line))
        return Sighting(Verb(cut.request.value), population, key, cut.raw, Origin(file, cut.line))

    # -- finding deliveries ---------------------------------------------------------------------------------------

    def _containers(self) -> Iterator[_Container]:
        loose: dict[tuple[str, bool, dt.date], _Container] = {}
        for path in sorted(self._root.iterdir()):
            if path.name.startswith(".") or path.name.lower().endswith(_UNFINISHED):
                continue
            if path.is_dir():
                yield from self._folders(path)
            elif path.name.lower().endswith(_ARCHIVES):
                yield self._archive(path)
            elif name := names.parse_name(path.name):
                container = loose.setdefault((name.prefix, name.complete, name.date), _Container(self._root))
                container.files.append(_Found(path.name, name))
                container.stamp(path)
        yield from loose.values()

    def _folders(self, folder: Path) -> Iterator[_Container]:
        """Every folder that holds delivered files itself, and the archives beside them."""
        container = _Container(folder)
        for path in sorted(folder.iterdir()):
            if path.name.startswith(".") or path.name.lower().endswith(_UNFINISHED):
                continue
            if path.is_dir():
                yield from self._folders(path)
            elif path.name.lower().endswith(_ARCHIVES):
                yield self._archive(path)
            elif name := names.parse_name(path.name):
                container.files.append(_Found(path.name, name))
                container.stamp(path)
        if container.files:
            yield container

    def _archive(self, path: Path) -> _Container:
        container = _Container(path)
        container.stamp(path)
        try:
            members = _members(path)
        except (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, zipfile.LargeZipFile, RuntimeError):
            container.problems.append(_broken_archive(path))
            return container
        for member in sorted(members):
            if name := names.parse_name(member.rsplit("/", 1)[-1]):
                container.files.append(_Found(member, name))
        return container

    def _split(self, container: _Container) -> Iterator[Delivery]:
        """The deliveries in a container: nearly always one; completes and deltas, or several dates, are kept apart."""
        if not container.files:
            if container.problems:
                yield self._broken(container)
            return
        groups: dict[tuple[bool, dt.date | None], list[_Found]] = {}
        for complete in (True, False):
            files = [each for each in container.files if each.name.complete is complete]
            slots = {(each.name.prefix, each.name.kind, each.name.part) for each in files}
            together = len(slots) == len(files)
            for each in files:
                groups.setdefault((complete, None if together else each.name.date), []).append(each)
        for (complete, _), files in groups.items():
            files.sort(key=lambda each: (_ORDER.index(each.name.kind), each.name.prefix, each.name.part))
            date = max(each.name.date for each in files)
            prefix = files[0].name.prefix
            yield Delivery(
                id=f"{prefix}_{'Complet' if complete else 'Delta'}_{date:%Y%m%d}",
                source=self.name,
                complete=complete,
                date=date,
                signature=self._signature(container, complete=complete, date=date),
                place=str(container.path),
                parts=tuple(
                    Part(
                        each.path,
                        f"{each.name.prefix}_{each.name.kind}",
                        each.name.part,
                        names.population(each.name.kind),
                    )
                    for each in files
                ),
                size=container.size,
                problems=tuple(container.problems),
            )

    def _broken(self, container: _Container) -> Delivery:
        """An archive that cannot be opened: nobody knows what it is, so it counts as a complete that is not."""
        dated = _DATE.search(container.path.name)
        try:
            date = dt.datetime.strptime(dated[0], "%Y%m%d").replace(tzinfo=dt.UTC).date() if dated else None
        except ValueError:
            date = None
        date = date or dt.datetime.fromtimestamp(container.newest, dt.UTC).date()
        return Delivery(
            id=container.path.name,
            source=self.name,
            complete=True,
            date=date,
            signature=self._signature(container, complete=True, date=date),
            place=str(container.path),
            parts=(),
            size=container.size,
        )

    def _signature(self, container: _Container, *, complete: bool, date: dt.date) -> str:
        """Another one when a file changes; the same when the whole folder is moved or copied."""
        place = container.path.relative_to(self._root)
        text = "\n".join([str(place), str(complete), date.isoformat(), *sorted(container.stamps)])
        return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


@dataclass(frozen=True, slots=True, repr=False)
class _Batch:
    """Sightings of one file, beside what was cut out of it."""

    sightings: Sequence[Sighting]
    cuts: Sequence[Cut]
    source: AafSource
    names: Counter[str] = field(default_factory=Counter)

    def open(self, which: Sequence[int]) -> Iterator[tuple[int, Opened]]:
        """See `ports.Batch`."""
        if which:
            yield from self.source.open(self, which)


def _cut_again(sighting: Sighting) -> Cut:
    """The request that a sighting was cut from; of one that was too large nothing is left."""
    root = ROOT.encode()
    content = io.BytesIO(b"<" + root + b">" + sighting.raw + b"</" + root + b">")
    cuts = [cut for batch in read.read(content, sighting.origin.file) for cut in batch]
    return cuts[0] if cuts else read.Oversized(None, sighting.origin.line)


def _broken_archive(path: Path) -> Problem:
    message = "cannot be unpacked: it is damaged or cut short. Ask the academy for it again"
    return Problem(Where(path.name), "broken-archive", message)


def _members(path: Path) -> list[str]:
    if path.name.lower().endswith(".zip"):
        with zipfile.ZipFile(path) as opened:
            return [each.filename for each in opened.infolist() if not each.is_dir()]
    with tarfile.open(path) as unpacked:
        return [each.name for each in unpacked if each.isfile()]
