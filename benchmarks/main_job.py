"""First load and no-change run against the bare parse of the same files, measured in one go.

    python benchmarks/main_job.py [--pupils N]... [--keep DIR]

Bare is one process that does nothing but `lxml.etree.iterparse` over the same files, clearing each element: nobody can
read them with that library for less. Ratios are wall time over bare. PSS is summed over the process tree, sampled while
it runs. Prints a table in Markdown and, as its last line, one JSON document.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ent_sync.synth.delivery import SynthRequest, write_delivery

DAY = dt.date(2026, 9, 1)


@dataclass(frozen=True, slots=True)
class Measured:
    """One command, measured."""

    name: str
    pupils: int
    people: int
    seconds: float
    ratio: float
    people_per_second: float
    peak_pss_mb: float


def bare(files: Sequence[Path]) -> float:
    """Seconds that one process needs to parse the files and drop everything."""
    code = (
        "import sys\nfrom lxml import etree\n"
        "for name in sys.argv[1:]:\n"
        "    for _, element in etree.iterparse(name):\n"
        "        element.clear()\n"
    )
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", code, *map(str, files)], check=True)
    return time.perf_counter() - begun


def run(arguments: Sequence[str]) -> tuple[dict[str, object], float, float]:
    """The document that a command prints, its seconds, and the peak PSS of its process tree in MB."""
    begun = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "ent_sync", *arguments], stdout=subprocess.PIPE, text=True)
    peak = Peak(process.pid)
    output, _ = process.communicate()
    seconds = time.perf_counter() - begun
    peak.stop()
    if process.returncode not in {0, 3}:
        raise SystemExit(f"ent-sync {' '.join(arguments)} ended with {process.returncode}: {output}")
    return json.loads(output), seconds, peak.megabytes


class Peak:
    """Watches the memory of a process and all that it started."""

    def __init__(self, pid: int) -> None:
        self.megabytes = 0.0
        self._pid = pid
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop watching."""
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.1):
            self.megabytes = max(self.megabytes, sum(_pss(pid) for pid in _tree(self._pid)) / 1024)


def _tree(root: int) -> list[int]:
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                text = (entry / "stat").read_text()
            except OSError:
                continue
            parents[int(entry.name)] = int(text.rpartition(")")[2].split()[1])
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def _pss(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


def measure(pupils: int, folder: Path) -> list[Measured]:
    """Both runs for a region of so many pupils."""
    shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, "-m", "ent_sync", "init", str(folder), "--source", "lille-2d"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    deliveries = folder / "deliveries" / "lille-2d"
    written = write_delivery(SynthRequest(directory=deliveries, pupils=pupils, date=DAY))
    people = sum(count for population, count in written.counts.items() if population != "school")
    raw = bare(written.files)
    found = [Measured("bare", pupils, people, raw, 1.0, people / raw, 0.0)]
    sync = ["--config", str(folder / "ent-sync.yaml"), "--json", "sync"]
    document, seconds, peak = run(sync)
    assert document["outcome"] == "done", document
    found.append(Measured("first load", pupils, people, seconds, seconds / raw, people / seconds, peak))
    shutil.rmtree(written.path)
    write_delivery(SynthRequest(directory=deliveries, pupils=pupils, date=DAY + dt.timedelta(days=1)))
    document, seconds, peak = run(sync)
    changes = document["changes"]
    assert isinstance(changes, dict)
    assert not any(count for name, count in changes.items() if name != "unchanged"), document
    found.append(Measured("no-change complete", pupils, people, seconds, seconds / raw, people / seconds, peak))
    return found


def main() -> None:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pupils", type=int, action="append", help="default: 10000 and 100000")
    parser.add_argument("--keep", type=Path, help="keep the installations there")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        base = asked.keep or Path(temporary)
        found = [each for pupils in asked.pupils or [10_000, 100_000] for each in measure(pupils, base / str(pupils))]
    print("| pupils | people | run | seconds | x bare | people/s | peak PSS, MB |")
    print("|---:|---:|---|---:|---:|---:|---:|")
    for each in found:
        print(
            f"| {each.pupils:,} | {each.people:,} | {each.name} | {each.seconds:.1f} | {each.ratio:.2f} | "
            f"{each.people_per_second:,.0f} | {each.peak_pss_mb:.0f} |"
        )
    print(json.dumps([asdict(each) for each in found]))


if __name__ == "__main__":
    main()
