"""Which population of the register someone belongs to, and the national profile of their account.

Decided from what the records say; knows no register and no target.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum

from ent_sync.core.record import Degree, Population, Record


class RegisterPopulation(StrEnum):
    """Whom an attribute of the register is about; finer than the populations of a feed (gdpr.md §1)."""

    PUPIL_1D = "pupil-1d"
    PUPIL_2D = "pupil-2d"
    GUARDIAN = "guardian"
    TEACHER = "teacher"
    STAFF = "staff"
    SCHOOL = "school"


P = RegisterPopulation

REGISTER_POPULATIONS: Mapping[Population, tuple[RegisterPopulation, ...]] = {
    Population.PUPIL: (P.PUPIL_1D, P.PUPIL_2D),
    Population.GUARDIAN: (P.GUARDIAN,),
    Population.STAFF: (P.TEACHER, P.STAFF),
    Population.SCHOOL: (P.SCHOOL,),
}

PROFILE_PUPIL = "National_ELV"
PROFILE_GUARDIAN = "National_TUT"

# The first that someone's functions meet is their profile (aaf.md §7); all others are other school staff.
_STAFF_PROFILES = (
    (frozenset({"DIR"}), "National_DIR"),
    (frozenset({"ENS"}), "National_ENS"),
    (frozenset({"DOC"}), "National_DOC"),
    (frozenset({"EDU", "AED", "SUR"}), "National_EVS"),
)
_TEACHING = frozenset({"ENS", "DOC"})

# Names that only one of the two feeds uses (aaf.md §8), the most frequent first.
_SECOND_DEGREE_NAMES = ("sn", "givenName", "ENTEleveClasses", "ENTElevePersRelEleve")
_FIRST_DEGREE_NAMES = ("ENTPersonNom", "ENTPersonPrenom", "ENTPersonClasses", "ENTEleveAutoriteParentale")


def staff_profile(codes: Collection[str]) -> str:
    """The national profile of staff with these function codes."""
    for wanted, profile in _STAFF_PROFILES:
        if not wanted.isdisjoint(codes):
            return profile
    return "National_ETA"


def staff_population(codes: Collection[str]) -> tuple[RegisterPopulation, ...]:
    """Teachers are those who teach or run the library; everyone else is other staff."""
    return _TEACHERS if not _TEACHING.isdisjoint(codes) else _OTHERS


def pupil_population(record: Record, degrees: Mapping[str, Degree]) -> tuple[RegisterPopulation, ...]:
    """A pupil's degree: what the source is declared to be, else what its attribute names tell.

    Where neither tells, the pupil is held to be both: only what both may have is released.
    """
    if degree := degrees.get(record.source):
        return _SECOND if degree is Degree.SECOND else _FIRST
    values = record.values
    for name in _SECOND_DEGREE_NAMES:
        if name in values:
            return _SECOND
    for name in _FIRST_DEGREE_NAMES:
        if name in values:
            return _FIRST
    return _EITHER


_TEACHERS, _OTHERS = (P.TEACHER,), (P.STAFF,)
_FIRST, _SECOND, _EITHER = (P.PUPIL_1D,), (P.PUPIL_2D,), (P.PUPIL_1D, P.PUPIL_2D)
GUARDIANS = (P.GUARDIAN,)

VARIANTS: Mapping[Population, tuple[tuple[RegisterPopulation, ...], ...]] = {
    Population.PUPIL: (_FIRST, _SECOND, _EITHER),
    Population.GUARDIAN: (GUARDIANS,),
    Population.STAFF: (_TEACHERS, _OTHERS),
}
"""What a person of a feed's population may turn out to be: all of a tuple must be named for a release."""
