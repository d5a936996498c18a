"""Files with positions, and models checked against them: every problem at once, with file, line and column.

Knows nothing about any particular file. What it tells never holds a value that it read: a configuration names secrets,
a mapping may quote a person (gdpr.md §4).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from ent_sync.config.yaml import Loc, Marks, Tree, dotted, parse
from ent_sync.core.errors import BadConfigurationError, Problem, Where

_M = TypeVar("_M", bound=BaseModel)

_BYTES_LIMIT = 8 * 1024 * 1024
_OURS = "ent-sync:"
_GROUP = "must be a group of keys (key: value)"
_LIST = "must be a list"
_SENTENCES = {
    "missing": "is required",
    "extra_forbidden": "is not a key here",
    "model_type": _GROUP,
    "model_attributes_type": _GROUP,
    "dict_type": _GROUP,
    "mapping_type": _GROUP,
    "list_type": _LIST,
    "tuple_type": _LIST,
    "set_type": _LIST,
    "frozen_set_type": _LIST,
    "string_type": "must be text (digits alone need quotes)",
    "path_type": "must be a path",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
}
# Here pydantic's own sentence is made of the rule alone. Others may quote what they were given (`union_tag_invalid`,
# `value_error` and `import_error` do), so they are told without their sentence.
_SILENT_RULES = frozenset(
    {
        "literal_error",
        "enum",
        "greater_than",
        "greater_than_equal",
        "less_than",
        "less_than_equal",
        "multiple_of",
        "finite_number",
        "string_too_short",
        "string_too_long",
        "string_pattern_mismatch",
        "too_short",
        "too_long",
    }
)


@dataclass(frozen=True, slots=True, repr=False)
class Document:
    """A YAML file as plain values, with the position of each; it may hold secrets, so the repr shows the path only."""

    path: Path
    tree: Tree
    marks: Marks

    def __repr__(self) -> str:
        return f"<Document {self.path}>"

    def where(self, loc: Loc = ()) -> Where:
        """The place of `loc`, or of the last part of it that exists."""
        found: Loc = ()
        for part in loc:
            if (*found, part) not in self.marks:
                break
            found = (*found, part)
        line, column = self.marks[found]
        return Where(str(self.path), line, column, dotted(loc))

    def get(self, loc: Loc) -> Tree:
        """What stands at `loc`; None where nothing does."""
        node = self.tree
        for part in loc:
            if isinstance(node, dict) and isinstance(part, str):
                node = node.get(part)
            elif isinstance(node, list) and isinstance(part, int) and 0 <= part < len(node):
                node = node[part]
            else:
                return None
        return node


def read(path: Path) -> Document:
    """The document at `path`: plain UTF-8 YAML, see `yaml.parse`.

    Raises `BadConfigurationError` with the place, and never with the line itself.
    """
    tree, marks = parse(_text(path), str(path))
    return Document(path, tree, marks)


def _text(path: Path) -> str:
    file = str(path)
    try:
        with path.open("rb") as stream:
            raw = stream.read(_BYTES_LIMIT + 1)
    except OSError as error:
        problem = Problem(Where(file), "unreadable", f"cannot be read: {error.strerror}")
        raise BadConfigurationError([problem]) from None
    if len(raw) > _BYTES_LIMIT:
        raise BadConfigurationError([Problem(Where(file), "too-large", f"has more than {_BYTES_LIMIT} bytes")])
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        where = Where(file, raw.count(b"\n", 0, error.start) + 1, error.start - raw.rfind(b"\n", 0, error.start))
    raise BadConfigurationError([Problem(where, "encoding", "is not UTF-8: save the file in that encoding")])


def refusal(rule: str, sentence: str) -> PydanticCustomError:
    """What a validator raises to refuse a value; `sentence` is shown and must not quote the value.

    Of a validator's `ValueError` only the place is told, since its text may hold what it was given.
    """
    return PydanticCustomError(_OURS + rule, sentence)


def refused_at(loc: Loc, rule: str, sentence: str) -> ValidationError:
    """What a validator of a whole section raises when it knows better at which of its keys the trouble stands."""
    line = InitErrorDetails(type=refusal(rule, sentence), loc=loc, input=None)
    return ValidationError.from_exception_data("section", [line], hide_input=True)


class Section(BaseModel):
    """A part of a file: frozen, silent about values, and told of an unknown key it names the known ones."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True)

    @model_validator(mode="wrap")
    @classmethod
    def _name_known_keys(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(value)
        except ValidationError as error:
            lines = [_reworded(line, cls) for line in _lines(error)]
        raise ValidationError.from_exception_data(cls.__name__, lines, hide_input=True)


def _reworded(line: ErrorDetails, section: type[Section]) -> InitErrorDetails:
    """A line of an error that holds nothing but its place, its rule and our sentence."""
    sentence = _sentence(line)
    if line["type"] == "extra_forbidden" and len(line["loc"]) == 1:
        known = ", ".join(field.alias or name for name, field in section.model_fields.items())
        sentence = f"is not a key here; known: {known}"
    return InitErrorDetails(type=refusal(_rule(line), sentence), loc=line["loc"], input=None)


def _lines(error: ValidationError) -> list[ErrorDetails]:
    return error.errors(include_input=False, include_context=False, include_url=False)


def _rule(line: ErrorDetails) -> str:
    name = line["type"].removeprefix(_OURS)
    return "unknown-key" if name == "extra_forbidden" else name.replace("_", "-")


def _sentence(line: ErrorDetails) -> str:
    rule = line["type"]
    if rule.startswith(_OURS):
        return line["msg"]
    if rule in _SILENT_RULES:
        return re.sub(r"^[A-Z][a-z]+ should ", "must ", line["msg"])
    return _SENTENCES.get(rule, "is not valid here")


def validate(
    document: Document, model: type[_M], at: Loc = (), context: Mapping[str, object] | None = None
) -> _M | list[Problem]:
    """What stands at `at` as a `model`, or every problem of it, in the order of the file.

    An absent or empty `at` counts as a group without keys. `context` is handed to the validators.
    """
    tree = document.get(at)
    try:
        return model.model_validate({} if tree is None else tree, context=dict(context or {}))
    except ValidationError as error:
        problems = [_problem(document, at, line) for line in _lines(error)]
    return in_order(problems)


def in_order(problems: list[Problem]) -> list[Problem]:
    """The problems of one file from top to bottom, each once."""
    return sorted(dict.fromkeys(problems), key=lambda problem: (problem.where.line or 0, problem.where.column or 0))


def _problem(document: Document, at: Loc, line: ErrorDetails) -> Problem:
    rule = _rule(line)
    loc = tuple(_standing(document, at, line["loc"], lacking=rule == "missing"))
    return Problem(document.where((*at, *loc)), rule, _sentence(line))


def _standing(document: Document, at: Loc, loc: Loc, *, lacking: bool) -> Iterator[str | int]:
    """The parts of `loc` that stand in the document below `at`, and the last one where it is what lacks.

    Pydantic puts tags of unions and names of validators between them.
    """
    found = at
    for index, part in enumerate(loc):
        if (*found, part) in document.marks:
            found = (*found, part)
            yield part
        elif lacking and index == len(loc) - 1:
            yield part
