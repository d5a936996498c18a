"""Runs, drawn: what was read, what changed, what is held and why, and what to type next."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from ent_sync.cli.output.paper import Document, counted, number, part, rows, show, table, words

STYLES = {"done": "green", "partial": "yellow", "held": "yellow", "stopped": "yellow", "failed": "red"}
_DONE = {"create": "created", "update": "updated", "suspend": "suspended", "restore": "restored", "delete": "deleted"}
_OF_DELIVERIES = frozenset({"completeness", "order", "gap"})
_POPULATIONS = ("pupil", "guardian", "staff", "school")


def show_run(document: Document, *, as_json: bool) -> None:
    """One run."""
    show(document, lambda console: draw_run(console, document), as_json=as_json)


def show_runs(documents: Sequence[Document], *, as_json: bool) -> None:
    """A list of runs."""

    def draw(console: Console) -> None:
        if not documents:
            console.print("No run yet. The first one: ent-sync sync")
            return
        table(
            console,
            ["run", "kind", "outcome", "started", "applied", "quarantined", "held"],
            [
                [
                    each.get("run"),
                    each.get("kind"),
                    each.get("outcome") or "works, or died",
                    each.get("started"),
                    _changes(part(each, "applied")) or "nothing",
                    each.get("quarantined"),
                    ", ".join(str(hold["guard"]) for hold in rows(each, "held")) or "-",
                ]
                for each in documents
            ],
        )

    show(list(documents), draw, as_json=as_json)


def draw_run(console: Console, document: Document) -> None:
    """What an operator wants to know of a run, most important first."""
    outcome = str(document.get("outcome") or "works, or died")
    console.print(
        f"Run {document['run']}: {outcome} ({document['kind']}, {number(document, 'seconds'):.1f} s)",
        style=STYLES.get(outcome, ""),
    )
    _draw_sources(console, document)
    changes, applied = part(document, "changes"), part(document, "applied")
    if changes:
        unchanged = counted(number(changes, "unchanged"), "account")
        console.print(f"Accounts: {_changes(applied) or 'no change'}; {unchanged} unchanged")
        if any(number(changes, name) != number(applied, name) for name in _DONE):
            console.print(f"Planned: {_changes(changes) or 'no change'}")
    if failed := number(document, "failed"):
        console.print(
            f"Not made by a target: {counted(failed, 'change')}; the next run tries again. "
            f"Why: ent-sync runs show {document['run']} --errors"
        )
    if aside := number(document, "quarantined"):
        console.print(f"In quarantine: {counted(aside, 'record')}. Look: ent-sync quarantine list")
    reasons = words(document, "reasons")
    if reasons:
        undoing = document.get("kind") == "undo"
        console.print("Held, and why:" if rows(document, "held") else "Mind:" if undoing else "Why:", style="yellow")
        for reason in reasons:
            console.print(f"  - {reason}", soft_wrap=True)
    _draw_errors(console, document)


def _draw_sources(console: Console, document: Document) -> None:
    read = [each for each in rows(document, "sources") if each.get("delivery")]
    quiet = [str(each["name"]) for each in rows(document, "sources") if not each.get("delivery")]
    unused = {hold["scope"] for hold in rows(document, "held") if hold["guard"] in _OF_DELIVERIES}
    if read:
        table(
            console,
            ["source", "delivery", "read as", "pupils", "guardians", "staff", "schools"],
            [
                [
                    each["name"],
                    each["delivery"],
                    "complete" if each["complete"] else ("not used" if each["name"] in unused else "delta"),
                    *(part(each, "read").get(name, 0) for name in _POPULATIONS),
                ]
                for each in read
            ],
        )
    if quiet:
        console.print(f"Nothing new at {', '.join(quiet)}")


def _draw_errors(console: Console, document: Document) -> None:
    errors = part(document, "errors")
    if not errors:
        return
    refused, aside = rows(errors, "refused"), rows(errors, "quarantined")
    if refused:
        names = ["target", "population", "operation", "rule", "message", "count"]
        table(console, names, [[each[name] for name in names] for each in refused], title="Refused by targets")
    if aside:
        names = ["id", "source", "population", "rule", "file", "line", "message"]
        table(console, names, [[each[name] for name in names] for each in aside], title="In quarantine")
    if not refused and not aside:
        console.print("No errors.")


def _changes(counts: Document) -> str:
    return ", ".join(f"{int(number(counts, name)):,} {word}" for name, word in _DONE.items() if number(counts, name))
