"""The federation's metrics (federation-slo.md §7), computed from the store whenever somebody asks.

Labels are names of the configuration and closed lists. Counters go on from the last scrape, each tick counted once;
levels over long windows are those that were last made (`federation.standing`). What is unknown has no `up`.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import accumulate, product
from typing import Protocol

import sqlalchemy as sa
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from ent_sync.core.levels.availability import HOLD
from ent_sync.core.levels.samples import UNDECIDED, Cause, Result, Sample, Stage, ticks
from ent_sync.core.levels.standing import Standing
from ent_sync.core.levels.trend import Verdict
from ent_sync.core.notice.evolution import Change
from ent_sync.core.notice.kinds import Kind, Notice, State
from ent_sync.store import measures, notices, samples, seen, ticked
from ent_sync.store.measures import Counted, Labels
from ent_sync.store.ticked import Counting, Tally

STAGES = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
FIRST_WORD = (60.0, 300.0, 900.0, 1800.0, 3600.0, 14400.0, 86400.0)
_USES = ("tls", "signing", "encryption", "metadata")
_CHANGES = (Change.CERTIFICATE, Change.ENDPOINT, Change.ENTITY, Change.ALGORITHM, Change.TLS)
_SKIPPED = ("late", "overlap", "backoff", "paused")
_CHANNELS = ("email", "webhook")
_DELIVERED = ("accepted", "given_up")
_STATES = {
    Kind.MALFUNCTION: (State.DETECTED, State.TOLD, State.UPDATED, State.UNSTABLE, State.ENDED, State.CLOSED),
    Kind.MAINTENANCE: (
        *(State.PLANNED, State.ANNOUNCED, State.REMINDED, State.RUNNING, State.OVERRUN, State.DONE, State.CANCELLED),
    ),
    Kind.EVOLUTION: (State.SEEN, State.TOLD, State.IN_FORCE, State.CLOSED),
}


class ProbeLook(Protocol):
    """What a vantage point last found of itself."""

    @property
    def tick(self) -> dt.datetime:
        """When it last looked."""

    @property
    def network(self) -> bool:
        """Whether a control target answered."""

    @property
    def clock(self) -> float | None:
        """How far its clock is off, in seconds; None where nobody was asked."""


def _nothing() -> Standing | None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What the configuration names, and who knows the rest.

    `objective` is the promised one, which is told from the first scrape on; `looks` gives what vantage points found of
    themselves, `standing` the levels as they were last made.
    """

    counting: Counting
    vantage: str
    looks: Callable[[sa.Connection, Iterable[str]], Mapping[str, ProbeLook]]
    objective: float | None = None
    standing: Callable[[], Standing | None] = _nothing


class FederationCollector(Collector):
    """Reads all metrics of the federation in one view of the store."""

    def __init__(
        self,
        reading: Callable[[], AbstractContextManager[sa.Connection]],
        watched: Watched,
        now: Callable[[], dt.datetime],
    ) -> None:
        self._reading = reading
        self._watched = watched
        self._now = now
        self._guard = threading.Lock()
        self._tally: Tally | None = None

    def collect(self) -> Iterator[Metric]:
        """See `prometheus_client.registry.Collector`."""
        with self._guard, self._reading() as connection:
            now, counting = self._now(), self._watched.counting
            before = self._tally or ticked.kept(connection, counting.services)
            self._tally = None  # what is half counted is begun again
            tally = ticked.count(connection, before, counting, now)
            self._tally = tally
            counted = measures.counted(connection)
            vantages = _vantages(counted, self._watched)
            families = [
                *_of_now(connection, counting, tally, now),
                *_of_ticks(counting, tally, counted, vantages),
                *_of_metadata(connection, counting, counted),
                *_of_notices(connection, counting, now),
                *_of_probes(self._watched.looks(connection, vantages), vantages, counting, counted),
            ]
        yield from families
        yield from _of_levels(self._watched, self._watched.standing())


def _vantages(counted: Counted, watched: Watched) -> tuple[str, ...]:
    """Our own place, and those whose samples were taken in."""
    seen_from = {labels[1] for labels in counted.labels(samples.VANTAGE_SAMPLES)}
    return tuple(dict.fromkeys([watched.vantage, *sorted(seen_from)]))


# -- now ---------------------------------------------------------------------------------------------------------------


def _of_now(connection: sa.Connection, counting: Counting, tally: Tally, now: dt.datetime) -> Iterator[Metric]:
    results = current(samples.lately(connection, counting.services, now - 3 * counting.off), counting, now)
    yield _gauge(
        "up",
        "1 while the service is up, 0 while it is down; no series while that is unknown.",
        ("service",),
        {(name,): float(found is Result.UP) for name, found in results.items() if found is not Result.UNKNOWN},
    )
    yield _gauge(
        "unknown",
        "1 while it is unknown whether the service is up.",
        ("service",),
        {(name,): float(found is Result.UNKNOWN) for name, found in results.items()},
    )
    yield _gauge(
        "outage_open",
        "1 while an outage has not ended, as far as is known.",
        ("service",),
        {(name,): float(name in tally.places and tally.places[name].is_down) for name in counting.services},
    )


def current(lately: Mapping[str, Sequence[Sample]], counting: Counting, now: dt.datetime) -> dict[str, Result]:
    """What is known of each service now; unknown where its last tick is too old to count."""
    found = {}
    for name in counting.services:
        past = [each for each in lately.get(name, ()) if each.time <= now]
        places = max(counting.vantages, len({each.vantage for each in past}))
        known = ticks(past, places, counting.cadence)
        # Of several places some may not have looked yet in the cadence that runs: then the one before it counts.
        cadence = counting.cadence(now)
        if places > 1 and len(known) > 1 and known[-1].result is Result.UNKNOWN and now - known[-1].time < cadence:
            known = known[:-1]
        hold = HOLD * cadence + cadence * (places > 1)
        fresh = bool(known) and now - known[-1].time < max(hold, HOLD * counting.cadence(known[-1].time))
        found[name] = known[-1].result if fresh else Result.UNKNOWN
    return found


# -- ticks -------------------------------------------------------------------------------------------------------------


def _of_ticks(counting: Counting, tally: Tally, counted: Counted, vantages: Sequence[str]) -> Iterator[Metric]:
    names, results = counting.services, tuple(each.value for each in Result)
    yield _counter(
        "samples",
        "Ticks, all vantage points together, by result; in school hours or outside, in agreed maintenance or none.",
        ("service", "result", "calendar", "maintenance"),
        {each: tally.ticks.get(each, 0) for each in product(names, results, ("school", "off"), ("agreed", "none"))},
    )
    yield _counter(
        "vantage_samples",
        "Samples of each vantage point, by result.",
        ("service", "vantage", "result"),
        {each: counted.get(samples.VANTAGE_SAMPLES, each) for each in product(names, vantages, results)},
    )
    zero: dict[Labels, float] = {(name, stage_of(each).value, each.value): 0 for name in names for each in Cause}
    yield _counter(
        "failures",
        "Samples that failed, by the stage and the cause.",
        ("service", "stage", "cause"),
        zero
        | {
            labels: counted.get(samples.FAILURES, labels)
            for labels in counted.labels(samples.FAILURES)
            if labels[0] in names
        },
    )
    yield _counter(
        "outages",
        "Outages that began.",
        ("service",),
        {(name,): tally.outages.get(name, 0) for name in names},
    )
    stages = HistogramMetricFamily(
        "ent_sync_federation_stage_duration_seconds",
        "How long the stages of the attempts took that decided.",
        labels=("service", "stage"),
    )
    edges = [*map(repr, STAGES), "inf"]
    for name, stage in product(names, (each for each in Stage if each is not Stage.OWN)):
        sums = accumulate(counted.get("federation_stage_bucket", (name, stage.value, edge)) for edge in edges)
        buckets = [("+Inf" if edge == "inf" else edge, value) for edge, value in zip(edges, sums, strict=True)]
        stages.add_metric((name, stage.value), buckets, counted.get("federation_stage_sum", (name, stage.value)))
    yield stages


def stage_of(cause: Cause) -> Stage:
    """The stage that a cause belongs to first of all (federation-slo.md §3); `http` causes are met later too."""
    if cause in UNDECIDED and cause is not Cause.LOGIN_REFUSED:
        return Stage.OWN
    family = cause.value.partition("_")[0]
    return _FAMILIES[family]


_FAMILIES = {
    "dns": Stage.DNS,
    "tcp": Stage.TCP,
    "tls": Stage.TLS,
    "http": Stage.HTTP,
    "md": Stage.METADATA,
    "sso": Stage.SSO,
    "content": Stage.LOGIN_PAGE,
    "login": Stage.LOGIN,
    "saml": Stage.ASSERTION,
}


# -- metadata and certificates -----------------------------------------------------------------------------------------


def _of_metadata(connection: sa.Connection, counting: Counting, counted: Counted) -> Iterator[Metric]:
    ends = seen.ends(connection)
    names = counting.services
    yield _gauge(
        "certificate_not_after_timestamp_seconds",
        "When the first of the service's certificates of this use ends.",
        ("service", "use"),
        {
            (name, use): ends[name, f"certificate:{use}"].timestamp()
            for name, use in product(names, _USES)
            if (name, f"certificate:{use}") in ends
        },
    )
    yield _gauge(
        "metadata_valid_until_timestamp_seconds",
        "Until when the service's metadata are valid; no series where they do not say.",
        ("service",),
        {(name,): ends[name, "valid_until"].timestamp() for name in names if (name, "valid_until") in ends},
    )
    yield _counter(
        "metadata_changes",
        "Changes that the probe saw in what a service shows of itself.",
        ("service", "kind"),
        {
            (name, kind.value): counted.get("federation_metadata_changes", (name, kind.value))
            for name, kind in product(names, _CHANGES)
        },
    )


# -- notices -----------------------------------------------------------------------------------------------------------


def _of_notices(connection: sa.Connection, counting: Counting, now: dt.datetime) -> Iterator[Metric]:
    known = notices.listed(connection)
    standing = notices.states(connection)
    yield _gauge(
        "notices",
        "Notices, by how far they have come.",
        ("kind", "state"),
        {(kind.value, state.value): standing.get((kind, state), 0) for kind, all_ in _STATES.items() for state in all_},
    )
    first = [(each.kind.value, _first_word(each)) for each in known]
    yield _histogram(
        "notice_first_word_seconds",
        "From the detection of what is told (of what hands tell, from their word) to its first word to the last role.",
        {kind.value: [time for of, time in first if of == kind and time is not None] for kind in Kind},
        "kind",
    )
    ahead = [
        max((each.starts - each.announced).total_seconds(), 0.0)
        for each in known
        if each.starts and each.announced and _has_begun(each, now)
    ]
    lengths = HistogramMetricFamily(
        "ent_sync_federation_maintenance_notice_seconds",
        "How long before its start maintenance was announced that has begun.",
    )
    lengths.add_metric((), _buckets(ahead, _AHEAD), sum(ahead))
    yield lengths
    active = {name for each in known if _is_active(each, now) for name in each.services}
    yield _gauge(
        "maintenance_active",
        "1 while planned maintenance of the service is under way.",
        ("service",),
        {(name,): float(name in active) for name in counting.services},
    )
    sent = notices.results(connection)
    yield _counter(
        "deliveries",
        "Messages that ended: accepted by the channel, or given up.",
        ("channel", "result"),
        {each: sent.get(each, 0) for each in product(_CHANNELS, _DELIVERED)},
    )
    yield _gauge(
        "deliveries_pending",
        "Messages that are still tried.",
        ("channel",),
        {(each,): sent.get((each, "pending"), 0) for each in _CHANNELS},
    )


_DAY = 86400.0
_AHEAD = (3600.0, _DAY, 2 * _DAY, 3 * _DAY, 7 * _DAY, 14 * _DAY, 30 * _DAY)


def _has_begun(notice: Notice, now: dt.datetime) -> bool:
    """Whether a maintenance can be counted for good: until its start it may be moved or cancelled."""
    if notice.kind is not Kind.MAINTENANCE or notice.starts is None or notice.starts > now:
        return False
    return notice.state is not State.CANCELLED or notice.closed is None or notice.closed >= notice.starts


def _first_word(notice: Notice) -> float | None:
    """Of an evolution that was announced and seen later, from its announcement."""
    since = [each for each in (notice.detected, notice.announced) if each is not None]
    if notice.told is None or not since:
        return None
    return max((notice.told - min(since)).total_seconds(), 0.0)


def _is_active(notice: Notice, now: dt.datetime) -> bool:
    if notice.kind is not Kind.MAINTENANCE or notice.planned is None or not notice.open:
        return False
    return notice.planned.holds(now) or notice.state in {State.RUNNING, State.OVERRUN}


# -- the probe itself --------------------------------------------------------------------------------------------------


def _of_probes(
    looks: Mapping[str, ProbeLook], vantages: Sequence[str], counting: Counting, counted: Counted
) -> Iterator[Metric]:
    ticks: dict[tuple[str, ...], float] = {(vantages[0],): 0.0}
    ticks |= {(name,): looks[name].tick.timestamp() for name in vantages if name in looks}
    looked: dict[Labels, float] = {(vantages[0],): 0.0}
    looked |= {(name,): looks[name].tick.timestamp() for name in vantages if name in looks}
    yield _gauge(
        "probe_last_tick_timestamp_seconds",
        "When the vantage point last looked; 0 if ours never did, no series for others.",
        ("vantage",),
        ticks,
    )
    yield _gauge(
        "probe_control_up",
        "1 if a control target answered at the last tick: our own network works.",
        ("vantage",),
        {(name,): float(looks[name].network) for name in vantages if name in looks},
    )
    clocks: dict[Labels, float] = {}
    for name in vantages:
        clock = looks[name].clock if name in looks else None
        if clock is not None:
            clocks[name,] = clock
    yield _gauge(
        "probe_clock_offset_seconds",
        "How far our own clock is off; no series where no time server is configured.",
        ("vantage",),
        clocks,
    )
    yield _counter(
        "probe_skipped",
        "Ticks that were left out.",
        ("service", "reason"),
        {each: counted.get("federation_skipped", each) for each in product(counting.services, _SKIPPED)},
    )


# -- levels ------------------------------------------------------------------------------------------------------------


def _of_levels(watched: Watched, standing: Standing | None) -> Iterator[Metric]:
    found = standing or Standing()
    shares: dict[Labels, float] = {}
    unknown: dict[Labels, float] = {}
    for (service, window, calendar, maintenance), level in found.levels.items():
        for bound, value in (("known", level.known), ("low", level.low), ("high", level.high)):
            if value is not None:
                shares[service, window, calendar, maintenance, bound] = value
        if maintenance == "included" and level.unknown_share is not None:
            unknown[service, window, calendar] = level.unknown_share
    yield _gauge(
        "availability_ratio",
        "Availability: of the known time, and its bounds if all unknown time had been down or up.",
        ("service", "window", "calendar", "maintenance", "bound"),
        shares,
    )
    yield _gauge("unknown_ratio", "Share of the window that is unknown.", ("service", "window", "calendar"), unknown)
    yield _gauge(
        "gap_ratio",
        "Availability less that of the ENT, agreed maintenance taken out, with its 95 % interval.",
        ("service", "window", "calendar", "bound"),
        {
            (*labels, bound): value
            for labels, gap in found.gaps.items()
            for bound, value in (("point", gap.point), ("low", gap.low), ("high", gap.high))
        },
    )
    yield _gauge(
        "trend",
        "1 for what the monthly gaps say: whether the service tends towards the ENT's level.",
        ("service", "verdict"),
        {(name, each.value): float(verdict is each) for name, verdict in found.trends.items() for each in Verdict},
    )
    objective: Mapping[str, float] = found.objective
    if watched.objective is not None:
        objective = dict.fromkeys(watched.counting.services, watched.objective)
    yield _gauge(
        "objective_ratio",
        "The availability that the service is held against.",
        ("service",),
        {(name,): value for name, value in objective.items()},
    )
    yield _gauge(
        "users",
        "Active accounts of the populations that log in there.",
        ("service",),
        {(name,): number for name, number in found.people.items()},
    )


# -- families ----------------------------------------------------------------------------------------------------------


def _gauge(name: str, text: str, labels: Sequence[str], values: Mapping[Labels, float]) -> Metric:
    family = GaugeMetricFamily(f"ent_sync_federation_{name}", text, labels=labels)
    for each, value in values.items():
        family.add_metric(each, value)
    return family


def _counter(name: str, text: str, labels: Sequence[str], values: Mapping[Labels, float]) -> Metric:
    family = CounterMetricFamily(f"ent_sync_federation_{name}", text, labels=labels)
    for each, value in values.items():
        family.add_metric(each, value)
    return family


def _histogram(name: str, text: str, values: Mapping[str, Sequence[float]], label: str) -> Metric:
    family = HistogramMetricFamily(f"ent_sync_federation_{name}", text, labels=(label,))
    for each, found in values.items():
        family.add_metric((each,), _buckets(found, FIRST_WORD), sum(found))
    return family


def _buckets(values: Sequence[float], bounds: Sequence[float]) -> list[tuple[str, float]]:
    buckets = [(repr(bound), float(sum(each <= bound for each in values))) for bound in bounds]
    return [*buckets, ("+Inf", float(len(values)))]
