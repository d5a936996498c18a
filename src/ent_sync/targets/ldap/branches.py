"""The branches that entries lie below: made where they are missing, and the base itself if it may be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ent_sync.core.errors import UnavailableError
from ent_sync.targets.ldap.directory import Directory
from ent_sync.targets.ldap.layout import Layout
from ent_sync.targets.ldap.names import Names
from ent_sync.wire.ldap import result as codes
from ent_sync.wire.ldap.dn import parent, rdn_value
from ent_sync.wire.ldap.write import Add, Read

# By the attribute of its name, the classes that make an entry of that name; `dc` needs another attribute beside it.
_CLASSES: Mapping[str, tuple[str, ...]] = {
    "ou": ("organizationalUnit",),
    "o": ("organization",),
    "dc": ("dcObject", "organization"),
    "l": ("locality",),
    "cn": ("applicationProcess",),
}


_MADE = frozenset({codes.SUCCESS, codes.ENTRY_EXISTS})


class Branches:
    """The branches of one directory."""

    def __init__(self, names: Names, layout: Layout, directory: Directory) -> None:
        self._names = names
        self._moves = layout.suspension.move
        self._directory = directory
        self._are_there = False

    def needed(self) -> list[str]:
        """The DNs of the base and of all branches, and of what lies between, from the top."""
        names = self._names
        branches = [names.people.dn, names.structures.dn, names.groups.dn]
        if self._moves:
            branches.append(names.suspended.dn)
        needed = [names.base]
        for branch in branches:
            between = [branch]
            while len(above := parent(between[-1])) > len(names.base):
                between.append(above)
            needed += [dn for dn in reversed(between) if dn not in needed]
        return needed

    def missing(self) -> list[str]:
        """Those that are not there, from the top.

        Raises:
            UnavailableError: nobody answers.
        """
        needed = self.needed()
        found = self._directory.entries([Read(dn, ("1.1",)) for dn in needed])
        return [dn for dn, entry in zip(needed, found, strict=True) if entry is None]

    def make(self) -> None:
        """Make those that are missing. What cannot be made is told by the entries that then have no place.

        Raises:
            UnavailableError: nobody answers.
        """
        for _ in range(2):
            if self._are_there:
                return
            missing = self.missing()
            answers = self._directory.perform([Add(dn, attributes_of(dn)) for dn in missing]) if missing else []
            if all(answer.result is not None for answer in answers):
                self._are_there = all(answer.result and answer.result.code in _MADE for answer in answers)
                return
        raise UnavailableError(f"{self._directory.who} does not answer")

    def forget(self) -> None:
        """An entry had no place: the branches are to be looked for again before the next push."""
        self._are_there = False

    def has_none_suspended(self) -> bool:
        """Whether the directory says that nothing lies in the branch of the suspended.

        Raises:
            UnavailableError: nobody answers.
        """
        if not self._moves:
            return True
        branch = self._directory.read(self._names.suspended.dn, ("hasSubordinates",))
        return branch is None or branch.attributes.get("hassubordinates") == [b"FALSE"]


def attributes_of(dn: str) -> dict[str, Sequence[bytes]]:
    """What an entry of this name is made of, if nothing else is known of it."""
    attribute = dn.partition("=")[0].strip()
    value = rdn_value(dn).encode()
    classes = _CLASSES.get(attribute.lower(), _CLASSES["ou"])
    attributes: dict[str, Sequence[bytes]] = {
        "objectClass": [name.encode() for name in ("top", *classes)],
        attribute: [value],
    }
    if attribute.lower() == "dc":
        attributes["o"] = [value]
    return attributes
