"""From active to suspended, deleted and back; and how long delivered files stay."""

import datetime as dt

import pytest

from delivering import LEGAL, loose, pupil, village, without, zipped
from sync.installed import applied, changes, day

LEFT = day(2)
"""The day of the first complete delivery without the pupil: the retention clock counts from here (gdpr.md R32)."""


def at(date, hour=12):
    return dt.datetime.combine(date, dt.time(hour), dt.UTC)


@pytest.fixture
def gone(here):
    """A pupil and the guardian of nobody else left on day 2."""
    here.now = at(day(1))
    here.synced(1, village(40))
    here.now = at(LEFT)
    here.synced(2, without(village(40), "100", "100100"))
    here.gone = here.account("LILLE$100")
    return here


def test_a_suspended_account_stays_until_its_sixtieth_day(gone):
    gone.now = at(LEFT + dt.timedelta(days=59), 23)

    assert changes(gone.sync()) == {}


def test_a_suspended_account_is_deleted_on_its_sixtieth_day(gone):
    gone.now = at(LEFT + dt.timedelta(days=60))

    result = gone.sync()

    assert applied(result) == {"delete": 2}
    assert gone.status("LILLE$100") is None


def test_whoever_is_back_when_the_clock_has_run_out_is_restored_and_not_deleted(gone):
    gone.now = at(LEFT + dt.timedelta(days=61))
    gone.complete(63, village(40))

    result = gone.sync()

    assert (applied(result), gone.status("LILLE$100")) == ({"restore": 2}, "active")


def test_a_deleted_account_leaves_a_tombstone_and_nothing_else(gone):
    gone.now = at(LEFT + dt.timedelta(days=60))
    gone.sync()

    assert gone.gone in [row[0] for row in gone.stored("SELECT entry_id FROM tombstones")]
    for table in ("records", "entries", "memberships"):
        assert gone.stored(f"SELECT * FROM {table} WHERE entry_id = ?", gone.gone) == []


def test_a_retention_deletion_leaves_no_way_back(gone):
    """R34: a before-image would be a copy that outlives the person."""
    gone.now = at(LEFT + dt.timedelta(days=60))
    gone.sync()

    assert gone.stored("SELECT DISTINCT before FROM changes WHERE operation = 'delete' AND kind = 'account'") == [
        (None,)
    ]


def test_later_deliveries_without_the_person_do_not_restart_the_clock(gone):
    gone.now = at(LEFT + dt.timedelta(days=30))
    gone.synced(32, without(village(40), "100", "100100"))
    gone.now = at(LEFT + dt.timedelta(days=60))

    assert applied(gone.sync()) == {"delete": 2}


def test_a_person_who_returns_before_is_restored_with_all_that_is_released(gone):
    before = gone.copy(gone.folder.parent / "never-gone")
    gone.now = before.now = at(LEFT + dt.timedelta(days=59))

    result = gone.synced(3, village(40))

    assert applied(result) == {"restore": 2}
    assert gone.status("LILLE$100") == "active"
    assert len(gone.ask("SELECT * FROM members WHERE account = ?", gone.gone)) == 1


def test_a_person_who_returns_after_the_deletion_has_the_same_identifier(gone):
    gone.now = at(LEFT + dt.timedelta(days=60))
    gone.sync()

    result = gone.synced(70, village(40))

    assert applied(result) == {"create": 2}
    assert gone.account("LILLE$100") == gone.gone


def test_many_deletions_at_once_wait_for_approval(here):
    here.now = at(day(1))
    here.synced(1, village(500))
    here.now = at(LEFT)
    here.synced(2, without(village(500), *(str(100 + n) for n in range(15)), *(str(100_100 + n) for n in range(15))))
    here.now = at(LEFT + dt.timedelta(days=60))

    result = here.sync()

    assert [str(hold.guard) for hold in result.held] == ["deletions"]
    assert applied(here.approve(result.plan)) == {"delete": 30}


def test_a_pupil_who_comes_of_age_is_adult_with_nothing_new(here):
    """R20: time changes what may be said, with no delivery."""
    here.now = at(dt.date(2026, 9, 2))
    here.synced(1, [*village(), pupil("500", birth="10/09/2008")])
    assert here.ask("SELECT adult FROM accounts WHERE source_key = 'LILLE$500'") == [("false",)]
    here.now = at(dt.date(2026, 9, 10))

    result = here.sync()

    assert applied(result) == {"update": 1}
    assert here.ask("SELECT adult FROM accounts WHERE source_key = 'LILLE$500'") == [("true",)]


# -- delivered files ---------------------------------------------------------------------------------------------------


def files(there):
    return sorted(path.name for path in there.deliveries().rglob("*") if path.is_file())


@pytest.mark.parametrize("packed", [lambda folder: folder, zipped, loose], ids=["folder", "archive", "loose"])
def test_delivered_files_go_a_week_after_they_were_applied_once_superseded(here, packed):
    here.now = at(day(1))
    packed(here.complete(1, village()))
    here.sync()
    packed(here.delta(2, add=[pupil("500", guardians={"100100": LEGAL})]))
    here.sync()
    here.synced(3, [*village(), pupil("500", guardians={"100100": LEGAL})])
    here.now = at(day(9))

    here.sync()

    assert {name.split("_")[2].split(".")[0] for name in files(here)} == {"20260904"}


def test_delivered_files_stay_as_long_as_nothing_supersedes_them(here):
    here.now = at(day(1))
    here.synced(1, village())
    here.delta(2, add=[pupil("500")])
    here.sync()
    before = files(here)
    here.now = at(day(200))

    here.sync()

    assert files(here) == before


def test_delivered_files_stay_for_their_week(here):
    here.now = at(day(1))
    here.synced(1, village())
    here.synced(2, village())
    before = files(here)
    here.now = at(day(7))

    here.sync()

    assert files(here) == before


def test_what_lies_beside_a_delivery_is_not_removed_with_it(here):
    here.now = at(day(1))
    folder = here.complete(1, village())
    (folder / "lisez-moi.txt").write_text("gardez-moi")
    here.sync()
    here.synced(2, village())
    here.now = at(day(9))

    here.sync()

    assert [path.name for path in folder.iterdir()] == ["lisez-moi.txt"]
