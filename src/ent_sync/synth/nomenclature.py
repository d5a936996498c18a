"""The fixed tables of an invented region: academies, towns, levels, subjects, functions (aaf.md §5, §7, §8)."""

from __future__ import annotations

from dataclasses import dataclass

from ent_sync.synth.people import Town

SCHOOL_YEAR = 2026
"""Pupils are of the age of this school year, whatever the date of a delivery: the same seed, the same people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Academy:
    """Where a feed comes from; `code` has three digits."""

    name: str
    code: str
    departments: tuple[str, ...]
    towns: tuple[Town, ...]


def _towns(*rows: str) -> tuple[Town, ...]:
    return tuple(Town(name, postal, insee) for name, postal, insee in (row.split("|") for row in rows))


_ACADEMIES = {
    "LILLE": (
        "009",
        ("059", "062"),
        _towns(
            "LILLE|59000|59350",
            "ROUBAIX|59100|59512",
            "TOURCOING|59200|59599",
            "DUNKERQUE|59140|59183",
            "VALENCIENNES|59300|59606",
            "DOUAI|59500|59178",
            "MAUBEUGE|59600|59392",
            "ARRAS|62000|62041",
            "LENS|62300|62498",
            "CALAIS|62100|62193",
            "BÉTHUNE|62400|62119",
            "SAINT-OMER|62500|62765",
        ),
    ),
    "AMIENS": (
        "020",
        ("080", "060", "002"),
        _towns(
            "AMIENS|80000|80021",
            "ABBEVILLE|80100|80001",
            "PÉRONNE|80200|80620",
            "BEAUVAIS|60000|60057",
            "COMPIÈGNE|60200|60159",
            "CREIL|60100|60175",
            "SAINT-QUENTIN|02100|02691",
            "LAON|02000|02408",
            "SOISSONS|02200|02722",
        ),
    ),
}
_ELSEWHERE = (
    "099",
    ("099",),
    _towns("VILLENEUVE|99100|99001", "BOURG-D'EN-HAUT|99200|99002", "CHÂTEAUBAS|99300|99003"),
)


def academy(name: str) -> Academy:
    """The academy of that name; one of which we know nothing gets invented towns."""
    code, departments, towns = _ACADEMIES.get(name, _ELSEWHERE)
    return Academy(name=name, code=code, departments=departments, towns=towns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """A year of school. In the second degree `code` is the MEF, in the first the level's code."""

    label: str
    code: str
    born: int
    mark: str
    room: int = 26


def _levels(room: int, *rows: str) -> tuple[Level, ...]:
    cut = (row.split("|") for row in rows)
    return tuple(
        Level(label=label, code=code, born=SCHOOL_YEAR - int(age), mark=mark, room=room)
        for label, code, age, mark in cut
    )


COLLEGE = _levels(
    27,
    "6EME|10010012110|11|6",
    "5EME|10110001110|12|5",
    "4EME|10210001110|13|4",
    "3EME|10310019110|14|3",
)
LYCEE = _levels(
    32,
    "2NDE GENERALE ET TECHNOLOGIQUE|20010015110|15|2",
    "1ERE GENERALE|20112005110|16|1",
    "TERMINALE GENERALE|20212005110|17|T",
)
VOCATIONAL = _levels(
    22,
    "2NDE PRO METIERS DE L'ACCUEIL|2473120431A|15|2P",
    "1ERE CAP CUISINE|24022132411|16|CAP",
    "TERMINALE PRO COMMERCE & VENTE|24731209313|17|TP",
)
NURSERY = _levels(24, "TPS|1110|2|TPS", "PS|1111|3|PS", "MS|1112|4|MS", "GS|1113|5|GS")
ELEMENTARY = _levels(23, "CP|1121|6|CP", "CE1|1122|7|CE1", "CE2|1123|8|CE2", "CM1|1124|9|CM1", "CM2|1125|10|CM2")
LEVELS_2D = (*COLLEGE, *LYCEE, *VOCATIONAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Something taught, with the corps of those who teach it and their discipline category."""

    code: str
    label: str
    speciality: str
    discipline: str
    share: int


def _subjects(*rows: str) -> tuple[Subject, ...]:
    cut = (row.split("|") for row in rows)
    return tuple(
        Subject(code=code, label=label, speciality=speciality, discipline=discipline, share=int(share))
        for code, label, speciality, discipline, share in cut
    )


SUBJECTS = _subjects(
    "020700|FRANCAIS|L0202$LETTRES MODERNES|02|4",
    "061300|MATHEMATIQUES|L1300$MATHEMATIQUES|13|4",
    "043700|HISTOIRE-GEOGRAPHIE|L1000$HISTOIRE GEOGRAPHIE|10|3",
    "030201|ANGLAIS LV1|L0422$ANGLAIS|04|3",
    "100100|EDUCATION PHYSIQUE ET SPORTIVE|L1900$EDUCATION PHYSIQUE ET SPORTIVE|19|3",
    "062900|SCIENCES DE LA VIE ET DE LA TERRE|L1600$SCIENCES DE LA VIE ET DE LA TERRE|16|2",
    "062300|PHYSIQUE-CHIMIE|L1500$PHYSIQUE ET CHIMIE|15|2",
    "030602|ESPAGNOL LV2|L0426$ESPAGNOL|04|2",
    "030102|ALLEMAND LV2|L0421$ALLEMAND|04|1",
    "006400|ARTS D'EXPRESSION|L1800$ARTS PLASTIQUES|18|1",
    "020400|LANGUES & CULTURES DE L'ANTIQUITÉ|L0201$LETTRES CLASSIQUES|02|1",
)
LOCAL_SUBJECT = "0612A0"
"""A code that teachers use and the file of subjects lacks (aaf.md §5.3)."""

# Functions beside teaching in a school of the second degree: how many for 100 pupils, and the value's last four parts.
SCHOOL_STAFF = (
    (3.0, "AED$ASSISTANT D'EDUCATION$S0054$SURVEILLANCE"),
    (3.5, "AES$ACCOMPAGNANT DES ELEVES EN SITUATION DE HANDICAP$-$SANS OBJET"),
    (2.6, "TEC$PERSONNELS TECHNIQUES$-$SANS OBJET"),
    (1.4, "ADF$PERSONNELS ADMINISTRATIFS$-$SANS OBJET"),
    (0.5, "LAB$PERSONNELS DE LABORATOIRE$-$SANS OBJET"),
    (0.4, "MDS$PERSONNELS MEDICO-SOCIAUX$-$SANS OBJET"),
    (0.5, "SUR$SURVEILLANCE$S0054$SURVEILLANCE"),
)
HEAD = "DIR$DIRECTION$D0010$PERSONNEL DE DIRECTION"
DEPUTY = "DIR$DIRECTION$D0011$ADJOINT AU CHEF D'ETABLISSEMENT"
CPE = "EDU$EDUCATION$E0030$EDUCATION"
LIBRARIAN = "DOC$DOCUMENTATION$L0080$DOCUMENTATION"
COUNSELLOR = "PSY$PSYCHOLOGUE$Y0012$EDUCATION DEVELOPPEMENT ET CONSEIL EN ORIENTATION"
NOTHING = "-$SANS OBJET$-$SANS OBJET"
