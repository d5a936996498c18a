"""Every kind of request, byte for byte what ldap3 would send."""

import string

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ldap3.operation.add import add_operation
from ldap3.operation.delete import delete_operation
from ldap3.operation.modify import modify_operation
from ldap3.operation.modifyDn import modify_dn_operation
from ldap3.operation.search import compile_filter, parse_filter, search_operation
from ldap3.protocol.convert import build_controls_list
from ldap3.protocol.rfc4511 import LDAPMessage, MessageID, ProtocolOp
from ldap3.utils.asn1 import encode

from ent_sync.wire.ldap import ber_write

NAMES = st.text(string.ascii_letters + string.digits + "-;", min_size=1, max_size=40)
DNS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
VALUES = st.one_of(st.binary(max_size=140), st.binary(min_size=250, max_size=300), st.just(b"x" * 70_000))
SEVERAL = st.lists(VALUES, min_size=1, max_size=4)
NUMBERS = st.integers(min_value=1, max_value=2**31 - 1)


def by_ldap3(number, kind, request, controls=()):
    message = LDAPMessage()
    message["messageID"] = MessageID(number)
    message["protocolOp"] = ProtocolOp().setComponentByName(kind, request)
    if controls:
        message["controls"] = build_controls_list(list(controls))
    return encode(message)


@given(NUMBERS, DNS, st.dictionaries(NAMES, SEVERAL, min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_an_add_is_what_ldap3_sends(number, dn, attributes):
    expected = by_ldap3(number, "addRequest", add_operation(dn, attributes, auto_encode=False))

    assert ber_write.add(number, dn, attributes) == expected


KINDS = {0: "MODIFY_ADD", 1: "MODIFY_DELETE", 2: "MODIFY_REPLACE"}


@given(
    NUMBERS,
    DNS,
    st.lists(st.tuples(st.sampled_from(sorted(KINDS)), NAMES, st.lists(VALUES, max_size=3)), min_size=1, max_size=4),
)
@settings(max_examples=60, deadline=None)
def test_a_modify_is_what_ldap3_sends(number, dn, edits):
    by_name = {}
    for kind, name, values in edits:
        by_name.setdefault(name, []).append((KINDS[kind], values))
    grouped = [edit for name in by_name for edit in edits if edit[1] == name]
    expected = by_ldap3(number, "modifyRequest", modify_operation(dn, by_name, auto_encode=False))

    assert ber_write.modify(number, dn, grouped) == expected


@given(NUMBERS, DNS)
@settings(max_examples=30, deadline=None)
def test_a_remove_is_what_ldap3_sends(number, dn):
    assert ber_write.remove(number, dn) == by_ldap3(number, "delRequest", delete_operation(dn))


@given(NUMBERS, DNS, DNS, st.none() | DNS.filter(bool))
@settings(max_examples=30, deadline=None)
def test_a_move_is_what_ldap3_sends(number, dn, rdn, parent):
    expected = by_ldap3(number, "modDNRequest", modify_dn_operation(dn, rdn, True, parent))

    assert ber_write.move(number, dn, rdn, parent) == expected


@given(NUMBERS, DNS, st.sampled_from([0, 1, 2]), st.lists(NAMES, min_size=1, max_size=5), st.integers(0, 100_000))
@settings(max_examples=30, deadline=None)
def test_a_search_is_what_ldap3_sends(number, base, scope, attributes, size_limit):
    request = search_operation(base, "(objectClass=*)", scope, 0, attributes, size_limit, 0, False, False, False)
    expected = by_ldap3(number, "searchRequest", request)

    assert ber_write.search(number, base, scope, "(objectClass=*)", attributes, size_limit=size_limit) == expected


@given(st.lists(NAMES, max_size=4))
@settings(max_examples=30, deadline=None)
def test_controls_are_what_ldap3_sends(names):
    selection = b"".join(b"\x04" + bytes((len(name),)) + name.encode() for name in names)
    length = len(selection)
    size = bytes((length,)) if length < 128 else b"\x81" + bytes((length,))
    expected = by_ldap3(
        7,
        "delRequest",
        delete_operation("cn=a"),
        [
            (
                "1.3.6.1.1.12",
                True,
                encode(compile_filter(parse_filter("(cn=a)", None, False, False, None, False).elements[0])),
            ),
            ("1.3.6.1.1.13.1", True, b"\x30" + size + selection),
            ("1.2.840.113556.1.4.1413", True, None),
        ],
    )

    controls = (
        ber_write.assertion("(cn=a)")
        + ber_write.pre_read(tuple(names))
        + ber_write.control(ber_write.PERMISSIVE_MODIFY)
    )

    assert ber_write.remove(7, "cn=a", controls) == expected


EQUALITIES = st.tuples(
    st.text(string.ascii_letters + string.digits + "-", min_size=1, max_size=10).map(lambda name: f"a{name}"),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="()\\*"), min_size=1, max_size=30),
).map(lambda pair: f"({pair[0]}={pair[1]})")


@given(st.lists(EQUALITIES, min_size=1, max_size=3))
@example(["(cn= a )"])
@example(["(cn=a=b)"])
@example(["(cn=a\x00b)"])
@example(["(cn=\u3000)"])
@settings(max_examples=150, deadline=None)
def test_a_plain_filter_is_what_ldap3_sends(parts):
    filter_ = parts[0] if len(parts) == 1 else f"(&{''.join(parts)})"
    expected = encode(compile_filter(parse_filter(filter_, None, False, False, None, False).elements[0]))

    assert ber_write.compiled(filter_) == expected


@pytest.mark.parametrize(
    ("filter_", "expected"),
    [
        ("(cn=*)", "8702636e"),
        ("(!(cn=a))", "a209a3070402636e040161"),
        ("(cn=\\2a)", "a3070402636e04012a"),
        ("(|(cn=a)(cn=é))", "a113a3070402636e040161a3080402636e0402c3a9"),
    ],
)
def test_other_filters_are_read_too(filter_, expected):
    assert ber_write.compiled(filter_).hex() == expected


@pytest.mark.parametrize("filter_", ["", "cn=secret", "(cn=secret", "(&)", "(cn=secret))", "()"])
def test_a_filter_that_cannot_be_read_is_refused_without_its_value(filter_):
    with pytest.raises(ber_write.BadFilterError) as caught:
        ber_write.compiled(filter_)

    assert "secret" not in str(caught.value)


def test_an_attribute_without_values_is_not_added():
    assert ber_write.add(1, "cn=a", {"cn": [b"a"], "mail": []}) == ber_write.add(1, "cn=a", {"cn": [b"a"]})
