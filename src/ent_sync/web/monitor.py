"""What the daemon tells those who watch it, put together from its configuration: metrics, health, and where to ask."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

from ent_sync.config.fields import Address
from ent_sync.config.settings import Settings
from ent_sync.core.register import Register
from ent_sync.observe import health
from ent_sync.observe.health import Check, Health
from ent_sync.observe.interval import interval
from ent_sync.observe.metrics import Configured, Live, StoreCollector, reading, registry
from ent_sync.ports import Source, Target
from ent_sync.web.serve import Certificates, monitoring, served

Clock = Callable[[], dt.datetime]


def configured(settings: Settings, register: Register, now: Clock) -> Configured:
    """What the configuration names, as metrics need it."""

    def intervals() -> Mapping[str, float]:
        moment = now()
        return {
            section.name: interval(section.schedule, section.delivers, moment).total_seconds()
            for section in settings.sources
        }

    # A signature counts on the day that it names, too.
    ended = [grant.signature.expires + dt.timedelta(days=1) for grant in register.grants if grant.signature is not None]
    return Configured(
        sources=[section.name for section in settings.sources],
        targets=[section.name for section in settings.targets],
        schedules=[section.name for section in settings.sources if section.schedule is not None],
        intervals=intervals,
        signature_expires=min(ended, default=None),
    )


def checks(
    settings: Settings, sources: Mapping[str, Source], targets: Mapping[str, Callable[[], Target]], now: Clock
) -> dict[str, Check]:
    """What the daemon cannot do its work without: store, lease, sources and targets."""
    return {
        "store": health.of_store(settings.store_url),
        "lease": health.of_lease(partial(reading, settings.store_url), now),
        **{f"source {name}": health.of_source(partial(_same, source)) for name, source in sources.items()},
        **{f"target {name}": health.of_target(made) for name, made in targets.items()},
    }


def _same(source: Source) -> Source:
    return source


@contextmanager
def watched(
    settings: Settings,
    register: Register,
    sources: Mapping[str, Source],
    targets: Mapping[str, Callable[[], Target]],
    now: Clock,
    live: Live | None = None,
) -> Iterator[Address]:
    """Serves `/metrics`, `/healthz` and `/readyz` on `metrics.listen` while the block runs; gives the address.

    `targets` make a target of their own for each look: a connection belongs to the thread that looks.

    Raises:
        NotServedError: the address is taken, or the certificate cannot be used.
    """
    collector = StoreCollector(partial(reading, settings.store_url), configured(settings, register, now), now, live)
    found = registry(collector)
    # What looks at the federation is heavy: it is loaded where there is one.
    if settings.federation is not None:
        from ent_sync.federation.chain import names_of  # noqa: PLC0415
        from ent_sync.web import federation  # noqa: PLC0415

        if (beside := federation.collector(settings, now, names_of(settings.sources))) is not None:
            found.register(beside)
    app = monitoring(found, Health(checks(settings, sources, targets, now)))
    tls = settings.metrics.tls
    certificates = None
    if tls is not None:
        certificates = Certificates(
            settings.resolve(tls.certificate),
            settings.resolve(tls.key) if tls.key is not None else None,
            settings.resolve(tls.client_ca) if tls.client_ca is not None else None,
        )
    with served(app, settings.metrics.listen, certificates) as address:
        yield address
