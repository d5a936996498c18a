"""Mappings as values, and each of their rules compiled to one function.

A mapping says, for the people of one population at one kind of target, of which source attributes an attribute is made,
by which transforms and for which purpose. It computes and never permits: what may leave is `core.release`'s business.
"""

from __future__ import annotations

import datetime as dt
import re
from collections import abc
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from ent_sync.core.errors import Where
from ent_sync.core.profile import RegisterPopulation
from ent_sync.core.record import Population, Record
from ent_sync.core.register import SourceClass, source_class
from ent_sync.core.transforms import Many, One, Step, Values, run


class OnRefusal(StrEnum):
    """What a refused value does: it alone is left out, or the whole record is set aside."""

    DROP = "drop"
    QUARANTINE = "quarantine"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributeRule:
    """How one attribute is made: the first source attribute with a usable value, in the order of the records."""

    name: str
    sources: tuple[str, ...]
    steps: tuple[Step, ...]
    purpose: str
    required: bool = False
    on_refusal: OnRefusal = OnRefusal.DROP
    multiple: bool = False
    where: Where


@dataclass(frozen=True, slots=True)
class PartRule:
    """A part of an account that code makes, not transforms: its relations, profile, keys."""

    name: str
    purpose: str
    where: Where


@dataclass(frozen=True, slots=True)
class InsideRule:
    """Source attributes that are read for use inside, and never become part of an entry."""

    name: str
    sources: tuple[str, ...]
    purpose: str
    where: Where


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """One mapping file. `parts` are the relations, and `account`, `source_key`, `profile`."""

    profile: str
    population: Population
    attributes: abc.Mapping[str, AttributeRule]
    parts: abc.Mapping[str, PartRule] = field(default_factory=dict)
    inside: abc.Mapping[str, InsideRule] = field(default_factory=dict)
    where: Where


ACCOUNT, SOURCE_KEY, PROFILE = "account", "source_key", "profile"

PARTS: abc.Mapping[Population, frozenset[str]] = {
    Population.PUPIL: frozenset({"affiliations", "classes", "groups", "guardians"}),
    Population.GUARDIAN: frozenset({"guardianships"}),
    Population.STAFF: frozenset({"affiliations", "functions", "classes", "groups", "staff_group"}),
    Population.SCHOOL: frozenset({"classes", "groups"}),
}
"""The relations that a mapping of a population may name."""

RESERVED = frozenset().union(*PARTS.values(), {"id", "population", "status", ACCOUNT, SOURCE_KEY, PROFILE})
"""Names that mean something of their own in every account, so that no attribute may take them."""


class Withheld(StrEnum):
    """Why something that a mapping makes, or a record holds, is not in the entry."""

    DEFAULT_DENY = "default-deny"
    POPULATION = "population"
    RECIPIENT = "recipient"
    EXPIRED = "expired-signature"
    SHAPE = "looks-like-nir"
    REFUSED = "refused"
    NO_RELEASING_LINK = "no-releasing-link"
    UNKNOWN_STRUCTURE = "unknown-structure"


Note: TypeAlias = tuple[str, Withheld]
"""The name of an attribute or relation, and why it is withheld."""

Evaluate: TypeAlias = abc.Callable[[tuple[Record, ...], list[Note]], Values]

# 13 or 15 digits with the month and department of a NIR where they stand in it, or the 11 signs of an INE; blanks, dots
# and dashes between. A number after `+` is a phone.
_NATIONAL_NUMBER = re.compile(
    r"(?<![0-9+])[1-478]_[0-9]{2}_(?:0[1-9]|1[0-2]|[2-9][0-9])_(?:[0-9]{2}|2[AB])_[0-9]{3}_[0-9]{3}(?:_[0-9]{2})?(?![0-9])"
    r"|(?<![0-9A-Za-z])[0-9]{9}[0-9A-Za-z][A-Za-z](?![0-9A-Za-z])".replace("_", "[ .-]?")
)
_SHORTEST_NUMBER = 11


def looks_national(value: str) -> bool:
    """Whether a national number (NIR, INE) may stand in a value (gdpr.md R3)."""
    return len(value) >= _SHORTEST_NUMBER and _NATIONAL_NUMBER.search(value) is not None


def compile_rule(rule: AttributeRule, sources: tuple[str, ...], today: dt.date, *, shapes: bool) -> Evaluate:
    """The function that makes the rule's attribute of those of its `sources` that may be used.

    It appends to the notes it is given why a value is lacking. With `shapes`, national numbers are withheld. The usual
    case, one value and steps that work on one, is the short way through.
    """
    steps: tuple[One | Many, ...] = tuple(filter(None, (step.on(today) or step.many for step in rule.steps)))
    kinds = tuple(step.many is None for step in rule.steps)
    one = _composed(steps) if all(kinds) else None  # type: ignore[arg-type] # `kinds` says it
    several = _on_several(rule, steps, kinds, shapes=shapes)
    refused_note, shape_note = (rule.name, Withheld.REFUSED), (rule.name, Withheld.SHAPE)

    def evaluate(records: tuple[Record, ...], notes: list[Note]) -> Values:
        refused = False
        for record in records:
            delivered = record.values
            for source in sources:
                raw = delivered.get(source)
                if not raw:
                    continue
                if one is None or len(raw) > 1:
                    made, some = several(raw, notes)
                    if made:
                        return made
                    refused |= some
                    continue
                value = one(raw[0])
                if value and not (shapes and looks_national(value)):
                    return (value,)
                if value:
                    notes.append(shape_note)
                refused |= value is None
        if refused:
            notes.append(refused_note)
        return ()

    return evaluate


def _on_several(
    rule: AttributeRule, steps: tuple[One | Many, ...], kinds: tuple[bool, ...], *, shapes: bool
) -> abc.Callable[[Values, list[Note]], tuple[Values, bool]]:
    """The long way: several values, or steps that look at all of them."""
    kept = None if rule.multiple else 1

    def several(raw: Values, notes: list[Note]) -> tuple[Values, bool]:
        made, refused = run(steps, raw, kinds)
        if shapes and any(map(looks_national, made)):
            notes.append((rule.name, Withheld.SHAPE))
            made = tuple(value for value in made if not looks_national(value))
        if made and refused:
            notes.append((rule.name, Withheld.REFUSED))
        return made[:kept], refused

    return several


def _composed(steps: tuple[One, ...]) -> One:
    if not steps:
        return str
    if len(steps) == 1:
        return steps[0]
    *before, last = steps

    def one(value: str) -> str | None:
        for step in before:
            found = step(value)
            if not found:
                return found
            value = found
        return last(value)

    return one


def compile_until(rule: AttributeRule, today: dt.date) -> abc.Callable[[Values], dt.date | None] | None:
    """Of raw values, the first day on which the rule gives something else though they stay."""
    bound = next((place for place, step in enumerate(rule.steps) if step.daily), None)
    if bound is None:
        return None
    daily = rule.steps[bound].daily
    _, until = daily(today) if daily else (None, None)
    before = (step.on(today) or step.many for step in rule.steps[:bound])
    steps: tuple[One | Many, ...] = tuple(filter(None, before))
    kinds = tuple(step.many is None for step in rule.steps[:bound])

    def first_day(raw: Values) -> dt.date | None:
        values = run(steps, raw, kinds)[0] if steps else raw
        return min((day for value in values if until and (day := until(value))), default=None)

    return first_day


def tainted(source: str, steps: tuple[Step, ...], population: RegisterPopulation) -> SourceClass:
    """What a source attribute still is after these steps: a declared generaliser makes a restricted one ordinary."""
    kind = source_class(source, population)
    if kind is SourceClass.RESTRICTED and any(source in step.generalises for step in steps):
        return SourceClass.ORDINARY
    return kind
