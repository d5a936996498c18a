"""The four runs of `ent-sync demo`: what the product is for, on people who do not exist.

Makes an ordinary installation and works on it as any command would; tells one chapter a run. Draws nothing itself.
"""

from __future__ import annotations

import datetime as dt
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ent_sync import compose
from ent_sync.core.entry import Account, EntryId, Lifecycle
from ent_sync.core.errors import UsageError
from ent_sync.core.plan import Update
from ent_sync.core.record import Degree
from ent_sync.core.run import RunResult
from ent_sync.observe import log
from ent_sync.observe.status import status
from ent_sync.store import figures
from ent_sync.store.lease import Lease
from ent_sync.sync import run
from ent_sync.sync.explain import explain
from ent_sync.sync.heartbeat import holding
from ent_sync.sync.parts import Parts
from ent_sync.synth.delivery import SynthRequest, write_delivery

_TARGET = "ent"
_MARK = ".made-by-ent-sync-demo"
_OURS = ("ent-sync.yaml", "register.yaml", "mappings", "keys", "deliveries", "state.sqlite", "ent.sqlite", "spool")
_BESIDE = ("state.sqlite-wal", "state.sqlite-shm", "ent.sqlite-wal", "ent.sqlite-shm", "ent-sync.log", _MARK)
# Source, academy, degree, and its share of the pupils in tenths.
_SOURCES = (
    ("lille-2d", "LILLE", Degree.SECOND, 4),
    ("amiens-2d", "AMIENS", Degree.SECOND, 4),
    ("lille-1d", "LILLE", Degree.FIRST, 2),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """One run, told: what happens in the world, what the run did, active accounts before and after, and the moral."""

    title: str
    sentences: tuple[str, ...]
    result: RunResult
    before: Mapping[str, int]
    after: Mapping[str, int]
    morals: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How things stand in the end, one person explained, and where everything lies."""

    status: Mapping[str, object]
    key: str
    explanation: Mapping[str, object]
    places: tuple[tuple[str, str], ...]
    next: tuple[str, ...]
    document: Mapping[str, object]


def prepare(directory: Path | None) -> Path:
    """An empty installation for the demonstration; one that an earlier demonstration made is made anew.

    Raises:
        UsageError: the folder holds an installation of somebody's.
    """
    if directory is None:
        place = Path(tempfile.mkdtemp(prefix="ent-sync-demo-"))
    else:
        place = directory.absolute()
        if (place / _MARK).exists():
            _clear(place)
        elif found := [name for name in _OURS if (place / name).exists()]:
            raise UsageError(f"{place} holds an installation already ({found[0]}); name another folder with --dir")
    compose.new_installation(place, [name for name, *_ in _SOURCES])
    (place / _MARK).touch()
    return place


def _clear(place: Path) -> None:
    for name in (*_OURS, *_BESIDE):
        if (place / name).is_dir():
            shutil.rmtree(place / name)
        else:
            (place / name).unlink(missing_ok=True)


def tell(place: Path, pupils: int) -> Iterator[Chapter | Ending]:
    """The four chapters as they happen, then the ending."""
    today = compose.now().date()
    results: list[RunResult] = []
    for chapter in (
        _first_load(place, pupils, today - dt.timedelta(days=2)),
        _next_day(place, pupils, today - dt.timedelta(days=1)),
        _truncated(place, pupils, today),
        _put_right(place),
    ):
        told = chapter()
        results.append(told.result)
        yield told
    yield _ending(place, results)


_Telling = Callable[[], Chapter]


def _first_load(place: Path, pupils: int, day: dt.date) -> _Telling:
    def told() -> Chapter:
        for name, academy, degree, share in _SOURCES:
            write_delivery(
                SynthRequest(
                    directory=place / "deliveries" / name,
                    pupils=_part(pupils, share),
                    date=day,
                    academy=academy,
                    degree=degree,
                )
            )
        return _chapter(
            place,
            "1. The first load",
            (
                f"Two academies deliver all their people, in AAF files dated {day}: Lille (1D and 2D) and Amiens (2D).",
                "Every person becomes an account of the ENT that holds what the register allows, and nothing else.",
            ),
            lambda parts, lease: run.run(parts, run.Request(), lease),
            (
                "Addresses, other first names and the like were dropped while reading. A birth date only tells who is",
                "of age, and a national number only who moved between academies: neither is in the ENT.",
                "Those who work in schools of both degrees stand in both feeds of Lille: one account each.",
            ),
        )

    return told


def _next_day(place: Path, pupils: int, day: dt.date) -> _Telling:
    def told() -> Chapter:
        for name, academy, degree, share in _SOURCES:
            write_delivery(
                SynthRequest(
                    directory=place / "deliveries" / name,
                    pupils=_part(pupils, share),
                    date=day,
                    academy=academy,
                    degree=degree,
                    delta_of=place / "deliveries" / name,
                    arrivals=2,
                    leavers=1,
                    changes=3,
                )
            )
        return _chapter(
            place,
            "2. The next day",
            (
                f"The academies deliver what changed until {day}: some pupils arrived, some left, some moved class.",
                "Only those, and the guardians whom their links concern, are touched.",
            ),
            lambda parts, lease: run.run(parts, run.Request(), lease),
            ("Who left is suspended, not deleted: the account comes back if the person does.",),
        )

    return told


def _truncated(place: Path, pupils: int, day: dt.date) -> _Telling:
    def told() -> Chapter:
        name, academy, degree, share = _SOURCES[0]
        write_delivery(
            SynthRequest(
                directory=place / "deliveries" / name,
                pupils=_part(pupils, share),
                date=day,
                academy=academy,
                degree=degree,
                faults=("truncated-file",),
            )
        )
        return _chapter(
            place,
            "3. A truncated delivery",
            (
                f"Lille's complete delivery of {day} broke off in the middle: a transfer that failed at night.",
                "Taken at its word, half of the pupils would have left.",
            ),
            lambda parts, lease: run.run(parts, run.Request(), lease),
            ("Nothing of it was used, and nobody lost an account. The next whole delivery takes its place by itself.",),
        )

    return told


def _put_right(place: Path) -> _Telling:
    def told() -> Chapter:
        with compose.opened(place / "ent-sync.yaml") as parts:
            chosen = _spoil(parts)
        return _chapter(
            place,
            "4. One person again",
            (
                "Somebody edited a pupil's account in the ENT by hand. A head teacher calls: the name is wrong.",
                f"ent-sync resync person {chosen}",
            ),
            lambda parts, lease: run.run(parts, run.Request(ids=(chosen,)), lease),
            ("The account is again what the academy says, by the same way that the nightly runs go.",),
        )

    return told


def _chapter(
    place: Path,
    title: str,
    sentences: tuple[str, ...],
    work: Callable[[Parts, Lease], RunResult],
    morals: tuple[str, ...],
) -> Chapter:
    with compose.opened(place / "ent-sync.yaml", [log.listener]) as parts:
        before = _active(parts)
        with holding(parts, parts.new_id()) as lease:
            result = work(parts, lease)
        return Chapter(
            title=title, sentences=sentences, result=result, before=before, after=_active(parts), morals=morals
        )


def _part(pupils: int, share: int) -> int:
    return max(pupils * share // 10, 1)


def _active(parts: Parts) -> dict[str, int]:
    with parts.database.reading() as connection:
        return {each.population: each.count for each in figures.accounts(connection) if each.status == Lifecycle.ACTIVE}


def _pupil(parts: Parts) -> Account:
    """The account of some active pupil with a class."""
    for held in parts.targets[_TARGET].read_back(None):
        entry = held.entry
        if (
            isinstance(entry, Account)
            and held.lifecycle is Lifecycle.ACTIVE
            and entry.population == "pupil"
            and entry.memberships
        ):
            return entry
    raise UsageError("there is no pupil with a class")


def _spoil(parts: Parts) -> EntryId:
    """Edit an account at the target behind our own back, as a hand in the ENT would."""
    account = _pupil(parts)
    edited = replace(account, attributes={**account.attributes, "given_name": ("Typo",)})
    list(parts.targets[_TARGET].push([Update(edited, ("given_name",))]))
    return account.id


def _ending(place: Path, results: list[RunResult]) -> Ending:
    configuration = place / "ent-sync.yaml"
    with compose.opened(configuration) as parts:
        key = _pupil(parts).source_key
        explanation = explain(parts, key)
        with parts.database.reading() as connection:
            stands = status(connection, list(parts.sources), list(parts.target_names), parts.now())
    return Ending(
        status=stands,
        key=key,
        explanation=explanation or {},
        places=(
            (str(configuration), "the configuration; register.yaml and mappings/ beside it say what may leave"),
            (str(place / "deliveries"), "where each source looks for deliveries; the truncated one is still there"),
            (str(place / "ent.sqlite"), "the ENT's directory: views accounts, structures, groups, members, …"),
            (str(place / "state.sqlite"), "what ent-sync remembers, sealed with the key file beside it"),
            (str(place / "ent-sync.log"), "the log, without a single person in it"),
        ),
        next=(
            f"Try any command on it: ent-sync --config {configuration} status",
            f"Look at the accounts: sqlite3 {place / 'ent.sqlite'} 'SELECT * FROM accounts LIMIT 5'",
            "Begin with your own delivery: ent-sync init DIR --source lille-2d",
        ),
        document={
            "schema": "ent-sync/demo/1",
            "dir": str(place),
            "runs": [result.document() for result in results],
        },
    )
