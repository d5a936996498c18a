"""What a probe says of a page, and where it lets itself be led: nowhere that the configuration does not name."""

import socket
import time
from contextlib import ExitStack

import dns.rcode
import pytest
from probing import QUICK, now, stages, tick, verdict, web

from ent_sync.config.fields import Address
from ent_sync.core.levels.samples import Cause
from ent_sync.federation.fetch import Limits
from ent_sync.federation.probe import Means, probe
from servers import front, nameserver
from servers.front import Mode

PAGE = "<title>ENT</title><p>Se connecter à l'ENT</p>".encode()


@pytest.fixture
def door():
    with front.serving() as made:
        made.mode = Mode(page=PAGE)
        yield made


def at(door, mode, **changed):
    door.mode = mode
    return tick(web(door.port, **changed))


# -- content -----------------------------------------------------------------------------------------------------------


def test_a_page_without_tls_leaves_that_stage_out(door):
    found = tick(web(door.port))

    assert (verdict(found), stages(found)) == (("up", None, None), ["dns", "tcp", "http"])


@pytest.mark.parametrize("content", ["Se connecter", "se  connecter\nà l'ENT", "connecter à l\u2019ent"])
def test_a_text_is_found_whatever_its_case_its_spaces_and_its_apostrophe(door, content):
    found = tick(web(door.port, content=content))

    assert (verdict(found), stages(found)[-1]) == (("up", None, None), "login_page")


@pytest.mark.parametrize(
    "page",
    [
        b'<form><input type=submit value="Se connecter"></form>',
        b'<input placeholder="Se connecter">',
        b"<button>Se <b>connecter</b></button>",
        b"Se connecter",
        b'<?xml version="1.0" encoding="UTF-8"?><html xmlns="http://www.w3.org/1999/xhtml"><p>Se connecter</p></html>',
        b"<!-- x --><p>Se connecter",
    ],
)
def test_a_text_is_found_wherever_a_person_would_read_it(door, page):
    assert verdict(at(door, Mode(page=page), content="Se connecter")) == ("up", None, None)


@pytest.mark.parametrize(
    "page",
    [b"<script>'Se connecter'</script>", b"<!-- Se connecter -->", b"", b'<input type=hidden value="Se connecter">'],
)
def test_a_text_that_nobody_can_read_is_not_there(door, page):
    assert verdict(at(door, Mode(page=page), content="Se connecter")) == ("down", "login_page", "content_form")


@pytest.mark.parametrize(
    ("media", "encoding"),
    [("text/html; charset=iso-8859-1", "latin-1"), ("text/html", "utf-8"), ("text/html", "latin-1")],
)
def test_accents_are_read_in_the_encoding_of_the_page(door, media, encoding):
    page = "<p>Académie de Lille</p>".encode(encoding)

    assert verdict(at(door, Mode(page=page, media=media), content="académie")) == ("up", None, None)


def test_an_error_page_with_status_200_is_told_as_one(door):
    page = b"<h1>Service temporairement indisponible</h1>"

    assert verdict(at(door, Mode(page=page), content="Se connecter")) == ("down", "login_page", "content_error")


# -- statuses ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "cause"), [(500, "http_5xx"), (503, "http_5xx"), (404, "http_4xx"), (401, "http_4xx")]
)
def test_a_status_of_an_error_is_down(door, status, cause):
    assert verdict(at(door, Mode(page=PAGE, status=status))) == ("down", "http", cause)


def test_an_answer_that_breaks_off_never_came(door):
    assert verdict(at(door, Mode(silent=True))) == ("down", "http", "http_timeout")


@pytest.mark.parametrize("status", [429, 503])
def test_who_asks_us_to_wait_is_not_asked_again_in_the_same_tick(door, status):
    door.mode = Mode(page=b"", status=status, headers={"Retry-After": "120"})

    found = tick(web(door.port), retries=(5, 15))

    assert (found.attempts, found.retry_after) == (1, 120)


# -- time and size -----------------------------------------------------------------------------------------------------


def test_a_slow_answer_is_waited_for_no_longer_than_the_limit(door):
    door.mode = Mode(page=PAGE, slow=1)

    found = tick(web(door.port), limits=Limits(http=0.3))

    assert (verdict(found), round(found.sample.seconds, 1)) == (("down", "http", "http_timeout"), 0.3)


def test_an_answer_that_drips_is_waited_for_no_longer_than_the_limit(door):
    """Each byte comes in time, so that a time limit of the socket would wait for five seconds."""
    door.mode = Mode(page=b"x" * 100, drip=0.05)

    found = tick(web(door.port), limits=Limits(http=0.4))

    assert (verdict(found), found.sample.seconds < 0.8) == (("down", "http", "http_timeout"), True)


def test_all_stages_together_last_no_longer_than_an_attempt(door):
    door.mode = Mode(page=PAGE, slow=2)
    begun = time.monotonic()

    tick(web(door.port), limits=Limits(http=10, attempt=0.4))

    assert time.monotonic() - begun < 1


def test_a_body_is_read_up_to_its_limit_and_no_further(door):
    door.mode = Mode(page=b"x" * 100_001)

    found = tick(web(door.port), limits=Limits(body=100_000))

    assert verdict(found) == ("down", "http", "http_size")


def test_a_body_of_just_the_limit_is_read(door):
    door.mode = Mode(page=b"x" * 100_000)

    assert verdict(tick(web(door.port), limits=Limits(body=100_000))) == ("up", None, None)


# -- where it may be led -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://127.0.0.1:1/",
        "http://localhost/",
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
        "//stranger.example/",
        "http://stranger.example/",
        "http://127.0.0.1@stranger.example/",
        "http://[::1]:99999/",
        "http://[not an address/",
        "javascript:alert(1)",
        "",
    ],
)
def test_a_redirect_to_a_place_that_nobody_named_is_not_followed(door, location):
    door.mode = Mode(redirect=location)

    assert verdict(tick(web(door.port))) == ("down", "http", "http_redirect")


def test_a_redirect_to_another_port_of_the_same_host_is_not_followed(door):
    with front.serving() as other:
        door.mode = Mode(redirect=f"http://127.0.0.1:{other.port}/")

        found = tick(web(door.port))

    assert (verdict(found), other.asked) == (("down", "http", "http_redirect"), [])


def test_a_redirect_with_an_account_in_it_is_not_followed(door):
    door.mode = Mode(redirect=f"http://someone:secret@127.0.0.1:{door.port}/")

    found = tick(web(door.port))

    assert (verdict(found), len(door.asked)) == (("down", "http", "http_redirect"), 1)


def test_a_redirect_to_a_host_that_is_named_is_followed(door):
    with front.serving() as other:
        other.mode = Mode(page=PAGE)
        door.mode = Mode(redirect=f"http://127.0.0.1:{other.port}/é?q=a b")
        places = frozenset({("127.0.0.1", door.port), ("127.0.0.1", other.port)})

        found = tick(web(door.port, admitted=places))

    assert verdict(found) == ("up", None, None)


def test_redirects_that_never_end_are_followed_five_times(door):
    door.mode = Mode(redirect="/again")

    found = tick(web(door.port))

    assert (verdict(found), len(door.asked)) == (("down", "http", "http_redirect"), 6)


def test_cookies_are_kept_within_an_attempt_and_not_beyond(door):
    door.mode = Mode(redirect="/again", headers={"Set-Cookie": "session=1; Path=/"})

    tick(web(door.port))
    tick(web(door.port))

    kept = ["Cookie" in headers for _, _, headers in door.asked]
    assert kept == [False, *[True] * 5] * 2


def test_it_says_who_it_is_and_takes_no_packed_answers(door):
    means = Means(limits=QUICK, retries=(), agent="ent-sync-probe/1 (+https://status.example; ops@example.org)")

    probe(web(door.port), vantage="main", now=now, means=means)

    said = door.asked[0][2]
    assert (said["User-Agent"], said["Accept-Encoding"]) == (means.agent, "identity")


# -- names and addresses -----------------------------------------------------------------------------------------------


def named(door, server, host, **changed):
    values = {"address": f"http://{host}:{door.port}/", "admitted": frozenset({(host, door.port)})}
    means = Means(limits=QUICK, retries=(), resolvers=(Address("127.0.0.1", server.port),))
    return probe(web(door.port, **{**values, **changed}), vantage="main", now=now, means=means)


@pytest.mark.parametrize(
    ("rcode", "cause"),
    [(dns.rcode.NXDOMAIN, "dns_nxdomain"), (dns.rcode.SERVFAIL, "dns_servfail"), (None, "dns_timeout")],
)
def test_an_unknown_name_is_told_from_an_ill_name_server(door, rcode, cause):
    with nameserver.naming() as server:
        server.rcode = rcode

        found = named(door, server, "ent.example")

    assert verdict(found) == ("down", "dns", cause)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::", "::1", "::ffff:127.0.0.1"])
def test_a_name_that_leads_into_a_private_network_is_not_followed_there(door, address):
    with nameserver.naming(ent_example=address) as server:
        found = named(door, server, "ent.example")

    assert (verdict(found), door.asked) == (("down", "tcp", "tcp_unreachable"), [])


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "::ffff:127.0.0.1", "fe80::1"])
def test_even_an_internal_service_is_not_on_this_machine(door, address):
    with nameserver.naming(ent_example=address) as server:
        found = named(door, server, "ent.example", internal=True)

    assert verdict(found) == ("down", "tcp", "tcp_unreachable")


def test_an_internal_service_may_be_in_a_private_network(door):
    assert web(1, internal=True).reaches("ent.example", "10.1.2.3")


def test_localhost_needs_no_name_server(door):
    service = web(door.port, address=f"http://localhost:{door.port}/", admitted=frozenset({("localhost", door.port)}))

    assert verdict(tick(service)) == ("up", None, None)


def test_a_host_that_takes_no_connection_is_waited_for_no_longer_than_the_limit():
    with ExitStack() as open_ones, socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):  # until its queue is full, and no further one is taken
            waiting = open_ones.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())

        found = tick(web(full.getsockname()[1]), limits=Limits(tcp=0.3))

    assert (verdict(found), round(found.sample.seconds, 1)) == (("down", "tcp", "tcp_timeout"), 0.3)


# -- it never raises ---------------------------------------------------------------------------------------------------


def test_a_mistake_of_ours_is_unknown(door, monkeypatch):
    monkeypatch.setattr("ent_sync.federation.probe.page", lambda reply: 1 / 0)

    assert verdict(tick(web(door.port, content="x"))) == ("unknown", "own", str(Cause.OWN_ERROR))
