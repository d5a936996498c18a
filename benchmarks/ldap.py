"""The LDAP wire side by side with OpenLDAP's own C tools, on the same slapd, in one run.

    python benchmarks/ldap.py [--entries N]

Reads: `ldapsearch` by pages to nothing is the peer, and OpenLDAP's own syncrepl consumer filling an empty replica.
Writes: eight parallel `ldapmodify` of the same LDIF are the peer, on a durable server and on one with `dbnosync`.
Ratios are entries a second over those of the peer: above 1 we are faster. Prints a table in Markdown and, as its last
line, one JSON document.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from ent_sync.config.directory import DirectorySection
from ent_sync.wire.ldap import ber, sync
from ent_sync.wire.ldap.access import connect
from ent_sync.wire.ldap.ldif import record
from ent_sync.wire.ldap.link import Link
from ent_sync.wire.ldap.search import Search, pages
from ent_sync.wire.ldap.write import Add, Edit, EditKind, Modify, Pipeline
from servers.slapd import Slapd, slapd

WANTED = (
    "sn",
    "givenName",
    "ENTPersonJointure",
    "ENTPersonDateNaissance",
    "ENTEleveMEF",
    "ENTEleveClasses",
    "entryUUID",
)
FILTER = "(objectClass=ENTEleve)"
PEERS = 8
TOGETHER = 1000
ROUNDS = 3
BRANCHES = ("people", "groups")


def entry(number: int, base: str, branch: str = "people") -> tuple[str, dict[str, list[str]]]:
    """An invented pupil, as a federating directory holds one."""
    return f"uid=p{number:07d},ou={branch},{base}", {
        "objectClass": ["top", "person", "organizationalPerson", "inetOrgPerson", "ENTPerson", "ENTEleve"],
        "uid": [f"p{number:07d}"],
        "sn": [f"FAMILLE-{number}"],
        "cn": [f"FAMILLE-{number} Prénom-{number}"],
        "givenName": [f"Prénom-{number}"],
        "ENTPersonLogin": [f"prenom.famille{number}"],
        "ENTPersonJointure": [f"AC-LILLE${number}"],
        "ENTPersonDateNaissance": ["01/02/2013"],
        "ENTEleveStatutEleve": ["SCOLAIRE"],
        "ENTEleveMEF": ["10310019110"],
        "ENTEleveLibelleMEF": ["3EME"],
        "ENTEleveNivFormation": ["COLLEGE"],
        "ENTEleveFiliere": ["3EME"],
        "ENTEleveClasses": [f"ENTStructureSIREN=1,ou=structures,{base}$6A"],
        "ENTEleveMajeur": ["N"],
    }


def as_bytes(values: dict[str, list[str]]) -> dict[str, list[bytes]]:
    """The same as the wire takes it."""
    return {name: [each.encode() for each in found] for name, found in values.items()}


def open_link(section: dict[str, object]) -> Link:
    """A connection to a server."""
    return connect(DirectorySection.model_validate(section), Path(), os.environ, who="benchmark")


def timed(work: Callable[[], object]) -> float:
    """The seconds that it took."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


# -- reading -----------------------------------------------------------------------------------------------------------


def read_pages(section: dict[str, object], *, decoded: bool, search_filter: str = FILTER) -> int:
    """Read by pages on one connection; how many entries came."""
    with open_link(section) as link:
        count = 0
        for page in pages(link, Search(base=str(section["base"]), filter=search_filter, attributes=WANTED)):
            count += len(page)
            if decoded:
                for each in page:
                    ber.attributes(each.content)
        return count


def refresh(server: Slapd) -> int:
    """The initial refresh of RFC 4533; how many entries came."""
    with open_link(server.section("reader")) as link:
        return sum(
            len(each) for each in sync.refresh(link, Search(base=server.base, filter=FILTER, attributes=WANTED), None)
        )


def ldapsearch(server: Slapd) -> None:
    """The same by the C tool."""
    with Path(os.devnull).open("wb") as nothing:
        subprocess.run(
            [
                *("ldapsearch", "-x", "-LLL", "-H", server.url, "-D", server.reader, "-w", server.password),
                *("-E", "pr=1000/noprompt", "-b", server.base, FILTER, *WANTED),
            ],
            stdout=nothing,
            check=True,
        )


def half(section: dict[str, object], branch: str) -> int:
    """The entries of one branch, read in a process of its own."""
    return read_pages(section | {"base": f"ou={branch},{section['base']}"}, decoded=True)


def replica(server: Slapd, entries: int) -> float:
    """The seconds that OpenLDAP's own consumer takes to fill an empty replica."""
    lines = (
        f"syncrepl rid=001 provider={server.url} type=refreshOnly interval=00:00:01:00 bindmethod=simple "
        f'binddn="{server.admin}" credentials={server.password} searchbase="{server.base}" schemachecking=off',
    )
    begun = time.perf_counter()
    with slapd(empty=True, durable=False, syncprov=False, database_lines=lines, running=False) as consumer:
        consumer.start()
        while consumer_count(consumer) < entries:
            time.sleep(0.2)
        return time.perf_counter() - begun


def consumer_count(consumer: Slapd) -> int:
    """How many people the replica holds."""
    return consumer.search(FILTER, "1.1").count("dn: ")


def reads(entries: int) -> Iterator[tuple[str, float, float]]:
    """Name, entries a second, and ratio to the peer."""
    with slapd(durable=False) as server:
        with tempfile.NamedTemporaryFile("w", suffix=".ldif") as file:
            for number in range(entries):
                dn, values = entry(number, server.base, BRANCHES[number % 2])
                file.write(record(dn, as_bytes(values)))
            file.flush()
            Path(file.name).chmod(0o644)
            server.slapadd(Path(file.name))
        ldapsearch(server)  # once, so that all is in memory
        peer = entries / timed(lambda: ldapsearch(server))
        yield "`ldapsearch`, paged, to nothing", peer, 1.0
        for name, work in (
            ("paged read, entries kept as bytes", lambda: read_pages(server.section("reader"), decoded=False)),
            ("paged read, every entry decoded", lambda: read_pages(server.section("reader"), decoded=True)),
            ("initial refresh (RFC 4533)", lambda: refresh(server)),
        ):
            assert work() == entries
            rate = entries / timed(work)
            yield name, rate, rate / peer
        with ProcessPoolExecutor(2) as pool:
            list(pool.map(len, ["warm", "up"]))
            rate = entries / timed(lambda: list(pool.map(half, [server.section("reader")] * 2, BRANCHES)))
        yield "two connections in two processes, decoded", rate, rate / peer
        rate = entries / replica(server, entries)
        yield "OpenLDAP's syncrepl consumer, from empty", rate, rate / peer


# -- writing -----------------------------------------------------------------------------------------------------------


def by_tools(server: Slapd, pieces: Sequence[str]) -> float:
    """Seconds of eight parallel ldapmodify."""
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for place, piece in enumerate(pieces):
            files.append(Path(folder) / str(place))
            files[-1].write_text(piece)

        def run() -> None:
            command = ["ldapmodify", "-x", "-H", server.url, "-D", server.writer, "-w", server.password, "-f"]
            running = [subprocess.Popen([*command, file], stdout=subprocess.DEVNULL) for file in files]
            assert [each.wait() for each in running] == [0] * len(running)

        return timed(run)


def by_pipeline(server: Slapd, operations: Sequence[Add] | Sequence[Modify]) -> float:
    """Seconds of the same through one connection of ours."""

    def run() -> None:
        with open_link(server.section()) as link:
            pipeline = Pipeline(link)
            for start in range(0, len(operations), TOGETHER):
                answers = pipeline.perform(operations[start : start + TOGETHER])
                assert all(answer.result is not None and answer.result.code == 0 for answer in answers)

    return timed(run)


def as_changes(server: Slapd, numbers: range, branch: str) -> tuple[list[str], list[str]]:
    """Adds and modifies as LDIF, in as many pieces as there are tools."""
    adds, modifies = [""] * PEERS, [""] * PEERS
    for number in numbers:
        dn, values = entry(number, server.base, branch)
        first, _, rest = record(dn, as_bytes(values)).partition("\n")
        adds[number % PEERS] += f"{first}\nchangetype: add\n{rest}"
        modifies[number % PEERS] += f"dn: {dn}\nchangetype: modify\nreplace: givenName\ngivenName: Autre-{number}\n\n"
    return adds, modifies


def as_operations(server: Slapd, numbers: range, branch: str) -> tuple[list[Add], list[Modify]]:
    """The same as operations of ours."""
    pairs = [(number, *entry(number, server.base, branch)) for number in numbers]
    modifies = [Modify(dn, (Edit(EditKind.REPLACE, "givenName", (b"Autre-%d" % number,)),)) for number, dn, _ in pairs]
    return [Add(dn, as_bytes(values)) for _, dn, values in pairs], modifies


def writes(entries: int, *, durable: bool) -> Iterator[tuple[str, float, float]]:
    """Name, operations a second, and ratio to the peer: medians of rounds that take turns."""
    kind = "durable" if durable else "`dbnosync`"
    seen: dict[str, list[tuple[float, float]]] = {"add": [], "modify": []}
    with slapd(durable=durable, branches=("people", "groups")) as server:
        for turn in range(ROUNDS):
            numbers = range(turn * entries, (turn + 1) * entries)
            theirs, ours = as_changes(server, numbers, "groups"), as_operations(server, numbers, "people")
            for name, pieces, operations in zip(seen, theirs, ours, strict=True):
                by: dict[str, float] = {}
                for who in ("theirs", "ours") if turn % 2 else ("ours", "theirs"):
                    seconds = by_tools(server, pieces) if who == "theirs" else by_pipeline(server, operations)
                    by[who] = entries / seconds
                seen[name].append((by["theirs"], by["ours"]))
    for name, pairs in seen.items():
        yield f"{name}, {kind}: eight `ldapmodify`", median(peer for peer, _ in pairs), 1.0
        yield (
            f"{name}, {kind}: one connection of ours",
            median(ours for _, ours in pairs),
            median(ours / peer for peer, ours in pairs),
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=100_000)
    entries = parser.parse_args().entries
    print("| what | entries/s | ratio to the peer |\n| --- | ---: | ---: |", flush=True)
    rows = []
    for rows_of in (
        reads(entries),
        writes(entries // 10, durable=True),
        writes(entries // 2, durable=False),
    ):
        for name, rate, ratio in rows_of:
            rows.append({"name": name, "rate": rate, "ratio": ratio})
            print(f"| {name} | {rate:,.0f} | {ratio:.2f} |", flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"schema": "ent-sync/benchmark-ldap/1", "entries": entries, "rows": rows, "peak_rss_mb": peak}))


if __name__ == "__main__":
    main()
