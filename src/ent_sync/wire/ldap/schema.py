"""What a server knows of object classes and attributes: one read of its subschema entry (RFC 4512 §4.2).

For telling, by name and before the first push, what a directory lacks. Names are compared in lower case.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ldap3.core.exceptions import LDAPExceptionError
from ldap3.protocol.rfc4512 import AttributeTypeInfo, BaseObjectInfo, ObjectClassInfo

from ent_sync.wire.ldap.ber import attributes
from ent_sync.wire.ldap.link import Link
from ent_sync.wire.ldap.search import read

__all__ = ["ObjectClass", "Schema", "parsed", "read_schema"]


# ldap3 takes a keyword within a description for a keyword.
_TEXTS = re.compile(r"\s(?:DESC|X-[A-Za-z_-]+)\s+(?:'[^']*'|\([^()]*\))")


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectClass:
    """One object class as it is declared itself: what comes from its superiors is not in it. All names in lower case.

    `kind` is `structural`, `auxiliary` or `abstract`.
    """

    name: str
    superiors: tuple[str, ...]
    kind: str
    must: frozenset[str]
    may: frozenset[str]


@dataclass(frozen=True, slots=True)
class Schema:
    """Object classes, and attributes with whether they hold one value at most, by each of their names in lower case."""

    classes: Mapping[str, ObjectClass]
    single_valued: Mapping[str, bool]

    def missing(self, classes: Iterable[str], attributes: Iterable[str]) -> tuple[str, ...]:
        """Those of the names that the server does not know, as they were given; options of attributes do not count."""
        return (
            *(name for name in classes if name.lower() not in self.classes),
            *(name for name in attributes if name.partition(";")[0].lower() not in self.single_valued),
        )

    def must(self, classes: Iterable[str]) -> frozenset[str]:
        """The attributes that an entry of these classes must have, in lower case."""
        return frozenset(name for each in self._with_superiors(classes) for name in each.must)

    def may(self, classes: Iterable[str]) -> frozenset[str]:
        """The attributes that an entry of these classes may have, those that it must have among them, in lower case."""
        return frozenset(name for each in self._with_superiors(classes) for name in each.must | each.may)

    def _with_superiors(self, classes: Iterable[str]) -> Iterator[ObjectClass]:
        seen: set[str] = set()
        waiting = [name.lower() for name in classes]
        while waiting:
            found = self.classes.get(waiting.pop())
            if found is not None and found.name not in seen:
                seen.add(found.name)
                waiting.extend(found.superiors)
                yield found


def read_schema(link: Link) -> Schema | None:
    """What the server of the link knows; None where it does not show its subschema.

    Raises:
        LdapError: the server refuses to show it.
        LostConnectionError: the connection broke.
    """
    if link.root.subschema is None:
        return None
    entry = read(link, link.root.subschema, ("objectClasses", "attributeTypes"))
    if entry is None:
        return None
    found = {name.lower(): values for name, values in attributes(entry.content).items()}
    return parsed(found.get("objectclasses", []), found.get("attributetypes", []))


def parsed(object_classes: Iterable[bytes], attribute_types: Iterable[bytes]) -> Schema:
    """A schema of its definitions; one that ldap3's parser cannot read is taken as not there."""
    classes = {}
    for definition in object_classes:
        for declared in _definitions(ObjectClassInfo, definition):
            names = [name.lower() for name in declared.name or [declared.oid]]
            found = ObjectClass(
                name=names[0],
                superiors=_lower(declared.superior),
                kind=str(declared.kind or "structural").lower(),
                must=frozenset(_lower(declared.must_contain)),
                may=frozenset(_lower(declared.may_contain)),
            )
            classes.update(dict.fromkeys([*names, declared.oid], found))
    single_valued = {}
    for definition in attribute_types:
        for declared in _definitions(AttributeTypeInfo, definition):
            names = [name.lower() for name in declared.name or []]
            single_valued.update(dict.fromkeys([*names, declared.oid], bool(declared.single_value)))
    return Schema(classes, single_valued)


def _definitions(kind: type[BaseObjectInfo], definition: bytes) -> Iterable[BaseObjectInfo]:
    # One at a time: of several, ldap3 reads none when one is not as it expects.
    try:
        return set(kind.from_definition([_TEXTS.sub("", definition.decode())]).values())
    except (LDAPExceptionError, ValueError, IndexError):
        return ()


def _lower(names: Iterable[str] | None) -> tuple[str, ...]:
    return tuple(name.lower() for name in names or ())
