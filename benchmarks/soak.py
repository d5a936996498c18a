"""Hundreds of runs of one daemon, and to it and around it what goes wrong in years: does it converge, does it grow?

    python benchmarks/soak.py [--minutes N] [--pupils N] [--seed N] [--keep DIR]

The source is read every second. In each round a new complete delivery is dropped, and one thing happens meanwhile,
chosen by chance. A round is over when that delivery is applied and exactly the people of the region have an active
account. First one daemon lives through everything that it can survive, and its memory, files and threads are measured;
in the last quarter it is killed and ended too. In the end the ENT must hold what an installation holds that was given
the last delivery and nothing else, and `verify --all` must find no drift.

Prints two tables in Markdown and, as its last line, one JSON document. Exit code 1 if anything is not as it must be.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import json
import os
import random
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ent_sync.synth.delivery import SynthRequest, write_delivery

FIRST_DAY = dt.date(2026, 9, 1)
PATIENCE = 120.0
WARM = 30  # runs after which a daemon has all that it keeps
_GROWTH_KB = 8192
_HANDLES = 3


class NotWellError(Exception):
    """Something is not as it must be."""


@dataclass(frozen=True, slots=True)
class Size:
    """What a daemon takes at a moment."""

    runs: int
    kilobytes: int
    handles: int
    threads: int


@dataclass(slots=True)
class Site:
    """An installation, its daemon, and the deliveries that it is given."""

    folder: Path
    pupils: int
    chance: random.Random
    daemon: subprocess.Popen[bytes] | None = None
    started: int = 0
    day: dt.date = FIRST_DAY
    sizes: list[Size] = field(default_factory=list)

    # -- the installation

    def make(self) -> None:
        """An installation whose source is read every second, and what is delivered to it."""
        command = [sys.executable, "-m", "ent_sync", "init", str(self.folder), "--source", "lille-2d"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        text = self.config.read_text()
        for old, new in (
            ("settle: 60s", "settle: 0s"),
            ("keep: 7d", "keep: 1s"),
            ("{on: delivery}", "{every: 1s}"),
            ("path: ent.sqlite", "path: ent/ent.sqlite"),
            ("127.0.0.1:9464", "127.0.0.1:0"),
            ("127.0.0.1:9465", "127.0.0.1:0"),
        ):
            assert old in text, old
            text = text.replace(old, new)
        self.config.write_text(text)
        (self.folder / "ent").mkdir()
        self.write(self.folder / "base", FIRST_DAY)

    @property
    def config(self) -> Path:
        """Its configuration."""
        return self.folder / "ent-sync.yaml"

    @property
    def deliveries(self) -> Path:
        """Where its source looks."""
        return self.folder / "deliveries" / "lille-2d"

    def write(self, where: Path, day: dt.date, **how: object) -> Path:
        """A delivery of these people, or what is to become of them for a day."""
        request = SynthRequest(directory=where, pupils=self.pupils, date=day, **how)  # type: ignore[arg-type]
        return write_delivery(request).path

    def deliver(self, **how: object) -> None:
        """Drop the delivery of the next day, in one piece."""
        self.day += dt.timedelta(days=self.chance.choice((1, 1, 1, 3)))
        written = self.write(self.folder / "sending", self.day, **how)
        written.rename(self.deliveries / written.name)

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A command, typed."""
        return subprocess.run(
            [sys.executable, "-m", "ent_sync", "--config", str(self.config), *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )

    # -- the daemon

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        before = self.logged("daemon ready")
        with (self.folder / "said").open("ab") as said:
            self.daemon = subprocess.Popen(
                [sys.executable, "-m", "ent_sync", "--config", str(self.config), "run"], stdout=said, stderr=said
            )
        self.started += 1
        self.until(lambda: self.logged("daemon ready") > before, "the daemon is ready")

    def end(self, number: signal.Signals) -> None:
        """End it by a signal."""
        assert self.daemon is not None
        self.daemon.send_signal(number)
        code = self.daemon.wait(PATIENCE)
        if number is signal.SIGTERM and code != 0:
            raise NotWellError(f"a daemon that was ended answered {code}")

    def alive(self) -> None:
        """It must be."""
        if self.daemon is None or self.daemon.poll() is not None:
            raise NotWellError("the daemon ended by itself")

    def measure(self) -> Size:
        """What it takes now."""
        assert self.daemon is not None
        place = Path(f"/proc/{self.daemon.pid}")
        fields = dict(line.split(":", 1) for line in (place / "status").read_text().splitlines())
        handles = len(list((place / "fd").iterdir()))
        size = Size(self.runs(), int(fields["VmRSS"].split()[0]), handles, int(fields["Threads"]))
        self.sizes.append(size)
        return size

    def logged(self, event: str) -> int:
        """How often the log tells an event."""
        try:
            return (self.folder / "ent-sync.log").read_text().count(f'"event": "{event}"')
        except FileNotFoundError:
            return 0

    # -- what is there

    def ask(self, query: str, *, ent: bool = False) -> list[tuple[object, ...]]:
        """The rows of a query to the store, or to the ENT; none while neither can be asked."""
        file = self.folder / ("ent/ent.sqlite" if ent else "state.sqlite")
        with contextlib.suppress(sqlite3.OperationalError), contextlib.closing(sqlite3.connect(file)) as reader:
            return reader.execute(query).fetchall()
        return []

    def runs(self) -> int:
        """How many runs there were."""
        return int(str(self.ask("SELECT count(*) FROM runs")[0][0]))

    def people(self) -> frozenset[tuple[object, ...]]:
        """Who has an active account, and what the ENT knows of them."""
        return frozenset(self.ask("SELECT * FROM accounts WHERE status = 'active'", ent=True))

    def until(self, found: Callable[[], object], what: str, within: float = PATIENCE) -> None:
        """Wait until something is so."""
        end = time.monotonic() + within
        while not found():
            if time.monotonic() > end:
                raise NotWellError(f"not within {within:.0f} s: {what}")
            time.sleep(0.1)

    def converged(self, people: frozenset[tuple[object, ...]]) -> bool:
        """Whether the last delivery is applied, and everybody has what they must have."""
        applied = self.ask("SELECT applied_date FROM sources")
        return applied == [(self.day.isoformat(),)] and self.people() == people

    @contextlib.contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """A file that another writer holds."""
        with contextlib.closing(sqlite3.connect(self.folder / name, isolation_level=None, timeout=PATIENCE)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")

    @contextlib.contextmanager
    def away(self, name: str) -> Iterator[None]:
        """A folder that is not there, as one that is not mounted."""
        (self.folder / name).rename(self.folder / "away")
        try:
            yield
        finally:
            (self.folder / "away").rename(self.folder / name)

    def pause(self, longest: float) -> None:
        """Some time passes."""
        time.sleep(self.chance.uniform(0, longest))


# -- what happens ------------------------------------------------------------------------------------------------------


def nothing(_site: Site) -> None:
    """Nothing goes wrong."""


def delta(site: Site) -> None:
    site.deliver(delta_of=site.folder / "base")
    site.pause(3)


def truncated(site: Site) -> None:
    site.deliver(faults=("truncated-file",))
    site.pause(3)


def shrunken(site: Site) -> None:
    site.deliver(faults=("shrunken",))
    site.pause(3)


def out_of_order(site: Site) -> None:
    written = site.write(site.folder / "sending", FIRST_DAY - dt.timedelta(days=30))
    written.rename(site.deliveries / written.name)
    site.pause(3)
    shutil.rmtree(site.deliveries / written.name, ignore_errors=True)


def ent_locked(site: Site) -> None:
    with site.locked("ent/ent.sqlite"):
        site.pause(12)


def store_locked(site: Site) -> None:
    with site.locked("state.sqlite"):
        site.pause(12)


def ent_away(site: Site) -> None:
    with site.away("ent"):
        site.pause(5)


def source_away(site: Site) -> None:
    with site.away("deliveries"):
        site.pause(5)


def typed_sync(site: Site) -> None:
    if (code := site.command("sync", "--wait", "60").returncode) not in {0, 3, 4}:
        raise NotWellError(f"a typed sync beside the daemon answered {code}")


def bad_reload(site: Site) -> None:
    text = site.config.read_text()
    site.config.write_text(text + "nonsense: true\n")
    code = site.command("reload").returncode
    site.config.write_text(text)
    if code != 78:
        raise NotWellError(f"a reload of a bad configuration answered {code}")


def reload(site: Site) -> None:
    if (code := site.command("reload").returncode) != 0:
        raise NotWellError(f"a reload answered {code}")


def stop(site: Site) -> None:
    if (code := site.command("stop").returncode) != 0:
        raise NotWellError(f"a stop answered {code}")


def pause_and_resume(site: Site) -> None:
    codes = [site.command("pause").returncode]
    site.pause(3)
    codes.append(site.command("resume").returncode)
    if any(codes):
        raise NotWellError(f"pause and resume answered {codes}")


def killed(site: Site) -> None:
    site.pause(2)
    site.end(signal.SIGKILL)
    site.pause(1)
    site.start()


def ended(site: Site) -> None:
    site.pause(2)
    site.end(signal.SIGTERM)
    site.start()


SURVIVED = (
    nothing,
    delta,
    truncated,
    shrunken,
    out_of_order,
    ent_locked,
    store_locked,
    ent_away,
    source_away,
    typed_sync,
    bad_reload,
    reload,
    stop,
    pause_and_resume,
)
"""What one daemon lives through."""
LETHAL = (killed, killed, ended)


@dataclass(slots=True)
class Soak:
    """What was found."""

    rounds: dict[str, list[float]] = field(default_factory=dict)
    life: list[Size] = field(default_factory=list)

    def round(self, site: Site, happens: Callable[[Site], None], people: frozenset[tuple[object, ...]]) -> None:
        """One thing happens, and everything is well again."""
        if happens in LETHAL or site.chance.random() < 0.5:
            # While the daemon reads or pushes: some of the people are others.
            site.deliver(delta_of=site.folder / "base")
        happens(site)
        site.deliver()
        began = time.monotonic()
        site.until(lambda: site.converged(people), f"everything is well after: {happens.__name__}")
        self.rounds.setdefault(happens.__name__, []).append(time.monotonic() - began)
        site.alive()


def soak(site: Site, minutes: float) -> Soak:
    """Let everything happen for some minutes."""
    found = Soak()
    site.make()
    site.start()
    site.deliver()
    site.until(lambda: site.ask("SELECT applied_date FROM sources") and site.people(), "the first load")
    site.until(lambda: site.ask("SELECT 1 FROM runs WHERE outcome = 'done'"), "a run that is done")
    people = site.people()
    began = time.monotonic()
    while time.monotonic() - began < minutes * 60 * 0.75:
        found.round(site, site.chance.choice(SURVIVED), people)
        found.life.append(site.measure())
    while time.monotonic() - began < minutes * 60:
        found.round(site, site.chance.choice((*LETHAL, *SURVIVED)), people)
    site.end(signal.SIGTERM)
    _same_as_new(site, people)
    return found


def _same_as_new(site: Site, people: frozenset[tuple[object, ...]]) -> None:
    """No drift, and nothing but what an installation holds that never met with anything."""
    verified = site.command("verify", "--all")
    if verified.returncode != 0:
        raise NotWellError(f"verify --all answered {verified.returncode}: {verified.stdout}")
    other = Site(site.folder.with_name("other"), site.pupils, random.Random(0), day=site.day)  # noqa: S311
    other.make()
    shutil.copy(site.folder / "keys", other.folder)
    other.deliver()
    if (code := other.command("sync").returncode) not in {0, 3}:
        raise NotWellError(f"the sync of a new installation answered {code}")
    if other.people() != people or site.people() != people:
        raise NotWellError("the ENT holds something else than it would without all this")


MOMENTS = ("warm", "at a quarter", "at half", "at three quarters", "in the end")


def _life(sizes: list[Size]) -> dict[str, Size]:
    """A life from where it is warm to its end: medians of five looks, for the moment of one says little."""
    warm = [each for each in sizes if each.runs >= WARM] or sizes
    last = max(len(warm) - 5, 0)
    return {name: _middle(warm[last * place // 4 :][:5]) for place, name in enumerate(MOMENTS)}


def _middle(sizes: list[Size]) -> Size:
    columns = zip(*((each.runs, each.kilobytes, each.handles, each.threads) for each in sizes), strict=True)
    return Size(*(int(statistics.median(column)) for column in columns))


def _show(site: Site, found: Soak, minutes: float) -> bool:
    """The tables, and the document; whether it is flat."""
    life = _life(found.life)
    first, last = life[MOMENTS[0]], life[MOMENTS[-1]]
    outcomes = Counter(str(outcome) for (outcome,) in site.ask("SELECT outcome FROM runs"))
    print("| what happened | times | well again after, s (median) | (longest) |")
    print("|---|---:|---:|---:|")
    for name, seconds in sorted(found.rounds.items()):
        print(f"| {name.replace('_', ' ')} | {len(seconds)} | {statistics.median(seconds):.1f} | {max(seconds):.1f} |")
    print()
    print("| one daemon | after runs | RSS, MB | open files | threads |")
    print("|---|---:|---:|---:|---:|")
    for name, size in life.items():
        print(f"| {name} | {size.runs} | {size.kilobytes / 1024:.1f} | {size.handles} | {size.threads} |")
    flat = (
        last.kilobytes - first.kilobytes <= _GROWTH_KB
        and last.handles - first.handles <= _HANDLES
        and last.threads - first.threads <= _HANDLES
    )
    document = {
        "schema": "ent-sync/soak/1",
        "minutes": minutes,
        "pupils": site.pupils,
        "processors": os.cpu_count(),
        "rounds": sum(map(len, found.rounds.values())),
        "runs": site.runs(),
        "outcomes": outcomes,
        "daemons": site.started,
        "life": [asdict(each) for each in life.values()],
        "flat": flat,
    }
    print(json.dumps(document))
    return flat


def main() -> int:
    """Soak, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--pupils", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0, help="of what happens; the people are always the same")
    parser.add_argument("--keep", type=Path, help="keep the installation there")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        site = Site((asked.keep or Path(temporary)) / "site", asked.pupils, random.Random(asked.seed))  # noqa: S311
        try:
            return 0 if _show(site, soak(site, asked.minutes), asked.minutes) else 1
        except NotWellError as error:
            print(f"soak: {error}\n{_tail(site)}", file=sys.stderr)
            return 1
        finally:
            if site.daemon is not None and site.daemon.poll() is None:
                site.daemon.kill()
                site.daemon.wait()


def _tail(site: Site) -> str:
    with contextlib.suppress(OSError):
        return "\n".join((site.folder / "ent-sync.log").read_text().splitlines()[-30:])
    return ""


if __name__ == "__main__":
    sys.exit(main())
