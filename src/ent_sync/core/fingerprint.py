"""Keyed digests: fingerprints of entries, identifiers of accounts, pseudonyms for logs.

Every use has a key of its own, derived from the installation's master key, so that no digest of one kind can be joined
with another (gdpr.md R21 to R23). Without the key nothing can be learned from any of them.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import msgpack

from ent_sync.core.entry import Entry, EntryId
from ent_sync.core.record import Key, Population

WHOLE = 16
PART = 8


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """The keys of an installation, one per use, each of 32 bytes."""

    account: bytes
    fingerprint: bytes
    content: bytes
    correlation: bytes
    pseudonym: bytes
    seal: bytes

    @classmethod
    def derive(cls, master: bytes) -> Keys:
        """The keys that follow from a master key of at least 32 bytes."""
        if len(master) < 32:
            raise ValueError("a master key has at least 32 bytes")
        root = hashlib.blake2b(master, digest_size=32, person=b"ent-sync master").digest()
        uses = ("account", "fingerprint", "content", "correlation", "pseudonym", "seal")
        return cls(*(hashlib.blake2b(key=root, digest_size=32, person=use.encode()).digest() for use in uses))


def account_id(keys: Keys, population: Population, first_key: Key) -> EntryId:
    """The identifier of the account whose first join key this is: 32 digits, the same after a rebuild (rule 7).

    The population takes part: a key that two feeds give to a pupil and to a guardian names two accounts.
    """
    digest = hashlib.blake2b(f"{population}|{first_key}".encode(), key=keys.account, digest_size=16).digest()
    return EntryId(digest.hex())


def correlation_digest(keys: Keys, ine: str) -> bytes:
    """What stands for an INE wherever pupils are correlated: the number itself is never stored (gdpr.md row 9)."""
    return hashlib.blake2b(ine.strip().upper().encode(), key=keys.correlation, digest_size=WHOLE).digest()


def content_digest(keys: Keys, population: Population, key: Key, content: bytes) -> bytes:
    """A digest of a record's content, bound to the record so that equal contents do not show (gdpr.md R23)."""
    state = hashlib.blake2b(key=keys.content, digest_size=WHOLE)
    state.update(f"{population}|{key}|".encode())
    state.update(content)
    return state.digest()


def name_digest(keys: Keys, name: bytes) -> bytes:
    """What stands for a directory's name of a record, its DN, which may tell who it is (gdpr.md R23)."""
    return hashlib.blake2b(b"name|" + name, key=keys.content, digest_size=16).digest()


def pseudonym(keys: Keys, key: str, quarter: str) -> str:
    """The short name for a person in all logs of one quarter (`2026Q4`); another one in the next (gdpr.md R22)."""
    digest = hashlib.blake2b(f"{quarter}|{key}".encode(), key=keys.pseudonym, digest_size=6).digest()
    return "p-" + digest.hex()


BUCKETS = 64


def day_bucket(keys: Keys, day: dt.date) -> int:
    """One of 64 buckets for a day, by which entries that change on that day are found again.

    Nobody can tell the day from its bucket: the day of a majority would tell a birth date.
    """
    digest = hashlib.blake2b(day.isoformat().encode(), key=keys.content, digest_size=1, person=b"day bucket").digest()
    return digest[0] % BUCKETS


def fingerprint(keys: Keys, entry: Entry) -> bytes:
    """The fingerprint of a whole active entry: equal for equal released values of one entry, and only then."""
    return whole_fingerprint(keys, entry.id, part_fingerprints(keys, entry))


def whole_fingerprint(keys: Keys, entry_id: EntryId, parts: Mapping[str, bytes]) -> bytes:
    """The fingerprint of a whole entry, from those of its parts."""
    packed: bytes = msgpack.packb([entry_id, *parts.items()])
    return hashlib.blake2b(packed, key=keys.fingerprint, digest_size=WHOLE).digest()


def suspended_fingerprint(keys: Keys, entry_id: EntryId) -> bytes:
    """The fingerprint of a suspended account, whatever it held before."""
    return hashlib.blake2b(f"suspended|{entry_id}".encode(), key=keys.fingerprint, digest_size=WHOLE).digest()


def part_fingerprints(keys: Keys, entry: Entry) -> dict[str, bytes]:
    """A fingerprint for each named part of an entry, bound to entry and part."""
    # A copy saves hashing the key again for each part.
    keyed = hashlib.blake2b(key=keys.fingerprint, digest_size=PART)
    found = {}
    for name, value in entry.parts():
        state = keyed.copy()
        state.update(msgpack.packb([entry.id, name, value]))
        found[name] = state.digest()
    return found
