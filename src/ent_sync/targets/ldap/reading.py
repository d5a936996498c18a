"""Reading back: all entries or some, memberships being what the person and the group both say.

A membership that the group does not list is not there, and a person whom a group lists is in it: so a difference on
either side shows as drift.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from ent_sync.core.entry import Account, EntryId, EntryKind
from ent_sync.core.relations import GroupKind
from ent_sync.ports import Held
from ent_sync.targets.ldap.accounts import Accounts
from ent_sync.targets.ldap.directory import Directory, There
from ent_sync.targets.ldap.listing import Listing
from ent_sync.targets.ldap.members import Members
from ent_sync.targets.ldap.names import Names
from ent_sync.targets.ldap.parse import Parser, Told, texts, with_memberships
from ent_sync.targets.ldap.places import Places
from ent_sync.targets.ldap.tasks import Ground
from ent_sync.wire.ldap.write import Read

_CHUNK = 500
_KEYED = re.compile(r"[0-9a-f]{32}")
_KINDS = frozenset(GroupKind)


@dataclass(frozen=True, slots=True)
class Reading:
    """Reads one directory. Entries that others made, and nobody took over, are not ours to tell of."""

    names: Names
    parser: Parser
    directory: Directory
    members: Members
    accounts: Accounts
    places: Places
    ground: Ground

    def all(self) -> Iterator[Held]:
        """Everything, page by page.

        Raises:
            UnavailableError: it cannot be read to the end.
        """
        with closing(Listing()) as listing:
            yield from self._structures()
            yield from self._groups(listing)
            listing.by_account()
            for branch, moved in ((self.names.people, False), (self.names.suspended, True)):
                for page in self.directory.pages(branch.dn, self.accounts.attributes):
                    found = [parsed for entry in page if (parsed := self._account(entry, moved=moved))]
                    groups = listing.groups_of([held.entry.id for held, _ in found])
                    for held, told in found:
                        yield _complete(held, told, groups.get(held.entry.id, ()))

    def some(self, ids: Collection[EntryId]) -> Iterator[Held]:
        """The entries with these identifiers.

        Raises:
            UnavailableError: nobody answers.
        """
        groups, others = list[EntryId](), list[EntryId]()
        for id_ in dict.fromkeys(ids):
            (groups if id_.count("$") >= 2 and id_.split("$", 2)[1] in _KINDS else others).append(id_)
        for start in range(0, len(groups), _CHUNK):
            yield from self._some_groups(groups[start : start + _CHUNK])
        for start in range(0, len(others), _CHUNK):
            chunk = others[start : start + _CHUNK]
            yield from self._some_structures([id_ for id_ in chunk if not _KEYED.fullmatch(id_)])
            yield from self._some_accounts(chunk)

    def _structures(self) -> Iterator[Held]:
        for page in self.directory.pages(self.names.structures.dn, self.places.structure_attributes):
            for entry in page:
                if (held := self._structure(entry)) is not None:
                    yield held

    def _groups(self, listing: Listing) -> Iterator[Held]:
        names = (*self.places.group_attributes, self.members.attribute)
        for page in self.directory.pages(self.names.groups.dn, names, 200):
            pairs: list[tuple[str, str]] = []
            for entry in page:
                if (id_ := self.names.group_named(entry.attributes)) is None:
                    continue
                listed = map(self.names.person, texts(entry.attributes, self.members.attribute))
                pairs += [(account, id_) for account in listed if account]
                if (held := self._group(entry)) is not None:
                    yield held
            listing.add(pairs)

    def _some_groups(self, ids: Sequence[EntryId]) -> Iterator[Held]:
        for _, _, entry in self.members.places(ids, self.places.group_attributes).values():
            if entry is not None and (held := self._group(entry)) is not None:
                yield held

    def _some_structures(self, ids: Sequence[EntryId]) -> Iterator[Held]:
        reads = [Read(self.names.structures.entry(id_), self.places.structure_attributes) for id_ in ids]
        for entry in self.directory.entries(reads) if reads else ():
            if entry is not None and (held := self._structure(entry)) is not None:
                yield held

    def _some_accounts(self, ids: Sequence[EntryId]) -> Iterator[Held]:
        found: list[tuple[Held, Told]] = []
        dns: list[str] = []
        for branch, moved in ((self.names.people, False), (self.names.suspended, True)):
            for entry in self.directory.entries([Read(branch.entry(id_), self.accounts.attributes) for id_ in ids]):
                if entry is not None and (parsed := self._account(entry, moved=moved)) is not None:
                    found.append(parsed)
                    dns.append(entry.dn)
        for (held, told), groups in zip(found, self.accounts.listed(dns), strict=True):
            yield _complete(held, told, groups)

    def _account(self, entry: There, *, moved: bool) -> tuple[Held, Told] | None:
        parsed = self.parser.account(entry.attributes, moved=moved)
        # an identifier of ours is a keyed digest: nobody else's entry has one
        if parsed is None or _KEYED.fullmatch(parsed[0].entry.id):
            return parsed
        return None if self.ground.is_foreign(EntryKind.ACCOUNT, entry.creator) else parsed

    def _structure(self, entry: There) -> Held | None:
        return (
            None
            if self.ground.is_foreign(EntryKind.STRUCTURE, entry.creator)
            else self.parser.structure(entry.attributes)
        )

    def _group(self, entry: There) -> Held | None:
        if self.ground.is_foreign(EntryKind.GROUP, entry.creator):
            return None
        return self.parser.group(entry.attributes)


def _complete(held: Held, told: Told, groups: Collection[EntryId]) -> Held:
    if not isinstance(held.entry, Account) or not groups:
        return held
    return Held(replace(held.entry, memberships=with_memberships(held.entry, told, groups)), held.lifecycle)
