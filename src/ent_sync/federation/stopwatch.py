"""How long the stages of an attempt take, and how one ends it: with a cause of the closed list and nothing else.

What a server said is no part of a failure: texts of servers hold names, addresses and requests of people.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ent_sync.core.levels.samples import Cause, Stage


class StageError(Exception):
    """A stage failed; `final` where trying again in the same tick would do harm."""

    def __init__(self, stage: Stage, cause: Cause, *, final: bool = False) -> None:
        super().__init__(f"{stage}: {cause}")
        self.stage = stage
        self.cause = cause
        self.final = final


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment of the monotonic clock after which nothing is waited for."""

    at: float

    @property
    def left(self) -> float:
        """Seconds until then; a little at least, since a socket takes 0 for another thing."""
        return max(self.at - time.monotonic(), 0.001)

    @property
    def over(self) -> bool:
        """Whether it has passed."""
        return time.monotonic() >= self.at


class Stopwatch:
    """Times the stages of one attempt and ends them: each by its own limit, and all by that of the attempt."""

    def __init__(self, seconds: float) -> None:
        self._ends = time.monotonic() + seconds
        self._taken: dict[Stage, float] = {}

    @contextmanager
    def stage(self, stage: Stage, limit: float) -> Iterator[Deadline]:
        """Counts what happens inside to a stage; a second time adds to the first."""
        begun = time.monotonic()
        self._taken.setdefault(stage, 0.0)
        try:
            yield Deadline(min(begun + limit, self._ends))
        finally:
            self._taken[stage] += time.monotonic() - begun

    @property
    def taken(self) -> tuple[tuple[Stage, float], ...]:
        """The stages so far, in the order of `Stage`, with their seconds."""
        return tuple((stage, self._taken[stage]) for stage in Stage if stage in self._taken)

    @property
    def seconds(self) -> float:
        """All of them together."""
        return sum(self._taken.values())
