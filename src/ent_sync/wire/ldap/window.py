"""How many operations may be under way at one server: as many as it takes well, found by trying.

Additive increase, multiplicative decrease, as TCP does it. Pure arithmetic on what answers tell.
"""

from __future__ import annotations

_FIRST = 8
_SMOOTHING = 16  # answers
_FORGETTING = 1 + 1 / 1024  # of the best times, per answer: an hour later another time may be the best there is
_WORSE = 2.0
_PROMPT = 0.1  # seconds: a server that answers within this is not slow, whatever it was at its best


class Window:
    """Grows by one for each answer until it first shrinks, then by one for each window of answers; halves on strain.

    Strain is a server that says so, or one that got slow: answers take more than twice as long as at its best *and*
    there are less than half as many of them. Either alone is no sign: with more under way each waits longer at a
    server that is just as fast, and with fewer there are fewer answers at one that is far away.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = float(min(_FIRST, most))
        self._has_shrunk = False
        self._deaf = 0
        self._waiting = _Smoothed()
        self._interval = _Smoothed()

    @property
    def size(self) -> int:
        """How many operations may be under way now; at least one."""
        return int(self._size)

    def answered(self, seconds: float, under_way: int, *, strained: bool = False) -> None:
        """Tell how long an answer took, how many were under way when it was asked for, and whether it was a plea."""
        self._deaf = max(0, self._deaf - 1)
        self._waiting.add(seconds)
        self._interval.add(seconds / max(1, under_way))
        slow = self._waiting.now > _PROMPT and self._waiting.is_worse and self._interval.is_worse
        if strained or slow:
            self._shrink()
        elif self._size < self._most:
            self._size = min(self._most, self._size + (1 / self._size if self._has_shrunk else 1))

    def _shrink(self) -> None:
        # What was under way when it shrank still tells of the time before.
        if self._deaf:
            return
        self._deaf = int(self._size)
        self._has_shrunk = True
        self._size = max(1.0, self._size / 2)


class _Smoothed:
    """A time, smoothed over answers, and the best that it was lately."""

    def __init__(self) -> None:
        self.now = 0.0
        self._best = 0.0

    def add(self, seconds: float) -> None:
        self.now = self.now + (seconds - self.now) / _SMOOTHING if self.now else seconds
        self._best = min(self.now, self._best * _FORGETTING) if self._best else self.now

    @property
    def is_worse(self) -> bool:
        return self.now > _WORSE * self._best
