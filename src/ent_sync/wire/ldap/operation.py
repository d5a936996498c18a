"""What can be asked of a directory many at a time: five operations that write or read one entry, and a small search.

Values, their bytes, and which DNs each of them touches; `write` sends them. None shows its DN or values in a repr.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from enum import IntEnum
from typing import TypeAlias, assert_never

from ent_sync.wire.ldap import ber_write
from ent_sync.wire.ldap.dn import normal
from ent_sync.wire.ldap.search import Search

_BASE = 0


class EditKind(IntEnum):
    """How an edit changes an attribute, numbered as in RFC 4511 §4.6."""

    ADD = 0
    DELETE = 1
    REPLACE = 2


@dataclass(frozen=True, slots=True, repr=False)
class Edit:
    """One edit of an attribute. DELETE without values takes them all, REPLACE without values too."""

    kind: EditKind
    attribute: str
    values: Sequence[bytes] = ()


@dataclass(frozen=True, slots=True, repr=False)
class Add:
    """A new entry; attributes without a value are left out."""

    dn: str
    attributes: Mapping[str, Sequence[bytes]]


@dataclass(frozen=True, slots=True, repr=False)
class Modify:
    """Edits of one entry, all or none.

    `assertion` is a filter that the entry must match, else 122 (RFC 4528). `before` names attributes whose values
    before the edits come with the answer (RFC 4527); "*" is all. `permissive` takes adding a value that is there for
    done, and deleting an attribute that is not; deleting one value of several that is not there OpenLDAP still refuses.
    """

    dn: str
    edits: Sequence[Edit]
    _: KW_ONLY
    assertion: str | None = None
    before: tuple[str, ...] | None = None
    permissive: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class Remove:
    """The end of an entry without others below it."""

    dn: str
    _: KW_ONLY
    assertion: str | None = None
    before: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Move:
    """Another RDN, and another parent where one is named, for an entry and all below it; old RDN values go."""

    dn: str
    rdn: str
    parent: str | None = None
    _: KW_ONLY
    assertion: str | None = None
    before: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Read:
    """One entry, where it is and matches."""

    dn: str
    attributes: tuple[str, ...]
    filter: str = "(objectClass=*)"


@dataclass(frozen=True, slots=True, repr=False)
class Find:
    """A search with few answers; it is not paged, and waits for no other operation."""

    search: Search


Operation: TypeAlias = Add | Modify | Remove | Move | Read | Find


def encoded(operation: Operation, number: int) -> bytes:
    """The operation as a message. Raises `ber_write.BadFilterError`."""
    match operation:
        case Add(dn, attributes):
            return ber_write.add(number, dn, attributes)
        case Modify(dn, edits):
            raw = [(edit.kind, edit.attribute, edit.values) for edit in edits]
            return ber_write.modify(number, dn, raw, _controls(operation, permissive=operation.permissive))
        case Remove(dn):
            return ber_write.remove(number, dn, _controls(operation))
        case Move(dn, rdn, parent):
            return ber_write.move(number, dn, rdn, parent, _controls(operation))
        case Read(dn, attributes, filter_):
            return ber_write.search(number, dn, _BASE, filter_, attributes)
        case Find(search):
            return ber_write.search(number, search.base, search.scope, search.filter, search.attributes)
        case _:
            assert_never(operation)


def _controls(operation: Modify | Remove | Move, *, permissive: bool = False) -> bytes:
    found = b""
    if operation.assertion is not None:
        found += ber_write.assertion(operation.assertion)
    if operation.before is not None:
        found += ber_write.pre_read(operation.before)
    if permissive:
        found += ber_write.control(ber_write.PERMISSIVE_MODIFY)
    return found


def touched(operation: Operation) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The DNs that an operation needs for itself, and those it needs to stay as they are, in their normal form.

    The latter are the parents of entries that come or go: an entry cannot be added before its parent is there.
    """
    match operation:
        case Find():
            return (), ()
        case Read() | Modify():
            return (normal(operation.dn),), ()
        case Add() | Remove():
            dn = normal(operation.dn)
            return (dn,), (_parent(dn),)
        case Move():
            old = normal(operation.dn)
            parent = _parent(old) if operation.parent is None else normal(operation.parent)
            new = normal(f"{operation.rdn},{parent}")
            return (old, new) if new != old else (old,), (_parent(old), parent)
        case _:
            assert_never(operation)


def _parent(dn: str) -> str:
    """The DN above a normal one."""
    at = dn.find(",")
    while at > 0 and _is_escaped(dn, at):
        at = dn.find(",", at + 1)
    return dn[at + 1 :] if at >= 0 else ""


def _is_escaped(dn: str, at: int) -> bool:
    start = at
    while start and dn[start - 1] == "\\":
        start -= 1
    return (at - start) % 2 == 1
