"""Describes invented people and structures as entries of a federating directory in the national schema (ent-ldap.md).

Made of their AAF attributes, so that both formats say the same: sub-fields that are keys there are DNs here, names of
the first degree are those of the schema, and what the schema demands and no feed has is invented. An entry is told from
one record alone: DNs follow from keys.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ent_sync.core.profile import PROFILE_GUARDIAN, PROFILE_PUPIL, staff_profile
from ent_sync.core.relations import HEAD_OF_SCHOOL, NO_FUNCTION
from ent_sync.synth import nomenclature as known
from ent_sync.synth.describe import siret
from ent_sync.synth.people import MADAME
from ent_sync.wire.aaf.names import FileKind

Content = Mapping[str, Sequence[str]]
"""Attribute names and values of an entry, object classes first; none without a value, no value twice."""

_ROOM = 36**6
# Prime to 36, so that no two keys of the room have one uid; they look drawn, as real ones do.
_FACTOR, _OFFSET = 1_402_350_047, 734_001_013
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_NOT_IN_LOGIN = re.compile(r"[^a-z0-9]+")
_BLANKS = re.compile(r"[ \-]+")
_PHONES = frozenset({"homePhone", "telephoneNumber", "mobile", "ENTPersonMobileSMS"})
_PERSON_CLASSES = ("top", "person", "organizationalPerson", "inetOrgPerson", "ENTPerson")
_STRUCTURE_CLASSES = ("top", "organizationalUnit", "ENTStructure")
_TEACHING = frozenset({"ENS", "DOC"})
_TEACHERS_NUMBER, _OTHERS_NUMBER = "3", "4"


@dataclass(frozen=True, slots=True, repr=False)
class DirectoryEntry:
    """An entry: where it is and what it holds."""

    dn: str
    content: Content


class Directory:
    """The directory of one academy: `dc=ac-lille,dc=fr` with its branches `ou=people` and `ou=structures`.

    `services` are the keys of the structures that are no schools.
    """

    def __init__(self, academy: str, services: frozenset[str]) -> None:
        self.domain = f"ac-{academy.lower()}"
        self.base = f"dc={self.domain},dc=fr"
        self._academy, self._services = academy, services

    def top(self) -> tuple[DirectoryEntry, ...]:
        """The base and its branches."""
        base: Content = {
            "objectClass": ("top", "organization", "dcObject"),
            "dc": (self.domain,),
            "o": (f"Academie de {self._academy}",),
        }
        branches = (
            DirectoryEntry(f"ou={name},{self.base}", {"objectClass": ("top", "organizationalUnit"), "ou": (name,)})
            for name in ("people", "structures")
        )
        return (DirectoryEntry(self.base, base), *branches)

    def uid(self, key: str) -> str:
        """The opaque national identifier of a person: eight characters `LxxCiiii`, longer beyond two milliards."""
        turn, place = divmod(int(key), _ROOM)
        digits = _in_36((place * _FACTOR + _OFFSET) % _ROOM).rjust(6, "0")
        return f"{self._academy[0]}{digits[:2]}2{digits[2:]}{_in_36(turn)}"

    def person(self, key: str) -> str:
        """The DN of the person of that key."""
        return f"uid={self.uid(key)},ou=people,{self.base}"

    def structure(self, key: str) -> str:
        """The DN of the structure of that key."""
        return f"ENTStructureSIREN={siret(int(key))},ou=structures,{self.base}"

    def at_structure(self, value: str) -> str:
        """A value whose first sub-field is a structure."""
        key, mark, rest = value.partition("$")
        return f"{self.structure(key)}{mark}{rest}"

    def of_person(self, value: str) -> str:
        """A value whose first sub-field is a person."""
        key, mark, rest = value.partition("$")
        return f"{self.person(key)}{mark}{rest}"

    def dn(self, kind: FileKind, key: str) -> str:
        """The DN of the entry of a record."""
        return self.structure(key) if kind is FileKind.SCHOOLS else self.person(key)

    def entry(self, kind: FileKind, key: str, attributes: Sequence[tuple[str, Sequence[str]]]) -> DirectoryEntry:
        """The entry of a record; `attributes` are those of the AAF, of either degree."""
        told = _merged(attributes)
        renamed = self._renamed(told)
        content = _MAKERS[kind](self, key, told, renamed)
        return DirectoryEntry(self.dn(kind, key), {name: _distinct(name, content[name]) for name in content})

    def _renamed(self, told: Content) -> dict[str, Sequence[str]]:
        made: dict[str, Sequence[str]] = {}
        for name, values in told.items():
            if name not in _NOT_IN_SCHEMA:
                rule = _RENAMED.get(name, _AS_IS)
                form = rule.form
                made[rule.name or name] = [form(self, value) for value in values] if form else values
        return made

    def _structure(self, key: str, told: Content, renamed: dict[str, Sequence[str]]) -> Content:
        service = "ENTStructureSIREN" not in told
        spoken = " ".join(part for part in told["ENTStructureNomCourant"][0].split("$") if part)
        content: dict[str, Sequence[str]] = {
            "objectClass": (
                "top",
                "organizationalUnit",
                "ENTStructure",
                "ENTServAc" if service else "ENTEtablissement",
            ),
            "ENTStructureSIREN": (siret(int(key)),),
            "ou": (spoken,),
            "ENTStructureJointure": (self._join(key),),
        }
        if service:
            renamed = {name: values for name, values in renamed.items() if not name.startswith(_OF_SCHOOLS)}
            content["ENTServAcAcademie"] = told["ENTServAcAcademie"]
        return content | renamed

    def _pupil(self, key: str, told: Content, renamed: dict[str, Sequence[str]]) -> Content:
        level = _last(told, "ENTEleveNivFormation") or _last(told, "ENTEleveNiveau")
        demanded: dict[str, Sequence[str]] = {
            "ENTEleveStatutEleve": ("SCOLAIRE",),
            "ENTEleveNivFormation": (level,),
            "ENTEleveLibelleMEF": (level,),
            "ENTEleveFiliere": (level,),
            "ENTEleveMEF": (f"0{_first(told, 'ENTEleveNiveau').partition('$')[0]:0<10}",),
            "ENTEleveMajeur": ("O" if _of_age(_first(told, "ENTPersonDateNaissance")) else "N",),
        }
        if classes := renamed.get("ENTPersonClasses"):
            demanded["ENTEleveClasses"] = ["$".join(value.split("$")[:4:3]) for value in classes]
        content = self._person(key, renamed, (*_PERSON_CLASSES, "ENTEleve"), (PROFILE_PUPIL, "National_1"))
        return content | demanded | renamed

    def _guardian(self, key: str, _: Content, renamed: dict[str, Sequence[str]]) -> Content:
        classes = (*_PERSON_CLASSES, "ENTAuxPersRelEleve")
        return self._person(key, renamed, classes, (PROFILE_GUARDIAN, "National_2")) | renamed

    def _staff(self, key: str, told: Content, renamed: dict[str, Sequence[str]]) -> Content:
        functions = [(value.split("$") + [""] * 2)[:3] for value in told.get("ENTPersonFonctions", ())]
        codes = {code for _, code, _ in functions if code != NO_FUNCTION}
        codes |= {HEAD_OF_SCHOOL} if "ENTEnsFonctionDir" in told else set()
        teaches = bool(codes & _TEACHING) or any(name.startswith(("ENTAuxEns", "ENTEns")) for name in renamed)
        others = [(at, label) for at, code, label in functions if code not in _TEACHING]
        extra: dict[str, Sequence[str]] = {}
        if teaches:
            extra["objectClass"] = ("ENTAuxEnseignant",)
        for name, labels in (
            ("ENTAuxNonEnsEtab", [label for at, label in others if at not in self._services]),
            ("ENTAuxNonEnsServAc", [label for at, label in others if at in self._services]),
        ):
            if labels:
                extra["objectClass"] = (*extra.get("objectClass", ()), name)
                extra[f"{name}Service"] = labels[:1]
        classes = (*_PERSON_CLASSES, *extra.pop("objectClass", ("ENTAuxNonEnsEtab",)))
        number = _TEACHERS_NUMBER if teaches else _OTHERS_NUMBER
        content = self._person(key, renamed, classes, (staff_profile(codes), f"National_{number}"))
        return content | extra | renamed

    def _person(
        self, key: str, renamed: Content, classes: Sequence[str], profiles: Sequence[str]
    ) -> dict[str, Sequence[str]]:
        family, given = _first(renamed, "sn"), _first(renamed, "givenName")
        content: dict[str, Sequence[str]] = {
            "objectClass": classes,
            "uid": (self.uid(key),),
            "ENTPersonJointure": (self._join(key),),
            "ENTPersonLogin": (_login(given, family, key),),
            "cn": (f"{family} {given}".strip().upper(),),
            "displayName": (f"{given} {family}".strip(),),
            "ENTPersonProfils": profiles,
        }
        if title := _first(renamed, "personalTitle"):
            content["ENTPersonSexe"] = ("F" if title == MADAME else "M",)
        return content

    def _join(self, key: str) -> str:
        return f"AC-{self._academy}${key}"


_Form = Callable[[Directory, str], str]


@dataclass(frozen=True, slots=True)
class _Renamed:
    """What an AAF attribute is called in the schema (as there, without a name), and what becomes of its values."""

    name: str = ""
    form: _Form | None = None


_IS_PERSON, _OF_PERSON = _Renamed(form=Directory.person), _Renamed(form=Directory.of_person)
_IS_STRUCTURE, _AT_STRUCTURE = _Renamed(form=Directory.structure), _Renamed(form=Directory.at_structure)
_AS_IS = _Renamed()
_NOT_IN_SCHEMA = frozenset(
    {
        # made anew, of the key
        "ENTPersonJointure",
        "ENTStructureJointure",
        "ENTStructureSIREN",
        "ENTServAcAcademie",
        # unknown there
        "ENTEleveDateEntreeClasses",
        "ENTPersonCategorieEnseignant",
        "PersEducNatPresenceDevantEleves",
        "ENTEtablissementUAI",
        "ENTStructureCodeTypeStruct",
        "ENTEtablissementCodeMinistereTutelle",
        "ENTServAcCodeAcademie",
    }
)
_RENAMED: Mapping[str, _Renamed] = {
    "ENTPersonNom": _Renamed("sn"),
    "ENTPersonPrenom": _Renamed("givenName"),
    "ENTPersonCivilite": _Renamed("personalTitle"),
    "ENTPersonMail": _Renamed("mail"),
    "ENTPersonTelPerso": _Renamed("homePhone"),
    "ENTPersRelEleveTelPro": _Renamed("telephoneNumber"),
    "ENTPersRelEleveTelMobile": _Renamed("mobile"),
    "ENTPersonStructRattach": _IS_STRUCTURE,
    "ENTEnsFonctionDir": _IS_STRUCTURE,
    "ENTEleveAdresseRel": _IS_PERSON,
    "ENTAuxPersRelEleveEleve": _IS_PERSON,
    "ENTPersRelEleveEleve": _Renamed("ENTAuxPersRelEleveEleve", Directory.person),
    "ENTElevePersRelEleve": _OF_PERSON,
    "ENTEleveAutoriteParentale": _OF_PERSON,
    "ENTPersonFonctions": _AT_STRUCTURE,
    "ENTPersonClasses": _AT_STRUCTURE,
    "ENTPersonGroupes": _AT_STRUCTURE,
    "ENTEleveClasses": _AT_STRUCTURE,
    "ENTEleveGroupes": _AT_STRUCTURE,
    "ENTAuxEnsMEF": _AT_STRUCTURE,
    "ENTAuxEnsMatiereEnseignEtab": _AT_STRUCTURE,
    "ENTAuxEnsClasses": _AT_STRUCTURE,
    "ENTAuxEnsGroupes": _AT_STRUCTURE,
    "ENTAuxEnsClassesMatieres": _AT_STRUCTURE,
    "ENTAuxEnsGroupesMatieres": _AT_STRUCTURE,
    "ENTAuxEnsClassesPrincipal": _AT_STRUCTURE,
    "ENTEcoleMinistereTutelle": _Renamed("ENTEtablissementMinistereTutelle"),
    "ENTEcoleSecteur": _Renamed("ENTEtablissementContrat"),
    "ENTStructureBoitePostale": _Renamed("postOfficeBox"),
    "ENTStructureAdresse": _Renamed("street"),
    "ENTStructureCodePostal": _Renamed("postalCode"),
    "ENTStructureVille": _Renamed("l"),
    "ENTStructureTelephone": _Renamed("telephoneNumber"),
    "ENTStructureFax": _Renamed("facsimileTelephoneNumber"),
    "ENTEtablissementStructRattachFctl": _IS_STRUCTURE,
    "ENTEcoleCirconscription": _IS_STRUCTURE,
}
# What ENTEtablissement may have and ENTServAc may not.
_OF_SCHOOLS = ("ENTEtablissement", "ENTEcole", "ENTStructureClasses", "ENTStructureGroupes")

_MAKERS: Mapping[FileKind, Callable[[Directory, str, Content, dict[str, Sequence[str]]], Content]] = {
    FileKind.SCHOOLS: Directory._structure,  # noqa: SLF001 - one of its own
    FileKind.PUPILS: Directory._pupil,  # noqa: SLF001
    FileKind.GUARDIANS: Directory._guardian,  # noqa: SLF001
    FileKind.STAFF: Directory._staff,  # noqa: SLF001
}


def _merged(attributes: Sequence[tuple[str, Sequence[str]]]) -> Content:
    """A name that comes twice once, and what is empty not at all (aaf.md §2)."""
    told: dict[str, list[str]] = {}
    for name, values in attributes:
        if kept := [value for value in values if value]:
            told.setdefault(name, []).extend(kept)
    return told


def _distinct(name: str, values: Sequence[str]) -> Sequence[str]:
    """Each value once: a directory takes no two that its matching rule holds to be one."""
    if len(values) < 2:
        return values
    seen: dict[str, str] = {}
    for value in values:
        seen.setdefault(_BLANKS.sub("", value) if name in _PHONES else " ".join(value.casefold().split()), value)
    return tuple(seen.values())


def _first(told: Content, name: str) -> str:
    return told[name][0] if name in told else ""


def _last(told: Content, name: str) -> str:
    return _first(told, name).rsplit("$", 1)[-1]


def _of_age(birth: str) -> bool:
    """On the first day of the school year: so it is the same in all deliveries of a region."""
    day, month, year = (int(part) for part in birth.split("/"))
    return (year + 18, month, day) <= (known.SCHOOL_YEAR, 9, 1)


def _login(given: str, family: str, key: str) -> str:
    words = unicodedata.normalize("NFKD", f"{given[:30]}.{family[:30]}".lower()).encode("ascii", "ignore").decode()
    return ".".join(_NOT_IN_LOGIN.sub("-", word).strip("-") for word in words.split(".")) + key[-4:]


def _in_36(number: int) -> str:
    """In base 36; nothing for 0."""
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits
