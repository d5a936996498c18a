"""Holding the lease: waiting for it, renewing it while a run works, giving way, letting it go whatever happens.

The renewing thread has a connection of its own and is a daemon thread: it never keeps a process alive, and a process
that dies stops renewing.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import threading
from collections.abc import Callable, Iterator

from ent_sync.core.errors import BusyError, LeaseLostError, StoreError
from ent_sync.store import hands, lease
from ent_sync.store.database import Database
from ent_sync.store.hands import Turn
from ent_sync.store.lease import Holder, Lease
from ent_sync.sync.parts import Parts

EVERY = 15.0
_LOOK = 0.5
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
    typed: bool = True,
) -> Iterator[Lease]:
    """The lease for a run while the block runs; `told` hears once for whom we wait, up to `wait` seconds.

    A `typed` command goes before whatever the daemon begins. `lost` is called, from another thread, when the run is to
    end: another one took the lease over, or somebody asked it to stop.

    Raises:
        BusyError: another run still holds it; names the holder.
    """
    held = _acquire(parts, run, wait, told, typed=typed)
    ended = threading.Event()
    beating = threading.Thread(
        target=_attend, args=(parts, held, ended, every, lost), name="lease-heartbeat", daemon=True
    )
    beating.start()
    try:
        yield held
    finally:
        ended.set()
        beating.join(timeout=every)
        # A lease that cannot be released runs out by itself.
        with contextlib.suppress(StoreError), parts.database.transaction() as connection:
            hands.forget(connection, run)
            lease.release(connection, held)


def take_lease(parts: Parts, run_id: str) -> Lease | None:
    """The lease for a run, if nobody else holds it (step 1)."""
    with parts.database.transaction() as connection:
        return lease.acquire(connection, run_id, parts.now())


def _acquire(parts: Parts, run: str, wait: float, told: Callable[[Holder], None], *, typed: bool) -> Lease:
    until = parts.now() + dt.timedelta(seconds=wait)
    pause = threading.Event()
    waiting, again = False, parts.now()
    try:
        while True:
            with parts.database.reading() as connection:
                holder = lease.holder(connection, parts.now())
                others = not typed and hands.wanted(connection, parts.now())
            if holder is None and not others and (held := take_lease(parts, run)) is not None:
                return held
            if holder is not None and not waiting and wait > 0:
                waiting = True
                told(holder)
            if parts.stopping():
                raise BusyError("stopped while waiting for the run that holds the lease")
            if parts.now() >= until:
                who = f" (run {holder.run}, process {holder.process} on {holder.host})" if holder else ""
                raise BusyError(f"another run holds the lease{who}; `ent-sync status` follows it")
            if typed and wait > 0 and parts.now() >= again:
                again = parts.now() + lease.DURATION / 4
                # A store that is busy with a long write is asked again; the daemon may give way a little later.
                with contextlib.suppress(StoreError), parts.database.transaction() as connection:
                    hands.take_turn(connection, run, Turn.WAITS, parts.now())
            pause.wait(_POLL)
    finally:
        if typed and waiting:
            with contextlib.suppress(StoreError), parts.database.transaction() as connection:
                hands.drop_turn(connection, run)


def give_way(parts: Parts, held: Lease) -> bool:
    """Let the typed commands that wait for the lease go first; back with the lease when none waits any more.

    False where the run was asked to stop meanwhile: the lease is not ours then, and nothing more may be written.
    """
    with held.turning, parts.database.transaction() as connection:
        hands.take_turn(connection, held.run, Turn.AWAY, parts.now())
        lease.release(connection, held)
        held.away = True
    pause = threading.Event()
    while not parts.stopping():
        pause.wait(_POLL)
        with parts.database.reading() as connection:
            now = parts.now()
            free = lease.holder(connection, now) is None and not hands.wanted(connection, now)
        if not free:
            continue
        with held.turning, parts.database.transaction() as connection:
            if lease.retake(connection, held, parts.now()):
                hands.drop_turn(connection, held.run)
                return True
    return False


def _attend(parts: Parts, held: Lease, ended: threading.Event, every: float, lost: Callable[[], None]) -> None:
    """Renew until the run ends, and hear when somebody asks it to; most runs end before the connection is opened."""
    database: Database | None = None
    tick = min(every, _LOOK)
    since = 0.0
    try:
        while not ended.wait(tick):
            since += tick
            try:
                if database is None:
                    database = Database(parts.database.url.render_as_string(hide_password=False))
                with database.reading() as connection:
                    asked = hands.stop_asked(connection, held.run)
                if asked:
                    lost()
                if since >= every:
                    _renew(parts, database, held)
                    since = 0.0
            except LeaseLostError:
                lost()
                return
            except StoreError:
                continue  # busy with a long write; the lease outlasts several beats
    finally:
        if database is not None:
            database.close()


def _renew(parts: Parts, database: Database, held: Lease) -> None:
    with held.turning, database.transaction() as connection:
        if held.away:
            hands.take_turn(connection, held.run, Turn.AWAY, parts.now())
        else:
            lease.renew(connection, held, parts.now())
