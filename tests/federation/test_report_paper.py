"""The pages of a report: what they say, how numbers are written, and that they load nothing."""

import datetime as dt
import re

import pytest

from ent_sync.core.notice.kinds import Kind
from ent_sync.federation import notices, observatory, paper
from ent_sync.federation.report import of_month, report
from ent_sync.store import samples
from ent_sync.store.crowd import Crowd
from ent_sync.store.measures import Counted
from federation.reporting import every, federation, open_store, paris

SECTION = federation(
    services=[
        {"name": "ent", "title": "L'ENT", "url": "https://ent.example/"},
        {"name": "educonnect", "title": "<EduConnect>", "url": "https://educonnect.example/"},
    ]
)
MARCH = of_month(SECTION, 2026, 3)


@pytest.fixture
def store(tmp_path):
    database = open_store(tmp_path / "state.sqlite")
    with database.transaction() as connection:
        down = [(paris(2026, 3, 10, 10), paris(2026, 3, 10, 11, 30))]
        for service, fell in (("ent", ()), ("educonnect", down)):
            found = every(300, MARCH.start, MARCH.end, service=service, down=fell)
            samples.add(connection, found)
    yield database
    database.close()


def sheet(store, observed=None, section=SECTION):
    with store.reading() as connection:
        return paper.sheet(connection, section, report(connection, section, MARCH), observed, paris(2026, 4, 1, 8))


@pytest.fixture
def page(store):
    return paper.html(sheet(store))


def test_a_month_is_named(page):
    assert "<title>Fédération d’identités : niveaux de service, mars 2026</title>" in page


def test_the_level_is_written_as_in_france(page):
    """March 2026: 743 hours, one and a half of them down."""
    assert f"{100 * (1 - 1.5 / 743):.3f}".replace(".", ",") + "\u00a0%" in page


def test_an_outage_is_told_with_its_times_and_its_length(page):
    assert "10/03/2026 10:00" in page
    assert "1\u00a0h\u00a030\u00a0min" in page


def test_a_title_is_text_and_no_markup(page):
    assert "&lt;EduConnect&gt;" in page
    assert "<EduConnect>" not in page


def test_a_page_loads_nothing_and_runs_nothing(page):
    assert re.findall(r"https?://|<script|<link|@import|url\(", page) == []


def test_every_plot_has_a_name_and_every_table_a_caption(page):
    assert page.count("<svg") == page.count('role="img"') == page.count("</title>\n") - 1
    assert page.count("<table>") == page.count("<caption>")


def test_much_unknown_is_told_by_its_bounds(store):
    with store.transaction() as connection:
        connection.exec_driver_sql("DELETE FROM samples WHERE time >= '2026-03-15'")

    page = paper.html(sheet(store))

    assert re.search(r"EduConnect&gt;</strong> : disponibilité en temps scolaire entre \d\d,\d{3}\u00a0% et ", page)


def test_without_any_service_there_is_still_a_page(tmp_path):
    empty = open_store(tmp_path / "empty.sqlite")

    page = paper.html(sheet(empty, section=federation(services=[], reference=None)))

    empty.close()
    assert "Aucun service n’est configuré" in page


def test_what_partners_were_told_is_on_the_page(store):
    audience = notices.audience_of(SECTION, MARCH.start)
    with store.transaction() as connection:
        notices.open_notice(
            connection,
            audience,
            kind=Kind.MALFUNCTION,
            services=["educonnect"],
            title="Panne du matin",
            now=paris(2026, 3, 10, 10, 5),
            began=paris(2026, 3, 10, 10),
        )

    assert "Panne du matin" in paper.html(sheet(store))


def test_the_pdf_is_the_same_each_time(store):
    made = sheet(store)

    first = paper.pdf(made)

    assert first.startswith(b"%PDF-")
    assert paper.pdf(made) == first


def test_no_library_finds_fault_with_the_page(store, caplog):
    paper.pdf(sheet(store))

    assert [record.getMessage() for record in caplog.records if record.name == "weasyprint"] == []


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(None, "–"), (0, "0 min"), (90 * 60, "1 h 30 min"), (-60, "−1 min"), (7 * 86400, "7 j")],
)
def test_lengths_of_time(seconds, written):
    assert paper.minutes(seconds).replace("\u00a0", " ") == written


def test_differences_have_a_sign():
    assert (paper.points(-0.006944), paper.points(0.001)) == ("−0,694", "+0,100")


# -- the observatory ---------------------------------------------------------------------------------------------------


def counts(**groups):
    return {each.name: each.accounts for each in observatory.told(groups.items())}


def test_a_group_under_ten_is_not_told_nor_what_it_follows_from():
    assert counts(pupil=500, staff=40, guardian=9) == {"pupil": 500, "staff": None, "guardian": None}


def test_small_groups_that_hide_each_other_need_no_other():
    assert counts(pupil=500, staff=9, guardian=8) == {"pupil": 500, "staff": None, "guardian": None}


def test_groups_of_ten_are_told():
    assert counts(pupil=10, staff=10) == {"pupil": 10, "staff": 10}


def test_a_single_small_group_is_not_told():
    assert counts(pupil=3) == {"pupil": None}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("COLLEGE FRANÇOIS RABELAIS ARRAS", "college"),
        ("Lycée professionnel Jean Jaurès", "vocational"),
        ("LYCEE D'ENSEIGNEMENT GENERAL SIMONE VEIL AMIENS", "lycee"),
        ("ECOLE MATERNELLE JEANNE D'ARC LILLE", "nursery"),
        ("École élémentaire Léo Lagrange", "elementary"),
        ("RECTORAT LILLE", "other"),
    ],
)
def test_the_type_of_a_school_is_read_from_its_name(name, kind):
    assert observatory.school_type(name) == kind


def test_accounts_are_counted_by_population_degree_department_and_type():
    found = observatory.of_crowds(
        [
            Crowd(source="lille-2d", population="pupil", uai="0590001A", count=300),
            Crowd(source="lille-2d", population="guardian", uai=None, count=200),
            Crowd(source="amiens-1d", population="pupil", uai="0600002B", count=100),
        ],
        {"lille-2d": "2d", "amiens-1d": "1d"},
        {"0590001A": "college", "0600002B": "primary"},
        Counted({}),
    )

    def told(groups):
        return {each.name: each.accounts for each in groups}

    assert found.total == 600
    assert told(found.populations) == {"pupil": 400, "guardian": 200}
    assert told(found.degrees) == {"2d": 500, "1d": 100}
    assert told(found.departments) == {"059": 300, "none": 200, "060": 100}
    assert told(found.types) == {"college": 300, "none": 200, "primary": 100}


def test_freshness_is_the_share_of_changes_acknowledged_within_a_day():
    buckets = {("lille-2d", "3600.0"): 15.0, ("lille-2d", "86400.0"): 3.0, ("lille-2d", "inf"): 2.0}
    crowd = [Crowd(source="lille-2d", population="pupil", uai=None, count=50)]

    found = observatory.of_crowds(crowd, {}, {}, Counted({"freshness_seconds_bucket": buckets}))

    assert [(each.source, each.changes, each.within_a_day) for each in found.freshness] == [("lille-2d", 20, 0.9)]


def test_the_yearly_page_has_the_figures_and_no_small_number(store):
    crowd = [
        Crowd(source="s", population="pupil", uai="0590001A", count=12345),
        Crowd(source="s", population="staff", uai="0620001A", count=7),
        Crowd(source="s", population="guardian", uai=None, count=54321),
    ]

    page = paper.html(sheet(store, observatory.of_crowds(crowd, {}, {}, Counted({}))))

    assert '<th scope="row">Responsables</th><td>54\u202f321</td>' in page
    assert '<th scope="row">Personnels</th><td>non publié</td>' in page


def test_times_are_those_of_the_zone():
    moment = dt.datetime(2026, 3, 10, 9, 0, tzinfo=dt.UTC)

    assert paper.whole(moment, paris(2026, 1, 1).tzinfo) == "10/03/2026 10:00"
