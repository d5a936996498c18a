"""Character references as they come in deliveries: numbers, HTML 4 names, and both written twice (aaf.md §2)."""

from __future__ import annotations

import re
from html.entities import name2codepoint

_REFERENCE = re.compile(r"&(?:#([0-9]{1,7})|#[xX]([0-9A-Fa-f]{1,6})|([A-Za-z][A-Za-z0-9]{1,8}));")
_NAME = re.compile(rb"&(?!(?:amp|lt|gt|quot|apos);)([A-Za-z_:][^;&<>\s]*+);")
_CODES = {**name2codepoint, "apos": ord("'")}


class UnknownNameError(Exception):
    """A reference by a name that neither XML nor HTML 4 knows."""


def unescaped(text: str) -> str:
    """`text` with its references replaced, once; what only looks like one stays as it is."""
    return _REFERENCE.sub(_character, text) if "&" in text else text


def has_html_names(raw: bytes) -> bool:
    """Whether there are references by name that an XML parser does not know."""
    return _NAME.search(raw) is not None


def without_html_names(raw: bytes) -> bytes:
    """`raw` with the HTML 4 names as numbers, which every XML parser knows. Raises UnknownNameError."""
    return _NAME.sub(_number, raw)


def _number(found: re.Match[bytes]) -> bytes:
    code = name2codepoint.get(found[1].decode("ascii", "replace"))
    if code is None:
        raise UnknownNameError
    return b"&#%d;" % code


def _character(found: re.Match[str]) -> str:
    decimal, hexadecimal, name = found.groups()
    code = int(decimal) if decimal else int(hexadecimal, 16) if hexadecimal else _CODES.get(name)
    return chr(code) if code is not None and _is_text(code) else found[0]


def _is_text(code: int) -> bool:
    """Whether XML 1.0 §2.2 allows the character."""
    return code in {0x9, 0xA, 0xD} or 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or 0x10000 <= code <= 0x10FFFF
