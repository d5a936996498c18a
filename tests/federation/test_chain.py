"""LDAP sources as services of their own, against a real slapd."""

import datetime as dt

import pytest

from ent_sync.config.directory import DirectorySection
from ent_sync.core.levels.samples import Cause, Result
from ent_sync.federation.chain import Directory
from ent_sync.federation.own import Own
from servers.slapd import free_port, slapd

NOW = dt.datetime(2026, 11, 23, 9, 0, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def server():
    with slapd() as made:
        yield made


def look(server, own=None, **changed):
    section = DirectorySection.model_validate({**server.section("reader"), **changed})
    found = Directory(name="ldap-lille", section=section, base=server.folder, environ={"WRONG": "wrong"})
    return found.look("main", NOW, own or Own())


def verdict(attempt):
    return attempt.sample.result, attempt.sample.cause


def test_a_directory_that_answers_is_up(server):
    assert verdict(look(server)) == (Result.UP, None)


def test_its_stages_are_timed(server):
    assert [stage.value for stage, _ in look(server).stages] == ["dns", "tcp", "login"]


def test_an_encrypted_directory_is_up(server):
    found = look(server, servers=[server.tls_url], tls={"ca": str(server.ca)})

    assert (verdict(found), [stage.value for stage, _ in found.stages]) == (
        (Result.UP, None),
        ["dns", "tcp", "tls", "login"],
    )


def test_a_directory_that_nobody_vouches_for_is_down(server):
    assert verdict(look(server, servers=[server.tls_url])) == (Result.DOWN, Cause.TLS_CHAIN)


def test_one_that_nobody_vouches_for_after_starttls_is_down(server):
    assert verdict(look(server, tls={"start_tls": True})) == (Result.DOWN, Cause.TLS_CHAIN)


def test_a_directory_that_is_not_there_is_down(server):
    assert verdict(look(server, servers=[f"ldap://127.0.0.1:{free_port()}"])) == (Result.DOWN, Cause.TCP_REFUSED)


def test_a_directory_with_one_server_left_is_up(server):
    assert verdict(look(server, servers=[f"ldap://127.0.0.1:{free_port()}", server.url])) == (Result.UP, None)


def test_a_refused_bind_says_nothing_of_the_directory(server):
    bind = {"dn": f"cn=reader,{server.base}", "password": {"env": "WRONG"}}

    assert verdict(look(server, bind=bind)) == (Result.UNKNOWN, Cause.LOGIN_REFUSED)


def test_a_password_that_cannot_be_read_is_our_own_fault(server):
    bind = {"dn": f"cn=reader,{server.base}", "password": {"env": "ABSENT"}}

    assert verdict(look(server, bind=bind)) == (Result.UNKNOWN, Cause.OWN_ERROR)


def test_without_a_network_nothing_is_said_of_it(server):
    assert verdict(look(server, Own(network=False))) == (Result.UNKNOWN, Cause.OWN_NETWORK)
