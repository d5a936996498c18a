"""Whether the daemon can do its work, with reasons in words: what `/readyz` answers.

Every check runs in a thread of its own, so that a server that hangs delays one answer by a known time and no other
check; and not more often than once in some seconds, however often somebody asks.
"""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TypeAlias

import sqlalchemy as sa

from ent_sync.core.errors import EntSyncError
from ent_sync.ports import Source, Target
from ent_sync.store import lease, measures

Check: TypeAlias = Callable[[], str | None]
"""Why something cannot be used now, without anything about a person; None where it can."""

_SILENT = dt.timedelta(seconds=40)  # a holder renews its lease every 15 seconds


class Health:
    """Asks some checks, by the name under which each reason is told.

    `within` seconds is the time to answer; an answer is good for `lasting` seconds.
    """

    def __init__(self, checks: Mapping[str, Check], *, within: float = 5.0, lasting: float = 15.0) -> None:
        self._asked = [_Asked(name, check, lasting) for name, check in checks.items()]
        self._within = within

    def reasons(self) -> list[str]:
        """Why the daemon cannot do its work now; empty when it can."""
        until = time.monotonic() + self._within
        for each in self._asked:
            each.ask()
        return [reason for each in self._asked if (reason := each.answer(until, self._within)) is not None]


class _Asked:
    """One check, and what it last answered."""

    def __init__(self, name: str, check: Check, lasting: float) -> None:
        self._name = name
        self._check = check
        self._lasting = lasting
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None
        self._answered: tuple[float, str | None] | None = None

    def ask(self) -> None:
        """Ask again, unless it is being asked, or was just now."""
        with self._guard:
            if self._thread is not None and self._thread.is_alive():
                return
            if self._answered is not None and time.monotonic() - self._answered[0] < self._lasting:
                return
            # A daemon thread: a server that never answers does not keep the process from ending.
            self._thread = threading.Thread(target=self._run, name=f"check {self._name}", daemon=True)
            self._thread.start()

    def answer(self, until: float, within: float) -> str | None:
        """What it answers, waited for until a moment of the monotonic clock."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout=max(until - time.monotonic(), 0.0))
            if thread.is_alive():
                return f"{self._name}: no answer within {within:g} seconds"
        return self._answered[1] if self._answered is not None else None

    def _run(self) -> None:
        try:
            reason = self._check()
        except EntSyncError as error:
            reason = str(error)
        except Exception as error:  # noqa: BLE001 - a check ends here; what a library says may hold values
            reason = type(error).__name__
        told = None if reason is None else reason if reason.startswith(self._name) else f"{self._name}: {reason}"
        self._answered = (time.monotonic(), told)


def of_store(url: str) -> Check:
    """Whether the store at an address can be written."""
    return lambda: measures.unwritable(url)


def of_lease(reading: Callable[[], AbstractContextManager[sa.Connection]], now: Callable[[], dt.datetime]) -> Check:
    """Whether one who seems to be dead holds the lease: it does not renew it, and has not run out yet.

    A holder that works is no reason, whoever it is; nor is one that is known to be dead, since the next run takes over.
    """

    def check() -> str | None:
        with reading() as connection:
            holder = lease.holder(connection, now())
        if holder is None or holder.expires - now() > lease.DURATION - _SILENT:
            return None
        left = round((holder.expires - now()).total_seconds())
        return (
            f"run {holder.run}, process {holder.process} on {holder.host}, holds it and gives no sign of life; "
            f"it runs out in {left} seconds"
        )

    return check


def of_source(made: Callable[[], Source]) -> Check:
    """Whether the folder or the server of a source answers."""

    def check() -> None:
        made().deliveries(0.0, None)

    return check


def of_target(made: Callable[[], Target]) -> Check:
    """Whether a target answers, and would take what is pushed. A target is made for each look and closed again."""

    def check() -> str | None:
        target = made()
        try:
            problems = target.check()
        finally:
            target.close()
        return "; ".join(str(each) for each in problems) or None

    return check
