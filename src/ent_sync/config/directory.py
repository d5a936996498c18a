"""How an LDAP directory is reached: shared by the sections of the LDAP source and the LDAP target.

Describes and refuses; opens nothing (`wire/ldap/access.py` does).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import AfterValidator, Field, ValidatorFunctionWrapHandler, WrapValidator, model_validator

from ent_sync.config.document import Section, refusal, refused_at
from ent_sync.config.fields import Duration, SecretRef

_HOST = r"(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.\-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])"
_SERVER = rf"(?:(?P<scheme>ldaps?)://{_HOST}(?::(?P<port>[0-9]{{1,5}}))?/?|ldapi://(?P<path>[^/?#@\s]+)/?)"


def _server(value: str) -> str:
    found = re.fullmatch(_SERVER, value)
    if found is None or not 0 < int(found["port"] or 389) <= 0xFFFF:
        raise refusal(
            "server", "must be ldaps://HOST, ldap://HOST:PORT or ldapi://%2Fpath%2Fof%2Fsocket, and nothing after it"
        )
    return value.rstrip("/")


Server: TypeAlias = Annotated[
    str,
    AfterValidator(_server),
    Field(json_schema_extra={"pattern": f"^{re.sub('[?]P<[a-z]+>', '', _SERVER)}$"}),
]
"""The address of one directory server: `ldaps://a.example`, `ldap://127.0.0.1:3890`, `ldapi://%2Frun%2Fldapi`."""


def _some_server(value: tuple[str, ...]) -> tuple[str, ...]:
    # Asked here, since a `min_length` would count an address that was refused as lacking.
    if not value:
        raise refusal("server", "must name at least one server: [ldaps://a.example]")
    return value


def _some_time(value: timedelta) -> timedelta:
    if not value:
        raise refusal("duration", "must be longer than nothing: 5s")
    return value


Timeout: TypeAlias = Annotated[Duration, AfterValidator(_some_time)]
"""A length of time that is not nothing."""


class TlsSection(Section):
    """How connections are encrypted, and by whose word a server is believed."""

    ca: Path | None = Field(
        default=None,
        description="The certificates (PEM) of who may vouch for a server; without it, those that the machine trusts.",
    )
    start_tls: bool = Field(default=False, description="Encrypt ldap:// connections by StartTLS before anything else.")
    certificate: Path | None = Field(default=None, description="The certificate (PEM) that we show to the server.")
    key: Path | None = Field(
        default=None, description="Its private key (PEM), where `certificate` does not hold it already."
    )

    @model_validator(mode="after")
    def _key_belongs_to_a_certificate(self) -> Self:
        if self.key is not None and self.certificate is None:
            raise refused_at(("certificate",), "missing", "is required where there is a key")
        return self


class SimpleBind(Section):
    """An account of the directory and its password."""

    dn: str = Field(min_length=1, description="The DN to bind as.")
    password: SecretRef = Field(description="Where its password is kept.")


class ExternalBind(Section):
    """Who we are follows from the connection: its client certificate, or the process at the other end of ldapi."""

    external: Literal[True] = Field(description="SASL EXTERNAL.")


def _bind(value: object, handler: ValidatorFunctionWrapHandler) -> Any:
    if isinstance(value, Section):
        return handler(value)
    if not isinstance(value, Mapping):
        raise refusal("bind", "must be {dn: DN, password: SECRET} or {external: true}")
    return (ExternalBind if "external" in value else SimpleBind).model_validate(value)


Bind: TypeAlias = Annotated[SimpleBind | ExternalBind, WrapValidator(_bind)]
"""As whom we speak."""


class DirectorySection(Section):
    """Where a directory is, and as whom it is asked."""

    servers: Annotated[tuple[Server, ...], AfterValidator(_some_server)] = Field(
        description="The servers that hold it; the first that answers is used.", json_schema_extra={"minItems": 1}
    )
    tls: TlsSection = Field(default=TlsSection(), description="How connections are encrypted.")
    bind: Bind | None = Field(
        default=None,
        description="As whom we speak: {dn, password}, or {external: true} for a client certificate or ldapi; "
        "without it, as nobody. A password is never sent over a connection without TLS, but on the machine itself.",
    )
    base: str = Field(min_length=1, description="The DN below which everything lies.")
    connect_timeout: Timeout = Field(
        default=timedelta(seconds=5), description="How long a server may take to be connected, TLS included."
    )
    receive_timeout: Timeout = Field(
        default=timedelta(seconds=30), description="How long a server may be silent when it owes an answer."
    )

    @model_validator(mode="after")
    def _keep_the_password_to_ourselves(self) -> Self:
        for index, server in enumerate(self.servers):
            if isinstance(self.bind, SimpleBind) and not self.tls.start_tls and not _is_private(server):
                sentence = "would carry the password in clear: use ldaps://, or tls: {start_tls: true}"
                raise refused_at(("servers", index), "password-in-clear", sentence)
            if isinstance(self.bind, ExternalBind) and not self._proves_who_we_are(server):
                sentence = "needs tls.certificate and an encrypted connection, or servers at ldapi://"
                raise refused_at(("bind",), "external", sentence)
        return self

    def _proves_who_we_are(self, server: str) -> bool:
        """Whether a connection to `server` itself says who we are."""
        encrypted = server.startswith("ldaps://") or (self.tls.start_tls and server.startswith("ldap://"))
        return server.startswith("ldapi://") or (encrypted and self.tls.certificate is not None)


def _is_private(server: str) -> bool:
    """Whether nobody on the way can listen: an encrypted connection, or one that never leaves the machine."""
    found = re.fullmatch(_SERVER, server)
    if found is None or found["scheme"] == "ldaps" or found["path"]:
        return found is not None
    host = found["host"].strip("[]").lower()
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
