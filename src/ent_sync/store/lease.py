"""The lease: the right to write, held by one run at a time, fenced by a number that only grows.

A holder renews it while it works. When a holder dies, its lease runs out within a minute; on the same machine its death
is seen at once.
"""

from __future__ import annotations

import datetime as dt
import os
import socket
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from ent_sync.core.errors import LeaseLostError
from ent_sync.store import schema

DURATION = dt.timedelta(seconds=60)
_NAME = "write"


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds the lease."""

    host: str
    process: int
    process_start: str
    run: str
    expires: dt.datetime


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease that was granted, by its fencing number."""

    fence: int
    run: str


def holder(connection: sa.Connection, now: dt.datetime) -> Holder | None:
    """Who holds the lease now; None when it is free, run out, or its holder on this machine is dead."""
    row = connection.execute(sa.select(schema.leases).where(schema.leases.c.name == _NAME)).one_or_none()
    if row is None or row.host is None or row.expires <= now:
        return None
    if row.host == socket.gethostname() and _start_of(row.process) != row.process_start:
        return None
    return Holder(row.host, row.process, row.process_start, row.run, row.expires)


def acquire(connection: sa.Connection, run: str, now: dt.datetime) -> Lease | None:
    """The lease, if nobody else holds it. Called in a write transaction, so two cannot get it."""
    if holder(connection, now) is not None:
        return None
    connection.execute(
        sa.text("INSERT INTO leases (name, fence) VALUES (:name, 0) ON CONFLICT DO NOTHING"), {"name": _NAME}
    )
    connection.execute(
        sa.update(schema.leases)
        .where(schema.leases.c.name == _NAME)
        .values(
            fence=schema.leases.c.fence + 1,
            host=socket.gethostname(),
            process=os.getpid(),
            process_start=_start_of(os.getpid()),
            run=run,
            expires=now + DURATION,
        )
    )
    fence = connection.execute(sa.select(schema.leases.c.fence).where(schema.leases.c.name == _NAME)).scalar_one()
    return Lease(fence, run)


def renew(connection: sa.Connection, lease: Lease, now: dt.datetime) -> None:
    """Hold on to the lease; called in every transaction that writes what a target acknowledged.

    Raises:
        LeaseLostError: another run took it over in the meantime; the transaction must not commit.
    """
    renewed = connection.execute(
        sa.update(schema.leases)
        .where(schema.leases.c.name == _NAME, schema.leases.c.fence == lease.fence, schema.leases.c.run == lease.run)
        .values(expires=now + DURATION)
    )
    if renewed.rowcount != 1:
        raise LeaseLostError("another run took over the lease; this one stopped before its next write")


def release(connection: sa.Connection, lease: Lease) -> None:
    """Let the lease go; one that was lost is left to its new holder."""
    connection.execute(
        sa.update(schema.leases)
        .where(schema.leases.c.name == _NAME, schema.leases.c.fence == lease.fence)
        .values(host=None, process=None, process_start=None, run=None, expires=None)
    )


def _start_of(process: int) -> str:
    """When a process of this machine started, in clock ticks since boot; empty when there is none, or a dead one."""
    try:
        text = Path(f"/proc/{process}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    fields = text.rpartition(")")[2].split()
    return "" if fields[0] in {"Z", "X"} else fields[19]
