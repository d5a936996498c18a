"""The levels of all services at one moment, over the windows that metrics tell: values, made elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ent_sync.core.levels.availability import Availability
from ent_sync.core.levels.gap import Gap
from ent_sync.core.levels.trend import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """`levels` by service, window, calendar and maintenance; `gaps` by service, window and calendar.

    A window that is not there now (holidays belong to no term) has no rows. `objective` is what each service is held
    against, `people` how many log in there, both where they are known.
    """

    levels: Mapping[tuple[str, str, str, str], Availability] = field(default_factory=dict)
    gaps: Mapping[tuple[str, str, str], Gap] = field(default_factory=dict)
    trends: Mapping[str, Verdict] = field(default_factory=dict)
    objective: Mapping[str, float] = field(default_factory=dict)
    people: Mapping[str, int] = field(default_factory=dict)
