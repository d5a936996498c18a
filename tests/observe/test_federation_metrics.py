"""What Prometheus is told of the federation: every name with its labels, and the same numbers as the store has."""

import datetime as dt
import re
import subprocess
from dataclasses import dataclass
from itertools import product

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ent_sync.core.levels.availability import Availability
from ent_sync.core.levels.gap import Gap
from ent_sync.core.levels.samples import Result
from ent_sync.core.levels.spans import Span
from ent_sync.core.levels.standing import Standing
from ent_sync.core.levels.trend import Verdict
from ent_sync.core.notice.kinds import Author, Kind, Notice, State, Update, What
from ent_sync.core.notice.roles import Address, Role
from ent_sync.store import measures, notices, samples, seen, ticked
from observe.federating import (
    DOWN,
    FEDERATION_LABELS,
    FROM_THE_START,
    MINUTE,
    MONDAY,
    SERVICES,
    UNKNOWN,
    UP,
    Scraped,
    counting,
    sample,
)
from observe.measuring import open_store

STANDING = Standing(
    levels={("educonnect", "30d", "school", "included"): Availability(up=330, down=120, unknown=150)},
    gaps={("educonnect", "30d", "school"): Gap(point=-0.006944, low=-0.012335, high=-0.002355)},
    trends={"educonnect": Verdict.DIVERGING},
    objective={"ent": 0.995, "educonnect": 0.995},
    people={"educonnect": 1_050_000},
)


@dataclass(frozen=True)
class Look:
    """What a vantage point found of itself."""

    tick: dt.datetime
    network: bool = True
    clock: float | None = 0.25


@pytest.fixture
def store(tmp_path):
    database = open_store(tmp_path / "state.sqlite")
    yield database
    database.close()


def add(store, *given):
    with store.transaction() as connection:
        samples.add(connection, given)


def malfunction(**changed):
    values = {
        "id": "malfunction-20261123T090000-abcdef", "kind": Kind.MALFUNCTION, "state": State.TOLD,
        "author": Author.PROBE, "title": "", "services": ("educonnect",), "cause": "tls_expired", "began": MONDAY,
        "detected": MONDAY + MINUTE, "told": MONDAY + 9 * MINUTE,
    }  # fmt: skip
    return Notice(**{**values, **changed})


def maintenance(**changed):
    values = {
        "id": "maintenance-20261130T200000-abcdef", "kind": Kind.MAINTENANCE, "state": State.RUNNING,
        "cause": None, "began": None, "detected": None, "told": None, "announced": MONDAY - 8 * 1440 * MINUTE,
        "starts": MONDAY, "ends": MONDAY + 60 * MINUTE,
    }  # fmt: skip
    return malfunction(**{**values, **changed})


def put(store, notice, *to):
    update = Update(sequence=0, at=MONDAY, what=What.OPENED, text="") if to else None
    with store.transaction() as connection:
        notices.put(connection, notice, update, to)


def everything(store):
    """A store in which every metric has a value, and a scrape of it."""
    add(store, *[sample(minute, DOWN if minute == 3 else UP, name) for name in SERVICES for minute in range(5)])
    put(
        store,
        malfunction(title="Panne à https://idp.example/", services=SERVICES),
        Address("Région", Role.REGION, "email-2"),
    )
    put(store, maintenance(title="Mise à jour"))
    shown = {
        "certificate:tls": {"ab" * 32: MONDAY + 20 * 1440 * MINUTE},
        "endpoint": {"redirect https://idp.example/sso": None},
        "entity": {"https://idp.example/metadata": None},
        "valid_until": {"valid_until": MONDAY + 1440 * MINUTE},
    }
    with store.transaction() as connection:
        seen.look(connection, "educonnect", shown, MONDAY)
        measures.count(connection, "federation_stage_bucket", ("educonnect", "tls", "0.25"))
        measures.count(connection, "federation_stage_sum", ("educonnect", "tls"), 0.2)
    return Scraped(
        store, looks=lambda *_: {"main": Look(MONDAY + 4 * MINUTE)}, objective=0.995, standing=lambda: STANDING
    )


def labels_of(text):
    return {
        each.name: frozenset(each.labels) for family in text_string_to_metric_families(text) for each in family.samples
    }


def unordered(labels):
    return {name: frozenset(each) for name, each in labels.items()}


# -- names, labels, zeros ----------------------------------------------------------------------------------------------


def test_every_metric_of_the_contract_is_told_with_its_labels(store):
    found = labels_of(everything(store).text(MONDAY + 5 * MINUTE))

    assert found == unordered(FEDERATION_LABELS)


def test_a_new_installation_tells_all_that_can_be_zero_and_nothing_of_what_is_unknown(store):
    found = labels_of(Scraped(store).text())

    assert found == unordered(FROM_THE_START)


def test_every_counter_of_ticks_is_zero_from_the_start(store):
    found = {key[1:]: value for key, value in Scraped(store).at().items() if key[0] == "samples_total"}

    wanted = product(SERVICES, ("up", "down", "unknown"), ("school", "off"), ("agreed", "none"))
    assert found == dict.fromkeys(wanted, 0)


def test_no_label_holds_a_host_an_address_or_a_text(store):
    text = everything(store).text(MONDAY + 5 * MINUTE)

    values = {
        value
        for family in text_string_to_metric_families(text)
        for each in family.samples
        for label, value in each.labels.items()
        if label != "le"
    }
    assert {each for each in values if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,62}", each)} == set()


def test_promtool_finds_nothing_to_say(store):
    text = everything(store).text(MONDAY + 5 * MINUTE)

    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False, timeout=60
    )

    assert (done.returncode, done.stdout + done.stderr) == (0, "")


# -- now ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("result", "value"), [(UP, 1), (DOWN, 0)])
def test_up_is_what_the_last_tick_said(store, result, value):
    add(store, sample(0, UP), sample(1, result))

    found = Scraped(store).at(MONDAY + 1.5 * MINUTE)

    assert (found["up", "educonnect"], found["unknown", "educonnect"]) == (value, 0)


@pytest.mark.parametrize("given", [(), (sample(0),), (sample(0), sample(1, UNKNOWN))], ids=["never", "old", "unknown"])
def test_a_service_of_which_nothing_is_known_now_has_no_up(store, given):
    add(store, *given)

    found = Scraped(store).at(MONDAY + 2 * MINUTE)

    assert ("up", "educonnect") not in found
    assert found["unknown", "educonnect"] == 1


@pytest.mark.parametrize(("results", "value"), [((DOWN, DOWN), 1), ((DOWN, UNKNOWN), 1), ((DOWN, UP), 0)])
def test_an_outage_is_open_until_the_service_is_up_again(store, results, value):
    add(store, *[sample(minute, result) for minute, result in enumerate(results)])

    found = Scraped(store).at(MONDAY + 1.5 * MINUTE)

    assert (found["outages_total", "educonnect"], found["outage_open", "educonnect"]) == (1, value)


# -- the same number twice ---------------------------------------------------------------------------------------------


def stored(store, service, window):
    """The samples of a window by result, counted in the store."""
    with store.reading() as connection:
        found = [each.result for each in samples.of(connection, service, window, hold=dt.timedelta())]
    return {result: found.count(result) for result in Result}


def told(found, service):
    """All ticks of a service by result, as counters have them."""
    return {
        result: sum(value for key, value in found.items() if key[:3] == ("samples_total", service, result.value))
        for result in Result
    }


def test_over_a_window_the_counters_grow_by_what_the_store_counts_in_it(store):
    results = [(UP, UP, DOWN, UNKNOWN, UP, DOWN, DOWN)[minute % 7] for minute in range(180)]
    scraped = Scraped(store)
    add(store, *[sample(minute, result) for minute, result in enumerate(results[:61])])
    before = told(scraped.at(MONDAY + 60 * MINUTE), "educonnect")
    add(store, *[sample(minute, result) for minute, result in enumerate(results) if 60 < minute <= 120])

    after = told(scraped.at(MONDAY + 120 * MINUTE), "educonnect")

    whole = stored(store, "educonnect", Span(MONDAY + 61 * MINUTE, MONDAY + 121 * MINUTE))
    assert {result: after[result] - before[result] for result in Result} == whole
    assert sum(whole.values()) == 60


def test_what_was_counted_once_is_not_counted_again(store):
    scraped = Scraped(store)
    add(store, sample(0), sample(1, DOWN))
    first = scraped.at(MONDAY + 2 * MINUTE)

    assert scraped.at(MONDAY + 2 * MINUTE) == first


def test_after_a_restart_the_counters_go_on_where_they_stood(store):
    add(store, *[sample(minute, DOWN if minute % 5 == 0 else UP) for minute in range(30)])
    now = MONDAY + 30 * MINUTE
    before = told(Scraped(store).at(now), "educonnect")
    with store.transaction() as connection:
        ticked.keep(connection, counting(), now)

    assert told(Scraped(store).at(now), "educonnect") == before == {UP: 24, DOWN: 6, UNKNOWN: 0}


def test_samples_of_old_days_that_are_brought_in_are_no_burst_of_failures(store):
    scraped = Scraped(store)
    add(store, sample(0))
    before = scraped.at(MONDAY + MINUTE)
    add(store, *[sample(-1440 + minute, DOWN) for minute in range(60)])

    after = scraped.at(MONDAY + MINUTE)

    assert told(after, "educonnect") == told(before, "educonnect")


@pytest.mark.parametrize(
    ("moment", "calendar"),
    [(MONDAY, "school"), (MONDAY - 4 * 60 * MINUTE, "off"), (MONDAY - 2 * 1440 * MINUTE, "off")],
    ids=["Monday at ten", "Monday at six", "Saturday at ten"],
)
def test_ticks_are_counted_by_the_calendar(store, moment, calendar):
    add(store, sample(0, start=moment))

    found = Scraped(store).at(moment + MINUTE)

    assert found["samples_total", "educonnect", "up", calendar, "none"] == 1


@pytest.mark.parametrize(("days", "agreed"), [(8, "agreed"), (6, "none")])
def test_ticks_in_maintenance_count_apart_where_it_was_agreed(store, days, agreed):
    night = MONDAY + 12 * 60 * MINUTE
    notice = maintenance(announced=night - days * 1440 * MINUTE, starts=night, ends=night + 60 * MINUTE)
    put(store, notice)
    add(store, sample(5, DOWN, start=night))

    found = Scraped(store).at(night + 6 * MINUTE)

    assert found["samples_total", "educonnect", "down", "off", agreed] == 1


def test_several_vantage_points_make_one_tick(store):
    add(store, *[sample(0, result, vantage=name) for name, result in (("main", DOWN), ("b", DOWN), ("c", UP))])

    found = Scraped(store, counting=counting(vantages=3)).at(MONDAY + MINUTE)

    assert told(found, "educonnect") == {UP: 0, DOWN: 1, UNKNOWN: 0}
    assert found["vantage_samples_total", "educonnect", "c", "up"] == 1


def test_a_tick_waits_for_a_vantage_point_that_is_late(store):
    scraped = Scraped(store, counting=counting(vantages=2))
    add(store, sample(0, UP))
    waiting = told(scraped.at(MONDAY + MINUTE), "educonnect")
    add(store, sample(0, UP, vantage="b"))

    assert (waiting[UP], told(scraped.at(MONDAY + MINUTE), "educonnect")[UP]) == (0, 1)


def test_failures_are_counted_by_stage_and_cause(store):
    add(store, sample(0, DOWN), sample(1, DOWN))

    found = Scraped(store).at(MONDAY + 2 * MINUTE)

    failures = {key: value for key, value in found.items() if key[0] == "failures_total" and value}
    assert failures == {("failures_total", "educonnect", "tls", "tls_expired"): 2}


def test_stages_are_a_histogram(store):
    found = everything(store).at(MONDAY + 5 * MINUTE)

    name = "stage_duration_seconds"
    told_ = [found[f"{name}_bucket", "educonnect", "tls", edge] for edge in ("0.1", "0.25", "+Inf")]
    assert (told_, found[f"{name}_sum", "educonnect", "tls"]) == ([0, 1, 1], 0.2)


# -- metadata, notices, the probe --------------------------------------------------------------------------------------


def test_the_earliest_end_of_the_certificates_of_a_use_is_told(store):
    ends = (MONDAY + dt.timedelta(days=90), MONDAY + dt.timedelta(days=30))
    with store.transaction() as connection:
        shown = {"certificate:signing": {"one": ends[0], "two": ends[1]}}
        seen.look(connection, "educonnect", shown, MONDAY)

    found = Scraped(store).at()

    assert found["certificate_not_after_timestamp_seconds", "educonnect", "signing"] == ends[1].timestamp()


def test_the_first_word_is_timed_from_the_detection(store):
    put(store, malfunction())

    found = Scraped(store).at()

    name = "notice_first_word_seconds"
    told_ = [found[f"{name}_bucket", "malfunction", edge] for edge in ("300.0", "900.0")]
    assert (told_, found[f"{name}_sum", "malfunction"]) == ([0, 1], 480)


@pytest.mark.parametrize("state", [State.DETECTED, State.TOLD])
def test_notices_are_counted_by_state(store, state):
    put(store, malfunction(state=state))

    found = Scraped(store).at()

    assert {key: value for key, value in found.items() if key[0] == "notices" and value} == {
        ("notices", "malfunction", state.value): 1
    }


def test_maintenance_under_way_is_told_of_its_services_with_the_notice_that_was_given(store):
    put(store, maintenance())

    found = Scraped(store).at(MONDAY + MINUTE)

    assert (found["maintenance_active", "educonnect"], found["maintenance_active", "ent"]) == (1, 0)
    assert found["maintenance_notice_seconds_sum",] == 8 * 86400


def test_messages_are_told_by_channel_and_what_became_of_them(store):
    to = [Address("Région", Role.REGION, "email"), Address("Région", Role.REGION, "email-2")]
    put(store, malfunction(), *to, Address("Nord", Role.DEPARTMENT, "webhook"))
    with store.transaction() as connection:
        first = next(each for each in notices.deliveries(connection) if each.channel == "email")
        notices.answered(connection, _accepted(first))

    found = Scraped(store).at()

    pending = [found["deliveries_pending", each] for each in ("email", "webhook")]
    assert (pending, found["deliveries_total", "email", "accepted"]) == ([1, 1], 1)


def _accepted(delivery):
    values = {name: getattr(delivery, name) for name in type(delivery).__slots__}
    return type(delivery)(**{**values, "tries": 1, "status": "250", "accepted": MONDAY + MINUTE})


def test_the_probe_tells_of_its_own_network_and_clock(store):
    found = Scraped(store, looks=lambda *_: {"main": Look(MONDAY, network=False, clock=-0.5)}).at()

    names = ("probe_last_tick_timestamp_seconds", "probe_control_up", "probe_clock_offset_seconds")
    assert [found[name, "main"] for name in names] == [MONDAY.timestamp(), 0, -0.5]


def test_a_probe_that_never_looked_is_silent_since_ever(store):
    assert Scraped(store).at()["probe_last_tick_timestamp_seconds", "main"] == 0


# -- levels ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("bound", "value"), [("known", 0.733333), ("low", 0.55), ("high", 0.80)])
def test_levels_are_told_with_their_bounds(store, bound, value):
    found = Scraped(store, standing=lambda: STANDING).at()

    told_ = found["availability_ratio", "educonnect", "30d", "school", "included", bound]
    assert told_ == pytest.approx(value, abs=1e-6)


def test_of_all_verdicts_one_is_1(store):
    found = Scraped(store, standing=lambda: STANDING).at()

    assert {key[2]: value for key, value in found.items() if key[0] == "trend"} == {
        "diverging": 1,
        "converging": 0,
        "stable": 0,
        "level": 0,
        "insufficient": 0,
    }


def test_a_promised_objective_is_told_before_any_level_is_made(store):
    found = Scraped(store, objective=0.999).at()

    assert [found["objective_ratio", name] for name in SERVICES] == [0.999, 0.999]
