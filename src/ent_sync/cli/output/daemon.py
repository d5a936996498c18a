"""What the daemon and the hands answer, drawn."""

from __future__ import annotations

from rich.console import Console

from ent_sync.cli.output.paper import Document, rows, show, words


def show_reloaded(document: Document, *, as_json: bool) -> None:
    """The configuration that is in force now."""

    def draw(console: Console) -> None:
        console.print(f"The daemon works with {document['config']} from its next run on.", soft_wrap=True)
        console.print(f"Sources: {', '.join(words(document, 'sources')) or 'none'}")
        console.print(f"Targets: {', '.join(words(document, 'targets')) or 'none'}")

    show(document, draw, as_json=as_json)


def show_pauses(document: Document, *, as_json: bool) -> None:
    """What is paused."""

    def draw(console: Console) -> None:
        if not rows(document, "pauses"):
            console.print("Nothing is paused; what waited goes with the next run.")
        for each in rows(document, "pauses"):
            what = f"target {each['target']}" if each["target"] else "every target"
            console.print(f"Paused: {what}, since {each['since']}. Nothing is pushed until: ent-sync resume")

    show(document, draw, as_json=as_json)


def show_stopped(document: Document, *, as_json: bool) -> None:
    """The runs that were asked to stop, and how they ended."""

    def draw(console: Console) -> None:
        if not rows(document, "runs"):
            console.print("No run is in progress.")
        for each in rows(document, "runs"):
            how = f"has ended: {each['outcome']}" if each["outcome"] else "ends before its next batch"
            console.print(f"Run {each['run']} {how}. Look: ent-sync runs show {each['run']}", soft_wrap=True)

    show(document, draw, as_json=as_json)
