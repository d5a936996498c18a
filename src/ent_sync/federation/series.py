"""The ticks of one service over some time, and the rhythm in which its samples came: what every level is told from.

A sample counts for so long as its rhythm says. That is the configured cadence, unless the samples of a day themselves
come in the other of the two cadences: a series of one sample a minute around the clock is judged as what it is.
"""

from __future__ import annotations

import bisect
import datetime as dt
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from ent_sync.core.levels.availability import HOLD, Stretch, stretches
from ent_sync.core.levels.calendar import SchoolHours
from ent_sync.core.levels.samples import Cause, Sample, Tick, ticks
from ent_sync.core.levels.spans import Span
from ent_sync.store import samples

_DAY = dt.timedelta(days=1)
_JITTER = 1.25
"""Samples come a little late now and then: so much longer than a cadence is still that cadence."""
AFTERWARDS = dt.timedelta(days=2)
"""So long after a window it is looked when an outage that began in it ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """The two configured cadences, and the hours in which the first is due. `vantages`: how many are configured."""

    school: dt.timedelta
    off: dt.timedelta
    hours: SchoolHours
    vantages: int = 1


class Pace:
    """How long the cadence was at each moment of some time: by day, in school hours and outside."""

    def __init__(self, rhythm: Rhythm, time: Span, seen: Iterable[Sample]) -> None:
        self._rhythm = rhythm
        within = rhythm.hours.within(time)
        self._starts = [each.start.timestamp() for each in within]
        self._ends = [each.end.timestamp() for each in within]
        self._paces = self._seen(seen)
        self._since = self._until = dt.datetime.min.replace(tzinfo=dt.UTC)
        self._here = rhythm.off

    def __call__(self, moment: dt.datetime) -> dt.timedelta:
        """The cadence at a moment."""
        if not self._since <= moment < self._until:
            self._move_to(moment)
        return self._here

    def _move_to(self, moment: dt.datetime) -> None:
        """Remember the stretch of one cadence around a moment: whoever asks mostly asks on."""
        second = moment.timestamp()
        day = int(second // 86400)
        place = bisect.bisect_right(self._starts, second) - 1
        school = place >= 0 and second < self._ends[place]
        begins, ends = day * 86400.0, (day + 1) * 86400.0
        if school:
            begins, ends = max(begins, self._starts[place]), min(ends, self._ends[place])
        else:
            begins = max(begins, self._ends[place]) if place >= 0 else begins
            ends = min(ends, self._starts[place + 1]) if place + 1 < len(self._starts) else ends
        self._since, self._until = (dt.datetime.fromtimestamp(each, dt.UTC) for each in (begins, ends))
        self._here = self._paces.get((day, school)) or self._configured(school=school)

    def _configured(self, *, school: bool) -> dt.timedelta:
        return self._rhythm.school if school else self._rhythm.off

    def _in_school(self, second: float) -> bool:
        place = bisect.bisect_right(self._starts, second) - 1
        return place >= 0 and second < self._ends[place]

    def _seen(self, seen: Iterable[Sample]) -> dict[tuple[int, bool], dt.timedelta]:
        """The cadence of the two that fits what came, by day; where it is slower than both, the configured one."""
        last: dict[str, tuple[float, int, bool]] = {}
        gaps: dict[tuple[int, bool], list[float]] = {}
        for each in seen:
            second = each.time.timestamp()
            here = (int(second // 86400), self._in_school(second))
            before = last.get(each.vantage)
            if before is not None and before[1:] == here and second > before[0]:
                gaps.setdefault(here, []).append(second - before[0])
            last[each.vantage] = (second, *here)
        cadences = sorted({self._rhythm.school, self._rhythm.off})
        found = {}
        for here, lengths in gaps.items():
            usual = statistics.median(lengths)
            fit = (each for each in cadences if usual <= _JITTER * each.total_seconds())
            found[here] = next(fit, self._configured(school=here[1]))
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """The ticks of one service around a window, what they cover, and in which rhythm they came.

    `causes` counts why samples of the window failed.
    """

    service: str
    window: Span
    ticks: tuple[Tick, ...]
    covered: tuple[Stretch, ...]
    pace: Pace
    causes: Mapping[Cause, int]


def series(connection: sa.Connection, service: str, window: Span, rhythm: Rhythm) -> Series:
    """What is stored of a service in a window and around it.

    Days are read whole, so that a part of a day is judged like the whole of it. Several vantage points: as many as are
    configured, or as were seen in the window where these are more.
    """
    # The widest time that may matter: the days that the window touches, what still counts before, what ends after.
    around = Span(_midnight(window.start), _midnight(window.end + _DAY) + AFTERWARDS)
    hold = HOLD * max(rhythm.school, rhythm.off)
    seen = list(samples.of(connection, service, around, hold=hold))
    return of_samples(service, window, seen, rhythm)


def of_samples(service: str, window: Span, seen: Sequence[Sample], rhythm: Rhythm) -> Series:
    """The same from samples, in order, that are at hand."""
    time = window
    if seen:
        time = Span(min(window.start, seen[0].time), max(window.end, seen[-1].time) + _DAY)
    pace = Pace(rhythm, time, seen)
    places = {each.vantage for each in seen if window.holds(each.time)}
    found = ticks(seen, max(rhythm.vantages, len(places)), pace)
    return Series(
        service=service,
        window=window,
        ticks=found,
        covered=joined(stretches(found, pace)),
        pace=pace,
        causes=Counter(each.cause for each in seen if each.cause is not None and window.holds(each.time)),
    )


def joined(covered: Iterable[Stretch]) -> tuple[Stretch, ...]:
    """The same time with touching stretches of one result as one: some hundreds instead of a hundred thousand."""
    found: list[Stretch] = []
    for each in covered:
        if found and found[-1].result is each.result and found[-1].span.end == each.span.start:
            found[-1] = Stretch(Span(found[-1].span.start, each.span.end), each.result)
        else:
            found.append(each)
    return tuple(found)


def _midnight(moment: dt.datetime) -> dt.datetime:
    return moment.astimezone(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
