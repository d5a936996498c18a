"""Which targets did not answer the last time they were asked with patience: until they answer, they are asked once.

A target that is down must cost a run seconds, not the minutes of all its pauses, and must be seen from outside.
"""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa

from ent_sync.store import runs, schema

_PREFIX = "circuit of "


def open_since(connection: sa.Connection, target: str) -> dt.datetime | None:
    """Since when a target does not answer; None where it does."""
    told = runs.fact(connection, _PREFIX + target)
    return dt.datetime.fromisoformat(told) if told else None


def opened(connection: sa.Connection, target: str, at: dt.datetime) -> None:
    """A target did not answer; the first time counts."""
    if open_since(connection, target) is None:
        runs.remember_fact(connection, _PREFIX + target, at.isoformat())


def closed(connection: sa.Connection, target: str) -> None:
    """A target answers."""
    connection.execute(sa.delete(schema.facts).where(schema.facts.c.name == _PREFIX + target))


def all_open(connection: sa.Connection) -> dict[str, float]:
    """1 for each target that does not answer."""
    names = connection.execute(sa.select(schema.facts.c.name).where(schema.facts.c.name.startswith(_PREFIX))).scalars()
    return {name.removeprefix(_PREFIX): 1.0 for name in names}
