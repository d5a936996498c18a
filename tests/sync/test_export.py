"""A first load as a file: what a plan creates, in the words of the target, to be loaded by another tool."""

import json
import stat
from dataclasses import replace

import pytest

from delivering import village, without
from ent_sync.core.entry import EntryKind, flatten
from ent_sync.core.errors import EntSyncError, UnavailableError, UsageError
from ent_sync.ports import Writing
from ent_sync.store import plans
from ent_sync.sync.export import export

WHAT = {EntryKind.STRUCTURE: 1, EntryKind.GROUP: 2, EntryKind.ACCOUNT: 7}


class Writes:
    """The embedded directory, if a tool could fill it from lines of JSON."""

    def __init__(self, target):
        self._target = target

    def written(self, creates):
        for create in creates:
            yield json.dumps(flatten(create.entry)) + "\n"

    def __getattr__(self, name):
        return getattr(self._target, name)


class Breaks(Writes):
    """One that breaks off after the first line."""

    def written(self, creates):
        yield next(super().written(creates))
        raise OSError(28, "No space left on device")


@pytest.fixture
def planned(here):
    """A plan for a first load, only made."""
    here.complete(1, village())
    here.plan = here.sync(plan_only=True).plan
    return here


def exported(here, path, plan=None, target=Writes):
    with here.opened() as opened:
        parts = replace(opened, targets={"ent": target(opened.targets["ent"])}) if target else opened
        with parts.database.reading() as connection:
            found = plans.get(connection, plan or here.plan)
        return export(parts, found, path).entries


def test_the_target_of_these_tests_is_one_that_writes():
    assert isinstance(Writes(None), Writing)


def test_all_that_the_plan_creates_is_written_in_the_order_in_which_it_depends(planned, tmp_path):
    written = exported(planned, tmp_path / "first.ldif")

    lines = [json.loads(line) for line in (tmp_path / "first.ldif").read_text().splitlines()]
    kinds = [line[0] for line in lines]
    assert (written, kinds) == (WHAT, ["structure", "group", "group", *["account"] * 7])
    assert [line[2] for line in lines[-3:]] == ["guardian"] * 3


def test_only_its_owner_can_read_the_file_and_nothing_lies_beside_it(planned, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()

    exported(planned, folder / "first.ldif")

    assert [each.name for each in folder.iterdir()] == ["first.ldif"]
    assert stat.S_IMODE((folder / "first.ldif").stat().st_mode) == 0o600


def test_a_file_that_is_there_is_not_overwritten(planned, tmp_path):
    (tmp_path / "first.ldif").write_text("mine")

    with pytest.raises(UsageError, match="is there already; nothing was written"):
        exported(planned, tmp_path / "first.ldif")

    assert (tmp_path / "first.ldif").read_text() == "mine"


def test_a_file_that_cannot_be_written_whole_is_not_there(planned, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()

    with pytest.raises(EntSyncError, match="cannot be written: No space left on device"):
        exported(planned, folder / "first.ldif", target=Breaks)

    assert list(folder.iterdir()) == []


def test_the_plan_stays_and_can_still_be_approved(planned, tmp_path):
    exported(planned, tmp_path / "first.ldif")

    assert planned.approve(planned.plan).outcome == "done"
    assert planned.status("LILLE$100") == "active"


def test_a_target_without_a_file_format_is_told(planned, tmp_path):
    with pytest.raises(UsageError, match="target ent has no file format for a first load"):
        exported(planned, tmp_path / "first.ldif", target=None)


def test_a_target_that_is_not_open_is_told(planned, tmp_path):
    with planned.opened() as opened:
        parts = replace(opened, targets={}, unreachable={"ent": "target ent cannot be reached"})
        with parts.database.reading() as connection:
            found = plans.get(connection, planned.plan)

        with pytest.raises(UnavailableError, match="target ent cannot be reached"):
            export(parts, found, tmp_path / "first.ldif")


def test_a_plan_that_does_more_than_create_is_refused(here, tmp_path):
    here.synced(1, village(20))
    here.complete(2, [*without(village(20), "100", "100100"), *village(1, first=700)[1:3]])
    plan = here.sync(plan_only=True).plan

    with pytest.raises(UsageError, match=r"is no first load, it also has entries 2 to suspend: a file can only create"):
        exported(here, tmp_path / "first.ldif", plan)

    assert not (tmp_path / "first.ldif").exists()


def test_a_plan_of_which_nothing_waits_is_refused(planned, tmp_path):
    planned.approve(planned.plan)

    with pytest.raises(UsageError, match=r"nothing waits in plan .*, which is applied"):
        exported(planned, tmp_path / "first.ldif")
