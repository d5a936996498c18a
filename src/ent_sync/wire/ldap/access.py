"""Opens links: which server answers, TLS, and as whom we are bound (RFC 4511 §4.2, RFC 4513).

ldap3 does the opening, so that nothing here is about cryptography or SASL; what it may not do is fetch a schema, follow
a referral, or be asked for entries (ops.md §5).
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path

from ldap3 import ANONYMOUS, EXTERNAL, NONE, SASL, SIMPLE, SYNC, Connection, Server, Tls
from ldap3.core.exceptions import LDAPExceptionError

from ent_sync.config.directory import DirectorySection, ExternalBind, SimpleBind, TlsSection
from ent_sync.core.errors import BadConfigurationError, Problem, UnavailableError, Where
from ent_sync.wire.ldap import ber, search
from ent_sync.wire.ldap.ber import MalformedError
from ent_sync.wire.ldap.link import Link, RootDse, message, wrap
from ent_sync.wire.ldap.result import SUCCESS, TRY_AGAIN, LdapError, LostConnectionError, code_name, result

__all__ = ["Link", "RootDse", "connect"]

_WHO_AM_I = "1.3.6.1.4.1.4203.1.11.3"
_EXTENDED_REQUEST, _EXTENDED_VALUE = 0x77, 0x8B
_IDLE_SECONDS, _BETWEEN_SECONDS, _TIMES = 60, 15, 4


def connect(section: DirectorySection, base: Path, environ: Mapping[str, str], *, who: str) -> Link:
    """A link to the first server that answers; paths and secrets are taken as in `SecretRef.read`.

    `who` begins the sentence when there is none: "source lille". Raises `UnavailableError` when no server can be
    reached, believed and bound to, with what each said; a refused bind is not tried elsewhere, since it would only
    count as one more wrong password. Raises `BadConfigurationError` when a secret or a certificate cannot be read.
    """
    password = section.bind.password.read(base, environ) if isinstance(section.bind, SimpleBind) else None
    context = _context(section.tls, base)
    said = []
    for server in section.servers:
        try:
            return _opened(section, server, context, password)
        except _NotThisServer as refused:
            said.append(f"{server}: {refused}")
            if refused.final:
                break
    raise UnavailableError(f"{who} cannot be used: {'; '.join(said)}")


class _NotThisServer(Exception):  # noqa: N818 - a reason to go on with the next one, unless it is final
    def __init__(self, sentence: str, *, final: bool = False) -> None:
        super().__init__(sentence)
        self.final = final


class _StandardTls(Tls):  # type: ignore[misc]  # ldap3 has no types
    """TLS as the standard library does it: ldap3's own check of the host name is gone from Python 3.12."""

    def __init__(self, context: ssl.SSLContext, seconds: float) -> None:
        super().__init__()
        self._context = context
        self._seconds = seconds
        self.said = ""

    def wrap_socket(self, connection: Connection, do_handshake: bool = False) -> None:
        """Encrypts the socket of `connection`; what goes wrong is kept in `said`, ldap3 hands it on as text only."""
        del do_handshake  # the standard library does it at once
        bare: socket.socket = connection.socket
        usual = bare.gettimeout()
        bare.settimeout(self._seconds)
        try:
            wrapped = self._context.wrap_socket(bare, server_hostname=connection.server.host)
        except ssl.SSLCertVerificationError as error:
            self.said = f"its certificate is not believed: {error.verify_message}"
            raise
        except ssl.SSLError as error:
            self.said = f"TLS was refused: {error.reason or 'no reason given'}"
            raise
        except OSError:
            self.said = "TLS did not begin"
            raise
        wrapped.settimeout(usual)
        connection.socket = wrapped


def _context(tls: TlsSection, base: Path) -> ssl.SSLContext:
    """What to believe and what to show; the server's name is always checked."""
    ca = None if tls.ca is None else base / tls.ca
    try:
        context = ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise _unreadable(ca or Path(), error) from None
    if tls.certificate is not None:
        certificate = base / tls.certificate
        key = None if tls.key is None else base / tls.key
        try:
            # Without a password given, OpenSSL would ask for one at the terminal.
            context.load_cert_chain(certificate, key, password=lambda: b"")
        except OSError as error:
            raise _unreadable(certificate, error) from None
    return context


def _unreadable(path: Path, error: OSError) -> BadConfigurationError:
    why = (
        "is not a PEM file that can be used" if isinstance(error, ssl.SSLError) else f"cannot be read: {error.strerror}"
    )
    return BadConfigurationError([Problem(Where(str(path)), "certificate", why)])


def _opened(section: DirectorySection, server: str, context: ssl.SSLContext, password: bytes | None) -> Link:
    tls = _StandardTls(context, section.connect_timeout.total_seconds())
    seconds = section.receive_timeout.total_seconds()
    connection = _connection(section, server, tls, password)
    try:
        connection.open(read_server_info=False)
        if section.tls.start_tls and server.startswith("ldap://"):
            connection.start_tls(read_server_info=False)
        connection.bind(read_server_info=False)
    except (LDAPExceptionError, OSError) as error:
        _dispose(connection)
        raise _NotThisServer(tls.said or _why(connection, error)) from None
    code = connection.result["result"]
    if code != SUCCESS:
        _dispose(connection)
        raise _NotThisServer(f"the bind was refused: {code_name(code)}", final=code not in TRY_AGAIN)
    _keep_alive(connection.socket)
    bound_as = section.bind.dn if isinstance(section.bind, SimpleBind) else ""
    link = Link(connection.socket, server=server, bound_as=bound_as, timeout=seconds)
    try:
        link.root = _root(link)
        if isinstance(section.bind, ExternalBind) and _WHO_AM_I in link.root.extensions:
            link.bound_as = _who_am_i(link)
    except (LostConnectionError, LdapError, MalformedError) as error:
        link.close()
        raise _NotThisServer(f"it does not say what it offers: {error}") from None
    return link


def _connection(section: DirectorySection, server: str, tls: Tls, password: bytes | None) -> Connection:
    match section.bind:
        case SimpleBind(dn=dn):
            who = {"user": dn, "password": password, "authentication": SIMPLE}
        case ExternalBind():
            who = {"authentication": SASL, "sasl_mechanism": EXTERNAL, "sasl_credentials": ""}
        case None:
            who = {"authentication": ANONYMOUS}
    return Connection(
        Server(server, get_info=NONE, tls=tls, connect_timeout=section.connect_timeout.total_seconds()),
        client_strategy=SYNC,
        auto_referrals=False,
        raise_exceptions=False,
        receive_timeout=max(1, int(section.receive_timeout.total_seconds())),
        **who,
    )


def _dispose(connection: Connection) -> None:
    if connection.socket is not None:
        connection.socket.close()


def _why(connection: Connection, error: Exception) -> str:
    """The reason in few words; of ldap3's own text only what the operating system said, which names nobody."""
    said = str(connection.last_error or "")
    if "timed out" in said or isinstance(error, TimeoutError):
        return "no answer in time"
    if found := re.search(r"\[Errno -?[0-9]+\] ([A-Za-z ]+)", said):
        return found[1].lower()
    if "startTLS" in said:
        return "StartTLS was refused"
    if "invalid server address" in said or "invalid server address" in str(error):
        return "the name of the host is not known"
    return "the connection was closed"


def _keep_alive(connected: socket.socket) -> None:
    """Lets a dead peer be noticed while nothing is asked, and small requests leave at once."""
    if connected.family == socket.AF_UNIX:
        return
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _IDLE_SECONDS)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _BETWEEN_SECONDS)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _TIMES)


def _root(link: Link) -> RootDse:
    """What the server says of itself; nothing where it does not show it to us."""
    wanted = ("supportedControl", "supportedExtension", "supportedFeatures", "namingContexts", "subschemaSubentry")
    try:
        entry = search.read(link, "", wanted)
    except LdapError:
        entry = None
    if entry is None:
        return RootDse()
    found = {
        name.lower(): [ber.text(value) for value in values] for name, values in ber.attributes(entry.content).items()
    }
    return RootDse(
        controls=frozenset(found.get("supportedcontrol", ())),
        extensions=frozenset(found.get("supportedextension", ())),
        features=frozenset(found.get("supportedfeatures", ())),
        naming_contexts=tuple(found.get("namingcontexts", ())),
        subschema=next(iter(found.get("subschemasubentry", ())), None),
    )


def _who_am_i(link: Link) -> str:
    """The DN as which the server knows us (RFC 4532); empty where it is none."""
    number = link.next_id()
    link.send(message(number, wrap(_EXTENDED_REQUEST, wrap(0x80, _WHO_AM_I.encode()))))
    answer = result(link.answers(number)[0])
    if answer.code != SUCCESS:
        raise LdapError(answer.code)
    name = next((ber.text(value) for tag, value in answer.rest if tag == _EXTENDED_VALUE), "")
    return name.removeprefix("dn:") if name.startswith("dn:") else ""
