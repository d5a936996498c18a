"""A throw-away SAML identity provider that nobody here wrote: SimpleSAMLphp under PHP's own server.

All of its configuration lies in a folder of its own (federation-slo.md §2); what tests spoil is told to it when it
starts: another key, another clock, another address. A port is never used twice: workers of a killed group hold the old
one for a moment.
"""

import datetime as dt
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

PRODUCT = Path("/usr/share/simplesamlphp/www")
ATTRIBUTE_MAPS = Path("/etc/simplesamlphp/attributemap")
PATIENCE = 20.0

SP_ENTITY = "https://sonde.example/sp"
ACS = "https://sonde.example/acs"
ACCOUNT, PASSWORD, KEY = "sonde", "motdepasse", "LILLE$1234567"
"""Of a person who does not exist."""

_CONFIG = r"""<?php
$dir = getenv('SSP_DIR');
$config = [
    'baseurlpath' => getenv('SSP_BASE') . '/',
    'certdir' => "$dir/cert/", 'loggingdir' => "$dir/log/", 'datadir' => "$dir/data/", 'tempdir' => "$dir/tmp",
    'metadatadir' => "$dir/metadata",
    'secretsalt' => 'for-tests-only-for-tests-only', 'auth.adminpassword' => 'for-tests-only',
    'technicalcontact_name' => 'Sonde', 'technicalcontact_email' => 'sonde@example.org',
    'timezone' => 'UTC',
    'logging.level' => SimpleSAML\Logger::WARNING, 'logging.handler' => 'file', 'logging.logfile' => 'ssp.log',
    'enable.saml20-idp' => true,
    'module.enable' => ['exampleauth' => true, 'core' => true, 'saml' => true],
    'session.cookie.secure' => false, 'session.phpsession.savepath' => "$dir/sess",
    'session.phpsession.httponly' => true, 'store.type' => 'phpsession',
    'language.available' => ['en', 'fr'], 'language.default' => 'fr',
    'metadata.sources' => [['type' => 'flatfile']],
    'metadata.sign.enable' => true,
    'metadata.sign.privatekey' => getenv('SSP_MDKEY'), 'metadata.sign.certificate' => getenv('SSP_MDCERT'),
    'trusted.url.domains' => [],
];
"""
_AUTHSOURCES = rf"""<?php
$config = ['demo' => ['exampleauth:UserPass',
    '{ACCOUNT}:{PASSWORD}' => ['ENTPersonJointure' => ['{KEY}'], 'uid' => ['{ACCOUNT}']]]];
"""
_HOSTED = r"""<?php
$metadata[getenv('SSP_BASE') . '/saml2/idp/metadata.php'] = [
    'host' => '__DEFAULT__', 'privatekey' => getenv('SSP_KEY'), 'certificate' => getenv('SSP_CERT'),
    'auth' => 'demo', 'validate.authnrequest' => true];
"""
_REMOTE = rf"""<?php
$metadata['{SP_ENTITY}'] = [
    'AssertionConsumerService' => '{ACS}', 'validate.authnrequest' => true,
    'saml20.sign.assertion' => true, 'saml20.sign.response' => true,
    'certData' => getenv('SSP_SPCERT'), 'assertion.lifetime' => 300];
"""


@dataclass
class Idp:
    """An identity provider; `base` is how the world reaches it, its own address unless something stands before it."""

    folder: Path
    base: str = ""
    port: int = 0
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def metadata(self) -> str:
        """Where its metadata are, which is its entityID too."""
        return f"{self.base}/saml2/idp/metadata.php"

    @property
    def pin(self) -> str:
        """The certificate by which its metadata are signed (PEM)."""
        return self.certificate("md")

    def certificate(self, name: str) -> str:
        """A certificate (PEM): `idp`, `idp2`, `md`, `sp`."""
        return (self.folder / "cert" / f"{name}.crt").read_text()

    def key(self, name: str) -> str:
        """Its private key (PEM)."""
        return (self.folder / "cert" / f"{name}.pem").read_text()

    @property
    def group(self) -> int:
        """The process group of the server and its workers."""
        assert self.process is not None
        return self.process.pid

    def hang(self) -> None:
        """Nothing is answered any more, though connections are taken."""
        os.killpg(self.group, signal.SIGSTOP)

    def stop(self) -> None:
        """Everything of it ends at once; back when nothing listens any more."""
        if self.process is None:
            return
        os.killpg(self.group, signal.SIGKILL)
        self.process.wait(PATIENCE)
        self.process = None
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:  # its workers die when they like
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except ConnectionRefusedError:
                return
            except OSError:
                pass
            time.sleep(0.01)


def make_folder(folder: Path) -> Path:
    """All that an identity provider needs, keys included; several may run on one."""
    for name in ("config", "metadata", "cert", "log", "data", "tmp", "sess"):
        (folder / name).mkdir(parents=True)
    shutil.copytree(ATTRIBUTE_MAPS, folder / "config" / "attributemap")
    (folder / "config" / "config.php").write_text(_CONFIG)
    (folder / "config" / "authsources.php").write_text(_AUTHSOURCES)
    (folder / "metadata" / "saml20-idp-hosted.php").write_text(_HOSTED)
    (folder / "metadata" / "saml20-sp-remote.php").write_text(_REMOTE)
    for name in ("idp", "idp2", "md", "sp"):
        _make_pair(folder / "cert", name)
    return folder


def _make_pair(folder: Path, name: str) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    begins = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + dt.timedelta(days=400))
        .sign(key, hashes.SHA256())
    )
    (folder / f"{name}.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / f"{name}.pem").write_bytes(private)


@contextmanager
def running(
    folder: Path, *, base: str = "", key: str = "idp", certificate: str = "idp", clock: str | None = None
) -> Iterator[Idp]:
    """An identity provider that answers; `clock` shifts its own, as faketime writes it: `+10m`."""
    for _ in range(5):
        port = free_port()
        made = Idp(folder, base or f"http://127.0.0.1:{port}", port)
        made.process = _started(made, key, certificate, clock)
        if _answers(made):
            break
        made.stop()
    else:
        raise RuntimeError((folder / "log" / "php.log").read_text(errors="replace"))
    try:
        yield made
    finally:
        made.stop()


def _started(made: Idp, key: str, certificate: str, clock: str | None) -> subprocess.Popen[bytes]:
    lines = made.certificate("sp").splitlines()
    environ = {
        "PATH": os.environ["PATH"],
        "SSP_DIR": str(made.folder),
        "SSP_BASE": made.base,
        "SSP_KEY": f"{key}.pem",
        "SSP_CERT": f"{certificate}.crt",
        "SSP_MDKEY": "md.pem",
        "SSP_MDCERT": "md.crt",
        "SSP_SPCERT": "".join(line for line in lines if "-----" not in line),
        "SIMPLESAMLPHP_CONFIG_DIR": str(made.folder / "config"),
        "PHP_CLI_SERVER_WORKERS": "3",
    }
    shifted = ["faketime", "-f", clock] if clock else []
    options = ["-d", f"session.save_path={made.folder / 'sess'}", "-S", f"127.0.0.1:{made.port}", "-t", str(PRODUCT)]
    with (made.folder / "log" / "php.log").open("ab") as log:
        return subprocess.Popen(
            [*shifted, "php", *options], env=environ, stdout=log, stderr=log, start_new_session=True
        )


def _answers(made: Idp) -> bool:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if made.process is None or made.process.poll() is not None:
            return False
        try:
            with socket.create_connection(("127.0.0.1", made.port), timeout=1):
                return True
        except OSError:
            time.sleep(0.01)
    return False


def free_port() -> int:
    """A port nobody listens on just now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
