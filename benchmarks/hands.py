"""What an operator types during an incident, on a region of 300,000 people: one person, one school, one explanation.

    python benchmarks/hands.py [--pupils N] [--keep DIR]

Makes the region first (minutes), or takes the one that `--keep` left. The targets of issue 6, with the lease free:
`resync person` within 2 s, `resync school` of about 1,500 people within 30 s, `explain` 0.5 s beyond the interpreter's
start. Each is run five times and its slowest time counts; once with nothing to do, and once after somebody edited the
ENT behind our back. Prints a table in Markdown and, as its last line, one JSON document.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from ent_sync.synth.delivery import SynthRequest, write_delivery

TIMES = 5
SCHOOL = 1500
"""About so many people has the school that is measured: pupils, staff, and the pupils' guardians."""

_PEOPLE_OF_A_SCHOOL = """
WITH member AS (SELECT DISTINCT uai, account FROM affiliations),
family AS (SELECT DISTINCT member.uai, guardian FROM member JOIN guardianships ON pupil = member.account)
SELECT uai, count(*) FROM (SELECT uai, account FROM member UNION ALL SELECT uai, guardian FROM family)
GROUP BY uai ORDER BY abs(count(*) - ?) LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """One command: its slowest time, and what it may take."""

    name: str
    people: int
    seconds: float
    limit: float


def ent_sync(folder: Path, *arguments: str) -> dict[str, object]:
    """The document that a command prints."""
    command = [sys.executable, "-m", "ent_sync", "--config", str(folder / "ent-sync.yaml"), "--json", *arguments]
    # As it is where it is installed: every module is compiled.
    compiled = {"PYTHONPYCACHEPREFIX": str(folder.absolute() / "compiled"), "PYTHONDONTWRITEBYTECODE": ""}
    done = subprocess.run(command, env=os.environ | compiled, stdout=subprocess.PIPE, text=True, check=True)
    document: dict[str, object] = json.loads(done.stdout)
    return document


def slowest(work: Callable[[], object], before: Callable[[], object] = lambda: None) -> float:
    """The longest of some runs; what happens before each is not counted."""
    longest = 0.0
    for _ in range(TIMES):
        before()
        begun = time.perf_counter()
        work()
        longest = max(longest, time.perf_counter() - begun)
    return longest


def make(folder: Path, pupils: int) -> None:
    """A region, loaded."""
    command = [sys.executable, "-m", "ent_sync", "init", str(folder), "--source", "lille-2d"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    deliveries = folder / "deliveries" / "lille-2d"
    write_delivery(SynthRequest(directory=deliveries, pupils=pupils, date=dt.date(2026, 9, 1)))
    document = ent_sync(folder, "sync")
    if document["outcome"] != "done":
        raise SystemExit(f"the region could not be loaded: {document}")


def asked(folder: Path, query: str, *values: object) -> Sequence[object]:
    """The first row of a query to the ENT."""
    with closing(sqlite3.connect(folder / "ent.sqlite")) as ent, ent:
        row: Sequence[object] = ent.execute(query, values).fetchone()
        return row


def spoil(folder: Path, of: str, *values: object) -> None:
    """Somebody edits the names of some accounts in the ENT."""
    with closing(sqlite3.connect(folder / "ent.sqlite")) as ent, ent:
        ent.execute(
            "UPDATE stored_account SET attributes = json_set(attributes, '$.given_name', json('[\"X\"]')) "
            f"WHERE id IN ({of})",
            values,
        )


def measure(folder: Path) -> list[Measured]:
    """All commands, on a region that is loaded."""
    (known,) = asked(folder, "SELECT count(*) FROM accounts WHERE status = 'active'")
    somebody = "population = 'pupil' AND status = 'active' ORDER BY account LIMIT 1"
    key, account = map(str, asked(folder, f"SELECT source_key, account FROM accounts WHERE {somebody}"))
    uai, size = asked(folder, _PEOPLE_OF_A_SCHOOL, SCHOOL)
    school = "SELECT account FROM affiliations WHERE uai = ?"
    start = slowest(lambda: subprocess.run([sys.executable, "-c", ""], check=True))
    ent_sync(folder, "explain", key)  # compiles what is not yet
    explained = slowest(lambda: ent_sync(folder, "explain", key))
    person = lambda: ent_sync(folder, "resync", "person", key)  # noqa: E731
    whole = lambda: ent_sync(folder, "resync", "school", str(uai))  # noqa: E731
    print(f"{known:,} active accounts; school {uai} has {size:,} people; the interpreter starts in {start:.2f} s\n")
    return [
        Measured("explain, beyond the interpreter's start", 1, explained - start, 0.5),
        Measured("resync person, nothing to do", 1, slowest(person), 2.0),
        Measured("resync person, edited", 1, slowest(person, lambda: spoil(folder, "?", account)), 2.0),
        Measured("resync school, nothing to do", int(str(size)), slowest(whole), 30.0),
        Measured("resync school, edited", int(str(size)), slowest(whole, lambda: spoil(folder, school, uai)), 30.0),
    ]


def main() -> None:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pupils", type=int, default=115_000, help="default: 115000, of some 300,000 people")
    parser.add_argument("--keep", type=Path, help="keep the installation there, or take the one that is there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary) / "region"
        if not (folder / "state.sqlite").exists():
            make(folder, options.pupils)
        found = measure(folder)
    print("| command | people | slowest of 5, s | at most, s |")
    print("|---|---:|---:|---:|")
    for each in found:
        print(f"| {each.name} | {each.people:,} | {each.seconds:.2f} | {each.limit:.1f} |")
    print(json.dumps([asdict(each) for each in found]))
    if any(each.seconds > each.limit for each in found):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
