"""Groups: what they should be follows from their members, and from what structures declare."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from ent_sync.core.entry import EntryId, EntryKind
from ent_sync.store import schema
from ent_sync.store.entries import Mapped, Placed

_PAGE = 500
_MEMBERSHIPS = sa.text(
    "SELECT entry_id, group_id, label_digest FROM memberships WHERE target = :target AND entry_id IN :ids"
).bindparams(sa.bindparam("ids", expanding=True))
_NO_ACCOUNT = sa.text(
    "SELECT 1 FROM entries WHERE target = :target AND entry_id IN :ids AND kind <> 'account' LIMIT 1"
).bindparams(sa.bindparam("ids", expanding=True))


def moved(connection: sa.Connection, target: str, mapped: Sequence[Mapped], placed: Sequence[Placed]) -> bool:
    """Whether what was mapped may change a group: somebody has another place, or a structure or group is among it.

    Asked before the memberships are stored; looking at all groups costs a second at 300,000 people.
    """
    now = {(each.entry_id, each.group_id, each.label_digest) for each in placed}
    before: set[tuple[str, str, bytes | None]] = set()
    for start in range(0, len(mapped), _PAGE):
        page = mapped[start : start + _PAGE]
        asked = {"target": target, "ids": [each.entry_id for each in page if not each.stays]}
        everyone = {"target": target, "ids": [each.entry_id for each in page]}
        before.update((row[0], row[1], row[2]) for row in connection.execute(_MEMBERSHIPS, asked))
        if not before <= now or connection.execute(_NO_ACCOUNT, everyone).first() is not None:
            return True
    return before != now


_WANT = sa.text(
    "INSERT INTO entries (target, entry_id, kind, source, stale, desired) VALUES (:target, :entry_id, :kind, :source, "
    "TRUE, :desired) ON CONFLICT (target, entry_id) DO UPDATE SET desired = excluded.desired, "
    "stale = (entries.acknowledged IS DISTINCT FROM excluded.desired)"
)


def stale(connection: sa.Connection, target: str) -> bool:
    """Whether some group is not what the target acknowledged."""
    query = sa.select(schema.entries.c.entry_id).where(
        schema.entries.c.target == target,
        schema.entries.c.stale == sa.true(),
        schema.entries.c.kind == EntryKind.GROUP.value,
    )
    return connection.execute(query.limit(1)).first() is not None


def want(connection: sa.Connection, target: str, wanted: Sequence[tuple[EntryId, str, bytes | None]]) -> None:
    """Store the desired fingerprints of groups: identifier, source, fingerprint or None."""
    if wanted:
        connection.execute(
            _WANT,
            [
                {"target": target, "entry_id": entry_id, "kind": "group", "source": source, "desired": desired}
                for entry_id, source, desired in wanted
            ],
        )


def names(
    connection: sa.Connection, target: str, of: Sequence[EntryId] | None = None
) -> list[tuple[EntryId, bytes | None]]:
    """Every group that somebody is a member of, with the sealed label that most of its members' records give it.

    With `of`, only those groups.
    """
    some = "" if of is None else " AND group_id IN :of"
    query = sa.text(
        "SELECT group_id, label FROM (SELECT group_id, min(label) AS label, row_number() OVER "
        "(PARTITION BY group_id ORDER BY label_digest IS NULL, count(*) DESC, label_digest) AS place FROM "
        f"memberships WHERE target = :target{some} GROUP BY group_id, label_digest) AS named WHERE place = 1"
    )
    asked: dict[str, object] = {"target": target}
    if of is not None:
        query = query.bindparams(sa.bindparam("of", expanding=True))
        asked["of"] = list(of)
    return [(row[0], row[1]) for row in connection.execute(query, asked)]
