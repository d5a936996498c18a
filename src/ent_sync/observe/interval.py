"""How often a source is due, so that its silence is judged by its own rhythm and not by one number for all of them."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

from ent_sync.config.fields import Cron, Every, OnDelivery

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_LONGEST = 4 * 366  # days: from one 29 February to the next


def interval(schedule: Cron | Every | OnDelivery | None, delivers: Sequence[str], now: dt.datetime) -> dt.timedelta:
    """The longer of the pause in which `now` lies and the one before it; zero where nothing is promised.

    Of two pauses: on the Monday of a source that rests on Sundays, the pause that is over still counts.
    A source that is read when it delivers is due on the days on which it promised to.
    """
    match schedule:
        case Every():
            return schedule.every
        case Cron():
            return _longer(schedule.cron, schedule.zone, now)
        case OnDelivery() if delivers:
            return _longer(f"0 0 * * {','.join(delivers)}", "Europe/Paris", now)
        case _:
            return dt.timedelta()


def _longer(expression: str, zone: str, now: dt.datetime) -> dt.timedelta:
    here = now.astimezone(ZoneInfo(zone))
    after = next(_strikes(expression, here, 1), None)
    before = list(islice(_strikes(expression, here, -1), 2))
    moments = [moment for moment in (after, *before) if moment is not None]
    return max((later - earlier for later, earlier in pairwise(moments)), default=dt.timedelta())


def _strikes(expression: str, here: dt.datetime, way: int) -> Iterator[dt.datetime]:
    """The strikes after a moment, or those up to it from the newest back with `way` -1; in UTC."""
    minutes, hours, days, months, weekdays = _fields(expression)
    times = sorted((dt.time(hour, minute) for hour in hours for minute in minutes), reverse=way < 0)
    for step in range(_LONGEST):
        day = here.date() + dt.timedelta(days=way * step)
        if day.day not in days or day.month not in months or day.weekday() not in weekdays:
            continue
        for time in times:
            strike = dt.datetime.combine(day, time, here.tzinfo).astimezone(dt.UTC)
            if (strike > here) == (way > 0):
                yield strike


@functools.lru_cache(maxsize=64)
def _fields(expression: str) -> tuple[frozenset[int], ...]:
    """What each field of a sound expression allows: minutes, hours, days, months, days of the week from Monday 0."""
    spans = ((0, 59, ()), (0, 23, ()), (1, 31, ()), (1, 12, _MONTHS), (0, 6, _DAYS))
    texts = expression.lower().split()
    return tuple(_allowed(text, *span) for text, span in zip(texts, spans, strict=True))


def _allowed(text: str, lowest: int, highest: int, names: tuple[str, ...]) -> frozenset[int]:
    def number(word: str) -> int:
        return lowest + names.index(word) if word in names else int(word)

    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        begin = lowest if span == "*" else number(first)
        end = highest if span == "*" else number(last or first)
        found.update(range(begin, end + 1, int(step or 1)))
    return frozenset(found)
