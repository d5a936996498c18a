"""Invents people: names, births, addresses, telephones, mailboxes. None of them exists.

Telephones come from the ranges that Arcep keeps for fiction, mailboxes from `example.org`; names are combined from the
lists of Faker's French locale. Knows nothing of schools or of the format.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from faker.providers.person.fr_FR import Provider

from ent_sync.synth.chance import Chance

MONSIEUR, MADAME = "M.", "Mme"
_FAMILIES = (*Provider.last_names, "D'Almeida", "L'Hôte", "N'Diaye", "Ben Saïd", "Vandenbroucke", "Crépin", "Haÿ")
_GIVEN = {
    MONSIEUR: (*Provider.first_names_male, "Mehdi", "Enzo", "Loïc", "Maël", "Noé", "Timéo", "Ilyès", "Kévin", "Léo"),
    MADAME: (*Provider.first_names_female, "Inès", "Chloé", "Léa", "Zoé", "Maëlys", "Anaïs", "Jade", "Lina", "Aya"),
}
_SECOND_HALF = {MONSIEUR: ("Pierre", "Marie", "Louis", "Baptiste"), MADAME: ("Lou", "Rose", "Anne", "Claire")}
_STREETS = (
    "RUE DE L'EGLISE",
    "RUE JEAN JAURES",
    "AVENUE DE LA REPUBLIQUE",
    "RUE DU MOULIN",
    "PLACE DU GÉNÉRAL FOY",
    "IMPASSE DES LILAS",
    "CHEMIN DES DEUX PONTS",
    "BOULEVARD VICTOR HUGO",
    "ALLÉE DES TILLEULS",
    "RUE PASTEUR & CURIE",
)
_NOT_IN_MAIL = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Name:
    """What someone is called: usual and birth family name (upper case), first name and all first names, title."""

    family: str
    birth: str
    given: str
    others: tuple[str, ...]
    title: str


@dataclass(frozen=True, slots=True, repr=False)
class Town:
    """A commune: name in upper case, postal code, INSEE code."""

    name: str
    postal: str
    insee: str


@dataclass(frozen=True, slots=True, repr=False)
class Home:
    """A postal address: four lines joined by `$`, and its town."""

    lines: str
    town: Town


def family_name(chance: Chance) -> str:
    """A family name in upper case; one in seven is a double name."""
    name = chance.pick(_FAMILIES).upper()
    return f"{name}-{chance.pick(_FAMILIES).upper()}" if chance.often(0.15) else name


def given_name(chance: Chance, title: str) -> str:
    """A first name of that title, capitalised; one in eight is a compound."""
    name = chance.pick(_GIVEN[title])
    return f"{name}-{chance.pick(_SECOND_HALF[title])}" if chance.often(0.12) else name


def any_title(chance: Chance) -> str:
    """Either title."""
    return MADAME if chance.often(0.5) else MONSIEUR


def child(chance: Chance, family: str) -> Name:
    """A child who bears `family`."""
    title = any_title(chance)
    given = given_name(chance, title)
    others = (given, *(given_name(chance, title) for _ in range(chance.below(3))))
    return Name(family=family, birth=family, given=given, others=others, title=title)


def adult(chance: Chance, title: str, usual: str | None = None) -> Name:
    """A grown person; with `usual`, the name taken in marriage beside another one of birth."""
    birth = family_name(chance)
    return Name(family=usual or birth, birth=birth, given=given_name(chance, title), others=(), title=title)


def birth_date(chance: Chance, year: int) -> str:
    """A day of that year, `dd/mm/yyyy`."""
    return f"{1 + chance.below(28):02d}/{1 + chance.below(12):02d}/{year}"


def home(chance: Chance, town: Town) -> Home:
    """An address in `town`."""
    street = f"{1 + chance.below(180)} {chance.pick(_STREETS)}"
    first = f"APPT {1 + chance.below(60)}" if chance.often(0.2) else ""
    return Home(f"{first}$${street}$", town)


def mobile(chance: Chance) -> str:
    """A mobile number of the fictional range 06 39 98."""
    return f"+33 6 39 98 {chance.below(100):02d} {chance.below(100):02d}"


def landline(chance: Chance) -> str:
    """A fixed number of the fictional range 03 53 01."""
    return f"+33 3 53 01 {chance.below(100):02d} {chance.below(100):02d}"


def mailbox(name: Name, number: int, domain: str) -> str:
    """A mailbox of that name; the number keeps it single within a feed."""
    return f"{_plain(name.given)}.{_plain(name.family)}{number}@{domain}"


@lru_cache(maxsize=20_000)
def _plain(text: str) -> str:
    ascii_only = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii").lower()
    return _NOT_IN_MAIL.sub("-", ascii_only).strip("-")
