"""`init`, `demo`, `synth`, `config`: before the first run, and beside it."""
# ruff: noqa: PLC0415

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ent_sync.cli.call import of
from ent_sync.core.errors import BadConfigurationError, Problem, UsageError
from ent_sync.core.record import Degree
from ent_sync.synth.formats import Format

if TYPE_CHECKING:
    from ent_sync.config.settings import Settings

config = typer.Typer(help="The configuration: checked, described, shown.")
_BAD_CONFIGURATION = BadConfigurationError.exit_code


def register(app: typer.Typer) -> None:
    """Add this family."""
    app.command("init")(_init)
    app.command("demo")(_demo)
    app.command("synth")(_synth)
    app.add_typer(config, name="config", no_args_is_help=True)


def _init(
    context: typer.Context,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where to; made if it lacks.")],
    source: Annotated[
        list[str], typer.Option("--source", help="ACADEMY-DEGREE: lille-2d, amiens-1d; may be repeated.")
    ],
) -> None:
    """A new, empty installation, with a configuration and a register that teach."""
    from ent_sync import compose
    from ent_sync.cli import output

    if (directory / "ent-sync.yaml").exists():
        raise UsageError(f"{directory / 'ent-sync.yaml'} is there already; nothing was changed")
    names = list(dict.fromkeys(source))
    made = compose.new_installation(directory, names)
    document = {
        "schema": "ent-sync/installation/1",
        "dir": str(directory),
        "config": str(made),
        "sources": [{"name": name, "deliveries": str(directory / "deliveries" / name)} for name in names],
    }
    output.show_installation(document, as_json=of(context).json)


def _demo(
    context: typer.Context,
    directory: Annotated[Path | None, typer.Option("--dir", help="Where to; without, a new temporary folder.")] = None,
    pupils: Annotated[int, typer.Option(min=20, help="How many pupils the region has.")] = 600,
) -> None:
    """A synthetic region of two academies, from delivery to directory, in four runs."""
    from ent_sync import demo
    from ent_sync.cli import output

    call = of(context)
    place = demo.prepare(directory)
    call.log_to(place / "ent-sync.log")
    for told in demo.tell(place, pupils):
        if isinstance(told, demo.Chapter):
            output.show_chapter(told, as_json=call.json)
        else:
            output.show_demo_end(told, as_json=call.json)


def _synth(
    context: typer.Context,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The delivery is written beside what is there.")],
    pupils: Annotated[int, typer.Option(min=1, help="How many pupils.")],
    seed: Annotated[int, typer.Option(help="Another seed, other people.")] = 0,
    academy: Annotated[str, typer.Option(help="The academy, as in join keys.")] = "LILLE",
    degree: Annotated[Degree, typer.Option(help="First or second degree.")] = Degree.SECOND,
    date: Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="The delivery's date; today without.")] = None,
    delta_of: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write a delta on the complete delivery that is there.")
    ] = None,
    arrivals: Annotated[float | None, typer.Option(metavar="P", help="Percent of pupils who arrive.")] = None,
    leavers: Annotated[float | None, typer.Option(metavar="P", help="Percent of pupils who leave.")] = None,
    changes: Annotated[float | None, typer.Option(metavar="P", help="Percent of pupils who change.")] = None,
    fault: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Something wrong; may be repeated.")] = None,
    format_: Annotated[
        Format, typer.Option("--format", help="AAF files, or LDIF in the national schema.")
    ] = Format.AAF,
) -> None:
    """Write one synthetic, self-consistent delivery in the real format: same options, same bytes."""
    from ent_sync import compose
    from ent_sync.cli import output
    from ent_sync.synth.delivery import SynthRequest, write_delivery

    written = write_delivery(
        SynthRequest(
            directory=directory,
            pupils=pupils,
            date=_date(date) if date else compose.now().date(),
            seed=seed,
            academy=academy.upper(),
            degree=degree,
            delta_of=delta_of,
            arrivals=arrivals,
            leavers=leavers,
            changes=changes,
            faults=tuple(fault or ()),
            format=format_,
        )
    )
    document = {
        "schema": "ent-sync/delivery/1",
        "delivery": str(written.path),
        "delta": written.delta,
        "files": [str(each) for each in written.files],
        "records": {population.value: count for population, count in written.counts.items()},
        "requests": {kind.value: count for kind, count in written.requests.items()},
    }
    output.show_written(document, as_json=of(context).json)


def _date(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise UsageError("--date is written YYYY-MM-DD") from None


@config.command("check")
def _check(context: typer.Context) -> None:
    """Every problem of configuration, register and mappings, as file:line:column: path: problem; exit 78 if any."""
    from ent_sync import compose
    from ent_sync.cli import output

    call = of(context)
    problems: list[Problem] = []
    try:
        problems += _policy_problems(compose.load(call.config))
    except BadConfigurationError as error:
        problems += error.problems
    document = {
        "schema": "ent-sync/problems/1",
        "config": str(call.config),
        "problems": [
            {
                "file": each.where.file,
                "line": each.where.line,
                "column": each.where.column,
                "path": each.where.path,
                "rule": each.rule,
                "message": each.message,
                "text": str(each),
            }
            for each in problems
        ],
    }
    output.show_problems(document, as_json=call.json)
    raise typer.Exit(_BAD_CONFIGURATION if problems else 0)


def _policy_problems(settings: Settings) -> tuple[Problem, ...]:
    from ent_sync import compose

    try:
        compose.load_policy(settings)
    except BadConfigurationError as error:
        return error.problems
    return ()


@config.command("schema")
def _schema(context: typer.Context) -> None:
    """The JSON Schema of the configuration, for editors."""
    from ent_sync import compose
    from ent_sync.cli import output
    from ent_sync.config.settings import schema

    document = schema(*compose.formats())
    output.show_configuration(document, json.dumps(document, indent=2), as_json=of(context).json)


@config.command("show")
def _show(context: typer.Context) -> None:
    """The configuration in force, defaults included; secrets are masked."""
    from ent_sync import compose
    from ent_sync.cli import output
    from ent_sync.config import settings, yaml

    call = of(context)
    text = settings.show(compose.load(call.config))
    document, _ = yaml.parse(text, str(call.config))
    output.show_configuration(document, text, as_json=call.json)
