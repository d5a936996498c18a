"""One connection to a directory server, of one thread: whole messages out, whole messages in.

Takes over a socket on which ldap3 has opened, encrypted and bound. Knows no operation.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
from dataclasses import dataclass
from typing import Self

from ent_sync.wire.ldap import ber
from ent_sync.wire.ldap.ber import MalformedError, Message
from ent_sync.wire.ldap.result import LostConnectionError

_CHUNK = 256 << 10
_MOST_NUMBERS = (1 << 31) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RootDse:
    """What a server says of itself: OIDs of its controls, extensions and features, and where its trees begin."""

    controls: frozenset[str] = frozenset()
    extensions: frozenset[str] = frozenset()
    features: frozenset[str] = frozenset()
    naming_contexts: tuple[str, ...] = ()
    subschema: str | None = None


class Link:
    """One open and bound connection; every error of it is a `LostConnectionError`, after which it is of no more use.

    Not for two threads. Several requests may be under way: each has its number, and answers carry it.
    """

    def __init__(self, connected: socket.socket, *, server: str, bound_as: str = "", timeout: float = 30) -> None:
        self.server = server
        self.bound_as = bound_as
        self.root = RootDse()
        self._socket = connected
        self._buffer = bytearray()
        self._need = 2
        self._number = 0
        self._kept: dict[int, list[Message]] = {}
        self._forgotten: set[int] = set()
        connected.settimeout(timeout)

    def __repr__(self) -> str:
        return f"<Link to {self.server}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def next_id(self) -> int:
        """A number for the next request."""
        self._number = self._number % _MOST_NUMBERS + 1
        return self._number

    def send(self, message: bytes) -> None:
        """Sends one or more whole messages."""
        try:
            self._socket.sendall(message)
        except TimeoutError:
            raise LostConnectionError("receive-timeout", "the server takes nothing any more") from None
        except OSError as error:
            raise _reset(error) from None

    def receive(self) -> list[Message]:
        """The messages that came, at least one, whichever request they answer."""
        buffer = self._buffer
        while True:
            if len(buffer) >= self._need and (found := self._cut()):
                return found
            try:
                chunk = self._socket.recv(_CHUNK)
            except TimeoutError:
                raise LostConnectionError("receive-timeout", "the server did not answer in time") from None
            except OSError as error:
                raise _reset(error) from None
            if not chunk:
                raise LostConnectionError("closed", "the server closed the connection")
            buffer += chunk

    def _cut(self) -> list[Message]:
        try:
            found, at, self._need = ber.messages(bytes(self._buffer))
        except MalformedError as error:
            raise LostConnectionError("malformed", f"the server sent what is not LDAP: {error}") from None
        del self._buffer[:at]
        for message in found:
            if message.id == 0:
                raise LostConnectionError("notice-of-disconnection", "the server said that it closes the connection")
        return found

    def answers(self, number: int) -> list[Message]:
        """The messages that came for request `number`, at least one; those for others are kept until asked for."""
        kept = self._kept
        while True:
            if found := kept.pop(number, None):
                return found
            for message in self.receive():
                if message.id in kept:
                    kept[message.id].append(message)
                elif message.id not in self._forgotten:
                    kept[message.id] = [message]

    def abandon(self, number: int) -> None:
        """Tells the server that nobody waits for request `number` any more; a connection that is lost is left so."""
        self._kept.pop(number, None)
        self._forgotten.add(number)
        with contextlib.suppress(LostConnectionError):
            self.send(message(self.next_id(), wrap(0x50, digits(number))))

    def ready(self, seconds: float) -> bool:
        """Whether something came, waiting `seconds` at most for it."""
        if self._kept or len(self._buffer) >= self._need:
            return True
        if isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
            return True
        waiting = select.poll()
        try:
            waiting.register(self._socket, select.POLLIN)
            return bool(waiting.poll(seconds * 1000))
        except (OSError, ValueError):
            raise LostConnectionError("closed", "the connection is closed") from None

    def close(self) -> None:
        """Ends the connection; nothing happens when it is lost already."""
        with contextlib.suppress(LostConnectionError, OSError):
            self._socket.settimeout(1)
            self.send(message(self.next_id(), wrap(0x42, b"")))
        self._socket.close()


def wrap(tag: int, content: bytes) -> bytes:
    """One value as BER writes it."""
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    width = (size.bit_length() + 7) // 8
    return bytes((tag, 0x80 | width)) + size.to_bytes(width, "big") + content


def digits(number: int) -> bytes:
    """A number that is not negative as the inside of an INTEGER."""
    return number.to_bytes(number.bit_length() // 8 + 1, "big")


def message(number: int, op: bytes) -> bytes:
    """A whole message around the BER of an operation, without controls."""
    return wrap(0x30, wrap(0x02, digits(number)) + op)


def _reset(error: OSError) -> LostConnectionError:
    return LostConnectionError("reset", f"the connection broke: {error.strerror or type(error).__name__}")
