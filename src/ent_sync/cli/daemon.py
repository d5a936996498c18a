"""`run` and `reload`, `pause`, `resume` and `stop`: the daemon, and what hands ask of it and of any run.

All but the first two work through the store, with the daemon up and with the daemon down.
"""
# ruff: noqa: PLC0415

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from ent_sync.cli.call import of
from ent_sync.core.errors import UsageError

if TYPE_CHECKING:
    from ent_sync.cli.call import Call
    from ent_sync.config.settings import Settings
    from ent_sync.store.database import Database

_FOLLOW = 30.0
_LOOK = 0.1
_Target = Annotated[str | None, typer.Option("--target", metavar="T", help="Only this target; without, every one.")]


def register(app: typer.Typer) -> None:
    """Add this family."""
    app.command("run")(_run)
    app.command("reload")(_reload)
    app.command("pause")(_pause)
    app.command("resume")(_resume)
    app.command("stop")(_stop)


def _run(context: typer.Context) -> None:
    """The daemon, in the foreground: reads each source when it is due, until SIGTERM. SIGHUP: see `reload`."""
    from ent_sync.daemon import probing, serving
    from ent_sync.daemon.service import Daemon
    from ent_sync.daemon.systemd import Notify

    call = of(context)
    call.verbose = True  # whoever started it reads what it writes: systemd, a container, a terminal
    call.settings()

    def log_to(settings: Settings) -> None:
        call.log_to(settings.resolve(settings.log.path), settings.log.level)

    notify = Notify.from_environment(os.environ)
    with contextlib.closing(notify):
        daemon = Daemon(call.config.absolute(), notify, [serving.metrics, serving.pages, probing.federation], log_to)
        raise typer.Exit(daemon.run())


def _reload(context: typer.Context) -> None:
    """Ask the daemon to read its configuration again; a bad one is refused (exit 78), and the old one stays."""
    from ent_sync.cli import output
    from ent_sync.core.errors import BadConfigurationError
    from ent_sync.daemon import control

    call = of(context)
    try:
        settings = call.settings()
        document = control.ask_reload(control.place(settings.resolve(settings.store.file)))
    except BadConfigurationError as error:
        # Read here first: a file in which the store cannot be found does not say where the daemon is either.
        output.tell("Refused; a daemon that runs works on with the configuration it has:")
        output.show_problems(control.problems_document(call.config, error), as_json=call.json)
        raise typer.Exit(error.exit_code) from None
    except control.RefusedError as error:
        output.tell("Refused; the daemon works on with the configuration it has:")
        output.show_problems(error.document, as_json=call.json)
        raise typer.Exit(error.exit_code) from None
    output.show_reloaded(document, as_json=call.json)


def _pause(context: typer.Context, target: _Target = None) -> None:
    """Push nothing to a target, or to any, until `resume`; reading and planning go on."""
    from ent_sync import compose
    from ent_sync.store import hands

    call = of(context)
    _known(call, target)
    with _store(call) as database:
        with database.transaction() as connection:
            hands.pause(connection, target or hands.EVERYTHING, compose.now())
        _show_pauses(call, database)


def _resume(context: typer.Context, target: _Target = None) -> None:
    """End the pause of a target, or all pauses; what waited goes with the next run."""
    from ent_sync.store import hands

    call = of(context)
    _known(call, target)
    with _store(call) as database:
        with database.transaction() as connection:
            if target and hands.EVERYTHING in hands.pauses(connection):
                raise UsageError("every target is paused, not this one alone: ent-sync resume")
            hands.resume(connection, target or hands.EVERYTHING)
        _show_pauses(call, database)


def _stop(
    context: typer.Context,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to follow the run until it has ended.")] = _FOLLOW,
) -> None:
    """End the run in progress before its next batch, whoever started it; without a run, do nothing."""
    from ent_sync import compose
    from ent_sync.cli import output
    from ent_sync.store import hands, lease, runs

    call = of(context)
    with call.store() as (_, database):
        with database.transaction() as connection:
            now = compose.now()
            holder = lease.holder(connection, now)
            asked = sorted({*hands.away(connection, now), *([holder.run] if holder else [])})
            for run in asked:
                hands.ask_stop(connection, run, now)
        outcomes: dict[str, object] = dict.fromkeys(asked)
        until = time.monotonic() + wait
        while None in outcomes.values() and time.monotonic() < until:
            with database.reading() as connection:
                outcomes = {run: (runs.get(connection, run) or {}).get("outcome") for run in asked}
            time.sleep(_LOOK if None in outcomes.values() else 0.0)
    document = {
        "schema": "ent-sync/stop/1",
        "run": holder.run if holder else asked[0] if asked else None,
        "runs": [{"run": run, "outcome": outcome} for run, outcome in outcomes.items()],
    }
    output.show_stopped(document, as_json=call.json)


@contextlib.contextmanager
def _store(call: Call) -> Iterator[Database]:
    """The store, made if there is none yet: what is paused before the first run is paused during it."""
    with call.reading() as parts:
        yield parts.database


def _known(call: Call, target: str | None) -> None:
    names = [each.name for each in call.settings().targets]
    if target is not None and target not in names:
        raise UsageError(f"no target is called {target}; there are: {', '.join(names) or 'none'}")


def _show_pauses(call: Call, database: Database) -> None:
    from ent_sync.cli import output
    from ent_sync.store import hands

    with database.reading() as connection:
        found = hands.pauses(connection)
    document = {
        "schema": "ent-sync/pauses/1",
        "pauses": [
            {"target": None if name == hands.EVERYTHING else name, "since": since.isoformat()}
            for name, since in found.items()
        ],
    }
    output.show_pauses(document, as_json=call.json)
