"""What is decided before any person is met: which attribute of whom may go to which target, and so what is read.

Register and mappings in, tables and compiled functions out. The order of decision is that of
gdpr.md §2: first hit wins.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections import abc
from dataclasses import dataclass

from ent_sync.core.mapping import (
    AttributeRule,
    Evaluate,
    Mapping,
    Note,
    OnRefusal,
    Withheld,
    compile_rule,
    compile_until,
    tainted,
)
from ent_sync.core.profile import REGISTER_POPULATIONS, VARIANTS, RegisterPopulation
from ent_sync.core.record import PEOPLE, Degree, Population
from ent_sync.core.register import AttributeClass, Register, SourceClass
from ent_sync.core.relations import RELATION_ATTRIBUTES
from ent_sync.core.transforms import VERSION, Values

Variant = tuple[RegisterPopulation, ...]
FirstDay = abc.Callable[[Values], dt.date | None]

ALWAYS_OF_A_SCHOOL = frozenset({"uai", "name"})
"""What a structure is told by; a school is no person, and needs no grant for these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """All that is decided about a target and a kind of person. `parts` names the relations and keys that are released.

    `withheld` pairs what is never released here with the source attributes it would be made of. `untils` tell of raw
    values when the answer changes; `valid_until` is the day on which a signature stops covering something.
    """

    attributes: tuple[tuple[str, Evaluate], ...]
    parts: frozenset[str]
    required: tuple[AttributeRule, ...]
    setting_aside: abc.Mapping[str, AttributeRule]
    withheld: tuple[tuple[Note, tuple[str, ...]], ...]
    untils: tuple[tuple[tuple[str, ...], FirstDay], ...]
    valid_until: dt.date | None


def sources_of(population: Population, part: str) -> tuple[str, ...]:
    """The source attributes that a part of an account is made of."""
    if population is Population.STAFF and part in {"functions", "staff_group", "account", "profile"}:
        part = "affiliations"
    return RELATION_ATTRIBUTES.get((population, part), ())


class Decisions:
    """The register and the mappings made one. `targets` pairs each target's name with the profile of its mappings."""

    def __init__(
        self, register: Register, mappings: abc.Iterable[Mapping], targets: abc.Sequence[tuple[str, str]]
    ) -> None:
        self.register = register
        self._targets = dict(targets)
        self._mappings = {(each.profile, each.population): each for each in mappings}
        self._day: dt.date | None = None
        self._compiled: dict[tuple[str, Variant], Compiled] = {}

    def knows(self, target: str) -> bool:
        """Whether anything was decided for a target of that name."""
        return target in self._targets

    def mapping(self, target: str, population: Population) -> Mapping | None:
        """The mapping of a population for a target."""
        return self._mappings.get((self._targets.get(target, ""), population))

    def compiled(self, target: str, variant: Variant, today: dt.date) -> Compiled:
        """All decisions about a kind of person at a target on one day; made once."""
        if today != self._day:
            self._day = today
            self._compiled.clear()
        if found := self._compiled.get((target, variant)):
            return found
        found = self._compiled[target, variant] = self._compile(target, variant, today)
        return found

    def _compile(self, target: str, variant: Variant, today: dt.date) -> Compiled:
        population = _POPULATION_OF[variant]
        mapping = self.mapping(target, population)
        rules: list[AttributeRule] = []
        withheld: list[tuple[Note, tuple[str, ...]]] = []
        parts: set[str] = set()
        days: list[dt.date] = []
        for rule in mapping.attributes.values() if mapping else ():
            verdict, expiries = self._verdict(target, rule.name, rule.purpose, variant, today)
            if verdict is None and self.usable(rule, variant):
                rules.append(rule)
                days += expiries
            else:
                withheld.append(((rule.name, verdict or Withheld.DEFAULT_DENY), rule.sources))
        for part in mapping.parts.values() if mapping else ():
            verdict, expiries = self._verdict(target, part.name, part.purpose, variant, today)
            if verdict is None:
                parts.add(part.name)
                days += expiries
            else:
                withheld.append(((part.name, verdict), sources_of(population, part.name)))
        return Compiled(
            attributes=tuple((rule.name, self._evaluate(rule, variant, today)) for rule in rules),
            parts=frozenset(parts),
            required=tuple(rule for rule in rules if rule.required),
            setting_aside={rule.name: rule for rule in rules if rule.on_refusal is OnRefusal.QUARANTINE},
            withheld=tuple(withheld),
            untils=tuple(
                (self.usable(rule, variant), until) for rule in rules if (until := compile_until(rule, today))
            ),
            valid_until=min(days, default=None),
        )

    def _evaluate(self, rule: AttributeRule, variant: Variant, today: dt.date) -> Evaluate:
        grants = [grant for each in variant if (grant := self.register.grant(rule.name, each))]
        exempt = all(grant.code or grant.kind is AttributeClass.RESTRICTED for grant in grants)
        return compile_rule(rule, self.usable(rule, variant), today, shapes=not exempt)

    def _verdict(
        self, target: str, name: str, purpose: str, variant: Variant, today: dt.date
    ) -> tuple[Withheld | None, list[dt.date]]:
        """Why `name` is withheld, None if it is released; and the days on which signatures no longer cover it."""
        days: list[dt.date] = []
        for population in variant:
            grant = self.register.grant(name, population)
            if grant is None:
                return (Withheld.POPULATION if self.register.names(name) else Withheld.DEFAULT_DENY), []
            if grant.purpose != purpose or grant.kind is AttributeClass.INSIDE:
                return Withheld.DEFAULT_DENY, []
            if not self.register.may_receive(target, purpose):
                return Withheld.RECIPIENT, []
            if grant.kind is AttributeClass.RESTRICTED:
                if grant.signature is None or grant.signature.expires < today:
                    return Withheld.EXPIRED, []
                days.append(grant.signature.expires + dt.timedelta(days=1))
        return None, days

    def usable(self, rule: AttributeRule, variant: Variant) -> tuple[str, ...]:
        """The rule's sources that may be used for all of `variant`: what is worse than its grant is left out.

        So no value of a forbidden source is released even under a register that nobody checked.
        """
        return tuple(source for source in rule.sources if all(self._covers(rule, source, each) for each in variant))

    def _covers(self, rule: AttributeRule, source: str, population: RegisterPopulation) -> bool:
        kind = tainted(source, rule.steps, population)
        grant = self.register.grant(rule.name, population)
        signed = grant is not None and grant.kind is AttributeClass.RESTRICTED
        return kind is SourceClass.ORDINARY or (kind is SourceClass.RESTRICTED and signed)

    def school_rules(self, target: str) -> tuple[AttributeRule, ...]:
        """The rules that make structures for a target."""
        mapping = self.mapping(target, Population.SCHOOL)
        rules = mapping.attributes.values() if mapping else ()
        return tuple(rule for rule in rules if self._serves(target, rule, RegisterPopulation.SCHOOL))

    def released(self, target: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The attributes of accounts that may go to a target: those with at most one value, and those with several."""
        single: set[str] = set()
        multiple: set[str] = set()
        for population in PEOPLE:
            mapping = self.mapping(target, population)
            for rule in mapping.attributes.values() if mapping else ():
                if any(self._serves(target, rule, each) for each in REGISTER_POPULATIONS[population]):
                    (multiple if rule.multiple else single).add(rule.name)
        return tuple(sorted(single - multiple)), tuple(sorted(multiple))

    def _serves(self, target: str, rule: AttributeRule, population: RegisterPopulation) -> bool:
        """Whether the register lets the rule's attribute of this population go to the target, expiry apart."""
        if population is RegisterPopulation.SCHOOL and rule.name in ALWAYS_OF_A_SCHOOL:
            return True
        verdict, _ = self._verdict(target, rule.name, rule.purpose, (population,), dt.date.min)
        return verdict is None and bool(self.usable(rule, (population,)))

    def inside(self) -> abc.Mapping[Population, abc.Mapping[str, tuple[str, ...]]]:
        """What may be read for use inside only, by population and name: its source attributes."""
        found: dict[Population, dict[str, tuple[str, ...]]] = {}
        for mapping in self._mappings.values():
            for rule in mapping.inside.values():
                populations = REGISTER_POPULATIONS[mapping.population]
                grants = [grant for each in populations if (grant := self.register.grant(rule.name, each))]
                if grants and all(grant.kind is AttributeClass.INSIDE for grant in grants):
                    found.setdefault(mapping.population, {})[rule.name] = rule.sources
        return found

    def wanted(self) -> abc.Mapping[Population, frozenset[str]]:
        """The source attributes that some target or some use inside needs: all that readers let through (R5)."""
        inside = self.inside()
        return {
            population: names.union(*inside.get(population, {}).values()) for population, names in self.stored().items()
        }

    def stored(self) -> abc.Mapping[Population, frozenset[str]]:
        """The source attributes that some target needs; what is used inside only is never stored (gdpr.md k-in)."""
        wanted: dict[Population, set[str]] = {population: set() for population in Population}
        for target in self._targets:
            for population in Population:
                if mapping := self.mapping(target, population):
                    for each in REGISTER_POPULATIONS[population]:
                        wanted[population].update(self._read_for(target, mapping, each))
        return {population: frozenset(names) for population, names in wanted.items()}

    def _read_for(self, target: str, mapping: Mapping, population: RegisterPopulation) -> abc.Iterator[str]:
        school = population is RegisterPopulation.SCHOOL
        for rule in mapping.attributes.values():
            if self._serves(target, rule, population):
                yield from rule.sources if school else self.usable(rule, (population,))
        for part in mapping.parts.values():
            if school or self._verdict(target, part.name, part.purpose, (population,), dt.date.min)[0] is None:
                yield from sources_of(mapping.population, part.name)

    def wanted_digest(self) -> str:
        """Changes when records are narrowed to other attributes."""
        whole = {population.value: sorted(names) for population, names in self.wanted().items()}
        return hashlib.blake2b(json.dumps(whole, sort_keys=True).encode(), digest_size=16).hexdigest()

    def required(self, population: Population) -> tuple[tuple[str, ...], ...]:
        """The source attributes of each value that every mapping of a population requires."""
        found = [
            {rule.sources for rule in mapping.attributes.values() if rule.required}
            for target in self._targets
            if (mapping := self.mapping(target, population))
        ]
        return tuple(sorted(set.intersection(*found))) if found else ()

    def digest(self, degrees: abc.Mapping[str, Degree]) -> str:
        """Changes when register, mappings or transforms change so that a release may; not with a comment."""
        register = self.register
        whole = {
            "transforms": VERSION,
            "grants": sorted(
                [
                    *(grant.attribute, grant.purpose, sorted(grant.populations), grant.kind, grant.code),
                    grant.signature.expires.isoformat() if grant.signature else "",
                ]
                for grant in register.grants
            ),
            "purposes": sorted([each.name, sorted(each.recipients)] for each in register.purposes.values()),
            "recipients": sorted([each.name, sorted(each.purposes)] for each in register.targets.values()),
            "in_charge": register.in_charge,
            "mappings": [_plain(mapping) for _, mapping in sorted(self._mappings.items())],
            "targets": self._targets,
            "degrees": degrees,
        }
        return hashlib.blake2b(json.dumps(whole, sort_keys=True).encode(), digest_size=16).hexdigest()


def _plain(mapping: Mapping) -> list[object]:
    attributes = [
        [
            *(rule.name, rule.sources, [[step.name, step.parameter] for step in rule.steps]),
            *(rule.purpose, rule.required, rule.on_refusal, rule.multiple),
        ]
        for rule in mapping.attributes.values()
    ]
    parts = sorted([part.name, part.purpose] for part in mapping.parts.values())
    inside = sorted([rule.name, *rule.sources] for rule in mapping.inside.values())
    return [mapping.profile, mapping.population, attributes, parts, inside]


_POPULATION_OF = {variant: population for population, variants in VARIANTS.items() for variant in variants}
