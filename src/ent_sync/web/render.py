"""Turns what a page shows into an answer: template, language, and the headers that keep a browser from doing more.

No page runs a script or loads anything from elsewhere, and the headers say so. Everything is answered to GET only.
"""

from __future__ import annotations

import datetime as dt
import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import TypeAlias
from zoneinfo import ZoneInfo

import jinja2
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from ent_sync import __version__
from ent_sync.core.errors import EntSyncError
from ent_sync.federation.words import LANGUAGES
from ent_sync.web.texts import Texts, chosen

Answer: TypeAlias = Callable[[Request], Response]

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
"""What every answer says beside its own headers."""


@functools.cache
def _templates() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("ent_sync.web"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"instant": dt.datetime.fromisoformat, "day": dt.date.fromisoformat}  # documents hold text
    made.globals["infinity"] = math.inf
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """How the pages of one installation are rendered. `style` is the path under which the style sheet is served."""

    zone: ZoneInfo
    now: Callable[[], dt.datetime]
    style: str
    cached: str = "no-store"

    def texts(self, request: Request) -> Texts:
        """In which language an answer speaks."""
        return Texts(chosen(request.query_params.get("lang"), request.headers.get("accept-language", "")), self.zone)

    def page(self, request: Request, template: str, values: Mapping[str, object], status: int = 200) -> Response:
        """A page from a template and what it shows."""
        texts = self.texts(request)
        other = next(each for each in LANGUAGES if each != texts.language)
        text = (
            _templates()
            .get_template(template)
            .render(
                t=texts,
                now=self.now(),
                here=request.url.path,
                style=self.style,
                other=other,
                # The language goes along with links only where somebody chose it by hand.
                lang=f"?lang={texts.language}" if "lang" in request.query_params else "",
                version=__version__,
                **values,
            )
        )
        headers = {"Content-Language": texts.language, "Vary": "Accept-Language", "Cache-Control": self.cached}
        return self.answer(text, "text/html; charset=utf-8", headers, status)

    def failure(self, request: Request, status: int, why: str = "") -> Response:
        """A page that says why there is none."""
        return self.page(request, "failure.html", {"status": status, "why": why}, status)

    def answer(
        self, content: str | bytes, content_type: str, headers: Mapping[str, str] | None = None, status: int = 200
    ) -> Response:
        """An answer with the headers of the house."""
        return Response(content, status, {**HEADERS, **(headers or {}), "Content-Type": content_type})

    def sheet(self, _request: Request) -> Response:
        """The style sheet."""
        text = files("ent_sync.web").joinpath("static", "style.css").read_bytes()
        return self.answer(text, "text/css; charset=utf-8", {"Cache-Control": "max-age=3600"})

    def guarded(self, made: Answer) -> Answer:
        """The same page, or one that says what keeps it from being made."""

        @functools.wraps(made)
        def answered(request: Request) -> Response:
            try:
                return made(request)
            except EntSyncError as error:
                return self.failure(request, 503, str(error))

        return answered

    def refused(self, request: Request, error: Exception) -> Response:
        """For what is not here, and for whoever does more than look."""
        status = error.status_code if isinstance(error, HTTPException) else 500
        answer = self.failure(request, status)
        if isinstance(error, HTTPException):
            answer.headers.update(error.headers or {})
        return answer
