"""Notices in the store: what the probe decides, what hands write, and to whom each word goes.

Every function here works in the caller's write transaction: the notice, its update and the messages of it stand
together or not at all. Messages leave later (`outbox.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import sqlalchemy as sa

from ent_sync.config.federation import FederationSection
from ent_sync.config.partners import PartnerSection
from ent_sync.core.errors import UsageError
from ent_sync.core.levels.calendar import MaintenanceRules, SchoolHours
from ent_sync.core.levels.spans import Span, span
from ent_sync.core.notice import evolution, maintenance
from ent_sync.core.notice.kinds import (
    Author,
    Kind,
    Notice,
    State,
    Step,
    Update,
    What,
    first,
    identifier,
    step,
)
from ent_sync.core.notice.roles import Partner, Role, concerned, is_crisis
from ent_sync.core.notice.timeliness import Timeliness, Word, all_told, timeliness
from ent_sync.federation.words import Agreement
from ent_sync.store import notices as kept

MONTHS_BACK = dt.timedelta(days=70)
"""The month's cap of maintenance is counted over whole months: so far back they are read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """Whom there is to tell, when schools work, and what makes maintenance agreed."""

    partners: tuple[Partner, ...]
    hours: SchoolHours
    rules: MaintenanceRules


def audience_of(federation: FederationSection, now: dt.datetime) -> Audience:
    """The audience that a configuration describes, with the holidays of the years around now."""
    return Audience(
        partners=tuple(partner_of(each) for each in federation.partners),
        hours=federation.calendar.school_hours(range(now.year - 1, now.year + 2)),
        rules=federation.maintenance.rules(),
    )


def partner_of(section: PartnerSection) -> Partner:
    """A partner with its channels: `email`, `email-2`, … for its addresses, `webhook`."""
    mails = ["email" if place == 1 else f"email-{place}" for place in range(1, len(section.email) + 1)]
    return Partner(
        name=section.name,
        role=Role(section.role),
        kinds=frozenset(Kind(each) for each in section.kinds),
        services=frozenset(section.services),
        channels=(*mails, *(["webhook"] if section.webhook else [])),
    )


def keep(connection: sa.Connection, steps: Iterable[Step], audience: Audience, now: dt.datetime) -> list[Notice]:
    """Keep what was decided, with a message of each update to all whom it concerns; the notices as they are now."""
    found: dict[str, Notice] = {}
    for each in steps:
        crisis = is_crisis(each.notice, audience.hours, now)
        to = concerned(audience.partners, each.notice, each.update.what, crisis=crisis) if each.update else ()
        if kept.put(connection, each.notice, each.update, to if each.tell else ()):
            found[each.notice.id] = each.notice
    return list(found.values())


# -- what hands write --------------------------------------------------------------------------------------------------


def open_notice(
    connection: sa.Connection,
    audience: Audience,
    *,
    kind: Kind,
    services: Sequence[str],
    title: str,
    now: dt.datetime,
    began: dt.datetime | None = None,
    author: Author = Author.HAND,
) -> Notice:
    """A malfunction, or an evolution (`began` is when it comes into force), that somebody tells.

    What the authority itself told is kept with the moment of its word and told to nobody: it is what Article 3.1 is
    about, and ours is the measure of it.

    Raises `UsageError` where a malfunction of one of the services is open: it is to be updated.
    """
    title = _one_line(title)
    if kind is Kind.MAINTENANCE:
        raise UsageError("maintenance is planned: `ent-sync federation maintenance plan`")
    if kind is Kind.EVOLUTION:
        made = evolution.announce(services, title, now, in_force=began, author=author)
    else:
        _refuse_second(connection, services, author)
        began = began or now
        if began > now:
            raise UsageError("a malfunction has begun: --began is not in the future")
        notice = Notice(
            id=identifier(kind, began, services, title),
            kind=kind,
            state=State.TOLD if author is Author.AUTHORITY else State.DETECTED,
            author=author,
            title=title,
            services=tuple(services),
            began=began,
            detected=now,
            told=now if author is Author.AUTHORITY else None,
        )
        made = first(notice, What.OPENED, now)
    return _kept(connection, made, audience, now)


def _refuse_second(connection: sa.Connection, services: Sequence[str], author: Author) -> None:
    for each in kept.listed(connection, kinds=[Kind.MALFUNCTION], open_only=True):
        alike = (each.author is Author.AUTHORITY) is (author is Author.AUTHORITY)
        if alike and not each.internal and not set(services).isdisjoint(each.services):
            raise UsageError(f"{each.id} is open for one of these services: update it, or close it first")


def update_notice(connection: sa.Connection, audience: Audience, notice: str, text: str, now: dt.datetime) -> Notice:
    """A further word about a notice that is not over."""
    known = _known(connection, notice)
    if not known.open and known.state is not State.ENDED:
        raise UsageError(f"{notice} is over ({known.state}): nobody is told any more")
    state = State.UPDATED if known.kind is Kind.MALFUNCTION and known.told and known.open else known.state
    return _kept(connection, step(replace(known, state=state), What.UPDATED, now, _plain(text)), audience, now)


def close_notice(connection: sa.Connection, audience: Audience, notice: str, text: str, now: dt.datetime) -> Notice:
    """The last word about a malfunction or an evolution, with cause and measures; one that is open ends by it."""
    known = _known(connection, notice)
    if known.kind is Kind.MAINTENANCE:
        raise UsageError(f"{notice} is maintenance: `ent-sync federation maintenance cancel`")
    if known.state is State.CLOSED:
        raise UsageError(f"{notice} is closed already")
    ended = known.ended or now if known.kind is Kind.MALFUNCTION else known.ended
    end_told = now if known.author is Author.AUTHORITY else known.end_told
    closed = replace(known, state=State.CLOSED, ended=ended, end_told=end_told, closed=now)
    made = step(closed, What.CLOSED, now, _plain(text))
    return _kept(connection, made, audience, now)


def plan_maintenance(
    connection: sa.Connection,
    audience: Audience,
    *,
    services: Sequence[str],
    starts: dt.datetime,
    ends: dt.datetime,
    title: str,
    now: dt.datetime,
    author: Author = Author.HAND,
    announced: dt.datetime | None = None,
) -> Notice:
    """A planned maintenance. `announced`: when the authority told it, where that was before now."""
    time = _time(starts, ends)
    if announced is not None and announced > now:
        raise UsageError("what is announced has been announced: not in the future")
    made = maintenance.plan(services, time, _one_line(title), now, author=author, announced=announced)
    return _kept(connection, made, audience, now)


def move_maintenance(
    connection: sa.Connection,
    audience: Audience,
    notice: str,
    starts: dt.datetime,
    ends: dt.datetime,
    now: dt.datetime,
    text: str = "",
) -> Notice:
    """Another time for a maintenance that is not over."""
    known = _coming(connection, notice)
    return _kept(connection, maintenance.move(known, _time(starts, ends), now, _plain(text)), audience, now)


def cancel_maintenance(
    connection: sa.Connection, audience: Audience, notice: str, now: dt.datetime, text: str = ""
) -> Notice:
    """It will not be; what it covers is not agreed."""
    known = _coming(connection, notice)
    return _kept(connection, maintenance.cancel(known, now, _plain(text)), audience, now)


def _time(starts: dt.datetime, ends: dt.datetime) -> Span:
    if ends <= starts:
        raise UsageError("maintenance ends after it starts")
    return span(starts, ends)


def _known(connection: sa.Connection, notice: str) -> Notice:
    found = kept.get(connection, notice)
    if found is None:
        raise UsageError("there is no notice of this id: `ent-sync federation notice list`")
    return found


def _coming(connection: sa.Connection, notice: str) -> Notice:
    known = _known(connection, notice)
    if known.kind is not Kind.MAINTENANCE:
        raise UsageError(f"{notice} is no maintenance")
    if not known.open:
        raise UsageError(f"{notice} is over ({known.state})")
    return known


def _kept(connection: sa.Connection, made: Step, audience: Audience, now: dt.datetime) -> Notice:
    reported = made.notice.author is Author.AUTHORITY and made.notice.kind is not Kind.MAINTENANCE
    if not keep(connection, [replace(made, tell=made.tell and not reported)], audience, now):
        raise UsageError(f"{made.notice.id} is known already")
    return made.notice


def _one_line(text: str) -> str:
    """A title in one line, without control characters: it becomes a subject."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())[:200]


def _plain(text: str) -> str:
    """What somebody wrote, without control characters but the ends of lines."""
    return "".join(each for each in text if each.isprintable() or each == "\n").strip()[:10_000]


# -- what came of it ---------------------------------------------------------------------------------------------------


def hear(connection: sa.Connection, notice: str) -> Notice | None:
    """A message of a notice was accepted: when every role had its first word, and the word of the end."""
    known = kept.get(connection, notice)
    if known is None:
        return None
    words = kept.words(connection, notice)
    said = kept.updates(connection, [notice])[notice]
    told = known.told or _heard(words, 0)
    end_told = known.end_told
    if known.ended is not None and end_told is None and (over := _over_since(said)) is not None:
        end_told = _heard(words, over)
    state = known.state
    moved = [each.sequence for each in said if each.what is What.MOVED]
    if _heard(words, max(moved, default=0)) is not None:
        state = _TOLD.get(state, state)
    now_is = replace(known, told=told, end_told=end_told, state=state)
    if now_is != known:
        kept.put(connection, now_is, None)
    return now_is


def _heard(words: Sequence[Word], since: int) -> dt.datetime | None:
    """When all roles that an update goes to had heard of it, or of a later one."""
    due = {each.role for each in words if each.sequence == since}
    return all_told(each for each in words if each.role in due and each.sequence >= since)


def _over_since(said: Sequence[Update]) -> int | None:
    """The sequence of the word of the end; closing words after it are another matter."""
    found = None
    over = False
    for each in said:
        ends = each.what in {What.ENDED, What.CLOSED}
        if ends and not over:
            found = each.sequence
        over = ends
    return found if over else None


_TOLD = {State.DETECTED: State.TOLD, State.PLANNED: State.ANNOUNCED, State.SEEN: State.TOLD}


def agreement(connection: sa.Connection, notice: Notice, audience: Audience) -> Agreement | None:
    """How much of a maintenance is agreed, over all its services; None of the other kinds."""
    if notice.planned is None or notice.kind is not Kind.MAINTENANCE:
        return None
    since = notice.planned.start - MONTHS_BACK
    every = kept.listed(connection, kinds=[Kind.MAINTENANCE], since=since)
    parts = maintenance.agreed_parts(notice, every, audience.rules, audience.hours)
    whole = notice.planned.seconds
    shares = [sum(each.seconds for each in spans) / whole for spans in parts.values()]
    if all(each >= 1 for each in shares):
        return "all"
    return "part" if any(shares) else "none"


def timeliness_of(connection: sa.Connection, notice: Notice, hours: SchoolHours, now: dt.datetime) -> Timeliness:
    """How soon partners were told of a notice."""
    said = kept.updates(connection, [notice.id])[notice.id]
    return timeliness(notice, said, kept.words(connection, notice.id), hours, now)
