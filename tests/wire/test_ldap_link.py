"""What a link makes of bytes that no sound server would send, written out by hand."""

import socket

import pytest

from ent_sync.wire.ldap import search
from ent_sync.wire.ldap.link import Link, RootDse
from ent_sync.wire.ldap.result import LdapError, LostConnectionError, Result, code_name
from ent_sync.wire.ldap.search import IncompleteError, Search

WELL = b"\x0a\x01\x00\x04\x00\x04\x00"
PEOPLE = Search(base="dc=ent", page=2)


def tlv(tag, *inside):
    """One value; its inside is shorter than 128 bytes."""
    content = b"".join(inside)
    return bytes((tag, len(content))) + content


def message(number, op, *controls):
    return tlv(0x30, tlv(0x02, bytes((number,))), op, *([tlv(0xA0, *controls)] if controls else []))


def entry(number, name):
    return message(number, tlv(0x64, tlv(0x04, name), tlv(0x30)))


def page_control(cookie):
    return tlv(0x30, tlv(0x04, search.PAGED.encode()), tlv(0x04, tlv(0x30, tlv(0x02, b"\x00"), tlv(0x04, cookie))))


def done(number, *controls, code=0):
    return message(number, tlv(0x65, b"\x0a\x01" + bytes((code,)) + b"\x04\x00\x04\x00"), *controls)


@pytest.fixture
def server():
    """The other end of `link`: what it sends is what the server sends."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def link(server):
    ours, _ = server
    made = Link(ours, server="ldap://127.0.0.1", timeout=0.2)
    made.root = RootDse(controls=frozenset({search.PAGED}))
    return made


def says(server, *messages, hangs_up=False):
    server[1].sendall(b"".join(messages))
    if hangs_up:
        server[1].shutdown(socket.SHUT_RDWR)


def names(link, wanted=PEOPLE):
    return [found.dn for page in search.pages(link, wanted) for found in page]


def lost_by(link):
    with pytest.raises(LostConnectionError) as caught:
        link.receive()
    return caught.value.rule


def incomplete_by(link):
    with pytest.raises(IncompleteError) as caught:
        names(link)
    return caught.value.rule


# -- messages ----------------------------------------------------------------------------------------------------------


def test_a_message_that_comes_in_pieces_is_one(link, server):
    whole = entry(1, b"dc=ent")
    says(server, whole[:3])
    link.ready(0)

    says(server, whole[3:])

    assert [found.id for found in link.receive()] == [1]


def test_messages_that_come_together_are_told_apart(link, server):
    says(server, entry(1, b"dc=ent"), done(1))

    found = link.receive()

    assert [one.op for one in found] == [0x64, 0x65]


def test_an_answer_for_somebody_else_waits_until_it_is_asked_for(link, server):
    says(server, done(2), entry(1, b"dc=ent"), done(1))

    first, second = link.answers(1), link.answers(2)

    assert ([one.op for one in first], [one.op for one in second]) == ([0x64, 0x65], [0x65])


def test_what_was_abandoned_is_forgotten(link, server):
    says(server, entry(1, b"dc=ent"), done(1), done(2))
    link.abandon(1)

    found = link.answers(2)

    assert ([one.id for one in found], link.ready(0)) == ([2], False)


def test_a_server_is_told_that_nobody_waits_for_its_answer_any_more(link, server):
    says(server, done(1, page_control(b"more")))
    reading = search.pages(link, PEOPLE)
    next(reading)

    reading.close()

    assert server[1].recv(1 << 16).endswith(tlv(0x50, b"\x02"))


def test_numbers_of_requests_are_never_given_twice_in_a_row(link):
    assert [link.next_id() for _ in range(3)] == [1, 2, 3]


def test_a_link_is_ready_when_something_came(link, server):
    before = link.ready(0)
    says(server, done(1))

    after = link.ready(1)

    assert (before, after) == (False, True)


# -- connections that are lost -----------------------------------------------------------------------------------------


def test_a_server_that_does_not_answer_in_time_is_lost(link):
    assert lost_by(link) == "receive-timeout"


def test_a_server_that_hangs_up_is_lost(link, server):
    says(server, hangs_up=True)

    assert lost_by(link) == "closed"


def test_a_server_that_hangs_up_within_a_message_is_lost(link, server):
    says(server, done(1)[:-2], hangs_up=True)

    assert lost_by(link) == "closed"


def test_a_notice_of_disconnection_is_the_end(link, server):
    notice = tlv(0x78, b"\x0a\x01\x34\x04\x00\x04\x00", tlv(0x8A, b"1.3.6.1.4.1.1466.20036"))
    says(server, tlv(0x30, tlv(0x02, b"\x00"), notice))

    assert lost_by(link) == "notice-of-disconnection"


@pytest.mark.parametrize(
    "garbage", [b"HTTP/1.1 400 Bad Request\r\n", b"\x30\x80\x02\x01\x01", b"\x30\x05\x02\x01\x01\x65\x7f"]
)
def test_a_server_that_does_not_speak_ldap_is_lost(link, server, garbage):
    says(server, garbage)

    assert lost_by(link) == "malformed"


def test_a_link_that_was_closed_is_lost(link):
    link.close()

    assert lost_by(link) == "reset"


# -- pages -------------------------------------------------------------------------------------------------------------


def test_pages_end_with_an_empty_cookie(link, server):
    says(server, entry(1, b"a"), done(1, page_control(b"more")), entry(2, b"b"), done(2, page_control(b"")))

    assert names(link) == ["a", "b"]


def test_the_cookie_of_a_page_is_sent_for_the_next(link, server):
    says(server, done(1, page_control(b"more")), done(2, page_control(b"")))

    names(link)

    assert b"\x04\x04more" in server[1].recv(1 << 16)


def test_a_page_whose_server_forgot_the_cookie_is_not_the_last(link, server):
    says(server, entry(1, b"a"), done(1))

    assert incomplete_by(link) == "paging"


def test_a_later_page_without_a_cookie_is_not_the_last_even_where_none_were_offered(link, server):
    link.root = RootDse()
    says(server, done(1, page_control(b"more")), entry(2, b"b"), done(2))

    assert incomplete_by(link) == "paging"


def test_a_server_that_knows_no_pages_gives_all_at_once(link, server):
    link.root = RootDse()
    says(server, entry(1, b"a"), entry(1, b"b"), entry(1, b"c"), done(1))

    assert names(link) == ["a", "b", "c"]


def test_a_server_that_offers_no_pages_is_not_made_to(link, server):
    link.root = RootDse()
    says(server, done(1))

    names(link)

    assert b"\x01\x01\xff" not in server[1].recv(1 << 16)


def test_a_reference_on_any_page_makes_the_read_incomplete(link, server):
    reference = message(2, tlv(0x73, tlv(0x04, b"ldap://127.0.0.1/")))
    says(server, done(1, page_control(b"more")), reference, done(2, page_control(b"")))

    assert incomplete_by(link) == "referral"


@pytest.mark.parametrize(
    ("code", "rule"),
    [(3, "time-limit"), (4, "size-limit"), (10, "referral"), (11, "admin-limit"), (50, "refused"), (51, "busy")],
)
def test_the_last_page_must_end_with_success_too(link, server, code, rule):
    says(server, entry(1, b"a"), done(1, page_control(b"more")), entry(2, b"b"), done(2, page_control(b""), code=code))

    assert incomplete_by(link) == rule


def test_an_answer_to_something_else_makes_the_read_incomplete(link, server):
    says(server, message(1, tlv(0x69, WELL)))

    assert incomplete_by(link) == "malformed"


def test_an_entry_that_cannot_be_read_makes_the_read_incomplete(link, server):
    says(server, message(1, tlv(0x64, tlv(0x04, b"\xff"), tlv(0x30))), done(1, page_control(b"")))

    assert incomplete_by(link) == "malformed"


ANSWERS = entry(1, b"a") + done(1, page_control(b"more")) + entry(2, b"b") + done(2, page_control(b""))


@pytest.mark.parametrize("length", range(len(ANSWERS)))
def test_wherever_the_connection_breaks_the_read_is_incomplete(link, server, length):
    says(server, ANSWERS[:length], hangs_up=True)

    assert incomplete_by(link) in {"closed", "reset"}


# -- results -----------------------------------------------------------------------------------------------------------


def test_an_error_is_the_name_of_its_code():
    assert str(LdapError(68)) == "entryAlreadyExists"


def test_a_code_without_a_name_is_its_number():
    assert code_name(4711) == "result code 4711"


def test_busy_servers_ask_to_try_again():
    assert [Result(code=code).again for code in (51, 52, 80)] == [True, True, False]


def test_a_result_does_not_show_where_the_server_looked():
    assert "dupont" not in repr(Result(code=32, matched="cn=dupont"))
