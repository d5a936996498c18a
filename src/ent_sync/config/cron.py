"""Cron expressions of five fields, checked before a scheduler ever sees them.

Says what is wrong with one, in words that do not quote it; knows no clock and no scheduler.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_PART = re.compile(
    r"(?:\*|(?P<first>[0-9]{1,2}|[a-z]{3})(?:-(?P<last>[0-9]{1,2}|[a-z]{3}))?)(?:/(?P<step>[0-9]{1,2}))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Field:
    title: str
    lowest: int
    highest: int
    names: tuple[str, ...] = ()

    def number(self, text: str) -> int | None:
        """What `text` stands for; None where it is nothing that this field takes."""
        if text in self.names:
            return self.lowest + self.names.index(text)
        return int(text) if text.isdigit() and self.lowest <= int(text) <= self.highest else None


_FIELDS = (
    _Field(title="the minute (first field)", lowest=0, highest=59),
    _Field(title="the hour (second field)", lowest=0, highest=23),
    _Field(title="the day of the month (third field)", lowest=1, highest=31),
    _Field(title="the month (fourth field)", lowest=1, highest=12, names=_MONTHS),
    _Field(title="the day of the week (fifth field)", lowest=0, highest=6, names=_DAYS),
)


def fault_of(expression: str) -> str | None:
    """Why `expression` is refused, or None where it is sound."""
    texts = expression.lower().split()
    if len(texts) != len(_FIELDS):
        return "must have five fields: minute, hour, day of the month, month, day of the week"
    if re.search(r"(?<!/)\b[0-9]", texts[4]):
        # 0 is Sunday to cron and Monday to APScheduler: whoever wrote it meant one of them, and we cannot know which.
        return "the day of the week (fifth field) takes names, as mon-sat: schedulers disagree on what day 0 is"
    faults = (_fault_of_field(field, text) for field, text in zip(_FIELDS, texts, strict=True))
    return next((fault for fault in faults if fault), None)


def _fault_of_field(field: _Field, text: str) -> str | None:
    for part in text.split(","):
        found = _PART.fullmatch(part)
        if found is None:
            return f"{field.title} takes {_allowed(field)}, ranges (a-b), lists (a,b), * and steps (*/5)"
        if found["step"] and not 1 <= int(found["step"]) <= field.highest:
            return f"{field.title} has a step outside 1 to {field.highest}"
        if found["step"] and found["first"] and (found["last"] is None or not found["first"].isdigit()):
            return f"{field.title} takes a step after * or a range of numbers only"
        first, last = (field.number(found[name]) if found[name] else None for name in ("first", "last"))
        if (found["first"] and first is None) or (found["last"] and last is None):
            return f"{field.title} takes {_allowed(field)}"
        if first is not None and last is not None and first > last:
            return f"{field.title} has a range that ends before it begins; a week begins on mon, so write sun,mon-thu"
    return None


def _allowed(field: _Field) -> str:
    if field.names is _DAYS:
        return "mon to sun"
    return f"{field.lowest} to {field.highest}" + (" or jan to dec" if field.names else "")
