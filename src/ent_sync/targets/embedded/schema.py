"""What stands in the file: tables for us, views for the ENT, and the version of both.

The views are the contract (§1); the tables behind them may change with the schema's version. Every view can be made
anew from the list of released attributes, so a change of the register is a change of views and of no row.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection

APPLICATION = 0x656E7473
VERSION = 1

# `number` is short and grows, so that first loads append to every table: with the digest as the key of all four, one
# batch touched a page per row in each of them.
_TABLES = (
    """CREATE TABLE stored_structure (
        id TEXT PRIMARY KEY, source_key TEXT NOT NULL, name TEXT NOT NULL, attributes TEXT NOT NULL
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE stored_group (
        id TEXT PRIMARY KEY, uai TEXT NOT NULL, kind TEXT NOT NULL, code TEXT NOT NULL, name TEXT NOT NULL
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE stored_account (
        number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, population TEXT NOT NULL, source_key TEXT NOT NULL,
        profile TEXT, status TEXT NOT NULL CHECK (status IN ('active', 'suspended')), attributes TEXT NOT NULL
    ) STRICT""",
    """CREATE TABLE stored_affiliation (
        account INTEGER NOT NULL, uai TEXT NOT NULL, function TEXT NOT NULL,
        PRIMARY KEY (account, uai, function)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE stored_membership (
        account INTEGER NOT NULL, group_id TEXT NOT NULL, role TEXT NOT NULL, label TEXT,
        PRIMARY KEY (account, group_id)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE stored_guardianship (
        account INTEGER NOT NULL, pupil TEXT NOT NULL, legal INTEGER NOT NULL CHECK (legal IN (0, 1)),
        PRIMARY KEY (account, pupil)
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX account_by_source_key ON stored_account (source_key)",
    "CREATE INDEX affiliation_by_school ON stored_affiliation (uai)",
    "CREATE INDEX membership_by_group ON stored_membership (group_id)",
    "CREATE INDEX guardianship_by_pupil ON stored_guardianship (pupil)",
)

_FIXED = ("account", "population", "profile", "status", "source_key")
_NAMES = ("family_name", "given_name")
_ATTRIBUTE = re.compile(r"[a-z][a-z0-9_]*")


class UnfitError(Exception):
    """The file can be reached and is not one we may write; `rule` and `message` say why, value-free."""

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(message)
        self.rule = rule
        self.message = message


def views(single: Sequence[str], multiple: Sequence[str]) -> Mapping[str, str]:
    """The views by name, for these released attributes; a name that the table's own columns bear adds no column.

    Raises:
        ValueError: a name is not an attribute name (`[a-z][a-z0-9_]*`), and so must not become SQL.
    """
    if not all(_ATTRIBUTE.fullmatch(name) for name in (*single, *multiple)):
        raise ValueError("an attribute name is made of a-z, 0-9 and _, and begins with a letter")
    columns = dict.fromkeys((*_NAMES, *(name for name in single if name not in _FIXED)))
    attributes = "".join(f", json_extract(attributes, '$.{name}[0]') AS \"{name}\"" for name in columns)
    several = ", ".join(f"'{name}'" for name in dict.fromkeys(multiple))
    selects = {
        "accounts": f"SELECT id AS account, population, profile, status, source_key{attributes} FROM stored_account",
        "structures": "SELECT id AS uai, name, source_key FROM stored_structure",
        "groups": "SELECT id AS group_id, uai, kind, code, name FROM stored_group",
        "members": "SELECT m.group_id, a.id AS account, m.role "
        "FROM stored_membership m JOIN stored_account a ON a.number = m.account",
        "affiliations": "SELECT a.id AS account, f.uai, nullif(f.function, '') AS function "
        "FROM stored_affiliation f JOIN stored_account a ON a.number = f.account",
        "guardianships": "SELECT a.id AS guardian, g.pupil, g.legal "
        "FROM stored_guardianship g JOIN stored_account a ON a.number = g.account",
        "attribute_values": "SELECT a.id AS account, named.key AS attribute, each.value AS value "
        "FROM stored_account a, json_each(a.attributes) named, json_each(named.value) each "
        f"WHERE named.key IN ({several})",
    }
    return {name: f"CREATE VIEW {name} AS {select}" for name, select in selects.items()}


def prepare(connection: Connection, wanted: Mapping[str, str]) -> None:
    """Make the tables of a new file, and the views where they differ.

    Raises:
        UnfitError: the file is another program's, or of another version.
    """
    there = {
        row.name: row.sql
        for row in connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type IN ('table', 'view')")
    }
    version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
    application = connection.exec_driver_sql("PRAGMA application_id").scalar_one()
    if not there and not version and not application:
        for table in _TABLES:
            connection.exec_driver_sql(table)
        connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION}")
        connection.exec_driver_sql(f"PRAGMA user_version = {VERSION}")
    elif application != APPLICATION:
        raise UnfitError("not-a-directory", "is the SQLite file of something else; name another path")
    elif version != VERSION:
        raise UnfitError("schema-version", f"has schema version {version}, and this program knows {VERSION} only")
    for name, definition in wanted.items():
        if there.get(name) != definition:
            connection.exec_driver_sql(f"DROP VIEW IF EXISTS {name}")
            connection.exec_driver_sql(definition)
