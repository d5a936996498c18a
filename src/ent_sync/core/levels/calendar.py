"""When schools work: the hours in which a failure of the federation is felt (federation-slo.md §4.3).

Built in the schools' own time zone and told in UTC, so that days of 23 and 25 hours have their true length.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TypeAlias
from zoneinfo import ZoneInfo

from ent_sync.core.levels.spans import Span, common, merged, span

PARIS = ZoneInfo("Europe/Paris")

Days: TypeAlias = tuple[dt.date, dt.date]
"""From a day to the day after the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SchoolHours:
    """The hours of school days. `off` are holidays of the zone, ends exclusive; `weekdays` count from Monday as 0."""

    begins: dt.time
    ends: dt.time
    weekdays: frozenset[int]
    off: Sequence[Days]
    public_holidays: Collection[dt.date]
    zone: ZoneInfo = PARIS

    def is_school_day(self, day: dt.date) -> bool:
        """Whether schools are open."""
        return (
            day.weekday() in self.weekdays
            and day not in self.public_holidays
            and not any(first <= day < after for first, after in self.off)
        )

    def within(self, window: Span) -> tuple[Span, ...]:
        """The school hours of a window."""
        day = window.start.astimezone(self.zone).date()
        last = window.end.astimezone(self.zone).date()
        found = []
        while day <= last:
            if self.is_school_day(day):
                begins = dt.datetime.combine(day, self.begins, self.zone)
                found.append(span(begins, dt.datetime.combine(day, self.ends, self.zone)))
            day += dt.timedelta(days=1)
        return common(found, [window])

    def holds(self, moment: dt.datetime) -> bool:
        """Whether a moment lies in school hours."""
        here = moment.astimezone(self.zone)
        begins, ends = (
            here.replace(hour=each.hour, minute=each.minute, second=each.second, microsecond=0)
            for each in (self.begins, self.ends)
        )
        return self.is_school_day(here.date()) and begins <= here < ends


def month(year: int, number: int, zone: ZoneInfo = PARIS) -> Span:
    """A calendar month."""
    after = dt.date(year + number // 12, number % 12 + 1, 1)
    return between_days(dt.date(year, number, 1), after, zone)


def between_days(first: dt.date, after: dt.date, zone: ZoneInfo = PARIS) -> Span:
    """From the first moment of a day to the first of another."""
    begins = dt.datetime.combine(first, dt.time.min, zone)
    return span(begins, dt.datetime.combine(after, dt.time.min, zone))


def months(window: Span, zone: ZoneInfo = PARIS) -> tuple[Span, ...]:
    """The calendar months that a window touches, in order, whole."""
    first, last = window.start.astimezone(zone), (window.end - dt.timedelta(microseconds=1)).astimezone(zone)
    numbers = range(first.year * 12 + first.month - 1, last.year * 12 + last.month)
    return tuple(month(each // 12, each % 12 + 1, zone) for each in numbers)


# -- agreed maintenance ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintenance:
    """A planned maintenance; `announced` is the last announcement that moved or lengthened it."""

    services: frozenset[str]
    planned: Span
    announced: dt.datetime
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class MaintenanceRules:
    """What makes maintenance agreed: so long a notice, outside school hours, and so much of it in a month at most."""

    notice: dt.timedelta = dt.timedelta(days=7)
    monthly_cap: dt.timedelta = dt.timedelta(hours=4)


def agreed(
    service: str, planned: Sequence[Maintenance], rules: MaintenanceRules, hours: SchoolHours
) -> tuple[Span, ...]:
    """The agreed maintenance of a service (§4.2).

    Windows of a month are taken by their start; the one that crosses the cap is agreed up to that moment.
    """
    fit = merged(
        each.planned
        for each in planned
        if service in each.services
        and not each.cancelled
        and each.announced.astimezone(dt.UTC) <= each.planned.start - rules.notice
        and not hours.within(each.planned)
    )
    found: list[Span] = []
    for whole in months(Span(fit[0].start, fit[-1].end), hours.zone) if fit else ():
        left = rules.monthly_cap
        for each in common(fit, [whole]):
            taken = min(each.end - each.start, left)
            if taken:
                found.append(Span(each.start, each.start + taken))
            left -= taken
    return merged(found)
