"""Connections to the directory, one for each thread, and what is asked over them.

A connection that broke is opened again once for each thing that is asked; what had no answer then is told as such.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ent_sync.config.directory import DirectorySection
from ent_sync.core.errors import UnavailableError
from ent_sync.wire.ldap import result as codes
from ent_sync.wire.ldap import search
from ent_sync.wire.ldap.access import connect
from ent_sync.wire.ldap.ber import Entry, MalformedError, attributes
from ent_sync.wire.ldap.ber_write import ASSERTION
from ent_sync.wire.ldap.link import Link
from ent_sync.wire.ldap.result import LdapError, LostConnectionError
from ent_sync.wire.ldap.search import IncompleteError, Scope, Search
from ent_sync.wire.ldap.write import Answer, Find, Modify, Move, Operation, Pipeline, Read, Remove

CSN, CREATOR = "entryCSN", "creatorsName"


@dataclass(frozen=True, slots=True, repr=False)
class There:
    """An entry as it stands: its DN, and its attributes by name in lower case."""

    dn: str
    attributes: Mapping[str, list[bytes]]

    @property
    def assertion(self) -> str | None:
        """The filter that matches as long as nobody changes the entry; None where the server does not tell."""
        csn = self.attributes.get(CSN.lower())
        return f"({CSN}={csn[0].decode('ascii', 'replace')})" if csn else None

    @property
    def creator(self) -> str | None:
        """Who made the entry, as the server tells it."""
        creator = self.attributes.get(CREATOR.lower())
        return creator[0].decode("utf-8", "replace") if creator else None


def there(entry: Entry) -> There:
    """An entry of a search, opened."""
    return There(entry.dn, {name.lower(): values for name, values in attributes(entry.content).items()})


@dataclass(slots=True)
class _Open:
    link: Link
    pipeline: Pipeline
    asserts: bool


@dataclass(slots=True)
class Directory:
    """A directory that can be asked; nothing is connected before the first question."""

    section: DirectorySection
    base: Path
    who: str
    most: int
    _own: threading.local = field(default_factory=threading.local)
    _all: list[Link] = field(default_factory=list)

    def link(self) -> Link:
        """The connection of this thread.

        Raises:
            UnavailableError: no server answers.
        """
        return self._opened().link

    def perform(self, operations: Sequence[Operation]) -> list[Answer]:
        """One answer for each operation; those without a result were never answered.

        Raises:
            UnavailableError: there was no connection, and none could be opened.
        """
        opened = self._opened()
        if not opened.asserts:
            operations = [_without_assertion(operation) for operation in operations]
        answers = opened.pipeline.perform(operations)
        if opened.pipeline.lost:
            self.let_go()
        return answers

    def ask(self, questions: Sequence[Read | Find]) -> list[Answer]:
        """One answer for each question; what a broken connection left open is asked once more.

        Raises:
            UnavailableError: nobody answers.
        """
        answers = self.perform(questions)
        left = [index for index, answer in enumerate(answers) if answer.result is None]
        if left:
            again = self.perform([questions[index] for index in left])
            for index, answer in zip(left, again, strict=True):
                answers[index] = answer
        for answer in answers:
            if answer.result is None:
                raise UnavailableError(f"{self.who} does not answer")
            if answer.result.code not in {codes.SUCCESS, codes.NO_SUCH_OBJECT}:
                raise UnavailableError(f"{self.who} cannot be read: {answer.result.name}")
        return answers

    def entries(self, questions: Sequence[Read]) -> list[There | None]:
        """The entries that are asked for, where they are there.

        Raises:
            UnavailableError: nobody answers.
        """
        return [there(answer.entries[0]) if answer.entries else None for answer in self.ask(questions)]

    def read(self, dn: str, names: tuple[str, ...]) -> There | None:
        """One entry.

        Raises:
            UnavailableError: nobody answers.
        """
        return self.entries([Read(dn, names)])[0]

    def first_page(self, branch: str, names: tuple[str, ...], size: int) -> list[There]:
        """Some entries right below a branch, if there are any.

        Raises:
            UnavailableError: they cannot be read.
        """
        wanted = Search(base=branch, attributes=names, scope=Scope.ONE, page=size)
        try:
            # what is not asked for any more is abandoned when the iterator goes, here at once
            return [there(entry) for entry in next(search.pages(self.link(), wanted), ())]
        except IncompleteError as error:
            if error.rule == "no-such-entry":
                return []
            self.let_go()
            raise UnavailableError(f"{self.who} cannot be read: {error.sentence}") from None

    def pages(self, branch: str, names: tuple[str, ...], size: int = 1000) -> Generator[list[There], None, None]:
        """All entries right below a branch, a page at a time; none where there is no such branch.

        Over a connection of its own, for whoever reads may ask other things between two pages.

        Raises:
            UnavailableError: they cannot be read to the end.
        """
        if self.read(branch, ("1.1",)) is None:
            return
        wanted = Search(base=branch, attributes=names, scope=Scope.ONE, page=size)
        try:
            with self._connected() as link:
                for page in search.pages(link, wanted):
                    yield [there(entry) for entry in page]
        except IncompleteError as error:
            raise UnavailableError(f"{self.who} cannot be read to the end: {error.sentence}") from None
        except (LdapError, MalformedError, LostConnectionError) as error:
            raise UnavailableError(f"{self.who} cannot be read: {error}") from None

    def let_go(self) -> None:
        """Close the connection of this thread."""
        opened: _Open | None = getattr(self._own, "opened", None)
        if opened is not None:
            self._own.opened = None
            if opened.link in self._all:
                self._all.remove(opened.link)
            opened.link.close()

    def close(self) -> None:
        """Close the connections of all threads."""
        for link in self._all:
            link.close()
        self._all.clear()
        self._own = threading.local()

    def _opened(self) -> _Open:
        opened: _Open | None = getattr(self._own, "opened", None)
        if opened is None:
            link = self._connected()
            opened = self._own.opened = _Open(link, Pipeline(link, self.most), ASSERTION in link.root.controls)
            self._all.append(link)
        return opened

    def _connected(self) -> Link:
        return connect(self.section, self.base, os.environ, who=self.who)


def _without_assertion(operation: Operation) -> Operation:
    """The same for a server that knows no assertions (RFC 4528): what others do meanwhile goes unnoticed there."""
    if isinstance(operation, Modify | Remove | Move) and operation.assertion is not None:
        return replace(operation, assertion=None)
    return operation
