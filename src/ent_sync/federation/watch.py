"""One tick: every service looked at in the same moment, samples kept, notices decided, messages sent.

The daemon asks for a tick when one is due, `federation probe` by hand. What is remembered from one tick to the next is
in the store, but for the metadata that a service need not send again and the pauses it asked for.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import sqlalchemy as sa

from ent_sync.config.federation import FederationSection
from ent_sync.core.levels.samples import Cause, Sample
from ent_sync.core.notice.evolution import CLOCK_LIMIT, ENDS_SOON, Change, Sight
from ent_sync.core.notice.kinds import Notice
from ent_sync.federation import follow, notices, outbox, own, remembered
from ent_sync.federation.chain import Directory, Freshness
from ent_sync.federation.probe import Attempt, Held, Means, means_of, probe
from ent_sync.federation.remembered import Logins, ProbeState
from ent_sync.federation.rhythm import Rhythm
from ent_sync.federation.service import Digest, Service, service_of
from ent_sync.store import measures, samples, seen
from ent_sync.store.database import Database

STAGE_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""The bounds of the histogram of stages."""
MOST_REFUSED = 2
"""So many refused logins in a row, and no more are made until the account is mended (or `remembered.resume_logins`)."""
_LONGEST_QUIET = dt.timedelta(minutes=15)
_LOOK_AGAIN = dt.timedelta(hours=1)
_MOST_AT_ONCE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticked:
    """What a tick found and led to."""

    at: dt.datetime
    attempts: tuple[Attempt, ...]
    notices: tuple[Notice, ...]
    flushed: outbox.Flushed


@dataclass(slots=True)
class _Memory:
    """Of one service, from one tick to the next."""

    held: Held | None = None
    shown: Mapping[str, Mapping[str, dt.datetime | None]] = field(default_factory=dict)
    looked: dt.datetime | None = None
    quiet: dt.timedelta = dt.timedelta()
    quiet_until: dt.datetime | None = None


class Watch:
    """Looks at all services of a configuration. One thread uses it; its database is its own."""

    def __init__(
        self,
        database: Database,
        federation: FederationSection,
        *,
        base: Path,
        environ: Mapping[str, str],
        digest: Digest,
        now: Callable[[], dt.datetime],
        directories: Sequence[Directory] = (),
        freshness: Sequence[Freshness] = (),
        means: Means | None = None,
    ) -> None:
        """Reads secrets and files of the configuration; raises `BadConfigurationError` where one cannot be read."""
        self._database = database
        self._federation = federation
        self._now = now
        self._services = tuple(
            service_of(each, federation, base=base, environ=environ, digest=digest)
            for each in federation.services
            if each.excluded is None
        )
        self._digest = digest
        self._means = means or means_of(federation)
        self._directories = tuple(directories)
        self._freshness = tuple(freshness)
        self._memory: dict[str, _Memory] = {}
        self._year: int | None = None
        self._follow_the_year(now())
        self._channels = outbox.channels_of(federation, self._audience, base=base, environ=environ)
        self._last: dt.datetime | None = None
        self._done: dt.datetime | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The services that are looked at, those of our own chain last."""
        ours = [each.name for each in self._directories] + [each.name for each in self._freshness]
        return (*(each.name for each in self._services), *ours)

    def next_due(self) -> dt.datetime:
        """When the next tick is due."""
        now = self._now()
        return self._rhythm.last(now) if self._last is None else self._rhythm.after(max(now, self._last))

    def tick_if_due(self) -> Ticked | None:
        """A tick, if one is due. One that could only begin late is left out and counted: its time is unknown."""
        now = self._now()
        self._follow_the_year(now)
        due = self._rhythm.last(now)
        if self._last is not None and due <= self._last:
            return None
        if self._last is not None:
            cadence = self._rhythm.cadence(now)
            late = now - due > cadence / 2
            whole = round((due - self._last) / cadence) if cadence == self._rhythm.cadence(self._last) else 1
            missed = max(whole - 1, 0) + late
            if missed:
                overlap = self._done is not None and self._done > due - (missed - late) * cadence
                self._skipped(self.names, "overlap" if overlap else "late", missed)
            if late:
                self._last = due
                return None
        self._last = due
        return self.tick()

    def tick(self, only: Collection[str] | None = None) -> Ticked:
        """A tick now, of all services or some. Never raises for what a service, a channel or a partner does."""
        at = self._now().replace(microsecond=0)
        self._follow_the_year(at)
        wanted = [each for each in self.names if only is None or each in only]
        state = own.look(
            self._federation.probing.controls,
            now=self._now,
            resolvers=self._means.resolvers,
            time_server=self._federation.probing.time_server,
        )
        attempts, met = self._looked(wanted, at, state)
        with self._database.transaction() as connection:
            samples.add(connection, [each.sample for each in attempts])
            seen.keep_assertions(connection, met)
            self._count(connection, attempts, at, state)
            sights = [sight for each in attempts for sight in self._sights(connection, each, at)]
            changed = follow.sighted(connection, sights, self._audience, at)
            changed += follow.follow(connection, self._audience, self._probing(), at)
        flushed = outbox.flush(self._database, self._channels, self._now)
        self._done = self._now()
        return Ticked(at=at, attempts=attempts, notices=tuple(changed), flushed=flushed)

    def flush(self) -> outbox.Flushed:
        """Send what is due, between two ticks."""
        return outbox.flush(self._database, self._channels, self._now)

    # -- looking -----------------------------------------------------------------------------------------------------

    def _looked(
        self, wanted: Sequence[str], at: dt.datetime, state: own.Own
    ) -> tuple[tuple[Attempt, ...], list[tuple[bytes, dt.datetime]]]:
        vantage = self._federation.vantage
        services = [each for each in self._services if each.name in wanted and not self._is_quiet(each.name, at)]
        directories = [each for each in self._directories if each.name in wanted]
        with self._database.transaction() as connection:
            fresh = [each.look(connection, vantage, at) for each in self._freshness if each.name in wanted]
            met = _Assertions(seen.assertions(connection, at))
            due = {each.name for each in services if self._is_login_due(connection, each, at)}

        def one(service: Service) -> Attempt:
            return probe(
                service,
                vantage=vantage,
                now=self._now,
                means=self._means,
                own=state,
                held=self._remembered(service.name).held,
                login_due=service.name in due,
                first_time=met.first_time,
            )

        with ThreadPoolExecutor(max_workers=_MOST_AT_ONCE) as pool:
            probed = [pool.submit(one, each) for each in services]
            asked = [pool.submit(each.look, vantage, at, state) for each in directories]
            attempts = [each.result() for each in (*probed, *asked)]
        # All of one tick bear one time, so that services can be compared tick by tick.
        attempts = [replace(each, sample=replace(each.sample, time=at)) for each in attempts]
        for each in attempts:
            self._remember(each, at)
        return (*attempts, *fresh), met.new

    def _remembered(self, name: str) -> _Memory:
        return self._memory.setdefault(name, _Memory())

    def _remember(self, attempt: Attempt, at: dt.datetime) -> None:
        memory = self._remembered(attempt.sample.service)
        memory.held = attempt.held
        if attempt.retry_after is None:
            memory.quiet, memory.quiet_until = dt.timedelta(), None
        else:
            asked = max(dt.timedelta(seconds=attempt.retry_after), 2 * memory.quiet, self._rhythm.cadence(at))
            memory.quiet = min(asked, _LONGEST_QUIET)
            memory.quiet_until = at + memory.quiet

    def _is_quiet(self, name: str, at: dt.datetime) -> bool:
        """Whether a service asked to be left alone (429 or 503 with Retry-After)."""
        until = self._remembered(name).quiet_until
        quiet = until is not None and at < until
        if quiet:
            self._skipped([name], "backoff", 1)
        return quiet

    def _skipped(self, names: Iterable[str], reason: str, times: int) -> None:
        with self._database.transaction() as connection:
            for each in names:
                measures.count(connection, "federation_skipped", (each, reason), times)

    # -- logins ------------------------------------------------------------------------------------------------------

    def _is_login_due(self, connection: sa.Connection, service: Service, at: dt.datetime) -> bool:
        section = self._federation.service(service.name)
        if service.login is None or section is None or section.login is None:
            return False
        last = remembered.logins(connection, service.name)
        if last is None:
            return True
        refused = last.refused if last.whose == self._whose(service) else 0
        return refused < MOST_REFUSED and at - last.at >= section.login.every

    def _whose(self, service: Service) -> str:
        """The account and its password, as a keyed digest: a changed one is tried again."""
        login = service.login
        return "" if login is None else self._digest(f"{login.account}\n{login.password}").hex()[:16]

    # -- what is kept ------------------------------------------------------------------------------------------------

    def _count(self, connection: sa.Connection, attempts: Iterable[Attempt], at: dt.datetime, state: own.Own) -> None:
        for each in attempts:
            name = each.sample.service
            for stage, seconds in each.stages:
                bound = next((repr(limit) for limit in STAGE_SECONDS if seconds <= limit), "inf")
                measures.count(connection, "federation_stage_bucket", (name, stage.value, bound))
                measures.count(connection, "federation_stage_sum", (name, stage.value), seconds)
            if each.flaky:
                measures.count(connection, "federation_flaky", (name,))
            if each.logged_in:
                self._keep_login(connection, each.sample, at)
        found = ProbeState(tick=at, network=state.network, names=state.names, clock=state.clock)
        remembered.put_probe_state(connection, self._federation.vantage, found)

    def _keep_login(self, connection: sa.Connection, sample: Sample, at: dt.datetime) -> None:
        service = next(each for each in self._services if each.name == sample.service)
        before, whose = remembered.logins(connection, service.name), self._whose(service)
        refused = 0
        if sample.cause is Cause.LOGIN_REFUSED:
            refused = 1 + (before.refused if before is not None and before.whose == whose else 0)
        remembered.put_logins(connection, service.name, Logins(at=at, refused=refused, whose=whose))

    def _sights(self, connection: sa.Connection, attempt: Attempt, at: dt.datetime) -> Iterator[Sight]:
        name = attempt.sample.service
        memory = self._remembered(name)
        found = shown(attempt)
        if found and (found != memory.shown or memory.looked is None or at - memory.looked >= _LOOK_AGAIN):
            memory.shown, memory.looked = found, at
            for new in seen.look(connection, name, found, at, alternate=_ALTERNATE):
                change = _CHANGES.get(new.what.partition(":")[0])
                if change is not None:
                    measures.count(connection, "federation_metadata_changes", (name, change.value))
                    yield Sight(service=name, change=change, value=f"{new.what}:{new.value}", at=at)
        for each in attempt.certificates:
            if each.not_after - at <= ENDS_SOON:
                yield Sight(service=name, change=Change.ENDING, value=each.digest, at=at, until=each.not_after)
        if attempt.clock is not None and abs(attempt.clock) > CLOCK_LIMIT:
            yield Sight(service=name, change=Change.CLOCK, value=f"{at:%G-W%V}", at=at)

    def _probing(self) -> follow.Probing:
        cadence = self._federation.probing.cadence
        return follow.Probing(
            services=self.names, vantages=self._federation.vantages, school=cadence.school, off=cadence.off
        )

    def _follow_the_year(self, now: dt.datetime) -> None:
        """Public holidays are known for some years around now."""
        if self._year != now.year:
            self._year = now.year
            self._audience = notices.audience_of(self._federation, now)
            cadence = self._federation.probing.cadence
            self._rhythm = Rhythm(
                school=cadence.school, off=cadence.off, hours=self._audience.hours, place=self._federation.vantage
            )


class _Assertions:
    """Which assertions were met: asked from many threads."""

    def __init__(self, known: frozenset[bytes]) -> None:
        self._known = set(known)
        self._lock = threading.Lock()
        self.new: list[tuple[bytes, dt.datetime]] = []

    def first_time(self, digest: str, until: dt.datetime) -> bool:
        with self._lock:
            name = digest.encode()
            if name in self._known:
                return False
            self._known.add(name)
            self.new.append((name, until))
            return True


# -- what a service shows ----------------------------------------------------------------------------------------------

_ALTERNATE = frozenset({"certificate:tls", "tls"})
"""What differs between the machines that share one name."""
_CHANGES = {
    "certificate": Change.CERTIFICATE,
    "endpoint": Change.ENDPOINT,
    "entity": Change.ENTITY,
    "algorithm": Change.ALGORITHM,
    "tls": Change.TLS,
}


def shown(attempt: Attempt) -> dict[str, dict[str, dt.datetime | None]]:
    """What a service shows of itself, by kind of thing, each value with the end of its validity."""
    found: dict[str, dict[str, dt.datetime | None]] = {}
    for each in attempt.certificates:
        found.setdefault(f"certificate:{each.use}", {})[each.digest] = each.not_after
    if attempt.tls:
        found["tls"] = {attempt.tls: None}
    if attempt.held is not None:
        facts = attempt.held.facts
        found["entity"] = {facts.entity: None}
        found["endpoint"] = {" ".join(each): None for each in facts.endpoints}
        if facts.algorithms:
            found["algorithm"] = dict.fromkeys(facts.algorithms)
        if facts.valid_until is not None:
            found["valid_until"] = {"valid_until": facts.valid_until}
    return found
