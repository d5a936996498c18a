"""The limits of contract rule 4 at their exact edges, and what a hold keeps back."""

import datetime as dt
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ent_sync.core.guard import Freeze, Guard, Hold, Limit, Limits, SchoolTally, Tally, judge
from ent_sync.core.plan import Operation
from ent_sync.core.record import Population

NOW = dt.datetime(2026, 9, 1, 12, 0, tzinfo=dt.UTC)
DEPARTING = frozenset({Operation.SUSPEND, Operation.DELETE})
ALL = frozenset({Operation.CREATE, Operation.UPDATE, Operation.SUSPEND, Operation.RESTORE, Operation.DELETE})
OFF = Limit(1.0, 10**9)
"""A limit that nothing in these tests exceeds: to see one guard alone."""


def tally(population=Population.PUPIL, source="lille-2d", **counts):
    return Tally(source=source, population=population, **{"known": 1000} | counts)


def held(*tallies, schools=(), limits=None, freezes=(), now=NOW):
    return judge(tallies, schools, limits or Limits(), freezes, now)


def guards(*tallies, **others):
    return [each.guard for each in held(*tallies, **others)]


# -- shrinkage ---------------------------------------------------------------------------------------------------------


def test_a_population_of_exactly_ninety_percent_is_not_shrunk():
    limits = Limits(source_departures=OFF)

    assert guards(tally(absences=100, suspensions=100), limits=limits) == []


def test_a_population_of_89_9_percent_is_shrunk():
    (hold,) = held(tally(absences=101, suspensions=101), limits=Limits(source_departures=OFF))

    assert hold == Hold(Guard.SHRINKAGE, "lille-2d/pupil", 0.899, 0.9, "lille-2d", DEPARTING)


def test_withdrawals_do_not_shrink_a_population():
    """A source that withdraws somebody says so: it does not look truncated, however many they are."""
    assert guards(tally(absences=0, suspensions=900), limits=Limits(source_departures=OFF)) == []


def test_creations_count_against_shrinkage():
    assert guards(tally(absences=101, creations=1), limits=Limits(source_departures=OFF)) == []


def test_a_small_population_shrinks_too():
    """Shrinkage has no count beside its share: the smallest school must not vanish unseen."""
    assert guards(tally(known=9, absences=1)) == [Guard.SHRINKAGE]


def test_a_population_that_was_never_known_cannot_shrink():
    assert guards(tally(known=0, creations=500)) == []


@pytest.mark.parametrize("population", list(Population))
def test_every_population_is_judged_for_shrinkage_by_itself(population):
    others = [tally(each, absences=10) for each in Population if each is not population]

    found = held(*others, tally(population, absences=101), limits=Limits(source_departures=OFF))

    assert [(each.guard, each.scope) for each in found] == [(Guard.SHRINKAGE, f"lille-2d/{population}")]


# -- departures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("known", "suspensions", "trips"),
    [
        (1000, 30, False),
        (1000, 31, True),
        (100_000, 3000, False),
        (100_000, 3001, True),
        (100, 20, False),
        (100, 21, True),
        (700, 21, False),
        (699, 21, True),
        (5, 5, False),
    ],
)
def test_suspensions_trip_over_three_percent_and_over_twenty(known, suspensions, trips):
    assert guards(tally(known=known, suspensions=suspensions)) == ([Guard.DEPARTURES] if trips else [])


def test_a_hold_of_departures_tells_share_and_limit_and_keeps_what_goes_away():
    (hold,) = held(tally(suspensions=50))

    assert hold == Hold(Guard.DEPARTURES, "lille-2d/pupil", 0.05, 0.03, "lille-2d", DEPARTING)


def test_departures_of_different_populations_are_not_added():
    assert guards(*(tally(each, suspensions=30) for each in Population)) == []


def test_departures_of_one_source_do_not_hold_another():
    found = held(tally(suspensions=31), tally(source="amiens-2d", suspensions=30))

    assert [each.source for each in found] == ["lille-2d"]


@pytest.mark.parametrize(
    ("known", "suspensions", "trips"),
    [
        (100, 25, False),
        (100, 26, True),
        (80, 20, False),
        (80, 21, True),
        (84, 21, False),
        (83, 21, True),
        (10, 10, False),
    ],
)
def test_a_school_trips_over_a_quarter_and_over_twenty(known, suspensions, trips):
    school = SchoolTally("lille-2d", "0590001A", known, suspensions)

    assert guards(schools=[school]) == ([Guard.DEPARTURES] if trips else [])


def test_a_hold_for_a_school_names_it_and_keeps_what_goes_away_of_its_source():
    (hold,) = held(schools=[SchoolTally("lille-2d", "0590001A", 100, 50)])

    assert hold == Hold(Guard.DEPARTURES, "0590001A", 0.5, 0.25, "lille-2d", DEPARTING)


# -- deletions, join keys, updates: over all people of a source --------------------------------------------------------


@pytest.mark.parametrize(
    ("known", "deletions", "trips"),
    [(10_000, 100, False), (10_000, 101, True), (100, 20, False), (100, 21, True), (2100, 21, False), (2099, 21, True)],
)
def test_deletions_trip_over_one_percent_and_over_twenty(known, deletions, trips):
    assert guards(tally(known=known, deletions=deletions)) == ([Guard.DELETIONS] if trips else [])


@pytest.mark.parametrize(
    ("known", "changed", "trips"),
    [(10_000, 100, False), (10_000, 101, True), (100, 20, False), (100, 21, True), (2100, 21, False), (2099, 21, True)],
)
def test_changed_join_keys_trip_over_one_percent_and_over_twenty(known, changed, trips):
    found = guards(tally(known=known, changed_keys=changed, updates=changed))

    assert found == ([Guard.JOIN_KEYS] if trips else [])


@pytest.mark.parametrize(
    ("known", "updates", "trips"),
    [(1000, 500, False), (1000, 501, True), (100, 100, False), (300, 200, False), (300, 201, True), (402, 201, False)],
)
def test_updates_trip_over_half_and_over_two_hundred(known, updates, trips):
    assert guards(tally(known=known, updates=updates)) == ([Guard.UPDATES] if trips else [])


@pytest.mark.parametrize(
    ("counts", "hold"),
    [
        ({"deletions": 30}, Hold(Guard.DELETIONS, "lille-2d", 0.03, 0.01, "lille-2d", DEPARTING)),
        (
            {"changed_keys": 30},
            Hold(
                Guard.JOIN_KEYS,
                "lille-2d",
                0.03,
                0.01,
                "lille-2d",
                frozenset({Operation.UPDATE, Operation.RESTORE}),
                changed_keys=True,
            ),
        ),
        ({"updates": 600}, Hold(Guard.UPDATES, "lille-2d", 0.6, 0.5, "lille-2d", frozenset({Operation.UPDATE}))),
    ],
    ids=["deletions", "join keys", "updates"],
)
def test_each_hold_keeps_back_what_its_guard_is_about(counts, hold):
    assert held(tally(**counts)) == (hold,)


@pytest.mark.parametrize(
    ("counts", "guard"),
    [
        ({"deletions": 11}, Guard.DELETIONS),
        ({"changed_keys": 11}, Guard.JOIN_KEYS),
        ({"updates": 251}, Guard.UPDATES),
    ],
)
def test_the_people_of_a_source_are_judged_together(counts, guard):
    """11 pupils and 11 guardians of 500 each are 22 of 1 000 people, over 2 %."""
    pair = [tally(Population.PUPIL, known=500, **counts), tally(Population.GUARDIAN, known=500, **counts)]

    assert guards(*pair) == [guard]


def test_structures_are_no_people_and_do_not_dilute_them():
    """300 deleted structures trip nothing; 21 deleted pupils of 1 000 do, whatever the number of structures."""
    schools = tally(Population.SCHOOL, known=100_000, deletions=300, updates=90_000)

    assert [guards(schools), guards(schools, tally(deletions=21))] == [[], [Guard.DELETIONS]]


def test_sources_are_judged_apart():
    found = held(tally(updates=501), tally(source="amiens-2d", updates=100))

    assert [each.source for each in found] == ["lille-2d"]


def test_nobody_known_is_no_way_around_a_guard():
    """The suspended are not among the known: their deletion after a lost year must still be seen."""
    assert guards(tally(known=0, deletions=21)) == [Guard.DELETIONS]


def test_creations_and_restorations_are_never_held_by_a_limit():
    everything = tally(
        known=100, creations=9000, suspensions=100, absences=100, deletions=100, updates=1000, changed_keys=0
    )

    kept = frozenset().union(*(each.operations for each in held(everything)))

    assert kept == {Operation.SUSPEND, Operation.DELETE, Operation.UPDATE}


# -- freeze windows ----------------------------------------------------------------------------------------------------

START = dt.datetime(2026, 8, 20, tzinfo=dt.UTC)
END = dt.datetime(2026, 9, 5, tzinfo=dt.UTC)
DEPARTURES_WAIT = Freeze(begins=START, ends=END, everything=False, title="back to school")
ALL_WAITS = Freeze(begins=START, ends=END, everything=True, title="exams")
INSTANT = dt.timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("now", "frozen"),
    [(START - INSTANT, False), (START, True), (NOW, True), (END - INSTANT, True), (END, False)],
    ids=["just before", "at its beginning", "inside", "just before its end", "at its end"],
)
def test_a_window_holds_from_its_beginning_and_no_longer_at_its_end(now, frozen):
    assert guards(freezes=[DEPARTURES_WAIT], now=now) == ([Guard.FREEZE] if frozen else [])


def test_a_window_is_judged_in_whatever_zone_the_clock_is():
    paris = dt.timezone(dt.timedelta(hours=2))

    assert guards(freezes=[DEPARTURES_WAIT], now=dt.datetime(2026, 9, 5, 1, 59, tzinfo=paris)) == [Guard.FREEZE]


def test_a_window_of_departures_keeps_what_goes_away_at_all_sources():
    (hold,) = held(freezes=[DEPARTURES_WAIT])

    assert hold == Hold(Guard.FREEZE, "back to school", 1.0, 0.0, None, DEPARTING)


def test_a_window_of_everything_keeps_all():
    (hold,) = held(freezes=[ALL_WAITS])

    assert (hold.source, hold.operations) == (None, ALL)


def test_windows_that_overlap_hold_each_for_itself():
    assert [each.scope for each in held(freezes=[DEPARTURES_WAIT, ALL_WAITS])] == ["back to school", "exams"]


def test_a_calm_plan_outside_all_windows_is_not_held():
    calm = tally(creations=50, suspensions=20, absences=20, deletions=10, updates=200, changed_keys=10)

    assert held(calm, freezes=[DEPARTURES_WAIT], now=END) == ()


# -- limits ------------------------------------------------------------------------------------------------------------


def test_the_defaults_are_those_of_the_contract():
    assert Limits() == Limits(
        dangling_links=0.02,
        unknown_keys=Limit(0.02, 20),
        shrinkage=0.90,
        source_departures=Limit(0.03, 20),
        school_departures=Limit(0.25, 20),
        deletions=Limit(0.01, 20),
        join_keys=Limit(0.01, 20),
        updates=Limit(0.50, 200),
    )


COUNTS = st.fixed_dictionaries(
    {
        "known": st.integers(0, 3000),
        "creations": st.integers(0, 300),
        "suspensions": st.integers(0, 300),
        "absences": st.integers(0, 300),
        "deletions": st.integers(0, 300),
        "updates": st.integers(0, 2000),
        "changed_keys": st.integers(0, 300),
    }
)


def names(holds):
    return {(each.guard, each.scope) for each in holds}


@given(
    COUNTS,
    st.sampled_from(["suspensions", "absences", "deletions", "updates", "changed_keys"]),
    st.integers(1, 100),
)
def test_one_more_departure_or_change_never_lifts_a_hold(counts, which, more):
    before = tally(**counts)
    after = replace(before, **{which: counts[which] + more})

    assert names(held(before)) <= names(held(after))


@given(st.integers(0, 500), st.integers(0, 500), st.integers(1, 100))
def test_one_more_departure_never_lifts_the_hold_of_a_school(known, leaving, more):
    before = SchoolTally("lille-2d", "0590001A", known, leaving)
    after = replace(before, suspensions=leaving + more)

    assert names(held(schools=[before])) <= names(held(schools=[after]))


@given(st.integers(0, 10**6), st.integers(0, 10**7), st.sampled_from([(1, 20), (3, 20), (25, 20), (50, 200)]))
def test_a_limit_is_exceeded_exactly_where_share_and_count_are(part, whole, limit):
    percent, count = limit

    exceeded = Limit(percent / 100, count).exceeded(part, whole)

    assert exceeded is (part > count and part * 100 > percent * whole)


@given(COUNTS, st.integers(0, 50))
def test_a_wider_limit_never_makes_a_new_hold(counts, wider):
    share = wider / 100
    wide = Limits(
        shrinkage=0.90 - share,
        source_departures=Limit(0.03 + share, 20 + wider),
        deletions=Limit(0.01 + share, 20 + wider),
        join_keys=Limit(0.01 + share, 20 + wider),
        updates=Limit(0.50 + share, 200 + wider),
    )

    assert names(held(tally(**counts), limits=wide)) <= names(held(tally(**counts)))
