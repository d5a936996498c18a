"""AAF deliveries for tests: people told in a line each, written as the files of a complete delivery or a delta.

Whoever a test does not describe further has the names that follow from their id, so that a test says only what it is
about. Built on the writer of the format and on nothing of `synth`. Every person is invented.
"""

import datetime as dt
import shutil
import tarfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ent_sync.wire.aaf.names import FileKind
from ent_sync.wire.aaf.write import AafWriter, delivery_name, part_name

# What stands after the guardian's key in a pupil's link of the second degree: type, financial, legal, contact, payment.
LEGAL = "10$1$1$1$1"
IN_CHARGE = "39$0$2$1$0"
CONTACT = "39$0$0$1$0"
SELF = "70$0$0$0$0"

KINDS = tuple(FileKind)


@dataclass(frozen=True)
class Told:
    """One record as a delivery would hold it."""

    kind: FileKind
    id: str
    attributes: Mapping[str, tuple[str, ...]]

    def but(self, **attributes: Sequence[str] | str) -> "Told":
        """The same record with other values of some AAF attributes; an empty one says "now empty"."""
        return replace(self, attributes={**self.attributes, **{name: _many(each) for name, each in attributes.items()}})

    def only(self, *names: str) -> "Told":
        """The same record with some AAF attributes only, for a partial modify request."""
        return replace(self, attributes={name: self.attributes[name] for name in names})


def _many(values: Sequence[str] | str) -> tuple[str, ...]:
    return (values,) if isinstance(values, str) else tuple(values)


def _told(kind: FileKind, id_: str, joint: str, attributes: Mapping[str, Sequence[str] | str | None]) -> Told:
    found = {name: _many(each) for name, each in attributes.items() if each is not None and each != ()}
    return Told(kind, id_, {joint: (id_,), **found})


def school(id_: str = "1", *, uai: str = "0590001A", name: str = "CLG$DES ESSAIS$LILLE", classes=(), groups=()) -> Told:
    """A structure; `classes` and `groups` are written `code$label`."""
    return _told(
        FileKind.SCHOOLS,
        id_,
        "ENTStructureJointure",
        {
            "ENTStructureUAI": uai,
            "ENTStructureNomCourant": name,
            "ENTStructureClasses": classes,
            "ENTStructureGroupes": groups,
        },
    )


def pupil(
    id_: str,
    *,
    school: str = "1",
    classes: Sequence[str] = ("6A",),
    groups: Sequence[str] = (),
    guardians: Mapping[str, str] | None = None,
    ine: str | None = None,
    birth: str = "01/02/2013",
    family: str | None = None,
    given: str | None = None,
) -> Told:
    """A pupil of the second degree; `guardians` maps the guardian's id to the rest of the link."""
    return _told(
        FileKind.PUPILS,
        id_,
        "ENTPersonJointure",
        {
            "sn": family or f"FAMILLE-{id_}",
            "givenName": given or f"Prénom-{id_}",
            "ENTPersonDateNaissance": birth,
            "ENTEleveINE": ine,
            "ENTPersonStructRattach": school,
            "ENTEleveClasses": [f"{school}${code}" for code in classes],
            "ENTEleveGroupes": [f"{school}${code}" for code in groups],
            "ENTElevePersRelEleve": [f"{guardian}${link}" for guardian, link in (guardians or {}).items()],
        },
    )


def pupil_1d(
    id_: str,
    *,
    school: str = "1",
    classes: Mapping[str, str] | None = None,
    guardians: Mapping[str, str] | None = None,
    ine: str | None = None,
    birth: str = "01/02/2017",
) -> Told:
    """A pupil of the first degree; `classes` maps the class's id to its label, `guardians` the id to the link type."""
    return _told(
        FileKind.PUPILS,
        id_,
        "ENTPersonJointure",
        {
            "ENTPersonNom": f"FAMILLE-{id_}",
            "ENTPersonPrenom": f"Prénom-{id_}",
            "ENTPersonDateNaissance": birth,
            "ENTEleveINE": ine,
            "ENTPersonStructRattach": school,
            "ENTPersonClasses": [f"{school}$EL$ELEMENTAIRE${code}${label}" for code, label in (classes or {}).items()],
            "ENTEleveAutoriteParentale": [f"{guardian}${link}" for guardian, link in (guardians or {}).items()],
        },
    )


def guardian(
    id_: str, *, mail: str | None = None, sms: str | None = None, family: str | None = None, given: str | None = None
) -> Told:
    """A guardian, or another contact: what they are to a pupil stands in the pupil's link."""
    return _told(
        FileKind.GUARDIANS,
        id_,
        "ENTPersonJointure",
        {
            "sn": family or f"FAMILLE-{id_}",
            "givenName": given or f"Prénom-{id_}",
            "mail": mail,
            "ENTPersonMobileSMS": sms,
        },
    )


def guardian_1d(id_: str, *, mail: str | None = None) -> Told:
    """A guardian in a feed of the first degree."""
    return _told(
        FileKind.GUARDIANS,
        id_,
        "ENTPersonJointure",
        {"ENTPersonNom": f"FAMILLE-{id_}", "ENTPersonPrenom": f"Prénom-{id_}", "ENTPersonMail": mail},
    )


def staff(
    id_: str,
    *,
    functions: Sequence[tuple[str, str]] = (("1", "ENS"),),
    classes: Sequence[str] = (),
    heads: Sequence[str] = (),
    mail: str | None = None,
    family: str | None = None,
    given: str | None = None,
) -> Told:
    """Staff; `functions` are pairs of school and function code, `classes` and `heads` are written `school$code`."""
    return _told(
        FileKind.STAFF,
        id_,
        "ENTPersonJointure",
        {
            "sn": family or f"FAMILLE-{id_}",
            "givenName": given or f"Prénom-{id_}",
            "mail": mail,
            "ENTPersonFonctions": [f"{where}${code}$LIBELLE$L1300$MATHEMATIQUES" for where, code in functions],
            "ENTAuxEnsClassesMatieres": [f"{each}$061300" for each in classes],
            "ENTAuxEnsClassesPrincipal": list(heads),
        },
    )


def village(size: int = 3, *, first: int = 100) -> list[Told]:
    """A school with so many pupils, a guardian each, and a teacher: enough to be a delivery."""
    pupils = [pupil(str(first + n), guardians={str(first + 100_000 + n): LEGAL}) for n in range(size)]
    return [
        school(),
        *pupils,
        *(guardian(str(first + 100_000 + n)) for n in range(size)),
        staff("9", classes=["1$6A"]),
    ]


def without(people: Iterable[Told], *ids: str) -> list[Told]:
    """Everybody but those."""
    return [each for each in people if each.id not in ids]


def changed(people: Iterable[Told], *others: Told) -> list[Told]:
    """Everybody, with those records in the place of theirs; who is new comes last."""
    by_name = {(each.kind, each.id): each for each in people}
    by_name.update({(each.kind, each.id): each for each in others})
    return list(by_name.values())


# -- files -------------------------------------------------------------------------------------------------------------


def write_complete(
    root: Path,
    day: dt.date,
    people: Iterable[Told],
    *,
    project: str = "ENT",
    part_size: int = 10_000,
    kinds: Sequence[FileKind] = KINDS,
) -> Path:
    """The folder of a complete delivery with a file of each kind, and more where `part_size` says so."""
    people = list(people)
    folder = root / delivery_name(project, day, delta=False)
    folder.mkdir(parents=True, exist_ok=True)
    for kind in kinds:
        records = [each for each in people if each.kind is kind]
        for part, start in enumerate(range(0, max(len(records), 1), part_size)):
            path = folder / part_name(folder.name, kind, part)
            with path.open("wb") as stream:
                writer = AafWriter(stream, kind)
                for each in records[start : start + part_size]:
                    writer.add(each.id, each.attributes.items())
                writer.close()
    return folder


def write_delta(
    root: Path,
    day: dt.date,
    *,
    add: Sequence[Told] = (),
    modify: Sequence[Told] = (),
    delete: Sequence[Told] = (),
    requests: Sequence[tuple[str, Told]] = (),
    project: str = "ENT",
) -> Path:
    """The folder of a delta; `requests` come first, in their order, as pairs of `add`, `modify`, `delete` and whom."""
    requests = [
        *requests,
        *(("add", each) for each in add),
        *(("modify", each) for each in modify),
        *(("delete", each) for each in delete),
    ]
    folder = root / delivery_name(project, day, delta=True)
    folder.mkdir(parents=True, exist_ok=True)
    for kind in KINDS:
        about = [(verb, each) for verb, each in requests if each.kind is kind]
        if about:
            with (folder / part_name(folder.name, kind, 0)).open("wb") as stream:
                writer = AafWriter(stream, kind)
                for verb, each in about:
                    if verb == "delete":
                        writer.delete(each.id)
                    elif verb == "modify":
                        writer.modify(each.id, each.attributes.items())
                    else:
                        writer.add(each.id, each.attributes.items())
                writer.close()
    return folder


def between(before: Iterable[Told], after: Iterable[Told]) -> list[tuple[str, Told]]:
    """The requests of the delta that leads from one population to another; changes come whole, as in real deltas."""
    old = {(each.kind, each.id): each for each in before}
    new = {(each.kind, each.id): each for each in after}
    found = [("add" if name not in old else "modify", each) for name, each in new.items() if old.get(name) != each]
    found = [(verb, _emptied(each, old[each.kind, each.id]) if verb == "modify" else each) for verb, each in found]
    return found + [("delete", each) for name, each in old.items() if name not in new]


def _emptied(now: Told, before: Told) -> Told:
    """What a record does not have any more is said to be empty."""
    return now.but(**{name: () for name in before.attributes if name not in now.attributes})


def zipped(folder: Path) -> Path:
    """The delivery as a zip archive in the place of its folder."""
    archive = folder.with_suffix(".zip")
    with zipfile.ZipFile(archive, "w") as opened:
        for path in sorted(folder.iterdir()):
            opened.write(path, f"{folder.name}/{path.name}")
    shutil.rmtree(folder)
    return archive


def tarred(folder: Path) -> Path:
    """The delivery as a tgz archive in the place of its folder."""
    archive = folder.with_suffix(".tgz")
    with tarfile.open(archive, "w:gz") as opened:
        opened.add(folder, folder.name)
    shutil.rmtree(folder)
    return archive


def loose(folder: Path) -> None:
    """The delivery as files beside each other, without its folder."""
    for path in folder.iterdir():
        path.rename(folder.parent / path.name)
    folder.rmdir()
