"""Waves of structures and of groups: one entry each, without another side; the members of groups are not theirs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ent_sync.core.entry import EntryId, EntryKind, Group, Structure
from ent_sync.core.plan import Create, Delete, Suspend
from ent_sync.ports import Held
from ent_sync.targets.ldap.directory import CREATOR, CSN, Directory, There
from ent_sync.targets.ldap.edits import Owned, edits, owned_of_groups, owned_of_structures
from ent_sync.targets.ldap.layout import Layout
from ent_sync.targets.ldap.members import Members
from ent_sync.targets.ldap.names import Names
from ent_sync.targets.ldap.parse import Parser, texts
from ent_sync.targets.ldap.render import OBJECT_CLASS, Renderer, UnfitError, Written, raw
from ent_sync.targets.ldap.tasks import CLASH, FOREIGN, ROUNDS, Ground, Task, Wave
from ent_sync.wire.ldap.write import Add, Edit, EditKind, Modify, Operation, Read, Remove


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class _Place:
    """Where an entry is or would be, what lies there, and what it says. `rdn` is the value of a group's name."""

    dn: str
    rdn: str = ""
    entry: There | None = None
    held: Held | None = None


class Places:
    """Makes changes of structures and groups."""

    def __init__(
        self, layout: Layout, names: Names, renderer: Renderer, parser: Parser, directory: Directory, members: Members
    ) -> None:
        self._names = names
        self._renderer = renderer
        self._parser = parser
        self._directory = directory
        self._members = members
        self._name = layout.groups.name
        self._owned: Mapping[EntryKind, Owned] = {
            EntryKind.STRUCTURE: owned_of_structures(layout),
            EntryKind.GROUP: owned_of_groups(layout),
        }
        structures = self._owned[EntryKind.STRUCTURE].attributes
        self.structure_attributes = (OBJECT_CLASS, layout.structures.rdn, *structures, CSN, CREATOR)
        self.group_attributes = (OBJECT_CLASS, layout.groups.rdn, layout.groups.name, CSN, CREATOR)

    def make(self, wave: Wave, kind: EntryKind, ground: Ground) -> None:
        """Give each task of the wave, all of one kind, its outcome.

        Raises:
            UnavailableError: there is no connection any more; tasks may be open still.
        """
        for _ in range(ROUNDS):
            if not (tasks := wave.open()):
                return
            places = self._look([task.id for task in tasks], kind, with_members=isinstance(tasks[0].change, Delete))
            decided = list(self._decided(tasks, places, kind, ground))
            answers = iter(self._directory.perform([operation for _, operation in decided if operation is not None]))
            for task, operation in decided:
                if operation is None or task.answered(next(answers), creating=isinstance(operation, Add)):
                    self._remember(task, places[task.id], operation, kind)
                    task.acknowledge()
                else:
                    self._members.forget(task.id)
        for task in wave.open():
            task.give_up()

    def _look(self, ids: Sequence[EntryId], kind: EntryKind, *, with_members: bool) -> dict[EntryId, _Place]:
        if kind is EntryKind.STRUCTURE:
            dns = [self._names.structures.entry(id_) for id_ in ids]
            entries = self._directory.entries([Read(dn, self.structure_attributes) for dn in dns])
            return {
                id_: _Place(dn=dn, entry=entry, held=self._parser.structure(entry.attributes) if entry else None)
                for id_, dn, entry in zip(ids, dns, entries, strict=True)
            }
        # The members are only wanted to know whether a group may go.
        names = (*self.group_attributes, self._members.attribute) if with_members else self.group_attributes
        return {
            id_: _Place(dn=dn, rdn=rdn, entry=entry, held=self._parser.group(entry.attributes) if entry else None)
            for id_, (dn, rdn, entry) in self._members.places(ids, names).items()
        }

    def _decided(
        self, tasks: Sequence[Task], places: Mapping[EntryId, _Place], kind: EntryKind, ground: Ground
    ) -> Iterator[tuple[Task, Operation | None]]:
        for task in tasks:
            place, change = places[task.id], task.change
            entry = place.entry
            try:
                wanted = None if isinstance(change, Delete | Suspend) else self._written(task, place)
            except UnfitError as error:
                task.refuse(error.rule, str(error))
                continue
            is_foreign = entry is not None and ground.is_foreign(kind, entry.creator)
            if is_foreign and not task.seen and isinstance(change, Create | Delete):
                task.refuse(*FOREIGN)
                continue
            if kind is EntryKind.GROUP and entry and self._names.group_named(entry.attributes) != task.id:
                task.refuse(*CLASH)
                continue
            task.first_seen(place.held)
            if wanted is None:
                yield task, self._removal(place)
            elif entry is None:
                yield task, Add(place.dn, raw(wanted))
            else:
                found = edits(self._owned[kind], entry.attributes, wanted)
                yield task, Modify(place.dn, found, assertion=entry.assertion) if found else None

    def _written(self, task: Task, place: _Place) -> Written:
        match task.change:
            case Suspend() | Delete():
                raise TypeError("nothing is written")
            case change if isinstance(change.entry, Structure):
                return self._renderer.structure(change.entry)
            case change if isinstance(change.entry, Group):
                written = self._renderer.group(change.entry, place.rdn)
                return {**written, self._members.attribute: [self._members.neutral(change.entry.id)]}
            case _:
                raise TypeError("not a structure or a group")

    def _removal(self, place: _Place) -> Operation | None:
        """What ends an entry; a group that still has members is only no group any more to whoever reads us."""
        entry = place.entry
        if entry is None:
            return None
        listed = texts(entry.attributes, self._members.attribute) if place.rdn else ()
        if any(self._names.person(dn) for dn in listed):
            unnamed = Modify(place.dn, [Edit(EditKind.DELETE, self._name)], assertion=entry.assertion)
            return unnamed if place.held else None
        return Remove(place.dn, assertion=entry.assertion)

    def _remember(self, task: Task, place: _Place, operation: Operation | None, kind: EntryKind) -> None:
        if kind is EntryKind.GROUP and isinstance(operation, Add):
            self._members.remember(task.id, place.dn, place.rdn, is_empty=True)
        elif kind is EntryKind.GROUP and isinstance(operation, Remove):
            self._members.forget(task.id)
