"""A mail server that keeps what it is given, and refuses what it is told to."""

import email
import email.policy
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from servers.slapd import free_port


@dataclass
class Mailbox:
    """What arrived, and how the next is answered: `refuses` by address, `data` for every message."""

    port: int
    messages: list = field(default_factory=list)
    recipients: list = field(default_factory=list)
    encrypted: list = field(default_factory=list)
    refuses: dict[str, str] = field(default_factory=dict)
    data: str = "250 kept"
    sessions: int = 0

    async def handle_EHLO(self, server, session, envelope, hostname, responses):  # noqa: N802 - aiosmtpd's name
        self.sessions += 1
        session.host_name = hostname
        return responses

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):  # noqa: N802
        if address in self.refuses:
            return self.refuses[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        if self.data.startswith("250"):
            self.messages.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
            self.recipients.append(envelope.rcpt_tos)
            self.encrypted.append(session.ssl is not None)
        return self.data


def _only(account: str, password: str):
    def known(server, session, envelope, mechanism, given):
        fits = isinstance(given, LoginPassword) and (given.login, given.password) == (
            account.encode(),
            password.encode(),
        )
        return AuthResult(success=fits, handled=fits)

    return known


@contextmanager
def mailbox(*, context: ssl.SSLContext | None = None, login: tuple[str, str] | None = None) -> Iterator[Mailbox]:
    """A mail server on this machine; with `context` it wants STARTTLS, with `login` an account and its password."""
    made = Mailbox(free_port())
    more = {"tls_context": context, "require_starttls": True} if context else {}
    if login is not None:
        more |= {"authenticator": _only(*login), "auth_required": True}
    server = Controller(made, hostname="127.0.0.1", port=made.port, **more)
    server.start()
    made.sessions = 0
    try:
        yield made
    finally:
        server.stop()
