"""The attribute names of the format, so that a new one can be told from one that is merely not wanted."""

from __future__ import annotations

JOIN_ATTRIBUTES = frozenset({"ENTPersonJointure", "ENTStructureJointure", "ENTMefJointure", "ENTMatJointure"})
"""Each repeats the id of its record (aaf.md §2)."""

_SCHOOLS = """
    ENTStructureJointure ENTStructureUAI ENTEtablissementUAI ENTStructureSIREN ENTStructureNomCourant
    ENTStructureTypeStruct ENTStructureCodeTypeStruct ENTEtablissementMinistereTutelle
    ENTEtablissementCodeMinistereTutelle ENTEtablissementContrat postOfficeBox street postalCode l telephoneNumber
    facsimileTelephoneNumber ENTStructureMailSI ENTEtablissementStructRattachFctl ENTEtablissementBassin
    ENTServAcAcademie ENTServAcCodeAcademie ENTStructureClasses ENTStructureGroupes
"""
_SCHOOLS_1D = """
    ENTStructureAdresse ENTStructureCodePostal ENTStructureVille ENTStructureBoitePostale ENTStructureTelephone
    ENTStructureFax ENTStructureEmail ENTEcoleMinistereTutelle ENTEcoleCodeMinistereTutelle ENTEcoleSecteur
    ENTEcoleCirconscription ENTEcoleCommune ENTEcoleRPI
"""
_NOMENCLATURES = """
    ENTMefJointure ENTLibelleMef ENTMEFRattach ENTMEFSTAT11 ENTNivFormation ENTFiliere
    ENTMatJointure ENTLibelleMatiere ENTMatiereRattach
"""
_PEOPLE = """
    ENTPersonJointure ENTPersonDateNaissance ENTPersonNomPatro sn givenName ENTPersonAutresPrenoms personalTitle
    ENTPersonAdresse ENTPersonCodePostal ENTPersonVille ENTPersonPays mail homePhone ENTPersonStructRattach
"""
_PEOPLE_1D = """
    ENTPersonNom ENTPersonPrenom ENTPersonCivilite ENTPersonMail ENTPersonTelPerso ENTPersonClasses ENTPersonGroupes
"""
_PUPILS = """
    ENTEleveINE ENTEleveStructRattachId ENTEleveStructureRattachIdMEN ENTElevePersRelEleve ENTEleveParents
    ENTElevePere ENTEleveMere ENTEleveAutoriteParentale ENTElevePersRelEleve1 ENTElevePersRelEleve2
    ENTEleveQualitePersRelEleve1 ENTEleveQualitePersRelEleve2 ENTEleveBoursier ENTEleveRegime ENTEleveTransport
    ENTEleveAdresseRel ENTEleveStatutEleve ENTEleveMEF ENTEleveLibelleMEF ENTEleveNivFormation ENTEleveFiliere
    ENTEleveEnseignements ENTEleveCodeEnseignements ENTEleveEnseignementsEtablissementsAccueil
    ENTEleveDateEntreeStructRattach ENTEleveDateSortieStructRattach ENTEleveClasses ENTEleveDateEntreeClasses
    ENTEleveDateSortieClasses ENTEleveGroupes
"""
_PUPILS_1D = """
    ENTEleveNiveau ENTEleveCycle ENTEleveTypeClasse ENTEleveRestaurantScolaire ENTEleveGarderieMatin
    ENTEleveGarderieSoir ENTEleveEtudesSurveillees
"""
_GUARDIANS = """
    ENTAuxPersRelEleveEleve telephoneNumber mobile ENTPersonMobileSMS ENTPersonAdresseDiffusion
    ENTPersRelEleveTelPro ENTPersRelEleveTelMobile ENTPersRelEleveEleve
"""
_STAFF = """
    ENTAuxEnsCategoDiscipline ENTAuxEnsDisciplinesPoste ENTAuxEnsMEF ENTAuxEnsMatiereEnseignEtab ENTAuxEnsClasses
    ENTAuxEnsGroupes ENTAuxEnsClassesMatieres ENTAuxEnsGroupesMatieres ENTAuxEnsClassesPrincipal ENTEnsFonctionDir
    ENTPersonFonctions ENTPersonCategorieEnseignant PersEducNatPresenceDevantEleves ENTPersonSTSId
    ENTPersonStructRattachDate ENTAuxEnsCategoDisciplineDate ENTAuxEnsMEFDate ENTAuxEnsClassesMatieresDate
    ENTAuxEnsGroupesMatieresDate ENTAuxEnsClassesPrincipalDate ENTPersonFonctionsDate
    ENTPersonCategorieEnseignantDate ENTEnsSpecialites
"""

_ALL = (_SCHOOLS, _SCHOOLS_1D, _NOMENCLATURES, _PEOPLE, _PEOPLE_1D, _PUPILS, _PUPILS_1D, _GUARDIANS, _STAFF)

KNOWN_ATTRIBUTES = frozenset(name for names in _ALL for name in names.split())
"""All names of aaf.md §5 and §8."""
