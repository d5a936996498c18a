"""The partners' page over HTTP: what they learn, and what nobody outside may."""

import datetime as dt
import re
from xml.etree import ElementTree as ET

import icalendar
import pytest

from ent_sync.core.levels.samples import Cause
from ent_sync.core.notice.kinds import State, Update, What
from ent_sync.store import samples
from web.visiting import NOW, down, federated, installed, looked, maintenance, put, visited

PUBLIC = ["/etat", "/etat/accessibilite", "/etat/flux.atom", "/etat/maintenance.ics", "/etat/style.css"]
WIDE = "\N{NO-BREAK SPACE}"
ATOM = "{http://www.w3.org/2005/Atom}"


@pytest.fixture
def house(tmp_path):
    settings, database = installed(tmp_path)
    yield settings, database
    database.close()


@pytest.fixture
def html(house):
    federated(house[1])
    with visited(house[0]) as ask:
        return ask("/etat?lang=en").text


def words(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html)).replace(WIDE, " ")


def of_service(html, title):
    """The words on one service, without its table."""
    return next(
        words(part.partition("<details>")[0]) for part in html.split('<article class="service">') if title in part
    )


# -- now and ninety days -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("title", "state"),
    [
        ("EduConnect", "down"),
        ("Portail des agents", "state unknown"),
        ("Agriculture", "not probed Not probed for now: no agreement yet"),
        ("ENT régional", "answers"),
    ],
)
def test_each_service_says_how_it_is_now(html, title, state):
    assert f"{title} {state}" in of_service(html, title)


def test_the_page_begins_with_how_many_are_down_and_how_many_unknown(html):
    assert "1 service is down. The state of 1 service is not known." in words(html)


def test_with_too_much_unknown_the_bounds_are_told_and_no_availability(html):
    """Of 90 days less 17 hours, three days are known."""
    assert "between 3." in of_service(html, "EduConnect")


def test_the_marks_have_their_meaning_in_one_line(html):
    assert re.search(r'role="img" aria-label="EduConnect, last 90 days: available between [^"]*; 2 days with outages; 86 days mostly unknown\."', html)  # fmt: skip


def test_every_day_is_in_a_table_too(html):
    assert html.count("<caption>EduConnect: 90 days") == 1
    assert "24 Nov 2026 97.62% 10 min – –" in words(html)


def test_the_ent_stands_beside_the_federation_with_the_gap(house):
    begin = NOW - dt.timedelta(days=91)
    out = NOW - dt.timedelta(days=9)
    with house[1].transaction() as connection:
        samples.add(connection, looked("ent", begin, NOW))
        samples.add(connection, looked("educonnect", begin, out))
        samples.add(connection, down("educonnect", out, out + dt.timedelta(days=9) / 10))
        samples.add(connection, looked("educonnect", out + dt.timedelta(days=9) / 10, NOW))
    with visited(house[0]) as ask:
        page = ask("/etat?lang=en").text

    # 21.6 of the 90 days less 17 hours, with the hour that 25 October has twice: 21.6 / 2144 hours.
    assert "gap to the ENT: \N{MINUS SIGN}1.01 points" in of_service(page, "EduConnect")
    assert "98.99% over 90 days 1 outage, 21 h 36 in all" in of_service(page, "EduConnect")


def test_agreed_maintenance_gives_a_second_figure(house):
    out = NOW - dt.timedelta(days=3, hours=6)  # midnight and an hour: outside school hours
    with house[1].transaction() as connection:
        samples.add(connection, looked("agents", NOW - dt.timedelta(days=91), out))
        samples.add(connection, down("agents", out, out + dt.timedelta(hours=2)))
        samples.add(connection, looked("agents", out + dt.timedelta(hours=2), NOW))
        planned = {"announced": out - dt.timedelta(days=8), "starts": out, "ends": out + dt.timedelta(hours=2)}
        put(connection, maintenance(state=State.DONE, **planned), Update(sequence=0, at=NOW, what=What.PLANNED))
    with visited(house[0]) as ask:
        page = ask("/etat?lang=en").text

    assert "99.91% over 90 days 100% without agreed maintenance 1 outage, 2 h 00 in all" in of_service(page, "agents")


# -- notices -----------------------------------------------------------------------------------------------------------


def test_an_incident_has_all_its_times(html):
    assert (
        "Began 23 Nov 2026, 07:00 Detected 23 Nov 2026, 07:05 First word to the partners 23 Nov 2026, 07:09 "
        "Ended 23 Nov 2026, 08:00 End told 23 Nov 2026, 08:04 Length 1 h 00"
    ) in words(html)


def test_an_incident_that_partners_were_not_told_yet_says_so(html):
    assert "First word to the partners not sent to all yet" in words(html)


def test_what_somebody_wrote_about_an_incident_is_shown(html):
    assert "Cause : une base pleine." in html


def test_a_feed_can_link_to_each_incident(html):
    assert 'id="malfunction-1"' in html


def test_planned_maintenance_is_shown_with_when_it_was_announced(html):
    assert (
        "Planned start 2 Dec 2026, 07:00 Planned end 2 Dec 2026, 09:00 Announced 22 Nov 2026, 07:00"
    ) in words(html)  # fmt: skip


def test_an_evolution_that_nobody_announced_is_called_so(html):
    assert "Certificate changed: Portail des agents seen, not announced" in words(html)


# -- what nobody outside may learn -------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PUBLIC)
def test_nothing_public_names_a_host_a_cause_or_a_trouble_of_our_own(house, path):
    federated(house[1])
    with visited(house[0]) as ask:
        text = ask(path).text

    assert "hidden.example" not in text
    assert [cause for cause in Cause if cause in text] == []
    assert "Notre propre" not in text


def test_a_failure_is_told_by_its_stage_only(html):
    assert "Observed the service answers with an error, or too late" in words(html)


def test_the_public_page_does_not_lead_to_the_operations_page(html):
    assert re.findall(r'href="/(?!etat)[^"]*"', html) == []


def test_without_a_federation_there_is_no_such_page(tmp_path):
    settings, database = installed(tmp_path, federation=False)
    with visited(settings) as ask:
        status = ask("/etat").status
        front = ask("/").text
    database.close()

    assert (status, "/etat" in front) == (404, False)


# -- feeds -------------------------------------------------------------------------------------------------------------


def test_the_feed_has_every_public_notice_and_links_to_the_public_page(house):
    federated(house[1])
    with visited(house[0]) as ask:
        answer = ask("/etat/flux.atom")

    feed = ET.fromstring(answer.text)  # noqa: S314 - our own
    links = {entry.find(f"{ATOM}link").get("href") for entry in feed.iter(f"{ATOM}entry")}
    assert answer.headers["Content-Type"].startswith("application/atom+xml")
    assert links == {
        f"https://etat.region.example/etat#{name}"
        for name in ("malfunction-1", "malfunction-2", "maintenance-1", "evolution-1")
    }


def test_the_calendar_has_the_planned_maintenance(house):
    federated(house[1])
    with visited(house[0]) as ask:
        answer = ask("/etat/maintenance.ics")

    (event,) = icalendar.Calendar.from_ical(answer.text).events
    assert answer.headers["Content-Type"].startswith("text/calendar")
    assert (event["summary"], event.start) == ("Renouvellement", NOW + dt.timedelta(days=8))


# -- the statement -----------------------------------------------------------------------------------------------------


def test_every_page_for_partners_leads_to_the_accessibility_statement(html):
    assert 'href="/etat/accessibilite?lang=en"' in html


def test_the_statement_says_whom_to_write_to(house):
    with visited(house[0]) as ask:
        assert "ops@region.example" in ask("/etat/accessibilite").text
