"""Keyed digests: equal where they must be, different everywhere else, and useless without the key."""

import re
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from core.entry_strategies import accounts, entries
from ent_sync.core.entry import Account, Affiliation, EntryId, Group, Guardianship, Membership, flatten, unflatten
from ent_sync.core.fingerprint import (
    Keys,
    account_id,
    content_digest,
    correlation_digest,
    fingerprint,
    part_fingerprints,
    pseudonym,
    suspended_fingerprint,
)
from ent_sync.core.record import Key, Population
from ent_sync.core.relations import GroupKind, Role

KEYS = Keys.derive(b"a master key of this test, 32 bytes at least")
OTHER = Keys.derive(b"another master key, again of 32 bytes or more")
USES = ("account", "fingerprint", "content", "correlation", "pseudonym", "seal")
CLASS = EntryId("0590001A$class$3A")

ACCOUNT = Account(
    id=EntryId("p1"),
    population=Population.PUPIL,
    source_key=Key("LILLE$2000001"),
    profile="National_ELV",
    attributes={"family_name": ("DURAND",), "given_name": ("Léa",)},
    affiliations=(Affiliation("0590001A"),),
    memberships=(Membership(CLASS, Role.PUPIL, "3EME A"),),
    guardianships=(),
)


def parts_that_differ(one, other):
    before, now = part_fingerprints(KEYS, one), part_fingerprints(KEYS, other)
    return {name for name in before.keys() | now.keys() if before.get(name) != now.get(name)}


# -- keys --------------------------------------------------------------------------------------------------------------


def test_every_use_has_a_key_of_its_own():
    assert len({getattr(KEYS, use) for use in USES}) == len(USES)


def test_every_key_has_32_bytes():
    assert {len(getattr(KEYS, use)) for use in USES} == {32}


def test_the_same_master_key_gives_the_same_keys():
    assert Keys.derive(b"a master key of this test, 32 bytes at least") == KEYS


def test_another_master_key_shares_no_key():
    assert not {getattr(KEYS, use) for use in USES} & {getattr(OTHER, use) for use in USES}


def test_a_short_master_key_is_refused_without_being_quoted():
    with pytest.raises(ValueError, match=r"^a master key has at least 32 bytes$"):
        Keys.derive(b"x" * 31)


def test_keys_never_show():
    assert not any(repr(getattr(KEYS, use))[2:-1] in repr(KEYS) for use in USES)


# -- identifiers -------------------------------------------------------------------------------------------------------


def test_an_identifier_is_32_digits_that_no_one_can_read():
    assert re.fullmatch("[0-9a-f]{32}", account_id(KEYS, Population.PUPIL, Key("LILLE$2000001")))


def test_an_identifier_is_the_same_whenever_it_is_asked_for():
    one, other = (account_id(KEYS, Population.PUPIL, Key("LILLE$2000001")) for _ in range(2))

    assert one == other


def test_a_pupil_and_a_guardian_with_one_key_are_two_accounts():
    ids = {account_id(KEYS, population, Key("LILLE$1")) for population in Population}

    assert len(ids) == len(Population)


@given(st.integers(0), st.integers(0))
def test_two_keys_are_two_identifiers(one, other):
    assume(one != other)

    first, second = (account_id(KEYS, Population.STAFF, Key(f"LILLE${number}")) for number in (one, other))

    assert first != second


def test_two_academies_may_use_the_same_number():
    ids = {account_id(KEYS, Population.STAFF, Key(f"{academy}$12")) for academy in ("LILLE", "AMIENS")}

    assert len(ids) == 2


def test_without_the_key_an_identifier_tells_nothing():
    key = Key("LILLE$2000001")

    assert account_id(KEYS, Population.PUPIL, key) != account_id(OTHER, Population.PUPIL, key)


# -- fingerprints of entries -------------------------------------------------------------------------------------------


@given(entries)
def test_equal_entries_have_equal_fingerprints(entry):
    copy = unflatten(flatten(entry))

    assert fingerprint(KEYS, copy) == fingerprint(KEYS, entry)


@given(accounts, accounts)
def test_different_accounts_have_different_fingerprints(one, other):
    seen = [(each.id, list(each.parts())) for each in (one, other)]

    assert (fingerprint(KEYS, one) == fingerprint(KEYS, other)) is (seen[0] == seen[1])


@given(accounts)
def test_two_persons_with_equal_values_do_not_look_alike(account):
    """Twins with one address: neither the whole nor a single part may tell that they share it (gdpr.md R23)."""
    twin = replace(account, id=EntryId(account.id + "2"))
    ours, theirs = part_fingerprints(KEYS, account), part_fingerprints(KEYS, twin)

    assert fingerprint(KEYS, account) != fingerprint(KEYS, twin)
    assert not set(ours.values()) & set(theirs.values())


def test_two_equal_values_of_one_person_do_not_look_alike():
    account = replace(ACCOUNT, attributes={"family_name": ("ANNE",), "given_name": ("ANNE",)})
    parts = part_fingerprints(KEYS, account)

    assert parts["family_name"] != parts["given_name"]


@given(entries)
def test_without_the_key_a_fingerprint_tells_nothing(entry):
    assert fingerprint(KEYS, entry) != fingerprint(OTHER, entry)


@given(entries)
def test_every_part_of_an_entry_has_a_short_fingerprint(entry):
    parts = part_fingerprints(KEYS, entry)

    assert {name: len(digest) for name, digest in parts.items()} == {name: 8 for name, _ in entry.parts()}


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"source_key": Key("AMIENS$9")}, {"source_key"}),
        ({"profile": None}, {"profile"}),
        ({"attributes": {"family_name": ("MARTIN",), "given_name": ("Léa",)}}, {"family_name"}),
        ({"attributes": {"family_name": ("DURAND",)}}, {"given_name"}),
        ({"attributes": {**ACCOUNT.attributes, "mail": ("lea@example.org",)}}, {"mail"}),
        ({"affiliations": ()}, {"affiliations"}),
        ({"affiliations": (Affiliation("0590001A", "ENS"),)}, {"affiliations"}),
        ({"memberships": (Membership(CLASS, Role.TEACHER),)}, {"memberships"}),
        ({"guardianships": (Guardianship(EntryId("p2"), legal=False),)}, {"guardianships"}),
    ],
)
def test_a_change_shows_in_the_whole_and_in_exactly_its_part(change, parts):
    changed = replace(ACCOUNT, **change)

    assert fingerprint(KEYS, changed) != fingerprint(KEYS, ACCOUNT)
    assert parts_that_differ(ACCOUNT, changed) == parts


def test_values_that_only_touch_are_not_mistaken_for_each_other():
    one = replace(ACCOUNT, attributes={"mail": ("ab", "c")})
    other = replace(ACCOUNT, attributes={"mail": ("a", "bc")})

    assert fingerprint(KEYS, one) != fingerprint(KEYS, other)


def test_the_order_of_values_counts():
    one = replace(ACCOUNT, attributes={"given_name": ("Léa", "Anne")})
    other = replace(ACCOUNT, attributes={"given_name": ("Anne", "Léa")})

    assert fingerprint(KEYS, one) != fingerprint(KEYS, other)


def test_the_order_in_which_attributes_were_mapped_does_not_count():
    turned = replace(ACCOUNT, attributes={"given_name": ("Léa",), "family_name": ("DURAND",)})

    assert fingerprint(KEYS, turned) == fingerprint(KEYS, ACCOUNT)


def test_a_new_label_of_a_class_changes_the_class_and_not_its_members():
    relabelled = replace(ACCOUNT, memberships=(Membership(CLASS, Role.PUPIL, "3EME B"),))

    assert fingerprint(KEYS, relabelled) == fingerprint(KEYS, ACCOUNT)


def test_a_new_name_of_a_group_changes_the_group():
    group = Group(id=CLASS, uai="0590001A", group_kind=GroupKind.CLASS, code="3A", name="3EME A")

    assert parts_that_differ(group, replace(group, name="3EME B")) == {"name"}


def test_a_suspended_account_looks_like_no_active_one():
    assert suspended_fingerprint(KEYS, ACCOUNT.id) != fingerprint(KEYS, ACCOUNT)


def test_two_suspended_accounts_do_not_look_alike():
    assert suspended_fingerprint(KEYS, EntryId("p1")) != suspended_fingerprint(KEYS, EntryId("p2"))


# -- records, numbers, logs --------------------------------------------------------------------------------------------


def test_equal_contents_of_two_records_do_not_show():
    digests = {
        content_digest(KEYS, population, Key(key), b"content")
        for population in (Population.PUPIL, Population.STAFF)
        for key in ("LILLE$1", "LILLE$2")
    }

    assert len(digests) == 4


def test_a_changed_content_of_a_record_shows():
    one, other = (content_digest(KEYS, Population.PUPIL, Key("LILLE$1"), content) for content in (b"a", b"b"))

    assert one != other


def test_an_ine_is_the_same_in_either_case_and_with_blanks():
    assert correlation_digest(KEYS, " 123456789ab ") == correlation_digest(KEYS, "123456789AB")


def test_two_ines_are_two_digests():
    assert correlation_digest(KEYS, "123456789AB") != correlation_digest(KEYS, "123456789AC")


def test_a_pseudonym_is_short_and_says_what_it_is():
    assert re.fullmatch("p-[0-9a-f]{12}", pseudonym(KEYS, "LILLE$1", "2026Q4"))


def test_a_pseudonym_is_the_same_all_quarter():
    assert pseudonym(KEYS, "LILLE$1", "2026Q4") == pseudonym(KEYS, "LILLE$1", "2026Q4")


def test_a_pseudonym_cannot_be_followed_into_the_next_quarter():
    assert pseudonym(KEYS, "LILLE$1", "2026Q4") != pseudonym(KEYS, "LILLE$1", "2027Q1")
