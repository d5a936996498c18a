"""The client of probes: one request after another as a person's browser sends them, within limits that hold.

Own code over `http.client`, since no well-kept library tells the stages of a connection apart or stops an answer that
drips (federation-slo.md §2). Every hop goes to a host of the configuration only; bodies are capped; cookies live as
long as the attempt. Nothing of a body or an address is ever put into an error or a log line.
"""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from http.cookiejar import CookieJar
from urllib.parse import quote, urlencode, urljoin, urlsplit
from urllib.request import Request

from ent_sync.config.fields import Address
from ent_sync.core.levels.samples import Cause, Stage
from ent_sync.federation.names import addresses
from ent_sync.federation.service import Service
from ent_sync.federation.stopwatch import StageError, Stopwatch
from ent_sync.federation.wires import Tls, Wire, connected, encrypted, tls_context

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_AGAIN_WITH_BODY = frozenset({307, 308})
_LONGEST_WAIT = 86400
_WRITTEN = "%/:=&?~+!$,;'@()*[]#"
"""What an address may hold as it is; the rest, ends of lines above all, is escaped before anything is asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The longest that each stage and a whole attempt may last, in seconds; the most that is read and followed."""

    dns: float = 3
    tcp: float = 5
    tls: float = 5
    http: float = 10
    login: float = 15
    attempt: float = 45
    body: int = 2 * 2**20
    redirects: int = 5


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Reply:
    """An answer with status 200 to 299, or 304; its body may hold anything, so the repr shows nothing of it."""

    url: str
    status: int
    media: str
    charset: str | None
    etag: str | None
    body: bytes
    tls: Tls | None

    def __repr__(self) -> str:
        return f"<Reply {self.status}>"


@dataclass(frozen=True, slots=True, repr=False)
class _Answer:
    response: http.client.HTTPResponse
    body: bytes
    tls: Tls | None


class Browser:
    """The requests of one attempt on one service."""

    def __init__(
        self, service: Service, watch: Stopwatch, limits: Limits, *, agent: str, resolvers: Sequence[Address] = ()
    ) -> None:
        self._service = service
        self._watch = watch
        self._limits = limits
        self._agent = agent
        self._resolvers = resolvers
        self._cookies = CookieJar()
        self.first_tls: Tls | None = None
        self.retry_after: float | None = None

    def get(self, url: str, stage: Stage, *, etag: str | None = None) -> Reply:
        """What is at an address, redirects followed. The exchange counts to `stage`.

        Raises `StageError`: of `dns`, `tcp` or `tls` where no connection came about, else of `stage`.
        """
        return self._follow(url, stage, headers={"If-None-Match": etag} if etag else {})

    def post(self, url: str, fields: Sequence[tuple[str, str]], stage: Stage) -> Reply:
        """What a form answers; as `get`, but that a redirect which would carry the fields elsewhere is not followed."""
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._follow(url, stage, data=urlencode(fields).encode(), headers=form)

    def _follow(self, url: str, stage: Stage, *, headers: Mapping[str, str], data: bytes | None = None) -> Reply:
        for _ in range(self._limits.redirects + 1):
            url = quote(url, safe=_WRITTEN)
            if not self._service.admits(url):
                break
            request = Request(url, data=data, headers=dict(headers))  # noqa: S310 - of http or https, just asked
            answer = self._exchanged(request, stage)
            location = answer.response.headers.get("Location")
            if answer.response.status not in _REDIRECTS or location is None:
                return self._judged(request, answer, stage)
            if answer.response.status in _AGAIN_WITH_BODY and data is not None:
                break
            url, data, headers = _resolved(url, location), None, {}
        raise StageError(stage, Cause.HTTP_REDIRECT)

    def _judged(self, request: Request, answer: _Answer, stage: Stage) -> Reply:
        response = answer.response
        if response.status in {429, 503}:
            self.retry_after = _seconds(response.headers.get("Retry-After"))
        if response.status >= 500:
            raise StageError(stage, Cause.HTTP_5XX)
        if response.status >= 400:
            raise StageError(stage, Cause.HTTP_4XX)
        if response.status >= 300 and response.status != 304:
            raise StageError(stage, Cause.HTTP_REDIRECT)
        return Reply(
            url=request.full_url,
            status=response.status,
            media=response.headers.get_content_type(),
            charset=response.headers.get_content_charset(),
            etag=response.headers.get("ETag"),
            body=answer.body,
            tls=answer.tls,
        )

    def _exchanged(self, request: Request, stage: Stage) -> _Answer:
        parts = urlsplit(request.full_url)
        host = (parts.hostname or "").lower()
        wire, tls = self._opened(host, parts.port, secure=parts.scheme == "https")
        connection = http.client.HTTPConnection(host, parts.port)
        limit = self._limits.login if stage is Stage.LOGIN else self._limits.http
        try:
            with self._watch.stage(stage, limit) as deadline:
                wire.deadline = deadline
                connection.sock = wire  # a part of a socket is all that it uses
                response = self._asked(
                    connection, request, f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
                )
                body = response.read(self._limits.body + 1)
                if len(body) > self._limits.body:
                    raise StageError(stage, Cause.HTTP_SIZE)
        except (OSError, http.client.HTTPException):
            # An answer that breaks off, or is none, is one that never came.
            raise StageError(stage, Cause.HTTP_TIMEOUT) from None
        finally:
            connection.close()
            wire.end()
        self._cookies.extract_cookies(response, request)
        return _Answer(response, body, tls)

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return tls_context(self._service.trust)

    def _opened(self, host: str, port: int | None, *, secure: bool) -> tuple[Wire, Tls | None]:
        context = self._tls if secure else None  # made before any clock runs
        with self._watch.stage(Stage.DNS, self._limits.dns) as deadline:
            found = addresses(host, self._resolvers, deadline)
        with self._watch.stage(Stage.TCP, self._limits.tcp) as deadline:
            reached = [each for each in found if self._service.reaches(host, each)]
            bare = connected(reached, port or (443 if secure else 80), deadline)
        if context is None:
            return Wire(bare, deadline), None
        with self._watch.stage(Stage.TLS, self._limits.tls) as deadline:
            made, tls = encrypted(bare, host, context, deadline)
        self.first_tls = self.first_tls or tls
        return Wire(made, deadline), tls

    def _asked(self, connection: http.client.HTTPConnection, request: Request, target: str) -> http.client.HTTPResponse:
        self._cookies.add_cookie_header(request)
        headers: Mapping[str, str] = {
            "User-Agent": self._agent,
            "Accept": "text/html, application/samlmetadata+xml, application/xml, */*;q=0.5",
            "Accept-Language": "fr, en;q=0.5",
            "Accept-Encoding": "identity",
            "Connection": "close",
            **dict(request.header_items()),
        }
        data = request.data if isinstance(request.data, bytes) else None
        connection.request(request.get_method(), target, body=data, headers=dict(headers))
        return connection.getresponse()


def _resolved(url: str, location: str) -> str:
    """Where a redirect leads; an empty address, which nobody admits, where it makes no sense."""
    try:
        return urljoin(url, location.strip()).partition("#")[0]
    except ValueError:
        return ""


def _seconds(written: str | None) -> float | None:
    """`Retry-After` in seconds; None where it is a date or absent, which says no more than the status does."""
    return float(min(int(written), _LONGEST_WAIT)) if written and written.isdecimal() and len(written) < 10 else None
