"""The tape of one release: for each value its way from a line of a file to the account, or the rule that stopped it.

Explains what `core.release` decided and decides nothing itself, so that an explanation cannot differ from a run.
"""

from __future__ import annotations

import datetime as dt
from collections import abc
from dataclasses import dataclass

from ent_sync.core.decision import sources_of
from ent_sync.core.entry import Account
from ent_sync.core.errors import Problem, Where
from ent_sync.core.identity import Person
from ent_sync.core.mapping import (
    PROFILE,
    SOURCE_KEY,
    AttributeRule,
    Mapping,
    Note,
    PartRule,
    Withheld,
    compile_rule,
)
from ent_sync.core.profile import RegisterPopulation
from ent_sync.core.record import Origin, Record
from ent_sync.core.register import SourceClass, known_sources, source_class
from ent_sync.core.relations import GroupKind
from ent_sync.core.transforms import Values

SENTENCES: abc.Mapping[str, str] = {
    Withheld.DEFAULT_DENY: "the register does not name it for this purpose, so it stays here",
    Withheld.POPULATION: "the register names it for other people, not for this population",
    Withheld.RECIPIENT: "the target is not a recipient of the purpose it serves",
    Withheld.EXPIRED: "it is restricted, and no valid signature covers it",
    Withheld.SHAPE: "it looks like a national number",
    Withheld.REFUSED: "a transform of the mapping could not read what was delivered",
    Withheld.NO_RELEASING_LINK: "a link to a pupil gives no right to follow their schooling at the ENT",
    Withheld.UNKNOWN_STRUCTURE: "it names a structure that no source delivers",
}
UNREAD: abc.Mapping[SourceClass, str] = {
    SourceClass.ORDINARY: "no purpose of the register needs it: it is dropped while reading",
    SourceClass.RESTRICTED: "restricted, and nobody signed for it: it is dropped while reading",
    SourceClass.INSIDE: "may only be used inside, and nothing does: it is dropped while reading",
    SourceClass.NEVER: "may never leave: it is dropped while reading",
}


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ReleasedValue:
    """One released part of an account, with its provenance. `rule` is the line of the mapping that made it."""

    name: str
    values: Values
    attribute: str | None
    source: str
    origin: Origin
    transforms: tuple[str, ...]
    purpose: str
    rule: Where

    def __repr__(self) -> str:
        return f"<ReleasedValue {self.name}>"


@dataclass(frozen=True, slots=True)
class WithheldValue:
    """Something that is not in the account, the rule that says so and the same in plain words."""

    name: str
    rule: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Explanation:
    """All that can be said of one release. `unread` are attributes that feeds deliver and nothing here ever reads."""

    entry: Account | None
    reason: str | None
    population: tuple[RegisterPopulation, ...]
    released: tuple[ReleasedValue, ...]
    withheld: tuple[WithheldValue, ...]
    unread: tuple[WithheldValue, ...]
    problems: tuple[Problem, ...]
    valid_until: dt.date | None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Tape:
    """Walks back from a release to the records; `usable` gives the sources of a rule that may be used."""

    person: Person
    population: tuple[RegisterPopulation, ...]
    mapping: Mapping | None
    usable: abc.Callable[[AttributeRule], tuple[str, ...]]
    today: dt.date
    wanted: frozenset[str]

    def withheld(self, notes: tuple[Note, ...]) -> abc.Iterator[WithheldValue]:
        """What the release withheld, each once, in plain words."""
        for name, rule in dict.fromkeys(notes):
            yield WithheldValue(name, rule, SENTENCES[rule])

    def released(self, entry: Account | None) -> abc.Iterator[ReleasedValue]:
        """Each part and attribute of the account, with where it came from."""
        if entry is None or self.mapping is None:
            return
        for name, values in _parts(entry).items():
            if (part := self.mapping.parts.get(name)) and values:
                yield self._told(part, values, (), *self._part_origin(name))
        for name, values in entry.attributes.items():
            rule = self.mapping.attributes[name]
            yield self._told(rule, values, tuple(step.name for step in rule.steps), *self._origin(rule, values))

    @staticmethod
    def _told(
        rule: AttributeRule | PartRule,
        values: Values,
        transforms: tuple[str, ...],
        record: Record,
        attribute: str | None,
    ) -> ReleasedValue:
        return ReleasedValue(
            name=rule.name,
            values=values,
            attribute=attribute,
            source=record.source,
            origin=record.origin,
            transforms=transforms,
            purpose=rule.purpose,
            rule=rule.where,
        )

    def _origin(self, rule: AttributeRule, values: Values) -> tuple[Record, str | None]:
        """The first record and attribute that give these values: the rule is run again on each alone."""
        for record in self.person.records:
            for source in self.usable(rule):
                evaluate = compile_rule(rule, (source,), self.today, shapes=False)
                if set(values) <= set(evaluate((record,), [])):
                    return record, source
        return self.person.records[0], None

    def _part_origin(self, part: str) -> tuple[Record, str | None]:
        names = sources_of(self.person.population, part)
        for record in self.person.records:
            for name in names:
                if name in record.values:
                    return record, name
        return self.person.records[0], "ENTPersonJointure" if part in {"account", SOURCE_KEY} else None

    def unread(self) -> abc.Iterator[WithheldValue]:
        """The attributes that feeds are known to deliver of such people, and that nothing here ever reads."""
        for name in known_sources(self.person.population):
            kinds = {source_class(name, each) for each in self.population}
            kinds.discard(SourceClass.ABSENT)
            if name not in self.wanted and kinds and name != "ENTPersonJointure":
                kind = max(kinds, key=list(SourceClass).index)
                yield WithheldValue(name, kind, UNREAD[kind])


def _parts(entry: Account) -> dict[str, Values]:
    """The parts of an account that no transform made, in words."""
    places = {
        kind: tuple(f"{each.group} {each.role}" for each in entry.memberships if each.group.split("$")[1] == kind)
        for kind in GroupKind
    }
    return {
        "account": (entry.id,),
        SOURCE_KEY: (entry.source_key,),
        PROFILE: (entry.profile,) if entry.profile else (),
        "affiliations": tuple(each.uai for each in entry.affiliations),
        "functions": tuple(f"{each.uai} {each.function}" for each in entry.affiliations if each.function),
        "classes": places[GroupKind.CLASS],
        "groups": places[GroupKind.TEACHING],
        "staff_group": places[GroupKind.STAFF],
        "guardianships": tuple(
            f"{each.pupil} {'legal' if each.legal else 'in-charge'}" for each in entry.guardianships
        ),
    }
