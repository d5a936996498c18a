"""The LDAP source: what a directory is asked, by whom its shards are read, and what of it is looked up (ports.Source).

A directory is one live delivery: all that it holds, or what changed since. Whether that is complete, what is new in it,
and what follows from it is for others to say; this module knows no store and no target.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import os
from collections.abc import Callable, Collection, Generator, Iterator, Sequence

from ent_sync.core.completeness import Delivery, Evidence, Part
from ent_sync.core.errors import Problem, UnavailableError, Where
from ent_sync.core.record import PEOPLE, Key, Population
from ent_sync.ports import Shard, Sighting, SourceContext, StaleCursorError, UnreadableError
from ent_sync.sources.ldap.opening import ENTRY_UUID, EntryBatch, Opening, uuid, values_of
from ent_sync.sources.ldap.question import How, Mark, Question, generalized, marks, moment, packed, split, unpacked
from ent_sync.sources.ldap.reading import MODIFIED, ShardReading
from ent_sync.sources.ldap.settings import LdapSection
from ent_sync.wire.ldap import access, ber, dn, search, sync
from ent_sync.wire.ldap.access import Link
from ent_sync.wire.ldap.result import LdapError, LostConnectionError
from ent_sync.wire.ldap.search import IncompleteError, Search
from ent_sync.wire.ldap.sync import RefreshRequiredError

_STATE = "contextCSN"
# Schools first; a pupil's links are known before the guardians they lead to.
_ORDER = (Population.SCHOOL, Population.PUPIL, Population.GUARDIAN, Population.STAFF)
_CALLED = {
    Population.SCHOOL: "schools",
    Population.PUPIL: "pupils",
    Population.GUARDIAN: "guardians",
    Population.STAFF: "staff",
}
# Nobody knows how large a directory is before it is read; large enough for several processes.
_LARGE = 1 << 30
_KEYS_A_SEARCH = 50
_LIMITS = frozenset({"size-limit", "time-limit", "admin-limit"})
# How OpenLDAP's cookies begin: they are good for every search, since they tell the state of all the data.
_OF_ALL = b"rid="


class LdapSource:
    """A federating directory that answers LDAP."""

    Settings = LdapSection

    def __init__(self, settings: LdapSection, context: SourceContext) -> None:
        self.name = settings.name
        self._settings = settings
        self._base = context.base
        self._now = context.now
        keys = dict.fromkeys(PEOPLE, settings.person_key) | {Population.SCHOOL: settings.structure_key}
        self._attributes = {
            each: tuple(sorted({*context.wanted.get(each, ()), keys[each], ENTRY_UUID, MODIFIED}))
            for each in Population
        }
        self._of = {each: self._asked(each) for each in Population}
        self._opening = Opening(
            source=self.name,
            academy=settings.academy,
            base=settings.base,
            keys=keys,
            wanted=context.wanted,
            digest=context.digest,
        )

    def deliveries(self, settled_for: float, cursor: str | None = None) -> Sequence[Delivery]:
        """See `ports.Source`."""
        del settled_for  # a directory shows no entry before it is written
        now = self._now()
        with self._link() as link:
            syncs = self._settings.changes == "syncrepl" and sync.offered(link)
            known = marks(cursor, self._of) if self._settings.changes != "none" else None
            if known is not None and all((mark.cookie is not None) is syncs for mark in known.values()):
                questions = [self._changed(known[each], now) for each in _ORDER]
                return [self._delivery(now, questions, complete=False)]
            cookie = self._cookie(link) if syncs else None
        questions = [each for population in _ORDER for each in self._all(population, now, cookie, syncs=syncs)]
        return [self._delivery(now, questions, complete=True)]

    def lookup(self, keys: Collection[Key]) -> Delivery | None:
        """See `ports.Source`."""
        now = self._now()
        with self._link():
            pass  # so that a directory that does not answer is told as such
        asked = sorted(keys)
        some = [asked[start : start + _KEYS_A_SEARCH] for start in range(0, len(asked), _KEYS_A_SEARCH)]
        questions = [
            Question(
                how=How.SOME,
                population=population,
                filters=tuple(f"(&{self._filter(population)}{self._with_key(each)})" for each in some),
                begun=generalized(now),
            )
            for population in PEOPLE
        ]
        return self._delivery(now, questions, complete=False)

    def shards(self, delivery: Delivery) -> Sequence[Shard]:
        """See `ports.Source`."""
        places = json.loads(delivery.place)
        return [
            Shard(self.name, part.file, place, part.population, ordinal)
            for ordinal, (part, place) in enumerate(zip(delivery.parts, places, strict=True))
        ]

    def read(self, shard: Shard) -> Generator[EntryBatch, None, Evidence]:
        """See `ports.Source`. Each shard has a connection of its own."""
        question = Question.read(shard.place)
        try:
            with self._link() as link:
                if question.how is How.REFRESH and question.cookie is not None and not sync.offered(link):
                    raise StaleCursorError  # another server than the one that gave it
                reading = ShardReading(
                    link=link,
                    opening=self._opening,
                    question=question,
                    search=self._search(question),
                    file=shard.file,
                    of=self._of[question.population],
                )
                return (yield from reading.read())
        except IncompleteError as error:
            if question.how is How.REFRESH and question.cookie is not None and error.rule in _LIMITS:
                raise StaleCursorError from None  # so much has changed that one answer is too small: read in pages
            raise _unreadable(shard, error.rule, str(error)) from None
        except LostConnectionError as error:
            raise _unreadable(shard, error.rule, str(error)) from None
        except UnavailableError as error:
            raise _unreadable(shard, "unavailable", str(error)) from None
        except LdapError as error:
            raise _unreadable(shard, error.name, f"the server refuses the search: {error.name}") from None
        except ber.MalformedError as error:
            raise _unreadable(shard, "malformed", f"the server's answer is no LDAP: {error}") from None

    def listen(self, cursor: str | None, stopping: Callable[[], bool]) -> Iterator[None]:
        """Rings when something changed since the cursor, until `stopping`; never where the server cannot do that.

        A bell for the daemon: what changed is then read as always.

        Raises:
            UnavailableError: no server answers, or the one that did is gone; listen again.
        """
        cookies = [unpacked(mark.cookie) for mark in (marks(cursor, self._of) or {}).values()]
        cookie = min((each for each in cookies if each is not None and each.startswith(_OF_ALL)), default=None)
        if cookie is None:
            return
        anybody = "".join(self._filter(each) for each in _ORDER)
        everywhere = Search(base=self._settings.base, filter=f"(|{anybody})", attributes=("1.1",))
        try:
            with self._link() as link:
                if sync.offered(link):
                    for _ in sync.persist(link, everywhere, cookie, stopping=stopping):
                        yield
        except RefreshRequiredError:
            yield
        except (IncompleteError, LdapError) as error:
            raise UnavailableError(f"source {self.name} cannot be listened to: {error}") from None

    def again(self, sightings: Sequence[Sighting]) -> EntryBatch:
        """See `ports.Source`."""
        return self._opening.again(sightings)

    def done(self, delivery: Delivery) -> None:
        """See `ports.Source`. Nothing was unpacked."""

    def forget(self, delivery: Delivery) -> None:
        """See `ports.Source`. A directory is not ours to remove from."""

    # -- questions ----------------------------------------------------------------------------------------------------

    def _all(self, population: Population, now: dt.datetime, cookie: str | None, *, syncs: bool) -> Iterator[Question]:
        """All that there is of a population.

        Where the server tells where its changes stand (OpenLDAP's contextCSN), that is the cookie of the next question,
        taken before the first entry is asked for, so that what changes during the read is told again and not lost. Then
        the read itself needs no RFC 4533: it goes page by page, which size limits allow more often than one long
        answer, and in several parts. Other servers tell their cookie at the end of a whole refresh only.
        """
        filter_ = self._filter(population)
        if syncs and cookie is None:
            yield Question(how=How.REFRESH, population=population, filters=(filter_,), begun=generalized(now))
            return
        parts = self._settings.split if population in PEOPLE else 1
        for share in split(filter_, self._settings.split_by, parts):
            yield Question(
                how=How.PAGES,
                population=population,
                filters=(share,),
                begun=generalized(now),
                cookie=cookie,
                timed=self._settings.changes != "none" and not syncs,
            )

    def _changed(self, mark: Mark, now: dt.datetime) -> Question:
        """What changed of a population since its mark."""
        filters = (self._filter(mark.population),)
        if mark.since is None:
            return Question(
                how=How.REFRESH, population=mark.population, filters=filters, begun=generalized(now), cookie=mark.cookie
            )
        return Question(
            how=How.SINCE,
            population=mark.population,
            filters=filters,
            begun=generalized(now),
            since=generalized(moment(mark.since) - self._settings.overlap),
            reached=mark.since,
            timed=True,
        )

    def _with_key(self, keys: Sequence[Key]) -> str:
        """A filter that finds these keys of people, however they are spelled (contract, rule 7)."""
        own = f"{self._settings.academy}$"
        spelled = [text for key in keys for text in (f"AC-{key}", str(key))]
        spelled += [key.removeprefix(own) for key in keys if key.startswith(own)]
        return "(|" + "".join(dn.equality(self._settings.person_key, text) for text in spelled) + ")"

    def _search(self, question: Question) -> Search:
        branch = self._settings.people if question.population in PEOPLE else self._settings.structures
        return Search(
            base=f"{branch},{self._settings.base}" if branch else self._settings.base,
            filter=question.filters[0],
            attributes=self._attributes[question.population],
            page=self._settings.page,
        )

    def _filter(self, population: Population) -> str:
        return self._settings.filters.of(population)

    def _asked(self, population: Population) -> str:
        """Another one when another part of the directory is asked for."""
        text = "\n".join(
            [
                self._settings.base,
                self._settings.people if population in PEOPLE else self._settings.structures,
                self._filter(population),
                *self._attributes[population],
            ]
        )
        return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()

    def _cookie(self, link: Link) -> str | None:
        """Where the changes of an OpenLDAP server stand now, as a cookie of its own form; None where it does not tell.

        Nor does it help where the server does not show by which entryUUID it will tell changes.
        """
        with contextlib.suppress(LdapError, LostConnectionError, ber.MalformedError):
            above = [each for each in link.root.naming_contexts if each and dn.is_within(self._settings.base, each)]
            found = search.read(link, max(above, key=len), (_STATE, ENTRY_UUID)) if above else None
            if found is not None:
                content = ber.attributes(found.content)
                if (states := values_of(content, _STATE)) and uuid(content):
                    return packed(_OF_ALL + b"000,csn=" + b";".join(sorted(states)))
        return None

    # -- deliveries ---------------------------------------------------------------------------------------------------

    def _delivery(self, now: dt.datetime, questions: Sequence[Question], *, complete: bool) -> Delivery:
        id_ = f"ldap-{now.astimezone(dt.UTC):%Y%m%dT%H%M%SZ}"
        counts = {each: sum(question.population is each for question in questions) for each in Population}
        numbers: dict[Population, int] = dict.fromkeys(Population, 0)
        parts = []
        for question in questions:
            population = question.population
            number = numbers[population]
            numbers[population] += 1
            called = f"{self.name} {_CALLED[population]}"
            file = called if counts[population] == 1 else f"{called} {number + 1} of {counts[population]}"
            parts.append(Part(file, _CALLED[population], number, population))
        return Delivery(
            id=id_,
            source=self.name,
            complete=complete,
            date=now.date(),
            signature=id_,
            place=json.dumps([question.written() for question in questions]),
            parts=tuple(parts),
            size=_LARGE if complete else 0,
            live=True,
        )

    @contextlib.contextmanager
    def _link(self) -> Iterator[Link]:
        link = access.connect(self._settings, self._base, os.environ, who=f"source {self.name}")
        with contextlib.closing(link):
            yield link


def _unreadable(shard: Shard, rule: str, sentence: str) -> UnreadableError:
    return UnreadableError(Problem(Where(shard.file), rule, sentence))
