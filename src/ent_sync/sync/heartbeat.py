"""Holding the lease: waiting for it, renewing it while a run works, letting it go whatever happens.

The renewing thread has a connection of its own and is a daemon thread: it never keeps a process alive, and a process
that dies stops renewing.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import threading
from collections.abc import Callable, Iterator

from ent_sync.core.errors import BusyError, LeaseLostError, StoreError
from ent_sync.store import lease
from ent_sync.store.database import Database
from ent_sync.store.lease import Holder, Lease
from ent_sync.sync.parts import Parts
from ent_sync.sync.run import take_lease

EVERY = 15.0
_POLL = 0.2


def _nobody(_holder: Holder) -> None:
    """Nobody asks to be told for whom we wait."""


@contextlib.contextmanager
def holding(
    parts: Parts,
    run: str,
    *,
    wait: float = 0.0,
    told: Callable[[Holder], None] = _nobody,
    lost: Callable[[], None] = lambda: None,
    every: float = EVERY,
) -> Iterator[Lease]:
    """The lease for a run while the block runs; `told` hears once for whom we wait, up to `wait` seconds.

    `lost` is called, from another thread, when another run took the lease over.

    Raises:
        BusyError: another run still holds it; names the holder.
    """
    held = _acquire(parts, run, wait, told)
    ended = threading.Event()
    beating = threading.Thread(
        target=_renew, args=(parts, held, ended, every, lost), name="lease-heartbeat", daemon=True
    )
    beating.start()
    try:
        yield held
    finally:
        ended.set()
        beating.join(timeout=every)
        # A lease that cannot be released runs out by itself.
        with contextlib.suppress(StoreError), parts.database.transaction() as connection:
            lease.release(connection, held)


def _acquire(parts: Parts, run: str, wait: float, told: Callable[[Holder], None]) -> Lease:
    until = parts.now() + dt.timedelta(seconds=wait)
    pause = threading.Event()
    waiting = False
    while True:
        with parts.database.reading() as connection:
            holder = lease.holder(connection, parts.now())
        if holder is None and (held := take_lease(parts, run)) is not None:
            return held
        if holder is not None and not waiting and wait > 0:
            waiting = True
            told(holder)
        if parts.stopping():
            raise BusyError("stopped while waiting for the run that holds the lease")
        if parts.now() >= until:
            who = f" (run {holder.run}, process {holder.process} on {holder.host})" if holder else ""
            raise BusyError(f"another run holds the lease{who}; `ent-sync status` follows it")
        pause.wait(_POLL)


def _renew(parts: Parts, held: Lease, ended: threading.Event, every: float, lost: Callable[[], None]) -> None:
    """Renew until the run ends; most runs end before the connection is even opened."""
    database: Database | None = None
    try:
        while not ended.wait(every):
            try:
                if database is None:
                    database = Database(parts.database.url.render_as_string(hide_password=False))
                with database.transaction() as connection:
                    lease.renew(connection, held, parts.now())
            except LeaseLostError:
                lost()
                return
            except StoreError:
                continue  # busy with a long write; the lease outlasts several beats
    finally:
        if database is not None:
            database.close()
