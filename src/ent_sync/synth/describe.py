"""Describes invented people and schools as AAF attributes, in both degrees (aaf.md §5, §8).

Every record of a kind has the same attributes, empty where there is nothing to say: so a modify request that repeats
all of them leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from ent_sync.core.record import Degree
from ent_sync.synth import nomenclature as known
from ent_sync.synth.households import Guardian, Pupil
from ent_sync.synth.schools import Layout, School, SchoolClass
from ent_sync.synth.staff import Staff

Row = tuple[str, Sequence[str]]
Description = list[Row]
_NONE: tuple[str, ...] = ("",)
_YES, _NO = ("O",), ("N",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Describer:
    """How the records of one degree are written."""

    structure: Callable[[School, Layout], Description]
    pupil: Callable[[Pupil, Layout], Description]
    guardian: Callable[[Guardian], Description]
    staff: Callable[[Staff], Description]


def describer(degree: Degree) -> Describer:
    """The one for that degree."""
    if degree is Degree.SECOND:
        return Describer(structure=_structure_2d, pupil=_pupil_2d, guardian=_guardian_2d, staff=_staff_2d)
    return Describer(structure=_structure_1d, pupil=_pupil_1d, guardian=_guardian_1d, staff=_staff_1d)


def mefs() -> Iterator[tuple[str, Description]]:
    """The training programmes of the second degree, with their codes."""
    for level in known.LEVELS_2D:
        rows: Description = [
            ("ENTMefJointure", (level.code,)),
            ("ENTLibelleMef", (level.label,)),
            ("ENTMEFRattach", (level.code,)),
            ("ENTMEFSTAT11", (f"2{level.code[:3]}0010019",)),
        ]
        yield level.code, rows


def subjects() -> Iterator[tuple[str, Description]]:
    """The subjects of the second degree, with their codes."""
    for subject in known.SUBJECTS:
        rows: Description = [
            ("ENTMatJointure", (subject.code,)),
            ("ENTLibelleMatiere", (subject.label,)),
            ("ENTMatiereRattach", (subject.code,)),
        ]
        yield subject.code, rows


def _flag(value: bool) -> tuple[str, ...]:
    return _YES if value else _NO


def _name_of_structure(school: School) -> str:
    return f"{school.kind}${school.name}${school.place.town.name}"


@lru_cache(maxsize=4096)
def siret(key: int) -> str:
    """Fourteen digits that pass Luhn, for the structure of that key."""
    body = f"19{key:07d}0001"
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in body[0::2])
    return f"{body}{-(doubled + sum(int(digit) for digit in body[1::2])) % 10}"


def _siret(school: School) -> str:
    """Services have none."""
    return siret(school.key) if school.levels else ""


def _structure_2d(school: School, layout: Layout) -> Description:
    classes = [
        f"{one.code}${one.level.label}${one.level.code}"
        for one in (layout.classes[number] for number in layout.by_school.get(school.key, ()))
    ]
    groups = ["$".join((one.code, one.label, *one.classes)) for one in layout.groups.get(school.key, ())]
    if classes and school.key % 17 == 0:
        classes[-1] = classes[-1].rsplit("$", 1)[0] + "$"
    times = 2 if school.repeated else 1
    academy = layout.academy
    street = school.place.lines.split("$")[2]
    return [
        ("ENTStructureJointure", (str(school.key),)),
        ("ENTStructureUAI", (school.uai,)),
        ("ENTEtablissementUAI", (school.uai,)),
        ("ENTStructureSIREN", (_siret(school),)),
        ("ENTStructureNomCourant", (_name_of_structure(school),)),
        ("ENTStructureTypeStruct", (school.kind,)),
        ("ENTStructureCodeTypeStruct", (school.kind_code,)),
        ("ENTEtablissementMinistereTutelle", ("MINISTERE DE L'EDUCATION NATIONALE",)),
        ("ENTEtablissementCodeMinistereTutelle", ("06",)),
        ("ENTEtablissementContrat", ("PR" if school.private else "PU",)),
        ("postOfficeBox", _NONE),
        ("street", (street,)),
        ("postalCode", (school.place.town.postal,)),
        ("l", (school.place.town.name,)),
        ("telephoneNumber", (school.phone,)),
        ("facsimileTelephoneNumber", _NONE),
        ("ENTStructureMailSI", (f"ce.{school.uai}@ac-{academy.name.lower()}.example.org",)),
        ("ENTEtablissementStructRattachFctl", [str(key) for key in school.parents] or _NONE),
        ("ENTEtablissementBassin", (f"{24_900 + school.key % 9}$BASSIN {school.key % 9}",)),
        ("ENTServAcAcademie", (academy.name,)),
        ("ENTServAcCodeAcademie", (academy.code,)),
        ("ENTStructureClasses", classes * times or _NONE),
        ("ENTStructureGroupes", groups * times or _NONE),
    ]


def _structure_1d(school: School, layout: Layout) -> Description:
    town, academy = school.place.town, layout.academy
    street = school.place.lines.split("$")[2]
    return [
        ("ENTStructureJointure", (str(school.key),)),
        ("ENTStructureUAI", (school.uai,)),
        ("ENTEtablissementUAI", (school.uai,)),
        ("ENTStructureSIREN", (_siret(school),)),
        ("ENTStructureNomCourant", (_name_of_structure(school),)),
        ("ENTStructureTypeStruct", (school.kind,)),
        ("ENTEcoleMinistereTutelle", ("MINISTERE DE L'EDUCATION NATIONALE",)),
        ("ENTEcoleSecteur", ("PR" if school.private else "PU",)),
        ("ENTStructureBoitePostale", _NONE),
        ("ENTStructureAdresse", (street,)),
        ("ENTStructureCodePostal", (town.postal,)),
        ("ENTStructureVille", (town.name,)),
        ("ENTStructureTelephone", (school.phone,)),
        ("ENTStructureFax", _NONE),
        ("ENTStructureMailSI", (f"ce.{school.uai}@ac-{academy.name.lower()}.example.org",)),
        ("ENTEcoleCirconscription", (str(layout.services[1 + school.key % 2].key),) if school.levels else _NONE),
        ("ENTEcoleCommune", (f"{town.insee}${town.name}${town.postal[:2]}",)),
        ("ENTEcoleRPI", _NONE),
        ("ENTServAcAcademie", (academy.name,)),
    ]


def _pupil_2d(pupil: Pupil, layout: Layout) -> Description:
    own = layout.classes[pupil.place]
    school, level, name, town = own.school, own.level, pupil.name, pupil.home.town
    key = str(pupil.key)
    groups = layout.groups[school.key]
    taught = known.SUBJECTS[: 7 + pupil.key % 4]
    return [
        ("ENTPersonJointure", (key,)),
        ("ENTEleveINE", (pupil.ine,)),
        ("ENTEleveStructRattachId", (str(pupil.key % 900_000 + 100_000),)),
        ("ENTPersonDateNaissance", (pupil.birth,)),
        ("ENTPersonNomPatro", (name.birth,)),
        ("sn", (name.family,)),
        ("givenName", (name.given,)),
        ("ENTPersonAutresPrenoms", name.others),
        ("personalTitle", (name.title,)),
        ("ENTElevePersRelEleve", [f"{link.guardian}${link.kind}${link.flags}" for link in pupil.links] or _NONE),
        ("ENTEleveBoursier", _flag(pupil.scholarship)),
        ("ENTEleveRegime", (pupil.regime,)),
        ("ENTEleveTransport", _flag(pupil.transport)),
        ("ENTPersonAdresse", (pupil.home.lines,)),
        ("ENTPersonCodePostal", (town.postal,)),
        ("ENTPersonVille", (town.name,)),
        ("ENTPersonPays", ("FRANCE",)),
        ("ENTEleveAdresseRel", (str(pupil.home_of),) if pupil.home_of else _NONE),
        ("ENTEleveStatutEleve", ("SCOLAIRE",)),
        ("ENTEleveMEF", (level.code,)),
        ("ENTEleveLibelleMEF", (level.label,)),
        ("ENTEleveNivFormation", (level.label,)),
        ("ENTEleveFiliere", (level.label,)),
        ("ENTEleveEnseignements", [subject.label for subject in taught]),
        ("ENTEleveCodeEnseignements", [subject.code for subject in taught]),
        ("ENTPersonStructRattach", (str(school.key),)),
        ("ENTEleveClasses", [f"{one.school.key}${one.code}" for one in _classes(pupil, layout)]),
        ("ENTEleveDateEntreeClasses", (f"{school.key}$01/09/{known.SCHOOL_YEAR}${own.code}",)),
        ("ENTEleveGroupes", [f"{school.key}${groups[number].code}" for number in pupil.groups] or _NONE),
    ]


def _classes(pupil: Pupil, layout: Layout) -> Iterator[SchoolClass]:
    """Normally one; a second one is in another school."""
    own = layout.classes[pupil.place]
    yield own
    if pupil.second_place is not None and layout.classes[pupil.second_place].school is not own.school:
        yield layout.classes[pupil.second_place]


def _pupil_1d(pupil: Pupil, layout: Layout) -> Description:
    own = layout.classes[pupil.place]
    school, level, name, town = own.school, own.level, pupil.name, pupil.home.town
    key = str(pupil.key)
    groups = layout.groups[school.key]
    cycle = ("1$CYCLE I", "2$CYCLE II", "3$CYCLE III")[min(2, max(0, (known.SCHOOL_YEAR - level.born - 3) // 3))]
    return [
        ("ENTPersonJointure", (key,)),
        ("ENTEleveINE", (pupil.ine,)),
        ("ENTPersonDateNaissance", (pupil.birth,)),
        ("ENTPersonNomPatro", (name.birth,)),
        ("ENTPersonNom", (name.family,)),
        ("ENTPersonPrenom", (name.given,)),
        ("ENTPersonAutresPrenoms", name.others),
        ("ENTPersonCivilite", (name.title,)),
        ("ENTEleveAutoriteParentale", [f"{link.guardian}${link.kind}" for link in pupil.links] or _NONE),
        ("ENTPersonAdresse", (pupil.home.lines,)),
        ("ENTPersonCodePostal", (town.postal,)),
        ("ENTPersonVille", (town.name,)),
        ("ENTPersonPays", ("FRANCE",)),
        ("ENTEleveNiveau", (f"{level.code}${level.label}",)),
        ("ENTEleveCycle", (cycle,)),
        ("ENTEleveTypeClasse", ("11$ORDINAIRE",)),
        ("ENTEleveRestaurantScolaire", _flag(pupil.regime != "EXTERNE LIBRE")),
        ("ENTEleveTransport", _flag(pupil.transport)),
        ("ENTEleveGarderieMatin", _flag(pupil.key % 5 == 0)),
        ("ENTEleveGarderieSoir", _flag(pupil.key % 3 == 0)),
        ("ENTEleveEtudesSurveillees", _NO),
        ("ENTPersonStructRattach", (str(school.key),)),
        ("ENTPersonClasses", [f"{c.school.key}$11$ORDINAIRE${c.number}${c.code}" for c in _classes(pupil, layout)]),
        (
            "ENTPersonGroupes",
            [f"{school.key}$40$REGROUPEMENT${groups[n].number}${groups[n].label}" for n in pupil.groups] or _NONE,
        ),
        ("ENTEleveDateEntreeClasses", (f"{school.key}$01/09/{known.SCHOOL_YEAR}${own.number}",)),
    ]


def _guardian_2d(guardian: Guardian) -> Description:
    name, town = guardian.name, guardian.home.town
    return [
        ("ENTPersonJointure", (str(guardian.key),)),
        ("ENTPersonDateNaissance", _NONE),
        ("ENTPersonNomPatro", (name.birth,)),
        ("sn", (name.family,)),
        ("givenName", (name.given,)),
        ("personalTitle", (name.title,)),
        ("ENTAuxPersRelEleveEleve", [str(key) for key in guardian.pupils]),
        ("homePhone", (guardian.home_phone,)),
        ("telephoneNumber", (guardian.work_phone,)),
        ("mobile", guardian.mobiles or _NONE),
        ("ENTPersonMobileSMS", (guardian.text_mobile,)),
        ("mail", (guardian.mail,)),
        ("ENTPersonAdresse", (guardian.home.lines,)),
        ("ENTPersonCodePostal", (town.postal,)),
        ("ENTPersonVille", (town.name,)),
        ("ENTPersonPays", ("FRANCE",)),
        ("ENTPersonAdresseDiffusion", _flag(guardian.diffusion)),
    ]


def _guardian_1d(guardian: Guardian) -> Description:
    name, town = guardian.name, guardian.home.town
    return [
        ("ENTPersonJointure", (str(guardian.key),)),
        ("ENTPersonDateNaissance", _NONE),
        ("ENTPersonNomPatro", (name.birth,)),
        ("ENTPersonNom", (name.family,)),
        ("ENTPersonPrenom", (name.given,)),
        ("ENTPersonCivilite", (name.title,)),
        ("ENTPersRelEleveEleve", [str(key) for key in guardian.pupils]),
        ("ENTPersonTelPerso", (guardian.home_phone,)),
        ("ENTPersRelEleveTelPro", (guardian.work_phone,)),
        ("ENTPersRelEleveTelMobile", guardian.mobiles or _NONE),
        ("ENTPersonMail", (guardian.mail,)),
        ("ENTPersonAdresse", (guardian.home.lines,)),
        ("ENTPersonCodePostal", (town.postal,)),
        ("ENTPersonVille", (town.name,)),
        ("ENTPersonPays", ("FRANCE",)),
        ("ENTPersonAdresseDiffusion", _flag(guardian.diffusion)),
    ]


def _functions(staff: Staff) -> Sequence[str]:
    """Rarely, the last sub-fields of a value are cut (aaf.md §4)."""
    if staff.oddly_written and not staff.corps:
        return [value.rsplit("$", 1)[0] + "$" for value in staff.functions]
    return staff.functions


def _other_names(staff: Staff) -> Iterator[Row]:
    """Rarely, the attribute comes twice, first empty (aaf.md §2)."""
    if staff.oddly_written:
        yield "ENTPersonAutresPrenoms", _NONE
    yield "ENTPersonAutresPrenoms", staff.name.others


def _staff_2d(staff: Staff) -> Description:
    name, subject = staff.name, staff.subject
    classes = [f"{one.school}${one.code}" for one in staff.classes]
    word, category = (subject.speciality.split("$")[1], subject.discipline) if subject else ("", "")
    structures = dict.fromkeys(one.school for one in staff.classes)
    return [
        ("ENTPersonJointure", (str(staff.key),)),
        ("ENTPersonDateNaissance", (staff.birth,)),
        ("ENTPersonNomPatro", (name.birth,)),
        ("sn", (name.family,)),
        ("givenName", (name.given,)),
        *_other_names(staff),
        ("personalTitle", (name.title,)),
        ("mail", (staff.mail,)),
        ("ENTPersonStructRattach", (str(staff.attached),) if staff.attached else _NONE),
        ("ENTAuxEnsCategoDiscipline", (f"{category}${word}",) if subject else _NONE),
        ("ENTAuxEnsDisciplinesPoste", (f"{word}${category}",) if subject else _NONE),
        ("ENTAuxEnsMEF", [f"{key}$10310019110$3EME" for key in structures] if staff.key % 7 == 0 else _NONE),
        ("ENTAuxEnsMatiereEnseignEtab", [f"{key}${subject.label}" for key in structures] if subject else _NONE),
        ("ENTAuxEnsClasses", (classes + classes[:1] if staff.oddly_written else list(dict.fromkeys(classes))) or _NONE),
        ("ENTAuxEnsGroupes", list(dict.fromkeys(f"{one.school}${one.code}" for one in staff.groups)) or _NONE),
        ("ENTAuxEnsClassesMatieres", [f"{one.school}${one.code}${one.subject}" for one in staff.classes] or _NONE),
        ("ENTAuxEnsGroupesMatieres", [f"{one.school}${one.code}${one.subject}" for one in staff.groups] or _NONE),
        ("ENTAuxEnsClassesPrincipal", [f"{school}${code}" for school, code in staff.head_of] or _NONE),
        ("ENTPersonFonctions", _functions(staff)),
        ("ENTPersonCategorieEnseignant", _flag(staff.corps)),
        ("PersEducNatPresenceDevantEleves", _flag(bool(staff.classes or staff.groups))),
    ]


def _staff_1d(staff: Staff) -> Description:
    name = staff.name
    return [
        ("ENTPersonJointure", (str(staff.key),)),
        ("ENTPersonDateNaissance", (staff.birth,)),
        ("ENTPersonNomPatro", (name.birth,)),
        ("ENTPersonNom", (name.family,)),
        ("ENTPersonPrenom", (name.given,)),
        *_other_names(staff),
        ("ENTPersonCivilite", (name.title,)),
        ("ENTPersonMail", (staff.mail,)),
        ("ENTPersonStructRattach", (str(staff.attached),) if staff.attached else _NONE),
        ("ENTPersonFonctions", _functions(staff)),
        ("ENTEnsFonctionDir", [str(key) for key in staff.heads] or _NONE),
        ("ENTEnsSpecialites", ("G0145$OPTION D",) if staff.key % 11 == 0 else _NONE),
        ("ENTPersonCategorieEnseignant", _flag(staff.corps)),
        ("PersEducNatPresenceDevantEleves", _flag(staff.corps)),
    ]
