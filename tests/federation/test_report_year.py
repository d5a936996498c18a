"""A simulated year with outages. The right figures are worked out here by plain arithmetic, not by what is tested."""

import math

import pytest

from ent_sync.core.notice.kinds import Author
from ent_sync.federation import notices
from ent_sync.federation.report import of_month, of_school_year, report
from ent_sync.store import samples
from federation.reporting import DOWN_TICKS, WEEKDAYS, YEARLY, open_store, paris, the_year

SCHOOL_DAYS = 261
SCHOOL_SECONDS = SCHOOL_DAYS * 11 * 3600
YEAR_SECONDS = 365 * 24 * 3600
SCHOOL_DOWN = 156 * 300
SUNDAY_DOWN = 3 * 3600
AGREED = 2 * 3600
BLIND = 6 * 3600


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """The reports of the year, and of its seventh month."""
    store = open_store(tmp_path_factory.mktemp("year") / "state.sqlite")
    with store.transaction() as connection:
        samples.add(connection, the_year())
        announced = paris(2025, 10, 1)
        notices.plan_maintenance(
            connection,
            notices.audience_of(YEARLY, announced),
            services=["educonnect"],
            starts=paris(2025, 10, 12, 2),
            ends=paris(2025, 10, 12, 4),
            title="Mise à jour",
            now=announced,
            author=Author.AUTHORITY,
        )
    with store.reading() as connection:
        yield {
            "year": report(connection, YEARLY, of_school_year(YEARLY, 2025)),
            "march": report(connection, YEARLY, of_month(YEARLY, 2026, 3)),
        }
    store.close()


@pytest.fixture
def row(reports):
    def chosen(calendar, maintenance, *, name="educonnect", of="year"):
        document = reports[of].document()
        return next(
            each
            for each in document["services"]
            if (each["name"], each["calendar"], each["maintenance"]) == (name, calendar, maintenance)
        )

    return chosen


def test_the_calendar_of_the_year_was_counted_right():
    assert (sum(WEEKDAYS.values()), sum(DOWN_TICKS)) == (SCHOOL_DAYS, 156)


def test_seconds_in_school_hours(row):
    found = row("school", "excluded")

    assert (found["up_seconds"], found["down_seconds"], found["unknown_seconds"]) == (
        SCHOOL_SECONDS - SCHOOL_DOWN,
        SCHOOL_DOWN,
        0.0,
    )


def test_seconds_overall_with_agreed_maintenance(row):
    found = row("all", "included")

    down = SCHOOL_DOWN + SUNDAY_DOWN
    assert (found["up_seconds"], found["down_seconds"], found["unknown_seconds"]) == (
        YEAR_SECONDS - down - BLIND,
        down,
        BLIND,
    )


def test_seconds_overall_without_agreed_maintenance(row):
    found = row("all", "excluded")

    down = SCHOOL_DOWN + SUNDAY_DOWN - AGREED
    assert (found["up_seconds"], found["down_seconds"], found["unknown_seconds"]) == (
        YEAR_SECONDS - AGREED - down - BLIND,
        down,
        BLIND,
    )


def test_availability_and_its_bounds(row):
    found = row("all", "included")

    up, down = YEAR_SECONDS - 57600 - 21600, 57600
    assert found["availability"] == pytest.approx(up / (up + down), abs=1e-12)
    assert found["low"] == pytest.approx(up / YEAR_SECONDS, abs=1e-12)
    assert found["high"] == pytest.approx((up + 21600) / YEAR_SECONDS, abs=1e-12)


def test_the_interval(row):
    """Known ticks in school hours: 261 days of 132. 156 of them down, in 12 runs."""
    n, d, b, z = 34452, 156, 12, 1.959964
    rho = 1 - b / (n - d) - b / d
    n = n * (1 - rho) / (1 + rho)
    p = 1 - 156 / 34452
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)

    assert row("school", "excluded")["interval"] == [
        pytest.approx(centre - half, abs=1e-9),
        pytest.approx(centre + half, abs=1e-9),
    ]


def test_outages_and_their_mean_length(row):
    school, everything, excluded = row("school", "included"), row("all", "included"), row("all", "excluded")

    assert (school["outages"], school["mttr_seconds"]) == (12, 46800 / 12)
    assert (everything["outages"], everything["mttr_seconds"]) == (13, pytest.approx(57600 / 13))
    assert (excluded["outages"], excluded["mttr_seconds"]) == (13, pytest.approx(50400 / 13))


def test_the_gap_of_the_year(row):
    assert row("school", "excluded")["gap"]["point"] == pytest.approx(-156 / 34452, abs=1e-12)


def test_the_gap_of_each_month(reports):
    found = [month.gap.point for month in reports["year"].services[1].months]

    expected = [-down / (days * 132) for down, days in zip(DOWN_TICKS, WEEKDAYS.values(), strict=True)]
    assert found == pytest.approx(expected, abs=1e-12)


def test_a_gap_that_shrinks_every_month_tends_towards_the_ent(row):
    assert row("school", "excluded")["trend"] == "converging"


def test_seven_months_of_it_are_enough_and_later_ones_do_not_count(reports, row):
    """March 2026: 22 days, 12 ticks down."""
    found = row("school", "excluded", of="march")

    assert len(reports["march"].services[1].months) == 7
    assert (found["down_seconds"], found["trend"]) == (3600.0, "converging")
    assert found["availability"] == pytest.approx(1 - 3600 / (22 * 39600), abs=1e-12)


def test_the_ent_was_always_up_when_it_was_known(row):
    found = row("all", "included", name="ent")

    assert (found["availability"], found["outages"], found["gap"], found["trend"]) == (1.0, 0, None, "insufficient")
