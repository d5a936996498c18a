"""The daemon's thread that looks at the federation: a tick when one is due, messages when they are.

It shares the store with the runs and nothing else: a run that works for an hour delays no tick, and a service that
hangs delays no run.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import threading
from collections.abc import Iterator
from functools import partial

import structlog

from ent_sync import compose
from ent_sync.config.directory import DirectorySection
from ent_sync.config.settings import Settings, SourceSection
from ent_sync.core.errors import EntSyncError
from ent_sync.core.fingerprint import name_digest
from ent_sync.daemon.service import Daemon
from ent_sync.federation.chain import Directory, Freshness, directory_name, freshness_name
from ent_sync.federation.watch import Watch
from ent_sync.observe.interval import interval
from ent_sync.store import ticked
from ent_sync.store.database import Database
from ent_sync.web.federation import counting_of

_LOOK = 1.0

log = structlog.get_logger()


def watch_of(settings: Settings, database: Database) -> Watch | None:
    """What looks at the federation's services, and at our own sources and chain beside them; None without a section.

    Raises:
        BadConfigurationError: a certificate or a secret that the section names cannot be read.
    """
    if settings.federation is None:
        return None
    keys = compose.keys_of(settings)
    return Watch(
        database,
        settings.federation,
        base=settings.base,
        environ=os.environ,
        digest=lambda text: name_digest(keys, text.encode()),
        now=compose.now,
        directories=[
            Directory(name=directory_name(each), section=each, base=settings.base, environ=os.environ)
            for each in settings.sources
            if isinstance(each, DirectorySection)
        ],
        freshness=[
            Freshness(
                name=freshness_name(each),
                source=each.name,
                interval=partial(_interval, each),
            )
            for each in settings.sources
            if each.schedule is not None
        ],
    )


def _interval(source: SourceSection, at: dt.datetime) -> dt.timedelta:
    return interval(source.schedule, source.delivers, at)


@contextlib.contextmanager
def federation(daemon: Daemon) -> Iterator[None]:
    """Looks at the federation while the daemon lives, where the configuration says so."""
    if daemon.settings.federation is None:
        yield
        return
    probing = Probing(daemon)
    probing.start()
    try:
        yield
    finally:
        probing.end()


class Probing(threading.Thread):
    """Ticks, as the settings in force say."""

    def __init__(self, daemon: Daemon) -> None:
        super().__init__(name="probing", daemon=True)
        self._of = daemon
        self._ended = threading.Event()

    def run(self) -> None:
        """Tick until told to end; what fails is told, and the next tick comes."""
        while not self._ended.is_set():
            settings = self._of.settings
            with contextlib.closing(Database(settings.store_url)) as database:
                try:
                    watch = watch_of(settings, database)
                except EntSyncError as error:
                    log.error("federation cannot be probed", reasons=[str(error)])  # noqa: TRY400 - it says no more
                    watch = None
                # A configuration that was read again is another one.
                while watch is not None and self._of.settings is settings and not self._ended.wait(_LOOK):
                    self._once(watch, database)
            self._ended.wait(_LOOK)

    def _once(self, watch: Watch, database: Database) -> None:
        try:
            if watch.tick_if_due() is None:
                watch.flush()
            elif (counting := counting_of(self._of.settings, compose.now(), watch.names)) is not None:
                with database.transaction() as connection:
                    ticked.keep(connection, counting, compose.now())
        except Exception as error:
            log.error("tick failed", exc_info=error)  # noqa: TRY400 - ours tells no text

    def end(self) -> None:
        """End after the attempt that is made."""
        self._ended.set()
        self.join(timeout=30)
