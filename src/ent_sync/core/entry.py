"""What is kept at a target: accounts of people, structures of schools, groups.

An entry holds released values only; `core.release` is where accounts come from. Every part of an entry has a name, so
that differences, fingerprints and provenance can speak of parts alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NewType, TypeAlias

from ent_sync.core.record import Key, Population
from ent_sync.core.relations import GroupKind, Role

EntryId = NewType("EntryId", str)
"""Stable identifier at a target: a keyed digest for accounts, the UAI of a structure, `UAI$kind$code` of a group."""


class EntryKind(StrEnum):
    """The three kinds of entry, in the order in which they depend on each other."""

    STRUCTURE = "structure"
    GROUP = "group"
    ACCOUNT = "account"


class Lifecycle(StrEnum):
    """Where an account stands; a deleted one is a tombstone, not a lifecycle."""

    ACTIVE = "active"
    SUSPENDED = "suspended"


# What a suspended account keeps beside its identifier, join key and population (contract, rule 9).
KEPT_WHEN_SUSPENDED = ("family_name", "given_name")


@dataclass(frozen=True, slots=True, order=True)
class Affiliation:
    """An account's school; `function` is the AAF code of staff, None for pupils."""

    uai: str
    function: str | None = None


@dataclass(frozen=True, slots=True, order=True)
class Membership:
    """An account's place in a group; `label` is the group's name as the person's record gives it (1D only)."""

    group: EntryId
    role: Role
    label: str | None = None


@dataclass(frozen=True, slots=True, order=True)
class Guardianship:
    """A guardian's releasing link to the account of a pupil; `legal` is False for a person in charge."""

    pupil: EntryId
    legal: bool


@dataclass(frozen=True, slots=True, repr=False, kw_only=True)
class Account:
    """The account of one person: what may be known of them at one target.

    `attributes` maps our attribute names to released values, in the order of the source; relations are sorted.
    """

    id: EntryId
    population: Population
    source_key: Key
    profile: str | None
    attributes: Mapping[str, tuple[str, ...]]
    affiliations: tuple[Affiliation, ...] = ()
    memberships: tuple[Membership, ...] = ()
    guardianships: tuple[Guardianship, ...] = ()

    @property
    def kind(self) -> EntryKind:
        """Always an account."""
        return EntryKind.ACCOUNT

    def __repr__(self) -> str:
        return f"<Account {self.population} {self.id}>"

    def parts(self) -> Iterator[tuple[str, object]]:
        """Each part's name and its value made of plain lists and strings, in one order for equal accounts."""
        yield "source_key", self.source_key
        yield "profile", self.profile
        for name in sorted(self.attributes):
            yield name, list(self.attributes[name])
        yield "affiliations", [[each.uai, each.function] for each in self.affiliations]
        yield "memberships", [[each.group, each.role.value] for each in self.memberships]
        yield "guardianships", [[each.pupil, each.legal] for each in self.guardianships]


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """A school, or another structure that a source delivers; identified by its UAI (aaf.md §10)."""

    id: EntryId
    source_key: Key
    name: str
    attributes: Mapping[str, tuple[str, ...]]

    @property
    def kind(self) -> EntryKind:
        """Always a structure."""
        return EntryKind.STRUCTURE

    def parts(self) -> Iterator[tuple[str, object]]:
        """Each part's name and plain value."""
        yield "source_key", self.source_key
        yield "name", self.name
        for name in sorted(self.attributes):
            yield name, list(self.attributes[name])


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A class, a teaching group, or the staff of a school; `code` is unique within school and kind (aaf.md §9)."""

    id: EntryId
    uai: str
    group_kind: GroupKind
    code: str
    name: str

    @property
    def kind(self) -> EntryKind:
        """Always a group."""
        return EntryKind.GROUP

    def parts(self) -> Iterator[tuple[str, object]]:
        """Each part's name and plain value."""
        yield "uai", self.uai
        yield "kind", self.group_kind.value
        yield "code", self.code
        yield "name", self.name


Entry: TypeAlias = Account | Structure | Group


def group_id(uai: str, kind: GroupKind, code: str) -> EntryId:
    """The identifier of a group; a class and a teaching group of one school may share a code (aaf.md §9)."""
    return EntryId(f"{uai}${kind}${code}")


STAFF_GROUP_CODE = "staff"


def flatten(entry: Entry) -> list[object]:
    """An entry as nested lists of strings, for sealing; `unflatten` gives it back."""
    attributes = None if isinstance(entry, Group) else {name: list(values) for name, values in entry.attributes.items()}
    match entry:
        case Account():
            return [
                "account",
                entry.id,
                entry.population.value,
                entry.source_key,
                entry.profile,
                attributes,
                [[each.uai, each.function] for each in entry.affiliations],
                [[each.group, each.role.value, each.label] for each in entry.memberships],
                [[each.pupil, each.legal] for each in entry.guardianships],
            ]
        case Structure():
            return ["structure", entry.id, entry.source_key, entry.name, attributes]
        case Group():
            return ["group", entry.id, entry.uai, entry.group_kind.value, entry.code, entry.name]


def unflatten(flat: Sequence[object]) -> Entry:
    """The entry that `flatten` was given."""
    match flat:
        case [
            "account",
            str(id_),
            str(population),
            str(key),
            profile,
            dict(attributes),
            list(aff),
            list(mem),
            list(gua),
        ]:
            return Account(
                id=EntryId(id_),
                population=Population(population),
                source_key=Key(key),
                profile=profile if isinstance(profile, str) else None,
                attributes={name: tuple(values) for name, values in attributes.items()},
                affiliations=tuple(Affiliation(uai, function) for uai, function in _rows(aff)),
                memberships=tuple(Membership(EntryId(group), Role(role), label) for group, role, label in _rows(mem)),
                guardianships=tuple(Guardianship(EntryId(pupil), legal) for pupil, legal in _rows(gua)),
            )
        case ["structure", str(id_), str(key), str(name), dict(attributes)]:
            return Structure(
                id=EntryId(id_),
                source_key=Key(key),
                name=name,
                attributes={each: tuple(values) for each, values in attributes.items()},
            )
        case ["group", str(id_), str(uai), str(kind), str(code), str(name)]:
            return Group(id=EntryId(id_), uai=uai, group_kind=GroupKind(kind), code=code, name=name)
        case _:
            raise ValueError("not a flattened entry")


def _rows(value: object) -> list[list[Any]]:
    """The nested lists of one relation; what they hold was written by `flatten`."""
    if not isinstance(value, list):
        raise TypeError("not a flattened relation")
    return value
