"""The section `federation`: what is probed, when schools work, what is promised, who is told (contract §6).

Describes and refuses; probes and channels are elsewhere (`federation/`).
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated, Literal, Self, TypeAlias
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from ent_sync.config.document import Section, refusal, refused_at
from ent_sync.config.fields import Duration, Listen, Share, Size
from ent_sync.config.partners import PartnerSection, PublicSection, SmtpSection
from ent_sync.config.services import AskingSection, ServiceName, ServiceSection
from ent_sync.core.levels.calendar import MaintenanceRules, SchoolHours

_HOUR = r"(?:[01][0-9]|2[0-4]):[0-5][0-9]"
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


# --------------------------------------------------------------------------------------------------------------------
# The calendar


def _day(value: object) -> dt.date:
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return value
    if isinstance(value, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        try:
            return dt.date.fromisoformat(value)
        except ValueError:
            pass  # a 30th of February, say; the text of the exception would quote it
    raise refusal("day", "must be a day that exists: 2026-12-19")


Day: TypeAlias = Annotated[
    dt.date,
    BeforeValidator(_day),
    PlainSerializer(dt.date.isoformat, return_type=str),
    WithJsonSchema({"type": "string", "format": "date", "examples": ["2026-12-19"]}),
]
"""A day of the calendar."""


def _hours(value: str) -> str:
    begins, _, ends = value.partition("-")
    if not re.fullmatch(f"{_HOUR}-{_HOUR}", value) or not begins < ends <= "24:00" or begins == "24:00":
        raise refusal("hours", "must be the first and last moment of a day: 07:30-18:30")
    return value


Hours: TypeAlias = Annotated[str, AfterValidator(_hours), Field(json_schema_extra={"pattern": f"^{_HOUR}-{_HOUR}$"})]
"""A part of a day, `07:30-18:30`."""


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        raise refusal("zone", "must be a time zone of the IANA database that this machine has: Europe/Paris") from None
    return value


class DaysSection(Section):
    """Some days in a row, with a name."""

    title: str = Field(default="", description="What they are called: Toussaint, first term.")
    first: Day = Field(alias="from", description="The first day.")
    after: Day = Field(alias="to", description="The day after the last: lessons begin again, or the next term does.")

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> Self:
        if self.after <= self.first:
            raise refused_at(("to",), "days", "must be later than from: it is the day after the last")
        return self


class CalendarSection(Section):
    """When schools work. Take it from the official order and the rector's changes."""

    hours: Hours = Field(default="07:30-18:30", description="The hours of a school day.")
    weekdays: tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...] = Field(
        default=("mon", "tue", "wed", "thu", "fri"), min_length=1, description="The days of the week with school."
    )
    zone: Annotated[str, AfterValidator(_zone)] = Field(
        default="Europe/Paris", description="The time zone of these hours."
    )
    holidays: tuple[DaysSection, ...] = Field(default=(), description="Days without school: {from, to, title}.")
    public_holidays: Literal["france", "none"] = Field(
        default="france", description="Public holidays are days without school."
    )
    terms: tuple[DaysSection, ...] = Field(
        default=(), description="The terms for which levels are told: {from, to, title}."
    )
    year: Annotated[str, Field(pattern=r"^(0[1-9]|1[0-2])-(0[1-9]|[12][0-9])$")] = Field(
        default="09-01", description="The day on which the school year begins: MM-DD."
    )

    def school_hours(self, years: Iterable[int]) -> SchoolHours:
        """The same as the levels take it, with the public holidays of `years`."""
        begins, ends = self.hours.split("-")
        return SchoolHours(
            begins=dt.time.fromisoformat(begins),
            ends=dt.time.max if ends == "24:00" else dt.time.fromisoformat(ends),
            weekdays=frozenset(_WEEKDAYS.index(each) for each in self.weekdays),
            off=tuple((each.first, each.after) for each in self.holidays),
            public_holidays=frozenset(day for year in years for day in self._public(year)),
            zone=ZoneInfo(self.zone),
        )

    def _public(self, year: int) -> Iterable[dt.date]:
        if self.public_holidays == "none":
            return ()
        from workalendar.europe import France  # noqa: PLC0415 - it loads the calendars of all the world's countries

        return [day for day, _ in France().holidays(year)]


class MaintenanceSection(Section):
    """What makes planned maintenance agreed, besides lying outside school hours."""

    notice: Duration = Field(default=timedelta(days=7), description="How long before it must have been announced.")
    cap: Duration = Field(default=timedelta(hours=4), description="How much of it a service may have in a month.")

    def rules(self) -> MaintenanceRules:
        """The same as the levels take it."""
        return MaintenanceRules(self.notice, self.cap)


# --------------------------------------------------------------------------------------------------------------------
# Probing


class CadenceSection(Section):
    """How often services are looked at, all at the same moments."""

    school: Duration = Field(default=timedelta(seconds=60), description="In school hours.")
    off: Duration = Field(default=timedelta(seconds=300), description="At other times.")
    metadata: Duration = Field(default=timedelta(hours=1), description="Metadata are fetched again after this time.")

    @model_validator(mode="after")
    def _not_at_once(self) -> Self:
        for name in ("school", "off", "metadata"):
            if getattr(self, name) < timedelta(seconds=10):
                raise refused_at((name,), "duration", "must be 10s or more")
        return self


class ProbingSection(Section):
    """How a service is looked at."""

    cadence: CadenceSection = Field(default=CadenceSection(), description="How often.")
    retries: tuple[Duration, ...] = Field(
        default=(timedelta(seconds=5), timedelta(seconds=15)),
        max_length=5,
        description="After how long a failed attempt is repeated, before a service counts as down.",
    )
    attempt: Duration = Field(default=timedelta(seconds=45), description="The longest that one attempt may last.")
    dns: Duration = Field(default=timedelta(seconds=3), description="The longest that a name may take.")
    tcp: Duration = Field(default=timedelta(seconds=5), description="The longest that a connection may take.")
    tls: Duration = Field(default=timedelta(seconds=5), description="The longest that TLS may take.")
    http: Duration = Field(default=timedelta(seconds=10), description="The longest that an answer may take.")
    login: Duration = Field(default=timedelta(seconds=15), description="The longest that a login may take.")
    body: Size = Field(default=2 * 2**20, gt=0, description="The most that an answer may hold.")
    redirects: int = Field(default=5, ge=0, le=10, description="The most redirects that are followed.")
    resolvers: tuple[Listen, ...] = Field(
        default=(), description="The name servers that are asked, HOST:53; without any, those of the machine."
    )
    controls: tuple[Listen, ...] = Field(
        default=(),
        description="Two addresses, HOST:PORT, that have nothing to do with any service, one of them written as "
        "numbers: when none of them can be reached, our own network is at fault and nothing is said of services.",
    )
    time_server: Listen | None = Field(
        default=None, description="Who is asked by NTP whether our own clock is right, HOST:123."
    )
    contact: str | None = Field(
        default=None, max_length=200, pattern=r"^[ -'*-~]+$", description="Whom to write to, told to the services."
    )

    @model_validator(mode="after")
    def _take_some_time(self) -> Self:
        for name in ("attempt", "dns", "tcp", "tls", "http", "login"):
            if not getattr(self, name):
                raise refused_at((name,), "duration", "must be longer than nothing: 5s")
        return self


class FederationSection(Section):
    """The identity federation's service levels, and who is told what and when (Article 3.1)."""

    reference: ServiceName | None = Field(
        default=None, description="The service that the others are compared with: the ENT's own door."
    )
    vantage: ServiceName = Field(default="main", description="What this place of probing is called in its samples.")
    vantages: int = Field(default=1, ge=1, le=100, description="From how many places it is probed in all.")
    services: tuple[ServiceSection, ...] = Field(default=(), description="What is probed.")
    asking: AskingSection | None = Field(
        default=None,
        description="As whom login pages are asked for; without it, of services with metadata no more "
        "than these are looked at.",
    )
    probing: ProbingSection = Field(default=ProbingSection(), description="How services are probed.")
    calendar: CalendarSection = Field(default=CalendarSection(), description="When schools work.")
    maintenance: MaintenanceSection = Field(default=MaintenanceSection(), description="When it counts as agreed.")
    objective: Share | None = Field(
        default=None,
        description="The availability that the ENT itself promises, 99.5 %; without it, what the reference reached in "
        "the last twelve months.",
    )
    partners: tuple[PartnerSection, ...] = Field(default=(), description="Who is told.")
    smtp: SmtpSection | None = Field(
        default=None, description="How e-mail leaves; without it, none does, and pages show what waits."
    )
    public: PublicSection | None = Field(default=None, description="Where partners find the status page.")

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        for key, names in (
            ("services", [each.name for each in self.services]),
            ("partners", [each.name for each in self.partners]),
        ):
            for index, name in enumerate(names):
                if name in names[:index]:
                    sentence = "is the name of an entry above; names are unique"
                    raise refused_at((key, index, "name"), "repeated-name", sentence)
        return self

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        known = {each.name for each in self.services}
        if self.reference is not None and self.reference not in known:
            raise refused_at(("reference",), "unknown-service", "is not the name of a service")
        for index, partner in enumerate(self.partners):
            for place, name in enumerate(partner.services):
                if name not in known:
                    loc = ("partners", index, "services", place)
                    raise refused_at(loc, "unknown-service", "is not the name of a service")
        return self

    @model_validator(mode="after")
    def _logins_are_asked_for(self) -> Self:
        for index, service in enumerate(self.services):
            if service.login is not None and self.asking is None:
                raise refused_at(("services", index, "login"), "missing-asking", "needs federation.asking")
        return self

    def service(self, name: str) -> ServiceSection | None:
        """The service of a name; None where there is none."""
        return next((each for each in self.services if each.name == name), None)
