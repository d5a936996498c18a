"""The services that probes look at, and as whom: sections of `federation` (contract §6).

Describes and refuses; reads no file and opens no connection (`federation/service.py` makes what a probe takes).
"""

from __future__ import annotations

import ipaddress
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Self, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from ent_sync.config.document import Section, refusal, refused_at
from ent_sync.config.fields import Duration, SecretRef
from ent_sync.core.record import PEOPLE, Population

_NAME = r"[a-z0-9][a-z0-9\-]{0,62}"
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.\-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])"
_URL = rf"https?://{_HOST}(?::[0-9]{{1,5}})?(?:/[!-~]*)?"
_ADMITTED = rf"{_HOST}(?::[0-9]{{1,5}})?"


def _service_name(value: str) -> str:
    if not re.fullmatch(_NAME, value):
        raise refusal("name", "must be of a to z, 0 to 9 and -, and begin with a letter or digit: educonnect")
    return value


ServiceName: TypeAlias = Annotated[
    str, AfterValidator(_service_name), Field(json_schema_extra={"pattern": f"^{_NAME}$"})
]
"""How commands, metrics and pages call a service."""


def _url(value: str) -> str:
    if not re.fullmatch(_URL, value) or (urlsplit(value).username is not None):
        raise refusal("url", "must be https://HOST/PATH (or http:// on this machine), without account or spaces")
    port = re.search(r":([0-9]+)(?:/|$)", value.split("//", 1)[1])
    if port is not None and not 0 < int(port[1]) <= 0xFFFF:
        raise refusal("url", "must have a port from 1 to 65535, or none")
    return value


Url: TypeAlias = Annotated[str, AfterValidator(_url), Field(json_schema_extra={"pattern": f"^{_URL}$"})]
"""An address of the web, with a scheme and a host."""


def _admitted(value: str) -> str:
    if not re.fullmatch(_ADMITTED, value):
        raise refusal("host", "must be HOST or HOST:PORT: idp.example, idp.example:8443")
    return value.lower()


AdmittedHost: TypeAlias = Annotated[
    str, AfterValidator(_admitted), Field(json_schema_extra={"pattern": f"^{_ADMITTED}$"})
]
"""A host that may be asked, at the port of https or at the one that is written."""


class AskingSection(Section):
    """Who we say we are when we ask for a login page: one service provider of our own, registered with each service."""

    entity: str = Field(min_length=1, max_length=1024, description="Our entityID, as the services have it registered.")
    acs: Url = Field(
        description="The address to which they answer, as registered. Nothing needs to listen there: an answer is "
        "taken from the page that would post it."
    )
    certificate: Path = Field(description="Our certificate (PEM), as registered.")
    key: SecretRef = Field(description="Its private key (PEM), with which requests are signed.")


class LoginSection(Section):
    """A whole login with a test account: a person who does not exist, has no rights, and is known to the authority."""

    account: str = Field(min_length=1, repr=False, description="The name that is typed into the form.")
    password: SecretRef = Field(description="The password that is typed into the form.")
    key: SecretRef | None = Field(
        default=None,
        description="The federation key that was provisioned for this account, `ACADEMY$ID`; compared by keyed digest "
        "with the one that the service asserts. Without it, it need only be there.",
    )
    key_attribute: str = Field(
        default="ENTPersonJointure", min_length=1, description="The attribute in which the service asserts it."
    )
    every: Duration = Field(
        default=timedelta(minutes=15), description="The least time between two logins. Agree on it with the authority."
    )

    @model_validator(mode="after")
    def _not_too_often(self) -> Self:
        if self.every < timedelta(minutes=15):
            raise refused_at(("every",), "duration", "must be 15m or more: an account that logs in too often is locked")
        return self


class ServiceSection(Section):
    """Something by which people log in: an address whose page is looked at, or an identity provider's metadata."""

    name: ServiceName = Field(description="How commands, metrics and pages call it; unique. Never rename one in use.")
    title: str | None = Field(default=None, min_length=1, description="How pages and notices call it: EduConnect.")
    url: Url | None = Field(default=None, description="The page that is asked for. Either this or `metadata`.")
    content: str | None = Field(
        default=None,
        min_length=1,
        description="A text that the page must show. Of a `metadata` service: of its login page, where that is a "
        "chooser or asks for the account first; without it, a form with a password is looked for.",
    )
    metadata: Url | None = Field(default=None, description="Where its SAML metadata are published.")
    entity: str | None = Field(
        default=None,
        min_length=1,
        description="The entityID that its metadata must have; without it, they must describe one entity only.",
    )
    pins: tuple[Path, ...] = Field(
        default=(),
        description="Certificates (PEM) one of which must have signed the metadata; several while they change. Without "
        "any, signatures are not asked for.",
    )
    promises_validity: bool = Field(
        default=False, description="The federation promises `validUntil`: metadata without it are a fault."
    )
    sso: bool = Field(
        default=True, description="Ask for its login page with a signed request, where `federation.asking` is given."
    )
    login: LoginSection | None = Field(default=None, description="A whole login with a test account, if agreed.")
    hosts: tuple[AdmittedHost, ...] = Field(
        default=(),
        description="Further hosts, HOST or HOST:PORT, to which it may lead: by redirects, login address or form. "
        "The one in `url` or `metadata` need not be written.",
    )
    ca: Path | None = Field(
        default=None,
        description="The certificates (PEM) of who may vouch for its hosts; without it, those that the machine trusts.",
    )
    internal: bool = Field(
        default=False,
        description="Its hosts may have addresses of private networks. Addresses written as numbers always may.",
    )
    insecure: bool = Field(default=False, description="http:// is admitted elsewhere than on this machine.")
    populations: tuple[Population, ...] = Field(
        default=(), description="Who logs in there: pupil, guardian, staff. For the number of people affected."
    )
    excluded: str | None = Field(
        default=None, min_length=1, description="Why it is not probed for now; pages show it so, with these words."
    )

    @model_validator(mode="after")
    def _is_of_one_kind(self) -> Self:
        if (self.url is None) == (self.metadata is None):
            raise refused_at(("url",), "service", "a service has either url or metadata")
        if self.url is not None:
            of_metadata = {"entity", "pins", "promises_validity", "sso", "login"} & self.model_fields_set
            for name in sorted(of_metadata):
                raise refused_at((name,), "service", "belongs to a service with metadata, not with url")
        if self.login is not None and not self.sso:
            raise refused_at(("login",), "service", "needs sso: a login begins at the login page")
        return self

    @model_validator(mode="after")
    def _people_log_in(self) -> Self:
        for index, population in enumerate(self.populations):
            if population not in PEOPLE:
                raise refused_at(("populations", index), "population", "must be pupil, guardian or staff")
        return self

    @model_validator(mode="after")
    def _is_encrypted(self) -> Self:
        address = self.address
        if address.startswith("http://") and not self.insecure and not is_loopback(urlsplit(address).hostname or ""):
            key = "url" if self.url is not None else "metadata"
            raise refused_at((key,), "insecure", "must be https://, but on this machine; or say insecure: true")
        return self

    @property
    def address(self) -> str:
        """What is asked for first: the page, or the metadata."""
        return self.url or self.metadata or ""


def is_loopback(host: str) -> bool:
    """Whether a host as it is written is this machine: `localhost`, 127.0.0.0/8, ::1."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"
