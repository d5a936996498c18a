"""A first load as a file: the creates of a stored plan in the target's own format, for a tool faster than any push.

The plan stays as it is. What such a tool loaded is acknowledged by reading it all back (`sync.verify`).
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ent_sync.core.entry import EntryKind
from ent_sync.core.errors import EntSyncError, UnavailableError, UsageError
from ent_sync.core.plan import Create, Operation
from ent_sync.ports import Writing
from ent_sync.store import plans
from ent_sync.store.plans import Plan
from ent_sync.sync.parts import Parts

_WAITING = frozenset({"pending", "held"})


@dataclass(slots=True)
class Written:
    """How many entries of each kind a file holds."""

    entries: dict[EntryKind, int] = field(default_factory=dict)


def export(parts: Parts, plan: Plan, path: Path) -> Written:
    """Write all that waits of a plan to a new file of mode 0600; it is there whole, or not at all.

    Raises:
        UsageError: the plan holds anything but creates, its target has no such format, or the file is there already.
        UnavailableError: the target is not open.
    """
    target = parts.targets.get(plan.target)
    if target is None:
        raise UnavailableError(parts.unreachable[plan.target])
    if not isinstance(target, Writing):
        raise UsageError(
            f"target {plan.target} has no file format for a first load; "
            f"apply the plan instead: ent-sync plan approve {plan.plan}"
        )
    check(parts, plan)
    if path.exists():
        raise UsageError(f"{path} is there already; nothing was written")
    written = Written()
    try:
        with contextlib.closing(_creates(parts, plan, written)) as creates:
            _write(path, target.written(creates))
    except FileExistsError:
        raise UsageError(f"{path} is there already; nothing was written") from None
    except OSError as error:
        raise EntSyncError(f"{path} cannot be written: {error.strerror}") from None
    return written


def check(parts: Parts, plan: Plan) -> None:
    """Refuse a plan that is no first load.

    Raises:
        UsageError: it holds no creates, or something beside them.
    """
    counts: dict[Operation, int] = {}
    with parts.database.reading() as connection:
        for each in plans.count(connection, plan.plan):
            counts[each.operation] = counts.get(each.operation, 0) + each.count
    others = ", ".join(f"{count} to {each}" for each, count in sorted(counts.items()) if each is not Operation.CREATE)
    if others:
        raise UsageError(
            f"plan {plan.plan} is no first load, it also has entries {others}: a file can only create. "
            f"Apply it instead: ent-sync plan approve {plan.plan}"
        )
    if not counts:
        raise UsageError(f"nothing waits in plan {plan.plan}, which is {plan.status}; look: ent-sync plan list")


def _creates(parts: Parts, plan: Plan, written: Written) -> Generator[Create]:
    with parts.database.reading() as connection:
        for row in plans.listed_changes(connection, plan.plan):
            if row.status not in _WAITING:
                continue
            change = plans.unpack(parts.seal.open(row.sealed, plans.sealing_context(plan.target, row.entry_id)))
            if isinstance(change, Create):
                written.entries[change.entry.kind] = written.entries.get(change.entry.kind, 0) + 1
                yield change


def _write(path: Path, pieces: Iterator[str]) -> None:
    """A link to the finished file never overwrites: whoever made one of that name first keeps it."""
    being_made = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(being_made, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(being_made)
    finally:
        with contextlib.suppress(FileNotFoundError):
            being_made.unlink()
