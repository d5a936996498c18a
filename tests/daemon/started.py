"""A real daemon: the installed program in a process of its own, with an installation, and the ear of a systemd."""

import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from sync.installed import Installation

LONG = 60.0
PROGRAM = Path(sys.executable).with_name("ent-sync")


def until(found, what, within=15.0):
    """What `found` gives once it is true; looked at again and again, but not for ever."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        if answer := found():
            return answer
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {within:.0f} s")


class Answer:
    """How a command ended."""

    def __init__(self, done):
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr

    @property
    def document(self):
        return json.loads(self.out)


class Site(Installation):
    """An installation, the daemon that works on it, and commands that are typed beside it."""

    def __init__(self, folder, *sources):
        super().__init__(folder, *sources)
        self.edit("ent-sync.yaml", "settle: 60s", "settle: 0s")
        self.heard = []
        self._daemons = []
        self._ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._ear.bind(f"\0ent-sync-{os.getpid()}-{id(self)}")
        self._ear.setblocking(False)

    # -- the daemon

    def start(self, *, ready=True, **environment):
        """Start a daemon; come back when systemd hears that it is ready."""
        address = "@" + self._ear.getsockname()[1:].decode()
        with (self.folder / "daemon.err").open("a") as said:
            daemon = subprocess.Popen(
                [PROGRAM, "--config", self.config, "run"],
                env={**os.environ, "NOTIFY_SOCKET": address, **environment},
                stdout=subprocess.DEVNULL,
                stderr=said,
            )
        self._daemons.append(daemon)
        self.heard.clear()
        if ready:
            self.hears("READY=1", daemon)
        return daemon

    def hears(self, message, daemon=None):
        """Wait until systemd hears a message, or one that begins so."""

        def found():
            if daemon is not None and daemon.poll() is not None:
                raise AssertionError(f"the daemon ended: {self.said()}")
            self.listen()
            return any(each.startswith(message) for each in self.heard)

        return until(found, f"systemd hears {message}")

    def listen(self):
        """Everything that systemd was told."""
        while True:
            try:
                self.heard.append(self._ear.recv(4096).decode())
            except BlockingIOError:
                return self.heard

    def said(self):
        """What the daemon wrote."""
        return (self.folder / "daemon.err").read_text()

    def ended(self, daemon, within=15.0):
        """The exit code of a daemon that ends by itself."""
        return daemon.wait(timeout=within)

    def close(self):
        for each in self._daemons:
            if each.poll() is None:
                each.kill()
            each.wait()
        self._ear.close()

    # -- commands

    def type_(self, *words):
        """A command, typed."""
        done = subprocess.run(
            [PROGRAM, "--config", self.config, *words], capture_output=True, text=True, timeout=LONG, check=False
        )
        return Answer(done)

    def runs(self):
        """The outcomes of all runs, oldest first; None of one that works."""
        return [outcome for (outcome,) in self.stored("SELECT outcome FROM runs ORDER BY run")]

    def provisioned(self, count):
        """Wait until the ENT has so many accounts."""
        return until(lambda: self.there() == count, f"{count} accounts")

    def there(self):
        """How many accounts the ENT has; none before it is there."""
        try:
            return len(self.accounts()) if (self.folder / "ent.sqlite").exists() else 0
        except sqlite3.OperationalError:  # it is being made
            return 0

    def log(self, event):
        """The log lines of an event."""
        lines = [json.loads(line) for line in (self.folder / "ent-sync.log").read_text().splitlines()]
        return [line for line in lines if line["event"] == event]
