"""Notices for whoever fetches them: an Atom feed (RFC 4287) and a calendar of maintenance (RFC 5545, RFC 5546).

What is told to operators only is in neither.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

import icalendar
from feedgen.feed import FeedGenerator

from ent_sync.core.notice.kinds import Kind, Notice, State, Update
from ent_sync.federation.words import Words

Method: TypeAlias = Literal["PUBLISH", "CANCEL"]

KEPT = dt.timedelta(days=30)
"""A calendar keeps what was cancelled or is over for so long, so that subscribers learn of it."""
_AUTHORITY = "ent-sync"
_BEGINNING = dt.date(2026, 1, 1)
"""The date in tag: ids; it stays for ever (RFC 4151)."""


def tag(url: str, name: str) -> str:
    """The name of something in feeds: it stays as long as the host of the status page does."""
    host = urlsplit(url).hostname or _AUTHORITY
    return f"tag:{host},{_BEGINNING.year}:{name}"


def atom(
    notices: Sequence[Notice],
    updates: Mapping[str, Sequence[Update]],
    words: Words,
    *,
    url: str,
    name: str,
    now: dt.datetime,
) -> bytes:
    """The feed: one entry for each notice, changed at each update, the last changed first.

    `url` is that of the status page, `name` what tells this feed from others: it is part of the feed's id.
    """
    feed = FeedGenerator()
    feed.id(tag(url, f"feed:{name}"))
    feed.title(words.text("feed.title"))
    feed.language(words.language)
    feed.author(name=_AUTHORITY)
    feed.generator(_AUTHORITY)
    feed.link(href=url, rel="alternate")
    shown = [(each, said) for each in notices if not each.internal and (said := list(updates.get(each.id, ())))]
    shown.sort(key=lambda pair: pair[1][-1].at)
    feed.updated(shown[-1][1][-1].at if shown else now)
    for notice, said in shown:
        entry = feed.add_entry(order="prepend")
        entry.id(tag(url, notice.id))
        entry.title(words.subject(notice, said[-1]))
        entry.published(said[0].at)
        entry.updated(said[-1].at)
        entry.category(term=notice.kind.value, label=words.text(f"kind.{notice.kind}"))
        entry.link(href=f"{url}#{notice.id}", rel="alternate")
        entry.content("\n\n".join(_told(notice, each, words) for each in reversed(said)), type="text")
    return bytes(feed.atom_str(pretty=True))


def _told(notice: Notice, update: Update, words: Words) -> str:
    said = f"{words.moment(update.at)} : {words.said(notice, update)}"
    return f"{said}\n{update.text}" if update.text else said


def calendar(notices: Iterable[Notice], words: Words, *, now: dt.datetime, link: str | None = None) -> bytes:
    """All maintenance to come, running, or of late, for subscribers; what is cancelled stays in it for a while."""
    made = _calendar("PUBLISH", words)
    made.add("x-wr-calname", words.text("calendar.title"))
    for each in sorted(notices, key=lambda each: (each.starts or now, each.id)):
        if (
            each.kind is Kind.MAINTENANCE
            and each.ends is not None
            and max(each.ends, each.closed or each.ends) > now - KEPT
        ):
            made.add_component(_event(each, words, now=now, link=link, text=""))
    return bytes(made.to_ical())


def invitation(
    notice: Notice, update: Update, words: Words, *, now: dt.datetime, link: str | None = None
) -> tuple[Method, bytes]:
    """One maintenance as an attachment: PUBLISH, then with the same UID and a higher SEQUENCE, PUBLISH or CANCEL."""
    method: Method = "CANCEL" if notice.state is State.CANCELLED else "PUBLISH"
    made = _calendar(method, words)
    made.add_component(_event(notice, words, now=now, link=link, text=update.text))
    return method, bytes(made.to_ical())


def _calendar(method: Method, words: Words) -> icalendar.Calendar:
    made = icalendar.Calendar()
    made.add("prodid", f"-//ent-sync//federation//{words.language.upper()}")
    made.add("version", "2.0")
    made.add("method", method)
    return made


def _event(notice: Notice, words: Words, *, now: dt.datetime, link: str | None, text: str) -> icalendar.Event:
    made = icalendar.Event()
    made.add("uid", f"{notice.id}@{_AUTHORITY}")
    made.add("sequence", notice.sequence)
    made.add("dtstamp", now.astimezone(dt.UTC))
    for name, moment in (("dtstart", notice.starts), ("dtend", notice.ends)):
        if moment is not None:
            made.add(name, moment.astimezone(dt.UTC))
    made.add("summary", words.title(notice))
    described = [words.services(notice), *([text] if text else [])]
    made.add("description", "\n".join(described))
    made.add("status", "CANCELLED" if notice.state is State.CANCELLED else "CONFIRMED")
    made.add("transp", "TRANSPARENT")
    made.add("categories", [words.text("kind.maintenance")])
    if link is not None:
        made.add("url", link)
    return made
