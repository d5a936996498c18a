"""Evolutions: what changed in a service's metadata, certificates, endpoints or TLS, announced ahead or not (§5)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from ent_sync.core.notice.kinds import Author, Kind, Notice, State, Step, What, first, identifier, step

AROUND = dt.timedelta(days=7)
"""What is seen so long before or after the moment that was announced is what was announced."""
CLOCK_LIMIT = 60
"""A clock that is further off than so many seconds is told."""
ENDS_SOON = dt.timedelta(days=14)
"""A certificate that ends within this time is told."""


class Change(StrEnum):
    """What is different; the cause of an evolution."""

    CERTIFICATE = "certificate"
    ENDPOINT = "endpoint"
    ENTITY = "entity"
    ALGORITHM = "algorithm"
    TLS = "tls"
    ENDING = "certificate_ending"
    CLOCK = "clock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """A change that the probe saw. `value` tells two changes of one kind apart; `until` is the end of a certificate."""

    service: str
    change: Change
    value: str
    at: dt.datetime
    until: dt.datetime | None = None


def announce(
    services: Sequence[str],
    title: str,
    now: dt.datetime,
    *,
    in_force: dt.datetime | None = None,
    author: Author = Author.HAND,
) -> Step:
    """An evolution that somebody announces; it comes into force at a moment, or now."""
    notice = Notice(
        id=identifier(Kind.EVOLUTION, in_force or now, services, title),
        kind=Kind.EVOLUTION,
        state=State.SEEN,
        author=author,
        title=title,
        services=tuple(services),
        announced=now,
        starts=in_force or now,
    )
    return first(notice, What.OPENED, now)


def noticed(sight: Sight, notices: Sequence[Notice]) -> Step | None:
    """What the sight of a change means: what was announced is here, or an evolution that nobody announced.

    None where it is already known.
    """
    name = identifier(
        Kind.EVOLUTION, dt.datetime.min.replace(tzinfo=dt.UTC), [sight.service], f"{sight.change}{sight.value}"
    )
    name = f"{Kind.EVOLUTION}-{sight.service}-{name.rpartition('-')[2]}"
    if any(each.id == name for each in notices):
        return None
    expected = [
        each
        for each in notices
        if each.kind is Kind.EVOLUTION and each.author is not Author.PROBE and sight.service in each.services
        if each.announced is not None and each.announced <= sight.at and each.state is not State.CLOSED
        if each.starts is not None and abs(sight.at - each.starts) <= AROUND
    ]
    if expected and sight.change not in {Change.ENDING, Change.CLOCK}:
        known = expected[0]
        if known.detected is not None:
            return None
        seen = replace(known, detected=sight.at, cause=sight.change)
        return step(seen, What.UPDATED, sight.at)
    notice = Notice(
        id=name,
        kind=Kind.EVOLUTION,
        state=State.SEEN,
        author=Author.PROBE,
        title="",
        services=(sight.service,),
        cause=sight.change,
        detected=sight.at,
        starts=sight.until or sight.at,
    )
    return first(notice, What.OPENED, sight.at)


def go_on(notice: Notice, now: dt.datetime) -> Step | None:
    """An evolution that was told comes into force when its moment is there."""
    if notice.kind is Kind.EVOLUTION and notice.state is State.TOLD and notice.starts and notice.starts <= now:
        return Step(replace(notice, state=State.IN_FORCE))
    return None
