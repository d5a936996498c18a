"""The log: one JSON document a line, and never a person (architecture, law 9).

A field gets in because its name is on the list below; what is not there is dropped, and only its name is told. So no
value that somebody logs by mistake, and no message of a library's exception, can carry a person into the file.

Whoever looks at the process sees the same lines: readable on a terminal, as messages with fields under systemd, else as
they are in the file.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import logging
import os
import re
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any, Protocol, TextIO

import structlog

from ent_sync.core.errors import EntSyncError
from ent_sync.core.event import (
    BatchMapped,
    BatchPushed,
    CursorLost,
    DeliveryJudged,
    Event,
    PartRead,
    PlanMade,
    ReadingBegan,
    RunBegan,
    RunEnded,
)
from ent_sync.core.fingerprint import Keys, pseudonym
from ent_sync.core.guard import Hold
from ent_sync.core.record import Population
from ent_sync.core.run import Outcome, RunResult
from ent_sync.observe.journal import Journal, leads_to_journal

_LINE = frozenset({"timestamp", "level", "event", "refused"})
_PROGRAM = frozenset(
    {"command", "exit_code", "exception", "traceback", "host", "port", "process", "account", "library", "version"}
)
# fmt: off
_RUN = frozenset({
    "run", "source", "sources", "target", "plan", "delivery", "file", "files", "kind", "outcome", "population", "guard",
    "scope", "observed", "limit", "rule", "line", "reasons", "verdict", "whole", "records", "entries", "changes",
    "applied", "failed", "quarantined", "held", "waiting", "acknowledged", "seconds", "read", "count", "name", "fault",
    "create", "update", "suspend", "restore", "delete", "unchanged", "pupil", "guardian", "staff", "school",
})
# fmt: on
FIELDS = _LINE | _PROGRAM | _RUN | {"person"}
"""The names of the fields that may be logged. `person` takes a pseudonym and nothing else."""

_PSEUDONYM = re.compile(r"p-[0-9a-f]{12}")
_MODE = 0o600

log = structlog.get_logger()


class LogError(EntSyncError):
    """The log cannot be written."""


def configure(path: Path | None, level: str, *, echo: TextIO | None = None) -> None:
    """Log to the file at `path`, made with mode 0600, from `level` on; also to `echo`, as whoever reads it needs it.

    Raises:
        LogError: the file cannot be written.
    """
    sink = _Sink(path, _echo(echo))
    sink.append("")
    logging.basicConfig(handlers=[_Foreign()], level=logging.WARNING, force=True)
    structlog.contextvars.clear_contextvars()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _without_values,
            _allowed,
            _rendered,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=lambda *_: sink,
        cache_logger_on_first_use=False,
    )


class _Echo(Protocol):
    """Shows lines to whoever looks at the process."""

    def write(self, line: str, fields: Mapping[str, object]) -> None:
        """One line, given as it is in the file and as its fields."""


class _Terminal:
    """A person looks."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._render = structlog.dev.ConsoleRenderer(colors="NO_COLOR" not in os.environ)

    def write(self, line: str, fields: Mapping[str, object]) -> None:
        del line
        print(self._render(None, "", dict(fields)), file=self._stream)


class _Stream:
    """A program reads, or a container's log."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, line: str, fields: Mapping[str, object]) -> None:
        del fields
        print(line, file=self._stream, flush=True)


def _echo(stream: TextIO | None) -> _Echo | None:
    if stream is None:
        return None
    if leads_to_journal(stream, os.environ):
        return Journal(stream)
    return _Terminal(stream) if stream.isatty() else _Stream(stream)


class _Sink:
    """Where lines go. The file is opened for each: whoever rotates it need not tell us.

    Once there is a log, a line that cannot be written is lost: a full disk of logs is no reason to stop what is logged.
    """

    def __init__(self, path: Path | None, echo: _Echo | None) -> None:
        self._path = path
        self._echo = echo

    def write(self, fields: Mapping[str, object]) -> None:
        """Write a line, and show it."""
        line = json.dumps(fields, ensure_ascii=False)
        with contextlib.suppress(LogError):
            self.append(line + "\n")
        if self._echo is not None:
            with contextlib.suppress(OSError):
                self._echo.write(line, fields)

    debug = info = warning = error = critical = exception = write

    def append(self, text: str) -> None:
        """Append to the file, in one piece.

        Raises:
            LogError: it cannot be written.
        """
        if self._path is None:
            return
        try:
            descriptor = os.open(self._path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, _MODE)
            try:
                os.write(descriptor, text.encode())
            finally:
                os.close(descriptor)
        except OSError as error:
            raise LogError(f"the log {self._path} cannot be written: {error.strerror}") from None


class _Foreign(logging.Handler):
    """What libraries log: that they did, never what, for their sentences may quote values."""

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler`."""
        log.warning("a library spoke", library=record.name, exc_info=record.exc_info)


def _without_values(_logger: object, _method: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """An exception as its type and the places it came through: neither its message nor any local."""
    error = fields.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()
    if isinstance(error, tuple):
        error = error[1]
    if isinstance(error, BaseException):
        fields["exception"] = type(error).__name__
        fields["traceback"] = [
            f"{Path(frame.filename).name}:{frame.lineno} {frame.name}"
            for frame in traceback.extract_tb(error.__traceback__)
        ]
    return fields


def _allowed(_logger: object, _method: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Keep what may be logged; of the rest, the name."""
    refused = sorted(name for name, value in fields.items() if not _may(name, value))
    for name in refused:
        del fields[name]
    if refused:
        fields["refused"] = [*fields.get("refused", ()), *refused]
    return fields


def _may(name: str, value: object) -> bool:
    if name not in FIELDS:
        return False
    if name == "person":
        return isinstance(value, str) and _PSEUDONYM.fullmatch(value) is not None
    return _plain(value)


def _plain(value: object) -> bool:
    match value:
        case None | str() | int() | float():
            return True
        case Mapping():
            return all(isinstance(name, str) and _may(name, inner) for name, inner in value.items())
        case list() | tuple():
            return all(_plain(inner) for inner in value)
        case _:
            return False


def _rendered(_logger: object, _method: str, fields: MutableMapping[str, Any]) -> tuple[tuple[dict[str, Any]], Any]:
    """The fields for the sink, what every line has first."""
    first = {name: fields[name] for name in ("timestamp", "level", "event")}
    return ({**first, **fields},), {}


def person(keys: Keys, key: str, on: dt.date) -> str:
    """How a person is called in all logs of one quarter."""
    return pseudonym(keys, key, f"{on.year}Q{(on.month + 2) // 3}")


def listener(event: Event) -> None:  # noqa: C901 - one case for each event
    """Turns what a run tells into log lines: one per thing an operator would ask about, batches at debug."""
    match event:
        case RunBegan():
            structlog.contextvars.bind_contextvars(run=event.run)
            log.info("run began", kind=event.kind.value)
        case ReadingBegan():
            log.info("reading began", source=event.source, delivery=event.delivery, files=event.parts)
        case PartRead():
            tell = log.debug if event.whole else log.warning
            tell("file read", source=event.source, file=event.file, records=event.records, whole=event.whole)
            for name, count in event.unknown.items():
                log.warning("unknown attribute ignored", source=event.source, file=event.file, name=name, count=count)
        case DeliveryJudged():
            tell = log.info if event.verdict == "applied" else log.warning
            tell(
                "delivery judged",
                source=event.source,
                delivery=event.delivery,
                verdict=event.verdict,
                reasons=list(event.reasons),
            )
        case CursorLost():
            log.warning("cursor lost", source=event.source)
        case BatchMapped():
            log.debug("batch mapped", target=event.target, entries=event.entries)
        case PlanMade():
            changes = {operation.value: count for operation, count in event.changes.items()}
            tell = log.warning if event.holds else log.info
            tell(
                "plan made",
                target=event.target,
                plan=event.plan,
                changes=changes,
                waiting=event.waiting,
                held=[_hold(each) for each in event.holds],
            )
        case BatchPushed():
            log.debug("batch pushed", target=event.target, acknowledged=event.acknowledged, failed=event.refused)
        case RunEnded():
            _summary(event.result)
            structlog.contextvars.unbind_contextvars("run")


def _summary(result: RunResult) -> None:
    """The one line that tells how a run ended (contract §3)."""
    document = result.document()
    tell = log.info if result.outcome is Outcome.DONE else log.warning
    names = ("kind", "outcome", "plan", "changes", "applied", "failed", "quarantined", "held", "reasons", "seconds")
    tell(
        "run ended",
        run=result.run,
        sources=[each.name for each in result.sources],
        read={each.value: sum(source.read.get(each, 0) for source in result.sources) for each in Population},
        **{name: document[name] for name in names},
    )


def _hold(hold: Hold) -> dict[str, object]:
    return {"guard": hold.guard.value, "scope": hold.scope, "observed": hold.observed, "limit": hold.limit}
