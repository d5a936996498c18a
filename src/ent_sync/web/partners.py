"""What the partners' status page shows: each service now and over ninety days, incidents, maintenance, evolutions.

It is public: no host name, no cause finer than the stage, nothing of our own chain, and unknown is shown as unknown.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from ent_sync.config.federation import FederationSection
from ent_sync.config.services import ServiceSection
from ent_sync.core.levels.calendar import agreed
from ent_sync.core.levels.samples import Result
from ent_sync.core.levels.spans import Span
from ent_sync.core.notice.kinds import Kind, Notice, State, Update
from ent_sync.core.notice.maintenance import windows
from ent_sync.federation.rhythm import Rhythm
from ent_sync.store import notices
from ent_sync.web.history import DAYS, Histories, History, is_told, now_of

LATELY = dt.timedelta(days=DAYS)
INCIDENTS = 40
"""So many incidents and evolutions are shown in full; the feed and the reports have them all."""
_MONTH = dt.timedelta(days=31)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceLine:
    """A service. `gap` is its availability less that of the reference, where both are known well enough."""

    name: str
    title: str
    reference: bool
    now: Result
    looked: dt.datetime | None
    maintenance: bool
    excluded: str | None
    history: History
    gap: float | None


@dataclass(frozen=True, slots=True)
class NoticeCard:
    """A notice with its updates, the newest first."""

    notice: Notice
    updates: Sequence[Update]


@dataclass(frozen=True, slots=True, kw_only=True)
class Partners:
    """Everything on the page."""

    services: Sequence[ServiceLine]
    incidents: Sequence[NoticeCard]
    more_incidents: int
    coming: Sequence[NoticeCard]
    past: Sequence[NoticeCard]
    evolutions: Sequence[NoticeCard]

    def group(self, *, reference: bool) -> Sequence[ServiceLine]:
        """The services of the federation, or what they are compared with."""
        return [each for each in self.services if each.reference is reference]

    def those(self, result: str) -> Sequence[ServiceLine]:
        """The services that are looked at and of which this is known now."""
        return [each for each in self.services if each.now == result and each.excluded is None]


def titles(federation: FederationSection) -> Mapping[str, str]:
    """How pages and feeds call each service."""
    return {each.name: each.title or each.name for each in federation.services}


def rhythm_of(federation: FederationSection, now: dt.datetime) -> Rhythm:
    """The rhythm of probing, with the holidays of the years around now."""
    cadence = federation.probing.cadence
    hours = federation.calendar.school_hours(range(now.year - 1, now.year + 2))
    return Rhythm(school=cadence.school, off=cadence.off, hours=hours, place=federation.vantage)


def partners(
    connection: sa.Connection, federation: FederationSection, histories: Histories, now: dt.datetime
) -> Partners:
    """How things stand at a moment, read in one view of the store."""
    rhythm = rhythm_of(federation, now)
    told = _public(connection, now, federation)
    planned = windows([each for each in told if each.kind is Kind.MAINTENANCE])
    names = [each.name for each in federation.services]
    rules = federation.maintenance.rules()
    agreements = {name: agreed(name, planned, rules, rhythm.hours) for name in names}
    found = histories.of(connection, names, agreements, rhythm, now)
    looked = now_of(connection, names, federation.vantages, rhythm, now)
    running = [each for each in told if each.kind is Kind.MAINTENANCE and _is_running(each, now)]
    reference = found.get(federation.reference or "")
    services = [
        _line(section, federation.reference, looked[section.name], running, found[section.name], reference)
        for section in federation.services
    ]
    updates = notices.updates(connection, [each.id for each in told])
    cards = [NoticeCard(each, tuple(reversed(updates[each.id]))) for each in told]
    incidents = [card for card in cards if card.notice.kind is Kind.MALFUNCTION]
    maintenance = [card for card in cards if card.notice.kind is Kind.MAINTENANCE]
    coming = [card for card in maintenance if card.notice.open]
    return Partners(
        services=services,
        incidents=incidents[:INCIDENTS],
        more_incidents=max(len(incidents) - INCIDENTS, 0),
        coming=sorted(coming, key=lambda card: card.notice.starts or now),
        past=[card for card in maintenance if not card.notice.open and _ended_after(card.notice, now - _MONTH)],
        evolutions=[card for card in cards if card.notice.kind is Kind.EVOLUTION][:INCIDENTS],
    )


def _public(connection: sa.Connection, now: dt.datetime, federation: FederationSection) -> list[Notice]:
    """What partners may read: of services of the federation, and not of ourselves.

    A month earlier than is shown, since the agreed maintenance of a month shares its cap.
    """
    names = {each.name for each in federation.services}
    known = notices.listed(connection, since=now - LATELY - _MONTH)
    return [
        each
        for each in known
        if not each.internal
        and not names.isdisjoint(each.services)
        and (each.kind is Kind.MAINTENANCE or each.open or _ended_after(each, now - LATELY))
    ]


def _ended_after(notice: Notice, moment: dt.datetime) -> bool:
    last = [each for each in (notice.ended, notice.ends, notice.closed, notice.starts, notice.detected) if each]
    return max(last, default=moment) >= moment


def _is_running(notice: Notice, now: dt.datetime) -> bool:
    if notice.state is State.OVERRUN:
        return True
    inside: Span | None = notice.planned if notice.open else None
    return inside is not None and inside.holds(now)


def _line(
    section: ServiceSection,
    reference: str | None,
    looked: tuple[Result, dt.datetime | None],
    running: Sequence[Notice],
    history: History,
    compared: History | None,
) -> ServiceLine:
    gap = None
    if compared is not None and section.name != reference:
        here, there = history.level, compared.level
        if here.known is not None and there.known is not None and is_told(here) and is_told(there):
            gap = here.known - there.known
    return ServiceLine(
        name=section.name,
        title=section.title or section.name,
        reference=section.name == reference,
        now=looked[0],
        looked=looked[1],
        maintenance=any(section.name in each.services for each in running),
        excluded=section.excluded,
        history=history,
        gap=gap,
    )
