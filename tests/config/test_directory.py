"""How a directory is reached: what is accepted, and above all that no password travels in clear."""

from datetime import timedelta

import pytest
from pydantic import Field, ValidationError

from ent_sync.config.directory import DirectorySection, ExternalBind, SimpleBind
from ent_sync.config.settings import SourceSection, load, schema, show
from ent_sync.core.errors import BadConfigurationError

SIMPLE = {"dn": "cn=reader,dc=ent", "password": {"env": "PASSWORD"}}
EXTERNAL = {"external": True}
CERTIFICATE = {"certificate": "client.pem", "key": "client.key"}


class ToyLdapSource(SourceSection, DirectorySection):
    people: str = Field(default="ou=people", description="Where people are.")


FORMATS = {"ldap": ToyLdapSource}


def made(**keys):
    return DirectorySection.model_validate({"servers": ["ldaps://a.example"], "base": "dc=ent", **keys})


def refused(**keys):
    """The rule and the place of the one thing that is wrong."""
    with pytest.raises(ValidationError) as caught:
        made(**keys)
    [line] = caught.value.errors(include_url=False, include_context=False)
    return line["type"].removeprefix("ent-sync:"), tuple(
        part for part in line["loc"] if part != "function-wrap[_bind()]"
    )


# -- a password is not sent in clear -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "server",
    [
        "ldap://a.example",
        "ldap://a.example:389",
        "ldap://10.0.0.1",
        "ldap://[2001:db8::1]",
        "ldap://localhost.example",
        "ldap://127.0.0.1.example",
        "ldap://128.0.0.1",
    ],
)
def test_a_password_is_not_sent_in_clear(server):
    assert refused(servers=[server], bind=SIMPLE) == ("password-in-clear", ("servers", 0))


@pytest.mark.parametrize(
    "server",
    [
        "ldaps://a.example",
        "ldap://127.0.0.1:3890",
        "ldap://127.8.9.1",
        "ldap://[::1]:389",
        "ldap://localhost",
        "ldap://LOCALHOST:389",
        "ldapi://%2Frun%2Fldapi",
    ],
)
def test_a_password_may_be_sent_where_nobody_on_the_way_can_listen(server):
    assert made(servers=[server], bind=SIMPLE).servers == (server,)


def test_a_password_may_be_sent_after_start_tls():
    found = made(servers=["ldap://a.example"], tls={"start_tls": True}, bind=SIMPLE)

    assert found.tls.start_tls


def test_one_server_in_clear_among_others_is_refused_by_its_place():
    servers = ["ldaps://a.example", "ldap://b.example"]

    assert refused(servers=servers, bind=SIMPLE) == ("password-in-clear", ("servers", 1))


def test_whoever_sends_no_password_may_do_it_in_clear():
    assert made(servers=["ldap://a.example"]).bind is None


# -- external binds ----------------------------------------------------------------------------------------------------


def test_an_external_bind_shows_a_certificate():
    assert made(tls=CERTIFICATE, bind=EXTERNAL).bind == ExternalBind(external=True)


def test_an_external_bind_over_ldapi_needs_none():
    assert made(servers=["ldapi://%2Frun%2Fldapi"], bind=EXTERNAL).bind == ExternalBind(external=True)


@pytest.mark.parametrize("keys", [{}, {"tls": CERTIFICATE, "servers": ["ldap://a.example"]}])
def test_an_external_bind_without_anything_that_says_who_we_are_is_refused(keys):
    assert refused(**keys, bind=EXTERNAL) == ("external", ("bind",))


# -- the keys ----------------------------------------------------------------------------------------------------------


def test_a_simple_bind_names_where_its_password_is_kept():
    found = made(bind=SIMPLE).bind

    assert isinstance(found, SimpleBind)
    assert (found.dn, found.password.env) == ("cn=reader,dc=ent", "PASSWORD")


@pytest.mark.parametrize(
    ("bind", "rule"),
    [
        ({"dn": "cn=reader", "password": "hunter2"}, "secret"),
        ({"dn": "cn=reader"}, "missing"),
        ({"dn": "", "password": {"env": "PASSWORD"}}, "string-too-short"),
        ({"external": False}, "literal-error"),
        ({"external": True, "dn": "cn=reader"}, "unknown-key"),
        ("cn=reader", "bind"),
    ],
)
def test_a_bind_that_is_none_is_refused(bind, rule):
    assert refused(bind=bind)[0] == rule


@pytest.mark.parametrize(
    "server",
    [
        "a.example",
        "http://a.example",
        "ldap://",
        "ldap://a.example:0",
        "ldap://a.example:70000",
        "ldap://a.example/dc=ent",
        "ldap://me:hunter2@a.example",
        "ldap://a.example?x",
        "ldaps://a b",
        "ldapi:///run/ldapi",
    ],
)
def test_an_address_that_is_none_is_refused_by_its_place(server):
    assert refused(servers=[server]) == ("server", ("servers", 0))


def test_a_directory_has_a_server():
    assert refused(servers=[]) == ("server", ("servers",))


def test_a_key_belongs_to_a_certificate():
    assert refused(tls={"key": "client.key"}) == ("missing", ("tls", "certificate"))


def test_waiting_has_an_end_by_default():
    found = made()

    assert (found.connect_timeout, found.receive_timeout) == (timedelta(seconds=5), timedelta(seconds=30))


@pytest.mark.parametrize("key", ["connect_timeout", "receive_timeout"])
def test_a_wait_of_no_time_is_refused(key):
    assert refused(**{key: 0}) == ("duration", (key,))


# -- in the file -------------------------------------------------------------------------------------------------------


FILE = """\
sources:
  - name: amiens-ldap
    format: ldap
    academy: AMIENS
    servers: ["ldaps://a.example", "{second}"]
    tls: {{ca: ca.pem}}
    bind: {{dn: "cn=reader,dc=example", password: {{file: reader.password}}}}
    base: "dc=example"
    schedule: {{every: 5m}}
"""


def loaded(folder, second):
    path = folder / "ent-sync.yaml"
    path.write_text(FILE.format(second=second))
    return load(path, FORMATS, {})


def test_the_section_of_the_contract_loads_beside_the_keys_of_every_source(tmp_path):
    [source] = loaded(tmp_path, "ldaps://b.example").sources

    assert isinstance(source, ToyLdapSource)
    assert (source.name, source.servers) == ("amiens-ldap", ("ldaps://a.example", "ldaps://b.example"))


def test_a_password_in_clear_is_told_with_its_line(tmp_path):
    with pytest.raises(BadConfigurationError) as caught:
        loaded(tmp_path, "ldap://b.example")

    assert str(caught.value).endswith(
        "ent-sync.yaml:5:36: sources.0.servers.1: would carry the password in clear: "
        "use ldaps://, or tls: {start_tls: true}"
    )


def test_the_section_is_shown_with_where_its_password_is_kept(tmp_path):
    shown = show(loaded(tmp_path, "ldaps://b.example"))

    assert "file: reader.password" in shown


def test_the_section_has_a_schema_for_editors():
    found = schema(FORMATS, {})

    assert {"servers", "tls", "bind", "base"} <= found["$defs"]["ToyLdapSource"]["properties"].keys()
