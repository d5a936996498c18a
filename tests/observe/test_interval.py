"""How often a source is due, by its own calendar."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from ent_sync.config.fields import Cron, Every, OnDelivery
from ent_sync.observe.interval import interval

PARIS = ZoneInfo("Europe/Paris")
WEEK = Cron(cron="30 5 * * mon-sat")


def hours(schedule, *moment, delivers=()):
    return interval(schedule, delivers, dt.datetime(*moment, tzinfo=PARIS)).total_seconds() / 3600


def test_an_interval_is_itself():
    assert interval(Every(every="15m"), (), dt.datetime(2026, 11, 24, tzinfo=PARIS)) == dt.timedelta(minutes=15)


def test_a_source_that_nobody_schedules_is_never_due():
    assert hours(None, 2026, 11, 24) == 0


def test_on_a_working_day_the_interval_is_a_day():
    wednesday = (2026, 11, 25, 12)

    assert hours(WEEK, *wednesday) == 24


@pytest.mark.parametrize("moment", [(2026, 11, 28, 12), (2026, 11, 29, 12), (2026, 11, 30, 5, 29), (2026, 11, 30, 12)])
def test_around_a_day_of_rest_it_is_two_days_until_the_day_after_is_over(moment):
    """Saturday, Sunday, and Monday until the strike of Tuesday."""
    assert hours(WEEK, *moment) == 48


def test_the_strike_itself_begins_the_next_pause():
    assert hours(WEEK, 2026, 12, 1, 5, 29) == 48
    assert hours(WEEK, 2026, 12, 1, 5, 30) == 24


def test_the_night_of_25_hours_is_longer_and_the_one_of_23_does_not_shorten_the_day_before():
    daily = Cron(cron="30 5 * * *")

    assert hours(daily, 2026, 10, 25, 3) == 25
    assert hours(daily, 2026, 3, 29, 12) == 24


def test_several_times_a_day_have_their_longest_pause_at_night():
    twice = Cron(cron="0 7,19 * * *")
    thrice = Cron(cron="0 8-20/6 * * *")

    assert hours(twice, 2026, 11, 24, 12) == 12
    assert hours(thrice, 2026, 11, 24, 3) == 12
    assert hours(thrice, 2026, 11, 24, 15) == 6


def test_a_source_read_once_a_month_is_due_once_a_month():
    assert hours(Cron(cron="0 4 1 * *"), 2026, 12, 24) == 31 * 24


def test_a_date_that_comes_every_four_years_is_found():
    assert hours(Cron(cron="0 4 29 feb *"), 2026, 11, 24) == (365 * 3 + 366) * 24


def test_a_date_that_never_comes_is_never_due():
    assert hours(Cron(cron="0 4 31 feb *"), 2026, 11, 24) == 0


def test_a_source_read_on_delivery_is_due_when_it_promised_to_deliver():
    weekdays = ("mon", "tue", "wed", "thu", "fri", "sat")

    assert hours(OnDelivery(on="delivery"), 2026, 11, 25, 12, delivers=weekdays) == 24
    assert hours(OnDelivery(on="delivery"), 2026, 11, 29, 12, delivers=weekdays) == 48


def test_a_source_that_promises_nothing_is_never_due():
    assert hours(OnDelivery(on="delivery"), 2026, 11, 25) == 0
