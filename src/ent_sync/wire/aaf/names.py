"""What the name of a delivered file says (aaf.md §1).

Tolerant on purpose: the name carries the date and the kind of a delivery and nothing else does, while every authority
builds its prefix in its own way. Knows names only; opens nothing.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from enum import StrEnum

from ent_sync.core.record import Population


class FileKind(StrEnum):
    """The kind token of a file name. The category inside the records can differ: subjects say `MatEducNat`."""

    SCHOOLS = "EtabEducNat"
    SUBJECTS = "MatiereEducNat"
    PROGRAMMES = "MefEducNat"
    PUPILS = "Eleve"
    GUARDIANS = "PersRelEleve"
    STAFF = "PersEducNat"


_POPULATIONS = {
    FileKind.SCHOOLS: Population.SCHOOL,
    FileKind.PUPILS: Population.PUPIL,
    FileKind.GUARDIANS: Population.GUARDIAN,
    FileKind.STAFF: Population.STAFF,
}

# The underscore before the kind is what tells `_Eleve_` from `PersRelEleve`.
_NAME = re.compile(
    r"(?P<prefix>.*)_(?P<extent>Complet|Delta)_(?P<date>[0-9]{8,9})"
    rf"_(?P<kind>{'|'.join(FileKind)})_(?P<part>[0-9]{{4}})\.(?i:xml)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveredName:
    """A file name taken apart. `prefix` is the project code with its scope; files of one delivery share it."""

    prefix: str
    complete: bool
    date: dt.date
    kind: FileKind
    part: int


def population(kind: FileKind) -> Population | None:
    """The population of a file of that kind; None for nomenclature."""
    return _POPULATIONS.get(kind)


def parse_name(filename: str) -> DeliveredName | None:
    """The parts of a file's name (without folders), or None where it is not the name of a delivered file."""
    found = _NAME.fullmatch(filename)
    if found is None:
        return None
    date = _date(found["date"])
    if date is None:
        return None
    return DeliveredName(
        prefix=found["prefix"],
        complete=found["extent"] == "Complet",
        date=date,
        kind=FileKind(found["kind"]),
        part=int(found["part"]),
    )


def _date(digits: str) -> dt.date | None:
    """The date of eight digits. Of nine, as the ministry has sent (`201300408`), a zero too many after the year.

    None where there is no such day, or where leaving out one zero or another gives two different days.
    """
    if len(digits) == len("YYYYMMDD"):
        spellings = {digits}
    else:
        spellings = {digits[:at] + digits[at + 1 :] for at in range(len("YYYY"), len(digits)) if digits[at] == "0"}
    days = {day for spelling in spellings if (day := _day(spelling)) is not None}
    return days.pop() if len(days) == 1 else None


def _day(digits: str) -> dt.date | None:
    try:
        return dt.date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None
