"""One connection to one host, opened step by step so that TCP and TLS are timed and told apart, and read with an end.

A socket's own time limit begins anew with every byte; what is read here ends at a moment, however slowly it drips.
"""

from __future__ import annotations

import errno
import io
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ent_sync.core.levels.samples import Cause, Stage
from ent_sync.federation.stopwatch import Deadline, StageError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_VERIFY = {
    9: Cause.TLS_NOT_YET,
    10: Cause.TLS_EXPIRED,
    62: Cause.TLS_HOST,
    64: Cause.TLS_HOST,  # the same of a host that is written in numbers
}
_UNREACHABLE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


@dataclass(frozen=True, slots=True)
class Tls:
    """What was agreed: the version, and the certificate that the other side showed (DER)."""

    version: str
    certificate: bytes


class Wire:
    """A connected socket as `http.client` takes one; nothing is waited for after `deadline`."""

    def __init__(self, bare: socket.socket, deadline: Deadline) -> None:
        self._bare = bare
        self.deadline = deadline

    def sendall(self, data: bytes) -> None:
        """Sends everything, or raises `OSError`."""
        self._bare.settimeout(self.deadline.left)
        self._bare.sendall(data)

    def makefile(self, mode: str = "rb") -> io.BufferedReader:
        """What the other side sends, as a stream."""
        del mode  # nothing is ever written through it
        return io.BufferedReader(_Received(self._bare, self.deadline))

    def close(self) -> None:
        """Nothing: `http.client` says so before it reads the answer of a connection that ends with it."""

    def end(self) -> None:
        """Ends the connection."""
        self._bare.close()


class _Received(io.RawIOBase):
    def __init__(self, bare: socket.socket, deadline: Deadline) -> None:
        super().__init__()
        self._bare = bare
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        if self._deadline.over:
            raise TimeoutError
        self._bare.settimeout(self._deadline.left)
        return self._bare.recv_into(buffer)


def connected(addresses: Sequence[str], port: int, deadline: Deadline) -> socket.socket:
    """A connection to the first address that takes one.

    Raises `StageError` of the stage `tcp`, with the cause of the first.
    """
    causes = []
    for address in addresses:
        try:
            return socket.create_connection((address, port), timeout=deadline.left)
        except TimeoutError:
            causes.append(Cause.TCP_TIMEOUT)
        except ConnectionError:
            causes.append(Cause.TCP_REFUSED)
        except OSError as error:
            causes.append(Cause.TCP_TIMEOUT if error.errno == errno.ETIMEDOUT else Cause.TCP_UNREACHABLE)
        if deadline.over:
            break
    raise StageError(Stage.TCP, causes[0] if causes else Cause.TCP_UNREACHABLE)


def tls_context(trust: str | None) -> ssl.SSLContext:
    """TLS 1.2 or later, with hosts that these certificates (PEM) vouch for, or those that the machine trusts."""
    context = ssl.create_default_context(cadata=trust)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def encrypted(bare: socket.socket, host: str, context: ssl.SSLContext, deadline: Deadline) -> tuple[socket.socket, Tls]:
    """The same connection under TLS, with a host that was believed.

    Raises `StageError` of the stage `tls`; the bare connection is closed then.
    """
    made = bare
    try:
        bare.settimeout(deadline.left)
        made = context.wrap_socket(bare, server_hostname=host, do_handshake_on_connect=False)
        made.do_handshake()  # its time limit is for all of it, unlike that of a read
        return made, Tls(made.version() or "", made.getpeercert(binary_form=True) or b"")
    except ssl.SSLCertVerificationError as error:
        cause = _VERIFY.get(error.verify_code, Cause.TLS_CHAIN)
    except (OSError, ValueError):  # the latter of a host that no certificate could name
        cause = Cause.TLS_HANDSHAKE
    made.close()
    raise StageError(Stage.TLS, cause)
