"""How many samples there are of each hour: what tells whether figures that were made of them still hold."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import sqlalchemy as sa

from ent_sync.core.levels.spans import Span
from ent_sync.store import schema

_COLUMNS = schema.samples.c
_UP_TO_THE_HOUR = len("2026-11-24 06")


def by_hour(connection: sa.Connection, services: Collection[str], window: Span) -> Mapping[tuple[str, str], int]:
    """The number of samples by service and hour (UTC, `2026-11-24 06`), for those hours that have any."""
    hour = sa.func.substr(sa.cast(_COLUMNS.time, sa.Text), 1, _UP_TO_THE_HOUR)
    asked = (
        sa.select(_COLUMNS.service, hour, sa.func.count())
        .where(_COLUMNS.service.in_(list(services)), _COLUMNS.time >= window.start, _COLUMNS.time < window.end)
        .group_by(_COLUMNS.service, hour)
    )
    return {(row[0], row[1]): row[2] for row in connection.execute(asked)}
