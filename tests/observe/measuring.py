"""A store with something to measure, and a scrape of it."""

import datetime as dt

import sqlalchemy as sa
from prometheus_client.parser import text_string_to_metric_families

from ent_sync.observe.metrics import Configured, StoreCollector, exposition, reading, registry
from ent_sync.store import plans
from ent_sync.store.database import Database
from ent_sync.store.plans import NewChange

NOW = dt.datetime(2026, 11, 24, 6, 0, tzinfo=dt.UTC)
CONFIGURED = Configured(
    sources=("lille-2d", "amiens-1d"),
    targets=("ent",),
    schedules=("lille-2d",),
    intervals=lambda: {"lille-2d": 86400.0},
    signature_expires=dt.date(2027, 9, 1),
)


LABELS = {
    "build_info": ("version", "python"),
    "runs_total": ("source", "outcome"),
    "run_duration_seconds_bucket": ("source", "le"),
    "run_duration_seconds_count": ("source",),
    "run_duration_seconds_sum": ("source",),
    "last_success_timestamp_seconds": ("source",),
    "schedule_interval_seconds": ("source",),
    "records_read_total": ("source", "population"),
    "changes_total": ("target", "operation", "result"),
    "accounts": ("target", "population", "status"),
    "guard_held": ("source", "guard"),
    "quarantined": ("source", "population"),
    "freshness_seconds_bucket": ("source", "le"),
    "freshness_seconds_count": ("source",),
    "freshness_seconds_sum": ("source",),
    "drift_ratio": ("target",),
    "push_in_flight": ("target",),
    "retries_total": ("target",),
    "circuit_open": ("target",),
    "scheduler_missed_total": ("job",),
    "lease_held": (),
    "attributes_withheld_total": ("population",),
    # Beside the contract:
    "last_failure_timestamp_seconds": ("source",),
    "lease_abandoned": (),
    "register_signature_expires_timestamp_seconds": (),
}
"""The contract, and what is beside it: names without `ent_sync_`, and labels in the order in which they are given."""


def open_store(path):
    """A store of this version in a file."""
    database = Database(f"sqlite:///{path}")
    database.upgrade()
    return database


class Figures:
    """What one scrape said: samples by name and labels."""

    def __init__(self, text):
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        self.samples = {
            (name, tuple(sample.labels[label] for label in LABELS[name])): sample.value
            for family in self.families.values()
            for sample in family.samples
            for name in [sample.name.removeprefix("ent_sync_")]
        }

    def __getitem__(self, asked):
        name, *labels = (asked,) if isinstance(asked, str) else asked
        return self.samples[name, tuple(labels)]

    def of(self, name):
        """The samples of a name that are not 0, by their labels."""
        return {labels: value for (each, labels), value in self.samples.items() if each == name and value}


def collected(database, configured=CONFIGURED, live=None, now=NOW):
    """A registry as the daemon makes it."""
    address = database.url.render_as_string(hide_password=False)
    return registry(StoreCollector(lambda: reading(address), configured, lambda: now, live))


def scrape(database, configured=CONFIGURED, live=None, now=NOW):
    """What Prometheus is told."""
    body, _ = exposition(collected(database, configured, live, now), "text/plain")
    return Figures(body.decode())


def change(entry, operation="create", **given):
    """A change of an account of `lille-2d`."""
    values = dict.fromkeys(NewChange._fields)
    values |= {"entry_id": entry, "rank": 1, "kind": "account", "population": "pupil", "source": "lille-2d"}
    return NewChange(**{**values, "operation": operation, "parts": "", "sealed": b"sealed", **given})


def planned(connection, plan, *changes, target="ent"):
    """A stored plan; its changes are at the places 0, 1, …"""
    plans.make(connection, plan, "run-1", target, NOW)
    plans.add(connection, plan, target, 0, changes)


def entry(connection, id_, population="pupil", lifecycle="active", kind="account", changed_at=None):
    """An entry at `ent`."""
    connection.execute(
        sa.text(
            "INSERT INTO entries (target, entry_id, kind, population, source, stale, lifecycle, changed_at) VALUES "
            "('ent', :id, :kind, :population, 'lille-2d', FALSE, :lifecycle, :changed_at)"
        ),
        {"id": id_, "kind": kind, "population": population, "lifecycle": lifecycle, "changed_at": changed_at},
    )
