"""Bars on a terminal: what is being read, compared and pushed, how fast, and how long it will still take.

On anything but a terminal nothing is drawn. Listens to what a run tells, and knows nothing else of it.
"""
# ruff: noqa: PLC0415

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import rich.progress
    from rich.progress import TaskID

    from ent_sync.core.event import Event


class Progress:
    """The bars of one command."""

    def __init__(self, bars: rich.progress.Progress | None) -> None:
        self._bars = bars
        self._reading: TaskID | None = None
        self._comparing: TaskID | None = None
        self._pushing: TaskID | None = None

    @classmethod
    def on_stderr(cls) -> Progress:
        """Bars on stderr, if that is a terminal."""
        if not sys.stderr.isatty():
            return cls(None)
        from rich import progress
        from rich.console import Console

        return cls(
            progress.Progress(
                progress.TextColumn("{task.description}"),
                progress.BarColumn(),
                progress.MofNCompleteColumn(),
                progress.TextColumn("{task.fields[rate]}"),
                progress.TimeRemainingColumn(elapsed_when_finished=True),
                console=Console(file=sys.stderr),
                transient=True,
            )
        )

    def __enter__(self) -> Self:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take the bars away."""
        if self._bars is not None:
            self._bars.stop()

    def listen(self, event: Event) -> None:
        """Draw what a run tells."""
        if self._bars is None:
            return
        from ent_sync.core import event as told

        match event:
            case told.ReadingBegan():
                self._reading = self._new(f"reading {event.source}", event.parts)
            case told.PartRead():
                self._advance(self._reading, 1)
            case told.BatchMapped():
                if self._comparing is None:
                    self._comparing = self._new(f"comparing with {event.target}", None)
                self._advance(self._comparing, event.entries)
            case told.PlanMade():
                self._comparing = None
                self._pushing = self._new(f"pushing to {event.target}", event.waiting)
            case told.BatchPushed():
                self._advance(self._pushing, event.acknowledged + event.refused)
            case _:
                pass

    def _new(self, title: str, total: int | None) -> TaskID | None:
        return self._bars.add_task(title, total=total, rate="") if self._bars is not None else None

    def _advance(self, task: TaskID | None, by: int) -> None:
        if self._bars is not None and task is not None:
            self._bars.advance(task, by)
            speed = next(each.speed for each in self._bars.tasks if each.id == task)
            self._bars.update(task, rate=f"{speed:,.0f}/s" if speed else "")
