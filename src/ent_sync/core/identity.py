"""Who is who: a person is all records that describe one human, in the order of their sources' precedence.

Correlation has two rules and no guess: the same key in feeds of one academy, and for pupils the same INE with no
contradicting birth date. Guardians are never merged by what they are called.
"""

from __future__ import annotations

from dataclasses import dataclass

from ent_sync.core.entry import EntryId
from ent_sync.core.record import Population, Record
from ent_sync.core.relations import Tie


@dataclass(frozen=True, slots=True)
class Ward:
    """A pupil of a guardian, under the identifier of the pupil's account, with what the guardian is to them."""

    pupil: EntryId
    tie: Tie


@dataclass(frozen=True, slots=True, repr=False)
class Person:
    """All present records of one human; the first has precedence. `wards` are a guardian's pupils."""

    id: EntryId
    population: Population
    records: tuple[Record, ...]
    wards: tuple[Ward, ...] = ()

    def __repr__(self) -> str:
        return f"<Person {self.population} {self.id}>"
