"""Writes the AAF envelope of both degrees, request by request (aaf.md §1, §2).

Streams: nothing but the request in hand is in memory. Knows the shape of the files and no attribute of them; what goes
in, and to whom, is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from ent_sync.wire.aaf.names import FileKind

Attributes = Iterable[tuple[str, Sequence[str]]]
"""Names and values in the order of the file; a name without a value is written as one empty `value`."""

ROOT = "ficAlimMENESR"
DTD_NAME = "ficAlimMENESR.dtd"
DTD = """\
<!ELEMENT ficAlimMENESR (addRequest | modifyRequest | deleteRequest)*>
<!ELEMENT addRequest (operationalAttributes, identifier, attributes)>
<!ELEMENT modifyRequest (operationalAttributes, identifier, modifications)>
<!ELEMENT deleteRequest (operationalAttributes, identifier)>
<!ELEMENT operationalAttributes (attr)>
<!ELEMENT identifier (id)>
<!ELEMENT id (#PCDATA)>
<!ELEMENT attributes (attr+)>
<!ELEMENT attr (value+)>
<!ATTLIST attr name CDATA #REQUIRED>
<!ELEMENT modifications (modification+)>
<!ELEMENT modification (value+)>
<!ATTLIST modification name CDATA #REQUIRED operation CDATA #REQUIRED>
<!ELEMENT value (#PCDATA)>
"""


class RequestKind(StrEnum):
    """What a request asks for; the element's name."""

    ADD = "addRequest"
    MODIFY = "modifyRequest"
    DELETE = "deleteRequest"


# The category inside a file of subjects is not the token of its name (aaf.md §1).
_CATEGORIES = {
    FileKind.SCHOOLS: ("categorieStructure", "EtabEducNat"),
    FileKind.PROGRAMMES: ("categorieMef", "MefEducNat"),
    FileKind.SUBJECTS: ("categorieMatiere", "MatEducNat"),
    FileKind.PUPILS: ("categoriePersonne", "Eleve"),
    FileKind.GUARDIANS: ("categoriePersonne", "PersRelEleve"),
    FileKind.STAFF: ("categoriePersonne", "PersEducNat"),
}


def delivery_name(project: str, day: date, *, delta: bool) -> str:
    """The name that all files of a delivery begin with, and that its folder or archive bears."""
    return f"{project}_{'Delta' if delta else 'Complet'}_{day:%Y%m%d}"


def part_name(delivery: str, kind: FileKind, part: int) -> str:
    """The name of one part of a delivery; parts count from 0."""
    return f"{delivery}_{kind}_{part:04d}.xml"


def _escape(text: str) -> str:
    if "&" in text:
        text = text.replace("&", "&amp;")
    if "<" in text:
        text = text.replace("<", "&lt;").replace(">", "&gt;")
    if "'" in text:
        text = text.replace("'", "&apos;")
    return text


class AafWriter:
    """One file: a header, then requests as they come. Close it, or use it as a context, for a well-formed end.

    With `UTF-8` the bytes are ASCII and other letters are numeric references, as recent real files are; with another
    encoding the letters are themselves wherever it has them.
    """

    def __init__(
        self, stream: BinaryIO, kind: FileKind, *, versions: Sequence[tuple[str, str]] = (), encoding: str = "UTF-8"
    ) -> None:
        self._stream = stream
        self._codec = "ascii" if encoding.upper() == "UTF-8" else encoding
        name, category = _CATEGORIES[kind]
        self._operational = (
            f'<operationalAttributes><attr name="{name}"><value>{category}</value></attr></operationalAttributes>\n'
            "<identifier><id>"
        )
        self._write(f'<?xml version="1.0" encoding="{encoding}"?>\n<!DOCTYPE {ROOT} SYSTEM "{DTD_NAME}">\n')
        self._write("".join(f'<!-- {name}="{value}" -->\n' for name, value in versions))
        self._write(f"<{ROOT}>\n")

    def add(self, key: str, attributes: Attributes) -> None:
        """A full record."""
        lines = [f"<addRequest>\n{self._operational}{_escape(key)}</id></identifier>\n<attributes>\n"]
        for name, values in attributes:
            lines.append(f'<attr name="{name}">{_values(values)}</attr>\n')
        lines.append("</attributes>\n</addRequest>\n")
        self._write("".join(lines))

    def modify(self, key: str, attributes: Attributes) -> None:
        """The attributes that replace those of a known record; one without a value says "now empty"."""
        lines = [f"<modifyRequest>\n{self._operational}{_escape(key)}</id></identifier>\n<modifications>\n"]
        for name, values in attributes:
            lines.append(f'<modification name="{name}" operation="replace">{_values(values)}</modification>\n')
        lines.append("</modifications>\n</modifyRequest>\n")
        self._write("".join(lines))

    def delete(self, key: str) -> None:
        """A known record is no more; nothing but its id is told."""
        self._write(f"<deleteRequest>\n{self._operational}{_escape(key)}</id></identifier>\n</deleteRequest>\n")

    def close(self) -> None:
        """Ends the document and closes the stream."""
        if not self._stream.closed:
            self._write(f"</{ROOT}>\n")
            self._stream.close()

    def _write(self, text: str) -> None:
        self._stream.write(text.encode(self._codec, "xmlcharrefreplace"))


def _values(values: Sequence[str]) -> str:
    if len(values) == 1:
        (value,) = values
        return f"<value>{_escape(value)}</value>" if value else "<value/>"
    return "".join([f"<value>{_escape(value)}</value>" if value else "<value/>" for value in values]) or "<value/>"


class PartedWriter:
    """The files of one kind: a new part after every `part_size` requests, and at least one part, be it empty."""

    def __init__(
        self,
        folder: Path,
        delivery: str,
        kind: FileKind,
        *,
        part_size: int,
        versions: Sequence[tuple[str, str]] = (),
        encoding: str = "UTF-8",
    ) -> None:
        self.files: list[Path] = []
        self.written = 0
        self._folder, self._delivery, self._kind = folder, delivery, kind
        self._part_size, self._versions, self._encoding = part_size, versions, encoding
        self._current = self._open()

    def add(self, key: str, attributes: Attributes) -> None:
        """As `AafWriter.add`."""
        self._next().add(key, attributes)

    def modify(self, key: str, attributes: Attributes) -> None:
        """As `AafWriter.modify`."""
        self._next().modify(key, attributes)

    def delete(self, key: str) -> None:
        """As `AafWriter.delete`."""
        self._next().delete(key)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._current.close()

    def _next(self) -> AafWriter:
        if self.written and self.written % self._part_size == 0:
            self._current.close()
            self._current = self._open()
        self.written += 1
        return self._current

    def _open(self) -> AafWriter:
        path = self._folder / part_name(self._delivery, self._kind, len(self.files))
        self.files.append(path)
        return AafWriter(path.open("wb"), self._kind, versions=self._versions, encoding=self._encoding)
