"""The trend of the monthly gap to the ENT's level: "tends towards" made a number (federation-slo.md §4.7).

Theil and Sen's slope, Mann and Kendall's test; from 24 months on, like months are compared with like months only.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

FEWEST_MONTHS = 6
SEASONAL_FROM = 24
_EXACT_UP_TO = 10
_CERTAIN = 0.10
_LEVEL_POINT, _LEVEL_LOW = -0.10, -0.50


class Verdict(StrEnum):
    """What the months say."""

    INSUFFICIENT = "insufficient"
    LEVEL = "level"
    CONVERGING = "converging"
    DIVERGING = "diverging"
    STABLE = "stable"


@dataclass(frozen=True, slots=True)
class Trend:
    """A slope in points a month, and how likely chance alone would give a trend as clear."""

    slope: float
    score: int
    variance: float
    p: float


def trend(gaps: Mapping[int, float]) -> Trend:
    """The trend of monthly gaps in points, by the index of the month: one that lacks keeps its place.

    Needs two months.
    """
    months = sorted(gaps)
    slope = statistics.median(
        (gaps[later] - gaps[earlier]) / (later - earlier) for earlier, later in combinations(months, 2)
    )
    seasons: Sequence[Sequence[float]] = [[gaps[each] for each in months]]
    if len(months) >= SEASONAL_FROM:
        seasons = [[gaps[each] for each in months if each % 12 == season] for season in range(12)]
    score = sum(map(_score, seasons))
    variance = sum(map(_variance, seasons))
    alone = len(seasons) == 1
    if alone and len(months) <= _EXACT_UP_TO and len(set(gaps.values())) == len(months):
        return Trend(slope, score, variance, exact_p(score, len(months)))
    return Trend(slope, score, variance, normal_p(score, variance))


def verdict(gaps: Mapping[int, float], recent: tuple[float, float] | None) -> Verdict:
    """The verdict on monthly gaps in points; `recent` is the pooled gap of the last three months and its lower end."""
    if len(gaps) < FEWEST_MONTHS:
        return Verdict.INSUFFICIENT
    if recent is not None and recent[0] >= _LEVEL_POINT and recent[1] >= _LEVEL_LOW:
        return Verdict.LEVEL
    found = trend(gaps)
    if found.p < _CERTAIN and found.slope > 0:
        return Verdict.CONVERGING
    if found.p < _CERTAIN and found.slope < 0:
        return Verdict.DIVERGING
    return Verdict.STABLE


def _score(values: Sequence[float]) -> int:
    """Kendall's S."""
    return sum((later > earlier) - (later < earlier) for earlier, later in combinations(values, 2))


def _variance(values: Sequence[float]) -> float:
    number = len(values)
    ties = (values.count(each) for each in set(values))
    return (number * (number - 1) * (2 * number + 5) - sum(t * (t - 1) * (2 * t + 5) for t in ties)) / 18


def normal_p(score: int, variance: float) -> float:
    """The two-sided p of Kendall's S by the normal law, with continuity correction."""
    if not variance:
        return 1.0
    z = (score - (score > 0) + (score < 0)) / math.sqrt(variance)
    return math.erfc(abs(z) / math.sqrt(2))


def exact_p(score: int, number: int) -> float:
    """The two-sided p of Kendall's S among all orders of so many different values."""
    orders = {0: 1}
    for each in range(1, number):
        grown: dict[int, int] = {}
        for found, count in orders.items():
            for step in range(-each, each + 1, 2):
                grown[found + step] = grown.get(found + step, 0) + count
        orders = grown
    as_clear = sum(count for found, count in orders.items() if abs(found) >= abs(score))
    return as_clear / math.factorial(number)
