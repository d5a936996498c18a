"""The report of a window: the document `ent-sync/levels/1` (contract §6), and what its pages show besides.

Every number is told by `core.levels` from the samples that are stored; nothing is kept of a report.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa

from ent_sync.config.federation import FederationSection
from ent_sync.core.levels.availability import lost_minutes, weighted
from ent_sync.core.levels.calendar import agreed, between_days
from ent_sync.core.levels.calendar import month as calendar_month
from ent_sync.core.levels.samples import Cause, Sample
from ent_sync.core.levels.spans import Span
from ent_sync.core.levels.trend import Verdict
from ent_sync.core.notice.kinds import Kind
from ent_sync.core.notice.maintenance import windows
from ent_sync.federation.exchange import rfc3339
from ent_sync.federation.figures import Calendar, Frame, Level, Month, Planned, levels, month, trend, whole_months
from ent_sync.federation.series import Rhythm, Series, series
from ent_sync.store import notices, samples

SCHEMA = "ent-sync/levels/1"
_YEARS_BACK = 10
"""A trend looks back so many years at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceReport:
    """What is told of one service."""

    name: str
    title: str
    excluded: str | None
    levels: tuple[Level, ...]
    months: tuple[Month, ...]
    trend: Verdict
    causes: Mapping[Cause, int]
    people: int | None = None

    def level(self, calendar: Calendar, maintenance: Planned) -> Level:
        """One of its four rows."""
        return next(each for each in self.levels if (each.calendar, each.maintenance) == (calendar, maintenance))


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What is told of a window."""

    window: Span
    reference: str | None
    services: tuple[ServiceReport, ...]

    def document(self) -> dict[str, object]:
        """`ent-sync/levels/1`."""
        return {
            "schema": SCHEMA,
            "from": rfc3339(self.window.start),
            "to": rfc3339(self.window.end),
            "services": [_row(each, level) for each in self.services for level in each.levels],
        }

    def met(self, calendar: Calendar, maintenance: Planned) -> float | None:
        """The availability that people met, over the services of which it is known how many log in there (§4.4)."""
        people = {each.name: each.people for each in self.services if each.people}
        seen = {each.name: each.level(calendar, maintenance).seconds for each in self.services}
        return weighted(seen, people) if people else None

    def lost(self, service: ServiceReport) -> float | None:
        """Person-minutes of down, all hours and all causes; exposure, not people refused."""
        level = service.level(Calendar.ALL, Planned.INCLUDED)
        return None if service.people is None else lost_minutes(level.seconds, service.people)


def report(
    connection: sa.Connection,
    federation: FederationSection,
    window: Span,
    accounts: Mapping[str, int] | None = None,
) -> Report:
    """The levels of a window. `accounts`: how many active accounts each population has, where it is known."""
    reader = Reader(connection, federation)
    frame = reader.frame(window)
    names = reader.names(window)
    reference = federation.reference if federation.reference in names else None
    seen = {name: reader.series(name, window) for name in names}
    months = reader.months(reference, seen, window, frame) if reference is not None else {}
    found = []
    for name in names:
        section = federation.service(name)
        compared = seen[reference] if reference is not None and name != reference else None
        found.append(
            ServiceReport(
                name=name,
                title=section.title if section is not None and section.title else name,
                excluded=section.excluded if section is not None else None,
                levels=levels(seen[name], compared, frame),
                months=tuple(months.get(name, ())),
                trend=trend(months.get(name, ())),
                causes=dict(sorted(seen[name].causes.items(), key=lambda each: (-each[1], each[0]))),
                people=people(federation, name, accounts),
            )
        )
    return Report(window=window, reference=reference, services=tuple(found))


def people(federation: FederationSection, service: str, accounts: Mapping[str, int] | None) -> int | None:
    """How many people log in at a service; None where its populations are not configured."""
    section = federation.service(service)
    if accounts is None or section is None or not section.populations:
        return None
    return sum(accounts.get(each, 0) for each in section.populations)


@dataclass(slots=True)
class Reader:
    """Reads series and maintenance of one configuration."""

    connection: sa.Connection
    federation: FederationSection
    _rhythms: dict[int, Rhythm] = field(default_factory=dict, init=False)

    def names(self, window: Span) -> tuple[str, ...]:
        """The services that are configured, in their order, and others of which there are samples in a window."""
        configured = [each.name for each in self.federation.services]
        others = [
            each for each in samples.services(self.connection) if each not in configured and self._any(each, window)
        ]
        return (*configured, *others)

    def _any(self, service: str, window: Span) -> bool:
        return next(samples.of(self.connection, service, window, hold=dt.timedelta()), None) is not None

    def rhythm(self, window: Span) -> Rhythm:
        """The cadences and the school hours, with the holidays of all years that may matter for a window."""
        if (last := window.end.year + 1) not in self._rhythms:
            cadence = self.federation.probing.cadence
            self._rhythms[last] = Rhythm(
                school=cadence.school,
                off=cadence.off,
                hours=self.federation.calendar.school_hours(range(window.start.year - _YEARS_BACK - 1, last + 1)),
                vantages=self.federation.vantages,
            )
        return self._rhythms[last]

    def series(self, service: str, window: Span) -> Series:
        """What is stored of a service."""
        return series(self.connection, service, window, self.rhythm(window))

    def frame(self, window: Span) -> Frame:
        """School hours, and the agreed maintenance of every service that ever had some."""
        hours = self.rhythm(window).hours
        planned = windows(notices.listed(self.connection, kinds=[Kind.MAINTENANCE]))
        concerned = {name for each in planned for name in each.services}
        rules = self.federation.maintenance.rules()
        return Frame(hours=hours, agreed={name: agreed(name, planned, rules, hours) for name in concerned})

    def months(self, reference: str, seen: Mapping[str, Series], window: Span, frame: Frame) -> dict[str, list[Month]]:
        """Every service beside the reference in each month that is over, up to the end of a window.

        `seen` is what was already read, of the window itself.
        """
        found: dict[str, list[Month]] = {}
        first = _first(self.connection, reference)
        if first is None or first >= window.end:
            return found
        back = window.end - dt.timedelta(days=366 * _YEARS_BACK)
        for each in whole_months(Span(max(first, back), window.end), frame):
            inside = window.start <= each.start
            compared = seen[reference] if inside else self.series(reference, each)
            for name in seen:
                if name != reference:
                    ours = seen[name] if inside else self.series(name, each)
                    found.setdefault(name, []).append(month(each, ours, compared, frame))
        return found


def _first(connection: sa.Connection, service: str) -> dt.datetime | None:
    everything = Span(dt.datetime(1970, 1, 2, tzinfo=dt.UTC), dt.datetime(9999, 1, 1, tzinfo=dt.UTC))
    found: Sample | None = next(samples.of(connection, service, everything), None)
    return None if found is None else found.time


def _row(service: ServiceReport, level: Level) -> dict[str, object]:
    seconds = level.seconds
    gap = level.gap
    return {
        "name": service.name,
        "calendar": level.calendar.value,
        "maintenance": level.maintenance.value,
        "up_seconds": seconds.up,
        "down_seconds": seconds.down,
        "unknown_seconds": seconds.unknown,
        "availability": seconds.known,
        "low": seconds.low,
        "high": seconds.high,
        "interval": None if level.interval is None else list(level.interval),
        "outages": len(level.outages),
        "mttr_seconds": level.mttr,
        "gap": None if gap is None else {"point": gap.point, "low": gap.low, "high": gap.high},
        "trend": service.trend.value,
    }


# -- windows -----------------------------------------------------------------------------------------------------------


def of_month(federation: FederationSection, year: int, number: int) -> Span:
    """A calendar month, in the schools' time zone."""
    return calendar_month(year, number, federation.calendar.school_hours(()).zone)


def of_school_year(federation: FederationSection, year: int) -> Span:
    """The school year that begins in a calendar year."""
    first_month, first_day = map(int, federation.calendar.year.split("-"))
    zone = federation.calendar.school_hours(()).zone
    return between_days(dt.date(year, first_month, first_day), dt.date(year + 1, first_month, first_day), zone)


def is_a_year(window: Span) -> bool:
    """Whether a window is long enough for the committee that meets once a year."""
    return window.end - window.start >= dt.timedelta(days=300)
