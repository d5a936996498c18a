"""The group side of memberships: which entry a group has, and members that come and go, one modify for each group.

A group that nobody made yet is made with its members alone, and is none to whoever reads us until it has its name. A
group of names needs a member, so an empty one has its own structure as such; that one goes with the first real member
and comes back with the last that leaves.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from ent_sync.core.entry import EntryId, EntryKind
from ent_sync.targets.ldap.directory import CREATOR, CSN, Directory, There
from ent_sync.targets.ldap.layout import Layout
from ent_sync.targets.ldap.names import Names, parts
from ent_sync.targets.ldap.parse import texts
from ent_sync.targets.ldap.render import Renderer, raw
from ent_sync.targets.ldap.tasks import Ground
from ent_sync.wire.ldap import result as codes
from ent_sync.wire.ldap.dn import equality, normal
from ent_sync.wire.ldap.write import Add, Answer, Edit, EditKind, Modify, Operation, Read, Remove

ROUNDS = 5
_REMEMBERED = 50_000
_SCHEMA_VIOLATION = 65
# What says that a group is not what we took it for: to be read, and the exact rest to be sent.
_READ_AGAIN = frozenset(
    {
        codes.NO_SUCH_ATTRIBUTE,
        codes.ATTRIBUTE_OR_VALUE_EXISTS,
        codes.NO_SUCH_OBJECT,
        codes.ENTRY_EXISTS,
        codes.ASSERTION_FAILED,
        _SCHEMA_VIOLATION,
    }
)


@dataclass(slots=True, repr=False)
class Delta:
    """Members of one group that come and go, by the DN of their account."""

    added: set[str] = field(default_factory=set)
    removed: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Located:
    """The entry of a group: where it is or would be, whether it is there, and whether its only member is neutral."""

    dn: str
    rdn: str
    is_there: bool
    is_empty: bool


class Members:
    """The groups of one directory, and where their entries are."""

    def __init__(self, layout: Layout, names: Names, renderer: Renderer, directory: Directory) -> None:
        self._layout = layout.groups
        self._names = names
        self._renderer = renderer
        self._directory = directory
        self._located: dict[EntryId, _Located] = {}
        self._attributes = ("objectClass", layout.groups.rdn, layout.groups.name, CREATOR)

    def neutral(self, group: EntryId) -> str:
        """The member of a group that has none."""
        return self._names.structures.entry(parts(group)[0])

    def forget(self, group: EntryId) -> None:
        """Where this group is, and what it holds, is to be looked up again."""
        self._located.pop(group, None)

    @property
    def attribute(self) -> str:
        """The attribute that lists members."""
        return self._layout.member

    def remember(self, group: EntryId, dn: str, rdn: str, *, is_empty: bool) -> None:
        """This group is there, at that place."""
        if len(self._located) >= _REMEMBERED:
            self._located.clear()
        self._located[group] = _Located(dn=dn, rdn=rdn, is_there=True, is_empty=is_empty)

    def places(self, groups: Iterable[EntryId], names: tuple[str, ...]) -> dict[EntryId, tuple[str, str, There | None]]:
        """For each group the DN and the name that its entry has or would have, and the entry where it is there.

        Raises:
            UnavailableError: nobody answers.
        """
        asked = list(dict.fromkeys(groups))
        candidates = [(self.named(group, besides=False), self.named(group, besides=True)) for group in asked]
        found = self._directory.entries([Read(dn, names) for both in candidates for dn, _ in both])
        places: dict[EntryId, tuple[str, str, There | None]] = {}
        for index, (group, (plain, besides)) in enumerate(zip(asked, candidates, strict=True)):
            first, second = found[2 * index], found[2 * index + 1]
            kind = parts(group)[1]
            at_plain = first is not None and self._names.group_kind(first.attributes) is kind
            if at_plain or (first is None and second is None):
                places[group] = (*plain, first)
            else:
                places[group] = (*besides, second)
        return places

    def apply(self, deltas: Mapping[EntryId, Delta], ground: Ground) -> dict[EntryId, int | None]:
        """Make the groups what the deltas say, whatever of it is true already.

        Gives those that could not be changed, each with the code of its last answer, or None where there was none.

        Raises:
            UnavailableError: nobody answers.
        """
        left = {group: delta for group, delta in deltas.items() if delta.added or delta.removed}
        failed: dict[EntryId, int | None] = dict.fromkeys(self._locate(left, ground), codes.ENTRY_EXISTS)
        left = {group: delta for group, delta in left.items() if group not in failed}
        operations = {group: self._first(group, delta) for group, delta in left.items()}
        for attempt in range(ROUNDS):
            sent = [(group, operation) for group, operation in operations.items() if operation is not None]
            answers = self._directory.perform([operation for _, operation in sent])
            again = [
                group
                for (group, operation), answer in zip(sent, answers, strict=True)
                if not self._settled(group, operation, answer, failed)
            ]
            if not again:
                return failed
            if attempt < ROUNDS - 1:
                operations = self._exact({group: left[group] for group in again})
                continue
            for (group, _), answer in zip(sent, answers, strict=True):
                if group in again:
                    failed[group] = answer.result.code if answer.result else None
        return failed

    def _settled(self, group: EntryId, operation: Operation, answer: Answer, failed: dict[EntryId, int | None]) -> bool:
        """Whether there is nothing more to try for a group."""
        ended = answer.result
        if ended is None or ended.code in _READ_AGAIN:
            self.forget(group)
            return False
        if ended.code != codes.SUCCESS:
            self.forget(group)
            failed[group] = ended.code
        elif isinstance(operation, Add):
            self.remember(group, operation.dn, operation.attributes[self._layout.rdn][0].decode(), is_empty=False)
        elif isinstance(operation, Remove):
            self.forget(group)
        return True

    def _locate(self, groups: Collection[EntryId], ground: Ground) -> set[EntryId]:
        """Look up where groups are of which we do not know it; gives those that others made."""
        unknown = [group for group in groups if group not in self._located]
        if not unknown:
            return set()
        places = self.places(unknown, self._attributes)
        foreign = {
            group
            for group, (_, _, entry) in places.items()
            if entry is not None and ground.is_foreign(EntryKind.GROUP, entry.creator)
        }
        there = [group for group, (_, _, entry) in places.items() if entry is not None and group not in foreign]
        member = self._layout.member
        asked = [Read(places[group][0], ("1.1",), equality(member, self.neutral(group))) for group in there]
        empty = {group for group, answer in zip(there, self._directory.ask(asked), strict=True) if answer.entries}
        if len(self._located) + len(unknown) > _REMEMBERED:
            self._located = {group: place for group, place in self._located.items() if group in groups}
        for group, (dn, rdn, entry) in places.items():
            if group not in foreign:
                self._located[group] = _Located(dn=dn, rdn=rdn, is_there=entry is not None, is_empty=group in empty)
        return foreign

    def _first(self, group: EntryId, delta: Delta) -> Operation | None:
        """What most likely does it, without having read the members."""
        place = self._located[group]
        if not place.is_there:
            return self._stub(group, place.dn, place.rdn, delta.added) if delta.added else None
        found = []
        removed = set(delta.removed)
        if delta.added and place.is_empty:
            removed.add(self.neutral(group))
        if delta.added:
            found.append(Edit(EditKind.ADD, self._layout.member, _raw(delta.added)))
            self._located[group] = _Located(dn=place.dn, rdn=place.rdn, is_there=True, is_empty=False)
        elif place.is_empty:
            return None
        if removed:
            found.append(Edit(EditKind.DELETE, self._layout.member, _raw(removed)))
        return Modify(place.dn, found)

    def _exact(self, deltas: Mapping[EntryId, Delta]) -> dict[EntryId, Operation | None]:
        """What does it, the members having been read."""
        member = self._layout.member
        places = self.places(deltas, (*self._attributes, member, CSN))
        return {group: self._rest(group, delta, *places[group]) for group, delta in deltas.items()}

    def _rest(self, group: EntryId, delta: Delta, dn: str, rdn: str, entry: There | None) -> Operation | None:
        if entry is None:
            return self._stub(group, dn, rdn, delta.added) if delta.added else None
        neutral = self.neutral(group)
        now = {_key(value): value for value in texts(entry.attributes, self._layout.member)}
        added = {_key(value): value for value in delta.added}
        gone = {_key(value) for value in delta.removed}
        after = {key: value for key, value in {**now, **added}.items() if key not in gone and key != _key(neutral)}
        if not after:
            if not texts(entry.attributes, self._layout.name):
                return Remove(dn, assertion=entry.assertion)
            after = {_key(neutral): neutral}
        self.remember(group, dn, rdn, is_empty=_key(neutral) in after)
        found = []
        if missing := [value for key, value in after.items() if key not in now]:
            found.append(Edit(EditKind.ADD, self._layout.member, _raw(missing)))
        if over := [value for key, value in now.items() if key not in after]:
            found.append(Edit(EditKind.DELETE, self._layout.member, _raw(over)))
        return Modify(dn, found) if found else None

    def _stub(self, group: EntryId, dn: str, rdn: str, members: Iterable[str]) -> Add:
        written = {**self._renderer.stub(group, rdn), self._layout.member: sorted(members)}
        return Add(dn, raw(written))

    def named(self, group: EntryId, *, besides: bool) -> tuple[str, str]:
        """The DN of a group and the value of its name, or those that it has beside a group of another kind."""
        uai, kind, code = parts(group)
        rdn = f"{uai}${code}${self._layout.of(kind).besides}" if besides else f"{uai}${code}"
        return self._names.groups.entry(rdn), rdn


def _raw(values: Iterable[str]) -> list[bytes]:
    return [value.encode() for value in values]


def _key(dn: str) -> str:
    try:
        return normal(dn)
    except ValueError:
        return dn
