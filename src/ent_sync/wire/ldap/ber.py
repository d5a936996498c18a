"""Reads LDAP messages in one pass (RFC 4511; BER with definite lengths).

ldap3's decoder is the limit of a read: this one cuts messages from a buffer and leaves the attributes of an entry as
bytes until someone asks, so that an unchanged entry is never decoded. Pure; fuzzed to be equal to ldap3's own decoder
(tests/wire/test_ldap_ber.py). Whatever the bytes, it ends in values or in `MalformedError`.
"""

from __future__ import annotations

from dataclasses import dataclass

ENTRY = 0x64
"""The tag of a search result entry."""
DONE = 0x65
"""The tag of the end of a search."""
REFERENCE = 0x73
"""The tag of a search result reference: what would have to be asked elsewhere."""
EXTENDED = 0x78
"""The tag of the answer to an extended request; with message id 0, an unsolicited notice."""
INTERMEDIATE = 0x79
"""The tag of an intermediate response."""

LONGEST_MESSAGE = 256 << 20
"""Longer messages are refused: nobody's entry has that many bytes, and a stray length must not fill the memory."""

_OCTETS, _INTEGER, _BOOLEAN, _SEQUENCE, _SET, _CONTROLS = 0x04, 0x02, 0x01, 0x30, 0x31, 0xA0


class MalformedError(Exception):
    """Bytes that are not the BER of what they should be. Its text never holds them."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Message:
    """One LDAP message: to which request it belongs, the tag of its operation, and what is inside that.

    `controls` is the inside of its controls, as BER: see `controls`.
    """

    id: int
    op: int
    body: bytes
    controls: bytes

    def __repr__(self) -> str:
        return f"<Message {self.id} op {self.op:#x}>"


@dataclass(frozen=True, slots=True, repr=False)
class Entry:
    """An entry of a directory; `content` is the inside of its attribute list, as BER: see `attributes`."""

    dn: str
    content: bytes

    def __repr__(self) -> str:
        return f"<Entry of {len(self.content)} bytes>"


def messages(data: bytes) -> tuple[list[Message], int, int]:
    """The whole messages at the beginning of `data`, where the rest begins, and how long the rest must be at least."""
    found: list[Message] = []
    at, size, need = 0, len(data), 2
    while size - at >= 2:
        if data[at] != _SEQUENCE:
            raise MalformedError("a message does not begin as one")
        length, start = data[at + 1], at + 2
        if length > 0x7F:
            more = length & 0x7F
            if not 1 <= more <= 4:
                raise MalformedError("a message has no definite length of 1 to 4 bytes")
            if size < start + more:
                need = 2 + more
                break
            length = int.from_bytes(data[start : start + more], "big")
            start += more
            if length > LONGEST_MESSAGE:
                raise MalformedError(f"a message is longer than {LONGEST_MESSAGE} bytes")
        end = start + length
        if end > size:
            need = end - at
            break
        found.append(_message(data, start, end))
        at = end
    return found, at, need


def _message(data: bytes, start: int, end: int) -> Message:
    """The message whose inside is `data[start:end]`."""
    try:
        width = data[start + 1]
        at = start + 2 + width
        if data[start] != _INTEGER or not 1 <= width <= 4:
            raise MalformedError("a message has no number")
        number = data[start + 2] if width == 1 else int.from_bytes(data[start + 2 : at], "big")
        op, length = data[at], data[at + 1]
        at += 2
        if length > 0x7F:
            length, at = _long(data, at, length)
        stop = at + length
        if stop == end:
            return Message(id=number, op=op, body=data[at:stop], controls=b"")
        if stop > end or data[stop] != _CONTROLS:
            raise MalformedError("a message has no end where it should")
        body, length = data[at:stop], data[stop + 1]
        at = stop + 2
        if length > 0x7F:
            length, at = _long(data, at, length)
    except IndexError:
        raise MalformedError("a message ends too early") from None
    if at + length != end:
        raise MalformedError("a message has no end where it should")
    return Message(id=number, op=op, body=body, controls=data[at:end])


def _long(data: bytes, at: int, first: int) -> tuple[int, int]:
    """A length of the long form whose first byte was `first`, and where its value begins."""
    more = first & 0x7F
    if not 1 <= more <= 4:
        raise MalformedError("a length is not definite, or not of 1 to 4 bytes")
    return int.from_bytes(data[at : at + more], "big"), at + more


def parts(data: bytes) -> list[tuple[int, bytes]]:
    """What stands in `data` one after another: each with its tag."""
    found = []
    at, size = 0, len(data)
    try:
        while at < size:
            tag, length = data[at], data[at + 1]
            at += 2
            if length > 0x7F:
                length, at = _long(data, at, length)
            found.append((tag, data[at : at + length]))
            at += length
    except IndexError:
        raise MalformedError("a value ends too early") from None
    if at != size:
        raise MalformedError("a value ends too early")
    return found


def inside(data: bytes, tag: int = _SEQUENCE) -> bytes:
    """The inside of the one value that `data` is."""
    found = parts(data)
    if len(found) != 1 or found[0][0] != tag:
        raise MalformedError("a value is not of the kind that it should be")
    return found[0][1]


def integer(data: bytes) -> int:
    """The inside of an INTEGER or ENUMERATED."""
    if not 1 <= len(data) <= 8:
        raise MalformedError("a number has no digits, or too many")
    return int.from_bytes(data, "big", signed=True)


def text(data: bytes) -> str:
    """A string of LDAP, which is UTF-8."""
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError:
        raise MalformedError("a text is not UTF-8") from None


def entry(body: bytes) -> Entry:
    """The entry inside a search result entry; its attributes are not looked at yet."""
    try:
        length, at = body[1], 2
        if body[0] != _OCTETS:
            raise MalformedError("an entry has no name")
        if length > 0x7F:
            length, at = _long(body, at, length)
        stop = at + length
        name = str(body[at:stop], "utf-8")
        length = body[stop + 1]
        at = stop + 2
        if length > 0x7F:
            length, at = _long(body, at, length)
        if body[stop] != _SEQUENCE or at + length != len(body):
            raise MalformedError("an entry has no list of attributes")
    except IndexError:
        raise MalformedError("an entry ends too early") from None
    except UnicodeDecodeError:
        raise MalformedError("the name of an entry is not UTF-8") from None
    return Entry(name, body[at:])


def attributes(content: bytes) -> dict[str, list[bytes]]:  # noqa: C901, PLR0912 - a call would cost more than it reads
    """The attributes of an entry as the server spells them, each with its values in the server's order.

    One pass with the tags and lengths written out: every call saved here is one for each value of a directory.
    """
    found: dict[str, list[bytes]] = {}
    at, size, count = 0, len(content), 0
    try:
        while at < size:
            if content[at] != 0x30:
                raise MalformedError("an attribute does not begin as one")
            length = content[at + 1]
            at += 2
            if length > 0x7F:
                length, at = _long(content, at, length)
            end = at + length
            if content[at] != 0x04:
                raise MalformedError("an attribute has no name")
            length = content[at + 1]
            at += 2
            if length > 0x7F:
                length, at = _long(content, at, length)
            stop = at + length
            name = str(content[at:stop], "ascii")
            if content[stop] != 0x31:
                raise MalformedError("an attribute has no values")
            length = content[stop + 1]
            at = stop + 2
            if length > 0x7F:
                length, at = _long(content, at, length)
            if at + length != end:
                raise MalformedError("the values of an attribute do not end with it")
            values = []
            while at < end:
                if content[at] != 0x04:
                    raise MalformedError("a value does not begin as one")
                length = content[at + 1]
                at += 2
                if length > 0x7F:
                    length, at = _long(content, at, length)
                stop = at + length
                values.append(content[at:stop])
                at = stop
            if at != end:
                raise MalformedError("a value does not end with its attribute")
            found[name] = values
            count += 1
    except IndexError:
        raise MalformedError("an attribute ends too early") from None
    except UnicodeDecodeError:
        raise MalformedError("the name of an attribute is not ASCII") from None
    if at != size or count != len(found):
        raise MalformedError("the last attribute ends too early, or one is there twice")
    return found


def controls(data: bytes) -> dict[str, bytes | None]:
    """The controls of a message by their OID; None where a control has no value."""
    found: dict[str, bytes | None] = {}
    for tag, control in parts(data) if data else ():
        fields = parts(control)
        if tag != _SEQUENCE or not fields or fields[0][0] != _OCTETS:
            raise MalformedError("a control has no OID")
        found[text(fields[0][1])] = next((value for kind, value in fields[1:] if kind == _OCTETS), None)
    return found
