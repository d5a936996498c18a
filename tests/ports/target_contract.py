"""The behaviour that every target shows; each adapter's tests inherit `TargetContract` and bring a `target`.

A target of these tests is given `SINGLE` and `MULTIPLE` as the attributes released to it.
"""

import datetime as dt
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ent_sync.core.entry import (
    Account,
    Affiliation,
    EntryId,
    EntryKind,
    Group,
    Guardianship,
    Lifecycle,
    Membership,
    Structure,
    group_id,
)
from ent_sync.core.plan import Create, Delete, Emptied, Erasure, Restore, Suspend, Unentitled, Update, Withdrawal, rank
from ent_sync.core.record import Key, Population
from ent_sync.core.relations import GroupKind, Role
from ent_sync.ports import Acknowledged, Held, Refused

SINGLE = ("family_name", "given_name", "birth_date", "mail")
MULTIPLE = ("subjects",)
KEEP = ("family_name", "given_name")

UAI = EntryId("0590001A")
CLASS = group_id(UAI, GroupKind.CLASS, "6A")
OTHER_CLASS = group_id(UAI, GroupKind.CLASS, "6B")

SCHOOL = Structure(id=UAI, source_key=Key("LILLE$1"), name="Collège des Essais", attributes={})
GROUP = Group(id=CLASS, uai=UAI, group_kind=GroupKind.CLASS, code="6A", name="Sixième A")
OTHER_GROUP = Group(id=OTHER_CLASS, uai=UAI, group_kind=GroupKind.CLASS, code="6B", name="Sixième B")
PUPIL = Account(
    id=EntryId("pupil-1"),
    population=Population.PUPIL,
    source_key=Key("LILLE$100"),
    profile="National_ELV",
    attributes={"family_name": ("D'Essai",), "given_name": ("Zoé",), "birth_date": ("2013-02-28",)},
    affiliations=(Affiliation(UAI),),
    memberships=(Membership(CLASS, Role.PUPIL),),
)
GUARDIAN = Account(
    id=EntryId("guardian-1"),
    population=Population.GUARDIAN,
    source_key=Key("LILLE$200"),
    profile="National_TUT",
    attributes={"family_name": ("D'Essai",), "given_name": ("Ève",), "mail": ("eve@example.org",)},
    guardianships=(Guardianship(PUPIL.id, legal=True),),
)
TEACHER = Account(
    id=EntryId("staff-1"),
    population=Population.STAFF,
    source_key=Key("LILLE$300"),
    profile="National_ENS",
    attributes={"family_name": ("Preuve",), "given_name": ("Max",), "subjects": ("Maths", "Physique")},
    affiliations=(Affiliation(UAI, "DOC"), Affiliation(UAI, "ENS")),
    memberships=(Membership(CLASS, Role.HEAD_TEACHER), Membership(OTHER_CLASS, Role.TEACHER)),
)
EVERYBODY = (SCHOOL, GROUP, OTHER_GROUP, PUPIL, GUARDIAN, TEACHER)

LEFT = Withdrawal("lille-2d", "delivery-2", dt.date(2026, 9, 1))
ERASED = Erasure("case-1")


def active(entry):
    return Held(entry, Lifecycle.ACTIVE)


def suspend(account):
    return Suspend(account.id, account.population, KEEP, LEFT)


def delete(entry):
    return Delete(entry.id, entry.kind, ERASED if isinstance(entry, Account) else Emptied())


def fill(target, entries=EVERYBODY):
    list(target.push([Create(entry) for entry in entries]))


def contents(target):
    """Everything that a target holds; it may tell it in any order."""
    return by_id(target.read_back(None))


def by_id(held):
    return sorted(held, key=lambda each: each.entry.id)


def model_of(state, change):
    """What a target answers, by a second and simpler telling of the semantics; `state` becomes what it holds."""
    match change:
        case Create(entry) | Update(entry, _) | Restore(entry):
            before = state.get(entry.id)
            state[entry.id] = active(entry)
        case Delete(id=id_):
            before = state.pop(id_, None)
            return Acknowledged(id_, before)
        case Suspend(id=id_):
            if id_ not in state:
                return Refused(id_, "unknown-entry", "")
            before = state[id_]
            names = {name: before.entry.attributes[name] for name in KEEP if name in before.entry.attributes}
            left = Account(
                id=id_,
                population=before.entry.population,
                source_key=before.entry.source_key,
                profile=None,
                attributes=names,
            )
            state[id_] = Held(left, Lifecycle.SUSPENDED)
            return Acknowledged(id_, before)
    return Acknowledged(entry.id, before)


def without_message(outcome):
    return replace(outcome, message="") if isinstance(outcome, Refused) else outcome


@st.composite
def accounts(draw, ids):
    """An account as the core makes them: relations sorted, one for each other end."""
    name = draw(st.sampled_from(["D'Essai", "Œuf", 'Le "Grand"', "O’Preuve, fils"]))
    groups = draw(st.lists(st.sampled_from([CLASS, OTHER_CLASS]), unique=True))
    pupils = draw(st.lists(st.sampled_from(["account-1", "account-2"]), unique=True))
    attributes = {"family_name": (name,), "given_name": ("Zoé",)}
    if subjects := draw(st.lists(st.sampled_from(["Maths", "Physique", "EPS"]), unique=True)):
        attributes["subjects"] = tuple(subjects)
    if draw(st.booleans()):
        attributes["mail"] = ("essai@example.org",)
    id_ = draw(ids)
    return Account(
        id=EntryId(id_),
        population=Population.STAFF,
        source_key=Key(f"LILLE${id_}"),
        profile="National_ENS",
        attributes=attributes,
        affiliations=tuple(sorted(Affiliation(UAI, each) for each in draw(st.sets(st.sampled_from(["DOC", "ENS"]))))),
        memberships=tuple(sorted(Membership(each, draw(st.sampled_from(STAFF_ROLES))) for each in groups)),
        guardianships=tuple(sorted(Guardianship(EntryId(each), draw(st.booleans())) for each in pupils)),
    )


STAFF_ROLES = (Role.STAFF, Role.TEACHER, Role.HEAD_TEACHER)
account_ids = st.sampled_from(["account-1", "account-2", "account-3"])
group_states = st.sampled_from(
    [GROUP, replace(GROUP, name="Sixième Arc-en-ciel"), OTHER_GROUP, replace(OTHER_GROUP, name="Sixième Bleue")]
)
school_states = st.sampled_from([SCHOOL, replace(SCHOOL, name="Collège des Preuves")])
all_changes = st.one_of(
    accounts(account_ids).map(Create),
    accounts(account_ids).map(lambda entry: Update(entry, tuple(name for name, _ in entry.parts()))),
    accounts(account_ids).map(Restore),
    account_ids.map(lambda id_: Suspend(EntryId(id_), Population.STAFF, KEEP, Unentitled(dt.date(2026, 9, 1)))),
    account_ids.map(lambda id_: Delete(EntryId(id_), EntryKind.ACCOUNT, ERASED)),
    st.one_of(group_states, school_states).map(Create),
    st.one_of(group_states, school_states).map(delete),
)


class TargetContract:
    """What every target promises; a subclass brings the fixture `target`, empty.

    `EXAMPLES` is how often the law of all changes is tried: less where a real server answers.
    """

    EXAMPLES = 60

    def test_a_target_that_works_has_no_problem(self, target):
        problems = target.check()

        assert list(problems) == []

    def test_an_empty_target_holds_nothing(self, target):
        found = contents(target)

        assert found == []

    @pytest.mark.parametrize("entry", EVERYBODY, ids=lambda entry: str(entry.id))
    def test_what_was_created_is_read_back_as_it_was(self, target, entry):
        fill(target, [entry])

        assert contents(target) == [active(entry)]

    def test_only_the_entries_asked_for_are_read_back(self, target):
        fill(target)

        found = by_id(target.read_back({TEACHER.id, CLASS, EntryId("unknown")}))

        assert found == [active(GROUP), active(TEACHER)]

    def test_nothing_asked_for_is_nothing_read_back(self, target):
        fill(target)

        found = list(target.read_back([]))

        assert found == []

    def test_no_change_has_no_outcome(self, target):
        outcomes = list(target.push([]))

        assert outcomes == []

    def test_the_first_creation_had_nothing_before_it(self, target):
        outcomes = list(target.push([Create(SCHOOL), Create(PUPIL)]))

        assert outcomes == [Acknowledged(SCHOOL.id, None), Acknowledged(PUPIL.id, None)]

    def test_the_same_push_twice_leaves_the_same(self, target):
        fill(target)
        once = contents(target)

        fill(target)

        assert contents(target) == once

    def test_an_update_replaces_attributes_and_relations_as_a_whole(self, target):
        fill(target)
        moved = replace(
            TEACHER,
            attributes={"family_name": ("Preuve",), "subjects": ("Chimie",)},
            affiliations=(),
            memberships=(Membership(OTHER_CLASS, Role.HEAD_TEACHER),),
        )

        list(target.push([Update(moved, ("affiliations", "memberships", "subjects"))]))

        assert list(target.read_back([TEACHER.id])) == [active(moved)]

    def test_an_update_of_a_guardianship_replaces_its_meaning(self, target):
        fill(target)
        in_charge = replace(GUARDIAN, guardianships=(Guardianship(PUPIL.id, legal=False),))

        list(target.push([Update(in_charge, ("guardianships",))]))

        assert list(target.read_back([GUARDIAN.id])) == [active(in_charge)]

    def test_a_group_takes_a_new_name(self, target):
        fill(target)
        renamed = replace(GROUP, name="Sixième Arc-en-ciel")

        list(target.push([Update(renamed, ("name",))]))

        assert list(target.read_back([CLASS])) == [active(renamed)]

    def test_an_update_of_an_unknown_entry_makes_it(self, target):
        outcomes = list(target.push([Update(PUPIL, ("profile",))]))

        assert (outcomes, contents(target)) == ([Acknowledged(PUPIL.id, None)], [active(PUPIL)])

    def test_a_suspended_account_keeps_identifier_join_key_names_and_population_only(self, target):
        fill(target)

        list(target.push([suspend(TEACHER)]))

        left = Account(
            id=EntryId("staff-1"),
            population=Population.STAFF,
            source_key=Key("LILLE$300"),
            profile=None,
            attributes={"family_name": ("Preuve",), "given_name": ("Max",)},
        )
        assert list(target.read_back([TEACHER.id])) == [Held(left, Lifecycle.SUSPENDED)]

    def test_a_suspended_guardian_guards_nobody(self, target):
        fill(target)

        list(target.push([suspend(GUARDIAN)]))

        (found,) = target.read_back([GUARDIAN.id])
        assert found.entry.guardianships == ()

    def test_a_guardianship_stays_when_its_pupil_is_suspended(self, target):
        """It is a part of the guardian's entry, and goes with the guardian's own update."""
        fill(target)

        list(target.push([suspend(PUPIL)]))

        assert list(target.read_back([GUARDIAN.id])) == [active(GUARDIAN)]

    def test_suspending_twice_leaves_the_same(self, target):
        fill(target)
        list(target.push([suspend(PUPIL)]))
        once = contents(target)

        list(target.push([suspend(PUPIL)]))

        assert contents(target) == once

    def test_suspending_an_unknown_account_is_refused(self, target):
        (outcome,) = target.push([suspend(PUPIL)])

        assert without_message(outcome) == Refused(PUPIL.id, "unknown-entry", "")

    def test_a_refusal_leaves_the_rest_of_the_batch_alone(self, target):
        list(target.push([Create(SCHOOL), suspend(PUPIL), Create(GROUP)]))

        assert contents(target) == [active(SCHOOL), active(GROUP)]

    def test_a_restored_account_is_what_it_should_be_now(self, target):
        fill(target)
        list(target.push([suspend(PUPIL)]))
        back = replace(PUPIL, memberships=(Membership(OTHER_CLASS, Role.PUPIL),))

        list(target.push([Restore(back)]))

        assert list(target.read_back([PUPIL.id])) == [active(back)]

    @pytest.mark.parametrize("entry", EVERYBODY, ids=lambda entry: str(entry.id))
    def test_a_deleted_entry_is_gone_and_nothing_else(self, target, entry):
        fill(target)
        others = [held for held in contents(target) if held.entry.id != entry.id]

        list(target.push([delete(entry)]))

        assert by_id(target.read_back([other.entry.id for other in others])) == others
        assert list(target.read_back([entry.id])) == []

    def test_deleting_what_is_not_there_is_acknowledged(self, target):
        outcomes = list(target.push([delete(PUPIL)]))

        assert outcomes == [Acknowledged(PUPIL.id, None)]

    def test_an_acknowledgement_tells_what_was_read_back_before(self, target):
        fill(target)
        before = {held.entry.id: held for held in contents(target)}
        changes = [Update(replace(TEACHER, profile="National_DOC"), ("profile",)), suspend(GUARDIAN), delete(PUPIL)]

        outcomes = list(target.push(changes))

        assert outcomes == [Acknowledged(each, before[each]) for each in (TEACHER.id, GUARDIAN.id, PUPIL.id)]

    def test_a_suspended_account_is_told_as_suspended_when_it_goes(self, target):
        fill(target)
        list(target.push([suspend(PUPIL)]))
        (suspended,) = target.read_back([PUPIL.id])

        outcomes = list(target.push([delete(PUPIL)]))

        assert outcomes == [Acknowledged(PUPIL.id, suspended)]

    def test_outcomes_come_in_the_order_of_the_changes(self, target):
        fill(target, [PUPIL])

        outcomes = list(target.push([Create(TEACHER), suspend(GUARDIAN), Create(SCHOOL), delete(PUPIL)]))

        assert [each.id for each in outcomes] == [TEACHER.id, GUARDIAN.id, SCHOOL.id, PUPIL.id]

    def test_two_changes_of_one_entry_in_one_batch_follow_each_other(self, target):
        outcomes = list(target.push([Create(PUPIL), delete(PUPIL)]))

        assert (outcomes[1], contents(target)) == (Acknowledged(PUPIL.id, active(PUPIL)), [])

    def test_any_changes_leave_exactly_what_they_say(self, target):
        @settings(max_examples=self.EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(batches=st.lists(st.lists(all_changes, max_size=8), max_size=5))
        def law(batches):
            gone = [Delete(held.entry.id, held.entry.kind, ERASED) for held in contents(target)]
            list(target.push(sorted(gone, key=rank)))
            state = {}
            expected = [[model_of(state, change) for change in batch] for batch in batches]

            outcomes = [[without_message(outcome) for outcome in target.push(batch)] for batch in batches]

            assert outcomes == expected
            assert contents(target) == by_id(state.values())

        law()
