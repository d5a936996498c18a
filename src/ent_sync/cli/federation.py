"""`federation`: probes, samples, levels, notices and maintenance of the identity federation (Article 3.1)."""
# ruff: noqa: PLC0415

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ent_sync.cli.call import Call, of
from ent_sync.core.errors import UsageError

if TYPE_CHECKING:
    import datetime as dt

    from ent_sync.config.federation import FederationSection
    from ent_sync.config.settings import Settings
    from ent_sync.core.levels.spans import Span
    from ent_sync.federation.probe import Attempt
    from ent_sync.federation.report import Report

family = typer.Typer(help="Service levels of the identity federation (Article 3.1), and who was told what.")
samples = typer.Typer(help="What probes saw, as a CSV file.")


class Format(StrEnum):
    """What a report is written as."""

    HTML = "html"
    PDF = "pdf"
    CSV = "csv"
    JSON = "json"


def register(app: typer.Typer) -> None:
    """Add this family."""
    from ent_sync.cli import notices

    family.add_typer(samples, name="samples", no_args_is_help=True)
    notices.register(family)
    app.add_typer(family, name="federation", no_args_is_help=True)


def section_of(settings: Settings) -> FederationSection:
    """The section `federation`.

    Raises:
        UsageError: the configuration has none.
    """
    if settings.federation is None:
        raise UsageError("the configuration has no section federation; docs/federation.md shows one")
    return settings.federation


def moment(written: str, what: str) -> dt.datetime:
    """A moment of RFC 3339, with its zone."""
    import datetime as dt

    try:
        found = dt.datetime.fromisoformat(written.strip())
    except ValueError:
        found = None
    if found is None or found.tzinfo is None or "T" not in written.upper():
        raise UsageError(f"{what} is a moment with its zone: 2026-11-25T08:00:00Z or 2026-11-25T09:00:00+01:00")
    return found


def known_services(federation: FederationSection, names: list[str]) -> tuple[str, ...]:
    """The names, once each.

    Raises:
        UsageError: no service is called so.
    """
    for name in names:
        if federation.service(name) is None:
            there = ", ".join(each.name for each in federation.services)
            raise UsageError(f"no service is called {name}; there are: {there or 'none'}")
    return tuple(dict.fromkeys(names))


# -- probing -----------------------------------------------------------------------------------------------------------


@family.command("probe")
def _probe(
    context: typer.Context,
    service: Annotated[list[str] | None, typer.Option(help="Only this service; may be repeated.")] = None,
) -> None:
    """One tick now, stored; exit 0 when all are up, 7 when one is down, 3 when none is down but one unknown."""
    from ent_sync.cli import output
    from ent_sync.core.levels.samples import Result
    from ent_sync.daemon.probing import watch_of

    call = of(context)
    federation = section_of(call.settings())
    wanted = known_services(federation, service or []) or tuple(
        each.name for each in federation.services if each.excluded is None
    )
    for name in wanted:
        if (found := federation.service(name)) is not None and found.excluded is not None:
            raise UsageError(f"{name} is not probed for now (excluded): {found.excluded}")
    if not wanted:
        raise UsageError("no service is to be probed: federation.services is empty, or all are excluded")
    with call.reading() as parts:
        watch = watch_of(call.settings(), parts.database)
        ticked = watch.tick(wanted) if watch is not None else None
    attempts = ticked.attempts if ticked is not None else ()
    results = {each.sample.result for each in attempts}
    output.show_probed([_probed(each) for each in attempts], as_json=call.json)
    raise typer.Exit(7 if Result.DOWN in results else 3 if Result.UNKNOWN in results else 0)


def _probed(attempt: Attempt) -> dict[str, object]:
    sample = attempt.sample
    return {
        "service": sample.service,
        "result": sample.result.value,
        "stage": sample.stage.value if sample.stage else None,
        "cause": sample.cause.value if sample.cause else None,
        "stages": [{"stage": stage.value, "seconds": seconds} for stage, seconds in attempt.stages],
        "attempts": attempt.attempts,
    }


@family.command("status")
def _status(context: typer.Context) -> None:
    """How each service stands now, which notices are open, and what maintenance is to come."""
    from ent_sync import compose
    from ent_sync.cli import output
    from ent_sync.cli.notices import document_of
    from ent_sync.federation.exchange import rfc3339
    from ent_sync.federation.status import status
    from ent_sync.store import notices as kept

    call = of(context)
    with call.store() as (settings, database), database.reading() as connection:
        federation = section_of(settings)
        now = compose.now()
        found = status(connection, federation, now)
        waiting = kept.deliveries(connection, pending_only=True)
        document = {
            "schema": "ent-sync/federation-status/1",
            "at": rfc3339(now.replace(microsecond=0)),
            "services": [
                {
                    "service": each.name,
                    "title": each.title,
                    "result": each.result.value,
                    "since": None if each.since is None else rfc3339(each.since),
                    "last": None if each.last is None else rfc3339(each.last.time),
                    "stage": each.last.stage.value if each.last is not None and each.last.stage else None,
                    "cause": each.last.cause.value if each.last is not None and each.last.cause else None,
                    "excluded": each.excluded,
                    "maintenance": each.maintenance,
                }
                for each in found.services
            ],
            "notices": [document_of(connection, federation, each, now) for each in found.notices],
            "maintenance": [document_of(connection, federation, each, now) for each in found.maintenance],
            "messages_waiting": len(waiting),
        }
    output.show_federation(document, as_json=call.json)


# -- samples -----------------------------------------------------------------------------------------------------------


@samples.command("export")
def _export(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE.csv", help="The file to write; - is standard output.")],
) -> None:
    """Write all samples to a file."""
    from ent_sync.cli import output
    from ent_sync.federation import exchange
    from ent_sync.store import samples as kept

    call = of(context)
    with call.store() as (_, database), database.reading() as connection:
        if str(file) == "-":
            exchange.write(kept.every(connection), sys.stdout)
            return
        try:
            with file.open("w", encoding="utf-8", newline="") as stream:
                number = exchange.write(kept.every(connection), stream)
        except OSError as error:
            raise UsageError(f"{file} cannot be written: {error.strerror}") from None
    output.show_exchanged({"file": str(file), "samples": number}, as_json=call.json)


@samples.command("import")
def _import(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(metavar="FILE.csv", help="Columns time,service,vantage,result,stage,cause,seconds.")
    ],
) -> None:
    """Take samples in; those that are known change nothing, and with a bad line nothing is taken."""
    from ent_sync.cli import output
    from ent_sync.federation import exchange
    from ent_sync.store import samples as kept

    call = of(context)
    found = exchange.read(file)
    with call.reading() as parts, parts.database.transaction() as connection:
        new = kept.add(connection, found)
    output.show_exchanged({"file": str(file), "samples": len(found), "new": new}, as_json=call.json)


# -- the report --------------------------------------------------------------------------------------------------------


@family.command("report")
def _report(
    context: typer.Context,
    month: Annotated[str | None, typer.Option(metavar="YYYY-MM", help="A calendar month.")] = None,
    since: Annotated[str | None, typer.Option("--from", metavar="T", help="From this moment (RFC 3339) …")] = None,
    until: Annotated[str | None, typer.Option("--to", metavar="T", help="… to just before this one.")] = None,
    year: Annotated[int | None, typer.Option(metavar="YYYY", help="The school year that begins in YYYY.")] = None,
    as_: Annotated[Format | None, typer.Option("--format", help="What to write; else a table.")] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write it to this file.")] = None,
) -> None:
    """The service levels of a month, a school year or any other time."""
    from ent_sync.cli import output
    from ent_sync.config.federation import FederationSection
    from ent_sync.federation import report as levels

    call = of(context)
    chosen = as_ or (Format.JSON if call.json else None)
    federation = call.settings().federation or FederationSection()
    window = _window(federation, month, since, until, year)
    if chosen in {Format.HTML, Format.PDF}:
        _put(_drawn(call, federation, window, chosen), out)
        return
    with call.store() as (_, database), database.reading() as connection:
        found = levels.report(connection, federation, window)
    if out is None and chosen in {None, Format.JSON}:
        output.show_levels(found.document(), as_json=chosen is not None)
    else:
        _put(_written(found, chosen or Format.CSV), out)


def _drawn(call: Call, federation: FederationSection, window: Span, chosen: Format) -> bytes:
    """The page; of a year, with the observatory's figures."""
    from ent_sync import compose
    from ent_sync.federation import observatory, paper
    from ent_sync.federation import report as levels
    from ent_sync.web.federation import accounts

    settings = call.settings()
    there = settings.resolve(settings.store.file).exists()
    if levels.is_a_year(window) and there:
        degrees = {each.name: each.degree.value for each in settings.sources if each.degree is not None}
        with call.reading() as parts, parts.database.reading() as connection:
            figures = observatory.observed(connection, parts, degrees)
    else:
        figures = None
    with call.store() as (_, database), database.reading() as connection:
        found = levels.report(connection, federation, window, accounts(connection))
        sheet = paper.sheet(connection, federation, found, figures, compose.now())
    return paper.pdf(sheet) if chosen is Format.PDF else paper.html(sheet).encode()


def _written(found: Report, chosen: Format) -> bytes:
    import json

    from ent_sync.federation import paper

    if chosen is Format.JSON:
        return json.dumps(found.document(), ensure_ascii=False, indent=2).encode() + b"\n"
    return paper.csv(found).encode()


def _window(
    federation: FederationSection, month: str | None, since: str | None, until: str | None, year: int | None
) -> Span:
    import re

    from ent_sync.core.levels.spans import span
    from ent_sync.federation.report import of_month, of_school_year

    if sum(each is not None for each in (month, since or until, year)) != 1 or (since is None) != (until is None):
        raise UsageError("say for what time: --month YYYY-MM, or --from T --to T, or --year YYYY")
    if month is not None:
        if not re.fullmatch(r"(19[7-9]\d|2\d{3})-(0[1-9]|1[0-2])", month):
            raise UsageError("--month is a year and a month: 2026-10")
        return of_month(federation, int(month[:4]), int(month[5:]))
    if year is not None:
        if not 1970 <= year < 3000:
            raise UsageError("--year is the year in which a school year begins: 2026")
        return of_school_year(federation, year)
    found = span(moment(since or "", "--from"), moment(until or "", "--to"))
    if found.end <= found.start:
        raise UsageError("--to is later than --from")
    return found


def _put(content: bytes, out: Path | None) -> None:
    """Write a report to a file, or to standard output."""
    if out is not None:
        try:
            out.write_bytes(content)
        except OSError as error:
            raise UsageError(f"{out} cannot be written: {error.strerror}") from None
    elif content.startswith(b"%PDF"):
        if sys.stdout.isatty():
            raise UsageError("a PDF is not for the terminal: --out FILE, or send the output to a file")
        sys.stdout.buffer.write(content)
        sys.stdout.flush()
    else:
        sys.stdout.write(content.decode())
