"""`sync` and `resync`: runs that a hand starts, under the same lease and guards as any other."""
# ruff: noqa: PLC0415

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import structlog
import typer

from ent_sync.cli.call import WAIT, ask_key, of
from ent_sync.core.errors import UsageError

if TYPE_CHECKING:
    from ent_sync.core.entry import EntryId
    from ent_sync.core.run import RunResult
    from ent_sync.store.lease import Lease
    from ent_sync.sync.parts import Parts

resync = typer.Typer(help="One person, one school or one source again, on the same way and under the same guards.")


def register(app: typer.Typer) -> None:
    """Add this family."""
    app.command("sync")(_sync)
    app.add_typer(resync, name="resync", no_args_is_help=True)


def _sync(
    context: typer.Context,
    source: Annotated[list[str] | None, typer.Option("--source", help="Only this source; may be repeated.")] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Read the newest complete delivery again from its first byte.")
    ] = False,
    plan_only: Annotated[bool, typer.Option("--plan-only", help="Show what would be done, and do nothing.")] = False,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for the lease.")] = WAIT,
) -> None:
    """One synchronisation now: read what is new, compare, and push what no guard holds."""
    from ent_sync.sync import run

    def work(parts: Parts, lease: Lease) -> RunResult:
        sources = tuple(dict.fromkeys(source)) if source else None
        return run.run(parts, run.Request(sources=sources, full=full, plan_only=plan_only), lease)

    call = of(context)
    known = [each.name for each in call.settings().sources]
    for name in source or ():
        _known_source(name, known)
    raise typer.Exit(call.perform(work, wait))


@resync.command("person")
def _person(
    context: typer.Context,
    key: Annotated[str, typer.Argument(help="Join key (ACADEMY$ID) or account identifier; - reads it from stdin.")],
) -> None:
    """Compare one person with what the targets really hold, and put right what differs."""
    from ent_sync.core.record import Key
    from ent_sync.observe import log
    from ent_sync.store import entries
    from ent_sync.sync import live, run
    from ent_sync.sync.explain import asked_key

    typed, called = ask_key(key)

    def work(parts: Parts, lease: Lease) -> RunResult:
        asked = asked_key(typed)
        with parts.database.reading() as connection:
            ids = entries.find(connection, asked)
        if not ids and not live.delivered_live(parts, Key(asked)):
            raise UsageError(f"{called} names nobody here; a join key is written ACADEMY$ID, as in LILLE$1234567")
        structlog.get_logger().info("person resync asked", person=log.person(parts.keys, asked, parts.today))
        return run.run(parts, run.Request(ids=tuple(ids), keys=(Key(asked),)), lease)

    raise typer.Exit(of(context).perform(work))


@resync.command("school")
def _school(context: typer.Context, uai: Annotated[str, typer.Argument(help="The school's UAI.")]) -> None:
    """Compare the people of one school, and their guardians, with what the targets really hold."""
    from ent_sync.core.entry import EntryId
    from ent_sync.store import entries, figures

    school = uai.strip().upper()

    def find(parts: Parts) -> list[EntryId]:
        with parts.database.reading() as connection:
            if not figures.school_known(connection, school):
                raise UsageError(f"no source delivers a school with UAI {school}")
            found = {EntryId(school)}
            for target in parts.target_names:
                found.update(entries.at_school(connection, target, school))
        return sorted(found)

    raise typer.Exit(of(context).perform(lambda parts, lease: _targeted(parts, find(parts), lease)))


@resync.command("source")
def _source(context: typer.Context, name: Annotated[str, typer.Argument(help="The source's name.")]) -> None:
    """Map and compare everybody of one source again, from its snapshot."""
    from ent_sync.store import figures
    from ent_sync.sync import run

    def work(parts: Parts, lease: Lease) -> RunResult:
        with parts.database.transaction() as connection:
            figures.mark_source(connection, name)
        return run.run(parts, run.Request(sources=(name,), targeted=True), lease)

    call = of(context)
    _known_source(name, [each.name for each in call.settings().sources])
    raise typer.Exit(call.perform(work))


def _targeted(parts: Parts, ids: list[EntryId], lease: Lease) -> RunResult:
    from ent_sync.sync import run

    return run.run(parts, run.Request(ids=tuple(ids)), lease)


def _known_source(name: str, known: list[str]) -> None:
    if name not in known:
        raise UsageError(f"no source is called {name}; there are: {', '.join(known) or 'none'}")
