"""The formats that synth writes, and what it asks of each."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from ent_sync.synth.faults import Outgoing


class Format(StrEnum):
    """The form of a delivery: XML files of the AAF, or LDIF of a directory of the national schema."""

    AAF = "aaf"
    LDIF = "ldif"


class Sink(Protocol):
    """Where the requests of one delivery go, in one format."""

    def write(self, outgoing: Outgoing) -> bool:
        """Write it, unless the format has no place for it; whether it was written."""
        ...

    def finish(self, final: Path) -> tuple[Path, ...]:
        """End the delivery, put it in its place, and tell its files; after an error nobody calls this."""
        ...

    def close(self) -> None:
        """Let go of what is open; may come twice."""
        ...
