"""The operations page: for those who run the installation, on the machine itself or behind their own gate.

It only looks: its view of the store is read-only, and what is to be typed stands on it as a command.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Generic, TypeVar

import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ent_sync.config.settings import Settings
from ent_sync.observe.metrics import reading
from ent_sync.web.overview import overview
from ent_sync.web.render import Pages

LASTING = 5.0
"""A look at the store is good for so many seconds, however often somebody reloads the page."""

T = TypeVar("T")


class Kept(Generic[T]):
    """What was made lately is shown again; of many who ask at once, one makes it and the others wait."""

    def __init__(self, made: Callable[[], T], lasting: float) -> None:
        self._made = made
        self._lasting = lasting
        self._guard = threading.Lock()
        self._last: tuple[float, T] | None = None

    def __call__(self) -> T:
        """It, not older than it may be."""
        with self._guard:
            if self._last is None or time.monotonic() - self._last[0] >= self._lasting:
                made = self._made()
                self._last = (time.monotonic(), made)
            return self._last[1]


@contextmanager
def looking(url: str) -> Iterator[sa.Connection]:
    """A view of the store that cannot write, over a connection of its own."""
    with reading(url) as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA query_only = ON")
        yield connection


def operations(
    settings: Settings,
    pages: Pages,
    view: Callable[[], AbstractContextManager[sa.Connection]],
    *,
    partners: str | None = None,
    lasting: float = LASTING,
) -> list[Route]:
    """The page at `/`. `partners` is the path of the partners' page, where there is one."""

    def seen() -> dict[str, object]:
        at = pages.now()
        with view() as connection:
            return {"seen": overview(connection, settings, at), "at": at}

    kept = Kept(seen, lasting)

    def page(request: Request) -> Response:
        return pages.page(request, "operations.html", {**kept(), "partners": partners})

    return [Route("/", pages.guarded(page))]
