"""What the daemon serves beside its runs: metrics, health and pages.

None of it is needed for a run: where an address is taken, that is told, and the daemon works on (a monitor that cannot
look must not stop what it looks at).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from functools import partial

import structlog

from ent_sync import compose
from ent_sync.daemon.service import Daemon
from ent_sync.observe.metrics import Live
from ent_sync.store import circuit
from ent_sync.store.database import Database
from ent_sync.web.monitor import watched
from ent_sync.web.pages import pages as web_pages
from ent_sync.web.serve import NotServedError, served

log = structlog.get_logger()


@contextlib.contextmanager
def metrics(daemon: Daemon) -> Iterator[None]:
    """Serves `/metrics`, `/healthz` and `/readyz`."""
    settings = daemon.settings
    policy = compose.load_policy(settings)
    parts = compose.parts_of(settings)
    parts.database.close()
    live = Live(in_flight=daemon.in_flight, circuit_open=partial(_circuits, settings.store_url), missed=daemon.missed)
    sources = {name: each.source for name, each in parts.sources.items()}
    targets = {each.name: partial(compose.target_of, settings, each, policy) for each in settings.targets}
    with contextlib.ExitStack() as stack:
        try:
            address = stack.enter_context(watched(settings, policy.register, sources, targets, compose.now, live))
            log.info("metrics served", host=address.host, port=address.port)
        except NotServedError as error:
            log.error("metrics not served", reasons=[str(error)])  # noqa: TRY400 - the exception says no more
        yield


@contextlib.contextmanager
def pages(daemon: Daemon) -> Iterator[None]:
    """Serves the operations page, and the partners' status page beside it."""
    settings = daemon.settings
    with contextlib.ExitStack() as stack:
        try:
            address = stack.enter_context(served(web_pages(settings, compose.now), settings.web.listen))
            log.info("pages served", host=address.host, port=address.port)
        except NotServedError as error:
            log.error("pages not served", reasons=[str(error)])  # noqa: TRY400 - the exception says no more
        yield


def _circuits(store_url: str) -> Mapping[str, float]:
    with contextlib.closing(Database(store_url)) as database, database.reading() as connection:
        return circuit.all_open(connection)
