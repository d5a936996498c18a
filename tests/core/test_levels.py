"""Service levels against the worked examples of federation-slo.md §4, and their laws."""

import datetime as dt
import math
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ent_sync.core.levels import availability as av
from ent_sync.core.levels import burn, calendar, gap, interval, outages, samples, spans, trend
from ent_sync.core.levels.samples import Result, Sample, Tick

UP, DOWN, UNKNOWN = Result.UP, Result.DOWN, Result.UNKNOWN
PARIS = ZoneInfo("Europe/Paris")
MINUTE = dt.timedelta(minutes=1)
ZERO = dt.datetime(2026, 10, 6, 10, tzinfo=dt.UTC)
OFF_2026 = (
    (dt.date(2026, 10, 17), dt.date(2026, 11, 2)),
    (dt.date(2026, 12, 19), dt.date(2027, 1, 4)),
)
HOURS = calendar.SchoolHours(
    begins=dt.time(7, 30),
    ends=dt.time(18, 30),
    weekdays=frozenset(range(5)),
    off=OFF_2026,
    public_holidays=frozenset({dt.date(2026, 11, 1), dt.date(2026, 11, 11)}),
)


def at(minutes):
    return ZERO + minutes * MINUTE


def every_minute(moment):
    return MINUTE


def paris(*when):
    return dt.datetime(*when, tzinfo=PARIS)


def level(ticks, window):
    return av.availability(av.stretches(ticks, every_minute), [window])


# -- availability (§4.1) -----------------------------------------------------------------------------------------------

EXAMPLE_1 = [
    Tick(at(minute), result)
    for minute, result in [(0, UP), (1, UP), (2, DOWN), (3, DOWN), (4, UP), (5, UNKNOWN), (6, UP), (9, UP)]
]


def test_example_1_seconds_up_down_and_unknown():
    found = level(EXAMPLE_1, spans.span(at(0), at(10)))

    assert (found.up, found.down, found.unknown) == (330.0, 120.0, 150.0)


def test_example_1_availability_its_bounds_and_the_unknown_share():
    found = level(EXAMPLE_1, spans.span(at(0), at(10)))

    assert (found.known, found.low, found.high, found.unknown_share) == (
        pytest.approx(0.733333, abs=1e-6),
        0.55,
        0.8,
        0.25,
    )


def test_a_sample_before_the_window_counts_for_what_it_covers_of_it():
    found = level([Tick(at(-1), DOWN)], spans.span(at(0), at(10)))

    assert found.down == 30.0


def test_nothing_known_gives_no_number():
    found = level([], spans.span(at(0), at(10)))

    assert (found.known, found.low, found.high) == (None, 0.0, 1.0)


ticks_of_an_hour = st.lists(
    st.tuples(st.integers(-5, 70), st.sampled_from(list(Result))), unique_by=lambda each: each[0], max_size=40
).map(lambda pairs: [Tick(at(minute), result) for minute, result in sorted(pairs)])


@settings(max_examples=60)
@given(ticks=ticks_of_an_hour)
def test_up_down_and_unknown_are_the_whole_window(ticks):
    found = level(ticks, spans.span(at(0), at(60)))

    assert found.up + found.down + found.unknown == pytest.approx(3600.0)


@settings(max_examples=60)
@given(ticks=ticks_of_an_hour)
def test_availability_lies_between_its_bounds(ticks):
    found = level(ticks, spans.span(at(0), at(60)))

    assert found.known is None or found.low <= found.known + 1e-12 <= found.high + 2e-12


@settings(max_examples=60)
@given(ticks=ticks_of_an_hour, cut=st.integers(1, 59))
def test_two_parts_of_a_window_add_up_to_it(ticks, cut):
    parts = [level(ticks, spans.span(at(0), at(cut))), level(ticks, spans.span(at(cut), at(60)))]
    whole = level(ticks, spans.span(at(0), at(60)))

    assert sum(each.down for each in parts) == pytest.approx(whole.down)


# -- quorum (§3) -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("results", "vantages", "verdict"),
    [
        ([DOWN, DOWN, UNKNOWN], 3, DOWN),
        ([DOWN, UP, UNKNOWN], 3, UNKNOWN),
        ([UP, UP, DOWN], 3, UP),
        ([DOWN], 3, UNKNOWN),
        ([DOWN], 1, DOWN),
        ([], 1, UNKNOWN),
        ([UP, DOWN], 2, UNKNOWN),
        ([UP], 2, UP),
    ],
)
def test_a_service_is_down_when_most_of_those_that_know_say_so(results, vantages, verdict):
    assert samples.quorum(results, vantages) is verdict


def test_samples_of_one_repetition_are_one_tick():
    seen = [
        Sample(service="s", vantage=vantage, time=ZERO + dt.timedelta(seconds=second), result=result)
        for vantage, second, result in [("a", 1, DOWN), ("b", 20, DOWN), ("c", 40, UP), ("a", 61, UP), ("b", 62, UP)]
    ]

    assert [each.result for each in samples.ticks(seen, 3, every_minute)] == [DOWN, UP]


# -- maintenance and calendar (§4.2, §4.3) -----------------------------------------------------------------------------


def maintenance(start, end, announced, **more):
    return calendar.Maintenance(services=frozenset({"s"}), planned=spans.span(start, end), announced=announced, **more)


NIGHT = (paris(2026, 11, 14, 20), paris(2026, 11, 15, 0))  # a Saturday


def agreed(*planned):
    return calendar.agreed("s", planned, calendar.MaintenanceRules(), HOURS)


def test_maintenance_announced_a_week_before_is_agreed():
    found = agreed(maintenance(*NIGHT, paris(2026, 11, 7, 20)))

    assert spans.total(found) == 4 * 3600


@pytest.mark.parametrize(
    "planned",
    [
        maintenance(*NIGHT, paris(2026, 11, 8, 20)),
        maintenance(*NIGHT, paris(2026, 11, 1, 0), cancelled=True),
        maintenance(paris(2026, 11, 16, 17), paris(2026, 11, 16, 19), paris(2026, 11, 1)),
    ],
    ids=["announced six days before", "cancelled", "in school hours"],
)
def test_other_maintenance_is_not_agreed(planned):
    assert agreed(planned) == ()


def test_the_window_that_crosses_the_monthly_cap_is_agreed_up_to_it():
    announced = paris(2026, 11, 1)
    first = maintenance(paris(2026, 11, 14, 20), paris(2026, 11, 14, 23), announced)
    second = maintenance(paris(2026, 11, 21, 20), paris(2026, 11, 21, 23), announced)

    found = agreed(first, second)

    assert [each.seconds for each in found] == [3 * 3600, 3600]


def test_example_2_with_and_without_agreed_maintenance():
    whole = spans.span(paris(2026, 11, 1), paris(2026, 12, 1))
    outage_inside = spans.span(NIGHT[0], NIGHT[0] + dt.timedelta(hours=3))
    other_outage = spans.span(paris(2026, 11, 3, 10), paris(2026, 11, 3, 13))
    down = [av.Stretch(each, DOWN) for each in (other_outage, outage_inside)]
    up = [av.Stretch(each, UP) for each in spans.without([whole], [outage_inside, other_outage])]
    kept = spans.without([whole], agreed(maintenance(*NIGHT, paris(2026, 11, 1))))

    included, excluded = av.availability([*up, *down], [whole]), av.availability([*up, *down], kept)

    assert (included.known, excluded.known) == (
        pytest.approx(714 / 720, abs=1e-9),
        pytest.approx(713 / 716, abs=1e-9),
    )


@pytest.mark.parametrize(
    ("first", "after", "hours"),
    [
        ((2026, 3, 29), (2026, 3, 30), 23),
        ((2026, 10, 25), (2026, 10, 26), 25),
        ((2026, 10, 1), (2026, 11, 1), 745),
        ((2027, 3, 1), (2027, 4, 1), 743),
    ],
)
def test_days_of_the_clock_changes_have_their_true_length(first, after, hours):
    found = calendar.between_days(dt.date(*first), dt.date(*after))

    assert found.seconds == hours * 3600


@pytest.mark.parametrize(("year", "number", "hours"), [(2026, 10, 132), (2026, 11, 220)])
def test_school_hours_of_zone_b(year, number, hours):
    found = HOURS.within(calendar.month(year, number))

    assert spans.total(found) == hours * 3600


def test_a_moment_of_a_school_day_lies_in_school_hours():
    assert HOURS.holds(paris(2026, 11, 3, 7, 30))


@pytest.mark.parametrize("moment", [paris(2026, 11, 3, 18, 30), paris(2026, 11, 1, 10), paris(2026, 10, 20, 10)])
def test_evenings_sundays_and_holidays_do_not(moment):
    assert not HOURS.holds(moment)


# -- users (§4.4) ------------------------------------------------------------------------------------------------------


def test_example_3_each_service_weighs_as_much_as_people_log_in_there():
    people = {"a": 1_050_000, "b": 60_000, "c": 28_000, "d": 12_000}
    shares = {"a": 0.995, "b": 0.99, "c": 0.999, "d": 0.98}
    levels = {
        name: av.Availability(up=1000 * share, down=1000 * (1 - share), unknown=0) for name, share in shares.items()
    }

    assert av.weighted(levels, people) == pytest.approx(0.994680, abs=1e-6)


# -- interval and gap (§4.5, §4.6) -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("up", "known", "low", "high"),
    [
        (8630, 8640, 0.997871, 0.999371),
        (2005, 2016, 0.990256, 0.996951),
        (288, 288, 0.986837, 1),
        (30, 30, 0.886487, 1),
    ],
)
def test_wilsons_interval(up, known, low, high):
    assert interval.wilson(up / known, known) == (pytest.approx(low, abs=1e-6), pytest.approx(high, abs=1e-6))


@pytest.mark.parametrize(
    ("seen", "effective", "low", "high"),
    [
        (interval.Clusters(8640, 10, 2), 961.2, 0.993934, 0.999780),
        (interval.Clusters(8640, 60, 3), 223.1, 0.971059, 0.998362),
    ],
)
def test_samples_of_one_outage_are_one_event(seen, effective, low, high):
    found = interval.interval(seen)

    assert (seen.effective, *found) == (
        pytest.approx(effective, abs=0.05),
        pytest.approx(low, abs=1e-6),
        pytest.approx(high, abs=1e-6),
    )


def test_runs_of_down_are_counted_across_unknown():
    assert interval.clusters([UP, DOWN, UNKNOWN, DOWN, UP, DOWN]) == interval.Clusters(5, 3, 2)


def test_example_4_the_gap_with_newcombes_interval():
    seen = gap.Pairs(
        both=1990,
        service=4,
        reference=18,
        neither=4,
        service_clusters=interval.Clusters(2016, 22, 22),
        reference_clusters=interval.Clusters(2016, 8, 8),
    )

    found = gap.gap(seen)

    assert (found.point, found.low, found.high) == (
        pytest.approx(-0.006944, abs=1e-6),
        pytest.approx(-0.012335, abs=1e-6),
        pytest.approx(-0.002355, abs=1e-6),
    )


results = st.sampled_from(list(Result))


@settings(max_examples=60)
@given(seen=st.lists(st.tuples(results, results), max_size=50))
def test_the_gap_turns_around_with_its_sides(seen):
    ours, theirs = gap.gap(gap.pairs(seen)), gap.gap(gap.pairs([(b, a) for a, b in seen]))

    assert (ours is None) == (theirs is None)
    assert ours is None or math.isclose(ours.point, -theirs.point, abs_tol=1e-12)


# -- trend (§4.7) ------------------------------------------------------------------------------------------------------

EXAMPLE_5 = dict(enumerate([-0.62, -0.55, -0.60, -0.41, -0.35, -0.30, -0.33, -0.22, -0.20, -0.12]))


def test_example_5_slope_and_score():
    found = trend.trend(EXAMPLE_5)

    assert (found.slope, found.score, found.variance) == (pytest.approx(0.055), 41, 125.0)


def test_example_5_p_exact_and_by_the_normal_law():
    assert (trend.trend(EXAMPLE_5).p, trend.normal_p(41, 125)) == (
        pytest.approx(0.00003, abs=5e-6),
        pytest.approx(0.00035, abs=5e-6),
    )


def test_example_5_converges():
    assert trend.verdict(EXAMPLE_5, (-0.18, -0.6)) is trend.Verdict.CONVERGING


def test_the_other_way_round_it_diverges():
    turned = {month: -0.7 - value for month, value in EXAMPLE_5.items()}

    assert trend.verdict(turned, (-0.5, -0.9)) is trend.Verdict.DIVERGING


def test_the_last_months_at_the_ents_level_are_at_its_level():
    assert trend.verdict(EXAMPLE_5, (-0.10, -0.50)) is trend.Verdict.LEVEL


def test_five_months_are_not_enough():
    assert trend.verdict({month: EXAMPLE_5[month] for month in range(5)}, None) is trend.Verdict.INSUFFICIENT


def test_no_clear_way_is_stable():
    wavering = dict(enumerate([-0.5, -0.4, -0.6, -0.45, -0.55, -0.5, -0.42]))

    assert trend.verdict(wavering, (-0.5, -0.9)) is trend.Verdict.STABLE


@pytest.mark.parametrize(("months", "p"), [(4, 0.083), (5, 0.017), (6, 0.0028)])
def test_months_in_perfect_order_by_chance_alone(months, p):
    assert trend.exact_p(months * (months - 1) // 2, months) == pytest.approx(p, abs=5e-4)


def test_a_month_that_lacks_keeps_its_place():
    assert trend.trend({0: -0.4, 1: -0.3, 4: 0.0}).slope == pytest.approx(0.1)


# -- outages (§4.8) ----------------------------------------------------------------------------------------------------


def outage(minutes, *, still_open=False):
    return outages.Outage(spans.span(ZERO, at(minutes)), open=still_open)


EXAMPLE_LENGTHS = [outage(10), outage(30), outage(80), outage(45, still_open=True)]


def test_time_to_repair_of_closed_outages_with_open_ones_and_the_median():
    found = (
        outages.mttr(EXAMPLE_LENGTHS),
        outages.mttr_with_open(EXAMPLE_LENGTHS),
        outages.median_length(EXAMPLE_LENGTHS),
    )

    assert [each / 60 for each in found] == [40, 55, 30]


def test_time_between_failures_and_its_interval():
    found = outages.mtbf(714, 3)

    assert (found.mean, found.low, found.high) == (
        238,
        pytest.approx(81.4, abs=0.05),
        pytest.approx(1154.1, abs=0.05),
    )


def test_without_a_failure_there_is_a_lower_limit_only():
    found = outages.mtbf(714, 0)

    assert (found.mean, found.low, found.high) == (None, pytest.approx(238.3, abs=0.05), None)


def test_down_ticks_across_a_short_blindness_are_one_outage():
    ticks = [Tick(at(minute), result) for minute, result in [(0, DOWN), (1, DOWN), (11, DOWN), (12, UP)]]

    found = outages.outages(av.stretches(ticks, every_minute))

    assert [(each.seconds / 60, each.open) for each in found] == [(12, False)]


def test_after_a_long_blindness_it_is_another_one():
    ticks = [Tick(at(minute), result) for minute, result in [(0, DOWN), (20, DOWN), (21, UP)]]

    assert len(outages.outages(av.stretches(ticks, every_minute))) == 2


def test_an_outage_that_nothing_ended_is_open():
    ticks = [Tick(at(0), UP), Tick(at(1), DOWN)]

    assert [each.open for each in outages.outages(av.stretches(ticks, every_minute))] == [True]


def test_an_outage_counts_where_it_began():
    found = [outages.Outage(spans.span(at(-30), at(5)), open=False), outage(10)]

    assert outages.begun_in(found, spans.span(at(0), at(60))) == (found[1],)


# -- budget and burn (§4.9) --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("objective", "minutes"), [(0.995, 216), (0.999, 43.2)])
def test_the_budget_of_thirty_days(objective, minutes):
    assert burn.budget(objective, dt.timedelta(days=30)) / MINUTE == pytest.approx(minutes)


def outage_of(down, *, before=60):
    quiet = [Tick(at(-each), UP) for each in range(before, 0, -1)]
    return [*quiet, *(Tick(at(each), DOWN) for each in range(down))]


@pytest.mark.parametrize(("down", "speaks"), [(4, False), (5, True)])
def test_a_total_outage_pages_at_its_fifth_minute(down, speaks):
    ticks = outage_of(down)

    found = burn.alarms(ticks, 0.995, ticks[-1].time)

    assert bool(found) is speaks


def test_too_few_samples_alarm_nobody():
    ticks = outage_of(5, before=20)

    assert burn.alarms(ticks, 0.995, ticks[-1].time) == ()


# -- spans -------------------------------------------------------------------------------------------------------------

some_spans = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20)), max_size=8).map(
    lambda pairs: [spans.span(at(start), at(start + length)) for start, length in pairs]
)


@settings(max_examples=80)
@given(one=some_spans, other=some_spans)
def test_what_is_common_and_what_is_left_are_the_whole(one, other):
    both = spans.total(spans.common(one, other)) + spans.total(spans.without(one, other))

    assert both == pytest.approx(spans.total(spans.merged(one)))
