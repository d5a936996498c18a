"""Operations through one connection with many under way, at a real slapd bound as an account that limits bind."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ent_sync.config.directory import DirectorySection
from ent_sync.wire.ldap import result
from ent_sync.wire.ldap.access import connect
from ent_sync.wire.ldap.ber import attributes
from ent_sync.wire.ldap.ber_write import BadFilterError
from ent_sync.wire.ldap.dn import NotADnError
from ent_sync.wire.ldap.operation import touched
from ent_sync.wire.ldap.search import Search
from ent_sync.wire.ldap.write import Add, Edit, EditKind, Find, Modify, Move, Pipeline, Read, Remove
from servers.slapd import slapd


@pytest.fixture
def server():
    with slapd(durable=False) as running:
        yield running


@pytest.fixture
def pipeline(server):
    with link_to(server) as link:
        yield Pipeline(link)


def link_to(server, bind_as="writer"):
    return connect(DirectorySection.model_validate(server.section(bind_as)), Path("/"), {}, who="target ent")


def perform_as(server, bind_as, operations):
    with link_to(server, bind_as) as link:
        return Pipeline(link).perform(operations)


def dn_of(name, branch="people"):
    return f"cn={name},ou={branch},dc=ent,dc=example"


def role(name, **more):
    """An entry of a class that everyone has."""
    content = {"objectClass": [b"organizationalRole"], "cn": [name.encode()], **more}
    return Add(dn_of(name), content)


def describe(name, *values, kind=EditKind.REPLACE, **more):
    return Modify(dn_of(name), [Edit(kind, "description", values)], **more)


def codes(answers):
    return [answer.result.code for answer in answers]


def described(server, name):
    found = server.search(f"(cn={name})", "description")
    return [line.partition(": ")[2] for line in found.splitlines() if line.startswith("description:")]


# -- what each operation does ------------------------------------------------------------------------------------------


def test_entries_are_added_with_all_their_values(server, pipeline):
    answers = pipeline.perform([role(f"n{number}", description=[b"a", b"b"]) for number in range(200)])

    assert codes(answers) == [0] * 200
    assert server.search("(cn=n*)", "1.1").count("dn:") == 200
    assert described(server, "n7") == ["a", "b"]


def test_values_in_any_script_and_of_any_size_arrive_whole(server, pipeline):
    long = ("é" * 40_000).encode()

    pipeline.perform([role("n1", description=["Ünïcødé 漢字 $ ,+".encode(), long])])
    (answer,) = pipeline.perform([Read(dn_of("n1"), ("description",))])

    assert set(attributes(answer.entries[0].content)["description"]) == {"Ünïcødé 漢字 $ ,+".encode(), long}


def test_a_modify_makes_all_its_edits(server, pipeline):
    edits = [
        Edit(EditKind.REPLACE, "description", [b"new"]),
        Edit(EditKind.ADD, "seeAlso", [b"dc=ent,dc=example"]),
        Edit(EditKind.DELETE, "telephoneNumber"),
    ]

    pipeline.perform([role("n1", description=[b"old"], telephoneNumber=[b"1", b"2"]), Modify(dn_of("n1"), edits)])

    lines = server.search("(cn=n1)", "description", "seeAlso", "telephoneNumber").split("\n", 1)[1]
    assert lines.strip().splitlines() == ["description: new", "seeAlso: dc=ent,dc=example"]


def test_a_move_gives_another_name_and_another_parent(server, pipeline):
    answers = pipeline.perform([role("n1"), Move(dn_of("n1"), "cn=n2", "ou=suspended,dc=ent,dc=example")])

    assert codes(answers) == [0, 0]
    assert "dn: cn=n2,ou=suspended,dc=ent,dc=example\ncn: n2\n" in server.search("(cn=n2)", "cn")


def test_a_move_without_a_parent_stays_where_it_is(server, pipeline):
    pipeline.perform([role("n1"), Move(dn_of("n1"), "cn=n2")])

    assert server.search("(cn=n2)", "1.1").strip() == f"dn: {dn_of('n2')}"


def test_a_removed_entry_is_gone(server, pipeline):
    pipeline.perform([role("n1"), Remove(dn_of("n1"))])

    assert server.search("(cn=n1)", "1.1") == ""


def test_a_find_gives_what_matches(pipeline):
    pipeline.perform([role("n1", description=[b"x"]), role("n2"), role("n3", description=[b"x"])])

    (answer,) = pipeline.perform([Find(Search(base="dc=ent,dc=example", filter="(description=x)"))])

    assert sorted(entry.dn for entry in answer.entries) == [dn_of("n1"), dn_of("n3")]


def test_a_read_that_does_not_match_gives_no_entry(pipeline):
    _, answer = pipeline.perform([role("n1"), Read(dn_of("n1"), ("cn",), "(description=x)")])

    assert (answer.result.code, answer.entries) == (0, ())


# -- order -------------------------------------------------------------------------------------------------------------


def test_answers_come_in_the_order_of_the_operations(pipeline):
    pipeline.perform([role(f"n{number}") for number in range(50)])

    answers = pipeline.perform([Read(dn_of(f"n{number}"), ("cn",)) for number in (*range(49, -1, -1), *range(50))])

    found = [attributes(answer.entries[0].content)["cn"][0].decode() for answer in answers]
    assert found == [f"n{number}" for number in (*range(49, -1, -1), *range(50))]


def test_operations_on_one_dn_are_done_in_their_order(server, pipeline):
    spelt = ["cn=N1, OU=People,dc=ent,dc=example", dn_of("n1"), "CN=n1,ou=people,DC=ent,dc=example"]
    edits = [
        Modify(spelt[number % 3], [Edit(EditKind.REPLACE, "description", [b"%d" % number])]) for number in range(100)
    ]

    answers = pipeline.perform([role("n1"), *edits])

    assert codes(answers) == [0] * 101
    assert described(server, "n1") == ["99"]


def test_an_entry_waits_for_its_parent_and_goes_before_it(server, pipeline):
    parent = "ou=new,ou=people,dc=ent,dc=example"
    children = [f"cn=n{number},{parent}" for number in range(60)]
    adds = [Add(dn, {"objectClass": [b"organizationalRole"]}) for dn in children]

    answers = pipeline.perform(
        [
            Add(parent, {"objectClass": [b"organizationalUnit"]}),
            *adds,
            *(Remove(dn) for dn in children),
            Remove(parent),
        ]
    )

    assert set(codes(answers)) == {0}


def test_a_move_counts_for_the_dn_it_leaves_and_the_one_it_takes(pipeline):
    answers = pipeline.perform(
        [role("n1"), Move(dn_of("n1"), "cn=n2"), role("n1"), Move(dn_of("n2"), "cn=n3"), role("n2")]
    )

    assert codes(answers) == [0] * 5


@pytest.mark.parametrize(
    ("operation", "own", "staying"),
    [
        (Remove("cn=A,dc=b"), ("cn=a,dc=b",), ("dc=b",)),
        (Remove(r"cn=A\,C,dc=b"), (r"cn=a\,c,dc=b",), ("dc=b",)),
        (Remove(r"cn=A\\,dc=b"), (r"cn=a\\,dc=b",), ("dc=b",)),
        (Remove("dc=b"), ("dc=b",), ("",)),
        (Move("cn=a,dc=b", "cn=C"), ("cn=a,dc=b", "cn=c,dc=b"), ("dc=b", "dc=b")),
        (Move("cn=a,dc=b", "cn=C", "dc=D"), ("cn=a,dc=b", "cn=c,dc=d"), ("dc=b", "dc=d")),
        (Move("cn=a,dc=b", "cn=A"), ("cn=a,dc=b",), ("dc=b", "dc=b")),
        (Modify("cn=A,dc=b", []), ("cn=a,dc=b",), ()),
    ],
)
def test_what_an_operation_touches(operation, own, staying):
    assert touched(operation) == (own, staying)


# -- codes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        (role("n1"), result.ENTRY_EXISTS),
        (Remove(dn_of("n2")), result.NO_SUCH_OBJECT),
        (describe("n2", b"x"), result.NO_SUCH_OBJECT),
        (Read(dn_of("n2"), ("cn",)), result.NO_SUCH_OBJECT),
        (describe("n1", b"x", kind=EditKind.ADD), result.ATTRIBUTE_OR_VALUE_EXISTS),
        (describe("n1", b"y", kind=EditKind.DELETE), result.NO_SUCH_ATTRIBUTE),
        (describe("n1", b"y", assertion="(description=z)"), result.ASSERTION_FAILED),
        (Remove(dn_of("n1"), assertion="(description=z)"), result.ASSERTION_FAILED),
        (describe("n1", b"y", assertion="(&(description=x)(cn=n1))"), 0),
        (describe("n1", b"x", kind=EditKind.ADD, permissive=True), 0),
        (describe("n1", b"y", kind=EditKind.DELETE, permissive=True), result.NO_SUCH_ATTRIBUTE),
        (Modify(dn_of("n1"), [Edit(EditKind.DELETE, "telephoneNumber", [b"1"])], permissive=True), 0),
        (Add("cn=n3,ou=nowhere,dc=ent,dc=example", {"objectClass": [b"organizationalRole"]}), result.NO_SUCH_OBJECT),
    ],
)
def test_an_answer_is_a_code_whatever_it_is(pipeline, operation, code):
    pipeline.perform([role("n1", description=[b"x"])])

    answers = pipeline.perform([operation])

    assert codes(answers) == [code]


def test_what_fails_its_assertion_is_not_done(server, pipeline):
    pipeline.perform([role("n1", description=[b"x"]), describe("n1", b"y", assertion="(description=z)")])

    assert described(server, "n1") == ["x"]


def test_a_modify_brings_what_was_there_before(pipeline):
    pipeline.perform([role("n1", description=[b"x", b"z"])])

    (answer,) = pipeline.perform([describe("n1", b"y", before=("description",))])

    assert attributes(answer.before.content) == {"description": [b"x", b"z"]}


@pytest.mark.parametrize("operation", [Remove(dn_of("n1"), before=("*",)), Move(dn_of("n1"), "cn=n2", before=("*",))])
def test_what_leaves_its_place_brings_all_that_it_was(pipeline, operation):
    pipeline.perform([role("n1", description=[b"x"])])

    (answer,) = pipeline.perform([operation])

    assert attributes(answer.before.content) == {
        "objectClass": [b"organizationalRole"],
        "cn": [b"n1"],
        "description": [b"x"],
    }


def test_a_lack_of_rights_is_told_before_what_else_is_wrong(server):
    """So whether an account may modify can be asked without modifying: by deleting an attribute that is not there."""
    asked = Modify("ou=people,dc=ent,dc=example", [Edit(EditKind.DELETE, "telephoneNumber")])

    found = [codes(perform_as(server, name, [asked])) for name in ("reader", "writer")]

    assert found == [[result.INSUFFICIENT_ACCESS], [result.NO_SUCH_ATTRIBUTE]]


def test_a_read_only_directory_is_a_code_and_a_read_goes_on():
    operations = [role("n1"), Read("ou=people,dc=ent,dc=example", ("ou",)), role("n2")]

    with slapd(read_only=True) as server:
        answers = perform_as(server, "writer", operations)

    assert codes(answers) == [result.UNWILLING, 0, result.UNWILLING]


def test_a_full_disk_of_the_server_is_a_code():
    operations = [role(f"n{number}", description=[b"x" * 9000]) for number in range(100)]

    with slapd(max_bytes=512 << 10, durable=False) as server:
        answers = perform_as(server, "writer", operations)

    assert {answer.result.name for answer in answers} == {"success", "other"}


def test_a_find_that_a_size_limit_cuts_says_so():
    with slapd(size_limit=2) as server:
        (answer,) = perform_as(server, "reader", [Find(Search(base="dc=ent,dc=example"))])

    assert answer.result.code == result.SIZE_LIMIT


def test_a_find_that_is_pointed_elsewhere_does_not_end_well(server, pipeline):
    server.add_ldif(
        "dn: ou=away,ou=people,dc=ent,dc=example\nobjectClass: referral\nobjectClass: extensibleObject\nou: away\n"
        "ref: ldap://away.example/ou=away\n"
    )

    (answer,) = pipeline.perform([Find(Search(base="dc=ent,dc=example"))])

    assert answer.result.code == result.REFERRAL


# -- what cannot be asked ----------------------------------------------------------------------------------------------


def test_a_dn_that_is_none_is_refused_before_anything_is_sent(server, pipeline):
    with pytest.raises(NotADnError):
        pipeline.perform([role("n1"), Remove("secret")])

    assert server.search("(cn=n1)", "1.1") == ""


def test_a_filter_that_cannot_be_read_ends_the_use_of_the_pipeline(pipeline):
    with pytest.raises(BadFilterError):
        pipeline.perform([Remove(dn_of("n1"), assertion="(secret")])

    (answer,) = pipeline.perform([role("n2")])
    assert (answer.result, answer.sent) == (None, False)


def test_nothing_is_answered_with_nothing(pipeline):
    assert pipeline.perform([]) == []


@given(st.sampled_from([role("secret"), describe("secret", b"secret"), Remove("cn=secret"), Read("cn=secret", ())]))
def test_no_operation_shows_whom_it_is_about(operation):
    assert "secret" not in repr(operation)
