"""Serves pages and metrics from a thread of the daemon, over TLS where the configuration says so.

Knows addresses and certificates; what is served is an ASGI application that others made.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from ent_sync.config.fields import Address
from ent_sync.core.errors import EntSyncError
from ent_sync.observe.health import Health
from ent_sync.observe.metrics import exposition

_STARTS_WITHIN = 10.0
_STOPS_WITHIN = 5


class NotServedError(EntSyncError):
    """Nothing can be served on an address: it is taken, or its certificate cannot be used."""


@dataclass(frozen=True, slots=True)
class Certificates:
    """The certificate to show and its key (PEM); with `client_ca`, only who shows a certificate of theirs is served."""

    certificate: Path
    key: Path | None = None
    client_ca: Path | None = None


def monitoring(registry: CollectorRegistry, health: Health) -> Starlette:
    """`/metrics`, `/healthz`, `/readyz` (contract §5). Each is answered in a thread, so none waits for another."""

    def metrics(request: Request) -> Response:
        try:
            body, content_type = exposition(registry, request.headers.get("accept", ""))
        except EntSyncError as error:
            return PlainTextResponse(f"{error}\n", status_code=503)
        return Response(body, media_type=content_type)

    def healthz(_request: Request) -> Response:
        return PlainTextResponse("alive\n")

    def readyz(_request: Request) -> Response:
        if reasons := health.reasons():
            return PlainTextResponse("".join(f"{reason}\n" for reason in reasons), status_code=503)
        return PlainTextResponse("ready\n")

    return Starlette(
        routes=[Route("/metrics", metrics), Route("/healthz", healthz), Route("/readyz", readyz)],
    )


@contextmanager
def served(app: Starlette, listen: Address, certificates: Certificates | None = None) -> Iterator[Address]:
    """Serves an application while the block runs; gives the address, with the port that was taken where 0 was asked.

    Raises:
        NotServedError: the address cannot be listened on, or the certificate cannot be used.
    """
    listening = _listening(listen)
    config = _config(app, certificates)
    try:
        config.load()
    except OSError as error:  # ssl.SSLError is one; neither names more than what is wrong with the file
        listening.close()
        raise NotServedError(f"the certificate for {listen} cannot be used: {error.strerror}") from None
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, name=f"serving {listen}", daemon=True)
    thread.start()
    try:
        _wait_until_started(server, thread, listen)
        yield Address(listen.host, listening.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(timeout=2 * _STOPS_WITHIN)
        listening.close()


def _config(app: Starlette, certificates: Certificates | None) -> uvicorn.Config:
    shown, key, client_ca = (
        (certificates.certificate, certificates.key, certificates.client_ca) if certificates else (None, None, None)
    )
    return uvicorn.Config(
        app,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_STOPS_WITHIN,
        ssl_certfile=shown,
        ssl_keyfile=key,
        ssl_ca_certs=client_ca,
        ssl_cert_reqs=ssl.CERT_REQUIRED if client_ca else ssl.CERT_NONE,
    )


def _listening(listen: Address) -> socket.socket:
    """The socket, taken here and not in the thread: an address that is taken is told to whoever starts us."""
    try:
        family = socket.getaddrinfo(listen.host, listen.port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((listen.host, listen.port), family=family)
    except OSError as error:
        raise NotServedError(f"{listen} cannot be listened on: {error.strerror}") from None


def _wait_until_started(server: uvicorn.Server, thread: threading.Thread, listen: Address) -> None:
    until = time.monotonic() + _STARTS_WITHIN
    while not server.started:
        if not thread.is_alive() or time.monotonic() > until:
            raise NotServedError(f"nothing answers on {listen}")
        time.sleep(0.01)
