"""What the operations page shows: how things stand, and what waits for somebody.

The figures are those of `ent-sync status` (`observe.status`) and of the metrics; nothing here names a person.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import sqlalchemy as sa

from ent_sync.config.fields import Cron, Every, OnDelivery, written_duration
from ent_sync.config.settings import Settings, SourceSection
from ent_sync.observe.interval import interval
from ent_sync.observe.status import status
from ent_sync.store import drift, hands, measures, plans, runs

RUNS = 12
"""So many runs are shown."""
SCHOOLS = 12
"""So many schools of a held plan are shown: those of which most waits."""
SILENT = 2
"""A source is late after so many of its own intervals, as the alert is (`deploy/prometheus`)."""
_MOST = 0.95

Document: TypeAlias = Mapping[str, Any]
"""A document of the contract, as other modules make it."""
Schedule: TypeAlias = tuple[str, Mapping[str, str]]
"""When a source is read: a text of the catalogue and its values."""
Matter: TypeAlias = tuple[str, Mapping[str, object]]
"""What somebody should look at: a text of the catalogue and its values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLine:
    """A source: its document, and how it keeps time. `fresh` seconds is the age that 95 % of changes had at most."""

    document: Document
    state: str
    schedule: Schedule
    fresh: float | None


@dataclass(frozen=True, slots=True)
class SchoolLine:
    """What of a held plan waits for one school, by operation; `-` stands for what belongs to none."""

    uai: str
    waiting: Mapping[str, int]

    @property
    def total(self) -> int:
        """All of it."""
        return sum(self.waiting.values())


@dataclass(frozen=True, slots=True)
class HoldCard:
    """A plan that waits for somebody, and where it would be felt most; `more` schools are not shown."""

    document: Document
    schools: Sequence[SchoolLine]
    more: int
    operations: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetLine:
    """A target: its document, since when nothing is pushed to it, and what the last verification found."""

    document: Document
    paused: dt.datetime | None
    drift: drift.Measured | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """Everything on the page. `matters` are the texts of what somebody should look at, most urgent first."""

    sources: Sequence[SourceLine]
    targets: Sequence[TargetLine]
    holds: Sequence[HoldCard]
    runs: Sequence[Document]
    quarantine: Sequence[Document]
    doubles: Mapping[str, int]
    lease: Document | None
    pauses: Mapping[str, dt.datetime]
    matters: Sequence[Matter] = ()


def overview(connection: sa.Connection, settings: Settings, now: dt.datetime) -> Overview:
    """How things stand at a moment, read in one view of the store."""
    names = [each.name for each in settings.targets]
    document: Document = status(connection, [each.name for each in settings.sources], names, now)
    counted = measures.counted(connection)
    pauses = hands.pauses(connection)
    found = Overview(
        sources=[
            _source(section, told, counted, now)
            for section, told in zip(settings.sources, document["sources"], strict=True)
        ],
        targets=[
            TargetLine(
                document=told,
                paused=hands.paused_since(connection, told["name"]),
                drift=drift.last(connection, told["name"]),
            )
            for told in document["targets"]
        ],
        holds=[_hold(connection, each) for each in document["holds"]],
        runs=runs.listed(connection, RUNS),
        quarantine=sorted(document["quarantine"], key=lambda each: -each["count"]),
        doubles=document["doubles"],
        lease=document["lease"],
        pauses=pauses,
    )
    return replace(found, matters=tuple(_matters(found)))


def _source(section: SourceSection, told: Document, counted: measures.Counted, now: dt.datetime) -> SourceLine:
    due = interval(section.schedule, section.delivers, now).total_seconds()
    silence = told["seconds_since_success"]
    state = "new" if silence is None else "late" if due and silence > SILENT * due else "on_time"
    buckets = counted.histogram("freshness_seconds", section.name, measures.FRESHNESS).buckets
    seen = buckets[-1][1] if buckets else 0
    fresh = next((bound for bound, below in buckets if seen and below >= _MOST * seen), None)
    return SourceLine(document=told, state=state, schedule=_schedule(section), fresh=fresh)


def _schedule(section: SourceSection) -> Schedule:
    match section.schedule:
        case Cron(cron=cron, zone=zone):
            return "schedule.cron", {"cron": cron, "zone": zone}
        case Every(every=every):
            return "schedule.every", {"every": written_duration(every)}
        case OnDelivery():
            return "schedule.delivery", {}
        case _:
            return "schedule.none", {}


def _hold(connection: sa.Connection, told: Document) -> HoldCard:
    by_school: dict[str, dict[str, int]] = {}
    for each in plans.facets(connection, told["plan"], "school"):
        if each.status in {"held", "pending"}:
            here = by_school.setdefault(each.facet, {})
            here[each.operation] = here.get(each.operation, 0) + each.count
    lines = sorted((SchoolLine(*each) for each in by_school.items()), key=lambda line: (-line.total, line.uai))
    present = {operation for line in lines for operation in line.waiting}
    operations = [each for each in ("create", "update", "suspend", "restore", "delete") if each in present]
    return HoldCard(told, lines[:SCHOOLS], max(len(lines) - SCHOOLS, 0), operations)


def _matters(found: Overview) -> Iterator[Matter]:
    for hold in found.holds:
        yield "matter.hold", {"target": hold.document["target"], "number": hold.document["waiting"]}
    for source in found.sources:
        name = {"source": source.document["name"]}
        if source.document["deliveries"]:
            yield "matter.delivery", name
        if source.state != "on_time":
            yield f"matter.{source.state}", name
    if found.runs and found.runs[0].get("outcome") == "failed":
        yield "matter.failed", {}
    for target in found.targets:
        if target.paused is not None:
            yield "matter.paused", {"target": target.document["name"]}
