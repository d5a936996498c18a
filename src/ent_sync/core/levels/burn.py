"""The error budget, and how fast it burns (federation-slo.md §4.9)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from ent_sync.core.levels.samples import Result, Tick


class Severity(StrEnum):
    """Who should look, and when."""

    PAGE = "page"
    TICKET = "ticket"


@dataclass(frozen=True, slots=True, kw_only=True)
class BurnRule:
    """Alarm when the budget burns so fast in a long and in a short window, each with so many known samples."""

    burn: float
    long: dt.timedelta
    short: dt.timedelta
    long_known: int
    short_known: int
    short_down: int
    severity: Severity


_HOUR, _MINUTE, _DAY = dt.timedelta(hours=1), dt.timedelta(minutes=1), dt.timedelta(days=1)
RULES = (
    BurnRule(
        burn=14.4, long=_HOUR, short=5 * _MINUTE, long_known=30, short_known=3, short_down=2, severity=Severity.PAGE
    ),
    BurnRule(
        burn=6, long=6 * _HOUR, short=30 * _MINUTE, long_known=180, short_known=15, short_down=2, severity=Severity.PAGE
    ),
    BurnRule(
        burn=3, long=_DAY, short=2 * _HOUR, long_known=240, short_known=24, short_down=3, severity=Severity.TICKET
    ),
    BurnRule(
        burn=1, long=3 * _DAY, short=6 * _HOUR, long_known=720, short_known=72, short_down=3, severity=Severity.TICKET
    ),
)


def budget(objective: float, window: dt.timedelta) -> dt.timedelta:
    """How long a service may be down in a window and keep its objective."""
    return window * (1 - objective)


def burn(ticks: Sequence[Tick], objective: float) -> float | None:
    """How many times faster than allowed the budget goes; unknown ticks are left out. None where nothing is known."""
    known = [each for each in ticks if each.result is not Result.UNKNOWN]
    if not known:
        return None
    return sum(each.result is Result.DOWN for each in known) / len(known) / (1 - objective)


def alarms(ticks: Sequence[Tick], objective: float, now: dt.datetime) -> tuple[BurnRule, ...]:
    """The rules that speak now."""
    return tuple(rule for rule in RULES if _speaks(rule, ticks, objective, now))


def _speaks(rule: BurnRule, ticks: Sequence[Tick], objective: float, now: dt.datetime) -> bool:
    long = [each for each in ticks if now - rule.long < each.time <= now]
    short = [each for each in long if now - rule.short < each.time]
    for within, fewest in ((long, rule.long_known), (short, rule.short_known)):
        rate = burn(within, objective)
        if rate is None or rate <= rule.burn or sum(each.result is not Result.UNKNOWN for each in within) < fewest:
            return False
    return sum(each.result is Result.DOWN for each in short) >= rule.short_down
