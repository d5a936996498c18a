"""`db`: the state store."""
# ruff: noqa: PLC0415

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ent_sync.cli.call import of
from ent_sync.core.errors import UsageError

db = typer.Typer(help="The state store.")


def register(app: typer.Typer) -> None:
    """Add this family."""
    app.add_typer(db, name="db", no_args_is_help=True)


@db.command("upgrade")
def _upgrade(context: typer.Context) -> None:
    """Bring the store to this version's schema, or make it."""
    from ent_sync.cli import output

    call = of(context)
    with call.reading() as parts:
        document = {"schema": "ent-sync/store/1", "store": str(parts.database.path), "problems": parts.database.check()}
    output.show_check(document, as_json=call.json)


@db.command("check")
def _check(context: typer.Context) -> None:
    """Whether the store is whole, of this version, and private; exit 1 if not."""
    from ent_sync import compose
    from ent_sync.cli import output

    call = of(context)
    settings = call.settings()
    place = settings.resolve(settings.store.file)
    found = ["there is no store yet; the first run makes it"]
    if place.exists():
        database = compose.open_store(settings)
        try:
            found = database.check()
        finally:
            database.close()
    output.show_check({"schema": "ent-sync/store/1", "store": str(place), "problems": found}, as_json=call.json)
    raise typer.Exit(1 if found else 0)


@db.command("backup")
def _backup(
    context: typer.Context,
    file: Annotated[Path | None, typer.Argument(help="Where to; without, beside the store, named by the time.")] = None,
) -> None:
    """A consistent copy of the store, while it may be in use."""
    from ent_sync import compose
    from ent_sync.cli import output

    call = of(context)
    settings = call.settings()
    place = settings.resolve(settings.store.file)
    if not place.exists():
        raise UsageError(f"there is no store at {place} yet")
    to = file or place.with_name(f"{place.stem}-{compose.now():%Y%m%dT%H%M%S}{place.suffix}")
    if to.exists():
        raise UsageError(f"{to} exists; a backup overwrites nothing")
    with call.store() as (_, database):
        database.backup(to)
    keys = settings.keys.file
    document = {
        "schema": "ent-sync/backup/1",
        "file": str(to),
        "bytes": to.stat().st_size,
        "keys": str(settings.resolve(keys)) if keys else None,
    }
    output.show_backup(document, as_json=call.json)
