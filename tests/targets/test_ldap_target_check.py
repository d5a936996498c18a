"""What the LDAP target tells before the first push, and a first load that it writes to a file."""

from contextlib import closing
from dataclasses import replace

import pytest
from ldap_directory import LAYOUT, SHIPPED, attributes_of, ldap_target, new_base

from ent_sync.core.entry import EntryId, Group, Membership, group_id
from ent_sync.core.errors import BadConfigurationError, UnavailableError
from ent_sync.core.plan import Create, Delete, Update
from ent_sync.core.relations import GroupKind, Role
from ent_sync.ports import Acknowledged, Refused
from ports.target_contract import (
    CLASS,
    ERASED,
    EVERYBODY,
    GROUP,
    PUPIL,
    SCHOOL,
    TEACHER,
    UAI,
    active,
    by_id,
    contents,
    fill,
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
def opened(server, tmp_path, base):
    made = []

    def open_target(**more):
        made.append(ldap_target(server, tmp_path, more.pop("base", base), **more))
        return made[-1]

    yield open_target
    for target in made:
        target.close()


def told(problems):
    return [(problem.rule, problem.message) for problem in problems]


# -- the layout --------------------------------------------------------------------------------------------------------


def test_the_shipped_layout_has_a_place_for_all_that_the_shipped_register_releases(opened):
    released = ("family_name", "given_name", "title", "mail", "mobile", "adult", "level", "mef")

    target = opened(layout=SHIPPED.read_text(), single=released, multiple=())

    assert told(target.check()) == []


def test_a_released_attribute_without_a_place_is_told_by_name(opened):
    target = opened(single=("family_name", "shoe_size"))

    assert told(target.check()) == [
        ("no-place", "has no place for `shoe_size`, which the register releases to this target"),
    ]


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("given_name: givenName", "given_name: sn", "twice"),
        ("move: true", "move: false", "suspension"),
        ('people: "ou=people"', 'people: "people"', "branch"),
        ('{cn: "{id}", sn:', '{cn: "{mail}", sn:', "template"),
        ("  name: description", "  nom: description", "unknown-key"),
        ('suspended: "ou=suspended"', 'suspended: "ou=people"', "branches"),
    ],
)
def test_an_error_of_the_layout_is_told_with_its_place(opened, old, new, rule):
    assert old in LAYOUT

    with pytest.raises(BadConfigurationError) as refused:
        opened(layout=LAYOUT.replace(old, new))

    assert rule in {problem.rule for problem in refused.value.problems}
    assert all(problem.where.line is not None for problem in refused.value.problems)


# -- the directory -----------------------------------------------------------------------------------------------------


def test_classes_and_attributes_that_the_schema_lacks_are_told_by_name(opened):
    layout = LAYOUT.replace("teacher: [ENTAuxEnseignant]", "teacher: [ESCOTeacher]").replace(
        "mail: mail", "mail: escoMail"
    )

    problems = opened(layout=layout).check()

    assert told(problems) == [
        ("no-class", "the server's schema lacks the object class ESCOTeacher"),
        ("no-attribute", "the server's schema lacks the attribute escoMail"),
    ]


def test_an_attribute_of_one_value_for_several_is_told_by_name(opened):
    layout = LAYOUT.replace("subjects: ENTAuxEnsMatiereEnseignEtab", "subjects: ENTPersonAlias")

    problems = opened(layout=layout).check()

    assert told(problems) == [
        ("one-value", "the server's schema allows ENTPersonAlias one value only, and several may come"),
    ]


def test_what_a_class_demands_and_nothing_stands_in_for_is_told_by_name(opened):
    layout = LAYOUT.replace('      ENTEleveFiliere: "-"\n', "")

    problems = opened(layout=layout).check()

    assert told(problems) == [
        ("no-neutral", "an object class of the layout demands entelevefiliere: give it a neutral value in the layout"),
    ]


def test_rights_that_are_missing_are_told_by_branch(server, opened):
    problems = opened(base=server.base, bind_as="reader").check()

    assert [(problem.rule, problem.message.split(":")[0]) for problem in problems] == [
        ("no-right", "nothing can be written below ou=people"),
        ("no-right", "nothing can be written below ou=structures"),
        ("no-right", "nothing can be written below ou=groups"),
        ("no-right", "nothing can be written below ou=suspended"),
    ]


def test_rights_that_are_missing_are_told_where_entries_lie_already(server, opened):
    with_entries = opened(base=server.base)
    fill(with_entries)
    reader = opened(base=server.base, bind_as="reader", makers=[server.writer])

    problems = reader.check()

    list(with_entries.push([Delete(entry.id, entry.kind, ERASED) for entry in reversed(EVERYBODY)]))
    assert [problem.rule for problem in problems] == ["no-right"] * 3


def test_a_check_leaves_nothing_behind(server, base, opened):
    problems = opened().check()

    assert list(problems) == []
    assert attributes_of(server, base) is None


def test_a_check_of_a_directory_in_use_changes_nothing(server, base, opened):
    target = opened()
    fill(target)
    before = server.search("-s", "sub", "(objectClass=*)", "entryCSN")

    target.check()

    assert sorted(server.search("-s", "sub", f"(entryDN:dnSubtreeMatch:={base})", "entryCSN").split("\n\n")) == sorted(
        entry for entry in before.split("\n\n") if base in entry or not entry.strip()
    )


def test_a_base_that_cannot_be_made_is_told(opened):
    problems = opened(base="dc=elsewhere,dc=example").check()

    assert [problem.rule for problem in problems] == ["no-base"]


def test_a_server_that_does_not_answer_is_unavailable(tmp_path):
    with slapd(running=False) as stopped:
        stopped.port = 1
        target = ldap_target(stopped, tmp_path, stopped.base)

        with pytest.raises(UnavailableError):
            target.check()


def test_a_read_only_server_is_unavailable_and_no_fault_of_the_configuration(tmp_path):
    with (
        slapd(durable=False, read_only=True) as server,
        closing(ldap_target(server, tmp_path, server.base)) as target,
        pytest.raises(UnavailableError, match="read-only"),
    ):
        target.check()


def test_a_read_only_server_refuses_changes_by_name(tmp_path):
    with slapd(durable=False, read_only=True) as server:
        with closing(ldap_target(server, tmp_path, server.base)) as target:
            (outcome,) = target.push([Create(SCHOOL)])

        assert isinstance(outcome, Refused)
        assert outcome.rule == "unwillingToPerform"


# -- a first load as a file --------------------------------------------------------------------------------------------

TEACHING = Group(
    id=group_id(UAI, GroupKind.TEACHING, "6A"), uai=UAI, group_kind=GroupKind.TEACHING, code="6A", name="Latin, suite"
)
ODD = replace(
    PUPIL,
    id=EntryId("odd, one"),
    attributes={"family_name": (" Œuf ",)},
    memberships=(Membership(CLASS, Role.PUPIL), Membership(TEACHING.id, Role.PUPIL)),
)
LOADED = (*EVERYBODY, TEACHING, ODD)


def test_a_first_load_written_to_a_file_reads_back_as_it_was(server, opened):
    target = opened()
    ldif = "".join(target.written(Create(entry) for entry in LOADED))

    server.slapadd(ldif)

    assert contents(target) == by_id(map(active, LOADED))


def test_entries_of_a_first_load_are_ours(server, opened):
    target = opened()
    server.slapadd("".join(target.written(Create(entry) for entry in EVERYBODY)))
    left = replace(TEACHER, memberships=())

    outcomes = list(target.push([Update(left, ("memberships",)), Delete(PUPIL.id, PUPIL.kind, ERASED)]))

    assert outcomes == [Acknowledged(TEACHER.id, active(TEACHER)), Acknowledged(PUPIL.id, active(PUPIL))]


def test_a_group_of_a_first_load_has_a_member_even_when_it_is_empty(server, base, opened):
    target = opened()

    server.slapadd("".join(target.written([Create(SCHOOL), Create(GROUP)])))

    found = attributes_of(server, f"cn=0590001A$6A,ou=groups,{base}", "member")
    assert found == {"member": [f"ou=0590001A,ou=structures,{base}"]}
