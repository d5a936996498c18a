"""What happens at a source by itself rings the bell, once; a source that cannot be reached is asked again."""

import datetime as dt
import queue
from contextlib import closing

import pytest

from delivering import village
from ent_sync import compose
from ent_sync.core.completeness import Delivery
from ent_sync.core.errors import UnavailableError
from ent_sync.daemon import watch
from ent_sync.daemon.watch import Ear, Watch, unread
from ent_sync.store.database import Database
from sync.installed import Installation

LONG = 30


def delivery(signature="s1", *, live=False):
    return Delivery(
        id="ENT_Complet_20260901",
        source="lille-2d",
        complete=True,
        date=dt.date(2026, 9, 1),
        signature=signature,
        place="x",
        parts=(),
        size=1,
        live=live,
    )


# -- what is worth a run -----------------------------------------------------------------------------------------------


def test_a_delivery_that_nobody_judged_is_worth_a_run():
    assert unread([delivery()], {}) == {("ENT_Complet_20260901", "s1")}


@pytest.mark.parametrize("status", ["applied", "held", "refused", "superseded"])
def test_a_delivery_that_was_judged_is_worth_none(status):
    assert unread([delivery()], {("ENT_Complet_20260901", "s1"): status}) == frozenset()


def test_a_delivery_that_is_to_be_read_again_is_worth_a_run():
    assert unread([delivery()], {("ENT_Complet_20260901", "s1"): "again"})


def test_a_delivery_whose_files_changed_is_another_one():
    assert unread([delivery("s2")], {("ENT_Complet_20260901", "s1"): "held"})


def test_an_answer_of_a_directory_is_no_delivery_that_waits():
    assert unread([delivery(live=True)], {}) == frozenset()


# -- a folder ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def here(tmp_path):
    return Installation(tmp_path / "here")


@pytest.fixture
def watched(here):
    """The bell of a watch on the source's folder; the watch looks all the time."""
    parts = compose.worker_parts(str(here.config))
    parts.database.close()
    rung = queue.SimpleQueue()
    url = str(parts.database.url)
    watching = Watch(parts.sources["lille-2d"].source, 0.0, lambda: Database(url), rung.put, every=0.02)
    watching.start()
    yield rung
    watching.close()
    watching.join(LONG)


def test_a_delivery_rings(here, watched):
    here.complete(1, village(2))

    assert watched.get(timeout=LONG) == "lille-2d"


def test_a_folder_that_comes_later_is_watched(here, watched):
    here.deliveries().rename(here.folder / "elsewhere")
    here.deliveries().mkdir()
    here.complete(1, village(2))

    assert watched.get(timeout=LONG) == "lille-2d"


def test_a_delivery_rings_once(here):
    parts = compose.worker_parts(str(here.config))
    with closing(parts.database):
        rung = []
        watching = Watch(parts.sources["lille-2d"].source, 0.0, lambda: Database(str(parts.database.url)), rung.append)
        here.complete(1, village(2))

        watching._look()
        watching._look()

    assert rung == ["lille-2d"]


# -- a directory that speaks -------------------------------------------------------------------------------------------


class Speaking:
    """A directory that tells of two changes, is lost, and tells of one more when it is listened to again."""

    name = "lille-ldap"

    def __init__(self):
        self.listened = 0

    def listen(self, cursor, stopping):
        self.listened += 1
        if self.listened == 1:
            yield None
            yield None
            raise UnavailableError("the connection is lost")
        yield None
        while not stopping():
            pass


@pytest.mark.usefixtures("here")
def test_a_directory_that_was_lost_is_listened_to_again(here, monkeypatch):
    monkeypatch.setattr(watch, "_LONGEST_PAUSE", 0.01)
    parts = compose.worker_parts(str(here.config))
    parts.database.close()
    rung = queue.SimpleQueue()
    source = Speaking()
    ear = Ear(source, source, lambda: Database(str(parts.database.url)), rung.put)

    ear.start()
    heard = [rung.get(timeout=LONG) for _ in range(4)]  # two, the return, and one more
    ear.close()
    ear.join(LONG)

    assert heard == ["lille-ldap"] * 4
