"""What a probe says of certificates: those that are refused, and one that will be soon."""

import datetime as dt
import socket
import ssl
import threading

import pytest
from probing import identity, stages, tick, verdict, web

from ent_sync.federation.certificates import Use
from ent_sync.federation.fetch import Limits
from servers import front, idp

DAY = front.DAY


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return front.Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def good(authority):
    return authority.certificate(-DAY, 300 * DAY)


@pytest.fixture
def door(good):
    with front.serving(certificate=good) as made:
        made.mode = front.Mode(page=b"<title>ENT</title><p>Se connecter</p>")
        yield made


def page_of(door, authority, host="localhost", **changed):
    values = {"address": f"https://{host}:{door.port}/", "admitted": frozenset({(host, door.port)})}
    return web(door.port, **{**values, "trust": authority.pem, **changed})


def test_a_page_behind_tls_is_up(door, authority):
    found = tick(page_of(door, authority, content="Se connecter"))

    assert (verdict(found), stages(found)) == (("up", None, None), ["dns", "tcp", "tls", "http", "login_page"])


def test_the_version_of_tls_is_told(door, authority):
    assert tick(page_of(door, authority)).tls == "TLSv1.3"


@pytest.mark.parametrize(
    ("begins", "ends", "host", "cause"),
    [
        (-20 * DAY, -DAY, "localhost", "tls_expired"),
        (DAY, 20 * DAY, "localhost", "tls_not_yet"),
        (-DAY, 20 * DAY, "elsewhere.example", "tls_host"),
    ],
)
def test_a_certificate_that_is_not_good_now_and_here_is_down(door, authority, begins, ends, host, cause):
    door.show(authority.certificate(begins, ends, host))

    assert verdict(tick(page_of(door, authority))) == ("down", "tls", cause)


def test_a_certificate_for_another_address_of_numbers_is_down(door, authority):
    door.show(authority.certificate(-DAY, 20 * DAY, "elsewhere.example"))

    assert verdict(tick(page_of(door, authority, "127.0.0.1"))) == ("down", "tls", "tls_host")


def test_a_certificate_that_nobody_we_trust_vouches_for_is_down(door, authority, tmp_path):
    stranger = front.Authority(tmp_path)

    assert verdict(tick(page_of(door, stranger))) == ("down", "tls", "tls_chain")


def test_without_an_authority_of_its_own_those_of_the_machine_are_asked(door, authority):
    assert verdict(tick(page_of(door, authority, trust=None))) == ("down", "tls", "tls_chain")


def test_a_certificate_that_ends_in_five_days_is_told_and_is_not_down(door, authority):
    door.show(authority.certificate(-DAY, 5 * DAY))

    found = tick(page_of(door, authority))

    [shown] = found.certificates
    left = shown.not_after - dt.datetime.now(dt.UTC)
    assert (verdict(found)[0], shown.use, left.days) == ("up", Use.TLS, 4)


def test_a_certificate_that_is_refused_is_not_told_as_the_service_s_own(door, authority):
    door.show(authority.certificate(-20 * DAY, -DAY))

    assert tick(page_of(door, authority)).certificates == ()


def test_a_server_that_speaks_no_tls_is_told_from_one_that_does_not_speak(authority):
    with front.serving() as bare:
        assert verdict(tick(page_of(bare, authority))) == ("down", "tls", "tls_handshake")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_a_server_of_an_older_tls_is_refused(door, authority):
    door.context.minimum_version = ssl.TLSVersion.TLSv1
    door.context.maximum_version = ssl.TLSVersion.TLSv1_1

    assert verdict(tick(page_of(door, authority))) == ("down", "tls", "tls_handshake")


def test_a_server_that_never_shakes_hands_is_waited_for_no_longer_than_the_limit(authority):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        service = web(port, address=f"https://localhost:{port}/", admitted=frozenset({("localhost", port)}))

        found = tick(service, limits=Limits(tls=0.3))

    assert (verdict(found), round(found.sample.seconds, 1)) == (("down", "tls", "tls_handshake"), 0.3)


def test_a_handshake_that_drips_is_waited_for_no_longer_than_the_limit(authority):
    def drip(listening, ended):
        bare, _ = listening.accept()
        with bare:
            while not ended.wait(0.05):
                try:
                    bare.sendall(b"\x16")
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as listening:
        ended = threading.Event()
        thread = threading.Thread(target=drip, args=(listening, ended), daemon=True)
        thread.start()
        port = listening.getsockname()[1]
        service = web(port, address=f"https://localhost:{port}/", admitted=frozenset({("localhost", port)}))

        found = tick(service, limits=Limits(tls=0.4))
        ended.set()
        thread.join()

    assert (verdict(found)[1:], found.sample.seconds < 1) == (("tls", "tls_handshake"), True)


# -- an identity provider behind it ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def behind_tls(tmp_path_factory, good):
    with front.serving(certificate=good) as door:
        folder = idp.make_folder(tmp_path_factory.mktemp("idp") / "ssp")
        with idp.running(folder, base=f"https://localhost:{door.port}") as server:
            door.behind = f"http://127.0.0.1:{server.port}"
            yield server, door


def test_a_whole_login_through_tls_is_up(behind_tls, authority):
    server, _ = behind_tls

    found = tick(identity(server, trust=authority.pem), login_due=True)

    assert verdict(found) == ("up", None, None)


def test_the_password_is_sent_to_nobody_when_the_form_leads_to_a_stranger(behind_tls, authority):
    server, door = behind_tls
    page = b'<form method=post action="https://stranger.example/"><input name=u><input name=p type=password></form>'
    door.mode = front.Mode(page=page, only="/SSOService.php")
    door.bodies.clear()

    found = tick(identity(server, trust=authority.pem), login_due=True)
    door.mode = front.Mode()

    assert (verdict(found), any(door.bodies)) == (("down", "login_page", "content_form"), False)


def test_the_password_is_sent_to_nobody_when_the_form_leads_out_of_tls(behind_tls, authority):
    server, door = behind_tls
    page = f'<form method=post action="http://localhost:{door.port}/"><input name=p type=password></form>'.encode()
    door.mode = front.Mode(page=page, only="/SSOService.php")
    door.bodies.clear()

    found = tick(identity(server, trust=authority.pem), login_due=True)
    door.mode = front.Mode()

    assert (verdict(found), any(door.bodies)) == (("down", "login_page", "content_form"), False)


def test_an_answer_that_a_form_would_bring_elsewhere_is_refused(behind_tls, authority):
    server, door = behind_tls
    door.mode = front.Mode(replaces=(idp.ACS.encode(), b"https://stranger.example/acs"), method="POST")

    found = tick(identity(server, trust=authority.pem), login_due=True)
    door.mode = front.Mode()

    assert verdict(found) == ("down", "assertion", "saml_binding")


def test_the_password_does_not_travel_on_with_a_redirect(behind_tls, authority):
    server, door = behind_tls
    elsewhere = f"https://localhost:{door.port}/elsewhere"
    door.mode = front.Mode(redirect=elsewhere, redirect_status=307, method="POST")
    door.asked.clear()

    found = tick(identity(server, trust=authority.pem), login_due=True)
    door.mode = front.Mode()

    led_on = [path for _, path, _ in door.asked if path == "/elsewhere"]
    assert (verdict(found), led_on) == (("down", "login", "http_redirect"), [])
