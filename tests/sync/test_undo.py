"""Undoing a run: what it changed becomes again what it was, under the same guards; what moved since is left alone."""

import datetime as dt
import json

import pytest

from delivering import LEGAL, changed, guardian, pupil, village, without
from sync.installed import applied, changes, day, guards
from sync.undoing import undone

MANY = 60


@pytest.fixture
def there(here):
    """Sixty pupils with a guardian each, and a teacher, as of day 1."""
    here.synced(1, village(MANY))
    here.first = here.views()
    return here


@pytest.fixture
def moved(there):
    """On day 2 one pupil left with their guardian, one is new in a new class, and one has another name and class."""
    people = changed(
        without(village(MANY), "100", "100100"),
        pupil("159", family="AUTRE", classes=("6B",), guardians={"100159": LEGAL}),
        pupil("900", classes=("6B",)),
    )
    there.people = people
    there.run = there.synced(2, people).run
    return there


# -- the way back ------------------------------------------------------------------------------------------------------


def test_after_an_undoing_everything_is_what_it_was(moved):
    undone(moved, moved.run)

    assert moved.views() == moved.first


def test_an_undoing_answers_as_a_run_of_its_kind(moved):
    result = undone(moved, moved.run)

    assert (result.kind, result.outcome) == ("undo", "done")
    assert applied(result) == changes(result) == {"update": 1, "restore": 2, "delete": 1}


def test_what_is_unchanged_is_counted_without_what_is_taken_away(moved):
    """60 pupils, 59 guardians of 60, and a teacher are active before; one pupil goes, one changes."""
    result = undone(moved, moved.run)

    assert result.unchanged == 60 + 59 + 1 - 2


def test_a_group_that_the_run_made_goes_with_its_members(moved):
    undone(moved, moved.run)

    assert [code for (code,) in moved.ask("SELECT code FROM groups WHERE kind = 'class'")] == ["6A"]


def test_a_restored_account_is_suspended_again_for_the_reason_it_had(moved):
    left = moved.stored("SELECT entry_id, left_on FROM entries WHERE lifecycle = 'suspended' ORDER BY 1")
    back = moved.synced(3, changed(moved.people, pupil("100", guardians={"100100": LEGAL}), guardian("100100")))

    result = undone(moved, back.run)

    assert applied(result) == {"suspend": 2}
    assert left == moved.stored("SELECT entry_id, left_on FROM entries WHERE lifecycle = 'suspended' ORDER BY 1")


def test_an_undoing_can_be_undone(moved):
    after = moved.views()
    back = undone(moved, moved.run)

    result = undone(moved, back.run)

    assert moved.views() == after
    assert (result.outcome, result.reasons) == ("done", ())


def test_a_group_that_emptied_comes_back_with_its_members(there):
    there.synced(2, changed(village(MANY), pupil("100", classes=("5C",), guardians={"100100": LEGAL})))
    before = there.views()
    run = there.synced(3, village(MANY)).run

    undone(there, run)

    assert there.views() == before


def test_a_first_load_is_undone_to_nothing(here):
    run = here.synced(1, village(3)).run

    result = undone(here, run)

    assert applied(result) == {"delete": 7}
    assert {view: rows for view, rows in here.views().items() if rows} == {}


def test_what_several_passes_of_a_run_did_is_undone_as_one(there):
    there.delta(2, modify=[pupil("100", family="AUTRE", guardians={"100100": LEGAL})])
    there.delta(3, modify=[pupil("100", family="ENCORE", guardians={"100100": LEGAL})])
    run = there.sync().run

    result = undone(there, run)

    assert applied(result) == {"update": 1}
    assert there.views() == there.first


def test_who_came_and_left_in_one_run_is_left_as_a_suspended_account_of_nobody(there):
    there.delta(2, add=[pupil("900")])
    there.delta(3, delete=[pupil("900")])
    run = there.sync().run

    undone(there, run)

    assert there.status("LILLE$900") is None


# -- the store stays true ----------------------------------------------------------------------------------------------


def test_the_next_sync_does_again_what_the_sources_still_say(moved):
    after = moved.views()
    undone(moved, moved.run)

    result = moved.sync()

    assert moved.views() == after
    assert applied(result) == {"create": 1, "update": 1, "suspend": 2}


def test_the_answer_says_that_the_sources_still_say_so(moved):
    result = undone(moved, moved.run)

    assert result.reasons[-1] == (
        f"the sources still say what run {moved.run} did: the next sync does it again. Before it: correct the source "
        "or the mapping, or ent-sync pause"
    )


def test_a_corrected_source_after_an_undoing_changes_nothing_more(moved):
    undone(moved, moved.run)

    assert changes(moved.synced(3, village(MANY))) == {}


def test_the_store_holds_what_the_target_confirmed(moved):
    undone(moved, moved.run)

    assert moved.stored("SELECT count(*) FROM entries WHERE lifecycle = 'active' AND kind = 'account'") == [(121,)]
    assert moved.stored("SELECT count(*) FROM tombstones") == [(0,)]


# -- what is not undone ------------------------------------------------------------------------------------------------


def test_an_entry_that_moved_since_is_left_alone_and_told(moved):
    later = pupil("159", family="DERNIER", classes=("6B",), guardians={"100159": LEGAL})
    moved.synced(3, changed(moved.people, later))

    result = undone(moved, moved.run)

    assert (result.outcome, result.failed) == ("partial", 2)
    assert moved.ask("SELECT family_name FROM accounts WHERE source_key = 'LILLE$159'") == [("DERNIER",)]
    assert result.reasons[0] == ("1 not undone (state-moved): changed again since that run, and left as it is now")


def test_what_is_not_undone_is_among_the_errors_of_the_run(moved):
    moved.synced(3, changed(moved.people, pupil("159", family="DERNIER", guardians={"100159": LEGAL})))

    undone(moved, moved.run)

    refused = moved.stored("SELECT kind, operation, rule FROM changes WHERE status = 'refused' ORDER BY 1")
    assert ("account", "update", "state-moved") in refused


def test_a_group_in_which_somebody_stays_is_not_taken_away(moved):
    later = pupil("159", family="DERNIER", classes=("6B",), guardians={"100159": LEGAL})
    moved.synced(3, changed(moved.people, later))

    undone(moved, moved.run)

    assert sorted(code for (code,) in moved.ask("SELECT code FROM groups WHERE kind = 'class'")) == ["6A", "6B"]


def test_what_the_clock_deleted_has_no_way_back_and_is_told(here):
    here.now = dt.datetime.combine(day(1), dt.time(12), dt.UTC)
    here.synced(1, village(40))
    here.now = dt.datetime.combine(day(2), dt.time(12), dt.UTC)
    here.synced(2, without(village(40), "100", "100100"))
    here.now = dt.datetime.combine(day(2) + dt.timedelta(days=60), dt.time(12), dt.UTC)
    run = here.sync().run

    result = undone(here, run)

    assert (result.outcome, result.failed, applied(result)) == ("partial", 2, {})
    assert result.reasons == (
        "2 not undone (no-way-back): no way back: deleted by the register's clock, or what was there before is not "
        "kept any more",
    )


def test_undoing_twice_does_nothing_the_second_time(moved):
    undone(moved, moved.run)

    result = undone(moved, moved.run)

    assert (result.outcome, changes(result), result.failed) == ("done", {}, 0)


def test_a_run_that_changed_nothing_is_undone_with_nothing(moved):
    run = moved.sync().run

    result = undone(moved, run)

    assert (result.outcome, changes(result), result.reasons) == ("done", {}, ())


@pytest.mark.parametrize(
    ("only", "expected"), [("create", {"delete": 1}), ("update", {"update": 1}), ("suspend", {"restore": 2})]
)
def test_only_what_was_done_in_one_way_is_undone(moved, only, expected):
    assert applied(undone(moved, moved.run, only)) == expected


def test_an_attribute_that_the_register_does_not_release_any_more_is_not_put_back(here):
    """The before-image holds it; it goes back without it."""
    here.synced(1, village(3))
    run = here.synced(2, changed(village(3), pupil("100", family="AUTRE", guardians={"100100": LEGAL}))).run
    line = "  adult: {from: ENTPersonDateNaissance, transforms: [is-adult], purpose: acc}\n"
    here.edit("mappings/ent/pupil.yaml", line, "")
    register = (here.folder / "register.yaml").read_text()
    start, end = register.index("  adult:"), register.index("  mail:")
    here.edit("register.yaml", register[start:end], "")

    undone(here, run)

    found = here.ask("SELECT attributes FROM stored_account WHERE source_key = 'LILLE$100'")
    assert json.loads(found[0][0]) == {"family_name": ["FAMILLE-100"], "given_name": ["Prénom-100"]}


# -- guards ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def held(here):
    """A first load of 121 accounts, undone: over the limit of deletions."""
    here.run = here.synced(1, village(MANY)).run
    here.full = here.views()
    here.result = undone(here, here.run)
    return here


def test_a_guard_holds_an_undoing_and_its_plan_is_named(held):
    assert (held.result.outcome, held.result.outcome.exit_code) == ("held", 4)
    assert guards(held.result) == [("deletions", "lille-2d")]
    assert held.held() == [held.result.plan]
    assert held.views() == held.full


def test_a_held_undoing_is_applied_once_approved(held):
    result = held.approve(held.result.plan)

    assert (result.kind, result.outcome, applied(result)) == ("undo", "done", {"delete": 121})
    assert held.views()["accounts"] == []


def test_a_sync_does_not_overtake_an_undoing_that_waits(held):
    held.sync()

    assert held.held() == [held.result.plan]


def test_what_moved_before_the_approval_is_refused(held):
    held.synced(2, changed(village(MANY), pupil("100", family="AUTRE", guardians={"100100": LEGAL})))

    result = held.approve(held.result.plan)

    assert (applied(result), result.failed) == ({"delete": 120}, 1)
    assert held.status("LILLE$100") == "active"


def test_the_same_undoing_asked_twice_is_the_same_plan(held):
    again = undone(held, held.run)

    assert held.held() == [again.plan] == [held.result.plan]


def test_a_plan_that_is_only_shown_is_not_applied(moved):
    before = moved.views()

    result = undone(moved, moved.run, plan_only=True)

    assert (changes(result), applied(result)) == ({"update": 1, "restore": 2, "delete": 1}, {})
    assert moved.views() == before


def test_an_approved_plan_is_undone_by_the_name_of_the_run_that_applied_it(there):
    people = without(village(MANY), *(str(100 + n) for n in range(21)))
    first = there.synced(2, people)
    approved = there.approve(first.plan)
    assert applied(approved) == {"suspend": 42}

    result = undone(there, approved.run)

    assert (applied(result), there.views()) == ({"restore": 42}, there.first)


def test_a_run_is_undone_without_what_somebody_approved_later(there):
    people = changed(without(village(MANY), *(str(100 + n) for n in range(21))), pupil("900"))
    first = there.synced(2, people)
    there.approve(first.plan)

    assert applied(undone(there, first.run)) == {"delete": 1}


# -- the journal -------------------------------------------------------------------------------------------------------


def images(there):
    return there.stored("SELECT count(*) FROM changes WHERE before IS NOT NULL")[0][0]


def at(number):
    return dt.datetime.combine(day(number), dt.time(12), dt.UTC)


def test_before_images_go_when_their_time_is_over(here):
    here.now = at(1)
    here.synced(1, village(3))
    here.now = at(2)
    here.synced(2, changed(village(3), pupil("100", family="AUTRE", guardians={"100100": LEGAL})))
    kept = images(here)
    here.now = at(33)

    here.sync()

    assert (kept, images(here)) == (1, 0)


def test_before_images_are_kept_until_then(here):
    here.now = at(1)
    here.synced(1, village(3))
    here.now = at(2)
    here.synced(2, changed(village(3), pupil("100", family="AUTRE", guardians={"100100": LEGAL})))
    here.now = at(31)

    here.sync()

    assert images(here) == 1


def test_how_long_they_are_kept_is_configured(here):
    here.edit("ent-sync.yaml", "journal: 30d", "journal: 1d")
    here.now = at(1)
    here.synced(1, village(3))
    here.now = at(2)
    here.synced(2, changed(village(3), pupil("100", family="AUTRE", guardians={"100100": LEGAL})))
    here.now = at(4)

    here.sync()

    assert images(here) == 0


def test_without_its_before_image_a_change_is_told_and_left(here):
    here.now = at(1)
    here.synced(1, village(3))
    here.now = at(2)
    run = here.synced(2, changed(village(3), pupil("100", family="AUTRE", guardians={"100100": LEGAL}))).run
    here.now = at(33)
    here.sync()

    result = undone(here, run)

    assert (result.failed, applied(result)) == (1, {})
