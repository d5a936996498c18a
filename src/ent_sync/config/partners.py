"""Who is told of malfunctions, maintenance and evolutions, and how: sections of `federation` (contract §6)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import AfterValidator, Field, model_validator

from ent_sync.config.document import Section, refusal, refused_at
from ent_sync.config.fields import Listen, SecretRef
from ent_sync.config.services import ServiceName, Url

_MAIL = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~\-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.\-]{0,252}[A-Za-z0-9])?"


def _mail(value: str) -> str:
    if not re.fullmatch(_MAIL, value):
        raise refusal("mail", "must be one address and nothing else: ops@example.org")
    return value


Mail: TypeAlias = Annotated[str, AfterValidator(_mail), Field(json_schema_extra={"pattern": f"^{_MAIL}$"})]
"""An e-mail address without a name before it."""

PartnerRole: TypeAlias = Literal[
    "region", "academic-region", "agriculture", "department", "syndicat-mixte", "crisis-cell", "operators"
]
"""What a partner is in the project: who is told first, and whom timeliness is measured by."""

Kind: TypeAlias = Literal["malfunction", "maintenance", "evolution"]
"""What there is to tell."""

Language: TypeAlias = Literal["fr", "en"]


class WebhookSection(Section):
    """An address to which signed notices are posted (Standard Webhooks)."""

    url: Url = Field(description="Where they are posted.")
    keys: tuple[SecretRef, ...] = Field(
        min_length=1, max_length=2, description="With what they are signed; two while the key changes."
    )
    ca: Path | None = Field(
        default=None,
        description="The certificates (PEM) of who may vouch for it; without it, those that the machine trusts.",
    )


class PartnerSection(Section):
    """One partner, and what it wants to know."""

    name: str = Field(min_length=1, max_length=100, description="As pages and reports call it; unique.")
    role: PartnerRole = Field(description="What it is in the project.")
    email: tuple[Mail, ...] = Field(default=(), description="Addresses of services and duty desks, not of people.")
    webhook: WebhookSection | None = Field(default=None, description="Where notices are posted for machines.")
    languages: tuple[Language, ...] = Field(
        default=("fr", "en"), min_length=1, description="The languages of its messages, in this order."
    )
    kinds: tuple[Kind, ...] = Field(
        default=("malfunction", "maintenance", "evolution"), min_length=1, description="Of what it is told."
    )
    services: tuple[ServiceName, ...] = Field(
        default=(), description="Of which services it is told; without any, of all."
    )

    @model_validator(mode="after")
    def _can_be_reached(self) -> Self:
        if not self.email and self.webhook is None:
            raise refused_at(("email",), "missing", "or webhook is required: how else is it told?")
        return self


class MailLoginSection(Section):
    """As whom we send."""

    account: str = Field(min_length=1, description="The name of the account at the mail server.")
    password: SecretRef = Field(description="Where its password is kept.")


class SmtpSection(Section):
    """How e-mail leaves."""

    server: Listen = Field(description="The mail server, HOST:PORT.")
    sender: Mail = Field(alias="from", description="The address in From.")
    starttls: bool = Field(default=True, description="Encrypt by STARTTLS, and send nothing where that fails.")
    ca: Path | None = Field(
        default=None,
        description="The certificates (PEM) of who may vouch for the mail server; without it, those that the machine "
        "trusts.",
    )
    login: MailLoginSection | None = Field(default=None, description="As whom we send, where the server asks.")

    @model_validator(mode="after")
    def _keep_the_password_to_ourselves(self) -> Self:
        if self.login is not None and not self.starttls:
            raise refused_at(("login",), "password-in-clear", "would travel in clear: it needs starttls")
        return self


class PublicSection(Section):
    """Where partners find the status page and its feeds."""

    url: Url = Field(description="The address of the status page as they reach it; links and feeds begin with it.")
