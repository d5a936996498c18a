"""Default deny, and what a person's records become under it."""

from __future__ import annotations

import ast
import datetime as dt
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ent_sync.config.policy import load
from ent_sync.core.entry import Account, Affiliation, EntryId, Guardianship, Membership, Structure
from ent_sync.core.errors import Problem, Where
from ent_sync.core.identity import Person, Ward
from ent_sync.core.mapping import AttributeRule, Mapping, OnRefusal, PartRule
from ent_sync.core.profile import RegisterPopulation
from ent_sync.core.record import Degree, Key, Origin, Population, Record, Values
from ent_sync.core.register import (
    SOURCE_CLASSES,
    AttributeClass,
    Clock,
    Grant,
    Register,
    Signature,
    known_sources,
)
from ent_sync.core.relations import Role, Tie, guardian_links
from ent_sync.core.release import Policy, Release
from ent_sync.core.transforms import make

ROOT = Path(__file__).resolve().parents[2]
TODAY = dt.date(2026, 11, 24)
POLICY = load(ROOT / "config" / "register.yaml", ROOT / "mappings", [("ent", "ent"), ("ent-ldap", "ent")], TODAY)
MAPPINGS = tuple(POLICY._decisions._mappings.values())
SCHOOLS = {Key("LILLE$4321"): "0590001A", Key("LILLE$4322"): "0590002B"}
PUPIL_ID, GUARDIAN_ID = EntryId("pupil-1"), EntryId("guardian-1")
HERE = Where("test.yaml", 1)

PUPIL = {
    "sn": "DURAND",
    "givenName": "LÉA",
    "ENTPersonDateNaissance": "30/11/2009",
    "ENTEleveNivFormation": "3EME",
    "ENTEleveMEF": "10310019110",
    "ENTPersonStructRattach": "4321",
    "ENTEleveClasses": "4321$3A",
    "ENTEleveGroupes": "4321$3A GR1",
    "ENTElevePersRelEleve": "3000001$10$1$1$1$1",
    "ENTEleveINE": "123456789AB",
}
PUPIL_1D = {
    "ENTPersonNom": "PETIT",
    "ENTPersonPrenom": "Tom",
    "ENTPersonDateNaissance": "01/02/2017",
    "ENTEleveNiveau": "1124$CM1",
    "ENTPersonStructRattach": "4322",
    "ENTPersonClasses": "4322$11$ORDINAIRE$68815$CM1 A",
}
GUARDIAN = {"sn": "MARTIN", "givenName": "Anne", "personalTitle": "MME", "mail": "a.martin@example.org"}
TEACHER = {
    "sn": "BERNARD",
    "givenName": "PAUL",
    "personalTitle": "M",
    "mail": "paul.bernard@example.org",
    "ENTPersonFonctions": "4321$ENS$ENSEIGNEMENT$L1300$MATHEMATIQUES",
    "ENTAuxEnsClassesMatieres": ("4321$3A$061300", "4321$4B$061300"),
    "ENTAuxEnsClassesPrincipal": "4321$3A",
    "ENTAuxEnsGroupesMatieres": "4321$3A GR1$061300",
}
Given = dict[str, str | tuple[str, ...]]


def values(given_values: Given | dict[str, str]) -> Values:
    return {name: (value,) if isinstance(value, str) else value for name, value in given_values.items()}


def record(population: Population, given_values: Given | dict[str, str], key: str = "LILLE$1") -> Record:
    return Record(population, Key(key), values(given_values), Origin("file.xml", 7), "lille")


def person(population: Population, *given_values: Given | dict[str, str], wards: Iterable[Ward] = ()) -> Person:
    records = tuple(record(population, each) for each in given_values)
    return Person(PUPIL_ID if population is Population.PUPIL else GUARDIAN_ID, population, records, tuple(wards))


def pupil(**changed: str) -> Person:
    return person(Population.PUPIL, PUPIL | changed)


def guardian(*ties: Tie, **changed: str) -> Person:
    return person(Population.GUARDIAN, GUARDIAN | changed, wards=[Ward(PUPIL_ID, tie) for tie in ties])


def staff(*functions: str) -> Person:
    return person(Population.STAFF, {**TEACHER, "ENTPersonFonctions": functions})


def release(who: Person, policy: Policy = POLICY, target: str = "ent", today: dt.date = TODAY) -> Release:
    return policy.release(target, who, SCHOOLS, today)


def account(who: Person, policy: Policy = POLICY, target: str = "ent") -> Account:
    entry = release(who, policy, target).entry
    assert entry is not None
    return entry


def policy_of(register: Register, mappings: Iterable[Mapping] = MAPPINGS) -> Policy:
    return Policy(register, mappings, [("ent", "ent"), ("ent-ldap", "ent")])


def with_mapping(population: Population, rule: AttributeRule) -> tuple[Mapping, ...]:
    """The shipped mappings, with one attribute more or another."""
    return tuple(
        replace(each, attributes={**each.attributes, rule.name: rule}) if each.population is population else each
        for each in MAPPINGS
    )


def words(entry: Account) -> str:
    """Everything that an account says, labels included."""
    return repr([*entry.parts(), [each.label for each in entry.memberships]])


# -- a person of each population


def test_a_pupil_of_the_second_degree_is_released_like_this() -> None:
    assert account(pupil()) == Account(
        id=PUPIL_ID,
        population=Population.PUPIL,
        source_key=Key("LILLE$1"),
        profile="National_ELV",
        attributes={
            "family_name": ("DURAND",),
            "given_name": ("Léa",),
            "adult": ("false",),
            "level": ("3EME",),
            "mef": ("10310019110",),
        },
        affiliations=(Affiliation("0590001A"),),
        memberships=(
            Membership(EntryId("0590001A$class$3A"), Role.PUPIL),
            Membership(EntryId("0590001A$teaching$3A GR1"), Role.PUPIL),
        ),
    )


def test_a_pupil_of_the_first_degree_is_released_like_this() -> None:
    assert account(person(Population.PUPIL, PUPIL_1D)) == Account(
        id=PUPIL_ID,
        population=Population.PUPIL,
        source_key=Key("LILLE$1"),
        profile="National_ELV",
        attributes={"family_name": ("PETIT",), "given_name": ("Tom",), "adult": ("false",), "level": ("CM1",)},
        affiliations=(Affiliation("0590002B"),),
        memberships=(Membership(EntryId("0590002B$class$68815"), Role.PUPIL, "CM1 A"),),
    )


def test_a_guardian_is_released_like_this() -> None:
    assert account(guardian(Tie.LEGAL, ENTPersonMobileSMS="0612345678", mobile="0611111111")) == Account(
        id=GUARDIAN_ID,
        population=Population.GUARDIAN,
        source_key=Key("LILLE$1"),
        profile="National_TUT",
        attributes={
            "family_name": ("MARTIN",),
            "given_name": ("Anne",),
            "title": ("Mme",),
            "mail": ("a.martin@example.org",),
            "mobile": ("+33 6 12 34 56 78",),
        },
        guardianships=(Guardianship(PUPIL_ID, legal=True),),
    )


def test_a_teacher_is_released_like_this() -> None:
    assert account(person(Population.STAFF, TEACHER)) == Account(
        id=GUARDIAN_ID,
        population=Population.STAFF,
        source_key=Key("LILLE$1"),
        profile="National_ENS",
        attributes={
            "family_name": ("BERNARD",),
            "given_name": ("Paul",),
            "title": ("M.",),
            "mail": ("paul.bernard@example.org",),
        },
        affiliations=(Affiliation("0590001A", "ENS"),),
        memberships=(
            Membership(EntryId("0590001A$class$3A"), Role.HEAD_TEACHER),
            Membership(EntryId("0590001A$class$4B"), Role.TEACHER),
            Membership(EntryId("0590001A$staff$staff"), Role.STAFF),
            Membership(EntryId("0590001A$teaching$3A GR1"), Role.TEACHER),
        ),
    )


@pytest.mark.parametrize(
    ("codes", "profile"),
    [
        (("ENS",), "National_ENS"),
        (("ENS", "DIR"), "National_DIR"),
        (("DOC", "ENS"), "National_ENS"),
        (("DOC", "EDU"), "National_DOC"),
        (("EDU",), "National_EVS"),
        (("AED",), "National_EVS"),
        (("SUR",), "National_EVS"),
        (("MDS",), "National_ETA"),
        (("-", "ADM"), "National_ETA"),
    ],
)
def test_functions_decide_the_profile(codes: tuple[str, ...], profile: str) -> None:
    assert account(staff(*(f"4321${code}$LABEL$-$LABEL" for code in codes))).profile == profile


def test_a_head_of_a_first_degree_school_is_a_director() -> None:
    assert account(person(Population.STAFF, {**TEACHER, "ENTEnsFonctionDir": "4321"})).profile == "National_DIR"


@pytest.mark.parametrize("functions", [(), ("4321$-$SANS OBJET$-$SANS OBJET",)])
def test_staff_without_a_function_get_no_account(functions: tuple[str, ...]) -> None:
    released = release(staff(*functions))

    assert (released.entry, released.reason) == (None, "no-function")


def test_other_staff_are_in_the_staff_group_and_in_no_class() -> None:
    entry = account(staff("4321$AES$SUPPORT$-$-"))

    assert entry.memberships == (Membership(EntryId("0590001A$staff$staff"), Role.STAFF),)


def test_withheld_classes_of_other_staff_are_told() -> None:
    assert ("classes", "population") in release(staff("4321$AES$SUPPORT$-$-")).withheld


def test_a_value_that_names_an_unknown_structure_is_left_out_and_told() -> None:
    released = release(pupil(ENTEleveClasses="9999$3A"))

    assert released.entry is not None
    assert [each.group for each in released.entry.memberships] == ["0590001A$teaching$3A GR1"]
    assert released.withheld == (("affiliations", "unknown-structure"), ("classes", "unknown-structure"))


def test_of_two_roles_in_a_class_the_stronger_counts_in_any_order() -> None:
    teaches = {**TEACHER, "ENTAuxEnsClassesPrincipal": ()}
    heads = {**TEACHER, "ENTAuxEnsClassesMatieres": ()}
    roles = [
        {each.group: each.role for each in account(person(Population.STAFF, *both)).memberships}
        for both in ((teaches, heads), (heads, teaches))
    ]

    assert [each[EntryId("0590001A$class$3A")] for each in roles] == [Role.HEAD_TEACHER, Role.HEAD_TEACHER]


def test_a_structure_whose_uai_changes_takes_its_groups_along() -> None:
    POLICY.release("ent", pupil(), SCHOOLS, TODAY)

    entry = POLICY.release("ent", pupil(), {Key("LILLE$4321"): "0590009Z"}, TODAY).entry

    assert entry is not None
    assert [each.group for each in entry.memberships] == ["0590009Z$class$3A", "0590009Z$teaching$3A GR1"]


def test_a_structure_that_becomes_known_is_found_at_once() -> None:
    who = pupil(ENTEleveClasses="7777$3A")
    before = account(who)

    after = POLICY.release("ent", who, {**SCHOOLS, Key("LILLE$7777"): "0590007G"}, TODAY).entry

    assert after is not None
    assert set(after.affiliations) - set(before.affiliations) == {Affiliation("0590007G")}


def test_of_two_records_the_first_has_precedence_and_both_give_schools() -> None:
    entry = account(person(Population.PUPIL, PUPIL, {**PUPIL, "sn": "AUTRE", "ENTPersonStructRattach": "4322"}))

    assert entry.attributes["family_name"] == ("DURAND",)
    assert entry.affiliations == (Affiliation("0590001A"), Affiliation("0590002B"))


def test_a_record_without_family_name_is_set_aside_with_its_place() -> None:
    released = release(pupil(sn=" "))

    assert released.entry is None
    assert [(each.rule, each.where.file, each.where.line) for each in released.problems] == [
        ("required", "file.xml", 7),
    ]


def test_a_problem_says_nothing_of_the_person() -> None:
    problems = release(pupil(sn="1850578006084")).problems

    assert "1850578006084" not in repr(problems)


def test_a_refusal_can_set_the_record_aside() -> None:
    rule = replace(MAPPINGS[1].attributes["mail"], on_refusal=OnRefusal.QUARANTINE)
    policy = policy_of(POLICY.register, with_mapping(Population.GUARDIAN, rule))

    released = release(guardian(Tie.LEGAL, mail="not an address"), policy)

    assert (released.entry, [each.rule for each in released.problems]) == (None, ["refused"])


def test_a_refused_value_is_dropped_and_told() -> None:
    released = release(guardian(Tie.LEGAL, mail="not an address"))

    assert released.entry is not None
    assert "mail" not in released.entry.attributes
    assert released.withheld == (("mail", "refused"),)


# -- links (R12, R13)


@pytest.mark.parametrize(
    ("ties", "in_charge", "expected"),
    [
        ((Tie.LEGAL,), False, (True,)),
        ((Tie.CONTACT,), True, None),
        ((Tie.SELF,), True, None),
        ((Tie.IN_CHARGE,), False, None),
        ((Tie.IN_CHARGE,), True, (False,)),
        ((Tie.IN_CHARGE, Tie.LEGAL), True, (True,)),
        ((Tie.LEGAL, Tie.IN_CHARGE), True, (True,)),
        ((Tie.CONTACT, Tie.LEGAL), False, (True,)),
        ((), True, None),
    ],
)
def test_only_a_releasing_link_makes_a_guardian(
    ties: tuple[Tie, ...], in_charge: bool, expected: tuple[bool, ...] | None
) -> None:
    released = release(guardian(*ties), policy_of(replace(POLICY.register, in_charge=in_charge)))

    legal = tuple(each.legal for each in released.entry.guardianships) if released.entry else None
    assert (legal, released.reason) == (expected, None if expected else "no-releasing-link")


@pytest.mark.parametrize(
    ("attribute", "link", "expected"),
    [
        ("ENTElevePersRelEleve", "3$10$1$1$1$1", True),  # mother, legal representative
        ("ENTElevePersRelEleve", "3$10$0$0$1$0", False),  # a parent without the exercise of authority
        ("ENTElevePersRelEleve", "3$51$0$1$1$0", True),  # child welfare as legal representative
        ("ENTElevePersRelEleve", "3$10$1$2$1$1", False),  # person in charge, not admitted
        ("ENTElevePersRelEleve", "3$39$0$0$1$0", False),  # a relative, contact only
        ("ENTElevePersRelEleve", "3$1$1$1$1$1", True),  # old codes: guardian 1
        ("ENTElevePersRelEleve", "3$2$1$2$1$1", True),  # old codes: guardian 2
        ("ENTElevePersRelEleve", "3$6$0$0$1$0", False),  # old codes: contact
        ("ENTElevePersRelEleve", "3$7$1$1$1$1", False),  # the pupil himself
        ("ENTElevePersRelEleve", "3$70$1$1$1$1", False),
        ("ENTEleveAutoriteParentale", "3$10", True),  # first degree: 10, 20, 50 release
        ("ENTEleveAutoriteParentale", "3$20", True),
        ("ENTEleveAutoriteParentale", "3$50", True),
        ("ENTEleveAutoriteParentale", "3$90", False),
        ("ENTEleveAutoriteParentale", "3$42", False),
        ("ENTEleveAutoriteParentale", "3$70", False),
    ],
)
def test_a_link_as_delivered_opens_an_account_or_not(attribute: str, link: str, expected: bool) -> None:
    (found,) = guardian_links(record(Population.PUPIL, {attribute: link}), "LILLE")

    assert (release(guardian(found.tie)).entry is not None) is expected


def test_of_separated_parents_each_follows_the_child_and_learns_nothing_of_the_other() -> None:
    marks = {"ENTPersonAdresse": "RUE-DE-LA-MERE", "homePhone": "0320000001", "mobile": "0611111111"}

    mother = account(guardian(Tie.LEGAL, **marks))
    child = account(pupil(ENTPersonAdresse="RUE-DE-LA-MERE", ENTEleveAdresseRel="3000001"))

    assert not any(mark in words(entry) for mark in marks.values() for entry in (mother, child))


def test_a_link_that_does_not_release_is_told_without_its_kind() -> None:
    assert release(guardian(Tie.LEGAL, Tie.CONTACT)).withheld == (("guardianships", "no-releasing-link"),)


# -- default deny (R9)


PEOPLE = {
    "pupil": pupil(),
    "pupil of the first degree": person(Population.PUPIL, PUPIL_1D),
    "guardian": guardian(Tie.LEGAL, ENTPersonMobileSMS="0612345678"),
    "teacher": person(Population.STAFF, TEACHER),
    "other staff": staff("4321$ADM$ADMINISTRATION$-$-"),
}
GRANTED = sorted({grant.attribute for grant in POLICY.register.grants})


def held(entry: Account | None) -> set[str]:
    """The names, in the register's words, of all that an account holds."""
    if entry is None:
        return set()
    kinds = {"class": "classes", "teaching": "groups", "staff": "staff_group"}
    return {
        "account",
        *entry.attributes,
        *({"source_key"} if entry.source_key != entry.id else ()),
        *({"profile"} if entry.profile else ()),
        *({"affiliations"} if entry.affiliations else ()),
        *({"functions"} if any(each.function for each in entry.affiliations) else ()),
        *(kinds[each.group.split("$")[1]] for each in entry.memberships),
        *({"guardianships"} if entry.guardianships else ()),
    }


def register_population(who: Person) -> RegisterPopulation:
    if who.population is Population.GUARDIAN:
        return RegisterPopulation.GUARDIAN
    if who.population is Population.PUPIL:
        first = "ENTPersonNom" in who.records[0].values
        return RegisterPopulation.PUPIL_1D if first else RegisterPopulation.PUPIL_2D
    teaches = "$ENS$" in who.records[0].values["ENTPersonFonctions"][0]
    return RegisterPopulation.TEACHER if teaches else RegisterPopulation.STAFF


@st.composite
def registers(draw: st.DrawFn) -> Register:
    """The shipped register with any lines removed, any populations taken from the rest, and purposes and recipients."""
    shipped = POLICY.register
    grants = []
    for grant in shipped.grants:
        left = draw(st.sets(st.sampled_from(sorted(grant.populations)))) if draw(st.booleans()) else grant.populations
        if left:
            grants.append(replace(grant, populations=frozenset(left)))
    closed = draw(st.sets(st.sampled_from(sorted(shipped.purposes)), max_size=2))
    targets = {
        name: replace(target, purposes=target.purposes - closed if draw(st.booleans()) else target.purposes)
        for name, target in shipped.targets.items()
    }
    return replace(shipped, grants=tuple(grants), targets=targets)


@pytest.mark.parametrize("who", PEOPLE.values(), ids=PEOPLE.keys())
@given(register=registers(), target=st.sampled_from(["ent", "ent-ldap", "gar"]))
@settings(max_examples=40, deadline=None)
def test_nothing_leaves_that_the_register_does_not_name(who: Person, register: Register, target: str) -> None:
    """Law 3: for that population, for a purpose that target receives, whatever else the register says."""
    population = register_population(who)
    allowed = {
        grant.attribute
        for grant in register.grants
        if population in grant.populations and target in register.targets
        if grant.purpose in register.targets[target].purposes
        if target in register.purposes[grant.purpose].recipients
    }

    assert held(release(who, policy_of(register), target).entry) <= allowed


@pytest.mark.parametrize("who", PEOPLE.values(), ids=PEOPLE.keys())
@pytest.mark.parametrize("dropped", GRANTED)
def test_an_attribute_that_left_the_register_is_in_no_account(who: Person, dropped: str) -> None:
    grants = tuple(grant for grant in POLICY.register.grants if grant.attribute != dropped)
    policy = policy_of(replace(POLICY.register, grants=grants))

    assert dropped not in held(release(who, policy).entry)


def test_the_whole_register_releases_all_that_these_people_have() -> None:
    """The two tests above would pass on an empty account: together these people hold everything but the links read."""
    assert set().union(*(held(release(who).entry) for who in PEOPLE.values())) == set(GRANTED) - {
        "guardians",
        "ine",
        "birth_date",
    }


def test_an_unknown_target_gets_nothing() -> None:
    released = release(pupil(), target="somewhere")

    assert (released.entry, released.reason) == (None, "unknown-target")


def test_a_purpose_that_does_not_name_the_target_withholds() -> None:
    closed = {**POLICY.register.purposes, "peda": replace(POLICY.register.purposes["peda"], recipients=("ent-ldap",))}
    policy = policy_of(replace(POLICY.register, purposes=closed))

    released = release(pupil(), policy)

    assert released.entry is not None
    assert "level" not in released.entry.attributes
    assert ("level", "recipient") in released.withheld


def test_what_nothing_needs_any_more_is_not_even_read() -> None:
    grants = tuple(grant for grant in POLICY.register.grants if grant.attribute not in {"mobile", "guardians"})
    policy = policy_of(replace(POLICY.register, grants=grants))

    lost = {each: POLICY.wanted[each] - policy.wanted[each] for each in (Population.PUPIL, Population.GUARDIAN)}

    assert lost == {
        Population.PUPIL: {"ENTElevePersRelEleve", "ENTEleveAutoriteParentale"},
        Population.GUARDIAN: {"ENTPersonMobileSMS"},
    }


@pytest.mark.parametrize("population", [Population.PUPIL, Population.GUARDIAN, Population.STAFF])
def test_no_mark_of_an_unreleased_source_attribute_is_in_an_account(population: Population) -> None:
    """Every attribute that a feed is known to deliver carries a mark of its own; relations are marked in each part."""
    shapes = {
        "ENTPersonFonctions": "4321$ENS$MARK-{n}-a$MARK-{n}-b$MARK-{n}-c",
        "ENTElevePersRelEleve": "MARK-{n}-a$10$1$1$1$1",
        "ENTEleveClasses": "4321$MARK-{n}",
        "ENTEleveGroupes": "4321$MARK-{n}",
        "ENTAuxEnsClasses": "4321$MARK-{n}",
        "ENTAuxEnsGroupes": "4321$MARK-{n}",
        "ENTAuxEnsClassesMatieres": "4321$MARK-{n}$MARK-{n}-a",
        "ENTAuxEnsGroupesMatieres": "4321$MARK-{n}$MARK-{n}-a",
        "ENTAuxEnsClassesPrincipal": "4321$MARK-{n}",
        "mail": "MARK-{n}@example.org",
        "ENTPersonMail": "MARK-{n}@example.org",
        "ENTPersonStructRattach": "4321",
    }
    released_sources = {
        Population.PUPIL: {
            "sn",
            "givenName",
            "ENTEleveNivFormation",
            "ENTEleveMEF",
            "ENTEleveClasses",
            "ENTEleveGroupes",
        },
        Population.GUARDIAN: {"sn", "givenName", "mail"},
        Population.STAFF: {
            "sn",
            "givenName",
            "mail",
            "ENTAuxEnsClasses",
            "ENTAuxEnsClassesMatieres",
            "ENTAuxEnsClassesPrincipal",
            "ENTAuxEnsGroupes",
            "ENTAuxEnsGroupesMatieres",
        },
    }[population]
    numbers = {name: 1000 + place for place, name in enumerate(SOURCE_CLASSES)}
    marked = {name: shapes.get(name, "Mark-{n}-x").format(n=numbers[name]) for name in known_sources(population)}
    who = person(population, marked, wards=[Ward(PUPIL_ID, Tie.LEGAL)])

    told = words(account(who)).lower()

    leaked = {name for name in marked if f"mark-{numbers[name]}" in told}
    assert leaked == released_sources
    assert not any(f"mark-{numbers[name]}-{part}" in told for name in marked for part in "abc")


def test_a_source_that_may_never_leave_is_not_used_even_unchecked() -> None:
    """The lint refuses such a mapping; should it ever run, the release does too."""
    rule = replace(MAPPINGS[0].attributes["level"], sources=("ENTEleveBoursier", "ENTElevePersRelEleve"))
    policy = policy_of(POLICY.register, with_mapping(Population.PUPIL, rule))

    released = release(pupil(ENTEleveBoursier="O"), policy)

    assert released.entry is not None
    assert "level" not in released.entry.attributes
    assert "ENTEleveBoursier" not in policy.wanted[Population.PUPIL]


def test_a_source_attribute_that_nobody_thought_of_is_not_used_even_unchecked() -> None:
    rule = replace(MAPPINGS[0].attributes["level"], sources=("ENTEleveNouveau",))
    policy = policy_of(POLICY.register, with_mapping(Population.PUPIL, rule))

    assert "level" not in account(pupil(ENTEleveNouveau="x"), policy).attributes


def test_an_attribute_that_a_mapping_makes_for_another_purpose_is_withheld() -> None:
    rule = replace(MAPPINGS[0].attributes["level"], purpose="com")
    policy = policy_of(POLICY.register, with_mapping(Population.PUPIL, rule))

    released = release(pupil(), policy)

    assert released.entry is not None
    assert "level" not in released.entry.attributes
    assert ("level", "default-deny") in released.withheld


def test_a_pupil_of_whom_nobody_knows_the_degree_gets_what_both_may_have() -> None:
    who = person(Population.PUPIL, {"ENTPersonStructRattach": "4321", "ENTEleveMEF": "103"})
    policy = policy_of(
        POLICY.register,
        with_mapping(Population.PUPIL, replace(MAPPINGS[0].attributes["family_name"], required=False)),
    )

    assert held(release(who, policy).entry) == {"account", "source_key", "profile", "affiliations"}


def test_a_source_may_declare_its_degree() -> None:
    policy = Policy(POLICY.register, MAPPINGS, [("ent", "ent")], {"lille": Degree.FIRST})

    assert "mef" not in account(pupil(), policy).attributes


def test_a_target_that_does_not_federate_by_the_join_key_gets_a_pseudonym() -> None:
    target = replace(POLICY.register.targets["ent"], purposes=frozenset({"acc"}))
    policy = policy_of(replace(POLICY.register, targets={**POLICY.register.targets, "ent": target}))

    assert account(pupil(), policy).source_key == PUPIL_ID


# -- time (R20)


def test_a_minor_is_released_until_the_18th_birthday() -> None:
    assert release(pupil()).valid_until == dt.date(2027, 11, 30)


def test_on_the_18th_birthday_the_answer_is_another_one() -> None:
    before = release(pupil(), today=dt.date(2027, 11, 29)).entry
    after = release(pupil(), today=dt.date(2027, 11, 30))

    assert before is not None
    assert after.entry is not None
    assert (before.attributes["adult"], after.entry.attributes["adult"]) == (("false",), ("true",))
    assert after.valid_until is None


def signed_birth_date() -> Policy:
    grant = Grant(
        attribute="born_on",
        purpose="acc",
        populations=frozenset({RegisterPopulation.PUPIL_2D}),
        clock=Clock.ACCOUNT,
        kind=AttributeClass.RESTRICTED,
        signature=Signature(
            why_not_less="homonyms", signed_by="DPO", signed_on=dt.date(2026, 9, 1), expires=dt.date(2026, 12, 31)
        ),
        where=HERE,
    )
    rule = AttributeRule(
        name="born_on", sources=("ENTPersonDateNaissance",), steps=(make("date"),), purpose="acc", where=HERE
    )
    register = replace(POLICY.register, grants=(*POLICY.register.grants, grant))
    return policy_of(register, with_mapping(Population.PUPIL, rule))


def test_something_signed_is_released_until_the_signature_ends() -> None:
    released = release(pupil(), signed_birth_date())

    assert released.entry is not None
    assert released.entry.attributes["born_on"] == ("2009-11-30",)
    assert released.valid_until == dt.date(2027, 1, 1)


def test_on_the_last_day_of_a_signature_it_is_still_released() -> None:
    entry = release(pupil(), signed_birth_date(), today=dt.date(2026, 12, 31)).entry

    assert entry is not None
    assert entry.attributes["born_on"] == ("2009-11-30",)


def test_the_day_after_the_signature_ended_it_is_withheld() -> None:
    released = release(pupil(), signed_birth_date(), today=dt.date(2027, 1, 1))

    assert released.entry is not None
    assert "born_on" not in released.entry.attributes
    assert ("born_on", "expired-signature") in released.withheld


# -- records by themselves


@pytest.mark.parametrize("who", PEOPLE.values(), ids=PEOPLE.keys())
def test_a_record_that_is_released_is_usable(who: Person) -> None:
    assert POLICY.unusable(who.records[0]) is None


def test_a_record_without_any_family_name_is_unusable_whoever_its_person_is() -> None:
    nameless = record(Population.PUPIL, {name: value for name, value in PUPIL.items() if name != "sn"})

    problem = POLICY.unusable(nameless)

    assert problem is not None
    assert (problem.rule, problem.where.line) == ("required", 7)


def test_what_is_used_inside_only_is_not_stored() -> None:
    assert POLICY.wanted[Population.PUPIL] - POLICY.stored[Population.PUPIL] == {"ENTEleveINE"}


def test_the_digest_of_what_is_read_changes_only_when_that_does() -> None:
    admitted = policy_of(replace(POLICY.register, in_charge=True))
    grants = tuple(grant for grant in POLICY.register.grants if grant.attribute != "mobile")
    narrowed = policy_of(replace(POLICY.register, grants=grants))

    assert admitted.wanted_digest == POLICY.wanted_digest
    assert narrowed.wanted_digest != POLICY.wanted_digest


# -- structures, deltas


@pytest.mark.parametrize(
    ("given_values", "uai", "name"),
    [
        (
            {"ENTStructureUAI": "0590001a", "ENTStructureNomCourant": "CLG$JEAN MOULIN$ROUBAIX"},
            "0590001A",
            "CLG JEAN MOULIN ROUBAIX",
        ),
        ({"ENTEtablissementUAI": "0590001A", "ENTStructureNomCourant": "SCE IA$$LILLE"}, "0590001A", "SCE IA LILLE"),
        (
            {"ENTStructureUAI": "0590001A", "ENTStructureNomCourant": "CLG-MOULIN-ac-LILLE"},
            "0590001A",
            "CLG-MOULIN-ac-LILLE",
        ),
        ({"ENTStructureUAI": "0590001A"}, "0590001A", "0590001A"),
    ],
)
def test_a_school_becomes_a_structure(given_values: dict[str, str], uai: str, name: str) -> None:
    structure = POLICY.structure("ent", record(Population.SCHOOL, {**given_values, "l": "ROUBAIX"}, "LILLE$4321"))

    assert structure == Structure(id=EntryId(uai), source_key=Key("LILLE$4321"), name=name, attributes={})


def test_a_school_without_uai_is_a_problem() -> None:
    found = POLICY.structure("ent", record(Population.SCHOOL, {"ENTStructureNomCourant": "CLG$X$Y"}))

    assert isinstance(found, Problem)


@pytest.mark.parametrize(
    ("population", "attributes", "expected"),
    [
        (Population.PUPIL, {"sn", "givenName", "ENTPersonStructRattach"}, True),
        (Population.PUPIL, {"ENTPersonNom", "ENTPersonPrenom", "ENTPersonStructRattach"}, True),
        (Population.PUPIL, {"sn", "givenName"}, False),
        (Population.GUARDIAN, {"sn", "givenName"}, True),
        (Population.GUARDIAN, {"mail"}, False),
        (Population.STAFF, {"sn", "givenName"}, False),
        (Population.STAFF, {"sn", "givenName", "ENTPersonFonctions"}, True),
        (Population.SCHOOL, {"ENTStructureUAI"}, True),
    ],
)
def test_a_modify_request_is_complete_enough(population: Population, attributes: set[str], expected: bool) -> None:
    assert POLICY.complete_enough(population, attributes) is expected


# -- the tape


def test_an_explanation_tells_the_way_of_each_value() -> None:
    explanation = POLICY.explain("ent", person(Population.PUPIL, {**PUPIL, "sn": " "}, PUPIL), SCHOOLS, TODAY)

    told = {each.name: each for each in explanation.released}
    name = told["family_name"]
    assert (name.values, name.attribute, name.source, name.origin) == (
        ("DURAND",),
        "sn",
        "lille",
        Origin("file.xml", 7),
    )
    assert (name.transforms, name.purpose) == (("trim",), "acc")
    assert name.rule.file.endswith("mappings/ent/pupil.yaml")
    assert name.rule.line is not None


@pytest.mark.parametrize("who", PEOPLE.values(), ids=PEOPLE.keys())
def test_an_explanation_covers_all_that_is_released(who: Person) -> None:
    explanation = POLICY.explain("ent", who, SCHOOLS, TODAY)

    assert {each.name for each in explanation.released} == held(account(who))
    assert explanation.entry == account(who)


def test_an_explanation_names_what_is_never_read() -> None:
    unread = {each.name: each.rule for each in POLICY.explain("ent", pupil(), SCHOOLS, TODAY).unread}

    assert unread["ENTEleveBoursier"] == "never"
    assert unread["ENTEleveStructRattachId"] == "restricted"
    assert "sn" not in unread


def test_an_explanation_of_a_contact_says_why_there_is_no_account() -> None:
    explanation = POLICY.explain("ent", guardian(Tie.CONTACT), SCHOOLS, TODAY)

    assert (explanation.entry, explanation.reason) == (None, "no-releasing-link")
    assert [each.name for each in explanation.withheld] == ["guardianships"]


@pytest.mark.parametrize("who", PEOPLE.values(), ids=PEOPLE.keys())
def test_a_repr_shows_nobody(who: Person) -> None:
    explanation = POLICY.explain("ent", who, SCHOOLS, TODAY)
    told = repr([release(who), explanation, *explanation.released])

    assert not any(name in told for name in ("DURAND", "Léa", "PETIT", "MARTIN", "BERNARD", "Paul"))


def test_accounts_on_their_way_to_a_target_are_made_in_two_places_only() -> None:
    """R10: `release` makes them, `unflatten` gives back what was sealed. Targets may, of what they read back."""
    making = {
        path.relative_to(ROOT / "src" / "ent_sync").as_posix()
        for path in (ROOT / "src" / "ent_sync").rglob("*.py")
        if any(
            isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "Account"
            for node in ast.walk(ast.parse(path.read_text()))
        )
    }

    assert {path for path in making if not path.startswith("targets/")} == {"core/release.py", "core/entry.py"}


def test_a_part_that_no_mapping_names_is_not_released() -> None:
    mappings = [replace(each, parts={"account": PartRule("account", "acc", HERE)}, attributes={}) for each in MAPPINGS]

    assert held(release(pupil(), policy_of(POLICY.register, mappings)).entry) == {"account"}
