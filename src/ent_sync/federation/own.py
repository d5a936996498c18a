"""Whether it is us: our own network, names and clock, looked at once a tick before any service is judged.

A probe that cannot tell its own failure from a service's must say that it does not know (federation-slo.md §3).
"""

from __future__ import annotations

import datetime as dt
import socket
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ent_sync.config.fields import Address
from ent_sync.core.levels.samples import Cause, Stage
from ent_sync.federation.names import addresses
from ent_sync.federation.service import is_number
from ent_sync.federation.stopwatch import StageError, Stopwatch
from ent_sync.federation.wires import connected

_CLOCK_LIMIT = 30
_SECONDS = 3.0
_NTP_EPOCH = dt.datetime(1900, 1, 1, tzinfo=dt.UTC)
_NTP_PACKET = struct.Struct("!B39xQ")


@dataclass(frozen=True, slots=True)
class Own:
    """What we found of ourselves; where nothing is configured to look at, nothing is held against us.

    `clock` is how far our clock is ahead of the time server's, in seconds; None where it was not asked or is silent.
    """

    network: bool = True
    names: bool = True
    clock: float | None = None

    def judged(self, failure: StageError) -> StageError:
        """The failure of a service, or ours in its place."""
        if not self.network:
            return StageError(Stage.OWN, Cause.OWN_NETWORK)
        if failure.stage is Stage.DNS and not self.names:
            return StageError(Stage.OWN, Cause.OWN_DNS)
        if failure.stage is Stage.ASSERTION and self.clock is not None and abs(self.clock) > _CLOCK_LIMIT:
            return StageError(Stage.OWN, Cause.OWN_CLOCK, final=True)
        return failure


def look(
    controls: Sequence[Address],
    *,
    now: Callable[[], dt.datetime],
    resolvers: Sequence[Address] = (),
    time_server: Address | None = None,
) -> Own:
    """Our own state, from the control targets and the time server of the configuration."""
    reached = {each: _reached(each, resolvers) for each in controls}
    network = not reached or any(cause is None for cause in reached.values())
    named = [cause for each, cause in reached.items() if not is_number(each.host)]
    names = not named or any(cause is None or not cause.startswith("dns_") for cause in named)
    return Own(
        network=network,
        names=names or not network,
        clock=_clock(time_server, now, resolvers) if time_server and network else None,
    )


def _reached(control: Address, resolvers: Sequence[Address]) -> Cause | None:
    watch = Stopwatch(2 * _SECONDS)
    try:
        with watch.stage(Stage.DNS, _SECONDS) as deadline:
            found = addresses(control.host, resolvers, deadline)
        with watch.stage(Stage.TCP, _SECONDS) as deadline:
            connected(found, control.port, deadline).close()
    except StageError as failure:
        return failure.cause
    return None


def _clock(server: Address, now: Callable[[], dt.datetime], resolvers: Sequence[Address]) -> float | None:
    """By SNTP (RFC 4330): the middle of our sending and receiving, less that of the server's."""
    watch = Stopwatch(2 * _SECONDS)
    try:
        with watch.stage(Stage.OWN, _SECONDS) as deadline:
            host = addresses(server.host, resolvers, deadline)[0]
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            with socket.socket(family, socket.SOCK_DGRAM) as wire:
                wire.settimeout(deadline.left)
                wire.connect((host, server.port))
                sent = now()
                wire.send(_NTP_PACKET.pack(0x23, 0))
                answer = wire.recv(512)
                received = now()
    except (StageError, OSError):
        return None
    if len(answer) < 48 or answer[0] & 7 != 4 or answer[1] == 0:
        return None
    theirs = [_NTP_EPOCH + dt.timedelta(seconds=each / 2**32) for each in struct.unpack("!QQ", answer[32:48])]
    return ((sent - theirs[0]) + (received - theirs[1])).total_seconds() / 2
