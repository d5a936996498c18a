"""Entries as LDIF: by RFC 2849's own rules, and loaded by a real slapadd."""

import base64
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ent_sync.config.directory import DirectorySection
from ent_sync.wire.ldap.access import connect
from ent_sync.wire.ldap.ber import attributes
from ent_sync.wire.ldap.dn import join
from ent_sync.wire.ldap.ldif import record
from ent_sync.wire.ldap.search import Search, pages
from servers.slapd import slapd

ROLE = {"objectClass": [b"organizationalRole"]}


def test_a_record_names_its_dn_its_values_and_ends_with_an_empty_line():
    written = record("cn=a,dc=b", {"objectClass": [b"top", b"organizationalRole"], "cn": [b"a"]})

    assert written == "dn: cn=a,dc=b\nobjectClass: top\nobjectClass: organizationalRole\ncn: a\n\n"


@pytest.mark.parametrize(
    ("value", "line"),
    [
        (b"plain", "cn: plain"),
        (b"a:b <c> #d", "cn: a:b <c> #d"),
        (b"#a", "cn: #a"),
        (b"tab\tand\x01\x7f", "cn: tab\tand\x01\x7f"),
        (b"", "cn:"),
        (b" a", "cn:: IGE="),
        (b"a ", "cn:: YSA="),
        (b" ", "cn:: IA=="),
        (b":a", "cn:: OmE="),
        (b"<a", "cn:: PGE="),
        (b"a\nb", "cn:: YQpi"),
        (b"a\rb", "cn:: YQ1i"),
        (b"a\0b", "cn:: YQBi"),
        (b"a\n", "cn:: YQo="),
        (b"\xc3\xa9", "cn:: w6k="),
        (b"\xff", "cn:: /w=="),
    ],
)
def test_what_is_no_safe_string_is_in_base64(value, line):
    assert record("dc=b", {"cn": [value]}) == f"dn: dc=b\n{line}\n\n"


def test_a_dn_that_is_no_safe_string_is_in_base64():
    assert record("cn=é", {}) == "dn:: Y249w6k=\n\n"


def read_back(written):
    """One record, after RFC 2849 §2: no folding, one value a line."""
    found = []
    assert written.endswith("\n\n")
    for line in written[:-2].split("\n"):
        name, rest = line.split(":", 1)
        found.append((name, base64.b64decode(rest[2:]) if rest.startswith(": ") else rest.lstrip(" ").encode("ascii")))
    return found


@given(st.text(st.characters(exclude_categories=["Cs"])), st.lists(st.binary(max_size=60), max_size=5))
@settings(max_examples=150)
def test_every_value_is_read_back_as_it_was(dn, values):
    written = record(dn, {"description": values})

    assert read_back(written) == [("dn", dn.encode()), *(("description", value) for value in values)]


NAMES = ("plain", "Ünïcødé 漢字", "a,b+c;d", "<a", "#a", 'say "a"', "a\\b", "a=b", "x" * 200)
VALUES = (
    b"plain",
    "é".encode(),
    b" both sides ",
    b":a",
    b"<file:///etc/hostname",
    b"a\nb",
    b"a\r\nb",
    b"#a",
    b"x" * 5000,
)


def test_slapadd_takes_it_and_the_directory_gives_all_of_it_back():
    entries = {
        join("cn", name, "ou=people,dc=ent,dc=example"): {"cn": [name.encode()], "description": list(VALUES)}
        for name in NAMES
    }
    search = Search(base="ou=people,dc=ent,dc=example", filter="(cn=*)", attributes=("cn", "description"))

    with slapd(running=False) as server:
        server.slapadd("".join(record(dn, {**ROLE, **values}) for dn, values in entries.items()))
        server.start()
        with connect(DirectorySection.model_validate(server.section("reader")), Path("/"), {}, who="target") as link:
            found = [attributes(entry.content) for page in pages(link, search) for entry in page]

    assert sorted(each["cn"][0].decode() for each in found) == sorted(NAMES)
    assert all(set(each["description"]) == set(VALUES) for each in found)
