"""Plans, drawn: what waits, which guard holds it, and what to type next."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console

from ent_sync.cli.output.paper import Document, counted, number, part, rows, sheet, show, table
from ent_sync.core.guard import Guard, in_words


def show_plans(documents: Sequence[Document], *, as_json: bool) -> None:
    """A list of plans."""

    def draw(console: Console) -> None:
        if not documents:
            console.print("No plan yet: a run makes one when something differs.")
            return
        table(
            console,
            ["plan", "target", "status", "created", "run", "held by"],
            [
                [
                    *(each[name] for name in ("plan", "target", "status", "created", "run")),
                    ", ".join(f"{hold['guard']} of {hold['scope']}" for hold in rows(each, "held")) or "-",
                ]
                for each in documents
            ],
        )

    show(list(documents), draw, as_json=as_json)


def show_plan(document: Document, *, as_json: bool) -> None:
    """One plan, counted by the facet that was asked for."""
    show(document, lambda console: _draw(console, document), as_json=as_json)


def _draw(console: Console, document: Document) -> None:
    console.print(
        f"Plan {document['plan']} for {document['target']}: {document['status']} (made by run {document['run']}, "
        f"{document['created']})"
    )
    facets = rows(document, "facets")
    if facets:
        names = ["facet", "operation", "status", "count"]
        headings = [str(document["by"]), *names[1:]]
        table(console, headings, [[each[name] for name in names] for each in facets])
    else:
        console.print("Nothing is left of it.")
    if document["status"] == "held":
        draw_holds(console, document)


def show_rejected(document: Document, *, as_json: bool) -> None:
    """A plan that was thrown away."""
    sentence = f"Plan {document['plan']} is rejected. If the sources still say the same, the next run asks again."
    show(document, lambda console: console.print(sentence, soft_wrap=True), as_json=as_json)


def show_exported(document: Document, *, as_json: bool) -> None:
    """A first load that was written to a file, and how it goes on; nothing of what the file says."""

    def draw(console: Console) -> None:
        entries, commands = part(document, "entries"), part(document, "commands")
        kinds = ", ".join(counted(number(entries, kind), kind) for kind in entries)
        console.print(
            f"Plan {document['plan']} for {document['target']} is written to {document['file']}: {kinds}",
            soft_wrap=True,
        )
        console.print("It holds personal data, and only you can read it: remove it once it is loaded.")
        console.print(f"  Load, while slapd is stopped: {commands['load']}", soft_wrap=True)
        console.print(f"  Acknowledge, once it runs: {commands['verify']}", soft_wrap=True)

    show(document, draw, as_json=as_json)


def draw_holds(console: Console, document: Document) -> None:
    """Which guards hold a plan, what they saw and allow, and the commands to type."""
    waiting = counted(number(document, "waiting"), "change waits", "changes wait")
    console.print(f"Held: {waiting} in plan {document['plan']} for {document['target']}", style="yellow")
    for hold in rows(document, "held"):
        console.print(
            "  - "
            + in_words(Guard(str(hold["guard"])), str(hold["scope"]), number(hold, "observed"), number(hold, "limit"))
        )
    commands = part(document, "commands")
    for title, name in (("Look", "show"), ("Let through", "approve"), ("Throw away", "reject")):
        console.print(f"  {title}: {commands[name]}", soft_wrap=True)


def show_revealed(changes: Sequence[Document], more: int) -> None:
    """The changes of a plan with names: for a terminal only."""
    console = sheet(sys.stdout)
    names = ["operation", "population", "name", "schools", "what", "status"]
    table(console, names, [[each[name] for name in names] for each in changes])
    if more:
        console.print(f"… and {more:,} more (--limit)")
