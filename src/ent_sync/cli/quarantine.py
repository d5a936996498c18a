"""`quarantine`: records that could not be used, each with its reason."""
# ruff: noqa: PLC0415

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ent_sync.cli.call import need_terminal, of
from ent_sync.core.errors import UsageError

if TYPE_CHECKING:
    import sqlalchemy as sa

    from ent_sync.core.run import RunResult
    from ent_sync.store.lease import Lease
    from ent_sync.store.runs import Quarantined
    from ent_sync.sync.parts import Parts

quarantine = typer.Typer(help="Records that could not be used, each with its reason.")
_Id = Annotated[str, typer.Argument(metavar="ID", help="As `quarantine list` tells it.")]


def register(app: typer.Typer) -> None:
    """Add this family."""
    app.add_typer(quarantine, name="quarantine", no_args_is_help=True)


def entry(found: Quarantined) -> dict[str, object]:
    """A quarantined record as documents hold it: where and why, never whom."""
    return {
        "id": found.id,
        "source": found.source,
        "population": found.population.value,
        "rule": found.rule,
        "file": found.file,
        "line": found.line,
        "message": found.message,
        "delivery": found.delivery,
    }


@quarantine.command("list")
def _list(context: typer.Context) -> None:
    """Everything that is in quarantine."""
    from ent_sync.cli import output
    from ent_sync.store import runs

    call = of(context)
    with call.store() as (_, database), database.reading() as connection:
        documents = [entry(each) for each in runs.quarantined(connection)]
    output.show_quarantine(documents, as_json=call.json)


@quarantine.command("show")
def _show(
    context: typer.Context,
    id_: _Id,
    reveal: Annotated[bool, typer.Option("--reveal", help="With what was delivered; on a terminal only.")] = False,
) -> None:
    """One record: where it stood, the rule it breaks, and what to do."""
    from ent_sync.cli import output

    call = of(context)
    if reveal:
        need_terminal("--reveal")
    with call.store() as (_, database), database.reading() as connection:
        found = _get(connection, id_)
    content = None
    if reveal:
        with call.reading() as parts:
            content = _content(parts, found)
    output.show_quarantined(
        {"schema": "ent-sync/quarantine/1", **entry(found), "sealed": found.sealed is not None},
        content,
        as_json=call.json,
    )


@quarantine.command("retry")
def _retry(
    context: typer.Context,
    id_: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="As `quarantine list` tells it; without, all.")
    ] = None,
) -> None:
    """Try again with today's mapping, and answer as a run.

    Reads the newest complete delivery of the sources concerned again, and the deltas since, where their files are still
    there.
    """
    from ent_sync.store import runs
    from ent_sync.sync import run

    call = of(context)
    with call.store() as (settings, database), database.reading() as connection:
        found = [_get(connection, id_)] if id_ else runs.quarantined(connection)
        known = {each.name for each in settings.sources}
    sources = tuple(sorted({each.source for each in found} & known))
    if not sources:
        raise UsageError("nothing is in quarantine")

    def work(parts: Parts, lease: Lease) -> RunResult:
        return run.run(parts, run.Request(sources=sources, full=True), lease)

    raise typer.Exit(call.perform(work))


@quarantine.command("drop")
def _drop(context: typer.Context, id_: _Id) -> None:
    """Forget a record; if it is delivered as bad again, it comes back."""
    from ent_sync.cli import output
    from ent_sync.store import runs

    call = of(context)
    with call.store() as (_, database), database.transaction() as connection:
        found = _get(connection, id_)
        runs.drop_quarantined(connection, [id_])
    output.show_dropped({"schema": "ent-sync/quarantine/1", **entry(found), "dropped": True}, as_json=call.json)


def _get(connection: sa.Connection, id_: str) -> Quarantined:
    from ent_sync.store import runs

    found = runs.quarantined(connection, id_)
    if not found:
        raise UsageError(f"nothing in quarantine is called {id_}; look: ent-sync quarantine list")
    return found[0]


def _content(parts: Parts, found: Quarantined) -> str:
    """What was delivered, as text; what is in quarantine for its place among others has no content of its own."""
    if found.sealed is None:
        return f"(no content is kept; its key is {found.key})"
    match parts.seal.open(found.sealed, f"quarantine|{found.id}"):
        case [str(), bytes(raw)]:
            return raw.decode("utf-8", "replace")
        case _:
            return "(the content is not as it was written)"
