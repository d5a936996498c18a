"""Samples as a CSV file, out and in again (contract §6): RFC 4180, UTF-8, times of RFC 3339 in UTC.

A file is read whole before anything of it is kept, and a bad line is told by its number; nothing that stands in it is.
"""

from __future__ import annotations

import csv
import datetime as dt
import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

from ent_sync.core.errors import EntSyncError, Problem, Where
from ent_sync.core.levels.samples import Cause, Result, Sample, Stage

COLUMNS = ("time", "service", "vantage", "result", "stage", "cause", "seconds")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?([Zz]|[+-]00:00)")
_NAME = re.compile(r"[a-z0-9][a-z0-9\-]{0,62}")
_MOST_PROBLEMS = 20


class BadSamplesError(EntSyncError):
    """A file of samples cannot be used; all that is wrong with it, as far as `_MOST_PROBLEMS` go."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(each) for each in self.problems))


def write(samples: Iterable[Sample], stream: TextIO) -> int:
    """Samples as lines; how many."""
    out = csv.writer(stream)
    out.writerow(COLUMNS)
    number = 0
    for each in samples:
        seconds = "" if each.seconds is None else repr(each.seconds)
        out.writerow(
            [rfc3339(each.time), each.service, each.vantage, each.result, each.stage or "", each.cause or "", seconds]
        )
        number += 1
    return number


def rfc3339(moment: dt.datetime) -> str:
    """A moment in UTC, as short as it can be: 2026-11-25T08:00:00Z."""
    return moment.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


def read(path: Path) -> list[Sample]:
    """The samples of a file.

    Raises `BadSamplesError` where a line is wrong, or the file cannot be read.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            return parse(stream, str(path))
    except OSError as error:
        raise BadSamplesError([Problem(Where(str(path)), "file", f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError:
        raise BadSamplesError([Problem(Where(str(path)), "encoding", "is not UTF-8")]) from None


def parse(lines: Iterable[str], name: str) -> list[Sample]:
    """The samples of lines that begin with the names of the columns; `name` is that of their file.

    Raises `BadSamplesError` where a line is wrong.
    """
    rows = csv.reader(lines, strict=True)
    found: list[Sample] = []
    problems: list[Problem] = []
    try:
        head = next(rows, [])
        if tuple(head) != COLUMNS:
            raise BadSamplesError([Problem(Where(name, 1), "columns", f"must be the line {','.join(COLUMNS)}")])
        for row in rows:
            if not row:
                continue
            wrong = list(_wrong(row))
            problems += [Problem(Where(name, rows.line_num), rule, sentence) for rule, sentence in wrong]
            if not wrong:
                found.append(_sample(row))
            if len(problems) >= _MOST_PROBLEMS:
                break
    except csv.Error:
        problems.append(Problem(Where(name, rows.line_num), "csv", "is not a line of CSV (RFC 4180)"))
    if problems:
        raise BadSamplesError(problems)
    return found


def _wrong(row: list[str]) -> Iterator[tuple[str, str]]:
    if len(row) != len(COLUMNS):
        yield "columns", f"has {len(row)} columns and must have {len(COLUMNS)}"
        return
    time, service, vantage, result, stage, cause, seconds = row
    if _moment(time) is None:
        yield "time", "time must be a moment in UTC that exists: 2026-11-25T08:00:00Z"
    for column, value in (("service", service), ("vantage", vantage)):
        if not _NAME.fullmatch(value):
            yield column, f"{column} must be of a to z, 0 to 9 and -"
    if result not in list(Result):
        yield "result", "result must be up, down or unknown"
    if stage and stage not in list(Stage):
        yield "stage", f"stage must be empty or one of {', '.join(Stage)}"
    if cause and cause not in list(Cause):
        yield "cause", "cause must be empty or one of the closed list (federation-slo.md §3)"
    if seconds and _number(seconds) is None:
        yield "seconds", "seconds must be empty or a number that is not negative: 0.25"


def _sample(row: list[str]) -> Sample:
    time, service, vantage, result, stage, cause, seconds = row
    moment = _moment(time)
    assert moment is not None  # noqa: S101 - for mypy: `_wrong` has just asked
    return Sample(
        service=service,
        vantage=vantage,
        time=moment,
        result=Result(result),
        stage=Stage(stage) if stage else None,
        cause=Cause(cause) if cause else None,
        seconds=_number(seconds) if seconds else None,
    )


def _moment(written: str) -> dt.datetime | None:
    try:
        return dt.datetime.fromisoformat(written.upper()) if _TIME.fullmatch(written) else None
    except ValueError:
        return None


def _number(written: str) -> float | None:
    try:
        number = float(written)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
