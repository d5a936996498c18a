"""The snapshot: what each source holds now, and how a delivery becomes part of it.

A delivery is first staged, in temporary tables that die with the connection. Only when it is judged fit is it merged,
in one transaction: records, links, departures, and the mark on every entry that must be mapped again. A crash before
that leaves nothing; a crash after it loses nothing, since the marks are stored with what they follow from.

Temporary tables have no statistics, so the order of joins is written down: CROSS JOIN keeps it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import sqlalchemy as sa

from ent_sync.core.completeness import Absence, Complete, LinkCount
from ent_sync.core.entry import EntryId
from ent_sync.core.plan import Withdrawal
from ent_sync.core.record import PEOPLE, Key, Population
from ent_sync.core.relations import Tie
from ent_sync.store.database import bulk

_PEOPLE = ", ".join(f"'{each}'" for each in PEOPLE)


class Staged(NamedTuple):
    """One row of a delivery: `same` was delivered alike before, `new` has content, `bad` is only seen, `gone` left.

    `ordinal` is the shard's place in the delivery, `place` the record's in the shard, `line` its line in the file.
    """

    population: str
    key: str
    ordinal: int
    place: int
    line: int
    state: str
    entry_id: str | None = None
    raw: bytes | None = None
    content: bytes | None = None
    sealed: bytes | None = None
    ine: bytes | None = None
    birth: bytes | None = None

    def __repr__(self) -> str:
        return f"<Staged {self.state} {self.population}>"


class Latest(NamedTuple):
    """What is known of a record before a delta's next request about it."""

    entry_id: EntryId
    sealed: bytes
    ine: bytes | None
    birth: bytes | None

    def __repr__(self) -> str:
        return f"<Latest {self.entry_id}>"


class StagedLink(NamedTuple):
    """A staged pupil's link to a guardian, with the place of the record that holds it."""

    pupil: str
    ordinal: int
    place: int
    guardian: str
    tie: str

    def __repr__(self) -> str:
        return "<StagedLink>"


@dataclass(frozen=True, slots=True, order=True, repr=False)
class Clash:
    """A staged record that may not be used, and by which rule."""

    ordinal: int
    place: int
    line: int
    population: Population
    key: Key
    rule: str


_STAGING = (
    "CREATE TEMPORARY TABLE IF NOT EXISTS staged (population TEXT NOT NULL, key TEXT NOT NULL, "
    "ordinal INTEGER NOT NULL, place INTEGER NOT NULL, line INTEGER NOT NULL, state TEXT NOT NULL, "
    "entry_id TEXT, raw BLOB, content BLOB, "
    "sealed BLOB, ine BLOB, birth BLOB, PRIMARY KEY (population, key, ordinal, place))",
    "CREATE TEMPORARY TABLE IF NOT EXISTS staged_links (pupil TEXT NOT NULL, ordinal INTEGER NOT NULL, "
    "place INTEGER NOT NULL, guardian TEXT NOT NULL, tie TEXT NOT NULL, PRIMARY KEY (pupil, ordinal, place, guardian))",
    "CREATE TEMPORARY TABLE IF NOT EXISTS leaving (population TEXT NOT NULL, key TEXT NOT NULL, state TEXT NOT NULL, "
    "PRIMARY KEY (population, key))",
    "CREATE TEMPORARY TABLE IF NOT EXISTS touched (entry_id TEXT PRIMARY KEY)",
)


def begin(connection: sa.Connection) -> None:
    """Empty staging tables on this connection."""
    for statement in _STAGING:
        connection.execute(sa.text(statement))
    for table in ("staged", "staged_links", "leaving", "touched"):
        connection.execute(sa.text(f"DELETE FROM {table}"))


def stage(connection: sa.Connection, rows: Sequence[Staged], links: Sequence[StagedLink]) -> None:
    """Add rows to the staged delivery."""
    bulk(
        connection,
        "INSERT INTO staged (population, key, ordinal, place, line, state, entry_id, raw, content, sealed, ine, birth) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        rows,
    )
    bulk(connection, "INSERT INTO staged_links (pupil, ordinal, place, guardian, tie) VALUES (?, ?, ?, ?, ?)", links)


_KNOWN = sa.text(
    "SELECT key, raw FROM records WHERE source = :source AND population = :population AND key IN :keys "
    "AND state = 'present' AND raw IS NOT NULL"
).bindparams(sa.bindparam("keys", expanding=True))


def known(connection: sa.Connection, source: str, population: Population, keys: Sequence[Key]) -> dict[str, bytes]:
    """The digests of delivered bytes of those keys that are present."""
    rows = connection.execute(_KNOWN, {"source": source, "population": population.value, "keys": list(keys)})
    return {row[0]: row[1] for row in rows}


_HELD = sa.text(
    "SELECT key, entry_id, sealed, ine, birth FROM records WHERE source = :source AND population = :population AND "
    "state = 'present' AND key IN :keys"
).bindparams(sa.bindparam("keys", expanding=True))
_LATER = sa.text(
    "SELECT key, state, entry_id, sealed, ine, birth FROM staged WHERE population = :population AND key IN :keys "
    "ORDER BY ordinal, place"
).bindparams(sa.bindparam("keys", expanding=True))


def latest(connection: sa.Connection, source: str, population: Population, keys: Sequence[Key]) -> dict[Key, Latest]:
    """Entry and sealed content of keys as the staged delta leaves them so far, else as the snapshot holds them."""
    asked: dict[str, object] = {"population": population.value, "keys": list(keys)}
    found = {row[0]: Latest(*row[1:]) for row in connection.execute(_HELD, {"source": source, **asked})}
    for key, state, *content in connection.execute(_LATER, asked):
        if state == "gone":
            found.pop(key, None)
        elif state == "new":
            found[key] = Latest(*content)
    return found


def keep_last(connection: sa.Connection) -> None:
    """Of several requests of a delta about one key, keep what the last usable one leaves."""
    connection.execute(
        sa.text(
            "DELETE FROM staged WHERE EXISTS (SELECT 1 FROM staged later WHERE later.population = staged.population "
            "AND later.key = staged.key AND (later.ordinal, later.place) > (staged.ordinal, staged.place) AND "
            "(later.state <> 'bad' OR staged.state = 'bad'))"
        )
    )
    connection.execute(
        sa.text(
            "DELETE FROM staged_links WHERE NOT EXISTS (SELECT 1 FROM staged WHERE staged.population = 'pupil' AND "
            "staged.key = staged_links.pupil AND staged.ordinal = staged_links.ordinal AND "
            "staged.place = staged_links.place AND staged.state = 'new')"
        )
    )


def clashes(connection: sa.Connection, source: str, *, delta: bool) -> list[Clash]:
    """Records that share a key: in one population all but the first, in different populations all (rule 5).

    What is bad in itself is in quarantine by its own rule already.
    In a delta, a record that the snapshot holds counts too, unless the delta says that it left.
    """
    repeated = connection.execute(
        sa.text(
            "SELECT ordinal, place, line, population, key FROM (SELECT population, key, ordinal, place, line, state, "
            "row_number() OVER (PARTITION BY population, key ORDER BY ordinal, place) AS turn FROM staged) AS placed "
            "WHERE turn > 1 AND state <> 'bad'"
        )
    )
    found = [Clash(row[0], row[1], row[2], Population(row[3]), row[4], "duplicate-key") for row in repeated]
    places = {(clash.ordinal, clash.place) for clash in found}
    held = (
        f"OR EXISTS (SELECT 1 FROM records held WHERE held.source = :source AND held.population IN ({_PEOPLE}) "
        "AND held.population <> fresh.population AND held.key = fresh.key AND held.state = 'present' AND NOT EXISTS "
        "(SELECT 1 FROM staged gone WHERE gone.population = held.population AND gone.key = held.key))"
        if delta
        else "AND :source <> ''"
    )
    shared = connection.execute(
        sa.text(
            f"SELECT ordinal, place, line, population, key FROM staged WHERE population IN ({_PEOPLE}) AND "
            "state IN ('new', 'same') AND key IN (SELECT fresh.key FROM staged fresh WHERE fresh.state = 'new' AND "
            f"fresh.population IN ({_PEOPLE}) AND (EXISTS (SELECT 1 FROM staged other WHERE "
            f"other.population IN ({_PEOPLE}) AND other.key = fresh.key AND other.population <> fresh.population AND "
            f"other.state <> 'gone') {held}))"
        ),
        {"source": source},
    )
    found += [
        Clash(row[0], row[1], row[2], Population(row[3]), row[4], "key-in-two-populations")
        for row in shared
        if (row[0], row[1]) not in places
    ]
    return sorted(found)


def set_aside(connection: sa.Connection, clashing: Iterable[Clash]) -> None:
    """Take clashing rows out of use: a repeated one goes, the others stay as seen."""
    for clash in clashing:
        place = {"population": clash.population.value, "key": clash.key, "ordinal": clash.ordinal, "place": clash.place}
        where = "WHERE population = :population AND key = :key AND ordinal = :ordinal AND place = :place"
        if clash.rule == "duplicate-key":
            connection.execute(sa.text(f"DELETE FROM staged {where}"), place)
        else:
            connection.execute(sa.text(f"UPDATE staged SET state = 'bad' {where}"), place)
        if clash.population is Population.PUPIL:
            del place["population"]
            connection.execute(
                sa.text("DELETE FROM staged_links WHERE pupil = :key AND ordinal = :ordinal AND place = :place"), place
            )


def count_links(connection: sa.Connection, source: str) -> LinkCount:
    """How many guardian links the staged complete delivery holds, and how many lead to nobody in it."""
    row = connection.execute(
        sa.text(
            "SELECT count(*), coalesce(sum(CASE WHEN EXISTS (SELECT 1 FROM staged found WHERE "
            "found.population = 'guardian' AND found.key = link.guardian) THEN 0 ELSE 1 END), 0) FROM "
            "(SELECT guardian FROM staged_links WHERE tie <> :self UNION ALL SELECT kept.guardian FROM links kept "
            "WHERE kept.source = :source AND kept.tie <> :self AND EXISTS (SELECT 1 FROM staged pupil WHERE "
            "pupil.population = 'pupil' AND pupil.key = kept.pupil AND pupil.state = 'same')) AS link"
        ),
        {"source": source, "self": Tie.SELF.value},
    ).one()
    return LinkCount(int(row[0]), int(row[1]))


def dangling_links(connection: sa.Connection, source: str, *, staged_only: bool) -> list[tuple[Key, Key]]:
    """After the merge: links (pupil, guardian) of present pupils to a guardian whom the source does not hold."""
    staged = "AND kept.pupil IN (SELECT key FROM staged WHERE population = 'pupil') " if staged_only else ""
    rows = connection.execute(
        sa.text(
            "SELECT kept.pupil, kept.guardian FROM links kept LEFT JOIN records found ON found.source = kept.source "
            "AND found.population = 'guardian' AND found.key = kept.guardian AND found.state = 'present' "
            f"WHERE kept.source = :source AND kept.tie <> :self AND found.key IS NULL {staged}"
            "ORDER BY kept.pupil, kept.guardian"
        ),
        {"source": source, "self": Tie.SELF.value},
    )
    return [(row[0], row[1]) for row in rows]


def present(connection: sa.Connection, source: str) -> dict[Population, int]:
    """How many records of each population the source holds."""
    rows = connection.execute(
        sa.text("SELECT population, count(*) FROM records WHERE source = :source AND state = 'present' GROUP BY 1"),
        {"source": source},
    )
    return {Population(row[0]): row[1] for row in rows}


def schools(connection: sa.Connection) -> dict[str, dict[Key, str]]:
    """For each source, the UAI of each structure key; grows with schools, not with people."""
    found: dict[str, dict[Key, str]] = {}
    rows = sa.text("SELECT source, key, entry_id FROM records WHERE population = 'school' AND state = 'present'")
    for source, key, uai in connection.execute(rows):
        found.setdefault(source, {})[key] = uai
    return found


@dataclass(frozen=True, slots=True, repr=False)
class SchoolRow:
    """A present structure record, sealed."""

    entry_id: EntryId
    source: str
    population: Population
    key: Key
    sealed: bytes | None


def school_rows(connection: sa.Connection) -> list[SchoolRow]:
    """All present structure records."""
    rows = connection.execute(
        sa.text(
            "SELECT entry_id, source, population, key, sealed FROM records WHERE population = 'school' AND "
            "state = 'present' ORDER BY source, key"
        )
    )
    return [SchoolRow(row[0], row[1], Population(row[2]), row[3], row[4]) for row in rows]


def correlate(connection: sa.Connection, source: str) -> list[Clash]:
    """Give staged pupils who are known under another key the person they are: same INE, no other birth date.

    Returns the pupils for whom two persons answer to that; they are never merged silently (contract, rule 7).
    """
    newcomers = connection.execute(
        sa.text(
            "SELECT fresh.ordinal, fresh.place, fresh.line, fresh.key, fresh.ine, fresh.birth FROM staged fresh WHERE "
            "fresh.population = 'pupil' AND fresh.state = 'new' AND fresh.ine IS NOT NULL AND NOT EXISTS "
            "(SELECT 1 FROM records held WHERE held.source = :source AND held.population = 'pupil' AND "
            "held.key = fresh.key) AND (EXISTS (SELECT 1 FROM records held WHERE held.ine = fresh.ine) OR fresh.ine IN "
            "(SELECT ine FROM staged WHERE ine IS NOT NULL GROUP BY ine HAVING count(*) > 1)) "
            "ORDER BY fresh.ordinal, fresh.place"
        ),
        {"source": source},
    ).all()
    unclear = []
    for ordinal, place, line, key, ine, birth in newcomers:
        answers = (
            connection.execute(
                sa.text(
                    "SELECT DISTINCT entry_id FROM (SELECT entry_id, birth FROM records WHERE ine = :ine UNION ALL "
                    "SELECT entry_id, birth FROM staged WHERE ine = :ine AND population = 'pupil' AND state = 'new' "
                    "AND (ordinal, place) < (:ordinal, :place)) AS known WHERE birth IS NULL OR :birth IS NULL OR "
                    "birth = :birth"
                ),
                {"ine": ine, "birth": birth, "ordinal": ordinal, "place": place},
            )
            .scalars()
            .all()
        )
        if len(answers) > 1:
            unclear.append(Clash(ordinal, place, line, Population.PUPIL, key, "two-candidates"))
        elif answers:
            connection.execute(
                sa.text("UPDATE staged SET entry_id = :entry WHERE population = 'pupil' AND key = :key"),
                {"entry": answers[0], "key": key},
            )
    return unclear


def merge(connection: sa.Connection, source: str, *, delivery: str, left_on: dt.date, proof: Complete | None) -> None:
    """Make the staged delivery part of the snapshot; with a proof, whom it does not hold is absent.

    Afterwards the temporary table `touched` names every entry that must be mapped again.
    """
    here = {"source": source}
    before = schools(connection).get(source)
    connection.execute(
        sa.text(
            "UPDATE staged SET entry_id = (SELECT held.entry_id FROM records held WHERE held.source = :source AND "
            "held.population = staged.population AND held.key = staged.key) WHERE state = 'new' AND "
            "population <> 'school' AND EXISTS (SELECT 1 FROM records held WHERE held.source = :source AND "
            "held.population = staged.population AND held.key = staged.key)"
        ),
        here,
    )
    # Both entries of a structure that changed its UAI, all others once.
    for entry in ("fresh.entry_id", "held.entry_id"):
        _touch(
            connection,
            f"SELECT {entry} FROM staged fresh LEFT JOIN records held ON held.source = :source AND "
            "held.population = fresh.population AND held.key = fresh.key WHERE fresh.state = 'new' AND "
            "(held.key IS NULL OR held.content IS DISTINCT FROM fresh.content OR held.state <> 'present' OR "
            f"held.entry_id <> fresh.entry_id) AND {entry} IS NOT NULL",
            here,
        )
    _say_who_left(connection, source, proof)
    absence = proof.absence(left_on) if proof else None
    _leave(connection, source, absence, Withdrawal(source, delivery, left_on))
    # The guardians whom a new or changed pupil named until now, and those he names from now on.
    _touch(connection, _GUARDIANS_OF.format("staged pupil", "pupil.state = 'new' AND"), here)
    connection.execute(
        sa.text(
            "DELETE FROM links WHERE source = :source AND pupil IN (SELECT key FROM staged WHERE "
            "population = 'pupil' AND state = 'new')"
        ),
        here,
    )
    connection.execute(
        sa.text(
            "INSERT INTO links (source, guardian, pupil, tie) SELECT :source, guardian, pupil, tie FROM staged_links"
        ),
        here,
    )
    connection.execute(
        sa.text(
            "INSERT INTO records (source, population, key, entry_id, state, raw, content, sealed, ine, birth) "
            "SELECT :source, population, key, entry_id, 'present', raw, content, sealed, ine, birth FROM staged "
            "WHERE state = 'new' ON CONFLICT (source, population, key) DO UPDATE SET entry_id = excluded.entry_id, "
            "state = 'present', raw = excluded.raw, content = excluded.content, sealed = excluded.sealed, "
            "ine = excluded.ine, birth = excluded.birth, left_on = NULL, delivery = NULL"
        ),
        here,
    )
    _touch(connection, _GUARDIANS_OF.format("staged pupil", "pupil.state = 'new' AND"), here)
    if schools(connection).get(source) != before:
        _touch(connection, f"SELECT entry_id FROM records WHERE source = :source AND population IN ({_PEOPLE})", here)


_GUARDIANS_OF = (
    "SELECT guardian.entry_id FROM {0} CROSS JOIN links link CROSS JOIN records guardian WHERE {1} "
    "pupil.population = 'pupil' AND link.source = :source AND link.pupil = pupil.key AND guardian.source = :source "
    "AND guardian.population = 'guardian' AND guardian.key = link.guardian"
)


def _say_who_left(connection: sa.Connection, source: str, proof: Complete | None) -> None:
    """Whom a delete request withdrew, and, only with a proof, whom the delivery does not hold."""
    connection.execute(
        sa.text(
            "INSERT INTO leaving (population, key, state) SELECT gone.population, gone.key, 'withdrawn' FROM "
            "staged gone CROSS JOIN records held WHERE gone.state = 'gone' AND held.source = :source AND "
            "held.population = gone.population AND held.key = gone.key AND held.state = 'present'"
        ),
        {"source": source},
    )
    if proof is None:
        return
    for population in Population:
        # Somebody without a readable key may be anybody of his population: of those nobody is absent (rule 5).
        if population not in proof.keyless:
            connection.execute(
                sa.text(
                    "INSERT INTO leaving (population, key, state) SELECT held.population, held.key, 'absent' FROM "
                    "records held WHERE held.source = :source AND held.population = :population AND "
                    "held.state = 'present' AND NOT EXISTS (SELECT 1 FROM staged seen WHERE "
                    "seen.population = held.population AND seen.key = held.key)"
                ),
                {"source": source, "population": population.value},
            )


def _leave(connection: sa.Connection, source: str, absence: Absence | None, withdrawal: Withdrawal) -> None:
    """Take those who left out of the snapshot: their content and links go, key and date stay for the clocks."""
    here = {"source": source}
    _touch(
        connection,
        "SELECT held.entry_id FROM leaving CROSS JOIN records held WHERE held.source = :source AND "
        "held.population = leaving.population AND held.key = leaving.key",
        here,
    )
    _touch(connection, _GUARDIANS_OF.format("leaving pupil", ""), here)
    connection.execute(
        sa.text(
            "DELETE FROM links WHERE source = :source AND pupil IN (SELECT key FROM leaving WHERE population = 'pupil')"
        ),
        here,
    )
    for state, departure in (("absent", absence), ("withdrawn", withdrawal)):
        if departure is not None:
            connection.execute(
                sa.text(
                    "UPDATE records SET state = :state, raw = NULL, content = NULL, sealed = NULL, left_on = :left_on, "
                    "delivery = :delivery WHERE source = :source AND (population, key) IN "
                    "(SELECT population, key FROM leaving WHERE state = :state)"
                ),
                {
                    "state": state,
                    "left_on": departure.left_on.isoformat(),
                    "delivery": departure.delivery,
                    "source": departure.source,
                },
            )


def _touch(connection: sa.Connection, select: str, parameters: Mapping[str, object]) -> None:
    connection.execute(sa.text(f"INSERT INTO touched (entry_id) {select} ON CONFLICT DO NOTHING"), parameters)
