"""Installations, synthetic deliveries, configuration and the demonstration, drawn."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, TextIO

from rich.console import Console

from ent_sync.cli.output.explain import draw_explanation
from ent_sync.cli.output.paper import Document, counted, part, rows, sheet, show, table, words
from ent_sync.cli.output.runs import draw_run
from ent_sync.cli.output.status import draw_status

if TYPE_CHECKING:
    from ent_sync.demo import Chapter, Ending


def show_installation(document: Document, *, as_json: bool) -> None:
    """A new installation, and what to do with it."""

    def draw(console: Console) -> None:
        console.print(f"A new installation is in {document['dir']}. Next:")
        for source in rows(document, "sources"):
            console.print(f"  1. drop a delivery of {source['name']} into {source['deliveries']}", soft_wrap=True)
        console.print(f"  2. ent-sync --config {document['config']} sync", soft_wrap=True)

    show(document, draw, as_json=as_json)


def show_written(document: Document, *, as_json: bool) -> None:
    """A synthetic delivery."""

    def draw(console: Console) -> None:
        kind = "delta" if document["delta"] else "complete delivery"
        console.print(f"Wrote a {kind}, {counted(len(words(document, 'files')), 'file')}: {document['delivery']}")
        records = part(document, "records")
        console.print("  " + ", ".join(f"{name} {count}" for name, count in records.items()))

    show(document, draw, as_json=as_json)


def show_problems(document: Document, *, as_json: bool) -> None:
    """What is wrong with a configuration, or that nothing is."""

    def draw(console: Console) -> None:
        found = rows(document, "problems")
        for problem in found:
            console.print(str(problem["text"]), soft_wrap=True)
        if not found:
            console.print(f"{document['config']}: in order")

    show(document, draw, as_json=as_json)


def show_configuration(document: object, text: str, *, as_json: bool) -> None:
    """A configuration or a schema: text for people, JSON for programs."""
    show(document, lambda console: console.print(text.rstrip(), soft_wrap=True), as_json=as_json)


def show_chapter(chapter: Chapter, *, as_json: bool) -> None:
    """One chapter of the demonstration; with `--json`, told on stderr."""
    console = _demo_sheet(as_json=as_json)
    console.rule(chapter.title, align="left", style="bold")
    for sentence in chapter.sentences:
        console.print(sentence, soft_wrap=True)
    console.print()
    draw_run(console, chapter.result.document())
    _draw_accounts(console, chapter.before, chapter.after)
    for sentence in chapter.morals:
        console.print(sentence, soft_wrap=True, style="green")
    console.print()


def _draw_accounts(console: Console, before: Mapping[str, int], after: Mapping[str, int]) -> None:
    table(
        console,
        ["active accounts", "before", "after"],
        [[name, before.get(name, 0), after.get(name, 0)] for name in ("pupil", "guardian", "staff")],
    )


def show_demo_end(ending: Ending, *, as_json: bool) -> None:
    """Status, one explanation, and where the files lie; with `--json`, the last line is the document."""
    console = _demo_sheet(as_json=as_json)
    console.rule("ent-sync status", align="left", style="bold")
    draw_status(console, ending.status)
    console.print()
    console.rule(f"ent-sync explain '{ending.key}'", align="left", style="bold")
    draw_explanation(console, ending.explanation)
    console.print()
    console.rule("Where the files lie", align="left", style="bold")
    for place, what in ending.places:
        console.print(f"  {place}  {what}", soft_wrap=True)
    console.print()
    for sentence in ending.next:
        console.print(sentence, soft_wrap=True)
    if as_json:
        print(json.dumps(ending.document, ensure_ascii=False))  # noqa: T201


def _demo_sheet(*, as_json: bool) -> Console:
    stream: TextIO = sys.stderr if as_json else sys.stdout
    return sheet(stream)
