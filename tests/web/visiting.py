"""An installation whose pages are visited, and what is in its store."""

import contextlib
import datetime as dt
import urllib.error
import urllib.request
from dataclasses import dataclass
from email.message import Message

import sqlalchemy as sa

from ent_sync import compose
from ent_sync.config.fields import Address
from ent_sync.core.levels.samples import Cause, Result, Sample, Stage
from ent_sync.core.notice.kinds import Author, Kind, Notice, State, Update, What
from ent_sync.store import hands, lease, notices, plans, runs, samples
from ent_sync.store.database import Database
from ent_sync.store.drift import Measured, remember
from ent_sync.store.plans import NewChange
from ent_sync.web.pages import pages
from ent_sync.web.serve import served

NOW = dt.datetime(2026, 11, 24, 6, 0, tzinfo=dt.UTC)
"""A Tuesday at 07:00 in Paris."""
STEP = dt.timedelta(minutes=5)

SOURCES = """
sources:
  - {name: lille-2d, format: aaf, academy: LILLE, degree: 2d, path: deliveries/lille-2d, schedule: {every: 6h}}
  - {name: amiens-1d, format: aaf, academy: AMIENS, degree: 1d, path: deliveries/amiens-1d}
targets:
  - {name: ent, format: embedded, path: ent.sqlite}
"""
FEDERATION = """
federation:
  reference: ent
  probing: {cadence: {school: 5m, off: 5m}, contact: "ops@region.example"}
  public: {url: "https://etat.region.example/etat"}
  services:
    - {name: ent, title: ENT régional, url: "https://door.hidden.example/", content: Se connecter}
    - {name: educonnect, title: EduConnect, metadata: "https://idp.hidden.example/metadata", hosts: [login.hidden.example]}
    - {name: agents, title: Portail des agents, metadata: "https://agents.hidden.example/metadata"}
    - {name: agri, title: Agriculture, metadata: "https://agri.hidden.example/metadata", excluded: no agreement yet}
"""


def installed(place, *, federation=True):
    """The settings of an installation in a folder, and its store."""
    path = place / "ent-sync.yaml"
    path.write_text(SOURCES + (FEDERATION if federation else ""), encoding="utf-8")
    settings = compose.load(path)
    database = Database(settings.store_url)
    database.upgrade()
    return settings, database


@dataclass(frozen=True)
class Seen:
    status: int
    headers: Message
    text: str


@dataclass(frozen=True)
class Visitor:
    url: str

    def __call__(self, path, method="GET", **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.url + path, headers=named, method=method)  # noqa: S310 - our own server
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
                return Seen(answer.status, answer.headers, answer.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return Seen(error.code, error.headers, error.read().decode())


@contextlib.contextmanager
def visited(settings, now=NOW):
    """Somebody who may ask for pages, as long as the block runs."""
    with served(pages(settings, lambda: now), Address("127.0.0.1", 0)) as address:
        yield Visitor(f"http://127.0.0.1:{address.port}")


def change(entry, uais, operation="suspend", status_population="pupil"):
    values = dict.fromkeys(NewChange._fields)
    values |= {"entry_id": entry, "rank": 1, "kind": "account", "population": status_population, "source": "lille-2d"}
    return NewChange(**{**values, "operation": operation, "parts": "", "sealed": b"sealed", "uais": uais})


def held_plan(connection):
    """Two pupils of one school and one of another would leave `ent`."""
    plans.make(connection, "plan-1", "run-1", "ent", NOW - dt.timedelta(hours=2))
    plans.add(
        connection, "plan-1", "ent", 0, [change("a", "0590001A"), change("b", "0590001A"), change("c", "0590002B")]
    )
    connection.execute(sa.text("UPDATE changes SET status = 'held'"))
    hold = {"guard": "departures", "scope": "lille-2d/pupil", "observed": 0.147, "limit": 0.03}
    plans.settle(connection, "plan-1", "held", NOW, digest="d", holds=[hold])


def operated(database):
    """A store in which something of everything has happened."""
    with database.transaction() as connection:
        held_plan(connection)
        connection.execute(
            sa.text("INSERT INTO sources (source, applied_date, applied_delivery, last_success) VALUES "
                    "('lille-2d', '2026-11-23', 'Complet_20261123', '2026-11-23 05:00:00.000000')")
        )  # fmt: skip
        for number, rule in enumerate(["no-key", "no-key", "link-to-nobody"]):
            connection.execute(
                sa.text(
                    "INSERT INTO quarantine (id, source, population, key, rule, file, message, delivery, since) VALUES "
                    "(:id, 'lille-2d', 'pupil', 'LILLE$1234567', :rule, 'DUPONT.xml', 'Camille DUPONT', 'd', "
                    "'2026-11-24 05:00:00.000000')"
                ),
                {"id": f"q{number}", "rule": rule},
            )
        for name, population, lifecycle in [
            ("x", "pupil", "active"),
            ("y", "pupil", "suspended"),
            ("z", "staff", "active"),
        ]:
            connection.execute(
                sa.text("INSERT INTO entries (target, entry_id, kind, population, source, stale, lifecycle) VALUES "
                        "('ent', :id, 'account', :population, 'lille-2d', FALSE, :lifecycle)"),
                {"id": name, "population": population, "lifecycle": lifecycle},
            )  # fmt: skip
        runs.begin(connection, "run-0", "full", NOW - dt.timedelta(hours=3))
        runs.begin(connection, "run-1", "delta", NOW - dt.timedelta(hours=2))
        connection.execute(sa.text("UPDATE runs SET outcome = 'failed' WHERE run = 'run-1'"))
        runs.begin(connection, "run-2", "full", NOW - dt.timedelta(minutes=1))
        lease.acquire(connection, "run-2", NOW)
        hands.pause(connection, "ent", NOW - dt.timedelta(hours=1))
        remember(connection, "ent", Measured(ratio=0.0125, looked=1600, sample=100, at=NOW - dt.timedelta(days=1)))


def looked(service, first, until, result=Result.UP, **told):
    """A sample each five minutes, from one moment to just before another."""
    found = []
    while first < until:
        found.append(Sample(service=service, vantage="main", time=first, result=result, **told))
        first += STEP
    return found


def down(service, first, until):
    return looked(service, first, until, Result.DOWN, stage=Stage.HTTP, cause=Cause.HTTP_5XX)


def put(connection, notice, *updates):
    for update in updates or [Update(sequence=0, at=NOW, what=What.OPENED)]:
        notices.put(connection, notice, update)


def malfunction(name="malfunction-1", **given):
    began = NOW - dt.timedelta(days=1)
    values = {
        "kind": Kind.MALFUNCTION,
        "state": State.CLOSED,
        "author": Author.PROBE,
        "title": "",
        "services": ("educonnect",),
        "cause": "http_5xx",
        "began": began,
        "detected": began + dt.timedelta(minutes=5),
        "told": began + dt.timedelta(minutes=9),
        "ended": began + dt.timedelta(minutes=60),
        "end_told": began + dt.timedelta(minutes=64),
        "closed": began + dt.timedelta(minutes=90),
    }
    return Notice(id=name, **{**values, **given})


def maintenance(name="maintenance-1", **given):
    values = {
        "kind": Kind.MAINTENANCE,
        "state": State.ANNOUNCED,
        "author": Author.HAND,
        "title": "Renouvellement",
        "services": ("agents",),
        "announced": NOW - dt.timedelta(days=2),
        "starts": NOW + dt.timedelta(days=8),
        "ends": NOW + dt.timedelta(days=8, hours=2),
    }
    return Notice(id=name, **{**values, **given})


def federated(database):
    """Three days in which EduConnect was down for an hour, and is down now; nobody looks at `agents` any more."""
    begin, out = NOW - dt.timedelta(days=3), NOW - dt.timedelta(days=1)
    with database.transaction() as connection:
        samples.add(connection, looked("ent", begin, NOW))
        samples.add(connection, looked("educonnect", begin, out))
        samples.add(connection, down("educonnect", out, out + dt.timedelta(hours=1)))
        samples.add(connection, looked("educonnect", out + dt.timedelta(hours=1), NOW - 2 * STEP))
        samples.add(connection, down("educonnect", NOW - 2 * STEP, NOW))
        samples.add(connection, looked("agents", begin, NOW - dt.timedelta(hours=2)))
        put(
            connection,
            malfunction(sequence=1),
            Update(sequence=0, at=out, what=What.OPENED),
            Update(sequence=1, at=NOW, what=What.CLOSED, text="Cause : une base pleine."),
        )
        put(
            connection,
            malfunction("malfunction-2", state=State.DETECTED, ended=None, told=None, end_told=None, closed=None),
        )
        put(connection, malfunction("malfunction-own", cause="own_network", title="Notre propre réseau"))
        put(connection, maintenance(), Update(sequence=0, at=NOW, what=What.PLANNED))
        evolution = Notice(
            id="evolution-1", kind=Kind.EVOLUTION, state=State.TOLD, author=Author.PROBE, title="", services=("agents",),
            cause="certificate", detected=NOW - dt.timedelta(days=1), starts=NOW - dt.timedelta(days=1),
        )  # fmt: skip
        put(connection, evolution)
