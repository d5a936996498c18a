"""How soon partners were told, as numbers (federation-slo.md §5): the first word, the updates, the end.

The first word counts for each role due, and a notice has its worst role. How long the detection took is another number.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ent_sync.core.levels.calendar import SchoolHours
from ent_sync.core.levels.spans import Span, common, merged, total
from ent_sync.core.notice.kinds import Kind, Notice, Update, What
from ent_sync.core.notice.roles import Role

FIRST_IN_SCHOOL_HOURS = dt.timedelta(minutes=15)
FIRST_ELSE = dt.timedelta(minutes=60)
BETWEEN = dt.timedelta(minutes=60)
END = dt.timedelta(minutes=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One message of an update to one partner by one channel, and when the channel accepted it."""

    sequence: int
    partner: str
    role: Role
    channel: str
    accepted: dt.datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeliness:
    """Of one notice. What has not happened, or is not due, is None.

    `first_word` is that of the slowest role, from the detection; `on_time` whether it came within the limit of its
    hours: None while there is time left or nobody was to be told. `between` is the longest time between two words
    until the end; `end` is from the end to the word of it, to the slowest role. `notice` is how long before its start a
    maintenance, or before it was seen an evolution, had been announced; negative where it was afterwards.
    """

    detection: dt.timedelta | None = None
    first_word: dt.timedelta | None = None
    roles: tuple[tuple[Role, dt.timedelta | None], ...] = ()
    on_time: bool | None = None
    between: dt.timedelta | None = None
    end: dt.timedelta | None = None
    notice: dt.timedelta | None = None
    overrun: dt.timedelta | None = None


def first_words(words: Iterable[Word]) -> dict[Role, dt.datetime | None]:
    """When each role first heard, by whichever channel and partner; None where it has not."""
    found: dict[Role, dt.datetime | None] = {}
    for each in words:
        before = found.get(each.role)
        found[each.role] = min((at for at in (before, each.accepted) if at is not None), default=None)
    return found


def all_told(words: Iterable[Word]) -> dt.datetime | None:
    """When the last of the roles had heard; None while one has not, or where nobody is to be told."""
    found = first_words(words)
    times = [at for at in found.values() if at is not None]
    return max(times) if times and len(times) == len(found) else None


def timeliness(
    notice: Notice, updates: Sequence[Update], words: Sequence[Word], hours: SchoolHours, now: dt.datetime
) -> Timeliness:
    """The figures of one notice, as they stand now."""
    if notice.kind is Kind.MAINTENANCE:
        return Timeliness(
            notice=_difference(notice.announced, notice.starts),
            overrun=_overrun(notice, now),
        )
    heard = _from_due(updates, words)
    worst = max(heard.values(), default=None, key=lambda each: dt.timedelta.max if each is None else each)
    known = worst is not None and notice.detected is not None
    limit = FIRST_IN_SCHOOL_HOURS if notice.detected and hours.holds(notice.detected) else FIRST_ELSE
    on_time: bool | None = worst <= limit if known and worst is not None else None
    if on_time is None and heard and notice.detected is not None and now - notice.detected > limit:
        on_time = False
    return Timeliness(
        detection=_difference(notice.began, notice.detected),
        first_word=worst,
        roles=tuple(sorted(heard.items())),
        on_time=on_time,
        between=_between(notice, updates, now) if notice.kind is Kind.MALFUNCTION else None,
        end=_difference(notice.ended, notice.end_told) if notice.kind is Kind.MALFUNCTION else None,
        notice=_difference(notice.announced, notice.detected) if notice.kind is Kind.EVOLUTION else None,
    )


def _from_due(updates: Sequence[Update], words: Sequence[Word]) -> dict[Role, dt.timedelta | None]:
    """How long each role waited for its first word, from the moment it became its business."""
    moments = {each.sequence: each.at for each in updates}
    found: dict[Role, dt.timedelta | None] = {}
    for role, accepted in first_words(words).items():
        due = min(moments[each.sequence] for each in words if each.role is role and each.sequence in moments)
        found[role] = None if accepted is None else max(accepted - due, dt.timedelta())
    return found


def _between(notice: Notice, updates: Sequence[Update], now: dt.datetime) -> dt.timedelta | None:
    """The longest silence while it was open."""
    spoken = {What.OPENED, What.UPDATED, What.JOINED, What.REOPENED, What.UNSTABLE, What.ENDED}
    until = notice.ended or now
    moments = sorted(min(each.at, until) for each in updates if each.what in spoken)
    if not moments:
        return None
    return max(later - earlier for earlier, later in pairwise([*moments, max(until, moments[-1])]))


def _overrun(notice: Notice, now: dt.datetime) -> dt.timedelta | None:
    if notice.ends is None or notice.began is None:
        return None
    return max((notice.ended or now) - notice.ends, dt.timedelta())


def _difference(earlier: dt.datetime | None, later: dt.datetime | None) -> dt.timedelta | None:
    return later - earlier if earlier is not None and later is not None else None


# -- over many notices -------------------------------------------------------------------------------------------------


def share(told: Iterable[bool | None]) -> float | None:
    """The share of those decided that were so; None where none is decided."""
    known = [each for each in told if each is not None]
    return sum(known) / len(known) if known else None


def announced_ahead(notices: Iterable[Notice], ahead: dt.timedelta) -> float | None:
    """The share of the evolutions seen that had been announced so long before."""
    return share(
        each.announced is not None and each.detected is not None and each.detected - each.announced >= ahead
        for each in notices
        if each.kind is Kind.EVOLUTION and each.detected is not None
    )


def down_inside(down: Iterable[Span], agreed: Iterable[Span]) -> float | None:
    """The share of the time down that lies in agreed maintenance; None where nothing was down."""
    spans = merged(down)
    return total(common(spans, agreed)) / total(spans) if spans else None
