"""How many accounts there are by school and source: counts only, for those who may know no person."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """The active accounts of one population, source and first school; None where the account has no school."""

    source: str
    population: str
    uai: str | None
    count: int


def crowds(connection: sa.Connection, target: str) -> list[Crowd]:
    """The active accounts of a target, counted; whoever is at several schools counts at the first."""
    rows = connection.execute(
        sa.text(
            "SELECT source, population, uais, count(*) FROM entries WHERE target = :target AND "
            "lifecycle = 'active' AND kind = 'account' AND population IS NOT NULL GROUP BY 1, 2, 3"
        ),
        {"target": target},
    )
    found: dict[tuple[str, str, str | None], int] = {}
    for source, population, uais, count in rows:
        key = (source, population, uais.split()[0] if uais and uais.split() else None)
        found[key] = found.get(key, 0) + count
    return [
        Crowd(source=source, population=population, uai=uai, count=count)
        for (source, population, uai), count in found.items()
    ]


def fullest_target(connection: sa.Connection) -> str | None:
    """The target with most active accounts: several hold the same people."""
    row = connection.execute(
        sa.text(
            "SELECT target FROM entries WHERE lifecycle = 'active' AND kind = 'account' "
            "GROUP BY target ORDER BY count(*) DESC, target LIMIT 1"
        )
    ).first()
    return None if row is None else str(row[0])
