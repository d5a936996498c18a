"""Invents the structures of a region: schools with their classes and groups, services that are no schools, and seats.

A seat is a pupil's place in a class. Seats are dealt town by town, so that brothers and sisters go to schools of one
town and seldom to the same.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from ent_sync.core.record import Degree
from ent_sync.synth import nomenclature as known
from ent_sync.synth.chance import Chance
from ent_sync.synth.people import Home, Town, home, landline

_UAI_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"
_NAMES = (
    "JEAN MOULIN",
    "JEANNE D'ARC",
    "PIERRE & MARIE CURIE",
    "LÉO LAGRANGE",
    "VICTOR HUGO",
    "ANNE FRANK",
    "LES QUATRE VENTS",
    "SIMONE VEIL",
    "DU PONT-NEUF",
    "FRANÇOIS RABELAIS",
    "LA CROIX D'OR",
    "",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What makes a region: the same plan, the same people."""

    seed: int
    academy: str
    degree: Degree
    pupils: int

    def chance(self, *words: str | int) -> Chance:
        """The source of chance of that part of the region."""
        return Chance.of(self.seed, self.academy, self.degree, *words)


@dataclass(frozen=True, slots=True, kw_only=True)
class SchoolClass:
    """A class; `number` identifies it in the first degree, `code` in the second."""

    school: School
    code: str
    level: known.Level
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A teaching group and the classes its pupils come from."""

    code: str
    label: str
    classes: tuple[str, ...]
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class School:
    """A structure; one without levels is a service. `repeated` lists its classes twice, as some real ones do."""

    key: int
    uai: str
    kind: str
    kind_code: str
    name: str
    place: Home
    phone: str
    private: bool
    repeated: bool
    parents: tuple[int, ...] = ()
    levels: tuple[known.Level, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The structures of a plan, its classes by number, and each pupil's seat."""

    plan: Plan
    academy: known.Academy
    schools: tuple[School, ...]
    services: tuple[School, ...]
    classes: tuple[SchoolClass, ...]
    by_school: dict[int, tuple[int, ...]]
    groups: dict[int, tuple[Group, ...]]
    seats: Sequence[int]

    def structures(self) -> Iterator[School]:
        """All of them."""
        yield from self.services
        yield from self.schools


def uai(number: int, department: str) -> str:
    """The code of a structure: department, number in it, and the letter that proves both (aaf.md §4)."""
    digits = f"{department}{number:04d}"
    return digits + _UAI_LETTERS[int(digits) % 23]


def lay_out(plan: Plan) -> Layout:
    """Schools, classes and seats of a plan."""
    chance = plan.chance("schools")
    academy = known.academy(plan.academy)
    second = plan.degree is Degree.SECOND
    codes = _Codes(academy, second=second)
    services = tuple(_services(codes, chance, academy, second=second))
    schools = [
        _school(codes, chance, academy, number, second=second)
        for number in range(_how_many(plan.pupils, second=second))
    ]
    sizes = _share_out(plan.pupils, [0.5 + chance.random() for _ in schools])
    classes: list[SchoolClass] = []
    groups: dict[int, tuple[Group, ...]] = {}
    by_school: dict[int, tuple[int, ...]] = {}
    dealt: dict[Town, list[int]] = {}
    for school, size in zip(schools, sizes, strict=True):
        first = len(classes)
        deal = dealt.setdefault(school.place.town, [])
        style = chance.below(5)
        for level, places in zip(school.levels, _share_out(size, [1.0] * len(school.levels)), strict=True):
            rooms = max(1, math.ceil(places / level.room))
            for room, taken in enumerate(_share_out(places, [1.0] * rooms)):
                deal.extend([len(classes)] * taken)
                code = _class_code(level, room, style, second=second)
                classes.append(SchoolClass(school=school, code=code, level=level, number=60_000 + len(classes)))
        by_school[school.key] = tuple(range(first, len(classes)))
        groups[school.key] = tuple(_groups(classes[first:], chance, second=second))
    seats = array("l")
    for deal in dealt.values():
        chance.shuffle(deal)
        seats.extend(deal)
    return Layout(
        plan=plan,
        academy=academy,
        schools=tuple(schools),
        services=services,
        classes=tuple(classes),
        by_school=by_school,
        groups=groups,
        seats=seats,
    )


def _how_many(pupils: int, *, second: bool) -> int:
    """Small regions have small schools, so that there are several of them."""
    usual, small = (550, 90) if second else (120, 60)
    return max(2, round(pupils / (small + (usual - small) * min(1.0, pupils / 5000))))


def _share_out(total: int, weights: Sequence[float]) -> list[int]:
    """Whole numbers in proportion to `weights` that sum up to `total`."""
    whole = sum(weights)
    shares, given, reached = [], 0, 0.0
    for weight in weights:
        reached += weight
        upto = round(total * reached / whole)
        shares.append(upto - given)
        given = upto
    shares[-1] += total - given
    return shares


class _Codes:
    """Hands out structure keys and UAI; the two degrees of an academy never meet."""

    def __init__(self, academy: known.Academy, *, second: bool) -> None:
        self._keys = count(1001 if second else 50_001)
        self._numbers = count()
        self._first = 1 if second else 3001
        self._departments = academy.departments

    def next(self) -> tuple[int, str]:
        turn, department = divmod(next(self._numbers), len(self._departments))
        return next(self._keys), uai(self._first + turn, self._departments[department])


def _school(codes: _Codes, chance: Chance, academy: known.Academy, number: int, *, second: bool) -> School:
    if second:
        kinds = (
            ("COLLEGE", "340", known.COLLEGE),
            ("LYCEE D'ENSEIGNEMENT GENERAL", "300", known.LYCEE),
            ("COLLEGE", "340", known.COLLEGE),
            ("LYCEE POLYVALENT", "306", (*known.LYCEE, *known.VOCATIONAL)),
            ("COLLEGE", "340", known.COLLEGE),
            ("LYCEE PROFESSIONNEL", "320", known.VOCATIONAL),
        )
        kind, kind_code, levels = kinds[number % len(kinds)]
    else:
        kinds_1d = (
            ("ECOLE ELEMENTAIRE", "151", known.ELEMENTARY),
            ("ECOLE MATERNELLE", "101", known.NURSERY),
            ("ECOLE PRIMAIRE", "103", (*known.NURSERY[1:], *known.ELEMENTARY)),
        )
        kind, kind_code, levels = kinds_1d[number % len(kinds_1d)]
    return _structure(codes, chance, chance.pick(academy.towns), (kind, kind_code), chance.pick(_NAMES), levels=levels)


def _structure(
    codes: _Codes,
    chance: Chance,
    town: Town,
    kind: tuple[str, str],
    name: str,
    *,
    levels: tuple[known.Level, ...] = (),
    parents: tuple[int, ...] = (),
) -> School:
    key, code = codes.next()
    return School(
        key=key,
        uai=code,
        kind=kind[0],
        kind_code=kind[1],
        name=name,
        place=home(chance, town),
        phone=landline(chance),
        private=bool(levels) and chance.often(0.15),
        repeated=bool(levels) and chance.often(0.25),
        parents=parents,
        levels=levels,
    )


def _services(codes: _Codes, chance: Chance, academy: known.Academy, *, second: bool) -> Iterator[School]:
    """Structures that no pupil attends; the first one is what the others hang on."""
    town = academy.towns[0]
    if second:
        root = _structure(codes, chance, town, ("RECTORAT", "803"), "")
        rest = (("SERVICE DEPARTEMENTAL", "812", ""), ("CENTRE D'INFORMATION ET D'ORIENTATION", "850", "CIO"))
    else:
        root = _structure(codes, chance, town, ("SERVICE DEPARTEMENTAL", "812"), "")
        rest = (("CIRCONSCRIPTION IEN", "809", "NORD"), ("CIRCONSCRIPTION IEN", "809", "SUD"))
    yield root
    for kind, kind_code, name in rest:
        yield _structure(codes, chance, town, (kind, kind_code), name, parents=(root.key,))


def _class_code(level: known.Level, room: int, style: int, *, second: bool) -> str:
    """Codes as schools invent them: with spaces, accents, a leading dash; single in their school."""
    letter = chr(ord("A") + room) if room < 26 else f"A{room}"
    if not second:
        return f"{level.mark} {letter}"
    first_word = level.label.split(" ")[0]
    return (
        f"{level.mark}{letter}",
        f"{level.mark} {room + 1}",
        f"{first_word[:4]}{level.mark}{room + 1}",
        f"-{first_word} {level.mark}{letter}",
        f"{level.mark}É{room + 1:02d}",
    )[style]


def _groups(classes: Sequence[SchoolClass], chance: Chance, *, second: bool) -> Iterator[Group]:
    """One class in three has a group; now and then a group bears the code of a class (aaf.md §9)."""
    for place, own in enumerate(classes):
        if place % 3 != 0:
            continue
        if not second:
            yield Group(code="", label=f"SOUTIEN {own.code}", classes=(own.code,), number=own.number + 800_000)
            continue
        pair = (own.code, classes[place + 1].code) if place + 1 < len(classes) and chance.often(0.5) else (own.code,)
        code = own.code if chance.often(0.05) else f"{own.code} GR1"
        yield Group(code=code, label="" if chance.often(0.7) else "GROUPE D'ANGLAIS", classes=pair, number=0)
