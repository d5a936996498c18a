"""The ways in which a delivery can be wrong, each on demand: some spoil records, some spoil the files.

Everything outside the fault stays as it was, so that a test can tell what it saw.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ent_sync.core.errors import UsageError
from ent_sync.wire.aaf.names import FileKind
from ent_sync.wire.aaf.write import ROOT, RequestKind

FAULTS: Mapping[str, str] = {
    "truncated-file": "the last file of pupils ends in its middle",
    "missing-part": "one file of pupils is missing from the numbering",
    "missing-kind": "there is no file of guardians",
    "duplicate-keys": "three pupils come twice, with another first name",
    "bad-encoding": "latin-1 bytes in the last file of pupils, which declares UTF-8",
    "entity-bomb": "entities that unfold to a billion words, in the last file of pupils",
    "external-entity": "an entity that asks for a file of the reader's machine, in the last file of pupils",
    "oversized-value": "a first name of a million letters",
    "out-of-order": "the delivery is dated 30 days earlier",
    "shrunken": "only 60 % of the pupils, and their guardians (complete deliveries)",
    "no-key": "a pupil without an id",
    "dangling-links": "5 % of the links to guardians lead nowhere",
    "iso-8859-15": "no fault, a shape: the files are in ISO-8859-15, and say so",
    "partial-modify": "some modify requests name only the one attribute that changed (deltas)",
    "unknown-attribute": "pupils have an attribute that no version of the format has",
    "unknown-keys": "as many modify requests again, and 40 more, for pupils whom nobody knows (deltas)",
    "bad-archive": "the delivery is a zip archive that was cut in its middle",
}
_OF_DELTAS = frozenset({"partial-modify", "unknown-keys"})
_OF_COMPLETES = frozenset({"shrunken"})
_GIVEN_NAMES = frozenset({"givenName", "ENTPersonPrenom"})
_LINKS = frozenset({"ENTElevePersRelEleve", "ENTEleveAutoriteParentale"})
_NOWHERE = 700_000_000


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Outgoing:
    """A request about to be written.

    Of a modify request, `before` is the record as it was, and `changed` names the attributes that it is about.
    """

    kind: FileKind
    request: RequestKind
    key: str
    attributes: Sequence[tuple[str, Sequence[str]]] = ()
    before: Sequence[tuple[str, Sequence[str]]] = ()
    changed: frozenset[str] = frozenset()


Spoiler = Callable[[Outgoing], Iterable[Outgoing]]


def check(names: Sequence[str], *, delta: bool) -> None:
    """Raises `UsageError` for a fault that does not exist, or not in this kind of delivery."""
    for name in names:
        if name not in FAULTS:
            raise UsageError(f"no fault is called {name!r}; there are: {', '.join(FAULTS)}")
        if name in (_OF_COMPLETES if delta else _OF_DELTAS):
            raise UsageError(f"the fault {name!r} is one of {'complete deliveries' if delta else 'deltas'}")


def spoilers(names: Sequence[str]) -> list[Spoiler]:
    """What spoils records, in the order of `names`."""
    return [_SPOILERS[name]() for name in names if name in _SPOILERS]


def spoil_files(names: Sequence[str], folder: Path) -> None:
    """Spoils the files of a delivery that is otherwise ready."""
    for name in names:
        if name in _FILE_FAULTS:
            _FILE_FAULTS[name](folder)


def cut_archive(folder: Path, archive: Path) -> None:
    """Packs a delivery and keeps the first half of the archive."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted(folder.iterdir()):
            # A fixed time, not the file's: the same request gives the same bytes.
            packed.writestr(zipfile.ZipInfo(f"{folder.name.lstrip('.')}/{path.name}"), path.read_bytes())
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])


def _is_pupil(outgoing: Outgoing) -> bool:
    return outgoing.kind is FileKind.PUPILS and bool(outgoing.attributes)


def _with_values(outgoing: Outgoing, names: frozenset[str], values: Sequence[str]) -> Outgoing:
    attributes = [(name, values if name in names else own) for name, own in outgoing.attributes]
    return replace(outgoing, attributes=attributes)


def _with_key(outgoing: Outgoing, key: str) -> Outgoing:
    return replace(_with_values(outgoing, frozenset({"ENTPersonJointure"}), (key,)), key=key)


def _duplicate_keys() -> Spoiler:
    turns = 0

    def spoil(outgoing: Outgoing) -> Iterator[Outgoing]:
        nonlocal turns
        yield outgoing
        if _is_pupil(outgoing) and turns < 3:
            turns += 1
            yield _with_values(outgoing, _GIVEN_NAMES, ("Double",))

    return spoil


def _oversized_value() -> Spoiler:
    turns = 0

    def spoil(outgoing: Outgoing) -> Iterator[Outgoing]:
        nonlocal turns
        if _is_pupil(outgoing) and turns == 0:
            turns += 1
            outgoing = _with_values(outgoing, _GIVEN_NAMES, ("A" * 1_000_000,))
        yield outgoing

    return spoil


def _no_key() -> Spoiler:
    turns = 0

    def spoil(outgoing: Outgoing) -> Iterator[Outgoing]:
        nonlocal turns
        if _is_pupil(outgoing):
            turns += 1
            if turns == 1:
                outgoing = _with_key(outgoing, "")
        yield outgoing

    return spoil


def _dangling_links() -> Spoiler:
    links = 0

    def lost(link: str) -> str:
        nonlocal links
        links += bool(link)
        key, *rest = link.split("$")
        return "$".join((str(int(key) + _NOWHERE), *rest)) if link and links % 20 == 1 else link

    def spoil(outgoing: Outgoing) -> Iterator[Outgoing]:
        if _is_pupil(outgoing):
            attributes = [
                (name, [lost(value) for value in values] if name in _LINKS else values)
                for name, values in outgoing.attributes
            ]
            outgoing = replace(outgoing, attributes=attributes)
        yield outgoing

    return spoil


def _partial_modify() -> Spoiler:
    def spoil(outgoing: Outgoing) -> Iterator[Outgoing]:
        # Only where one attribute changed: then the partial request still says all there is to say.
        if outgoing.request is RequestKind.MODIFY and len(outgoing.changed) == 1:
            attributes = [(name, values) for name, values in outgoing.attributes if name in outgoing.changed]
            outgoing = replace(outgoing, attributes=attributes)
        yield outgoing

    return spoil


def _unknown_attribute() -> Spoiler:
    def spoil(outgoing: Outgoing) -> Iterator[Outgoing]:
        if _is_pupil(outgoing):
            outgoing = replace(outgoing, attributes=[*outgoing.attributes, ("ENTEleveNouveaute", ("2699",))])
        yield outgoing

    return spoil


def _unknown_keys() -> Spoiler:
    strangers = 0

    def stranger(outgoing: Outgoing) -> Outgoing:
        nonlocal strangers
        strangers += 1
        return replace(_with_key(outgoing, str(_NOWHERE + strangers)), request=RequestKind.MODIFY)

    def spoil(outgoing: Outgoing) -> Iterator[Outgoing]:
        yield outgoing
        if _is_pupil(outgoing):
            for _ in range(40 if strangers == 0 else 0):
                yield stranger(outgoing)
            if outgoing.request is RequestKind.MODIFY:
                yield stranger(outgoing)

    return spoil


_SPOILERS: Mapping[str, Callable[[], Spoiler]] = {
    "duplicate-keys": _duplicate_keys,
    "oversized-value": _oversized_value,
    "no-key": _no_key,
    "dangling-links": _dangling_links,
    "partial-modify": _partial_modify,
    "unknown-attribute": _unknown_attribute,
    "unknown-keys": _unknown_keys,
}


def _pupil_files(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*_{FileKind.PUPILS}_[0-9][0-9][0-9][0-9].xml"))


def _truncate_file(folder: Path) -> None:
    path = _pupil_files(folder)[-1]
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def _remove_part(folder: Path) -> None:
    """One in the middle where there is one: a last part that lacks leaves no gap."""
    files = _pupil_files(folder)
    files[min(1, max(0, len(files) - 2))].unlink()


def _remove_kind(folder: Path) -> None:
    for path in folder.glob(f"*_{FileKind.GUARDIANS}_*.xml"):
        path.unlink()


def _mix_encodings(folder: Path) -> None:
    path = _pupil_files(folder)[-1]
    mixed = re.sub(
        rb"&#(\d+);",
        lambda reference: bytes([int(reference[1])]) if int(reference[1]) < 256 else reference[0],
        path.read_bytes(),
    )
    # One at least, however few the accents are.
    path.write_bytes(mixed.replace(b"<attributes>", b"<!-- \xe9 --><attributes>", 1))


def _declare(entities: str, use: str) -> Callable[[Path], None]:
    """Declares entities in the document type, and uses one in the first value of an attribute."""

    def spoil(folder: Path) -> None:
        path = _pupil_files(folder)[-1]
        content = path.read_text(encoding="ascii", errors="surrogateescape")
        content = re.sub(r"<!DOCTYPE [^>]*>", lambda _: f"<!DOCTYPE {ROOT} [\n{entities}]>", content, count=1)
        for given in _GIVEN_NAMES:
            content = re.sub(f'(name="{given}"[^>]*><value>)', rf"\g<1>&{use};", content, count=1)
        path.write_text(content, encoding="ascii", errors="surrogateescape", newline="")

    return spoil


_BOMB = '<!ENTITY w0 "lol">\n' + "".join(f'<!ENTITY w{depth} "{f"&w{depth - 1};" * 10}">\n' for depth in range(1, 10))
_FILE_FAULTS: Mapping[str, Callable[[Path], None]] = {
    "truncated-file": _truncate_file,
    "missing-part": _remove_part,
    "missing-kind": _remove_kind,
    "bad-encoding": _mix_encodings,
    "entity-bomb": _declare(_BOMB, "w9"),
    "external-entity": _declare('<!ENTITY secret SYSTEM "file:///etc/hostname">\n', "secret"),
}
