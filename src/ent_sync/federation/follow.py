"""What the probe decides: malfunctions, maintenance and evolutions followed from the samples that are stored.

All in one write transaction, the caller's, so that whoever decides sees what was decided before.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import sqlalchemy as sa

from ent_sync.core.levels.calendar import SchoolHours, agreed
from ent_sync.core.levels.samples import Result
from ent_sync.core.levels.spans import Span
from ent_sync.core.notice import evolution, maintenance, malfunction
from ent_sync.core.notice.kinds import Author, Kind, Notice, State, Step, What, step
from ent_sync.core.notice.roles import Role, concerned, is_crisis
from ent_sync.federation import notices
from ent_sync.store import notices as kept
from ent_sync.store import samples

_LOOK_BACK = dt.timedelta(hours=2)
_CLOSES_BY_ITSELF = dt.timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Probing:
    """What the decisions need to know of the probing: its services, its vantage points, and its cadence now."""

    services: Sequence[str]
    vantages: int
    school: dt.timedelta
    off: dt.timedelta

    def cadence(self, hours: SchoolHours, moment: dt.datetime) -> dt.timedelta:
        """How often services are looked at, at a moment."""
        return self.school if hours.holds(moment) else self.off


def follow(connection: sa.Connection, audience: notices.Audience, probing: Probing, now: dt.datetime) -> list[Notice]:
    """Open, continue and end what the stored samples say; the notices that changed.

    Malfunctions, maintenance as it comes and goes, evolutions that come into force, and the crisis cell's business.
    """
    planned = kept.listed(connection, kinds=[Kind.MAINTENANCE], since=now - notices.MONTHS_BACK)
    windows = agreed_windows(planned, probing.services, audience)
    since = _since(windows, now)
    cadence = probing.cadence(audience.hours, now)
    series = {
        name: malfunction.seen(found, probing.vantages, lambda moment: probing.cadence(audience.hours, moment))
        for name, found in samples.lately(connection, probing.services, since).items()
    }
    lately = kept.listed(connection, kinds=[Kind.MALFUNCTION], since=now - malfunction.EVERY)
    decided = malfunction.decide(
        malfunction.Situation(
            now=now,
            cadence=cadence,
            series=series,
            notices=lately,
            updates=kept.updates(connection, [each.id for each in lately]),
            agreed=windows,
        )
    )
    changed = notices.keep(connection, decided, audience, now)
    changed += notices.keep(connection, _maintenance(planned, series, now), audience, now)
    changed += notices.keep(connection, _evolutions(connection, now), audience, now)
    changed += notices.keep(connection, _grown(connection, audience, now), audience, now)
    _close_the_old(connection, now)
    return changed


def agreed_windows(
    planned: Sequence[Notice], services: Iterable[str], audience: notices.Audience
) -> dict[str, tuple[Span, ...]]:
    """The agreed maintenance of each service."""
    windows = maintenance.windows(planned)
    return {each: agreed(each, windows, audience.rules, audience.hours) for each in services}


def _since(windows: Mapping[str, Sequence[Span]], now: dt.datetime) -> dt.datetime:
    """From when ticks are looked at: what began in maintenance is dated back to its beginning."""
    near = [each.start for spans in windows.values() for each in spans if each.start <= now <= each.end + _LOOK_BACK]
    return min([now, *near]) - _LOOK_BACK


def _maintenance(
    planned: Sequence[Notice], series: Mapping[str, Sequence[malfunction.Seen]], now: dt.datetime
) -> list[Step]:
    risen: dict[str, dt.datetime] = {}
    fallen: set[str] = set()
    for name, ticks in series.items():
        known = [each for each in ticks if each.result is not Result.UNKNOWN]
        if known and known[-1].result is Result.DOWN:
            fallen.add(name)
        for each in reversed(known):
            if each.result is Result.DOWN:
                break
            risen[name] = each.time
    steps = [maintenance.go_on(each, now, risen, fallen) for each in planned]
    return [each for each in steps if each is not None]


def _evolutions(connection: sa.Connection, now: dt.datetime) -> list[Step]:
    steps = []
    for each in kept.listed(connection, kinds=[Kind.EVOLUTION], open_only=True):
        waits = each.state is State.SEEN and any(word.pending for word in kept.deliveries(connection, each.id))
        known = each if waits else replace(each, state=State.TOLD)
        if (made := evolution.go_on(known, now)) is not None:
            steps.append(made)
    return steps


def _grown(connection: sa.Connection, audience: notices.Audience, now: dt.datetime) -> list[Step]:
    """Malfunctions that have become the crisis cell's business."""
    steps = []
    for each in kept.listed(connection, kinds=[Kind.MALFUNCTION], open_only=True):
        if each.author is Author.AUTHORITY:
            continue
        crisis = is_crisis(each, audience.hours, now) and not kept.has_role(connection, each.id, Role.CRISIS_CELL)
        if crisis and concerned(audience.partners, each, What.ESCALATED, crisis=True):
            steps.append(step(each, What.ESCALATED, now))
    return steps


def _close_the_old(connection: sa.Connection, now: dt.datetime) -> None:
    for each in kept.listed(connection, kinds=[Kind.MALFUNCTION], since=now - 2 * _CLOSES_BY_ITSELF):
        if each.state is State.ENDED and each.ended is not None and now - each.ended >= _CLOSES_BY_ITSELF:
            kept.put(connection, replace(each, state=State.CLOSED, closed=now), None)


def sighted(
    connection: sa.Connection, sights: Iterable[evolution.Sight], audience: notices.Audience, now: dt.datetime
) -> list[Notice]:
    """Evolutions that the probe has seen: announced ones are here, others are told as unannounced."""
    changed: list[Notice] = []
    for each in sights:
        known = kept.listed(connection, kinds=[Kind.EVOLUTION])
        if (made := evolution.noticed(each, known)) is not None:
            changed += notices.keep(connection, [made], audience, now)
    return changed
