"""The way to journald: each line as a message with fields of its own, or with its priority before it.

systemd says in `$JOURNAL_STREAM` which stream is the journal's. Where that is ours, a line goes to journald's own
socket, so that `journalctl ENT_SYNC_RUN=…` finds a run; where the socket does not take it, the line goes out over the
stream, and journald reads the priority that stands before it (sd-daemon(3)).
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Mapping
from typing import TextIO

SOCKET = "/run/systemd/journal/socket"
IDENTIFIER = "ent-sync"
_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
_LEFT_OUT = frozenset({"timestamp", "level", "event"})


class Journal:
    """Writes what is logged to the journal that a stream leads to."""

    def __init__(self, stream: TextIO, address: str | None = None) -> None:
        self._stream = stream
        self._address = address or SOCKET

    def write(self, line: str, fields: Mapping[str, object]) -> None:
        """One line, given as it is in the file and as its fields."""
        priority = _PRIORITIES.get(str(fields.get("level")), _PRIORITIES["info"])
        # Opened for each: a journald that was started again has another socket of the same name.
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as way:
            try:
                way.sendto(_framed(_named(priority, fields)), socket.MSG_DONTWAIT, self._address)
            except OSError:
                print(f"<{priority}>{line}", file=self._stream, flush=True)


def leads_to_journal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether systemd connected this very stream with the journal; a redirected one is not it."""
    with contextlib.suppress(OSError, ValueError):
        there = os.fstat(stream.fileno())
        return environ.get("JOURNAL_STREAM") == f"{there.st_dev}:{there.st_ino}"
    return False


def _named(priority: int, fields: Mapping[str, object]) -> dict[str, str]:
    """The fields under journald's names; the message says it all once more, for whoever only reads."""
    shown = {name: _text(value) for name, value in fields.items() if name not in _LEFT_OUT}
    told = "".join(f" {name}={text}" for name, text in shown.items() if text not in {"", "[]", "{}"})
    return {
        "MESSAGE": f"{fields.get('event')}{told}",
        "PRIORITY": str(priority),
        "SYSLOG_IDENTIFIER": IDENTIFIER,
        **{f"ENT_SYNC_{name.upper()}": text for name, text in {"event": _text(fields.get("event")), **shown}.items()},
    }


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _framed(fields: Mapping[str, str]) -> bytes:
    """Journald's native protocol: `NAME=value`, or the length before a value of several lines."""
    framed = b""
    for name, text in fields.items():
        value = text.encode()
        if b"\n" in value:
            framed += name.encode() + b"\n" + len(value).to_bytes(8, "little") + value + b"\n"
        else:
            framed += name.encode() + b"=" + value + b"\n"
    return framed
