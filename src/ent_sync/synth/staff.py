"""Invents those who work in schools: teachers with their classes, heads, school life, and everyone else.

Told school by school, so that a region streams. Some work in several schools, some in none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count

from ent_sync.core.record import Degree
from ent_sync.synth import nomenclature as known
from ent_sync.synth import people
from ent_sync.synth.chance import Chance
from ent_sync.synth.nomenclature import Subject
from ent_sync.synth.people import Name
from ent_sync.synth.schools import Layout, School

FIRST_STAFF = {Degree.SECOND: 3_000_000, Degree.FIRST: 6_000_000}
FIRST_SHARED = 9_000_000
"""Those who appear in both feeds of an academy have keys of their own range."""
_WORDS = {subject.code: subject for subject in known.SUBJECTS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Teaching:
    """A subject taught to a class or group, by its code in that school."""

    school: int
    code: str
    subject: str


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Staff:
    """Someone who works in a school; `functions` are values of five sub-fields as the format has them.

    `corps` says that he belongs to a teaching corps, `oddly_written` that his record has the rare shapes of real ones.
    """

    key: int
    name: Name
    birth: str
    mail: str
    attached: int | None
    functions: tuple[str, ...]
    corps: bool
    subject: Subject | None = None
    classes: tuple[Teaching, ...] = ()
    groups: tuple[Teaching, ...] = ()
    head_of: tuple[tuple[int, str], ...] = ()
    heads: tuple[int, ...] = ()
    oddly_written: bool = False


def staff(layout: Layout) -> Iterator[tuple[School, tuple[Staff, ...]]]:
    """The staff of a region, structure by structure; each is told once, with the first school he works in."""
    keys = count(FIRST_STAFF[layout.plan.degree])
    sizes = _sizes(layout)
    second = layout.plan.degree is Degree.SECOND
    for place, school in enumerate(layout.schools):
        chance = layout.plan.chance("staff", school.key)
        make = _Maker(layout, school, chance, keys)
        told = _of_second(make, place, sizes[school.key]) if second else _of_first(make, place, sizes[school.key])
        yield school, tuple(told)
    for school in layout.services:
        make = _Maker(layout, school, layout.plan.chance("staff", school.key), keys)
        yield school, tuple(make.one(f"{school.key}$ADF$PERSONNELS ADMINISTRATIFS$-$SANS OBJET") for _ in range(2))
    yield layout.schools[0], tuple(_shared(layout))


def _sizes(layout: Layout) -> dict[int, int]:
    sizes = dict.fromkeys((school.key for school in layout.schools), 0)
    for seat in layout.seats:
        sizes[layout.classes[seat].school.key] += 1
    return sizes


class _Maker:
    """Makes people of one school."""

    def __init__(self, layout: Layout, school: School, chance: Chance, keys: Iterator[int]) -> None:
        self.layout, self.school, self.chance, self._keys = layout, school, chance, keys

    def one(self, *functions: str, corps: bool = False, subject: Subject | None = None) -> Staff:
        chance, key = self.chance, next(self._keys)
        name = _name(chance)
        attached = None if chance.often(0.2) else self.school.key
        if chance.often(0.04):
            attached = chance.pick(self.layout.schools).key
        return Staff(
            key=key,
            name=name,
            birth=people.birth_date(chance, known.SCHOOL_YEAR - 24 - chance.below(40)),
            mail=_mail(name, key, self.layout.plan.academy),
            attached=attached,
            functions=functions,
            corps=corps,
            subject=subject,
            oddly_written=chance.often(0.01),
        )


def _name(chance: Chance) -> Name:
    title = people.any_title(chance)
    name = people.adult(chance, title, people.family_name(chance) if chance.often(0.2) else None)
    given = name.given.upper()
    return replace(name, given=given, others=(given,))


def _mail(name: Name, key: int, academy: str) -> str:
    return people.mailbox(name, key % 100_000, f"ac-{academy.lower()}.example.org")


def _of_second(make: _Maker, place: int, size: int) -> Iterator[Staff]:
    school, chance = make.school, make.chance
    at = f"{school.key}$"
    yield make.one(at + known.HEAD)
    for _ in range(1 + size // 500):
        yield make.one(at + known.DEPUTY, corps=chance.often(0.5))
    for _ in range(1 + size // 250):
        yield make.one(at + known.CPE)
    yield make.one(at + known.LIBRARIAN, corps=True)
    for share, function in known.SCHOOL_STAFF:
        for _ in range(round(size * share / 100)):
            yield make.one(at + function)
    if place % 4 == 0:
        several = make.layout.schools[place : place + 4]
        yield make.one(*(f"{other.key}${known.COUNSELLOR}" for other in several))
    if place % 3 == 0 or size > 400:
        yield make.one(f"{at}{known.NOTHING}")
    yield from _teachers(make, place, size)


def _teachers(make: _Maker, place: int, size: int) -> Iterator[Staff]:
    """Everyone in a class is taught every subject, each by one teacher; each class has one head teacher."""
    layout, school, chance = make.layout, make.school, make.chance
    weighted = [subject for subject in known.SUBJECTS for _ in range(subject.share)]
    wanted = max(len(known.SUBJECTS), round(size * 0.108))
    team = [
        make.one(f"{school.key}$ENS$ENSEIGNEMENT DEVANT ELEVES${subject.speciality}", corps=True, subject=subject)
        for subject in (*known.SUBJECTS, *(chance.pick(weighted) for _ in range(wanted - len(known.SUBJECTS))))
    ]
    classes: list[list[Teaching]] = [[] for _ in team]
    groups: list[list[Teaching]] = [[] for _ in team]
    head_of: list[list[tuple[int, str]]] = [[] for _ in team]
    by_subject = {
        subject.code: [n for n, one in enumerate(team) if one.subject is subject] for subject in known.SUBJECTS
    }
    for turn, number in enumerate(layout.by_school[school.key]):
        code = layout.classes[number].code
        taught_by = [colleagues[turn % len(colleagues)] for colleagues in by_subject.values()]
        for teacher, subject in zip(taught_by, by_subject, strict=True):
            classes[teacher].append(Teaching(school=school.key, code=code, subject=subject))
        head_of[taught_by[turn % len(taught_by)]].append((school.key, code))
    for turn, group in enumerate(layout.groups[school.key]):
        colleagues = by_subject["030201"]
        groups[colleagues[turn % len(colleagues)]].append(
            Teaching(school=school.key, code=group.code, subject=known.LOCAL_SUBJECT if turn % 40 == 7 else "030201")
        )
    for one, own, own_groups, own_heads in zip(team, classes, groups, head_of, strict=True):
        told = replace(one, classes=tuple(own), groups=tuple(own_groups), head_of=tuple(own_heads))
        yield _also_elsewhere(make, place, told) if chance.often(0.08) else told


def _also_elsewhere(make: _Maker, place: int, one: Staff) -> Staff:
    """The same teacher, who completes his hours in another school."""
    layout, chance = make.layout, make.chance
    schools = len(layout.schools)
    other = layout.schools[(place + 1 + chance.below(schools - 1)) % schools]
    subject = one.subject or known.SUBJECTS[0]
    code = layout.classes[chance.pick(layout.by_school[other.key])].code
    return replace(
        one,
        functions=(*one.functions, f"{other.key}$ENS$ENSEIGNEMENT DEVANT ELEVES${subject.speciality}"),
        classes=(*one.classes, Teaching(school=other.key, code=code, subject=subject.code)),
    )


def _of_first(make: _Maker, place: int, size: int) -> Iterator[Staff]:
    """The feed of the first degree does not say who teaches which class (aaf.md §8)."""
    school, chance, schools = make.school, make.chance, make.layout.schools
    at = f"{school.key}$"
    head = make.one(at + "ENS$ENSEIGNEMENT$D0000$DIRECTION", corps=True)
    yield replace(head, heads=(school.key,))
    for _ in range(max(1, round(size * 0.075))):
        other = schools[(place + 1) % len(schools)]
        places = (school, other) if chance.often(0.06) else (school,)
        corps = chance.pick(("G0000$SANS SPECIALITE", "G0000$SANS SPECIALITE", "G0145$OPTION D"))
        yield make.one(*(f"{one.key}$ENS$ENSEIGNEMENT${corps}" for one in places), corps=True)
    for _ in range(round(size * 0.05)):
        yield make.one(at + "AES$ACCOMPAGNANT DES ELEVES EN SITUATION DE HANDICAP$-$SANS OBJET")
    if place % 5 == 0:
        yield make.one(at + "ACS$INTERVENANT EXTERIEUR$-$SANS OBJET")
        yield make.one(at + known.NOTHING)


def _shared(layout: Layout) -> Iterator[Staff]:
    """Those who work in both degrees: the same key and person in both feeds of a seed, each with its own schools."""
    plan = layout.plan
    speciality = "L1300$MATHEMATIQUES" if plan.degree is Degree.SECOND else "G0170$SEGPA"
    for number in range(3):
        chance = Chance.of(plan.seed, plan.academy, "both degrees", number)
        name = _name(chance)
        birth = people.birth_date(chance, known.SCHOOL_YEAR - 30 - chance.below(25))
        school = layout.schools[number % len(layout.schools)]
        yield Staff(
            key=FIRST_SHARED + number,
            name=name,
            birth=birth,
            mail=_mail(name, FIRST_SHARED + number, plan.academy),
            attached=school.key,
            functions=(f"{school.key}$ENS$ENSEIGNEMENT${speciality}",),
            corps=True,
            subject=_WORDS["061300"] if plan.degree is Degree.SECOND else None,
        )


def moved_to_another_class(one: Staff, layout: Layout, chance: Chance) -> Staff:
    """The same teacher with another class instead of one of his."""
    if not one.classes:
        return replace(one, mail="nouvelle." + one.mail)
    first = one.classes[0]
    codes = [layout.classes[number].code for number in layout.by_school[first.school]]
    free = [code for code in codes if code not in {own.code for own in one.classes}] or codes
    given = replace(first, code=chance.pick(free))
    head_of = tuple(pair for pair in one.head_of if pair != (first.school, first.code))
    return replace(one, classes=(given, *one.classes[1:]), head_of=head_of)
