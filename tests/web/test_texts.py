"""What pages say: two catalogues of one shape, and figures as each language writes them."""

import datetime as dt
import re
import string
from importlib.resources import files
from zoneinfo import ZoneInfo

import pytest

from ent_sync.core.guard import Guard
from ent_sync.core.levels.samples import Result
from ent_sync.core.plan import Operation
from ent_sync.core.record import Population
from ent_sync.core.run import Kind, Outcome
from ent_sync.web.texts import Texts, catalogue, chosen

FRENCH, ENGLISH = Texts("fr"), Texts("en")
TEMPLATES = "".join(
    each.read_text("utf-8") for each in files("ent_sync.web").joinpath("templates").iterdir() if each.name.endswith(".html")
)  # fmt: skip


def blanks(text):
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


# -- the catalogues ----------------------------------------------------------------------------------------------------


def test_both_languages_have_the_same_texts():
    assert catalogue("fr").keys() == catalogue("en").keys()


def test_a_text_takes_the_same_values_in_both_languages():
    assert [
        name
        for name in catalogue("fr")
        if name != "day" and blanks(catalogue("fr")[name]) != blanks(catalogue("en")[name])
    ] == []


def test_what_templates_ask_for_is_there():
    asked = set(re.findall(r"\bt\('([a-z0-9_.]+)'[,)]", TEMPLATES))

    assert asked - catalogue("fr").keys() == set()


@pytest.mark.parametrize(
    ("family", "names"),
    [
        ("guard", Guard),
        ("outcome", [*Outcome, "works", "died"]),
        ("kind", Kind),
        ("operation", Operation),
        ("population", Population),
        ("now", [*Result, "excluded", "maintenance"]),
        ("state", ["on_time", "late", "new"]),
    ],
)
def test_every_name_of_a_closed_list_has_its_words(family, names):
    assert [each for each in names if f"{family}.{each}" not in catalogue("fr")] == []


def test_a_name_that_the_catalogue_does_not_know_is_shown_as_it_is():
    assert FRENCH.of("rule", "brand-new") == "brand-new"


def test_values_are_never_markup():
    assert FRENCH("hold.title", plan="<b>", target="ent") == "Plan &lt;b&gt; pour ent"


# -- which language ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "accepted", "language"),
    [
        (None, "", "fr"),
        (None, "de", "fr"),
        (None, "en", "en"),
        (None, "en-GB,en;q=0.9", "en"),
        (None, "fr-FR,fr;q=0.9,en;q=0.8", "fr"),
        (None, "en;q=0.3, fr;q=0.7", "fr"),
        (None, "en;q=nonsense", "fr"),
        ("en", "fr", "en"),
        ("fr", "en", "fr"),
        ("de", "en", "en"),
    ],
)
def test_what_is_asked_by_name_wins_then_what_the_browser_prefers_then_french(asked, accepted, language):
    assert chosen(asked, accepted) == language


# -- figures -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "written"),
    [(1.0, "100%"), (0.0, "0%"), (0.99999, "99.999%"), (0.995, "99.50%"), (0.00001, "0.001%"), (0.0125, "1.25%")],
)
def test_what_is_not_quite_all_is_never_told_as_all(value, written):
    assert ENGLISH.share(value) == written


def test_french_shares_have_a_comma_and_a_space():
    assert FRENCH.share(0.9954) == "99,54\N{NARROW NO-BREAK SPACE}%"


def test_thousands_are_set_apart():
    assert (FRENCH.number(12345), ENGLISH.number(12345)) == ("12\N{NARROW NO-BREAK SPACE}345", "12,345")


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(0, "0 min"), (42, "42 s"), (600, "10 min"), (3660, "1 h 01"), (345600, "4 d"), (349200, "4 d 1 h")],
)
def test_lengths_are_told_in_the_units_that_matter(seconds, written):
    assert ENGLISH.length(seconds) == written


def test_a_moment_is_machine_readable_and_in_the_time_of_the_schools():
    summer = dt.datetime(2026, 7, 1, 22, 30, tzinfo=dt.UTC)

    written = Texts("fr", ZoneInfo("Indian/Reunion")).moment(summer, zone=True)

    assert written.replace("\N{NO-BREAK SPACE}", " ") == (
        '<time datetime="2026-07-02T02:30+04:00">2 juill. 2026 à 02:30 (heure de Reunion)</time>'
    )
