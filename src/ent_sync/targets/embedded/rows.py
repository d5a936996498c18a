"""Entries as rows and back, a batch at a time; who changes what is decided elsewhere.

The hot spot of a first load: plain tuples, one statement for each table and batch, nothing read where nothing is.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from sqlalchemy import Connection

from ent_sync.core.entry import (
    Account,
    Affiliation,
    Entry,
    EntryId,
    EntryKind,
    Group,
    Guardianship,
    Lifecycle,
    Membership,
    Structure,
)
from ent_sync.core.record import Key, Population
from ent_sync.core.relations import GroupKind, Role
from ent_sync.ports import Held

_encoded = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

_COLUMNS = {
    EntryKind.STRUCTURE: "id, source_key, name, attributes FROM stored_structure",
    EntryKind.GROUP: "id, uai, kind, code, name FROM stored_group",
    EntryKind.ACCOUNT: "id, number, population, source_key, profile, status, attributes FROM stored_account",
}
_BY_ID = {
    kind: f"SELECT {columns} WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id"
    for kind, columns in _COLUMNS.items()
}
_PAGE = {kind: f"SELECT {columns} WHERE id > ? ORDER BY id LIMIT ?" for kind, columns in _COLUMNS.items()}
_OF = "WHERE account IN (SELECT value FROM json_each(?)) ORDER BY"
_AFFILIATIONS = f"SELECT account, uai, function FROM stored_affiliation {_OF} account, uai, function"
_MEMBERSHIPS = f"SELECT account, group_id, role, label FROM stored_membership {_OF} account, group_id"
_GUARDIANSHIPS = f"SELECT account, pupil, legal FROM stored_guardianship {_OF} account, pupil"

_PUT_STRUCTURE = "INSERT OR REPLACE INTO stored_structure (id, source_key, name, attributes) VALUES (?, ?, ?, ?)"
_PUT_GROUP = "INSERT OR REPLACE INTO stored_group (id, uai, kind, code, name) VALUES (?, ?, ?, ?, ?)"
_ADD_ACCOUNT = (
    "INSERT INTO stored_account (population, source_key, profile, status, attributes, id, number) "
    "VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_SET_ACCOUNT = (
    "UPDATE stored_account SET population = ?, source_key = ?, profile = ?, status = ?, attributes = ? WHERE number = ?"
)
_Move: TypeAlias = tuple[int, Entry | None, Account]
"""An account's number, what it was, and what it becomes."""

_STRENGTH = {role: strength for strength, role in enumerate(Role)}


@dataclass(frozen=True, slots=True, repr=False)
class Found:
    """What the file holds of some entries, and the numbers of those that are accounts."""

    held: dict[EntryId, Held] = field(default_factory=dict)
    numbers: dict[EntryId, int] = field(default_factory=dict)


def find(connection: Connection, kind: EntryKind, ids: Collection[EntryId]) -> Found:
    """The entries of one kind that are there, in the order of their identifiers."""
    return _found(connection, kind, connection.exec_driver_sql(_BY_ID[kind], (_encoded(list(ids)),)).all())


def page(connection: Connection, kind: EntryKind, after: str, size: int) -> Found:
    """The next entries of one kind after an identifier, in the order of their identifiers."""
    return _found(connection, kind, connection.exec_driver_sql(_PAGE[kind], (after, size)).all())


def _found(connection: Connection, kind: EntryKind, rows: Sequence[Sequence[object]]) -> Found:
    if not rows:
        return Found()
    match kind:
        case EntryKind.STRUCTURE:
            return Found({entry.id: Held(entry, Lifecycle.ACTIVE) for entry in map(_structure, rows)})
        case EntryKind.GROUP:
            return Found({entry.id: Held(entry, Lifecycle.ACTIVE) for entry in map(_group, rows)})
        case EntryKind.ACCOUNT:
            return _accounts(connection, rows)


def _structure(row: Sequence[object]) -> Structure:
    id_, key, name, attributes = row
    return Structure(id=EntryId(str(id_)), source_key=Key(str(key)), name=str(name), attributes=_decoded(attributes))


def _group(row: Sequence[object]) -> Group:
    id_, uai, of, code, name = map(str, row)
    return Group(id=EntryId(id_), uai=uai, group_kind=GroupKind(of), code=code, name=name)


def _accounts(connection: Connection, rows: Sequence[Sequence[object]]) -> Found:
    numbers = _encoded([row[1] for row in rows])
    affiliations: defaultdict[object, list[Affiliation]] = defaultdict(list)
    for number, uai, function in connection.exec_driver_sql(_AFFILIATIONS, (numbers,)):
        affiliations[number].append(Affiliation(uai, function or None))
    memberships: defaultdict[object, list[Membership]] = defaultdict(list)
    for number, group, role, label in connection.exec_driver_sql(_MEMBERSHIPS, (numbers,)):
        memberships[number].append(Membership(group, Role(role), label))
    guardianships: defaultdict[object, list[Guardianship]] = defaultdict(list)
    for number, pupil, legal in connection.exec_driver_sql(_GUARDIANSHIPS, (numbers,)):
        guardianships[number].append(Guardianship(pupil, bool(legal)))
    found = Found()
    for id_, number, population, key, profile, status, attributes in rows:
        account = Account(
            id=EntryId(str(id_)),
            population=Population(str(population)),
            source_key=Key(str(key)),
            profile=None if profile is None else str(profile),
            attributes=_decoded(attributes),
            affiliations=tuple(affiliations.get(number, ())),
            memberships=tuple(memberships.get(number, ())),
            guardianships=tuple(guardianships.get(number, ())),
        )
        found.held[account.id] = Held(account, Lifecycle(str(status)))
        found.numbers[account.id] = int(str(number))
    return found


def _decoded(attributes: object) -> dict[str, tuple[str, ...]]:
    return {name: tuple(values) for name, values in json.loads(str(attributes)).items()}


def save(connection: Connection, kind: EntryKind, there: Found, now: Mapping[EntryId, Held]) -> None:
    """Make the entries that were found what they are now: what equals stays untouched, what lacks is deleted."""
    gone = [id_ for id_ in there.held if id_ not in now]
    held_before = there.held
    changed = [held for id_, held in now.items() if held_before.get(id_) != held] if held_before else now.values()
    match kind:
        case EntryKind.STRUCTURE:
            _many(connection, "DELETE FROM stored_structure WHERE id = ?", [(id_,) for id_ in gone])
            _many(connection, _PUT_STRUCTURE, [_structure_row(held.entry) for held in changed])
        case EntryKind.GROUP:
            _many(connection, "DELETE FROM stored_group WHERE id = ?", [(id_,) for id_ in gone])
            _many(connection, _PUT_GROUP, [_group_row(held.entry) for held in changed])
        case EntryKind.ACCOUNT:
            _save_accounts(connection, there, gone, changed)


def _structure_row(entry: Entry) -> tuple[str, ...]:
    if not isinstance(entry, Structure):
        raise TypeError("not a structure")
    return entry.id, entry.source_key, entry.name, _encoded(dict(entry.attributes))


def _group_row(entry: Entry) -> tuple[str, ...]:
    if not isinstance(entry, Group):
        raise TypeError("not a group")
    return entry.id, entry.uai, entry.group_kind.value, entry.code, entry.name


def _save_accounts(connection: Connection, there: Found, gone: Sequence[EntryId], changed: Collection[Held]) -> None:
    following = int(connection.exec_driver_sql("SELECT coalesce(max(number), 0) + 1 FROM stored_account").scalar_one())
    added: list[tuple[object, ...]] = []
    updated: list[tuple[object, ...]] = []
    moves: list[_Move] = []
    for held in changed:
        account = held.entry
        if not isinstance(account, Account):
            raise TypeError("not an account")
        row = (
            account.population.value,
            account.source_key,
            account.profile,
            held.lifecycle.value,
            _encoded(dict(account.attributes)),
        )
        number = there.numbers.get(account.id)
        if number is None:
            added.append((*row, account.id, following))
            moves.append((following, None, account))
            following += 1
        else:
            updated.append((*row, number))
            moves.append((number, there.held[account.id].entry, account))
    numbers_gone = [(there.numbers[id_],) for id_ in gone]
    _many(connection, "DELETE FROM stored_account WHERE number = ?", numbers_gone)
    _many(connection, _SET_ACCOUNT, updated)
    _many(connection, _ADD_ACCOUNT, added)
    for relation in _RELATIONS:
        _save_relation(connection, relation, numbers_gone, moves)


def _save_relation(
    connection: Connection, relation: _Relation, numbers_gone: Sequence[tuple[int]], moves: Sequence[_Move]
) -> None:
    cleared = list(numbers_gone)
    added: list[tuple[object, ...]] = []
    for number, before, account in moves:
        rows = relation.rows(number, account)
        if isinstance(before, Account):
            if relation.rows(number, before) == rows:
                continue
            cleared.append((number,))
        added += rows
    _many(connection, relation.clear, cleared)
    _many(connection, relation.insert, added)


def _affiliation_rows(number: int, account: Account) -> Sequence[tuple[object, ...]]:
    return [(number, each.uai, each.function or "") for each in account.affiliations]


def _membership_rows(number: int, account: Account) -> Sequence[tuple[object, ...]]:
    """A head teacher who also teaches the class is one member of it, and its head teacher (contract, §1)."""
    memberships: Sequence[Membership] = account.memberships
    if len(memberships) > 1:
        memberships = sorted(memberships, key=lambda each: _STRENGTH[each.role], reverse=True)
    return [(number, each.group, each.role.value, each.label) for each in memberships]


def _guardianship_rows(number: int, account: Account) -> Sequence[tuple[object, ...]]:
    return [(number, each.pupil, int(each.legal)) for each in sorted(account.guardianships, reverse=True)]


class _Relation(NamedTuple):
    """A relation's table. The first of two rows of one key counts, so `rows` begins with the stronger."""

    clear: str
    insert: str
    rows: Callable[[int, Account], Sequence[tuple[object, ...]]]


_RELATIONS = (
    _Relation(
        "DELETE FROM stored_affiliation WHERE account = ?",
        "INSERT INTO stored_affiliation (account, uai, function) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        _affiliation_rows,
    ),
    _Relation(
        "DELETE FROM stored_membership WHERE account = ?",
        "INSERT INTO stored_membership (account, group_id, role, label) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        _membership_rows,
    ),
    _Relation(
        "DELETE FROM stored_guardianship WHERE account = ?",
        "INSERT INTO stored_guardianship (account, pupil, legal) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        _guardianship_rows,
    ),
)


def _many(connection: Connection, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
    if rows:
        connection.exec_driver_sql(statement, rows)
