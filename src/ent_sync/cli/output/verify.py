"""What reading targets back found, drawn: how much of it is as acknowledged, what drifted, and what to type next."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console

from ent_sync.cli.output.paper import Document, counted, number, part, rows, show, words
from ent_sync.cli.output.runs import draw_run

_DRIFT: Mapping[str, str] = {
    "missing": "missing: the target acknowledged {} and does not hold {} any more",
    "changed": "changed: the target holds {} otherwise than it acknowledged {}",
    "lifecycle": "lifecycle: active where suspended, or suspended where active",
    "unknown": "unknown: at the target, and never acknowledged; ent-sync leaves what it did not make alone",
}


def show_verified(document: Document, *, as_json: bool) -> None:
    """What was found at each target."""
    show(document, lambda console: draw_verified(console, document), as_json=as_json)


def draw_verified(console: Console, document: Document) -> None:
    """Target by target; then the run that repaired."""
    run = part(document, "run")
    for target in rows(document, "targets"):
        _draw_target(console, target, repaired=bool(run))
    if document["stopped"]:
        console.print("Stopped by hand, before all was read back.", style="yellow")
    if run:
        console.print()
        draw_run(console, run)


def _draw_target(console: Console, target: Document, *, repaired: bool) -> None:
    drift = part(target, "drift")
    drifted = int(sum(number(drift, name) for name in _DRIFT))
    console.print(f"Target {target['target']}: {_read(target)}", soft_wrap=True)
    if loaded := number(target, "acknowledged"):
        console.print(
            f"  {counted(loaded, 'entry was', 'entries were')} there just as they should be, and are acknowledged now"
        )
    if not drifted:
        console.print("  No drift.", style="green")
        return
    share = number(target, "ratio")
    console.print(f"  Drift: {counted(drifted, 'entry', 'entries')}, {share:.2%} of what was looked at", style="yellow")
    for name, sentence in _DRIFT.items():
        if count := number(drift, name):
            it = "it" if count == 1 else "them"
            console.print(f"  - {int(count):,} {sentence.format(it, it)}", soft_wrap=True)
    if attributes := part(target, "attributes"):
        console.print(f"  What differs: {', '.join(f'{name} {count}' for name, count in attributes.items())}")
    _draw_first(console, target, drifted)
    if not repaired and drifted > number(drift, "unknown"):
        console.print("  Put right what drifted, under the guards: ent-sync verify --all --repair", soft_wrap=True)


def _read(target: Document) -> str:
    held = f"{int(number(target, 'held')):,} as acknowledged"
    if target["sample"] is None:
        return f"all {counted(number(target, 'looked'), 'entry', 'entries')} read back, {held}"
    looked, known = int(number(target, "looked")), counted(number(target, "known"), "entry", "entries")
    return f"a sample of {looked:,} of {known} read back, {held} (seed {target['seed']})"


def _draw_first(console: Console, target: Document, drifted: int) -> None:
    first = rows(target, "first")
    for each in first:
        parts = f": {', '.join(words(each, 'parts'))}" if words(each, "parts") else ""
        console.print(f"    {each['id'] or 'under a name not given by ent-sync'}  {each['drift']}{parts}")
    if drifted > len(first):
        console.print(f"    … and {drifted - len(first):,} more")
