"""The daemon: starts, says that it is ready, reads its configuration again when asked, drains, ends.

Holds signals, clock, watches and the worker together; nothing of what a run does. The configuration in force is a copy:
whoever edits the files changes nothing until a reload has accepted them.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import faulthandler
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import structlog

from ent_sync import compose
from ent_sync.config.fields import Cron, Every, OnDelivery
from ent_sync.config.settings import Settings
from ent_sync.core.errors import (
    BadConfigurationError,
    BusyError,
    EntSyncError,
    LeaseLostError,
    Problem,
    StoreError,
    Where,
)
from ent_sync.daemon import control
from ent_sync.daemon.schedule import Clock, Timing, due, latest, next_after, timing
from ent_sync.daemon.systemd import Notify
from ent_sync.daemon.watch import Ear, Listening, Watch
from ent_sync.daemon.worker import IDLE, Due, Worker
from ent_sync.store import lease, runs
from ent_sync.store.database import Database
from ent_sync.store.lease import DAEMON, Lease

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_TICK = 1.0
_BEAT = 15.0
_STUCK = 30.0  # the clock beats every five seconds
_SILENT = 900.0  # the longest that a run works without a sign: one transaction over millions of rows
_JUMP = 5.0
_DRAIN = 100.0
_IN_FORCE = "in-force"
# A folder in which nothing arrives is still compared once a day: the register's clocks run on (gdpr.md R31).
_DAILY = Cron(cron="15 4 * * *", zone="Europe/Paris")

log = structlog.get_logger()


@dataclass(slots=True)
class Appointment:
    """A source and when it is due; `handled` is the last of its moments that was seen to."""

    name: str
    due: Due
    timing: Timing
    quiet: bool = False  # nothing to make up for where the source never succeeded
    handled: dt.datetime | None = None


Listener: TypeAlias = Callable[["Daemon"], AbstractContextManager[object]]
"""Serves something of the daemon's while it lives: metrics, pages, probes."""


class Daemon:
    """One daemon of one store."""

    def __init__(
        self,
        config: Path,
        notify: Notify,
        listeners: Sequence[Listener] = (),
        log_to: Callable[[Settings], None] = lambda _: None,
    ) -> None:
        """`listeners` are entered before the daemon is ready, and left when it ends; `log_to` follows the settings."""
        self._config = config
        self._notify = notify
        self._listeners = listeners
        self._log_to = log_to
        self._reloading = threading.Lock()
        self._clock = Clock(self._beat)
        self._beaten = time.monotonic()
        self._appointments: list[Appointment] = []
        self._watches: list[Watch | Ear] = []
        self._missed: dict[str, float] = {}
        self._since = compose.now()
        self._looked = self._since
        loaded = compose.load(config)
        compose.load_policy(loaded)
        self._place = loaded.resolve(loaded.store.file).absolute().parent
        self._loaded = loaded
        self.settings = loaded
        self._worker = Worker(loaded, self._succeeded)

    # -- what others may ask

    def missed(self) -> Mapping[str, float]:
        """How many times a run did not start when it was due, by appointment, since the daemon started."""
        return {each.name: self._missed.get(each.name, 0.0) for each in self._appointments}

    def in_flight(self) -> Mapping[str, float]:
        """How many changes are on their way, by target."""
        return self._worker.in_flight()

    def stuck(self) -> str | None:
        """What does not advance though it must, in words; None where all does."""
        if time.monotonic() - self._beaten > _STUCK:
            return "the scheduler does not advance"
        if not self._worker.is_alive():
            return "the worker is gone"
        if self._worker.silent_for() > _SILENT:
            return f"the run in progress has given no sign of life for {_SILENT / 60:.0f} minutes"
        return None

    def status(self) -> Mapping[str, object]:
        """What the daemon is doing, `ent-sync/daemon/1`."""
        now = compose.now()
        return {
            "schema": "ent-sync/daemon/1",
            "process": os.getpid(),
            "since": self._since.isoformat(),
            "doing": self._worker.doing,
            "waiting": self._worker.waiting(),
            "next": [
                {"name": each.name, "at": moment.isoformat()}
                for each in self._appointments
                if (moment := next_after(each.timing, now)) is not None
            ],
            "missed": dict(self.missed()),
        }

    def reload(self) -> Mapping[str, object]:
        """Read the configuration again, and use it from the next run on.

        Raises:
            BadConfigurationError: it is not used, and the old one stays.
        """
        with self._reloading:
            self._notify.reloading()
            try:
                loaded = compose.load(self._config)
                policy = compose.load_policy(loaded)
                _only_what_may_change(self._config, self._loaded, loaded)
                before = compose.load_policy(self.settings).digest
                kept = self._keep(loaded)
            except BadConfigurationError as error:
                log.warning("configuration refused", reasons=[str(each) for each in error.problems])
                raise
            finally:
                self._notify.ready()
            self._loaded = loaded
            self._log_to(loaded)
            log.info("configuration reloaded", sources=[each.name for each in loaded.sources])
            self._use(kept)
            if policy.digest != before:
                for each in kept.sources:
                    self._worker.ask(Due(each.name))
        return {
            "schema": "ent-sync/reload/1",
            "config": str(self._config),
            "sources": [each.name for each in loaded.sources],
            "targets": [each.name for each in loaded.targets],
        }

    # -- life

    def run(self) -> int:
        """Live until a signal ends it; gives the exit code.

        Raises:
            BusyError: another daemon works on this store.
            BadConfigurationError: it cannot start with this configuration.
        """
        faulthandler.enable()
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # before any thread is there: all of them inherit it
        with contextlib.closing(compose.parts_of(self.settings).database) as database, _alone(database) as held:
            shutil.rmtree(self._place / _IN_FORCE, ignore_errors=True)
            with contextlib.ExitStack() as stack:
                self._use(self._keep(self._loaded))
                asked = control.Control(self._place / control.NAME, self._config, self.reload, self.status)
                asked.start()
                stack.callback(asked.close)
                for each in self._listeners:
                    stack.enter_context(each(self))
                stack.callback(self._close_watches)
                self._worker.start()
                self._clock.start()
                stack.callback(self._clock.close)
                self._notify.ready()
                log.info("daemon ready", process=os.getpid(), sources=[each.name for each in self.settings.sources])
                code = self._live(database, held)
                self._notify.stopping()
                return self._drain() or code

    def _live(self, database: Database, held: Lease) -> int:
        """Wait for signals, and look after everything once a second."""
        renewed = pinged = time.monotonic()
        wall = compose.now()
        before = time.monotonic()
        told = False
        while True:
            found = signal.sigtimedwait(_SIGNALS, _TICK)
            if found is not None and found.si_signo == signal.SIGHUP:
                with contextlib.suppress(EntSyncError):
                    self.reload()
            elif found is not None:
                log.info("stop asked", name=signal.Signals(found.si_signo).name)
                return 0
            now, here = time.monotonic(), compose.now()
            if abs((here - wall).total_seconds() - (now - before)) > _JUMP:
                log.warning("clock jumped", seconds=round((here - wall).total_seconds() - (now - before)))
                self._after_a_jump(here)
            wall, before = here, now
            self._worker.ask_again()
            self._after_freezes(here)
            self._notify.status(self._words(here))
            stuck = self.stuck()
            if stuck is not None and not told:
                log.error("daemon does not advance", reasons=[stuck])
            told = stuck is not None
            if stuck is None and self._notify.watchdog and now - pinged >= self._notify.watchdog / 4:
                pinged = now
                self._notify.alive()
            if now - renewed >= _BEAT:
                renewed = now
                if not _renewed(database, held):
                    return LeaseLostError.exit_code

    def _drain(self) -> int:
        """End the run in progress before its next batch; a second signal, or too long a wait, ends it at once."""
        self._worker.drain()
        until = time.monotonic() + _DRAIN
        while self._worker.is_alive() and time.monotonic() < until:
            self._notify.status("Stopping: the run in progress ends before its next batch")
            self._worker.join(0.1)
            if signal.sigtimedwait(_SIGNALS, 0) is not None:
                break
        if self._worker.is_alive():
            log.warning("run broken off")  # the next one finds out what it did
            os._exit(1)
        log.info("daemon ended")
        return 0

    def _words(self, now: dt.datetime) -> str:
        doing = self._worker.doing
        moments = [
            (moment, each.name) for each in self._appointments if (moment := next_after(each.timing, now)) is not None
        ]
        if doing == IDLE and moments:
            moment, name = min(moments)
            return f"{IDLE}. Next: {name}, {moment.astimezone(now.tzinfo):%a %H:%M:%S}"
        return doing

    def _beat(self) -> None:
        self._beaten = time.monotonic()

    # -- what is due

    def _use(self, settings: Settings) -> None:
        """Run, ring and watch as these settings say."""
        self.settings = settings
        self._worker.use(settings)
        handled = {each.name: each.handled for each in self._appointments}
        self._appointments = appointments(settings)
        for each in self._appointments:
            each.handled = handled.get(each.name)
        self._close_watches()
        self._watch(settings)
        self._catch_up(compose.now())
        self._arm()

    def _arm(self) -> None:
        self._clock.forget()
        for each in self._appointments:
            self._clock.ring(each.name, each.timing, lambda each=each: self._strike(each))  # type: ignore[misc]

    def _strike(self, appointment: Appointment) -> None:
        """The clock rang: what for, the calendar says."""
        moment = latest(appointment.timing, compose.now())
        if moment is not None and (appointment.handled is None or moment > appointment.handled):
            appointment.handled = moment
            self._worker.ask(appointment.due)

    def _catch_up(self, now: dt.datetime) -> None:
        """Ask once for what was due while nobody looked: since the last success, or since it was last seen to."""
        with contextlib.closing(Database(self.settings.store_url)) as database:
            for each in self._appointments:
                success = _last_success(database, each.due)
                seen = max((moment for moment in (success, each.handled) if moment is not None), default=None)
                moment = due(each.timing, seen, now)
                each.handled = latest(each.timing, now)
                if moment is None or (seen is None and each.quiet):
                    continue
                if seen is not None:
                    self._missed[each.name] = self._missed.get(each.name, 0.0) + 1
                    log.warning("missed run caught up", source=each.due.source, name=each.name)
                self._worker.ask(each.due)

    def _after_a_jump(self, now: dt.datetime) -> None:
        """The machine slept, or its clock was set: what was seen to in a future that did not come counts no more."""
        for each in self._appointments:
            if each.handled is not None and each.handled > now:
                each.handled = None
        self._catch_up(now)
        self._arm()

    def _after_freezes(self, now: dt.datetime) -> None:
        """What a freeze window held goes with the first run after it, and that is now."""
        ended = [window for window in self.settings.freeze if self._looked < window.end <= now]
        self._looked = now
        for source in self.settings.sources if ended else ():
            if source.schedule is not None:
                self._worker.ask(Due(source.name))

    def _succeeded(self, done: Due) -> None:
        if done.full:
            with contextlib.closing(Database(self.settings.store_url)) as database, database.transaction() as change:
                runs.remember_fact(change, _complete_fact(done.source), compose.now().isoformat())

    # -- what happens by itself

    def _watch(self, settings: Settings) -> None:
        parts = compose.parts_of(settings)
        parts.database.close()

        def database() -> Database:
            return Database(settings.store_url)

        def ring(name: str) -> None:
            self._worker.ask(Due(name))

        for section in settings.sources:
            source = parts.sources[section.name].source
            if section.schedule is not None and isinstance(source, Listening):
                self._watches.append(Ear(source, source, database, ring))
            elif isinstance(section.schedule, OnDelivery):
                self._watches.append(Watch(source, section.settle.total_seconds(), database, ring))
        for each in self._watches:
            each.start()

    def _close_watches(self) -> None:
        for each in self._watches:
            each.close()
        self._watches = []

    # -- the configuration in force

    def _keep(self, loaded: Settings) -> Settings:
        """A copy that nobody edits; the one before it stays, since a run in progress may still read it."""
        folder = self._place / _IN_FORCE
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for old in sorted(folder.iterdir())[:-1]:
            shutil.rmtree(old, ignore_errors=True)
        return compose.kept(loaded, folder / compose.new_id())


def appointments(settings: Settings) -> list[Appointment]:
    """When each source is due by the clock."""
    found = []
    for section in settings.sources:
        schedule, name = section.schedule, section.name
        if schedule is None:
            continue
        if isinstance(schedule, OnDelivery):
            found.append(Appointment(name, Due(name), timing(name, _DAILY), quiet=True))
        else:
            found.append(Appointment(name, Due(name), timing(name, schedule)))
        if isinstance(section.complete, Cron | Every):
            whole = Due(name, full=True)
            found.append(Appointment(str(whole), whole, timing(str(whole), section.complete)))
    return found


def _only_what_may_change(config: Path, before: Settings, after: Settings) -> None:
    """Raises `BadConfigurationError` for what a daemon that runs cannot take up."""
    fixed = {
        "store": (before.store_url, after.store_url),
        "keys": (before.keys, after.keys),
        "metrics": (before.metrics, after.metrics),
        "web": (before.web, after.web),
    }
    problems = [
        Problem(Where(str(config), path=name), "restart", "cannot change while the daemon runs: restart it instead")
        for name, (was, is_now) in fixed.items()
        if was != is_now
    ]
    if problems:
        raise BadConfigurationError(problems)


def _last_success(database: Database, asked: Due) -> dt.datetime | None:
    with database.reading() as connection:
        if not asked.full:
            return runs.source_state(connection, asked.source).last_success
        told = runs.fact(connection, _complete_fact(asked.source))
    return dt.datetime.fromisoformat(told) if told else None


def _complete_fact(source: str) -> str:
    return f"read as a whole: {source}"


# -- one daemon of a store ---------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _alone(database: Database) -> Iterator[Lease]:
    """The right to be the daemon of a store."""
    now = compose.now()
    with database.transaction() as connection:
        other = lease.holder(connection, now, DAEMON)
        held = lease.acquire(connection, compose.new_id(), now, DAEMON)
    if held is None:
        who = f"process {other.process} on {other.host}" if other else "another one"
        raise BusyError(f"a daemon works on this store already: {who}")
    try:
        yield held
    finally:
        with contextlib.suppress(StoreError), database.transaction() as connection:
            lease.release(connection, held)


def _renewed(database: Database, held: Lease) -> bool:
    """Whether we are still the daemon of our store; one that is busy with a long write is asked again later."""
    try:
        with database.transaction() as connection:
            lease.renew(connection, held, compose.now())
    except LeaseLostError:
        log.error("another daemon works on this store")  # noqa: TRY400 - the exception says no more
        return False
    except StoreError:
        return True
    return True
