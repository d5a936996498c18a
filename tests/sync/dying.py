"""Lets a run die by SIGKILL at one of its commits, in a process of its own.

Commits are counted over the store and the embedded directory together (they may come from two threads), or of the
directory alone; those that only read are left out. The listener is
set here, by SQLAlchemy's own event, so that the program knows nothing of it.
"""

import os
import signal
import traceback
from collections.abc import Callable
from enum import StrEnum

from sqlalchemy import Connection, Engine, event

from sync.installed import Installation


class Moment(StrEnum):
    """On which side of a commit the process dies."""

    BEFORE = "before"
    AFTER = "after"


def dies(
    there: Installation,
    work: Callable[[Installation], object],
    number: int,
    moment: Moment,
    *,
    directory_only: bool = False,
) -> bool:
    """Do the work in a process that dies at its `number`-th commit, from 1; whether it came to that."""
    process = os.fork()
    if process == 0:
        try:
            event.listen(Engine, "commit", _killer(number, moment, directory_only))
            work(there)
            os._exit(0)
        except BaseException:  # noqa: BLE001 - nothing may get past here into the test run
            traceback.print_exc()
            os._exit(1)
    _, status = os.waitpid(process, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.waitstatus_to_exitcode(status) == 0, "the work failed instead of dying"
    return False


def _killer(number: int, moment: Moment, directory_only: bool) -> Callable[[Connection], None]:
    left = number

    def count(connection: Connection) -> None:
        nonlocal left
        if not _writes(connection, directory_only):
            return
        left -= 1
        if left == 0:
            if moment is Moment.AFTER:
                connection.connection.commit()
            os.kill(os.getpid(), signal.SIGKILL)

    return count


def _writes(connection: Connection, directory_only: bool) -> bool:
    options = connection.get_execution_options()
    if str(connection.engine.url.database).endswith("ent.sqlite"):
        return bool(options.get("ent_sync_writing"))
    return not directory_only and not options.get("ent_sync_reading")
