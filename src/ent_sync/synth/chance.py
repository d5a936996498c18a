"""Reproducible chance: the same words give the same draws, whatever was drawn before and elsewhere.

Each household, school and change has its own source of chance, so that one of them can be told again without the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from random import Random  # noqa: TID251 - seeded, reproducible: nothing here is secret
from typing import Self, TypeVar

T = TypeVar("T")


class Chance(Random):
    """A seeded source of draws; never of keys or secrets."""

    @classmethod
    def of(cls, *words: str | int) -> Self:
        """The source that belongs to these words."""
        return cls(int.from_bytes(sha256("\x1f".join(map(str, words)).encode()).digest()[:16], "big"))

    def pick(self, choices: Sequence[T]) -> T:
        """One of `choices`, each as likely; three times as fast as `choice`."""
        return choices[int(self.random() * len(choices))]

    def below(self, end: int) -> int:
        """A number from 0 to `end`, exclusive."""
        return int(self.random() * end)

    def often(self, share: float) -> bool:
        """True in that share (0 to 1) of cases."""
        return self.random() < share
