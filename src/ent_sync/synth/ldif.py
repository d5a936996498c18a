"""The LDIF of a synthetic delivery (RFC 2849): entries for slapadd, or for a delta change records for ldapmodify.

One file in the end, kind by kind; until then each kind has its own, so that a region streams.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from ent_sync.core.errors import UsageError
from ent_sync.synth.faults import Outgoing
from ent_sync.synth.national import Content, Directory
from ent_sync.wire.aaf.names import FileKind
from ent_sync.wire.aaf.write import RequestKind
from ent_sync.wire.ldap.ldif import record

FAULTS = frozenset({"shrunken", "dangling-links", "oversized-value", "missing-kind", "truncated-file"})
"""The faults that a directory can have, or that its file can."""

SUFFIX = ".ldif"
# In the order of the file. Programmes and subjects have no place in the schema.
_KINDS = (FileKind.SCHOOLS, FileKind.PUPILS, FileKind.GUARDIANS, FileKind.STAFF)


def check(names: Sequence[str]) -> None:
    """Raises `UsageError` for a fault that an LDIF cannot have."""
    for name in names:
        if name not in FAULTS:
            raise UsageError(f"the fault {name!r} is one of AAF files; an LDIF may have: {', '.join(sorted(FAULTS))}")


class LdifFile:
    """Writes records into a file of their kind in a temporary folder, and at `finish` all of them into one.

    Structures do not change between two deliveries of a region: a delta has none.
    """

    def __init__(
        self,
        folder: Path,
        directory: Directory,
        *,
        delta: bool,
        versions: Sequence[tuple[str, str]],
        spoilt: Sequence[str],
    ) -> None:
        self._folder, self._directory, self._delta, self._spoilt = folder, directory, delta, spoilt
        # No version line, which slapadd does not know; no empty line, after which it would miss a DN.
        self._head = "".join(f"# {name}: {value}\n" for name, value in versions)
        self._stack = ExitStack()
        kinds = [kind for kind in _KINDS if not (kind is FileKind.GUARDIANS and "missing-kind" in spoilt)]
        self._files = {
            kind: self._stack.enter_context(self._part(kind).open("w", encoding="ascii", newline="\n"))
            for kind in kinds
        }

    def write(self, outgoing: Outgoing) -> bool:
        """Write the entry, or how it changes; nothing where the entry stays as it is."""
        kind, key = outgoing.kind, outgoing.key
        file = self._files.get(kind)
        if file is None or (self._delta and kind is FileKind.SCHOOLS):
            return False
        if outgoing.request is RequestKind.DELETE:
            text = record(self._directory.dn(kind, key), _change(b"delete"))
        else:
            entry = self._directory.entry(kind, key, outgoing.attributes)
            if outgoing.request is RequestKind.ADD:
                text = record(entry.dn, (_change(b"add") if self._delta else {}) | _raw(entry.content))
            else:
                before = self._directory.entry(kind, key, outgoing.before)
                text = _modified(entry.dn, before.content, entry.content)
        file.write(text)
        return bool(text)

    def close(self) -> None:
        """End the files of the kinds."""
        self._stack.close()

    def finish(self, final: Path) -> tuple[Path, ...]:
        """All kinds in one file, put in place at once."""
        self.close()
        whole = self._folder / final.name
        with whole.open("w", encoding="ascii", newline="\n") as out:
            out.write(self._head)
            for top in () if self._delta else self._directory.top():
                out.write(record(top.dn, _raw(top.content)))
            for kind in self._files:
                with self._part(kind).open(encoding="ascii", newline="") as part:
                    shutil.copyfileobj(part, out)
        if "truncated-file" in self._spoilt:
            with whole.open("r+b") as file:
                file.truncate(whole.stat().st_size // 2)
        whole.replace(final)
        return (final,)

    def _part(self, kind: FileKind) -> Path:
        return self._folder / f"{kind}.part"


def _raw(content: Content) -> dict[str, list[bytes]]:
    return {name: [value.encode() for value in values] for name, values in content.items()}


def _change(kind: bytes) -> dict[str, list[bytes]]:
    """The line after the DN that says what a change record does; it looks like an attribute."""
    return {"changetype": [kind]}


def _modified(dn: str, before: Content, after: Content) -> str:
    """Each attribute that changed replaced by all its values, or by none; nothing where none changed."""
    names = dict.fromkeys((*after, *before))
    changed = [name for name in names if set(after.get(name, ())) != set(before.get(name, ()))]
    if not changed:
        return ""
    edits = [f"replace: {name}\n{_lines(_raw({name: after.get(name, ())}))}-\n" for name in changed]
    return "".join([record(dn, _change(b"modify"))[:-1], *edits, "\n"])


def _lines(content: dict[str, list[bytes]]) -> str:
    """The lines of attributes alone, without those of the DN and of the end."""
    return record("", content).partition("\n")[2][:-1]
