"""What a run tells while it works. Progress bars, logs, metrics and systemd listen; none of them is known here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from ent_sync.core.guard import Hold
from ent_sync.core.plan import Operation
from ent_sync.core.run import Kind, RunResult


@dataclass(frozen=True, slots=True)
class RunBegan:
    """A run got its lease."""

    run: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class ReadingBegan:
    """A delivery is being read; `parts` files."""

    source: str
    delivery: str
    parts: int


@dataclass(frozen=True, slots=True)
class PartRead:
    """One file of a delivery was read to its end, or was not; `unknown` counts attributes of no known name."""

    source: str
    file: str
    records: int
    whole: bool
    unknown: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeliveryJudged:
    """A delivery is applied, held or refused; `reasons` in words, without anything about a person."""

    source: str
    delivery: str
    verdict: str
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CursorLost:
    """A directory cannot tell any more what changed: all that it holds is read."""

    source: str


@dataclass(frozen=True, slots=True)
class BatchMapped:
    """So many entries were mapped and compared."""

    target: str
    entries: int


@dataclass(frozen=True, slots=True)
class PlanMade:
    """A plan is stored, judged, and about to be pushed as far as no guard holds it."""

    plan: str
    target: str
    changes: Mapping[Operation, int]
    waiting: int
    holds: tuple[Hold, ...]


@dataclass(frozen=True, slots=True)
class BatchPushed:
    """So many changes were acknowledged by the target, and so many were not."""

    target: str
    acknowledged: int
    refused: int


@dataclass(frozen=True, slots=True)
class RunEnded:
    """A run ended."""

    result: RunResult


Event: TypeAlias = (
    RunBegan | ReadingBegan | PartRead | DeliveryJudged | CursorLost | BatchMapped | PlanMade | BatchPushed | RunEnded
)
Tell: TypeAlias = Callable[[Event], None]
