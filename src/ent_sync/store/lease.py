"""The lease: the right to write, held by one run at a time, fenced by a number that only grows.

A holder renews it while it works. When a holder dies, its lease runs out within a minute; on the same machine its death
is seen at once.
"""

from __future__ import annotations

import datetime as dt
import os
import socket
import threading
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa

from ent_sync.core.errors import LeaseLostError
from ent_sync.store import schema

DURATION = dt.timedelta(seconds=60)
WRITE = "write"
DAEMON = "daemon"
"""The two leases: the right to write, held for a run, and to be the daemon of a store, held for its life."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds the lease."""

    host: str
    process: int
    process_start: str
    run: str
    expires: dt.datetime


@dataclass(slots=True)
class Lease:
    """A lease that was granted, by its fencing number; `away` while its run gave way and will take it again.

    The number is another one then: whoever renews or takes it again holds `turning`.
    """

    fence: int
    run: str
    name: str = WRITE
    away: bool = False
    turning: threading.Lock = field(default_factory=threading.Lock, compare=False, repr=False)


def holder(connection: sa.Connection, now: dt.datetime, name: str = WRITE) -> Holder | None:
    """Who holds the lease now; None when it is free, run out, or its holder on this machine is dead."""
    row = connection.execute(sa.select(schema.leases).where(schema.leases.c.name == name)).one_or_none()
    if row is None or row.host is None or row.expires <= now:
        return None
    if row.host == socket.gethostname() and process_start(row.process) != row.process_start:
        return None
    return Holder(row.host, row.process, row.process_start, row.run, row.expires)


def acquire(connection: sa.Connection, run: str, now: dt.datetime, name: str = WRITE) -> Lease | None:
    """The lease, if nobody else holds it. Called in a write transaction, so two cannot get it."""
    if holder(connection, now, name) is not None:
        return None
    return Lease(_grant(connection, run, now, name), run, name)


def retake(connection: sa.Connection, lease: Lease, now: dt.datetime) -> bool:
    """Whether a run that gave way has its lease again, under a new number; called in a write transaction."""
    if holder(connection, now, lease.name) is not None:
        return False
    lease.fence = _grant(connection, lease.run, now, lease.name)
    lease.away = False
    return True


def _grant(connection: sa.Connection, run: str, now: dt.datetime, name: str) -> int:
    connection.execute(
        sa.text("INSERT INTO leases (name, fence) VALUES (:name, 0) ON CONFLICT DO NOTHING"), {"name": name}
    )
    connection.execute(
        sa.update(schema.leases)
        .where(schema.leases.c.name == name)
        .values(
            fence=schema.leases.c.fence + 1,
            host=socket.gethostname(),
            process=os.getpid(),
            process_start=process_start(os.getpid()),
            run=run,
            expires=now + DURATION,
        )
    )
    asked = sa.select(schema.leases.c.fence).where(schema.leases.c.name == name)
    return int(connection.execute(asked).scalar_one())


def renew(connection: sa.Connection, lease: Lease, now: dt.datetime) -> None:
    """Hold on to the lease; called in every transaction that writes what a target acknowledged.

    Raises:
        LeaseLostError: another run took it over in the meantime; the transaction must not commit.
    """
    renewed = connection.execute(
        sa.update(schema.leases)
        .where(
            schema.leases.c.name == lease.name,
            schema.leases.c.fence == lease.fence,
            schema.leases.c.run == lease.run,
        )
        .values(expires=now + DURATION)
    )
    if renewed.rowcount != 1:
        raise LeaseLostError("another run took over the lease; this one stopped before its next write")


def release(connection: sa.Connection, lease: Lease) -> None:
    """Let the lease go; one that was lost is left to its new holder."""
    connection.execute(
        sa.update(schema.leases)
        .where(schema.leases.c.name == lease.name, schema.leases.c.fence == lease.fence)
        .values(host=None, process=None, process_start=None, run=None, expires=None)
    )


def process_start(process: int) -> str:
    """When a process of this machine started, in clock ticks since boot; empty when there is none, or a dead one."""
    try:
        text = Path(f"/proc/{process}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    fields = text.rpartition(")")[2].split()
    return "" if fields[0] in {"Z", "X"} else fields[19]
