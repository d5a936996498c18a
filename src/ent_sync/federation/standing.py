"""The levels that metrics tell: of thirty days, and of the month, the term and the school year up to now.

They take some seconds of years of samples, so they are made beside whoever asks, and told as they last were.
"""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace

import sqlalchemy as sa
import structlog

from ent_sync.config.federation import FederationSection
from ent_sync.core.levels.availability import Availability
from ent_sync.core.levels.calendar import between_days, months
from ent_sync.core.levels.gap import Gap
from ent_sync.core.levels.spans import Span
from ent_sync.core.levels.standing import Standing
from ent_sync.federation.figures import Calendar, Frame, Planned, levels, trend
from ent_sync.federation.report import Reader, people
from ent_sync.federation.series import Series

LASTING = 900.0
"""So many seconds a standing is told before it is made again."""
_THIRTY_DAYS = dt.timedelta(days=30)
_YEAR = dt.timedelta(days=365)

log = structlog.get_logger()


def standing(
    connection: sa.Connection,
    federation: FederationSection,
    now: dt.datetime,
    accounts: Mapping[str, int] | None = None,
) -> Standing:
    """The levels of all configured services up to now. `accounts`: how many active accounts each population has."""
    asked = windows(federation, now)
    whole = Span(min(each.start for each in asked.values()), now.astimezone(dt.UTC))
    reader = Reader(connection, federation)
    frame = reader.frame(whole)
    names = [each.name for each in federation.services]
    seen = {name: reader.series(name, whole) for name in names}
    reference = federation.reference
    found: dict[tuple[str, str, str, str], Availability] = {}
    gaps: dict[tuple[str, str, str], Gap] = {}
    for name in names:
        for window, span in asked.items():
            compared = _within(seen[reference], span) if reference is not None and name != reference else None
            for each in levels(_within(seen[name], span), compared, frame):
                found[name, window, each.calendar.value, each.maintenance.value] = each.seconds
                if each.gap is not None and each.maintenance is Planned.EXCLUDED:
                    gaps[name, window, each.calendar.value] = each.gap
    by_month = reader.months(reference, seen, whole, frame) if reference is not None else {}
    objective = federation.objective
    if objective is None and reference is not None:
        objective = _reached(reader, reference, now, frame)
    counted = {name: people(federation, name, accounts) for name in names}
    return Standing(
        levels=found,
        gaps=gaps,
        trends={name: trend(by_month.get(name, ())) for name in names},
        objective={} if objective is None else dict.fromkeys(names, objective),
        people={name: number for name, number in counted.items() if number is not None},
    )


def windows(federation: FederationSection, now: dt.datetime) -> dict[str, Span]:
    """The windows by name, each up to now; the term is there while there is one."""
    now = now.astimezone(dt.UTC)
    zone = federation.calendar.school_hours(()).zone
    today = now.astimezone(zone).date()
    month, day = map(int, federation.calendar.year.split("-"))
    year = today.year if (today.month, today.day) >= (month, day) else today.year - 1
    starts = {
        "30d": now - _THIRTY_DAYS,
        "month": months(Span(now, now + dt.timedelta(microseconds=1)), zone)[0].start,
        "year": between_days(dt.date(year, month, day), dt.date(year + 1, month, day), zone).start,
    }
    for term in federation.calendar.terms:
        if term.first <= today < term.after:
            starts["term"] = between_days(term.first, term.after, zone).start
    return {name: Span(start, now) for name, start in starts.items() if start < now}


def _within(seen: Series, window: Span) -> Series:
    return replace(seen, window=window)


def _reached(reader: Reader, reference: str, now: dt.datetime, frame: Frame) -> float | None:
    """What the reference reached in the last twelve months, agreed maintenance taken out."""
    whole = Span(now.astimezone(dt.UTC) - _YEAR, now.astimezone(dt.UTC))
    found = levels(reader.series(reference, whole), None, frame)
    chosen = next(each for each in found if (each.calendar, each.maintenance) == (Calendar.ALL, Planned.EXCLUDED))
    return chosen.seconds.known


class Standings:
    """The last standing that was made; asking for it has one made beside, when it is too old. Many threads ask."""

    def __init__(
        self,
        view: Callable[[], AbstractContextManager[sa.Connection]],
        federation: FederationSection,
        now: Callable[[], dt.datetime],
        accounts: Callable[[sa.Connection], Mapping[str, int]],
        *,
        lasting: float = LASTING,
    ) -> None:
        self._view, self._federation, self._now, self._accounts = view, federation, now, accounts
        self._lasting = lasting
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None
        self._made: tuple[float, Standing] | None = None

    def __call__(self) -> Standing | None:
        """The last standing; None until the first is made."""
        with self._guard:
            old = self._made is None or time.monotonic() - self._made[0] >= self._lasting
            if old and (self._thread is None or not self._thread.is_alive()):
                # A daemon thread: it only reads, and whoever ends need not wait for it.
                self._thread = threading.Thread(target=self._make, name="standing", daemon=True)
                self._thread.start()
            return None if self._made is None else self._made[1]

    def wait(self, seconds: float) -> None:
        """Wait for the one that is being made."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout=seconds)

    def _make(self) -> None:
        try:
            with self._view() as connection:
                made = standing(connection, self._federation, self._now(), self._accounts(connection))
        except Exception as error:
            log.error("levels not made", exc_info=error)  # noqa: TRY400 - ours tells no text
            return
        self._made = (time.monotonic(), made)
