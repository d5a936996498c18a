"""What was seen of services' metadata and certificates, and of assertions: to tell what is new from what is known."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from ent_sync.store import schema

_SEEN = schema.metadata_seen
_ASSERTIONS = schema.assertions_seen


@dataclass(frozen=True, slots=True)
class New:
    """A value that was not there when this was last looked at."""

    what: str
    value: str
    not_after: dt.datetime | None


def look(
    connection: sa.Connection,
    service: str,
    found: Mapping[str, Mapping[str, dt.datetime | None]],
    now: dt.datetime,
    *,
    alternate: Collection[str] = (),
) -> list[New]:
    """Remember what a service shows now; what of it is new.

    `found` gives for each kind of thing its values, each with the end of its validity. A kind that is met for the first
    time is not new, nor is what a look did not ask for gone. A value that was there once, and comes back, is new; but
    not of the kinds in `alternate`, whose values may differ from one look to the next.
    """
    new: list[New] = []
    for what, values in found.items():
        rows = connection.execute(
            sa.select(_SEEN.c.value, _SEEN.c.last_seen).where(_SEEN.c.service == service, _SEEN.c.what == what)
        ).all()
        last = max((row.last_seen for row in rows), default=None)
        before = {row.value for row in rows if row.last_seen == last}
        known = {row.value for row in rows}
        for value, not_after in values.items():
            if last is not None and value not in (known if what in alternate else before):
                new.append(New(what, value, not_after))
            _remember(connection, (service, what, value), now, not_after, known=value in known)
    return new


def _remember(
    connection: sa.Connection,
    key: tuple[str, str, str],
    now: dt.datetime,
    not_after: dt.datetime | None,
    *,
    known: bool,
) -> None:
    service, what, value = key
    if known:
        here = sa.and_(_SEEN.c.service == service, _SEEN.c.what == what, _SEEN.c.value == value)
        connection.execute(sa.update(_SEEN).where(here).values(last_seen=now, not_after=not_after))
    else:
        row = {"service": service, "what": what, "value": value, "not_after": not_after}
        connection.execute(sa.insert(_SEEN).values(**row, first_seen=now, last_seen=now))


def ends(connection: sa.Connection) -> dict[tuple[str, str], dt.datetime]:
    """The earliest end of validity among what was last seen, by service and kind of thing."""
    last = (
        sa.select(_SEEN.c.service, _SEEN.c.what, sa.func.max(_SEEN.c.last_seen).label("last"))
        .group_by(_SEEN.c.service, _SEEN.c.what)
        .subquery()
    )
    here = sa.and_(_SEEN.c.service == last.c.service, _SEEN.c.what == last.c.what, _SEEN.c.last_seen == last.c.last)
    rows = connection.execute(
        sa.select(_SEEN.c.service, _SEEN.c.what, _SEEN.c.not_after)
        .join(last, here)
        .where(_SEEN.c.not_after.is_not(None))
    )
    found: dict[tuple[str, str], dt.datetime] = {}
    for row in rows:
        found[row.service, row.what] = min(found.get((row.service, row.what), row.not_after), row.not_after)
    return found


def assertions(connection: sa.Connection, now: dt.datetime) -> frozenset[bytes]:
    """The digests of the assertions that were met and would still be taken; the others are forgotten."""
    connection.execute(sa.delete(_ASSERTIONS).where(_ASSERTIONS.c.until <= now))
    return frozenset(connection.execute(sa.select(_ASSERTIONS.c.assertion)).scalars())


def keep_assertions(connection: sa.Connection, met: Collection[tuple[bytes, dt.datetime]]) -> None:
    """Remember assertions until nobody would take them any more."""
    statement = sa.text(
        "INSERT INTO assertions_seen (assertion, until) VALUES (:assertion, :until) ON CONFLICT DO NOTHING"
    ).bindparams(sa.bindparam("until", type_=schema.Instant()))
    if met:
        connection.execute(statement, [{"assertion": digest, "until": until} for digest, until in met])
