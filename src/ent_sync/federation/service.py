"""A service as a probe takes it: paths read, secrets at hand, and the list of hosts that may be asked.

Nothing here shows a secret: values that hold one have a repr that does not.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

from ent_sync.config.federation import FederationSection
from ent_sync.config.services import AskingSection, LoginSection, ServiceSection
from ent_sync.core.errors import BadConfigurationError, Problem, Where
from ent_sync.federation.certificates import belong, certificates_in

Digest: TypeAlias = Callable[[str], bytes]
"""A keyed digest, with a key of the installation: all that is ever compared or kept of a federation key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """As whom login pages are asked for; PEM texts."""

    entity: str
    acs: str
    certificate: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Login:
    """A test account: a synthetic person. `expected` is the keyed digest of the federation key provisioned for it."""

    account: str
    password: str
    attribute: str
    expected: bytes | None
    digest: Digest

    def __repr__(self) -> str:
        return "<Login of a test account>"


@dataclass(frozen=True, slots=True)
class Published:
    """What a service's metadata must be: of which entity, signed by one of which certificates (PEM).

    Without an entity they must describe one only, whatever its name; without certificates nobody need have signed.
    """

    entity: str | None
    pins: tuple[str, ...] = ()
    promises_validity: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What a probe looks at. `admitted` holds hosts with their ports; `trust` is PEM, None for the machine's own."""

    name: str
    address: str
    content: str | None = None
    published: Published | None = None
    asking: Asking | None = None
    login: Login | None = None
    admitted: frozenset[tuple[str, int]] = frozenset()
    trust: str | None = None
    internal: bool = False

    def admits(self, url: str) -> bool:
        """Whether a probe may go where a redirect, metadata or a form lead.

        Only to the hosts of the configuration, and in clear only where the configuration itself is in clear.
        """
        try:
            parts = urlsplit(url)
            place = _place(url)
        except ValueError:
            return False
        encrypted = parts.scheme == "https" or (parts.scheme == "http" and self.address.startswith("http://"))
        return encrypted and parts.username is None and parts.password is None and place in self.admitted

    def reaches(self, host: str, address: str) -> bool:
        """Whether an address may be connected to, which a name server gave for `host`.

        A name must not lead to this machine or to a private network unless the configuration says so; an address that
        the configuration itself writes in numbers, or `localhost`, is its own decision.
        """
        found = ipaddress.ip_address(address.partition("%")[0])
        found = getattr(found, "ipv4_mapped", None) or found
        if is_number(host) or (host == "localhost" and found.is_loopback) or found.is_global:
            return not (found.is_multicast or found.is_unspecified)
        strange = found.is_loopback or found.is_link_local or found.is_multicast or found.is_unspecified
        return self.internal and found.is_private and not strange


def is_number(host: str) -> bool:
    """Whether a host is written as an address of numbers."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _place(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return (parts.hostname or "").lower(), parts.port or (80 if parts.scheme == "http" else 443)


def service_of(
    section: ServiceSection,
    federation: FederationSection,
    *,
    base: Path,
    environ: Mapping[str, str],
    digest: Digest,
) -> Service:
    """The service that a section describes; files and secrets are read, relative to `base`.

    Raises `BadConfigurationError` where one cannot be read.
    """
    scheme = urlsplit(section.address).scheme
    admitted = {_place(section.address)} | {_place(f"{scheme}://{each}") for each in section.hosts}
    published = None
    if section.metadata is not None:
        pins = tuple(pin for each in section.pins for pin in _certificates(base / each))
        published = Published(section.entity, pins, section.promises_validity)
    asks = published is not None and section.sso and federation.asking is not None
    return Service(
        name=section.name,
        address=section.address,
        content=section.content,
        published=published,
        asking=_asking(federation.asking, base, environ) if asks and federation.asking else None,
        login=_login(section.login, base, environ, digest) if section.login else None,
        admitted=frozenset(admitted),
        trust="\n".join(_certificates(base / section.ca)) if section.ca else None,
        internal=section.internal,
    )


def _asking(section: AskingSection, base: Path, environ: Mapping[str, str]) -> Asking:
    certificate = _certificates(base / section.certificate)[0]
    key = section.key.read(base, environ).decode(errors="replace")
    if not belong(certificate, key):
        sentence = "is not of the private key in federation.asking.key (PEM, without a password)"
        raise _unusable(base / section.certificate, sentence)
    return Asking(entity=section.entity, acs=section.acs, certificate=certificate, key=key)


def _login(section: LoginSection, base: Path, environ: Mapping[str, str], digest: Digest) -> Login:
    expected = section.key.read(base, environ).decode(errors="replace") if section.key else None
    return Login(
        account=section.account,
        password=section.password.read(base, environ).decode(errors="replace"),
        attribute=section.key_attribute,
        expected=None if expected is None else digest(bare_key(expected)),
        digest=digest,
    )


def bare_key(value: str) -> str:
    """A federation key without the `AC-` that some feeds put before the academy."""
    return value.strip().removeprefix("AC-")


def _certificates(path: Path) -> tuple[str, ...]:
    try:
        found = certificates_in(path.read_text(errors="replace"))
    except OSError as error:
        raise _unusable(path, f"cannot be read: {error.strerror}") from None
    if not found:
        raise _unusable(path, "holds no certificate in PEM form")
    return found


def _unusable(path: Path, sentence: str) -> BadConfigurationError:
    return BadConfigurationError([Problem(Where(str(path)), "certificate", sentence)])
