"""Our decoder against ldap3's own: equal on every message, and in no trouble with any bytes."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ldap3.operation.search import raw_attributes_to_dict_fast
from ldap3.protocol.rfc4511 import (
    LDAPDN,
    LDAPOID,
    URI,
    AttributeDescription,
    AttributeValue,
    Control,
    Controls,
    ControlValue,
    Criticality,
    LDAPMessage,
    LDAPString,
    MessageID,
    PartialAttribute,
    PartialAttributeList,
    ProtocolOp,
    Referral,
    ResultCode,
    SearchResultDone,
    SearchResultEntry,
    Vals,
)
from ldap3.utils.asn1 import decode_message_fast, encode, ldap_result_to_dict_fast

from ent_sync.wire.ldap import ber
from ent_sync.wire.ldap.ber import MalformedError
from ent_sync.wire.ldap.result import result

FEW = settings(max_examples=80, deadline=None)

names = st.from_regex(r"[a-z][a-zA-Z0-9-]{0,12}(?:;[a-z]{1,5})?", fullmatch=True)
values = st.one_of(st.binary(max_size=20), st.binary(min_size=120, max_size=300), st.just(b"x" * 70_000))
contents = st.dictionaries(names, st.lists(values, max_size=4), max_size=6)
distinguished = st.text(st.characters(codec="utf-8"), max_size=150)
oids = st.from_regex(r"[0-2](?:\.[1-9][0-9]{0,4}){1,6}", fullmatch=True)
controls = st.dictionaries(oids, st.none() | st.binary(max_size=200), max_size=3)
numbers = st.integers(1, 2**31 - 1)


def attribute_list(content):
    attributes = PartialAttributeList()
    for at, (name, held) in enumerate(content.items()):
        vals = Vals()
        for index, value in enumerate(held):
            vals[index] = AttributeValue(value)
        attribute = PartialAttribute()
        attribute["type"] = AttributeDescription(name)
        attribute["vals"] = vals
        attributes[at] = attribute
    return attributes


def message(number, op, inside, with_controls):
    made = LDAPMessage()
    made["messageID"] = MessageID(number)
    made["protocolOp"] = ProtocolOp().setComponentByName(op, inside)
    if with_controls:
        listed = Controls()
        for at, (oid, value) in enumerate(with_controls.items()):
            control = Control()
            control["controlType"] = LDAPOID(oid)
            control["criticality"] = Criticality(False)
            if value is not None:
                control["controlValue"] = ControlValue(value)
            listed[at] = control
        made["controls"] = listed
    return bytes(encode(made))


def entry_message(number, dn, content, with_controls):
    entry = SearchResultEntry()
    entry["object"] = LDAPDN(dn)
    entry["attributes"] = attribute_list(content)
    return message(number, "searchResEntry", entry, with_controls)


def done_message(number, code, matched, said, referral, with_controls):
    done = SearchResultDone()
    done["resultCode"] = ResultCode(code)
    done["matchedDN"] = LDAPDN(matched)
    done["diagnosticMessage"] = LDAPString(said)
    if referral:
        places = Referral()
        for at, place in enumerate(referral):
            places[at] = URI(place)
        done["referral"] = places
    return message(number, "searchResDone", done, with_controls)


entries = st.builds(entry_message, numbers, distinguished, contents, controls)


@FEW
@given(numbers, distinguished, contents, controls)
def test_an_entry_is_read_as_ldap3_reads_it(number, dn, content, with_controls):
    raw = entry_message(number, dn, content, with_controls)

    [read], _, _ = ber.messages(raw)

    payload = decode_message_fast(raw)["payload"]
    entry = ber.entry(read.body)
    found = {name: held or None for name, held in ber.attributes(entry.content).items()}
    assert (read.id, entry.dn.encode()) == (decode_message_fast(raw)["messageID"], payload[0][3])
    assert found == dict(raw_attributes_to_dict_fast(payload[1][3]))


@FEW
@given(numbers, distinguished, contents, controls)
def test_an_entry_is_read_as_it_was_written(number, dn, content, with_controls):
    raw = entry_message(number, dn, content, with_controls)

    [read], _, _ = ber.messages(raw)

    entry = ber.entry(read.body)
    assert (read.id, read.op, entry.dn, ber.attributes(entry.content)) == (number, ber.ENTRY, dn, content)


@FEW
@given(numbers, controls)
def test_controls_are_read_as_they_were_written(number, with_controls):
    raw = entry_message(number, "", {}, with_controls)

    [read], _, _ = ber.messages(raw)

    assert ber.controls(read.controls) == with_controls


@FEW
@given(
    numbers,
    st.sampled_from([0, 3, 4, 10, 32, 51, 80]),
    distinguished,
    distinguished,
    st.lists(st.from_regex(r"ldap://[a-z]{1,9}/", fullmatch=True), max_size=3),
    controls,
)
def test_a_result_is_read_as_ldap3_reads_it(number, code, matched, said, referral, with_controls):
    raw = done_message(number, code, matched, said, referral, with_controls)

    [read], _, _ = ber.messages(raw)

    known = ldap_result_to_dict_fast(decode_message_fast(raw)["payload"])
    found = result(read)
    assert (found.code, found.name, found.matched) == (known["result"], known["description"], known["dn"])
    assert (list(found.referral) or None, found.controls) == (known["referrals"], with_controls)


@FEW
@given(st.lists(entries, max_size=4), st.integers(0, 40))
def test_messages_are_cut_where_they_end(raws, missing):
    whole = b"".join(raws)
    data = whole[: max(0, len(whole) - missing)]

    found, at, need = ber.messages(data)

    again, end, _ = ber.messages(data[at:] + whole[len(data) :])
    assert (len(found) + len(again), at + end) == (len(raws), len(whole))
    assert need > len(data) - at


@FEW
@given(st.lists(entries, min_size=1, max_size=2), st.data())
def test_spoiled_messages_end_in_values_or_in_our_own_exception(raws, data):
    spoiled = bytearray(b"".join(raws)[:2000])
    for _ in range(data.draw(st.integers(1, 4))):
        spoiled[data.draw(st.integers(0, len(spoiled) - 1))] = data.draw(st.integers(0, 255))

    with contextlib.suppress(MalformedError):
        found, _, _ = ber.messages(bytes(spoiled))
        for read in found:
            ber.controls(read.controls)
            ber.attributes(ber.entry(read.body).content)


@FEW
@given(st.binary(max_size=60))
def test_any_bytes_end_in_values_or_in_our_own_exception(data):
    for read in (ber.messages, ber.entry, ber.attributes, ber.controls, ber.parts, ber.inside, ber.integer, ber.text):
        with contextlib.suppress(MalformedError):
            read(data)


@FEW
@given(contents, st.integers(1, 30))
def test_an_entry_that_was_cut_short_is_not_taken_for_a_smaller_one(content, missing):
    raw = entry_message(1, "cn=a", content, {})
    [read], _, _ = ber.messages(raw)
    inside = ber.entry(read.body).content
    cut = inside[: len(inside) - missing] if inside else b"\x30"

    with contextlib.suppress(MalformedError):
        found = ber.attributes(cut)
        assert found.items() <= content.items()
        assert len(found) < len(content)


@pytest.mark.parametrize("length", [b"\x80", b"\x85\x00\x00\x00\x00\x02", b"\xff"])
def test_a_message_without_a_definite_length_of_one_to_four_bytes_is_refused(length):
    with pytest.raises(MalformedError, match="length"):
        ber.messages(b"\x30" + length + b"\x02\x01\x01")


def test_a_message_longer_than_anybody_needs_is_refused_before_it_is_waited_for():
    with pytest.raises(MalformedError, match="longer"):
        ber.messages(b"\x30\x84\x7f\xff\xff\xff")


def test_a_length_may_be_written_longer_than_it_need_be():
    """As Active Directory does."""
    [read], _, _ = ber.messages(b"\x30\x84\x00\x00\x00\x0a\x02\x01\x05\x65\x84\x00\x00\x00\x01\x61")

    assert (read.id, read.op, read.body) == (5, 0x65, b"a")


@pytest.mark.parametrize("length", [0, 2, 4])
def test_values_that_do_not_end_with_their_attribute_are_refused(length):
    with pytest.raises(MalformedError):
        ber.attributes(b"\x30\x09\x04\x02cn\x31" + bytes((length,)) + b"\x04\x01a")


def test_an_attribute_that_is_there_twice_is_refused():
    once = b"\x30\x09\x04\x02cn\x31\x03\x04\x01a"

    with pytest.raises(MalformedError, match="twice"):
        ber.attributes(once * 2)


def test_the_text_of_an_error_holds_nothing_of_what_was_read():
    with pytest.raises(MalformedError) as caught:
        ber.attributes(b"\x30\x09\x04\x06Dupont\x31\x01\x04")

    assert "Dupont" not in str(caught.value)
