"""The `$` sub-fields of both degrees, as tables from aaf.md §5 to §9; all keys are invented."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ent_sync.core.record import Key, Origin, Population, Record
from ent_sync.core.relations import (
    RELATION_ATTRIBUTES,
    Function,
    GroupKind,
    GroupRef,
    GuardianLink,
    Role,
    Tie,
    declared_groups,
    functions,
    guardian_links,
    pupil_groups,
    pupil_schools,
    taught_groups,
)

S = Key("LILLE$4321")
SECOND = Key("LILLE$432")


def record(population=Population.PUPIL, key="LILLE$2000001", **values):
    found = {name: tuple(each) for name, each in values.items()}
    return Record(population, Key(key), found, Origin("f.xml", 1), "lille")


def links(*values, attribute="ENTElevePersRelEleve"):
    return list(guardian_links(record(**{attribute: values}), "LILLE"))


def tie_of(value, attribute="ENTElevePersRelEleve"):
    (link,) = links(value, attribute=attribute)
    return link.tie


# -- guardians, second degree: six sub-fields (§6) ---------------------------------------------------------------------


@pytest.mark.parametrize("link_type", ["1", "2", "3", "4", "5", "6"])
@pytest.mark.parametrize(("legal", "tie"), [("1", Tie.LEGAL), ("2", Tie.LEGAL), ("0", Tie.CONTACT), ("", Tie.CONTACT)])
def test_with_old_link_types_the_first_and_the_second_legal_guardian_are_legal(link_type, legal, tie):
    assert tie_of(f"3000001${link_type}$1${legal}$1$1") == tie


@pytest.mark.parametrize("link_type", ["10", "20", "37", "38", "39", "41", "42", "43", "50", "51", "90"])
@pytest.mark.parametrize(
    ("legal", "tie"), [("1", Tie.LEGAL), ("2", Tie.IN_CHARGE), ("0", Tie.CONTACT), ("", Tie.CONTACT)]
)
def test_with_new_link_types_legal_2_is_only_a_person_in_charge(link_type, legal, tie):
    assert tie_of(f"3000001${link_type}$0${legal}$1$0") == tie


@pytest.mark.parametrize("link_type", ["7", "70"])
@pytest.mark.parametrize("legal", ["0", "1", "2", ""])
def test_a_link_of_a_pupil_to_himself_makes_no_guardian_whatever_its_flags(link_type, legal):
    assert tie_of(f"2000001${link_type}$1${legal}$1$1") == Tie.SELF


@pytest.mark.parametrize(
    ("value", "tie"),
    [
        ("3000001$10$1$1$0$1", Tie.LEGAL),
        ("3000001$20$1$1$0$1", Tie.LEGAL),
        ("3000001$10$0$1$0$0", Tie.LEGAL),
        ("3000001$20$0$1$0$0", Tie.LEGAL),
        ("3000001$39$0$0$1$0", Tie.CONTACT),
        ("3000001$90$0$0$1$0", Tie.CONTACT),
        ("3000001$50$0$0$0$0", Tie.CONTACT),
        ("3000001$10$1$1$1$1", Tie.LEGAL),
    ],
)
def test_the_common_combinations_mean_what_the_reference_says(value, tie):
    assert tie_of(value) == tie


def test_paying_and_being_called_do_not_make_anyone_legal():
    assert tie_of("3000001$10$1$0$1$1") == Tie.CONTACT


def test_a_link_cut_after_its_legal_flag_is_still_read():
    assert tie_of("3000001$10$1$1") == Tie.LEGAL


@pytest.mark.parametrize(
    "value",
    ["", "3000001", "3000001$10", "3000001$10$1", "$10$1$1$1$1", "$$$$$", "not a key$10$1$1$1$1", "-$10$1$1$0$0"],
)
def test_a_link_whose_meaning_is_cut_away_releases_nothing(value):
    assert links(value) == []


def test_blanks_around_sub_fields_change_nothing():
    assert links(" 3000001 $ 10 $1$ 1 $1$1") == [GuardianLink(Key("LILLE$3000001"), Tie.LEGAL)]


@pytest.mark.parametrize("prefix", ["AC-", "ac-"])
def test_a_link_whose_key_names_its_academy_is_read_alike(prefix):
    assert links(f"{prefix}AMIENS$3000001$10$1$1$1$1") == [GuardianLink(Key("AMIENS$3000001"), Tie.LEGAL)]


@pytest.mark.parametrize("value", ["AC-LILLE", "AC-LILLE$", "AC-LILLE$3000001", "AC-LILLE$3000001$10$1"])
def test_a_link_cut_after_an_academy_releases_nothing(value):
    assert links(value) == []


def test_the_guardians_of_a_pupil_keep_their_order():
    found = links("3000002$20$1$1$1$0", "3000001$10$0$1$1$0", "3000003$39$0$0$1$0")

    assert found == [
        GuardianLink(Key("LILLE$3000002"), Tie.LEGAL),
        GuardianLink(Key("LILLE$3000001"), Tie.LEGAL),
        GuardianLink(Key("LILLE$3000003"), Tie.CONTACT),
    ]


@pytest.mark.parametrize(
    ("first", "second", "tie"),
    [
        ("10$0$0$1$0", "10$1$1$1$1", Tie.LEGAL),
        ("10$1$1$1$1", "10$0$0$0$0", Tie.LEGAL),
        ("90$0$0$1$0", "90$0$2$1$0", Tie.IN_CHARGE),
        ("90$0$2$1$0", "10$1$1$1$0", Tie.LEGAL),
        ("70$0$0$0$0", "90$0$0$1$0", Tie.CONTACT),
        ("10$1$1$1$1", "10$1$1$1$1", Tie.LEGAL),
    ],
)
def test_a_guardian_listed_twice_is_one_link_with_the_stronger_meaning(first, second, tie):
    found = links(f"3000001${first}", f"3000001${second}")

    assert found == [GuardianLink(Key("LILLE$3000001"), tie)]


@given(st.lists(st.sampled_from(["1$1", "10$2", "10$0", "70$0", "2$2", "90$1"]), min_size=1, max_size=5))
def test_the_order_of_repeated_links_does_not_change_their_meaning(flags):
    values = [f"3000001${link_type}$0${legal}$0$0" for link_type, legal in (each.split("$") for each in flags)]

    assert links(*values) == links(*reversed(values))


# -- guardians, first degree: two sub-fields (§6, §8) ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("link_type", "tie"),
    [
        ("10", Tie.LEGAL),
        ("20", Tie.LEGAL),
        ("50", Tie.LEGAL),
        ("37", Tie.CONTACT),
        ("38", Tie.CONTACT),
        ("39", Tie.CONTACT),
        ("41", Tie.CONTACT),
        ("42", Tie.CONTACT),
        ("43", Tie.CONTACT),
        ("51", Tie.CONTACT),
        ("90", Tie.CONTACT),
        ("", Tie.CONTACT),
        ("7", Tie.SELF),
        ("70", Tie.SELF),
    ],
)
def test_in_the_first_degree_types_10_20_and_50_release(link_type, tie):
    assert tie_of(f"3000001${link_type}", attribute="ENTEleveAutoriteParentale") == tie


@pytest.mark.parametrize("value", ["", "3000001", "$10", "not a key$10"])
def test_a_first_degree_link_without_key_or_type_releases_nothing(value):
    assert links(value, attribute="ENTEleveAutoriteParentale") == []


def test_keys_alone_in_the_attribute_of_parental_authority_are_the_old_second_degree_form_and_not_links():
    pupil = record(ENTElevePersRelEleve=["3000001$1$1$1$1$1"], ENTEleveAutoriteParentale=["3000001", "3000002"])

    assert list(guardian_links(pupil, "LILLE")) == [GuardianLink(Key("LILLE$3000001"), Tie.LEGAL)]


# -- schools of pupils (§5.4) ------------------------------------------------------------------------------------------


def test_a_pupil_is_at_the_school_of_enrolment_and_at_those_of_the_classes():
    pupil = record(ENTPersonStructRattach=["4321"], ENTEleveClasses=["4321$3A", "4322$T CAP"])

    assert set(pupil_schools(pupil, "LILLE")) == {Key("LILLE$4321"), Key("LILLE$4322")}


def test_a_pupil_of_the_first_degree_is_at_the_school_of_the_class():
    pupil = record(ENTPersonClasses=["432$11$ORDINAIRE$68815$CM1 A"])

    assert list(pupil_schools(pupil, "LILLE")) == [SECOND]


def test_a_group_alone_does_not_make_a_pupil_belong_to_a_school():
    assert list(pupil_schools(record(ENTEleveGroupes=["4321$3A GR1"]), "LILLE")) == []


@pytest.mark.parametrize("raw", ["4321", "AC-LILLE$4321"])
def test_the_school_of_enrolment_may_name_its_academy(raw):
    assert list(pupil_schools(record(ENTPersonStructRattach=[raw]), "LILLE")) == [S]


def test_an_empty_school_of_enrolment_is_no_school():
    assert list(pupil_schools(record(ENTPersonStructRattach=[""]), "LILLE")) == []


# -- classes and groups of pupils (§5.4, §8, §9) -----------------------------------------------------------------------


@pytest.mark.parametrize("code", ["3A", "5 5", "T CAP", "-1ERE ED", "4EME4", "3.A", "2NDE É", "206"])
def test_a_class_of_the_second_degree_is_named_by_school_and_code(code):
    pupil = record(ENTEleveClasses=[f"4321${code}"])

    assert list(pupil_groups(pupil, "LILLE", GroupKind.CLASS)) == [GroupRef(S, GroupKind.CLASS, code, None)]


def test_a_class_of_the_first_degree_is_named_by_its_number_and_carries_its_label():
    pupil = record(ENTPersonClasses=["432$11$ORDINAIRE$68815$CM1 A"])

    assert list(pupil_groups(pupil, "LILLE", GroupKind.CLASS)) == [GroupRef(SECOND, GroupKind.CLASS, "68815", "CM1 A")]


def test_a_group_of_the_first_degree_is_named_by_its_number_and_carries_its_label():
    pupil = record(ENTPersonGroupes=["432$40$REGROUPEMENT$991$LECTURE"])

    assert list(pupil_groups(pupil, "LILLE", GroupKind.TEACHING)) == [
        GroupRef(SECOND, GroupKind.TEACHING, "991", "LECTURE")
    ]


@pytest.mark.parametrize("value", ["432$11$ORDINAIRE$68815$", "432$11$ORDINAIRE$68815"])
def test_a_class_of_the_first_degree_whose_label_is_cut_keeps_its_number(value):
    pupil = record(ENTPersonClasses=[value])

    assert list(pupil_groups(pupil, "LILLE", GroupKind.CLASS)) == [GroupRef(SECOND, GroupKind.CLASS, "68815", None)]


@pytest.mark.parametrize("value", ["432", "432$11", "432$11$ORDINAIRE", "432$11$ORDINAIRE$", "432$11$ORDINAIRE$$CM1"])
def test_a_class_of_the_first_degree_cut_before_its_number_is_no_class(value):
    """The type code (11, the same for all ordinary classes) must never be taken for a class."""
    pupil = record(ENTPersonClasses=[value])

    assert list(pupil_groups(pupil, "LILLE", GroupKind.CLASS)) == []


@pytest.mark.parametrize("value", ["4321", "4321$", "$3A", "4321$ ", "", "no key$3A"])
def test_a_class_of_the_second_degree_without_school_or_code_is_no_class(value):
    pupil = record(ENTEleveClasses=[value])

    assert list(pupil_groups(pupil, "LILLE", GroupKind.CLASS)) == []


@pytest.mark.parametrize(
    ("attribute", "value", "ref"),
    [
        ("ENTEleveClasses", "AC-LILLE$4321$3A", GroupRef(S, GroupKind.CLASS, "3A", None)),
        (
            "ENTPersonClasses",
            "AC-LILLE$432$11$ORDINAIRE$68815$CM1 A",
            GroupRef(SECOND, GroupKind.CLASS, "68815", "CM1 A"),
        ),
    ],
)
def test_a_class_whose_school_names_its_academy_is_read_alike(attribute, value, ref):
    assert list(pupil_groups(record(**{attribute: [value]}), "LILLE", GroupKind.CLASS)) == [ref]


def test_classes_are_not_groups_and_groups_are_not_classes():
    pupil = record(ENTEleveClasses=["4321$4EME4"], ENTEleveGroupes=["4321$206"])

    assert [
        list(pupil_groups(pupil, "LILLE", GroupKind.CLASS)),
        list(pupil_groups(pupil, "LILLE", GroupKind.TEACHING)),
    ] == [[GroupRef(S, GroupKind.CLASS, "4EME4", None)], [GroupRef(S, GroupKind.TEACHING, "206", None)]]


# -- staff (§5.6, §7, §8) ----------------------------------------------------------------------------------------------


def staff(**values):
    return record(Population.STAFF, "LILLE$5000001", **values)


@pytest.mark.parametrize(
    ("value", "function"),
    [
        ("4321$ENS$ENSEIGNEMENT$L1300$MATHEMATIQUES", Function(S, "ENS", "L1300")),
        ("4321$DIR$DIRECTION$D0010$", Function(S, "DIR", "D0010")),
        ("4321$DOC$DOCUMENTATION$-$", Function(S, "DOC", "-")),
        ("4321$EDU$VIE SCOLAIRE$E0030", Function(S, "EDU", "E0030")),
        ("4321$ADF$ADMINISTRATION", Function(S, "ADF", "")),
        ("4321$ENS", Function(S, "ENS", "")),
    ],
)
def test_a_function_is_school_code_and_speciality(value, function):
    assert list(functions(staff(ENTPersonFonctions=[value]), "LILLE")) == [function]


@pytest.mark.parametrize(
    "value",
    [
        "4321$-$SANS OBJET$-$SANS OBJET",
        "4321$-$SANS OBJET$",
        "4321$-",
        "4321$ - $SANS OBJET$-$SANS OBJET",
        "4321",
        "4321$",
        "4321$$$L1300$",
        "$ENS$ENSEIGNEMENT$L1300$MATHEMATIQUES",
        "",
    ],
)
def test_no_assignment_is_no_function(value):
    assert list(functions(staff(ENTPersonFonctions=[value]), "LILLE")) == []


def test_a_function_whose_school_names_its_academy_is_read_alike():
    person = staff(ENTPersonFonctions=["AC-LILLE$4321$ENS$ENSEIGNEMENT$L1300$MATHEMATIQUES"])

    assert list(functions(person, "LILLE")) == [Function(S, "ENS", "L1300")]


def test_one_function_without_object_does_not_hide_another():
    person = staff(ENTPersonFonctions=["4321$-$SANS OBJET$-$SANS OBJET", "432$PSY$PSYCHOLOGUE$Y0012$PSY EN"])

    assert list(functions(person, "LILLE")) == [Function(SECOND, "PSY", "Y0012")]


def test_one_person_can_have_functions_in_many_schools():
    person = staff(ENTPersonFonctions=[f"{school}$ORI$ORIENTATION$O0040$" for school in range(100, 119)])

    assert [each.school for each in functions(person, "LILLE")] == [f"LILLE${school}" for school in range(100, 119)]


def test_heading_a_school_of_the_first_degree_is_the_function_of_a_head():
    person = staff(ENTPersonFonctions=["432$ENS$ENSEIGNEMENT$D0000$DIRECTION"], ENTEnsFonctionDir=["432"])

    assert list(functions(person, "LILLE")) == [Function(SECOND, "ENS", "D0000"), Function(SECOND, "DIR", "")]


def test_the_administrative_school_of_staff_is_no_function():
    assert list(functions(staff(ENTPersonStructRattach=["4321"]), "LILLE")) == []


@pytest.mark.parametrize(
    ("attribute", "value", "kind", "code"),
    [
        ("ENTAuxEnsClasses", "4321$3A", GroupKind.CLASS, "3A"),
        ("ENTAuxEnsClassesMatieres", "4321$3A$061300", GroupKind.CLASS, "3A"),
        ("ENTAuxEnsClassesMatieres", "4321$T CAP$", GroupKind.CLASS, "T CAP"),
        ("ENTAuxEnsGroupes", "4321$3A GR1", GroupKind.TEACHING, "3A GR1"),
        ("ENTAuxEnsGroupesMatieres", "4321$3A GR1$061300", GroupKind.TEACHING, "3A GR1"),
    ],
)
def test_a_teacher_teaches_the_groups_of_any_of_the_attributes(attribute, value, kind, code):
    person = staff(**{attribute: [value]})

    assert list(taught_groups(person, "LILLE", kind)) == [(GroupRef(S, kind, code, None), Role.TEACHER)]


def test_a_head_teacher_is_told_beside_what_is_taught():
    person = staff(ENTAuxEnsClassesMatieres=["4321$3A$061300"], ENTAuxEnsClassesPrincipal=["4321$3A"])

    assert list(taught_groups(person, "LILLE", GroupKind.CLASS)) == [
        (GroupRef(S, GroupKind.CLASS, "3A", None), Role.TEACHER),
        (GroupRef(S, GroupKind.CLASS, "3A", None), Role.HEAD_TEACHER),
    ]


def test_nobody_is_head_teacher_of_a_teaching_group():
    person = staff(ENTAuxEnsClassesPrincipal=["4321$3A"])

    assert list(taught_groups(person, "LILLE", GroupKind.TEACHING)) == []


@pytest.mark.parametrize("name", ["ENTAuxEnsClasses", "ENTAuxEnsClassesMatieres", "ENTAuxEnsClassesPrincipal"])
@pytest.mark.parametrize("value", ["", "4321", "4321$", "$3A", "4321$$061300"])
def test_a_taught_class_without_school_or_code_is_left_out(name, value):
    assert list(taught_groups(staff(**{name: [value]}), "LILLE", GroupKind.CLASS)) == []


def test_the_stronger_role_comes_later():
    assert list(Role) == [Role.PUPIL, Role.STAFF, Role.TEACHER, Role.HEAD_TEACHER]


# -- what structures declare (§5.1) ------------------------------------------------------------------------------------


def school(**values):
    return record(Population.SCHOOL, "LILLE$4321", **values)


@pytest.mark.parametrize(
    ("value", "code", "label"),
    [
        ("3A$3EME$10310019110", "3A", "3EME"),
        ("3A$3EME A$10310019110$10310019111", "3A", "3EME A"),
        ("3A$$10310019110", "3A", None),
        ("3A", "3A", None),
        ("77$3A_ESP$", "77", "3A_ESP"),
        ("5 5$", "5 5", None),
    ],
)
def test_a_declared_class_is_code_and_label(value, code, label):
    assert list(declared_groups(school(ENTStructureClasses=[value]))) == [GroupRef(S, GroupKind.CLASS, code, label)]


def test_a_declared_group_is_code_and_label_and_not_its_classes():
    assert list(declared_groups(school(ENTStructureGroupes=["4A-4B LAT$$4A$4B"]))) == [
        GroupRef(S, GroupKind.TEACHING, "4A-4B LAT", None)
    ]


def test_a_class_listed_twice_is_one_class():
    structure = school(ENTStructureClasses=["3A$3EME$1", "3B$3EME$1", "3A$3EME$1", "3B$3EME$1"])

    assert [each.code for each in declared_groups(structure)] == ["3A", "3B"]


def test_a_class_and_a_group_of_one_school_may_have_the_same_code():
    structure = school(ENTStructureClasses=["206$X$1"], ENTStructureGroupes=["206$Y$206"])

    assert list(declared_groups(structure)) == [
        GroupRef(S, GroupKind.CLASS, "206", "X"),
        GroupRef(S, GroupKind.TEACHING, "206", "Y"),
    ]


@pytest.mark.parametrize("value", ["", "$3EME$1", " $3EME"])
def test_a_declared_class_without_code_is_left_out(value):
    assert list(declared_groups(school(ENTStructureClasses=[value]))) == []


# -- laws --------------------------------------------------------------------------------------------------------------

_JUNK = st.lists(st.text(alphabet="0123456789$-AC é", max_size=24), max_size=4)
_NAMES = sorted({name for names in RELATION_ATTRIBUTES.values() for name in names})


@given(st.dictionaries(st.sampled_from(_NAMES), _JUNK))
def test_no_composite_value_stops_the_reading(values):
    """Whatever stands in the sub-fields, the person stays, and every key that comes out is a key."""
    junk = record(**values)
    keys = [
        *(link.guardian for link in guardian_links(junk, "LILLE")),
        *pupil_schools(junk, "LILLE"),
        *(each.school for each in functions(junk, "LILLE")),
        *(
            each.school
            for kind in GroupKind
            if kind is not GroupKind.STAFF
            for each in pupil_groups(junk, "LILLE", kind)
        ),
        *(
            ref.school
            for kind in GroupKind
            if kind is not GroupKind.STAFF
            for ref, _ in taught_groups(junk, "LILLE", kind)
        ),
        *(each.school for each in declared_groups(junk)),
    ]

    assert all(re.fullmatch(r"[A-Z0-9\-]+\$.+", key) for key in keys)


_READ = {
    (Population.PUPIL, "guardians"): lambda r: guardian_links(r, "LILLE"),
    (Population.PUPIL, "affiliations"): lambda r: pupil_schools(r, "LILLE"),
    (Population.PUPIL, "classes"): lambda r: pupil_groups(r, "LILLE", GroupKind.CLASS),
    (Population.PUPIL, "groups"): lambda r: pupil_groups(r, "LILLE", GroupKind.TEACHING),
    (Population.STAFF, "affiliations"): lambda r: functions(r, "LILLE"),
    (Population.STAFF, "classes"): lambda r: taught_groups(r, "LILLE", GroupKind.CLASS),
    (Population.STAFF, "groups"): lambda r: taught_groups(r, "LILLE", GroupKind.TEACHING),
    (Population.SCHOOL, "classes"): declared_groups,
    (Population.SCHOOL, "groups"): declared_groups,
}
_SAMPLE = {
    "ENTPersonStructRattach": "4321",
    "ENTEleveClasses": "4321$3A",
    "ENTPersonClasses": "432$11$ORDINAIRE$68815$CM1 A",
    "ENTEleveGroupes": "4321$3A GR1",
    "ENTPersonGroupes": "432$40$REGROUPEMENT$991$LECTURE",
    "ENTElevePersRelEleve": "3000001$10$1$1$1$1",
    "ENTEleveAutoriteParentale": "3000001$10",
    "ENTPersonFonctions": "4321$ENS$ENSEIGNEMENT$L1300$MATHEMATIQUES",
    "ENTEnsFonctionDir": "432",
    "ENTAuxEnsClasses": "4321$3A",
    "ENTAuxEnsClassesMatieres": "4321$3A$061300",
    "ENTAuxEnsClassesPrincipal": "4321$3A",
    "ENTAuxEnsGroupes": "4321$G",
    "ENTAuxEnsGroupesMatieres": "4321$G$061300",
    "ENTStructureClasses": "3A$3EME$1",
    "ENTStructureGroupes": "G$$3A",
}


@pytest.mark.parametrize(
    ("population", "relation", "attribute"),
    [(*where, name) for where, names in RELATION_ATTRIBUTES.items() for name in names],
)
def test_every_attribute_that_readers_let_through_for_a_relation_is_read_by_it(population, relation, attribute):
    found = list(_READ[population, relation](record(population, **{attribute: [_SAMPLE[attribute]]})))

    assert len(found) == 1
