"""Notices with their updates, and the outbox: which word to whom is due, accepted or given up."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass

import sqlalchemy as sa

from ent_sync.core.notice.kinds import OVER, Author, Kind, Notice, State, Update, What
from ent_sync.core.notice.roles import Address, Role
from ent_sync.core.notice.timeliness import Word
from ent_sync.store import schema

_NOTICES, _UPDATES, _OUTBOX = schema.notices.c, schema.notice_updates.c, schema.outbox.c
_WAITS = sa.text("accepted IS NULL AND given_up IS NULL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One message on its way. `status` is what the channel last answered; `due` when it is tried next."""

    notice: str
    sequence: int
    partner: str
    role: Role
    channel: str
    due: dt.datetime
    tries: int
    status: str | None
    accepted: dt.datetime | None
    given_up: dt.datetime | None

    @property
    def pending(self) -> bool:
        """Whether it is still tried."""
        return self.accepted is None and self.given_up is None


# -- notices -----------------------------------------------------------------------------------------------------------


def put(connection: sa.Connection, notice: Notice, update: Update | None, to: Iterable[Address] = ()) -> bool:
    """Keep a notice as it is now, its update, and a message of it to each address: one transaction, the caller's.

    False, and nothing is kept, where somebody else was first with this update.
    """
    row = {**asdict(notice), "notice": notice.id, "source": notice.author.value, "services": list(notice.services)}
    row |= {"kind": notice.kind.value, "state": notice.state.value}
    del row["id"], row["author"]
    if update is not None and _is_known(connection, notice.id, update.sequence):
        return False
    known = connection.execute(sa.select(_NOTICES.notice).where(_NOTICES.notice == notice.id)).first() is not None
    if known:
        connection.execute(sa.update(schema.notices).where(_NOTICES.notice == notice.id).values(**row))
    else:
        connection.execute(sa.insert(schema.notices).values(**row))
    if update is not None:
        said = {"sequence": update.sequence, "at": update.at, "what": update.what.value, "text": update.text}
        connection.execute(sa.insert(schema.notice_updates).values(notice=notice.id, **said))
        send(connection, notice.id, update.sequence, to, update.at)
    return True


def _is_known(connection: sa.Connection, notice: str, sequence: int) -> bool:
    here = sa.and_(_UPDATES.notice == notice, _UPDATES.sequence == sequence)
    return connection.execute(sa.select(_UPDATES.notice).where(here)).first() is not None


def get(connection: sa.Connection, notice: str) -> Notice | None:
    """A notice; None where there is none of that name."""
    row = connection.execute(sa.select(schema.notices).where(_NOTICES.notice == notice)).one_or_none()
    return None if row is None else _notice(row)


def listed(
    connection: sa.Connection,
    *,
    kinds: Collection[Kind] = tuple(Kind),
    open_only: bool = False,
    since: dt.datetime | None = None,
) -> list[Notice]:
    """Notices of these kinds, the newest first: all, those not over, or also those that were alive after a moment."""
    asked = sa.select(schema.notices).where(_NOTICES.kind.in_([each.value for each in kinds]))
    alive = _NOTICES.state.not_in([each.value for each in OVER])
    if open_only:
        asked = asked.where(alive)
    if since is not None:
        lately = [column >= since for column in (_NOTICES.ended, _NOTICES.closed, _NOTICES.ends, _NOTICES.starts)]
        asked = asked.where(sa.or_(alive, _NOTICES.detected >= since, *lately))
    begun = sa.func.coalesce(_NOTICES.began, _NOTICES.starts, _NOTICES.detected)
    return [_notice(row) for row in connection.execute(asked.order_by(begun.desc(), _NOTICES.notice))]


def updates(connection: sa.Connection, notices: Collection[str]) -> dict[str, list[Update]]:
    """The updates of some notices, in order."""
    found: dict[str, list[Update]] = {each: [] for each in notices}
    asked = sa.select(schema.notice_updates).where(_UPDATES.notice.in_(list(notices)))
    for row in connection.execute(asked.order_by(_UPDATES.notice, _UPDATES.sequence)):
        found[row.notice].append(Update(sequence=row.sequence, at=row.at, what=What(row.what), text=row.text))
    return found


def states(connection: sa.Connection) -> dict[tuple[Kind, State], int]:
    """How many notices there are, by kind and state."""
    asked = sa.select(_NOTICES.kind, _NOTICES.state, sa.func.count()).group_by(_NOTICES.kind, _NOTICES.state)
    return {(Kind(row[0]), State(row[1])): row[2] for row in connection.execute(asked)}


# -- the outbox --------------------------------------------------------------------------------------------------------


def send(connection: sa.Connection, notice: str, sequence: int, to: Iterable[Address], due: dt.datetime) -> None:
    """A message of an update to each address, once."""
    statement = sa.text(
        "INSERT INTO outbox (notice, sequence, partner, channel, role, due, tries) VALUES "
        "(:notice, :sequence, :partner, :channel, :role, :due, 0) ON CONFLICT DO NOTHING"
    ).bindparams(sa.bindparam("due", type_=schema.Instant()))
    rows = [
        {"notice": notice, "sequence": sequence, "due": due, "partner": each.partner, "channel": each.channel}
        | {"role": each.role.value}
        for each in to
    ]
    if rows:
        connection.execute(statement, rows)


def due(connection: sa.Connection, now: dt.datetime, most: int = 200) -> list[Delivery]:
    """The messages to try now, the longest due first."""
    asked = sa.select(schema.outbox).where(_WAITS, _OUTBOX.due <= now)
    return [_delivery(row) for row in connection.execute(asked.order_by(_OUTBOX.due, _OUTBOX.sequence).limit(most))]


def deliveries(connection: sa.Connection, notice: str | None = None, *, pending_only: bool = False) -> list[Delivery]:
    """The messages of one notice, or of all."""
    asked = sa.select(schema.outbox)
    if notice is not None:
        asked = asked.where(_OUTBOX.notice == notice)
    if pending_only:
        asked = asked.where(_WAITS)
    ordered = asked.order_by(_OUTBOX.notice, _OUTBOX.sequence, _OUTBOX.partner, _OUTBOX.channel)
    return [_delivery(row) for row in connection.execute(ordered)]


def claim(connection: sa.Connection, delivery: Delivery, until: dt.datetime) -> bool:
    """Take a message for oneself until a moment; False where another process has it or is done with it."""
    taken = connection.execute(
        sa.update(schema.outbox).where(_key(delivery), _WAITS, _OUTBOX.due == delivery.due).values(due=until)
    )
    return taken.rowcount == 1


def _key(delivery: Delivery) -> sa.ColumnElement[bool]:
    return sa.and_(
        _OUTBOX.notice == delivery.notice,
        _OUTBOX.sequence == delivery.sequence,
        _OUTBOX.partner == delivery.partner,
        _OUTBOX.channel == delivery.channel,
    )


def answered(connection: sa.Connection, delivery: Delivery) -> None:
    """Keep what became of a message."""
    connection.execute(
        sa.update(schema.outbox)
        .where(_key(delivery), _WAITS)
        .values(
            due=delivery.due,
            tries=delivery.tries,
            last_status=delivery.status,
            accepted=delivery.accepted,
            given_up=delivery.given_up,
        )
    )


def words(connection: sa.Connection, notice: str) -> list[Word]:
    """The messages of a notice as timeliness takes them."""
    return [
        Word(
            sequence=each.sequence,
            partner=each.partner,
            role=each.role,
            channel=each.channel,
            accepted=each.accepted,
        )
        for each in deliveries(connection, notice)
    ]


def results(connection: sa.Connection) -> dict[tuple[str, str], int]:
    """How many messages there are by kind of channel, and accepted, pending or given up."""
    found: dict[tuple[str, str], int] = {}
    outcome = sa.case(
        (_OUTBOX.accepted.is_not(None), "accepted"), (_OUTBOX.given_up.is_not(None), "given_up"), else_="pending"
    )
    for row in connection.execute(
        sa.select(_OUTBOX.channel, outcome, sa.func.count()).group_by(_OUTBOX.channel, outcome)
    ):
        key = (channel_kind(row[0]), row[1])
        found[key] = found.get(key, 0) + row[2]
    return found


def channel_kind(channel: str) -> str:
    """`email` of `email` and of `email-2`, the second address of a partner."""
    return channel.partition("-")[0]


def has_role(connection: sa.Connection, notice: str, role: Role) -> bool:
    """Whether some message of a notice goes to a role."""
    here = sa.and_(_OUTBOX.notice == notice, _OUTBOX.role == role.value)
    return connection.execute(sa.select(_OUTBOX.notice).where(here).limit(1)).first() is not None


def _notice(row: sa.Row[tuple[object, ...]]) -> Notice:
    return Notice(
        id=row.notice,
        kind=Kind(row.kind),
        state=State(row.state),
        author=Author(row.source),
        title=row.title,
        services=tuple(row.services),
        sequence=row.sequence,
        cause=row.cause,
        began=row.began,
        detected=row.detected,
        told=row.told,
        ended=row.ended,
        end_told=row.end_told,
        closed=row.closed,
        announced=row.announced,
        starts=row.starts,
        ends=row.ends,
    )


def _delivery(row: sa.Row[tuple[object, ...]]) -> Delivery:
    return Delivery(
        notice=row.notice,
        sequence=row.sequence,
        partner=row.partner,
        role=Role(row.role),
        channel=row.channel,
        due=row.due,
        tries=row.tries,
        status=row.last_status,
        accepted=row.accepted,
        given_up=row.given_up,
    )
