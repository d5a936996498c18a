"""The register of processing as values (GDPR Art. 30), and what each source attribute is in the eyes of the law.

The program runs on the register: there is no second list of what may leave. Knows no mapping and no person.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from ent_sync.core.errors import Where
from ent_sync.core.profile import REGISTER_POPULATIONS, RegisterPopulation
from ent_sync.core.record import Population


class Clock(StrEnum):
    """How long an attribute stays, by what ends it (gdpr.md §1.2)."""

    ACCOUNT = "k-acc"
    YEAR = "k-year"
    LINK = "k-link"
    LIVE = "k-live"
    INSIDE = "k-in"


class AttributeClass(StrEnum):
    """What the register says an attribute is. There is no fourth one: what may never leave cannot be written."""

    ORDINARY = "ordinary"
    RESTRICTED = "restricted"
    INSIDE = "inside"


@dataclass(frozen=True, slots=True, kw_only=True)
class Purpose:
    """What data are for, with its one legal basis; an `inside` purpose has no recipient."""

    name: str
    title: Mapping[str, str]
    basis: str
    text: str
    recipients: tuple[str, ...]
    inside: bool
    where: Where


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """Why something restricted leaves all the same: who answers for it, and until when."""

    why_not_less: str
    signed_by: str
    signed_on: dt.date
    expires: dt.date


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One line of the register: an attribute may serve a purpose for some populations, and for how long.

    `code` marks values out of a code table, which may look like a national number and are none (gdpr.md R3).
    """

    attribute: str
    purpose: str
    populations: frozenset[RegisterPopulation]
    clock: Clock
    kind: AttributeClass = AttributeClass.ORDINARY
    code: bool = False
    why: str | None = None
    signature: Signature | None = None
    where: Where


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterTarget:
    """A recipient: the purposes it serves and who answers for it."""

    name: str
    purposes: frozenset[str]
    controller: str | None
    country: str = "FR"
    where: Where


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long a suspended account stays: at least, at most, and what the law allows in all (order of 2006, art. 6)."""

    suspended_at_least: dt.timedelta
    delete_after: dt.timedelta
    limit_months: int
    where: Where


@dataclass(frozen=True, kw_only=True)
class Register:
    """The whole register. `in_charge` admits persons in charge of a pupil beside legal representatives (R12)."""

    purposes: Mapping[str, Purpose]
    grants: tuple[Grant, ...]
    targets: Mapping[str, RegisterTarget]
    retention: Retention
    in_charge: bool
    where: Where

    @cached_property
    def _by_attribute(self) -> dict[tuple[str, RegisterPopulation], Grant]:
        return {(grant.attribute, each): grant for grant in reversed(self.grants) for each in grant.populations}

    def grant(self, attribute: str, population: RegisterPopulation) -> Grant | None:
        """What the register says of an attribute of a population."""
        return self._by_attribute.get((attribute, population))

    def names(self, attribute: str) -> bool:
        """Whether the register names the attribute at all."""
        return any(grant.attribute == attribute for grant in self.grants)

    def may_receive(self, target: str, purpose: str) -> bool:
        """Whether both the purpose and the target say that the one serves the other."""
        receiver, served = self.targets.get(target), self.purposes.get(purpose)
        return bool(receiver and served and purpose in receiver.purposes and target in served.recipients)


# --------------------------------------------------------------------------------------------------------------------
# Source attributes


class SourceClass(StrEnum):
    """What a source attribute is for a population (gdpr.md §1.3, §2)."""

    ORDINARY = "ordinary"
    RESTRICTED = "restricted"
    INSIDE = "inside"
    NEVER = "never"
    ABSENT = "absent"


_LETTERS = {
    "A": SourceClass.ORDINARY,
    "R": SourceClass.RESTRICTED,
    "I": SourceClass.INSIDE,
    "X": SourceClass.NEVER,
    ".": SourceClass.ABSENT,
}
_COLUMNS = tuple(RegisterPopulation)

# Columns: first-degree pupils, second-degree pupils, guardians, teachers, other staff, schools.
# A ordinary · R restricted: leaves only signed, or generalised · I inside: relations and correlation read it, no
# attribute is made of it · X never · . not in the feed. The numbers are the rows of gdpr.md §1.3.
_TABLE = """
AAAAA.  ENTPersonJointure                                                                  #2
AAAAA.  sn givenName ENTPersonNom ENTPersonPrenom                                          #3
AAAAA.  personalTitle ENTPersonCivilite                                                    #4
XXXXX.  ENTPersonSexe                                                                      #4
IIIII.  ENTPersonNomPatro ENTPersonAutresPrenoms                                           #5 #6
RRXII.  ENTPersonDateNaissance                                                             #7
XXXXX.  ENTPersonLieuNaissance ENTPersonVilleNaissance ENTPersonPaysNaissance              #8
RR....  ENTEleveINE                                                                        #9
XR....  ENTEleveStructRattachId ENTEleveStructureRattachIdMEN                              #10
...RR.  ENTPersonSTSId                                                                     #10
XX....  ENTEleveBoursier                                                                   #14
XR....  ENTEleveRegime ENTEleveTransport                                                   #15
X.....  ENTEleveRestaurantScolaire ENTEleveGarderieMatin ENTEleveGarderieSoir              #15
X.....  ENTEleveEtudesSurveillees                                                          #15
XXXXX.  ENTPersonAdresse ENTPersonCodePostal ENTPersonVille ENTPersonPays                  #16
XX....  ENTEleveAdresseRel                                                                 #16
XXAAA.  mail ENTPersonMail                                                                 #17
XXRXXA  homePhone ENTPersonTelPerso                                                        #18
XXXXXA  telephoneNumber                                                                    #18
..X...  ENTPersRelEleveTelPro                                                              #18
..RXX.  mobile ENTPersRelEleveTelMobile                                                    #18
..AXX.  ENTPersonMobileSMS                                                                 #18
..I...  ENTPersonAdresseDiffusion                                                          #19
II.II.  ENTPersonStructRattach                                                             #20
AA....  ENTEleveStatutEleve                                                                #20
AA....  ENTEleveMEF ENTEleveLibelleMEF ENTEleveNivFormation ENTEleveFiliere                #21
AA....  ENTEleveNiveau ENTEleveCycle                                                       #21
XX....  ENTEleveTypeClasse                                                                 #21
II....  ENTEleveClasses ENTEleveGroupes ENTPersonClasses ENTPersonGroupes                  #21
RR....  ENTEleveEnseignements ENTEleveCodeEnseignements                                    #22
RR....  ENTEleveEnseignementsEtablissementsAccueil                                         #22
II....  ENTEleveDateEntreeStructRattach ENTEleveDateSortieStructRattach                    #23
II....  ENTEleveDateEntreeClasses ENTEleveDateSortieClasses                                #23
II....  ENTElevePersRelEleve ENTEleveAutoriteParentale                                     #24 #25 #26
XX....  ENTEleveParents ENTElevePere ENTEleveMere                                          #25
XX....  ENTElevePersRelEleve1 ENTElevePersRelEleve2                                        #25
XX....  ENTEleveQualitePersRelEleve1 ENTEleveQualitePersRelEleve2                          #25
..I...  ENTAuxPersRelEleveEleve ENTPersRelEleveEleve                                       #24
...II.  ENTPersonFonctions ENTEnsFonctionDir                                               #28
...II.  ENTPersonCategorieEnseignant PersEducNatPresenceDevantEleves                       #28
...II.  ENTAuxEnsClasses ENTAuxEnsClassesMatieres ENTAuxEnsClassesPrincipal                #29
...II.  ENTAuxEnsGroupes ENTAuxEnsGroupesMatieres                                          #29
...IX.  ENTAuxEnsMatiereEnseignEtab ENTAuxEnsMEF                                           #29
...RX.  ENTAuxEnsCategoDiscipline ENTAuxEnsDisciplinesPoste ENTEnsSpecialites              #30
.....A  ENTStructureJointure ENTStructureUAI ENTEtablissementUAI ENTStructureNomCourant
.....A  ENTStructureTypeStruct ENTStructureCodeTypeStruct ENTStructureSIREN
.....A  ENTEtablissementMinistereTutelle ENTEtablissementCodeMinistereTutelle ENTEtablissementContrat
.....A  ENTEcoleMinistereTutelle ENTEcoleCodeMinistereTutelle ENTEcoleSecteur
.....A  postOfficeBox street postalCode l facsimileTelephoneNumber
.....A  ENTStructureAdresse ENTStructureCodePostal ENTStructureVille ENTStructureBoitePostale
.....A  ENTStructureTelephone ENTStructureFax ENTStructureMailSI ENTStructureEmail
.....A  ENTEtablissementStructRattachFctl ENTEtablissementBassin ENTServAcAcademie ENTServAcCodeAcademie
.....A  ENTEcoleCirconscription ENTEcoleCommune ENTEcoleRPI
.....I  ENTStructureClasses ENTStructureGroupes
"""


def _read_table() -> dict[str, tuple[SourceClass, ...]]:
    classes: dict[str, tuple[SourceClass, ...]] = {}
    for line in filter(None, _TABLE.splitlines()):
        letters, *names = line.split("#", 1)[0].split()
        for name in names:
            classes[name] = tuple(_LETTERS[letter] for letter in letters)
    return classes


SOURCE_CLASSES: Mapping[str, tuple[SourceClass, ...]] = _read_table()
"""Each known source attribute's class, in the order of `RegisterPopulation`; an attribute not in it is `never`."""


def source_class(attribute: str, population: RegisterPopulation) -> SourceClass:
    """What a source attribute is for a population: never, where nobody thought of it (Art. 25(2))."""
    classes = SOURCE_CLASSES.get(attribute)
    return classes[_COLUMNS.index(population)] if classes else SourceClass.NEVER


def known_sources(population: Population) -> tuple[str, ...]:
    """The names that feeds are known to deliver for a population."""
    return tuple(
        name
        for name in SOURCE_CLASSES
        if any(source_class(name, each) is not SourceClass.ABSENT for each in REGISTER_POPULATIONS[population])
    )
