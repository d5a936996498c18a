"""Whether it is us: our network, our names, our clock. What is ours is never held against a service."""

import socket
import struct
import threading
from contextlib import contextmanager

import dns.rcode
import pytest
from probing import QUICK, identity, now, tick, verdict, web

from ent_sync.config.fields import Address
from ent_sync.core.levels.samples import Cause, Stage
from ent_sync.federation import names
from ent_sync.federation.own import Own, look
from ent_sync.federation.probe import Means, probe
from ent_sync.federation.stopwatch import StageError, Stopwatch
from servers import front, idp, nameserver


@pytest.fixture
def closed():
    return Address("127.0.0.1", idp.free_port())


@pytest.fixture
def control():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield Address("127.0.0.1", listening.getsockname()[1])


# -- network and names -------------------------------------------------------------------------------------------------


def test_without_controls_nothing_is_held_against_us():
    assert look((), now=now) == Own(network=True, names=True, clock=None)


def test_when_no_control_can_be_reached_our_network_is_at_fault(closed):
    assert not look((closed, Address("127.0.0.2", closed.port)), now=now).network


def test_when_one_control_can_be_reached_our_network_is_well(closed, control):
    assert look((closed, control), now=now).network


def test_when_our_network_is_at_fault_no_service_is_asked(closed):
    with front.serving() as door:
        found = tick(web(door.port), own=look((closed,), now=now), retries=(5,))

    assert (verdict(found), found.stages, door.asked) == (("unknown", "own", "own_network"), (), [])


def test_when_only_a_control_by_name_fails_our_names_are_at_fault(control):
    with nameserver.naming() as server:
        server.rcode = dns.rcode.SERVFAIL

        found = look((control, Address("region.example", 443)), now=now, resolvers=(Address("127.0.0.1", server.port),))

    assert found == Own(network=True, names=False)


def test_when_our_names_are_at_fault_an_unknown_name_is_unknown():
    service = web(80, address="http://ent.example/", admitted=frozenset({("ent.example", 80)}))
    with nameserver.naming() as server:
        means = Means(limits=QUICK, retries=(), resolvers=(Address("127.0.0.1", server.port),))

        found = probe(service, vantage="main", now=now, means=means, own=Own(names=False))

    assert verdict(found) == ("unknown", "own", "own_dns")


def test_when_our_names_are_at_fault_a_refused_connection_is_down_all_the_same(closed):
    assert verdict(tick(web(closed.port), own=Own(names=False))) == ("down", "tcp", "tcp_refused")


# -- names of this machine ---------------------------------------------------------------------------------------------


def asked(host, resolvers=()):
    with Stopwatch(2).stage(Stage.DNS, 1) as deadline:
        return names.addresses(host, resolvers, deadline)


@pytest.fixture
def hosts(tmp_path, monkeypatch):
    file = tmp_path / "hosts"
    file.write_text("# ours\n192.0.2.7 Idp.example idp  # a door\n2001:db8::7 idp.example\n192.0.2.8 x # idp.example\n")
    monkeypatch.setattr(names, "_HOSTS", file)


@pytest.mark.usefixtures("hosts")
def test_a_name_of_the_machine_s_own_list_is_taken_from_there():
    assert asked("idp.example") == ("192.0.2.7", "2001:db8::7")


@pytest.mark.usefixtures("hosts")
def test_where_name_servers_are_configured_the_machine_s_own_list_is_not_read():
    with nameserver.naming(idp_example="192.0.2.9") as server:
        assert asked("idp.example", (Address("127.0.0.1", server.port),)) == ("192.0.2.9",)


def test_an_address_of_numbers_is_asked_of_nobody():
    assert asked("2001:db8::1") == ("2001:db8::1",)


# -- the clock ---------------------------------------------------------------------------------------------------------


@contextmanager
def time_server(ahead, stratum=2):
    """Answers one question with a time that is so many seconds ahead of ours."""

    def serve():
        asked, sender = wire.recvfrom(512)
        theirs = int((now().timestamp() + 2_208_988_800 + ahead) * 2**32)
        wire.sendto(struct.pack("!BB22s8sQQ", 0x24, stratum, b"", asked[40:48], theirs, theirs), sender)

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
        wire.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield Address("127.0.0.1", wire.getsockname()[1])
        thread.join()


@pytest.mark.parametrize("ahead", [-3600, 0, 45])
def test_how_far_our_clock_is_ahead_is_what_the_time_server_s_is_behind(ahead):
    with time_server(ahead) as server:
        found = look((), now=now, time_server=server)

    assert found.clock == pytest.approx(-ahead, abs=0.5)


def test_a_time_server_that_does_not_know_the_time_tells_nothing():
    with time_server(3600, stratum=0) as server:
        found = look((), now=now, time_server=server)

    assert found.clock is None


def test_a_time_server_that_is_not_there_tells_nothing(closed):
    assert look((), now=now, time_server=closed).clock is None


@pytest.mark.parametrize(
    ("clock", "cause"), [(31, "own_clock"), (-31, "own_clock"), (29, "saml_time"), (None, "saml_time")]
)
def test_with_a_wrong_clock_we_do_not_judge_assertions(clock, cause):
    failure = StageError(Stage.ASSERTION, Cause.SAML_TIME)

    assert Own(clock=clock).judged(failure).cause == cause


def test_with_a_wrong_clock_the_other_stages_are_judged():
    failure = StageError(Stage.TLS, Cause.TLS_CHAIN)

    assert Own(clock=300).judged(failure) is failure


def test_an_assertion_that_holds_in_spite_of_our_clock_is_up(tmp_path):
    with idp.running(idp.make_folder(tmp_path / "ssp")) as server:
        found = tick(identity(server), own=Own(clock=120), login_due=True)

    assert verdict(found) == ("up", None, None)
