"""`federation notice` and `federation maintenance`: what hands tell the partners."""
# ruff: noqa: PLC0415

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from ent_sync.cli.call import Call, of

if TYPE_CHECKING:
    import datetime as dt

    import sqlalchemy as sa

    from ent_sync.config.federation import FederationSection
    from ent_sync.core.notice.kinds import Notice
    from ent_sync.federation.notices import Audience

notice = typer.Typer(help="Malfunctions and evolutions, told to the partners by role.")
maintenance = typer.Typer(help="Planned maintenance, with its agreed part.")

_Id = Annotated[str, typer.Argument(metavar="ID", help="The notice's id, as `notice list` tells it.")]
_Services = Annotated[list[str], typer.Option("--service", help="The service it is about; may be repeated.")]
_Title = Annotated[str, typer.Option("--title", help="What it is, in one line.")]
_Text = Annotated[str, typer.Option("--text", "--message", help="What there is to say; partners read it.")]
_Authority = Annotated[
    bool, typer.Option("--authority", help="It is the academic authority's own word, which Article 3.1 is about.")
]


def register(app: typer.Typer) -> None:
    """Add this family."""
    app.add_typer(notice, name="notice", no_args_is_help=True)
    app.add_typer(maintenance, name="maintenance", no_args_is_help=True)


# -- notices -----------------------------------------------------------------------------------------------------------


@notice.command("open")
def _open(
    context: typer.Context,
    kind: Annotated[str, typer.Option(metavar="malfunction|evolution", help="What there is to tell.")],
    service: _Services,
    title: _Title,
    began: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="When it began, or of an evolution: comes into force.  [default: now]"),
    ] = None,
    authority: _Authority = False,
) -> None:
    """Tell the partners of a malfunction or an evolution; prints its id."""
    from ent_sync.cli.federation import known_services, moment, section_of
    from ent_sync.core.errors import UsageError
    from ent_sync.core.notice.kinds import Author, Kind
    from ent_sync.federation import notices

    call = of(context)
    federation = section_of(call.settings())
    if kind not in {Kind.MALFUNCTION, Kind.EVOLUTION}:
        raise UsageError("--kind is malfunction or evolution; maintenance has commands of its own")
    services = known_services(federation, service)
    since = None if began is None else moment(began, "--began")

    def work(connection: sa.Connection, audience: Audience, now: dt.datetime) -> Notice:
        return notices.open_notice(
            connection,
            audience,
            kind=Kind(kind),
            services=services,
            title=title,
            now=now,
            began=since,
            author=Author.AUTHORITY if authority else Author.HAND,
        )

    _change(call, work)


@notice.command("update")
def _update(context: typer.Context, name: _Id, text: _Text = "") -> None:
    """Say something more about a notice that is open."""
    from ent_sync.federation import notices

    _change(of(context), lambda connection, audience, now: notices.update_notice(connection, audience, name, text, now))


@notice.command("close")
def _close(context: typer.Context, name: _Id, text: _Text = "") -> None:
    """The last word about a notice: cause and measures; a malfunction that is open ends by it."""
    from ent_sync.federation import notices

    _change(of(context), lambda connection, audience, now: notices.close_notice(connection, audience, name, text, now))


@notice.command("list")
def _list(
    context: typer.Context,
    open_only: Annotated[bool, typer.Option("--open", help="Only those that are not over.")] = False,
) -> None:
    """Malfunctions, evolutions and maintenance, the newest first."""
    _show(of(context), ("malfunction", "maintenance", "evolution"), open_only=open_only)


# -- maintenance -------------------------------------------------------------------------------------------------------


@maintenance.command("plan")
def _plan(
    context: typer.Context,
    service: _Services,
    start: Annotated[str, typer.Option(metavar="T", help="When it begins (RFC 3339).")],
    end: Annotated[str, typer.Option(metavar="T", help="When it ends.")],
    title: _Title,
    announced: Annotated[
        str | None, typer.Option(metavar="T", help="When the authority announced it.  [default: now]")
    ] = None,
    authority: _Authority = False,
) -> None:
    """Announce a maintenance to the partners; tells its id and how much of it is agreed."""
    from ent_sync.cli.federation import known_services, moment, section_of
    from ent_sync.core.notice.kinds import Author
    from ent_sync.federation import notices

    call = of(context)
    services = known_services(section_of(call.settings()), service)
    starts, ends = moment(start, "--start"), moment(end, "--end")
    told = None if announced is None else moment(announced, "--announced")

    def work(connection: sa.Connection, audience: Audience, now: dt.datetime) -> Notice:
        return notices.plan_maintenance(
            connection,
            audience,
            services=services,
            starts=starts,
            ends=ends,
            title=title,
            now=now,
            author=Author.AUTHORITY if authority or told is not None else Author.HAND,
            announced=told,
        )

    _change(call, work)


@maintenance.command("cancel")
def _cancel(context: typer.Context, name: _Id, text: _Text = "") -> None:
    """It will not be; nothing of it is agreed any more."""
    from ent_sync.federation import notices

    _change(
        of(context), lambda connection, audience, now: notices.cancel_maintenance(connection, audience, name, now, text)
    )


@maintenance.command("list")
def _list_maintenance(
    context: typer.Context,
    open_only: Annotated[bool, typer.Option("--open", help="Only what is to come, or runs.")] = False,
) -> None:
    """Planned maintenance, the newest first."""
    _show(of(context), ("maintenance",), open_only=open_only)


# -- both --------------------------------------------------------------------------------------------------------------


def _change(call: Call, work: Callable[[sa.Connection, Audience, dt.datetime], Notice]) -> None:
    """Write it down, send what is due at once, and show it as it is then. A channel that fails is tried again later."""
    import os

    from ent_sync import compose
    from ent_sync.cli import output
    from ent_sync.cli.federation import section_of
    from ent_sync.federation import notices, outbox
    from ent_sync.store import notices as kept

    settings = call.settings()
    federation = section_of(settings)
    audience = notices.audience_of(federation, compose.now())
    channels = outbox.channels_of(federation, audience, base=settings.base, environ=os.environ)
    with call.reading() as parts:
        # To the second: a moment that somebody types is compared with it.
        now = compose.now().replace(microsecond=0)
        with parts.database.transaction() as connection:
            made = work(connection, audience, now)
        outbox.flush(parts.database, channels, compose.now)
        with parts.database.reading() as connection:
            found = kept.get(connection, made.id) or made
            document = document_of(connection, federation, found, now)
            words = [each for each in kept.deliveries(connection, made.id) if each.sequence == made.sequence]
    output.show_notice(document, as_json=call.json)
    if words and not call.json:
        accepted = sum(each.accepted is not None for each in words)
        waiting = sum(each.pending for each in words)
        output.tell(f"{accepted} of {len(words)} messages accepted; {waiting} will be tried again by the daemon.")


def _show(call: Call, kinds: tuple[str, ...], *, open_only: bool) -> None:
    from ent_sync import compose
    from ent_sync.cli import output
    from ent_sync.config.federation import FederationSection
    from ent_sync.core.notice.kinds import Kind
    from ent_sync.store import notices as kept

    with call.store() as (settings, database), database.reading() as connection:
        federation = settings.federation or FederationSection()
        found = kept.listed(connection, kinds=[Kind(each) for each in kinds], open_only=open_only)
        documents = [document_of(connection, federation, each, compose.now()) for each in found]
    output.show_notices(documents, as_json=call.json)


def document_of(
    connection: sa.Connection, federation: FederationSection, found: Notice, now: dt.datetime
) -> dict[str, object]:
    """A notice with all its clocks; of a maintenance, which part of it is agreed, by service."""
    from ent_sync.core.notice import maintenance as planned
    from ent_sync.core.notice.kinds import Kind
    from ent_sync.federation import notices
    from ent_sync.federation.exchange import rfc3339
    from ent_sync.store import notices as kept

    clocks = ("began", "detected", "told", "ended", "end_told", "closed", "announced", "starts", "ends")
    document: dict[str, object] = {
        "id": found.id,
        "kind": found.kind.value,
        "state": found.state.value,
        "source": found.author.value,
        "title": found.title,
        "services": list(found.services),
        "cause": found.cause,
    }
    for name in clocks:
        at = getattr(found, name)
        document[name] = None if at is None else rfc3339(at)
    if found.kind is Kind.MAINTENANCE:
        audience = notices.audience_of(federation, found.starts or now)
        every = kept.listed(connection, kinds=[Kind.MAINTENANCE])
        parts = planned.agreed_parts(found, every, audience.rules, audience.hours)
        document["agreed"] = notices.agreement(connection, found, audience)
        document["agreed_parts"] = [
            {"service": name, "from": rfc3339(each.start), "to": rfc3339(each.end)}
            for name, spans in parts.items()
            for each in spans
        ]
        document["agreed_seconds"] = {name: sum(each.seconds for each in spans) for name, spans in parts.items()}
    return document
