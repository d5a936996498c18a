"""When a malfunction opens, goes on, comes back and ends, from what the last ticks saw (federation-slo.md §5).

Decided anew at each tick from the ticks and notices that are stored, so a restart forgets nothing. Two ticks that agree
open or end one, dated back to the first of them; unknown ticks say nothing either way. What we do not know because of
ourselves (an `own` cause, a test account that is refused) is followed in the same way, and told to operators only.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from ent_sync.core.levels.outages import LONGEST_BLIND
from ent_sync.core.levels.samples import UNDECIDED, Cause, Result, Sample, slot, ticks
from ent_sync.core.levels.spans import Span
from ent_sync.core.notice.kinds import Author, Kind, Notice, State, Step, Update, What, first, identifier, step

AGREE = 2
"""So many ticks in a row must agree."""
TOGETHER = 2
"""Services that fall within so many cadences of each other, with one cause, fall together: the same three ticks."""
CONTINUES = dt.timedelta(minutes=30)
"""What falls again within this time continues the malfunction before."""
MOST_CYCLES = 3
"""With more beginnings than these in an hour it is unstable."""
EVERY = dt.timedelta(hours=1)
"""The longest time between two words about an open one, and the shortest about an unstable one."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a tick saw of a service, all vantage points together; the cause that most of those down name."""

    time: dt.datetime
    result: Result
    cause: Cause | None = None


def seen(samples: Sequence[Sample], vantages: int, cadence: Callable[[dt.datetime], dt.timedelta]) -> tuple[Seen, ...]:
    """The ticks of one service, with their causes."""
    causes: dict[object, Counter[Cause]] = {}
    for each in samples:
        if each.cause is not None and each.result is not Result.UP:
            causes.setdefault(_place(each.time, vantages, cadence), Counter())[each.cause] += 1
    found = []
    for tick in ticks(samples, vantages, cadence):
        named = causes.get(_place(tick.time, vantages, cadence)) if tick.result is not Result.UP else None
        found.append(Seen(tick.time, tick.result, named.most_common(1)[0][0] if named else None))
    return tuple(found)


def _place(moment: dt.datetime, vantages: int, cadence: Callable[[dt.datetime], dt.timedelta]) -> object:
    return moment.astimezone(dt.UTC) if vantages <= 1 else slot(moment, cadence(moment))


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """All that a decision is made from.

    `series` holds the last ticks of each service, an hour of them at least; `notices` the malfunctions that are not
    over, or ended lately, with their `updates`; `agreed` the agreed maintenance of each service.
    """

    now: dt.datetime
    cadence: dt.timedelta
    series: Mapping[str, Sequence[Seen]]
    notices: Sequence[Notice]
    updates: Mapping[str, Sequence[Update]]
    agreed: Mapping[str, Sequence[Span]]


def decide(situation: Situation) -> tuple[Step, ...]:
    """What becomes of the malfunctions now; several steps of one notice come in their order."""
    course = _Course(situation)
    for own in (False, True):
        course.follow(own)
    return tuple(course.steps)


# -- what the last ticks say -------------------------------------------------------------------------------------------


def _fallen(tick: Seen) -> bool | None:
    """Of the service: down, up, or nothing said."""
    if tick.result is Result.UP:
        return False
    return True if tick.result is Result.DOWN and tick.cause not in UNDECIDED else None


def _blind(tick: Seen) -> bool | None:
    """Of ourselves: a cause of our own, or something that was seen."""
    if tick.cause in UNDECIDED:
        return True
    return None if tick.result is Result.UNKNOWN else False


def _lately(
    series: Sequence[Seen], judged: Callable[[Seen], bool | None], situation: Situation
) -> tuple[bool, tuple[Seen, ...]]:
    """What the last ticks agree on, and these ticks in order; none where the last word is too long ago."""
    apart = LONGEST_BLIND + situation.cadence
    known = [(each, verdict) for each in series if (verdict := judged(each)) is not None]
    if not known or situation.now - known[-1][0].time > apart:
        return False, ()
    verdict = known[-1][1]
    agreeing = [known[-1][0]]
    for (earlier, said), (later, _) in reversed(list(pairwise(known))):
        if said is not verdict or later.time - earlier.time > apart:
            break
        agreeing.append(earlier)
    return verdict, tuple(reversed(agreeing))


# -- what follows ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Fall:
    service: str
    began: dt.datetime
    cause: Cause | None


class _Course:
    """One decision: the notices as they become, and the steps so far."""

    def __init__(self, situation: Situation) -> None:
        self.situation = situation
        self.notices = {each.id: each for each in situation.notices if each.kind is Kind.MALFUNCTION}
        self.steps: list[Step] = []

    def follow(self, own: bool) -> None:
        judged = _blind if own else _fallen
        lately = {name: _lately(series, judged, self.situation) for name, series in self.situation.series.items()}
        falls = [
            _Fall(name, agreeing[0].time, agreeing[0].cause)
            for name, (bad, agreeing) in sorted(lately.items())
            if bad and len(agreeing) >= AGREE
        ]
        risen = {name: said[0].time for name, (bad, said) in lately.items() if not bad and len(said) >= AGREE}
        self._come_back([each for each in falls if not self._is_running(each.service, own)], own)
        self._open([each for each in falls if not self._is_running(each.service, own)], own)
        for notice in self._of(own):
            if notice.author is Author.PROBE and notice.open:
                self._rise(notice, risen)
        for notice in self._of(own):
            if notice.author is Author.PROBE and notice.open:
                self._go_on(notice)

    def _of(self, own: bool) -> list[Notice]:
        return [each for each in self.notices.values() if each.internal is own]

    def _is_running(self, service: str, own: bool) -> bool:
        """Whether it is told already; what the authority itself told is beside it, to be measured by ours."""
        ours = [each for each in self._of(own) if each.author is not Author.AUTHORITY]
        return any(service in each.services and each.open and each.ended is None for each in ours)

    def _take(self, taken: Step) -> None:
        self.notices[taken.notice.id] = taken.notice
        self.steps.append(taken)

    # -- it falls ----------------------------------------------------------------------------------------------------

    def _come_back(self, falls: Iterable[_Fall], own: bool) -> None:
        for fall in falls:
            before = [each for each in self._of(own) if each.author is Author.PROBE and fall.service in each.services]
            for notice in sorted(before, key=lambda each: each.ended or self.situation.now)[-1:]:
                if notice.ended is not None and fall.began - notice.ended <= CONTINUES:
                    self._reopen(notice)

    def _reopen(self, notice: Notice) -> None:
        now = self.situation.now
        again = replace(notice, ended=None, end_told=None, closed=None)
        if notice.state is State.UNSTABLE:
            self._take(step(again, What.REOPENED, now, tell=False))
        elif self._beginnings(notice) + 1 > MOST_CYCLES:
            self._take(step(replace(again, state=State.UNSTABLE), What.UNSTABLE, now))
        else:
            self._take(step(replace(again, state=_going_on(notice)), What.REOPENED, now))

    def _beginnings(self, notice: Notice) -> int:
        """How often it began in the last hour."""
        since = self.situation.now - EVERY
        begun = {What.OPENED, What.REOPENED, What.UNSTABLE}
        return sum(each.at > since and each.what in begun for each in self._updates(notice))

    def _updates(self, notice: Notice) -> Iterator[Update]:
        yield from self.situation.updates.get(notice.id, ())
        yield from (each.update for each in self.steps if each.notice.id == notice.id and each.update)

    def _open(self, falls: Iterable[_Fall], own: bool) -> None:
        near = TOGETHER * self.situation.cadence
        for fall in falls:
            if self._waits(fall):
                continue
            together = [
                each
                for each in self._of(own)
                if each.author is Author.PROBE and each.open and each.ended is None and each.state is not State.UNSTABLE
                if each.cause == fall.cause and each.began is not None and abs(fall.began - each.began) <= near
            ]
            if together:
                self._join(together[0], fall)
            else:
                self._new(fall)

    def _waits(self, fall: _Fall) -> bool:
        """Whether it began in agreed maintenance that is not over."""
        windows = self.situation.agreed.get(fall.service, ())
        return any(each.holds(fall.began) and each.holds(self.situation.now) for each in windows)

    def _new(self, fall: _Fall) -> None:
        notice = Notice(
            id=identifier(Kind.MALFUNCTION, fall.began, [fall.service]),
            kind=Kind.MALFUNCTION,
            state=State.DETECTED,
            author=Author.PROBE,
            title="",
            services=(fall.service,),
            cause=fall.cause,
            began=fall.began,
            detected=self.situation.now,
        )
        self._take(first(notice, What.OPENED, self.situation.now))

    def _join(self, notice: Notice, fall: _Fall) -> None:
        wider = replace(
            notice,
            services=(*notice.services, fall.service),
            began=min(fall.began, notice.began or fall.began),
        )
        opening = next((each for each in self.steps if each.notice.id == notice.id and each.update), None)
        if opening is not None and opening.update and opening.update.what is What.OPENED:
            # Found at the same tick: one word for all of them.
            self.steps[self.steps.index(opening)] = replace(opening, notice=wider)
            self.notices[notice.id] = wider
            return
        self._take(step(replace(wider, state=_going_on(notice)), What.JOINED, self.situation.now))

    # -- it ends, or goes on -----------------------------------------------------------------------------------------

    def _watched(self, notice: Notice) -> list[str]:
        """Its services that are still looked at; of the others somebody has to say that they are well."""
        return [name for name in notice.services if name in self.situation.series]

    def _rise(self, notice: Notice, risen: Mapping[str, dt.datetime]) -> None:
        watched = self._watched(notice)
        if notice.ended is not None or not watched or not all(name in risen for name in watched):
            return
        ended = replace(notice, ended=max(risen[name] for name in watched))
        if notice.state is State.UNSTABLE:
            self._take(Step(ended))
        else:
            self._take(step(replace(ended, state=State.ENDED), What.ENDED, self.situation.now))

    def _go_on(self, notice: Notice) -> None:
        now = self.situation.now
        unstable = notice.state is State.UNSTABLE
        silent = {What.REOPENED, What.ESCALATED} if unstable else {What.ESCALATED}
        told = [each.at for each in self._updates(notice) if each.what not in silent]
        # An open one is told before the hour is over, an unstable one when it is.
        pause = EVERY if unstable else EVERY - self.situation.cadence
        hour = not told or now - max(told) >= pause
        if not self._watched(notice):
            return
        if unstable and notice.ended is not None and now - notice.ended >= CONTINUES:
            self._take(step(replace(notice, state=State.ENDED), What.ENDED, now))
        elif unstable and hour and notice.ended is None and not self._beginnings(notice):
            self._take(step(replace(notice, state=_going_on(notice)), What.UPDATED, now))
        elif hour:
            self._take(step(notice, What.UNSTABLE if unstable else What.UPDATED, now))


def _going_on(notice: Notice) -> State:
    return State.UPDATED if notice.told else State.DETECTED
