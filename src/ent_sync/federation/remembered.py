"""What is remembered from one tick to the next: the last login at each service, and what the probe found of itself."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, replace

import sqlalchemy as sa

from ent_sync.store import runs


@dataclass(frozen=True, slots=True, kw_only=True)
class Logins:
    """The last login at a service: when, how many were refused in a row, and with which account (keyed digest)."""

    at: dt.datetime
    refused: int
    whose: str


def logins(connection: sa.Connection, service: str) -> Logins | None:
    """The last login at a service; None where there was none."""
    found = runs.fact(connection, f"federation login {service}")
    if found is None:
        return None
    value = json.loads(found)
    return Logins(at=dt.datetime.fromisoformat(value["at"]), refused=int(value["refused"]), whose=str(value["whose"]))


def resume_logins(connection: sa.Connection, service: str) -> None:
    """A test account was mended: log in again."""
    last = logins(connection, service)
    if last is not None:
        put_logins(connection, service, replace(last, refused=0))


def put_logins(connection: sa.Connection, service: str, last: Logins) -> None:
    """Remember the last login at a service."""
    value = {"at": last.at.isoformat(), "refused": last.refused, "whose": last.whose}
    runs.remember_fact(connection, f"federation login {service}", json.dumps(value))


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeState:
    """What a vantage point last found of itself."""

    tick: dt.datetime
    network: bool
    names: bool
    clock: float | None


def probe_state(connection: sa.Connection, vantage: str) -> ProbeState | None:
    """What a vantage point last found of itself; None where it has not looked yet."""
    found = runs.fact(connection, _probe_fact(vantage))
    if found is None:
        return None
    value = json.loads(found)
    tick = dt.datetime.fromisoformat(value["tick"])
    return ProbeState(tick=tick, network=value["network"], names=value["names"], clock=value["clock"])


def put_probe_state(connection: sa.Connection, vantage: str, state: ProbeState) -> None:
    """Remember what a vantage point found of itself."""
    value = {"tick": state.tick.isoformat(), "network": state.network, "names": state.names, "clock": state.clock}
    runs.remember_fact(connection, _probe_fact(vantage), json.dumps(value))


def _probe_fact(vantage: str) -> str:
    return f"federation probe {vantage}"
