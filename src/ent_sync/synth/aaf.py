"""The XML files of a synthetic delivery: parts by kind, the document type, and the faults of files."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from ent_sync.synth import faults
from ent_sync.synth.faults import Outgoing
from ent_sync.wire.aaf.names import FileKind
from ent_sync.wire.aaf.write import DTD, DTD_NAME, PartedWriter, RequestKind


class AafFiles:
    """Writes requests into the file of their kind, in a temporary folder until `finish`."""

    def __init__(
        self,
        folder: Path,
        name: str,
        kinds: Sequence[FileKind],
        *,
        part_size: int,
        versions: Sequence[tuple[str, str]],
        spoilt: Sequence[str],
    ) -> None:
        self._folder, self._spoilt, self._stack = folder, spoilt, ExitStack()
        encoding = "ISO-8859-15" if "iso-8859-15" in spoilt else "UTF-8"
        self._writers = {
            kind: self._stack.enter_context(
                PartedWriter(folder, name, kind, part_size=part_size, versions=versions, encoding=encoding)
            )
            for kind in kinds
        }

    def write(self, outgoing: Outgoing) -> bool:
        """Write it into the file of its kind."""
        writer = self._writers[outgoing.kind]
        if outgoing.request is RequestKind.ADD:
            writer.add(outgoing.key, outgoing.attributes)
        elif outgoing.request is RequestKind.MODIFY:
            writer.modify(outgoing.key, outgoing.attributes)
        else:
            writer.delete(outgoing.key)
        return True

    def close(self) -> None:
        """End the files."""
        self._stack.close()

    def finish(self, final: Path) -> tuple[Path, ...]:
        """Spoil what shall be spoilt, and put folder or archive in place."""
        self.close()
        (self._folder / DTD_NAME).write_text(DTD, encoding="ascii")
        faults.spoil_files(self._spoilt, self._folder)
        if "bad-archive" in self._spoilt:
            archive = self._folder.with_suffix(".zip")
            faults.cut_archive(self._folder, archive)
            archive.replace(final)
            return ()
        files = tuple(final / path.name for path in sorted(self._folder.glob("*.xml")))
        _put_in_place(self._folder, final)
        return files


def _put_in_place(temporary: Path, final: Path) -> None:
    """The new folder instead of an old one; for an instant there is none, never half of one."""
    if final.exists():
        old = final.with_name(f".{final.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        final.rename(old)
        temporary.rename(final)
        shutil.rmtree(old)
    else:
        temporary.rename(final)
