"""The command line: its global options, its families of commands, and the one place where errors become exit codes.

Commands live in one module per family; what they print is made in `cli.output`.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import structlog
import typer

from ent_sync import __version__
from ent_sync.cli import ask, daemon, federation, plans, quarantine, setup, store, sync, undo, verify
from ent_sync.cli.call import Call, default_configuration
from ent_sync.core.errors import EntSyncError

STOPPED_BY_HAND = 3
_INTERRUPTED = 130  # what typer makes of a KeyboardInterrupt
_FAILED = 1
_FLAGS = frozenset({"--json", "--verbose", "-v"})

app = typer.Typer(
    name="ent-sync",
    help="Keeps a region's digital workspace (ENT) in step with the academies' federating directories.",
    epilog="--config, --json and -v are accepted after the command too. Exit codes: 0 done, 1 failed, 2 wrong usage, "
    "3 done in part, 4 held, 5 busy, 6 no daemon answers, 7 a source or target is unavailable, 78 bad configuration.",
    add_completion=True,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for family in (daemon, sync, plans, undo, verify, ask, quarantine, federation, setup, store):
    family.register(app)


def _version(asked: bool) -> None:
    if asked:
        print(f"ent-sync {__version__}")  # noqa: T201
        raise typer.Exit


@app.callback()
def _global_options(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", help="The configuration file.  [default: $ENT_SYNC_CONFIG, else /etc/ent-sync/ent-sync.yaml]"
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show log lines on stderr.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    del version
    context.obj = Call(config or default_configuration(), as_json, verbose)


def main() -> None:
    """The console script."""
    # A third of the time of `explain` went to looking for cycles among modules, at the start and once more at the end.
    gc.set_threshold(100_000, 20, 20)
    code = run(sys.argv[1:])
    gc.freeze()
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run one command and give its exit code (contract §2); whatever goes wrong is one sentence on stderr."""
    from ent_sync.cli.output import tell_error  # noqa: PLC0415 - completion and --help do without

    try:
        typer.main.get_command(app)(args=hoisted(arguments), prog_name="ent-sync")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else _FAILED if end.code else 0
        return STOPPED_BY_HAND if code == _INTERRUPTED else code
    except KeyboardInterrupt:
        return STOPPED_BY_HAND
    except BrokenPipeError:
        sys.stderr.close()  # whoever read us has seen enough
        return _FAILED
    except EntSyncError as error:
        tell_error(str(error))
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - the end of a command; what it says may hold values
        _log_unexpected(error)
        tell_error(f"ent-sync failed unexpectedly ({type(error).__name__}); the log says where")
        return _FAILED
    return 0


def hoisted(arguments: Sequence[str]) -> list[str]:
    """The global options first, wherever they were typed; what follows `--` stays."""
    first: list[str] = []
    rest: list[str] = []
    waiting = iter(arguments)
    for argument in waiting:
        if argument == "--":
            rest += [argument, *waiting]
        elif argument == "--config":
            first += [argument, *[value for value in [next(waiting, None)] if value is not None]]
        elif argument in _FLAGS or argument.startswith("--config="):
            first.append(argument)
        else:
            rest.append(argument)
    return first + rest


def _log_unexpected(error: Exception) -> None:
    if structlog.is_configured():
        structlog.get_logger().error("command failed", exc_info=error)
