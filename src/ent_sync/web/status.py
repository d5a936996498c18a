"""The partners' status page at `/etat`, with its feeds and its accessibility statement below the same path.

One path, so that a gate towards the outside opens that one and no other.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ent_sync.config.federation import FederationSection
from ent_sync.federation.channels import feeds
from ent_sync.federation.words import Words
from ent_sync.store import notices
from ent_sync.web.bars import bars
from ent_sync.web.history import Histories, is_told
from ent_sync.web.operations import Kept
from ent_sync.web.partners import LATELY, partners, titles
from ent_sync.web.render import Pages

PATH = "/etat"
ACCESSIBILITY = f"{PATH}/accessibilite"
ATOM = f"{PATH}/flux.atom"
CALENDAR = f"{PATH}/maintenance.ics"
STYLE = f"{PATH}/style.css"
LASTING = 20.0


def status(
    federation: FederationSection,
    pages: Pages,
    view: Callable[[], AbstractContextManager[sa.Connection]],
    *,
    lasting: float = LASTING,
) -> list[Route]:
    """The routes of all that partners see."""
    histories = Histories(federation.vantages)

    def seen() -> dict[str, object]:
        at = pages.now()
        with view() as connection:
            return {"seen": partners(connection, federation, histories, at), "at": at}

    kept = Kept(seen, lasting)

    def words(request: Request) -> Words:
        texts = pages.texts(request)
        return Words(language=texts.language, titles=titles(federation), zone=texts.zone)

    def page(request: Request) -> Response:
        shown = {"words": words(request), "bars": bars, "is_told": is_told, "paths": _PATHS}
        return pages.page(request, "status.html", {**kept(), **shown})

    def accessibility(request: Request) -> Response:
        return pages.page(request, "accessibility.html", {"contact": federation.probing.contact, "paths": _PATHS})

    def atom(request: Request) -> Response:
        now = pages.now()
        with view() as connection:
            told = notices.listed(connection, since=now - LATELY)
            said = notices.updates(connection, [each.id for each in told])
        address = _address(federation, request)
        name = f"{federation.vantage}:{words(request).language}"
        feed = feeds.atom(told, said, words(request), url=address, name=name, now=now)
        return pages.answer(feed, "application/atom+xml; charset=utf-8", {"Vary": "Accept-Language"})

    def calendar(request: Request) -> Response:
        now = pages.now()
        with view() as connection:
            told = notices.listed(connection, since=now - LATELY)
        made = feeds.calendar(told, words(request), now=now, link=_address(federation, request))
        return pages.answer(made, "text/calendar; charset=utf-8", {"Vary": "Accept-Language"})

    shown = {PATH: page, ACCESSIBILITY: accessibility, ATOM: atom, CALENDAR: calendar}
    return [Route(STYLE, pages.sheet), *(Route(path, pages.guarded(made)) for path, made in shown.items())]


_PATHS = {"status": PATH, "accessibility": ACCESSIBILITY, "atom": ATOM, "calendar": CALENDAR}


def _address(federation: FederationSection, request: Request) -> str:
    """Where partners find the page: as configured, else as whoever asks has reached us."""
    return federation.public.url if federation.public else str(request.base_url).rstrip("/") + PATH
