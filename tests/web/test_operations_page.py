"""The operations page over HTTP: what it shows, in which language, and what it never does."""

import datetime as dt
import re

import pytest
import sqlalchemy as sa

from ent_sync.core.errors import StoreError
from ent_sync.web.operations import Kept, looking
from web.visiting import NOW, SOURCES, installed, operated, visited

PATHS = [
    "/",
    "/style.css",
    "/etat",
    "/etat/style.css",
    "/etat/accessibilite",
    "/etat/flux.atom",
    "/etat/maintenance.ics",
]
NARROW, WIDE = "\N{NARROW NO-BREAK SPACE}", "\N{NO-BREAK SPACE}"


@pytest.fixture
def house(tmp_path):
    settings, database = installed(tmp_path)
    yield settings, database
    database.close()


@pytest.fixture
def page(house):
    """The text of the page of a store in which much has happened, in English, without its markup."""
    operated(house[1])
    with visited(house[0]) as ask:
        return words(ask("/?lang=en").text)


def words(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html)).replace(WIDE, " ")


# -- what it shows -----------------------------------------------------------------------------------------------------


def test_a_held_plan_is_shown_by_school(page):
    assert "School (UAI) suspended All 0590001A 2 2 0590002B 1 1" in page


def test_a_held_plan_says_which_guard_holds_it_and_what_to_type(page):
    assert "departures, lille-2d/pupil: 14.7%, at most 3.0% without approval" in page
    assert "ent-sync plan approve plan-1" in page


def test_accounts_are_counted_by_population_and_status(page):
    assert re.search(r"ent Pupils 1 1 .* Guardians 0 0 Staff 1 0", page)


def test_drift_is_told_with_how_many_were_looked_at(page):
    assert "1.25% of 1,600 accounts" in page


def test_the_quarantine_is_counted_by_reason(page):
    assert "lille-2d Pupils no join key no-key 2" in page


def test_a_source_that_is_silent_for_more_than_two_intervals_is_late(page):
    assert "lille-2d late 23 Nov 2026" in page


def test_a_source_that_was_never_read_says_so(page):
    assert "amiens-1d never read nothing yet never when asked" in page


def test_the_holder_of_the_lease_is_named(page):
    assert "held by run run-2, process" in page


def test_a_run_that_neither_ended_nor_holds_the_lease_was_broken_off(page):
    assert re.search(r"working full – none run-2 .* failed delta – none run-1 .* broken off full – none run-0", page)


def test_a_pause_is_told_since_when(page):
    assert "ent: paused since 24 Nov 2026, 06:00" in page


@pytest.mark.parametrize(
    "matter",
    [
        "A plan waits for a decision for ent: 3 changes are held.",
        "lille-2d has been silent",
        "Nothing is pushed to ent",
    ],
)
def test_what_somebody_should_look_at_stands_first(page, matter):
    assert matter in page.partition("Sections")[0].partition("Held plans")[0]


def test_nothing_waits_in_a_new_installation_but_that_sources_be_read(house):
    with visited(house[0]) as ask:
        page = words(ask("/", Accept_Language="en").text)

    assert "No plan waits for a decision." in page
    assert "lille-2d has never been read with success." in page


def test_no_person_is_ever_on_it(house):
    operated(house[1])
    with visited(house[0]) as ask:
        text = ask("/").text

    assert "1234567" not in text
    assert "dupont" not in text.lower()


# -- language ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "headers", "title"),
    [
        ("/", {}, "Exploitation de la synchronisation"),
        ("/", {"Accept_Language": "en-GB,en;q=0.8"}, "Synchronisation, operations"),
        ("/?lang=fr", {"Accept_Language": "en"}, "Exploitation de la synchronisation"),
    ],
)
def test_the_page_speaks_french_or_what_is_asked_for(house, path, headers, title):
    with visited(house[0]) as ask:
        answer = ask(path, **headers)

    assert f"<h1>{title}</h1>" in answer.text
    assert answer.headers["Vary"] == "Accept-Language"


# -- what it never does ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [*PATHS, "/nothing"])
def test_no_answer_lets_a_browser_run_scripts_or_load_from_elsewhere(house, path):
    with visited(house[0]) as ask:
        headers = ask(path).headers

    policy = headers["Content-Security-Policy"].split("; ")
    assert {"default-src 'none'", "style-src 'self'", "form-action 'none'", "frame-ancestors 'none'"} <= set(policy)
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", ["/", "/etat", "/etat/accessibilite", "/nothing"])
def test_pages_need_no_script_no_inline_style_and_no_other_site(house, path):
    with visited(house[0]) as ask:
        text = ask(path).text

    assert re.findall(r"<script|\sstyle=|\son\w+=|<meta http-equiv|<form|(?:src|href)=\"(?:https?:)?//", text) == []


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_pages_can_only_be_looked_at(house, path, method):
    with visited(house[0]) as ask:
        assert ask(path, method).status == 405


def test_the_operations_page_is_kept_by_no_cache(house):
    with visited(house[0]) as ask:
        assert ask("/").headers["Cache-Control"] == "no-store"


def test_there_is_nothing_else(house):
    with visited(house[0]) as ask:
        answer = ask("/nothing", Accept_Language="en")

    assert (answer.status, "There is no such page." in answer.text) == (404, True)


def test_the_view_of_the_store_cannot_write(house):
    with pytest.raises(StoreError), looking(house[0].store_url) as connection:
        connection.execute(sa.text("DELETE FROM runs"))


def test_a_store_that_cannot_be_read_is_said_and_not_shown_as_empty(house):
    with house[1].transaction() as connection:
        connection.exec_driver_sql("DROP TABLE plans")
    with visited(house[0]) as ask:
        answer = ask("/", Accept_Language="en")

    assert (answer.status, "The state cannot be read at the moment." in answer.text) == (503, True)


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost:9465", 200), ("127.0.0.1", 200), ("etat.region.example", 200), ("evil.example", 400)],
)
def test_on_loopback_only_our_own_names_are_answered(house, host, status):
    with visited(house[0]) as ask:
        assert ask("/", Host=host).status == status


def test_whoever_listens_elsewhere_answers_to_any_name(tmp_path):
    (tmp_path / "ent-sync.yaml").write_text(SOURCES + 'web: {listen: "0.0.0.0:9465"}\n', encoding="utf-8")
    from ent_sync import compose

    with visited(compose.load(tmp_path / "ent-sync.yaml")) as ask:
        assert ask("/style.css", Host="ops.example").status == 200


def test_who_reloads_at_once_is_shown_the_same_look():
    looks = []
    kept = Kept(lambda: looks.append(dt.datetime.now()), lasting=60)

    kept()
    kept()

    assert len(looks) == 1


def test_an_old_look_is_not_shown_again():
    looks = []
    kept = Kept(lambda: looks.append(NOW), lasting=0)

    kept()
    kept()

    assert len(looks) == 2
