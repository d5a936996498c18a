"""Rule 3 of the contract: the order of deliveries, and what a delta may ask of whom."""

import pytest

from delivering import LEGAL, pupil, school, staff, village, without
from sync.installed import applied, changes, guards


def test_a_delivery_not_newer_than_the_last_applied_is_refused(here):
    here.synced(5, village())

    result = here.synced(4, without(village(), "100"))

    assert (result.outcome, guards(result)) == ("held", [("order", "lille-2d")])
    assert here.status("LILLE$100") == "active"


def test_a_delivery_out_of_order_is_told_once(here):
    here.synced(5, village())
    here.synced(4, village())

    assert here.sync().outcome == "done"


def test_a_second_delivery_of_one_day_is_refused_in_the_run_that_reads_the_first(here):
    here.complete(1, village())
    here.complete(1, without(village(), "100"), project="TNE")

    result = here.sync()

    assert guards(result) == [("order", "lille-2d")]
    assert applied(result) == {"create": 7}


def test_an_add_on_a_known_key_replaces_the_record(here):
    here.synced(1, village())
    here.delta(2, add=[pupil("100", family="NOUVEAU")])

    result = here.sync()

    assert applied(result) == {"update": 1, "suspend": 1}  # the guardian whom the new record does not name any more
    assert here.ask("SELECT family_name FROM accounts WHERE source_key = 'LILLE$100'") == [("NOUVEAU",)]


def test_a_complete_modify_of_an_unknown_key_makes_an_account(here):
    here.synced(1, village())
    here.delta(2, modify=[pupil("500")])

    result = here.sync()

    assert (result.outcome, applied(result)) == ("done", {"create": 1})


def test_a_partial_modify_of_an_unknown_key_is_quarantined(here):
    here.synced(1, village())
    here.delta(2, modify=[pupil("500").only("sn")])

    result = here.sync()

    assert (result.outcome, result.quarantined) == ("partial", 1)
    assert here.quarantine() == [("modify-unknown", "LILLE$500")]


def test_a_partial_modify_changes_what_it_names_and_nothing_else(here):
    here.synced(1, village())
    (before,) = here.ask("SELECT * FROM accounts WHERE source_key = 'LILLE$100'")
    here.delta(2, modify=[pupil("100", family="NOUVEAU").only("sn")])

    here.sync()

    (after,) = here.ask("SELECT * FROM accounts WHERE source_key = 'LILLE$100'")
    assert after == tuple("NOUVEAU" if value == "FAMILLE-100" else value for value in before)


def test_a_modify_without_value_empties_the_attribute(here):
    here.synced(1, [*village(), staff("77", mail="x@example.org")])
    here.delta(2, modify=[staff("77").but(mail="").only("mail")])

    here.sync()

    assert here.ask("SELECT mail FROM accounts WHERE source_key = 'LILLE$77'") == [(None,)]


def test_deleting_an_unknown_key_does_nothing(here):
    here.synced(1, village())
    here.delta(2, delete=[pupil("500")])

    result = here.sync()

    assert (result.outcome, changes(result), result.quarantined) == ("done", {}, 0)


def test_requests_about_one_key_follow_on_each_other(here):
    here.synced(1, village())
    one = pupil("500", guardians={"100100": LEGAL})
    here.delta(2, requests=[("add", one), ("modify", one.but(sn="DEUX")), ("modify", one.but(sn="TROIS").only("sn"))])

    result = here.sync()

    assert (result.outcome, applied(result)) == ("done", {"create": 1, "update": 1})
    assert here.ask("SELECT family_name FROM accounts WHERE source_key = 'LILLE$500'") == [("TROIS",)]


def test_an_add_after_a_delete_of_the_same_delta_keeps_the_account(here):
    here.synced(1, village())
    kept = here.account("LILLE$100")
    here.delta(2, requests=[("delete", pupil("100")), ("add", pupil("100", guardians={"100100": LEGAL}))])

    result = here.sync()

    assert changes(result) == {}
    assert here.account("LILLE$100") == kept


def test_a_request_that_cannot_be_used_does_not_undo_the_one_before(here):
    here.synced(1, village())
    here.delta(2, requests=[("delete", pupil("100")), ("modify", pupil("100").only("sn"))])

    here.sync()

    assert here.status("LILLE$100") == "suspended"


def _strangers(number):
    return [pupil(str(700 + n)) for n in range(number)]


def test_a_delta_that_is_mostly_about_strangers_is_held(here):
    here.synced(1, village())
    here.delta(2, add=[pupil("500")], delete=_strangers(21))

    result = here.sync()

    assert (result.outcome, guards(result)) == ("held", [("gap", "lille-2d")])
    assert here.status("LILLE$500") is None


@pytest.mark.parametrize(("strangers", "known"), [(20, 0), (21, 1029)])
def test_strangers_up_to_twenty_or_two_percent_are_let_through(here, strangers, known):
    people = [*village(), *(staff(str(10_000 + n)) for n in range(known))]
    here.synced(1, people)
    here.delta(2, add=[pupil("500")], delete=_strangers(strangers), modify=people[-known:] if known else ())

    assert here.sync().outcome == "done"


def test_a_delta_held_for_a_gap_is_superseded_by_the_next_complete_delivery(here):
    here.synced(1, village())
    here.delta(2, delete=_strangers(21))
    here.sync()

    assert here.synced(3, village()).outcome == "done"
    assert here.sync().outcome == "done"


def test_a_delta_that_changes_a_guardian_whom_it_does_not_hold_finds_the_guardian(here):
    here.synced(1, village())
    here.delta(2, add=[pupil("500", guardians={"100100": LEGAL})])

    here.sync()

    assert len(here.ask("SELECT pupil FROM guardianships WHERE guardian = ?", here.account("LILLE$100100"))) == 2


def test_a_school_that_changes_its_name_in_a_delta_is_renamed(here):
    here.synced(1, village())
    here.delta(2, add=[school(name="CLG$AUTRE NOM$LILLE")])

    here.sync()

    assert here.ask("SELECT name FROM structures") == [("CLG AUTRE NOM LILLE",)]


# -- the days on which a source promises a delivery -------------------------------------------------------------------


@pytest.fixture
def promised(here):
    """A source that promises a delivery on working days; its first complete one is of a Wednesday."""
    here.edit("ent-sync.yaml", "    settle:", "    delivers: [mon, tue, wed, thu, fri]\n    settle:")
    here.synced(1, village())
    return here


def test_a_delta_after_a_promised_day_without_one_is_held(promised):
    promised.delta(3, delete=[pupil("100")])

    result = promised.sync()

    assert (result.outcome, guards(result)) == ("held", [("gap", "lille-2d")])
    assert "2026-09-03" in result.reasons[0]
    assert promised.status("LILLE$100") == "active"


def test_the_next_complete_delivery_makes_a_gap_good(promised):
    promised.delta(3, delete=[pupil("100")])
    promised.sync()

    assert promised.synced(6, village()).outcome == "done"


def test_a_delta_after_days_on_which_nothing_is_promised_is_applied(promised):
    promised.synced(3, village())
    promised.delta(6, add=[pupil("500")])

    assert applied(promised.sync()) == {"create": 1}
