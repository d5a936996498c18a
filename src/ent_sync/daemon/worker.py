"""The one thread that runs runs: what is due, one after the other, and again after a pause where it failed.

Each run is composed anew, from the settings in force, and takes the same lease as a typed command; commands go first,
also in the middle of a push. Knows no schedule: somebody asks it for runs.
"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from ent_sync import compose
from ent_sync.config.settings import Settings
from ent_sync.core.errors import EntSyncError
from ent_sync.core.event import (
    BatchMapped,
    BatchPushed,
    DeliveryJudged,
    Event,
    PartRead,
    PlanMade,
    ReadingBegan,
    RunBegan,
    RunEnded,
)
from ent_sync.core.run import Outcome, RunResult
from ent_sync.observe.log import listener
from ent_sync.store.lease import Holder
from ent_sync.sync import run
from ent_sync.sync.heartbeat import holding

_PATIENCE = 7 * 86400.0  # for whom a run of the daemon waits: a first load by hand may take a night
_FIRST_PAUSE = 30.0
_LONGEST_PAUSE = 900.0
IDLE = "Idle"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Due:
    """A source that is to be read; `full` from the first byte of its newest complete delivery."""

    source: str
    full: bool = False

    def __str__(self) -> str:
        return f"{self.source} complete" if self.full else self.source


@dataclass(frozen=True, slots=True)
class _Later:
    """When a run that failed is tried again, by the monotonic clock, and after which pause."""

    at: float
    pause: float


class Worker(threading.Thread):
    """Runs what is due. Any thread may ask it; its own is the only one that works."""

    def __init__(self, settings: Settings, succeeded: Callable[[Due], None]) -> None:
        """`succeeded` hears, in the worker's thread, of every run that was no failure."""
        super().__init__(name="worker", daemon=True)
        self._settings = settings
        self._succeeded = succeeded
        self._changed = threading.Condition()
        self._waiting: dict[Due, None] = {}  # in the order in which they were asked for
        self._later: dict[Due, _Later] = {}
        self._draining = False
        self._end_run = threading.Event()
        self._advanced = time.monotonic()
        self._works = False
        self._in_flight: dict[str, float] = {}
        self._pushed = 0
        self.doing = IDLE

    # -- asked from anywhere

    def ask(self, due: Due) -> None:
        """Run this as soon as what was asked for before is done; what waits already is not run twice."""
        with self._changed:
            self._waiting.setdefault(due)
            self._changed.notify()

    def use(self, settings: Settings) -> None:
        """Other settings, from the next run on."""
        with self._changed:
            self._settings = settings

    def drain(self) -> None:
        """End the run before its next batch, begin no other, and end."""
        with self._changed:
            self._draining = True
            self._changed.notify()

    def ask_again(self) -> None:
        """Ask for the runs that failed and whose pause is over."""
        now = time.monotonic()
        for due in [due for due, later in self._later.copy().items() if later.at <= now]:
            later = self._later[due]
            self._later[due] = _Later(float("inf"), later.pause)
            self.ask(due)

    def waiting(self) -> list[str]:
        """What was asked for and has not begun."""
        with self._changed:
            return [str(due) for due in self._waiting]

    def in_flight(self) -> Mapping[str, float]:
        """How many changes wait for a target in the run in progress."""
        return dict(self._in_flight)

    def silent_for(self) -> float:
        """For how many seconds the run in progress has given no sign of life; 0 where there is none."""
        return time.monotonic() - self._advanced if self._works else 0.0

    # -- the worker's own thread

    def run(self) -> None:
        """Work until drained."""
        while (due := self._next()) is not None:
            self._works, self._advanced = True, time.monotonic()
            try:
                self._finish(due, self._perform(due))
            except EntSyncError as error:
                if not self._draining:
                    log.warning("run failed", source=due.source, reasons=[str(error)])
                    self._fail(due)
            except Exception as error:
                log.error("run failed", source=due.source, exc_info=error)  # noqa: TRY400 - ours tells no text
                self._fail(due)
            finally:
                self._works, self.doing = False, IDLE
                self._in_flight.clear()
                # A run froze what it composed out of the collector's sight, and leaves it behind.
                gc.unfreeze()
                gc.collect()

    def _next(self) -> Due | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._draining)
            if self._draining:
                return None
            due = next(iter(self._waiting))
            del self._waiting[due]
            return due

    def _perform(self, due: Due) -> RunResult | None:
        """One run of a source; None where it is not configured any more."""
        with self._changed:
            settings = self._settings
        section = next((each for each in settings.sources if each.name == due.source), None)
        if section is None:
            return None
        self._end_run.clear()
        self.doing = f"Preparing a run of {due.source}"
        request = run.Request(sources=(due.source,), full=due.full, settled_for=section.settle.total_seconds())
        with (
            compose.opened_as(settings, [listener, self._hear], self._stopping, gives_way=True) as parts,
            holding(
                parts,
                parts.new_id(),
                wait=_PATIENCE,
                told=self._waits_for,
                lost=self._end_run.set,
                typed=False,
            ) as held,
        ):
            return run.run(parts, request, held)

    def _finish(self, due: Due, result: RunResult | None) -> None:
        if result is not None and result.outcome is Outcome.FAILED:
            self._fail(due)
            return
        self._later.pop(due, None)
        if result is not None and result.outcome is not Outcome.STOPPED:
            self._succeeded(due)

    def _fail(self, due: Due) -> None:
        """Try again later; each failure in a row doubles the pause."""
        before = self._later.get(due)
        pause = min(2 * before.pause, _LONGEST_PAUSE) if before else _FIRST_PAUSE
        self._later[due] = _Later(time.monotonic() + pause, pause)

    def _stopping(self) -> bool:
        self._advanced = time.monotonic()
        return self._draining or self._end_run.is_set()

    def _waits_for(self, holder: Holder) -> None:
        self.doing = f"Waiting for run {holder.run}, process {holder.process} on {holder.host}, which holds the lease"

    def _hear(self, event: Event) -> None:
        """What a run tells, as the words of a status line and as the numbers of what is on its way."""
        self._advanced = time.monotonic()
        match event:
            case ReadingBegan():
                self.doing = f"Reading {event.delivery} of {event.source}, {event.parts} files"
            case BatchMapped():
                self.doing = f"Comparing with {event.target}"
            case PlanMade():
                self._in_flight[event.target], self._pushed = event.waiting, 0
                self.doing = f"Pushing to {event.target}: 0 of {event.waiting}"
            case BatchPushed():
                self._pushed += event.acknowledged + event.refused
                left = max(self._in_flight.get(event.target, 0) - event.acknowledged - event.refused, 0)
                self._in_flight[event.target] = left
                self.doing = f"Pushing to {event.target}: {self._pushed} of {self._pushed + int(left)}"
            case RunBegan() | PartRead() | DeliveryJudged() | RunEnded():
                pass
            case _:
                pass
