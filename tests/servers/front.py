"""What stands before a server: TLS with a certificate of any kind, and answers of any kind, changed while it runs."""

import datetime as dt
import ipaddress
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = dt.timedelta(days=1)


class Authority:
    """Who vouches for servers; `pem` is its own certificate."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"authority of {folder.name}")])
        builder = _builder(self._name, self._name, self._key.public_key(), -DAY, 900 * DAY)
        made = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self.pem = made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()

    def certificate(self, begins: dt.timedelta, ends: dt.timedelta, host: str = "localhost") -> Path:
        """A file with a certificate for a host, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        names: list[x509.GeneralName] = [x509.DNSName(host)]
        if host == "localhost":
            names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
        builder = _builder(name, self._name, key.public_key(), begins, ends)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        made = builder.sign(self._key, hashes.SHA256())
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file = self._folder / f"{made.serial_number:x}.pem"
        file.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
        return file


def _builder(subject, issuer, key, begins, ends):
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + begins)
        .not_valid_after(now + ends)
    )


@dataclass
class Mode:
    """How the next request is answered; a `page` in place of what stands behind, or a `status`, or a `redirect`."""

    slow: float = 0
    drip: float = 0
    status: int = 0
    page: bytes | None = None
    media: str = "text/html; charset=utf-8"
    redirect: str | None = None
    redirect_status: int = 302
    replaces: tuple[bytes, bytes] = (b"", b"")
    """What stands in the answer from behind, and what is put in its place."""
    headers: dict[str, str] = field(default_factory=dict)
    silent: bool = False
    only: str = ""
    """A part of the path; other requests are passed on as they are."""
    method: str = ""
    """Likewise, where it is given."""


class Front(ThreadingHTTPServer):
    """A server before `behind`, or alone; it says what it was asked."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.mode = Mode()
        self.more: tuple[Mode, ...] = ()
        self.behind = ""
        self.context: ssl.SSLContext | None = None
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.bodies: list[bytes] = []

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    def show(self, certificate: Path) -> None:
        """From now on TLS with the certificate and key in a file."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self.context = context

    def get_request(self):
        bare, address = super().get_request()
        if self.context is not None:
            bare = self.context.wrap_socket(bare, server_side=True, do_handshake_on_connect=False)
        return bare, address

    def handle_error(self, request, client_address):
        """Nothing: clients that go away in the middle are what is tested."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args, **kwargs):
        return None


_OPENER = urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler({}))


class _Handler(BaseHTTPRequestHandler):
    server: Front

    def log_message(self, *args):
        pass

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append((self.command, self.path, dict(self.headers)))
        self.server.bodies.append(body)
        modes = (self.server.mode, *self.server.more)
        fitting = [each for each in modes if each.only in self.path and each.method in {"", self.command}]
        mode = fitting[0] if fitting else Mode()
        if mode.silent:
            return
        status, headers, answer = self._answer(mode, body)
        time.sleep(mode.slow)  # the fault itself, not a wait for something
        with suppress(OSError):
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            for each in [answer] if not mode.drip else (answer[n : n + 1] for n in range(len(answer))):
                self.wfile.write(each)
                self.wfile.flush()
                time.sleep(mode.drip)

    do_POST = do_GET  # noqa: N815 - the name that the standard library asks for

    def _answer(self, mode, body):
        extra = list(mode.headers.items())
        if mode.redirect is not None:
            return mode.redirect_status, [("Location", mode.redirect), *extra], b""
        if mode.page is not None:
            return mode.status or 200, [("Content-Type", mode.media), *extra], mode.page
        if mode.status or not self.server.behind:
            return mode.status or 404, extra, b""
        return self._behind(mode, body)

    def _behind(self, mode, body):
        kept = {
            name: self.headers[name] for name in ("Cookie", "Content-Type", "If-None-Match") if name in self.headers
        }
        data = body if self.command == "POST" else None
        url = self.server.behind + self.path
        asked = urllib.request.Request(url, data=data, headers=kept, method=self.command)  # noqa: S310 - of a test
        try:
            answer = _OPENER.open(asked, timeout=20)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            dropped = {"transfer-encoding", "connection", "content-length", "date", "server"}
            headers = [(name, value) for name, value in answer.headers.items() if name.lower() not in dropped]
            return answer.status, headers, answer.read().replace(*mode.replaces) if mode.replaces[0] else answer.read()


@contextmanager
def serving(*, certificate: Path | None = None, behind: str = "") -> Iterator[Front]:
    """A front that answers."""
    made = Front()
    made.behind = behind
    if certificate is not None:
        made.show(certificate)
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.shutdown()
        made.server_close()
        thread.join()
