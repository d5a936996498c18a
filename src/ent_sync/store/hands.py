"""What hands ask of runs: to go before them, to push nothing to a target, to stop.

The store is where hands and runs meet: a command works with the daemon up and with the daemon down, and a run hears of
it between two batches. A run is named by its id, which is never used again: what is asked of a run that is over
concerns nobody.
"""

from __future__ import annotations

import datetime as dt
import os
import socket
from enum import StrEnum

import sqlalchemy as sa

from ent_sync.store import lease, schema

EVERYTHING = "*"
"""What a pause of no particular target is called: it stops pushes to every target, those of tomorrow too."""

_TURNS, _PAUSES, _STOPS = schema.turns, schema.pauses, schema.stops


class Turn(StrEnum):
    """Where somebody stands who does not hold the lease: a command waits, a run that gave way is away."""

    WAITS = "waits"
    AWAY = "away"


# -- turns -------------------------------------------------------------------------------------------------------------


def take_turn(connection: sa.Connection, run: str, turn: Turn, now: dt.datetime) -> None:
    """Say, or say again, that this process waits for the lease, or will be back for it."""
    drop_turn(connection, run)
    connection.execute(
        sa.insert(_TURNS).values(
            run=run,
            state=turn.value,
            host=socket.gethostname(),
            process=os.getpid(),
            process_start=lease.process_start(os.getpid()),
            expires=now + lease.DURATION,
        )
    )


def drop_turn(connection: sa.Connection, run: str) -> None:
    """It has the lease, or gave up."""
    connection.execute(sa.delete(_TURNS).where(_TURNS.c.run == run))


def wanted(connection: sa.Connection, now: dt.datetime) -> bool:
    """Whether a typed command waits for the lease."""
    return bool(_living(connection, Turn.WAITS, now))


def away(connection: sa.Connection, now: dt.datetime) -> frozenset[str]:
    """The runs that gave way and will be back: not dead, though they do not hold the lease."""
    return _living(connection, Turn.AWAY, now)


def _living(connection: sa.Connection, turn: Turn, now: dt.datetime) -> frozenset[str]:
    """Those whose process renews its row, and on this machine is alive."""
    rows = connection.execute(sa.select(_TURNS).where(_TURNS.c.state == turn.value, _TURNS.c.expires > now)).all()
    here = socket.gethostname()
    return frozenset(
        row.run for row in rows if row.host != here or lease.process_start(row.process) == row.process_start
    )


# -- pauses ------------------------------------------------------------------------------------------------------------


def pause(connection: sa.Connection, target: str, now: dt.datetime) -> None:
    """From now on nothing is pushed to a target, or to `EVERYTHING`; a pause that is on keeps the time since when."""
    connection.execute(
        sa.text("INSERT INTO pauses (target, since) VALUES (:target, :since) ON CONFLICT DO NOTHING"),
        {"target": target, "since": schema.instant(now)},
    )


def resume(connection: sa.Connection, target: str) -> None:
    """End the pause of a target; of `EVERYTHING`: all pauses."""
    ended = sa.delete(_PAUSES)
    connection.execute(ended if target == EVERYTHING else ended.where(_PAUSES.c.target == target))


def pauses(connection: sa.Connection) -> dict[str, dt.datetime]:
    """What is paused, since when; `EVERYTHING` may be among it."""
    return {row.target: row.since for row in connection.execute(sa.select(_PAUSES).order_by(_PAUSES.c.target))}


def paused_since(connection: sa.Connection, target: str) -> dt.datetime | None:
    """Since when nothing is pushed to a target; None where it is not paused."""
    asked = sa.select(sa.func.min(_PAUSES.c.since)).where(_PAUSES.c.target.in_([target, EVERYTHING]))
    return connection.execute(asked).scalar()


# -- stops -------------------------------------------------------------------------------------------------------------


def ask_stop(connection: sa.Connection, run: str, now: dt.datetime) -> None:
    """Ask one run to end before its next batch."""
    connection.execute(
        sa.text("INSERT INTO stops (run, asked) VALUES (:run, :asked) ON CONFLICT DO NOTHING"),
        {"run": run, "asked": schema.instant(now)},
    )


def stop_asked(connection: sa.Connection, run: str) -> bool:
    """Whether somebody asked this run to stop."""
    return connection.execute(sa.select(_STOPS.c.run).where(_STOPS.c.run == run)).first() is not None


def forget(connection: sa.Connection, run: str) -> None:
    """The run is over: nothing is asked of it any more."""
    connection.execute(sa.delete(_STOPS).where(_STOPS.c.run == run))
    drop_turn(connection, run)
