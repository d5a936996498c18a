"""Metrics and health over HTTP, as Prometheus and systems that watch ask for them."""

import contextlib
import datetime as dt
import ipaddress
import socket
import ssl
import urllib.error
import urllib.request

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ent_sync.config.fields import Address
from ent_sync.observe.health import Health
from ent_sync.web.serve import Certificates, NotServedError, monitoring, served
from observe.measuring import collected, open_store

ANY = Address("127.0.0.1", 0)


@pytest.fixture
def store(tmp_path):
    database = open_store(tmp_path / "state.sqlite")
    yield database
    database.close()


def asked(url, accept="*/*", context=None):
    """Status, content type and text of an answer."""
    request = urllib.request.Request(url, headers={"Accept": accept})  # noqa: S310 - our own server
    try:
        with urllib.request.urlopen(request, timeout=10, context=context) as answer:  # noqa: S310
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read().decode()


@contextlib.contextmanager
def at(store, reasons=(), certificates=None):
    """The address of a daemon's three pages."""
    checks = {name: lambda reason=reason: reason for name, reason in reasons}
    with served(monitoring(collected(store), Health(checks)), ANY, certificates) as address:
        yield (
            f"{'https' if certificates else 'http'}://localhost:{address.port}" if certificates else f"http://{address}"
        )


# -- the three pages ---------------------------------------------------------------------------------------------------


def test_metrics_are_text_for_whoever_asks_for_nothing_else(store):
    with at(store) as url:
        status, content_type, text = asked(f"{url}/metrics")

    assert (status, content_type.partition(";")[0]) == (200, "text/plain")
    assert 'ent_sync_last_success_timestamp_seconds{source="lille-2d"} 0.0' in text.splitlines()


def test_metrics_are_openmetrics_for_whoever_asks_for_it(store):
    with at(store) as url:
        _, content_type, text = asked(f"{url}/metrics", "application/openmetrics-text; version=1.0.0")

    assert content_type.startswith("application/openmetrics-text")
    assert text.endswith("# EOF\n")


def test_a_store_that_cannot_be_read_is_an_error_and_not_an_empty_page(store):
    with store.transaction() as connection:
        connection.exec_driver_sql("DROP TABLE sources")
    with at(store) as url:
        status, _, text = asked(f"{url}/metrics")

    assert (status, text) == (503, "the state store refused to be read: OperationalError\n")


def test_the_daemon_is_alive_whatever_else_is_ill(store):
    with at(store, [("store", "is ill")]) as url:
        assert asked(f"{url}/healthz") == (200, "text/plain; charset=utf-8", "alive\n")


def test_the_daemon_is_ready_while_nothing_keeps_it_from_its_work(store):
    with at(store) as url:
        assert asked(f"{url}/readyz") == (200, "text/plain; charset=utf-8", "ready\n")


def test_the_daemon_says_line_by_line_why_it_is_not_ready(store):
    with at(store, [("store", "is ill"), ("target ent", "does not answer")]) as url:
        status, _, text = asked(f"{url}/readyz")

    assert (status, text) == (503, "store: is ill\ntarget ent: does not answer\n")


@pytest.mark.parametrize("path", ["/", "/metrics/x", "/docs"])
def test_there_is_nothing_else(store, path):
    with at(store) as url:
        assert asked(f"{url}{path}")[0] == 404


# -- where it listens --------------------------------------------------------------------------------------------------


def test_an_address_that_is_taken_is_told_to_whoever_starts_us(store):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        with (
            pytest.raises(NotServedError, match=r"127\.0\.0\.1:\d+ cannot be listened on: Address already in use"),
            served(monitoring(collected(store), Health({})), Address("127.0.0.1", port)),
        ):
            pass


def test_nothing_listens_any_more_when_the_block_has_ended(store):
    with served(monitoring(collected(store), Health({})), ANY) as address:
        pass

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address.host, address.port), timeout=5)


def test_it_listens_on_ipv6_too(store):
    with served(monitoring(collected(store), Health({})), Address("::1", 0)) as address:
        assert asked(f"http://{address}/healthz")[0] == 200


# -- TLS ---------------------------------------------------------------------------------------------------------------


def keep(path, *parts):
    pem = serialization.Encoding.PEM
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    texts = [
        part.private_bytes(pem, *plain) if isinstance(part, ec.EllipticCurvePrivateKey) else part.public_bytes(pem)
        for part in parts
    ]
    path.write_bytes(b"".join(texts))
    return path


def issued(name, authority=None):
    """A certificate and its key, of an authority or of itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer, signing = (subject, key) if authority is None else (authority[0].subject, authority[1])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=authority is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False)
    )
    if authority is not None:
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
        made = made.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    return made.sign(signing, hashes.SHA256()), key


@pytest.fixture
def pki(tmp_path):
    """`ca.pem`, `server.pem` and its `server.key`, and `client.pem`, which holds its key."""
    folder = tmp_path / "pki"
    folder.mkdir()
    authority = issued("an authority of this test")
    keep(folder / "ca.pem", authority[0])
    certificate, key = issued("localhost", authority)
    keep(folder / "server.pem", certificate)
    keep(folder / "server.key", key)
    keep(folder / "client.pem", *issued("prometheus", authority))
    return folder


def test_with_a_certificate_it_answers_over_tls_only(store, pki):
    certificates = Certificates(pki / "server.pem", pki / "server.key")
    with at(store, certificates=certificates) as url:
        over_tls = asked(f"{url}/healthz", context=ssl.create_default_context(cafile=pki / "ca.pem"))[0]

        with pytest.raises(OSError):
            asked(f"{url.replace('https', 'http')}/healthz")

    assert over_tls == 200


def test_who_must_show_a_certificate_and_shows_none_is_refused(store, pki):
    certificates = Certificates(pki / "server.pem", pki / "server.key", pki / "ca.pem")
    known = ssl.create_default_context(cafile=pki / "ca.pem")
    known.load_cert_chain(pki / "client.pem")
    with at(store, certificates=certificates) as url:
        with pytest.raises(OSError):
            asked(f"{url}/metrics", context=ssl.create_default_context(cafile=pki / "ca.pem"))

        assert asked(f"{url}/metrics", context=known)[0] == 200


def test_a_certificate_that_cannot_be_used_is_told_to_whoever_starts_us(store, pki):
    (pki / "server.key").write_text("no key")

    with (
        pytest.raises(NotServedError, match=r"the certificate for 127\.0\.0\.1:0 cannot be used"),
        at(store, certificates=Certificates(pki / "server.pem", pki / "server.key")),
    ):
        pass
