"""From the configuration to a probe: files and secrets read, what is unusable refused, and nothing of it ever told."""

import pytest
import structlog
from probing import QUICK, keyed, now, tick, verdict

from ent_sync.config.federation import FederationSection
from ent_sync.config.fields import Address
from ent_sync.core.errors import BadConfigurationError
from ent_sync.federation.probe import Means, means_of, probe
from ent_sync.federation.service import service_of
from ent_sync.observe import log
from servers import idp


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with idp.running(idp.make_folder(tmp_path_factory.mktemp("idp") / "ssp")) as made:
        yield made


@pytest.fixture
def base(server, tmp_path):
    """The folder of a configuration."""
    for name in ("md.crt", "sp.crt"):
        (tmp_path / name).write_text(server.certificate(name.removesuffix(".crt")))
    for name, secret in (("sp.key", server.key("sp")), ("password", idp.PASSWORD), ("key", idp.KEY)):
        (tmp_path / name).write_text(secret)
        (tmp_path / name).chmod(0o600)
    return tmp_path


def configured(server, **changed):
    asking = {"entity": idp.SP_ENTITY, "acs": idp.ACS, "certificate": "sp.crt", "key": {"file": "sp.key"}}
    login = {"account": idp.ACCOUNT, "password": {"file": "password"}, "key": {"file": "key"}}
    service = {"name": "educonnect", "metadata": server.metadata, "pins": ["md.crt"], "login": login}
    return FederationSection.model_validate({"asking": asking, "services": [{**service, **changed}]})


def made(federation, base):
    return service_of(federation.services[0], federation, base=base, environ={}, digest=keyed)


def refused(federation, base):
    with pytest.raises(BadConfigurationError) as caught:
        made(federation, base)
    return [(problem.where.file.rpartition("/")[2], problem.rule) for problem in caught.value.problems]


# -- made --------------------------------------------------------------------------------------------------------------


def test_a_service_of_the_configuration_is_probed_to_the_end_of_a_login(server, base):
    assert verdict(tick(made(configured(server), base), login_due=True)) == ("up", None, None)


def test_sso_may_be_left_out(server, base):
    federation = FederationSection.model_validate(
        {"services": [{"name": "educonnect", "metadata": server.metadata, "pins": ["md.crt"], "sso": False}]}
    )

    assert verdict(tick(made(federation, base))) == ("up", None, None)


def test_a_file_of_several_pins_is_read_to_its_end(server, base):
    (base / "md.crt").write_text(server.certificate("idp2") + server.certificate("md"))

    assert len(made(configured(server), base).published.pins) == 2


@pytest.mark.parametrize(
    ("url", "admitted"),
    [
        ("https://other.example/x", True),
        ("https://other.example:443/x", True),
        ("https://other.example:8443/x", False),
        ("https://third.example:8443/x", True),
        ("https://third.example/x", False),
        ("https://OTHER.example/x", True),
        ("https://ent.example/y", True),
        ("http://ent.example/y", False),
        ("https://ent.example.stranger.example/", False),
    ],
)
def test_hosts_are_admitted_with_their_port(base, url, admitted):
    service = {"name": "ent", "url": "https://ent.example/", "hosts": ["other.example", "third.example:8443"]}
    federation = FederationSection.model_validate({"services": [service]})

    assert made(federation, base).admits(url) is admitted


def test_the_means_are_those_of_the_configuration():
    probing = {
        "tls": "2s",
        "retries": ["1s"],
        "body": "1 MiB",
        "resolvers": ["127.0.0.1:5353"],
        "contact": "ops@example.org",
    }
    found = means_of(
        FederationSection.model_validate({"probing": probing, "public": {"url": "https://status.example/"}})
    )

    seen = (found.limits.tls, found.limits.body, found.retries, found.resolvers, found.agent.partition(" ")[2])
    assert seen == (2, 2**20, (1,), (Address("127.0.0.1", 5353),), "(+https://status.example/; ops@example.org)")


# -- refused -----------------------------------------------------------------------------------------------------------


def test_a_pin_that_is_not_there_is_refused(server, base):
    (base / "md.crt").unlink()

    assert refused(configured(server), base) == [("md.crt", "certificate")]


@pytest.mark.parametrize(
    "text", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_a_pin_that_is_no_certificate_is_refused(server, base, text):
    (base / "md.crt").write_text(text)

    assert refused(configured(server), base) == [("md.crt", "certificate")]


def test_our_certificate_and_key_belong_together(server, base):
    (base / "sp.key").write_text(server.key("idp2"))

    assert refused(configured(server), base) == [("sp.crt", "certificate")]


def test_a_password_that_others_may_read_is_refused(server, base):
    (base / "password").chmod(0o644)

    assert refused(configured(server), base) == [("password", "secret-open")]


# -- nothing is told ---------------------------------------------------------------------------------------------------

SECRETS = (idp.PASSWORD, idp.KEY, "SAMLRe", "AuthState", "PRIVATE KEY")


def test_a_service_shows_no_secret(server, base):
    shown = repr(made(configured(server), base))

    assert [secret for secret in SECRETS if secret in shown] == []


def test_what_a_login_found_shows_no_secret(server, base):
    shown = repr(tick(made(configured(server), base), login_due=True))

    assert [secret for secret in SECRETS if secret in shown] == []


@pytest.mark.parametrize("step", ["page", "saml.asserted", "metadata.facts"])
def test_a_mistake_of_ours_is_logged_without_what_it_was_about(server, base, tmp_path, monkeypatch, step):
    """Whatever a step was given stands in the exception, as libraries like to do."""

    def broken(*given, **more):
        raise RuntimeError(repr(given) + repr(more) + " ".join(SECRETS) + idp.ACCOUNT)

    file = tmp_path / "ent-sync.log"
    log.configure(file, "debug")
    try:
        monkeypatch.setattr(f"ent_sync.federation.probe.{step}", broken)
        found = probe(
            made(configured(server), base),
            vantage="main",
            now=now,
            means=Means(limits=QUICK, retries=()),
            login_due=True,
        )
    finally:
        structlog.reset_defaults()

    written = file.read_text()
    assert (verdict(found), "probe failed" in written) == (("unknown", "own", "own_error"), True)
    assert [secret for secret in (*SECRETS, idp.ACCOUNT) if secret in written] == []
