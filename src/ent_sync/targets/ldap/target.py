"""An LDAP directory as a target: the port's methods, and the settings that name the directory and its layout."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import Field

from ent_sync.config.directory import DirectorySection, SimpleBind
from ent_sync.config.settings import TargetSection
from ent_sync.core.entry import Entry, EntryId, EntryKind
from ent_sync.core.errors import Problem, UnavailableError
from ent_sync.core.plan import Change, Create, kind
from ent_sync.ports import Held, PushOutcome, TargetContext, Unanswered
from ent_sync.targets.ldap import check, layout, written
from ent_sync.targets.ldap.accounts import Accounts
from ent_sync.targets.ldap.branches import Branches
from ent_sync.targets.ldap.directory import Directory
from ent_sync.targets.ldap.members import Members
from ent_sync.targets.ldap.names import Names
from ent_sync.targets.ldap.parse import Parser
from ent_sync.targets.ldap.places import Places
from ent_sync.targets.ldap.reading import Reading
from ent_sync.targets.ldap.render import Renderer, UnfitError
from ent_sync.targets.ldap.tasks import Ground, Task, Wave, waves
from ent_sync.wire.ldap.dn import normal
from ent_sync.wire.ldap.result import NO_SUCH_OBJECT

LAYOUT_FILE = "ldap.yaml"


class Adopted(StrEnum):
    """Kinds of entry that may be taken over where others made them."""

    ACCOUNTS = "accounts"
    STRUCTURES = "structures"
    GROUPS = "groups"


_KINDS = {
    Adopted.ACCOUNTS: EntryKind.ACCOUNT,
    Adopted.STRUCTURES: EntryKind.STRUCTURE,
    Adopted.GROUPS: EntryKind.GROUP,
}


class LdapTarget:
    """An LDAP directory of the national ENT schema, or of another by its layout file."""

    class Settings(DirectorySection, TargetSection):
        """A target of format `ldap`."""

        format: Literal["ldap"] = Field(default="ldap", description="Names this kind of target.")
        in_flight: int = Field(
            default=64, ge=1, le=1024, description="How many operations may be under way at once, at most."
        )
        layout: Path | None = Field(
            default=None,
            description="How entries lie in the directory: branches, names, object classes, attributes. "
            "By default `ldap.yaml` beside the mappings of the profile.",
        )
        adopt: tuple[Adopted, ...] = Field(
            default=(),
            description="Entries that others made and that are taken over: accounts by their join key, structures "
            "and groups by their name. Without it, such an entry is refused.",
        )
        makers: tuple[str, ...] = Field(
            default=(),
            description="DNs, beside the one we bind as, whose entries are ent-sync's: an earlier account of it, or "
            "the one as which slapadd loaded. Only entries of ent-sync are ever deleted.",
        )

    def __init__(self, settings: Settings, context: TargetContext) -> None:
        self._settings = settings
        self._context = context
        path = context.mappings / LAYOUT_FILE if settings.layout is None else context.base / settings.layout
        self._layout_path = path
        self._layout = layout.load(path)
        self._names = Names(self._layout, settings.base)
        self._renderer = Renderer(self._layout, self._names)
        self._parser = Parser(self._layout, self._names)
        self._directory = Directory(settings, context.base, f"target {settings.name}", settings.in_flight)
        self._members = Members(self._layout, self._names, self._renderer, self._directory)
        parts = (self._layout, self._names, self._renderer, self._parser, self._directory, self._members)
        self._accounts = Accounts(*parts)
        self._places = Places(*parts)
        self._branches = Branches(self._names, self._layout, self._directory)
        self._adopts = frozenset(_KINDS[each] for each in settings.adopt)

    @property
    def name(self) -> str:
        """The target's name in the configuration."""
        return self._settings.name

    def check(self) -> Sequence[Problem]:
        """What the layout lacks for what is released, and the directory for the layout: classes, attributes, rights.

        Raises:
            UnavailableError: no server answers.
        """
        self._directory.let_go()
        released = (*self._context.single, *self._context.multiple)
        unplaced = check.unplaced(self._layout, self._layout_path, released)
        schema = check.schema_problems(self._layout, self._directory, self.name, self._context.multiple)
        if unplaced or schema:
            return [*unplaced, *schema]
        trial = check.Trial(self._layout, self._names, self._renderer, self._directory, self._branches)
        return trial.problems(self.name, self._ground())

    def push(self, changes: Sequence[Change]) -> Iterator[PushOutcome]:
        """Make the changes, wave by wave; all is answered when the iterator is handed out.

        Raises:
            UnavailableError: no server answered; nothing of the batch is acknowledged.
        """
        if not changes:
            return iter(())
        ground = self._ground()
        self._branches.make()
        made: list[Wave] = []
        rest = list(waves(changes))
        try:
            for wave in rest:
                made.append(wave)
                self._make(wave, ground)
                if any(task.is_suspension for task in wave.tasks):
                    ground = self._ground()
        except UnavailableError:
            tasks = [task for wave in made for task in wave.tasks]
            if not any(task.outcome is not None or task.is_lost for task in tasks):
                raise
        tasks = [task for wave in rest for task in wave.tasks]
        if any(task.code == NO_SUCH_OBJECT for task in tasks):
            self._branches.forget()
        return iter([_outcome(task) for task in sorted(tasks, key=lambda task: task.index)])

    def read_back(self, ids: Collection[EntryId] | None) -> Iterator[Held]:
        """What is there; memberships as both the person and the group say.

        Raises:
            UnavailableError: the directory cannot be read to the end.
        """
        parts = (self._names, self._parser, self._directory, self._members)
        reading = Reading(*parts, self._accounts, self._places, self._ground())
        return reading.all() if ids is None else reading.some(ids)

    def neutral(self, entry: Entry) -> Mapping[str, str]:
        """The neutral values that object classes demand of this entry."""
        try:
            return self._renderer.neutral(entry)
        except UnfitError:
            return {}

    def written(self, creates: Iterable[Create]) -> Iterator[str]:
        """The entries as LDIF for slapadd, in an order that it takes: groups come last, with all their members."""
        bind = self._settings.bind
        creator = bind.dn if isinstance(bind, SimpleBind) else next(iter(self._settings.makers), None)
        writing = written.Writing(self._names, self._renderer, self._members, self._branches)
        return written.ldif(creates, writing, creator)

    def close(self) -> None:
        """Let go of the directory."""
        self._directory.close()

    def _make(self, wave: Wave, ground: Ground) -> None:
        of = kind(wave.tasks[0].change)
        if of is EntryKind.ACCOUNT:
            self._accounts.make(wave, ground)
        else:
            self._places.make(wave, of, ground)

    def _ground(self) -> Ground:
        bound = self._directory.link().bound_as
        makers = frozenset(normal(dn) for dn in (*self._settings.makers, bound) if dn)
        return Ground(makers=makers, adopts=self._adopts, none_suspended=self._branches.has_none_suspended())


def _outcome(task: Task) -> PushOutcome:
    return Unanswered(task.id) if task.outcome is None else task.outcome
