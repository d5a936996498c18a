"""Join keys and records; the marks (invented names and keys) must not show in any repr."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ent_sync.core.entry import (
    Account,
    Affiliation,
    EntryId,
    EntryKind,
    Guardianship,
    Lifecycle,
    Membership,
)
from ent_sync.core.identity import Person, Ward
from ent_sync.core.plan import Create, Restore, Update
from ent_sync.core.record import Key, Origin, Population, Record, join_key
from ent_sync.core.relations import GuardianLink, Role, Tie
from ent_sync.ports import Acknowledged, Held, Modification, Sighting, Verb
from ent_sync.store.entries import Known, RecordRow
from ent_sync.store.plans import Pending
from ent_sync.store.runs import Quarantined

MARKS = ("MARKNAME", "mark@example.org", "LILLE$70001", "70001", "0600000099")


def record(**values):
    return Record(Population.PUPIL, Key("LILLE$70001"), values, Origin("f.xml", 3), "lille-2d")


@pytest.mark.parametrize(
    ("raw", "key"),
    [
        ("1234", "LILLE$1234"),
        ("AC-LILLE$1234", "LILLE$1234"),
        ("LILLE$1234", "LILLE$1234"),
        ("AMIENS$1234", "AMIENS$1234"),
        ("AC-AMIENS$1234", "AMIENS$1234"),
        ("AC-ORLEANS-TOURS$77", "ORLEANS-TOURS$77"),
        ("ac-lille$1234", "LILLE$1234"),
        ("lille$1234", "LILLE$1234"),
        (" 1234 ", "LILLE$1234"),
        ("0012", "LILLE$0012"),
        ("A.b_c-9", "LILLE$A.b_c-9"),
    ],
)
def test_a_delivered_id_becomes_academy_and_id(raw, key):
    assert join_key("LILLE", raw) == key


@pytest.mark.parametrize(
    "raw",
    ["", " ", "-", "$", "$12", "LILLE$", "AC-$", "12$13$14", "12 34", "é12", "12\n34", "x" * 65, "LILLE$" + "9" * 65],
)
def test_what_is_no_id_gives_no_key(raw):
    assert join_key("LILLE", raw) is None


def test_an_id_of_sixty_four_characters_is_still_a_key():
    assert join_key("LILLE", "9" * 64) == "LILLE$" + "9" * 64


@given(st.from_regex(r"[A-Z][A-Z\-]{0,9}", fullmatch=True).filter(lambda a: not a.startswith("AC-")), st.integers(0))
def test_a_key_is_the_same_key_with_and_without_its_prefix(academy, number):
    key = join_key(academy, str(number))

    assert [join_key("OTHER", f"AC-{key}"), join_key("OTHER", str(key))] == [key, key]


@given(st.text(max_size=20))
def test_a_key_never_holds_more_than_one_separator(raw):
    key = join_key("LILLE", raw)

    assert key is None or key.count("$") == 1


def test_first_gives_the_first_value_of_the_first_name_that_has_one():
    known = record(sn=("MARTIN", "DUPONT"), ENTPersonNom=("AUTRE",))

    assert known.first("absent", "sn", "ENTPersonNom") == "MARTIN"


def test_first_gives_nothing_where_no_name_has_a_value():
    assert record(sn=()).first("sn", "absent") is None


def test_all_gives_every_value_of_the_first_name_only():
    known = record(sn=("MARTIN", "DUPONT"), ENTPersonNom=("AUTRE",))

    assert known.all("absent", "sn", "ENTPersonNom") == ("MARTIN", "DUPONT")


def test_all_is_empty_where_no_name_has_a_value():
    assert record(sn=()).all("sn", "absent") == ()


# -- nobody shows ------------------------------------------------------------------------------------------------------

_KEY = Key("LILLE$70001")
_RECORD = record(sn=("MARKNAME",), mail=("mark@example.org",))
_ACCOUNT = Account(
    id=EntryId("aaaa"),
    population=Population.GUARDIAN,
    source_key=_KEY,
    profile="National_TUT",
    attributes={"family_name": ("MARKNAME",), "mail": ("mark@example.org",), "mobile": ("0600000099",)},
    affiliations=(Affiliation("0590001A"),),
    memberships=(Membership(EntryId("0590001A$class$3A"), Role.PUPIL),),
    guardianships=(Guardianship(EntryId("bbbb"), legal=True),),
)
_HELD = Held(_ACCOUNT, Lifecycle.ACTIVE)
_KNOWN = Known(
    id=EntryId("aaaa"),
    kind=EntryKind.ACCOUNT,
    population=Population.PUPIL,
    source="lille-2d",
    desired=b"d",
    lifecycle=None,
    acknowledged=None,
    parts=b"MARKNAME",
    source_key=_KEY,
    uais="0590001A",
)
_QUARANTINED = Quarantined(
    "q1", "lille-2d", Population.PUPIL, _KEY, "rule", "f.xml", 3, "is wrong", b"MARKNAME", "delivery"
)

VALUES = {
    "Record": _RECORD,
    "Person": Person(EntryId("aaaa"), Population.PUPIL, (_RECORD,), (Ward(EntryId("bbbb"), Tie.LEGAL),)),
    "Account": _ACCOUNT,
    "Create": Create(_ACCOUNT),
    "Update": Update(_ACCOUNT, ("mail",)),
    "Restore": Restore(_ACCOUNT),
    "Held": _HELD,
    "Acknowledged": Acknowledged(EntryId("aaaa"), _HELD),
    "Sighting": Sighting(Verb.ADD, Population.PUPIL, _KEY, b"<value>MARKNAME</value>", Origin("f.xml", 3)),
    "Modification": Modification(
        Population.PUPIL, _KEY, {"sn": ("MARKNAME",)}, frozenset(), True, Origin("f.xml", 3), "lille-2d"
    ),
    "GuardianLink": GuardianLink(_KEY, Tie.LEGAL),
    "Known": _KNOWN,
    "RecordRow": RecordRow(
        EntryId("aaaa"), "lille-2d", Population.PUPIL, _KEY, "present", b"MARKNAME", None, None, "delivery"
    ),
    "Pending": Pending(0, 1, EntryId("aaaa"), None, None, b"MARKNAME"),
    "Quarantined": _QUARANTINED,
}


@pytest.mark.parametrize(
    "shown", [repr, str, lambda value: f"{[value]} {(value,)} {value!r}"], ids=["repr", "str", "nested"]
)
@pytest.mark.parametrize("name", VALUES)
def test_no_text_of_a_value_shows_whom_it_is_about(name, shown):
    text = shown(VALUES[name])

    assert [mark for mark in MARKS if mark in text] == []


def test_a_record_is_shown_by_kind_and_source():
    assert repr(_RECORD) == "<Record pupil of lille-2d>"


def test_an_account_is_shown_by_population_and_identifier():
    assert repr(_ACCOUNT) == "<Account guardian aaaa>"
