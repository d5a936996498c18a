"""`undo`: what a run changed becomes again what it was, by a plan like any other."""
# ruff: noqa: PLC0415

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from ent_sync.cli.call import WAIT, of
from ent_sync.core.errors import UsageError

if TYPE_CHECKING:
    from ent_sync.core.run import RunResult
    from ent_sync.store.lease import Lease
    from ent_sync.sync.parts import Parts


class Only(StrEnum):
    """What alone of a run is undone."""

    CREATE = "create"
    UPDATE = "update"
    SUSPEND = "suspend"
    RESTORE = "restore"


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command("undo")(_undo)


def _undo(
    context: typer.Context,
    run: Annotated[str, typer.Argument(metavar="RUN", help="The run's name, as `runs list` tells it.")],
    only: Annotated[Only | None, typer.Option(help="Undo only what it did in this way.")] = None,
    plan_only: Annotated[bool, typer.Option("--plan-only", help="Show what would be done, and do nothing.")] = False,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for the lease.")] = WAIT,
) -> None:
    """Make what a run changed at the targets what it was before; under the guards, answers as a run."""
    from ent_sync.core.plan import Operation
    from ent_sync.store import runs
    from ent_sync.sync.undo import Request, undo

    def work(parts: Parts, lease: Lease) -> RunResult:
        request = Request(run=run, only=Operation(only.value) if only else None, plan_only=plan_only)
        return undo(parts, request, lease)

    call = of(context)
    with call.store() as (_, database), database.reading() as connection:
        if runs.get(connection, run) is None:
            raise UsageError(f"no run is called {run}; look: ent-sync runs list")
    raise typer.Exit(call.perform(work, wait))
