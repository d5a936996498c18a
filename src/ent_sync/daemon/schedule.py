"""When a source is to be read: which moments a schedule names, and which of them have been missed.

Pure functions say that; APScheduler is only the clock that wakes us. Rules:

- An interval counts in real time, from one fixed grid: a restart does not move it.
- A calendar counts in the time of its zone. What falls into the hour that autumn repeats happens in the first of the
  two, unless the expression leaves the hour open (`*`): that counts on through both. What falls into the hour that
  spring leaves out happens an hour later by the new time: 02:30 at 03:30.
- Sources do not all start together: each is late by a fixed time that follows from its name, the same every day.
- Whatever number of moments was missed, one run makes up for them.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger

from ent_sync.config.fields import Cron, Every

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_TICK = dt.timedelta(microseconds=1)
_SPREAD = dt.timedelta(seconds=60)
_AROUND = dt.timedelta(hours=3)  # no clock is changed by more
_YEARS = dt.timedelta(days=9 * 366)  # two 29ths of February may be eight years apart
_LOOKS = (*(dt.timedelta(days=days) for days in (1, 8, 35, 367)), _YEARS)


@dataclass(frozen=True, slots=True)
class Timing:
    """A calendar or an interval, and by how much it is late."""

    schedule: Cron | Every
    late: dt.timedelta = dt.timedelta()


def timing(name: str, schedule: Cron | Every) -> Timing:
    """The timing of a source: late by up to a minute, or up to its interval, as its name has it."""
    most = min(schedule.every, _SPREAD) if isinstance(schedule, Every) else _SPREAD
    share = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=4).digest()) / 2**32
    return Timing(schedule, dt.timedelta(milliseconds=int(most / dt.timedelta(milliseconds=1) * share)))


def next_after(timing: Timing, moment: dt.datetime) -> dt.datetime | None:
    """The first moment that the timing names after another one, in UTC; None where its calendar has no more."""
    moment = moment.astimezone(dt.UTC) - timing.late
    if isinstance(timing.schedule, Every):
        return _EPOCH + ((moment - _EPOCH) // timing.schedule.every + 1) * timing.schedule.every + timing.late
    found = _struck(timing.schedule, moment)
    return found + timing.late if found else None


def latest(timing: Timing, now: dt.datetime) -> dt.datetime | None:
    """The last moment that the timing named, `now` included, in UTC; None where there was none for years."""
    now = now.astimezone(dt.UTC)
    if isinstance(timing.schedule, Every):
        return _EPOCH + ((now - timing.late - _EPOCH) // timing.schedule.every) * timing.schedule.every + timing.late
    for back in _LOOKS:
        found = next_after(timing, now - back - _TICK)
        if found is None or found > now:
            continue
        return _last_from(timing, found, now)
    return None


def due(timing: Timing, last_success: dt.datetime | None, now: dt.datetime) -> dt.datetime | None:
    """The moment that a run is to make up for: the latest since the last success. None where nothing is to be done.

    A source that never succeeded is behind, whenever its last moment was.
    """
    moment = latest(timing, now)
    return moment if moment is not None and (last_success is None or last_success < moment) else None


def _last_from(timing: Timing, moment: dt.datetime, now: dt.datetime) -> dt.datetime:
    """The last moment up to now, from one that is not later: halves the way until hardly any are left."""
    low, high = moment, now
    while high - low > dt.timedelta(minutes=2):
        middle = low + (high - low) / 2
        found = next_after(timing, middle)
        if found is None or found > now:
            high = middle
        else:
            low = found
    while (found := next_after(timing, low)) is not None and found <= now:
        low = found
    return low


def _struck(schedule: Cron, after: dt.datetime) -> dt.datetime | None:
    """The first moment of a calendar after another one.

    APScheduler counts on the face of the clock only, where no hour is left out or comes twice: with a zone, its
    calendar loses the midnight after the spring night (3.11.3). The test that found it:
    `test_a_daily_time_happens_once_on_each_day_of_the_zone_whatever_the_night`.
    """
    minute, hour, day, month, weekday = schedule.cron.lower().split()
    zone = ZoneInfo(schedule.zone)
    face = CronTrigger(minute=minute, hour=hour, day=day, month=month, day_of_week=weekday, timezone=dt.UTC)
    at = after.astimezone(zone).replace(tzinfo=dt.UTC) - _AROUND
    first: dt.datetime | None = None
    while (shown := face.get_next_fire_time(None, at)) is not None:
        if first is not None and shown > first.astimezone(zone).replace(tzinfo=dt.UTC) + _AROUND:
            break
        found = [each for each in _moments(shown, zone, open_hour=hour.startswith("*")) if each > after]
        first = min([*found, *([first] if first else [])], default=None)
        at = shown + _TICK
    return first


def _moments(shown: dt.datetime, zone: ZoneInfo, *, open_hour: bool) -> list[dt.datetime]:
    """When the clock of a zone shows a time: once, or in autumn twice; in spring never, or an hour later."""
    here = shown.replace(tzinfo=zone)
    first, second = (here.replace(fold=fold).astimezone(dt.UTC) for fold in (0, 1))
    if first == second:
        return [first]
    if first < second:
        return [first, second] if open_hour else [first]
    return [] if open_hour else [first]


class _Bell(BaseTrigger):  # type: ignore[misc] # APScheduler is untyped
    """What APScheduler asks when to wake us; without its own jitter, which loops in the repeated hour (3.11.3)."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing

    def get_next_fire_time(self, previous_fire_time: dt.datetime | None, now: dt.datetime) -> dt.datetime | None:
        """See `apscheduler.triggers.base.BaseTrigger`. A clock that was set back rings nothing twice."""
        after = max(previous_fire_time, now - _TICK) if previous_fire_time else now - _TICK
        return next_after(self._timing, after)


class Clock:
    """Rings at the moments of timings, in a thread of its own; `beat` is called every few seconds while it lives."""

    def __init__(self, beat: Callable[[], None], every: float = 5.0) -> None:
        # One that is late still rings, once: what it means is decided by whoever hears it.
        defaults = {"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        self._scheduler = BackgroundScheduler(timezone=dt.UTC, job_defaults=defaults, daemon=True)
        self._scheduler.add_job(beat, _Bell(Timing(Every(every=dt.timedelta(seconds=every)))), id="beat")

    def start(self) -> None:
        """Begin to ring."""
        self._scheduler.start()

    def ring(self, name: str, timing: Timing, strike: Callable[[], None]) -> None:
        """Ring `strike` at the moments of a timing."""
        self._scheduler.add_job(strike, _Bell(timing), id=f"strike {name}", replace_existing=True)

    def forget(self) -> None:
        """Ring nothing any more but the beat."""
        for each in self._scheduler.get_jobs():
            if each.id != "beat":
                each.remove()

    def close(self) -> None:
        """End the thread."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
