"""How the federation stands now: each service, what is open, what is planned."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa

from ent_sync.config.federation import FederationSection
from ent_sync.core.levels.samples import Result, Sample
from ent_sync.core.levels.spans import Span
from ent_sync.core.notice.kinds import Kind, Notice, State
from ent_sync.federation.report import Reader
from ent_sync.federation.series import of_samples
from ent_sync.store import notices, samples

_LOOK_BACK = dt.timedelta(hours=6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """One service now. `since` is the beginning of this result as far as it was looked back; `last` its last sample."""

    name: str
    title: str
    result: Result
    since: dt.datetime | None
    last: Sample | None
    excluded: str | None
    maintenance: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """All services, the notices that are not over, and the maintenance that is to come or runs."""

    services: tuple[Now, ...]
    notices: tuple[Notice, ...]
    maintenance: tuple[Notice, ...]


def status(connection: sa.Connection, federation: FederationSection, now: dt.datetime) -> Status:
    """How things stand; what was last seen too long ago is unknown."""
    window = Span(now - _LOOK_BACK, now + dt.timedelta(microseconds=1))
    reader = Reader(connection, federation)
    planned = notices.listed(connection, kinds=[Kind.MAINTENANCE], open_only=True)
    found = notices.listed(connection, kinds=[Kind.MALFUNCTION, Kind.EVOLUTION], open_only=True)
    last = samples.latest(connection)
    running = {name for each in planned if is_running(each, now) for name in each.services}
    services = []
    for name in reader.names(window):
        section = federation.service(name)
        seen = [each for each in samples.of(connection, name, window) if each.time <= now]
        covered = of_samples(name, window, seen, reader.rhythm(window)).covered
        here = covered[-1] if covered and covered[-1].span.holds(now) else None
        services.append(
            Now(
                name=name,
                title=section.title if section is not None and section.title else name,
                result=here.result if here is not None else Result.UNKNOWN,
                since=here.span.start if here is not None else None,
                last=last.get(name),
                excluded=section.excluded if section is not None else None,
                maintenance=name in running,
            )
        )
    return Status(services=tuple(services), notices=tuple(found), maintenance=tuple(planned))


def is_running(notice: Notice, now: dt.datetime) -> bool:
    """Whether a maintenance is under way."""
    planned = notice.planned
    here = planned is not None and planned.holds(now)
    return notice.state is not State.CANCELLED and (here or notice.state in {State.RUNNING, State.OVERRUN})
