"""What RFC 4533 allows and OpenLDAP does not send, or not on demand, written out by hand."""

import socket

import pytest

from ent_sync.wire.ldap import sync
from ent_sync.wire.ldap.link import Link
from ent_sync.wire.ldap.search import IncompleteError, Search
from ent_sync.wire.ldap.sync import End, RefreshRequiredError, State

STATE, DONE, INFO = (f"1.3.6.1.4.1.4203.1.9.1.{last}".encode() for last in (2, 3, 4))
ONE, TWO = b"1" * 16, b"2" * 16
TRUE, FALSE = b"\x01\x01\xff", b"\x01\x01\x00"


def tlv(tag, *inside):
    """One value; its inside is shorter than 256 bytes."""
    content = b"".join(inside)
    return bytes((tag, len(content)) if len(content) < 128 else (tag, 0x81, len(content))) + content


def message(op, *controls):
    return tlv(0x30, tlv(0x02, b"\x01"), op, *([tlv(0xA0, *controls)] if controls else []))


def control(oid, *value):
    return tlv(0x30, tlv(0x04, oid), tlv(0x04, tlv(0x30, *value)))


def entry(state, uuid, *, cookie=b"", name=b"dc=ent"):
    more = tlv(0x04, cookie) if cookie else b""
    return message(
        tlv(0x64, tlv(0x04, name), tlv(0x30)), control(STATE, tlv(0x0A, bytes((state,))), tlv(0x04, uuid), more)
    )


def info(tag, *inside):
    return message(tlv(0x79, tlv(0x80, INFO), tlv(0x81, tlv(tag, *inside))))


def done(*value, code=b"\x00"):
    return message(tlv(0x65, tlv(0x0A, code), b"\x04\x00\x04\x00"), control(DONE, *value))


@pytest.fixture
def says():
    """Gives the end of a refresh, and what it told, when the server says these messages."""
    ours, theirs = socket.socketpair()
    link = Link(ours, server="ldap://127.0.0.1", timeout=0.2)

    def answer(*messages, cookie=b"before"):
        theirs.sendall(b"".join(messages))
        refreshing = sync.refresh(link, Search(base="dc=ent"), cookie)
        changes = []
        while True:
            try:
                changes += [(said.state, said.uuid) for said in next(refreshing)]
            except StopIteration as stop:
                return changes, stop.value

    with ours, theirs:
        yield answer


def test_deletes_after_a_present_phase_do_not_undo_it(says):
    """RFC 4533 §3.3.2: what neither phase named is gone although the end says refreshDeletes."""
    _, end = says(
        info(0xA3, tlv(0x31, tlv(0x04, ONE))), info(0xA2), info(0xA3, TRUE, tlv(0x31, tlv(0x04, TWO))), done(TRUE)
    )

    assert end.deletes is False


def test_a_list_of_present_entries_is_told_one_by_one(says):
    changes, _ = says(info(0xA3, FALSE, tlv(0x31, tlv(0x04, ONE), tlv(0x04, TWO))), done())

    assert changes == [(State.PRESENT, ONE), (State.PRESENT, TWO)]


def test_a_list_of_deleted_entries_is_told_one_by_one(says):
    changes, end = says(info(0xA3, TRUE, tlv(0x31, tlv(0x04, ONE), tlv(0x04, TWO))), done(TRUE))

    assert (changes, end.deletes) == ([(State.DELETE, ONE), (State.DELETE, TWO)], True)


@pytest.mark.parametrize(
    ("number", "state"), [(0, State.PRESENT), (1, State.ADD), (2, State.MODIFY), (3, State.DELETE)]
)
def test_the_state_of_an_entry_is_told(says, number, state):
    changes, _ = says(entry(number, ONE), done(TRUE))

    assert changes == [(state, ONE)]


def test_the_states_of_many_entries_are_told_each_as_it_is(says):
    changes, end = says(
        entry(1, ONE), entry(0, TWO), entry(3, ONE), entry(1, TWO, cookie=b"after"), entry(2, ONE), done(TRUE)
    )

    assert [state for state, _ in changes] == [State.ADD, State.PRESENT, State.DELETE, State.ADD, State.MODIFY]
    assert ([uuid for _, uuid in changes], end.cookie) == ([ONE, TWO, ONE, TWO, ONE], b"after")


def test_an_entry_after_others_with_an_unknown_state_makes_a_refresh_incomplete(says):
    with pytest.raises(IncompleteError):
        says(entry(1, ONE), entry(1, TWO), entry(9, ONE), done(TRUE))


def test_an_entry_after_others_whose_state_is_written_badly_makes_a_refresh_incomplete(says):
    spoiled = entry(1, ONE).replace(b"\x04\x10" + ONE, b"\x05\x10" + ONE)

    with pytest.raises(IncompleteError):
        says(entry(1, ONE), entry(1, TWO), spoiled, done(TRUE))


@pytest.mark.parametrize(
    "told",
    [
        (info(0x80, b"after"), done(TRUE)),
        (info(0xA1, tlv(0x04, b"after")), done(TRUE)),
        (info(0xA2, tlv(0x04, b"after"), FALSE), done(TRUE)),
        (info(0xA3, tlv(0x04, b"after"), TRUE, tlv(0x31)), done(TRUE)),
        (entry(1, ONE, cookie=b"after"), done(TRUE)),
        (done(tlv(0x04, b"after"), TRUE),),
    ],
    ids=["new cookie", "refresh delete", "refresh present", "set of entries", "entry", "end"],
)
def test_the_newest_cookie_counts_wherever_it_comes(says, told):
    _, end = says(*told)

    assert end.cookie == b"after"


def test_without_any_new_cookie_the_old_one_stands(says):
    _, end = says(done(TRUE))

    assert end == End(b"before", deletes=True)


def test_the_end_of_a_present_phase_says_that_what_was_not_named_is_gone(says):
    _, end = says(done())

    assert end.deletes is False


def test_an_intermediate_message_of_another_kind_is_passed_over(says):
    changes, _ = says(message(tlv(0x79, tlv(0x80, b"1.2.3"), tlv(0x81, b"any"))), done(TRUE))

    assert changes == []


def test_a_refresh_that_must_begin_anew_says_so(says):
    with pytest.raises(RefreshRequiredError):
        says(entry(1, ONE), done(code=b"\x10\x00"))


def test_a_server_that_always_wants_to_begin_anew_is_told_too(says):
    with pytest.raises(RefreshRequiredError):
        says(done(code=b"\x10\x00"), cookie=None)


@pytest.mark.parametrize(("code", "rule"), [(b"\x03", "time-limit"), (b"\x0b", "admin-limit"), (b"\x33", "busy")])
def test_a_refresh_that_ends_with_another_code_is_incomplete(says, code, rule):
    with pytest.raises(IncompleteError) as caught:
        says(entry(1, ONE), done(code=code))

    assert caught.value.rule == rule


def test_a_refresh_without_an_end_of_its_own_is_incomplete(says):
    """The server took the control for a search and nothing more."""
    with pytest.raises(IncompleteError) as caught:
        says(entry(1, ONE), message(tlv(0x65, b"\x0a\x01\x00\x04\x00\x04\x00")))

    assert caught.value.rule == "refused"


def test_a_reference_to_elsewhere_makes_a_refresh_incomplete(says):
    reference = message(tlv(0x73, tlv(0x04, b"ldap://127.0.0.1/")), control(STATE, tlv(0x0A, b"\x01"), tlv(0x04, ONE)))

    with pytest.raises(IncompleteError) as caught:
        says(reference, done(TRUE))

    assert caught.value.rule == "referral"


@pytest.mark.parametrize(
    "told",
    [
        entry(4, ONE),
        entry(1, ONE[1:]),
        message(tlv(0x64, tlv(0x04, b"dc=ent"), tlv(0x30))),
        info(0xA3, TRUE, tlv(0x31, tlv(0x04, b"short"))),
        message(tlv(0x79, b"\xff")),
    ],
    ids=["unknown state", "short uuid", "no state", "short uuid in a set", "not BER"],
)
def test_a_message_that_makes_no_sense_makes_a_refresh_incomplete(says, told):
    with pytest.raises(IncompleteError) as caught:
        says(told, done(TRUE))

    assert caught.value.rule == "malformed"
