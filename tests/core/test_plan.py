"""Changes, their reasons and their order; and the packed form in which a plan keeps them."""

import datetime as dt
import itertools

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.entry_strategies import accounts, entries, ids
from ent_sync.core.completeness import Absence, Complete
from ent_sync.core.entry import Account, EntryId, EntryKind, Group, Structure
from ent_sync.core.plan import (
    Create,
    Delete,
    Emptied,
    Erasure,
    Operation,
    Restore,
    RetentionOver,
    Suspend,
    Undone,
    Unentitled,
    Update,
    Withdrawal,
    changed_parts,
    kind,
    operation,
    rank,
    subject,
)
from ent_sync.core.record import Key, Population
from ent_sync.core.relations import GroupKind
from ent_sync.store.plans import left_on, pack, unpack

DAY = dt.date(2026, 9, 1)
GONE = Withdrawal("lille-2d", "d1", DAY)


def account(population):
    return Account(
        id=EntryId(f"{population}-1"), population=population, source_key=Key("LILLE$1"), profile=None, attributes={}
    )


SCHOOL = Structure(id=EntryId("0590001A"), source_key=Key("LILLE$4321"), name="CLG", attributes={})
GROUP = Group(id=EntryId("0590001A$class$3A"), uai="0590001A", group_kind=GroupKind.CLASS, code="3A", name="3EME A")
PUPIL, GUARDIAN, STAFF = map(account, (Population.PUPIL, Population.GUARDIAN, Population.STAFF))

CHANGES = {
    "create": Create(PUPIL),
    "update": Update(GROUP, ("name",)),
    "suspend": Suspend(EntryId("pupil-1"), Population.PUPIL, ("family_name",), GONE),
    "restore": Restore(STAFF),
    "delete": Delete(EntryId("0590001A"), EntryKind.STRUCTURE, Emptied()),
}


@pytest.mark.parametrize("word", CHANGES)
def test_a_change_is_called_as_in_the_contract(word):
    assert operation(CHANGES[word]) == word


def test_there_are_five_operations():
    assert list(Operation) == ["create", "update", "suspend", "restore", "delete"]


@pytest.mark.parametrize(
    ("word", "about", "of"),
    [
        ("create", "pupil-1", EntryKind.ACCOUNT),
        ("update", "0590001A$class$3A", EntryKind.GROUP),
        ("suspend", "pupil-1", EntryKind.ACCOUNT),
        ("restore", "staff-1", EntryKind.ACCOUNT),
        ("delete", "0590001A", EntryKind.STRUCTURE),
    ],
)
def test_a_change_knows_its_entry_and_its_kind(word, about, of):
    change = CHANGES[word]

    assert (subject(change), kind(change)) == (about, of)


# -- order -------------------------------------------------------------------------------------------------------------


def suspend(entry):
    return Suspend(entry.id, entry.population, (), GONE)


def delete(entry):
    return Delete(entry.id, entry.kind, Emptied())


BEFORE = [
    ("structures before the groups in them", Create(SCHOOL), Create(GROUP)),
    ("groups before their members", Create(GROUP), Create(PUPIL)),
    ("pupils before the guardians who point at them", Create(PUPIL), Create(GUARDIAN)),
    ("pupils before guardians, restored too", Restore(PUPIL), Restore(GUARDIAN)),
    ("pupils before guardians who are updated", Create(PUPIL), Update(GUARDIAN, ("guardianships",))),
    ("what comes before what goes", Update(GUARDIAN, ()), suspend(PUPIL)),
    ("suspensions before deletions", suspend(PUPIL), delete(PUPIL)),
    ("members before their groups, going", delete(PUPIL), delete(GROUP)),
    ("groups before their structures, going", delete(GROUP), delete(SCHOOL)),
]


@pytest.mark.parametrize(("first", "later"), [each[1:] for each in BEFORE], ids=[each[0] for each in BEFORE])
def test_dependency_order(first, later):
    assert rank(first) < rank(later)


@pytest.mark.parametrize("entry", [SCHOOL, GROUP, PUPIL, STAFF, GUARDIAN], ids=lambda entry: entry.kind)
def test_making_and_updating_an_entry_have_one_place(entry):
    assert rank(Create(entry)) == rank(Update(entry, ()))


def test_whatever_the_order_of_changes_sorting_gives_the_same_plan():
    changes = [Create(SCHOOL), Create(GROUP), Create(PUPIL), Create(GUARDIAN), suspend(STAFF), delete(GROUP)]

    orders = {tuple(map(rank, sorted(turned, key=rank))) for turned in itertools.permutations(changes)}

    assert orders == {(0, 1, 2, 3, 5, 7)}


# -- differences -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "now", "names"),
    [
        ({}, {}, ()),
        ({"a": b"1"}, {"a": b"1"}, ()),
        ({"a": b"1", "b": b"2"}, {"a": b"1", "b": b"3"}, ("b",)),
        ({"a": b"1"}, {}, ("a",)),
        ({}, {"z": b"1", "a": b"1"}, ("a", "z")),
    ],
)
def test_parts_differ_where_their_fingerprints_do(before, now, names):
    assert changed_parts(before, now) == names


_PARTS = st.dictionaries(st.sampled_from("abcd"), st.sampled_from([b"1", b"2"]))


@given(_PARTS, _PARTS)
def test_a_difference_is_the_same_from_either_side(one, other):
    assert changed_parts(one, other) == changed_parts(other, one)


@given(_PARTS, _PARTS)
def test_no_part_differs_exactly_where_the_states_are_equal(one, other):
    assert (changed_parts(one, other) == ()) is (one == other)


# -- reasons -----------------------------------------------------------------------------------------------------------

DEPARTURES = [Absence("lille-2d", "d1", DAY), GONE, Unentitled(DAY)]
DELETIONS = [RetentionOver(DAY), Erasure("17.1.a"), Emptied(), Undone("r1")]


@pytest.mark.parametrize("because", DEPARTURES, ids=lambda because: type(because).__name__)
def test_the_clock_of_every_departure_starts_on_its_day(because):
    assert left_on(because) == DAY


def test_a_suspension_for_absence_counts_from_the_day_of_the_delivery():
    proof = Complete("lille-2d", "d1", DAY, {}, frozenset())

    assert left_on(proof.absence(DAY)) == DAY


# -- packed ------------------------------------------------------------------------------------------------------------

_TEXT = st.text(max_size=5)
_DEPARTURES = st.one_of(
    st.builds(Absence, _TEXT, _TEXT, st.dates()),
    st.builds(Withdrawal, _TEXT, _TEXT, st.dates()),
    st.builds(Unentitled, st.dates()),
)
_DELETIONS = st.one_of(
    st.builds(RetentionOver, st.dates()), st.builds(Erasure, _TEXT), st.just(Emptied()), st.builds(Undone, _TEXT)
)


def through(change):
    """As a plan keeps it: packed, sealed, opened, unpacked."""
    return unpack(msgpack.unpackb(msgpack.packb(pack(change))))


@given(entries)
def test_a_creation_comes_back_from_its_packed_form(entry):
    assert through(Create(entry)) == Create(entry)


@given(accounts)
def test_a_restoration_comes_back_from_its_packed_form(entry):
    assert through(Restore(entry)) == Restore(entry)


@given(entries, st.lists(st.sampled_from(["family_name", "mail", "source_key"]), unique=True))
def test_an_update_comes_back_with_the_names_of_what_differs(entry, names):
    change = Update(entry, tuple(sorted(names)))

    assert through(change) == change


@given(ids, st.sampled_from(Population), st.lists(_TEXT, max_size=3).map(tuple), _DEPARTURES)
def test_a_suspension_comes_back_with_its_reason(id_, population, keep, because):
    change = Suspend(id_, population, keep, because)

    assert through(change) == change


@given(ids, st.sampled_from(EntryKind), _DELETIONS)
def test_a_deletion_comes_back_with_its_reason(id_, of, because):
    change = Delete(id_, of, because)

    assert through(change) == change


@pytest.mark.parametrize("because", [*DEPARTURES, *DELETIONS], ids=lambda because: type(because).__name__)
def test_every_reason_comes_back_as_itself(because):
    if because in DELETIONS:
        change = Delete(EntryId("x"), EntryKind.ACCOUNT, because)
    else:
        change = Suspend(EntryId("x"), Population.PUPIL, (), because)

    assert through(change).because == because


_REFUSED = {
    "nothing": [],
    "another word": ["Rename", [], {}],
    "a restored group": ["Restore", ["group", "x", "u", "class", "c", "n"], {}],
    "a suspension without reason": ["Suspend", "x", "pupil", [], [], {}],
    "a suspension because of a retention": ["Suspend", "x", "pupil", [], ["RetentionOver", "2026-09-01"], {}],
    "a deletion without reason": ["Delete", "x", "account", []],
    "a deletion because of an absence": ["Delete", "x", "account", ["Absence", "s", "d", "2026-09-01"]],
}


@pytest.mark.parametrize("packed", _REFUSED.values(), ids=_REFUSED)
def test_what_no_plan_may_hold_is_refused(packed):
    with pytest.raises(ValueError, match=r"^not a"):
        unpack(packed)
