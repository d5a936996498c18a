"""Notices in words, French and English, from one catalogue (`texts/`): for messages, feeds and pages.

No host name and no cause finer than the stage: these words are public. Times are those of the schools, with the zone
written.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Literal, TypeAlias
from zoneinfo import ZoneInfo

from ruamel.yaml import YAML

from ent_sync.core.notice.evolution import Change
from ent_sync.core.notice.kinds import Author, Kind, Notice, State, Update, What

Language: TypeAlias = Literal["fr", "en"]
LANGUAGES: tuple[Language, ...] = ("fr", "en")
Agreement: TypeAlias = Literal["all", "part", "none"]

_WARNINGS = frozenset({Change.ENDING, Change.CLOCK})
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


@functools.cache
def catalogue(language: Language) -> Mapping[str, str]:
    """The texts of a language, by name."""
    text = files("ent_sync.federation").joinpath("texts", f"{language}.yaml").read_text("utf-8")
    return {str(name): str(value) for name, value in YAML(typ="safe", pure=True).load(text).items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """Notices in one language. `titles` gives services their names; `zone` is that of the schools."""

    language: Language
    titles: Mapping[str, str] = field(default_factory=dict)
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("Europe/Paris"))

    def text(self, name: str, **values: object) -> str:
        """A text of the catalogue."""
        return catalogue(self.language)[name].format(**values)

    def services(self, notice: Notice) -> str:
        """Its services: `EduConnect, ENT et agriculture`."""
        named = [self.titles.get(each) or each for each in notice.services]
        return f" {self.text('and')} ".join([", ".join(named[:-1]), named[-1]]) if len(named) > 1 else "".join(named)

    def title(self, notice: Notice) -> str:
        """What it is about: the words of whoever wrote it, or ours."""
        if notice.title:
            return notice.title
        name = f"title.{notice.kind}"
        if notice.internal:
            name = "title.own"
        elif notice.kind is Kind.EVOLUTION and f"{name}.{notice.cause}" in catalogue(self.language):
            name = f"{name}.{notice.cause}"
        return self.text(name, services=self.services(notice))

    def subject(self, notice: Notice, update: Update) -> str:
        """The subject of a message."""
        return self.text(f"subject.{update.what}", title=self.title(notice))

    def said(self, notice: Notice, update: Update) -> str:
        """What an update says in one sentence."""
        name: str = update.what
        if notice.kind is Kind.EVOLUTION and update.what is What.OPENED and notice.author is Author.PROBE:
            name = "warned" if notice.cause in _WARNINGS else "seen"
        return self.text(f"said.{notice.kind}.{name}")

    def cause(self, notice: Notice) -> str:
        """What was seen, by the stage that failed."""
        family = (notice.cause or "none").partition("_")[0]
        return self.text(f"cause.{family}")

    def moment(self, moment: dt.datetime) -> str:
        """A moment in the schools' time, with its zone."""
        here = moment.astimezone(self.zone)
        place = self.zone.key.rpartition("/")[2].replace("_", " ")
        shape = self.text("moment", place=place).replace("%B", _MONTHS[here.month - 1])
        return here.strftime(shape)

    def length(self, length: dt.timedelta) -> str:
        """A length of time to the minute."""
        minutes = round(length.total_seconds() / 60)
        days, hours = minutes // 1440, minutes // 60 % 24
        name = "days" if days else "hours" if hours else "minutes"
        return self.text(f"length.{name}", days=days, hours=hours, minutes=minutes % 60)

    def body(
        self,
        notice: Notice,
        update: Update,
        *,
        agreed: Agreement | None = None,
        link: str | None = None,
        code: bool = False,
    ) -> str:
        """A message whole: the sentence, what somebody wrote, and the facts. `code` names the cause exactly."""
        parts = [self.title(notice), self.said(notice, update)]
        parts += [update.text] if update.text else []
        lines = [self.text(f"line.{name}", value=value) for name, value in self._facts(notice, agreed)]
        lines += [self.text("line.code", value=notice.cause)] if code and notice.cause else []
        lines += [self.text("line.link", value=link)] if link else []
        return "\n\n".join([*parts, "\n".join(lines)])

    def _facts(self, notice: Notice, agreed: Agreement | None) -> Iterator[tuple[str, str]]:
        yield "services", self.services(notice)
        if notice.kind is Kind.MALFUNCTION:
            yield "cause", self.cause(notice)
            yield from self._moments(notice, ("began", "detected", "ended"))
            if notice.began and notice.ended:
                yield "length", self.length(notice.ended - notice.began)
        elif notice.kind is Kind.MAINTENANCE:
            yield from self._moments(notice, ("starts", "ends", "announced"))
            if agreed is not None and notice.state is not State.CANCELLED:
                yield "agreed", self.text(f"agreed.{agreed}")
        else:
            yield from self._moments(notice, ("detected", "announced"))
            if notice.starts and notice.cause != Change.CLOCK:
                yield "until" if notice.cause == Change.ENDING else "in_force", self.moment(notice.starts)

    def _moments(self, notice: Notice, names: Sequence[str]) -> Iterator[tuple[str, str]]:
        for name in names:
            moment: dt.datetime | None = getattr(notice, name)
            if moment is not None:
                yield name, self.moment(moment)
