"""What happens at a source by itself: a delivery has settled in a folder, a directory says that something changed.

Looks and listens, and rings; what a delivery is worth is judged by the run that reads it. Folders are looked at every
few seconds: they may lie on another machine, where the kernel tells nothing.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol, runtime_checkable

import structlog

from ent_sync.core.completeness import Delivery
from ent_sync.core.errors import EntSyncError, UnavailableError
from ent_sync.ports import Source
from ent_sync.store import runs
from ent_sync.store.database import Database

EVERY = 2.0
_SHARE = 20.0  # a look that takes a second is followed by twenty without one
_LONGEST_PAUSE = 300.0

log = structlog.get_logger()


@runtime_checkable
class Listening(Protocol):
    """A source that tells by itself when something changed at it (RFC 4533 refreshAndPersist)."""

    def listen(self, cursor: str | None, stopping: Callable[[], bool]) -> Iterator[None]:
        """Yields whenever something changed since the cursor; ends when asked to, or where there is nothing to hear.

        Raises:
            UnavailableError: the connection is lost; listen again.
        """
        ...


def unread(found: Sequence[Delivery], judged: Mapping[tuple[str, str], str]) -> frozenset[tuple[str, str]]:
    """The deliveries on which a run would have something new to say, by id and signature.

    One that is held is not: nothing about it changes until another one comes.
    """
    return frozenset(
        key for each in found if judged.get(key := (each.id, each.signature)) in {None, "again"} and not each.live
    )


class Watch(threading.Thread):
    """Looks at the folder of a source, and rings once for what has settled there.

    Whatever was rung for and could not be read is the daemon's to try again; here, it rings when something else comes.
    """

    def __init__(
        self,
        source: Source,
        settle: float,
        database: Callable[[], Database],
        ring: Callable[[str], None],
        every: float = EVERY,
    ) -> None:
        super().__init__(name=f"watch {source.name}", daemon=True)
        self._source = source
        self._settle = settle
        self._database = database
        self._ring = ring
        self._every = every
        self._ended = threading.Event()
        self._rung: frozenset[tuple[str, str]] = frozenset()
        self._silent = False

    def run(self) -> None:
        """Look until told to end."""
        pause = 0.0
        while not self._ended.wait(pause):
            began = time.monotonic()
            try:
                self._look()
                self._silent = False
            except EntSyncError as error:
                # Told once; the metrics and `readyz` say it for as long as it lasts.
                if not self._silent:
                    log.warning("source cannot be watched", source=self._source.name, reasons=[str(error)])
                self._silent = True
            except Exception as error:
                log.error("watch failed", source=self._source.name, exc_info=error)  # noqa: TRY400 - ours tells no text
            pause = max(self._every, _SHARE * (time.monotonic() - began))

    def _look(self) -> None:
        found = self._source.deliveries(self._settle, None)
        with contextlib.closing(self._database()) as database, database.reading() as connection:
            judged = runs.delivery_statuses(connection, self._source.name)
        new = unread(found, judged)
        if new - self._rung:
            self._ring(self._source.name)
        self._rung = new

    def close(self) -> None:
        """End soon."""
        self._ended.set()


class Ear(threading.Thread):
    """Listens to a source that tells when something changed, and connects again for as long as it lives."""

    def __init__(
        self, source: Source, listening: Listening, database: Callable[[], Database], ring: Callable[[str], None]
    ) -> None:
        super().__init__(name=f"listen {source.name}", daemon=True)
        self._name = source.name
        self._listening = listening
        self._database = database
        self._ring = ring
        self._ended = threading.Event()

    def run(self) -> None:
        """Listen until told to end. Where there is nothing to hear yet, before the first read, come back to it."""
        pause = 1.0
        while not self._ended.is_set():
            try:
                for _ in self._listening.listen(self._cursor(), self._ended.is_set):
                    pause = 1.0
                    self._ring(self._name)
                self._ended.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
                continue
            except UnavailableError as error:
                log.warning("source cannot be listened to", source=self._name, reasons=[str(error)], seconds=pause)
            except Exception as error:
                log.error("listening failed", source=self._name, exc_info=error)  # noqa: TRY400 - ours tells no text
            self._ended.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            self._ring(self._name)  # what changed while nobody listened

    def _cursor(self) -> str | None:
        with contextlib.closing(self._database()) as database, database.reading() as connection:
            return runs.source_state(connection, self._name).cursor

    def close(self) -> None:
        """End soon."""
        self._ended.set()
