"""One person, told whole: the records that describe them, what each target may know, what was pushed and what waits.

The mapping is that of a run with the tape running, so an explanation cannot differ from what happens. Gives a document
of plain values; the page that shows it is drawn elsewhere.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import sqlalchemy as sa

from ent_sync.core.entry import Account, EntryId, Lifecycle, Structure, group_id
from ent_sync.core.errors import UsageError
from ent_sync.core.explain import Explanation, ReleasedValue, WithheldValue
from ent_sync.core.identity import Person, Ward
from ent_sync.core.record import Key, Record, join_key
from ent_sync.core.relations import declared_groups
from ent_sync.core.release import NO_FUNCTION, NO_RELEASING_LINK, NOT_RELEASED, UNKNOWN_TARGET
from ent_sync.store import entries, figures, groups, plans, snapshot
from ent_sync.store.entries import Known, RecordRow
from ent_sync.store.runs import Quarantined
from ent_sync.store.snapshot import SchoolRow
from ent_sync.sync import live
from ent_sync.sync.map import open_label
from ent_sync.sync.parts import Parts
from ent_sync.sync.pull import open_record

_WHY_NONE: Mapping[str, str] = {
    NO_FUNCTION: "none of their functions is an assignment (all are `-`), and staff without one get no account",
    NO_RELEASING_LINK: "no link to a pupil makes them a legal representative: contacts get no account",
    NOT_RELEASED: "the register does not let this population have accounts at this target",
    UNKNOWN_TARGET: "nothing is decided for this target",
}
_NEVER = "the sources do not deliver this person, and the target holds no account"


def asked_key(raw: str) -> str:
    """What a hand typed, as the store spells it: a leading `AC-` goes (contract, rule 7)."""
    raw = raw.strip()
    return join_key("", raw) or raw if "$" in raw else raw


def explain(parts: Parts, key: str) -> dict[str, object] | None:
    """The document `ent-sync/explain/1` of the person whom a join key or account identifier names; None if nobody.

    Raises:
        UsageError: the key names several accounts.
    """
    with parts.database.reading() as connection:
        ids = entries.find(connection, key)
        if len(ids) > 1:
            raise UsageError(
                f"the key names {len(ids)} accounts; ask for one by its identifier: ent-sync explain {' | '.join(ids)}"
            )
        if not ids:
            aside = figures.quarantined_keys(connection, [Key(key)])
            return _only_in_quarantine(key, aside) if aside else None
        document = _Telling(parts, connection, ids[0]).document()
        keys = entries.keys_of(connection, ids)
    standings = {name: live.standing(parts, name, found) for name, found in keys.items() if name in parts.sources}
    return document | {"live": {name: each.value for name, each in standings.items() if each is not None}}


def _only_in_quarantine(key: str, aside: Sequence[Quarantined]) -> dict[str, object]:
    return {
        "schema": "ent-sync/explain/1",
        "account": None,
        "population": aside[0].population.value,
        "keys": [key],
        "records": [],
        "targets": [],
        "quarantine": [_aside(each) for each in aside],
        "guardians": {},
        "pushed": [],
        "live": {},
    }


class _Telling:
    """Gathers what is known of one person, in one view of the store."""

    def __init__(self, parts: Parts, connection: sa.Connection, entry_id: EntryId) -> None:
        self._parts = parts
        self._connection = connection
        self._id = entry_id
        precedence = {name: each.precedence for name, each in parts.sources.items()}
        self._rows = sorted(
            entries.records_of(connection, [entry_id]).get(entry_id, []),
            key=lambda row: (precedence.get(row.source, len(precedence)), row.source, row.key),
        )
        self._schools = snapshot.schools(connection)
        self._labels: dict[str, tuple[str, dict[EntryId, str]]] = {}

    def document(self) -> dict[str, object]:
        known = {
            target: entries.load(self._connection, target, [self._id]).get(self._id)
            for target in self._parts.target_names
        }
        keys = list(dict.fromkeys(row.key for row in self._rows))
        population = next(
            (row.population for row in self._rows),
            next((each.population for each in known.values() if each and each.population), None),
        )
        person = self._person()
        return {
            "schema": "ent-sync/explain/1",
            "account": self._id,
            "population": population.value if population else None,
            "keys": keys,
            "records": [_record(row) for row in self._rows],
            "targets": [self._target(target, each, person) for target, each in known.items()],
            "quarantine": [_aside(each) for each in figures.quarantined_keys(self._connection, keys)],
            "guardians": figures.guardians_of(self._connection, [self._id]),
            "pushed": [
                {
                    "target": row.target,
                    "operation": row.operation,
                    "parts": row.parts.split(),
                    "status": row.status,
                    "rule": row.rule,
                    "message": row.message,
                    "when": row.decided.isoformat() if row.decided else None,
                    "run": row.run,
                    "plan": row.plan,
                }
                for row in plans.of_entry(self._connection, self._id)
            ],
        }

    def _person(self) -> Person | None:
        records = tuple(
            open_record(self._parts, row.source, row.population, row.key, row.sealed)
            for row in self._rows
            if row.state == "present" and row.sealed is not None
        )
        if not records:
            return None
        wards = entries.wards_of(self._connection, [self._id]).get(self._id, [])
        return Person(self._id, records[0].population, records, tuple(Ward(*each) for each in wards))

    def _target(self, target: str, known: Known | None, person: Person | None) -> dict[str, object]:
        told = self._told(target, person) if person else None
        account = told.entry if told else None
        return {
            "target": target,
            "status": known.lifecycle.value if known and known.lifecycle else None,
            "why": self._why(known, told),
            "profile": account.profile if account else None,
            "released": [_released(each) for each in told.released] if told else [],
            "withheld": [_withheld(each) for each in told.withheld] if told else [],
            "unread": [_withheld(each) for each in told.unread] if told else [],
            "neutral": self._neutral(target, account),
            # Not the day: it would tell a birth date that the ENT may not know.
            "changes_with_time": bool(told and told.valid_until),
            **self._places(target, account),
        }

    def _neutral(self, target: str, account: Account | None) -> dict[str, str]:
        """What stands at the target only because its format demands it, by the target's own attribute names."""
        tells = self._parts.neutral.get(target)
        return dict(tells(account)) if tells is not None and account is not None else {}

    def _told(self, target: str, person: Person) -> Explanation:
        feeds = dict.fromkeys(record.source for record in person.records)
        schools = ChainMap(*[self._schools.get(feed, {}) for feed in feeds])
        return self._parts.policy.explain(target, person, schools, self._parts.today)

    def _why(self, known: Known | None, told: Explanation | None) -> list[str]:
        """Why there is no account, or one that is not what the sources say now."""
        found = []
        if told is None:
            found += [_departed(row) for row in self._rows] or [_NEVER]
        elif told.problems:
            found += [f"set aside: {problem}" for problem in told.problems]
        elif told.entry is None:
            found.append(_WHY_NONE.get(told.reason or "", told.reason or ""))
        lifecycle = known.lifecycle if known else None
        if told is not None and told.entry is not None and lifecycle is not Lifecycle.ACTIVE:
            found.append("the account is entitled and not there yet: the next run makes it")
        return found

    def _places(self, target: str, account: Account | None) -> dict[str, object]:
        """Schools and classes by the names that people call them."""
        if account is None:
            return {"schools": [], "groups": [], "children": None}
        uais = sorted({each.uai for each in account.affiliations})
        of = [each.group for each in account.memberships]
        sealed = dict(groups.names(self._connection, target, of)) if of else {}
        places = []
        for each in account.memberships:
            uai, kind, code = each.group.split("$", 2)
            school, declared = self._school(target, uai)
            name = declared.get(each.group) or open_label(self._parts, each.group, sealed.get(each.group)) or code
            places.append({"group_id": each.group, "kind": kind, "name": name, "school": school, "role": each.role})
        return {
            "schools": [{"uai": uai, "name": self._school(target, uai)[0]} for uai in uais],
            "groups": places,
            "children": len(account.guardianships) if account.guardianships else None,
        }

    def _school(self, target: str, uai: str) -> tuple[str, dict[EntryId, str]]:
        """A school's name, and those of the groups that it declares."""
        if uai not in self._labels:
            self._labels[uai] = (uai, {})
            row = self._school_rows.get(EntryId(uai))
            if row is not None and row.sealed is not None:
                record = open_record(self._parts, row.source, row.population, row.key, row.sealed)
                self._labels[uai] = (self._name(target, record), _declared(row.entry_id, record))
        return self._labels[uai]

    @cached_property
    def _school_rows(self) -> dict[EntryId, SchoolRow]:
        return {row.entry_id: row for row in snapshot.school_rows(self._connection)}

    def _name(self, target: str, record: Record) -> str:
        structure = self._parts.policy.structure(target, record)
        return structure.name if isinstance(structure, Structure) else record.key


def _declared(uai: str, record: Record) -> dict[EntryId, str]:
    return {group_id(uai, each.kind, each.code): each.label or each.code for each in declared_groups(record)}


def _departed(row: RecordRow) -> str:
    when = row.left_on.isoformat() if row.left_on else "?"
    if row.state == "withdrawn":
        return f"{row.source} said on {when}, in delivery {row.delivery}, that they left"
    return f"{row.source} does not hold them any more: the complete delivery {row.delivery} of {when} proves it"


def _record(row: RecordRow) -> dict[str, object]:
    return {
        "source": row.source,
        "population": row.population.value,
        "key": row.key,
        "state": row.state,
        "left_on": row.left_on.isoformat() if row.left_on else None,
        "delivery": row.delivery,
    }


def _released(value: ReleasedValue) -> dict[str, object]:
    return {
        "name": value.name,
        "values": list(value.values),
        "attribute": value.attribute,
        "source": value.source,
        "file": value.origin.file,
        "line": value.origin.line,
        "transforms": list(value.transforms),
        "purpose": value.purpose,
        "rule": f"{'/'.join(Path(value.rule.file).parts[-3:])}:{value.rule.line}",
    }


def _withheld(value: WithheldValue) -> dict[str, object]:
    return {"name": value.name, "rule": value.rule, "why": value.sentence}


def _aside(each: Quarantined) -> dict[str, object]:
    return {
        "id": each.id,
        "source": each.source,
        "population": each.population.value,
        "rule": each.rule,
        "file": each.file,
        "line": each.line,
        "message": each.message,
    }
