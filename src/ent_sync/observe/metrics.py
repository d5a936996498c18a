"""The metrics of the contract (§5), computed from the store whenever somebody asks.

So they survive a restart and count what was typed by hand. Only what happens at this very moment is asked of the daemon
(`Live`). What is configured is there from the start: a zero can be seen, and a series that lacks means something.
"""

from __future__ import annotations

import datetime as dt
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import product

import sqlalchemy as sa
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from ent_sync import __version__
from ent_sync.core.entry import Lifecycle
from ent_sync.core.guard import Guard
from ent_sync.core.plan import Operation
from ent_sync.core.record import PEOPLE, Population
from ent_sync.core.run import Outcome
from ent_sync.store import drift, measures
from ent_sync.store.database import Database
from ent_sync.store.measures import Counted, Labels

_RESULTS = ("acknowledged", "refused", "unanswered")
_POPULATIONS = tuple(each.value for each in Population)
_PEOPLE = tuple(each.value for each in PEOPLE)
_STATUSES = tuple(each.value for each in Lifecycle)
_OUTCOMES = tuple(each.value for each in Outcome)
_GUARDS = tuple(each.value for each in Guard)
_OPERATIONS = tuple(each.value for each in Operation)


def _none() -> Mapping[str, float]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """What only the daemon knows, asked at the moment of a scrape; a target or schedule that is not named has 0.

    `in_flight`: changes on their way, by target. `circuit_open`: 1 where a target is left alone for now. `missed`: runs
    that did not start when they were due, by schedule, since the daemon started.
    """

    in_flight: Callable[[], Mapping[str, float]] = _none
    circuit_open: Callable[[], Mapping[str, float]] = _none
    missed: Callable[[], Mapping[str, float]] = _none


@dataclass(frozen=True, slots=True, kw_only=True)
class Configured:
    """What the configuration names: every label set follows from it.

    `intervals` gives the seconds in which each source is due once (`observe.interval`), 0 where nothing is promised.
    `signature_expires` is the first day on which a signature of the register does not count any more.
    """

    sources: Sequence[str]
    targets: Sequence[str]
    schedules: Sequence[str] = ()
    intervals: Callable[[], Mapping[str, float]] = _none
    signature_expires: dt.date | None = None


@contextmanager
def reading(url: str) -> Iterator[sa.Connection]:
    """A view of the store over a connection of its own: whoever scrapes is another thread each time."""
    database = Database(url)
    try:
        with database.reading() as connection:
            yield connection
    finally:
        database.close()


class StoreCollector(Collector):
    """Reads all metrics in one consistent view of the store."""

    def __init__(
        self,
        reading: Callable[[], AbstractContextManager[sa.Connection]],
        configured: Configured,
        now: Callable[[], dt.datetime],
        live: Live | None = None,
    ) -> None:
        self._reading = reading
        self._configured = configured
        self._now = now
        self._live = live or Live()

    def collect(self) -> Iterator[Metric]:
        """See `prometheus_client.registry.Collector`."""
        with self._reading() as connection:
            seen = _Seen(
                counted=measures.counted(connection),
                quarantined=measures.quarantined(connection),
                last_success=measures.last_success(connection),
                holds=measures.holds(connection, self._configured.sources),
                drift={
                    name: found.ratio
                    for name in self._configured.targets
                    if (found := drift.last(connection, name)) is not None
                },
                lease=measures.lease_state(connection, self._now()),
            )
        yield InfoMetricFamily(
            "ent_sync_build",
            "The version that answers.",
            value={"version": __version__, "python": platform.python_version()},
        )
        yield from _of_sources(self._configured, seen)
        yield from _of_targets(self._configured, seen, self._live)
        yield from _of_the_house(self._configured, seen, self._live)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    counted: Counted
    quarantined: Mapping[Labels, int]
    last_success: Mapping[str, float]
    holds: Mapping[Labels, int]
    drift: Mapping[str, float]
    lease: tuple[bool, bool]


def _of_sources(configured: Configured, seen: _Seen) -> Iterator[Metric]:
    names = configured.sources
    yield _counter(
        "runs",
        "Runs that ended, by source and outcome.",
        ("source", "outcome"),
        seen.counted,
        product((*names, measures.NO_SOURCE), _OUTCOMES),
    )
    yield _histogram(
        "run_duration_seconds", "How long runs took.", seen.counted, (*names, measures.NO_SOURCE), measures.DURATIONS
    )
    yield _gauge(
        "last_success_timestamp_seconds",
        "When a run last ended well for the source; 0 if none ever did.",
        ("source",),
        {(name,): seen.last_success.get(name, 0.0) for name in names},
    )
    yield _gauge(
        "last_failure_timestamp_seconds",
        "When a run last failed for the source; 0 if none ever did.",
        ("source",),
        {(name,): seen.counted.get("last_failure", (name,)) for name in (*names, measures.NO_SOURCE)},
    )
    intervals = configured.intervals()
    yield _gauge(
        "schedule_interval_seconds",
        "How often the source is due: the longer of its last two pauses; 0 if nothing is promised.",
        ("source",),
        {(name,): intervals.get(name, 0.0) for name in names},
    )
    yield _counter(
        "records_read",
        "Records read from deliveries, used or not.",
        ("source", "population"),
        seen.counted,
        product(names, _POPULATIONS),
    )
    yield _gauge(
        "guard_held",
        "Holds that wait for somebody.",
        ("source", "guard"),
        {each: seen.holds.get(each, 0) for each in product(names, _GUARDS)},
    )
    yield _gauge(
        "quarantined",
        "Records that could not be used.",
        ("source", "population"),
        {each: seen.quarantined.get(each, 0) for each in product(names, _POPULATIONS)},
    )
    yield _histogram(
        "freshness_seconds",
        "From a change at the source to its acknowledgement by the target.",
        seen.counted,
        names,
        measures.FRESHNESS,
    )


def _of_targets(configured: Configured, seen: _Seen, live: Live) -> Iterator[Metric]:
    names = configured.targets
    yield _counter(
        "changes",
        "Changes pushed: accounts that the target acknowledged, and whatever it did not make.",
        ("target", "operation", "result"),
        seen.counted,
        product(names, _OPERATIONS, _RESULTS),
    )
    yield _gauge(
        "accounts",
        "Accounts that the target holds, as acknowledged.",
        ("target", "population", "status"),
        {each: seen.counted.get("accounts", each) for each in product(names, _PEOPLE, _STATUSES)},
    )
    yield _gauge(
        "drift_ratio",
        "Share of the entries that the target held otherwise than acknowledged when it was last verified.",
        ("target",),
        {(name,): seen.drift.get(name, 0.0) for name in names},
    )
    in_flight, circuit_open = live.in_flight(), live.circuit_open()
    yield _gauge(
        "push_in_flight",
        "Changes on their way to the target now.",
        ("target",),
        {(name,): in_flight.get(name, 0) for name in names},
    )
    yield _counter(
        "retries", "Batches offered to the target once more.", ("target",), seen.counted, ((name,) for name in names)
    )
    yield _gauge(
        "circuit_open",
        "1 while the target is left alone because it did not answer.",
        ("target",),
        {(name,): circuit_open.get(name, 0) for name in names},
    )


def _of_the_house(configured: Configured, seen: _Seen, live: Live) -> Iterator[Metric]:
    missed = CounterMetricFamily(
        "ent_sync_scheduler_missed",
        "Runs that did not start when they were due, since the daemon started.",
        labels=("job",),
    )
    found = live.missed()
    for name in configured.schedules:
        missed.add_metric((name,), found.get(name, 0))
    yield missed
    held, abandoned = seen.lease
    yield _gauge("lease_held", "1 while a run holds the right to write.", (), {(): float(held)})
    yield _gauge(
        "lease_abandoned", "1 if a run died with the lease and none took over yet.", (), {(): float(abandoned)}
    )
    yield _counter(
        "attributes_withheld",
        "Values that were mapped and not released.",
        ("population",),
        seen.counted,
        ((each,) for each in _PEOPLE),
    )
    if configured.signature_expires is not None:
        midnight = dt.datetime.combine(configured.signature_expires, dt.time(), dt.UTC)
        yield _gauge(
            "register_signature_expires_timestamp_seconds",
            "When the first signature of the register ends: what it lets out is withheld from then on.",
            (),
            {(): midnight.timestamp()},
        )


def _gauge(name: str, text: str, labels: Sequence[str], values: Mapping[Labels, float]) -> Metric:
    family = GaugeMetricFamily(f"ent_sync_{name}", text, labels=labels)
    for each, value in values.items():
        family.add_metric(each, value)
    return family


def _counter(name: str, text: str, labels: Sequence[str], counted: Counted, sets: Iterable[Labels]) -> Metric:
    family = CounterMetricFamily(f"ent_sync_{name}", text, labels=labels)
    for each in sets:
        family.add_metric(each, counted.get(name, each))
    return family


def _histogram(name: str, text: str, counted: Counted, sources: Sequence[str], bounds: Sequence[float]) -> Metric:
    family = HistogramMetricFamily(f"ent_sync_{name}", text, labels=("source",))
    for each in sources:
        found = counted.histogram(name, each, bounds)
        buckets = [("+Inf" if bound == float("inf") else repr(bound), value) for bound, value in found.buckets]
        family.add_metric((each,), buckets, found.sum)
    return family


def exposition(registry: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    """All metrics in the format that an `Accept` header asks for, and the name of that format."""
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


def registry(*collectors: Collector) -> CollectorRegistry:
    """A registry of its own: nothing of the process or of another library is in it."""
    made = CollectorRegistry(auto_describe=False)
    for each in collectors:
        made.register(each)
    return made
