"""How sure we may be of a level: Wilson's interval, for samples that come in clusters (federation-slo.md §4.5)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ent_sync.core.levels.samples import Result

Z = 1.959964
"""95 %."""


@dataclass(frozen=True, slots=True)
class Clusters:
    """How many samples are known, how many of them down, and in how many runs."""

    known: int
    down: int
    runs: int

    @property
    def effective(self) -> float:
        """How many independent samples they are worth: those of one outage are nearly one event."""
        up = self.known - self.down
        if not self.down or not up:
            return float(self.known)
        correlation = max(1 - self.runs / up - self.runs / self.down, 0.0)
        return self.known * (1 - correlation) / (1 + correlation)


def clusters(results: Sequence[Result]) -> Clusters:
    """The known results, in order of time, and the runs of down among them."""
    known = [each for each in results if each is not Result.UNKNOWN]
    runs = sum(
        each is Result.DOWN and (place == 0 or known[place - 1] is Result.UP) for place, each in enumerate(known)
    )
    return Clusters(len(known), known.count(Result.DOWN), runs)


def wilson(share: float, number: float) -> tuple[float, float]:
    """Wilson's 95 % interval of a share seen in so many independent samples."""
    square = Z * Z
    middle = (share + square / (2 * number)) / (1 + square / number)
    half = Z * math.sqrt(share * (1 - share) / number + square / (4 * number * number)) / (1 + square / number)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def interval(seen: Clusters) -> tuple[float, float] | None:
    """The interval of the service's level; None where nothing is known."""
    if not seen.known:
        return None
    return wilson((seen.known - seen.down) / seen.known, seen.effective)
