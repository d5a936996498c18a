"""`status`, `runs`, `explain`: questions, which change nothing."""
# ruff: noqa: PLC0415

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

import structlog
import typer

from ent_sync.cli.call import ask_key, of
from ent_sync.core.errors import UsageError

if TYPE_CHECKING:
    import sqlalchemy as sa

runs = typer.Typer(help="What was done.")


def register(app: typer.Typer) -> None:
    """Add this family."""
    app.command("explain")(_explain)
    app.command("status")(_status)
    app.add_typer(runs, name="runs", no_args_is_help=True)


def _explain(
    context: typer.Context,
    key: Annotated[str, typer.Argument(help="Join key (ACADEMY$ID) or account identifier; - reads it from stdin.")],
) -> None:
    """For one person: where each value came from, what is withheld and why, what was last sent when."""
    from ent_sync.cli import output
    from ent_sync.observe import log
    from ent_sync.sync.explain import asked_key, explain

    call = of(context)
    typed, called = ask_key(key)
    with call.reading() as parts:
        key = asked_key(typed)
        document = explain(parts, key)
        structlog.get_logger().info("person explained", person=log.person(parts.keys, key, parts.today))
    if document is None:
        raise UsageError(f"{called} names nobody here; a join key is written ACADEMY$ID, as in LILLE$1234567")
    output.show_explanation(document, as_json=call.json)


def _status(context: typer.Context) -> None:
    """How things stand: sources, targets, holds, lease, quarantine, freshness."""
    from ent_sync import compose
    from ent_sync.cli import output
    from ent_sync.observe.status import status

    call = of(context)
    with call.store() as (settings, database), database.reading() as connection:
        document = status(
            connection,
            [each.name for each in settings.sources],
            [each.name for each in settings.targets],
            compose.now(),
        )
    output.show_status(document, as_json=call.json)


@runs.command("list")
def _list(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 20,
) -> None:
    """The newest runs, newest first."""
    from ent_sync.cli import output
    from ent_sync.store import runs as stored

    call = of(context)
    with call.store() as (_, database), database.reading() as connection:
        documents = stored.listed(connection, limit)
    output.show_runs(documents, as_json=call.json)


@runs.command("show")
def _show(
    context: typer.Context,
    run: Annotated[str, typer.Argument(metavar="RUN", help="The run's name.")],
    errors: Annotated[bool, typer.Option("--errors", help="With what was refused or set aside, and why.")] = False,
) -> None:
    """One run."""
    from ent_sync.cli import output
    from ent_sync.store import runs as stored

    call = of(context)
    with call.store() as (_, database), database.reading() as connection:
        document = stored.get(connection, run)
        if document is None:
            raise UsageError(f"no run is called {run}; look: ent-sync runs list")
        if errors:
            document["errors"] = _errors(connection, document)
    output.show_run(document, as_json=call.json)


def _errors(connection: sa.Connection, document: dict[str, object]) -> dict[str, object]:
    from dataclasses import asdict

    from ent_sync.cli.quarantine import entry
    from ent_sync.store import figures

    sources = cast("list[dict[str, str | None]]", document.get("sources") or [])
    aside = [
        entry(each)
        for source in sources
        if source["delivery"]
        for each in figures.quarantined_in(connection, source["name"] or "", source["delivery"])
    ]
    refused = [asdict(each) for each in figures.refused(connection, str(document["run"]))]
    return {"refused": refused, "quarantined": aside}
