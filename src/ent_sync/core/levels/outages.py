"""Outages: how many, how long, how far apart (federation-slo.md §4.8)."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass

from ent_sync.core.levels.availability import Stretch
from ent_sync.core.levels.samples import Result
from ent_sync.core.levels.spans import Span

LONGEST_BLIND = dt.timedelta(minutes=10)
"""Unknown time of this length at most between two stretches of down does not end an outage."""


@dataclass(frozen=True, slots=True)
class Outage:
    """A stretch of down; an open one has lasted until the end of what is known."""

    span: Span
    open: bool

    @property
    def seconds(self) -> float:
        """How long it lasted, so far."""
        return self.span.seconds


def outages(covered: Sequence[Stretch]) -> tuple[Outage, ...]:
    """The outages in what ticks cover, in order. The last is open where nothing but unknown follows."""
    found: list[Outage] = []
    current: Span | None = None
    for each in covered:
        if each.result is Result.DOWN:
            if current is not None and each.span.start - current.end > LONGEST_BLIND:
                found.append(Outage(current, open=False))
                current = None
            current = Span(current.start if current else each.span.start, each.span.end)
        elif each.result is Result.UP and current is not None:
            found.append(Outage(current, open=False))
            current = None
    if current is not None:
        found.append(Outage(current, open=True))
    return tuple(found)


def begun_in(found: Sequence[Outage], window: Span) -> tuple[Outage, ...]:
    """The outages that count in a window: those that began in it."""
    return tuple(each for each in found if window.holds(each.span.start))


def mttr(found: Sequence[Outage]) -> float | None:
    """The mean length of the closed ones, in seconds; None without one."""
    closed = [each.seconds for each in found if not each.open]
    return sum(closed) / len(closed) if closed else None


def mttr_with_open(found: Sequence[Outage]) -> float | None:
    """All their time, that of open ones too, for each closed one, in seconds."""
    closed = sum(not each.open for each in found)
    return sum(each.seconds for each in found) / closed if closed else None


def median_length(found: Sequence[Outage]) -> float | None:
    """The length that half of them outlast, by Kaplan and Meier, in seconds; None while more than half are open."""
    surviving = 1.0
    for length in sorted({each.seconds for each in found if not each.open}):
        at_risk = sum(each.seconds >= length for each in found)
        ended = sum(each.seconds == length and not each.open for each in found)
        surviving *= 1 - ended / at_risk
        if surviving <= 0.5:
            return length
    return None


@dataclass(frozen=True, slots=True)
class Apart:
    """Mean time between failures, in the unit of the time up: None and a lower limit where nothing failed."""

    mean: float | None
    low: float
    high: float | None


def mtbf(up: float, failures: int) -> Apart:
    """Mean time between failures over so much time up, with its exact 95 % interval, by Poisson's law."""
    if not failures:
        return Apart(None, up / _poisson_mean(0, 0.05), None)
    low = up / _poisson_mean(failures, 0.025)
    return Apart(up / failures, low, up / _poisson_mean(failures - 1, 0.975))


def _poisson_mean(most: int, probability: float) -> float:
    """The mean with which a Poisson number is at most `most` with this probability."""
    low, high = 0.0, 10.0 * (most + 5)
    for _ in range(200):
        middle = (low + high) / 2
        term = total = math.exp(-middle)
        for each in range(1, most + 1):
            term *= middle / each
            total += term
        if total > probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2
