"""Proves a delivered file well-formed while it streams by (aaf.md §2).

Expat runs without element handlers, which is what makes a no-change read cheap. It tells besides where comments and
processing instructions stand, so that nobody takes their text for markup, and it refuses what the format has no need
of: entity declarations, encodings that are no superset of ASCII, markup hidden in CDATA. Knows nothing of records.
"""

from __future__ import annotations

import codecs
import re
from xml.parsers import expat

from ent_sync.core.errors import EntSyncError, Problem, Where

ROOT = "ficAlimMENESR"

# A comment or tag that expat must see whole is scanned again with each block that makes it longer.
_LONGEST_TOKEN = 8 << 20
_PRINTABLE = bytes(range(0x20, 0x7F))
_VERSION = re.compile(r'(versionAF|versionSDET|codeAcademieExport|degre|dateGenerationExport)\s*=\s*"([^"]{0,100})"')
_RECORD_MARKUP = re.compile(r"</?(?:(?:add|modify|delete)Request|identifier|id)\b")
_MARKUP_TAIL = 24  # longer than any of the above


class UnreadableFileError(EntSyncError):
    """A delivered file cannot be read to its end, so nothing of it may be used."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class Watch:
    """One file's way through expat. Feed every block, and `end` it: only then is the file well-formed."""

    def __init__(self, file: str) -> None:
        self.encoding = "utf-8"
        """What the file declares, under Python's name for it."""
        self.versions: dict[str, str] = {}
        """What the comments before the first record say of the format and the export."""
        self.root_at: int | None = None
        """The offset of the root's start tag."""
        self.consumed = 0
        """Everything before this offset is whole tokens, and proven."""
        self.bytes = 0
        self._file = file
        self._blank_ends: list[tuple[int, bytes]] = []
        self._elements = 0
        self._cdata_tail = ""
        self._any_text = False
        self._parser = expat.ParserCreate()
        self._parser.XmlDeclHandler = self._declaration
        self._parser.EntityDeclHandler = self._entity
        self._parser.CommentHandler = self._comment
        self._parser.ProcessingInstructionHandler = self._instruction
        self._parser.StartElementHandler = self._element
        self._parser.StartCdataSectionHandler = self._cdata_start
        self._parser.EndCdataSectionHandler = self._cdata_end

    def feed(self, block: bytes) -> None:
        """Takes the next bytes of the file. Raises UnreadableFileError."""
        self._any_text = self._any_text or not block.isspace()
        self.bytes += len(block)
        self._parse(block, last=False)
        self.consumed = max(self.consumed, self._parser.CurrentByteIndex)
        if self.bytes - self.consumed > _LONGEST_TOKEN:
            raise self.refusal("envelope", "a tag or comment is larger than 8 MiB; ask for the file again")

    def end(self) -> None:
        """Takes the end of the file. Raises UnreadableFileError."""
        if not self._any_text:
            raise UnreadableFileError(
                Problem(Where(self._file), "empty-file", "is empty; ask the academy for the file again")
            )
        self._parse(b"", last=True)
        self.consumed = self.bytes

    def blanked(self, buffer: bytes, base: int) -> bytes:
        """`buffer`, which starts at offset `base`, with the comments and instructions fed since the last call emptied.

        Lengths and line ends stay, and an empty comment or instruction stays in the place of each, so that text on
        both its sides is still one text to a parser.
        """
        if not self._blank_ends:
            return buffer
        blank = bytearray(buffer)
        for offset, terminator in self._blank_ends:
            start = offset - base
            if start < 0:
                continue
            opener, target = (b"<!--", b"") if terminator == b"-->" else (b"<?", b"x")
            inside = start + len(opener)
            end = blank.index(terminator, inside)
            lines = re.sub(rb"[^\r\n]", b" ", blank[inside + len(target) : end])
            blank[inside:end] = target + lines
        self._blank_ends.clear()
        return bytes(blank)

    def refusal(self, rule: str, message: str, line: int | None = None) -> UnreadableFileError:
        """The exception for a file that breaks `rule` here, or on `line`."""
        place = Where(self._file, line) if line else Where(self._file, *self._position())
        return UnreadableFileError(Problem(place, rule, message))

    def _position(self) -> tuple[int, int]:
        return self._parser.CurrentLineNumber, self._parser.CurrentColumnNumber + 1

    def _parse(self, block: bytes, *, last: bool) -> None:
        try:
            self._parser.Parse(block, last)
        except expat.ExpatError as error:
            raise self._refused_by_expat(error, block) from None
        except (LookupError, ValueError):  # how pyexpat says that it has no table for an encoding
            raise self._unknown_encoding() from None

    def _refused_by_expat(self, error: expat.ExpatError, block: bytes) -> UnreadableFileError:
        reason = expat.errors.messages[error.code]
        if reason in {expat.errors.XML_ERROR_UNKNOWN_ENCODING, expat.errors.XML_ERROR_INCORRECT_ENCODING}:
            return self._unknown_encoding()
        where = Where(self._file, error.lineno, error.offset + 1)
        if self._is_beyond_ascii(block, self._parser.ErrorByteIndex):
            message = f"holds bytes that are not {self.encoding}; ask for it in UTF-8, or with its encoding declared"
            return UnreadableFileError(Problem(where, "not-well-formed", message))
        message = f"is no XML from here on ({reason}); it is cut or damaged, ask the academy for the file again"
        return UnreadableFileError(Problem(where, "not-well-formed", message))

    def _is_beyond_ascii(self, block: bytes, offset: int) -> bool:
        """Whether the byte at that offset of the file is in this block, and none that every encoding shares."""
        at = offset - (self.bytes - len(block))
        return 0 <= at < len(block) and block[at] >= 0x80

    def _unknown_encoding(self) -> UnreadableFileError:
        return self.refusal("encoding", "the encoding is none that we read; ask for UTF-8 or ISO-8859-15")

    def _declaration(self, _version: str, encoding: str | None, _standalone: int) -> None:
        if encoding is None:
            return
        try:
            self.encoding = codecs.lookup(encoding).name
            superset = _PRINTABLE.decode(self.encoding) == _PRINTABLE.decode("ascii")
        except (LookupError, UnicodeError):
            superset = False
        if not superset:
            raise self._unknown_encoding()

    def _entity(self, *_declared: object) -> None:
        message = "declares an entity, which the format has no use for and which can do harm; ask for a file without"
        raise self.refusal("entity-declaration", message)

    def _element(self, name: str, _attributes: object) -> None:
        self._elements += 1
        if self._elements > 1:  # the header ends with the first record, and what is inside records is not ours
            self._parser.StartElementHandler = None
            return
        if name != ROOT:
            message = f"is no AAF file: its root element is not {ROOT}; remove it, or ask for the right one"
            raise self.refusal("envelope", message)
        self.root_at = self._parser.CurrentByteIndex

    def _comment(self, text: str) -> None:
        self._blank_ends.append((self._parser.CurrentByteIndex, b"-->"))
        if self._elements <= 1:
            self.versions.update(_VERSION.findall(text))

    def _instruction(self, _target: str, _text: str) -> None:
        self._blank_ends.append((self._parser.CurrentByteIndex, b"?>"))

    def _cdata_start(self) -> None:
        self._cdata_tail = ""
        self._parser.CharacterDataHandler = self._cdata_text

    def _cdata_text(self, text: str) -> None:
        text = self._cdata_tail + text
        if _RECORD_MARKUP.search(text):
            raise self.refusal("envelope", "a CDATA section holds the markup of records; ask for the file again")
        self._cdata_tail = text[-_MARKUP_TAIL:]

    def _cdata_end(self) -> None:
        self._parser.CharacterDataHandler = None
