"""Deliveries whose files cannot be trusted: nothing of them is used, and the reason is told."""

from __future__ import annotations

import json
import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from spoiled import HEAD, Answer, Delivered, Installation

DOCTYPE = '<!DOCTYPE ficAlimMENESR SYSTEM "ficAlimMENESR.dtd">'
STAFF = f"{HEAD}_PersEducNat_0000.xml"
PUPILS = f"{HEAD}_Eleve_0000.xml"
GUARDIANS = f"{HEAD}_PersRelEleve_0000.xml"

Directory = list[tuple[Any, ...]]


def assert_nothing_used(place: Installation, answer: Answer, before: Directory) -> None:
    """The delivery is held, the cursor stays, and the ENT's directory is what it was."""
    status = json.loads(place("status", "--json").out)
    assert (answer.code, answer.run["outcome"]) == (4, "held")
    assert answer.guards == {("completeness", "lille-2d")}
    assert not any(answer.run["applied"].values())
    assert place.directory == before
    assert status["sources"][0]["cursor"] == "2026-11-20"


def packed(delivered: Delivered, archive: Path, **more: bytes) -> None:
    """The delivery as a zip archive, instead of the folder."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        for path in delivered.path.iterdir():
            zipped.write(path, f"{delivered.path.name}/{path.name}")
        for name, content in more.items():
            zipped.writestr(name, content)
    shutil.rmtree(delivered.path)


# -- what is missing ---------------------------------------------------------------------------------------------------


def test_a_truncated_file_holds_the_delivery(place: Installation, before: Directory) -> None:
    pupils = place.deliver().file("pupil")
    content = pupils.read_bytes()
    pupils.write_bytes(content[: content.index(b"<id>1000100</id>")])
    line = pupils.read_bytes().count(b"\n") + 1

    answer = place.sync()

    assert answer.reason.startswith(f"{PUPILS}:{line}:")
    assert answer.reason.endswith("it is cut or damaged, ask the academy for the file again")
    assert_nothing_used(place, answer, before)


def test_a_truncated_file_is_held_again_until_it_is_replaced(place: Installation, before: Directory) -> None:
    pupils = place.deliver().file("pupil")
    content = pupils.read_bytes()
    pupils.write_bytes(content[:-100])
    codes = [place.sync().code, place.sync().code]
    pupils.write_bytes(content)

    codes.append(place.sync().code)

    assert codes == [4, 4, 0]
    assert place.directory == before


def test_a_part_missing_from_the_numbering_holds_the_delivery(place: Installation, before: Directory) -> None:
    delivered = place.deliver()
    records = delivered.records("pupil")
    shutil.copy(delivered.file("pupil"), delivered.file("pupil", 2))
    delivered.keep("pupil", records[:150])

    answer = place.sync()

    assert answer.reason == (
        f"{HEAD}: part 0001 of ENT2DVA_LILLE_Eleve is missing (parts go up to 0002). Ask the academy for the file, "
        "or wait for the next complete delivery"
    )
    assert_nothing_used(place, answer, before)


def test_a_missing_kind_of_file_holds_the_delivery(place: Installation, before: Directory) -> None:
    place.deliver().file("guardian").unlink()

    answer = place.sync()

    assert answer.reason == (
        f"{HEAD}: holds no guardian record; a complete delivery has schools, pupils, guardians and staff. "
        "Ask the academy for the whole delivery"
    )
    assert_nothing_used(place, answer, before)


def test_missing_nomenclature_is_no_fault(place: Installation, before: Directory) -> None:
    delivered = place.deliver()
    delivered.file("MatiereEducNat").unlink()
    delivered.file("MefEducNat").unlink()

    answer = place.sync()

    assert (answer.code, answer.run["reasons"]) == (0, [])
    assert place.directory == before


def test_an_empty_file_holds_the_delivery(place: Installation, before: Directory) -> None:
    place.deliver().file("guardian").write_bytes(b"")

    answer = place.sync()

    assert answer.reason == f"{GUARDIANS}: is empty; ask the academy for the file again"
    assert_nothing_used(place, answer, before)


def test_a_population_without_a_record_holds_the_delivery(place: Installation, before: Directory) -> None:
    place.deliver().keep("staff", [])

    answer = place.sync()

    assert answer.reason.startswith(f"{HEAD}: holds no staff record")
    assert_nothing_used(place, answer, before)


# -- what is no XML of the format --------------------------------------------------------------------------------------


def test_a_file_that_is_no_xml_holds_the_delivery(place: Installation, before: Directory) -> None:
    place.deliver().file("staff").write_bytes(b"KEY;NAME\n1;X\n")

    answer = place.sync()

    assert answer.reason.startswith(f"{STAFF}:1:4: is no XML from here on")
    assert_nothing_used(place, answer, before)


def test_a_file_with_another_root_holds_the_delivery(place: Installation, before: Directory) -> None:
    place.deliver().file("staff").write_bytes(b"<html><body/></html>")

    answer = place.sync()

    assert answer.reason == (
        f"{STAFF}:1:1: is no AAF file: its root element is not ficAlimMENESR; remove it, or ask for the right one"
    )
    assert_nothing_used(place, answer, before)


def test_bytes_that_are_no_utf8_hold_the_delivery(place: Installation, before: Directory) -> None:
    delivered = place.deliver()
    delivered.edit("staff", b'"sn"><value>', b'"sn"><value>\xff\xfe')
    line = delivered.line("staff", '"sn"')

    answer = place.sync()

    assert answer.reason.startswith(f"{STAFF}:{line}:")
    assert answer.reason.endswith("holds bytes that are not utf-8; ask for it in UTF-8, or with its encoding declared")
    assert_nothing_used(place, answer, before)


def test_latin_1_without_a_declaration_holds_the_delivery(place: Installation, before: Directory) -> None:
    delivered = place.deliver()
    delivered.edit("staff", b'<?xml version="1.0" encoding="UTF-8"?>\n', b"")
    delivered.edit("staff", b'"sn"><value>', '"sn"><value>É'.encode("latin-1"))

    answer = place.sync()

    assert answer.reason.endswith("holds bytes that are not utf-8; ask for it in UTF-8, or with its encoding declared")
    assert_nothing_used(place, answer, before)


def test_declared_latin_1_is_no_fault(place: Installation, before: Directory) -> None:
    delivered = place.deliver()
    delivered.edit("staff", 'encoding="UTF-8"', 'encoding="ISO-8859-15"')
    delivered.edit("staff", b"&#201;", b"\xc9", count=-1)

    answer = place.sync()

    assert (answer.code, answer.run["reasons"]) == (0, [])
    assert place.directory == before


@pytest.mark.parametrize("encoding", ["EBCDIC-CP-FR", "UTF-7", "no-such"])
def test_an_encoding_that_nobody_reads_holds_the_delivery(
    place: Installation, before: Directory, encoding: str
) -> None:
    place.deliver().edit("staff", 'encoding="UTF-8"', f'encoding="{encoding}"')

    answer = place.sync()

    assert answer.reason == f"{STAFF}:1:1: the encoding is none that we read; ask for UTF-8 or ISO-8859-15"
    assert_nothing_used(place, answer, before)


# -- what is meant to do harm ------------------------------------------------------------------------------------------


def test_an_entity_bomb_holds_the_delivery(place: Installation, before: Directory) -> None:
    bomb = '<!ENTITY w0 "lol">\n' + "".join(f'<!ENTITY w{n} "{f"&w{n - 1};" * 10}">\n' for n in range(1, 10))
    delivered = place.deliver()
    delivered.edit("staff", DOCTYPE, f"<!DOCTYPE ficAlimMENESR [\n{bomb}]>")
    delivered.edit("staff", b'"sn"><value>', b'"sn"><value>&w9;')

    answer = place.sync()

    assert answer.reason.startswith(f"{STAFF}:3:")
    assert answer.reason.endswith(
        "declares an entity, which the format has no use for and which can do harm; ask for a file without"
    )
    assert_nothing_used(place, answer, before)


def test_an_external_entity_holds_the_delivery_and_its_file_is_not_read(
    place: Installation, before: Directory, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("what-nobody-may-read")
    delivered = place.deliver()
    delivered.edit("staff", DOCTYPE, f'<!DOCTYPE ficAlimMENESR [<!ENTITY s SYSTEM "file://{secret}">]>')
    delivered.edit("staff", b'"sn"><value>', b'"sn"><value>&s;')

    answer = place.sync()

    written = [path for path in place.dir.rglob("*") if path.is_file() and b"what-nobody-may-read" in path.read_bytes()]
    assert answer.reason.endswith(
        "declares an entity, which the format has no use for and which can do harm; ask for a file without"
    )
    assert written == []
    assert_nothing_used(place, answer, before)


def test_a_document_type_that_lies_elsewhere_is_not_fetched_and_no_fault(
    place: Installation, before: Directory
) -> None:
    place.deliver().edit("staff", DOCTYPE, '<!DOCTYPE ficAlimMENESR SYSTEM "http://nowhere.invalid/ficAlimMENESR.dtd">')

    answer = place.sync()

    assert (answer.code, answer.run["reasons"]) == (0, [])
    assert place.directory == before


# -- archives ----------------------------------------------------------------------------------------------------------


def test_a_delivery_in_an_archive_is_no_fault_and_leaves_nothing_unpacked(
    place: Installation, before: Directory
) -> None:
    packed(place.deliver(), place.deliveries / "ENT2D.20261121.zip")

    answer = place.sync()

    assert answer.code == 0
    assert [path for path in (place.dir / "spool").rglob("*") if path.is_file()] == []
    assert place.directory == before


def test_a_damaged_zip_holds_the_delivery(place: Installation, before: Directory) -> None:
    archive = place.deliveries / "ENT2D.20261121.zip"
    packed(place.deliver(), archive)
    archive.write_bytes(archive.read_bytes()[:1000])

    answer = place.sync()

    assert answer.reason == (
        "ENT2D.20261121.zip: cannot be unpacked: it is damaged or cut short. Ask the academy for it again"
    )
    assert_nothing_used(place, answer, before)


def test_a_truncated_tgz_holds_the_delivery(place: Installation, before: Directory) -> None:
    delivered = place.deliver()
    archive = place.deliveries / "ENT2D.20261121.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(delivered.path, delivered.path.name)
    shutil.rmtree(delivered.path)
    archive.write_bytes(archive.read_bytes()[:-2000])

    answer = place.sync()

    assert answer.reason == (
        "ENT2D.20261121.tgz: cannot be unpacked: it is damaged or cut short. Ask the academy for it again"
    )
    assert_nothing_used(place, answer, before)


def test_an_archive_that_grows_beyond_measure_holds_the_delivery(place: Installation, before: Directory) -> None:
    with zipfile.ZipFile(place.deliveries / "ENT2D.20261121.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(PUPILS, b" " * (70 << 20))

    answer = place.sync()

    assert answer.reason == "ENT2D.20261121.zip: member 1: the archive unpacks to more than 200 times its size"
    assert [path for path in (place.dir / "spool").rglob("*") if path.is_file()] == []
    assert_nothing_used(place, answer, before)


def test_a_path_that_leads_out_of_an_archive_holds_the_delivery_and_writes_nothing(
    place: Installation, before: Directory
) -> None:
    stray = f"{HEAD}_Eleve_0001.xml"
    packed(place.deliver(), place.deliveries / "ENT2D.20261121.zip", **{f"../../../{stray}": b"<ficAlimMENESR/>"})

    answer = place.sync()

    assert answer.reason == "ENT2D.20261121.zip: member 8: a name in the archive leads outside of it"
    assert list(place.dir.parent.rglob(stray)) == []
    assert_nothing_used(place, answer, before)
