"""Who is told what: partners by role, kind and service (federation-slo.md §5)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ent_sync.core.levels.calendar import SchoolHours
from ent_sync.core.levels.spans import span, total
from ent_sync.core.notice.kinds import Kind, Notice, What

CRISIS_AFTER = dt.timedelta(minutes=30)
"""The crisis cell hears of a malfunction that has lasted so long in school hours."""
CRISIS_SERVICES = 2
"""Or that has so many services."""


class Role(StrEnum):
    """What a partner is in the project."""

    REGION = "region"
    ACADEMIC_REGION = "academic-region"
    AGRICULTURE = "agriculture"
    DEPARTMENT = "department"
    SYNDICAT_MIXTE = "syndicat-mixte"
    CRISIS_CELL = "crisis-cell"
    OPERATORS = "operators"


@dataclass(frozen=True, slots=True, kw_only=True)
class Partner:
    """Who may be told: of these kinds, and of these services or, without any, of all; by so many ways."""

    name: str
    role: Role
    kinds: frozenset[Kind]
    services: frozenset[str]
    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """One partner by one of its channels."""

    partner: str
    role: Role
    channel: str


def concerned(partners: Iterable[Partner], notice: Notice, what: What, *, crisis: bool) -> tuple[Address, ...]:
    """Who gets a message of an update. `crisis` says whether the notice is the crisis cell's business."""
    return tuple(_concerned(partners, notice, what, crisis=crisis))


def _concerned(partners: Iterable[Partner], notice: Notice, what: What, *, crisis: bool) -> Iterator[Address]:
    for each in partners:
        about = notice.kind in each.kinds and (not each.services or not each.services.isdisjoint(notice.services))
        if each.role is Role.CRISIS_CELL:
            about = about and crisis and notice.kind is Kind.MALFUNCTION
        elif what is What.ESCALATED:
            about = False
        if notice.internal and each.role is not Role.OPERATORS:
            about = False
        if about:
            yield from (Address(each.name, each.role, channel) for channel in each.channels)


def is_crisis(notice: Notice, hours: SchoolHours, now: dt.datetime) -> bool:
    """Whether a malfunction has grown into the crisis cell's business."""
    if notice.kind is not Kind.MALFUNCTION or notice.internal or notice.began is None:
        return False
    if len(notice.services) >= CRISIS_SERVICES:
        return True
    felt = total(hours.within(span(notice.began, notice.ended or now)))
    return felt >= CRISIS_AFTER.total_seconds()


def roles_due(addresses: Sequence[Address]) -> frozenset[Role]:
    """The roles among those addressed."""
    return frozenset(each.role for each in addresses)
