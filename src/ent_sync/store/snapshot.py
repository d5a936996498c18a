"""The snapshot: what each source holds now, and how a staged delivery becomes part of it.

Only when a delivery is judged fit is it merged, in one transaction: records, links, departures, and the mark on every
entry that must be mapped again. A crash before that leaves nothing; a crash after it loses nothing, since the marks are
stored with what they follow from.

Temporary tables have no statistics, so the order of joins is written down: CROSS JOIN keeps it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from ent_sync.core.completeness import Absence, Complete
from ent_sync.core.entry import EntryId
from ent_sync.core.plan import Withdrawal
from ent_sync.core.record import PEOPLE, Key, Population
from ent_sync.core.relations import Tie
from ent_sync.store.staging import Clash

_PEOPLE = ", ".join(f"'{each}'" for each in PEOPLE)


_KNOWN = sa.text(
    "SELECT key, raw FROM records WHERE source = :source AND population = :population AND key IN :keys "
    "AND state = 'present' AND raw IS NOT NULL"
).bindparams(sa.bindparam("keys", expanding=True))


def known(connection: sa.Connection, source: str, population: Population, keys: Sequence[Key]) -> dict[str, bytes]:
    """The digests of delivered bytes of those keys that are present."""
    rows = connection.execute(_KNOWN, {"source": source, "population": population.value, "keys": list(keys)})
    return {row[0]: row[1] for row in rows}


_BY_HANDLE = sa.text(
    "SELECT handle, key FROM records WHERE source = :source AND population = :population AND handle IN :handles "
    "AND state = 'present' UNION ALL SELECT handle, key FROM staged WHERE population = :population AND "
    "handle IN :handles AND state = 'new'"
).bindparams(sa.bindparam("handles", expanding=True))


def keys_by_handle(
    connection: sa.Connection, source: str, population: Population, handles: Sequence[bytes]
) -> dict[bytes, Key]:
    """The keys of records by the directory's own handle for them: present ones, and those staged so far."""
    asked = {"source": source, "population": population.value, "handles": list(handles)}
    return {row[0]: row[1] for row in connection.execute(_BY_HANDLE, asked)}


def _resolve_waiting_links(connection: sa.Connection, source: str) -> None:
    """Links that named nobody until now, whose guardian has come."""
    waiting = (
        "FROM staged fresh CROSS JOIN links waiting WHERE fresh.population = 'guardian' AND fresh.state = 'new' AND "
        "fresh.name IS NOT NULL AND waiting.source = :source AND waiting.guardian = fresh.name"
    )
    connection.execute(
        sa.text(
            "INSERT INTO links (source, guardian, pupil, tie) SELECT :source, fresh.key, waiting.pupil, waiting.tie "
            f"{waiting} ON CONFLICT DO NOTHING"
        ),
        {"source": source},
    )
    connection.execute(
        sa.text(
            f"DELETE FROM links WHERE source = :source AND (guardian, pupil) IN (SELECT waiting.guardian, "
            f"waiting.pupil {waiting})"
        ),
        {"source": source},
    )


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
    """For each source, the UAI of each structure, by its key and by the reference that a directory's records use.

    Grows with schools, not with people.
    """
    found: dict[str, dict[Key, str]] = {}
    rows = sa.text("SELECT source, key, name, entry_id FROM records WHERE population = 'school' AND state = 'present'")
    for source, key, name, uai in connection.execute(rows):
        known = found.setdefault(source, {})
        known[key] = uai
        if name is not None:
            known[name] = uai
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
            "INSERT INTO records (source, population, key, entry_id, state, raw, content, sealed, ine, birth, handle, "
            "name) SELECT :source, population, key, entry_id, 'present', raw, content, sealed, ine, birth, handle, "
            "name FROM staged WHERE state = 'new' ON CONFLICT (source, population, key) DO UPDATE SET "
            "entry_id = excluded.entry_id, state = 'present', raw = excluded.raw, content = excluded.content, "
            "sealed = excluded.sealed, ine = excluded.ine, birth = excluded.birth, left_on = NULL, delivery = NULL, "
            "handle = excluded.handle, name = excluded.name"
        ),
        here,
    )
    _resolve_waiting_links(connection, source)
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
        if population not in proof.exempt:
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
