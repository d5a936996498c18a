"""How many ticks each service had, by what all vantage points made of them together: counters that never go back.

Each tick is counted once, in the order of time, as soon as all places have looked or those that lack are too late. What
comes in later still enters the levels (`federation.figures`), and no counter. Whoever counts goes on from where a count
stood (`Tally`); it is kept in the store, so that a restart begins neither at nothing nor at the first sample of years.
"""

from __future__ import annotations

import bisect
import datetime as dt
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import sqlalchemy as sa

from ent_sync.core.levels.availability import HOLD
from ent_sync.core.levels.calendar import MaintenanceRules, SchoolHours, agreed
from ent_sync.core.levels.outages import LONGEST_BLIND
from ent_sync.core.levels.samples import Result, Sample, Tick, quorum, slot
from ent_sync.core.levels.spans import Span
from ent_sync.core.notice.kinds import Kind
from ent_sync.core.notice.maintenance import windows
from ent_sync.store import measures, notices, runs, samples
from ent_sync.store.samples import VANTAGE_SAMPLES

TICKS = "federation_samples"
"""Counted by service, result, calendar (school, off) and maintenance (agreed, none)."""
OUTAGES = "federation_outages"
"""Counted by service."""
_TOO_LATE = 2
"""So many cadences after its own, a tick does not wait any longer for a vantage point."""
_INSTANT = dt.timedelta(microseconds=1)
_EVER = dt.datetime(1970, 1, 2, tzinfo=dt.UTC)

Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counting:
    """What is counted, and by which calendar."""

    services: tuple[str, ...]
    vantages: int
    school: dt.timedelta
    off: dt.timedelta
    hours: SchoolHours
    rules: MaintenanceRules

    def cadence(self, moment: dt.datetime) -> dt.timedelta:
        """How often services are looked at, at a moment."""
        return self.school if self.hours.holds(moment) else self.off


@dataclass(frozen=True, slots=True)
class Place:
    """How far a service is counted: the moment, the last result, and the end of an outage that may go on."""

    until: dt.datetime | None = None
    last: Tick | None = None
    down_until: dt.datetime | None = None

    @property
    def is_down(self) -> bool:
        """Whether an outage has not ended, as far as is known."""
        return self.down_until is not None or (self.last is not None and self.last.result is Result.DOWN)


@dataclass(slots=True)
class Tally:
    """What was counted so far, and how far each service is."""

    ticks: dict[Labels, int] = field(default_factory=dict)
    outages: dict[str, int] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)


def kept(connection: sa.Connection, services: Sequence[str]) -> Tally:
    """The count as it was last kept."""
    counted = measures.counted(connection)
    found = Tally()
    found.ticks = {labels: int(value) for labels, value in counted.values.get(TICKS, {}).items()}
    for name in services:
        found.outages[name] = int(counted.get(OUTAGES, (name,)))
        if (fact := runs.fact(connection, _fact(name))) is not None:
            found.places[name] = _place(fact)
    return found


def keep(connection: sa.Connection, counting: Counting, now: dt.datetime) -> None:
    """Count on from the last time, and keep it; in the caller's write transaction."""
    before = kept(connection, counting.services)
    ticks, outages = dict(before.ticks), dict(before.outages)
    after = count(connection, before, counting, now)
    for labels, value in after.ticks.items():
        if value != ticks.get(labels, 0):
            measures.count(connection, TICKS, labels, value - ticks.get(labels, 0))
    for name, value in after.outages.items():
        if value != outages.get(name, 0):
            measures.count(connection, OUTAGES, (name,), value - outages.get(name, 0))
    for name, place in after.places.items():
        runs.remember_fact(connection, _fact(name), _told(place))


def count(connection: sa.Connection, tally: Tally, counting: Counting, now: dt.datetime) -> Tally:
    """Count what has come since; the tally itself is changed and given back."""
    planned = windows(notices.listed(connection, kinds=[Kind.MAINTENANCE]))
    places = _places_of(connection)
    for name in counting.services:
        place = tally.places.get(name, Place())
        start = place.until + _INSTANT if place.until is not None else _EVER
        seen = list(samples.of(connection, name, Span(start, now + _INSTANT), hold=dt.timedelta()))
        if not seen:
            continue
        time = Span(seen[0].time, seen[-1].time + _INSTANT)
        school = _inside(counting.hours.within(time))
        apart = _inside(agreed(name, planned, counting.rules, counting.hours))
        vantages = max(counting.vantages, places.get(name, 1))
        for tick, until in _final(seen, vantages, counting, now):
            calendar = "school" if school(tick.time) else "off"
            labels = (name, tick.result.value, calendar, "agreed" if apart(tick.time) else "none")
            tally.ticks[labels] = tally.ticks.get(labels, 0) + 1
            place, begun = _after(place, tick, counting)
            tally.outages[name] = tally.outages.get(name, 0) + begun
            place = replace(place, until=until)
        tally.places[name] = place
    return tally


def _places_of(connection: sa.Connection) -> dict[str, int]:
    """From how many vantage points each service was ever looked at."""
    found: dict[str, set[str]] = {}
    for name, vantage, _ in measures.counted(connection).labels(VANTAGE_SAMPLES):
        found.setdefault(name, set()).add(vantage)
    return {name: len(vantages) for name, vantages in found.items()}


def _final(
    seen: Sequence[Sample], vantages: int, counting: Counting, now: dt.datetime
) -> Iterator[tuple[Tick, dt.datetime]]:
    """The ticks that will not change any more, in order, each with the moment up to which it counts all samples."""
    if vantages <= 1:
        for each in seen:
            yield Tick(each.time, each.result), each.time
        return
    together: dict[tuple[int, float], dict[str, Sample]] = {}
    for each in seen:
        together.setdefault(slot(each.time, counting.cadence(each.time)), {})[each.vantage] = each
    for (number, seconds), group in sorted(
        together.items(), key=lambda each: min(one.time for one in each[1].values())
    ):
        end = dt.datetime.fromtimestamp((number + 1) * seconds, dt.UTC)
        if len(group) < vantages and end + _TOO_LATE * dt.timedelta(seconds=seconds) > now:
            return
        first = min(each.time for each in group.values())
        yield Tick(first, quorum([each.result for each in group.values()], vantages)), end - _INSTANT


def _after(place: Place, tick: Tick, counting: Counting) -> tuple[Place, bool]:
    """Where a service is after one more tick, and whether an outage begins with it, as `core.levels.outages` has it."""
    ends, last = place.down_until, place.last
    if last is not None and last.result is Result.DOWN:
        ends = min(tick.time, last.time + HOLD * counting.cadence(last.time))
    begun = False
    if tick.result is Result.UP:
        ends = None
    elif tick.result is Result.DOWN:
        begun = ends is None or tick.time - ends > LONGEST_BLIND
        ends = None
    return replace(place, last=tick, down_until=ends), begun


def _inside(spans: Sequence[Span]) -> Callable[[dt.datetime], bool]:
    starts = [each.start for each in spans]

    def holds(moment: dt.datetime) -> bool:
        place = bisect.bisect_right(starts, moment) - 1
        return place >= 0 and moment < spans[place].end

    return holds


def _fact(service: str) -> str:
    return f"federation counted {service}"


def _told(place: Place) -> str:
    last = place.last
    return json.dumps(
        {
            "until": place.until.isoformat() if place.until else None,
            "last": [last.time.isoformat(), last.result.value] if last else None,
            "down_until": place.down_until.isoformat() if place.down_until else None,
        }
    )


def _place(fact: str) -> Place:
    value = json.loads(fact)
    last = value["last"]
    return Place(
        until=dt.datetime.fromisoformat(value["until"]) if value["until"] else None,
        last=Tick(dt.datetime.fromisoformat(last[0]), Result(last[1])) if last else None,
        down_until=dt.datetime.fromisoformat(value["down_until"]) if value["down_until"] else None,
    )
