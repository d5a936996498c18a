"""What a run is made of: everything that `compose.py` built, handed over as one value.

Worker processes are composed by the same function; each has its own connection to the store and no target.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ent_sync.core.entry import Entry
from ent_sync.core.event import Event
from ent_sync.core.fingerprint import Keys
from ent_sync.core.guard import Freeze, Limits
from ent_sync.core.release import Policy
from ent_sync.ports import Engine, Source, Target
from ent_sync.store.database import Database
from ent_sync.store.seal import Seal


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceParts:
    """A source with what the configuration says of it.

    `precedence` is its place in the list; `delivers` are the days of the week on which it promises a delivery.
    """

    source: Source
    academy: str
    precedence: int
    keep: dt.timedelta
    delivers: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """All that the steps of a run need.

    A run that `gives_way` lets typed commands go first, between two batches that it pushes.
    `target_names` names all targets, `unreachable` says why one is not among the `targets` now. A worker has none.
    `journal` is how long the way back from a change is kept.
    `neutral` tells for each target, reached or not, what its format demands of an entry beyond what is released.
    """

    database: Database
    keys: Keys
    seal: Seal
    policy: Policy
    sources: Mapping[str, SourceParts]
    target_names: Sequence[str]
    targets: Mapping[str, Target]
    neutral: Mapping[str, Callable[[Entry], Mapping[str, str]]] = field(default_factory=dict)
    unreachable: Mapping[str, str] = field(default_factory=dict)
    limits: Limits
    freezes: Sequence[Freeze]
    journal: dt.timedelta
    now: Callable[[], dt.datetime]
    new_id: Callable[[], str]
    engine: Engine[Parts]
    listeners: Sequence[Callable[[Event], None]] = field(default=())
    stopping: Callable[[], bool] = bool
    gives_way: bool = False

    def tell(self, event: Event) -> None:
        """Tell everyone who listens."""
        for listener in self.listeners:
            listener(event)

    @property
    def today(self) -> dt.date:
        """The day in the time zone of the clock."""
        return self.now().date()
