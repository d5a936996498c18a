"""Unpacks delivered archives (zip, tar, gzipped tar) without trusting them.

What an archive is, its first bytes say: deliveries come under either suffix. Everything streams; sizes are counted as
bytes come out, because headers lie. Knows nothing of what is inside.
"""

from __future__ import annotations

import gzip
import io
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NoReturn, Protocol

from ent_sync.core.errors import EntSyncError, Problem, Where

MAX_BYTES = 50 << 30
MAX_MEMBERS = 10_000

# XML of deliveries packs 10 to 40 times; a small archive cannot do harm whatever its ratio.
_MAX_RATIO = 200
_RATIO_FREE = 64 << 20
_CHUNK = 1 << 20
_ZIP_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
# tarfile reads a header extension into memory in one piece, of the size that the archive says.
_LONGEST_READ = 8 << 20
_LIBRARY_ERRORS = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    struct.error,
    EOFError,
    ValueError,
    OverflowError,
    RuntimeError,  # how zipfile asks for a password
)


class BrokenArchiveError(EntSyncError):
    """An archive is damaged, or holds what no delivery holds; nothing of it was left behind."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def unpack(archive: Path, into: Path, *, max_bytes: int = MAX_BYTES, max_members: int = MAX_MEMBERS) -> list[Path]:
    """The files of `archive`, written below the existing folder `into` with mode 0600, in the order of the archive.

    All or nothing: where it raises BrokenArchiveError, the files it had written are gone.
    Rules: `archive-kind`, `archive-broken`, `archive-name`, `archive-member`, `archive-size`.
    """
    unpacking = _Unpacking(archive, into, max_bytes, max_members)
    try:
        with archive.open("rb") as stream:
            unpacking.run(stream)
    except _LIBRARY_ERRORS:
        unpacking.undo()
        raise unpacking.broken("archive-broken", "the archive is cut or damaged; ask for it again") from None
    except BaseException:
        unpacking.undo()
        raise
    return unpacking.written


class _Readable(Protocol):
    def read(self, size: int = ..., /) -> bytes: ...


class _Stream(_Readable, Protocol):
    def seek(self, offset: int, whence: int = ..., /) -> int: ...
    def tell(self) -> int: ...


class _Unpacking:
    """One archive on its way out: what was written, and how much may still come."""

    def __init__(self, archive: Path, into: Path, max_bytes: int, max_members: int) -> None:
        self.written: list[Path] = []
        self._archive = archive
        self._into = into
        self._max_bytes = max_bytes
        self._max_members = max_members
        self._ratio_bytes = max(_RATIO_FREE, archive.stat().st_size * _MAX_RATIO)
        self._bytes = 0
        self._members = 0

    def run(self, stream: BinaryIO) -> None:
        start = stream.read(tarfile.BLOCKSIZE)
        stream.seek(0)
        if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            self._unzip(stream)
        elif start.startswith(b"\x1f\x8b"):
            with gzip.GzipFile(fileobj=stream) as unpacked:
                self._untar(unpacked)
        elif start[257:262] == b"ustar":
            self._untar(stream)
        else:
            raise self.broken("archive-kind", "the file is no zip, tar or gzipped tar")

    def undo(self) -> None:
        for path in self.written:
            path.unlink(missing_ok=True)
        self.written.clear()

    def broken(self, rule: str, message: str) -> BrokenArchiveError:
        place = f"member {self._members}" if self._members else None
        return BrokenArchiveError(Problem(Where(self._archive.name, path=place), rule, message))

    def _unzip(self, stream: BinaryIO) -> None:
        with zipfile.ZipFile(stream) as packed:
            for member in packed.infolist():
                self._count_member()
                kind = stat.S_IFMT(member.external_attr >> 16)
                if member.is_dir():
                    continue
                if kind not in {0, stat.S_IFREG} or member.compress_type not in _ZIP_METHODS:
                    self._refuse_member()
                with packed.open(member) as content:
                    self._write(member.filename, _Metered(content, self))

    def _untar(self, stream: _Stream) -> None:
        metered = _Metered(stream, self)
        with tarfile.open(fileobj=metered, mode="r:") as packed:
            for member in packed:
                self._count_member()
                if member.isdir():
                    continue
                content = packed.extractfile(member) if member.isreg() and not member.issparse() else None
                if content is None:
                    self._refuse_member()
                with content:
                    self._write(member.name, content)
            metered.seek(packed.offset)
            if metered.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                raise EOFError  # tarfile takes a cut between two members for the end
        while metered.read(_CHUNK):  # the checksum of gzip comes last
            pass

    def _count_member(self) -> None:
        self._members += 1
        if self._members > self._max_members:
            raise self.broken("archive-size", f"the archive has more than {self._max_members} members")

    def count(self, size: int) -> None:
        """Counts bytes that came out of the archive."""
        self._bytes += size
        if self._bytes > self._max_bytes:
            raise self.broken("archive-size", f"the archive unpacks to more than {self._max_bytes} bytes")
        if self._bytes > self._ratio_bytes:
            raise self.broken("archive-size", f"the archive unpacks to more than {_MAX_RATIO} times its size")

    def _refuse_member(self) -> NoReturn:
        raise self.broken("archive-member", "the archive holds something that is neither a file nor a folder")

    def _path(self, name: str) -> Path:
        parts = PurePosixPath(name).parts
        if not parts or name.startswith("/") or ".." in parts or any(sign in name for sign in "\\\0"):
            raise self.broken("archive-name", "a name in the archive leads outside of it")
        return self._into.joinpath(*parts)

    def _write(self, name: str, content: _Readable) -> None:
        path = self._path(name)
        try:
            for folder in reversed(path.relative_to(self._into).parents[:-1]):
                (self._into / folder).mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        except (FileExistsError, NotADirectoryError):
            raise self.broken("archive-name", "a name in the archive is there already") from None
        self.written.append(path)
        with os.fdopen(descriptor, "wb") as file:
            while chunk := content.read(_CHUNK):
                file.write(chunk)


class _Metered(io.RawIOBase):
    """Counts what comes out of an archive, headers and padding included, and refuses to hold a lot of it at once."""

    def __init__(self, stream: _Stream, unpacking: _Unpacking) -> None:
        self._stream = stream
        self._unpacking = unpacking

    def read(self, size: int = -1, /) -> bytes:
        if not 0 <= size <= _LONGEST_READ:
            raise self._unpacking.broken("archive-size", "a header of the archive is larger than 8 MiB")
        chunk = self._stream.read(size)
        self._unpacking.count(len(chunk))
        return chunk

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def seekable(self) -> bool:
        return True
