"""How things stand, drawn."""

from __future__ import annotations

from rich.console import Console

from ent_sync.cli.output.paper import Document, counted, number, part, rows, show, table, words
from ent_sync.cli.output.plans import draw_holds

_POPULATIONS = ("pupil", "guardian", "staff", "school")


def show_status(document: Document, *, as_json: bool) -> None:
    """The state of sources, targets, holds, lease and quarantine."""
    show(document, lambda console: draw_status(console, document), as_json=as_json)


def draw_status(console: Console, document: Document) -> None:
    """All of it, on one screen."""
    table(
        console,
        ["source", "applied up to", "last success", "pupils", "guardians", "staff", "schools"],
        [
            [
                each["name"],
                each["cursor"] or "nothing yet",
                _ago(each),
                *(part(each, "records").get(name, 0) for name in _POPULATIONS),
            ]
            for each in rows(document, "sources")
        ],
    )
    console.print()
    table(
        console,
        ["target", "population", "active", "suspended"],
        [
            [each["name"], population, number(counts, "active"), number(counts, "suspended")]
            for each in rows(document, "targets")
            for population, counts in ((name, part(part(each, "accounts"), name)) for name in _POPULATIONS[:3])
        ],
    )
    console.print()
    _draw_hands(console, document)
    for source in rows(document, "sources"):
        for delivery in rows(source, "deliveries"):
            console.print(
                f"Delivery {delivery['delivery']} of {source['name']} is {delivery['status']}:", style="yellow"
            )
            for reason in words(delivery, "reasons"):
                console.print(f"  - {reason}", soft_wrap=True)
    for hold in rows(document, "holds"):
        draw_holds(console, hold)
    _draw_rest(console, document)


def _draw_hands(console: Console, document: Document) -> None:
    """What hands did: who verified a target, who paused it."""
    for target in rows(document, "targets"):
        if drift := part(target, "drift"):
            looked = counted(number(drift, "looked"), "entry", "entries")
            console.print(f"Drift of {target['name']}: {number(drift, 'ratio'):.2%} of {looked}, as of {drift['at']}")
    for pause in rows(document, "pauses"):
        what = pause["target"] or "every target"
        console.print(f"Paused: {what}, since {pause['since']}. It ends with: ent-sync resume", style="yellow")


def _draw_rest(console: Console, document: Document) -> None:
    daemon = part(document, "daemon")
    if daemon:
        console.print(f"Daemon: process {daemon['process']} on {daemon['host']}")
    else:
        console.print("Daemon: none runs")
    lease = part(document, "lease")
    if lease:
        console.print(
            f"Lease: run {lease['run']}, process {lease['process']} on {lease['host']}, until {lease['expires']}"
        )
    else:
        console.print("Lease: free")
    aside = rows(document, "quarantine")
    if aside:
        console.print(f"In quarantine: {counted(sum(number(each, 'count') for each in aside), 'record')}")
        for each in aside:
            console.print(f"  - {each['source']}, {each['population']}: {each['rule']}, {each['count']}")
        console.print("  Look: ent-sync quarantine list")
    doubles = part(document, "doubles")
    console.print(
        f"Possible doubles: {int(number(doubles, 'alike'))} by names and birth date or address, "
        f"{int(number(doubles, 'same_ine'))} by national number"
    )
    last = part(document, "last_run")
    if last:
        console.print(
            f"Last run: {last['run']}, {last['outcome'] or 'works, or died'}. ent-sync runs show {last['run']}"
        )
    else:
        console.print("No run yet. The first one: ent-sync sync")


_UNITS = ((86400, "days"), (3600, "hours"), (60, "minutes"))


def _ago(source: Document) -> str:
    if source["last_success"] is None:
        return "never"
    seconds = number(source, "seconds_since_success")
    for length, unit in _UNITS:
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit} ago"
    return "just now"
