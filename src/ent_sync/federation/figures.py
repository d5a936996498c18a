"""The levels of one service over one window: in school hours and overall, with and without agreed maintenance.

Arithmetic is that of `core.levels`; here is only what goes into it. Counts of ticks give intervals and gaps, lengths of
time give availability. Where a service is looked at more often in school hours, each tick weighs as long as its
cadence, so that an interval is around the level that is told.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import product

from ent_sync.core.levels.availability import Availability, Stretch, availability
from ent_sync.core.levels.calendar import SchoolHours, months
from ent_sync.core.levels.gap import Gap, Pairs, gap, pairs
from ent_sync.core.levels.interval import clusters, wilson
from ent_sync.core.levels.outages import Outage, begun_in, mttr, outages
from ent_sync.core.levels.samples import Result, Tick, slot
from ent_sync.core.levels.spans import Span, common, total, without
from ent_sync.core.levels.trend import Verdict, verdict
from ent_sync.federation.series import Series

MOST_UNKNOWN = 0.10
FEWEST_PAIRED = 0.80
RECENT_MONTHS = 3


class Calendar(StrEnum):
    """Which hours count."""

    SCHOOL = "school"
    ALL = "all"


class Planned(StrEnum):
    """What becomes of agreed maintenance: its time is taken out, or counts like any other."""

    EXCLUDED = "excluded"
    INCLUDED = "included"


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One row of a report."""

    calendar: Calendar
    maintenance: Planned
    seconds: Availability
    interval: tuple[float, float] | None
    outages: tuple[Outage, ...]
    mttr: float | None
    gap: Gap | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What levels are taken by: the schools' hours, and the agreed maintenance of each service."""

    hours: SchoolHours
    agreed: Mapping[str, Sequence[Span]] = field(default_factory=dict)

    def time(self, window: Span, calendar: Calendar, maintenance: Planned, service: str) -> tuple[Span, ...]:
        """The time of a window that counts."""
        whole = self.hours.within(window) if calendar is Calendar.SCHOOL else (window,)
        return without(whole, self.agreed.get(service, ())) if maintenance is Planned.EXCLUDED else whole


def levels(seen: Series, reference: Series | None, frame: Frame) -> tuple[Level, ...]:
    """The four levels of a service. `reference` is what it is compared with, over the same window; None for itself."""
    return tuple(
        _level(seen, reference, frame, calendar, maintenance) for calendar in Calendar for maintenance in Planned
    )


def _level(seen: Series, reference: Series | None, frame: Frame, calendar: Calendar, maintenance: Planned) -> Level:
    time = frame.time(seen.window, calendar, maintenance, seen.service)
    excluded = frame.agreed.get(seen.service, ()) if maintenance is Planned.EXCLUDED else ()
    found = [each for each in _outages(seen.covered, excluded) if any(part.holds(each.span.start) for part in time)]
    paired = None
    if reference is not None:
        both = common(time, frame.time(seen.window, calendar, maintenance, reference.service))
        paired = gap(pairs(pairing(seen, reference, both)))
    return Level(
        calendar=calendar,
        maintenance=maintenance,
        seconds=availability(seen.covered, time),
        interval=interval(seen, time),
        outages=tuple(begun_in(found, seen.window)),
        mttr=mttr(found),
        gap=paired,
    )


def _outages(covered: Sequence[Stretch], excluded: Sequence[Span]) -> tuple[Outage, ...]:
    """The outages outside agreed maintenance: one that overruns it begins with its end."""
    if not excluded:
        return outages(covered)
    return outages([Stretch(part, each.result) for each in covered for part in without([each.span], excluded)])


def interval(seen: Series, time: Sequence[Span]) -> tuple[float, float] | None:
    """How sure we may be of the level: Wilson's interval on the effective number of samples (§4.5)."""
    known = [each for each in within(seen.ticks, time) if each.result is not Result.UNKNOWN]
    if not known:
        return None
    weights = [seen.pace(each.time).total_seconds() for each in known]
    up = sum(weight for each, weight in zip(known, weights, strict=True) if each.result is Result.UP)
    return wilson(up / sum(weights), clusters([each.result for each in known]).effective)


def within(found: Sequence[Tick], time: Sequence[Span]) -> list[Tick]:
    """The ticks that lie in some time; both are in order."""
    result = []
    spans = iter(time)
    here = next(spans, None)
    for each in found:
        while here is not None and each.time >= here.end:
            here = next(spans, None)
        if here is None:
            break
        if each.time >= here.start:
            result.append(each)
    return result


def pairing(seen: Series, reference: Series, time: Sequence[Span]) -> list[tuple[Result, Result]]:
    """The results of a service and of the reference in the same repetition of the cadence, in order of time."""
    theirs = {each.time: each.result for each in reference.ticks}
    ours = [(each, theirs.get(each.time)) for each in within(seen.ticks, time)]
    if any(other is None for _, other in ours):  # vantage points of different moments, or one missed a tick
        near = {_slot(seen, reference, each.time): each.result for each in reference.ticks}
        ours = [(each, other or near.get(_slot(seen, reference, each.time))) for each, other in ours]
    return [_PAIRS[each.result, other or Result.UNKNOWN] for each, other in ours]


# The nine that there are, so that years of them are years of references and not of tuples.
_PAIRS = {pair: pair for pair in product(Result, Result)}


def _slot(one: Series, other: Series, moment: dt.datetime) -> tuple[int, float]:
    return slot(moment, max(one.pace(moment), other.pace(moment)))


# -- the trend ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """One month of a service beside the reference, in school hours and without agreed maintenance (§4.7)."""

    span: Span
    index: int
    gap: Gap | None
    results: tuple[tuple[Result, Result], ...]
    unknown: float | None
    paired: float | None

    @property
    def counts(self) -> bool:
        """Whether enough is known of it."""
        known = self.unknown is not None and self.unknown <= MOST_UNKNOWN
        return known and self.gap is not None and self.paired is not None and self.paired >= FEWEST_PAIRED


def whole_months(window: Span, frame: Frame) -> tuple[Span, ...]:
    """The calendar months that are over within a window."""
    return tuple(each for each in months(window, frame.hours.zone) if each.end <= window.end)


def month(whole: Span, seen: Series, reference: Series, frame: Frame) -> Month:
    """One month of series that hold it."""
    time = frame.time(whole, Calendar.SCHOOL, Planned.EXCLUDED, seen.service)
    both = common(time, frame.time(whole, Calendar.SCHOOL, Planned.EXCLUDED, reference.service))
    results = pairing(seen, reference, both)
    found = pairs(results)
    first = whole.start.astimezone(frame.hours.zone)
    return Month(
        span=whole,
        index=first.year * 12 + first.month - 1,
        gap=gap(found),
        results=tuple(results),
        unknown=availability(seen.covered, time).unknown_share if total(time) else None,
        paired=found.number / len(results) if results else None,
    )


def trend(found: Sequence[Month]) -> Verdict:
    """What the months say; those of which too little is known keep their place and do not count."""
    counted = sorted((each for each in found if each.counts), key=lambda each: each.index)
    points = {each.index: 100 * each.gap.point for each in counted if each.gap is not None}
    pooled = gap(pooled_pairs(counted[-RECENT_MONTHS:]))
    return verdict(points, None if pooled is None else (100 * pooled.point, 100 * pooled.low))


def pooled_pairs(found: Sequence[Month]) -> Pairs:
    """The pairs of some months together."""
    return pairs([pair for each in found for pair in each.results])
