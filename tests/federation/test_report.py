"""Levels over the store: the worked examples of federation-slo.md §4, and what a report takes into account."""

import datetime as dt

import pytest

from ent_sync.core.levels.trend import Verdict
from ent_sync.core.notice.kinds import Author
from ent_sync.federation import notices
from ent_sync.federation.figures import Calendar, Planned
from ent_sync.federation.report import of_month, of_school_year, report
from ent_sync.store import samples
from federation.reporting import DOWN, MINUTE, UNKNOWN, UP, every, federation, open_store, paris, sample, utc, window

EXAMPLE_1 = ((0, UP), (1, UP), (2, DOWN), (3, DOWN), (4, UP), (5, UNKNOWN), (6, UP), (9, UP))
TUESDAY, SUNDAY = utc(2026, 10, 6, 10), utc(2026, 10, 11, 10)


@pytest.fixture
def store(tmp_path):
    database = open_store(tmp_path / "state.sqlite")
    yield database
    database.close()


def keep(store, found):
    with store.transaction() as connection:
        samples.add(connection, found)


def rows(store, time, section=None, name="ent"):
    with store.reading() as connection:
        document = report(connection, section or federation(), time).document()
    return {(row["calendar"], row["maintenance"]): row for row in document["services"] if row["name"] == name}


def example_1(start):
    return [sample("ent", start + minute * MINUTE, result) for minute, result in EXAMPLE_1]


# -- example 1 ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [TUESDAY, SUNDAY], ids=["school day", "sunday"])
def test_example_1_gives_its_seconds_whatever_the_day(store, start):
    keep(store, example_1(start))

    row = rows(store, window(start, start + 10 * MINUTE))["all", "excluded"]

    assert (row["up_seconds"], row["down_seconds"], row["unknown_seconds"]) == (330.0, 120.0, 150.0)


def test_example_1_gives_its_shares(store):
    keep(store, example_1(TUESDAY))

    row = rows(store, window(TUESDAY, TUESDAY + 10 * MINUTE))["school", "included"]

    assert (row["availability"], row["low"], row["high"]) == (pytest.approx(0.733333, abs=1e-6), 0.55, 0.8)


def test_outside_school_hours_there_is_no_number_in_school_hours(store):
    keep(store, example_1(SUNDAY))

    row = rows(store, window(SUNDAY, SUNDAY + 10 * MINUTE))["school", "excluded"]

    assert (row["availability"], row["low"], row["high"], row["interval"], row["mttr_seconds"]) == (None,) * 5


def test_of_example_1_one_outage_of_two_minutes_is_told(store):
    keep(store, example_1(TUESDAY))

    row = rows(store, window(TUESDAY, TUESDAY + 10 * MINUTE))["all", "included"]

    assert (row["outages"], row["mttr_seconds"]) == (1, 120.0)


@pytest.mark.parametrize("seconds", [60, 300])
def test_a_series_of_one_cadence_around_the_clock_leaves_nothing_unknown(store, seconds):
    start, end = utc(2026, 10, 5), utc(2026, 10, 12)
    keep(store, every(seconds, start, end))

    row = rows(store, window(start, end))["all", "included"]

    assert (row["up_seconds"], row["unknown_seconds"]) == (7 * 86400.0, 0.0)


def test_a_sample_by_hand_once_an_hour_counts_no_longer_than_the_cadence(store):
    keep(store, every(3600, utc(2026, 10, 6, 8), utc(2026, 10, 6, 14)))

    row = rows(store, window(utc(2026, 10, 6, 8), utc(2026, 10, 6, 14)))["all", "included"]

    assert row["up_seconds"] == 6 * 90.0


def test_an_hour_is_judged_as_its_whole_day_is(store):
    keep(store, every(300, utc(2026, 10, 6), utc(2026, 10, 7)))

    row = rows(store, window(utc(2026, 10, 6, 9), utc(2026, 10, 6, 9, 2)))["school", "included"]

    assert (row["up_seconds"], row["unknown_seconds"]) == (120.0, 0.0)


# -- example 2: maintenance --------------------------------------------------------------------------------------------


def november(store, announced):
    """720 hours, 6 down, 3 of them in an agreed window of 4: 22 November 2026 is a Sunday."""
    down = [(utc(2026, 11, 22, 1), utc(2026, 11, 22, 4)), (utc(2026, 11, 10, 1), utc(2026, 11, 10, 4))]
    keep(store, every(300, paris(2026, 11, 1).astimezone(dt.UTC), paris(2026, 12, 1).astimezone(dt.UTC), down=down))
    section = federation()
    with store.transaction() as connection:
        notices.plan_maintenance(
            connection,
            notices.audience_of(section, announced),
            services=["ent"],
            starts=utc(2026, 11, 22, 1),
            ends=utc(2026, 11, 22, 5),
            title="Mise à jour",
            now=announced,
            author=Author.AUTHORITY,
        )
    return rows(store, of_month(section, 2026, 11))


def test_example_2_agreed_maintenance_is_taken_out_whole(store):
    found = november(store, utc(2026, 11, 10))

    assert found["all", "included"]["availability"] == pytest.approx(714 / 720, abs=1e-9)
    assert found["all", "excluded"]["availability"] == pytest.approx(713 / 716, abs=1e-9)


def test_example_2_announced_six_days_before_nothing_is_taken_out(store):
    found = november(store, utc(2026, 11, 16, 1))

    assert found["all", "excluded"]["availability"] == pytest.approx(714 / 720, abs=1e-9)


def test_an_outage_in_agreed_maintenance_is_no_outage_when_that_is_taken_out(store):
    found = november(store, utc(2026, 11, 10))

    assert (found["all", "included"]["outages"], found["all", "excluded"]["outages"]) == (2, 1)


def test_october_2026_has_its_hour_more(store):
    row = rows(store, of_month(federation(), 2026, 10))["all", "included"]

    assert row["unknown_seconds"] == 745 * 3600.0


# -- intervals and gaps ------------------------------------------------------------------------------------------------


def test_the_interval_is_wilsons_on_the_effective_number_of_samples(store):
    """§4.5: n 8640, d 10 in 2 runs: n_eff 961.2, [0.993934, 0.999780]."""
    start, end = utc(2026, 9, 1), utc(2026, 10, 1)
    down = [(utc(2026, 9, 6, 1), utc(2026, 9, 6, 1, 25)), (utc(2026, 9, 13, 1), utc(2026, 9, 13, 1, 25))]
    keep(store, every(300, start, end, down=down))

    row = rows(store, window(start, end))["all", "included"]

    assert row["interval"] == [pytest.approx(0.993934, abs=1e-6), pytest.approx(0.999780, abs=1e-6)]


def test_example_4_the_gap_is_told_from_pairs_of_one_moment(store):
    """2016 ticks of a week: a 1990, b 4, c 18, d 4."""
    start, end = utc(2026, 10, 5), utc(2026, 10, 12)
    five = dt.timedelta(minutes=5)
    ent = [(start + 100 * five, start + 108 * five)]  # 4 alone, then 4 together
    theirs = [(start + 104 * five, start + 126 * five)]  # 4 together, then 18 alone
    keep(store, every(300, start, end, down=ent))
    keep(store, every(300, start, end, service="educonnect", down=theirs))

    row = rows(store, window(start, end), name="educonnect")["all", "included"]

    assert row["gap"]["point"] == pytest.approx(-14 / 2016, abs=1e-12)


def test_the_reference_has_no_gap(store):
    keep(store, every(300, TUESDAY, TUESDAY + 60 * MINUTE))

    assert rows(store, window(TUESDAY, TUESDAY + 60 * MINUTE))["all", "included"]["gap"] is None


def test_a_tick_of_which_one_side_is_unknown_is_no_pair(store):
    keep(store, every(60, TUESDAY, TUESDAY + 10 * MINUTE, down=[(TUESDAY, TUESDAY + 5 * MINUTE)]))
    blind = [(TUESDAY, TUESDAY + 5 * MINUTE)]
    keep(store, every(60, TUESDAY, TUESDAY + 10 * MINUTE, service="educonnect", unknown=blind))

    row = rows(store, window(TUESDAY, TUESDAY + 10 * MINUTE), name="educonnect")["all", "included"]

    assert row["gap"]["point"] == 0.0


# -- several vantage points --------------------------------------------------------------------------------------------


def three(first, second, third):
    """Ten minutes from three places; results of all ticks."""
    for place, result in (("a", first), ("b", second), ("c", third)):
        for minute in range(10):
            yield sample("ent", TUESDAY + minute * MINUTE, result, place)


@pytest.mark.parametrize(
    ("results", "told"),
    [((DOWN, DOWN, UNKNOWN), "down_seconds"), ((DOWN, UP, UNKNOWN), "unknown_seconds"), ((UP, UP, DOWN), "up_seconds")],
)
def test_most_of_those_that_know_decide_however_many_are_configured(store, results, told):
    keep(store, three(*results))

    assert rows(store, window(TUESDAY, TUESDAY + 10 * MINUTE))["all", "included"][told] == 600.0


def test_of_three_places_one_alone_knows_too_little(store):
    keep(store, every(60, TUESDAY, TUESDAY + 10 * MINUTE))

    row = rows(store, window(TUESDAY, TUESDAY + 10 * MINUTE), federation(vantages=3))["all", "included"]

    assert row["unknown_seconds"] == 600.0


# -- the document ------------------------------------------------------------------------------------------------------


def test_there_is_a_row_for_each_service_calendar_and_maintenance(store):
    with store.reading() as connection:
        document = report(connection, federation(), of_month(federation(), 2026, 10)).document()

    assert document["schema"] == "ent-sync/levels/1"
    assert [(row["name"], row["calendar"], row["maintenance"]) for row in document["services"]] == [
        (name, calendar, maintenance)
        for name in ("ent", "educonnect")
        for calendar in ("school", "all")
        for maintenance in ("excluded", "included")
    ]


def test_a_service_that_was_measured_and_is_not_configured_any_more_is_told(store):
    keep(store, [sample("gone", TUESDAY, UP)])

    assert rows(store, window(TUESDAY, TUESDAY + MINUTE), name="gone")["all", "included"]["up_seconds"] == 60.0


def test_without_any_sample_no_number_but_the_bounds_exists(store):
    row = rows(store, window(TUESDAY, TUESDAY + MINUTE))["all", "included"]

    assert (row["availability"], row["low"], row["high"], row["trend"]) == (None, 0.0, 1.0, "insufficient")


def test_a_school_year_is_that_of_the_configuration(store):
    found = of_school_year(federation(calendar={"year": "08-25"}), 2026)

    assert found == window(paris(2026, 8, 25), paris(2027, 8, 25))


def test_people_of_the_populations_that_log_in_there_are_counted(store):
    keep(store, every(60, TUESDAY, TUESDAY + 10 * MINUTE, service="educonnect", down=[(TUESDAY, TUESDAY + 2 * MINUTE)]))

    with store.reading() as connection:
        accounts = {"pupil": 100, "guardian": 150, "staff": 30}
        found = report(connection, federation(), window(TUESDAY, TUESDAY + 10 * MINUTE), accounts)

    educonnect = found.services[1]
    assert (educonnect.people, found.lost(educonnect)) == (250, 500.0)
    assert found.met(Calendar.ALL, Planned.INCLUDED) == pytest.approx(0.8)


def test_five_months_are_not_enough_for_a_trend(store):
    for service in ("ent", "educonnect"):
        keep(
            store,
            every(900, paris(2026, 1, 1).astimezone(dt.UTC), paris(2026, 6, 1).astimezone(dt.UTC), service=service),
        )
    section = federation(probing={"cadence": {"school": "15m", "off": "15m"}})

    with store.reading() as connection:
        found = report(connection, section, of_month(section, 2026, 5)).services[1]

    assert [month.counts for month in found.months] == [True] * 5
    assert found.trend is Verdict.INSUFFICIENT
