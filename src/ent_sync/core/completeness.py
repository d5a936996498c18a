"""From what readers observed to the one verdict on which absences rest (contract, rule 2).

Readers report `Evidence`: facts, no judgement. `prove` is the only place where a delivery is called complete, and a
`Complete` is the only thing that `Absence` can be made from: an incomplete read cannot take anybody away, by type.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ent_sync.core.errors import Problem, Where
from ent_sync.core.record import Population


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a delivery as its name announces it: series (project and kind), number within the series."""

    file: str
    series: str
    number: int
    population: Population | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What a source has to give at one moment, whole. Deliveries of a source are ordered by `date`.

    `id` names it for people; `signature` changes when its files do. `place` is the source's own way to find it again.
    `size` is in bytes. A `live` one is an answer to a question that was asked now: newer than all before, never kept.
    """

    id: str
    source: str
    complete: bool
    date: dt.date
    signature: str
    place: str
    parts: tuple[Part, ...]
    size: int
    problems: tuple[Problem, ...] = ()
    live: bool = False


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a reader saw of one part that it read to its end.

    `keyless` counts records without a readable key, by population: whoever they are, they must not be taken for absent.
    `unknown` counts the attributes that no version of the format has, by name: they are ignored. `whole` says of a part
    of a delta that it named every record that is there, changed or not: then even a delta proves absences.
    `cursor` is where the next delta of this part begins, `changed` when the oldest change in it was made.
    """

    file: str
    records: Mapping[Population, int]
    keyless: Mapping[Population, int] = field(default_factory=dict)
    unknown: Mapping[str, int] = field(default_factory=dict)
    whole: bool = False
    cursor: str | None = None
    changed: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class LinkCount:
    """How many links between pupils and guardians a delivery holds, and how many of them lead nowhere."""

    links: int
    dangling: int


@dataclass(frozen=True, slots=True)
class Complete:
    """A proof that a delivery is all that the source holds. Only `prove` makes one.

    Of the populations in `exempt` nobody is absent: one of their records has no readable key, or only what changed of
    them was told.
    """

    source: str
    delivery: str
    date: dt.date
    records: Mapping[Population, int]
    exempt: frozenset[Population]

    def absence(self, left_on: dt.date) -> Absence:
        """What may be said of a known person whom the delivery does not hold; of nobody of an `exempt` population."""
        return Absence(self.source, self.delivery, left_on)


@dataclass(frozen=True, slots=True)
class Incomplete:
    """Why a delivery cannot be used; `observed` is what `limit` was exceeded by, for the first reason."""

    reasons: tuple[Problem, ...]
    observed: float
    limit: float


@dataclass(frozen=True, slots=True)
class Absence:
    """A known person whom a complete delivery does not hold. Only a `Complete` makes one, or a row that one left."""

    source: str
    delivery: str
    left_on: dt.date


_NEEDED = (Population.SCHOOL, Population.PUPIL, Population.GUARDIAN, Population.STAFF)


def prove(
    delivery: Delivery, evidence: Sequence[Evidence], unread: Sequence[Problem], links: LinkCount, dangling_limit: float
) -> Complete | Incomplete:
    """The verdict over a complete delivery, or over a delta as far as it named all that is there.

    `unread` are the parts that could not be read to their last tag. A delivery is incomplete when a part is unread or
    missing from its numbering, a population is missing, or too many guardian links lead nowhere.
    """
    records = {population: sum(each.records.get(population, 0) for each in evidence) for population in Population}
    whole = frozenset(_NEEDED) if delivery.complete else whole_populations(delivery, evidence)
    if not whole:
        raise ValueError("a delta that names only what changed proves nothing; nobody is absent from it")
    reasons = [*delivery.problems, *unread, *missing_parts(delivery)]
    if not unread:
        reasons += _without_evidence(delivery, evidence)
        reasons += [
            Problem(
                Where(delivery.id),
                "population-missing",
                f"holds no {population} record; a complete delivery has schools, pupils, guardians and staff. "
                "Ask the academy for the whole delivery",
            )
            for population in _NEEDED
            if population in whole and not records[population]
        ]
    if reasons:
        return Incomplete(tuple(reasons), float(len(reasons)), 0.0)
    share = links.dangling / links.links if links.links else 0.0
    if share > dangling_limit:
        reason = Problem(
            Where(delivery.id),
            "dangling-links",
            f"{links.dangling} of {links.links} guardian links lead to nobody ({share:.1%}, limit "
            f"{dangling_limit:.1%}): part of the people is missing. Ask the academy for the whole delivery",
        )
        return Incomplete((reason,), share, dangling_limit)
    keyless = frozenset(population for each in evidence for population, count in each.keyless.items() if count)
    exempt = keyless | (frozenset(Population) - whole)
    return Complete(delivery.source, delivery.id, delivery.date, records, exempt)


def whole_populations(delivery: Delivery, evidence: Sequence[Evidence]) -> frozenset[Population]:
    """The populations of which every part of a delta named every record that is there."""
    whole = {each.file for each in evidence if each.whole}
    parts = [part for part in delivery.parts if part.population is not None]
    told = {part.population for part in parts if part.population is not None}
    return frozenset(told - {part.population for part in parts if part.file not in whole})


def _without_evidence(delivery: Delivery, evidence: Sequence[Evidence]) -> Iterator[Problem]:
    """Parts of which nobody says that they were read to their end, nor why they were not: a silence proves nothing."""
    read = {each.file for each in evidence}
    for part in delivery.parts:
        if part.file not in read:
            yield Problem(
                Where(part.file),
                "part-unread",
                "was not read to its end. Run `ent-sync sync` again; if it stays so, ask the academy for the file",
            )


def missing_parts(delivery: Delivery) -> Iterator[Problem]:
    """Numbers that a series lacks up to its last; a delivery counts from 0, or from 1 if nothing in it has 0."""
    series: dict[str, set[int]] = {}
    for part in delivery.parts:
        series.setdefault(part.series, set()).add(part.number)
    start = 0 if any(0 in numbers for numbers in series.values()) else 1
    for name, numbers in sorted(series.items()):
        for missing in sorted(set(range(start, max(numbers) + 1)) - numbers):
            yield Problem(
                Where(delivery.id),
                "part-missing",
                f"part {missing:04d} of {name} is missing (parts go up to {max(numbers):04d}). "
                "Ask the academy for the file, or wait for the next complete delivery",
            )


WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def promised_between(after: dt.date, until: dt.date, weekdays: Collection[str]) -> list[dt.date]:
    """The days on which a source promised a delivery, strictly between two (contract, rule 3); a year at most."""
    days = min((until - after).days - 1, 366)
    between = (until - dt.timedelta(days=back) for back in range(days, 0, -1))
    return [day for day in between if WEEKDAYS[day.weekday()] in weekdays]
