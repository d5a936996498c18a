"""What happens to a region between two deliveries: arrivals, departures, moves, corrections.

Every change is of one household or one member of staff, decided by the plan and the shares alone; a complete delivery
and a delta tell the same changes, so that they lead to the same people.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ent_sync.synth import people
from ent_sync.synth.chance import Chance
from ent_sync.synth.households import FIRST_PUPIL, Guardian, Household, Link, Pupil, household, ine
from ent_sync.synth.schools import Layout
from ent_sync.synth.staff import Staff, moved_to_another_class

# The numbers of those who arrive stay clear of the base region's.
_LATER = 500_000_000
_KINDS = ("phone", "class", "name", "mail", "school", "teacher", "address", "regime")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """How much happens, in percent of the pupils."""

    arrivals: float = 0.0
    leavers: float = 0.0
    changes: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Who is concerned. Pupils are named by key; `teachers` by school and place among its teachers."""

    layout: Layout
    leavers: frozenset[int]
    changed: dict[int, str]
    teachers: dict[int, int]
    hosts: dict[int, int]
    newcomers: int

    def of_household(self, base: Household) -> Household:
        """The same household afterwards; itself when nothing happens to it, without pupils when it left."""
        after = base
        for pupil in base.pupils:
            if kind := self.changed.get(pupil.key):
                after = _changed(after, pupil.key, kind, self.layout)
        for pupil in base.pupils:
            if (number := self.hosts.get(pupil.key)) is not None:
                after = _joined(after, pupil.key, number, self.layout)
        left = self.leavers.intersection(pupil.key for pupil in base.pupils)
        return without(after, left) if left else after

    def of_staff(self, school: int, base: tuple[Staff, ...]) -> tuple[Staff, ...]:
        """The staff of a school afterwards."""
        place = self.teachers.get(school)
        teaching = [number for number, one in enumerate(base) if one.corps]
        if place is None or not teaching:
            return base
        chosen = teaching[-1 - place % len(teaching)]
        changed = moved_to_another_class(base[chosen], self.layout, self.layout.plan.chance("teacher", school))
        return (*base[:chosen], changed, *base[chosen + 1 :])

    def new_households(self) -> Iterator[Household]:
        """Those who arrive with their own guardians."""
        layout = self.layout
        for number in range(len(self.hosts), len(self.hosts) + self.newcomers):
            chance = layout.plan.chance("newcomer", number)
            seat = chance.below(len(layout.classes))
            # One household has room for 8 numbers of guardians; no region has more households than pupils.
            yield household(layout, len(layout.seats) + number, len(layout.seats) + number, [seat], chance)


def decide(layout: Layout, shares: Shares) -> Changes:
    """Who arrives, leaves and changes: the more of each, the same ones first."""
    pupils = len(layout.seats)
    first = FIRST_PUPIL[layout.plan.degree]
    arrivals, leavers, changes = (_count(pupils, share) for share in (shares.arrivals, shares.leavers, shares.changes))
    order: list[int] = []
    if arrivals or leavers or changes:
        order = list(range(pupils))
        layout.plan.chance("order").shuffle(order)
    leaving = order[:leavers]
    staying = order[leavers:]
    changing = staying[::-1][:changes]
    hosting = staying[: arrivals // 4]
    changed: dict[int, str] = {}
    teachers: dict[int, int] = {}
    for rank, pupil in enumerate(changing):
        kind = _KINDS[rank % len(_KINDS)]
        if kind == "teacher":
            teachers.setdefault(layout.classes[layout.seats[pupil]].school.key, pupil)
        else:
            changed[first + pupil] = kind
    return Changes(
        layout=layout,
        leavers=frozenset(first + pupil for pupil in leaving),
        changed=changed,
        teachers=teachers,
        hosts={first + pupil: number for number, pupil in enumerate(hosting)},
        newcomers=arrivals - len(hosting),
    )


def _count(pupils: int, share: float) -> int:
    """A share that is not nothing is at least one pupil, where there is one."""
    return min(pupils, max(1, round(pupils * share / 100))) if share > 0 else 0


def without(base: Household, left: frozenset[int] | set[int]) -> Household:
    """The household when those pupils are gone; adults whom no pupil keeps are gone too."""
    guardians = (
        replace(adult, pupils=tuple(key for key in adult.pupils if key not in left)) for adult in base.guardians
    )
    return Household(
        number=base.number,
        pupils=tuple(pupil for pupil in base.pupils if pupil.key not in left),
        guardians=tuple(adult for adult in guardians if adult.pupils),
    )


def _with_pupil(base: Household, pupil: Pupil) -> Household:
    return replace(base, pupils=tuple(pupil if one.key == pupil.key else one for one in base.pupils))


def _with_guardian(base: Household, guardian: Guardian) -> Household:
    return replace(base, guardians=tuple(guardian if one.key == guardian.key else one for one in base.guardians))


def _changed(base: Household, key: int, kind: str, layout: Layout) -> Household:
    chance = layout.plan.chance("change", key)
    pupil = next(one for one in base.pupils if one.key == key)
    if kind in {"class", "school"}:
        return _moved(base, pupil, chance, layout, elsewhere=kind == "school")
    if kind == "name":
        corrected = replace(pupil.name, given=people.given_name(chance, pupil.name.title) + "-Alix")
        return _with_pupil(base, replace(pupil, name=corrected))
    if kind == "address":
        return _rehoused(base, pupil, chance)
    if kind in {"phone", "mail"} and base.guardians:
        adult = base.guardians[0]
        if kind == "phone":
            return _with_guardian(base, replace(adult, mobiles=(people.mobile(chance), *adult.mobiles)))
        return _with_guardian(base, replace(adult, mail=f"nouveau.{people.mailbox(adult.name, key, 'example.org')}"))
    return _with_pupil(base, replace(pupil, transport=not pupil.transport))


def _moved(base: Household, pupil: Pupil, chance: Chance, layout: Layout, *, elsewhere: bool) -> Household:
    own = layout.classes[pupil.place]
    schools = [other.key for other in layout.schools if other.key != own.school.key] if elsewhere else [own.school.key]
    chance.shuffle(schools)
    for same_level in (True, False):
        for school in schools:
            free = [
                number
                for number in layout.by_school[school]
                if number != pupil.place and (layout.classes[number].level is own.level or not same_level)
            ]
            if free:
                return _with_pupil(base, replace(pupil, place=chance.pick(free), groups=()))
    return _with_pupil(base, replace(pupil, transport=not pupil.transport))


def _rehoused(base: Household, pupil: Pupil, chance: Chance) -> Household:
    """All who live at one address move together."""
    before, after = pupil.home, people.home(chance, pupil.home.town)
    return replace(
        base,
        pupils=tuple(replace(one, home=after) if one.home is before else one for one in base.pupils),
        guardians=tuple(replace(one, home=after) if one.home is before else one for one in base.guardians),
    )


def _joined(base: Household, host: int, number: int, layout: Layout) -> Household:
    """A brother or sister of `host` arrives, with the same guardians."""
    chance = layout.plan.chance("joiner", number)
    sibling = next(one for one in base.pupils if one.key == host)
    seat = chance.below(len(layout.classes))
    key = FIRST_PUPIL[layout.plan.degree] + len(layout.seats) + number
    links = tuple(link for link in sibling.links if link.guardian != host)
    joined = replace(
        sibling,
        key=key,
        ine=ine(layout.plan, _LATER + number),
        name=people.child(chance, sibling.name.family),
        birth=people.birth_date(chance, layout.classes[seat].level.born),
        links=tuple(dict.fromkeys(Link(*link) for link in links)),
        place=seat,
        second_place=None,
        groups=(),
    )
    linked = {link.guardian for link in links}
    guardians = tuple(
        replace(adult, pupils=(*adult.pupils, key)) if adult.key in linked else adult for adult in base.guardians
    )
    return Household(number=base.number, pupils=(*base.pupils, joined), guardians=guardians)
