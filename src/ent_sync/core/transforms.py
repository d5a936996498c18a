"""The documented set of transforms: named pure steps from values to values, the only computing that a mapping may do.

| name | parameter | gives | refuses |
|---|---|---|---|
| `trim` | - | blanks collapsed, NFC; a blank value is no value | - |
| `upper` | - | upper case | - |
| `name-case` | - | French capitals for what came wholly in upper case, all else as it is | - |
| `date` | - | `dd/mm/yyyy` as `yyyy-mm-dd` | what is no date |
| `is-adult` | - | of a birth date: `true` from the 18th birthday on, else `false` (generaliser) | what is no date |
| `year` | - | of a date: its year (generaliser) | what is no date |
| `phone` | - | `+33 6 12 34 56 78` | what is no number |
| `email` | - | the address, its domain in lower case | what is no address |
| `title` | - | `M.` or `Mme` | any other word |
| `sub-field` | n | the n-th part between `$`, from 1; -1 is the last | - |
| `table` | a table | what the table says of the value | what the table lacks |
| `bool` | - | `true` or `false` of O, N, Y, oui, non, 1, 0 | any other word |
| `first` | - | the first value only | - |
| `unique` | - | each value once | - |
| `split` | separator | the parts of each value | - |
| `join` | separator | all values as one | - |
| `template` | `{0} {1}` | one value made of the values at these places, from 0 | too few values |

A refused value is dropped and never shown: no exception leaves a step. Steps from outside (entry points
`ent_sync.transforms`) are functions from a tuple of values to a tuple of values; whatever they raise is a refusal.
"""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

Values: TypeAlias = tuple[str, ...]
One: TypeAlias = Callable[[str], str | None]
"""A step on one value: the new value, an empty one for "nothing there", None for a refusal."""
Many: TypeAlias = Callable[[Values], Values]
Until: TypeAlias = Callable[[str], dt.date | None]
"""The day from which the answer for a value is another one; None if it stays."""

VERSION = f"1/{importlib.metadata.version('phonenumbers')}/{unicodedata.unidata_version}"
"""Changes whenever a step may give something else for the same value."""


class BadTransformError(ValueError):
    """A mapping names a transform that does not exist, or gives it a parameter that does not fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One configured transform: on each value alone (`one`), on all together (`many`), or bound to a day (`daily`).

    `generalises` names the source attributes that are no longer what they were after this step (gdpr.md R4).
    """

    name: str
    parameter: object = None
    one: One | None = None
    many: Many | None = None
    daily: Callable[[dt.date], tuple[One, Until]] | None = None
    generalises: frozenset[str] = frozenset()

    def on(self, today: dt.date) -> One | None:
        """The step on one value, as it is that day."""
        return self.daily(today)[0] if self.daily else self.one


def run(steps: Iterable[One | Many], values: Values, kinds: Iterable[bool]) -> tuple[Values, bool]:
    """The values after all steps, and whether one of them refused a value; `kinds` tells which work on one value."""
    refused = False
    for step, alone in zip(steps, kinds, strict=True):
        if not alone:
            before, values = values, step(values)  # type: ignore[arg-type, assignment] # `kinds` says it
            refused |= bool(before) and not values
            continue
        found = [step(value) for value in values]  # type: ignore[arg-type] # `kinds` says it
        refused |= None in found
        values = tuple(value for value in found if value)  # type: ignore[misc] # strings only
    return values, refused


def apply(step: Step, values: Values, today: dt.date) -> Values:
    """What one step makes of values; refused ones are not in it."""
    one = step.on(today)
    return run((one or step.many,), values, (one is not None,))[0]  # type: ignore[arg-type] # a step has one of them


# --------------------------------------------------------------------------------------------------------------------
# On one value


def trim(value: str) -> str:
    """Blanks at the ends gone, all others one space, letters and accents composed (NFC)."""
    value = " ".join(value.split())
    return value if value.isascii() else unicodedata.normalize("NFC", value)


_WORD = re.compile(r"(?:[^\W\d_][\u0300-\u036f]*)+")
_PARTICLES = frozenset({"DE", "DU", "DES"})


def name_case(value: str) -> str:
    """`JEAN-PIERRE` as `Jean-Pierre`, `MARIE DE LOURDES` as `Marie de Lourdes`; mixed case is left as it is."""
    return _WORD.sub(_capital, value) if value.isupper() else value


def _capital(match: re.Match[str]) -> str:
    word, text = match[0], match.string
    if match.start() > 0 and match.end() < len(text):
        elided = word == "D" and text[match.end()] in "'’"  # noqa: RUF001 - the typographic apostrophe is meant
        if elided or word in _PARTICLES:
            return word.lower()
    return word[0] + word[1:].lower()


_DATE = re.compile(r"([0-9]{2})/([0-9]{2})/([0-9]{4})|([0-9]{4})-([0-9]{2})-([0-9]{2})")


def _day(value: str) -> dt.date | None:
    if not (match := _DATE.fullmatch(value.strip())):
        return None
    day, month, year = (match[1], match[2], match[3]) if match[3] else (match[6], match[5], match[4])
    try:
        return dt.date(int(year), int(month), int(day)) if year >= "1900" else None
    except ValueError:
        return None


def date(value: str) -> str | None:
    """`30/11/2009` as `2009-11-30`; an ISO date as it is."""
    return found.isoformat() if (found := _day(value)) else None


def year(value: str) -> str | None:
    """The year of a date."""
    return f"{found.year:04}" if (found := _day(value)) else None


def majority(born: dt.date) -> dt.date:
    """The 18th birthday; who was born on 29 February comes of age on 1 March."""
    try:
        return born.replace(year=born.year + 18)
    except ValueError:
        return dt.date(born.year + 18, 3, 1)


_REMEMBERED = 20_000


def _is_adult(today: dt.date) -> tuple[One, Until]:
    """Birth dates repeat from person to person: what is remembered is a date's answer, and no person's."""
    remembered: dict[str, tuple[str | None, dt.date | None]] = {}

    def answer(value: str) -> tuple[str | None, dt.date | None]:
        found = remembered.get(value)
        if found is None:
            if len(remembered) >= _REMEMBERED:
                remembered.clear()
            found = remembered[value] = compute(value)
        return found

    def compute(value: str) -> tuple[str | None, dt.date | None]:
        born = _day(value)
        if born is None:
            return None, None
        of_age = majority(born)
        return ("true", None) if of_age <= today else ("false", of_age)

    return lambda value: answer(value)[0], lambda value: answer(value)[1]


_CANONICAL = re.compile(r"\+33 [1-9](?: [0-9]{2}){4}")
_BETWEEN_DIGITS = re.compile(r"[\s.\-/()]+")
_FRENCH = re.compile(r"(?:\+330?|00330?|0)([1-9])([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})")


def phone(value: str) -> str | None:
    """A number in international writing; what already is, most of a feed, costs one match."""
    if _CANONICAL.fullmatch(value):
        return value
    if match := _FRENCH.fullmatch(_BETWEEN_DIGITS.sub("", value)):
        return "+33 " + " ".join(match.groups())
    # Sixty modules, for the few numbers that are not French: most commands meet none.
    import phonenumbers  # noqa: PLC0415

    try:
        number = phonenumbers.parse(value, "FR")
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


_EMAIL = re.compile(
    r"([A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*)"
    r"@((?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63})"
)


def email(value: str) -> str | None:
    """An address (RFC 5321, without quotes and comments); only its domain has no case."""
    match = _EMAIL.fullmatch(value.strip())
    return f"{match[1]}@{match[2].lower()}" if match and len(match[0]) <= 254 and len(match[1]) <= 64 else None


_TITLES = {
    **dict.fromkeys(("m", "mr", "monsieur"), "M."),
    **dict.fromkeys(("mme", "mlle", "madame", "mademoiselle"), "Mme"),
}


def title(value: str) -> str | None:
    """`M.` or `Mme`, however it was written."""
    return _TITLES.get(value.strip().rstrip(".").lower())


_BOOLEANS = {
    **dict.fromkeys(("o", "oui", "y", "yes", "true", "1"), "true"),
    **dict.fromkeys(("n", "non", "no", "false", "0"), "false"),
}


def boolean(value: str) -> str | None:
    """`true` or `false`."""
    return _BOOLEANS.get(value.strip().lower())


# --------------------------------------------------------------------------------------------------------------------
# On all values


def first(values: Values) -> Values:
    """The first value that is not empty."""
    return next(((value,) for value in values if value), ())


def unique(values: Values) -> Values:
    """Each value once, where it stood first."""
    return tuple(dict.fromkeys(values))


# --------------------------------------------------------------------------------------------------------------------
# With a parameter


def _sub_field(parameter: object) -> Step:
    if not isinstance(parameter, int) or isinstance(parameter, bool) or parameter == 0:
        raise BadTransformError("takes the number of a part, from 1 (or -1 for the last)")
    index = parameter - 1 if parameter > 0 else parameter

    def one(value: str) -> str:
        parts = value.split("$")
        return parts[index].strip() if -len(parts) <= index < len(parts) else ""

    return Step(name="sub-field", parameter=parameter, one=one)


def _table(parameter: object) -> Step:
    if not isinstance(parameter, Mapping) or not parameter:
        raise BadTransformError("takes a table of codes and what they give")
    table: dict[str, str] = {}
    for code, given in parameter.items():
        if not isinstance(code, str) or not isinstance(given, str):
            raise BadTransformError("takes a table of text (digits alone need quotes)")
        table[code] = given
    return Step(name="table", parameter=table, one=table.get)


def _separator(parameter: object) -> str:
    if not isinstance(parameter, str) or not parameter:
        raise BadTransformError("takes a separator")
    return parameter


def _split(parameter: object) -> Step:
    separator = _separator(parameter)
    return Step(
        name="split",
        parameter=separator,
        many=lambda values: tuple(part for value in values for part in value.split(separator)),
    )


def _join(parameter: object) -> Step:
    separator = _separator(parameter)
    return Step(name="join", parameter=separator, many=lambda values: (separator.join(values),) if values else ())


_PLACE = re.compile(r"\{([0-9])\}")


def _template(parameter: object) -> Step:
    if not isinstance(parameter, str) or not _PLACE.search(parameter):
        # A constant would be a value without a source: nothing could say what it reveals (gdpr.md R3).
        raise BadTransformError("takes a text with at least one place such as {0}")
    if any(mark in _PLACE.sub("", parameter) for mark in "{}"):
        raise BadTransformError("knows only places such as {0}")
    needed = max(int(place) for place in _PLACE.findall(parameter)) + 1

    def many(values: Values) -> Values:
        if len(values) < needed:
            return ()
        return (_PLACE.sub(lambda place: values[int(place[1])], parameter),)

    return Step(name="template", parameter=parameter, many=many)


_BIRTH = frozenset({"ENTPersonDateNaissance"})
_PLAIN = {
    "trim": Step(name="trim", one=trim),
    "upper": Step(name="upper", one=str.upper),
    "name-case": Step(name="name-case", one=name_case),
    "date": Step(name="date", one=date),
    "is-adult": Step(name="is-adult", daily=_is_adult, generalises=_BIRTH),
    "year": Step(name="year", one=year, generalises=_BIRTH),
    "phone": Step(name="phone", one=phone),
    "email": Step(name="email", one=email),
    "title": Step(name="title", one=title),
    "bool": Step(name="bool", one=boolean),
    "first": Step(name="first", many=first),
    "unique": Step(name="unique", many=unique),
}
_WITH_PARAMETER: Mapping[str, Callable[[object], Step]] = {
    "sub-field": _sub_field,
    "table": _table,
    "split": _split,
    "join": _join,
    "template": _template,
}
NAMES = tuple(sorted(_PLAIN.keys() | _WITH_PARAMETER.keys()))


def make(name: str, parameter: object = None, outside: Mapping[str, Many] | None = None) -> Step:
    """The step of that name with that parameter; `outside` are functions that others brought.

    Raises:
        BadTransformError: there is none, or the parameter does not fit.
    """
    if name in _WITH_PARAMETER:
        return _WITH_PARAMETER[name](parameter)
    if parameter is not None:
        raise BadTransformError("takes no parameter")
    if name in _PLAIN:
        return _PLAIN[name]
    if outside and name in outside:
        return _from_outside(name, outside[name])
    raise BadTransformError(f"is not a transform; known: {', '.join((*NAMES, *sorted(outside or ())))}")


def _from_outside(name: str, function: Many) -> Step:
    def many(values: Values) -> Values:
        try:
            return tuple(function(values))
        except Exception:  # noqa: BLE001 - its text may hold the value (gdpr.md §4): a refusal, and nothing else
            return ()

    return Step(name=name, parameter=str(getattr(function, "version", "")), many=many)
