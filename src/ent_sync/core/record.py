"""Records as the sources deliver them, and the keys and links between them.

Knows what a record is, not where it came from or where it goes. Reprs show the kind of a thing and never a person.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

Key = NewType("Key", str)
"""The join key of a record, `ACADEMY$ID`; unique within the source's academy (aaf.md §4)."""

Values = Mapping[str, tuple[str, ...]]
"""Attribute name → its values, in the order of the delivery; an attribute without a value is not in it."""

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}")
_JOIN_KEY = re.compile(r"(?:[Aa][Cc]-)?([A-Za-z0-9][A-Za-z0-9_\-]*)\$([A-Za-z0-9][A-Za-z0-9_.\-]{0,63}|@[0-9a-f]{32})")


class Population(StrEnum):
    """The kinds of record that we keep true. MEF and subject records are nomenclature, not a population."""

    PUPIL = "pupil"
    GUARDIAN = "guardian"
    STAFF = "staff"
    SCHOOL = "school"


PEOPLE = (Population.PUPIL, Population.GUARDIAN, Population.STAFF)


class Degree(StrEnum):
    """First degree (nursery and primary) or second degree (collège and lycée) of a feed."""

    FIRST = "1d"
    SECOND = "2d"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a record stood: the delivered file and the line of its request, from 1."""

    file: str
    line: int


@dataclass(frozen=True, slots=True, repr=False)
class Record:
    """One entry of a source as it was delivered, narrowed to the attributes that some mapping reads."""

    population: Population
    key: Key
    values: Values
    origin: Origin
    source: str

    def __repr__(self) -> str:
        return f"<Record {self.population} of {self.source}>"

    def first(self, *attributes: str) -> str | None:
        """The first value of the first of `attributes` that has one."""
        for attribute in attributes:
            if found := self.values.get(attribute):
                return found[0]
        return None

    def all(self, *attributes: str) -> tuple[str, ...]:
        """All values of the first of `attributes` that has one: 1D and 2D names of one thing never come together."""
        for attribute in attributes:
            if found := self.values.get(attribute):
                return found
        return ()


def join_key(academy: str, raw: str) -> Key | None:
    """The key of a delivered id: `1234` and `AC-LILLE$1234` both give `LILLE$1234`; None where it is no key.

    An id that already names an academy keeps it; a leading `AC-` is dropped (contract, rule 7).
    """
    raw = raw.strip()
    if _ID.fullmatch(raw):
        return Key(f"{academy}${raw}")
    if named := _JOIN_KEY.fullmatch(raw):
        return Key(f"{named[1].upper()}${named[2]}")
    return None


def reference(academy: str, name: bytes) -> Key:
    """What stands in a value for a record that a directory names by its DN and not by its key (`Sighting.name`).

    It has the form of a join key, and is resolved to one where the record of that name is known.
    """
    return Key(f"{academy}$@{name.hex()}")
