"""What metrics need to be told from the store: counts that no other table remembers, and figures that the others give.

Counters grow in the transactions of what they count, so they survive restarts and include runs that were typed. Labels
are names of the configuration and of the glossary: never a person, a school, a run, or the text of an error. How many
accounts a target holds is kept by triggers on `entries`: counting them took 40 ms of a scrape at 300,000 people, and no
writer can forget to.
"""

from __future__ import annotations

import bisect
import datetime as dt
import shutil
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import sqlalchemy as sa

from ent_sync.core.record import Population
from ent_sync.core.run import Outcome, RunResult
from ent_sync.store import lease, schema

DURATIONS = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0)
"""The bounds of the histogram of runs, in seconds."""
FRESHNESS = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 21600.0, 43200.0, 86400.0, 172800.0, 345600.0, 604800.0)
"""The bounds of the histogram of freshness, in seconds: from one second to a week."""
NO_SOURCE = "-"
"""The source of a run that read none: an approved plan, one person, a run whose process died."""

_ENDLESS = "inf"
_LEAST_FREE = 64 << 20
Labels = tuple[str, ...]


# -- what the writers call ---------------------------------------------------------------------------------------------

_ADD = sa.text(
    "INSERT INTO measures (name, labels, value) VALUES (:name, :labels, :value) "
    "ON CONFLICT (name, labels) DO UPDATE SET value = measures.value + excluded.value"
)

_PUT = sa.text(
    "INSERT INTO measures (name, labels, value) VALUES (:name, :labels, :value) "
    "ON CONFLICT (name, labels) DO UPDATE SET value = excluded.value"
)


def count(connection: sa.Connection, name: str, labels: Labels, by: float = 1) -> None:
    """Add to a counter."""
    _count_all(connection, name, {labels: by})


def count_run(connection: sa.Connection, result: RunResult, standing_still: Collection[str]) -> None:
    """A run ended. Of a held one, the sources that do not stand still are done."""
    outcomes = {each.name: result.outcome for each in result.sources} or {NO_SOURCE: result.outcome}
    if result.outcome is Outcome.HELD:
        outcomes = {
            name: Outcome.HELD if name in standing_still or name == NO_SOURCE else Outcome.DONE for name in outcomes
        }
    _count_all(connection, "runs", {(name, outcome.value): 1 for name, outcome in outcomes.items()})
    _observe(connection, "run_duration_seconds", DURATIONS, [(name, result.seconds, 1) for name in outcomes])
    _failed(
        connection,
        [name for name, outcome in outcomes.items() if outcome is Outcome.FAILED],
        result.started + dt.timedelta(seconds=result.seconds),
    )


def count_dead(connection: sa.Connection, number: int, at: dt.datetime) -> None:
    """So many runs never ended, as is found now: their process died."""
    if number:
        count(connection, "runs", (NO_SOURCE, Outcome.FAILED.value), number)
        _failed(connection, [NO_SOURCE], at)


def _failed(connection: sa.Connection, sources: Iterable[str], at: dt.datetime) -> None:
    for name in sources:
        connection.execute(_PUT, {"name": "last_failure", "labels": name, "value": at.timestamp()})


def count_read(connection: sa.Connection, source: str, counts: Mapping[Population, int]) -> None:
    """A delivery was read, used or not."""
    _count_all(connection, "records_read", {(source, each.value): number for each, number in counts.items()})


def count_acknowledged(connection: sa.Connection, plan: str, places: Sequence[int], at: dt.datetime) -> None:
    """The target acknowledged these changes of a plan; accounts are counted (contract, rule 6).

    Called before the entries are confirmed: until then they know since when the source wants them changed.
    """
    if not places:
        return
    asked = {"plan": plan, "places": list(places)}
    found = connection.execute(_MADE, asked)
    _count_all(connection, "changes", {(row[0], row[1], "acknowledged"): row[2] for row in found})
    waited = connection.execute(_WAITED, asked).all()
    ages = [(row.source, max((at - row.changed_at).total_seconds(), 0.0), row.number) for row in waited]
    _observe(connection, "freshness_seconds", FRESHNESS, ages)


def count_refused(connection: sa.Connection, plan: str, places: Sequence[int]) -> None:
    """These changes of a plan were not made, of whatever kind, as `failed` of a run counts them.

    Called after their refusal is stored.
    """
    if places:
        found = connection.execute(_NOT_MADE, {"plan": plan, "places": list(places)})
        _count_all(connection, "changes", {(row[0], row[1], row[2]): row[3] for row in found})


def count_withheld(connection: sa.Connection, withheld: Mapping[Population, int]) -> None:
    """So many values were mapped and not released."""
    _count_all(connection, "attributes_withheld", {(each.value,): number for each, number in withheld.items()})


_MADE = sa.text(
    "SELECT target, operation, count(*) FROM changes WHERE plan = :plan AND seq IN :places AND kind = 'account' "
    "GROUP BY 1, 2"
).bindparams(sa.bindparam("places", expanding=True))
_NOT_MADE = sa.text(
    "SELECT target, operation, CASE WHEN rule = 'unanswered' THEN 'unanswered' ELSE 'refused' END, count(*) "
    "FROM changes WHERE plan = :plan AND seq IN :places GROUP BY 1, 2, 3"
).bindparams(sa.bindparam("places", expanding=True))
_WAITED = (
    sa.text(
        "SELECT change.source AS source, entry.changed_at AS changed_at, count(*) AS number FROM changes change JOIN "
        "entries entry ON entry.target = change.target AND entry.entry_id = change.entry_id "
        "WHERE change.plan = :plan AND change.seq IN :places AND entry.changed_at IS NOT NULL GROUP BY 1, 2"
    )
    .bindparams(sa.bindparam("places", expanding=True))
    .columns(sa.column("source", sa.Text), sa.column("changed_at", schema.Instant), sa.column("number", sa.Integer))
)


def _count_all(connection: sa.Connection, name: str, counts: Mapping[Labels, float]) -> None:
    rows = [{"name": name, "labels": "|".join(each), "value": value} for each, value in counts.items() if value]
    if rows:
        connection.execute(_ADD, rows)


def _observe(
    connection: sa.Connection, name: str, bounds: Sequence[float], seen: Iterable[tuple[str, float, int]]
) -> None:
    """Add to a histogram: each value in the bucket that it falls in, and to the sum."""
    buckets: dict[Labels, float] = {}
    sums: dict[Labels, float] = {}
    for label, value, times in seen:
        place = bisect.bisect_left(bounds, value)
        bucket = (label, repr(bounds[place]) if place < len(bounds) else _ENDLESS)
        buckets[bucket] = buckets.get(bucket, 0) + times
        sums[label,] = sums.get((label,), 0.0) + value * times
    _count_all(connection, f"{name}_bucket", buckets)
    _count_all(connection, f"{name}_sum", sums)


# -- what a scrape reads -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many values were at most each bound, and the sum of all; the last bound is endless."""

    buckets: tuple[tuple[float, float], ...]
    sum: float


@dataclass(frozen=True, slots=True)
class Counted:
    """All that was counted, as it stood at one moment."""

    values: Mapping[str, Mapping[Labels, float]]

    def get(self, name: str, labels: Labels) -> float:
        """A counter; 0 where nothing was ever counted."""
        return self.values.get(name, {}).get(labels, 0.0)

    def labels(self, name: str) -> Collection[Labels]:
        """The labels under which something was counted."""
        return self.values.get(name, {}).keys()

    def histogram(self, name: str, label: str, bounds: Sequence[float]) -> Histogram:
        """The histogram of one label, empty where nothing was observed."""
        edges = [*map(repr, bounds), _ENDLESS]
        sums = accumulate(self.get(f"{name}_bucket", (label, each)) for each in edges)
        return Histogram(tuple(zip(map(float, edges), sums, strict=True)), self.get(f"{name}_sum", (label,)))


def counted(connection: sa.Connection) -> Counted:
    """Everything that was counted: some rows for each source and target."""
    values: dict[str, dict[Labels, float]] = {}
    for name, labels, value in connection.execute(sa.text("SELECT name, labels, value FROM measures")):
        values.setdefault(name, {})[tuple(labels.split("|"))] = value
    return Counted(values)


def quarantined(connection: sa.Connection) -> dict[Labels, int]:
    """How many records are in quarantine, by source and population."""
    rows = connection.execute(sa.text("SELECT source, population, count(*) FROM quarantine GROUP BY 1, 2"))
    return {(row[0], row[1]): row[2] for row in rows}


def last_success(connection: sa.Connection) -> dict[str, float]:
    """When a run last ended well for a source, in seconds since 1970; without the sources of which none ever did."""
    rows = connection.execute(
        sa.select(schema.sources.c.source, schema.sources.c.last_success).where(
            schema.sources.c.last_success.is_not(None)
        )
    )
    return {row.source: row.last_success.timestamp() for row in rows}


def holds(connection: sa.Connection, sources: Collection[str]) -> dict[Labels, int]:
    """How many holds of each guard wait, by source; one over all sources counts for each of them."""
    found: dict[Labels, int] = {}
    for documents in connection.execute(_HELD).scalars():
        for each in documents:
            guard, source = str(each.get("guard")), each.get("source")
            for name in sources if source is None else (str(source),):
                found[name, guard] = found.get((name, guard), 0) + 1
    for source, guard, number in connection.execute(_UNUSED):
        found[source, guard] = found.get((source, guard), 0) + number
    return found


# As text: with its value as a parameter, SQLite would not see that it is the condition of the index.
_HELD = sa.select(schema.plans.c.holds).where(sa.text("status = 'held'"))
# The same deliveries that `status` names: all that is held, and what was refused since the last one that was applied.
_UNUSED = sa.text(
    "SELECT unused.source, coalesce(unused.guard, 'completeness'), count(*) FROM deliveries unused WHERE "
    "unused.status IN ('held', 'refused') AND (unused.status = 'held' OR NOT EXISTS (SELECT 1 FROM deliveries later "
    "WHERE later.source = unused.source AND later.status = 'applied' AND later.decided > unused.decided)) GROUP BY 1, 2"
)


def lease_state(connection: sa.Connection, now: dt.datetime) -> tuple[bool, bool]:
    """Whether somebody holds the lease, and whether somebody died with it and nobody took over yet."""
    if lease.holder(connection, now) is not None:
        return True, False
    return False, connection.execute(sa.select(schema.leases.c.host)).scalars().first() is not None


def unwritable(url: str) -> str | None:
    """Why nothing can be stored now at an address, in words; None where it can. A writer is not waited for."""
    path = Path(sa.make_url(url).database or "")
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=0.1)) as asked:
            asked.isolation_level = None
            asked.execute("BEGIN IMMEDIATE")
            asked.execute("ROLLBACK")
        free = shutil.disk_usage(path.parent).free
    except sqlite3.Error as error:
        if error.sqlite_errorcode in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            return None
        return f"the state store cannot be written: {error.sqlite_errorname}"
    except OSError as error:
        return f"the state store cannot be written: {error.strerror}"
    if free < _LEAST_FREE:
        return f"the disk of the state store has {free >> 20} MB left; it needs {_LEAST_FREE >> 20}"
    return None
