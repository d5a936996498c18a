"""YAML to plain values with the position of each; whatever is more than plain YAML is refused.

The library is asked for nodes only, never for objects. Its sentences and warnings quote the line that they stumbled on,
which may hold a secret: ours say what to do instead.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from ent_sync.core.errors import BadConfigurationError, Problem, Where

Loc: TypeAlias = tuple[str | int, ...]
"""A path inside a document: keys of mappings and indices of lists, from the root."""

Tree: TypeAlias = "dict[str, Tree] | list[Tree] | str | int | float | bool | None"
"""A document as plain values; timestamps stay text."""

Marks: TypeAlias = Mapping[Loc, tuple[int, int]]
"""Line and column, from 1, of everything in a document: of its key in a mapping, of its entry in a list."""

_DEPTH_LIMIT = 50
_NODES_LIMIT = 200_000  # with aliases expanded: ten lines of aliases can stand for a billion nodes
_YAML = "tag:yaml.org,2002:"
_SHOWN_KEY = re.compile(r"[\w$.@-]{1,64}")

# What the library says (its beginning), and what we say.
_SYNTAX = (
    (
        "mapping values are not allowed",
        "a ':' too many (text with ': ' needs quotes), or one that lacks in the line above",
    ),
    ("could not find expected ':'", "a key without ':'"),
    ("found unexpected end of stream", "the quotes opened here are never closed"),
    ("expected ',' or", "the bracket opened here is never closed, or a ',' lacks in it"),
    ("expected <block end>", "this line is not indented like those around it"),
    ("but found another document", "the document ends above: keep one, without a second '---'"),
    ("found undefined alias", "an alias (*) of an anchor (&) that does not stand above it"),
    ("found undefined tag handle", "tags (!) are not allowed"),
    ("expected escape sequence", "an unknown escape after '\\'; single quotes keep '\\' as it is"),
    ("found unknown escape", "an unknown escape after '\\'; single quotes keep '\\' as it is"),
    ("found character", "no value begins with this character: put it in quotes (and indent with spaces, not tabs)"),
)
_TOO_DEEP = "is nested too deeply"
_BEGAN_ABOVE = ("could not find expected ':'", "found unexpected end of stream", "expected ',' or")


def dotted(loc: Loc) -> str | None:
    """The path of `loc` as it is shown; a key that does not look like one (`{my secret!}` is a key to YAML) is not."""
    return ".".join(str(part) if isinstance(part, int) or _SHOWN_KEY.fullmatch(part) else "?" for part in loc) or None


def parse(text: str, file: str) -> tuple[Tree, Marks]:
    """The values of `text` and their positions; `file` is only named in problems. Empty text is an empty mapping.

    Raises `BadConfigurationError` for what is not YAML and for what we want none of: custom tags, repeated keys, keys
    that are not text, aliases without end.
    """
    root = _composed(text, file)
    if root is None:
        return {}, {(): (1, 1)}
    builder = _Builder(file)
    tree = builder.value(root, (), (root,))
    if builder.problems:
        raise BadConfigurationError(builder.problems)
    return tree, {(): _position(root), **builder.marks}


def _composed(text: str, file: str) -> Node | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a repeated anchor is legal, and its warning quotes the line
            root: Node | None = YAML(typ="safe", pure=True).compose(text)
    except ReaderError as error:
        where, sentence = _at(text, file, error.position), "a control character is not allowed here"
    except MarkedYAMLError as error:
        where, sentence = _syntax(file, error)
    except (YAMLError, ValueError):
        where, sentence = Where(file), "is not YAML"
    except RecursionError:
        where, sentence = Where(file), _TOO_DEEP
    else:
        return root
    raise BadConfigurationError([Problem(where, "yaml", sentence)])


def _at(text: str, file: str, offset: int) -> Where:
    return Where(file, text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset))


def _syntax(file: str, error: MarkedYAMLError) -> tuple[Where, str]:
    said = str(error.problem or "")
    sentence = next((ours for theirs, ours in _SYNTAX if said.startswith(theirs)), "is not YAML here, or just above")
    mark = (error.context_mark if said.startswith(_BEGAN_ABOVE) else None) or error.problem_mark
    return (Where(file, mark.line + 1, mark.column + 1) if mark else Where(file)), sentence


def _position(node: Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


@dataclass(slots=True)
class _Builder:
    """Turns nodes into plain values, notes where they stand, and collects what is refused."""

    file: str
    marks: dict[Loc, tuple[int, int]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    nodes: int = 0

    def value(self, node: Node, loc: Loc, above: tuple[Node, ...]) -> Tree:
        self.nodes += 1
        if self.nodes > _NODES_LIMIT:
            sentence = "grows too large when its aliases (*) are expanded"
            raise BadConfigurationError([Problem(Where(self.file), "too-large", sentence)])
        if isinstance(node, MappingNode) and node.tag == f"{_YAML}map":
            return self._mapping(node, loc, above)
        if isinstance(node, SequenceNode) and node.tag == f"{_YAML}seq":
            return self._sequence(node, loc, above)
        if isinstance(node, ScalarNode):
            return self._scalar(node, loc)
        self._refuse(node, loc, "tag", "tags (!) are not allowed")
        return None

    def _below(self, node: Node, loc: Loc, above: tuple[Node, ...]) -> Tree:
        if any(node is ancestor for ancestor in above):
            self._refuse(node, loc, "alias", "an alias (*) inside its own anchor (&) has no end")
            return None
        if len(above) >= _DEPTH_LIMIT:
            raise BadConfigurationError([Problem(Where(self.file, *_position(node)), "too-deep", _TOO_DEEP)])
        return self.value(node, loc, (*above, node))

    def _sequence(self, node: SequenceNode, loc: Loc, above: tuple[Node, ...]) -> Tree:
        entries: list[Tree] = []
        for index, entry in enumerate(node.value):
            self.marks[*loc, index] = _position(entry)
            entries.append(self._below(entry, (*loc, index), above))
        return entries

    def _mapping(self, node: MappingNode, loc: Loc, above: tuple[Node, ...]) -> Tree:
        entries: dict[str, Tree] = {}
        merges: list[tuple[Node, Node]] = []
        for key, value in node.value:
            if key.tag == f"{_YAML}merge":
                merges.append((key, value))
            elif not isinstance(key, ScalarNode) or key.tag != f"{_YAML}str":
                self._refuse(key, loc, "key", "a key must be text: put it in quotes")
            elif key.value in entries:
                self._refuse(key, (*loc, key.value), "repeated-key", "stands twice; keep one of them")
            else:
                self.marks[*loc, key.value] = _position(key)
                entries[key.value] = self._below(value, (*loc, key.value), above)
        for key, value in merges:
            self._merge(key, value, entries, loc, above)
        return entries

    def _merge(self, key: Node, node: Node, entries: dict[str, Tree], loc: Loc, above: tuple[Node, ...]) -> None:
        """Adds the keys of an alias that do not stand here already; the earlier of two aliases wins."""
        for merged in node.value if isinstance(node, SequenceNode) else [node]:
            aside = _Builder(self.file, nodes=self.nodes)
            found = aside._below(merged, loc, above)
            self.nodes = aside.nodes
            self.problems += aside.problems
            if not isinstance(found, dict):
                self._refuse(key, loc, "merge", "'<<' takes an alias of a group of keys")
                continue
            added = found.keys() - entries.keys()
            entries.update((name, value) for name, value in found.items() if name in added)
            self.marks.update((at, mark) for at, mark in aside.marks.items() if at[len(loc)] in added)

    def _scalar(self, node: ScalarNode, loc: Loc) -> Tree:
        text: str = node.value
        try:
            match str(node.tag).removeprefix(_YAML):
                case "str" | "timestamp":
                    return text
                case "null":
                    return None
                case "bool":
                    return text.lower() in {"true", "yes", "on", "y"}
                case "int":
                    return _integer(text)
                case "float":
                    return float(text.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan"))
                case _:
                    self._refuse(node, loc, "tag", "tags (!) are not allowed")
        except ValueError:
            self._refuse(node, loc, "number", "is not a number; text that looks like one needs quotes")
        return None

    def _refuse(self, node: Node, loc: Loc, rule: str, sentence: str) -> None:
        self.problems.append(Problem(Where(self.file, *_position(node), dotted(loc)), rule, sentence))


def _integer(text: str) -> int:
    digits = text.replace("_", "")
    prefix = digits.lstrip("+-")[:2].lower()
    return int(digits, 0) if prefix in {"0x", "0o", "0b"} else int(digits)
