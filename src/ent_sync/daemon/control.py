"""The daemon's control socket: HTTP beside the store, for whoever may enter the folder (mode 0660).

One command needs it, `ent-sync reload`, which wants an answer; everything else goes through the store. Both ends are
here. The socket is opened through its folder, so that no path is too long for one.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from ent_sync.core.errors import BadConfigurationError, EntSyncError

NAME = "control.sock"
_MODE = 0o660
_REFUSED = 422
_PATIENCE = 120.0

log = structlog.get_logger()

Document = Mapping[str, object]


class DaemonUnreachableError(EntSyncError):
    """No daemon answers."""

    exit_code = 6


def place(store: Path) -> Path:
    """Where the socket of a store's daemon is."""
    return store.absolute().parent / NAME


def problems_document(config: Path, error: BadConfigurationError) -> dict[str, object]:
    """What is wrong with a configuration, as `config check` says it."""
    return {
        "schema": "ent-sync/problems/1",
        "config": str(config),
        "problems": [
            {
                "file": each.where.file,
                "line": each.where.line,
                "column": each.where.column,
                "path": each.where.path,
                "rule": each.rule,
                "message": each.message,
                "text": str(each),
            }
            for each in error.problems
        ],
    }


# -- the daemon's end --------------------------------------------------------------------------------------------------


class Control:
    """Serves the socket, in a thread of its own."""

    def __init__(
        self, path: Path, config: Path, reload: Callable[[], Document], status: Callable[[], Document]
    ) -> None:
        """`reload` of `config` may take its time and raises what is wrong; `status` answers at once."""
        self._path = path
        self._config = config
        self._reload = reload
        self._status = status
        routes = [
            Route("/reload", self._answer_reload, methods=["POST"]),
            Route("/status", self._answer_status, methods=["GET"]),
        ]
        self._server = uvicorn.Server(
            uvicorn.Config(
                Starlette(routes=routes),
                http=_Asking,
                loop="asyncio",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=2,
            )
        )
        self._thread = threading.Thread(target=self._serve, name="control", daemon=True)
        self._socket: socket.socket | None = None

    def start(self) -> None:
        """Open the socket, then serve it. One that lies there is a dead daemon's: ours holds the store's lease.

        Raises:
            EntSyncError: it cannot be opened.
        """
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with _beside(self._path) as (folder, near):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self._path.name, dir_fd=folder)
                self._socket.bind(near)
                os.chmod(self._path.name, _MODE, dir_fd=folder)  # before anybody can connect: nobody listens yet
            self._socket.listen(16)
        except OSError as error:
            self._socket.close()
            raise EntSyncError(f"the control socket {self._path} cannot be opened: {error.strerror}") from None
        self._thread.start()

    def close(self) -> None:
        """Stop serving, and take the socket away."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(timeout=5)
        if self._socket is not None:
            self._socket.close()
            self._path.unlink(missing_ok=True)

    def _serve(self) -> None:
        # Not `Server.run`, whose signal handling is for a process of its own.
        with asyncio.Runner() as runner:
            runner.run(self._server.serve(sockets=[self._socket] if self._socket else []))

    async def _answer_reload(self, request: Request) -> Response:
        process, account = request.scope["state"].get("peer", (None, None))
        log.info("reload asked", process=process, account=account)
        try:
            return JSONResponse(await run_in_threadpool(self._reload))
        except BadConfigurationError as error:
            return JSONResponse(problems_document(self._config, error), _REFUSED)
        except EntSyncError as error:
            return JSONResponse({"schema": "ent-sync/error/1", "message": str(error)}, 500)

    async def _answer_status(self, request: Request) -> Response:
        del request
        return JSONResponse(await run_in_threadpool(self._status))


class _Asking(H11Protocol):
    """Tells who asks: the process and the account at the other end, as the kernel knows them."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        asking = transport.get_extra_info("socket")
        packed = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        process, account, _ = struct.unpack("3i", packed)
        self.app_state = {**self.app_state, "peer": (process, account)}
        super().connection_made(transport)


# -- the command's end -------------------------------------------------------------------------------------------------


def ask_reload(path: Path) -> Document:
    """Ask the daemon to read its configuration again, and wait for its answer.

    Raises:
        DaemonUnreachableError: none answers.
        RefusedError: it keeps the old one, and says why.
    """
    status, document = _ask(path, "POST", "/reload")
    if status == _REFUSED:
        raise RefusedError(document)
    if status != http.HTTPStatus.OK:
        raise EntSyncError(f"the daemon could not do it: {document.get('message', status)}")
    return document


def ask_status(path: Path) -> Document:
    """What the daemon is doing.

    Raises:
        DaemonUnreachableError: none answers.
    """
    return _ask(path, "GET", "/status")[1]


class RefusedError(EntSyncError):
    """The daemon refused the new configuration, and works on with the old one."""

    exit_code = BadConfigurationError.exit_code

    def __init__(self, document: Document) -> None:
        super().__init__("the daemon refused the configuration, and works on with the one it has")
        self.document = document


def _ask(path: Path, method: str, what: str) -> tuple[int, Document]:
    asking = _UnixConnection(path)
    try:
        asking.request(method, what)
        answer = asking.getresponse()
        document: Any = json.loads(answer.read())
    except (FileNotFoundError, ConnectionRefusedError):
        raise DaemonUnreachableError(f"no daemon runs here: there is none at {path}. Look: ent-sync status") from None
    except PermissionError:
        raise DaemonUnreachableError(f"this account may not speak to the daemon at {path}") from None
    except (OSError, http.client.HTTPException, ValueError):
        raise DaemonUnreachableError(f"the daemon at {path} does not answer") from None
    finally:
        asking.close()
    return answer.status, document if isinstance(document, dict) else {}


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a socket that is a file."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_PATIENCE)
        self._path = path

    def connect(self) -> None:
        """See `http.client.HTTPConnection`."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        with _beside(self._path) as (_, near):
            self.sock.connect(near)


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[tuple[int, str]]:
    """The folder of a socket, open, and a path to the socket through it: 108 bytes are all that one may have."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield folder, f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
