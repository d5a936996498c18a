"""Searches: our own paging loop, which takes nothing for the whole that a server did not end with success.

A read is whole when every page ended with result 0, no page pointed elsewhere, and the last one had an empty cookie;
ldap3's own paged search ends at a size limit without a word (ops.md §0).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from ent_sync.wire.ldap import ber, ber_write, result
from ent_sync.wire.ldap.ber import Entry, MalformedError, Message
from ent_sync.wire.ldap.link import Link, digits, wrap
from ent_sync.wire.ldap.result import LdapError, LostConnectionError, Result

PAGED = "1.2.840.113556.1.4.319"
"""The OID of the paged results control (RFC 2696)."""

_RULES = {
    result.SIZE_LIMIT: ("size-limit", "the server gives no more than its size limit allows: raise it for our account"),
    result.TIME_LIMIT: ("time-limit", "the server takes no more time than its limit allows: raise it for our account"),
    result.ADMIN_LIMIT: ("admin-limit", "the server refuses a read of this size: raise its limits for our account"),
    result.REFERRAL: ("referral", "the server points to another one: configure that one, or a smaller base"),
    result.NO_SUCH_OBJECT: ("no-such-entry", "the base does not exist, or may not be seen by our account"),
    result.BUSY: ("busy", "the server is busy"),
    result.UNAVAILABLE: ("busy", "the server is going down or not up yet"),
}


class Scope(IntEnum):
    """How far below its base a search looks."""

    BASE = 0
    ONE = 1
    SUBTREE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What to ask for. `attributes` empty means all; `("1.1",)` none. `filter` is text of RFC 4515."""

    base: str
    filter: str = "(objectClass=*)"
    attributes: tuple[str, ...] = ()
    scope: Scope = Scope.SUBTREE
    page: int = 1000


class IncompleteError(Exception):
    """A read did not come to its end: nothing that it gave may be used, least of all to call anyone absent.

    `rule` is one of `size-limit`, `time-limit`, `admin-limit`, `referral`, `no-such-entry`, `busy`, `paging`,
    `malformed`, `refused`, or one of `LostConnectionError`; its text is a sentence that names no entry.
    """

    def __init__(self, rule: str, sentence: str) -> None:
        super().__init__(sentence)
        self.rule = rule

    @property
    def sentence(self) -> str:
        """What happened, and what to do about it."""
        return str(self)


def pages(link: Link, search: Search) -> Iterator[list[Entry]]:
    """The entries, a page at a time; it came to its end only if it did not raise `IncompleteError`.

    The next page is asked for before this one is given away, so that server and reader work side by side. Other
    requests on the same link may come between, but no other read in pages: OpenLDAP keeps one place per connection.
    Raises `BadFilterError`.
    """
    critical = PAGED in link.root.controls
    cookie, first = b"", True
    try:
        number = ask(link, search, _paged(search.page, cookie, critical=critical))
        while True:
            entries, end = _page(link, number)
            cookie, last = _next(end, critical=critical or not first)
            if not last:
                number, first = ask(link, search, _paged(search.page, cookie, critical=critical)), False
            try:
                yield entries
            except GeneratorExit:
                if not last:
                    link.abandon(number)
                raise
            if last:
                return
    except LostConnectionError as error:
        raise IncompleteError(error.rule, str(error)) from None
    except MalformedError as error:
        raise IncompleteError("malformed", f"the server sent what is not LDAP: {error}") from None


def _page(link: Link, number: int) -> tuple[list[Entry], Result]:
    entries: list[Entry] = []
    add, read_entry = entries.append, ber.entry
    while True:
        for message in link.answers(number):
            if message.op == ber.ENTRY:
                add(read_entry(message.body))
            else:
                end = end_of(message)
                if end is not None:
                    return entries, end


def end_of(message: Message) -> Result | None:
    """The successful end of a search, if `message` is it; None for what a search may pass over.

    Raises `IncompleteError` for a reference to elsewhere, and for every end but success.
    """
    if message.op == ber.REFERENCE:
        raise IncompleteError(*_RULES[result.REFERRAL])
    if message.op == ber.INTERMEDIATE:
        return None
    if message.op != ber.DONE:
        raise MalformedError("an answer is not one to a search")
    end = result.result(message)
    if end.code != result.SUCCESS:
        raise incomplete(end)
    return end


def incomplete(end: Result) -> IncompleteError:
    """Why a search that ended with another code than 0 is not whole."""
    rule, sentence = _RULES.get(end.code, ("refused", "the server refused the search"))
    return IncompleteError(rule, f"{sentence} ({end.name})")


def _next(end: Result, *, critical: bool) -> tuple[bytes, bool]:
    """The cookie for the next page, and whether this was the last."""
    value = end.controls.get(PAGED)
    if value is None:
        if critical:
            raise IncompleteError("paging", "the server forgot to say whether this was the last page")
        return b"", True
    fields = ber.parts(ber.inside(value))
    if [tag for tag, _ in fields] != [0x02, 0x04]:
        raise MalformedError("the answer to a page is not one")
    return fields[1][1], not fields[1][1]


def _paged(size: int, cookie: bytes, *, critical: bool) -> bytes:
    value = wrap(0x30, wrap(0x02, digits(size)) + wrap(0x04, cookie))
    return control(PAGED, value, critical=critical)


def control(oid: str, value: bytes, *, critical: bool) -> bytes:
    """One control; a server that does not know it refuses the request if it is critical, and passes it over if not."""
    return wrap(0x30, wrap(0x04, oid.encode()) + (b"\x01\x01\xff" if critical else b"") + wrap(0x04, value))


def ask(link: Link, search: Search, controls: bytes = b"") -> int:
    """Sends a search, aliases never followed; the number under which its answers come. Raises `BadFilterError`."""
    number = link.next_id()
    base, scope = search.base, int(search.scope)
    link.send(ber_write.search(number, base, scope, search.filter, search.attributes, controls=controls))
    return number


def read(link: Link, dn: str, attributes: tuple[str, ...] = ()) -> Entry | None:
    """The entry of that DN as it stands; None where there is none, or none that we may see.

    Raises `LdapError` when the server refuses, and `LostConnectionError`.
    """
    number = ask(link, Search(base=dn, attributes=attributes, scope=Scope.BASE))
    found = None
    while True:
        for message in link.answers(number):
            if message.op == ber.ENTRY:
                found = ber.entry(message.body)
            elif message.op == ber.DONE:
                end = result.result(message)
                if end.code not in {result.SUCCESS, result.NO_SUCH_OBJECT}:
                    raise LdapError(end.code)
                return found
