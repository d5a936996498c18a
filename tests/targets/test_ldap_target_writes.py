"""How the LDAP target writes: names and classes, the least that must change, and whose entries it leaves alone."""

from contextlib import closing
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ldap_directory import LAYOUT, attributes_of, ldap_target, new_base

from ent_sync.core.entry import (
    Account,
    Affiliation,
    EntryId,
    Group,
    Guardianship,
    Lifecycle,
    Membership,
    Structure,
    group_id,
)
from ent_sync.core.plan import Create, Delete, Restore, Update
from ent_sync.core.record import Key, Population
from ent_sync.core.relations import GroupKind, Role
from ent_sync.ports import Acknowledged, Held, Refused
from ports.target_contract import (
    CLASS,
    ERASED,
    EVERYBODY,
    GROUP,
    GUARDIAN,
    OTHER_CLASS,
    PUPIL,
    SCHOOL,
    TEACHER,
    UAI,
    active,
    contents,
    delete,
    fill,
    suspend,
    without_message,
)
from servers.slapd import slapd


@pytest.fixture(scope="module")
def server():
    with slapd(durable=False) as running:
        yield running


@pytest.fixture
def base(server):
    return new_base(server)


@pytest.fixture
def target(server, tmp_path, base):
    with closing(ldap_target(server, tmp_path, base)) as opened:
        yield opened


def classes_of(server, dn):
    return set(attributes_of(server, dn, "objectClass")["objectClass"])


def add_ldif(server, base, text):
    server.add_ldif(text.replace("BASE", base))


def made_branches(server, target, base):
    """The branches of a target, without any entry."""
    fill(target, [SCHOOL])
    list(target.push([delete(SCHOOL)]))


# -- where entries lie, and what stands in them ------------------------------------------------------------------------


def test_a_pupil_lies_among_the_people_as_the_national_schema_says(server, target, base):
    fill(target)

    found = attributes_of(server, f"uid=pupil-1,ou=people,{base}")

    school = f"ou=0590001A,ou=structures,{base}"
    assert found == {
        "objectClass": ["top", "person", "organizationalPerson", "inetOrgPerson", "ENTPerson", "ENTEleve"],
        "uid": ["pupil-1"],
        "ENTPersonJointure": ["AC-LILLE$100"],
        "ENTPersonProfils": ["National_ELV"],
        "sn": ["D'Essai"],
        "givenName": ["Zoé"],
        "cn": ["D'Essai Zoé"],
        "ENTPersonDateNaissance": ["2013-02-28"],
        "ENTPersonStructRattach": [school],
        "ENTEleveClasses": [f"{school}$6A"],
        "ENTPersonLogin": ["pupil-1"],
        "ENTEleveStatutEleve": ["-"],
        "ENTEleveMEF": ["-"],
        "ENTEleveLibelleMEF": ["-"],
        "ENTEleveNivFormation": ["-"],
        "ENTEleveFiliere": ["-"],
        "ENTEleveMajeur": ["-"],
    }


def test_a_guardian_points_at_the_pupils_by_their_dn(server, target, base):
    fill(target)

    found = attributes_of(server, f"uid=guardian-1,ou=people,{base}", "ENTAuxPersRelEleveEleve", "objectClass")

    assert found["ENTAuxPersRelEleveEleve"] == [f"uid=pupil-1,ou=people,{base}"]
    assert "ENTAuxPersRelEleve" in found["objectClass"]


def test_teachers_and_other_staff_have_classes_of_their_own(server, target, base):
    clerk = replace(TEACHER, id=EntryId("staff-2"), profile="National_ETA", memberships=(), attributes={})

    fill(target, [TEACHER, clerk])

    assert "ENTAuxEnseignant" in classes_of(server, f"uid=staff-1,ou=people,{base}")
    assert {"ENTAuxNonEnsEtab", "ENTAuxEnseignant"} & classes_of(server, f"uid=staff-2,ou=people,{base}") == {
        "ENTAuxNonEnsEtab"
    }


def test_a_function_of_staff_stands_with_its_school_and_nothing_else(server, target, base):
    fill(target, [TEACHER])

    found = attributes_of(server, f"uid=staff-1,ou=people,{base}", "ENTPersonFonctions")

    school = f"ou=0590001A,ou=structures,{base}"
    assert set(found["ENTPersonFonctions"]) == {f"{school}$DOC$$$", f"{school}$ENS$$$"}


def test_a_class_lists_its_members(server, target, base):
    fill(target)

    found = attributes_of(server, f"cn=0590001A$6A,ou=groups,{base}")

    assert found == {
        "objectClass": ["top", "groupOfNames", "ENTClasse"],
        "cn": ["0590001A$6A"],
        "description": ["Sixième A"],
        "member": [f"uid=pupil-1,ou=people,{base}", f"uid=staff-1,ou=people,{base}"],
    }


def test_an_empty_group_has_its_structure_for_a_member_until_somebody_joins_and_again_when_all_left(
    server, target, base
):
    dn, school = f"cn=0590001A$6A,ou=groups,{base}", f"ou=0590001A,ou=structures,{base}"
    fill(target, [SCHOOL, GROUP])
    empty = attributes_of(server, dn, "member")["member"]
    fill(target, [PUPIL])
    joined = attributes_of(server, dn, "member")["member"]

    list(target.push([Update(replace(PUPIL, memberships=()), ("memberships",))]))

    assert empty == [school]
    assert joined == [f"uid=pupil-1,ou=people,{base}"]
    assert attributes_of(server, dn, "member")["member"] == [school]


def test_a_class_and_a_teaching_group_of_one_code_are_two_groups(server, target, base):
    teaching = Group(
        id=group_id(UAI, GroupKind.TEACHING, "6A"), uai=UAI, group_kind=GroupKind.TEACHING, code="6A", name="Latin"
    )
    pupil = replace(PUPIL, memberships=(Membership(CLASS, Role.PUPIL), Membership(teaching.id, Role.PUPIL)))

    fill(target, [GROUP, teaching, pupil])

    assert contents(target) == [active(GROUP), active(teaching), active(pupil)]
    assert attributes_of(server, f"cn=0590001A$6A$groupe,ou=groups,{base}", "description")["description"] == ["Latin"]


def test_the_school_of_a_pupil_without_a_class_stands_beside_the_first(target):
    other = EntryId("0590002B")
    pupil = replace(PUPIL, affiliations=(Affiliation(UAI), Affiliation(other)), memberships=())

    fill(target, [pupil])

    assert contents(target) == [active(pupil)]


def test_a_target_that_may_not_know_the_join_key_is_given_a_pseudonym(server, target, base):
    pupil = replace(PUPIL, source_key=Key("pupil-1"))

    fill(target, [pupil])

    assert attributes_of(server, f"uid=pupil-1,ou=people,{base}", "ENTPersonJointure") == {
        "ENTPersonJointure": ["ENT$pupil-1"]
    }
    assert contents(target) == [active(pupil)]


def test_neutral_values_are_told_and_released_ones_are_not(target):
    told = target.neutral(replace(GUARDIAN, guardianships=()))

    assert dict(told) == {
        "ENTPersonLogin": "guardian-1",
        "ENTAuxPersRelEleveEleve": f"ou=people,{target._settings.base}",
    }


NAMES = ["Œuf+", "a,b", 'Le "Grand"', "#tag", "back\\slash", " space", "two  spaces", "<é>;=", "ß", "*()"]


@pytest.mark.parametrize("text", NAMES)
def test_special_characters_survive_in_identifiers_names_and_codes(target, text):
    group = Group(id=group_id(UAI, GroupKind.CLASS, text), uai=UAI, group_kind=GroupKind.CLASS, code=text, name=text)
    pupil = replace(
        PUPIL,
        id=EntryId(f"{text}1"),
        attributes={"family_name": (text,)},
        memberships=(Membership(group.id, Role.PUPIL),),
    )
    guardian = replace(GUARDIAN, guardianships=(Guardianship(pupil.id, legal=False),))

    fill(target, [group, pupil, guardian])

    assert {held.entry.id: held for held in contents(target)} == {
        each.id: active(each) for each in (group, pupil, guardian)
    }


texts = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn", "Zs", "Zl", "Zp", "Mn"], max_codepoint=0x24F))
words = texts.filter(lambda text: text and "$" not in text)


@st.composite
def people(draw):
    """An account of any population, as release makes them."""
    population = draw(st.sampled_from([Population.PUPIL, Population.GUARDIAN, Population.STAFF]))
    kinds = st.sampled_from([GroupKind.CLASS, GroupKind.TEACHING])
    groups = draw(st.lists(st.tuples(kinds, st.sampled_from("ABC")), unique=True, max_size=3))
    memberships, affiliations, guardianships = [], set(), set()
    if population is not Population.GUARDIAN:
        for kind, code in groups:
            roles = [Role.PUPIL] if population is Population.PUPIL else [Role.TEACHER, Role.STAFF]
            if population is Population.STAFF and kind is GroupKind.CLASS:
                roles.append(Role.HEAD_TEACHER)
            memberships.append(Membership(group_id(UAI, kind, code), draw(st.sampled_from(roles))))
        functions = st.none() if population is Population.PUPIL else st.none() | st.sampled_from(["ENS", "DOC", "X"])
        affiliations = draw(st.sets(st.builds(Affiliation, st.sampled_from(["A", "B,C", "D"]), functions), max_size=3))
    else:
        pupils = draw(st.dictionaries(words, st.booleans(), max_size=3))
        guardianships = {Guardianship(EntryId(pupil), legal) for pupil, legal in pupils.items()}
    attributes = {"family_name": (draw(words),)}
    if draw(st.booleans()):
        attributes["given_name"] = (draw(words),)
    return Account(
        id=EntryId("someone"),
        population=population,
        source_key=Key(draw(st.sampled_from(["LILLE$1", "AMIENS$abc", "someone"]))),
        profile=draw(st.sampled_from([None, "National_ENS", "National_ELV", "National_TUT"])),
        attributes=attributes,
        affiliations=tuple(sorted(affiliations, key=lambda each: (each.uai, each.function or ""))),
        memberships=tuple(sorted(memberships)),
        guardianships=tuple(sorted(guardianships)),
    )


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(account=people())
def test_whatever_an_account_holds_reads_back_as_it_was(target, account):
    list(target.push([Delete(account.id, account.kind, ERASED), Create(account)]))

    (found,) = target.read_back([account.id])

    assert found == active(account)


# -- the least that must change ----------------------------------------------------------------------------------------


def test_nothing_is_written_where_nothing_differs(server, target, base):
    fill(target)
    dns = [f"uid=staff-1,ou=people,{base}", f"cn=0590001A$6A,ou=groups,{base}", f"ou=0590001A,ou=structures,{base}"]
    before = [attributes_of(server, dn, "entryCSN") for dn in dns]

    list(target.push([Update(entry, ("memberships",)) for entry in EVERYBODY]))

    assert [attributes_of(server, dn, "entryCSN") for dn in dns] == before


def test_attributes_that_the_layout_does_not_name_are_never_touched(server, target, base):
    fill(target)
    dn = f"uid=guardian-1,ou=people,{base}"
    server.modify_ldif(f"dn: {dn}\nchangetype: modify\nadd: description\ndescription: kept by the ENT\n")
    changed = replace(GUARDIAN, attributes={"family_name": ("Autre",)})

    list(target.push([Update(changed, ("family_name", "given_name", "mail"))]))

    found = attributes_of(server, dn, "description", "sn", "mail")
    assert found == {"description": ["kept by the ENT"], "sn": ["Autre"]}


def test_a_suspended_account_is_moved_and_not_made_anew(server, target, base):
    fill(target)
    before = attributes_of(server, f"uid=staff-1,ou=people,{base}", "entryUUID")

    list(target.push([suspend(TEACHER)]))

    assert attributes_of(server, f"uid=staff-1,ou=people,{base}") is None
    assert attributes_of(server, f"uid=staff-1,ou=suspended,{base}", "entryUUID") == before


def test_of_a_suspended_account_nothing_stays_but_what_the_law_lets_stay(server, target, base):
    fill(target)

    list(target.push([suspend(TEACHER)]))

    assert attributes_of(server, f"uid=staff-1,ou=suspended,{base}") == {
        "objectClass": ["top", "person", "organizationalPerson", "inetOrgPerson", "ENTPerson", "ENTAuxNonEnsEtab"],
        "uid": ["staff-1"],
        "ENTPersonJointure": ["AC-LILLE$300"],
        "ENTPersonLogin": ["staff-1"],
        "sn": ["Preuve"],
        "givenName": ["Max"],
        "cn": ["Preuve Max"],
    }


def test_somebody_elses_attribute_does_not_keep_an_account_from_being_suspended(server, target, base):
    fill(target)
    dn = f"uid=staff-1,ou=people,{base}"
    server.modify_ldif(
        f"dn: {dn}\nchangetype: modify\nadd: ENTAuxEnsCategoDiscipline\nENTAuxEnsCategoDiscipline: 1$X\n"
    )

    (outcome,) = target.push([suspend(TEACHER)])

    assert isinstance(outcome, Acknowledged)
    assert attributes_of(server, f"uid=staff-1,ou=suspended,{base}", "ENTAuxEnsCategoDiscipline") is not None


def test_a_restored_account_is_the_entry_that_was_suspended(server, target, base):
    fill(target)
    before = attributes_of(server, f"uid=staff-1,ou=people,{base}", "entryUUID")
    list(target.push([suspend(TEACHER)]))

    list(target.push([Restore(TEACHER)]))

    assert attributes_of(server, f"uid=staff-1,ou=people,{base}", "entryUUID") == before
    assert list(target.read_back([TEACHER.id])) == [active(TEACHER)]


def test_an_account_may_be_suspended_by_a_value_instead_of_a_move(server, tmp_path, base):
    layout = LAYOUT.replace("  move: true", "  move: false").replace(
        "  values: {} ", "  values: {employeeType: BLOQUE} "
    )
    with closing(ldap_target(server, tmp_path, base, layout=layout)) as target:
        fill(target, [TEACHER])

        list(target.push([suspend(TEACHER)]))

        (found,) = target.read_back([TEACHER.id])
        assert found.lifecycle is Lifecycle.SUSPENDED
        assert attributes_of(server, f"uid=staff-1,ou=people,{base}", "employeeType") == {"employeeType": ["BLOQUE"]}


def test_members_come_and_go_one_by_one(server, target, base):
    """Who else is in a group is not our business when one joins."""
    fill(target)
    dn = f"cn=0590001A$6A,ou=groups,{base}"
    server.modify_ldif(f"dn: {dn}\nchangetype: modify\nadd: member\nmember: cn=robot,{base}\n")

    list(target.push([suspend(PUPIL)]))

    assert attributes_of(server, dn, "member")["member"] == [f"uid=staff-1,ou=people,{base}", f"cn=robot,{base}"]


# -- others write too --------------------------------------------------------------------------------------------------


def test_drift_on_either_side_of_a_membership_shows(server, target, base):
    fill(target)
    group, other = f"cn=0590001A$6A,ou=groups,{base}", f"cn=0590001A$6B,ou=groups,{base}"
    server.modify_ldif(f"dn: {group}\nchangetype: modify\ndelete: member\nmember: uid=pupil-1,ou=people,{base}\n")
    server.modify_ldif(f"dn: {other}\nchangetype: modify\nadd: member\nmember: uid=pupil-1,ou=people,{base}\n")

    (found,) = target.read_back([PUPIL.id])

    assert found.entry.memberships == (Membership(OTHER_CLASS, Role.PUPIL),)


def test_drift_on_either_side_is_repaired_by_an_update(server, target, base):
    fill(target)
    group, other = f"cn=0590001A$6A,ou=groups,{base}", f"cn=0590001A$6B,ou=groups,{base}"
    server.modify_ldif(f"dn: {group}\nchangetype: modify\ndelete: member\nmember: uid=pupil-1,ou=people,{base}\n")
    server.modify_ldif(f"dn: {other}\nchangetype: modify\nadd: member\nmember: uid=pupil-1,ou=people,{base}\n")

    list(target.push([Update(PUPIL, ("memberships",))]))

    assert list(target.read_back([PUPIL.id])) == [active(PUPIL)]


def test_a_change_made_meanwhile_by_others_is_noticed_and_not_trampled(server, target, base, monkeypatch):
    fill(target)
    dn = f"uid=guardian-1,ou=people,{base}"
    perform, trampled = target._directory.perform, []

    def perform_after_another(operations):
        if not trampled and any(type(each).__name__ == "Modify" and each.dn == dn for each in operations):
            trampled.append(True)
            server.modify_ldif(f"dn: {dn}\nchangetype: modify\nreplace: mail\nmail: meanwhile@example.org\n")
        return perform(operations)

    monkeypatch.setattr(type(target._directory), "perform", lambda _, operations: perform_after_another(operations))
    changed = replace(GUARDIAN, attributes={**GUARDIAN.attributes, "given_name": ("Éva",)})

    (outcome,) = target.push([Update(changed, ("given_name",))])

    assert trampled
    assert outcome == Acknowledged(GUARDIAN.id, active(GUARDIAN))
    assert list(target.read_back([GUARDIAN.id])) == [active(changed)]


FOREIGN = """dn: uid=staff-1,ou=people,BASE
objectClass: inetOrgPerson
objectClass: ENTPerson
objectClass: ENTAuxEnseignant
uid: staff-1
sn: Autre
cn: Autre
ENTPersonLogin: autre
ENTPersonJointure: AC-AMIENS$9
description: theirs
"""


def test_an_entry_of_our_name_that_others_made_is_refused(server, target, base):
    made_branches(server, target, base)
    add_ldif(server, base, FOREIGN)

    (outcome,) = target.push([Create(TEACHER)])

    assert without_message(outcome) == Refused(TEACHER.id, "foreign-entry", "")


def test_a_structure_of_our_name_that_others_made_is_refused(server, target, base):
    made_branches(server, target, base)
    add_ldif(server, base, "dn: ou=0590001A,ou=structures,BASE\nobjectClass: organizationalUnit\n")

    (outcome,) = target.push([Create(SCHOOL)])

    assert without_message(outcome) == Refused(SCHOOL.id, "foreign-entry", "")


def test_entries_of_others_are_never_deleted(server, target, base):
    made_branches(server, target, base)
    add_ldif(server, base, FOREIGN)

    (outcome,) = target.push([delete(TEACHER)])

    assert without_message(outcome) == Refused(TEACHER.id, "foreign-entry", "")
    assert attributes_of(server, f"uid=staff-1,ou=people,{base}") is not None


def test_entries_of_others_are_not_told_of(server, target, base):
    made_branches(server, target, base)
    add_ldif(server, base, FOREIGN)

    assert contents(target) == []


def test_an_entry_with_our_join_key_is_taken_over_where_the_settings_say_so(server, tmp_path, base):
    with closing(ldap_target(server, tmp_path, base, adopt=["accounts"])) as target:
        made_branches(server, target, base)
        add_ldif(server, base, FOREIGN.replace("staff-1", "theirs").replace("AC-AMIENS$9", "AC-LILLE$300"))
        before = attributes_of(server, f"uid=theirs,ou=people,{base}", "entryUUID")

        (outcome,) = target.push([Create(TEACHER)])

        assert outcome == Acknowledged(TEACHER.id, None)
        assert list(target.read_back([TEACHER.id])) == [active(TEACHER)]
        found = attributes_of(server, f"uid=staff-1,ou=people,{base}", "entryUUID", "description")
        assert found == {**before, "description": ["theirs"]}


def test_a_lost_answer_to_a_creation_is_no_refusal(target):
    """The same creation once more: the entry has our name and our join key."""
    fill(target)

    outcomes = list(target.push([Create(entry) for entry in EVERYBODY]))

    assert outcomes == [Acknowledged(entry.id, active(entry)) for entry in EVERYBODY]


def test_a_creation_of_someone_who_is_suspended_brings_them_back(target):
    fill(target)
    list(target.push([suspend(PUPIL)]))
    (suspended,) = target.read_back([PUPIL.id])

    (outcome,) = target.push([Create(PUPIL)])

    assert outcome == Acknowledged(PUPIL.id, suspended)
    assert list(target.read_back([PUPIL.id])) == [active(PUPIL)]


def test_a_group_made_by_its_members_alone_is_none_until_it_has_its_name(target):
    fill(target, [PUPIL])
    before = contents(target)

    fill(target, [GROUP])

    assert before == [active(PUPIL)]
    assert contents(target) == [active(GROUP), active(PUPIL)]


def test_a_role_that_the_layout_has_no_place_for_is_refused(target):
    odd = replace(GUARDIAN, memberships=(Membership(CLASS, Role.TEACHER),))

    (outcome,) = target.push([Create(odd)])

    assert without_message(outcome) == Refused(GUARDIAN.id, "unfit-role", "")


def test_a_value_that_the_server_does_not_take_is_refused_without_being_told(target):
    bad = replace(GUARDIAN, attributes={"family_name": ("D'Essai",), "mail": ("é@example.org",)})

    (outcome,) = target.push([Create(bad)])

    assert isinstance(outcome, Refused)
    assert (outcome.rule, "é@" in outcome.message) == ("invalidAttributeSyntax", False)


def test_structures_hold_what_their_class_demands(server, target, base):
    fill(target, [Structure(id=UAI, source_key=Key("LILLE$1"), name="Collège", attributes={})])

    assert attributes_of(server, f"ou=0590001A,ou=structures,{base}") == {
        "objectClass": ["top", "organizationalUnit", "ENTStructure", "ENTEtablissement"],
        "ou": ["0590001A"],
        "ENTStructureJointure": ["AC-LILLE$1"],
        "ENTStructureNomCourant": ["Collège"],
        "ENTStructureUAI": ["0590001A"],
        "ENTStructureSIREN": ["-"],
        "ENTEtablissementMinistereTutelle": ["-"],
        "ENTEtablissementContrat": ["-"],
    }


def test_a_suspended_account_reads_back_as_what_is_left_of_it(target):
    fill(target)

    list(target.push([suspend(PUPIL)]))

    held = {each.entry.id: each for each in contents(target)}[PUPIL.id]
    left = Account(
        id=PUPIL.id,
        population=Population.PUPIL,
        source_key=PUPIL.source_key,
        profile=None,
        attributes={"family_name": ("D'Essai",), "given_name": ("Zoé",)},
    )
    assert held == Held(left, Lifecycle.SUSPENDED)


def test_references_that_others_made_stay_beside_ours(server, target, base):
    in_charge = replace(GUARDIAN, guardianships=(Guardianship(PUPIL.id, legal=False),))
    fill(target, [in_charge])
    dn = f"uid=guardian-1,ou=people,{base}"
    server.modify_ldif(f"dn: {dn}\nchangetype: modify\nadd: seeAlso\nseeAlso: cn=their note,{base}\n")

    list(target.push([Update(GUARDIAN, ("guardianships",))]))

    assert attributes_of(server, dn, "seeAlso") == {"seeAlso": [f"cn=their note,{base}"]}
    assert list(target.read_back([GUARDIAN.id])) == [active(GUARDIAN)]


def test_two_codes_that_are_one_name_to_the_directory_are_not_mixed_up(target):
    other = Group(id=group_id(UAI, GroupKind.CLASS, "6a"), uai=UAI, group_kind=GroupKind.CLASS, code="6a", name="x")
    fill(target, [GROUP])

    (outcome,) = target.push([Create(other)])

    assert without_message(outcome) == Refused(other.id, "name-clash", "")
    assert contents(target) == [active(GROUP)]


def test_structures_and_groups_are_taken_over_by_their_name_where_the_settings_say_so(server, tmp_path, base):
    with closing(ldap_target(server, tmp_path, base, adopt=["structures", "groups"])) as target:
        made_branches(server, target, base)
        add_ldif(
            server,
            base,
            "dn: ou=0590001A,ou=structures,BASE\nobjectClass: ENTEtablissement\nENTStructureJointure: X$1\n"
            "ENTStructureNomCourant: x\nENTStructureSIREN: 1\nENTEtablissementContrat: PU\n"
            "ENTEtablissementMinistereTutelle: MEN\n\n"
            "dn: cn=0590001A$6A,ou=groups,BASE\nobjectClass: ENTClasse\nmember: cn=robot,BASE\n",
        )

        outcomes = list(target.push([Create(SCHOOL), Create(GROUP)]))

        assert all(isinstance(outcome, Acknowledged) for outcome in outcomes)
        assert contents(target) == [active(SCHOOL), active(GROUP)]


def test_nobody_joins_a_group_that_others_made(server, target, base):
    made_branches(server, target, base)
    add_ldif(server, base, "dn: cn=0590001A$6A,ou=groups,BASE\nobjectClass: ENTClasse\nmember: cn=robot,BASE\n")

    (outcome,) = target.push([Create(PUPIL)])

    assert without_message(outcome) == Refused(PUPIL.id, "foreign-entry", "")
    assert attributes_of(server, f"cn=0590001A$6A,ou=groups,{base}", "member") == {"member": [f"cn=robot,{base}"]}


def test_entries_of_an_earlier_account_of_ours_are_ours(server, tmp_path, base):
    with closing(ldap_target(server, tmp_path, base, bind_as="admin")) as before:
        fill(before)
    with closing(ldap_target(server, tmp_path, base, makers=[server.admin])) as target:
        (outcome,) = target.push([delete(TEACHER)])

        assert outcome == Acknowledged(TEACHER.id, active(TEACHER))


def test_an_account_may_be_suspended_by_a_password_policy(tmp_path):
    layout = LAYOUT.replace("  move: true", "  move: false").replace(
        "  values: {} ", '  values: {pwdAccountLockedTime: "000001010000Z"} '
    )
    with (
        slapd(durable=False, global_lines=["moduleload ppolicy"], database_lines=["overlay ppolicy"]) as server,
        closing(ldap_target(server, tmp_path, server.base, layout=layout)) as target,
    ):
        fill(target, [TEACHER])
        list(target.push([suspend(TEACHER)]))
        (suspended,) = target.read_back([TEACHER.id])

        list(target.push([Restore(TEACHER)]))

        assert suspended.lifecycle is Lifecycle.SUSPENDED
        assert list(target.read_back([TEACHER.id])) == [active(TEACHER)]
