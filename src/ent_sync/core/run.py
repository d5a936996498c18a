"""What a run is asked to do and what it answers: the contract's document, as values (contract §4)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from ent_sync.core.guard import Hold
from ent_sync.core.plan import Operation
from ent_sync.core.record import Population


class Kind(StrEnum):
    """Where the desired state of a run comes from."""

    FULL = "full"
    DELTA = "delta"
    TARGETED = "targeted"
    UNDO = "undo"


class Outcome(StrEnum):
    """How a run ended."""

    DONE = "done"
    PARTIAL = "partial"
    HELD = "held"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def exit_code(self) -> int:
        """The exit code of the command that asked for the run (contract §2)."""
        return {Outcome.DONE: 0, Outcome.FAILED: 1, Outcome.PARTIAL: 3, Outcome.STOPPED: 3, Outcome.HELD: 4}[self]


@dataclass(frozen=True, slots=True)
class SourceRead:
    """What a run read of one source."""

    name: str
    complete: bool
    delivery: str | None
    read: Mapping[Population, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """What a run did, in counts. `changes` and `applied` count accounts (contract, rule 6)."""

    run: str
    kind: Kind
    outcome: Outcome
    plan: str | None
    sources: tuple[SourceRead, ...]
    changes: Mapping[Operation, int]
    unchanged: int
    applied: Mapping[Operation, int]
    failed: int
    quarantined: int
    held: tuple[Hold, ...]
    reasons: tuple[str, ...]
    started: dt.datetime
    seconds: float

    def document(self) -> dict[str, object]:
        """The JSON document of the contract, `ent-sync/run/1`; `reasons` says in words why anything was held."""
        return {
            "schema": "ent-sync/run/1",
            "run": self.run,
            "kind": self.kind.value,
            "outcome": self.outcome.value,
            "plan": self.plan,
            "sources": [
                {
                    "name": source.name,
                    "complete": source.complete,
                    "delivery": source.delivery,
                    "read": {population.value: source.read.get(population, 0) for population in Population},
                }
                for source in self.sources
            ],
            "changes": {
                **{operation.value: self.changes.get(operation, 0) for operation in Operation},
                "unchanged": self.unchanged,
            },
            "applied": {operation.value: self.applied.get(operation, 0) for operation in Operation},
            "failed": self.failed,
            "quarantined": self.quarantined,
            "held": [
                {"guard": hold.guard.value, "scope": hold.scope, "observed": hold.observed, "limit": hold.limit}
                for hold in self.held
            ],
            "reasons": list(self.reasons),
            "started": self.started.isoformat(),
            "seconds": round(self.seconds, 3),
        }
