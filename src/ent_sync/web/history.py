"""Ninety days of each service, day by day, for the partners' page: what was up, down, unknown, or agreed maintenance.

The arithmetic is that of the levels (`core.levels`). Days that are over are counted once, and again when samples of
them come in late.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import sqlalchemy as sa

from ent_sync.core.levels.availability import MOST_UNKNOWN, Availability, Stretch, availability, stretches
from ent_sync.core.levels.calendar import between_days
from ent_sync.core.levels.outages import Outage, begun_in, outages
from ent_sync.core.levels.samples import Result, ticks
from ent_sync.core.levels.spans import Span, common, total, without
from ent_sync.federation.rhythm import Rhythm
from ent_sync.store import sampled, samples

DAYS = 90
_NOTHING = Availability(up=0.0, down=0.0, unknown=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One day of a service: all its time, the same without agreed maintenance, and how long that was."""

    day: dt.date
    level: Availability
    apart: Availability
    maintenance: float

    @property
    def state(self) -> str:
        """What its mark shows: `down` if it ever was, `unknown` if most of it is, else `up`."""
        if self.level.down:
            return "down"
        return "unknown" if self.level.up <= self.level.unknown else "up"


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The days of a service, oldest first, and its outages that began in them."""

    days: Sequence[Day]
    outages: Sequence[Outage]

    @property
    def level(self) -> Availability:
        """All days together."""
        return _sum(each.level for each in self.days)

    @property
    def apart(self) -> Availability:
        """The same without agreed maintenance."""
        return _sum(each.apart for each in self.days)

    def marked(self, state: str) -> int:
        """How many days have a mark."""
        return sum(each.state == state for each in self.days)


def is_told(level: Availability) -> bool:
    """Whether enough is known to tell one number; else its bounds are (federation-slo.md §4.1)."""
    return level.known is not None and (level.unknown_share or 0.0) <= MOST_UNKNOWN


def _sum(levels: Iterable[Availability]) -> Availability:
    found = _NOTHING
    for each in levels:
        found = Availability(up=found.up + each.up, down=found.down + each.down, unknown=found.unknown + each.unknown)
    return found


class Histories:
    """Counts the days of services, and remembers those that are over. Asked from many threads."""

    def __init__(self, vantages: int) -> None:
        self._vantages = vantages
        self._guard = threading.Lock()
        self._known: dict[tuple[str, dt.date], tuple[object, tuple[Stretch, ...]]] = {}

    def of(
        self,
        connection: sa.Connection,
        services: Sequence[str],
        agreed: Mapping[str, Sequence[Span]],
        rhythm: Rhythm,
        now: dt.datetime,
    ) -> dict[str, History]:
        """The history of each service up to a moment; `agreed` is its agreed maintenance."""
        today = now.astimezone(rhythm.hours.zone).date()
        days = [today - dt.timedelta(days=back) for back in reversed(range(DAYS))]
        spans = {day: between_days(day, day + dt.timedelta(days=1), rhythm.hours.zone) for day in days}
        spans[today] = Span(spans[today].start, max(now.astimezone(dt.UTC), spans[today].start))
        whole = Span(spans[days[0]].start, spans[today].end)
        counts = sampled.by_hour(connection, services, whole)
        cadence = _remembering(rhythm.cadence)
        with self._guard:
            self._known = {key: kept for key, kept in self._known.items() if key[1] >= days[0]}
            return {
                service: self._history(connection, service, spans, agreed.get(service, ()), counts, cadence)
                for service in services
            }

    def _history(
        self,
        connection: sa.Connection,
        service: str,
        spans: Mapping[dt.date, Span],
        agreed: Sequence[Span],
        counts: Mapping[tuple[str, str], int],
        cadence: Callable[[dt.datetime], dt.timedelta],
    ) -> History:
        covered = {day: self._covered(connection, service, day, span, counts, cadence) for day, span in spans.items()}
        ordered = tuple(spans.values())
        return History(
            days=[_day(day, covered[day], span, agreed) for day, span in spans.items()],
            outages=begun_in(
                outages(tuple(chain.from_iterable(covered.values()))), Span(ordered[0].start, ordered[-1].end)
            ),
        )

    def _covered(
        self,
        connection: sa.Connection,
        service: str,
        day: dt.date,
        span: Span,
        counts: Mapping[tuple[str, str], int],
        cadence: Callable[[dt.datetime], dt.timedelta],
    ) -> tuple[Stretch, ...]:
        stamp = (span, tuple(counts.get((service, hour), 0) for hour in _hours(span)))
        known = self._known.get((service, day))
        if known is not None and known[0] == stamp:
            return known[1]
        found: tuple[Stretch, ...] = ()
        if any(stamp[1]):
            seen = ticks(samples.of(connection, service, span), self._vantages, cadence)
            found = _joined(stretches(seen, cadence, until=span.end), span)
        self._known[service, day] = (stamp, found)
        return found


def _day(day: dt.date, covered: Sequence[Stretch], span: Span, agreed: Sequence[Span]) -> Day:
    inside = common([span], agreed)
    return Day(
        day=day,
        level=availability(covered, [span]),
        apart=availability(covered, without([span], inside)),
        maintenance=total(inside),
    )


def _hours(span: Span) -> list[str]:
    """The hours of a day, and the one before it: its last sample may count into the day."""
    first = span.start - dt.timedelta(hours=1)
    number = int((span.end - first).total_seconds() // 3600) + 1
    return [f"{first + dt.timedelta(hours=each):%Y-%m-%d %H}" for each in range(number)]


def _joined(found: Iterable[Stretch], window: Span) -> tuple[Stretch, ...]:
    """The part of the stretches that lies in a window; those of one result that touch become one."""
    joined: list[Stretch] = []
    for each in found:
        part = Span(max(each.span.start, window.start), min(each.span.end, window.end))
        if part.end <= part.start:
            continue
        last = joined[-1] if joined else None
        if last is not None and last.result is each.result and last.span.end == part.start:
            joined[-1] = Stretch(Span(last.span.start, part.end), each.result)
        else:
            joined.append(Stretch(part, each.result))
    return tuple(joined)


def _remembering(cadence: Callable[[dt.datetime], dt.timedelta]) -> Callable[[dt.datetime], dt.timedelta]:
    """The same rhythm, asked once for each minute: ninety days have a hundred thousand samples of a service."""
    known: dict[int, dt.timedelta] = {}

    def asked(moment: dt.datetime) -> dt.timedelta:
        minute = int(moment.timestamp()) // 60
        if minute not in known:
            known[minute] = cadence(moment)
        return known[minute]

    return asked


def now_of(
    connection: sa.Connection, services: Sequence[str], vantages: int, rhythm: Rhythm, now: dt.datetime
) -> dict[str, tuple[Result, dt.datetime | None]]:
    """What is known of each service now, and since which look; unknown where the last look is too old."""
    longest = max(rhythm.school, rhythm.off)
    found: dict[str, tuple[Result, dt.datetime | None]] = {}
    for service, seen in samples.lately(connection, services, now - 3 * longest).items():
        known = [each for each in ticks(seen, vantages, rhythm.cadence) if each.time <= now]
        # Of several places, some may not have looked yet in the cadence that runs: then the one before it counts.
        if vantages > 1 and len(known) > 1 and known[-1].result is Result.UNKNOWN:
            running = now - known[-1].time < rhythm.cadence(now)
            known = known[:-1] if running else known
        covered = stretches(known[-1:], rhythm.cadence)
        lasts = bool(covered) and now < covered[-1].span.end + rhythm.cadence(now) * (vantages > 1)
        found[service] = (known[-1].result if lasts else Result.UNKNOWN, known[-1].time if known else None)
    return found
