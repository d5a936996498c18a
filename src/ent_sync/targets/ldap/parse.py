"""What an entry of the directory says, in our terms: the way back of `render.py`.

Pure. What ent-sync would not have written is left out: foreign classes, attributes and values are others' business.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TypeAlias

from ent_sync.core.entry import (
    Account,
    Affiliation,
    EntryId,
    Group,
    Guardianship,
    Lifecycle,
    Membership,
    Structure,
)
from ent_sync.core.record import Key, Population
from ent_sync.core.relations import Role
from ent_sync.ports import Held
from ent_sync.targets.ldap.layout import AttributePlaces, Layout, neutral_of
from ent_sync.targets.ldap.names import Names, from_jointure, parts
from ent_sync.targets.ldap.render import own_side, usual_role

Found: TypeAlias = Mapping[str, list[bytes]]
"""The attributes of an entry as a server gave them, by name in lower case."""

Told: TypeAlias = Mapping[EntryId, Role]
"""The groups that a person's own entry names, with the strongest role."""

_STRENGTH = {role: strength for strength, role in enumerate(Role)}


class Parser:
    """Reads entries in one layout."""

    def __init__(self, layout: Layout, names: Names) -> None:
        self._names = names
        self._accounts = layout.accounts
        self._structures = layout.structures
        self._groups = layout.groups
        self._suspension = layout.suspension
        classes = layout.accounts.classes
        self._telling = (
            (frozenset(map(str.lower, classes.pupil)), Population.PUPIL),
            (frozenset(map(str.lower, classes.teacher)), Population.STAFF),
            (frozenset(map(str.lower, classes.staff)), Population.STAFF),
            (frozenset(map(str.lower, classes.guardian)), Population.GUARDIAN),
        )
        self._own_side: dict[Population, list[tuple[str, str, Role]]] = {}
        for (population, kind, role), attribute in own_side(layout).items():
            self._own_side.setdefault(population, []).append((attribute.lower(), kind, role))
        self._account_places = _reversed(layout.accounts.attributes)
        self._structure_places = _reversed(layout.structures.attributes)
        every = (*classes.every, *classes.pupil, *classes.guardian, *classes.teacher, *classes.staff)
        self._account_neutral = _lowered(neutral_of(layout.accounts.neutral, every))
        self._structure_neutral = _lowered(neutral_of(layout.structures.neutral, layout.structures.classes))

    def account(self, found: Found, *, moved: bool) -> tuple[Held, Told] | None:
        """The account of an entry, without its memberships, and those that it claims; None if it is no account.

        `moved` says that it lies in the branch of the suspended.
        """
        id_ = EntryId(_first(found, self._accounts.rdn))
        key = self.source_key(found, self._accounts.source_key)
        population = self._population(found)
        if not id_ or key is None or population is None:
            return None
        profile = _first(found, self._accounts.profile) if self._accounts.profile else ""
        relations = self._accounts.relations
        values = self._attributes(found, self._account_places, self._account_neutral, id_)
        account = Account(
            id=id_,
            population=population,
            source_key=key,
            profile=profile or None,
            attributes=values,
            affiliations=self._affiliations(found, population),
            guardianships=self._guardianships(found, relations.pupils, relations.in_charge),
        )
        state = Lifecycle.SUSPENDED if self._is_suspended(found, moved=moved) else Lifecycle.ACTIVE
        return Held(account, state), self._told(found, population)

    def structure(self, found: Found) -> Held | None:
        """The structure of an entry; None if it is none."""
        id_ = EntryId(_first(found, self._structures.rdn))
        key = self.source_key(found, self._structures.source_key)
        name = _first(found, self._structures.name)
        if not id_ or key is None or not name:
            return None
        attributes = self._attributes(found, self._structure_places, self._structure_neutral, id_)
        return Held(Structure(id=id_, source_key=key, name=name, attributes=attributes), Lifecycle.ACTIVE)

    def group(self, found: Found) -> Held | None:
        """The group of an entry; None if it is none, or has no name yet (`render.stub`)."""
        id_ = self._names.group_named(found)
        name = _first(found, self._groups.name)
        if id_ is None or not name:
            return None
        uai, kind, code = parts(id_)
        return Held(Group(id=id_, uai=uai, group_kind=kind, code=code, name=name), Lifecycle.ACTIVE)

    def source_key(self, found: Found, attribute: str) -> Key | None:
        """The join key of an entry: the first that is written as one."""
        for raw in found.get(attribute.lower(), ()):
            if key := from_jointure(raw.decode("utf-8", "replace")):
                return key
        return None

    def _population(self, found: Found) -> Population | None:
        classes = {raw.decode("ascii", "replace").lower() for raw in found.get("objectclass", ())}
        return next((population for telling, population in self._telling if telling <= classes), None)

    def _is_suspended(self, found: Found, *, moved: bool) -> bool:
        if self._suspension.move:
            return moved
        return all(
            value.casefold() in (each.casefold() for each in texts(found, name))
            for name, value in self._suspension.values.items()
        )

    def _attributes(
        self, found: Found, places: Mapping[str, tuple[str, Mapping[str, str]]], neutral: Mapping[str, str], id_: str
    ) -> dict[str, tuple[str, ...]]:
        attributes: dict[str, tuple[str, ...]] = {}
        for attribute, (name, meanings) in places.items():
            if not (raws := found.get(attribute)):
                continue
            values = [raw.decode("utf-8", "replace") for raw in raws]
            if len(values) == 1 and values[0] == self._filled(neutral.get(attribute), id_):
                continue
            attributes[name] = tuple(meanings.get(value, value) for value in values) if meanings else tuple(values)
        return attributes

    def _filled(self, value: str | None, id_: str) -> str | None:
        return value if value is None or "{" not in value else value.format(id=id_, people=self._names.people.dn)

    def _affiliations(self, found: Found, population: Population) -> tuple[Affiliation, ...]:
        relations, names = self._accounts.relations, self._names
        affiliations: set[Affiliation] = set()
        for value in texts(found, relations.functions):
            if place := names.at_structure(value):
                affiliations.add(Affiliation(place[0], place[1].removesuffix("$$$") or None))
        if population is Population.PUPIL:
            for dn in texts(found, relations.school):
                if uai := names.structure(dn):
                    affiliations.add(Affiliation(uai))
            for value in texts(found, relations.pupil_classes):
                if (place := names.at_structure(value)) and not place[1]:
                    affiliations.add(Affiliation(place[0]))
        return tuple(sorted(affiliations, key=_by_school)) if len(affiliations) > 1 else tuple(affiliations)

    def _guardianships(self, found: Found, pupils: str, in_charge: str) -> tuple[Guardianship, ...]:
        others = {pupil for dn in texts(found, in_charge) if (pupil := self._names.person(dn))}
        guarded = {pupil for dn in texts(found, pupils) if (pupil := self._names.person(dn))}
        return tuple(Guardianship(pupil, pupil not in others) for pupil in sorted(guarded))

    def _told(self, found: Found, population: Population) -> dict[EntryId, Role]:
        told: dict[EntryId, Role] = {}
        for attribute, kind, role in self._own_side.get(population, ()):
            for value in texts(found, attribute):
                if (place := self._names.at_structure(value)) and place[1]:
                    group = EntryId(f"{place[0]}${kind}${place[1]}")
                    told[group] = max(told.get(group, role), role, key=_STRENGTH.__getitem__)
        return told


def with_memberships(account: Account, told: Told, listed: Collection[EntryId]) -> tuple[Membership, ...]:
    """The memberships of an account: the groups that list it, in the role that its own entry tells."""
    population = account.population
    return tuple(Membership(group, usual_role(population, told.get(group))) for group in sorted(listed))


def texts(found: Found, attribute: str) -> Iterable[str]:
    """The values of an attribute as text."""
    return [raw.decode("utf-8", "replace") for raw in found.get(attribute.lower(), ())]


def _first(found: Found, attribute: str) -> str:
    raws = found.get(attribute.lower())
    return raws[0].decode("utf-8", "replace") if raws else ""


def _by_school(affiliation: Affiliation) -> tuple[str, str]:
    return affiliation.uai, affiliation.function or ""


def _reversed(places: AttributePlaces) -> dict[str, tuple[str, dict[str, str]]]:
    return {
        place.attribute.lower(): (name, {there: ours for ours, there in place.values.items()})
        for name, place in places.items()
    }


def _lowered(neutral: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in neutral.items()}
