"""Rules 1 and 2 of the contract: what a run reads, and when a delivery is not used at all."""

import os
from zipfile import ZipFile

import pytest

from delivering import (
    LEGAL,
    FileKind,
    guardian,
    loose,
    pupil,
    staff,
    tarred,
    village,
    without,
    zipped,
)
from sync.installed import Installation, applied, changes, guards

# -- rule 1: what a run reads ------------------------------------------------------------------------------------------


def test_all_that_is_new_is_read_oldest_first(here):
    here.delta(2, modify=[pupil("100", classes=["6C"])])
    here.complete(1, village())
    here.delta(3, modify=[pupil("100", classes=["6D"])])

    here.sync()

    assert here.ask("SELECT group_id FROM members WHERE account = ?", here.account("LILLE$100")) == [
        ("0590001A$class$6D",)
    ]


def test_the_same_delivery_twice_changes_nothing(here):
    here.synced(1, village())
    before = here.views()

    again = here.sync()

    assert changes(again) == {}
    assert again.unchanged == 7
    assert here.views() == before


def test_the_same_people_in_the_next_delivery_change_nothing(here):
    here.synced(1, village())

    again = here.synced(2, village())

    assert (changes(again), again.unchanged, again.outcome) == ({}, 7, "done")


def test_a_register_that_admits_less_shows_in_the_next_run_with_nothing_new(here):
    """R19: narrowing cleans the accounts that are there."""
    here.synced(1, [*village(), staff("77", mail="x@example.org")])
    here.edit(
        "register.yaml",
        '    - {purpose: acc, populations: [teacher, staff], clock: k-live, why: "Professional',
        '    - {purpose: acc, populations: [staff], clock: k-live, why: "Professional',
    )

    result = here.sync()

    assert applied(result) == {"update": 1}
    assert here.ask("SELECT mail FROM accounts WHERE source_key = 'LILLE$77'") == [(None,)]


def test_a_mapping_that_changed_shows_in_the_next_run_with_nothing_new(here):
    here.synced(1, village())
    here.edit(
        "mappings/ent/pupil.yaml",
        "{from: [sn, ENTPersonNom], transforms: [trim]",
        "{from: [sn, ENTPersonNom], transforms: [trim, name-case]",
    )

    result = here.sync()

    assert applied(result) == {"update": 3}
    assert here.ask("SELECT family_name FROM accounts WHERE source_key = 'LILLE$100'") == [("Famille-100",)]


def test_a_mapping_that_reads_more_reads_the_newest_complete_delivery_and_its_deltas_again(here):
    """The snapshot holds what mappings read; for a new attribute, the files are asked, not the next delivery."""
    here.complete(1, [*village(), guardian("55", mail="x@example.org")])
    here.delta(2, add=[pupil("101", guardians={"55": LEGAL})])
    here.edit("mappings/ent/guardian.yaml", "from: [mail, ENTPersonMail]", "from: [ENTPersonMail]")
    here.sync()
    assert here.ask("SELECT mail FROM accounts WHERE source_key = 'LILLE$55'") == [(None,)]
    here.edit("mappings/ent/guardian.yaml", "from: [ENTPersonMail]", "from: [mail, ENTPersonMail]")

    here.sync()

    assert here.ask("SELECT mail FROM accounts WHERE source_key = 'LILLE$55'") == [("x@example.org",)]
    assert here.account("LILLE$55") in [row[0] for row in here.ask("SELECT guardian FROM guardianships")]


def test_files_that_changed_a_moment_ago_wait_for_their_settle_time(here):
    here.complete(1, village())

    result = here.sync(settled_for=60)

    assert result.sources[0].delivery is None


def test_a_typed_sync_reads_files_whatever_their_time(here):
    """A clock that runs ahead on the machine that writes them must not hide them."""
    folder = here.complete(1, village())
    for path in folder.iterdir():
        os.utime(path, (4e9, 4e9))

    assert applied(here.sync()) == {"create": 7}


@pytest.mark.parametrize("packed", [zipped, tarred, loose, lambda folder: folder.rename(folder.parent / "2026-09")])
def test_a_delivery_may_be_an_archive_or_loose_files_or_a_folder_of_any_name(here, packed):
    packed(here.complete(1, village()))

    result = here.sync()

    assert (result.outcome, applied(result)) == ("done", {"create": 7})


def test_a_delivery_may_lie_in_a_folder_of_a_folder(here):
    folder = here.complete(1, village())
    (here.deliveries() / "2026").mkdir()
    folder.rename(here.deliveries() / "2026" / folder.name)

    assert applied(here.sync()) == {"create": 7}


def test_an_unpacked_archive_leaves_nothing_in_the_spool(here):
    zipped(here.complete(1, village()))

    here.sync()

    assert [path for path in (here.folder / "spool").rglob("*") if path.is_file()] == []


def test_only_the_named_source_is_read(region):
    region.complete(1, village(), "lille-2d")
    region.complete(1, village(), "amiens-2d")

    result = region.sync(sources=("amiens-2d",))

    assert [read.name for read in result.sources] == ["amiens-2d"]
    assert region.status("LILLE$100") is None


def test_full_reads_the_complete_delivery_and_its_deltas_again_and_changes_nothing(here):
    here.synced(1, village())
    here.delta(2, add=[pupil("500")], delete=[pupil("100")])
    here.sync()
    before = here.views()

    result = here.sync(full=True)

    assert result.sources[0].delivery is not None
    assert changes(result) == {}
    assert here.views() == before


def test_full_does_not_read_a_complete_delivery_whose_delta_is_gone(here):
    """Read without the delta that followed, it would take away whoever came with it."""
    here.synced(1, village())
    delta = here.delta(2, add=[pupil("500")])
    here.sync()
    for path in delta.iterdir():
        path.unlink()

    here.sync(full=True)

    assert here.status("LILLE$500") == "active"


# -- rule 2: an incomplete complete delivery is not used at all --------------------------------------------------------


def _cut(folder):
    path = next(folder.glob("*_Eleve_0000.xml"))
    path.write_bytes(path.read_bytes()[:-40])


def _not_well_formed(folder):
    path = next(folder.glob("*_PersEducNat_0000.xml"))
    path.write_bytes(path.read_bytes().replace(b"</attributes>", b"</attribute>", 1))


def _empty(folder):
    next(folder.glob("*_PersRelEleve_0000.xml")).write_bytes(b"")


def _remove(kind):
    def remove(folder):
        next(folder.glob(f"*_{kind}_0000.xml")).unlink()

    return remove


INCOMPLETE = {
    "cut short": _cut,
    "not well-formed": _not_well_formed,
    "an empty file": _empty,
    "a hole in the numbering": _remove("Eleve"),
    "no guardians": _remove("PersRelEleve"),
    "no staff": _remove("PersEducNat"),
    "no schools": _remove("EtabEducNat"),
}


@pytest.fixture(params=INCOMPLETE, ids=lambda name: name.replace(" ", "-"))
def broken(request, here):
    """An installation in order, and an incomplete complete delivery that lacks somebody and holds somebody new."""
    people = village(60)
    here.synced(1, people)
    folder = here.complete(2, [*without(people, "100"), pupil("800")], part_size=40)
    INCOMPLETE[request.param](folder)
    return here


def test_an_incomplete_delivery_is_held_and_nothing_of_it_is_written(broken):
    before = broken.views()

    result = broken.sync()

    assert (result.outcome, result.outcome.exit_code) == ("held", 4)
    assert guards(result) == [("completeness", "lille-2d")]
    assert broken.views() == before
    assert changes(result) == {}


def test_the_next_complete_delivery_supersedes_an_incomplete_one(broken):
    broken.sync()

    result = broken.synced(3, [*without(village(60), "101"), pupil("801")])

    assert (result.outcome, applied(result)) == ("done", {"create": 1, "suspend": 2})
    assert (broken.status("LILLE$101"), broken.status("LILLE$801"), broken.status("LILLE$800")) == (
        "suspended",
        "active",
        None,
    )


def test_an_incomplete_delivery_stays_held_until_it_is_superseded(broken):
    broken.sync()

    assert broken.sync().outcome == "held"


def test_an_incomplete_delivery_that_comes_again_in_order_is_applied(here):
    here.synced(1, village(60))
    _cut(here.complete(2, [*village(60), pupil("800")]))
    here.sync()

    result = here.synced(2, [*village(60), pupil("800")])

    assert (result.outcome, applied(result)) == ("done", {"create": 1})


def test_the_other_sources_of_a_run_go_on(region):
    _cut(region.complete(1, village(), "lille-2d"))
    region.complete(1, village(), "amiens-2d")

    result = region.sync()

    assert result.outcome == "held"
    assert applied(result) == {"create": 7}
    assert [row[0] for row in region.accounts() if row[0].startswith("LILLE")] == []


def test_guardian_links_that_lead_nowhere_make_a_delivery_incomplete_when_they_are_many(here):
    people = village(60)
    here.synced(1, people)

    result = here.synced(2, without(people, "100100", "100101"))

    assert guards(result) == [("completeness", "lille-2d")]
    assert here.status("LILLE$100100") == "active"


def test_files_of_subjects_and_programmes_may_lack(here):
    needed = (FileKind.SCHOOLS, FileKind.PUPILS, FileKind.GUARDIANS, FileKind.STAFF)

    result = here.synced(1, village(), kinds=needed)

    assert (result.outcome, applied(result)) == ("done", {"create": 7})


def test_a_broken_archive_is_held(here):
    here.synced(1, village())
    archive = zipped(here.complete(2, village()))
    archive.write_bytes(archive.read_bytes()[:-100])

    result = here.sync()

    assert guards(result) == [("completeness", "lille-2d")]


def test_an_archive_with_a_damaged_member_is_held(here):
    here.synced(1, village())
    archive = zipped(here.complete(2, village()))
    with ZipFile(archive) as opened:
        at = max(opened.infolist(), key=lambda each: each.file_size).header_offset + 200
    damaged = bytearray(archive.read_bytes())
    damaged[at] ^= 0xFF
    archive.write_bytes(damaged)

    result = here.sync()

    assert guards(result) == [("completeness", "lille-2d")]


def test_a_delta_makes_nobody_absent(here):
    here.synced(1, village())
    here.delta(2, add=[pupil("500")])

    result = here.sync()

    assert applied(result) == {"create": 1}


def test_a_delta_cut_short_is_held(here):
    here.synced(1, village())
    _cut(here.delta(2, add=[pupil("500")]))

    result = here.sync()

    assert guards(result) == [("completeness", "lille-2d")]
    assert here.status("LILLE$500") is None


def test_a_delta_with_a_hole_in_its_numbering_is_held(here):
    here.synced(1, village())
    folder = here.delta(2, delete=[pupil("100")])
    path = next(folder.glob("*_Eleve_0000.xml"))
    path.rename(folder / path.name.replace("_0000", "_0001"))
    (folder / path.name.replace("_0000", "_0003")).write_bytes(
        (folder / path.name.replace("_0000", "_0001")).read_bytes()
    )

    result = here.sync()

    assert guards(result) == [("completeness", "lille-2d")]
    assert here.status("LILLE$100") == "active"


def test_a_source_that_is_held_does_not_keep_the_others_from_having_succeeded(tmp_path):
    here = Installation(tmp_path / "region", "lille-2d", "amiens-2d")
    here.complete(1, without(village(), "9"))  # no staff: not whole
    here.complete(1, village(), "amiens-2d")

    result = here.sync()

    assert result.outcome == "held"
    assert here.stored("SELECT source FROM sources WHERE last_success IS NOT NULL") == [("amiens-2d",)]
