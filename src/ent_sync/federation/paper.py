"""Reports as the committees read them: HTML, the same as PDF, and CSV. French first, then a summary in English.

The page loads nothing and runs nothing: style and plots stand in it. No host name, and no cause finer than is counted.
"""

from __future__ import annotations

import csv as rfc4180
import datetime as dt
import functools
import io
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from zoneinfo import ZoneInfo

import jinja2
import sqlalchemy as sa
from markupsafe import Markup

from ent_sync import __version__
from ent_sync.config.federation import FederationSection
from ent_sync.core.levels.calendar import MaintenanceRules
from ent_sync.core.levels.spans import Span
from ent_sync.core.notice.kinds import Author, Kind, Notice, State
from ent_sync.core.notice.timeliness import Timeliness, announced_ahead, share
from ent_sync.federation import notices, plots
from ent_sync.federation.exchange import rfc3339
from ent_sync.federation.figures import Calendar, Planned
from ent_sync.federation.observatory import DEPARTMENTS, Observatory
from ent_sync.federation.report import Report
from ent_sync.federation.words import Words
from ent_sync.store import notices as kept

COLUMNS = (
    *("from", "to", "name", "calendar", "maintenance", "up_seconds", "down_seconds", "unknown_seconds"),
    *("availability", "low", "high", "interval_low", "interval_high", "outages", "mttr_seconds"),
    *("gap", "gap_low", "gap_high", "trend"),
)


def csv(report: Report) -> str:
    """One line for each service, calendar and maintenance (RFC 4180, UTF-8, dots); what does not exist is empty."""
    out = io.StringIO(newline="")
    writer = rfc4180.writer(out)
    writer.writerow(COLUMNS)
    for service in report.services:
        for level in service.levels:
            seconds, between, gap = level.seconds, level.interval or (None, None), level.gap
            figures = (
                *(seconds.up, seconds.down, seconds.unknown, seconds.known, seconds.low, seconds.high, *between),
                *(len(level.outages), level.mttr),
                *((gap.point, gap.low, gap.high) if gap is not None else (None, None, None)),
            )
            writer.writerow(
                [
                    rfc3339(report.window.start),
                    rfc3339(report.window.end),
                    service.name,
                    level.calendar,
                    level.maintenance,
                    *("" if each is None else repr(each) for each in figures),
                    service.trend,
                ]
            )
    return out.getvalue()


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """How partners were told of one kind of notice in a window."""

    kind: Kind
    number: int
    authority: int
    median: float | None
    worst: dt.timedelta | None
    on_time: float | None
    ahead: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """All that the page shows. `observatory` is there in the yearly report."""

    report: Report
    observatory: Observatory | None
    notices: tuple[tuple[Notice, Timeliness], ...]
    told: tuple[Told, ...]
    rules: MaintenanceRules
    objective: float | None
    words: Words
    made: dt.datetime
    zone: ZoneInfo


def sheet(
    connection: sa.Connection,
    federation: FederationSection,
    report: Report,
    observatory: Observatory | None,
    now: dt.datetime,
) -> Sheet:
    """The page of a report, with what was told to partners in its window."""
    window, rules = report.window, federation.maintenance.rules()
    hours = notices.audience_of(federation, window.start).hours
    found = [each for each in kept.listed(connection) if not each.internal and _is_in(each, window)]
    timed = tuple((each, notices.timeliness_of(connection, each, hours, now)) for each in found)
    zone = ZoneInfo(federation.calendar.zone)
    return Sheet(
        report=report,
        observatory=observatory,
        notices=timed,
        told=tuple(_told(kind, timed, rules) for kind in Kind),
        rules=rules,
        objective=federation.objective,
        words=Words(language="fr", titles={each.name: each.title for each in report.services}, zone=zone),
        made=now,
        zone=zone,
    )


def _is_in(notice: Notice, window: Span) -> bool:
    """A notice belongs to the window in which it began, or is to begin."""
    moments = (notice.starts,) if notice.kind is Kind.MAINTENANCE else (notice.began, notice.detected, notice.starts)
    first = next((each for each in moments if each is not None), None)
    return first is not None and window.holds(first)


def _told(kind: Kind, timed: Sequence[tuple[Notice, Timeliness]], rules: MaintenanceRules) -> Told:
    those = [(each, time) for each, time in timed if each.kind is kind and each.state is not State.CANCELLED]
    if kind is Kind.MAINTENANCE:
        lengths = [time.notice for _, time in those if time.notice is not None]
        ahead = share(each >= rules.notice for each in lengths)
        worst = min(lengths, default=None)
    else:
        lengths = [time.first_word for _, time in those if time.first_word is not None]
        ahead = announced_ahead((each for each, _ in those), rules.notice) if kind is Kind.EVOLUTION else None
        worst = max(lengths, default=None)
    return Told(
        kind=kind,
        number=len(those),
        authority=sum(each.author is Author.AUTHORITY for each, _ in those),
        median=statistics.median(each.total_seconds() for each in lengths) if lengths else None,
        worst=worst,
        on_time=share(time.on_time for _, time in those) if kind is not Kind.MAINTENANCE else None,
        ahead=ahead,
    )


# -- the page ----------------------------------------------------------------------------------------------------------


def html(page: Sheet) -> str:
    """The page, whole: nothing is loaded from elsewhere. It follows the reader's theme, light or dark."""
    return _rendered(page, "report.css", "dark.css")


def pdf(page: Sheet) -> bytes:
    """The same as a PDF for all readers (PDF/UA-1), with its plots as vectors."""
    import weasyprint  # noqa: PLC0415 - it loads fonts and layout; every other report does without

    document = weasyprint.HTML(string=_rendered(page, "report.css"), url_fetcher=_nothing)
    written: bytes = document.write_pdf(pdf_variant="pdf/ua-1", pdf_tags=True)
    return written


def _rendered(page: Sheet, *styles: str) -> str:
    folder = files("ent_sync.federation").joinpath("templates")
    style = "".join(folder.joinpath(each).read_text("utf-8") for each in styles)
    services = [each for each in page.report.services if each.name != page.report.reference]
    return (
        _templates()
        .get_template("report.html")
        .render(
            sheet=page,
            report=page.report,
            bars=plots.bars(page.report),
            curves=plots.curves(services),
            departments=DEPARTMENTS,
            Calendar=Calendar,
            Planned=Planned,
            version=__version__,
            style=Markup(style),  # noqa: S704 - files of ours
            period=_period(page.report.window, page.zone),
        )
    )


def _nothing(*_: object, **__: object) -> dict[str, object]:
    raise ValueError("a report loads nothing")


@functools.cache
def _templates() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("ent_sync.federation"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"percent": percent, "points": points, "minutes": minutes, "number": number, "whole": whole}
    return made


# -- numbers, as they are written in France ----------------------------------------------------------------------------

_NARROW = "\u202f"
_NOTHING = "\u2013"


def percent(value: float | None, digits: int = 3) -> str:
    """`99,583 %`."""
    return _NOTHING if value is None else f"{100 * value:.{digits}f}".replace(".", ",") + "\u00a0%"


def points(value: float | None) -> str:
    """A difference of shares in points, with its sign: `+0,694`."""
    return _NOTHING if value is None else f"{100 * value:+.3f}".replace(".", ",").replace("-", "\u2212")


def minutes(value: float | dt.timedelta | None) -> str:
    """`2 j 3 h 4 min`, of seconds."""
    if value is None:
        return _NOTHING
    seconds = value.total_seconds() if isinstance(value, dt.timedelta) else value
    sign, left = ("\u2212" if seconds < 0 else ""), round(abs(seconds) / 60)
    parts = [(left // 1440, "j"), (left // 60 % 24, "h"), (left % 60, "min")]
    said = [f"{count}\u00a0{unit}" for count, unit in parts if count]
    return sign + ("\u00a0".join(said) or "0\u00a0min")


def number(value: float | None, digits: int = 0) -> str:
    """`12 345`."""
    return _NOTHING if value is None else f"{value:,.{digits}f}".replace(",", _NARROW).replace(".", ",")


def whole(moment: dt.datetime, zone: ZoneInfo) -> str:
    """`25/11/2026 09:00`, in a zone that the page names."""
    return f"{moment.astimezone(zone):%d/%m/%Y %H:%M}"


_MONTHS = (
    *("janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre"),
    *("novembre", "décembre"),
)


def _period(window: Span, zone: ZoneInfo) -> str:
    """`octobre 2026`, or from when to when."""
    start, end = window.start.astimezone(zone), window.end.astimezone(zone)
    following = dt.datetime(start.year + start.month // 12, start.month % 12 + 1, 1, tzinfo=zone)
    if end == following and start == dt.datetime(start.year, start.month, 1, tzinfo=zone):
        return f"{_MONTHS[start.month - 1]} {start.year}"
    return " ".join(_stretch(start, end))


def _stretch(start: dt.datetime, end: dt.datetime) -> Iterator[str]:
    yield f"du {start.day} {_MONTHS[start.month - 1]} {start.year}"
    if start.hour or start.minute:
        yield f"{start:%H:%M}"
    yield f"au {end.day} {_MONTHS[end.month - 1]} {end.year}"
    yield f"{end:%H:%M}" if end.hour or end.minute else "(exclu)"
