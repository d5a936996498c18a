"""Stretches of time, and sets of them: what a window, school hours and maintenance are made of.

All moments have a time zone and all lengths are taken in UTC: two moments of one zone, subtracted, give wall-clock
time, and 25 October 2026 would have 24 hours (federation-slo.md §4.3).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """From `start` to just before `end`, in UTC."""

    start: dt.datetime
    end: dt.datetime

    @property
    def seconds(self) -> float:
        """Its length."""
        return (self.end - self.start).total_seconds()

    def holds(self, moment: dt.datetime) -> bool:
        """Whether a moment lies in it."""
        return self.start <= moment < self.end


def span(start: dt.datetime, end: dt.datetime) -> Span:
    """The stretch between two moments of any time zone."""
    return Span(start.astimezone(dt.UTC), end.astimezone(dt.UTC))


def merged(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The same time as disjoint stretches in order; touching ones become one."""
    result: list[Span] = []
    for each in sorted(spans):
        if each.end <= each.start:
            continue
        if result and each.start <= result[-1].end:
            result[-1] = Span(result[-1].start, max(result[-1].end, each.end))
        else:
            result.append(each)
    return tuple(result)


def common(one: Iterable[Span], other: Iterable[Span]) -> tuple[Span, ...]:
    """The time that lies in both."""
    return tuple(_common(merged(one), merged(other)))


def _common(one: tuple[Span, ...], other: tuple[Span, ...]) -> Iterator[Span]:
    left = right = 0
    while left < len(one) and right < len(other):
        start = max(one[left].start, other[right].start)
        end = min(one[left].end, other[right].end)
        if start < end:
            yield Span(start, end)
        if one[left].end <= other[right].end:
            left += 1
        else:
            right += 1


def without(whole: Iterable[Span], taken: Iterable[Span]) -> tuple[Span, ...]:
    """The time of `whole` that is not in `taken`."""
    result: list[Span] = []
    taken = merged(taken)
    for each in merged(whole):
        start = each.start
        for gap in taken:
            if gap.end <= start or gap.start >= each.end:
                continue
            if gap.start > start:
                result.append(Span(start, gap.start))
            start = max(start, gap.end)
        if start < each.end:
            result.append(Span(start, each.end))
    return tuple(result)


def total(spans: Iterable[Span]) -> float:
    """The seconds in all of them; they are disjoint."""
    return sum(each.seconds for each in spans)
