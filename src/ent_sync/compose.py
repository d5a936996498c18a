"""The only place where settings become objects: adapters, clock, keys, store, policy, engine.

A run and its worker processes are composed by the same functions, so that both see one policy and one snapshot.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import importlib.metadata
import importlib.resources
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from ent_sync.config import policy as policy_files
from ent_sync.config import settings as settings_file
from ent_sync.config.fields import SecretRef
from ent_sync.config.settings import Settings, SourceSection, TargetSection
from ent_sync.core.errors import BadConfigurationError, EntSyncError, Problem, StoreError, UnavailableError, Where
from ent_sync.core.event import Event
from ent_sync.core.fingerprint import Keys, name_digest, pseudonym
from ent_sync.core.release import Policy
from ent_sync.ports import SourceContext, Target, TargetContext
from ent_sync.store import runs
from ent_sync.store.database import Database
from ent_sync.store.seal import Seal
from ent_sync.sync.engine import Inline, Processes, Stoppable, spare_the_collector
from ent_sync.sync.parts import Parts, SourceParts

WORKERS = max(os.cpu_count() or 1, 1)


def now() -> dt.datetime:
    """The clock: now, in the time zone of the machine."""
    return dt.datetime.now().astimezone()  # noqa: TID251 - this is the clock


def new_id() -> str:
    """A name for a run or a plan: sorts by time, never repeats."""
    return f"{now().astimezone(dt.UTC):%Y%m%dT%H%M%S%f}-{secrets.token_hex(2)}"


def load(path: Path) -> Settings:
    """The settings of a configuration file, with the sections that the installed adapters bring.

    Raises:
        BadConfigurationError: with every problem of the file.
    """
    sources, targets = formats()
    return settings_file.load(path, sources, targets)


def formats() -> tuple[Mapping[str, type[SourceSection]], Mapping[str, type[TargetSection]]]:
    """The sections that the installed adapters bring, by format: of sources and of targets."""
    return _Sections(_adapters("ent_sync.sources")), _Sections(_adapters("ent_sync.targets"))


def load_policy(settings: Settings) -> Policy:
    """Register and mappings of an installation.

    Raises:
        BadConfigurationError: with every problem of both.
    """
    return policy_files.load(
        settings.resolve(settings.register_path),
        _mappings(settings),
        [(target.name, target.profile) for target in settings.targets],
        today=now().date(),
        transforms=dict(_adapters("ent_sync.transforms")),
        degrees={source.name: source.degree for source in settings.sources if source.degree is not None},
    )


def _mappings(settings: Settings) -> Path:
    """The folder of the mapping files: the installation's own, else the one that comes with ent-sync."""
    mappings = settings.resolve(settings.mappings)
    if not mappings.is_dir() and settings.mappings == Path("mappings"):
        return shipped("mappings")
    return mappings


def shipped(name: str) -> Path:
    """A folder that comes with ent-sync: `config` or `mappings`."""
    inside = Path(str(importlib.resources.files("ent_sync"))) / "shipped" / name
    return inside if inside.is_dir() else Path(__file__).parents[2] / name


@contextlib.contextmanager
def opened(
    path: Path,
    listeners: Sequence[Callable[[Event], None]] = (),
    stopping: Callable[[], bool] = bool,
) -> Iterator[Parts]:
    """Everything that a command on a whole installation needs, open; closed when the block ends."""
    with opened_as(load(path), listeners, stopping) as parts:
        yield parts


@contextlib.contextmanager
def opened_as(
    settings: Settings,
    listeners: Sequence[Callable[[Event], None]] = (),
    stopping: Callable[[], bool] = bool,
    *,
    gives_way: bool = False,
) -> Iterator[Parts]:
    """The same, of settings that are loaded already: for whoever keeps them while their file may change."""
    made = _parts(settings, load_policy(settings))
    engine = Stoppable(Processes(WORKERS, parts_of, (settings,), Inline(lambda: parts)), stopping)
    try:
        targets, unreachable = _targets(settings, made.policy)
    except BaseException:
        made.database.close()
        raise
    parts = replace(
        made,
        engine=engine,
        targets=targets,
        unreachable=unreachable,
        listeners=listeners,
        stopping=stopping,
        gives_way=gives_way,
    )
    spare_the_collector()
    try:
        yield parts
    finally:
        engine.close()
        for target in parts.targets.values():
            target.close()
        parts.database.forget_traces()
        parts.database.close()


def worker_parts(path: str) -> Parts:
    """The parts of a worker process: no targets, and no other processes."""
    return parts_of(load(Path(path)))


def parts_of(settings: Settings) -> Parts:
    """The same, of settings that are loaded already."""
    return _parts(settings, load_policy(settings))


def kept(settings: Settings, into: Path) -> Settings:
    """The same settings with register and mappings as they are now, copied: whoever edits the files changes nothing."""
    into.mkdir(parents=True, mode=0o700)
    register, mappings = into / "register.yaml", into / "mappings"
    shutil.copyfile(settings.resolve(settings.register_path), register)
    shutil.copytree(_mappings(settings), mappings)
    return settings.model_copy(update={"register_path": register.absolute(), "mappings": mappings.absolute()})


def open_store(settings: Settings) -> Database:
    """The state store, as it is."""
    return Database(settings.store_url)


def _parts(settings: Settings, policy: Policy) -> Parts:
    keys = keys_of(settings)
    database = open_store(settings)
    database.upgrade()
    _same_keys(database, keys)
    context = SourceContext(
        base=settings.base,
        spool=_spool(settings),
        now=now,
        wanted=policy.wanted,
        whole=policy.complete_enough,
        digest=partial(name_digest, keys),
    )
    adapters = _adapters("ent_sync.sources")
    sources = {
        section.name: SourceParts(
            source=adapters[section.format](section, context),
            academy=section.academy,
            precedence=place,
            keep=section.keep,
            delivers=section.delivers,
        )
        for place, section in enumerate(settings.sources)
    }
    parts = Parts(
        database=database,
        keys=keys,
        seal=Seal(keys.seal),
        policy=policy,
        sources=sources,
        target_names=tuple(target.name for target in settings.targets),
        targets={},
        neutral={section.name: target_of(settings, section, policy).neutral for section in settings.targets},
        limits=settings.guards.limits(),
        freezes=tuple(window.window() for window in settings.freeze),
        journal=settings.journal,
        now=now,
        new_id=new_id,
        engine=Inline(lambda: parts),
    )
    return parts


def _targets(settings: Settings, policy: Policy) -> tuple[dict[str, Target], dict[str, str]]:
    """The targets that are in order, and why others cannot be reached now: each of those delays only itself."""
    targets: dict[str, Target] = {}
    unreachable: dict[str, str] = {}
    problems: list[Problem] = []
    for section in settings.targets:
        target = target_of(settings, section, policy)
        try:
            found = target.check()
        except UnavailableError as error:
            target.close()
            unreachable[section.name] = f"target {section.name} cannot be reached: {error}"
            target.close()
            continue
        problems += found
        targets[section.name] = target
    if problems:
        for target in targets.values():
            target.close()
        raise BadConfigurationError(problems)
    return targets, unreachable


def target_of(settings: Settings, section: TargetSection, policy: Policy) -> Target:
    """A target, not yet opened."""
    single, multiple = policy.released(section.name)
    context = TargetContext(settings.base, single, multiple, _mappings(settings) / section.profile)
    target: Target = _adapters("ent_sync.targets")[section.format](section, context)
    return target


def keys_of(settings: Settings) -> Keys:
    """The keys of an installation; made on its first start (contract §7)."""
    return Keys.derive(_master_key(settings))


def _same_keys(database: Database, keys: Keys) -> None:
    """Refuse keys that the store was not made with: with others, every account would be a new one."""
    check = pseudonym(keys, "key check", "ever")
    with database.reading() as connection:
        known = runs.fact(connection, "key check")
    if known is None:
        with database.transaction() as connection:
            runs.remember_fact(connection, "key check", check)
    elif known != check:
        raise StoreError(
            "the keys are not those that the store was made with: put the right key file back. With other keys, "
            "nothing in the store can be opened and every account would be a new one"
        )


def _spool(settings: Settings) -> Path:
    """Where archives are unpacked: beside the store, ours alone."""
    return settings.resolve(settings.store.file).parent / "spool"


def _master_key(settings: Settings) -> bytes:
    """The installation's master key; one in a file that lacks is made on the first start (contract §7)."""
    reference: SecretRef = settings.keys
    if reference.file is not None:
        path = settings.resolve(reference.file)
        if not path.exists():
            if settings.resolve(settings.store.file).exists():
                raise StoreError(
                    f"the key file {path} is missing, but there is a store that was sealed with it: put it back. "
                    "Without it, nothing in the store can be opened"
                )
            _make_key(path)
        elif stat.S_IMODE(path.stat().st_mode) & 0o037:
            problem = Problem(Where(str(path)), "mode", "can be read or changed by others: chmod 600")
            raise BadConfigurationError([problem])
    key = reference.read(settings.base, os.environ)
    if len(key) < 32:
        raise BadConfigurationError([Problem(Where(str(reference.file or "keys")), "keys", "is shorter than 32 bytes")])
    return key


def _make_key(path: Path) -> None:
    """A new key file, there whole or not at all; where another process makes one at the same time, the first counts."""
    being_made = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(being_made, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(being_made)
        being_made.unlink()
    except OSError as error:
        raise StoreError(f"the key file {path} cannot be made: {error.strerror}") from None


class _Adapters(Mapping[str, Any]):  # whatever an entry point names; it is used as its port says
    """What is installed under a group of entry points. What nobody asks for is not even imported."""

    def __init__(self, group: str) -> None:
        self._entries = {entry.name: entry for entry in importlib.metadata.entry_points(group=group)}

    def __getitem__(self, name: str) -> Any:
        return self._entries[name].load()

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


class _Sections(Mapping[str, Any]):
    """The settings sections of adapters."""

    def __init__(self, adapters: Mapping[str, Any]) -> None:
        self._adapters = adapters

    def __getitem__(self, name: str) -> Any:
        return self._adapters[name].Settings

    def __iter__(self) -> Iterator[str]:
        return iter(self._adapters)

    def __len__(self) -> int:
        return len(self._adapters)


@cache
def _adapters(group: str) -> Mapping[str, Any]:
    return _Adapters(group)


def new_installation(folder: Path, sources: Sequence[str]) -> Path:
    """An empty installation in `folder`, laid out as the contract says; gives its configuration file.

    Raises:
        EntSyncError: there is one already, or a source's name does not say academy and degree.
    """
    configuration = folder / "ent-sync.yaml"
    if configuration.exists():
        raise EntSyncError(f"{configuration} is there already; nothing was changed")
    for name in sources:
        academy, _, degree = name.rpartition("-")
        if degree not in {"1d", "2d"} or not academy:
            raise BadSourceNameError(f"{name}: a source is named ACADEMY-DEGREE, for example lille-2d or amiens-1d")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in sources:
        (folder / "deliveries" / name).mkdir(parents=True, exist_ok=True)
    shutil.copyfile(shipped("config") / "register.yaml", folder / "register.yaml")
    shutil.copytree(shipped("mappings"), folder / "mappings", dirs_exist_ok=True)
    text = (shipped("config") / "init.yaml").read_text(encoding="utf-8")
    section = text[text.index("  - name: NAME") : text.index("targets:")]
    filled = "".join(
        section.replace("NAME", name)
        .replace("ACADEMY", name.rpartition("-")[0].upper())
        .replace("DEGREE", name.rpartition("-")[2])
        for name in sources
    )
    configuration.write_text(text.replace(section, filled), encoding="utf-8")
    return configuration


class BadSourceNameError(EntSyncError):
    """A source's name does not say its academy and degree."""

    exit_code = 2
