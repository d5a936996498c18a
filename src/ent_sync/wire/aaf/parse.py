"""Parses requests that `read` has cut, a batch at a time (aaf.md §2, §4).

One tree for a batch is what makes lxml fast; a record that spoils it is found by parsing each alone. A bad record
becomes a problem and the rest goes on. Knows no meaning of an attribute but one: the `…Jointure` repeats the id.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from lxml import etree

from ent_sync.core.errors import Problem, Where
from ent_sync.core.record import Values
from ent_sync.wire.aaf.attributes import JOIN_ATTRIBUTES, KNOWN_ATTRIBUTES
from ent_sync.wire.aaf.read import RawRecord, Request
from ent_sync.wire.aaf.references import UnknownNameError, has_html_names, unescaped, without_html_names

__all__ = ["BadRecord", "Parsed", "Result", "parse"]

LONGEST_VALUE = 64 << 10
_MOST_NAMES = 1000  # of unknown attributes: the count is for a person to read, and a hostile file may hold millions
_NONE: frozenset[str] = frozenset()
_CORRECT = "ask the academy to correct it"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Parsed:
    """One request, parsed. `values` holds the wanted attributes that have a value, `cleared` those that came empty.

    In a modify request an empty attribute means "now empty"; what is in neither was not mentioned.
    """

    raw: RawRecord
    category: str
    values: Values
    cleared: frozenset[str]

    def __repr__(self) -> str:
        return f"<Parsed {self.raw.request} of line {self.raw.line}>"


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A request that could not be used, with what is wrong with it."""

    raw: RawRecord
    problem: Problem


Result: TypeAlias = Parsed | BadRecord


def parse(
    batch: Sequence[RawRecord],
    *,
    wanted: frozenset[str],
    file: str,
    seen_names: Counter[str] | None = None,
    known: frozenset[str] = KNOWN_ATTRIBUTES,
) -> Iterator[Result]:
    """One result for each record, in the order of `batch`.

    Values are stripped, empty ones dropped, an attribute that comes twice is merged, references written twice are
    resolved. `seen_names` counts the attributes that are neither `wanted` nor `known`, by name.

    Rules of problems: `record`, `entity`, `value-size` (64 Ki characters), `key-mismatch`, `operation`.
    """
    reader = _Reader(wanted, known, seen_names)
    together = _together(batch)
    for index, raw in enumerate(batch):
        try:
            yield reader.read(raw, _alone(raw) if together is None else together[index])
        except _UnusableError as error:
            yield BadRecord(raw, Problem(Where(file, raw.line + error.line), error.rule, error.message))


class _UnusableError(Exception):
    """A record breaks a rule. `line` counts from the record's first, from 0; no value is in it."""

    def __init__(self, rule: str, message: str, line: int = 0) -> None:
        super().__init__(rule)
        self.rule = rule
        self.message = message
        self.line = line


# Blank text is dropped because half the nodes of a tree are line ends between tags.
_PARSER = etree.XMLParser(
    resolve_entities=False,
    no_network=True,
    load_dtd=False,
    huge_tree=False,
    remove_comments=True,
    remove_pis=True,
    remove_blank_text=True,
)


def _together(batch: Sequence[RawRecord]) -> list[etree._Element] | None:
    """The elements of a batch out of one tree, or None where a record spoils it."""
    document = b"".join((b"<batch>", *(raw.raw for raw in batch), b"</batch>"))
    if has_html_names(document):
        return None
    try:
        elements = list(etree.fromstring(document, _PARSER))
    except etree.XMLSyntaxError:
        return None
    return elements if len(elements) == len(batch) else None


def _alone(raw: RawRecord) -> etree._Element:
    try:
        return etree.fromstring(without_html_names(raw.raw), _PARSER)
    except UnknownNameError:
        raise _UnusableError(
            "entity", f"a character is written by a name that HTML does not know; {_CORRECT}"
        ) from None
    except etree.XMLSyntaxError as error:
        line = max((error.lineno or 1) - 1, 0)
        raise _UnusableError("record", f"the record cannot be parsed; {_CORRECT}", line) from None


class _Reader:
    """What is asked of a record's tree."""

    def __init__(self, wanted: frozenset[str], known: frozenset[str], seen_names: Counter[str] | None) -> None:
        self._names = wanted | JOIN_ATTRIBUTES
        self._join_attributes = tuple(JOIN_ATTRIBUTES)
        self._only_checked = JOIN_ATTRIBUTES - wanted
        self._known = known
        self._seen_names = seen_names

    def read(self, raw: RawRecord, element: etree._Element) -> Parsed:
        """Raises _UnusableError."""
        category, attributes = _envelope(raw, element)
        if attributes is None:
            return Parsed(raw=raw, category=category, values={}, cleared=_NONE)
        if raw.request is Request.MODIFY:
            _check_operations(attributes)
        values, cleared = self._values(attributes)
        for name in self._join_attributes:
            if name in values:
                self._check_key(raw.id, name, values)
        return Parsed(raw=raw, category=category, values=values, cleared=cleared)

    def _values(self, attributes: etree._Element) -> tuple[dict[str, tuple[str, ...]], frozenset[str]]:
        names, counts, known = self._names, self._seen_names, self._known
        values: dict[str, tuple[str, ...]] = {}
        empty: list[str] = []
        for attribute in attributes:
            name = attribute.get("name")
            if name in names:
                texts = tuple([text for value in attribute if (text := _text(value))])
                if not texts:
                    empty.append(name)
                elif name in values:
                    values[name] += texts
                else:
                    values[name] = texts
            elif name is None:
                raise _UnusableError("record", f"an attribute has no name; {_CORRECT}")
            elif counts is not None and name not in known and (name in counts or len(counts) < _MOST_NAMES):
                counts[name] += 1
        cleared = frozenset(empty) - values.keys() - self._only_checked if empty else _NONE
        return values, cleared

    def _check_key(self, identifier: str | None, name: str, values: dict[str, tuple[str, ...]]) -> None:
        """An empty Jointure says nothing; one of another value makes it unclear whose record this is."""
        if identifier is not None and any(value != identifier for value in values[name]):
            raise _UnusableError("key-mismatch", f"{name} is not the id of the record; {_CORRECT}")
        if name in self._only_checked:
            del values[name]


_TAGS = {request: f"{request}Request" for request in Request}
_HEAD = ["operationalAttributes", "identifier"]
_PARTS = {Request.ADD: [*_HEAD, "attributes"], Request.MODIFY: [*_HEAD, "modifications"], Request.DELETE: _HEAD}


def _envelope(raw: RawRecord, element: etree._Element) -> tuple[str, etree._Element | None]:
    """The category, and what holds the attributes; a delete request has nothing of the kind."""
    tags = [part.tag for part in element]
    if element.tag != _TAGS[raw.request] or tags != _PARTS[raw.request]:
        raise _UnusableError("record", f"does not have the parts that the format asks for; {_CORRECT}")
    category = _only_text(element[0], "attr", "value")
    if category is None:
        raise _UnusableError("record", f"does not say what category it is of; {_CORRECT}")
    if _only_text(element[1], "id") != raw.id:
        raise _UnusableError("key-mismatch", f"has more than one id; {_CORRECT}")
    return category, element[2] if len(tags) > len(_HEAD) else None


def _text(value: etree._Element) -> str | None:
    if value.tag != "value" or len(value):
        raise _UnusableError("record", f"an attribute holds an element that is no value; {_CORRECT}")
    text = value.text
    if text is None:
        return None
    if "&" in text:
        text = unescaped(text)
    if len(text) > LONGEST_VALUE:
        raise _UnusableError("value-size", f"a value is longer than 64 Ki characters; {_CORRECT}")
    return text.strip()


def _only_text(element: etree._Element, *path: str) -> str | None:
    """The text at the end of `path`, each step of which is the only child there; None where it is empty."""
    for step in path:
        if len(element) != 1 or element[0].tag != step:
            raise _UnusableError("record", f"its head is not as the format has it; {_CORRECT}")
        element = element[0]
    text = element.text
    return (text.strip() or None) if text and not len(element) else None


def _check_operations(modifications: etree._Element) -> None:
    """Old ministry samples leave the operation out and mean `replace` (aaf.md §2)."""
    if any(modification.get("operation", "replace") != "replace" for modification in modifications):
        raise _UnusableError("operation", "a modification is none that replaces; ask for the next complete delivery")
