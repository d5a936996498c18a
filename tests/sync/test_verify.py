"""What a target really holds is compared with what it acknowledged: found, counted, and put right on request."""

import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from delivering import LEGAL, changed, pupil, village, without
from ent_sync.core.errors import UnavailableError
from ent_sync.store import drift
from ent_sync.sync import verify
from ent_sync.sync.verify import Asked
from sync.installed import Installation, applied, changes, guards
from sync.installed import _held as under_lease

EVERYTHING = 1 + 1 + 1 + 3 + 3 + 1
"""A school, its class and its staff group; three pupils, a guardian each, a teacher."""
STRANGER = "INSERT INTO stored_account (id, population, source_key, profile, status, attributes) VALUES (?, 'staff', 'LILLE$666', NULL, 'active', '{}')"
NO_DRIFT = {"missing": 0, "changed": 0, "lifecycle": 0, "unknown": 0}


def harm(here, statement, *values, file="ent.sqlite"):
    """Somebody edits the directory by hand."""
    with closing(sqlite3.connect(here.folder / file)) as directory:
        done = directory.execute(statement, values).rowcount
        directory.commit()
    assert done, "nothing was harmed"


def verified(here, *, repair=False, targets=("ent",), parts=None, **asked):
    """The documents of each target; with `repair`, and the result of the run that repaired."""

    def work(there):
        def verify_and_repair(held):
            report = verify.verify(there, Asked(targets=targets, **asked), held)
            return report, verify.repair(there, report, held) if repair else None

        return under_lease(there, verify_and_repair)

    if parts is not None:
        report, result = work(parts)
    else:
        with here.opened() as there:
            report, result = work(there)
    found = [each.document() for each in report.targets]
    return (found[0], result) if repair else found[0]


def drifts(found):
    return {name: count for name, count in found["drift"].items() if count}


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """A village as of day 1, for all who copy it."""
    here = Installation(tmp_path_factory.mktemp("once") / "here")
    here.synced(1, village())
    return here


@pytest.fixture
def there(once, tmp_path):
    return once.copy(tmp_path / "there")


# -- what is found -----------------------------------------------------------------------------------------------------


def test_a_directory_as_acknowledged_has_no_drift(there):
    found = verified(there, whole=True)

    assert (found["looked"], found["held"], found["drift"], found["ratio"]) == (EVERYTHING, EVERYTHING, NO_DRIFT, 0)


@pytest.mark.parametrize(
    ("statement", "drift", "parts"),
    [
        ("DELETE FROM stored_account WHERE source_key = 'LILLE$100'", "missing", {}),
        ("DELETE FROM stored_structure", "missing", {}),
        (
            "UPDATE stored_account SET attributes = json_set(attributes, '$.family_name', json('[\"X\"]')) WHERE source_key = 'LILLE$100'",
            "changed",
            {"family_name": 1},
        ),
        (
            "DELETE FROM stored_membership WHERE account = (SELECT number FROM stored_account WHERE source_key = 'LILLE$100')",
            "changed",
            {"memberships": 1},
        ),
        ("UPDATE stored_group SET name = 'Sixième Z' WHERE code = '6A'", "changed", {"name": 1}),
        (
            "UPDATE stored_account SET source_key = 'LILLE$1' WHERE source_key = 'LILLE$100'",
            "changed",
            {"source_key": 1},
        ),
        ("UPDATE stored_account SET status = 'suspended' WHERE source_key = 'LILLE$100'", "lifecycle", {}),
    ],
)
@pytest.mark.parametrize("how", [{"whole": True}, {"percent": 100.0}], ids=["all", "sample"])
def test_each_kind_of_drift_is_found_with_the_parts_that_differ(there, statement, drift, parts, how):
    harm(there, statement)

    found = verified(there, **how)

    assert (drifts(found), found["attributes"]) == ({drift: 1}, parts)
    assert (found["looked"], found["held"], found["ratio"]) == (EVERYTHING, EVERYTHING - 1, 0.1)


def test_what_drifted_is_named_by_identifier_and_differing_parts(there):
    harm(there, "UPDATE stored_account SET attributes = '{}' WHERE source_key = 'LILLE$100'")

    found = verified(there, whole=True)

    assert found["first"] == [
        {"id": there.account("LILLE$100"), "drift": "changed", "parts": ["adult", "family_name", "given_name"]}
    ]


def test_at_most_ten_that_drifted_are_named(here):
    here.synced(1, village(20))
    harm(here, "UPDATE stored_account SET attributes = '{}'")

    found = verified(here, whole=True)

    assert (found["drift"]["changed"], len(found["first"])) == (41, 10)


def test_what_nobody_acknowledged_is_found_by_reading_all(there):
    harm(there, STRANGER, "ab" * 16)

    found = verified(there, whole=True)

    assert (drifts(found), found["first"]) == ({"unknown": 1}, [{"id": "ab" * 16, "drift": "unknown", "parts": []}])


def test_the_name_of_an_account_that_we_did_not_make_is_not_told(there):
    harm(there, STRANGER, "zoe.dessai")

    found = verified(there, whole=True)

    assert found["first"] == [{"id": None, "drift": "unknown", "parts": []}]


def test_a_sample_does_not_see_strangers(there):
    harm(there, STRANGER, "ab" * 16)

    assert verified(there, percent=100.0)["drift"] == NO_DRIFT


def test_without_repair_what_was_acknowledged_stays(there):
    before = there.stored("SELECT * FROM entries ORDER BY entry_id")
    harm(there, "UPDATE stored_account SET attributes = '{}'")
    harm(there, "DELETE FROM stored_group")

    verified(there, whole=True)

    assert there.stored("SELECT * FROM entries ORDER BY entry_id") == before


def test_what_a_run_that_died_pushed_is_no_drift(there):
    there.complete(2, changed(village(), pupil("100", family="AUTRE", guardians={"100100": LEGAL})))
    with there.opened() as parts, pytest.raises(ZeroDivisionError):
        there.sync(replace(parts, targets={"ent": _DiesAfterPush(parts.targets["ent"])}))

    assert verified(there, whole=True)["drift"] == NO_DRIFT


class _DiesAfterPush:
    """A target that takes what is pushed; then the run dies before it can store that."""

    def __init__(self, target):
        self._target = target

    def push(self, changes):
        list(self._target.push(changes))
        raise ZeroDivisionError

    def __getattr__(self, name):
        return getattr(self._target, name)


# -- suspended accounts ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gone_once(tmp_path_factory):
    """One pupil of twenty left, and so did the guardian: both are suspended."""
    here = Installation(tmp_path_factory.mktemp("gone") / "here")
    here.synced(1, village(20))
    here.synced(2, without(village(20), "100", "100100"))
    assert here.status("LILLE$100") == "suspended"
    return here


@pytest.fixture
def gone(gone_once, tmp_path):
    return gone_once.copy(tmp_path / "gone")


def test_a_suspended_account_is_as_acknowledged(gone):
    assert verified(gone, whole=True)["drift"] == NO_DRIFT


def test_a_suspended_account_that_somebody_made_active_is_drift(gone):
    harm(gone, "UPDATE stored_account SET status = 'active' WHERE source_key = 'LILLE$100'")

    assert drifts(verified(gone, whole=True)) == {"lifecycle": 1}


AGAIN_IN_CLASS = (
    "INSERT INTO stored_membership (account, group_id, role) SELECT number, '0590001A$class$6A', 'pupil' FROM "
    "stored_account WHERE source_key = 'LILLE$100'"
)
RENAMED = (
    "UPDATE stored_account SET attributes = json_set(attributes, '$.family_name', json('[\"X\"]')) "
    "WHERE source_key = 'LILLE$100'"
)


@pytest.mark.parametrize(("statement", "part"), [(AGAIN_IN_CLASS, "memberships"), (RENAMED, "family_name")])
def test_a_suspended_account_that_holds_other_than_it_keeps_is_drift(gone, statement, part):
    harm(gone, statement)

    found = verified(gone, whole=True)

    assert (drifts(found), found["attributes"]) == ({"changed": 1}, {part: 1})


# -- samples -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def many_once(tmp_path_factory):
    here = Installation(tmp_path_factory.mktemp("many") / "here")
    here.synced(1, village(200))
    return here


@pytest.fixture
def many(many_once, tmp_path):
    """Two hundred pupils, a guardian each, and the four others: 404 entries."""
    return many_once.copy(tmp_path / "many")


@pytest.mark.parametrize(("asked", "looked"), [({}, 100), ({"percent": 50.0}, 202), ({"percent": 0.1}, 1)])
def test_a_sample_has_exactly_its_size(many, asked, looked):
    found = verified(many, seed="a", **asked)

    assert (found["known"], found["looked"], found["held"]) == (404, looked, looked)


def test_the_usual_sample_of_a_small_directory_is_all_of_it(there):
    found = verified(there)

    assert (found["looked"], found["sample"]) == (EVERYTHING, 1.0)


def seen(here, seed):
    """The identifiers that a sample of ten looked at, as far as they are told."""
    return [each["id"] for each in verified(here, percent=2.4, seed=seed)["first"]]


def test_a_seed_chooses_the_same_again_and_another_one_others(many):
    harm(many, "DELETE FROM stored_account")
    harm(many, "DELETE FROM stored_group")
    harm(many, "DELETE FROM stored_structure")

    first = seen(many, "a")

    assert len(first) == 10
    assert seen(many, "a") == first
    assert set(seen(many, "b")) != set(first)


def test_every_entry_is_as_likely(many):
    """Each of 404 is in about a quarter of 60 samples of 101: none never, none always."""
    with many.opened() as parts, parts.database.reading() as connection:
        ids = drift.acknowledged(connection, "ent", "", 1000)
        drawn = dict.fromkeys(ids, 0)
        for seed in range(60):
            left, wanted = len(ids), 101
            for each in ids:
                if verify._draw(str(seed), each) * left < wanted:
                    drawn[each] += 1
                    wanted -= 1
                left -= 1

    assert sum(drawn.values()) == 60 * 101
    assert min(drawn.values()) > 0
    assert max(drawn.values()) < 40


# -- what is remembered ------------------------------------------------------------------------------------------------


def test_the_last_ratio_and_its_moment_are_remembered_for_each_target(there):
    harm(there, "DELETE FROM stored_account WHERE source_key = 'LILLE$100'")
    with there.opened() as parts:
        verified(there, parts=parts, whole=True)

        with parts.database.reading() as connection:
            last = drift.last(connection, "ent")

        assert (last.ratio, last.looked, last.sample) == (0.1, EVERYTHING, None)
        assert abs((parts.now() - last.at).total_seconds()) < 60


def test_before_the_first_verification_nothing_is_remembered(there):
    with there.opened() as parts, parts.database.reading() as connection:
        assert drift.last(connection, "ent") is None


def test_a_verification_that_was_stopped_remembers_nothing(there):
    with there.opened(stopping=lambda: True) as parts:
        report = under_lease(parts, lambda held: verify.verify(parts, Asked(targets=("ent",), whole=True), held))

        with parts.database.reading() as connection:
            assert drift.last(connection, "ent") is None
        assert (report.stopped, report.targets) == (True, [])


# -- repair ------------------------------------------------------------------------------------------------------------

HARM = {
    "removed": "DELETE FROM stored_account WHERE source_key = 'LILLE$100'",
    "all removed": "DELETE FROM stored_account",
    "renamed": "UPDATE stored_account SET attributes = '{}' WHERE source_key = 'LILLE$100'",
    "out of class": "DELETE FROM stored_membership",
    "suspended": "UPDATE stored_account SET status = 'suspended', profile = NULL WHERE source_key = 'LILLE$100'",
    "group removed": "DELETE FROM stored_group WHERE code = '6A'",
    "group renamed": "UPDATE stored_group SET name = 'Z'",
    "school removed": "DELETE FROM stored_structure",
    "school renamed": "UPDATE stored_structure SET name = 'Z'",
}


@pytest.mark.parametrize("statement", HARM.values(), ids=HARM)
@pytest.mark.parametrize("by_name", [5000, 0], ids=["by name", "by mark"])
def test_a_repair_puts_the_directory_right(there, monkeypatch, statement, by_name):
    monkeypatch.setattr(verify, "_BY_NAME", by_name)
    before = there.views()
    harm(there, statement)

    _, result = verified(there, whole=True, repair=True)

    assert (result.kind, result.outcome) == ("targeted", "done")
    assert there.views() == before
    assert verified(there, whole=True)["drift"] == NO_DRIFT
    assert changes(there.sync()) == {}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE stored_account SET status = 'active', profile = 'National_ELV' WHERE source_key = 'LILLE$100'",
        AGAIN_IN_CLASS,
    ],
    ids=["active", "in class"],
)
def test_a_repair_suspends_again_what_was_suspended(gone, statement):
    before = gone.views()
    clocks = gone.stored("SELECT left_on FROM entries WHERE lifecycle = 'suspended'")
    harm(gone, statement)

    _, result = verified(gone, whole=True, repair=True)

    assert applied(result) == {"suspend": 1}
    assert gone.views() == before
    assert gone.stored("SELECT left_on FROM entries WHERE lifecycle = 'suspended'") == clocks
    assert verified(gone, whole=True)["drift"] == NO_DRIFT


def test_a_suspended_account_that_is_missing_is_not_made_again(gone):
    harm(gone, "DELETE FROM stored_account WHERE source_key = 'LILLE$100'")

    _, result = verified(gone, whole=True, repair=True)

    assert (changes(result), gone.status("LILLE$100")) == ({}, None)
    assert verified(gone, whole=True)["drift"] == NO_DRIFT


def test_a_repair_leaves_alone_what_ent_sync_did_not_make(there):
    harm(there, STRANGER, "ab" * 16)
    harm(there, "DELETE FROM stored_account WHERE source_key = 'LILLE$100'")

    verified(there, whole=True, repair=True)

    assert (there.status("LILLE$666"), there.status("LILLE$100")) == ("active", "active")
    assert drifts(verified(there, whole=True)) == {"unknown": 1}


def test_a_repair_of_a_sample_repairs_what_the_sample_saw(there):
    before = there.views()
    harm(there, "DELETE FROM stored_membership")

    _, result = verified(there, percent=100.0, repair=True)

    assert (applied(result), there.views()) == ({"update": 4}, before)


@pytest.fixture
def awakened(here):
    """Twenty-five of sixty left and are suspended; somebody made them active again, and a repair was asked for."""
    here.synced(1, village(60))
    here.approve(here.synced(2, without(village(60), *[str(100 + n) for n in range(25)])).plan)
    here.before = here.views()
    harm(here, "UPDATE stored_account SET status = 'active' WHERE status = 'suspended' AND population = 'pupil'")
    _, here.result = verified(here, whole=True, repair=True)
    return here


def test_a_repair_that_would_take_away_much_is_held(awakened):
    result = awakened.result

    assert (result.outcome, result.outcome.exit_code) == ("held", 4)
    assert ("departures", "lille-2d/pupil") in guards(result)
    assert awakened.status("LILLE$100") == "active"


def test_a_repair_that_is_held_is_done_when_its_plan_is_approved(awakened):
    awakened.approve(awakened.result.plan)

    assert awakened.views() == awakened.before


# -- two targets -------------------------------------------------------------------------------------------------------


@pytest.fixture
def twofold(there):
    """One source, two embedded directories; the second one is filled by the next run."""
    here = there
    here.edit("ent-sync.yaml", "targets:\n", "targets:\n  - {name: ent-ldap, format: embedded, path: second.sqlite}\n")
    here.sync()
    return here


def test_each_target_is_compared_with_what_it_acknowledged(twofold):
    harm(twofold, HARM["removed"], file="second.sqlite")

    with twofold.opened() as parts:
        report = under_lease(
            parts, lambda held: verify.verify(parts, Asked(targets=("ent", "ent-ldap"), whole=True), held)
        )

    assert {each.target: each.drifted for each in report.targets} == {"ent": 0, "ent-ldap": 1}


def test_a_repair_of_one_target_leaves_the_other_alone(twofold):
    harm(twofold, HARM["removed"], file="second.sqlite")
    harm(twofold, HARM["removed"])

    _, result = verified(twofold, targets=("ent-ldap",), whole=True, repair=True)

    assert applied(result) == {"create": 1}
    assert twofold.ask("SELECT status FROM accounts WHERE source_key = 'LILLE$100'", database="second.sqlite")
    assert twofold.status("LILLE$100") is None


class _Silent:
    """A target that breaks off while it is read."""

    def __init__(self, target):
        self._target = target

    def read_back(self, ids):
        found = self._target.read_back(ids)
        yield next(found)
        raise UnavailableError("it went away")

    def __getattr__(self, name):
        return getattr(self._target, name)


def test_a_target_that_does_not_answer_delays_only_itself(twofold):
    harm(twofold, HARM["removed"])
    with twofold.opened() as opened:
        parts = replace(opened, targets={**opened.targets, "ent-ldap": _Silent(opened.targets["ent-ldap"])})

        report = under_lease(
            parts, lambda held: verify.verify(parts, Asked(targets=("ent", "ent-ldap"), whole=True), held)
        )

        assert {each.target: each.drifted for each in report.targets} == {"ent": 1}
        assert report.unavailable == ["target ent-ldap was not read back to its end: it went away"]
        with parts.database.reading() as connection:
            assert drift.last(connection, "ent-ldap") is None


# -- a first load from a file ------------------------------------------------------------------------------------------


@pytest.fixture
def loaded(here, once):
    """A plan that was only made, and a directory that was filled with what it holds by another way."""
    here.complete(1, village())
    here.plan = here.sync(plan_only=True).plan
    (here.folder / "ent.sqlite").write_bytes((once.folder / "ent.sqlite").read_bytes())
    return here


def test_reading_all_back_acknowledges_a_first_load(loaded):
    found = verified(loaded, whole=True)

    assert (found["acknowledged"], found["looked"], found["drift"]) == (EVERYTHING, EVERYTHING, NO_DRIFT)
    assert loaded.stored("SELECT DISTINCT lifecycle FROM entries") == [("active",)]


def test_after_it_nothing_is_to_be_done(loaded):
    verified(loaded, whole=True)

    assert changes(loaded.sync()) == {}
    assert verified(loaded, whole=True)["held"] == EVERYTHING


def test_the_plan_of_a_first_load_is_applied_and_its_changes_are_in_the_journal(loaded):
    verified(loaded, whole=True)

    assert loaded.stored("SELECT plan, status FROM plans") == [(loaded.plan, "applied")]
    assert loaded.stored("SELECT DISTINCT status FROM changes") == [("acknowledged",)]


def test_what_was_loaded_otherwise_than_it_should_be_is_not_acknowledged(loaded):
    harm(loaded, "UPDATE stored_account SET attributes = '{}' WHERE source_key = 'LILLE$100'")

    found = verified(loaded, whole=True)

    assert (found["acknowledged"], drifts(found)) == (EVERYTHING - 1, {"unknown": 1})


def test_a_sample_acknowledges_nothing(loaded):
    found = verified(loaded, percent=100.0)

    assert (found["acknowledged"], found["looked"]) == (0, 0)


def test_what_was_loaded_is_mapped_again_by_the_next_run(loaded):
    """Something may have touched it between the plan and the load."""
    verified(loaded, whole=True)

    assert loaded.stored("SELECT DISTINCT stale FROM entries WHERE kind = 'account'") == [(1,)]


def test_what_changed_between_plan_and_load_is_put_right_by_the_next_run(loaded):
    loaded.complete(2, changed(village(), pupil("100", family="AUTRE", guardians={"100100": LEGAL})))
    loaded.sync(plan_only=True)

    found = verified(loaded, whole=True)
    loaded.sync()

    assert (found["acknowledged"], drifts(found)) == (EVERYTHING - 1, {"unknown": 1})
    assert loaded.ask("SELECT family_name FROM accounts WHERE source_key = 'LILLE$100'") == [("AUTRE",)]
