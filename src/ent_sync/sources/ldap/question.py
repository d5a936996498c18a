"""What a shard asks a directory, and the mark from which the next question begins.

Both travel as text: a question to the process that asks it, a mark to the store and back. Neither names a person.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum

from ent_sync.core.record import Population

_TIME = "%Y%m%d%H%M%SZ"
_CHARACTERS = "0123456789abcdefghijklmnopqrstuvwxyz"


class How(StrEnum):
    """How a question is asked."""

    PAGES = "pages"
    """All entries, page by page."""
    REFRESH = "refresh"
    """What changed since a cookie, or all entries without one (RFC 4533)."""
    SINCE = "since"
    """What was modified since a time, then the names of all entries."""
    SOME = "some"
    """What a few filters find."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What one shard asks, of one population.

    `cookie` and `since` (a GeneralizedTime) are where it begins, the latter some time before `reached`, where the last
    one ended; `begun` is when it was thought of, by our clock. One that is `timed` ends with a mark of the newest
    modification that it saw.
    """

    how: How
    population: Population
    filters: tuple[str, ...]
    begun: str
    cookie: str | None = None
    since: str | None = None
    reached: str | None = None
    timed: bool = False

    def written(self) -> str:
        """The question as text."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def read(cls, text: str) -> Question:
        """The question that was written."""
        fields = json.loads(text)
        return cls(
            **{
                **fields,
                "how": How(fields["how"]),
                "population": Population(fields["population"]),
                "filters": tuple(fields["filters"]),
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Where the next question about a population begins: after a cookie, or at a time of the server's clock.

    `of` tells what was asked for: a mark of another base or filter is worth nothing.
    """

    population: Population
    of: str
    cookie: str | None = None
    since: str | None = None

    def written(self) -> str:
        """The mark as text."""
        return json.dumps(asdict(self), sort_keys=True)


def marks(cursor: str | None, of: Mapping[Population, str]) -> dict[Population, Mark] | None:
    """One mark for each population out of those of all parts of the last delivery; None if one lacks or fits not.

    A population that was read in several parts goes on where the earliest of them ended.
    """
    found: dict[Population, Mark] = {}
    for each in _written_marks(cursor):
        before = found.get(each.population)
        if each.of != of[each.population]:
            return None
        if before is None or (before.since or "") > (each.since or ""):
            found[each.population] = each
    return found if found.keys() == of.keys() else None


def _written_marks(cursor: str | None) -> Iterator[Mark]:
    """The marks in a cursor; none in one that cannot be read, which is then as good as lost."""
    try:
        parts = json.loads(cursor or "{}")
        for text in parts.values():
            fields = json.loads(text)
            yield Mark(**{**fields, "population": Population(fields["population"])})
    except (ValueError, TypeError, AttributeError, KeyError):
        return


def generalized(when: dt.datetime) -> str:
    """A moment as LDAP writes it (RFC 4517 §3.3.13), to the second."""
    return f"{when.astimezone(dt.UTC):{_TIME}}"


def moment(text: str) -> dt.datetime:
    """The moment that `generalized` wrote."""
    return dt.datetime.strptime(text, _TIME).replace(tzinfo=dt.UTC)


def packed(cookie: bytes) -> str:
    """A cookie as text."""
    return base64.b64encode(cookie).decode("ascii")


def unpacked(cookie: str | None) -> bytes | None:
    """The cookie in a text."""
    return base64.b64decode(cookie) if cookie is not None else None


def split(filter_: str, attribute: str, parts: int) -> list[str]:
    """Filters that share out what `filter_` finds, by the last character of an attribute: each entry to one of them.

    The last part is what is in none of the others, so that an entry with another character, or without the attribute,
    or with several values, is in exactly one of them too.
    """
    shares = [_one_of(attribute, _CHARACTERS[part::parts]) for part in range(parts - 1)]
    found = []
    for part in range(parts):
        before = "".join(f"(!{share})" for share in shares[:part])
        own = shares[part] if part < len(shares) else ""
        found.append(f"(&{filter_}{own}{before})" if parts > 1 else filter_)
    return found


def _one_of(attribute: str, characters: Collection[str]) -> str:
    return "(|" + "".join(f"({attribute}=*{character})" for character in characters) + ")"
