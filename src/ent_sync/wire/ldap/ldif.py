"""Entries as LDIF (RFC 2849), for `slapadd` and whoever wants to look. Lines are not folded: no reader needs it."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence

__all__ = ["record"]

_SAFE = re.compile(rb"(?![ :<])[^\x00\n\r\x80-\xff]*(?<! )")


def record(dn: str, attributes: Mapping[str, Sequence[bytes]]) -> str:
    """One entry, with the empty line that ends it; records are simply put one after another."""
    lines = [_line("dn", dn.encode())]
    lines += [_line(name, value) for name, values in attributes.items() for value in values]
    return "\n".join([*lines, "", ""])


def _line(name: str, value: bytes) -> str:
    if not value:
        return f"{name}:"
    if _SAFE.fullmatch(value):
        return f"{name}: {value.decode('ascii')}"
    return f"{name}:: {base64.b64encode(value).decode('ascii')}"
