"""A first load as LDIF for slapadd: branches, structures and accounts as they come, groups at the end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from typing import NamedTuple

from ent_sync.core.entry import Account, EntryId, Group, Structure
from ent_sync.core.plan import Create
from ent_sync.targets.ldap.branches import Branches, attributes_of
from ent_sync.targets.ldap.listing import Listing
from ent_sync.targets.ldap.members import Members
from ent_sync.targets.ldap.names import Names, parts
from ent_sync.targets.ldap.render import Renderer, UnfitError, Written, raw
from ent_sync.wire.ldap.ldif import record

_LISTED_AT_ONCE = 2_000


class Writing(NamedTuple):
    """What writing needs; nothing of it asks the directory."""

    names: Names
    renderer: Renderer
    members: Members
    branches: Branches


def ldif(creates: Iterable[Create], writing: Writing, creator: str | None) -> Iterator[str]:
    """The entries as LDIF, piece by piece. `creator` is told as who made them: by it we know our own."""
    names, renderer = writing.names, writing.renderer
    for dn in writing.branches.needed():
        yield record(dn, attributes_of(dn))
    kept: dict[EntryId, Group] = {}
    with closing(Listing()) as listing:
        pairs: list[tuple[str, str]] = []
        for create in creates:
            match create.entry:
                case Structure() as structure:
                    yield _record(names.structures.entry(structure.id), renderer.structure(structure), creator)
                case Account() as account:
                    # one that has no place is not there when the target is read back, and told when it is pushed
                    with suppress(UnfitError):
                        yield _record(names.people.entry(account.id), renderer.account(account), creator)
                    pairs += [(account.id, membership.group) for membership in account.memberships]
                case Group() as group:
                    kept[group.id] = group
            if len(pairs) >= _LISTED_AT_ONCE:
                listing.add(pairs)
                pairs = []
        listing.add(pairs)
        listing.add(("", group_id) for group_id in kept)
        yield from _groups(listing, kept, writing, creator)


def _groups(listing: Listing, kept: dict[EntryId, Group], writing: Writing, creator: str | None) -> Iterator[str]:
    """The groups, each with its members; where two kinds share UAI and code, the second has its other name."""
    school, taken = "", set[str]()
    for group_id, accounts in listing.by_group():
        uai, _, code = parts(group_id)
        if uai != school:
            school, taken = uai, set()
        besides = code.casefold() in taken
        taken.add(code.casefold())
        dn, rdn = writing.members.named(group_id, besides=besides)
        group = kept.get(group_id)
        written = writing.renderer.group(group, rdn) if group else writing.renderer.stub(group_id, rdn)
        members = [writing.names.people.entry(EntryId(account)) for account in accounts if account]
        written[writing.members.attribute] = members or [writing.members.neutral(group_id)]
        yield _record(dn, written, creator)


def _record(dn: str, written: Written, creator: str | None) -> str:
    return record(dn, raw(written if creator is None else {**written, "creatorsName": [creator]}))
