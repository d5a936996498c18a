"""The page that an operator shows to a head teacher: one person, in school words."""

from __future__ import annotations

from rich.console import Console

from ent_sync.cli.output.paper import Document, counted, number, part, rows, show, words

_POPULATIONS = {"pupil": "a pupil", "guardian": "a guardian", "staff": "a member of staff"}
_ROLES = {"pupil": "pupil", "staff": "member", "teacher": "teacher", "head_teacher": "head teacher"}
_KINDS = {"class": "Class", "teaching": "Group", "staff": "Staff group"}
_DONE = {
    "create": "account made",
    "update": "updated",
    "suspend": "account suspended",
    "restore": "account restored",
    "delete": "account deleted",
}
_STATUS = {
    "acknowledged": "done",
    "refused": "refused by the target",
    "held": "waits for approval",
    "pending": "is about to be sent",
    "overtaken": "overtaken by a later change",
    "rejected": "rejected by hand",
}
_TIES = {"legal": "legal representative", "in-charge": "person in charge", "contact": "contact without rights"}
_LIVE = {
    "same": "{} holds now what was read of it",
    "changed": "{} holds something else by now: the next sync takes it, or ent-sync resync person",
    "gone": "{} does not hold them any more; nobody leaves for that before a whole read proves it",
    "unreachable": "{} does not answer now; what is told here is what was read of it",
}
_NAMES = ("given_name", "family_name")
_LAST = frozenset({"account", "source_key", "profile", "affiliations", "functions", "classes", "groups", "staff_group"})


def show_explanation(document: Document, *, as_json: bool) -> None:
    """What is known of one person, and where it comes from."""
    show(document, lambda console: draw_explanation(console, document), as_json=as_json)


def draw_explanation(console: Console, document: Document) -> None:
    """Who, where from, what goes out, what does not, and what was done."""
    who = _POPULATIONS.get(str(document["population"]), "somebody")
    name = _name(document)
    console.print(f"{name}: {who}" if name else who.capitalize(), style="bold")
    console.print(f"  join key: {', '.join(words(document, 'keys'))}; account: {document['account'] or 'none'}")
    for record in rows(document, "records"):
        if record["state"] == "present":
            console.print(f"  delivered by {record['source']}")
        else:
            console.print(f"  left {record['source']} on {record['left_on']} (delivery {record['delivery']})")
    for source, standing in part(document, "live").items():
        console.print(f"  {_LIVE[str(standing)].format(source)}", style="yellow" if standing != "same" else None)
    ties = [
        counted(number(part(document, "guardians"), tie), each, each.replace("representative", "representatives"))
        for tie, each in _TIES.items()
        if number(part(document, "guardians"), tie)
    ]
    if ties:
        console.print(f"  the sources link: {', '.join(ties)}")
    for each in rows(document, "quarantine"):
        line = f":{each['line']}" if each["line"] else ""
        console.print(
            f"  in quarantine, and so not used: {each['message']} ({each['file']}{line}; "
            f"ent-sync quarantine show {each['id']})",
            style="yellow",
            soft_wrap=True,
        )
    for target in rows(document, "targets"):
        _draw_target(console, target)
    _draw_pushed(console, document)


def _name(document: Document) -> str:
    for target in rows(document, "targets"):
        values = {str(each["name"]): words(each, "values") for each in rows(target, "released")}
        found = [value for name in _NAMES for value in values.get(name, [])]
        if found:
            return " ".join(found)
    return ""


def _draw_target(console: Console, target: Document) -> None:
    console.print()
    console.print(f"At {target['target']}: {target['status'] or 'no account'}", style="bold")
    for reason in words(target, "why"):
        console.print(f"  because {reason}", soft_wrap=True)
    for school in rows(target, "schools"):
        console.print(f"  School: {school['name']} ({school['uai']})")
    for group in rows(target, "groups"):
        role = _ROLES.get(str(group["role"]), str(group["role"]))
        kind = _KINDS.get(str(group["kind"]), str(group["kind"]))
        console.print(f"  {kind}: {group['name']}, {group['school']} ({role})")
    if target["children"]:
        console.print(f"  Follows {counted(number(target, 'children'), 'child', 'children')}")
    released, withheld, unread = (rows(target, name) for name in ("released", "withheld", "unread"))
    if released:
        console.print("  What the ENT knows, and where it comes from:")
    for each in sorted(released, key=lambda each: each["name"] in _LAST):
        steps = f", made with {', '.join(words(each, 'transforms'))}" if words(each, "transforms") else ""
        origin = f"{each['attribute'] or 'the record'} in {each['file']}:{each['line']}"
        console.print(f"    {each['name']}: {', '.join(words(each, 'values'))}", soft_wrap=True)
        console.print(
            f"      from {origin}{steps}; purpose {each['purpose']}, rule {each['rule']}", style="dim", soft_wrap=True
        )
    _draw_withheld(console, withheld, part(target, "neutral"))
    _draw_unread(console, unread)
    if target["changes_with_time"]:
        console.print("  Some of this changes by itself with time (coming of age, the end of a permission).")


def _draw_withheld(console: Console, withheld: list[Document], neutral: Document) -> None:
    """What stays out, and what stands in its place where the target must have something there."""
    if withheld or neutral:
        console.print("  What the ENT may not know:")
    for each in withheld:
        console.print(f"    {each['name']}: {each['why']}", soft_wrap=True)
    for name, value in neutral.items():
        sentence = f"{name} stands as {value}: the target's format demands it, the register does not release it"
        console.print(f"    {sentence}", soft_wrap=True)


def _draw_unread(console: Console, unread: list[Document]) -> None:
    """What is dropped while reading, one line per reason."""
    reasons: dict[str, list[str]] = {}
    for each in unread:
        reasons.setdefault(str(each["why"]), []).append(str(each["name"]))
    if reasons:
        console.print("  What feeds deliver of such people, and is never even read:")
    for reason, names in reasons.items():
        console.print(f"    {reason}: {', '.join(names)}", style="dim")


def _draw_pushed(console: Console, document: Document) -> None:
    console.print()
    pushed = rows(document, "pushed")
    console.print("What was done, newest first:" if pushed else "Nothing was sent to any target yet.", style="bold")
    for each in pushed:
        done = _DONE.get(str(each["operation"]), str(each["operation"]))
        parts = f" ({', '.join(words(each, 'parts'))})" if each["operation"] == "update" else ""
        status = _STATUS.get(str(each["status"]), str(each["status"]))
        why = f": {each['message']}" if each["message"] else ""
        when = str(each["when"])[:19].replace("T", " ") if each["when"] else "not yet"
        console.print(f"  {when}  {each['target']}: {done}{parts}, {status}{why}", soft_wrap=True)
        if each["status"] == "held":
            console.print(f"    Look: ent-sync plan show {each['plan']}")
