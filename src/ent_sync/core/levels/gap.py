"""The distance to the ENT's own level, from ticks at which both are known (federation-slo.md §4.6)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from ent_sync.core.levels.interval import Clusters, clusters, wilson
from ent_sync.core.levels.samples import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Ticks at which both are known: both up, only the service, only the ENT, both down."""

    both: int
    service: int
    reference: int
    neither: int
    service_clusters: Clusters
    reference_clusters: Clusters

    @property
    def number(self) -> int:
        """All of them."""
        return self.both + self.service + self.reference + self.neither


@dataclass(frozen=True, slots=True)
class Gap:
    """A service's availability less the ENT's, with its 95 % interval; below 0 the service is worse."""

    point: float
    low: float
    high: float


def pairs(results: Iterable[tuple[Result, Result]]) -> Pairs:
    """Counts of (service, ENT) results in order of time; where one is unknown, it is no pair."""
    known = [each for each in results if Result.UNKNOWN not in each]
    return Pairs(
        both=known.count((Result.UP, Result.UP)),
        service=known.count((Result.UP, Result.DOWN)),
        reference=known.count((Result.DOWN, Result.UP)),
        neither=known.count((Result.DOWN, Result.DOWN)),
        service_clusters=clusters([service for service, _ in known]),
        reference_clusters=clusters([reference for _, reference in known]),
    )


def gap(seen: Pairs) -> Gap | None:
    """Newcombe's method 10 for paired shares, on the effective numbers of samples; None where there is no pair."""
    number = seen.number
    if not number:
        return None
    ours, theirs = (seen.both + seen.service) / number, (seen.both + seen.reference) / number
    low_ours, high_ours = wilson(ours, seen.service_clusters.effective)
    low_theirs, high_theirs = wilson(theirs, seen.reference_clusters.effective)
    phi = _correlation(seen)
    point = (seen.service - seen.reference) / number
    return Gap(
        point,
        point - _side(ours - low_ours, high_theirs - theirs, phi),
        point + _side(high_ours - ours, theirs - low_theirs, phi),
    )


def _side(one: float, other: float, phi: float) -> float:
    return math.sqrt(max(one * one - 2 * phi * one * other + other * other, 0.0))


def _correlation(seen: Pairs) -> float:
    a, b, c, d = seen.both, seen.service, seen.reference, seen.neither
    root = math.sqrt((a + b) * (c + d) * (a + c) * (b + d))
    if not root:
        return 0.0
    product = float(a * d - b * c)
    half = seen.number / 2
    if product > half:
        product -= half
    elif product > 0:
        product = 0.0
    return product / root
