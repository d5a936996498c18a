"""When a source is read: on ordinary days, on both nights when the clocks change, and after a time away.

Moments are written in UTC. In Paris the clocks go back on 2026-10-25 at 01:00 UTC, from UTC+2 to UTC+1, so that the
hour from 02:00 comes twice; they go forward on 2027-03-28 at 01:00 UTC, so that there is no 02:30.
"""

import datetime as dt
import queue
import threading
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ent_sync.config.fields import Cron, Every
from ent_sync.daemon.schedule import Clock, Timing, _Bell, due, latest, next_after, timing

MINUTE = dt.timedelta(minutes=1)


def utc(text):
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def cron(expression, zone="Europe/Paris"):
    return Timing(Cron(cron=expression, zone=zone))


def every(**length):
    return Timing(Every(every=dt.timedelta(**length)))


def moments(timing, begin, end):
    """All that a clock rings that starts at a moment, until another one."""
    found = []
    moment = next_after(timing, begin - dt.timedelta(microseconds=1))
    while moment is not None and moment < end:
        found.append(f"{moment:%m-%d %H:%M}")
        moment = next_after(timing, moment)
    return found


# -- the nights --------------------------------------------------------------------------------------------------------


def test_half_past_two_of_the_autumn_night_happens_once_the_first_time():
    rung = moments(cron("30 2 * * *"), utc("2026-10-24 12:00"), utc("2026-10-26 12:00"))

    assert rung == ["10-25 00:30", "10-26 01:30"]


def test_half_past_two_of_the_spring_night_happens_once_an_hour_later_by_the_new_time():
    rung = moments(cron("30 2 * * *"), utc("2027-03-27 12:00"), utc("2027-03-29 12:00"))

    assert rung == ["03-28 01:30", "03-29 00:30"]


@pytest.mark.parametrize("expression", ["30 1 * * *", "0 3 * * *", "30 5 * * *"])
@pytest.mark.parametrize(
    ("begin", "end"), [("2026-10-24 21:00", "2026-10-25 21:00"), ("2027-03-27 22:00", "2027-03-28 21:00")]
)
def test_any_other_time_happens_once_on_both_nights(expression, begin, end):
    assert len(moments(cron(expression), utc(begin), utc(end))) == 1


def test_every_quarter_of_an_hour_counts_on_through_the_autumn_night():
    rung = moments(cron("*/15 * * * *"), utc("2026-10-25 00:00"), utc("2026-10-25 03:00"))

    assert rung == [f"10-25 {hour:02}:{minute:02}" for hour in range(3) for minute in (0, 15, 30, 45)]


def test_every_quarter_of_an_hour_has_no_hole_in_the_spring_night():
    rung = moments(cron("*/15 * * * *"), utc("2027-03-28 00:00"), utc("2027-03-28 03:00"))

    assert rung == [f"03-28 {hour:02}:{minute:02}" for hour in range(3) for minute in (0, 15, 30, 45)]


def test_named_hours_are_not_repeated_in_the_autumn_night():
    rung = moments(cron("0 1,2,3 * * *"), utc("2026-10-24 22:00"), utc("2026-10-25 12:00"))

    assert rung == ["10-24 23:00", "10-25 00:00", "10-25 02:00"]


def test_a_daemon_that_starts_in_the_repeated_hour_runs_nothing_again():
    ran = utc("2026-10-25 00:31")

    assert due(cron("30 2 * * *"), ran, utc("2026-10-25 01:45")) is None


def test_an_interval_is_real_time_on_both_nights():
    for begin in (utc("2026-10-25 00:00"), utc("2027-03-28 00:00")):
        rung = moments(every(minutes=15), begin, begin + dt.timedelta(hours=3))

        assert len(rung) == 12


# -- ordinary days -----------------------------------------------------------------------------------------------------


def test_a_monday_is_a_monday():
    """2026-10-26 is one; APScheduler alone counts days from Monday = 0, which is why they are named."""
    assert moments(cron("0 5 * * mon"), utc("2026-10-20 00:00"), utc("2026-10-30 00:00")) == ["10-26 04:00"]


def test_a_range_of_days_leaves_sunday_out():
    rung = moments(cron("30 5 * * mon-sat"), utc("2026-11-06 12:00"), utc("2026-11-10 12:00"))

    assert rung == ["11-07 04:30", "11-09 04:30", "11-10 04:30"]


def test_the_day_of_the_month_is_that_of_the_zone():
    assert moments(cron("30 0 1 * *"), utc("2026-10-30 00:00"), utc("2026-11-02 00:00")) == ["10-31 23:30"]


def test_a_29th_of_february_is_found_years_ahead():
    assert next_after(cron("0 12 29 feb *", "UTC"), utc("2096-03-01 00:00")) == utc("2104-02-29 12:00")


def test_a_day_that_never_comes_is_none():
    assert next_after(cron("0 12 31 feb *"), utc("2026-11-01 00:00")) is None


def test_a_day_that_never_came_is_not_due():
    assert due(cron("0 12 31 feb *"), None, utc("2026-11-01 00:00")) is None


# -- what was missed ---------------------------------------------------------------------------------------------------


def test_whoever_was_off_in_the_morning_makes_up_for_it():
    moment = due(cron("30 5 * * *"), utc("2026-11-09 04:40"), utc("2026-11-10 08:00"))

    assert moment == utc("2026-11-10 04:30")


def test_a_week_that_was_missed_is_one_run():
    moment = due(cron("30 5 * * *"), utc("2026-11-01 04:40"), utc("2026-11-10 08:00"))

    assert moment == utc("2026-11-10 04:30")


def test_what_succeeded_since_is_not_made_up_for():
    assert due(cron("30 5 * * *"), utc("2026-11-10 07:00"), utc("2026-11-10 08:00")) is None


def test_a_source_that_never_succeeded_is_behind():
    assert due(cron("30 5 * * *"), None, utc("2026-11-10 03:00")) == utc("2026-11-09 04:30")


def test_a_moment_is_due_at_once():
    assert due(cron("30 5 * * *"), utc("2026-11-09 05:00"), utc("2026-11-10 04:30")) == utc("2026-11-10 04:30")


def test_an_interval_is_due_at_its_next_point_of_the_grid():
    timing = every(minutes=15)

    assert due(timing, utc("2026-11-10 08:00:01"), utc("2026-11-10 08:14:59")) is None
    assert due(timing, utc("2026-11-10 08:00:01"), utc("2026-11-10 08:15:00")) == utc("2026-11-10 08:15")


# -- not all at once ---------------------------------------------------------------------------------------------------


def test_a_source_is_late_by_the_same_time_every_day():
    schedule = Cron(cron="30 5 * * *")

    assert timing("lille-2d", schedule) == timing("lille-2d", schedule)


def test_two_sources_are_late_by_different_times():
    schedule = Cron(cron="30 5 * * *")

    assert timing("lille-2d", schedule).late != timing("amiens-2d", schedule).late


@given(name=st.from_regex(r"[a-z0-9-]{1,20}", fullmatch=True), seconds=st.integers(1, 10_000))
def test_nobody_is_late_by_more_than_a_minute_or_the_interval(name, seconds):
    late = timing(name, Every(every=dt.timedelta(seconds=seconds))).late

    assert dt.timedelta() <= late < min(dt.timedelta(seconds=seconds), MINUTE)


def test_who_is_late_is_due_late():
    late = Timing(Cron(cron="30 5 * * *"), dt.timedelta(seconds=40))

    assert due(late, utc("2026-11-09 05:00"), utc("2026-11-10 04:30:39")) is None
    assert due(late, utc("2026-11-09 05:00"), utc("2026-11-10 04:30:40")) == utc("2026-11-10 04:30:40")


# -- laws --------------------------------------------------------------------------------------------------------------

MINUTES = st.sampled_from(["0", "30", "*/15", "*/7", "5,50"])
HOURS = st.sampled_from(["*", "2", "1-3", "*/2", "0,23", "5"])
WEEKDAYS = st.sampled_from(["*", "mon-sat", "sun", "mon,thu"])
CRONS = st.builds(lambda minute, hour, weekday: cron(f"{minute} {hour} * * {weekday}"), MINUTES, HOURS, WEEKDAYS)
EVERIES = st.integers(1, 100_000).map(lambda seconds: every(seconds=seconds))
NIGHTS = st.sampled_from([utc("2026-10-25 01:00"), utc("2027-03-28 01:00"), utc("2026-11-10 00:00")])
TIMES = st.builds(lambda night, seconds: night + dt.timedelta(seconds=seconds), NIGHTS, st.integers(-100_000, 100_000))


@settings(max_examples=60, deadline=None)
@given(timing=CRONS | EVERIES, start=TIMES)
def test_time_only_goes_forward(timing, start):
    first = next_after(timing, start)
    second = next_after(timing, first)

    assert start < first < second


@settings(max_examples=60, deadline=None)
@given(timing=CRONS | EVERIES, now=TIMES)
def test_nothing_lies_between_the_latest_and_the_next(timing, now):
    last = latest(timing, now)

    assert last <= now < next_after(timing, last)


@settings(max_examples=60, deadline=None)
@given(timing=CRONS | EVERIES, now=TIMES)
def test_what_was_made_up_for_is_not_due_again(timing, now):
    moment = due(timing, None, now)

    assert due(timing, moment, now) is None


@settings(max_examples=30, deadline=None)
@given(timing=CRONS, night=NIGHTS, steps=st.lists(st.integers(1, 7200), min_size=5, max_size=40))
def test_whoever_looks_now_and_then_runs_each_moment_at_most_once_and_misses_none_for_good(timing, night, steps):
    now = night - dt.timedelta(hours=12)
    success = now
    ran = []
    for seconds in steps:
        before, now = now, now + dt.timedelta(seconds=seconds)
        moment = due(timing, success, now)
        if moment is not None:
            ran.append(moment)
            success = now
        passed = next_after(timing, before) <= now

        assert passed == (moment is not None)
    assert len(set(ran)) == len(ran)


@settings(max_examples=20, deadline=None)
@given(minute=st.integers(0, 59), hour=st.integers(0, 23), night=NIGHTS)
def test_a_daily_time_happens_once_on_each_day_of_the_zone_whatever_the_night(minute, hour, night):
    paris = ZoneInfo("Europe/Paris")
    day = (night - dt.timedelta(days=2)).astimezone(paris).date()
    begin, end = (
        dt.datetime.combine(each, dt.time(), paris).astimezone(dt.UTC) for each in (day, day + dt.timedelta(days=5))
    )

    assert len(moments(cron(f"{minute} {hour} * * *"), begin, end)) == 5


# -- the clock ---------------------------------------------------------------------------------------------------------


def test_the_clock_rings_at_the_moments_of_a_timing():
    rung = threading.Event()
    clock = Clock(lambda: None)
    clock.ring("lille-2d", every(seconds=1), rung.set)

    clock.start()
    heard = rung.wait(30)
    clock.close()

    assert heard


def test_a_clock_that_forgot_only_beats():
    rung, beats = threading.Event(), queue.SimpleQueue()
    clock = Clock(lambda: beats.put(1), every=1)
    clock.ring("lille-2d", every(seconds=1), rung.set)

    clock.forget()
    clock.start()
    for _ in range(2):
        beats.get(timeout=30)
    clock.close()

    assert not rung.is_set()


def test_the_scheduler_asks_a_bell_once_for_all_that_was_missed():
    bell = _Bell(cron("*/15 * * * *"))

    following = bell.get_next_fire_time(utc("2026-10-24 00:00"), utc("2026-10-25 00:50"))

    assert following == utc("2026-10-25 01:00")


def test_a_clock_that_was_set_back_rings_nothing_twice():
    bell = _Bell(cron("30 5 * * *"))

    following = bell.get_next_fire_time(utc("2026-11-10 04:30"), utc("2026-11-10 04:10"))

    assert following == utc("2026-11-11 04:30")
