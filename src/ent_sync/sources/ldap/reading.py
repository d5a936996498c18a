"""How one shard of a directory is read: page by page, by what changed, or by what was modified since (ent-ldap.md §9).

Each way ends with the evidence of what it proves. Nothing of a read that did not come to its end is used: that is said
by an exception, which the source turns into one of the port.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from ent_sync.core.completeness import Evidence
from ent_sync.core.errors import Problem, Where
from ent_sync.core.record import Origin
from ent_sync.ports import Sighting, StaleCursorError, UnreadableError, Verb
from ent_sync.sources.ldap.opening import ENTRY_UUID, Content, EntryBatch, Opening, first
from ent_sync.sources.ldap.question import How, Mark, Question, moment, packed, unpacked
from ent_sync.wire.ldap import search, sync
from ent_sync.wire.ldap.access import Link
from ent_sync.wire.ldap.ber import Entry
from ent_sync.wire.ldap.search import Search
from ent_sync.wire.ldap.sync import Change, RefreshRequiredError, State

MODIFIED = "modifyTimestamp"
_TIME = re.compile(r"([0-9]{14})(?:[.,][0-9]+)?Z")
_MOST = 1000
_Told = TypeVar("_Told")
_Seen = tuple[Sighting, Content | None]
_Batches = Generator[EntryBatch, None, Evidence]


@dataclass(slots=True, kw_only=True)
class ShardReading:
    """One shard that is read over one link: what was seen of it so far, and how much of that is there.

    `search` is the question as a search with its first filter; `of` is what its mark will be good for.
    """

    link: Link
    opening: Opening
    question: Question
    search: Search
    file: str
    of: str
    seen: int = 0
    there: int = 0
    keyless: int = 0
    newest: str = ""
    oldest: str = ""
    changed: set[bytes] = field(default_factory=set)

    def read(self) -> _Batches:
        """Reads the shard.

        Raises:
            StaleCursorError: the server cannot tell what changed since the cookie.
            UnreadableError: an entry does not show what later reads need.
        """
        match self.question.how:
            case How.PAGES:
                return self._pages()
            case How.REFRESH:
                return self._refresh()
            case How.SINCE:
                return self._since()
            case How.SOME:
                return self._some()

    def _pages(self) -> _Batches:
        """All entries. A cookie was taken before the first of them: what changes meanwhile is told again, not lost."""
        for entries in search.pages(self.link, self.search):
            yield from self._entries(entries)
        mark = None
        if self.question.cookie is not None:
            mark = self._mark(cookie=self.question.cookie)
        elif self.question.timed:
            mark = self._mark(since=self._watermark())
        return self._evidence(mark, whole=True)

    def _some(self) -> _Batches:
        """A few entries; nobody is absent from them."""
        for filter_ in self.question.filters:
            for entries in search.pages(self.link, replace(self.search, filter=filter_)):
                yield from self._entries(entries)
        return self._evidence(None, whole=False)

    def _refresh(self) -> _Batches:
        """What changed since the cookie. Where the server named all that is there instead, that proves absences.

        That it named nobody proves nothing: a server to which nothing is new may do the same.
        """
        cookie = unpacked(self.question.cookie)
        changes = sync.refresh(self.link, self.search, cookie)
        while True:
            try:
                told = next(changes)
            except StopIteration as stopped:
                end: sync.End = stopped.value
                break
            except RefreshRequiredError:
                raise StaleCursorError from None
            for some in _portions(list(self._news(told))):
                yield self._batch([self._changed(each) for each in some])
        after = packed(end.cookie) if end.cookie else self.question.cookie
        whole = cookie is None or (self.there > 0 and not end.deletes)
        return self._evidence(self._mark(cookie=after) if after else None, whole=whole)

    def _news(self, told: Sequence[Change]) -> Iterator[Change]:
        """What was told, but not that someone is there as he was after it was told what changed of him."""
        for change in told:
            if change.entry is not None and self.question.cookie is not None:
                self.changed.add(change.uuid)
            if change.state != State.PRESENT or change.uuid not in self.changed:
                yield change

    def _changed(self, change: Change) -> _Seen:
        origin = self._next()
        if change.entry is not None:
            sighting, content = self.opening.sighting(change.entry, self.question.population, origin, change.uuid)
            self._note_time(content)
            return sighting, content
        verb = Verb.DELETE if change.state == State.DELETE else Verb.PRESENT
        return Sighting(verb, self.question.population, None, b"", origin, change.uuid), None

    def _since(self) -> _Batches:
        """What was modified since the mark, and then the name of everything else that is there."""
        modified = f"(&{self.search.filter}({MODIFIED}>={self.question.since}))"
        for entries in search.pages(self.link, replace(self.search, filter=modified)):
            for batch in self._entries(entries):
                self.changed.update(each.handle for each in batch.sightings if each.handle is not None)
                yield batch
        mark = self._mark(since=self._watermark())  # not of what the sweep sees: that is looked at by its name only
        for entries in search.pages(self.link, replace(self.search, attributes=(ENTRY_UUID,))):
            handles = (self.opening.handle(entry) for entry in entries)
            present = [handle for handle in handles if handle not in self.changed]
            for some in _portions(present):
                yield self._batch([(self._present(handle), None) for handle in some])
        return self._evidence(mark, whole=True)

    def _present(self, handle: bytes) -> Sighting:
        return Sighting(Verb.PRESENT, self.question.population, None, b"", self._next(), handle)

    def _entries(self, entries: Sequence[Entry]) -> Iterator[EntryBatch]:
        """The batches of some entries, each as it is."""
        for some in _portions(entries):
            seen = [self.opening.sighting(each, self.question.population, self._next()) for each in some]
            for sighting, content in seen:
                if self.question.timed:
                    self._note_time(content)
                if self.question.cookie is not None and sighting.handle == sighting.name:
                    raise self._nameless()
            yield self._batch(seen)

    def _nameless(self) -> UnreadableError:
        """The server will tell changes by entryUUID only: an entry without one would seem to have left."""
        return UnreadableError(
            Problem(
                Where(self.file, self.seen),
                "no-entry-uuid",
                f"an entry does not show its {ENTRY_UUID}: let our account read it, or set `changes: timestamp`",
            )
        )

    def _next(self) -> Origin:
        self.seen += 1
        return Origin(self.file, self.seen)

    def _batch(self, seen: Sequence[_Seen]) -> EntryBatch:
        self.there += sum(each.verb is not Verb.DELETE for each, _ in seen)
        self.keyless += sum(each.key is None and each.verb is Verb.ADD for each, _ in seen)
        return EntryBatch([each for each, _ in seen], [content for _, content in seen], self.opening)

    def _note_time(self, content: Content | None) -> None:
        """When an entry was modified last, by the server's clock; what was told before is no change again."""
        if content is not None and (found := _TIME.fullmatch(first(content, MODIFIED))):
            time = f"{found[1]}Z"
            self.newest = max(self.newest, time)
            if time > (self.question.reached or ""):
                self.oldest = min(self.oldest or time, time)

    def _watermark(self) -> str:
        """The newest time that the server gave an entry, but no later than the read began, and never going back.

        What is modified during a long read may stand behind entries that were modified later.
        """
        question = self.question
        newest = self.newest or question.reached or question.begun
        return max(min(newest, question.begun), question.reached or "")

    def _mark(self, *, cookie: str | None = None, since: str | None = None) -> Mark:
        return Mark(population=self.question.population, of=self.of, cookie=cookie, since=since)

    def _evidence(self, mark: Mark | None, *, whole: bool) -> Evidence:
        population = self.question.population
        return Evidence(
            self.file,
            {population: self.there},
            {population: self.keyless} if self.keyless else {},
            whole=whole,
            cursor=mark.written() if mark is not None else None,
            changed=self._changed_at(),
        )

    def _changed_at(self) -> dt.datetime | None:
        """When the oldest change was made; all that there is is none, and a clock that runs ahead is not believed."""
        if self.question.cookie is None and self.question.since is None:
            return None
        oldest = min(self.oldest, self.question.begun)
        return moment(oldest) if oldest else None


def _portions(told: Sequence[_Told]) -> Iterator[Sequence[_Told]]:
    """At most a thousand at a time, as batches travel."""
    for start in range(0, len(told), _MOST):
        yield told[start : start + _MOST]
