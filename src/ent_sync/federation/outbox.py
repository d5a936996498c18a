"""Messages leave: each is tried until a channel accepts it, more and more seldom, for a day (federation-slo.md §5).

A channel that fails is kept with its status and shown; it stops neither the others nor whoever calls.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Self
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from ent_sync.config.federation import FederationSection
from ent_sync.config.partners import PartnerSection
from ent_sync.core.errors import BadConfigurationError, Problem, Where
from ent_sync.core.notice.roles import Role
from ent_sync.federation import notices
from ent_sync.federation.channels import mail, webhook
from ent_sync.federation.channels.letter import Answer, Letter
from ent_sync.federation.wires import tls_context
from ent_sync.federation.words import Language
from ent_sync.store import notices as kept
from ent_sync.store import runs
from ent_sync.store.database import Database
from ent_sync.store.notices import Delivery

FIRST_PAUSE = dt.timedelta(seconds=30)
LONGEST_PAUSE = dt.timedelta(hours=1)
GIVES_UP = dt.timedelta(hours=24)
_CLAIM = dt.timedelta(minutes=2)
SECONDS = 20.0
"""A flush begins nothing more after so long; what is left goes with the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """How one partner is reached."""

    emails: tuple[str, ...]
    subscription: webhook.Subscription | None
    languages: tuple[Language, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Channels:
    """All that is needed to write and send a message, secrets included."""

    server: mail.Server | None
    reaches: Mapping[str, Reach]
    audience: notices.Audience
    titles: Mapping[str, str] = field(default_factory=dict)
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("Europe/Paris"))
    link: str | None = None


def channels_of(
    federation: FederationSection, audience: notices.Audience, *, base: Path, environ: Mapping[str, str]
) -> Channels:
    """The channels of a configuration; secrets are read.

    Raises `BadConfigurationError` where one cannot be read.
    """
    smtp = federation.smtp
    server = None
    if smtp is not None:
        login = None
        if smtp.login is not None:
            login = (smtp.login.account, smtp.login.password.read(base, environ).decode(errors="replace"))
        server = mail.Server(
            address=smtp.server,
            sender=smtp.sender,
            starttls=smtp.starttls,
            login=login,
            context=partial(tls_context, _trust(smtp.ca, base)),
        )
    return Channels(
        server=server,
        reaches={each.name: _reach(each, base, environ) for each in federation.partners},
        audience=audience,
        titles={each.name: each.title for each in federation.services if each.title},
        zone=ZoneInfo(federation.calendar.zone),
        link=federation.public.url if federation.public else None,
    )


def _reach(section: PartnerSection, base: Path, environ: Mapping[str, str]) -> Reach:
    subscription = None
    if section.webhook is not None:
        keys = tuple(webhook.key(each.read(base, environ)) for each in section.webhook.keys)
        trust = _trust(section.webhook.ca, base)
        subscription = webhook.Subscription(url=section.webhook.url, keys=keys, trust=trust)
    return Reach(emails=section.email, subscription=subscription, languages=section.languages)


def _trust(ca: Path | None, base: Path) -> str | None:
    if ca is None:
        return None
    try:
        return (base / ca).read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not PEM"
    raise BadConfigurationError([Problem(Where(str(base / ca)), "certificate", f"cannot be read: {why}")])


@dataclass(frozen=True, slots=True)
class Flushed:
    """What a flush did: messages accepted, to be tried again, given up."""

    accepted: int = 0
    failed: int = 0
    given_up: int = 0


def flush(database: Database, channels: Channels, now: Callable[[], dt.datetime]) -> Flushed:
    """Try all messages that are due. What a channel does never raises here; only the store can."""
    with database.reading() as connection:
        waiting = kept.due(connection, now())
    done = Flushed()
    if not waiting:
        return done
    ends = time.monotonic() + SECONDS
    with _Desk(channels) as desk:
        for each in waiting:
            if time.monotonic() >= ends:
                break
            if (after := _try(database, desk, each, now)) is None:
                continue
            done = Flushed(
                done.accepted + (after.accepted is not None),
                done.failed + after.pending,
                done.given_up + (after.given_up is not None),
            )
    return done


def _try(database: Database, desk: _Desk, delivery: Delivery, now: Callable[[], dt.datetime]) -> Delivery | None:
    """One message; None where another process has taken it."""
    with database.transaction() as connection:
        if not kept.claim(connection, delivery, now() + _CLAIM):
            return None
        letter = desk.letter(connection, delivery)
        ended = desk.is_ended(connection, delivery)
    moment = now()
    answer = Answer(accepted=False, status="410", ended=True) if ended else desk.send(letter, delivery, moment)
    with database.transaction() as connection:
        after = _after(delivery, answer, letter, now())
        kept.answered(connection, after)
        if answer.ended and not ended:
            desk.end(connection, delivery)
        if answer.accepted:
            notices.hear(connection, delivery.notice)
    return after


def _after(delivery: Delivery, answer: Answer, letter: Letter | None, now: dt.datetime) -> Delivery:
    tries = delivery.tries + 1
    if answer.accepted:
        return replace(delivery, tries=tries, status=answer.status, accepted=now)
    since = letter.update.at if letter is not None else now
    if answer.ended or letter is None or now - since >= GIVES_UP:
        return replace(delivery, tries=tries, status=answer.status, given_up=now)
    return replace(delivery, tries=tries, status=answer.status, due=now + pause(tries))


def pause(tries: int) -> dt.timedelta:
    """How long to wait after so many tries: 30 s, then twice as long each time, an hour at most."""
    return min(FIRST_PAUSE * (1 << min(tries - 1, 10)), LONGEST_PAUSE)


class _Desk:
    """Where letters are written and handed to their channel; the mail server's session is shared by one flush."""

    def __init__(self, channels: Channels) -> None:
        self._channels = channels
        self._post = mail.Post(channels.server) if channels.server else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._post is not None:
            self._post.__exit__(None, None, None)

    def letter(self, connection: sa.Connection, delivery: Delivery) -> Letter | None:
        """The message of a delivery as it reads now; None where the notice is gone or the partner has left."""
        notice = kept.get(connection, delivery.notice)
        reach = self._channels.reaches.get(delivery.partner)
        said = kept.updates(connection, [delivery.notice])[delivery.notice]
        update = next((each for each in said if each.sequence == delivery.sequence), None)
        if notice is None or reach is None or update is None:
            return None
        return Letter(
            notice=notice,
            update=update,
            partner=delivery.partner,
            languages=reach.languages,
            agreed=notices.agreement(connection, notice, self._channels.audience),
            link=self._channels.link,
            code=delivery.role is Role.OPERATORS,
            titles=self._channels.titles,
            zone=self._channels.zone,
        )

    def send(self, letter: Letter | None, delivery: Delivery, now: dt.datetime) -> Answer:
        """Hand a letter over."""
        gone = Answer(accepted=False, status="no such address", ended=True)
        reach = self._channels.reaches.get(delivery.partner)
        if letter is None or reach is None:
            return gone
        if delivery.channel == "webhook":
            return webhook.post(letter, reach.subscription, now) if reach.subscription else gone
        if (to := _address(reach, delivery.channel)) is None:
            return gone
        if self._post is None or self._channels.server is None:
            return Answer(accepted=False, status="no mail server")
        return self._post.send(mail.message(letter, self._channels.server, to, now), to)

    def is_ended(self, connection: sa.Connection, delivery: Delivery) -> bool:
        """Whether a webhook has said, at the address that it has now, that it wants no more."""
        fact = self._ended(delivery)
        return fact is not None and runs.fact(connection, fact) is not None

    def end(self, connection: sa.Connection, delivery: Delivery) -> None:
        """A webhook wants no more; another address in the configuration begins anew."""
        if (fact := self._ended(delivery)) is not None:
            runs.remember_fact(connection, fact, "410")

    def _ended(self, delivery: Delivery) -> str | None:
        reach = self._channels.reaches.get(delivery.partner)
        if delivery.channel != "webhook" or reach is None or reach.subscription is None:
            return None
        url = hashlib.sha256(reach.subscription.url.encode()).hexdigest()[:16]
        return f"webhook ended {delivery.partner} {url}"


def _address(reach: Reach, channel: str) -> str | None:
    _, _, number = channel.partition("-")
    place = int(number or 1)
    return reach.emails[place - 1] if place <= len(reach.emails) else None
