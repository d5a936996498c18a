"""Rule 4 of the contract: what the guards hold, how it is approved or rejected, and what overtakes it."""

import datetime as dt

import pytest

from delivering import LEGAL, changed, guardian, pupil, school, staff, village, without
from ent_sync.core.event import BatchPushed, PlanMade
from ent_sync.sync import push
from sync.installed import applied, changes, guards

MANY = 60
PUPILS = [str(100 + n) for n in range(MANY)]


@pytest.fixture
def there(here):
    """Sixty pupils, a guardian each, and a teacher, as of day 1."""
    here.synced(1, village(MANY))
    return here


def leave(number):
    """The sixty without so many pupils; their guardians stay in the delivery."""
    return without(village(MANY), *PUPILS[:number])


@pytest.fixture
def held(there):
    """Twenty-one pupils left, and with them their guardians' links; one pupil is new, one has another name."""
    people = changed(leave(21), pupil("159", family="AUTRE", guardians={"100159": LEGAL}), pupil("900"))
    there.result = there.synced(2, people)
    return there


# -- what is held ------------------------------------------------------------------------------------------------------


def test_departures_over_the_limits_are_held_with_their_plan(held):
    result = held.result

    assert (result.outcome, result.outcome.exit_code) == ("held", 4)
    assert [result.plan] == held.held()
    assert ("departures", "lille-2d/pupil") in guards(result)


def test_creations_and_updates_go_on_beside_what_is_held(held):
    assert applied(held.result) == {"create": 1, "update": 1}
    assert held.status("LILLE$900") == "active"


def test_nothing_destructive_is_written_while_it_is_held(held):
    assert {status for _, status in held.accounts()} == {"active"}
    assert len(held.ask("SELECT * FROM guardianships")) == MANY


def test_what_is_held_counts_as_a_change_that_is_not_applied(held):
    assert changes(held.result) == {"create": 1, "update": 1, "suspend": 42}


def test_twenty_departures_are_let_through(there):
    people = without(village(MANY), *PUPILS[:5])

    assert applied(there.synced(2, people)) == {"suspend": 10}


def test_a_population_under_nine_tenths_is_held_however_small(there):
    result = there.synced(2, leave(7))

    assert guards(result) == [("shrinkage", "lille-2d/pupil")]


def test_delete_requests_do_not_look_like_shrinkage(there):
    there.delta(2, delete=[pupil(each) for each in PUPILS[:7]])

    assert there.sync().outcome == "done"


def test_delete_requests_over_the_limits_are_held(there):
    there.delta(2, delete=[pupil(each) for each in PUPILS[:21]])

    result = there.sync()

    assert ("departures", "lille-2d/pupil") in guards(result)


def test_a_quarter_of_a_school_is_held_though_its_source_would_let_it_through(here):
    """The limit of the source is 3 % of two thousand; the school of eighty loses more than a quarter."""
    big = [staff(str(10_000 + n), functions=[("2", "ENS")]) for n in range(800)]
    small = [staff(str(20_000 + n), functions=[("1", "ENS")]) for n in range(80)]
    others = [*village(1), school("2", uai="0590002B")]
    here.synced(1, [*others, *big, *small])
    here.delta(2, delete=small[:21])

    result = here.sync()

    assert guards(result) == [("departures", "0590001A")]


def test_changed_join_keys_over_the_limits_are_held(here):
    ines = {str(100 + n): f"{100_000_000 + n}AB" for n in range(21)}
    people = without(village(MANY), *ines)
    here.synced(1, [*people, *(pupil(each, ine=ine, guardians={f"100{each}": LEGAL}) for each, ine in ines.items())])
    before = here.views()["accounts"]

    renamed = [pupil(f"9{each}", ine=ine, guardians={f"100{each}": LEGAL}) for each, ine in ines.items()]
    result = here.synced(2, [*people, *renamed])

    assert guards(result) == [("join-keys", "lille-2d")]
    assert here.views()["accounts"] == before


def test_updates_of_more_than_half_are_held(here):
    people = village(1) + [staff(str(10_000 + n)) for n in range(300)]
    here.synced(1, people)

    result = here.synced(2, village(1) + [staff(str(10_000 + n), family="AUTRE") for n in range(300)])

    assert guards(result) == [("updates", "lille-2d")]
    assert changes(result) == {"update": 300}
    assert applied(result) == {}


def test_one_source_over_its_limits_does_not_hold_the_other(region):
    region.complete(1, village(MANY), "lille-2d")
    region.complete(1, village(MANY), "amiens-2d")
    region.sync()
    region.complete(2, leave(21), "lille-2d")
    region.complete(2, without(village(MANY), "100"), "amiens-2d")

    result = region.sync()

    assert ("departures", "lille-2d/pupil") in guards(result)
    assert region.status("AMIENS$100") == "suspended"
    assert region.status("LILLE$100") == "active"


# -- over runs ---------------------------------------------------------------------------------------------------------


def test_the_same_held_set_keeps_the_name_of_its_plan(held):
    again = held.sync()

    assert (again.outcome, again.plan) == ("held", held.result.plan)
    assert held.held() == [held.result.plan]


def test_what_is_held_is_counted_once_however_many_sources_are_read_after_it(region):
    region.complete(1, village(MANY), "lille-2d")
    region.complete(1, village(), "amiens-2d")
    region.sync()
    region.complete(2, leave(21), "lille-2d")
    region.complete(2, [*village(), pupil("900")], "amiens-2d")

    result = region.sync()

    assert changes(result) == {"create": 1, "suspend": 42}
    assert applied(region.approve(result.plan)) == {"suspend": 42}


def test_a_run_in_which_everybody_comes_back_holds_nothing(there):
    there.complete(2, leave(21))
    there.complete(3, village(MANY))

    result = there.sync()

    assert (result.outcome, guards(result), there.held()) == ("done", [], [])


def test_plan_only_counts_once_and_writes_nothing(region):
    region.complete(1, village(), "lille-2d")
    region.complete(1, village(), "amiens-2d")

    result = region.sync(plan_only=True)

    assert (changes(result), applied(result)) == ({"create": 14}, {})
    assert region.accounts() == []


def test_plan_only_tells_what_would_be_held_and_makes_nothing_wait(there):
    there.complete(2, leave(21))

    result = there.sync(plan_only=True)

    assert ("departures", "lille-2d/pupil") in guards(result)
    assert (changes(result), there.held()) == ({"suspend": 42}, [])


def test_what_was_only_planned_is_done_by_the_next_run(here):
    here.complete(1, village())
    here.sync(plan_only=True)

    assert applied(here.sync()) == {"create": 7}


def test_what_was_only_planned_can_be_approved_as_it_was_shown(here):
    here.complete(1, village())
    shown = here.sync(plan_only=True)

    assert applied(here.approve(shown.plan)) == {"create": 7}


def test_what_was_planned_and_done_by_another_run_cannot_be_approved_any_more(here):
    here.complete(1, village())
    shown = here.sync(plan_only=True)
    here.sync()

    assert here.stored("SELECT status FROM plans WHERE plan = ?", shown.plan) == [("overtaken",)]


# -- approve and reject ------------------------------------------------------------------------------------------------


def test_approval_applies_what_was_held(held):
    result = held.approve(held.result.plan)

    assert (result.outcome, applied(result)) == ("done", {"suspend": 42})
    assert [held.status(f"LILLE${each}") for each in (PUPILS[0], PUPILS[20], PUPILS[21])] == [
        "suspended",
        "suspended",
        "active",
    ]


def test_nothing_waits_after_an_approval(held):
    held.approve(held.result.plan)

    again = held.sync()

    assert (again.outcome, changes(again), held.held()) == ("done", {}, [])


def test_approval_leads_where_a_run_without_guards_would_have_led(held, tmp_path):
    free = held.copy(tmp_path / "free")
    free.edit(
        "ent-sync.yaml",
        "guards: {}",
        "guards: {shrinkage: 1 %, source_departures: {share: 100 %}, school_departures: {share: 100 %}}",
    )
    free.sync()

    held.approve(held.result.plan)

    assert held.views() == free.views()


def test_approval_applies_exactly_what_was_stored_and_no_later_departure(held):
    plan = held.result.plan
    held.delta(3, delete=[pupil(PUPILS[30])])

    held.approve(plan)

    assert held.status(f"LILLE${PUPILS[30]}") == "active"


def test_a_row_whose_entry_moved_is_refused_and_told(held):
    """The entry changes between the plan and its approval, without a run that would have planned it again."""
    moving = held.account(f"LILLE${PUPILS[0]}")
    with held.opened() as parts, parts.database.transaction() as connection:
        connection.exec_driver_sql("UPDATE entries SET acknowledged = x'00' WHERE entry_id = ?", (moving,))

    result = held.approve(held.result.plan)

    assert (result.outcome, result.failed, applied(result)) == ("partial", 1, {"suspend": 41})
    assert held.stored("SELECT entry_id, rule FROM changes WHERE status = 'refused'") == [(moving, "state-moved")]


def test_a_rejected_plan_writes_nothing_and_the_next_run_asks_again(held):
    held.reject(held.result.plan)

    again = held.sync()

    assert again.outcome == "held"
    assert again.plan != held.result.plan
    assert {status for _, status in held.accounts()} == {"active"}


def test_a_person_who_returns_overtakes_the_hold(held):
    people = changed(leave(21), pupil("159", family="AUTRE", guardians={"100159": LEGAL}), pupil("900"))
    back = pupil(PUPILS[0], guardians={"100100": LEGAL})

    result = held.synced(3, changed(people, back))
    held.approve(result.plan)

    assert result.plan != held.result.plan
    assert (held.status(f"LILLE${PUPILS[0]}"), held.status(f"LILLE${PUPILS[1]}")) == ("active", "suspended")


def test_a_hold_from_which_everybody_returned_is_overtaken(held):
    held.synced(3, [*village(MANY), pupil("900")])

    assert held.held() == []


def test_a_delivery_that_is_held_itself_leaves_the_held_plan_alone(held):
    folder = held.complete(3, village(MANY))
    next(folder.glob("*_Eleve_0000.xml")).unlink()

    result = held.sync()

    assert held.held() == [held.result.plan] == [result.plan]


# -- freeze ------------------------------------------------------------------------------------------------------------

OPEN = dt.datetime(2026, 9, 10, tzinfo=dt.UTC)
FROZEN = "freeze: [{from: 2026-09-02T00:00:00+00:00, to: 2026-09-09T00:00:00+00:00, hold: %s, title: exams}]"


def freeze(there, hold):
    there.edit("ent-sync.yaml", "freeze: []", FROZEN % hold)
    there.now = OPEN - dt.timedelta(days=5)


def test_a_frozen_time_holds_departures_and_lets_others_through(there):
    freeze(there, "departures")

    result = there.synced(2, [*without(village(MANY), "100"), pupil("900")])

    assert (guards(result), applied(result)) == ([("freeze", "exams")], {"create": 1})
    assert there.status("LILLE$100") == "active"


def test_a_frozen_time_may_hold_everything(there):
    freeze(there, "all")

    result = there.synced(2, [*village(MANY), pupil("900")])

    assert (guards(result), applied(result)) == ([("freeze", "exams")], {})


@pytest.mark.parametrize("hold", ["departures", "all"])
def test_what_waited_goes_with_the_first_run_after_the_frozen_time(there, hold):
    freeze(there, hold)
    there.synced(2, [*without(village(MANY), "100"), pupil("900")])
    there.now = OPEN

    result = there.sync()

    assert (result.outcome, there.held()) == ("done", [])
    assert (there.status("LILLE$100"), there.status("LILLE$900")) == ("suspended", "active")


def test_a_frozen_time_without_departures_holds_nothing(there):
    freeze(there, "departures")

    assert there.synced(2, [*village(MANY), guardian("77"), pupil("900", guardians={"77": LEGAL})]).outcome == "done"


# -- stop --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seen", "there"), [(PlanMade, 0), (BatchPushed, 4)], ids=["before the push", "while pushing"])
def test_a_stopped_run_writes_no_more_and_is_finished_by_the_next(here, monkeypatch, seen, there):
    monkeypatch.setattr(push, "BATCH", 1)
    here.complete(1, village())
    told = []
    with here.opened(listeners=[told.append], stopping=lambda: any(isinstance(each, seen) for each in told)) as parts:
        stopped = here.sync(parts)

    assert stopped.outcome == "stopped"
    assert len(here.accounts()) <= there
    assert (here.sync().outcome, len(here.accounts())) == ("done", 7)
