"""Notices by e-mail: French first, one thread for each notice, one message for each address (RFC 5322, RFC 3834)."""

from __future__ import annotations

import datetime as dt
import hashlib
import smtplib
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime
from types import TracebackType
from typing import Self

from ent_sync.config.fields import Address
from ent_sync.core.notice.kinds import Kind
from ent_sync.federation.channels.feeds import invitation
from ent_sync.federation.channels.letter import Answer, Letter

SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """How e-mail leaves. `login` is an account and its password."""

    address: Address
    sender: str
    starttls: bool = True
    login: tuple[str, str] | None = field(default=None, repr=False)
    context: Callable[[], ssl.SSLContext] = ssl.create_default_context
    seconds: float = SECONDS


def message(letter: Letter, server: Server, to: str, now: dt.datetime) -> EmailMessage:
    """The message of a letter. The same letter makes the same Message-ID, so that one sent twice is seen as one."""
    made = EmailMessage(policy=SMTP_POLICY)
    first = letter.words(letter.languages[0])
    made["From"] = server.sender
    made["To"] = to
    made["Subject"] = " ".join(first.subject(letter.notice, letter.update).split())  # a title with two lines is one
    made["Date"] = format_datetime(now.astimezone(dt.UTC))
    made["Message-ID"] = _message_id(letter, letter.update.sequence, server)
    if letter.update.sequence > 0:
        made["In-Reply-To"] = made["References"] = _message_id(letter, 0, server)
    made["Auto-Submitted"] = "auto-generated"
    made["X-Auto-Response-Suppress"] = "All"
    made.set_content(text(letter), cte="quoted-printable")
    if letter.notice.kind is Kind.MAINTENANCE:
        words = first if first.language == "fr" else letter.words(first.language)
        method, calendar = invitation(letter.notice, letter.update, words, now=now, link=letter.link)
        made.add_attachment(
            calendar,
            maintype="text",
            subtype="calendar",
            params={"method": method, "charset": "utf-8"},
            filename="maintenance.ics",
        )
    made["Content-Language"] = ", ".join(letter.languages)  # last: content takes such headers away
    return made


_BEFORE = {"en": "-- English --", "fr": "-- Français --"}


def text(letter: Letter) -> str:
    """The text in all its languages, and why it was sent."""
    parts = []
    for place, language in enumerate(letter.languages):
        parts += [_BEFORE[language]] if place else []
        parts += [letter.body(language), letter.words(language).text("reason")]
    return "\n\n".join(parts) + "\n"


def _message_id(letter: Letter, sequence: int, server: Server) -> str:
    whose = hashlib.sha256(letter.partner.encode()).hexdigest()[:8]
    return f"<{letter.notice.id}.{sequence}.{whose}@{server.sender.rpartition('@')[2]}>"


class Post:
    """One session with the mail server for many messages. It opens with the first; `send` never raises.

    A server that cannot be reached is asked once in a session, and again in the next.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._session: smtplib.SMTP | None = None
        self._failure: Answer | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    def send(self, made: EmailMessage, to: str) -> Answer:
        """Hand a message over for one address."""
        try:
            session = self._opened()
            if session is None:
                return self._failure or Answer(accepted=False, status="unreachable")
            refused = session.send_message(made, to_addrs=[to])
        except smtplib.SMTPException as error:
            return self._refused(error)
        except (OSError, ValueError, UnicodeError):
            self._leave()
            return Answer(accepted=False, status="broken off")
        # Some servers take a message and refuse its recipient, without an exception.
        codes = [str(code) for code, _ in refused.values()]
        return Answer(accepted=False, status=codes[0]) if codes else Answer(accepted=True, status="250")

    def _refused(self, error: smtplib.SMTPException) -> Answer:
        match error:
            case smtplib.SMTPRecipientsRefused():
                status = next((str(code) for code, _ in error.recipients.values()), "refused")
            case smtplib.SMTPResponseException():
                status = str(error.smtp_code)
            case smtplib.SMTPServerDisconnected():
                status = "broken off"
            case _:
                status = "refused"
        if isinstance(error, smtplib.SMTPServerDisconnected):
            self._leave()
        return Answer(accepted=False, status=status)

    def _opened(self) -> smtplib.SMTP | None:
        if self._session is not None or self._failure is not None:
            return self._session
        server = self._server
        status = "unreachable"
        session: smtplib.SMTP | None = None
        try:
            session = smtplib.SMTP(server.address.host, server.address.port, timeout=server.seconds)
            if server.starttls:
                status = "no STARTTLS"
                session.starttls(context=server.context())
            if server.login is not None:
                status = "login refused"
                session.login(*server.login)
        except (smtplib.SMTPException, OSError, ValueError):
            # Never the text of the error: it may quote what was sent.
            if session is not None:
                session.close()
            self._failure = Answer(accepted=False, status=status)
            return None
        self._session = session
        return session

    def _leave(self) -> None:
        if self._session is not None:
            with suppress(smtplib.SMTPException, OSError):
                self._session.quit()
            self._session.close()
            self._session = None
