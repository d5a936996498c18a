"""The observatory's figures (Article 3.4): accounts by population, degree, department and type of school, freshness.

Counts only, and none under ten: a group that small is not told, nor is the smallest of the others where it could be
worked out as what the total leaves.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from ent_sync.core.entry import Structure
from ent_sync.store import crowd, measures, snapshot
from ent_sync.store.crowd import Crowd
from ent_sync.sync.parts import Parts
from ent_sync.sync.pull import open_record

FEWEST = 10
"""A smaller group is not told."""

DEPARTMENTS = {"002": "Aisne", "059": "Nord", "060": "Oise", "062": "Pas-de-Calais", "080": "Somme"}
"""By the first three digits of a UAI."""
OTHER_DEPARTMENT = "other"
NO_SCHOOL = "none"

_TYPES = (
    ("nursery", r"ECOLE (PUBLIQUE |PRIVEE )?MATERNELLE|E\.?M\.?P\.?U"),
    ("elementary", r"ECOLE (PUBLIQUE |PRIVEE )?ELEMENTAIRE|E\.?E\.?P\.?U"),
    ("primary", r"ECOLE|E\.?P\.?P\.?U"),
    ("college", r"COLLEGE|CLG\b"),
    ("vocational", r"LYCEE (D'ENSEIGNEMENT )?PROFESSIONNEL|LYCEE DES METIERS|LP\b|SECTION D'ENSEIGNEMENT PROF"),
    ("lycee", r"LYCEE|LGT\b|LEGT\b|LPO\b|LG\b"),
    ("agricultural", r"LEGTA\b|LPA\b|EPLEFPA\b|MAISON FAMILIALE|MFR\b"),
    ("special", r"EREA\b|ETABLISSEMENT REGIONAL D'ENSEIGNEMENT ADAPTE|SEGPA\b|ULIS\b"),
)


@dataclass(frozen=True, slots=True)
class Count:
    """How many accounts a group has; None where it is not told."""

    name: str
    accounts: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """Of the changes of a source, the share that was acknowledged within a day, since counting began."""

    source: str
    changes: int
    within_a_day: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Observatory:
    """The figures of one day."""

    total: int | None
    populations: tuple[Count, ...]
    degrees: tuple[Count, ...]
    departments: tuple[Count, ...]
    types: tuple[Count, ...]
    freshness: tuple[Freshness, ...]


def observed(connection: sa.Connection, parts: Parts, degrees: Mapping[str, str]) -> Observatory:
    """The figures as they are now. `degrees` is that of each source, where it has one."""
    target = crowd.fullest_target(connection)
    found = crowd.crowds(connection, target) if target is not None else []
    types = _types(connection, parts, target) if target is not None else {}
    return of_crowds(found, degrees, types, measures.counted(connection))


def of_crowds(
    found: Sequence[Crowd], degrees: Mapping[str, str], types: Mapping[str, str], counted: measures.Counted
) -> Observatory:
    """The same from what is at hand."""
    total = sum(each.count for each in found)
    return Observatory(
        total=total if total >= FEWEST else None,
        populations=told((each.population, each.count) for each in found),
        degrees=told((degrees.get(each.source, NO_SCHOOL), each.count) for each in found),
        departments=told((department(each.uai), each.count) for each in found),
        types=told((NO_SCHOOL if each.uai is None else types.get(each.uai, "other"), each.count) for each in found),
        freshness=tuple(_freshness(counted, sorted({each.source for each in found}))),
    )


def told(counts: Iterable[tuple[str, int]]) -> tuple[Count, ...]:
    """Groups with their numbers, the largest first; none that is small, and none from which a small one follows."""
    groups: dict[str, int] = {}
    for name, count in counts:
        groups[name] = groups.get(name, 0) + count
    ordered = sorted(groups.items(), key=lambda each: (-each[1], each[0]))
    hidden = {name for name, count in ordered if count < FEWEST}
    if hidden and sum(groups[name] for name in hidden) < FEWEST:
        # What is hidden is a single small number, all told: hide the next one with it.
        following = [name for name, _ in ordered if name not in hidden]
        hidden |= set(following[-1:])
    return tuple(Count(name, None if name in hidden else count) for name, count in ordered)


def department(uai: str | None) -> str:
    """The department in which a school lies."""
    if uai is None:
        return NO_SCHOOL
    return uai[:3] if uai[:3] in DEPARTMENTS else OTHER_DEPARTMENT


def school_type(name: str) -> str:
    """What kind of school bears a name: `COLLEGE JULES FERRY` is a college."""
    bare = "".join(each for each in unicodedata.normalize("NFD", name.upper()) if not unicodedata.combining(each))
    return next((found for found, pattern in _TYPES if re.match(pattern, bare.strip())), "other")


def _types(connection: sa.Connection, parts: Parts, target: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for row in snapshot.school_rows(connection):
        if row.sealed is None:
            continue
        structure = parts.policy.structure(target, open_record(parts, row.source, row.population, row.key, row.sealed))
        if isinstance(structure, Structure):
            found[row.entry_id] = school_type(structure.name)
    return found


def _freshness(counted: measures.Counted, sources: Iterable[str]) -> Iterable[Freshness]:
    for source in sources:
        buckets = counted.histogram("freshness_seconds", source, measures.FRESHNESS).buckets
        changes = buckets[-1][1]
        if changes >= FEWEST:
            day = next(value for bound, value in buckets if bound >= 86400)
            yield Freshness(source=source, changes=int(changes), within_a_day=day / changes)
