"""How an LDAP operation ended: its result code by name, and the two ways in which it ends badly.

A server's diagnostic message may quote a value, so it is never kept; nor is a DN ever part of an exception's text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from ldap3.core.results import RESULT_CODES

from ent_sync.wire.ldap import ber
from ent_sync.wire.ldap.ber import MalformedError, Message

SUCCESS = 0
TIME_LIMIT = 3
SIZE_LIMIT = 4
REFERRAL = 10
ADMIN_LIMIT = 11
NO_SUCH_ATTRIBUTE = 16
ATTRIBUTE_OR_VALUE_EXISTS = 20
NO_SUCH_OBJECT = 32
INVALID_CREDENTIALS = 49
INSUFFICIENT_ACCESS = 50
BUSY = 51
UNAVAILABLE = 52
UNWILLING = 53
OTHER = 80
ENTRY_EXISTS = 68
ASSERTION_FAILED = 122
REFRESH_REQUIRED = 4096

TRY_AGAIN = frozenset({BUSY, UNAVAILABLE})
"""The codes by which a server asks for patience; nothing was done, and the same operation may succeed later."""

_CODE, _OCTETS, _REFERRAL = 0x0A, 0x04, 0xA3
_NONE: Mapping[str, bytes | None] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The end of an operation. `matched` is the DN up to which the server found its way, `referral` its other places.

    `controls` are those of the answer, by OID. `rest` holds what an extended or bind response adds, by tag.
    """

    code: int
    matched: str = field(default="", repr=False)
    referral: tuple[str, ...] = field(default=(), repr=False)
    controls: Mapping[str, bytes | None] = field(default_factory=lambda: _NONE, repr=False)
    rest: tuple[tuple[int, bytes], ...] = field(default=(), repr=False)

    @property
    def name(self) -> str:
        """The name of the code after RFC 4511: `noSuchObject`."""
        return code_name(self.code)

    @property
    def again(self) -> bool:
        """Whether the server asks to try again later."""
        return self.code in TRY_AGAIN


class LdapError(Exception):
    """The server refused an operation. Its text is the name of the result code, and nothing else."""

    def __init__(self, code: int) -> None:
        super().__init__(code_name(code))
        self.code = code

    @property
    def name(self) -> str:
        """The name of the code after RFC 4511."""
        return code_name(self.code)


class LostConnectionError(Exception):
    """The connection cannot be used any more; whatever had no answer yet may or may not have been done.

    `rule` is one of `closed`, `reset`, `receive-timeout`, `notice-of-disconnection`, `malformed`.
    """

    def __init__(self, rule: str, sentence: str) -> None:
        super().__init__(sentence)
        self.rule = rule


def code_name(code: int) -> str:
    """The name of a result code after RFC 4511; its number where it has none."""
    return str(RESULT_CODES.get(code, f"result code {code}"))


def result(message: Message) -> Result:
    """How the operation ended that `message` answers. Raises `MalformedError`."""
    fields = ber.parts(message.body)
    if [tag for tag, _ in fields[:3]] != [_CODE, _OCTETS, _OCTETS]:
        raise MalformedError("an answer has no result")
    elsewhere = next((value for tag, value in fields[3:] if tag == _REFERRAL), b"")
    return Result(
        code=ber.integer(fields[0][1]),
        matched=ber.text(fields[1][1]),
        referral=tuple(ber.text(value) for _, value in ber.parts(elsewhere)),
        controls=ber.controls(message.controls) if message.controls else _NONE,
        rest=tuple(part for part in fields[3:] if part[0] != _REFERRAL),
    )
