"""Entries and their flat form, in which they are sealed."""

import msgpack
import pytest
from hypothesis import given

from core.entry_strategies import entries
from ent_sync.core.entry import (
    KEPT_WHEN_SUSPENDED,
    Account,
    Affiliation,
    EntryId,
    EntryKind,
    Group,
    Guardianship,
    Lifecycle,
    Membership,
    Structure,
    flatten,
    group_id,
    unflatten,
)
from ent_sync.core.record import Key, Population
from ent_sync.core.relations import GroupKind, Role

PUPIL = Account(
    id=EntryId("p1"),
    population=Population.PUPIL,
    source_key=Key("LILLE$2000001"),
    profile="National_ELV",
    attributes={"given_name": ("Léa", "Anne"), "family_name": ("DURAND",)},
    affiliations=(Affiliation("0590001A"),),
    memberships=(Membership(EntryId("0590001A$class$3A"), Role.PUPIL, "3EME A"),),
)
GUARDIAN = Account(
    id=EntryId("g1"),
    population=Population.GUARDIAN,
    source_key=Key("LILLE$3000001"),
    profile=None,
    attributes={},
    guardianships=(Guardianship(EntryId("p1"), legal=True),),
)
SCHOOL = Structure(id=EntryId("0590001A"), source_key=Key("LILLE$4321"), name="CLG", attributes={"city": ("ROUBAIX",)})
CLASS = Group(id=EntryId("0590001A$class$3A"), uai="0590001A", group_kind=GroupKind.CLASS, code="3A", name="3EME A")


@given(entries)
def test_an_entry_comes_back_from_its_flat_form(entry):
    assert unflatten(flatten(entry)) == entry


@given(entries)
def test_an_entry_comes_back_from_its_packed_flat_form(entry):
    """What is sealed is packed: tuples become lists on the way, which must make no difference."""
    assert unflatten(msgpack.unpackb(msgpack.packb(flatten(entry)))) == entry


@given(entries, entries)
def test_different_entries_have_different_flat_forms(one, other):
    assert (flatten(one) == flatten(other)) is (one == other)


def test_the_flat_form_of_an_account_is_this():
    """Sealed rows outlive the program that wrote them: whoever changes this form must be able to read the old one."""
    assert flatten(PUPIL) == [
        "account",
        "p1",
        "pupil",
        "LILLE$2000001",
        "National_ELV",
        {"given_name": ["Léa", "Anne"], "family_name": ["DURAND"]},
        [["0590001A", None]],
        [["0590001A$class$3A", "pupil", "3EME A"]],
        [],
    ]


def test_the_flat_form_of_a_structure_is_this():
    assert flatten(SCHOOL) == ["structure", "0590001A", "LILLE$4321", "CLG", {"city": ["ROUBAIX"]}]


def test_the_flat_form_of_a_group_is_this():
    assert flatten(CLASS) == ["group", "0590001A$class$3A", "0590001A", "class", "3A", "3EME A"]


@pytest.mark.parametrize(
    "flat",
    [
        [],
        ["person", "x"],
        ["group", "x"],
        ["structure", "x", "k", None, {}],
        ["account", "x", "pupil", "k", None, {}, [], []],
        ["account", "x", "pupil", "k", None, {}, [], [], None],
    ],
)
def test_what_is_no_flat_entry_is_refused_without_being_quoted(flat):
    with pytest.raises(ValueError, match=r"^not a flattened entry$"):
        unflatten(flat)


@pytest.mark.parametrize(
    ("entry", "kind"),
    [(PUPIL, EntryKind.ACCOUNT), (SCHOOL, EntryKind.STRUCTURE), (CLASS, EntryKind.GROUP)],
    ids=["account", "structure", "group"],
)
def test_an_entry_knows_its_kind(entry, kind):
    assert entry.kind is kind


def test_the_parts_of_an_account_are_named_and_plain():
    assert list(PUPIL.parts()) == [
        ("source_key", "LILLE$2000001"),
        ("profile", "National_ELV"),
        ("family_name", ["DURAND"]),
        ("given_name", ["Léa", "Anne"]),
        ("affiliations", [["0590001A", None]]),
        ("memberships", [["0590001A$class$3A", "pupil"]]),
        ("guardianships", []),
    ]


def test_the_parts_of_a_guardian_name_pupils_by_account():
    assert dict(GUARDIAN.parts())["guardianships"] == [["p1", True]]


def test_a_class_and_a_teaching_group_of_one_school_may_share_a_code():
    ids = {group_id("0590001A", kind, "206") for kind in (GroupKind.CLASS, GroupKind.TEACHING)}

    assert ids == {"0590001A$class$206", "0590001A$teaching$206"}


def test_a_suspended_account_keeps_names_and_nothing_else():
    assert KEPT_WHEN_SUSPENDED == ("family_name", "given_name")


def test_the_words_of_the_contract_are_spelled_as_in_the_contract():
    assert [*Lifecycle, *GroupKind, *Role] == [
        "active",
        "suspended",
        "class",
        "teaching",
        "staff",
        "pupil",
        "staff",
        "teacher",
        "head_teacher",
    ]
