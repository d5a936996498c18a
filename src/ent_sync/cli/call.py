"""What a command was called with, and what it opens because of that: the settings, the store, the whole installation.

Logging begins with the settings; before them nothing is logged. Heavy modules are imported where a command needs them,
so that `--help` and completion answer at once.
"""
# ruff: noqa: PLC0415

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, cast

import typer

from ent_sync.core.errors import UsageError

if TYPE_CHECKING:
    from ent_sync.config.settings import Settings
    from ent_sync.core.event import Event
    from ent_sync.core.run import RunResult
    from ent_sync.store.database import Database
    from ent_sync.store.lease import Lease
    from ent_sync.sync.parts import Parts

DEFAULT = Path("/etc/ent-sync/ent-sync.yaml")
WAIT = 30.0


def default_configuration() -> Path:
    """The configuration file where none is named."""
    return Path(os.environ.get("ENT_SYNC_CONFIG") or DEFAULT)


@dataclass(slots=True)
class Call:
    """The global options of one call."""

    config: Path
    json: bool = False
    verbose: bool = False
    _logging: bool = field(default=False, init=False)

    def settings(self) -> Settings:
        """The settings; from here on, there is a log.

        Raises:
            BadConfigurationError: with every problem of the file.
        """
        from ent_sync import compose

        settings = compose.load(self.config)
        if not self._logging:
            self.log_to(settings.resolve(settings.log.path), settings.log.level)
        return settings

    def log_to(self, path: Path, level: str = "info") -> None:
        """Log to a file, and with `-v` to the screen."""
        from ent_sync.observe import log

        log.configure(path, level, echo=sys.stderr if self.verbose else None)
        self._logging = True

    @contextlib.contextmanager
    def store(self) -> Iterator[tuple[Settings, Database]]:
        """The settings and the store. Before the first run there is none: an empty one stands in, and leaves nothing.

        A store file that were made here, without the key file, could never be used.
        """
        from ent_sync import compose
        from ent_sync.store.database import Database

        settings = self.settings()
        there = settings.resolve(settings.store.file).exists()
        database = compose.open_store(settings) if there else Database("sqlite://")
        with contextlib.closing(database):
            database.upgrade()
            yield settings, database

    @contextlib.contextmanager
    def reading(self) -> Iterator[Parts]:
        """All that is needed to open what is sealed, without any target."""
        from ent_sync import compose

        parts = compose.parts_of(self.settings())
        with contextlib.closing(parts.database):
            yield parts

    @contextlib.contextmanager
    def installation(
        self, listeners: Sequence[Callable[[Event], None]] = (), stopping: Callable[[], bool] = bool
    ) -> Iterator[Parts]:
        """The whole installation, targets included."""
        from ent_sync import compose
        from ent_sync.observe import log

        self.settings()
        with compose.opened(self.config, [log.listener, *listeners], stopping) as parts:
            yield parts

    def perform(self, work: Callable[[Parts, Lease], RunResult], wait: float = WAIT) -> int:
        """Do the work of a run under the lease, show how it ended, and give the exit code.

        The first SIGINT or SIGTERM ends the run before its next batch, the second one at once. A run that ended by an
        error is shown too, before the error is told.
        """
        from ent_sync.cli import output
        from ent_sync.cli.progress import Progress
        from ent_sync.core.event import RunEnded
        from ent_sync.sync.heartbeat import holding

        ended: list[RunResult] = []
        stop = Stop()
        with Progress.on_stderr() as progress, stop.on_signals():

            def remember(event: Event) -> None:
                if isinstance(event, RunEnded):
                    ended.append(event.result)

            with self.installation([progress.listen, remember], stop) as parts:
                try:
                    with holding(parts, parts.new_id(), wait=wait, told=output.tell_waiting, lost=stop.ask) as lease:
                        result = work(parts, lease)
                except Exception:
                    if ended:
                        progress.close()
                        output.show_run(ended[-1].document(), as_json=self.json)
                    raise
        output.show_run(result.document(), as_json=self.json)
        return result.outcome.exit_code


class Stop:
    """Whether somebody asked the run to stop; calling it tells."""

    def __init__(self) -> None:
        self._asked = False

    def __call__(self) -> bool:
        """Whether somebody asked."""
        return self._asked

    def ask(self) -> None:
        """Ask it to."""
        self._asked = True

    @contextlib.contextmanager
    def on_signals(self) -> Iterator[None]:
        """SIGINT and SIGTERM ask; the second one interrupts."""

        def heard(_number: int, _frame: FrameType | None) -> None:
            if self._asked:
                raise KeyboardInterrupt
            self._asked = True
            os.write(2, b"Stopping before the next batch; once more stops at once.\n")

        before = {number: signal.signal(number, heard) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def of(context: typer.Context) -> Call:
    """The call that a command belongs to."""
    return cast("Call", context.obj)


def need_terminal(what: str) -> None:
    """Personal data are shown to somebody who looks, never to a pipe.

    Raises:
        UsageError: stdout is no terminal.
    """
    if not sys.stdout.isatty():
        raise UsageError(f"{what} shows personal data, and only on a terminal")


def ask_key(key: str) -> tuple[str, str]:
    """A key, read from standard input where it is `-`; and how to speak of it without repeating what was piped in."""
    if key != "-":
        return key.strip(), f"the key {key}"
    line = sys.stdin.readline().strip()
    if not line:
        raise UsageError("no key came on standard input")
    return line, "the key on standard input"
