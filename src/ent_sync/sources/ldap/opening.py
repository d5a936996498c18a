"""From the entries of a directory to sightings, and from those to records.

Values of people refer to others by DN; a DN may hold a name, so that what leaves here is a reference made of its keyed
digest (`core.record.reference`), which the store resolves to the key of whom it names.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ent_sync.core.errors import Problem, Where
from ent_sync.core.record import Key, Origin, Population, Record, join_key, reference
from ent_sync.ports import Opened, Sighting, Verb
from ent_sync.wire.ldap import ber, dn
from ent_sync.wire.ldap.ber import Entry, MalformedError
from ent_sync.wire.ldap.dn import NotADnError

ENTRY_UUID = "entryUUID"
_CORRECT = "ask the academy to correct it"
_END_OF_NAME = b"\x00"  # a DN writes this character as \00 (RFC 4514 §2.4)

Content = Mapping[str, list[bytes]]
"""The attributes of an entry, as the server spells them."""

# What the national schema writes as a DN, alone or before the first `$` (ent-ldap.md §4 to §7). Elsewhere an equals
# sign is just a sign.
_REFERRING = frozenset(
    name.lower()
    for name in (
        *("ENTPersonStructRattach", "ENTPersonFonctions", "ENTPersonCentresInteret", "ENTEnsFonctionDir"),
        *("ENTPersonClasses", "ENTPersonGroupes", "ENTEleveClasses", "ENTEleveGroupes"),
        *("ENTElevePersRelEleve", "ENTElevePersRelEleve1", "ENTElevePersRelEleve2", "ENTEleveAutoriteParentale"),
        *("ENTEleveParents", "ENTElevePere", "ENTEleveMere", "ENTEleveAdresseRel"),
        *("ENTEleveEnsRespStage", "ENTEleveEnsTutStage", "ENTEleveEntrTutStage", "ENTEleveEntrAutres"),
        *("ENTAuxPersRelEleveEleve", "ENTPersRelEleveEleve", "ENTAuxPersRelEleveRepresentant"),
        *("ENTAuxEnsMEF", "ENTAuxEnsMatiereEnseignEtab", "ENTAuxEnsClasses", "ENTAuxEnsGroupes"),
        *("ENTAuxEnsClassesMatieres", "ENTAuxEnsGroupesMatieres", "ENTAuxEnsClassesPrincipal"),
        *("ENTAuxEnsRespStage", "ENTAuxEnsTutStage"),
        *("ENTAuxNonEnsServAcService", "ENTAuxNonEnsServAcDomaineEtab", "ENTAuxNonEnsServAcDomaineRegroupEtabs"),
        *("ENTAuxNonEnsCollLocService", "ENTAuxNonEnsCollLocDomaineEtab", "ENTAuxNonEnsCollLocDomaineRegroupEtabs"),
        *("ENTStructureResponsable", "ENTStructureContactENT"),
        *("ENTEtablissementStructRattachAdmin", "ENTEtablissementStructRattachFctl", "ENTEcoleCirconscription"),
    )
)
# Guardians are many, and each is named by one pupil or two; structures are few, and named by all.
_REFERRING_TO_PEOPLE = frozenset(name for name in _REFERRING if "persrel" in name or "parent" in name)


@dataclass(frozen=True, slots=True, repr=False)
class EntryBatch:
    """Sightings, beside the attributes of their entries; None of one that cannot be read."""

    sightings: Sequence[Sighting]
    contents: Sequence[Content | None]
    opening: Opening

    def open(self, which: Sequence[int]) -> Iterator[tuple[int, Opened]]:
        """See `ports.Batch`."""
        for place in which:
            yield place, self.opening.opened(self.sightings[place], self.contents[place])


class Opening:
    """Opens the entries of one source."""

    def __init__(
        self,
        *,
        source: str,
        academy: str,
        base: str,
        keys: Mapping[Population, str],
        wanted: Mapping[Population, frozenset[str]],
        digest: Callable[[bytes], bytes],
    ) -> None:
        self._source = source
        self._academy = academy
        self._base = base
        self._keys = keys
        self._digest = digest
        self._wanted = {
            population: {name.lower(): (name, _way(name)) for name in sorted(names)}
            for population, names in wanted.items()
        }
        self._remembered = functools.lru_cache(maxsize=20_000)(self._reference)

    def sighting(
        self, entry: Entry, population: Population, origin: Origin, handle: bytes | None = None
    ) -> tuple[Sighting, Content | None]:
        """What is seen of an entry, and its attributes; `handle` is read from them where the server told it not apart.

        The DN is part of the bytes: an entry that was only renamed has changed.
        """
        name = self._name(entry)
        content = _content(entry.content)
        key = None
        if content is not None:
            key = self._key(values_of(content, self._keys[population]))
            handle = handle or uuid(content)
        raw = entry.dn.encode() + _END_OF_NAME + entry.content
        return Sighting(Verb.ADD, population, key, raw, origin, handle or name, name), content

    def handle(self, entry: Entry) -> bytes:
        """By what an entry is known again: its entryUUID, else what it is called."""
        content = _content(entry.content)
        return (uuid(content) if content is not None else None) or self._name(entry)

    def _name(self, entry: Entry) -> bytes:
        try:
            normal = dn.normal(entry.dn)
        except NotADnError:  # a server's own spelling, which nobody will refer to
            normal = entry.dn
        return self._digest(normal.encode())

    def again(self, sightings: Sequence[Sighting]) -> EntryBatch:
        """Sightings that were set aside, with what is left of their entries."""
        raws = (each.raw.partition(_END_OF_NAME)[2] for each in sightings)
        return EntryBatch(sightings, [_content(raw) if raw else None for raw in raws], self)

    def opened(self, sighting: Sighting, content: Content | None) -> Opened:
        """The record of an entry, with the names and the values that mappings read."""
        origin = sighting.origin
        where = Where(origin.file, origin.line)
        if content is None:
            return Problem(where, "malformed", f"is no readable entry; {_CORRECT}")
        if sighting.key is None:
            attribute = self._keys[sighting.population]
            return Problem(where, "no-key", f"has no {attribute} that is one join key of the source; {_CORRECT}")
        wanted = self._wanted.get(sighting.population, {})
        values: dict[str, tuple[str, ...]] = {}
        for spelled, raws in content.items():
            found = wanted.get(spelled) or wanted.get(spelled.lower())
            if found is None:
                continue
            name, way = found
            try:
                texts = [text for raw in raws if (text := raw.decode().strip())]
            except UnicodeDecodeError:
                return Problem(where, "encoding", f"has a value of {name} that is not UTF-8; {_CORRECT}")
            if way == _PEOPLE:
                texts = [self._referring(text, self._reference) for text in texts]
            elif way == _STRUCTURES:
                texts = [self._referring(text, self._remembered) for text in texts]
            if texts:
                values[name] = tuple(texts)
        return Record(sighting.population, sighting.key, values, origin, self._source)

    def _key(self, values: Sequence[bytes]) -> Key | None:
        """The one key of our academy, else the only one there is (ent-ldap.md §4: one person, several sources)."""
        keys = set()
        for value in values:
            key = join_key(self._academy, value.decode("utf-8", "replace"))
            if key is not None and "$@" not in key:  # that is what a reference looks like
                keys.add(key)
        if len(keys) > 1:
            keys = {key for key in keys if key.startswith(f"{self._academy}$")}
        return keys.pop() if len(keys) == 1 else None

    def _referring(self, value: str, to: Callable[[str], str]) -> str:
        """A value with a reference in the place of the DN that it begins with."""
        named, dollar, rest = value.partition("$")
        if "=" not in named:
            return value
        if dollar and not named.endswith(self._base):
            named, dollar, rest = self._split(value)
        try:
            return f"{to(named)}{dollar}{rest}"
        except NotADnError:
            return value

    def _split(self, value: str) -> tuple[str, str, str]:
        """The DN at the beginning of a value: up to the first `$` before which it lies below the base, else the first.

        A DN may hold a `$` itself.
        """
        at = value.find("$")
        while at != -1:
            if self._below_the_base(value[:at]):
                return value[:at], "$", value[at + 1 :]
            at = value.find("$", at + 1)
        if self._below_the_base(value):
            return value, "", ""
        return value.partition("$")

    def _below_the_base(self, named: str) -> bool:
        try:
            return dn.is_within(named, self._base)
        except NotADnError:
            return False

    def _reference(self, named: str) -> str:
        return f"AC-{reference(self._academy, self._digest(dn.normal(named).encode()))}"


_PEOPLE, _STRUCTURES, _NOBODY = "people", "structures", ""


def _way(name: str) -> str:
    """Whom the values of an attribute refer to."""
    if name.lower() in _REFERRING_TO_PEOPLE:
        return _PEOPLE
    return _STRUCTURES if name.lower() in _REFERRING else _NOBODY


def _content(raw: bytes) -> Content | None:
    try:
        return ber.attributes(raw)
    except MalformedError:
        return None


def values_of(content: Content, attribute: str) -> Sequence[bytes]:
    """The values of an attribute, however its name is spelled."""
    if (found := content.get(attribute)) is not None:
        return found
    lower = attribute.lower()
    return next((values for name, values in content.items() if name.lower() == lower), ())


def first(content: Content, attribute: str) -> str:
    """The first value of an attribute that is ASCII by its syntax; empty where there is none."""
    values = values_of(content, attribute)
    return values[0].decode("ascii", "replace") if values else ""


def uuid(content: Content) -> bytes | None:
    """The 16 bytes of the entryUUID (RFC 4530), where the server shows it."""
    try:
        found = bytes.fromhex(first(content, ENTRY_UUID).replace("-", ""))
    except ValueError:
        return None
    return found if len(found) == 16 else None
