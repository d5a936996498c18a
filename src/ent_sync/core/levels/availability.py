"""Availability over a window: seconds up, down and unknown, and what follows from them (federation-slo.md §4.1, §4.4).

A sample counts for a limited time; what no sample covers is unknown, never up.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ent_sync.core.levels.samples import Result, Tick
from ent_sync.core.levels.spans import Span, common

HOLD = 1.5
"""A sample counts for so many cadences at most."""
MOST_UNKNOWN = 0.1
"""With more unknown than this share, the bounds are told and no availability."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of time of one result."""

    span: Span
    result: Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Availability:
    """Seconds up, down and unknown of a window. What cannot be told of them is None, never 0 or 1."""

    up: float
    down: float
    unknown: float

    @property
    def known(self) -> float | None:
        """The share of the known time that it was up."""
        return self.up / (self.up + self.down) if self.up + self.down else None

    @property
    def low(self) -> float | None:
        """The same if all unknown time had been down."""
        return self.up / self.total if self.total else None

    @property
    def high(self) -> float | None:
        """The same if all unknown time had been up."""
        return (self.up + self.unknown) / self.total if self.total else None

    @property
    def unknown_share(self) -> float | None:
        """The share of the window of which nothing is known."""
        return self.unknown / self.total if self.total else None

    @property
    def total(self) -> float:
        """The seconds of the window."""
        return self.up + self.down + self.unknown


def stretches(
    ticks: Sequence[Tick], cadence: Callable[[dt.datetime], dt.timedelta], until: dt.datetime | None = None
) -> tuple[Stretch, ...]:
    """What ticks cover, in order: each from its time to the next, or as long as it counts.

    Nothing is covered after `until`.
    """
    found = []
    following = [each.time for each in ticks[1:]]
    for tick, after in zip(ticks, [*following, None], strict=False):
        end = tick.time + HOLD * cadence(tick.time)
        if after is not None:
            end = min(end, after)
        if until is not None:
            end = min(end, until)
        if end > tick.time:
            found.append(Stretch(Span(tick.time, end), tick.result))
    return tuple(found)


def availability(covered: Iterable[Stretch], time: Sequence[Span]) -> Availability:
    """Seconds up and down within `time`, which is disjoint; all the rest of it is unknown."""
    by_result: dict[Result, list[Span]] = {each: [] for each in Result}
    for each in covered:
        by_result[each.result].append(each.span)
    up = sum(each.seconds for each in common(by_result[Result.UP], time))
    down = sum(each.seconds for each in common(by_result[Result.DOWN], time))
    whole = sum(each.seconds for each in time)
    return Availability(up=up, down=down, unknown=max(whole - up - down, 0.0))


def weighted(levels: Mapping[str, Availability], people: Mapping[str, int]) -> float | None:
    """The availability that people met: each service weighs as much as people log in there (§4.4)."""
    up = sum(people.get(name, 0) * each.up for name, each in levels.items())
    known = sum(people.get(name, 0) * (each.up + each.down) for name, each in levels.items())
    return up / known if known else None


def lost_minutes(level: Availability, people: int) -> float:
    """Person-minutes during which a service was down: exposure, not people who were refused."""
    return people * level.down / 60
