"""The levels that metrics tell: their windows, and that they are those of a report."""

import contextlib

import pytest

from ent_sync.core.levels.trend import Verdict
from ent_sync.federation.report import report
from ent_sync.federation.standing import Standings, standing, windows
from ent_sync.store import samples
from federation.reporting import every, federation, open_store, paris, utc

NOW = utc(2026, 10, 20, 10)
SECTION = federation(calendar={"terms": [{"from": "2026-09-01", "to": "2026-12-19", "title": "1"}]})


@pytest.fixture
def store(tmp_path):
    database = open_store(tmp_path / "state.sqlite")
    with database.transaction() as connection:
        for service, down in (("ent", ()), ("educonnect", [(utc(2026, 10, 6, 8), utc(2026, 10, 6, 9))])):
            samples.add(connection, every(300, utc(2026, 10, 1), NOW, service=service, down=down))
    yield database
    database.close()


def test_windows_end_now_and_begin_with_month_term_and_school_year():
    found = windows(SECTION, NOW)

    assert {name: each.start for name, each in found.items()} == {
        "30d": utc(2026, 9, 20, 10),
        "month": paris(2026, 10, 1),
        "term": paris(2026, 9, 1),
        "year": paris(2026, 9, 1),
    }
    assert {each.end for each in found.values()} == {NOW}


def test_before_the_first_of_september_the_year_is_the_one_that_began_the_year_before():
    assert windows(SECTION, utc(2027, 8, 31, 12))["year"].start == paris(2026, 9, 1)


def test_in_the_holidays_there_is_no_term():
    assert "term" not in windows(SECTION, utc(2026, 12, 20, 12))


def test_the_levels_are_those_of_a_report_of_the_same_window(store):
    with store.reading() as connection:
        found = standing(connection, SECTION, NOW)
        told = report(connection, SECTION, windows(SECTION, NOW)["month"]).services[1]

    for level in told.levels:
        assert found.levels["educonnect", "month", level.calendar, level.maintenance] == level.seconds


def test_the_gap_is_told_for_the_service_and_not_for_the_ent(store):
    with store.reading() as connection:
        found = standing(connection, SECTION, NOW)

    assert {name for name, _, _ in found.gaps} == {"educonnect"}
    assert found.trends == {"ent": Verdict.INSUFFICIENT, "educonnect": Verdict.INSUFFICIENT}


@pytest.mark.parametrize(("promised", "told"), [("99.5%", 0.995), (None, 1.0)])
def test_the_objective_is_the_promise_or_what_the_ent_reached(store, promised, told):
    section = federation(objective=promised) if promised else federation()

    with store.reading() as connection:
        found = standing(connection, section, NOW)

    assert found.objective == {"ent": told, "educonnect": told}


def test_people_are_told_where_the_populations_are_known(store):
    with store.reading() as connection:
        found = standing(connection, SECTION, NOW, {"pupil": 100, "guardian": 150, "staff": 30})

    assert found.people == {"educonnect": 250}


def test_a_standing_is_made_beside_whoever_asks(tmp_path, store):
    url = str(store.url)

    @contextlib.contextmanager
    def view():
        database = open_store(url.removeprefix("sqlite:///"))
        with contextlib.closing(database), database.reading() as connection:
            yield connection

    standings = Standings(view, SECTION, lambda: NOW, lambda _: {})

    first = standings()
    standings.wait(30)

    assert first is None
    assert standings().trends["educonnect"] is Verdict.INSUFFICIENT
