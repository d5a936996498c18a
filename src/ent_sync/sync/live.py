"""What directories that can be asked hold of a person at this moment, beside what the snapshot knows of it.

Asks and compares; changes nothing. A run that takes an answer into the snapshot is `sync.run`'s.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from enum import StrEnum

from ent_sync.core.completeness import Delivery
from ent_sync.core.errors import UnavailableError
from ent_sync.core.fingerprint import content_digest
from ent_sync.core.record import Key
from ent_sync.ports import Sighting, UnreadableError
from ent_sync.store import snapshot
from ent_sync.sync.parts import Parts


class Standing(StrEnum):
    """How a directory's records of somebody stand to those of the last read."""

    SAME = "same"
    CHANGED = "changed"
    GONE = "gone"
    UNREACHABLE = "unreachable"


def delivered_live(parts: Parts, key: Key) -> bool:
    """Whether a directory that can be asked holds a record of that key now.

    Raises:
        UnavailableError: a directory that could know it does not answer.
    """
    for source in parts.sources.values():
        delivery = source.source.lookup([key]) if key.startswith(f"{source.academy}$") else None
        if delivery is not None and any(True for _ in _sightings(parts, delivery)):
            return True
    return False


def standing(parts: Parts, source: str, keys: Collection[Key]) -> Standing | None:
    """How a source stands to what was read of these keys; None where it cannot be asked."""
    try:
        delivery = parts.sources[source].source.lookup(keys)
        if delivery is None:
            return None
        found = list(_sightings(parts, delivery))
    except (UnavailableError, UnreadableError):
        return Standing.UNREACHABLE
    if not found:
        return Standing.GONE
    for each in found:
        if each.key is None:
            continue
        with parts.database.reading() as connection:
            known = snapshot.known(connection, source, each.population, [each.key])
        if known.get(each.key) != content_digest(parts.keys, each.population, each.key, each.raw):
            return Standing.CHANGED
    return Standing.SAME


def _sightings(parts: Parts, delivery: Delivery) -> Iterator[Sighting]:
    source = parts.sources[delivery.source].source
    for shard in source.shards(delivery):
        for batch in source.read(shard):
            yield from batch.sightings
