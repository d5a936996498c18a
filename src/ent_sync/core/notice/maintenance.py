"""Planned maintenance from its plan to its end, and which part of it is agreed (federation-slo.md §4.2, §5)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ent_sync.core.levels.calendar import Maintenance, MaintenanceRules, SchoolHours, agreed
from ent_sync.core.levels.spans import Span, common, span
from ent_sync.core.notice.kinds import Author, Kind, Notice, State, Step, What, first, identifier, step

REMINDED_BEFORE = dt.timedelta(days=1)


def plan(
    services: Sequence[str],
    time: Span,
    title: str,
    now: dt.datetime,
    *,
    author: Author = Author.HAND,
    announced: dt.datetime | None = None,
) -> Step:
    """A maintenance that is planned now, or that the authority announced at another moment."""
    notice = Notice(
        id=identifier(Kind.MAINTENANCE, time.start, services, title),
        kind=Kind.MAINTENANCE,
        state=State.PLANNED,
        author=author,
        title=title,
        services=tuple(services),
        announced=announced or now,
        starts=time.start,
        ends=time.end,
    )
    return first(notice, What.PLANNED, now)


def move(notice: Notice, time: Span, now: dt.datetime, text: str = "") -> Step:
    """Another time for it; within the time that was announced, the announcement stands."""
    before = notice.planned
    inside = before is not None and before.start <= time.start and time.end <= before.end
    moved = replace(
        notice,
        state=State.PLANNED,
        announced=notice.announced if inside else now,
        starts=time.start,
        ends=time.end,
        began=None,
        ended=None,
    )
    return step(moved, What.MOVED, now, text)


def cancel(notice: Notice, now: dt.datetime, text: str = "") -> Step:
    """It will not be, or ends at once."""
    ended = now if notice.began is not None else None
    return step(replace(notice, state=State.CANCELLED, ended=ended, closed=now), What.CANCELLED, now, text)


def go_on(notice: Notice, now: dt.datetime, risen: Mapping[str, dt.datetime], fallen: Iterable[str]) -> Step | None:
    """What becomes of it now. `risen` tells since when a service is up again, `fallen` names those that are down.

    Beginning and end are those of the plan, since nobody tells us better, but that it lasts while a service is down.
    """
    if notice.starts is None or notice.ends is None or not notice.open:
        return None
    if now >= notice.ends:
        back = [risen[each] for each in notice.services if each in risen]
        return _after(notice, max([notice.ends, *back]), down=not set(notice.services).isdisjoint(fallen))
    if now >= notice.starts:
        running = notice.state is State.RUNNING
        return None if running else Step(replace(notice, state=State.RUNNING, began=notice.starts))
    near = notice.starts - REMINDED_BEFORE <= now
    ahead = notice.announced is not None and notice.announced < notice.starts - REMINDED_BEFORE
    if near and ahead and notice.state is not State.REMINDED:
        return step(replace(notice, state=State.REMINDED), What.REMINDED, now)
    return None


def _after(notice: Notice, back: dt.datetime, *, down: bool) -> Step | None:
    """Its time is over: done, or overrun until its services are back."""
    began = notice.began or notice.starts
    if down:
        overrun = notice.state is State.OVERRUN
        return None if overrun else Step(replace(notice, state=State.OVERRUN, began=began))
    ended = back if notice.state is State.OVERRUN else notice.ends
    return Step(replace(notice, state=State.DONE, began=began, ended=ended))


def windows(notices: Iterable[Notice]) -> tuple[Maintenance, ...]:
    """All maintenance as the levels take it; a cancelled one is never agreed, not even for what was already over."""
    return tuple(
        Maintenance(
            services=frozenset(each.services),
            planned=span(each.starts, each.ends),
            announced=each.announced,
            cancelled=each.state is State.CANCELLED,
        )
        for each in notices
        if each.kind is Kind.MAINTENANCE and each.starts and each.ends and each.announced
    )


def agreed_parts(
    notice: Notice, every: Iterable[Notice], rules: MaintenanceRules, hours: SchoolHours
) -> dict[str, tuple[Span, ...]]:
    """Which part of a maintenance is agreed, by service; the month's cap is shared with all others."""
    planned = windows(every)
    if notice.planned is None or notice.state is State.CANCELLED:
        return dict.fromkeys(notice.services, ())
    return {each: common(agreed(each, planned, rules, hours), [notice.planned]) for each in notice.services}
