"""What a channel carries, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from ent_sync.core.notice.kinds import Notice, Update
from ent_sync.federation.words import Agreement, Language, Words


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One update of a notice, for one partner: in these languages, and with the exact cause where `code` says so."""

    notice: Notice
    update: Update
    partner: str
    languages: tuple[Language, ...] = ("fr", "en")
    agreed: Agreement | None = None
    link: str | None = None
    code: bool = False
    titles: Mapping[str, str] = field(default_factory=dict)
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("Europe/Paris"))

    def words(self, language: Language) -> Words:
        """The words of a language, with the names of the services."""
        return Words(language=language, titles=self.titles, zone=self.zone)

    def body(self, language: Language) -> str:
        """The message in one language."""
        return self.words(language).body(self.notice, self.update, agreed=self.agreed, link=self.link, code=self.code)


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a message; `status` is a code or a word of ours, never a text of the other side.

    `ended` says that the other side wants no more, ever.
    """

    accepted: bool
    status: str
    ended: bool = False
