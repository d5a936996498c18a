"""Our own chain as services: the LDAP sources that we read, and whether their people arrive in time.

An LDAP source is up when a server of it can be reached, believed and bound to. A refused bind says as little of the
service as a refused test account: it is unknown, since a password of ours may have changed.

Freshness of a source is down when its last success is older than two of its own intervals, in which a run may fail
once. That is known, so it is not `unknown`; but it is ours, so its cause is `own_error` and only operators are told:
partners hear of what the authorities run. A source that promises nothing, or never succeeded, is unknown.
"""

from __future__ import annotations

import datetime as dt
import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import sqlalchemy as sa
import structlog

from ent_sync.config.directory import DirectorySection
from ent_sync.config.settings import SourceSection
from ent_sync.core.errors import BadConfigurationError, UnavailableError
from ent_sync.core.levels.samples import UNDECIDED, Cause, Result, Sample, Stage
from ent_sync.federation.names import addresses
from ent_sync.federation.own import Own
from ent_sync.federation.probe import Attempt
from ent_sync.federation.stopwatch import StageError, Stopwatch
from ent_sync.federation.wires import connected, encrypted
from ent_sync.store import runs
from ent_sync.wire.ldap import access

INTERVALS = 2
"""So many intervals without a success are down."""
_DNS_SECONDS = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """An LDAP source as a service; `name` is that of the service, `ldap-SOURCE`."""

    name: str
    section: DirectorySection
    base: Path
    environ: Mapping[str, str] = field(repr=False)

    def look(self, vantage: str, at: dt.datetime, own: Own) -> Attempt:
        """One attempt; never raises."""
        watch = Stopwatch(4 * self.section.connect_timeout.total_seconds() + _DNS_SECONDS)
        failure: StageError | None
        try:
            failure = self._asked(watch) if own.network else StageError(Stage.OWN, Cause.OWN_NETWORK)
        except Exception as error:  # noqa: BLE001 - what we did wrong, or cannot read, is not the directory's failure
            if not isinstance(error, BadConfigurationError) and structlog.is_configured():
                structlog.get_logger().error("probe failed", name=self.name, exc_info=error)
            failure = StageError(Stage.OWN, Cause.OWN_ERROR)
        return _attempt(self.name, vantage, at, own.judged(failure) if failure else None, watch)

    def _asked(self, watch: Stopwatch) -> StageError | None:
        first: StageError | None = None
        for server in self.section.servers:
            try:
                self._reached(server, watch)
            except StageError as failure:
                first = first or failure
            else:
                return self._bound(watch)
        return first

    def _reached(self, server: str, watch: Stopwatch) -> None:
        """The server's name, port and certificate, step by step; `ldapi` has neither."""
        parts = urlsplit(server)
        if parts.scheme == "ldapi" or parts.hostname is None:
            return
        seconds = self.section.connect_timeout.total_seconds()
        with watch.stage(Stage.DNS, _DNS_SECONDS) as deadline:
            found = addresses(parts.hostname, (), deadline)
        with watch.stage(Stage.TCP, seconds) as deadline:
            bare = connected(found, parts.port or (636 if parts.scheme == "ldaps" else 389), deadline)
        if parts.scheme == "ldaps":
            with watch.stage(Stage.TLS, seconds) as deadline:
                bare, _ = encrypted(bare, parts.hostname, self._context(), deadline)
        bare.close()

    def _context(self) -> ssl.SSLContext:
        ca, tls = self.section.tls.ca, self.section.tls
        try:
            context = ssl.create_default_context(cafile=None if ca is None else self.base / ca)
            if tls.certificate is not None:
                key = None if tls.key is None else self.base / tls.key
                context.load_cert_chain(self.base / tls.certificate, key, password=lambda: b"")
        except OSError:
            raise StageError(Stage.OWN, Cause.OWN_ERROR) from None
        return context

    def _bound(self, watch: Stopwatch) -> StageError | None:
        try:
            with watch.stage(Stage.LOGIN, self.section.receive_timeout.total_seconds()):
                access.connect(self.section, self.base, self.environ, who=self.name).close()
        except UnavailableError as error:
            return _said(str(error))
        return None


def directory_name(source: SourceSection) -> str:
    """What the service of a directory that is asked is called."""
    return f"ldap-{source.name}"


def freshness_name(source: SourceSection) -> str:
    """What the freshness of a source that is read when due is called as a service."""
    return f"chain-{source.name}"


def names_of(sources: Iterable[SourceSection]) -> tuple[str, ...]:
    """The services of our own chain: the directories that are asked, and the freshness of what is read when due."""
    found = list(sources)
    directories = [directory_name(each) for each in found if isinstance(each, DirectorySection)]
    return (*directories, *(freshness_name(each) for each in found if each.schedule is not None))


def _said(sentence: str) -> StageError:
    """What a sentence of `wire.ldap.access` means as a cause."""
    if "the bind was refused" in sentence:
        return StageError(Stage.LOGIN, Cause.LOGIN_REFUSED)
    if "certificate is not believed" in sentence:
        return StageError(Stage.TLS, Cause.TLS_CHAIN)
    if "TLS" in sentence:
        return StageError(Stage.TLS, Cause.TLS_HANDSHAKE)
    return StageError(Stage.LOGIN, Cause.LOGIN_NO_RESPONSE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """A source's people as a service, `chain-SOURCE`.

    `interval` is how often the source is due; as a function of the moment where a calendar has longer pauses at times.
    """

    name: str
    source: str
    interval: dt.timedelta | Callable[[dt.datetime], dt.timedelta]

    def look(self, connection: sa.Connection, vantage: str, at: dt.datetime) -> Attempt:
        """Whether the last success is recent enough."""
        success = runs.source_state(connection, self.source).last_success
        interval = self.interval if isinstance(self.interval, dt.timedelta) else self.interval(at)
        if success is None or not interval:
            sample = Sample(service=self.name, vantage=vantage, time=at, result=Result.UNKNOWN, stage=Stage.OWN)
            return Attempt(sample=sample, stages=(), attempts=1, first=None)
        late = at - success > INTERVALS * interval
        sample = Sample(
            service=self.name,
            vantage=vantage,
            time=at,
            result=Result.DOWN if late else Result.UP,
            stage=Stage.OWN if late else None,
            cause=Cause.OWN_ERROR if late else None,
        )
        return Attempt(sample=sample, stages=(), attempts=1, first=sample.cause)


def _attempt(name: str, vantage: str, at: dt.datetime, failure: StageError | None, watch: Stopwatch) -> Attempt:
    result = Result.UP
    if failure is not None:
        result = Result.UNKNOWN if failure.cause in UNDECIDED else Result.DOWN
    sample = Sample(
        service=name,
        vantage=vantage,
        time=at,
        result=result,
        stage=failure.stage if failure else None,
        cause=failure.cause if failure else None,
        seconds=watch.seconds if watch.taken else None,
    )
    return Attempt(sample=sample, stages=watch.taken, attempts=1, first=sample.cause)
