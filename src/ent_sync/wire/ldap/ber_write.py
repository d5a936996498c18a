"""Requests of LDAP as bytes, in one pass (RFC 4511 §4, BER as §5.1 restricts it).

ldap3 builds a tree of small pyasn1 values for each request, which keeps a writer at a third of what a server takes.
Here what is before a value follows from the name and the value's length alone, and is looked up. Pure: knows no
connection and no meaning of what it encodes. Tests compare every kind of request with ldap3's own encoder.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TypeAlias

from ldap3.core.exceptions import LDAPExceptionError
from ldap3.operation.search import compile_filter, parse_filter
from ldap3.utils.asn1 import encode

__all__ = [
    "ASSERTION",
    "PERMISSIVE_MODIFY",
    "PRE_READ",
    "BadFilterError",
    "add",
    "assertion",
    "compiled",
    "control",
    "modify",
    "move",
    "pre_read",
    "remove",
    "search",
]

ASSERTION = "1.3.6.1.1.12"
PRE_READ = "1.3.6.1.1.13.1"
PERMISSIVE_MODIFY = "1.2.840.113556.1.4.1413"

RawEdit: TypeAlias = tuple[int, str, Sequence[bytes]]
"""0 add, 1 delete, 2 replace; the attribute's name; its values."""

_INTEGER, _OCTETS, _ENUMERATED, _SEQUENCE, _SET = b"\x02", b"\x04", b"\x0a", b"\x30", b"\x31"
_SHORT = 256  # values up to here have their heads looked up


class BadFilterError(ValueError):
    """A filter is not one of RFC 4515; the filter may hold a value and is not told."""


def add(number: int, dn: str, attributes: Mapping[str, Sequence[bytes]], controls: bytes = b"") -> bytes:
    """An AddRequest; attributes without a value are left out, as the protocol has none such."""
    content = b"".join([_attribute(name, values) for name, values in attributes.items() if values])
    return _message(number, b"\x68", _string(dn) + _wrap(_SEQUENCE, content), controls)


def modify(number: int, dn: str, edits: Iterable[RawEdit], controls: bytes = b"") -> bytes:
    """A ModifyRequest; its edits are made in this order, all or none."""
    content = b"".join([_edit(kind, name, values) for kind, name, values in edits])
    return _message(number, b"\x66", _string(dn) + _wrap(_SEQUENCE, content), controls)


def remove(number: int, dn: str, controls: bytes = b"") -> bytes:
    """A DelRequest."""
    return _message(number, b"\x4a", dn.encode(), controls)


def move(number: int, dn: str, rdn: str, parent: str | None = None, controls: bytes = b"") -> bytes:
    """A ModifyDNRequest; the values of the old RDN go. `parent` None leaves the entry where it is."""
    superior = _wrap(b"\x80", parent.encode()) if parent is not None else b""
    return _message(number, b"\x6c", _string(dn) + _string(rdn) + b"\x01\x01\xff" + superior, controls)


def search(
    number: int,
    base: str,
    scope: int,
    filter_: str,
    attributes: Sequence[str],
    *,
    size_limit: int = 0,
    controls: bytes = b"",
) -> bytes:
    """A SearchRequest that never dereferences aliases. `scope` is 0 base, 1 one level, 2 subtree.

    Raises:
        BadFilterError: the filter cannot be read.
    """
    content = (
        _string(base)
        + bytes((0x0A, 1, scope, 0x0A, 1, 0))
        + _integer(size_limit)
        + b"\x02\x01\x00\x01\x01\x00"
        + compiled(filter_)
        + _wrap(_SEQUENCE, b"".join([_string(name) for name in attributes]))
    )
    return _message(number, b"\x63", content, controls)


# -- controls ----------------------------------------------------------------------------------------------------------


def control(kind: str, value: bytes | None = None) -> bytes:
    """One critical control: a server that does not know it refuses the request. Controls are put side by side."""
    return _wrap(_SEQUENCE, _string(kind) + b"\x01\x01\xff" + (_wrap(_OCTETS, value) if value is not None else b""))


def assertion(filter_: str) -> bytes:
    """The control that makes a request fail with 122 when its entry does not match (RFC 4528).

    Raises:
        BadFilterError: the filter cannot be read.
    """
    return control(ASSERTION, compiled(filter_))


@lru_cache(maxsize=256)
def pre_read(attributes: tuple[str, ...]) -> bytes:
    """The control that asks for what these attributes held before the request (RFC 4527)."""
    return control(PRE_READ, _wrap(_SEQUENCE, b"".join([_string(name) for name in attributes])))


# -- filters -----------------------------------------------------------------------------------------------------------

_EQUALITY = r"\([A-Za-z][A-Za-z0-9-]*=[^*()\\\s](?:[^*()\\]*[^*()\\\s])?\)"
_PLAIN = re.compile(rf"{_EQUALITY}|\(&(?:{_EQUALITY})+\)")


@lru_cache(maxsize=1024)
def compiled(filter_: str) -> bytes:
    """A filter (RFC 4515) as LDAP sends it.

    An equality, or several that all must hold, are what an assertion mostly is, with values that differ each time:
    these are read here, all else by ldap3's parser.

    Raises:
        BadFilterError: it cannot be read.
    """
    if _PLAIN.fullmatch(filter_):
        if filter_[1] != "&":
            return _equality(filter_[1:-1])
        return _wrap(b"\xa0", b"".join([_equality(part) for part in filter_[3:-2].split(")(")]))
    try:
        tree = parse_filter(filter_, None, False, False, None, False)
        return bytes(encode(compile_filter(tree.elements[0])))
    except (LDAPExceptionError, IndexError, UnicodeError):
        raise BadFilterError("the filter is not one of RFC 4515") from None


def _equality(text: str) -> bytes:
    name, value = text.split("=", 1)
    return _wrap(b"\xa3", _string(name) + _string(value))


# -- pieces ------------------------------------------------------------------------------------------------------------


def _length(size: int) -> bytes:
    if size < 0x80:
        return bytes((size,))
    octets = (size.bit_length() + 7) // 8
    return bytes((0x80 | octets,)) + size.to_bytes(octets, "big")


def _wrap(tag: bytes, content: bytes) -> bytes:
    return tag + _length(len(content)) + content


_VALUE_HEADS = tuple(_OCTETS + _length(size) for size in range(_SHORT))


def _string(text: str) -> bytes:
    content = text.encode()
    size = len(content)
    return (_VALUE_HEADS[size] if size < _SHORT else _OCTETS + _length(size)) + content


def _integer(number: int) -> bytes:
    size = number.bit_length() // 8 + 1
    return _INTEGER + bytes((size,)) + number.to_bytes(size, "big")


def _values(values: Sequence[bytes]) -> bytes:
    return b"".join(
        [
            (_VALUE_HEADS[len(value)] if len(value) < _SHORT else _OCTETS + _length(len(value))) + value
            for value in values
        ]
    )


@lru_cache(maxsize=1024)
def _name(name: str) -> bytes:
    return _wrap(_OCTETS, name.encode())


def _attribute(name: str, values: Sequence[bytes]) -> bytes:
    if len(values) == 1 and len(values[0]) < _SHORT:
        return _attribute_heads(name)[len(values[0])] + values[0]
    return _wrap(_SEQUENCE, _name(name) + _wrap(_SET, _values(values)))


def _edit(kind: int, name: str, values: Sequence[bytes]) -> bytes:
    if len(values) == 1 and len(values[0]) < _SHORT:
        return _edit_heads(kind, name)[len(values[0])] + values[0]
    attribute = _wrap(_SEQUENCE, _name(name) + _wrap(_SET, _values(values)))
    return _wrap(_SEQUENCE, _ENUMERATED + bytes((1, kind)) + attribute)


@lru_cache(maxsize=1024)
def _attribute_heads(name: str) -> tuple[bytes, ...]:
    """All that stands before the one value of an attribute, by the length of the value."""
    return tuple(_head_of_attribute(name, size) for size in range(_SHORT))


@lru_cache(maxsize=1024)
def _edit_heads(kind: int, name: str) -> tuple[bytes, ...]:
    heads = []
    for size, head in enumerate(_attribute_heads(name)):
        operation = _ENUMERATED + bytes((1, kind))
        heads.append(_SEQUENCE + _length(len(operation) + len(head) + size) + operation + head)
    return tuple(heads)


def _head_of_attribute(name: str, size: int) -> bytes:
    value = _VALUE_HEADS[size]
    values = _SET + _length(len(value) + size) + value
    content = _name(name) + values
    return _SEQUENCE + _length(len(content) + size) + content


def _message(number: int, tag: bytes, content: bytes, controls: bytes) -> bytes:
    identified = _integer(number) + tag + _length(len(content))
    if controls:
        controls = _wrap(b"\xa0", controls)
    return _SEQUENCE + _length(len(identified) + len(content) + len(controls)) + identified + content + controls
