"""The layout file of an LDAP target: branches, names, object classes, and the LDAP attribute for each of ours.

A file and its checks, nothing else: what entries become by it stands in `render.py` and `parse.py`.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from ent_sync.config.document import Section, read, refusal, validate
from ent_sync.core.errors import BadConfigurationError
from ent_sync.core.relations import GroupKind

_ATTRIBUTE = r"^[A-Za-z][A-Za-z0-9-]*$"
_RDN = re.compile(r"(?:[A-Za-z][A-Za-z0-9-]*=[^,+=\"\\<>;]+)(?:,[A-Za-z][A-Za-z0-9-]*=[^,+=\"\\<>;]+)*")
_NEUTRAL_PARTS = frozenset({"id", "people"})

Attribute: TypeAlias = Annotated[str, Field(pattern=_ATTRIBUTE)]
"""The name of an LDAP attribute or object class."""


def _branch(value: str) -> str:
    if not _RDN.fullmatch(value):
        raise refusal("branch", "is not the name of a branch below the base, for example ou=people")
    return value


def _template_parts(template: str) -> list[str]:
    try:
        return [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]
    except ValueError:
        raise refusal("template", "is not a template: text with names in braces, for example {family_name}") from None


def _neutral(value: str) -> str:
    if not _NEUTRAL_PARTS.issuperset(_template_parts(value)):
        raise refusal("template", "may name {id} and {people} only: a neutral value tells nothing")
    return value


def _composed(value: str) -> str:
    if not all(re.fullmatch(r"[a-z][a-z0-9_]*", part) for part in _template_parts(value)):
        raise refusal("template", "may name attributes of ours in braces, for example {family_name}")
    return value


def _as_place(value: object) -> object:
    return {"attribute": value} if isinstance(value, str) else value


Branch: TypeAlias = Annotated[str, AfterValidator(_branch)]
Neutral: TypeAlias = dict[Attribute, Annotated[str, Field(min_length=1), AfterValidator(_neutral)]]
Classes: TypeAlias = tuple[Attribute, ...]


class Place(Section):
    """Where an attribute of ours stands; written alone, the name of the LDAP attribute is enough."""

    attribute: Attribute = Field(description="The LDAP attribute.")
    values: dict[str, str] = Field(default={}, description="What stands there for values of ours, where it differs.")

    @model_validator(mode="after")
    def _there_and_back(self) -> Place:
        if len(set(self.values.values())) < len(self.values):
            raise refusal("values", "two values of ours would be one in the directory, and could not be told apart")
        return self


AttributePlaces: TypeAlias = dict[str, Annotated[Place, BeforeValidator(_as_place)]]


class Branches(Section):
    """Where the kinds of entry lie, below the base."""

    people: Branch = Field(description="Accounts.")
    structures: Branch = Field(description="Structures.")
    groups: Branch = Field(description="Classes, teaching groups, and the staff of a school.")
    suspended: Branch = Field(description="Suspended accounts, where suspension moves them.")


class AccountClasses(Section):
    """The object classes of accounts: those of all, and those by which the kinds of people are told apart."""

    every: Classes = Field(min_length=1, description="Of all accounts, the structural chain from top.")
    pupil: Classes = Field(min_length=1, description="Of pupils.")
    guardian: Classes = Field(min_length=1, description="Of guardians.")
    teacher: Classes = Field(min_length=1, description="Of staff who teach or run the library.")
    staff: Classes = Field(min_length=1, description="Of other staff.")


class Relations(Section):
    """The LDAP attributes of relations."""

    school: Attribute = Field(description="DN of a pupil's first school.")
    functions: Attribute = Field(description="`structureDN$CODE$$$` of staff.")
    pupil_classes: Attribute = Field(description="`structureDN$code`; `structureDN$` of a further school.")
    pupil_groups: Attribute = Field(description="`structureDN$code`.")
    taught_classes: Attribute = Field(description="`structureDN$code`.")
    taught_groups: Attribute = Field(description="`structureDN$code`.")
    headed_classes: Attribute = Field(description="`structureDN$code` of a head teacher.")
    pupils: Attribute = Field(description="DNs of a guardian's pupils.")
    in_charge: Attribute = Field(description="DNs of those of them whom the guardian does not legally represent.")

    def names(self) -> tuple[str, ...]:
        """The attributes."""
        return tuple(getattr(self, name) for name in type(self).model_fields)


class AccountLayout(Section):
    """How an account is written."""

    rdn: Attribute = Field(default="uid", description="Holds the identifier and makes the name.")
    classes: AccountClasses = Field(description="Object classes.")
    source_key: Attribute = Field(description="Holds the join key, `AC-<ACADEMY>$<ID>`.")
    profile: Attribute | None = Field(default=None, description="Holds the national profile.")
    attributes: AttributePlaces = Field(description="Where each released attribute stands.")
    composed: dict[Attribute, tuple[Annotated[str, AfterValidator(_composed)], ...]] = Field(
        default={}, description="Attributes made of released ones: the first template of which all parts are there."
    )
    relations: Relations = Field(description="Where relations stand.")
    neutral: dict[Attribute, Neutral] = Field(
        default={}, description="By object class: what stands where it demands an attribute and nothing is released."
    )

    @model_validator(mode="after")
    def _each_attribute_once(self) -> AccountLayout:
        named = [self.rdn, self.source_key, *self.relations.names(), *self.composed]
        named += [place.attribute for place in self.attributes.values()] + ([self.profile] if self.profile else [])
        _refuse_twice(named)
        return self


class SuspensionLayout(Section):
    """What marks a suspended account."""

    move: bool = Field(default=True, description="Whether it lies in the branch `suspended`.")
    values: dict[Attribute, Annotated[str, Field(min_length=1)]] = Field(
        default={},
        description="Attributes and the value that each has while the account is suspended, and only then.",
    )

    @model_validator(mode="after")
    def _shows(self) -> SuspensionLayout:
        if not self.move and not self.values:
            raise refusal("suspension", "needs a move, or a value by which a suspended account can be told")
        return self


class StructureLayout(Section):
    """How a structure is written."""

    rdn: Attribute = Field(default="ou", description="Holds the UAI and makes the name.")
    classes: Classes = Field(min_length=1, description="Object classes.")
    source_key: Attribute = Field(description="Holds the join key.")
    name: Attribute = Field(description="Holds the name.")
    uai: Attribute | None = Field(default=None, description="Holds the UAI once more.")
    attributes: AttributePlaces = Field(default={}, description="Where each further attribute stands.")
    neutral: dict[Attribute, Neutral] = Field(default={}, description="As for accounts.")

    @model_validator(mode="after")
    def _each_attribute_once(self) -> StructureLayout:
        named = [self.rdn, self.source_key, self.name, *([self.uai] if self.uai else [])]
        _refuse_twice(named + [place.attribute for place in self.attributes.values()])
        return self


class GroupClasses(Section):
    """How groups of one kind are told from others."""

    classes: Classes = Field(min_length=1, description="Object classes; the last one is the kind's own.")
    besides: str = Field(pattern="^[a-z]+$", description="Ends the name where another kind has the same code.")


class GroupLayout(Section):
    """How a group is written."""

    rdn: Attribute = Field(default="cn", description="Holds `<UAI>$<code>` and makes the name.")
    of_class: GroupClasses = Field(alias="class", description="Classes.")
    of_teaching: GroupClasses = Field(alias="teaching", description="Teaching groups.")
    of_staff: GroupClasses = Field(alias="staff", description="The staff of a school.")
    name: Attribute = Field(default="description", description="Holds the name.")
    member: Attribute = Field(default="member", description="Holds the DNs of the members.")

    def of(self, kind: GroupKind) -> GroupClasses:
        """The classes of one kind."""
        return {
            GroupKind.CLASS: self.of_class,
            GroupKind.TEACHING: self.of_teaching,
            GroupKind.STAFF: self.of_staff,
        }[kind]

    @model_validator(mode="after")
    def _kinds_differ(self) -> GroupLayout:
        kinds = (self.of_class, self.of_teaching, self.of_staff)
        if len({each.classes[-1].lower() for each in kinds}) < 3 or len({each.besides for each in kinds}) < 3:
            raise refusal("group-kinds", "the three kinds of group need each a class and a `besides` of its own")
        return self


class Layout(Section):
    """A whole layout file."""

    branches: Branches = Field(description="Where entries lie.")
    accounts: AccountLayout = Field(description="Accounts.")
    suspension: SuspensionLayout = Field(default=SuspensionLayout(), description="What marks a suspended account.")
    structures: StructureLayout = Field(description="Structures.")
    groups: GroupLayout = Field(description="Groups.")

    @model_validator(mode="after")
    def _branches_differ(self) -> Layout:
        names = [name.lower() for name in self.branches.model_dump().values()]
        if len(set(names)) < len(names):
            raise refusal("branches", "two branches have one name")
        return self


def load(path: Path) -> Layout:
    """The layout that stands in a file.

    Raises:
        BadConfigurationError: with every problem of the file.
    """
    found = validate(read(path), Layout)
    if isinstance(found, Layout):
        return found
    raise BadConfigurationError(found)


def neutral_of(neutral: Mapping[str, Mapping[str, str]], classes: Classes) -> dict[str, str]:
    """The neutral values that entries of these classes may need, by attribute."""
    wanted = {name.lower() for name in classes}
    return {name: value for each, values in neutral.items() if each.lower() in wanted for name, value in values.items()}


def _refuse_twice(named: list[str]) -> None:
    lowered = [name.lower() for name in named]
    if len(set(lowered)) < len(lowered):
        raise refusal("twice", "an LDAP attribute stands here for two things")
