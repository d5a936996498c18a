"""The ninety marks of a service, as shapes: no colour says anything that a shape does not.

A day that was up is a whole bar. What was down is cut off its top and stands apart above it; what is unknown is not
drawn, so that the bar is shorter, and a day of which nothing is known is a dash on the ground. Agreed maintenance is a
line below.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ent_sync.web.history import Day

STEP, WIDTH, HEIGHT, GROUND = 10, 7, 36, 44
_LEAST = 8.0
_GAP = 3.0
_DASH = 4.0


@dataclass(frozen=True, slots=True)
class Mark:
    """One rectangle; `tone` is its class."""

    x: float
    y: float
    height: float
    tone: str


def bars(days: Sequence[Day]) -> list[Mark]:
    """The marks of some days, the oldest at the left."""
    found: list[Mark] = []
    for place, day in enumerate(days):
        found += _of_day(place * STEP + (STEP - WIDTH) / 2, day)
    return found


def _of_day(x: float, day: Day) -> list[Mark]:
    level = day.level
    found = []
    whole = level.total or 1.0
    if day.state == "unknown":
        found.append(Mark(x, HEIGHT - _DASH, _DASH, "none"))
    else:
        down = max(HEIGHT * level.down / whole, _LEAST) if level.down else 0.0
        up = HEIGHT * level.up / whole
        if down:
            up = min(up, HEIGHT - down - _GAP)
            found.append(Mark(x, max(HEIGHT - up - _GAP - down, 0.0) if up > 0 else HEIGHT - down, down, "bad"))
        if up > 0:
            found.append(Mark(x, HEIGHT - up, up, "good"))
    if day.maintenance:
        found.append(Mark(x, HEIGHT + 4, GROUND - HEIGHT - 4, "work"))
    return [Mark(each.x, round(each.y, 1), round(each.height, 1), each.tone) for each in found]
