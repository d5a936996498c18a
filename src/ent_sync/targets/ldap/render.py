"""What an entry becomes in the directory: object classes, attributes, and what stands in the place of what it lacks.

Pure. Whatever cannot be written so that it reads back as it was is refused here, not changed in silence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias, assert_never

from ent_sync.core.entry import Account, Entry, EntryId, Group, Membership, Structure
from ent_sync.core.record import Key, Population
from ent_sync.core.relations import GroupKind, Role
from ent_sync.targets.ldap.layout import AttributePlaces, Layout, neutral_of
from ent_sync.targets.ldap.names import Names, parts, to_jointure

OBJECT_CLASS = "objectClass"
_TEACHING_PROFILES = frozenset({"National_ENS", "National_DOC"})
_TEACHING_ROLES = frozenset({Role.TEACHER, Role.HEAD_TEACHER})

Written: TypeAlias = dict[str, list[str]]
"""The attributes of an entry, by name, with their values in order."""


class UnfitError(Exception):
    """An entry cannot be written in this layout; `rule` names why, the text says it without a value."""

    def __init__(self, rule: str, sentence: str) -> None:
        super().__init__(sentence)
        self.rule = rule


class Renderer:
    """Writes entries in one layout."""

    def __init__(self, layout: Layout, names: Names) -> None:
        self._names = names
        self._accounts = layout.accounts
        self._structures = layout.structures
        self._groups = layout.groups
        self._suspension = layout.suspension
        self._relations = layout.accounts.relations
        self._own_side = own_side(layout)
        classes = layout.accounts.classes
        self._classes = {
            (Population.PUPIL, False): _chain(classes.every, classes.pupil),
            (Population.GUARDIAN, False): _chain(classes.every, classes.guardian),
            (Population.STAFF, False): _chain(classes.every, classes.staff),
            (Population.STAFF, True): _chain(classes.every, classes.teacher),
        }
        self._neutral: dict[tuple[str, ...], dict[str, str]] = {}

    def account(self, account: Account, *, suspended: bool = False) -> Written:
        """An account's attributes; of a suspended one it holds what is kept.

        Raises:
            UnfitError: the layout has no place for something that it holds.
        """
        layout = self._accounts
        written: Written = {
            OBJECT_CLASS: [*self._account_classes(account)],
            layout.rdn: [account.id],
            layout.source_key: [to_jointure(account.source_key)],
        }
        if layout.profile and account.profile is not None:
            written[layout.profile] = [account.profile]
        _place(written, layout.attributes, account.attributes)
        self._relate(written, account)
        for name, templates in layout.composed.items():
            if made := _composed(templates, account.attributes):
                written[name] = [made]
        if suspended:
            written |= {name: [value] for name, value in self._suspension.values.items()}
        for name, value in self._account_neutral(written, account.id).items():
            written[name] = [value]
        return written

    def nobody(self, id_: EntryId) -> Written:
        """An account of which nothing is known but its identifier: all else is neutral."""
        layout = self._accounts
        classes = self._classes[Population.STAFF, False]
        known: Written = {OBJECT_CLASS: [*classes], layout.rdn: [id_], layout.source_key: [to_jointure(Key(id_))]}
        return known | {name: [value] for name, value in self._account_neutral(known, id_).items()}

    def structure(self, structure: Structure) -> Written:
        """A structure's attributes."""
        layout = self._structures
        written: Written = {
            OBJECT_CLASS: [*layout.classes],
            layout.rdn: [structure.id],
            layout.source_key: [to_jointure(structure.source_key)],
            layout.name: [structure.name],
        }
        if layout.uai:
            written[layout.uai] = [structure.id]
        _place(written, layout.attributes, structure.attributes)
        for name, value in neutral_of(layout.neutral, layout.classes).items():
            written.setdefault(name, [_filled(value, structure.id, self._names)])
        return written

    def group(self, group: Group, rdn: str) -> Written:
        """A group's attributes but its members; `rdn` is the value that its name has."""
        if not group.code or "$" in group.code or "$" in group.uai or not group.name:
            raise UnfitError("unfit-group", "has a code or a name that no entry of this directory can have")
        return {**self.stub(group.id, rdn), self._groups.name: [group.name]}

    def stub(self, group: EntryId, rdn: str) -> Written:
        """A group of which only members are known yet: without a name, it is none to whoever reads us."""
        classes = self._groups.of(parts(group)[1]).classes
        return {OBJECT_CLASS: [*classes], self._groups.rdn: [rdn]}

    def neutral(self, entry: Entry) -> Mapping[str, str]:
        """The neutral values that stand in an entry, by attribute."""
        match entry:
            case Account():
                written = self.account(entry)
                candidates = neutral_of(self._accounts.neutral, tuple(written[OBJECT_CLASS]))
            case Structure():
                written = self.structure(entry)
                candidates = neutral_of(self._structures.neutral, self._structures.classes)
            case Group():
                return {}
            case _:
                assert_never(entry)
        filled = {name: _filled(value, entry.id, self._names) for name, value in candidates.items()}
        return {name: value for name, value in filled.items() if written.get(name) == [value]}

    def _account_classes(self, account: Account) -> tuple[str, ...]:
        teaches = account.population is Population.STAFF and (
            account.profile in _TEACHING_PROFILES or any(each.role in _TEACHING_ROLES for each in account.memberships)
        )
        classes = self._classes[account.population, teaches]
        if account.guardianships and account.population is not Population.GUARDIAN:
            return _chain(classes, self._accounts.classes.guardian)
        return classes

    def _account_neutral(self, written: Written, id_: EntryId) -> dict[str, str]:
        classes = tuple(written[OBJECT_CLASS])
        if (found := self._neutral.get(classes)) is None:
            found = self._neutral[classes] = neutral_of(self._accounts.neutral, classes)
        return {name: _filled(value, id_, self._names) for name, value in found.items() if name not in written}

    def _relate(self, written: Written, account: Account) -> None:
        relations, names = self._relations, self._names
        schools: list[str] = []
        for affiliation in account.affiliations:
            structure = names.structures.entry(affiliation.uai)
            if affiliation.function is not None and not affiliation.function:
                raise UnfitError("unfit-function", "has a function without a code, which cannot be told from none")
            if affiliation.function is not None or account.population is not Population.PUPIL:
                _add(written, relations.functions, f"{structure}${affiliation.function or ''}$$$")
            else:
                schools.append(structure)
        if schools:
            _add(written, relations.school, schools[0])
        for structure in schools[1:]:
            _add(written, relations.pupil_classes, f"{structure}$")
        for membership in account.memberships:
            if (attribute := self._place_of(account.population, membership)) is not None:
                uai, _, code = parts(membership.group)
                _add(written, attribute, f"{names.structures.entry(uai)}${code}")
        for guardianship in account.guardianships:
            pupil = names.people.entry(guardianship.pupil)
            _add(written, relations.pupils, pupil)
            if not guardianship.legal:
                _add(written, relations.in_charge, pupil)

    def _place_of(self, population: Population, membership: Membership) -> str | None:
        """The attribute of the person that holds a membership; None where the group's own list says it all.

        Raises:
            UnfitError: nobody of this population is that in such a group.
        """
        uai, kind, code = parts(membership.group)
        if not uai or not code or "$" in code:
            raise UnfitError("unfit-group", "is in a group whose code no entry of this directory can have")
        if (attribute := self._own_side.get((population, kind, membership.role))) is not None:
            return attribute
        if membership.role is usual_role(population, None):
            return None
        raise UnfitError("unfit-role", "has a role in a group that the layout has no place for")


def raw(written: Written) -> dict[str, list[bytes]]:
    """The attributes as they are sent."""
    return {name: [value.encode() for value in values] for name, values in written.items()}


def own_side(layout: Layout) -> dict[tuple[Population, GroupKind, Role], str]:
    """The attribute of a person that holds memberships of a kind and role."""
    relations = layout.accounts.relations
    return {
        (Population.PUPIL, GroupKind.CLASS, Role.PUPIL): relations.pupil_classes,
        (Population.PUPIL, GroupKind.TEACHING, Role.PUPIL): relations.pupil_groups,
        (Population.STAFF, GroupKind.CLASS, Role.TEACHER): relations.taught_classes,
        (Population.STAFF, GroupKind.TEACHING, Role.TEACHER): relations.taught_groups,
        (Population.STAFF, GroupKind.CLASS, Role.HEAD_TEACHER): relations.headed_classes,
    }


def usual_role(population: Population, told: Role | None) -> Role:
    """What someone whom a group lists is in it: what their own entry tells, else what people of their kind are."""
    return told or (Role.PUPIL if population is Population.PUPIL else Role.STAFF)


def _chain(*classes: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for each in classes for name in each))


def _place(written: Written, places: AttributePlaces, attributes: Mapping[str, tuple[str, ...]]) -> None:
    for name, values in attributes.items():
        if (place := places.get(name)) is not None and values:
            known = place.values
            written[place.attribute] = [known.get(value, value) for value in values] if known else list(values)


def _composed(templates: tuple[str, ...], attributes: Mapping[str, tuple[str, ...]]) -> str | None:
    firsts = {name: values[0] for name, values in attributes.items() if values}
    for template in templates:
        try:
            return template.format_map(firsts)
        except KeyError:
            continue
    return None


def _add(written: Written, attribute: str, value: str) -> None:
    """A value more; a relation counts once, and to a directory `6a` is `6A`."""
    values = written.setdefault(attribute, [])
    if not values or _folded(value) not in map(_folded, values):
        values.append(value)


def _folded(value: str) -> str:
    return " ".join(value.casefold().split())


def _filled(value: str, id_: EntryId, names: Names) -> str:
    return value.format(id=id_, people=names.people.dn) if "{" in value else value
