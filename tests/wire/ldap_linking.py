"""Links to a slapd for tests, and a wire between them that can be cut."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

from ent_sync.config.directory import DirectorySection
from ent_sync.wire.ldap import access
from ent_sync.wire.ldap.access import Link
from servers.slapd import PASSWORD, Slapd

ENVIRON = {"PASSWORD": PASSWORD}
SECRET = {"env": "PASSWORD"}


def section(server: Slapd, **changed: object) -> DirectorySection:
    """How the reader reaches `server`; `changed` are keys of the section."""
    keys: dict[str, object] = {
        "servers": [server.url],
        "base": server.base,
        "bind": {"dn": server.reader, "password": SECRET},
    }
    return DirectorySection.model_validate({**keys, **changed})


def connect(server: Slapd, **changed: object) -> Link:
    return access.connect(section(server, **changed), Path("/"), ENVIRON, who="source lille")


@contextlib.contextmanager
def linked(server: Slapd, **changed: object) -> Iterator[Link]:
    with connect(server, **changed) as link:
        yield link


def person(number: int, base: str = "dc=ent,dc=example") -> str:
    """The LDIF of someone invented."""
    return (
        f"dn: uid=p{number},ou=people,{base}\nobjectClass: inetOrgPerson\nuid: p{number}\n"
        f"cn: Person {number}\nsn: {number}\ndescription: pupil\n\n"
    )


def change(number: int, *lines: str, base: str = "dc=ent,dc=example") -> str:
    """The LDIF of a change of one of them."""
    return "\n".join([f"dn: uid=p{number},ou=people,{base}", *lines, "", ""])


class Wire:
    """Hands bytes between a client and a server, and stops for good after `limit` bytes of the server's answers."""

    def __init__(self, port: int, limit: int) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._limit = limit
        self._ends: list[socket.socket] = [self._listening]
        self._thread = threading.Thread(target=self._run, args=(port,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"ldap://127.0.0.1:{self._listening.getsockname()[1]}"

    def _run(self, port: int) -> None:
        with contextlib.suppress(OSError):
            client, _ = self._listening.accept()
            server = socket.create_connection(("127.0.0.1", port))
            self._ends += [client, server]
            up = threading.Thread(target=self._carry, args=(client, server, 1 << 30), daemon=True)
            up.start()
            self._carry(server, client, self._limit)
            for end in (client, server):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            up.join()

    @staticmethod
    def _carry(source: socket.socket, sink: socket.socket, left: int) -> None:
        with contextlib.suppress(OSError):
            while left and (chunk := source.recv(min(left, 1 << 16))):
                sink.sendall(chunk)
                left -= len(chunk)

    def close(self) -> None:
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._thread.join(5)


@contextlib.contextmanager
def cut_after(server: Slapd, limit: int) -> Iterator[str]:
    """The address of a wire to `server` that breaks after `limit` bytes of its answers."""
    wire = Wire(server.port, limit)
    try:
        yield wire.url
    finally:
        wire.close()
