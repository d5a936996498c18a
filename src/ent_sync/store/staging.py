"""A delivery on its way into the snapshot: temporary tables that die with the connection.

Readers fill them, and what may not be used of it is found and set aside here; then `store.snapshot` merges the rest,
or nothing of it is used.

Temporary tables have no statistics, so the order of joins is written down: CROSS JOIN keeps it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import sqlalchemy as sa

from ent_sync.core.completeness import LinkCount
from ent_sync.core.entry import EntryId
from ent_sync.core.record import PEOPLE, Key, Population
from ent_sync.core.relations import Tie
from ent_sync.store.database import bulk

_PEOPLE = ", ".join(f"'{each}'" for each in PEOPLE)


class Staged(NamedTuple):
    """One row of a delivery: `same` was delivered alike before, `new` has content, `bad` is only seen, `gone` left.

    `ordinal` is the shard's place in the delivery, `place` the record's in the shard, `line` its line in the file.
    `handle` and `name` are a directory's own (`ports.Sighting`), the name in the form of a reference.
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
    handle: bytes | None = None
    name: str | None = None

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
    "sealed BLOB, ine BLOB, birth BLOB, handle BLOB, name TEXT, PRIMARY KEY (population, key, ordinal, place))",
    "CREATE INDEX IF NOT EXISTS temp.ix_staged_name ON staged (name) WHERE name IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS temp.ix_staged_handle ON staged (population, handle) WHERE handle IS NOT NULL",
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
        "INSERT INTO staged (population, key, ordinal, place, line, state, entry_id, raw, content, sealed, ine, birth, "
        "handle, name) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        rows,
    )
    bulk(connection, "INSERT INTO staged_links (pupil, ordinal, place, guardian, tie) VALUES (?, ?, ?, ?, ?)", links)


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


def keep_readded(connection: sa.Connection) -> None:
    """A key that one entry of a directory gave up and another took is not gone, in whichever order both were told."""
    connection.execute(
        sa.text(
            "DELETE FROM staged WHERE state = 'gone' AND handle IS NOT NULL AND EXISTS (SELECT 1 FROM staged fresh "
            "WHERE fresh.population = staged.population AND fresh.key = staged.key AND fresh.state IN ('new', 'same') "
            "AND fresh.handle IS NOT NULL AND fresh.handle <> staged.handle)"
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


def resolve_references(connection: sa.Connection, source: str) -> None:
    """Staged links that name a guardian by reference name its key, where the record of that name is known."""
    connection.execute(
        sa.text(
            "UPDATE OR IGNORE staged_links SET guardian = coalesce("
            "(SELECT fresh.key FROM staged fresh WHERE fresh.name = staged_links.guardian AND "
            "fresh.population = 'guardian' AND fresh.state <> 'gone'), "
            "(SELECT held.key FROM records held WHERE held.source = :source AND held.population = 'guardian' AND "
            "held.name = staged_links.guardian AND held.state = 'present'), guardian) WHERE guardian LIKE '%$@%'"
        ),
        {"source": source},
    )
