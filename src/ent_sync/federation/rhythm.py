"""When services are looked at: all at the same moments, more often in school hours (federation-slo.md §3)."""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass

from ent_sync.core.levels.calendar import SchoolHours


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """The moments of probing. `place` is the vantage point: its name shifts them, so that not all ask at once."""

    school: dt.timedelta
    off: dt.timedelta
    hours: SchoolHours
    place: str

    def cadence(self, moment: dt.datetime) -> dt.timedelta:
        """How often services are looked at, at a moment."""
        return self.school if self.hours.holds(moment) else self.off

    def last(self, moment: dt.datetime) -> dt.datetime:
        """The moment of probing at or before another."""
        return self._before(moment, self.cadence(moment))

    def after(self, moment: dt.datetime) -> dt.datetime:
        """The next moment of probing: school may begin before the next one of the quiet hours."""
        school = self._before(moment, self.school) + self.school
        off = self._before(moment, self.off) + self.off
        while school < off and not self.hours.holds(school):
            school += self.school
        return school if self.hours.holds(school) else off

    def _before(self, moment: dt.datetime, cadence: dt.timedelta) -> dt.datetime:
        seconds = cadence.total_seconds()
        shift = int.from_bytes(hashlib.sha256(self.place.encode()).digest()[:4], "big") % seconds
        count = (moment.timestamp() - shift) // seconds
        return dt.datetime.fromtimestamp(count * seconds + shift, dt.UTC)
