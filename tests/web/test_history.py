"""Ninety days, counted by hand; days are those of Paris."""

import datetime as dt
import itertools

import pytest

from ent_sync.core.levels.availability import Availability
from ent_sync.core.levels.samples import Result, Sample
from ent_sync.core.levels.spans import Span
from ent_sync.store import samples
from ent_sync.web.bars import GROUND, HEIGHT, bars
from ent_sync.web.history import Day, Histories, is_told, now_of
from ent_sync.web.partners import rhythm_of
from web.visiting import NOW, STEP, down, installed, looked

MIDNIGHT = dt.datetime(2026, 11, 22, 23, 0, tzinfo=dt.UTC)
"""The first moment of Monday 23 November in Paris."""
MONDAY = dt.date(2026, 11, 23)
HOUR = dt.timedelta(hours=1)


@pytest.fixture
def house(tmp_path):
    settings, database = installed(tmp_path)
    yield settings.federation, database
    database.close()


def add(database, *found):
    with database.transaction() as connection:
        samples.add(connection, itertools.chain.from_iterable(found))


def history(house, histories=None, now=NOW, agreed=()):
    federation, database = house
    with database.reading() as connection:
        found = (histories or Histories(1)).of(
            connection, ["educonnect"], {"educonnect": agreed}, rhythm_of(federation, now), now
        )
    return found["educonnect"]


def monday(house, **given):
    return next(each for each in history(house, **given).days if each.day == MONDAY)


# -- days --------------------------------------------------------------------------------------------------------------


def test_there_are_ninety_days_up_to_today(house):
    days = history(house).days

    assert (len(days), days[0].day, days[-1].day) == (90, dt.date(2026, 8, 27), dt.date(2026, 11, 24))


def test_a_day_without_a_sample_is_unknown_and_neither_up_nor_down(house):
    assert monday(house).level == Availability(up=0.0, down=0.0, unknown=86400.0)


def test_an_hour_down_is_an_hour_of_its_day(house):
    add(
        house[1],
        looked("educonnect", MIDNIGHT, MIDNIGHT + 8 * HOUR),
        down("educonnect", MIDNIGHT + 8 * HOUR, MIDNIGHT + 9 * HOUR),
        looked("educonnect", MIDNIGHT + 9 * HOUR, MIDNIGHT + 24 * HOUR),
    )

    assert monday(house).level == Availability(up=82800.0, down=3600.0, unknown=0.0)


def test_the_last_look_before_a_gap_counts_for_one_and_a_half_cadences(house):
    add(
        house[1],
        looked("educonnect", MIDNIGHT, MIDNIGHT + 8 * HOUR),
        looked("educonnect", MIDNIGHT + 9 * HOUR, MIDNIGHT + 24 * HOUR),
    )

    # 07:55 counts until 08:02:30 instead of 08:00, and the gap ends at 09:00.
    assert monday(house).level.unknown == 3600.0 - 150.0


def test_the_last_look_of_the_day_before_counts_into_a_day(house):
    add(house[1], looked("educonnect", MIDNIGHT - STEP / 2, MIDNIGHT))

    assert monday(house).level.up == 300.0


def test_the_day_on_which_clocks_go_back_has_25_hours(house):
    days = {each.day: each for each in history(house).days}

    assert days[dt.date(2026, 10, 25)].level.total == 90000.0


def test_today_is_counted_up_to_now(house):
    assert history(house).days[-1].level.total == 7 * 3600.0


def test_an_outage_over_midnight_is_one(house):
    add(house[1], down("educonnect", MIDNIGHT - HOUR, MIDNIGHT + HOUR), looked("educonnect", MIDNIGHT + HOUR, NOW))

    found = history(house)

    assert [each.span for each in found.outages] == [Span(MIDNIGHT - HOUR, MIDNIGHT + HOUR)]
    assert found.marked("down") == 2


def test_agreed_maintenance_leaves_the_first_figure_as_it_is_and_the_second_without_it(house):
    add(
        house[1],
        down("educonnect", MIDNIGHT, MIDNIGHT + 2 * HOUR),
        looked("educonnect", MIDNIGHT + 2 * HOUR, MIDNIGHT + 24 * HOUR),
    )

    day = monday(house, agreed=[Span(MIDNIGHT, MIDNIGHT + HOUR)])

    assert (day.level.down, day.apart.down, day.apart.up, day.maintenance) == (7200.0, 3600.0, 79200.0, 3600.0)


def test_samples_that_come_late_are_counted(house):
    histories = Histories(1)
    before = monday(house, histories=histories).level.up
    add(house[1], looked("educonnect", MIDNIGHT, MIDNIGHT + HOUR))

    # 23:55 of the hour counts until 00:02:30.
    assert (before, monday(house, histories=histories).level.up) == (0.0, 3750.0)


def test_a_day_that_is_known_is_not_read_again(house, monkeypatch):
    add(house[1], looked("educonnect", MIDNIGHT, NOW))
    histories, read = Histories(1), []
    history(house, histories=histories)
    real = samples.of
    monkeypatch.setattr(samples, "of", lambda *given: read.append(given) or real(*given))

    history(house, histories=histories)

    assert read == []


@pytest.mark.parametrize(("unknown", "told"), [(9.0, True), (11.0, False)])
def test_with_more_than_a_tenth_unknown_one_number_is_not_told(unknown, told):
    assert is_told(Availability(up=100.0 - unknown - 1, down=1.0, unknown=unknown)) is told


# -- now ---------------------------------------------------------------------------------------------------------------


def current(house, vantages=1):
    federation, database = house
    with database.reading() as connection:
        return now_of(connection, ["educonnect"], vantages, rhythm_of(federation, NOW), NOW)["educonnect"]


def sample(ago, result, vantage="main"):
    return Sample(service="educonnect", vantage=vantage, time=NOW - ago, result=result)


def test_the_last_look_is_what_is_known_now(house):
    add(house[1], [sample(2 * STEP, Result.UP), sample(STEP, Result.DOWN)])

    assert current(house) == (Result.DOWN, NOW - STEP)


def test_a_look_that_is_too_old_tells_nothing_of_now(house):
    add(house[1], [sample(1.6 * STEP, Result.UP)])

    assert current(house)[0] is Result.UNKNOWN


def test_a_service_that_nobody_looked_at_is_unknown(house):
    assert current(house) == (Result.UNKNOWN, None)


def test_while_not_all_places_have_looked_the_cadence_before_counts(house):
    before = [sample(dt.timedelta(seconds=200), Result.UP, place) for place in ("a", "b", "c")]
    add(house[1], before, [sample(-dt.timedelta(0), Result.UP, "a")])

    assert current(house, vantages=3)[0] is Result.UP


# -- marks -------------------------------------------------------------------------------------------------------------


def marks(up, down, unknown, maintenance=0.0):
    level = Availability(up=up, down=down, unknown=unknown)
    return [
        (each.tone, each.y, each.height)
        for each in bars([Day(day=MONDAY, level=level, apart=level, maintenance=maintenance)])
    ]


def test_a_day_that_was_up_is_a_whole_bar():
    assert marks(100, 0, 0) == [("good", 0, HEIGHT)]


def test_a_day_of_which_nothing_is_known_is_a_dash():
    assert marks(0, 0, 100) == [("none", HEIGHT - 4, 4)]


def test_the_least_outage_is_a_block_apart_that_can_be_seen():
    assert marks(999, 1, 0) == [("bad", 0, 8), ("good", 11, HEIGHT - 11)]


def test_a_day_that_was_down_throughout_has_no_other_bar():
    assert marks(0, 100, 0) == [("bad", 0, HEIGHT)]


def test_what_is_unknown_of_a_day_shortens_its_bar():
    assert marks(75, 0, 25) == [("good", 9, 27)]


def test_maintenance_is_a_line_below():
    assert marks(100, 0, 0, maintenance=60.0)[-1] == ("work", HEIGHT + 4, GROUND - HEIGHT - 4)
