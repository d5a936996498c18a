"""The federation, drawn: what a tick found, levels, notices, and how things stand now."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from ent_sync.cli.output.paper import Document, counted, number, part, rows, show, table, words

_MOST_UNKNOWN = 0.10


def show_probed(documents: Sequence[Document], *, as_json: bool) -> None:
    """What one tick found of each service."""

    def draw(console: Console) -> None:
        table(
            console,
            ["service", "result", "stage", "cause", "seconds"],
            [
                [
                    each["service"],
                    each["result"],
                    each["stage"],
                    each["cause"],
                    f"{sum(number(stage, 'seconds') for stage in rows(each, 'stages')):.3f}",
                ]
                for each in documents
            ],
        )

    show(list(documents), draw, as_json=as_json)


def show_exchanged(document: Document, *, as_json: bool) -> None:
    """Samples that were written or taken in."""

    def draw(console: Console) -> None:
        said = f"{counted(number(document, 'samples'), 'sample')} in {document['file']}"
        if "new" in document:
            said += f", {counted(number(document, 'new'), 'new', 'new')}"
        console.print(said, soft_wrap=True)

    show(document, draw, as_json=as_json)


def show_levels(document: Document, *, as_json: bool) -> None:
    """The levels of a window; with much unknown, the bounds and no availability."""

    def draw(console: Console) -> None:
        console.print(f"From {document['from']} to {document['to']}")
        found = rows(document, "services")
        if not found:
            console.print("No service is configured, and there are no samples.")
            return
        names = ["name", "calendar", "maintenance"]
        headings = [
            *names,
            "availability",
            "95 % interval",
            "unknown",
            "outages",
            "mean length",
            "gap (points)",
            "trend",
        ]
        table(console, headings, [[*(each[name] for name in names), *_figures(each)] for each in found])

    show(document, draw, as_json=as_json)


def _figures(row: Document) -> list[str]:
    total = sum(number(row, f"{each}_seconds") for each in ("up", "down", "unknown"))
    unknown = number(row, "unknown_seconds") / total if total else 1.0
    interval = row["interval"]
    gap = part(row, "gap")
    length = row["mttr_seconds"]
    return [
        _level(row, unknown),
        " to ".join(f"{100 * each:.3f} %" for each in interval) if isinstance(interval, list) else "-",
        f"{100 * unknown:.2f} %",
        f"{number(row, 'outages'):.0f}",
        f"{float(str(length)) / 60:.0f} min" if length is not None else "-",
        f"{100 * number(gap, 'point'):+.3f} [{100 * number(gap, 'low'):+.3f}, {100 * number(gap, 'high'):+.3f}]"
        if gap
        else "-",
        str(row["trend"]),
    ]


def _level(row: Document, unknown: float) -> str:
    if row["availability"] is None:
        return "not known"
    if unknown > _MOST_UNKNOWN:
        return f"between {100 * number(row, 'low'):.3f} and {100 * number(row, 'high'):.3f} %"
    return f"{100 * number(row, 'availability'):.3f} %"


def show_notice(document: Document, *, as_json: bool) -> None:
    """A notice after something was done to it: its id alone on the first line, for scripts."""

    def draw(console: Console) -> None:
        console.print(str(document["id"]), soft_wrap=True)
        if "agreed" in document and document["state"] != "cancelled":
            console.print(_agreed(document), soft_wrap=True)

    show(document, draw, as_json=as_json)


def _agreed(document: Document) -> str:
    seconds = part(document, "agreed_seconds")
    told = ", ".join(f"{name} {number(seconds, name) / 60:.0f} min" for name in seconds)
    return f"Agreed: {document['agreed']} ({told})"


def show_notices(documents: Sequence[Document], *, as_json: bool) -> None:
    """A list of notices."""

    def draw(console: Console) -> None:
        if documents:
            _draw_notices(console, documents)
        else:
            console.print("None.")

    show(list(documents), draw, as_json=as_json)


def _draw_notices(console: Console, documents: Sequence[Document]) -> None:
    table(
        console,
        ["id", "state", "services", "from", "to", "told", "agreed", "title"],
        [
            [
                each["id"],
                each["state"],
                ", ".join(words(each, "services")),
                each["began"] or each["starts"] or each["detected"],
                each["ended"] or each["ends"],
                each["told"],
                each.get("agreed"),
                each["title"] or each["cause"],
            ]
            for each in documents
        ],
    )


def show_federation(document: Document, *, as_json: bool) -> None:
    """How the federation stands now."""

    def draw(console: Console) -> None:
        names = ("service", "result", "since", "last", "stage", "cause")
        table(
            console,
            [*names, ""],
            [
                [
                    *(each[name] for name in names),
                    f"excluded: {each['excluded']}"
                    if each["excluded"]
                    else "maintenance"
                    if each["maintenance"]
                    else "",
                ]
                for each in rows(document, "services")
            ],
        )
        for title, name in (("Open notices", "notices"), ("Maintenance", "maintenance")):
            if found := rows(document, name):
                console.print(f"\n{title}")
                _draw_notices(console, found)
        if waiting := number(document, "messages_waiting"):
            console.print(f"\n{counted(waiting, 'message waits', 'messages wait')} to be accepted.")

    show(document, draw, as_json=as_json)
