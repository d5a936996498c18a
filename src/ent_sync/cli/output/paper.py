"""The two sheets that all output is drawn on: stdout for results, stderr for what is told beside them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TextIO, TypeAlias, cast

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from ent_sync.store.lease import Holder

Document: TypeAlias = Mapping[str, object]
Rows: TypeAlias = Sequence[Document]

_WIDE = 160


def sheet(stream: TextIO) -> Console:
    """A console that takes text as it is; wide where nobody's screen limits it."""
    return Console(file=stream, highlight=False, markup=False, emoji=False, width=None if stream.isatty() else _WIDE)


def show(document: object, draw: Callable[[Console], None], *, as_json: bool) -> None:
    """Print a document, or draw it."""
    if as_json:
        print(json.dumps(document, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None))  # noqa: T201
    else:
        draw(sheet(sys.stdout))


def tell(text: str) -> None:
    """Say something beside the result."""
    sheet(sys.stderr).print(text, soft_wrap=True)


def tell_error(text: str) -> None:
    """Say why the command ends."""
    sheet(sys.stderr).print(text, style="red", soft_wrap=True)


def tell_waiting(holder: Holder) -> None:
    """Say for whom we wait."""
    tell(f"Waiting for run {holder.run}, process {holder.process} on {holder.host}, which holds the lease.")


def table(console: Console, headings: Sequence[str], rows: Iterable[Sequence[object]], *, title: str = "") -> None:
    """Draw rows under headings; numbers to the right."""
    listed = [[_cell(value) for value in row] for row in rows]
    drawn = Table(box=None, pad_edge=False, header_style="bold", title=title or None, title_justify="left")
    for place, heading in enumerate(headings):
        numbers = bool(listed) and all(row[place].replace(",", "").isdigit() for row in listed)
        drawn.add_column(heading, justify="right" if numbers else "left", overflow="fold")
    for row in listed:
        drawn.add_row(*row)
    console.print(drawn)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def part(document: Document, name: str) -> Document:
    """A mapping inside a document."""
    found = document.get(name)
    return cast("Document", found) if isinstance(found, Mapping) else {}


def rows(document: Document, name: str) -> list[Document]:
    """A list of mappings inside a document."""
    found = document.get(name)
    return cast("list[Document]", list(found)) if isinstance(found, list | tuple) else []


def words(document: Document, name: str) -> list[str]:
    """A list of texts inside a document."""
    found = document.get(name)
    return [str(each) for each in found] if isinstance(found, list | tuple) else []


def number(document: Document, name: str) -> float:
    """A number inside a document."""
    found = document.get(name)
    return found if isinstance(found, int | float) else 0


def counted(count: float, one: str, many: str = "") -> str:
    """`1 record`, `2 records`."""
    return f"{int(count):,} {one if count == 1 else many or one + 's'}"
