"""Names as RFC 4514 writes them: equal ones become one, and a value cannot break out of its place."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ldap3.utils.dn import parse_dn

from ent_sync.wire.ldap import dn
from ent_sync.wire.ldap.ber_write import compiled
from ent_sync.wire.ldap.dn import NotADnError

FEW = settings(max_examples=150, deadline=None)
values = st.text(st.characters(codec="utf-8"), max_size=30) | st.text(' #+,;\\"<>=\x00ab', max_size=8)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("uid=a,ou=people,dc=ent", "UID=A,OU=People,DC=ENT"),
        ("uid=a,ou=people,dc=ent", "uid = a , ou = people , dc = ent"),
        ("uid=a,ou=people,dc=ent", "uid=a;ou=people;dc=ent"),
        ("cn=Jean  Martin,dc=ent", "cn=jean martin,dc=ent"),
        ("cn=a\\,b,dc=ent", "cn=a\\2cb,dc=ent"),
        ("cn=a\\2Cb,dc=ent", "cn=a\\2cb,dc=ent"),
        ("cn=Zo\\c3\\ab,dc=ent", "cn=zoë,dc=ent"),
        ("cn=ZOË,dc=ent", "cn=Zoe\u0308,dc=ent"),
        ("cn=a\\ ,dc=ent", "cn=a,dc=ent"),
        ("cn=a+uid=b,dc=ent", "UID=b + CN=a,dc=ent"),
        ("cn=#040161,dc=ent", "cn=a,dc=ent"),
        ("cn=a\\=b,dc=ent", "cn=a=b,dc=ent"),
    ],
)
def test_two_spellings_of_one_name_are_equal(one, other):
    assert dn.normal(one) == dn.normal(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("cn=a,dc=ent", "cn=a,dc=b"),
        ("cn=a\\,dc=ent", "cn=a,dc=ent"),
        ("cn=a\\+uid=b,dc=ent", "cn=a+uid=b,dc=ent"),
        ("cn=ab,dc=ent", "cn=a b,dc=ent"),
        ("cn=\\#040161,dc=ent", "cn=a,dc=ent"),
        ("uid=a,dc=ent", "cn=a,dc=ent"),
    ],
)
def test_two_names_are_not_equal(one, other):
    assert dn.normal(one) != dn.normal(other)


@pytest.mark.parametrize(
    "text",
    ["nothing", "cn", "cn=a,", "cn=a,,dc=ent", ",cn=a", "cn=a+", "cn=<a>", 'cn="a,b"', "cn=a\\", "cn=#zz", "c n=a"],
)
def test_what_is_no_name_is_refused_without_being_quoted(text):
    with pytest.raises(NotADnError) as caught:
        dn.normal(text)

    assert str(caught.value).startswith("is not a distinguished name")


def test_the_empty_name_is_that_of_the_root():
    assert dn.normal("") == ""


@FEW
@given(values, values)
def test_a_joined_name_gives_its_value_back(value, above):
    assert dn.rdn_value(dn.join("cn", value, dn.join("ou", above, "dc=ent"))) == value


@FEW
@given(values)
def test_a_value_stays_in_its_place_for_ldap3_too(value):
    without = value.replace("#", "")  # ldap3 wants it escaped everywhere, RFC 4514 only at the beginning
    joined = dn.join("cn", without or "x", "dc=ent")

    assert [part[0] for part in parse_dn(joined)] == ["cn", "dc"]


@FEW
@given(values, values)
def test_the_parent_of_a_joined_name_is_what_it_was_joined_to(value, above):
    parent = dn.join("ou", above, "dc=ent")

    assert dn.parent(dn.join("cn", value, parent)) == parent


@FEW
@given(values)
def test_a_normal_name_is_its_own_normal_name(value):
    once = dn.normal(dn.join("cn", value, "dc=ent"))

    assert dn.normal(once) == once


@FEW
@given(st.text(max_size=40) | st.text("cnou=,+;\\ #a2c", max_size=20))
def test_any_text_ends_in_a_name_or_in_our_own_exception(text):
    with contextlib.suppress(NotADnError):
        dn.normal(text)
        dn.parent(text)


@FEW
@given(st.text("abAB19_.@$", min_size=1, max_size=20))
def test_the_short_way_gives_what_the_long_way_gives(value):
    assert dn.normal(f"cn={value},dc=ent") == dn.normal(f"cn={value} , dc=ent")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("", "cn="),
        (" ", "cn=\\ "),
        ("#1", "cn=\\#1"),
        (" a ", "cn=\\ a\\ "),
        ("  ", "cn=\\ \\ "),
        ("a,b+c", "cn=a\\,b\\+c"),
        ("\x00", "cn=\\00"),
        ("Zoë", "cn=Zoë"),
        ("0590001A$3A", "cn=0590001A$3A"),
    ],
)
def test_a_value_is_escaped_as_the_rfc_says(value, written):
    assert dn.join("cn", value, "") == written


@pytest.mark.parametrize(
    ("name", "base", "within"),
    [
        ("cn=a,ou=b,dc=ent", "ou=b,dc=ent", True),
        ("ou=b,dc=ent", "OU=B,dc=ent", True),
        ("dc=ent", "ou=b,dc=ent", False),
        ("cn=a,xou=b,dc=ent", "ou=b,dc=ent", False),
        ("cn=a\\,ou\\=b\\,dc\\=ent", "dc=ent", False),
        ("cn=a", "", True),
    ],
)
def test_a_name_lies_within_a_base_or_it_does_not(name, base, within):
    assert dn.is_within(name, base) is within


@FEW
@given(values)
def test_a_value_stays_in_its_place_in_a_filter(value):
    inside = value.encode()
    name = b"\x04\x02cn"

    written = compiled(dn.equality("cn", value))

    assert written == b"\xa3" + bytes((len(name) + 2 + len(inside),)) + name + bytes((0x04, len(inside))) + inside


def test_a_star_in_a_value_is_no_wildcard():
    assert dn.equality("uid", "a*)(b") == "(uid=a\\2a\\29\\28b)"
