"""Who is in which group, for a whole directory, on disk: memory stays flat however many people there are."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence

from ent_sync.core.entry import EntryId


class Listing:
    """Pairs of an account and a group, on disk until it is closed; the file has no name and nobody else sees it."""

    def __init__(self) -> None:
        self._rows = sqlite3.connect("", isolation_level=None)
        self._rows.execute("PRAGMA synchronous = OFF")
        self._rows.execute("PRAGMA journal_mode = OFF")
        self._rows.execute("PRAGMA cache_size = -16384")
        self._rows.execute("CREATE TABLE listed (number INTEGER PRIMARY KEY, account TEXT, name TEXT)")

    def add(self, pairs: Iterable[tuple[str, str]]) -> None:
        """These accounts are in these groups."""
        self._rows.execute("BEGIN")
        self._rows.executemany("INSERT INTO listed (account, name) VALUES (?, ?)", pairs)
        self._rows.execute("COMMIT")

    def by_account(self) -> None:
        """Everything is known; from now on it is asked for by account."""
        self._rows.execute("CREATE INDEX by_account ON listed (account, name)")

    def groups_of(self, accounts: Sequence[EntryId]) -> dict[str, set[EntryId]]:
        """The groups of each of these accounts that is in any."""
        found: dict[str, set[EntryId]] = {}
        query = "SELECT account, name FROM listed WHERE account IN (SELECT value FROM json_each(?))"
        for account, name in self._rows.execute(query, (json.dumps(accounts),)):
            found.setdefault(account, set()).add(EntryId(name))
        return found

    def by_group(self) -> Iterator[tuple[EntryId, list[str]]]:
        """All groups in the order of their identifiers, each with the accounts in it."""
        self._rows.execute("CREATE INDEX by_group ON listed (name, account)")
        current, accounts = "", list[str]()
        for name, account in self._rows.execute("SELECT DISTINCT name, account FROM listed ORDER BY name, account"):
            if name != current and accounts:
                yield EntryId(current), accounts
                accounts = []
            current = name
            accounts.append(account)
        if accounts:
            yield EntryId(current), accounts

    def close(self) -> None:
        """Let go of it."""
        self._rows.close()
