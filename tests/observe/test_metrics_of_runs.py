"""What runs of a real installation leave to be measured: the figures of a scrape are those that the runs answered."""

import datetime as dt

import pytest

from delivering import pupil, village, without
from ent_sync import compose
from ent_sync.core.errors import UnavailableError
from ent_sync.observe.metrics import Configured, StoreCollector, exposition, reading, registry
from observe.measuring import Figures
from sync.installed import Installation

MORNING = dt.datetime(2026, 9, 2, 5, 30, tzinfo=dt.timezone(dt.timedelta(hours=2)))
CONFIGURED = Configured(sources=("lille-2d",), targets=("ent",))


class Watched(Installation):
    """An installation whose clock stands at half past five of the day of its first delivery."""

    def __init__(self, folder):
        super().__init__(folder)
        self.now = MORNING

    def scrape(self):
        """What Prometheus is told of it."""
        address = compose.load(self.config).store_url
        body, _ = exposition(registry(StoreCollector(lambda: reading(address), CONFIGURED, lambda: self.now)), "")
        return Figures(body.decode())


@pytest.fixture
def here(tmp_path):
    return Watched(tmp_path / "here")


def test_a_first_load_is_counted_as_the_run_answers_it(here):
    result = here.synced(1, village(3))

    found = here.scrape()
    created = result.applied["create"]
    assert created == found["changes_total", "ent", "create", "acknowledged"] > 0
    assert sum(found.of("accounts").values()) == created
    assert found["accounts", "ent", "pupil", "active"] == 3
    assert found["records_read_total", "lille-2d", "pupil"] == 3
    assert found.of("runs_total") == {("lille-2d", "done"): 1}
    assert found["last_success_timestamp_seconds", "lille-2d"] == MORNING.timestamp()
    assert found["attributes_withheld_total", "guardian"] >= 0


def test_freshness_begins_with_the_day_of_the_delivery(here):
    here.synced(1, village(3))

    found = here.scrape()
    number = found["freshness_seconds_count", "lille-2d"]
    assert number >= sum(found.of("accounts").values())
    assert found["freshness_seconds_sum", "lille-2d"] == number * 5.5 * 3600


def test_a_day_without_changes_reads_and_acknowledges_nothing_new(here):
    here.synced(1, village(3))
    before = here.scrape()
    here.sync()

    after = here.scrape()
    assert after.of("changes_total") == before.of("changes_total")
    assert after["freshness_seconds_count", "lille-2d"] == before["freshness_seconds_count", "lille-2d"]
    assert after["runs_total", "lille-2d", "done"] == 2


def test_a_change_of_the_next_day_is_as_old_as_its_delivery(here):
    people = village(3)
    here.synced(1, people)
    before = here.scrape()
    here.now = MORNING + dt.timedelta(days=1)
    here.synced(2, [*people, pupil("900")])

    after = here.scrape()
    grown = {
        bound: after["freshness_seconds_bucket", "lille-2d", bound]
        - before["freshness_seconds_bucket", "lille-2d", bound]
        for bound in ("3600.0", "21600.0")
    }
    assert grown["3600.0"] == 0
    assert grown["21600.0"] >= 1


def test_what_somebody_approved_late_is_as_old_as_the_delivery_that_said_it(here):
    here.synced(1, village(60))
    here.now = MORNING + dt.timedelta(days=1)
    result = here.synced(2, without(village(60), *[str(100 + number) for number in range(30)]))
    waiting = here.scrape()
    here.now = MORNING + dt.timedelta(days=4)
    here.approve(result.plan)

    after = here.scrape()
    assert waiting["guard_held", "lille-2d", "departures"] >= 1
    assert after.of("guard_held") == {}
    assert after["changes_total", "ent", "suspend", "acknowledged"] >= 30
    assert after["accounts", "ent", "pupil", "suspended"] == 30
    week, two_days = (after["freshness_seconds_bucket", "lille-2d", bound] for bound in ("604800.0", "172800.0"))
    assert week - two_days >= 30
    assert after["runs_total", "-", "done"] == 1


def test_a_truncated_delivery_is_held_under_completeness_until_the_next_one(here):
    people = village(3)
    here.synced(1, people)
    here.now = MORNING + dt.timedelta(days=1)
    folder = here.complete(2, people)
    broken = min(folder.rglob("*Eleve*.xml"))
    broken.write_bytes(broken.read_bytes()[:-40])
    here.sync()
    held = here.scrape()
    here.now = MORNING + dt.timedelta(days=2)
    here.synced(3, people)

    after = here.scrape()
    assert held.of("guard_held") == {("lille-2d", "completeness"): 1}
    assert held["runs_total", "lille-2d", "held"] == 1
    assert after.of("guard_held") == {}


def test_an_older_delivery_is_held_under_order(here):
    here.synced(3, village(3))
    here.synced(2, village(3))

    assert here.scrape().of("guard_held") == {("lille-2d", "order"): 1}


class Away:
    """A target that went away; nothing else of it is asked."""

    def __init__(self, real):
        self.real = real

    def __getattr__(self, name):
        return getattr(self.real, name)

    def push(self, changes):
        raise UnavailableError("it went away")


@pytest.fixture
def gone(here, monkeypatch):
    """A run after which nothing is pushed, since the target went away, however often it was asked."""
    monkeypatch.setattr("ent_sync.sync.push._pause", lambda _: None)
    here.complete(1, village(3))
    with here.opened() as parts:
        parts.targets["ent"] = Away(parts.targets["ent"])
        with pytest.raises(UnavailableError):
            here.sync(parts)
    return here


def test_a_target_that_went_away_makes_the_run_fail(gone):
    found = gone.scrape()
    assert found["runs_total", "lille-2d", "failed"] == 1
    assert found["last_failure_timestamp_seconds", "lille-2d"] == MORNING.timestamp()
    assert found["last_success_timestamp_seconds", "lille-2d"] == 0


def test_what_was_offered_to_it_once_more_is_counted_even_when_it_gave_nothing(gone):
    assert gone.scrape()["retries_total", "ent"] == 3


def test_no_label_holds_a_person_a_school_or_a_run(here):
    people = village(60)
    here.synced(1, people)
    here.now = MORNING + dt.timedelta(days=1)
    result = here.synced(2, without(people, *[str(100 + number) for number in range(30)]))

    text = repr(here.scrape().samples.keys())
    assert "0590001A" not in text
    assert result.run not in text
    assert "LILLE$" not in text
