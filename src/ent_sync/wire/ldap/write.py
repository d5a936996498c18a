"""Many operations under way on one connection, answered in the order in which they were given.

A writer that waits for each answer spends its time on the way and on the server's disk. Here as many are under way as
the server takes well, never two on one DN; what it is too busy for is tried again after a pause. Retries and pauses
live here and not in ldap3. Knows operations and their answers, and nothing of accounts.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import tenacity
from tenacity.wait import wait_base

from ent_sync.wire.ldap import ber, ber_write
from ent_sync.wire.ldap.ber import Entry, MalformedError, Message
from ent_sync.wire.ldap.link import Link
from ent_sync.wire.ldap.operation import (
    Add,
    Edit,
    EditKind,
    Find,
    Modify,
    Move,
    Operation,
    Read,
    Remove,
    encoded,
    touched,
)
from ent_sync.wire.ldap.result import ADMIN_LIMIT, REFERRAL, TRY_AGAIN, LostConnectionError, Result, result
from ent_sync.wire.ldap.window import Window

__all__ = [
    "Add",
    "Answer",
    "Edit",
    "EditKind",
    "Find",
    "Modify",
    "Move",
    "Operation",
    "Pipeline",
    "Read",
    "Remove",
]

MOST = 64
ATTEMPTS = 8
PAUSES = tenacity.wait_random_exponential(multiplier=0.2, max=20)

_STRAIN = TRY_AGAIN | {ADMIN_LIMIT}
_SLICE = 0.1  # seconds of a pause after which a stop is looked for
_WELL = Result(code=0)
_BODY_WELL = b"\x0a\x01\x00\x04\x00\x04\x00"  # success, no matched DN, no message: nearly every answer


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Answer:
    """How an operation ended. `result` None: nobody answered; if `sent`, it may or may not have been done.

    A `Find` to which the server added a reference to elsewhere ends with `referral`: it is not the whole.
    """

    operation: Operation
    result: Result | None
    sent: bool
    entries: tuple[Entry, ...] = ()
    before: Entry | None = None

    def __repr__(self) -> str:
        how = self.result.name if self.result else "unanswered" if self.sent else "not sent"
        return f"<Answer to {type(self.operation).__name__}: {how}>"


class Pipeline:
    """Performs operations on a link that nobody else uses meanwhile.

    `retries` counts what was asked again, `in_flight` what is under way. `stopping` cuts pauses short, and is not
    looked at otherwise: what can be done is done.
    """

    def __init__(
        self,
        link: Link,
        most: int = MOST,
        *,
        attempts: int = ATTEMPTS,
        pauses: wait_base = PAUSES,
        stopping: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.retries = 0
        self.lost = False
        self._link = link
        self._window = Window(most)
        self._attempts = attempts
        self._pauses = pauses
        self._stopping = stopping
        self._clock = clock
        self._resume = 0.0
        self._in_flight: dict[int, tuple[int, float, int]] = {}

    @property
    def in_flight(self) -> int:
        """How many operations are under way."""
        return len(self._in_flight)

    @property
    def window(self) -> int:
        """How many operations may be under way now."""
        return self._window.size

    def perform(self, operations: Sequence[Operation]) -> list[Answer]:
        """One answer for each operation, in their order.

        Two on one DN are done in their order, and so are an entry's coming or going and what concerns its parent.
        Answers are results, whatever the code; a lost connection, and a stop during a pause, leave operations without.
        The former ends the use of the pipeline: all that it is asked afterwards is not sent.

        Raises:
            NotADnError: the DN of an operation is none; nothing was sent.
            BadFilterError: the filter of an operation cannot be read; the link is closed, as it has open questions.
        """
        work = _Work(operations)
        try:
            while not self.lost and not work.is_done:
                self._send(work)
                if self._in_flight:
                    self._receive(work)
                elif not self._pause():
                    break
        except (LostConnectionError, MalformedError):
            self._lose()
        except BaseException:
            self._lose()
            raise
        finally:
            self._in_flight.clear()
        return work.answers()

    def _lose(self) -> None:
        self.lost = True
        self._link.close()

    def _send(self, work: _Work) -> None:
        now = self._clock()
        if now < self._resume:
            return
        messages = []
        for index in work.take(self._window.size - len(self._in_flight)):
            number = self._link.next_id()
            messages.append(encoded(work.operations[index], number))
            self._in_flight[number] = (index, now, len(self._in_flight) + 1)
        if messages:
            self._link.send(b"".join(messages))

    def _receive(self, work: _Work) -> None:
        messages = self._link.receive()
        now = self._clock()
        for message in messages:
            asked = self._in_flight.get(message.id)
            if asked is None:
                continue
            index, at, under_way = asked
            if message.op == ber.ENTRY:
                work.found(index, ber.entry(message.body))
            elif message.op == ber.REFERENCE:
                work.points_elsewhere(index)
            elif message.op != ber.INTERMEDIATE:
                del self._in_flight[message.id]
                ended = _ended(message)
                self._window.answered(now - at, under_way, strained=ended.code in _STRAIN)
                self._take(work, index, ended, now)

    def _take(self, work: _Work, index: int, ended: Result, now: float) -> None:
        if ended.again and (attempts := work.again(index, ended)) < self._attempts:
            self.retries += 1
            self._resume = max(self._resume, now + self._pause_after(attempts))
            work.wait(index)
        else:
            work.end(index, ended)

    def _pause_after(self, attempts: int) -> float:
        state = tenacity.RetryCallState(tenacity.Retrying(), None, (), {})
        state.attempt_number = attempts
        return self._pauses(state)

    def _pause(self) -> bool:
        """Wait until the server may be asked again; False when a stop came first."""
        while (left := self._resume - self._clock()) > 0:
            if self._stopping():
                return False
            threading.Event().wait(min(left, _SLICE))
        return True


class _Work:
    """Which operations wait, which may go, and how the others ended."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self.operations = operations
        self._elsewhere: set[int] = set()
        self._ready, self._blockers, self._following = _order(operations)
        self._sent = bytearray(len(operations))
        self._results: list[Result | None] = [None] * len(operations)
        self._attempts: dict[int, int] = {}
        self._entries: dict[int, list[Entry]] = {}
        self._before: dict[int, Entry] = {}
        self._left = len(operations)

    @property
    def is_done(self) -> bool:
        return not self._left

    def take(self, count: int) -> list[int]:
        """The next operations, as many as may go now and `count` at most."""
        ready = self._ready
        taken = [heapq.heappop(ready) for _ in range(min(count, len(ready)))]
        for index in taken:
            self._sent[index] = 1
            self._results[index] = None
        return taken

    def found(self, index: int, entry: Entry) -> None:
        self._entries.setdefault(index, []).append(entry)

    def points_elsewhere(self, index: int) -> None:
        self._elsewhere.add(index)

    def again(self, index: int, ended: Result) -> int:
        """Keep an answer that may not be the last; how often the operation was tried by now."""
        self._results[index] = ended
        self._attempts[index] = self._attempts.get(index, 0) + 1
        return self._attempts[index]

    def wait(self, index: int) -> None:
        """Put back what was not done; its DN stays taken."""
        self._entries.pop(index, None)
        heapq.heappush(self._ready, index)

    def end(self, index: int, ended: Result) -> None:
        if ended.controls and (before := _before(ended)) is not None:
            self._before[index] = before
        self._results[index] = ended
        self._left -= 1
        for following in self._following.pop(index, ()):
            self._blockers[following] -= 1
            if not self._blockers[following]:
                heapq.heappush(self._ready, following)

    def answers(self) -> list[Answer]:
        return [self._answer(index, operation) for index, operation in enumerate(self.operations)]

    def _answer(self, index: int, operation: Operation) -> Answer:
        ended = self._results[index]
        entries = self._entries.get(index, ()) if ended else ()
        if ended is not None and index in self._elsewhere:
            ended = Result(code=REFERRAL)
        return Answer(
            operation=operation,
            result=ended,
            sent=bool(self._sent[index]),
            entries=tuple(entries),
            before=self._before.get(index),
        )


def _order(operations: Sequence[Operation]) -> tuple[list[int], dict[int, int], dict[int, list[int]]]:
    """Which may go at once, for how many others each of the rest waits, and who waits for each.

    Of one DN there is one writer at a time, or several that only need it to stay; whoever came first goes first.
    """
    ready: list[int] = []
    blockers: dict[int, int] = {}
    following: dict[int, list[int]] = {}
    writer: dict[str, int] = {}
    stayers: dict[str, list[int]] = {}
    for index, operation in enumerate(operations):
        own, staying = touched(operation)
        before = set()
        for dn in own:
            if dn in writer:
                before.add(writer[dn])
            before.update(stayers.pop(dn, ()))
            writer[dn] = index
        for dn in staying:
            if dn in writer:
                before.add(writer[dn])
            stayers.setdefault(dn, []).append(index)
        before.discard(index)
        if not before:
            ready.append(index)
            continue
        blockers[index] = len(before)
        for each in before:
            following.setdefault(each, []).append(index)
    return ready, blockers, following


def _ended(message: Message) -> Result:
    if message.body == _BODY_WELL and not message.controls:
        return _WELL
    return result(message)


def _before(ended: Result) -> Entry | None:
    """What the pre-read control brought (RFC 4527 §3.1): a search result entry, with or without its own tag."""
    value = ended.controls.get(ber_write.PRE_READ)
    if value is None:
        return None
    (_, inside), *_ = ber.parts(value)
    return ber.entry(inside)
