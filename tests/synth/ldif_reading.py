"""Reads LDIF with nothing of ours: ldif's few rules by hand (RFC 2849), and ldap3's parser of DNs."""

import re
from base64 import b64decode
from pathlib import Path

OPERATIONAL = {
    *("structuralObjectClass", "entryUUID", "creatorsName", "createTimestamp", "entryCSN", "modifiersName"),
    *("modifyTimestamp", "contextCSN"),
}


def blocks(text: str) -> list[list[tuple[str, str]]]:
    """The records, each as its lines of name and value."""
    text = re.sub(r"(?m)^#.*\n", "", text.replace("\n ", ""))
    return [[_line(line) for line in block.splitlines()] for block in re.split(r"\n{2,}", text.strip()) if block]


def _line(line: str) -> tuple[str, str]:
    name, _, rest = line.partition(":")
    return (name, b64decode(rest[1:]).decode()) if rest.startswith(":") else (name, rest.strip())


def entries(text: str) -> dict[str, dict[str, set[str]]]:
    """DN → attribute → values, without what a server adds."""
    found = {}
    for (_, dn), *lines in blocks(text):
        content = {}
        for name, value in lines:
            if name not in OPERATIONAL:
                content.setdefault(name, set()).add(value)
        found[dn.lower()] = content
    return found


def below(path: Path, branches: tuple[str, ...] = ("people", "structures")) -> dict[str, dict[str, set[str]]]:
    """The entries of a written LDIF that stand in its branches."""
    return in_branches(entries(path.read_text()), branches)


def in_branches(found: dict[str, dict], branches: tuple[str, ...] = ("people", "structures")) -> dict[str, dict]:
    """Those entries that stand in the branches."""
    return {dn: each for dn, each in found.items() if any(f",ou={branch}," in dn for branch in branches)}


def without_top(path: Path) -> str:
    """A complete LDIF for a server that has the base and the branches already."""
    text = path.read_text()
    return text[text.index("dn: ENTStructureSIREN=") :]
