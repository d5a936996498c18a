"""The metrics of the contract (§5): their names and labels, their zeros, and what moves them."""

import contextlib
import datetime as dt

import pytest
import sqlalchemy as sa

from ent_sync.core.completeness import Delivery
from ent_sync.core.guard import Guard
from ent_sync.core.record import Population
from ent_sync.core.run import Kind, Outcome, RunResult, SourceRead
from ent_sync.observe.metrics import Configured, Live, exposition
from ent_sync.store import drift, entries, lease, measures, plans, runs, schema
from ent_sync.store.drift import Measured
from observe.measuring import CONFIGURED, LABELS, NOW, change, collected, entry, open_store, planned, scrape


@pytest.fixture
def store(tmp_path):
    database = open_store(tmp_path / "state.sqlite")
    yield database
    database.close()


@pytest.fixture
def writing(store):
    """A transaction; it commits before the test scrapes, since a scrape has a connection of its own."""
    return store.transaction


def result(outcome, *sources, seconds=12.0):
    return RunResult(
        run="run-1", kind=Kind.FULL, outcome=outcome, plan=None,
        sources=tuple(SourceRead(name, complete=True, delivery="d") for name in sources),
        changes={}, unchanged=0, applied={}, failed=0, quarantined=0, held=(), reasons=(), started=NOW, seconds=seconds,
    )  # fmt: skip


def delivery(date=dt.date(2026, 11, 24), *, complete=True):
    return Delivery(
        id=f"d-{date}", source="lille-2d", complete=complete, date=date, signature="s", place="p", parts=(), size=1
    )


# -- names, labels, zeros ----------------------------------------------------------------------------------------------


def test_all_names_of_the_contract_are_there_with_their_labels_and_no_others(store):
    samples = [sample for family in scrape(store).families.values() for sample in family.samples]

    labels = {}
    for sample in samples:
        labels.setdefault(sample.name.removeprefix("ent_sync_"), set()).update(sample.labels)
    assert labels == {name: set(each) for name, each in LABELS.items()}


def test_everything_that_is_configured_has_a_zero_before_anything_happened(store):
    found = scrape(store)

    assert found["runs_total", "amiens-1d", "failed"] == 0
    assert found["changes_total", "ent", "create", "acknowledged"] == 0
    assert found["accounts", "ent", "guardian", "suspended"] == 0
    assert found["guard_held", "amiens-1d", "departures"] == 0
    assert found["freshness_seconds_bucket", "lille-2d", "+Inf"] == 0
    assert found["scheduler_missed_total", "lille-2d"] == 0


def test_a_source_that_never_succeeded_has_last_success_0(store):
    assert scrape(store)["last_success_timestamp_seconds", "lille-2d"] == 0


def test_the_moment_of_the_last_success_is_told_in_seconds_since_1970(store, writing):
    with writing() as connection:
        connection.execute(sa.insert(schema.sources).values(source="lille-2d"))
        runs.succeeded(
            connection, "lille-2d", dt.datetime(2026, 11, 24, 6, 0, tzinfo=dt.timezone(dt.timedelta(hours=1)))
        )

    assert scrape(store)["last_success_timestamp_seconds", "lille-2d"] == 1795496400.0


def test_a_source_without_a_promise_has_an_interval_of_0(store):
    found = scrape(store)

    assert (found["schedule_interval_seconds", "lille-2d"], found["schedule_interval_seconds", "amiens-1d"]) == (
        86400,
        0,
    )


def test_the_end_of_a_signature_is_told_as_the_midnight_it_does_not_count_from(store):
    assert scrape(store)["register_signature_expires_timestamp_seconds"] == 1819756800.0


def test_openmetrics_is_spoken_to_who_asks_for_it(store):
    body, content_type = exposition(collected(store), "application/openmetrics-text;version=1.0.0,text/plain;q=0.5")

    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert body.endswith(b"# EOF\n")


def test_a_restart_forgets_nothing(store, writing):
    with writing() as connection:
        measures.count_run(connection, result(Outcome.DONE, "lille-2d"), ())
    scrape(store)

    assert scrape(store).of("runs_total") == {("lille-2d", "done"): 1}


# -- runs --------------------------------------------------------------------------------------------------------------


def test_a_run_counts_for_each_source_that_it_read(store, writing):
    with writing() as connection:
        measures.count_run(connection, result(Outcome.PARTIAL, "lille-2d", "amiens-1d"), ())

    assert scrape(store).of("runs_total") == {("lille-2d", "partial"): 1, ("amiens-1d", "partial"): 1}


def test_of_a_held_run_the_sources_that_do_not_stand_still_are_done(store, writing):
    with writing() as connection:
        measures.count_run(connection, result(Outcome.HELD, "lille-2d", "amiens-1d"), {"lille-2d"})

    assert scrape(store).of("runs_total") == {("lille-2d", "held"): 1, ("amiens-1d", "done"): 1}


def test_a_run_that_read_no_source_is_counted_too(store, writing):
    with writing() as connection:
        measures.count_run(connection, result(Outcome.DONE), ())
        measures.count_run(connection, result(Outcome.HELD), ())

    assert scrape(store).of("runs_total") == {("-", "done"): 1, ("-", "held"): 1}


def test_a_run_that_died_has_failed(store, writing):
    with writing() as connection:
        measures.count_dead(connection, 2, NOW)

    assert scrape(store).of("runs_total") == {("-", "failed"): 2}
    assert scrape(store).of("last_failure_timestamp_seconds") == {("-",): 1795500000.0}


def test_the_last_failure_of_a_source_stays_known_after_a_success(store, writing):
    with writing() as connection:
        measures.count_run(connection, result(Outcome.FAILED, "lille-2d"), ())
        measures.count_run(connection, result(Outcome.DONE, "lille-2d"), ())

    assert scrape(store).of("last_failure_timestamp_seconds") == {("lille-2d",): 1795500012.0}


def test_the_durations_of_runs_fall_into_every_bucket_that_is_long_enough(store, writing):
    with writing() as connection:
        for seconds in (0.5, 5.0, 5.1, 20000.0):
            measures.count_run(connection, result(Outcome.DONE, "lille-2d", seconds=seconds), ())

    found = scrape(store)
    buckets = {
        bound: found["run_duration_seconds_bucket", "lille-2d", bound] for bound in ("1.0", "5.0", "15.0", "+Inf")
    }
    assert buckets == {"1.0": 1, "5.0": 2, "15.0": 3, "+Inf": 4}
    assert found["run_duration_seconds_count", "lille-2d"] == 4
    assert found["run_duration_seconds_sum", "lille-2d"] == pytest.approx(20010.6)


def test_records_are_counted_for_each_delivery_that_was_read(store, writing):
    with writing() as connection:
        measures.count_read(connection, "lille-2d", {Population.PUPIL: 30, Population.STAFF: 2})
        measures.count_read(connection, "lille-2d", {Population.PUPIL: 5, Population.STAFF: 0})

    assert scrape(store).of("records_read_total") == {("lille-2d", "pupil"): 35, ("lille-2d", "staff"): 2}


def test_withheld_values_are_counted_by_population(store, writing):
    with writing() as connection:
        measures.count_withheld(connection, {Population.GUARDIAN: 7})

    assert scrape(store).of("attributes_withheld_total") == {("guardian",): 7}


# -- changes and freshness ---------------------------------------------------------------------------------------------


def test_acknowledged_changes_are_those_of_accounts(store, writing):
    with writing() as connection:
        group = change("0590000A$class$3A", kind="group", population=None)
        planned(connection, "p", change("a"), change("b"), change("c", "suspend"), group, change("late"))
        measures.count_acknowledged(connection, "p", [0, 1, 2, 3], NOW)

    assert scrape(store).of("changes_total") == {
        ("ent", "create", "acknowledged"): 2,
        ("ent", "suspend", "acknowledged"): 1,
    }


def test_what_was_not_made_counts_whatever_it_is_and_says_whether_anybody_answered(store, writing):
    with writing() as connection:
        group = change("0590000A$class$3A", kind="group", population=None)
        planned(connection, "p", change("a"), group, change("b", "update"))
        plans.refuse(connection, "p", [(0, "schema", "…"), (1, "schema", "…"), (2, "unanswered", "…")], NOW)
        measures.count_refused(connection, "p", [0, 1, 2])

    assert scrape(store).of("changes_total") == {("ent", "create", "refused"): 2, ("ent", "update", "unanswered"): 1}


def test_freshness_counts_from_the_change_at_the_source_to_the_acknowledgement(store, writing):
    hour_ago = NOW - dt.timedelta(hours=1)
    with writing() as connection:
        for id_ in ("a", "b"):
            entry(connection, id_, changed_at=schema.instant(hour_ago))
        planned(connection, "p", change("a", "update"), change("b", "update"))
        measures.count_acknowledged(connection, "p", [0, 1], NOW)

    found = scrape(store)
    assert found["freshness_seconds_bucket", "lille-2d", "900.0"] == 0
    assert found["freshness_seconds_bucket", "lille-2d", "3600.0"] == 2
    assert found["freshness_seconds_sum", "lille-2d"] == 7200.0


def test_what_no_source_changed_has_no_freshness(store, writing):
    with writing() as connection:
        entry(connection, "a")
        planned(connection, "p", change("a", "update"))
        measures.count_acknowledged(connection, "p", [0], NOW)

    assert scrape(store)["freshness_seconds_count", "lille-2d"] == 0


def test_a_delivery_dated_tomorrow_is_not_fresher_than_now(store, writing):
    with writing() as connection:
        entry(connection, "a", changed_at=schema.instant(NOW + dt.timedelta(hours=9)))
        planned(connection, "p", change("a", "update"))
        measures.count_acknowledged(connection, "p", [0], NOW)

    assert scrape(store)["freshness_seconds_bucket", "lille-2d", "1.0"] == 1
    assert scrape(store)["freshness_seconds_sum", "lille-2d"] == 0


def test_retries_are_counted_by_target(store, writing):
    with writing() as connection:
        measures.count(connection, "retries", ("ent",), 3)

    assert scrape(store)["retries_total", "ent"] == 3


# -- how things stand --------------------------------------------------------------------------------------------------


def test_accounts_are_those_that_the_target_holds(store, writing):
    with writing() as connection:
        entry(connection, "a")
        entry(connection, "b")
        entry(connection, "c", lifecycle="suspended")
        entry(connection, "d", population="staff")
        entry(connection, "not yet", lifecycle=None)
        entry(connection, "0590000A", population="school", kind="structure")

    assert scrape(store).of("accounts") == {
        ("ent", "pupil", "active"): 2,
        ("ent", "pupil", "suspended"): 1,
        ("ent", "staff", "active"): 1,
    }


def test_accounts_are_counted_on_whatever_way_they_went(store, writing):
    with writing() as connection:
        for name in ("stays", "leaves", "goes", "returns"):
            entry(connection, name)
        for statement in (
            "UPDATE entries SET lifecycle = 'suspended', stale = FALSE WHERE entry_id IN ('leaves', 'returns')",
            "UPDATE entries SET lifecycle = 'active' WHERE entry_id IN ('returns', 'stays')",
            "DELETE FROM entries WHERE entry_id = 'goes'",
        ):
            connection.execute(sa.text(statement))

    assert scrape(store).of("accounts") == {("ent", "pupil", "active"): 2, ("ent", "pupil", "suspended"): 1}


def test_what_a_target_turned_out_not_to_hold_is_no_account(store, writing):
    with writing() as connection:
        entry(connection, "a")
        entries.disown(connection, "ent", ["a"])

    assert scrape(store).of("accounts") == {}


def test_an_account_of_a_transaction_that_failed_is_not_counted(store):
    with contextlib.suppress(RuntimeError), store.transaction() as connection:
        entry(connection, "a")
        raise RuntimeError

    assert scrape(store).of("accounts") == {}


def test_quarantined_records_are_counted_by_source_and_population(store, writing):
    with writing() as connection:
        for number, population in enumerate(("pupil", "pupil", "guardian")):
            connection.execute(
                sa.insert(schema.quarantine).values(
                    id=str(number), source="lille-2d", population=population, rule="r", file="f", message="m",
                    delivery="d", since=NOW,
                )
            )  # fmt: skip

    assert scrape(store).of("quarantined") == {("lille-2d", "pupil"): 2, ("lille-2d", "guardian"): 1}


def held_plan(connection, *documents):
    planned(connection, "p")
    plans.settle(connection, "p", "held", NOW, digest="x", holds=documents)


def test_a_held_plan_names_source_and_guard_and_not_the_school(store, writing):
    document = {"guard": "departures", "scope": "0590000A", "observed": 0.5, "limit": 0.25}
    with writing() as connection:
        held_plan(
            connection, {**document, "source": "lille-2d"}, {**document, "scope": "0590001B", "source": "lille-2d"}
        )

    assert scrape(store).of("guard_held") == {("lille-2d", "departures"): 2}


def test_a_freeze_holds_every_source(store, writing):
    with writing() as connection:
        held_plan(connection, {"guard": "freeze", "scope": "Rentrée", "observed": 1.0, "limit": 0.0, "source": None})

    assert scrape(store).of("guard_held") == {("lille-2d", "freeze"): 1, ("amiens-1d", "freeze"): 1}


def test_a_plan_that_was_settled_holds_nothing_any_more(store, writing):
    with writing() as connection:
        held_plan(
            connection, {"guard": "updates", "scope": "lille-2d", "observed": 1.0, "limit": 0.5, "source": "lille-2d"}
        )
        plans.settle(connection, "p", "applied", NOW)

    assert scrape(store).of("guard_held") == {}


def judged(connection, status, guard, at, date=dt.date(2026, 11, 24)):
    runs.judged(connection, delivery(date), status, (), {}, at, guard)


def test_a_held_delivery_names_its_guard(store, writing):
    with writing() as connection:
        judged(connection, "held", Guard.GAP.value, NOW)

    assert scrape(store).of("guard_held") == {("lille-2d", "gap"): 1}


def test_a_refused_delivery_waits_for_somebody_until_a_newer_one_is_applied(store, writing):
    with writing() as connection:
        judged(connection, "refused", Guard.ORDER.value, NOW, dt.date(2026, 11, 20))
    waiting = scrape(store).of("guard_held")
    with writing() as connection:
        judged(connection, "applied", None, NOW + dt.timedelta(days=1), dt.date(2026, 11, 25))

    assert (waiting, scrape(store).of("guard_held")) == ({("lille-2d", "order"): 1}, {})


def test_drift_is_what_the_last_verification_found(store, writing):
    with writing() as connection:
        drift.remember(connection, "ent", Measured(ratio=0.02, looked=100, sample=None, at=NOW))

    assert scrape(store)["drift_ratio", "ent"] == 0.02


def test_a_lease_is_held_while_its_holder_lives(store, writing):
    with writing() as connection:
        held = lease.acquire(connection, "run-1", NOW)
    while_held = scrape(store)
    with writing() as connection:
        lease.release(connection, held)
    free = scrape(store)

    assert (while_held["lease_held"], while_held["lease_abandoned"]) == (1, 0)
    assert (free["lease_held"], free["lease_abandoned"]) == (0, 0)


def test_a_lease_whose_holder_died_is_abandoned_until_somebody_takes_over(store, writing):
    with writing() as connection:
        lease.acquire(connection, "run-1", NOW)
    found = scrape(store, now=NOW + dt.timedelta(minutes=2))

    assert (found["lease_held"], found["lease_abandoned"]) == (0, 1)


def test_what_only_the_daemon_knows_is_asked_at_each_scrape(store):
    moving = {"ent": 1.0}
    live = Live(in_flight=lambda: moving, circuit_open=lambda: {"ent": 1}, missed=lambda: {"lille-2d": 2})
    before = scrape(store, live=live)
    moving["ent"] = 64.0

    after = scrape(store, live=live)

    assert (before["push_in_flight", "ent"], after["push_in_flight", "ent"]) == (1, 64)
    assert (after["circuit_open", "ent"], after["scheduler_missed_total", "lille-2d"]) == (1, 2)


def test_what_is_not_configured_any_more_is_not_told(store, writing):
    with writing() as connection:
        measures.count_run(connection, result(Outcome.DONE, "amiens-1d"), ())

    found = scrape(store, Configured(sources=("lille-2d",), targets=("ent",)))

    assert found.of("runs_total") == {}
    assert {labels[0] for name, labels in found.samples if name == "runs_total"} == {"lille-2d", "-"}


def test_the_label_sets_are_as_many_as_the_configuration_makes_and_no_more(store, writing):
    """Whatever happens, a scrape cannot grow with people, schools or runs."""
    before = scrape(store).samples.keys()
    with writing() as connection:
        measures.count_run(connection, result(Outcome.HELD, "lille-2d"), {"lille-2d"})
        entry(connection, "a")
        planned(connection, "p", change("a"))
        measures.count_acknowledged(connection, "p", [0], NOW)
        judged(connection, "held", "gap", NOW)
        plans.settle(
            connection,
            "p",
            "held",
            NOW,
            holds=[{"guard": "departures", "scope": "0590000A", "source": "lille-2d"}],
        )

    assert scrape(store, CONFIGURED).samples.keys() == before
