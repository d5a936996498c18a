"""Where the marks of a plot stand, in the units of its SVG; the templates draw them.

Every plot has a table with the same numbers beside it, so nothing is told by colour or by eye alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ent_sync.federation.figures import Calendar, Month, Planned
from ent_sync.federation.report import Report, ServiceReport

WIDTH, MARGIN, NAMES = 720.0, 16.0, 180.0
_FLOORS = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A place on an axis, and what stands there."""

    at: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One service: its level as a bar, with its interval, or the bounds alone where too much is unknown."""

    name: str
    y: float
    level: float | None
    low: float
    high: float
    value: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """Availability in school hours, agreed maintenance taken out."""

    bars: tuple[Bar, ...]
    ticks: tuple[Mark, ...]
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """The gap of one service month by month: stretches without a hole, and where its name stands."""

    name: str
    dash: str
    stretches: tuple[tuple[tuple[float, float], ...], ...]
    last: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """Gaps to the reference over months."""

    curves: tuple[Curve, ...]
    months: tuple[Mark, ...]
    ticks: tuple[Mark, ...]
    zero: float
    height: float


def bars(report: Report) -> Bars | None:
    """The plot of levels; None where nothing is known of any service."""
    rows = [(each, each.level(Calendar.SCHOOL, Planned.EXCLUDED)) for each in report.services]
    shown = [(each, level) for each, level in rows if level.interval is not None]
    if not shown:
        return None
    lowest = min(min(_ends(level.seconds.low, level.interval)) for _, level in shown)
    floor = max((each for each in _FLOORS if each <= lowest), default=0.0)
    made = []
    for place, (each, level) in enumerate(shown):
        known = (level.seconds.unknown_share or 0.0) <= 0.1
        low, high = (
            level.interval if known and level.interval else (level.seconds.low or 0.0, level.seconds.high or 1.0)
        )
        value = level.seconds.known if known else None
        made.append(
            Bar(
                name=each.title,
                y=MARGIN + 28.0 * place,
                level=None if value is None else _x(value, floor),
                low=_x(low, floor),
                high=_x(high, floor),
                value=value,
            )
        )
    ticks = tuple(
        Mark(at=_x(floor + (1 - floor) * step / 4, floor), text=_percent(floor + (1 - floor) * step / 4))
        for step in range(5)
    )
    return Bars(bars=tuple(made), ticks=ticks, height=MARGIN + 28.0 * len(made) + 24)


def _ends(low: float | None, interval: tuple[float, float] | None) -> tuple[float, ...]:
    return tuple(each for each in (low, interval[0] if interval else None) if each is not None)


def _x(share: float, floor: float) -> float:
    return round(NAMES + (WIDTH - NAMES - MARGIN) * max(share - floor, 0.0) / (1 - floor), 1)


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %".replace(".", ",")


_DASHES = ("", "6 3", "2 3", "8 3 2 3", "1 4")


def curves(services: Sequence[ServiceReport]) -> Curves | None:
    """The plot of gaps; None where no month counts."""
    counted = {each.title: [month for month in each.months if month.counts] for each in services}
    months = sorted({month.index for found in counted.values() for month in found})
    if not months:
        return None
    values = [_points(month) for found in counted.values() for month in found]
    top, bottom = max(0.0, *values), min(0.0, *values)
    if top - bottom < 0.05:
        top, bottom = top + 0.05, bottom - 0.05
    height = 220.0

    def x(index: int) -> float:
        wide = max(months[-1] - months[0], 1)
        return round(60 + (WIDTH - 60 - NAMES) * (index - months[0]) / wide, 1)

    def y(points: float) -> float:
        return round(MARGIN + (height - 2 * MARGIN - 16) * (top - points) / (top - bottom), 1)

    made = [
        Curve(
            name=name,
            dash=_DASHES[place % len(_DASHES)],
            stretches=_stretches([(month.index, _points(month)) for month in found], x, y),
            last=(x(found[-1].index), y(_points(found[-1]))),
        )
        for place, (name, found) in enumerate(counted.items())
        if found
    ]
    step = max(math.ceil((months[-1] - months[0] + 1) / 8), 1)
    named = tuple(
        Mark(at=x(each), text=f"{each % 12 + 1:02d}/{each // 12}") for each in range(months[0], months[-1] + 1, step)
    )
    ticks = tuple(Mark(at=y(each), text=f"{each:+.2f}".replace(".", ",")) for each in sorted({bottom, 0.0, top}))
    return Curves(curves=tuple(made), months=named, ticks=ticks, zero=y(0.0), height=height)


def _points(month: Month) -> float:
    return 100 * month.gap.point if month.gap is not None else 0.0


def _stretches(
    found: Sequence[tuple[int, float]], x: Callable[[int], float], y: Callable[[float], float]
) -> tuple[tuple[tuple[float, float], ...], ...]:
    """Points that follow month on month are joined; a month that lacks leaves a hole."""
    joined: list[list[tuple[float, float]]] = []
    before: int | None = None
    for index, points in found:
        if before is None or index != before + 1:
            joined.append([])
        joined[-1].append((x(index), y(points)))
        before = index
    return tuple(map(tuple, joined))
