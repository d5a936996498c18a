"""The federation's collector, put together from the settings: for whoever serves `/metrics`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from functools import partial

import sqlalchemy as sa

from ent_sync.config.settings import Settings
from ent_sync.federation.remembered import ProbeState, probe_state
from ent_sync.federation.standing import Standings
from ent_sync.observe.federation import FederationCollector, Watched
from ent_sync.observe.metrics import reading
from ent_sync.store import measures
from ent_sync.store.ticked import Counting

_YEARS = 10


def counting_of(settings: Settings, now: dt.datetime, services: Iterable[str] = ()) -> Counting | None:
    """What is counted of an installation: its services, and `services` of our own chain; None without a section."""
    section = settings.federation
    if section is None:
        return None
    names = [each.name for each in section.services]
    cadence = section.probing.cadence
    return Counting(
        services=tuple(dict.fromkeys([*names, *services])),
        vantages=section.vantages,
        school=cadence.school,
        off=cadence.off,
        hours=section.calendar.school_hours(range(now.year - _YEARS, now.year + 3)),
        rules=section.maintenance.rules(),
    )


def collector(
    settings: Settings, now: Callable[[], dt.datetime], services: Iterable[str] = ()
) -> FederationCollector | None:
    """The collector of an installation; None where its configuration has no federation."""
    section, counting = settings.federation, counting_of(settings, now(), services)
    if section is None or counting is None:
        return None
    view = partial(reading, settings.store_url)
    watched = Watched(
        counting=counting,
        vantage=section.vantage,
        looks=looks,
        objective=section.objective,
        standing=Standings(view, section, now, accounts),
    )
    return FederationCollector(view, watched, now)


def looks(connection: sa.Connection, vantages: Iterable[str]) -> Mapping[str, ProbeState]:
    """What each vantage point last found of itself, of those that look with this store."""
    found = {name: probe_state(connection, name) for name in vantages}
    return {name: state for name, state in found.items() if state is not None}


def accounts(connection: sa.Connection) -> Mapping[str, int]:
    """The active accounts by population; of several targets the fullest, since they are the same people."""
    found: dict[str, int] = {}
    for labels, value in measures.counted(connection).values.get("accounts", {}).items():
        _, population, status = labels
        if status == "active":
            found[population] = max(found.get(population, 0), int(value))
    return found
