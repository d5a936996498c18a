"""The register and the mappings judged before anything runs on them (gdpr.md R2 to R4): every problem at once.

What is refused here cannot be configured at all; `core.decision` denies it a second time when it releases.
"""

from __future__ import annotations

import datetime as dt
import re
from collections import abc
from dataclasses import dataclass

from ent_sync.core.decision import ALWAYS_OF_A_SCHOOL
from ent_sync.core.errors import Problem
from ent_sync.core.mapping import (
    ACCOUNT,
    PARTS,
    PROFILE,
    RESERVED,
    SOURCE_KEY,
    AttributeRule,
    InsideRule,
    Mapping,
    PartRule,
    tainted,
)
from ent_sync.core.profile import REGISTER_POPULATIONS, RegisterPopulation
from ent_sync.core.record import PEOPLE, Population
from ent_sync.core.register import (
    SOURCE_CLASSES,
    AttributeClass,
    Clock,
    Grant,
    Purpose,
    Register,
    SourceClass,
    source_class,
)

# Words that no attribute of ours may be called by: what they name is never taken (gdpr.md rows 8, 11 to 14, 32).
_WORDS = """
    nir insee numen nationality nationalite health sante disability handicap allergy allergies pai religion opinion
    opinions union syndicat justice profession scholarship boursier income birthplace password passwd secret photo
    biometrics sex sexe gender genre
"""
NEVER_NAMED = frozenset(_WORDS.split())
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_LONGEST_SIGNATURE_MONTHS = 13
_SHORTEST_THREE_MONTHS = dt.timedelta(days=89)


def lint(
    register: Register,
    mappings: abc.Sequence[Mapping],
    targets: abc.Sequence[tuple[str, str]],
    today: dt.date,
    *,
    all_read: bool = True,
) -> list[Problem]:
    """All that is wrong with a register and with the mappings that the `targets` (name, profile) use.

    With `all_read` False some mapping could not be read: then nothing is held to be unused.
    """
    found = [
        *_purposes(register),
        *_targets(register, targets),
        *(problem for grant in register.grants for problem in _grant(register, grant, today)),
        *_twice(register),
        *_retention(register),
        *(problem for mapping in mappings for problem in _Judge(register, mapping).problems()),
    ]
    if all_read:
        found += _unused(register, mappings)
    return found


# --------------------------------------------------------------------------------------------------------------------
# The register by itself


def _purposes(register: Register) -> abc.Iterator[Problem]:
    used = {grant.purpose for grant in register.grants}
    for purpose in register.purposes.values():
        if purpose.inside and purpose.recipients:
            yield Problem(purpose.where, "recipients", "an inside purpose has no recipients; remove them, or `inside`")
        if not purpose.inside and not purpose.recipients:
            yield Problem(purpose.where, "recipients", "has no recipients: name targets, or say `inside: true`")
        if purpose.name not in used:
            yield Problem(purpose.where, "unused", "no attribute serves this purpose; remove it")
        yield from _recipients(register, purpose)


def _recipients(register: Register, purpose: Purpose) -> abc.Iterator[Problem]:
    for name in () if purpose.inside else purpose.recipients:
        target = register.targets.get(name)
        if target is None:
            yield Problem(purpose.where, "unknown-recipient", "a recipient is not one of the register's targets")
        elif purpose.name not in target.purposes:
            yield Problem(target.where, "not-a-recipient", f"does not list the purpose {purpose.name} that names it")


def _targets(register: Register, targets: abc.Sequence[tuple[str, str]]) -> abc.Iterator[Problem]:
    for target in register.targets.values():
        for name in sorted(target.purposes):
            purpose = register.purposes.get(name)
            if purpose is None:
                yield Problem(target.where, "unknown-purpose", "lists a purpose that the register does not have")
            elif target.name not in purpose.recipients and not purpose.inside:
                yield Problem(target.where, "not-a-recipient", f"is no recipient of its purpose {name}")
            elif purpose.inside:
                yield Problem(target.where, "not-a-recipient", f"the purpose {name} is inside only")
    for name, _ in targets:
        if name not in register.targets:
            yield Problem(register.where, "unregistered-target", f"the target {name} has no entry under `targets`")


def _grant(register: Register, grant: Grant, today: dt.date) -> abc.Iterator[Problem]:
    if not _NAME.fullmatch(grant.attribute):
        yield Problem(grant.where, "name", "must be a name of small letters, digits and _")
    if not NEVER_NAMED.isdisjoint(grant.attribute.split("_")):
        yield Problem(grant.where, "never", "names what may never be taken (gdpr.md §1.3)")
    purpose = register.purposes.get(grant.purpose)
    if purpose is None:
        yield Problem(grant.where, "unknown-purpose", "serves a purpose that the register does not have")
    elif purpose.inside is not (grant.kind is AttributeClass.INSIDE):
        yield Problem(grant.where, "inside", "an inside purpose and `class: inside` go together")
    if (grant.kind is AttributeClass.INSIDE) is not (grant.clock is Clock.INSIDE):
        yield Problem(grant.where, "clock", "the clock k-in and `class: inside` go together")
    if grant.kind is AttributeClass.RESTRICTED:
        yield from _signature(grant, today)


def _signature(grant: Grant, today: dt.date) -> abc.Iterator[Problem]:
    signature = grant.signature
    if signature is None:
        needed = "why_not_less, signed_by, signed_on and expires"
        yield Problem(grant.where, "unsigned", f"restricted: needs {needed}")
        return
    if signature.expires < today:
        yield Problem(grant.where, "expired", "its signature has expired; sign again or remove the attribute")
    if signature.signed_on > today:
        yield Problem(grant.where, "signed-on", "is signed on a day that has not come")
    if signature.expires > _months_after(signature.signed_on, _LONGEST_SIGNATURE_MONTHS):
        yield Problem(grant.where, "expires", "a signature lasts 13 months at most")


def _months_after(day: dt.date, months: int) -> dt.date:
    year, month = divmod(day.month - 1 + months, 12)
    first = dt.date(day.year + year, month + 1, 1)
    last = (first.replace(day=28) + dt.timedelta(days=4)).replace(day=1) - dt.timedelta(days=1)
    return min(last, first + dt.timedelta(days=day.day - 1))


def _twice(register: Register) -> abc.Iterator[Problem]:
    seen: set[tuple[str, RegisterPopulation]] = set()
    for grant in register.grants:
        named = {(grant.attribute, population) for population in grant.populations}
        if named & seen:
            yield Problem(grant.where, "twice", "two lines for one population: an attribute serves one purpose there")
        seen |= named
    pupils = {RegisterPopulation.PUPIL_1D, RegisterPopulation.PUPIL_2D}
    for grant in register.grants:
        if grant.attribute == "guardians" and grant.populations & pupils not in ({*()}, pupils):
            yield Problem(grant.where, "guardians", "links are read for pupils of both degrees or of none")


def _retention(register: Register) -> abc.Iterator[Problem]:
    retention = register.retention
    if retention.delete_after < retention.suspended_at_least:
        yield Problem(retention.where, "retention", "delete_after comes before suspended_at_least is over")
    longest = min(_SHORTEST_THREE_MONTHS, dt.timedelta(days=retention.limit_months * 30 - 1))
    if retention.delete_after > longest:
        yield Problem(
            retention.where, "retention", f"delete_after may be {longest.days}d at most: all must be gone in time"
        )


def _unused(register: Register, mappings: abc.Sequence[Mapping]) -> abc.Iterator[Problem]:
    mapped = {
        (name, population)
        for mapping in mappings
        for name in (*mapping.attributes, *mapping.parts, *mapping.inside)
        for population in REGISTER_POPULATIONS[mapping.population]
    }
    for grant in register.grants:
        lacking = sorted(each for each in grant.populations if (grant.attribute, each) not in mapped)
        if lacking:
            yield Problem(grant.where, "unused", f"no mapping makes it for {', '.join(lacking)}; remove that")


# --------------------------------------------------------------------------------------------------------------------
# A mapping against the register


@dataclass(frozen=True, slots=True)
class _Judge:
    register: Register
    mapping: Mapping

    def problems(self) -> abc.Iterator[Problem]:
        mapping = self.mapping
        if mapping.population in PEOPLE and ACCOUNT not in mapping.parts:
            yield Problem(mapping.where, "account", "needs `account` with the purpose for which accounts are kept")
        for rule in mapping.attributes.values():
            yield from self._attribute(rule)
        for part in mapping.parts.values():
            yield from self._part(part)
        for inside in mapping.inside.values():
            yield from self._inside(inside)

    @property
    def _populations(self) -> tuple[RegisterPopulation, ...]:
        return REGISTER_POPULATIONS[self.mapping.population]

    def _grants(self, name: str) -> list[tuple[RegisterPopulation, Grant]]:
        return [(each, grant) for each in self._populations if (grant := self.register.grant(name, each))]

    def _named(self, rule: AttributeRule | PartRule | InsideRule, *, inside: bool) -> abc.Iterator[Problem]:
        """Whether the register names it, for this purpose, and for leaving or staying as the mapping has it."""
        grants = self._grants(rule.name)
        if rule.purpose not in self.register.purposes:
            yield Problem(rule.where, "unknown-purpose", "serves a purpose that the register does not have")
        elif not grants:
            whom = " or ".join(self._populations)
            yield Problem(rule.where, "not-in-register", f"the register does not name it for {whom}")
        for _, grant in grants:
            if grant.purpose != rule.purpose:
                yield Problem(rule.where, "purpose", f"the register has it for the purpose {grant.purpose}")
            if inside is not (grant.kind is AttributeClass.INSIDE):
                said = "inside only" if not inside else "not for use inside"
                yield Problem(rule.where, "inside", f"the register has it {said} ({grant.where})")

    def _attribute(self, rule: AttributeRule) -> abc.Iterator[Problem]:
        if rule.name in RESERVED:
            yield Problem(rule.where, "name", "is a name of the account's own")
        if not _NAME.fullmatch(rule.name):
            yield Problem(rule.where, "name", "must be a name of small letters, digits and _")
        if not NEVER_NAMED.isdisjoint(rule.name.split("_")):
            yield Problem(rule.where, "never", "names what may never be taken (gdpr.md §1.3)")
        if self.mapping.population is Population.SCHOOL and rule.name in ALWAYS_OF_A_SCHOOL:
            if rule.purpose not in self.register.purposes:
                yield Problem(rule.where, "unknown-purpose", "serves a purpose that the register does not have")
        else:
            yield from self._named(rule, inside=False)
        yield from dict.fromkeys(problem for source in rule.sources for problem in self._taint(rule, source))

    def _taint(self, rule: AttributeRule, source: str) -> abc.Iterator[Problem]:
        """What a source attribute is goes through every transform with it, but a declared generaliser (R4)."""
        if source not in SOURCE_CLASSES:
            yield Problem(rule.where, "never", f"{source} is not a known source attribute: nothing is read by default")
            return
        granted: dict[RegisterPopulation, Grant | None] = dict(self._grants(rule.name))
        whom = (granted or dict.fromkeys(self._populations)).items()
        kinds = [(each, grant, tainted(source, rule.steps, each)) for each, grant in whom]
        if all(kind is SourceClass.ABSENT for _, _, kind in kinds):
            yield Problem(
                rule.where, "no-such-source", f"{source} is not delivered of {' or '.join(self._populations)}"
            )
        for population, grant, kind in kinds:
            match kind:
                case SourceClass.NEVER:
                    yield Problem(rule.where, "never", f"{source} may never leave of {population}")
                case SourceClass.INSIDE:
                    yield Problem(rule.where, "inside", f"{source} may only be used inside, no attribute is made of it")
                case SourceClass.RESTRICTED if grant is None or grant.kind is not AttributeClass.RESTRICTED:
                    yield Problem(
                        rule.where,
                        "restricted",
                        f"{source} is restricted: `class: restricted` and a signature in the register,"
                        " or a generaliser (is-adult, year for birth dates) among the transforms",
                    )
                case _:
                    pass

    def _part(self, part: PartRule) -> abc.Iterator[Problem]:
        own = {ACCOUNT, SOURCE_KEY, PROFILE} if self.mapping.population in PEOPLE else set()
        if part.name not in PARTS[self.mapping.population] | own:
            known = ", ".join(sorted(PARTS[self.mapping.population]))
            yield Problem(part.where, "unknown-relation", f"is no relation of this population; known: {known}")
        elif self.mapping.population is not Population.SCHOOL:
            yield from self._named(part, inside=False)
        elif part.purpose not in self.register.purposes:
            yield Problem(part.where, "unknown-purpose", "serves a purpose that the register does not have")

    def _inside(self, rule: InsideRule) -> abc.Iterator[Problem]:
        yield from self._named(rule, inside=True)
        for source in rule.sources:
            kinds = {source_class(source, each) for each in self._populations}
            if SourceClass.NEVER in kinds:
                yield Problem(rule.where, "never", f"{source} may not even be used inside")
            elif kinds == {SourceClass.ABSENT}:
                yield Problem(rule.where, "no-such-source", f"{source} is not delivered of this population")
