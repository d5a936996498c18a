"""`plan`: what waits for somebody, shown, let through exactly as stored, or thrown away."""
# ruff: noqa: PLC0415

from __future__ import annotations

import shlex
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ent_sync.cli.call import WAIT, Stop, need_terminal, of
from ent_sync.core.errors import UsageError

if TYPE_CHECKING:
    import sqlalchemy as sa

    from ent_sync.core.entry import EntryId
    from ent_sync.core.plan import Change
    from ent_sync.core.run import RunResult
    from ent_sync.ports import Held
    from ent_sync.store.lease import Lease
    from ent_sync.store.plans import Plan
    from ent_sync.sync.parts import Parts

plan = typer.Typer(help="Plans: stored, shown, and applied exactly as stored.")
_Name = Annotated[str, typer.Argument(metavar="PLAN", help="The plan's name, as `plan list` and `status` tell it.")]


class Facet(StrEnum):
    """What the changes of a plan are counted by."""

    SCHOOL = "school"
    POPULATION = "population"
    ATTRIBUTE = "attribute"


def register(app: typer.Typer) -> None:
    """Add this family."""
    app.add_typer(plan, name="plan", no_args_is_help=True)


@plan.command("list")
def _list(context: typer.Context) -> None:
    """The newest plans, newest first."""
    from ent_sync.cli import output
    from ent_sync.store import plans

    call = of(context)
    with call.store() as (_, database), database.reading() as connection:
        documents = [_document(each) for each in plans.listed(connection)]
    output.show_plans(documents, as_json=call.json)


@plan.command("show")
def _show(
    context: typer.Context,
    name: _Name,
    by: Annotated[Facet, typer.Option(help="What to count the changes by.")] = Facet.POPULATION,
    reveal: Annotated[bool, typer.Option("--reveal", help="Show whom it is about; on a terminal only.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="How many changes --reveal shows.")] = 200,
) -> None:
    """One plan: where it stands, what holds it, and its changes counted."""
    from ent_sync.cli import output
    from ent_sync.observe.status import hold_document
    from ent_sync.store import plans

    call = of(context)
    if reveal:
        need_terminal("--reveal")
    with call.store() as (_, database), database.reading() as connection:
        found = _get(connection, name)
        facets = plans.facets(connection, name, by.value)
        document = _document(found) | {
            **{name: hold_document(connection, found)[name] for name in ("waiting", "commands")},
            "by": by.value,
            "facets": [
                {"facet": each.facet, "operation": each.operation, "status": each.status, "count": each.count}
                for each in facets
            ],
        }
    output.show_plan(document, as_json=call.json)
    if reveal:
        with call.installation() as parts:
            output.show_revealed(*_revealed(parts, found, limit))


@plan.command("export")
def _export(
    context: typer.Context,
    name: _Name,
    ldif: Annotated[Path, typer.Option("--ldif", metavar="FILE", help="The new file; it holds personal data.")],
) -> None:
    """A first load as a file, for a tool that is faster than pushing (LDIF for slapadd); the plan stays as it is."""
    from ent_sync.cli import output
    from ent_sync.sync import export

    call = of(context)
    with call.store() as (_, database), database.reading() as connection:
        found = _get(connection, name)
    if found.status not in {"held", "planned", "open"}:
        raise UsageError(f"plan {name} is {found.status}: only what waits can be written to a file")
    with call.installation() as parts:
        written = export.export(parts, found, ldif)
    document = {
        "schema": "ent-sync/export/1",
        "plan": found.plan,
        "target": found.target,
        "file": str(ldif),
        "entries": {kind.value: count for kind, count in written.entries.items()},
        "commands": {
            "load": f"slapadd -q -l {shlex.quote(str(ldif))}",
            "verify": f"ent-sync verify --all --target {found.target}",
        },
    }
    output.show_exported(document, as_json=call.json)


@plan.command("approve")
def _approve(context: typer.Context, name: _Name) -> None:
    """Apply what a plan holds, exactly as stored; answers as a run."""
    from ent_sync.sync import approve

    def work(parts: Parts, lease: Lease) -> RunResult:
        with parts.database.reading() as connection:
            found = _held(connection, name)
        return approve.approve(parts, found, lease)

    call = of(context)
    _check_held(context, name)
    raise typer.Exit(call.perform(work))


@plan.command("reject")
def _reject(context: typer.Context, name: _Name) -> None:
    """Throw away what a plan holds; if the sources still say the same, the next run asks again."""
    from ent_sync.cli import output
    from ent_sync.store import plans
    from ent_sync.sync.heartbeat import holding

    call = of(context)
    _check_held(context, name)
    stop = Stop()
    with (
        stop.on_signals(),
        call.installation(stopping=stop) as parts,
        holding(parts, parts.new_id(), wait=WAIT, told=output.tell_waiting),
        parts.database.transaction() as change,
    ):
        _held(change, name)
        plans.drop_waiting(change, name, "rejected")
        plans.settle(change, name, "rejected", parts.now())
        document = _document(_get(change, name))
    output.show_rejected(document, as_json=call.json)


def _document(found: Plan) -> dict[str, object]:
    return {
        "schema": "ent-sync/plan/1",
        "plan": found.plan,
        "run": found.run,
        "target": found.target,
        "status": found.status,
        "created": found.created.isoformat(),
        "digest": found.digest,
        "held": [dict(each) for each in found.holds],
    }


def _get(connection: sa.Connection, name: str) -> Plan:
    from ent_sync.store import plans

    if (found := plans.get(connection, name)) is None:
        raise UsageError(f"no plan is called {name}; look: ent-sync plan list")
    return found


def _held(connection: sa.Connection, name: str) -> Plan:
    found = _get(connection, name)
    if found.status not in {"held", "planned"}:
        raise UsageError(f"plan {name} is {found.status}: only one that waits can be approved or rejected")
    return found


def _check_held(context: typer.Context, name: str) -> None:
    """Tell what is wrong before waiting for anybody; asked again under the lease."""
    with of(context).store() as (_, database), database.reading() as connection:
        _held(connection, name)


def _revealed(parts: Parts, found: Plan, limit: int) -> tuple[list[dict[str, object]], int]:
    """The changes of a plan with names; of who leaves, the target tells the name."""
    from ent_sync.core.plan import Delete, Suspend, subject
    from ent_sync.store import plans

    with parts.database.reading() as connection:
        rows: list[Any] = list(plans.listed_changes(connection, found.plan))
    if found.status == "held":
        rows = [row for row in rows if row.status == "held"]
    opened: list[tuple[Any, Change]] = []
    for row in rows[:limit]:
        sealed = parts.seal.open(row.sealed, plans.sealing_context(found.target, row.entry_id))
        opened.append((row, plans.unpack(sealed)))
    leaving = [subject(change) for _, change in opened if isinstance(change, Suspend | Delete)]
    there = _there(parts, found.target, leaving)
    shown = [
        {
            "operation": row.operation,
            "population": row.population or row.kind,
            "name": _named(change, there),
            "schools": row.uais or "-",
            "what": row.parts or "-",
            "status": row.status,
        }
        for row, change in opened
    ]
    return shown, max(len(rows) - limit, 0)


def _there(parts: Parts, name: str, ids: list[EntryId]) -> dict[EntryId, Held]:
    target = parts.targets.get(name)
    found: dict[EntryId, Held] = {}
    for start in range(0, len(ids), 500) if target is not None else ():
        if target is not None:
            found |= {held.entry.id: held for held in target.read_back(ids[start : start + 500])}
    return found


def _named(change: Change, there: dict[EntryId, Held]) -> str:
    from ent_sync.core.entry import Account
    from ent_sync.core.plan import Create, Restore, Update, subject

    if isinstance(change, Create | Update | Restore):
        entry = change.entry
    elif (held := there.get(subject(change))) is not None:
        entry = held.entry
    else:
        return subject(change)
    if isinstance(entry, Account):
        names = [*entry.attributes.get("family_name", ()), *entry.attributes.get("given_name", ())]
        return f"{' '.join(names)} ({entry.source_key})"
    return entry.name
