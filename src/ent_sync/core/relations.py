"""What the composite values of a record say about schools, groups, functions and guardians (aaf.md §5 to §9).

One place for the `$` sub-fields of both degrees. A value that cannot be read is left out by these functions; the
person stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from ent_sync.core.record import Key, Population, Record, join_key


class GroupKind(StrEnum):
    """What a group of an ENT is."""

    CLASS = "class"
    TEACHING = "teaching"
    STAFF = "staff"


class Tie(StrEnum):
    """What a guardian is to a pupil, as far as anyone outside may know (gdpr.md R12, R13): never the link code."""

    LEGAL = "legal"
    IN_CHARGE = "in-charge"
    CONTACT = "contact"
    SELF = "self"


class Role(StrEnum):
    """What someone is in a group; the stronger of two comes later."""

    PUPIL = "pupil"
    STAFF = "staff"
    TEACHER = "teacher"
    HEAD_TEACHER = "head_teacher"


@dataclass(frozen=True, slots=True, repr=False)
class GuardianLink:
    """A pupil's link to one person, reduced to what it means."""

    guardian: Key
    tie: Tie

    def __repr__(self) -> str:
        return f"<GuardianLink {self.tie}>"


@dataclass(frozen=True, slots=True)
class GroupRef:
    """A class or teaching group as a record names it: the structure's key, the code in it, the label where given."""

    school: Key
    kind: GroupKind
    code: str
    label: str | None


@dataclass(frozen=True, slots=True)
class Function:
    """One function of staff in one school; `code` is the AAF function code, `speciality` the corps code."""

    school: Key
    code: str
    speciality: str


# The attributes that the functions below read, by population: the reader lets them through for every mapping that
# uses the relation of that name.
RELATION_ATTRIBUTES: Mapping[tuple[Population, str], tuple[str, ...]] = {
    (Population.PUPIL, "affiliations"): ("ENTPersonStructRattach", "ENTEleveClasses", "ENTPersonClasses"),
    (Population.PUPIL, "classes"): ("ENTEleveClasses", "ENTPersonClasses"),
    (Population.PUPIL, "groups"): ("ENTEleveGroupes", "ENTPersonGroupes"),
    (Population.PUPIL, "guardians"): ("ENTElevePersRelEleve", "ENTEleveAutoriteParentale"),
    (Population.STAFF, "affiliations"): ("ENTPersonFonctions", "ENTEnsFonctionDir"),
    (Population.STAFF, "classes"): ("ENTAuxEnsClasses", "ENTAuxEnsClassesMatieres", "ENTAuxEnsClassesPrincipal"),
    (Population.STAFF, "groups"): ("ENTAuxEnsGroupes", "ENTAuxEnsGroupesMatieres"),
    (Population.GUARDIAN, "guardianships"): (),
    (Population.SCHOOL, "classes"): ("ENTStructureClasses",),
    (Population.SCHOOL, "groups"): ("ENTStructureGroupes",),
}

_SELF_TYPES = frozenset({"7", "70"})
_LEGAL_TYPES_1D = frozenset({"10", "20", "50"})
NO_FUNCTION = "-"
HEAD_OF_SCHOOL = "DIR"


def _split(value: str) -> list[str]:
    """The sub-fields of a value that begins with a key; a key that names its academy (`AC-LILLE$1234`) is one of them.

    Ids are integers (aaf.md §4), so that only the prefix can tell the two forms apart.
    """
    parts = [part.strip() for part in value.split("$")]
    if len(parts) > 1 and parts[0][:3].upper() == "AC-":
        parts[:2] = [f"{parts[0]}${parts[1]}"]
    return parts


def guardian_links(record: Record, academy: str) -> Iterator[GuardianLink]:
    """A pupil's links, one per guardian, the strongest meaning first where a guardian is listed twice (aaf.md §6)."""
    strongest: dict[Key, Tie] = {}
    for value in record.all("ENTElevePersRelEleve"):
        parts = _split(value)
        if len(parts) >= 4 and (guardian := join_key(academy, parts[0])):
            _keep_strongest(strongest, guardian, _tie_2d(parts[1], parts[3]))
    for value in record.all("ENTEleveAutoriteParentale"):
        parts = _split(value)
        if len(parts) >= 2 and (guardian := join_key(academy, parts[0])):
            _keep_strongest(strongest, guardian, _tie_1d(parts[1]))
    for guardian, tie in strongest.items():
        yield GuardianLink(guardian, tie)


def _keep_strongest(strongest: dict[Key, Tie], guardian: Key, tie: Tie) -> None:
    order = (Tie.LEGAL, Tie.IN_CHARGE, Tie.CONTACT, Tie.SELF)
    if guardian not in strongest or order.index(tie) < order.index(strongest[guardian]):
        strongest[guardian] = tie


def _tie_2d(link_type: str, legal: str) -> Tie:
    """The meaning of the legal flag changed with the two-digit link types (aaf.md §6)."""
    if link_type in _SELF_TYPES:
        return Tie.SELF
    if len(link_type) == 1:
        return Tie.LEGAL if legal in {"1", "2"} else Tie.CONTACT
    return {"1": Tie.LEGAL, "2": Tie.IN_CHARGE}.get(legal, Tie.CONTACT)


def _tie_1d(link_type: str) -> Tie:
    """1D links carry no flags: types 10, 20 and 50 release (contract, rule 9)."""
    if link_type in _SELF_TYPES:
        return Tie.SELF
    return Tie.LEGAL if link_type in _LEGAL_TYPES_1D else Tie.CONTACT


def pupil_schools(record: Record, academy: str) -> Iterator[Key]:
    """The structures a pupil belongs to: the one of enrolment, and those of his classes (aaf.md §5.4)."""
    for value in (
        *record.all("ENTPersonStructRattach"),
        *record.all("ENTEleveClasses"),
        *record.all("ENTPersonClasses"),
    ):
        if school := join_key(academy, _split(value)[0]):
            yield school


def functions(record: Record, academy: str) -> Iterator[Function]:
    """The functions of staff, `-` (no assignment) left out; heading a school of the first degree is `DIR` (§7, §8)."""
    for value in record.all("ENTPersonFonctions"):
        parts = _split(value)
        school = join_key(academy, parts[0])
        code = parts[1] if len(parts) > 1 else ""
        if school and code and code != NO_FUNCTION:
            yield Function(school, code, parts[3] if len(parts) > 3 else "")
    for value in record.all("ENTEnsFonctionDir"):
        if school := join_key(academy, _split(value)[0]):
            yield Function(school, HEAD_OF_SCHOOL, "")


def pupil_groups(record: Record, academy: str, kind: GroupKind) -> Iterator[GroupRef]:
    """The classes or the teaching groups of a pupil, of either degree (§5.4, §8, §9)."""
    second, first = _PUPIL_GROUPS[kind]
    for value in record.all(second):
        if ref := _group_ref(value, academy, kind):
            yield ref
    for value in record.all(first):
        if ref := _group_ref_1d(value, academy, kind):
            yield ref


_PUPIL_GROUPS = {
    GroupKind.CLASS: ("ENTEleveClasses", "ENTPersonClasses"),
    GroupKind.TEACHING: ("ENTEleveGroupes", "ENTPersonGroupes"),
}


def taught_groups(record: Record, academy: str, kind: GroupKind) -> Iterator[tuple[GroupRef, Role]]:
    """The classes or groups that staff teach, and those they are head teacher of (2D only, §5.6)."""
    names = {
        GroupKind.CLASS: ("ENTAuxEnsClasses", "ENTAuxEnsClassesMatieres"),
        GroupKind.TEACHING: ("ENTAuxEnsGroupes", "ENTAuxEnsGroupesMatieres"),
    }
    for name in names[kind]:
        for value in record.all(name):
            if ref := _group_ref(value, academy, kind):
                yield ref, Role.TEACHER
    if kind is GroupKind.CLASS:
        for value in record.all("ENTAuxEnsClassesPrincipal"):
            if ref := _group_ref(value, academy, kind):
                yield ref, Role.HEAD_TEACHER


def _group_ref(value: str, academy: str, kind: GroupKind) -> GroupRef | None:
    """`structure$code` of the second degree; staff add a subject, which does not name the group."""
    parts = _split(value)
    school = join_key(academy, parts[0])
    if school is None or len(parts) < 2 or not parts[1]:
        return None
    return GroupRef(school, kind, parts[1], None)


def _group_ref_1d(value: str, academy: str, kind: GroupKind) -> GroupRef | None:
    """`structure$type$typeLabel$id$label` of the first degree; where it is cut before the id, no group is named."""
    parts = _split(value)
    school = join_key(academy, parts[0])
    if school is None or len(parts) < 4 or not parts[3]:
        return None
    return GroupRef(school, kind, parts[3], (parts[4] or None) if len(parts) > 4 else None)


def declared_groups(record: Record) -> Iterator[GroupRef]:
    """The classes and groups that a structure of the second degree lists, each once (§5.1)."""
    seen: set[tuple[GroupKind, str]] = set()
    for name, kind in (("ENTStructureClasses", GroupKind.CLASS), ("ENTStructureGroupes", GroupKind.TEACHING)):
        for value in record.all(name):
            parts = [part.strip() for part in value.split("$")]
            if parts[0] and (kind, parts[0]) not in seen:
                seen.add((kind, parts[0]))
                yield GroupRef(record.key, kind, parts[0], (parts[1] or None) if len(parts) > 1 else None)
