"""The release policy: what of a person goes to a target. The only place where accounts come from (gdpr.md R9, R10).

Default deny: a value is in an account because a mapping makes it and the register names it for that population, that
purpose and that target; whatever is missing, it is withheld, and its rule is told. `core.decision` has decided all that
can be before a person is met, so that the loop over people handles released attributes only.
"""

from __future__ import annotations

import datetime as dt
from collections import abc
from dataclasses import dataclass, replace
from typing import TypeAlias

from ent_sync.core.decision import Compiled, Decisions, Variant
from ent_sync.core.entry import Account, Affiliation, EntryId, Guardianship, Membership, Structure
from ent_sync.core.errors import Problem, Where
from ent_sync.core.explain import Explanation, Tape
from ent_sync.core.identity import Person
from ent_sync.core.mapping import ACCOUNT, PROFILE, SOURCE_KEY, Evaluate, Mapping, Note, Withheld, compile_rule
from ent_sync.core.places import (
    PupilPlaces,
    Schools,
    held_functions,
    releasing_links,
    staff_affiliations,
    staff_memberships,
)
from ent_sync.core.profile import (
    GUARDIANS,
    PROFILE_GUARDIAN,
    PROFILE_PUPIL,
    VARIANTS,
    pupil_population,
    staff_population,
    staff_profile,
)
from ent_sync.core.record import Degree, Key, Population, Record
from ent_sync.core.register import Register, Retention
from ent_sync.core.relations import GroupKind

NO_FUNCTION = "no-function"
NO_RELEASING_LINK = "no-releasing-link"
NOT_RELEASED = "not-released"
UNKNOWN_TARGET = "unknown-target"

_Relations: TypeAlias = tuple[tuple[Affiliation, ...], tuple[Membership, ...], tuple[Guardianship, ...]]


@dataclass(frozen=True, slots=True, repr=False)
class Release:
    """What one target may know of one person, until the sources say something else or `valid_until` comes.

    Without entry: `reason` says why nobody is entitled to one, or `problems` why the records are set aside. On the day
    `valid_until` the answer is another one though no record changed (R20).
    """

    entry: Account | None
    reason: str | None = None
    withheld: tuple[Note, ...] = ()
    problems: tuple[Problem, ...] = ()
    valid_until: dt.date | None = None

    def __repr__(self) -> str:
        return f"<Release {self.entry or self.reason or 'set aside'}>"


class Policy:
    """Register and mappings made one: the only thing that the rest of the program asks about what may be known.

    `targets` pairs each target's name with the profile of its mappings. `degrees` tells the degree of
    a source's pupils, where known. Not picklable; cheap to build again from the files.

    `wanted` are the source attributes that leave the readers, by population (R5); `inside` those of them that are used
    inside only, by our name for them; `stored` are those that the snapshot keeps. `digest` changes whenever releases
    may, `wanted_digest` whenever records are narrowed to something else.
    """

    def __init__(
        self,
        register: Register,
        mappings: abc.Iterable[Mapping],
        targets: abc.Sequence[tuple[str, str]],
        degrees: abc.Mapping[str, Degree] | None = None,
    ) -> None:
        self._decisions = Decisions(register, mappings, targets)
        self._in_charge = register.in_charge
        self._degrees = dict(degrees or {})
        self._structures: dict[str, tuple[tuple[str, Evaluate], ...]] = {}
        self._places = PupilPlaces()
        self.register = register
        self.retention: Retention = register.retention
        self.inside = self._decisions.inside()
        self.wanted = self._decisions.wanted()
        self.stored = self._decisions.stored()
        self.wanted_digest = self._decisions.wanted_digest()
        self.digest = self._decisions.digest(self._degrees)

    def release(self, target: str, person: Person, schools: Schools, today: dt.date) -> Release:
        """What `target` may know of `person` today."""
        if not self._decisions.knows(target):
            return Release(None, UNKNOWN_TARGET)
        notes: list[Note] = []
        match person.population:
            case Population.PUPIL:
                return self._pupil(target, person, schools, today, notes)
            case Population.GUARDIAN:
                return self._guardian(target, person, today, notes)
            case Population.STAFF:
                return self._staff(target, person, schools, today, notes)
            case Population.SCHOOL:
                return Release(None, NOT_RELEASED)

    def _pupil(self, target: str, person: Person, schools: Schools, today: dt.date, notes: list[Note]) -> Release:
        records = person.records
        compiled = self._decisions.compiled(target, pupil_population(records[0], self._degrees), today)
        affiliations = self._places.affiliations(compiled.parts, records, schools, notes)
        memberships = self._places.memberships(compiled.parts, records, schools, notes)
        return _released(compiled, person, PROFILE_PUPIL, (affiliations, memberships, ()), notes)

    def _guardian(self, target: str, person: Person, today: dt.date, notes: list[Note]) -> Release:
        compiled = self._decisions.compiled(target, GUARDIANS, today)
        links = releasing_links(person.wards, notes, in_charge=self._in_charge)
        if not links:
            return Release(None, NO_RELEASING_LINK, tuple(notes))
        if "guardianships" not in compiled.parts:
            links = ()
        return _released(compiled, person, PROFILE_GUARDIAN, ((), (), links), notes)

    def _staff(self, target: str, person: Person, schools: Schools, today: dt.date, notes: list[Note]) -> Release:
        records = person.records
        held = held_functions(records)
        if not held:
            return Release(None, NO_FUNCTION)
        codes = {function.code for function in held}
        compiled = self._decisions.compiled(target, staff_population(codes), today)
        affiliations = staff_affiliations(compiled.parts, held, schools, notes)
        memberships = staff_memberships(compiled.parts, (records, held), schools, notes)
        return _released(compiled, person, staff_profile(codes), (affiliations, memberships, ()), notes)

    def unusable(self, record: Record) -> Problem | None:
        """Why the record of a person cannot be used at all: it lacks what every mapping of its kind requires."""
        for names in self._decisions.required(record.population):
            if record.first(*names) is None:
                where = Where(record.origin.file, record.origin.line)
                return Problem(
                    where,
                    "required",
                    f"has no {' or '.join(names)}, without which there is no account; ask the academy to correct it",
                )
        return None

    def structure(self, target: str, record: Record) -> Structure | Problem:
        """The structure that a school's record describes, or what it lacks to be one; a school is no person."""
        attributes: dict[str, tuple[str, ...]] = {}
        for name, evaluate in self._structure_rules(target):
            if values := evaluate((record,), []):
                attributes[name] = values
        uai = attributes.pop("uai", ("",))[0]
        if not uai:
            where = Where(record.origin.file, record.origin.line)
            return Problem(
                where, "required", "has no UAI, and cannot be told from other structures; ask the academy to correct it"
            )
        name = attributes.pop("name", (uai,))[0]
        return Structure(id=EntryId(uai), source_key=record.key, name=name, attributes=attributes)

    def _structure_rules(self, target: str) -> tuple[tuple[str, Evaluate], ...]:
        if (found := self._structures.get(target)) is None:
            found = self._structures[target] = tuple(
                (rule.name, compile_rule(rule, rule.sources, dt.date.max, shapes=False))
                for rule in self._decisions.school_rules(target)
            )
        return found

    def explain(self, target: str, person: Person, schools: Schools, today: dt.date) -> Explanation:
        """The same release with the tape running: where each value came from, what is withheld and why."""
        released = self.release(target, person, schools, today)
        variant = self._variant(person)
        tape = Tape(
            person=person,
            population=variant,
            mapping=self._decisions.mapping(target, person.population),
            usable=lambda rule: self._decisions.usable(rule, variant),
            wanted=self.wanted[person.population],
            today=today,
        )
        return Explanation(
            entry=released.entry,
            reason=released.reason,
            population=variant,
            released=tuple(tape.released(released.entry)),
            withheld=tuple(tape.withheld(released.withheld)),
            unread=tuple(tape.unread()),
            problems=released.problems,
            valid_until=released.valid_until,
        )

    def _variant(self, person: Person) -> Variant:
        match person.population:
            case Population.PUPIL:
                return pupil_population(person.records[0], self._degrees)
            case Population.STAFF:
                return staff_population({function.code for function in held_functions(person.records)})
            case _:
                return GUARDIANS

    def released(self, target: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The attributes of accounts that may go to `target`: those with at most one value, and those with several."""
        return self._decisions.released(target)

    def narrowed(self, target: str, account: Account, today: dt.date) -> Account | None:
        """What of an account of some time ago may go to `target` today; None where it may not be there at all.

        The register may have become stricter since. What some person of the population may have, this one may.
        """
        released: set[str] = set()
        for variant in VARIANTS[account.population] if self._decisions.knows(target) else ():
            compiled = self._decisions.compiled(target, variant, today)
            released |= {*compiled.parts, *(name for name, _ in compiled.attributes)}
        if ACCOUNT not in released:
            return None
        affiliations = account.affiliations if "affiliations" in released else ()
        if "functions" not in released:
            affiliations = tuple(Affiliation(uai) for uai in sorted({each.uai for each in affiliations}))
        return replace(
            account,
            source_key=account.source_key if SOURCE_KEY in released else Key(account.id),
            profile=account.profile if PROFILE in released else None,
            attributes={name: values for name, values in account.attributes.items() if name in released},
            affiliations=affiliations,
            memberships=tuple(each for each in account.memberships if _part_of(each) in released),
            guardianships=account.guardianships if "guardianships" in released else (),
        )

    def complete_enough(self, population: Population, attributes: abc.Collection[str]) -> bool:
        """Whether a modify request that names these attributes says all that its kind of record needs (aaf.md §3)."""
        return all(not set(names).isdisjoint(attributes) for names in _NEEDED[population])


_NAMES = (("sn", "ENTPersonNom"), ("givenName", "ENTPersonPrenom"))
_NEEDED: abc.Mapping[Population, tuple[tuple[str, ...], ...]] = {
    Population.PUPIL: (*_NAMES, ("ENTPersonStructRattach",)),
    Population.GUARDIAN: _NAMES,
    Population.STAFF: (*_NAMES, ("ENTPersonFonctions",)),
    Population.SCHOOL: (("ENTStructureUAI", "ENTEtablissementUAI"),),
}


_PARTS = {GroupKind.CLASS: "classes", GroupKind.TEACHING: "groups", GroupKind.STAFF: "staff_group"}


def _part_of(membership: Membership) -> str:
    """The part by which the register knows a membership."""
    return _PARTS[GroupKind(membership.group.split("$", 2)[1])]


def _released(compiled: Compiled, person: Person, profile: str, relations: _Relations, notes: list[Note]) -> Release:
    """The account, of what was decided may be in it."""
    parts = compiled.parts
    if ACCOUNT not in parts:
        return Release(None, NOT_RELEASED, (_NO_ACCOUNT,))
    records = person.records
    attributes: dict[str, tuple[str, ...]] = {}
    for name, evaluate in compiled.attributes:
        if values := evaluate(records, notes):
            attributes[name] = values
    if compiled.withheld:
        notes += _held_back(compiled, records)
    problems = _problems(compiled, attributes, notes, records[0])
    if problems:
        return Release(None, None, tuple(notes), problems)
    affiliations, memberships, guardianships = relations
    account = Account(
        id=person.id,
        population=person.population,
        # A target that does not federate by the join key is told nothing that it does not know (gdpr.md row 2).
        source_key=records[0].key if SOURCE_KEY in parts else Key(person.id),
        profile=profile if PROFILE in parts else None,
        attributes=attributes,
        affiliations=affiliations,
        memberships=memberships,
        guardianships=guardianships,
    )
    return Release(account, None, tuple(notes), (), _valid_until(compiled, records))


_NO_ACCOUNT: Note = (ACCOUNT, Withheld.DEFAULT_DENY)


def _held_back(compiled: Compiled, records: tuple[Record, ...]) -> list[Note]:
    """What the person has and the target may not know."""
    return [
        note
        for note, sources in compiled.withheld
        if not sources or any(source in record.values for record in records for source in sources)
    ]


def _problems(
    compiled: Compiled, attributes: abc.Mapping[str, tuple[str, ...]], notes: list[Note], record: Record
) -> tuple[Problem, ...]:
    """What sets a whole record aside: something required is lacking, or a refusal that the mapping does not forgive."""
    found: list[Problem] = []
    origin = record.origin
    for rule in compiled.required:
        if rule.name not in attributes:
            where = Where(origin.file, origin.line, path="/".join(rule.sources))
            found.append(Problem(where, "required", f"no usable {rule.name}, which {rule.where} requires"))
    for name, why in notes if compiled.setting_aside else ():
        if why is Withheld.REFUSED and (refusing := compiled.setting_aside.get(name)):
            where = Where(origin.file, origin.line, path="/".join(refusing.sources))
            found.append(Problem(where, "refused", f"a {name} that the transforms at {refusing.where} cannot read"))
    return tuple(found)


def _valid_until(compiled: Compiled, records: tuple[Record, ...]) -> dt.date | None:
    """The first day on which the answer changes by itself."""
    earliest = compiled.valid_until
    for sources, until in compiled.untils:
        for record in records:
            for source in sources:
                if (raw := record.values.get(source)) and (day := until(raw)) and (earliest is None or day < earliest):
                    earliest = day
    return earliest
