"""Invents households: children with their seats, and the adults around them.

A household is told from its number alone, and no link leaves it: so a region streams, whatever its size, and a change
of one household is a change of no other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import NamedTuple

from ent_sync.core.record import Degree
from ent_sync.synth import people
from ent_sync.synth.chance import Chance
from ent_sync.synth.nomenclature import Level
from ent_sync.synth.people import MADAME, MONSIEUR, Home, Name
from ent_sync.synth.schools import Layout, Plan

# Pupils, guardians and staff share one integer space, and the two degrees of an academy share none of it.
FIRST_PUPIL = {Degree.SECOND: 1_000_000, Degree.FIRST: 4_000_000}
FIRST_GUARDIAN = {Degree.SECOND: 10_000_000, Degree.FIRST: 40_000_000}
_ROOM_OF_HOUSEHOLD = 8
_REGIMES = ("EXTERNE LIBRE", "DEMI-PENSIONNAIRE DANS L'ETABLISSEMENT", "INTERNE DANS L'ETABLISSEMENT")


class Link(NamedTuple):
    """A pupil's link to an adult: type of the nomenclature, and financial, legal, contact, payment flags."""

    guardian: int
    kind: str
    flags: str


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Pupil:
    """A pupil; `place`, `second_place` number classes of the layout, `groups` places in that school's groups."""

    key: int
    ine: str
    name: Name
    birth: str
    home: Home
    home_of: int | None
    links: tuple[Link, ...]
    place: int
    second_place: int | None
    groups: tuple[int, ...]
    regime: str
    transport: bool
    scholarship: bool


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Guardian:
    """Someone whom a pupil's file names: a parent, a person in charge, or only a contact."""

    key: int
    name: Name
    home: Home
    home_phone: str
    work_phone: str
    mobiles: tuple[str, ...]
    text_mobile: str
    mail: str
    diffusion: bool
    pupils: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Household:
    """Some children and the adults around them."""

    number: int
    pupils: tuple[Pupil, ...]
    guardians: tuple[Guardian, ...]


class _Adult(NamedTuple):
    kind: str
    flags: str
    title: str
    together: bool


_MOTHER = _Adult("10", "1$1$0$1", MADAME, True)
_FATHER = _Adult("20", "0$1$0$0", MONSIEUR, True)
_APART = _Adult("20", "0$1$1$0", MONSIEUR, False)
_ALONE = _Adult("10", "1$1$1$1", MADAME, True)
_CARER = _Adult("42", "0$2$1$0", MADAME, True)
_WELFARE = _Adult("51", "1$1$0$1", MADAME, False)
_TUTOR = _Adult("50", "1$1$1$1", MONSIEUR, True)
_GRANDPARENT = _Adult("38", "0$2$1$0", MADAME, True)
_FAR_MOTHER = _Adult("10", "1$1$0$1", MADAME, False)
_CONTACTS = tuple(_Adult(kind, "0$0$1$0", MADAME, False) for kind in ("39", "90", "38", "37", "41", "43"))
_COMPOSITIONS: tuple[tuple[float, tuple[_Adult, ...]], ...] = (
    (0.54, (_MOTHER, _FATHER)),
    (0.78, (_MOTHER, _APART)),
    (0.92, (_ALONE,)),
    (0.94, (_CARER, _WELFARE)),
    (0.955, (_TUTOR,)),
    (0.975, (_GRANDPARENT, _FAR_MOTHER)),
    (1.0, ()),
)


def households(layout: Layout) -> Iterator[Household]:
    """All households of a region, one after the other."""
    seats, taken, number = layout.seats, 0, 0
    while taken < len(seats):
        chance = layout.plan.chance("household", number)
        roll = chance.random()
        size = 1 if roll < 0.72 else 2 if roll < 0.94 else 3 if roll < 0.99 else 4
        own = seats[taken : taken + size]
        yield household(layout, number, taken, own, chance)
        taken += len(own)
        number += 1


def household(layout: Layout, number: int, first_pupil: int, seats: Sequence[int], chance: Chance) -> Household:
    """One household whose children sit on `seats` and are counted from `first_pupil`."""
    plan = layout.plan
    town = layout.classes[seats[0]].school.place.town
    dwelling = people.home(chance, town)
    adults = _adults(chance)
    family = people.family_name(chance)
    keys = [FIRST_GUARDIAN[plan.degree] + number * _ROOM_OF_HOUSEHOLD + place for place in range(len(adults))]
    pupil_keys = tuple(FIRST_PUPIL[plan.degree] + first_pupil + place for place in range(len(seats)))
    guardians = tuple(
        _guardian(chance, key, adult, family=family, dwelling=dwelling, pupils=pupil_keys)
        for key, adult in zip(keys, adults, strict=True)
    )
    links = tuple(Link(key, adult.kind, adult.flags) for key, adult in zip(keys, adults, strict=True))
    home_of = next((key for key, adult in zip(keys, adults, strict=True) if adult.together), None)
    births: dict[int, str] = {}
    pupils = tuple(
        _pupil(
            chance,
            layout,
            key=key,
            ine=ine(plan, number * _ROOM_OF_HOUSEHOLD + place),
            seat=seat,
            family=family,
            dwelling=dwelling,
            home_of=home_of,
            links=links,
            births=births,
        )
        for place, (key, seat) in enumerate(zip(pupil_keys, seats, strict=True))
    )
    return Household(number=number, pupils=pupils, guardians=guardians)


def ine(plan: Plan, number: int) -> str:
    """A national pupil number: nine digits, single in its feed, and two letters that no other feed of a region has."""
    digest = sha256(f"{plan.academy}/{plan.degree}".encode()).digest()
    start = int.from_bytes(sha256(f"{plan.seed}".encode()).digest()[:4], "big")
    half = 0 if plan.degree is Degree.SECOND else 13
    letters = chr(ord("A") + half + digest[0] % 13) + chr(ord("A") + digest[1] % 26)
    return f"{(start + number * 7919) % 1_000_000_000:09d}{letters}"


def _adults(chance: Chance) -> tuple[_Adult, ...]:
    roll = chance.random()
    adults = next(adults for upto, adults in _COMPOSITIONS if roll < upto)
    if adults and chance.often(0.36):
        contact = chance.pick(_CONTACTS)
        return (*adults, contact._replace(title=people.any_title(chance)))
    return adults


def _guardian(
    chance: Chance, key: int, adult: _Adult, *, family: str, dwelling: Home, pupils: tuple[int, ...]
) -> Guardian:
    name = people.adult(chance, adult.title, family if adult.kind == "10" and adult.together else None)
    if adult.kind == "20":
        name = replace(name, family=family, birth=family)
    if chance.often(0.02):
        name = replace(name, title="")
    cell = people.mobile(chance) if chance.often(0.97) else ""
    return Guardian(
        key=key,
        name=name,
        home=dwelling if adult.together else people.home(chance, dwelling.town),
        home_phone=people.landline(chance) if chance.often(0.35) else "",
        work_phone=people.landline(chance) if chance.often(0.2) else "",
        mobiles=(cell, people.mobile(chance)) if cell and chance.often(0.03) else (cell,) if cell else (),
        text_mobile=cell if chance.often(0.17) else "",
        mail=people.mailbox(name, key % 100_000, "example.org") if chance.often(0.51) else "",
        diffusion=chance.often(0.5),
        pupils=pupils,
    )


def _pupil(
    chance: Chance,
    layout: Layout,
    *,
    key: int,
    ine: str,
    seat: int,
    family: str,
    dwelling: Home,
    home_of: int | None,
    links: tuple[Link, ...],
    births: dict[int, str],
) -> Pupil:
    own = layout.classes[seat]
    name = people.child(chance, family)
    birth = _birth(chance, own.level, births)
    last_year = own.level.label.startswith("TERMINALE")
    if last_year and chance.often(0.04):
        birth = people.birth_date(chance, own.level.born - 2)
        links = (Link(key, "70", "1$1$1$1"), *(Link(link.guardian, link.kind, "0$0$1$0") for link in links))
    elif links and chance.often(0.002):
        links = (*links, Link(links[0].guardian, links[0].kind, "0$0$0$0"))
    groups = layout.groups[own.school.key]
    joined = tuple(number for number, group in enumerate(groups) if own.code in group.classes)
    return Pupil(
        key=key,
        ine=ine if chance.often(0.995) else "",
        name=name,
        birth=birth,
        home=dwelling,
        home_of=home_of,
        links=links,
        place=seat,
        second_place=chance.below(len(layout.classes)) if chance.often(0.003) else None,
        groups=joined[:1] if chance.often(0.25) else (),
        regime=chance.pick(_REGIMES),
        transport=chance.often(0.2),
        scholarship=chance.often(0.25),
    )


def _birth(chance: Chance, level: Level, births: dict[int, str]) -> str:
    """Children of one household and one year are twins."""
    year = level.born - 1 if chance.often(0.08) else level.born
    return births.setdefault(year, people.birth_date(chance, year))
