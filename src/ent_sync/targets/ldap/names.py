"""The DNs of entries, and the values that hold DNs: from ours to the directory's, and back.

A server may write a DN otherwise than we did (RFC 4514 leaves it free), so what comes back is compared by meaning; the
plain names that nearly all entries have are told without taking them apart.
"""

from __future__ import annotations

from collections.abc import Mapping

from ent_sync.core.entry import EntryId
from ent_sync.core.record import Key
from ent_sync.core.relations import GroupKind
from ent_sync.targets.ldap.layout import Layout
from ent_sync.wire.ldap.dn import join, normal, rdn_value

_NOT_PLAIN = frozenset('\\+,"=#;<>')
_REMEMBERED = 20_000


class Branch:
    """One branch, and the names of the entries right below it."""

    def __init__(self, attribute: str, dn: str) -> None:
        self.dn = dn
        self.attribute = attribute
        self._head = f"{attribute}=".lower()
        self._tail = f",{dn}".lower()

    def entry(self, value: str) -> str:
        """The DN of the entry of that name."""
        return join(self.attribute, value, self.dn)

    def value(self, dn: str) -> str | None:
        """The name of the entry that has this DN; None if it does not lie right below the branch."""
        lowered = dn.lower()
        if lowered.startswith(self._head) and lowered.endswith(self._tail) and len(lowered) == len(dn):
            plain = dn[len(self._head) : len(dn) - len(self._tail)]
            if plain and _NOT_PLAIN.isdisjoint(plain) and plain[0] != " " and plain[-1] != " ":
                return plain
        try:
            value = rdn_value(dn)
            return value if normal(dn) == normal(self.entry(value)) else None
        except ValueError:
            return None


class Names:
    """The names of everything in one directory."""

    def __init__(self, layout: Layout, base: str) -> None:
        branches = layout.branches
        self.base = base
        self.people = Branch(layout.accounts.rdn, f"{branches.people},{base}")
        self.suspended = Branch(layout.accounts.rdn, f"{branches.suspended},{base}")
        self.structures = Branch(layout.structures.rdn, f"{branches.structures},{base}")
        self.groups = Branch(layout.groups.rdn, f"{branches.groups},{base}")
        self._kinds = {layout.groups.of(kind).classes[-1].lower(): kind for kind in GroupKind}
        self._besides = {kind: f"${layout.groups.of(kind).besides}" for kind in GroupKind}
        self._uais: dict[str, str | None] = {}

    def person(self, dn: str) -> EntryId | None:
        """The account that a DN names, active or suspended; a server may keep references true when one moves."""
        value = self.people.value(dn) or self.suspended.value(dn)
        return EntryId(value) if value else None

    def structure(self, dn: str) -> str | None:
        """The UAI of the structure that a DN names."""
        if dn not in self._uais:
            if len(self._uais) >= _REMEMBERED:
                self._uais.clear()
            self._uais[dn] = self.structures.value(dn)
        return self._uais[dn]

    def at_structure(self, value: str) -> tuple[str, str] | None:
        """The UAI of a value `structureDN$rest`, and the rest. A DN holds no `$` but where a UAI would."""
        place = value.find("$")
        while place >= 0:
            if uai := self.structure(value[:place]):
                return uai, value[place + 1 :]
            place = value.find("$", place + 1)
        return None

    def group_named(self, attributes: Mapping[str, list[bytes]]) -> EntryId | None:
        """The group of an entry with these attributes (`objectClass` and the one of its name)."""
        kind = self.group_kind(attributes)
        for raw in attributes.get(self.groups.attribute.lower(), ()) if kind else ():
            uai, dollar, code = raw.decode("utf-8", "replace").partition("$")
            if uai and dollar and code and kind:
                return EntryId(f"{uai}${kind}${code.removesuffix(self._besides[kind]) or code}")
        return None

    def group_kind(self, attributes: Mapping[str, list[bytes]]) -> GroupKind | None:
        """The kind of group that an entry's object classes say."""
        for raw in attributes.get("objectclass", ()):
            if kind := self._kinds.get(raw.decode("ascii", "replace").lower()):
                return kind
        return None


def parts(group: EntryId) -> tuple[str, GroupKind, str]:
    """UAI, kind and code of a group."""
    uai, kind, code = group.split("$", 2)
    return uai, GroupKind(kind), code


def to_jointure(key: Key) -> str:
    """A join key as the national schema writes it; one that names no academy is a pseudonym of ours."""
    return f"AC-{key}" if "$" in key else f"ENT${key}"


def from_jointure(value: str) -> Key | None:
    """The join key of such a value; None if it is another source's."""
    if value[:3].upper() == "AC-" and "$" in value:
        return Key(value[3:])
    return Key(value[4:]) if value[:4].upper() == "ENT$" else None
