import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from ent_sync.wire.archive import BrokenArchiveError, unpack


def tar(path: Path, mode: str, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, mode) as archive:
        for member, content in members:
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def zipped(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def special(kind: bytes, name: str = "a.xml") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type = kind
    member.linkname = "/etc/passwd"
    return member


@pytest.fixture
def into(tmp_path: Path) -> Path:
    folder = tmp_path / "into"
    folder.mkdir()
    return folder


def refused(archive: Path, into: Path, **limits: int) -> str:
    with pytest.raises(BrokenArchiveError) as caught:
        unpack(archive, into, **limits)
    return caught.value.problem.rule


@pytest.mark.parametrize(
    ("name", "mode"), [("d.tar", "w:"), ("d.tar.gz", "w:gz"), ("d.tgz", "w:gz"), ("misnamed.zip", "w:gz")]
)
def test_a_tar_is_unpacked(tmp_path, into, name, mode):
    folder = tarfile.TarInfo("./")
    folder.type = tarfile.DIRTYPE
    archive = tar(
        tmp_path / name, mode, (folder, b""), (tarfile.TarInfo("./a.xml"), b"A"), (tarfile.TarInfo("x/y/b.xml"), b"B")
    )

    written = unpack(archive, into)

    assert [(path.relative_to(into).as_posix(), path.read_bytes()) for path in written] == [
        ("a.xml", b"A"),
        ("x/y/b.xml", b"B"),
    ]


def test_a_zip_is_unpacked(tmp_path, into):
    archive = zipped(tmp_path / "d.zip", ("x/", b""), ("x/a.xml", b"A"), ("b.xml", b"B" * 3_000_000))

    written = unpack(archive, into)

    assert [(path.relative_to(into).as_posix(), path.stat().st_size) for path in written] == [
        ("x/a.xml", 1),
        ("b.xml", 3_000_000),
    ]


def test_files_are_readable_for_the_owner_only(tmp_path, into):
    archive = zipped(tmp_path / "d.zip", ("x/a.xml", b"A"))

    (path,) = unpack(archive, into)

    assert (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode)) == (0o600, 0o700)


@pytest.mark.parametrize("name", ["/a.xml", "../a.xml", "x/../../a.xml", "x\\a.xml"])
def test_a_name_that_leads_outside_is_refused(tmp_path, into, name):
    in_zip = zipped(tmp_path / "d.zip", (name, b"A"))
    in_tar = tar(tmp_path / "d.tar", "w:", (tarfile.TarInfo(name), b"A"))

    assert {refused(in_zip, into), refused(in_tar, into)} == {"archive-name"}


def test_a_name_that_comes_twice_is_refused(tmp_path, into):
    archive = tar(tmp_path / "d.tar", "w:", (tarfile.TarInfo("a.xml"), b"A"), (tarfile.TarInfo("./a.xml"), b"B"))

    assert refused(archive, into) == "archive-name"


def test_a_file_that_is_there_already_is_left_alone(tmp_path, into):
    (into / "a.xml").write_bytes(b"old")

    with pytest.raises(BrokenArchiveError):
        unpack(zipped(tmp_path / "d.zip", ("a.xml", b"new")), into)

    assert (into / "a.xml").read_bytes() == b"old"


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_anything_but_files_in_a_tar_is_refused(tmp_path, into, kind):
    assert refused(tar(tmp_path / "d.tar", "w:", (special(kind), b"")), into) == "archive-member"


def test_a_link_in_a_zip_is_refused(tmp_path, into):
    link = zipfile.ZipInfo("a.xml")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16

    assert refused(zipped(tmp_path / "d.zip", (link, b"/etc/passwd")), into) == "archive-member"


def test_too_many_members_are_refused(tmp_path, into):
    archive = zipped(tmp_path / "d.zip", ("a.xml", b"A"), ("b.xml", b"B"), ("c.xml", b"C"))

    assert refused(archive, into, max_members=2) == "archive-size"


@pytest.mark.parametrize("kind", ["zip", "tgz"])
def test_more_bytes_than_allowed_are_refused(tmp_path, into, kind):
    content = bytes(range(256)) * 40
    if kind == "zip":
        archive = zipped(tmp_path / "d.zip", ("a.xml", content))
    else:
        archive = tar(tmp_path / "d.tgz", "w:gz", (tarfile.TarInfo("a.xml"), content))

    assert refused(archive, into, max_bytes=10_000) == "archive-size"


def test_an_archive_that_unpacks_to_a_multiple_of_its_size_is_refused(tmp_path, into):
    archive = zipped(tmp_path / "d.zip", ("a.xml", bytes(70 << 20)))

    assert refused(archive, into) == "archive-size"


def test_a_header_that_wants_all_memory_is_refused(tmp_path, into):
    header = tarfile.TarInfo("long")
    header.type = tarfile.XHDTYPE
    archive = tar(tmp_path / "d.tgz", "w:gz", (header, bytes(9 << 20)), (tarfile.TarInfo("a.xml"), b"A"))

    assert refused(archive, into) == "archive-size"


@pytest.mark.parametrize("mode", ["w:", "w:gz"])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_cut_tar_is_refused(tmp_path, into, mode, share):
    members = [(tarfile.TarInfo(f"{number}.xml"), bytes([number]) * 20_000) for number in range(5)]
    archive = tar(tmp_path / "d.tar", mode, *members)
    content = archive.read_bytes()
    archive.write_bytes(content[: int(len(content) * share)])

    assert refused(archive, into) == "archive-broken"


def test_a_tar_cut_between_two_members_is_refused(tmp_path, into):
    archive = tar(tmp_path / "d.tar", "w:", (tarfile.TarInfo("a.xml"), b"A"), (tarfile.TarInfo("b.xml"), b"B"))
    archive.write_bytes(archive.read_bytes()[:1024])

    assert refused(archive, into) == "archive-broken"


def test_a_cut_or_damaged_zip_is_refused(tmp_path, into):
    archive = zipped(tmp_path / "d.zip", ("a.xml", b"A" * 5000))
    content = archive.read_bytes()
    archive.write_bytes(content[:-10])
    damaged = tmp_path / "e.zip"
    damaged.write_bytes(content[:40] + b"\xff" + content[41:])

    assert {refused(archive, into), refused(damaged, into)} == {"archive-broken"}


def test_something_else_is_refused(tmp_path, into):
    (tmp_path / "d.zip").write_bytes(b"<ficAlimMENESR/>")

    assert refused(tmp_path / "d.zip", into) == "archive-kind"


def test_a_refused_archive_leaves_no_file(tmp_path, into):
    archive = zipped(tmp_path / "d.zip", ("x/a.xml", b"A"), ("../b.xml", b"B"))

    refused(archive, into)

    assert [path for path in into.rglob("*") if path.is_file()] == []
