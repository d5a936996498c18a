"""What pages say, in French and English: one catalogue for each language (`texts/`), numbers and moments beside it.

A text is escaped before its values are put in, and so are they: nothing that a store or a person wrote is markup.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from zoneinfo import ZoneInfo

from markupsafe import Markup, escape
from ruamel.yaml import YAML

from ent_sync.federation.words import LANGUAGES, Language

_NARROW = "\N{NARROW NO-BREAK SPACE}"
_WIDE = "\N{NO-BREAK SPACE}"
_PER_CENT = (2, 3, 4)


@functools.cache
def catalogue(language: Language) -> Mapping[str, str]:
    """The texts of a language, by name."""
    text = files("ent_sync.web").joinpath("texts", f"{language}.yaml").read_text("utf-8")
    found = YAML(typ="safe", pure=True).load(text)
    return {str(name): _set(str(value)) if language == "fr" else str(value) for name, value in found.items()}


def _set(text: str) -> str:
    """French as it is set: no line breaks before these marks."""
    for mark in ":;?!%»":
        text = text.replace(f" {mark}", f"{_WIDE}{mark}")
    return text.replace("« ", f"«{_WIDE}")


def chosen(asked: str | None, accepted: str) -> Language:
    """The language of an answer: what is asked for by name, else the first of `Accept-Language` that we have."""
    for language in LANGUAGES:
        if asked == language:
            return language
    return max(LANGUAGES, key=lambda each: _weight(each, accepted))  # of equals the first: French


def _weight(language: Language, accepted: str) -> float:
    found = 0.0
    for part in accepted.split(","):
        name, _, quality = part.partition(";")
        if name.strip().lower().partition("-")[0] == language:
            try:
                found = max(found, float(quality.strip().removeprefix("q=") or 1))
            except ValueError:
                continue
    return found


@dataclass(frozen=True, slots=True)
class Texts:
    """Speaks one language, in the time of one zone."""

    language: Language
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("Europe/Paris"))

    def __call__(self, name: str, **values: object) -> Markup:
        """A text of the catalogue with its values."""
        return escape(catalogue(self.language)[name]).format(**values)

    def of(self, family: str, name: object) -> Markup:
        """The text of a name from a closed list; the name itself where the list has grown meanwhile."""
        key = f"{family}.{name}"
        return self(key) if key in catalogue(self.language) else escape(str(name))

    def counted(self, name: str, number: int, **values: object) -> Markup:
        """A text for one, or for another number of things."""
        return self(f"{name}.{'one' if self._is_one(number) else 'many'}", number=self.number(number), **values)

    def _is_one(self, number: int) -> bool:
        return number == 1 or (number == 0 and self.language == "fr")

    # -- figures -----------------------------------------------------------------------------------------------------

    def number(self, value: float) -> str:
        """A whole number."""
        return f"{value:,.0f}".replace(",", _NARROW if self.language == "fr" else ",")

    def signed(self, value: float, places: int = 2) -> str:
        """A number with its sign and so many decimals."""
        text = f"{value:+.{places}f}".replace("-", "\N{MINUS SIGN}")
        return text.replace(".", ",") if self.language == "fr" else text

    def share(self, value: float, places: int = 2) -> str:
        """A share in per cent; what is not quite all is never told as all."""
        text = f"{100 * value:.0f}"
        for each in () if value in {0.0, 1.0} else (places, *(more for more in _PER_CENT if more > places)):
            text = f"{100 * value:.{each}f}"
            if float(text) not in {0.0, 100.0}:
                break
        return f"{text.replace('.', ',')}{_NARROW}%" if self.language == "fr" else f"{text}%"

    # -- time --------------------------------------------------------------------------------------------------------

    def day(self, day: dt.date) -> Markup:
        """A day."""
        return Markup('<time datetime="{}">{}</time>').format(day.isoformat(), self._day(day))

    def moment(self, moment: dt.datetime, *, zone: bool = False) -> Markup:
        """A moment to the minute, in the zone's time; `zone` writes which."""
        here = moment.astimezone(self.zone)
        said = self("moment", day=self._day(here.date()), time=f"{here:%H:%M}")
        if zone:
            said = self("moment.zone", moment=said, place=self.place)
        return Markup('<time datetime="{}">{}</time>').format(here.isoformat(timespec="minutes"), said)

    def length(self, length: dt.timedelta | float) -> Markup:
        """A length of time: the two largest of its units."""
        seconds = length.total_seconds() if isinstance(length, dt.timedelta) else length
        if 0 < seconds < 60:
            return self("length.seconds", seconds=self.number(max(seconds, 1)))
        minutes = round(seconds / 60)
        days, hours = minutes // 1440, minutes // 60 % 24
        name = "minutes" if minutes < 60 else "hours" if not days else "days" if hours else "whole"
        return self(f"length.{name}", days=self.number(days), hours=hours, minutes=minutes % 60)

    def ago(self, seconds: float) -> Markup:
        """How long ago something was."""
        return self("ago.now") if seconds < 60 else self("ago", length=self.rough(seconds))

    def rough(self, seconds: float) -> Markup:
        """A length of time in one unit."""
        for unit, name in ((86400, "days"), (3600, "hours"), (60, "minutes")):
            if seconds >= 2 * unit or (unit == 60 and seconds >= 60):
                return self(f"rough.{name}", number=self.number(seconds // unit))
        return self("length.seconds", seconds=self.number(seconds))

    @property
    def place(self) -> str:
        """The city that the zone is named after."""
        return self.zone.key.rpartition("/")[2].replace("_", _WIDE)

    def _day(self, day: dt.date) -> str:
        shape = catalogue(self.language)["day"]
        month = catalogue(self.language)["months"].split()[day.month - 1]
        first = "1er" if day.day == 1 and self.language == "fr" else str(day.day)
        return shape.format(day=first, month=month, year=day.year).replace(" ", _WIDE)
