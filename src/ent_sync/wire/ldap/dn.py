"""Distinguished names and values in them and in filters (RFC 4514, RFC 4515).

Knows no schema: every attribute is compared without regard to case and to the number of spaces, as names of people,
schools and accounts are.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from ldap3.utils.conv import escape_filter_chars

from ent_sync.wire.ldap import ber
from ent_sync.wire.ldap.ber import MalformedError

_PLAIN = re.compile(r"(?:[A-Za-z][A-Za-z0-9-]*=[A-Za-z0-9_.@$:'/-]+)(?:,[A-Za-z][A-Za-z0-9-]*=[A-Za-z0-9_.@$:'/-]+)*")
_PAIR = re.compile(
    r"\s*(?P<attribute>[A-Za-z][A-Za-z0-9-]*|(?:[oO][iI][dD]\.)?[0-9]+(?:\.[0-9]+)*)\s*="
    r"[ ]*(?P<value>(?:[^\\,+;\"<>\x00]|\\[0-9A-Fa-f]{2}|\\[^0-9A-Fa-f])*)(?P<end>[,;+]|\Z)",
    re.DOTALL,
)
_ESCAPED = re.compile(r"(?:\\[0-9A-Fa-f]{2})+|\\(.)", re.DOTALL)
_AT_AN_END = re.compile(r"\A\s+|\s+\Z")
_SPECIAL = re.compile(r'[\\,+"<>;=]')


class NotADnError(ValueError):
    """A text that is no distinguished name. Its own text does not hold it."""


def _pairs(dn: str) -> list[list[tuple[str, str]]]:
    """The relative names from the entry upwards, each with its attributes as spelt and its values without escapes."""
    names: list[list[tuple[str, str]]] = []
    at, joined, more = 0, False, bool(dn.strip())
    while more:
        found = _PAIR.match(dn, at)
        if found is None:
            raise NotADnError("is not a distinguished name")
        value = _trimmed(found["value"])
        pair = (found["attribute"], _of_bytes(value) if value.startswith("#") else _unescaped(value))
        if joined:
            names[-1].append(pair)
        else:
            names.append([pair])
        at, joined, more = found.end(), found["end"] == "+", bool(found["end"])
    return names


def _trimmed(value: str) -> str:
    """A value without the spaces after it that no escape keeps."""
    short = value.rstrip(" ")
    escapes = len(short) - len(short.rstrip("\\"))
    return short + " " if escapes % 2 and len(short) < len(value) else short


def _unescaped(value: str) -> str:
    if "\\" not in value:
        return value

    def plain(found: re.Match[str]) -> str:
        return found[1] or str(bytes.fromhex(found[0].replace("\\", "")), "utf-8")

    try:
        return _ESCAPED.sub(plain, value)
    except UnicodeDecodeError:
        raise NotADnError("is not a distinguished name: its bytes are not UTF-8") from None


def _of_bytes(value: str) -> str:
    """A value written as the BER of its value (RFC 4514 §2.4)."""
    try:
        [(_, content)] = ber.parts(bytes.fromhex(value[1:]))
        return ber.text(content)
    except (ValueError, MalformedError):
        raise NotADnError("is not a distinguished name: a value is written in bytes that are none") from None


def escaped(value: str) -> str:
    """A value as it stands in a DN (RFC 4514 §2.4).

    ldap3's `escape_rdn` fails on an empty value and doubles the escape of a single space.
    """
    text = _SPECIAL.sub(lambda found: "\\" + found[0], value).replace("\x00", "\\00")
    if text[:1] in {" ", "#"}:
        text = "\\" + text
    if len(value) > 1 and text.endswith(" "):
        text = text[:-1] + "\\ "
    return text


@lru_cache(maxsize=4096)
def _canonical(value: str) -> str:
    words = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", value).casefold()).split()
    return escaped(" ".join(words))


def normal(dn: str) -> str:
    """The one spelling of all DNs that are equal to `dn`; for comparing, not for sending. Raises `NotADnError`."""
    if _PLAIN.fullmatch(dn):
        return dn.lower()
    return ",".join(
        "+".join(sorted(f"{attribute.lower()}={_canonical(value)}" for attribute, value in name)) for name in _pairs(dn)
    )


def rdn_value(dn: str) -> str:
    """The value that names the entry in its place, without escapes. Raises `NotADnError`."""
    names = _pairs(dn)
    if not names:
        raise NotADnError("is not a distinguished name")
    return names[0][0][1]


def parent(dn: str) -> str:
    """The DN of the entry above, in one fixed spelling of its escapes; empty above the top. Raises `NotADnError`."""
    names = _pairs(dn)[1:]
    return ",".join("+".join(f"{attribute}={escaped(value)}" for attribute, value in name) for name in names)


def is_within(dn: str, base: str) -> bool:
    """Whether `dn` is `base` or lies below it. Raises `NotADnError`."""
    inner, outer = normal(dn), normal(base)
    return not outer or inner == outer or inner.endswith("," + outer)


def join(attribute: str, value: str, parent: str) -> str:
    """The DN of an entry named by that value below `parent`."""
    rdn = f"{attribute}={escaped(value)}"
    return f"{rdn},{parent}" if parent else rdn


def equality(attribute: str, value: str) -> str:
    """The filter that finds entries with that value (RFC 4515)."""
    return f"({attribute}={_AT_AN_END.sub(_in_hexadecimal, escape_filter_chars(value))})"


def _in_hexadecimal(found: re.Match[str]) -> str:
    """Spaces that a parser of filters would take for ones around the value."""
    return "".join(f"\\{byte:02x}" for byte in found[0].encode())
