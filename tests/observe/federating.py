"""A federation with samples to measure, and a scrape of it."""

import datetime as dt

from prometheus_client.parser import text_string_to_metric_families

from ent_sync.core.levels.calendar import MaintenanceRules, SchoolHours
from ent_sync.core.levels.samples import Cause, Result, Sample, Stage
from ent_sync.observe.federation import FederationCollector, Watched
from ent_sync.observe.metrics import exposition, registry
from ent_sync.store.ticked import Counting

UP, DOWN, UNKNOWN = Result.UP, Result.DOWN, Result.UNKNOWN
MINUTE = dt.timedelta(minutes=1)
MONDAY = dt.datetime(2026, 11, 23, 9, 0, tzinfo=dt.UTC)  # 10:00 in Paris, a school day
SERVICES = ("ent", "educonnect")
HOURS = SchoolHours(
    begins=dt.time(7, 30), ends=dt.time(18, 30), weekdays=frozenset(range(5)), off=(), public_holidays=()
)

_COUNTS = {
    "samples_total": ("service", "result", "calendar", "maintenance"),
    "vantage_samples_total": ("service", "vantage", "result"),
    "failures_total": ("service", "stage", "cause"),
    "stage_duration_seconds_bucket": ("service", "stage", "le"),
    "stage_duration_seconds_count": ("service", "stage"),
    "stage_duration_seconds_sum": ("service", "stage"),
    "metadata_changes_total": ("service", "kind"),
    "outages_total": ("service",),
    "notice_first_word_seconds_bucket": ("kind", "le"),
    "notice_first_word_seconds_count": ("kind",),
    "notice_first_word_seconds_sum": ("kind",),
    "maintenance_notice_seconds_bucket": ("le",),
    "maintenance_notice_seconds_count": (),
    "maintenance_notice_seconds_sum": (),
    "deliveries_total": ("channel", "result"),
    "probe_skipped_total": ("service", "reason"),
}
_GAUGES = {
    "unknown": ("service",),
    "outage_open": ("service",),
    "notices": ("kind", "state"),
    "maintenance_active": ("service",),
    "deliveries_pending": ("channel",),
    "probe_last_tick_timestamp_seconds": ("vantage",),
}
_ONCE_KNOWN = {
    "up": ("service",),
    "certificate_not_after_timestamp_seconds": ("service", "use"),
    "metadata_valid_until_timestamp_seconds": ("service",),
    "availability_ratio": ("service", "window", "calendar", "maintenance", "bound"),
    "unknown_ratio": ("service", "window", "calendar"),
    "gap_ratio": ("service", "window", "calendar", "bound"),
    "trend": ("service", "verdict"),
    "objective_ratio": ("service",),
    "users": ("service",),
    "probe_control_up": ("vantage",),
    "probe_clock_offset_seconds": ("vantage",),
}
FROM_THE_START = {f"ent_sync_federation_{name}": labels for name, labels in (_COUNTS | _GAUGES).items()}
"""What is there from the first scrape on, with its labels."""
FEDERATION_LABELS = FROM_THE_START | {f"ent_sync_federation_{name}": labels for name, labels in _ONCE_KNOWN.items()}
"""All names of federation-slo.md §7, with their labels."""


def counting(vantages=1, **changed):
    values = {
        "services": SERVICES,
        "vantages": vantages,
        "school": MINUTE,
        "off": 5 * MINUTE,
        "hours": HOURS,
        "rules": MaintenanceRules(),
    }
    return Counting(**{**values, **changed})


def no_looks(_connection, _vantages):
    return {}


class Scraped:
    """The federation's metrics of one store, one scrape after another by the same collector, as the daemon has it."""

    def __init__(self, database, **watched):
        values = {"counting": counting(), "vantage": "main", "looks": no_looks}
        self.now = MONDAY
        self._registry = registry(
            FederationCollector(database.reading, Watched(**{**values, **watched}), lambda: self.now)
        )

    def text(self, now=MONDAY):
        """What Prometheus gets."""
        self.now = now
        return exposition(self._registry, "text/plain")[0].decode()

    def at(self, now=MONDAY):
        """The values of one scrape, by name (without `ent_sync_federation_`) and labels."""
        return {
            (
                sample.name.removeprefix("ent_sync_federation_"),
                *(sample.labels[label] for label in FEDERATION_LABELS[sample.name]),
            ): sample.value
            for family in text_string_to_metric_families(self.text(now))
            for sample in family.samples
        }


def sample(minute, result=UP, service="educonnect", vantage="main", start=MONDAY):
    return Sample(
        service=service,
        vantage=vantage,
        time=start + minute * MINUTE,
        result=result,
        stage=Stage.TLS if result is DOWN else None,
        cause=Cause.TLS_EXPIRED if result is DOWN else None,
        seconds=0.1,
    )
