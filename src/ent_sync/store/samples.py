"""What probes saw, kept for good: one row for each tick of a service from each vantage point."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import sqlalchemy as sa

from ent_sync.core.levels.samples import Cause, Result, Sample, Stage
from ent_sync.core.levels.spans import Span
from ent_sync.store import measures, schema

VANTAGE_SAMPLES = "federation_vantage_samples"
"""Counted by service, vantage point and result."""
FAILURES = "federation_failures"
"""Counted by service, stage and cause."""
_ROWS = 500
_LONGEST_HOLD = dt.timedelta(hours=1)
_COLUMNS = schema.samples.c


def add(connection: sa.Connection, samples: Iterable[Sample]) -> int:
    """Keep samples; how many were new. One that is known (service, time and vantage point) changes nothing.

    What is new is counted (`measures`) as it comes: in some years there are millions, too many for every scrape.
    """
    number = 0
    some = iter(samples)
    while rows := [_row(each) for each in islice(some, _ROWS)]:
        values = ", ".join(["(?, ?, ?, ?, ?, ?, ?)"] * len(rows))
        statement = (
            f"INSERT INTO samples VALUES {values} ON CONFLICT DO NOTHING "
            "RETURNING service, vantage, result, stage, cause"
        )
        if connection.dialect.paramstyle != "qmark":
            statement = statement.replace("?", "%s")
        new = connection.exec_driver_sql(statement, tuple(value for row in rows for value in row)).all()
        for name, counted in (
            (VANTAGE_SAMPLES, Counter((each[0], each[1], each[2]) for each in new)),
            (FAILURES, Counter((each[0], each[3] or "", each[4]) for each in new if each[4])),
        ):
            for labels, times in counted.items():
                measures.count(connection, name, labels, times)
        number += len(new)
    return number


def of(
    connection: sa.Connection, service: str, window: Span, *, hold: dt.timedelta = _LONGEST_HOLD
) -> Iterator[Sample]:
    """The samples of a service in a window, in order, and before them what may still count at its start.

    `hold` is the longest time that a sample counts; the rows come one by one, however many there are.
    """
    asked = (
        sa.select(schema.samples)
        .where(_COLUMNS.service == service, _COLUMNS.time >= window.start - hold, _COLUMNS.time < window.end)
        .order_by(_COLUMNS.time, _COLUMNS.vantage)
    )
    for row in connection.execution_options(yield_per=_ROWS).execute(asked):
        yield _sample(row)


def lately(connection: sa.Connection, services: Collection[str], since: dt.datetime) -> dict[str, list[Sample]]:
    """The samples of some services since a moment, in order, by service."""
    found: dict[str, list[Sample]] = {each: [] for each in services}
    asked = (
        sa.select(schema.samples)
        .where(_COLUMNS.service.in_(list(services)), _COLUMNS.time >= since)
        .order_by(_COLUMNS.service, _COLUMNS.time, _COLUMNS.vantage)
    )
    for row in connection.execute(asked):
        found[row.service].append(_sample(row))
    return found


def latest(connection: sa.Connection, vantage: str | None = None) -> dict[str, Sample]:
    """The last sample of each service, from one vantage point or any."""
    chosen = sa.true() if vantage is None else _COLUMNS.vantage == vantage
    found = {}
    for service in services(connection):
        asked = sa.select(schema.samples).where(_COLUMNS.service == service, chosen).order_by(_COLUMNS.time.desc())
        row = connection.execute(asked.limit(1)).first()
        if row is not None:
            found[service] = _sample(row)
    return found


def services(connection: sa.Connection) -> tuple[str, ...]:
    """The services of which there are samples."""
    # From one name to the next by the index; DISTINCT would read every row.
    steps = sa.text(
        "WITH RECURSIVE step(name) AS (SELECT min(service) FROM samples UNION ALL SELECT (SELECT min(service) FROM "
        "samples WHERE service > step.name) FROM step WHERE step.name IS NOT NULL) "
        "SELECT name FROM step WHERE name IS NOT NULL"
    )
    return tuple(connection.execute(steps).scalars())


def every(connection: sa.Connection) -> Iterator[Sample]:
    """All samples, in the order of time, one by one."""
    asked = sa.select(schema.samples).order_by(_COLUMNS.time, _COLUMNS.service, _COLUMNS.vantage)
    for row in connection.execution_options(yield_per=_ROWS).execute(asked):
        yield _sample(row)


def counts(connection: sa.Connection) -> dict[tuple[str, str, Result], int]:
    """How many samples there were ever, by service, vantage point and result."""
    found = measures.counted(connection).values.get(VANTAGE_SAMPLES, {})
    return {(labels[0], labels[1], Result(labels[2])): int(value) for labels, value in found.items()}


def failures(connection: sa.Connection) -> dict[tuple[str, str, str], int]:
    """How many samples ever failed, by service, stage and cause."""
    found = measures.counted(connection).values.get(FAILURES, {})
    return {(labels[0], labels[1], labels[2]): int(value) for labels, value in found.items()}


def _row(sample: Sample) -> tuple[object, ...]:
    """In the order of the table's columns."""
    return (
        sample.service,
        schema.instant(sample.time),
        sample.vantage,
        sample.result.value,
        sample.stage.value if sample.stage else None,
        sample.cause.value if sample.cause else None,
        sample.seconds,
    )


_RESULTS = {each.value: each for each in Result}
_STAGES = {None: None} | {each.value: each for each in Stage}
_CAUSES = {None: None} | {each.value: each for each in Cause}


def _sample(row: Sequence[Any]) -> Sample:
    """Of the table's columns in their order: a year of one service is a third of a million rows."""
    service, time, vantage, result, stage, cause, seconds = row
    return Sample(
        service=service,
        vantage=vantage,
        time=time,
        result=_RESULTS[result],
        stage=_STAGES[stage],
        cause=_CAUSES[cause],
        seconds=seconds,
    )
