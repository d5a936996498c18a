"""The AAF source, against real files; what is its own beside the contract of sources."""

import datetime as dt
import os
import pickle
import shutil
from pathlib import Path

import pytest

from delivering import guardian, loose, pupil, school, staff, tarred, village, write_complete, write_delta, zipped
from ent_sync.core.errors import Problem, UnavailableError
from ent_sync.core.record import Population, Record
from ent_sync.ports import SourceContext, UnreadableError, Verb
from ent_sync.sources.aaf import AafSource
from ports.source_contract import FIRST, Giving, SourceContract, drained, opened

NOW = dt.datetime(2026, 9, 1, 6, tzinfo=dt.UTC)
WANTED = {each: frozenset({"sn", "givenName"}) for each in Population}
MAKE = {
    Population.SCHOOL: school,
    Population.PUPIL: pupil,
    Population.GUARDIAN: guardian,
    Population.STAFF: staff,
}


def aaf(folder: Path) -> AafSource:
    context = SourceContext(
        base=folder,
        spool=folder / "spool",
        now=lambda: NOW,
        wanted=WANTED,
        whole=lambda population, names: {"sn", "givenName"} <= set(names),
        digest=lambda name: name[:16],
    )
    section = AafSource.Settings(name="lille-2d", format="aaf", academy="LILLE", path=Path("in"))
    return AafSource(section, context)


class GivingFolders(Giving):
    """Lays a folder for each delivery."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "in"
        self.root.mkdir()
        self.source = aaf(folder)

    def complete(self, day, people):
        self.packed(write_complete(self.root, day, [MAKE[population](id_) for population, id_ in people]))

    def delta(self, day, requests):
        told = [(str(verb), MAKE[population](id_)) for verb, population, id_ in requests]
        told = [(verb, each.but(sn="NOUVEAU").only("sn") if verb == Verb.MODIFY else each) for verb, each in told]
        self.packed(write_delta(self.root, day, requests=told))

    def spoil(self, day):
        for path in self.root.rglob(f"*_Complet_{day:%Y%m%d}_Eleve_0000.xml"):
            path.write_bytes(path.read_bytes()[:-30])

    def vanish(self):
        shutil.rmtree(self.root)

    def packed(self, folder):
        """A folder stays as it is."""


class GivingLoose(GivingFolders):
    """Lays all files of all deliveries beside each other."""

    def packed(self, folder):
        for path in self.root.glob(f"{folder.name}_*"):
            path.unlink()
        loose(folder)


class GivingZips(GivingFolders):
    """Lays a zip archive for each delivery."""

    def packed(self, folder):
        zipped(folder)

    def spoil(self, day):
        (archive,) = self.root.glob(f"*_Complet_{day:%Y%m%d}.zip")
        shutil.unpack_archive(archive, self.root)
        archive.unlink()
        super().spoil(day)
        zipped(archive.with_suffix(""))


class GivingTars(GivingFolders):
    """Lays a tgz archive for each delivery."""

    def packed(self, folder):
        tarred(folder)

    def spoil(self, day):
        (archive,) = self.root.glob(f"*_Complet_{day:%Y%m%d}.tgz")
        shutil.unpack_archive(archive, self.root, "gztar", filter="data")
        archive.unlink()
        super().spoil(day)
        tarred(archive.with_suffix(""))


@pytest.mark.parametrize("giving", [GivingFolders, GivingLoose, GivingZips, GivingTars], indirect=True)
class TestAafSource(SourceContract):
    @pytest.fixture
    def giving(self, request, tmp_path):
        return request.param(tmp_path)


@pytest.fixture
def laid(tmp_path):
    """A source, and the folder in which it looks."""
    return GivingFolders(tmp_path)


def read_pupils(source):
    (delivery,) = source.deliveries(0.0)
    shard = next(each for each in source.shards(delivery) if each.population is Population.PUPIL)
    return drained(source, shard)


def test_shards_are_picklable(laid):
    write_complete(laid.root, FIRST, village())
    (delivery,) = laid.source.deliveries(0.0)

    shards = laid.source.shards(delivery)

    assert pickle.loads(pickle.dumps(shards)) == shards  # noqa: S301 - our own


def test_only_wanted_attributes_leave_the_reader(laid):
    write_complete(laid.root, FIRST, [pupil("100", ine="123456789AB")])

    (record,) = opened(read_pupils(laid.source)[1])

    assert isinstance(record, Record)
    assert dict(record.values) == {"sn": ("FAMILLE-100",), "givenName": ("Prénom-100",)}


def test_nomenclature_is_proven_and_gives_no_sightings(laid):
    write_complete(laid.root, FIRST, village())
    (delivery,) = laid.source.deliveries(0.0)
    (shard,) = [each for each in laid.source.shards(delivery) if "_MefEducNat_" in each.file]

    sightings, _, evidence = drained(laid.source, shard)

    assert (sightings, evidence.records) == ([], {})


def test_a_record_without_key_is_counted_in_the_evidence(laid):
    write_complete(laid.root, FIRST, [pupil(""), pupil("101")])

    sightings, _, evidence = read_pupils(laid.source)

    assert [each.key for each in sightings] == [None, "LILLE$101"]
    assert evidence.keyless == {Population.PUPIL: 1}


def test_a_bad_record_is_a_problem_and_the_rest_is_read(laid):
    write_complete(laid.root, FIRST, [pupil("100").but(ENTPersonJointure="7"), pupil("101")])

    bad, good = opened(read_pupils(laid.source)[1])

    assert isinstance(bad, Problem)
    assert good.key == "LILLE$101"


def test_a_file_that_is_still_written_is_not_read(laid):
    folder = write_complete(laid.root, FIRST, village())
    path = next(folder.glob("*_Eleve_*"))
    path.rename(path.with_name(path.name + ".part"))

    (delivery,) = laid.source.deliveries(0.0)

    assert not any("_Eleve_" in part.file for part in delivery.parts)


@pytest.mark.parametrize(("age", "found"), [(59, 0), (60, 1)])
def test_a_delivery_settles(laid, age, found):
    folder = write_complete(laid.root, FIRST, village())
    for path in folder.iterdir():
        os.utime(path, (NOW.timestamp() - age, NOW.timestamp() - age))

    assert len(laid.source.deliveries(60.0)) == found


def test_whatever_else_lies_there_is_no_delivery(laid):
    (laid.root / "lisez-moi.txt").write_text("bonjour")
    (laid.root / "ficAlimMENESR.dtd").write_text("")
    (laid.root / ".hidden").mkdir()

    assert list(laid.source.deliveries(0.0)) == []


def test_a_folder_that_may_not_be_read_makes_the_source_unavailable(laid, monkeypatch):
    """A listing that fails half-way would make a delivery look smaller than it is."""
    write_complete(laid.root, FIRST, village())

    def refuse(self, **_):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "stat", refuse)
    monkeypatch.setattr(Path, "is_dir", lambda self: not self.name.endswith(".xml"))

    with pytest.raises(UnavailableError):
        laid.source.deliveries(0.0)


def test_complete_and_delta_in_one_folder_are_two_deliveries(laid):
    folder = write_complete(laid.root, FIRST, village())
    for path in write_delta(laid.root, FIRST + dt.timedelta(days=1), add=[pupil("500")]).iterdir():
        path.rename(folder / path.name)

    assert [each.complete for each in laid.source.deliveries(0.0)] == [True, False]


def test_a_broken_archive_is_a_complete_delivery_that_cannot_be_read(laid):
    archive = zipped(write_complete(laid.root, FIRST, village()))
    archive.write_bytes(archive.read_bytes()[:100])
    (delivery,) = laid.source.deliveries(0.0)

    with pytest.raises(UnreadableError):
        laid.source.shards(delivery)

    assert (delivery.complete, delivery.date) == (True, FIRST)


def test_an_unpacked_archive_is_for_nobody_else(laid, tmp_path):
    zipped(write_complete(laid.root, FIRST, village()))
    (delivery,) = laid.source.deliveries(0.0)

    laid.source.shards(delivery)

    (unpacked,) = (tmp_path / "spool" / "lille-2d").iterdir()
    assert unpacked.stat().st_mode & 0o077 == 0


def test_forgetting_leaves_what_others_put_beside_it(laid):
    folder = write_complete(laid.root, FIRST, village())
    (folder / "lisez-moi.txt").write_text("gardez-moi")
    (delivery,) = laid.source.deliveries(0.0)

    laid.source.forget(delivery)

    assert [path.name for path in folder.iterdir()] == ["lisez-moi.txt"]
