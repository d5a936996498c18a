"""What systemd is told: that we are ready, what we are doing, that we are alive (sd_notify(3)).

Datagrams to the socket that `$NOTIFY_SOCKET` names. Without one, as in the foreground or a container, nobody is told. A
message that cannot be sent is lost: systemd being deaf is no reason to stop.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import MutableMapping

_LONGEST = 400  # of a STATUS line, in characters


class Notify:
    """The way to systemd; safe from any thread."""

    def __init__(self, address: str | None, watchdog: float | None = None) -> None:
        """An `address` that begins with @ is an abstract one; `watchdog` is how long systemd bears our silence."""
        self.watchdog = watchdog
        self._socket: socket.socket | None = None
        self._address = "\0" + address[1:] if address and address.startswith("@") else address
        self._told: str | None = None
        if address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)

    @classmethod
    def from_environment(cls, environ: MutableMapping[str, str]) -> Notify:
        """As systemd says it; taken out of the environment, so that no child process speaks for us."""
        address, microseconds = environ.pop("NOTIFY_SOCKET", None), environ.pop("WATCHDOG_USEC", None)
        meant = environ.pop("WATCHDOG_PID", None)
        ours = meant is None or meant == str(os.getpid())
        watchdog = int(microseconds) / 1e6 if microseconds and microseconds.isdigit() and ours else None
        return cls(address, watchdog)

    def ready(self) -> None:
        """We serve; after a reload, again."""
        self._send("READY=1")

    def status(self, words: str) -> None:
        """What we are doing, in words; told when it changes."""
        words = " ".join(words.split())[:_LONGEST]
        if words != self._told:
            self._told = words
            self._send(f"STATUS={words}")

    def alive(self) -> None:
        """All that must advance does."""
        self._send("WATCHDOG=1")

    def reloading(self) -> None:
        """The configuration is being read again; `ready` says that it was."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """We end what we are doing, and then ourselves."""
        self._send("STOPPING=1")

    def close(self) -> None:
        """Nothing more is told."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, text: str) -> None:
        if self._socket is not None and self._address:
            with contextlib.suppress(OSError):
                self._socket.sendto(text.encode(), self._address)
