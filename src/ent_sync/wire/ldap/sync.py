"""Content synchronisation (RFC 4533): what changed since a cookie, by raw controls on our own link.

Says what the server said, in its order; what follows for whom is not known here. Aliases are never followed, since
OpenLDAP refuses the control otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from enum import StrEnum

from ent_sync.wire.ldap import ber, result
from ent_sync.wire.ldap.ber import Entry, MalformedError, Message
from ent_sync.wire.ldap.link import Link, wrap
from ent_sync.wire.ldap.result import LostConnectionError
from ent_sync.wire.ldap.search import IncompleteError, Search, ask, control, end_of, incomplete

SYNC_REQUEST = "1.3.6.1.4.1.4203.1.9.1.1"
"""The control of a request; a server that offers synchronisation lists it."""
_STATE, _DONE, _INFO = "1.3.6.1.4.1.4203.1.9.1.2", "1.3.6.1.4.1.4203.1.9.1.3", b"1.3.6.1.4.1.4203.1.9.1.4"
_REFRESH_ONLY, _REFRESH_AND_PERSIST = 1, 3
_COOKIE, _BOOLEAN, _SET = 0x04, 0x01, 0x31
# What servers answer to a cookie that is not theirs: OpenLDAP says protocolError to garbage, unwillingToPerform to a
# state that is newer than its own.
_COOKIE_REFUSALS = frozenset({result.REFRESH_REQUIRED, 2, result.UNWILLING})


class State(StrEnum):
    """What a server says of one entry."""

    PRESENT = "present"
    ADD = "add"
    MODIFY = "modify"
    DELETE = "delete"


_STATES = (State.PRESENT, State.ADD, State.MODIFY, State.DELETE)


@dataclass(frozen=True, slots=True, repr=False)
class Change:
    """What a server said of one entry, by its `entryUUID`, and the entry itself where it was added or modified.

    The two are not told apart by all servers: whoever has it already updates it, and a new name is a move.
    """

    state: State
    uuid: bytes
    entry: Entry | None = None

    def __repr__(self) -> str:
        return f"<Change {self.state}>"


@dataclass(frozen=True, slots=True)
class End:
    """The end of a refresh, and the cookie that stands for all that was said.

    `deletes` True: whatever is gone was named, and what was not named did not change. False: whatever is still there
    was named (as added, modified or present), and what was not named, or deleted after it was named, is gone.
    """

    cookie: bytes | None
    deletes: bool


class RefreshRequiredError(Exception):
    """The server does not know this cookie any more: begin again without one. Says nothing about anyone's absence."""


def offered(link: Link) -> bool:
    """Whether the server of `link` says that it offers synchronisation."""
    return SYNC_REQUEST in link.root.controls


def refresh(link: Link, search: Search, cookie: bytes | None) -> Generator[list[Change], None, End]:
    """What changed since `cookie`, or all without one, as it comes; the end is the return value.

    An empty cookie is none, and so is one of OpenLDAP that stands for no state (`rid=000` alone).

    Raises `IncompleteError` when it does not come to its end, and `RefreshRequiredError` when the cookie is refused;
    nothing that was given before may be used then. Stopped early, it tells the server.
    """
    cookie = _usable(cookie)
    told = _Told(cookie)
    try:
        number = ask(link, search, _asked(_REFRESH_ONLY, cookie))
        try:
            while True:
                changes: list[Change] = []
                ended = told.take(link.answers(number), changes)
                if changes:
                    yield changes
                if ended:
                    return End(_usable(told.cookie), deletes=told.deletes)
        except GeneratorExit:
            link.abandon(number)
            raise
    except LostConnectionError as error:
        raise IncompleteError(error.rule, str(error)) from None
    except MalformedError as error:
        raise IncompleteError("malformed", f"the server sent what is not LDAP: {error}") from None


def persist(
    link: Link, search: Search, cookie: bytes | None, *, stopping: Callable[[], bool], every: float = 0.5
) -> Iterator[bytes | None]:
    """Rings, with the newest cookie, whenever something changed after `cookie`, until `stopping()` says so.

    A bell, to be answered by a `refresh` from the cookie that was committed: what the server tells here is not kept.
    `stopping` is asked at least each `every` seconds. Raises as `refresh` does; the link is of no more use after it.
    """
    cookie = _usable(cookie)
    told = _Told(cookie)
    try:
        number = ask(link, search, _asked(_REFRESH_AND_PERSIST, cookie))
        while not stopping():
            if not link.ready(every):
                continue
            changes: list[Change] = []
            ended = told.take(link.answers(number), changes)
            if changes:
                yield told.cookie
            if ended:
                raise IncompleteError("closed", "the server ended what it should hold open")
        link.abandon(number)
    except LostConnectionError as error:
        raise IncompleteError(error.rule, str(error)) from None
    except MalformedError as error:
        raise IncompleteError("malformed", f"the server sent what is not LDAP: {error}") from None


class _Told:
    """What the server said so far of the refresh as a whole."""

    def __init__(self, cookie: bytes | None) -> None:
        self.cookie = cookie
        self.deletes = False
        self._asked_with_cookie = cookie is not None
        self._present_phase_ended = False
        self._usual: bytes | None = None

    def take(self, messages: list[Message], changes: list[Change]) -> bool:
        """Adds the changes that `messages` tell to `changes`; whether the refresh ended with them."""
        for message in messages:
            if message.op == ber.ENTRY:
                changes.append(self._entry(message))
            elif message.op == ber.INTERMEDIATE:
                self._info(message, changes)
            elif self._ended(message):
                return True
        return False

    def _newer(self, fields: list[tuple[int, bytes]]) -> None:
        for tag, value in fields:
            if tag == _COOKIE:
                self.cookie = value
                return

    def _entry(self, message: Message) -> Change:
        # Without a cookie in it, the control of one entry is that of the one before but for the state and the uuid.
        raw = message.controls
        if raw[:-19] == self._usual and raw[-18:-16] == b"\x04\x10":
            number, uuid = raw[-19], raw[-16:]
        else:
            number, uuid = self._state(raw)
        if not 0 <= number < len(_STATES):
            raise MalformedError("the state of an entry is not one")
        state = _STATES[number]
        has_entry = state in {State.ADD, State.MODIFY}
        return Change(state, uuid, ber.entry(message.body) if has_entry else None)

    def _state(self, raw: bytes) -> tuple[int, bytes]:
        """A Sync State control (RFC 4533 §2.3), read with care."""
        fields = ber.parts(ber.inside(ber.controls(raw).get(_STATE) or b""))
        if [tag for tag, _ in fields[:2]] != [0x0A, 0x04] or len(fields[1][1]) != 16:
            raise MalformedError("an entry comes without its state")
        self._newer(fields[2:])
        if len(fields) == 2 and raw.endswith(fields[1][1]) and len(fields[0][1]) == 1:
            self._usual = raw[:-19]
        return ber.integer(fields[0][1]), fields[1][1]

    def _info(self, message: Message, changes: list[Change]) -> None:
        """A Sync Info message (RFC 4533 §2.5)."""
        about = dict(ber.parts(message.body))
        if about.get(0x80) != _INFO:
            return
        for tag, value in ber.parts(about.get(0x81, b"")):
            if tag == 0x80:
                self.cookie = value
                continue
            fields = ber.parts(value)
            self._newer(fields)
            if tag == 0xA2:
                self._present_phase_ended = True
            elif tag == 0xA3:
                state = State.DELETE if _flag(fields) else State.PRESENT
                changes.extend(Change(state, uuid) for uuid in _uuids(fields))

    def _ended(self, message: Message) -> bool:
        if message.op == ber.DONE:
            end = result.result(message)
            if end.code == result.REFRESH_REQUIRED or (self._asked_with_cookie and end.code in _COOKIE_REFUSALS):
                raise RefreshRequiredError("the server does not know our cookie any more")
            if end.code != result.SUCCESS:
                raise incomplete(end)
            if _DONE not in end.controls:
                raise IncompleteError("refused", "the server did not say what its refresh means")
            fields = ber.parts(ber.inside(end.controls[_DONE] or b""))
            self._newer(fields)
            if self._asked_with_cookie and not self.cookie:
                # OpenLDAP gives back an empty cookie for one that it cannot read, and all entries as if it had none.
                raise RefreshRequiredError("the server cannot read our cookie")
            # After a present phase, what was not named is gone, even when a delete phase came after it (§3.3.2).
            # Asked without a cookie, servers name all that there is, and OpenLDAP sets the flag all the same.
            self.deletes = _flag(fields) and self._asked_with_cookie and not self._present_phase_ended
            return True
        end_of(message)
        return False


def _usable(cookie: bytes | None) -> bytes | None:
    """A cookie that stands for a state; OpenLDAP would answer another with all entries, and say that none is gone."""
    return None if not cookie or (cookie.startswith(b"rid=") and b"csn=" not in cookie) else cookie


def _flag(fields: list[tuple[int, bytes]]) -> bool:
    return any(tag == _BOOLEAN and value != b"\x00" for tag, value in fields)


def _uuids(fields: list[tuple[int, bytes]]) -> Iterator[bytes]:
    for tag, value in fields:
        for kind, uuid in ber.parts(value) if tag == _SET else ():
            if kind != 0x04 or len(uuid) != 16:
                raise MalformedError("a list of entries holds what is none")
            yield uuid


def _asked(mode: int, cookie: bytes | None) -> bytes:
    value = wrap(0x0A, bytes((mode,)))
    if cookie is not None:
        value += wrap(0x04, cookie)
    return control(SYNC_REQUEST, wrap(0x30, value), critical=True)
