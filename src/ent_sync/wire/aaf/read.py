"""Cuts the requests out of a delivered AAF file without parsing them (aaf.md §2, §3).

Most records of a night are those of the night before, so that their bytes are all that is needed of them. What looks
like a tag is one: `wellformed` has proven the bytes and emptied the comments before anything is cut. Knows nothing of
attributes (that is `parse`), of deliveries, or of what may be absent.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from typing import BinaryIO, TypeAlias

from ent_sync.wire.aaf.references import unescaped
from ent_sync.wire.aaf.wellformed import ROOT, UnreadableFileError, Watch

__all__ = ["Cut", "FileRead", "Oversized", "RawRecord", "Request", "UnreadableFileError", "read"]

MAX_RECORD = 1 << 20
BLOCK = 1 << 20
_BATCH_BYTES = 4 << 20


class Request(StrEnum):
    """What the source asks for with a record."""

    ADD = "add"
    MODIFY = "modify"
    DELETE = "delete"


@dataclass(frozen=True, slots=True, repr=False)
class RawRecord:
    """One request as it was delivered, not parsed: `raw` is UTF-8 whatever the file's encoding, its comments emptied.

    `line` is that of its first tag. `id` is None where there is none, or an empty one.
    """

    request: Request
    id: str | None
    raw: bytes
    line: int

    def __repr__(self) -> str:
        return f"<RawRecord {self.request} at line {self.line}>"


@dataclass(frozen=True, slots=True, repr=False)
class Oversized:
    """A request too large to be held, of which only the place, and the id if it stood near the start, is known."""

    id: str | None
    line: int

    def __repr__(self) -> str:
        return f"<Oversized at line {self.line}>"


Cut: TypeAlias = RawRecord | Oversized


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRead:
    """That a file is well-formed to its last tag, and what it held. Exists for no other file."""

    encoding: str
    versions: Mapping[str, str]
    records: int
    bytes: int


_ATTRIBUTES = rb"""(?:[^>"']|"[^"]*+"|'[^']*+')*+"""
_GAP = re.compile(rb"(?:\s++|<!--\s*+-->|<\?x\s*+\?>)*+")
_ROOT = re.compile(rb"<" + ROOT.encode() + rb"(?=[\s/>])" + _ATTRIBUTES + rb">")
_ROOT_END = re.compile(rb"</" + ROOT.encode() + rb"\s*+>")
_START = re.compile(rb"<(add|modify|delete)Request(?=[\s/>])" + _ATTRIBUTES + rb">")
_TAG_END = re.compile(rb"\s*+>")
_END_TAGS = {request.value.encode(): f"</{request}Request".encode() for request in Request}
_REQUESTS = {request.value.encode(): request for request in Request}

_ID = re.compile(rb"<identifier>\s*+<id>\s*+([^<&]*)</id>")
_ID_IN_ANY_FORM = re.compile(
    rb"<identifier(?=[\s>])" + _ATTRIBUTES + rb">.*?<id(?=[\s>])" + _ATTRIBUTES + rb"(?<!/)>(.*?)</id\s*+>", re.DOTALL
)
_BESIDE_TEXT = re.compile(rb"<!\[CDATA\[|\]\]>|<!--\s*+-->|<\?x\s*+\?>")


def read(
    stream: BinaryIO, file: str, *, batch: int = 500, block: int = BLOCK, max_record: int = MAX_RECORD
) -> Generator[list[Cut], None, FileRead]:
    """The requests of one file in batches, in the order of the file; `file` is what problems call it.

    Whoever stops early has no FileRead. Raises UnreadableFileError, perhaps after some batches: what was handed out of
    such a file may not be used. Holds one block, one record and one batch (4 MiB) at most.
    """
    cutter = _Cutter(Watch(file), max_record)
    ready: list[Cut] = []
    weight = 0
    while part := stream.read(block):
        for cut in cutter.feed(part):
            ready.append(cut)
            weight += len(cut.raw) if isinstance(cut, RawRecord) else 0
            if len(ready) >= batch or weight >= _BATCH_BYTES:
                yield ready
                ready, weight = [], 0
    ready.extend(cutter.end())
    if ready:
        yield ready
    return cutter.result()


class _Place(Enum):
    """Where in the envelope the buffer starts."""

    BEFORE = auto()
    INSIDE = auto()
    AFTER = auto()


class _Cutter:
    """The bytes between what was cut and what is proven, and where in the envelope they stand."""

    def __init__(self, watch: Watch, max_record: int) -> None:
        self._watch = watch
        self._max_record = max_record
        self._buffer = b""
        self._base = 0  # the offset of the buffer's first byte
        self._line = 1  # the line of the buffer's first byte
        self._place = _Place.BEFORE
        self._skipping: bytes | None = None  # the end tag of a record that is too large to be held
        self._records = 0

    def feed(self, part: bytes) -> Iterator[Cut]:
        self._watch.feed(part)
        self._buffer += part
        return self._cut()

    def end(self) -> Iterator[Cut]:
        self._watch.end()
        return self._cut()

    def result(self) -> FileRead:
        watch = self._watch
        return FileRead(encoding=watch.encoding, versions=watch.versions, records=self._records, bytes=watch.bytes)

    def _cut(self) -> Iterator[Cut]:
        """The requests that end before the last proven byte; what is left of the buffer waits for the next block."""
        if self._place is _Place.BEFORE:
            self._enter()
        self._buffer = buffer = self._watch.blanked(self._buffer, self._base)
        proven = self._watch.consumed - self._base
        at = self._skip(self._skipping, proven) if self._skipping else 0
        self._line += buffer.count(b"\n", 0, at)
        while self._place is _Place.INSIDE and at < proven:
            start = _end_of_gap(buffer, at, proven)
            self._line += buffer.count(b"\n", at, start)
            at = start
            if at == proven:
                break
            tag = _START.match(buffer, at, proven)
            if tag is None:
                self._leave(at, proven)
                break
            end = self._end_of(tag, proven)
            if end is None and proven - at <= self._max_record:
                break
            self._records += 1
            yield self._record(tag, end, proven)
            if end is None:
                self._skipping = _END_TAGS[tag[1]]
                end = proven
            self._line += buffer.count(b"\n", at, end)
            at = end
        if self._place is _Place.AFTER:
            at = proven
        self._drop(at)

    def _enter(self) -> None:
        """Passes the prologue and the root's start tag, as far as proven."""
        root_at = self._watch.root_at
        to = (self._watch.consumed if root_at is None else root_at) - self._base
        self._line += self._buffer.count(b"\n", 0, to)
        self._drop(to)
        if root_at is None:
            return
        if not self._buffer.startswith(b"<" + ROOT.encode()):
            raise self._watch.refusal("encoding", "the encoding is none that we read; ask for UTF-8 or ISO-8859-15")
        tag = _ROOT.match(self._buffer)
        if tag is None:  # expat saw the same tag: only a root of another encoding's making gets here
            message = f"is no AAF file: its root element is not {ROOT}; remove it, or ask for the right one"
            raise self._watch.refusal("envelope", message)
        self._place = _Place.AFTER if tag[0].endswith(b"/>") else _Place.INSIDE
        self._line += tag[0].count(b"\n")
        self._drop(tag.end())

    def _leave(self, at: int, proven: int) -> None:
        if _ROOT_END.match(self._buffer, at, proven) is None:
            message = "something stands between the requests that is none; ask for the file again"
            raise self._watch.refusal("envelope", message, self._line)
        self._place = _Place.AFTER

    def _drop(self, to: int) -> None:
        self._buffer = self._buffer[to:]
        self._base += to

    def _end_of(self, tag: re.Match[bytes], proven: int) -> int | None:
        """Where the request that starts with `tag` ends; None while its end is not proven."""
        if tag[0].endswith(b"/>"):
            return tag.end()
        return _after(self._buffer, _END_TAGS[tag[1]], tag.end(), proven)

    def _skip(self, end_tag: bytes, proven: int) -> int:
        """Where the request that is too large ends, or as far as it is proven."""
        end = _after(self._buffer, end_tag, 0, proven)
        if end is None:
            return proven
        self._skipping = None
        return end

    def _record(self, tag: re.Match[bytes], end: int | None, proven: int) -> Cut:
        start = tag.start()
        identifier = self._identifier(start, proven if end is None else end)
        if end is None or end - start > self._max_record:
            return Oversized(identifier, self._line)
        raw = self._buffer[start:end]
        if self._watch.encoding != "utf-8" and not raw.isascii():
            raw = raw.decode(self._watch.encoding).encode()
        return RawRecord(_REQUESTS[tag[1]], identifier, raw, self._line)

    def _identifier(self, start: int, end: int) -> str | None:
        buffer = self._buffer
        if plain := _ID.search(buffer, start, end):
            text = plain[1].decode(self._watch.encoding)
        elif found := _ID_IN_ANY_FORM.search(buffer, start, end):
            text = unescaped(_BESIDE_TEXT.sub(b"", found[1]).decode(self._watch.encoding))
        else:
            return None
        return text.strip() or None


def _end_of_gap(buffer: bytes, at: int, proven: int) -> int:
    gap = _GAP.match(buffer, at, proven)
    return gap.end() if gap else at


def _after(buffer: bytes, end_tag: bytes, at: int, proven: int) -> int | None:
    """Where `end_tag` with its bracket ends. A tag before `proven` is whole: expat consumes none in pieces."""
    while (found := buffer.find(end_tag, at, proven)) >= 0:
        at = found + len(end_tag)
        if closing := _TAG_END.match(buffer, at, proven):
            return closing.end()
    return None
