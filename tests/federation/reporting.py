"""A store with samples for reports, and a year of them that is worked out by hand."""

import datetime as dt
from zoneinfo import ZoneInfo

from ent_sync.config.federation import FederationSection
from ent_sync.core.levels.samples import Cause, Result, Sample, Stage
from ent_sync.core.levels.spans import span
from ent_sync.store.database import Database

PARIS = ZoneInfo("Europe/Paris")
UP, DOWN, UNKNOWN = Result.UP, Result.DOWN, Result.UNKNOWN
MINUTE = dt.timedelta(minutes=1)

WEEKDAYS = {
    (2025, 9): 22, (2025, 10): 23, (2025, 11): 20, (2025, 12): 23, (2026, 1): 22, (2026, 2): 20,
    (2026, 3): 22, (2026, 4): 22, (2026, 5): 21, (2026, 6): 22, (2026, 7): 23, (2026, 8): 21,
}  # fmt: skip
"""Mondays to Fridays of the simulated year, counted on a calendar: 261."""
DOWN_TICKS = (24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2)
"""Month by month, so many ticks of five minutes from 10:00 of the second Tuesday: 156 in all."""


def federation(**changed):
    values = {
        "reference": "ent",
        "services": [
            {"name": "ent", "title": "L'ENT", "url": "https://ent.example/"},
            {"name": "educonnect", "title": "EduConnect", "url": "https://educonnect.example/",
             "populations": ["pupil", "guardian"]},
        ],
    }  # fmt: skip
    return FederationSection.model_validate(values | changed)


YEARLY = federation(probing={"cadence": {"school": "5m", "off": "15m"}}, calendar={"public_holidays": "none"})


def open_store(path):
    database = Database(f"sqlite:///{path}")
    database.upgrade()
    return database


def paris(*when):
    return dt.datetime(*when, tzinfo=PARIS)


def utc(*when):
    return dt.datetime(*when, tzinfo=dt.UTC)


def window(start, end):
    return span(start, end)


def sample(service, moment, result, vantage="main"):
    failed = result is DOWN
    return Sample(
        service=service,
        vantage=vantage,
        time=moment,
        result=result,
        stage=Stage.HTTP if failed else Stage.OWN if result is UNKNOWN else None,
        cause=Cause.HTTP_5XX if failed else Cause.OWN_NETWORK if result is UNKNOWN else None,
        seconds=0.1,
    )


def every(seconds, start, end, *, service="ent", down=(), unknown=(), vantage="main"):
    """Samples at one cadence; `down` and `unknown` are pairs of moments."""
    moment = start
    while moment < end:
        result = UP
        if any(first <= moment < after for first, after in unknown):
            result = UNKNOWN
        elif any(first <= moment < after for first, after in down):
            result = DOWN
        yield sample(service, moment, result, vantage)
        moment += dt.timedelta(seconds=seconds)


def second_tuesday(year, month):
    first = dt.date(year, month, 1)
    return first + dt.timedelta(days=(1 - first.weekday()) % 7 + 7)


def outages_of_the_year():
    """Of EduConnect: from 10:00 of each second Tuesday, and three hours of a Sunday."""
    found = []
    for (year, month), count in zip(WEEKDAYS, DOWN_TICKS, strict=True):
        day = second_tuesday(year, month)
        begins = paris(day.year, day.month, day.day, 10).astimezone(dt.UTC)
        found.append((begins, begins + count * 5 * MINUTE))
    return [*found, (paris(2025, 10, 12, 2).astimezone(dt.UTC), paris(2025, 10, 12, 5).astimezone(dt.UTC))]


def moments_of_the_year():
    """Every five minutes from 07:30 to 18:30 of Mondays to Fridays, every fifteen else."""
    moment, after = paris(2025, 9, 1).astimezone(dt.UTC), paris(2026, 9, 1).astimezone(dt.UTC)
    while moment < after:
        yield moment
        here = moment.astimezone(PARIS)
        school = here.weekday() < 5 and dt.time(7, 30) <= here.time() < dt.time(18, 30)
        moment += dt.timedelta(minutes=5 if school else 15)


def the_year():
    """The ENT never down, EduConnect as told; on 1 November the probe is blind for six hours."""
    blind = (paris(2025, 11, 1), paris(2025, 11, 1, 6))
    down = outages_of_the_year()
    for moment in moments_of_the_year():
        if blind[0] <= moment < blind[1]:
            results = {"ent": UNKNOWN, "educonnect": UNKNOWN}
        else:
            fell = any(first <= moment < after for first, after in down)
            results = {"ent": UP, "educonnect": DOWN if fell else UP}
        for service, result in results.items():
            yield sample(service, moment, result)
