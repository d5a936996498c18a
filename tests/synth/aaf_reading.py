"""Reads a written delivery with nothing of ours: the plain XML parser, and the rules of aaf.md §2 and §3."""

from collections import defaultdict
from pathlib import Path

from lxml import etree

KINDS = ("EtabEducNat", "MefEducNat", "MatiereEducNat", "Eleve", "PersRelEleve", "PersEducNat")


class Reading:
    """What a delivery holds, applied to what was known before: kind → key → attribute → values, empty ones left out."""

    def __init__(self, before: "Reading | None" = None) -> None:
        self.state = {kind: {k: dict(v) for k, v in before.state[kind].items()} if before else {} for kind in KINDS}
        self.keys = defaultdict(list)
        self.requests = []

    def values(self, kind: str, attribute: str) -> list[str]:
        return [value for record in self.state[kind].values() for value in record.get(attribute, ())]

    def all_keys(self) -> set[str]:
        return {key for kind in KINDS for key in self.state[kind] if kind not in ("MefEducNat", "MatiereEducNat")}

    def apply(self, kind: str, request: etree._Element) -> None:
        key = request.findtext("identifier/id") or ""
        self.keys[kind].append(key)
        self.requests.append((kind, request.tag, key))
        if request.tag == "deleteRequest":
            self.state[kind].pop(key, None)
            return
        new = defaultdict(list)
        for attribute in [*request.findall("attributes/attr"), *request.findall("modifications/modification")]:
            new[attribute.get("name")] += [value.text for value in attribute.findall("value") if value.text]
        record = self.state[kind].setdefault(key, {}) if request.tag == "modifyRequest" else {}
        for name, values in new.items():
            record.pop(name, None)
            if values:
                record[name] = tuple(values)
        self.state[kind][key] = record


def read(folder: Path, before: Reading | None = None) -> Reading:
    """A complete delivery, or a delta upon what was read before."""
    reading = Reading(before)
    for kind in KINDS:
        for path in sorted(folder.glob(f"*_{kind}_[0-9][0-9][0-9][0-9].xml")):
            for request in etree.parse(path).getroot():
                if isinstance(request.tag, str):
                    reading.apply(kind, request)
    return reading
