"""The least that must be changed to make an entry what it should be, and which attributes are ours to change at all.

Pure. An attribute that the layout does not name is never touched, whatever it holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ent_sync.targets.ldap.layout import AccountLayout, Layout, StructureLayout
from ent_sync.targets.ldap.names import Names
from ent_sync.targets.ldap.parse import Found
from ent_sync.targets.ldap.render import OBJECT_CLASS, Written
from ent_sync.wire.ldap.dn import normal
from ent_sync.wire.ldap.write import Edit, EditKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """What of an entry is ours: its attributes but the one of its name, and the object classes that may come and go.

    `sets` are those whose values have no order, and are added and deleted one by one; in `dns` they are DNs, of which
    `is_reference` tells those that ent-sync writes: others stay.
    """

    attributes: tuple[str, ...]
    classes: frozenset[str]
    sets: frozenset[str]
    dns: frozenset[str]
    is_reference: Callable[[str], bool] = bool


def owned_of_accounts(layout: Layout, names: Names) -> Owned:
    """What of an account's entry is ours."""
    accounts = layout.accounts
    relations = accounts.relations
    written = [accounts.source_key, *([accounts.profile] if accounts.profile else []), *accounts.composed]
    written += [place.attribute for place in accounts.attributes.values()]
    written += [*relations.names(), *layout.suspension.values, *_neutral_names(accounts)]
    people = normal(names.people.dn)

    def is_reference(dn: str) -> bool:
        return bool(names.person(dn) or names.structure(dn)) or normal(dn) == people

    classes = accounts.classes
    return Owned(
        attributes=_once(written, accounts.rdn),
        classes=frozenset(
            name.lower() for name in (*classes.pupil, *classes.guardian, *classes.teacher, *classes.staff)
        ),
        sets=frozenset(map(str.lower, relations.names())),
        dns=frozenset(map(str.lower, (relations.school, relations.pupils, relations.in_charge))),
        is_reference=is_reference,
    )


def owned_of_structures(layout: Layout) -> Owned:
    """What of a structure's entry is ours."""
    structures = layout.structures
    names = [structures.source_key, structures.name, *([structures.uai] if structures.uai else [])]
    names += [place.attribute for place in structures.attributes.values()]
    names += _neutral_names(structures)
    return Owned(attributes=_once(names, structures.rdn), classes=frozenset(), sets=frozenset(), dns=frozenset())


def owned_of_groups(layout: Layout) -> Owned:
    """What of a group's entry is ours, but its members."""
    return Owned(attributes=(layout.groups.name,), classes=frozenset(), sets=frozenset(), dns=frozenset())


def edits(owned: Owned, now: Found, wanted: Written, *, keep_classes: bool = False) -> list[Edit]:
    """The edits that lead from `now` to `wanted`; none where all is as it should be."""
    found = _class_edits(owned, now, wanted[OBJECT_CLASS], keep_classes=keep_classes)
    for name in owned.attributes:
        lowered = name.lower()
        before = now.get(lowered, [])
        if lowered in owned.dns:
            before = [raw for raw in before if owned.is_reference(raw.decode("utf-8", "replace"))]
        after = [value.encode() for value in wanted.get(name, ())]
        if before == after:
            continue
        if not after:
            found.append(Edit(EditKind.DELETE, name, before if lowered in owned.dns else ()))
        elif not before:
            found.append(Edit(EditKind.ADD, name, after))
        elif lowered in owned.sets:
            found += _set_edits(name, before, after, are_dns=lowered in owned.dns)
        else:
            found.append(Edit(EditKind.REPLACE, name, after))
    return found


def _class_edits(owned: Owned, now: Found, wanted: Sequence[str], *, keep_classes: bool) -> list[Edit]:
    before = {raw.decode("ascii", "replace").lower(): raw for raw in now.get("objectclass", ())}
    needed = {name.lower() for name in wanted}
    found = []
    if missing := [name.encode() for name in wanted if name.lower() not in before]:
        found.append(Edit(EditKind.ADD, OBJECT_CLASS, missing))
    over = [raw for name, raw in before.items() if name in owned.classes and name not in needed]
    if over and not keep_classes:
        found.append(Edit(EditKind.DELETE, OBJECT_CLASS, over))
    return found


def _set_edits(name: str, before: Sequence[bytes], after: Sequence[bytes], *, are_dns: bool) -> list[Edit]:
    had, needed = _keyed(before, are_dns=are_dns), _keyed(after, are_dns=are_dns)
    found = []
    # what goes first: to a directory `6a` is `6A`, and both cannot be there at once
    if over := [raw for key, raw in had.items() if key not in needed]:
        found.append(Edit(EditKind.DELETE, name, over))
    if missing := [raw for key, raw in needed.items() if key not in had]:
        found.append(Edit(EditKind.ADD, name, missing))
    return found


def _keyed(raws: Iterable[bytes], *, are_dns: bool) -> dict[str | bytes, bytes]:
    if not are_dns:
        return {raw: raw for raw in raws}
    keyed: dict[str | bytes, bytes] = {}
    for raw in raws:
        try:
            keyed[normal(raw.decode())] = raw
        except ValueError:
            keyed[raw] = raw
    return keyed


def _neutral_names(section: AccountLayout | StructureLayout) -> list[str]:
    neutral: Mapping[str, Mapping[str, str]] = section.neutral
    return [name for values in neutral.values() for name in values]


def _once(names: Iterable[str], rdn: str) -> tuple[str, ...]:
    return tuple({name.lower(): name for name in names if name.lower() != rdn.lower()}.values())
