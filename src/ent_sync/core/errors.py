"""What can go wrong, in three kinds that are never mixed.

A `Problem` is bad input: collected, shown, and set aside with what it concerns. An expected end (held, partial) is a
value of `core.run`. What stops us is one of the exceptions below; each carries its exit code (contract §2). None of
them may ever hold a value of a person.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Where:
    """A place in an input: a file, and as far as known the line and column (both from 1) or the path inside it."""

    file: str
    line: int | None = None
    column: int | None = None
    path: str | None = None

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        return f"{place}: {self.path}" if self.path else place


@dataclass(frozen=True, slots=True)
class Problem:
    """One piece of bad input: where it stands, the name of the rule it breaks, and what to do about it.

    `message` never contains a value of the input: values of a delivery are personal, values of a configuration may be
    secrets.
    """

    where: Where
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


class EntSyncError(Exception):
    """Something stops the command."""

    exit_code = 1


class BadConfigurationError(EntSyncError):
    """The configuration, the register or a mapping has errors; all of them are listed."""

    exit_code = 78

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class UsageError(EntSyncError):
    """The command was given something that does not exist or does not fit."""

    exit_code = 2


class BusyError(EntSyncError):
    """Another run holds the lease."""

    exit_code = 5


class UnavailableError(EntSyncError):
    """A source or a target cannot be reached."""

    exit_code = 7


class StoreError(EntSyncError):
    """The state store cannot be used as it is."""


class LeaseLostError(EntSyncError):
    """Another run took over the lease; nothing more is written by this one."""

    exit_code = 5
