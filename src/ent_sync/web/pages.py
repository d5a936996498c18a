"""All pages of an installation as one application: the operations page, and the partners' status page beside it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.routing import Route

from ent_sync.config.services import is_loopback
from ent_sync.config.settings import Settings
from ent_sync.web import status
from ent_sync.web.operations import looking, operations
from ent_sync.web.render import Pages

_STYLE = "/style.css"


def pages(settings: Settings, now: Callable[[], dt.datetime]) -> Starlette:
    """The application that `web.listen` serves.

    Each answer is made in a thread, over a connection of its own that only reads.
    """
    zone = ZoneInfo(settings.federation.calendar.zone if settings.federation else "Europe/Paris")
    inside = Pages(zone=zone, now=now, style=_STYLE)
    view = partial(looking, settings.store_url)
    routes = [Route(_STYLE, inside.sheet)]
    if settings.federation is not None:
        outside = replace(inside, style=status.STYLE, cached="max-age=20")
        routes += status.status(settings.federation, outside, view)
    routes += operations(settings, inside, view, partners=status.PATH if settings.federation else None)
    return Starlette(
        routes=routes,
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=_hosts(settings), www_redirect=False)],
        exception_handlers={HTTPException: inside.refused, 500: inside.refused},
    )


def _hosts(settings: Settings) -> list[str]:
    """By which names we are asked. On loopback only by its own and the public one.

    Else a page of another site, whose name is made to point here, could read ours in an operator's browser.
    """
    listened = settings.web.listen.host
    if not is_loopback(listened):
        return ["*"]
    public = settings.federation.public if settings.federation else None
    named = urlsplit(public.url).hostname if public else None
    return ["localhost", "127.0.0.1", "::1", "[::1]", listened, *([named] if named else [])]
