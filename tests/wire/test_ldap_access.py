"""Links to real servers: which one answers, whether it is believed, and as whom we are bound."""

import contextlib
import socket
import threading
import time
from pathlib import Path

import pytest
from ldap_linking import ENVIRON, SECRET, connect, linked, section

from ent_sync.core.errors import BadConfigurationError, UnavailableError
from ent_sync.wire.ldap import access, ber, search
from servers.slapd import free_port, slapd

BASE = "dc=ent,dc=example"
READER = f"cn=reader,{BASE}"


@pytest.fixture(scope="module")
def server():
    with slapd(durable=False) as running:
        yield running


@pytest.fixture(scope="module")
def other():
    """Another server, with another authority."""
    with slapd(durable=False) as running:
        yield running


@pytest.fixture
def mute():
    """Takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"ldap://127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture
def closing():
    """An address where nobody listens."""
    return f"ldap://127.0.0.1:{free_port()}"


def what_is_said(server, **changed):
    with pytest.raises(UnavailableError) as caught:
        connect(server, **changed)
    return str(caught.value)


def sees_people(link):
    return search.read(link, f"ou=people,{BASE}", ("ou",)) is not None


# -- binds -------------------------------------------------------------------------------------------------------------


def test_a_simple_bind_is_that_of_the_account(server):
    with linked(server) as link:
        found = link.bound_as, sees_people(link)

    assert found == (READER, True)


def test_without_a_bind_we_are_nobody(server):
    with linked(server, bind=None) as link:
        found = link.bound_as

    assert found == ""


def test_a_wrong_password_is_told_by_the_name_of_its_code(server):
    with pytest.raises(UnavailableError) as caught:
        access.connect(section(server), Path("/"), {"PASSWORD": "hunter2"}, who="source lille")

    assert str(caught.value) == f"source lille cannot be used: {server.url}: the bind was refused: invalidCredentials"


def test_a_wrong_password_is_not_tried_on_the_next_server(server, other):
    """Each try would count towards locking the account."""
    both = section(server, servers=[server.url, other.url])

    with pytest.raises(UnavailableError) as caught:
        access.connect(both, Path("/"), {"PASSWORD": "hunter2"}, who="source lille")

    assert other.url not in str(caught.value)


def test_a_password_that_lacks_is_an_error_of_the_configuration(server):
    with pytest.raises(BadConfigurationError):
        access.connect(section(server), Path("/"), {}, who="source lille")


def test_a_password_may_hold_any_characters(server):
    server.modify_ldif(
        f"dn: cn=odd,{BASE}\nchangetype: add\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\n"
        "cn: odd\nuserPassword: pässwörd \u00a0 «»\n"
    )
    odd = section(server, bind={"dn": f"cn=odd,{BASE}", "password": SECRET})

    with access.connect(odd, Path("/"), {"PASSWORD": "pässwörd \u00a0 «»"}, who="source lille") as link:
        found = link.bound_as

    assert found == f"cn=odd,{BASE}"


def test_over_ldapi_the_process_says_who_we_are(server):
    with linked(server, servers=[server.ldapi_url], bind={"external": True}) as link:
        found = link.bound_as

    assert found == f"cn=writer,{BASE}"


def test_a_client_certificate_says_who_we_are(server):
    tls = {"ca": str(server.ca), "certificate": str(server.client_certificate), "key": str(server.client_key)}

    with linked(server, servers=[server.tls_url], tls=tls, bind={"external": True}) as link:
        found = link.bound_as

    assert found == f"cn=writer,{BASE}"


# -- TLS ---------------------------------------------------------------------------------------------------------------


def test_a_server_is_believed_by_the_word_of_our_own_authority(server):
    with linked(server, servers=[server.tls_url], tls={"ca": str(server.ca)}) as link:
        found = sees_people(link)

    assert found


def test_paths_are_taken_from_the_folder_of_the_configuration(server):
    relative = section(server, servers=[server.tls_url], tls={"ca": "ca.pem"})

    with access.connect(relative, server.ca.parent, ENVIRON, who="source lille") as link:
        found = sees_people(link)

    assert found


def test_start_tls_encrypts_before_the_password_is_sent(server):
    url = f"ldap://localhost:{server.port}"

    with linked(server, servers=[url], tls={"ca": str(server.ca), "start_tls": True}) as link:
        found = sees_people(link), link.server

    assert found == (True, url)


def test_a_server_of_another_authority_is_not_believed(server, other):
    said = what_is_said(server, servers=[server.tls_url], tls={"ca": str(other.ca)})

    assert "its certificate is not believed" in said


def test_a_server_that_nobody_vouches_for_is_not_believed(server):
    said = what_is_said(server, servers=[server.tls_url])

    assert "its certificate is not believed" in said


def test_start_tls_with_a_server_of_another_authority_is_refused(server, other):
    said = what_is_said(server, tls={"ca": str(other.ca), "start_tls": True})

    assert "its certificate is not believed" in said


def test_a_server_with_a_certificate_for_another_name_is_not_believed(server):
    with elsewhere(server.tls_port) as url:
        said = what_is_said(server, servers=[url], tls={"ca": str(server.ca)})

    assert "IP address mismatch" in said


@contextlib.contextmanager
def elsewhere(port):
    """Another address of this machine, which its certificate does not name, with a wire to `port`."""
    listening = socket.create_server(("127.0.0.2", 0))

    def carry():
        with contextlib.suppress(OSError):
            client, _ = listening.accept()
            with client, socket.create_connection(("127.0.0.1", port)) as server:
                back = threading.Thread(target=pour, args=(server, client), daemon=True)
                back.start()
                pour(client, server)
                back.join(5)

    def pour(source, sink):
        with contextlib.suppress(OSError):
            while chunk := source.recv(1 << 16):
                sink.sendall(chunk)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)

    thread = threading.Thread(target=carry, daemon=True)
    thread.start()
    try:
        yield f"ldaps://127.0.0.2:{listening.getsockname()[1]}"
    finally:
        listening.close()
        thread.join(5)


@pytest.mark.parametrize("content", [None, "this is no certificate"])
def test_an_authority_that_cannot_be_read_is_an_error_of_the_configuration(server, tmp_path, content):
    if content:
        (tmp_path / "ca.pem").write_text(content)

    with pytest.raises(BadConfigurationError) as caught:
        connect(server, servers=[server.tls_url], tls={"ca": str(tmp_path / "ca.pem")})

    assert str(tmp_path / "ca.pem") in str(caught.value)


def test_a_certificate_without_its_key_is_an_error_of_the_configuration(server):
    with pytest.raises(BadConfigurationError):
        connect(server, servers=[server.tls_url], tls={"certificate": str(server.client_certificate)})


# -- several servers ---------------------------------------------------------------------------------------------------


def test_the_first_server_that_answers_is_used(server, closing):
    with linked(server, servers=[closing, server.url]) as link:
        found = link.server

    assert found == server.url


def test_a_server_that_is_mute_is_passed_over(server, mute):
    with linked(server, servers=[mute, server.url], receive_timeout="1s") as link:
        found = link.server

    assert found == server.url


def test_a_server_that_is_mute_when_tls_begins_is_passed_over(server, mute):
    servers = [mute.replace("ldap:", "ldaps:"), server.url]
    began = time.monotonic()

    with linked(server, servers=servers, connect_timeout="1s", receive_timeout="5m") as link:
        found = link.server

    assert (found, time.monotonic() - began < 60) == (server.url, True)


def test_a_server_that_is_not_believed_is_passed_over(server, other):
    with linked(server, servers=[other.tls_url, server.tls_url], tls={"ca": str(server.ca)}) as link:
        found = link.server

    assert found == server.tls_url


def test_when_no_server_answers_each_is_told_with_its_reason(server, closing, mute):
    said = what_is_said(server, servers=[closing, mute], receive_timeout="1s")

    assert said == f"source lille cannot be used: {closing}: connection refused; {mute}: no answer in time"


def test_a_server_that_does_not_speak_tls_is_no_server(server):
    url = f"ldaps://127.0.0.1:{server.port}"

    said = what_is_said(server, servers=[url])

    assert said.startswith(f"source lille cannot be used: {url}: ")


def test_a_host_that_does_not_exist_is_told(server):
    said = what_is_said(server, servers=["ldaps://nowhere.invalid"])

    assert "the name of the host is not known" in said


def test_nothing_that_is_said_holds_the_password(server, mute):
    said = what_is_said(server, servers=[mute], receive_timeout="1s")

    assert server.password not in said


# -- what a server says of itself --------------------------------------------------------------------------------------


def test_a_link_knows_what_the_server_offers(server):
    with linked(server) as link:
        root = link.root

    assert {search.PAGED, "1.3.6.1.1.12", "1.3.6.1.1.13.1"} <= root.controls
    assert (root.naming_contexts, root.subschema) == ((BASE,), "cn=Subschema")


def test_a_link_keeps_its_password_to_itself(server):
    with linked(server) as link:
        shown = repr(link) + repr(vars(link))

    assert server.password not in shown


def test_values_come_as_the_bytes_that_the_server_holds(server):
    with linked(server) as link:
        entry = search.read(link, f"ou=people,{BASE}", ("ou",))

    assert entry is not None
    assert ber.attributes(entry.content) == {"ou": [b"people"]}
