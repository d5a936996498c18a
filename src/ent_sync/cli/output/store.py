"""Quarantine and the state store, drawn."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console

from ent_sync.cli.output.paper import Document, counted, sheet, show, table, words


def show_quarantine(documents: Sequence[Document], *, as_json: bool) -> None:
    """What is in quarantine."""

    def draw(console: Console) -> None:
        if not documents:
            console.print("Nothing is in quarantine.")
            return
        names = ["id", "source", "population", "rule", "file", "line", "message"]
        table(console, names, [[each[name] for name in names] for each in documents])

    show(list(documents), draw, as_json=as_json)


def show_quarantined(document: Document, content: str | None, *, as_json: bool) -> None:
    """One record in quarantine; its delivered `content` only where a terminal was asked for."""

    def draw(console: Console) -> None:
        line = f":{document['line']}" if document["line"] else ""
        console.print(f"Quarantine {document['id']}: {document['population']} of {document['source']}")
        console.print(f"  where: {document['file']}{line}, in delivery {document['delivery']}")
        console.print(f"  rule:  {document['rule']}")
        console.print(f"  why:   {document['message']}", soft_wrap=True)

    show(document, draw, as_json=as_json)
    if content is not None:
        sheet(sys.stdout).print(content, soft_wrap=True)


def show_dropped(document: Document, *, as_json: bool) -> None:
    """What was dropped."""
    show(document, lambda console: console.print(f"Dropped {document['id']} from quarantine."), as_json=as_json)


def show_check(document: Document, *, as_json: bool) -> None:
    """What is wrong with the store, or that nothing is."""

    def draw(console: Console) -> None:
        found = words(document, "problems")
        console.print(f"{document['store']}: {counted(len(found), 'problem') if found else 'in order'}")
        for problem in found:
            console.print(f"  - {problem}", soft_wrap=True)

    show(document, draw, as_json=as_json)


def show_backup(document: Document, *, as_json: bool) -> None:
    """Where the copy of the store is."""

    def draw(console: Console) -> None:
        console.print(f"The store is copied to {document['file']}. Keep the key file with it: {document['keys']}")

    show(document, draw, as_json=as_json)
