"""The LDAP source asked for what changed, of a real slapd: by RFC 4533 with and without its session log, by time."""

import json
import threading
import time

import pytest

from ent_sync.core.errors import UnavailableError
from ent_sync.core.record import Population
from ent_sync.wire.ldap import sync
from ent_sync.wire.ldap.ber import Entry
from ent_sync.wire.ldap.sync import Change, End, State
from servers.slapd import PATIENCE, slapd
from sources.directory_people import LATER, Directory, Read

PUPIL, GUARDIAN, STAFF, SCHOOL = Population.PUPIL, Population.GUARDIAN, Population.STAFF, Population.SCHOOL
SERVERS = {
    "session-log": {"session_log": 1000},
    "no-session-log": {"session_log": None},
    "no-syncrepl": {"syncprov": False},
}


@pytest.fixture(params=SERVERS)
def directory(request, tmp_path):
    with slapd(durable=False, **SERVERS[request.param]) as server:
        yield Directory(server, tmp_path, now=LATER)


@pytest.fixture
def syncing(tmp_path):
    with slapd(durable=False) as server:
        yield Directory(server, tmp_path)


@pytest.fixture
def timed(tmp_path):
    with slapd(durable=False) as server:
        yield Directory(server, tmp_path, now=LATER, changes="timestamp")


# -- whatever the server offers ----------------------------------------------------------------------------------------


def test_after_a_complete_delivery_comes_what_changed(directory):
    (delivery,) = directory.source.deliveries(0.0, directory.cursor)

    assert (delivery.complete, delivery.live) == (False, True)
    assert [part.population for part in delivery.parts] == [SCHOOL, PUPIL, GUARDIAN, STAFF]


def test_where_nothing_changed_nobody_left(directory):
    found = directory.read()

    assert [directory.left(found, each) for each in Population] == [set()] * 4


def test_a_change_is_told_with_all_that_the_record_holds(directory):
    directory.change("100")

    found = directory.read()

    changed = [each for each in found.opened(PUPIL) if each.key == "LILLE$100"]
    assert [(each.values["sn"], each.values["givenName"]) for each in changed] == [(("AUTRE",), ("Prénom-100",))]


def test_who_was_changed_keeps_his_handle(directory):
    directory.change("100")

    found = directory.read()

    assert directory.handle("100") in found.handles("add", PUPIL)


def test_who_came_is_told(directory):
    directory.server.add_ldif(directory.people.pupil("102"))

    assert ("add", "LILLE$102") in directory.read().of(PUPIL)


def test_who_was_removed_is_gone_and_nobody_else(directory):
    directory.remove("101")

    found = directory.read()

    assert directory.left(found, PUPIL) == {directory.handle("101")}
    assert [directory.left(found, each) for each in (SCHOOL, GUARDIAN, STAFF)] == [set()] * 3


def test_who_was_renamed_is_told_under_the_same_handle(directory):
    directory.modify("100", "changetype: modrdn", "newrdn: cn=FAMILLE-100", "deleteoldrdn: 0")

    found = directory.read()

    assert directory.handle("100") in found.handles("add", PUPIL)
    assert directory.left(found, PUPIL) == set()


def test_who_was_moved_out_of_the_branch_is_gone(directory):
    elsewhere = f"newsuperior: ou=suspended,{directory.server.base}"
    directory.modify("100", "changetype: modrdn", "newrdn: uid=u100", "deleteoldrdn: 0", elsewhere)

    assert directory.left(directory.read(), PUPIL) == {directory.handle("100")}


def test_who_changed_his_key_is_told_under_the_same_handle(directory):
    directory.modify("100", "changetype: modify", "replace: ENTPersonJointure", "ENTPersonJointure: AC-LILLE$900")

    found = directory.read()

    (told,) = [each for each in found.sightings if each.key == "LILLE$900"]
    assert told.handle == directory.handle("100")


def test_who_changed_class_left_one_population_for_another(directory):
    directory.server.add_ldif(directory.people.staff("301"))  # where nobody is left, nobody's absence is proven
    directory.read()
    lines = ["delete: objectClass", "objectClass: ENTAuxEnseignant", "-"]
    lines += ["add: objectClass", "objectClass: ENTAuxPersRelEleve", "-"]
    lines += ["add: ENTAuxPersRelEleveEleve", f"ENTAuxPersRelEleveEleve: {directory.people.dn('100')}"]
    directory.modify("300", "changetype: modify", *lines)

    found = directory.read()

    assert ("add", "LILLE$300") in found.of(GUARDIAN)
    assert directory.left(found, STAFF) == {directory.handle("300")}


def test_a_key_that_was_spoilt_is_seen_by_its_handle(directory):
    directory.modify("100", "changetype: modify", "replace: ENTPersonJointure", "ENTPersonJointure: ?")

    found = directory.read()

    (told,) = [each for each in found.sightings if each.verb == "add" and each.key is None]
    assert told.handle == directory.handle("100")
    assert [each.keyless for each in found.evidence if PUPIL in each.records] == [{PUPIL: 1}]


def test_what_was_told_once_is_not_new_again(directory):
    directory.change("100")
    (told,) = [each.raw for each in directory.read().sightings if each.key == "LILLE$100"]

    again = {each.raw for each in directory.read().sightings if each.key == "LILLE$100"}

    assert again <= {told}


def test_nothing_that_changes_during_a_complete_read_is_lost(directory):
    (delivery,) = directory.source.deliveries(0.0, None)
    directory.change("100", "PENDANT")  # after the question, before the answer

    directory.cursor = Read(directory.source, delivery).cursor

    assert ("add", "LILLE$100") in directory.read().of(PUPIL)


def test_a_delta_tells_when_its_oldest_change_was_made(directory):
    directory.read()
    before = raw = directory.server.search("(uid=u100)", "modifyTimestamp")
    while raw == before:  # the server's clock counts seconds
        directory.change("100")
        raw = directory.server.search("(uid=u100)", "modifyTimestamp")

    changed = min(each.changed for each in directory.read().evidence if each.changed is not None)

    assert f"modifyTimestamp: {changed:%Y%m%d%H%M%SZ}" in raw


def test_all_that_there_is_tells_no_time(directory):
    assert {each.changed for each in directory.first.evidence} == {None}


# -- what other servers might say --------------------------------------------------------------------------------------


@pytest.fixture
def saying(syncing, monkeypatch):
    """A server that answers a question about changes of pupils in its own way."""

    def say(changes, end):
        def refresh(link, search, cookie):
            del link, cookie
            if "ENTEleve" in search.filter:
                yield changes
                return end
            return End(b"other", deletes=True)

        monkeypatch.setattr(sync, "refresh", refresh)
        return syncing.read()

    return say


ENTRY = Entry("uid=u1,ou=people,dc=ent,dc=example", b"")
FIRST, SECOND = b"1" * 16, b"2" * 16


def test_whom_a_change_was_told_of_is_not_as_he_was(saying):
    told = [Change(State.MODIFY, FIRST, ENTRY), Change(State.PRESENT, FIRST), Change(State.PRESENT, SECOND)]

    found = saying(told, End(b"next", deletes=False))

    assert [(each.verb, each.handle) for each in found.sightings] == [("add", FIRST), ("present", SECOND)]


def test_who_is_removed_after_a_change_is_gone(saying):
    told = [Change(State.MODIFY, FIRST, ENTRY), Change(State.DELETE, FIRST)]

    found = saying(told, End(b"next", deletes=True))

    assert [(each.verb, each.handle) for each in found.sightings] == [("add", FIRST), ("delete", FIRST)]


def test_a_silence_is_no_word_that_everybody_left(saying):
    found = saying([], End(b"next", deletes=False))

    assert found.whole(PUPIL) == [False]


def test_where_no_new_cookie_is_told_the_old_one_stays(saying, syncing):
    before = json.loads(syncing.cursor)["lille-ldap pupils"]

    found = saying([Change(State.PRESENT, FIRST)], End(None, deletes=True))

    assert json.loads(found.cursor)["lille-ldap pupils"] == before


# -- the bell ----------------------------------------------------------------------------------------------------------


class Bell:
    """Listens in a thread, as the daemon does."""

    def __init__(self, source, cursor):
        self.rings, self.error, self.stop = 0, None, threading.Event()
        self.thread = threading.Thread(target=self._listen, args=(source, cursor))
        self.thread.start()

    def _listen(self, source, cursor):
        try:
            for _ in source.listen(cursor, self.stop.is_set):
                self.rings += 1
        except UnavailableError as error:
            self.error = error

    def rang(self):
        deadline = time.monotonic() + PATIENCE
        while not self.rings and time.monotonic() < deadline:
            self.thread.join(0.01)
        return bool(self.rings)

    def end(self):
        self.stop.set()
        self.thread.join(PATIENCE)


def test_the_bell_rings_when_something_changes(syncing):
    bell = Bell(syncing.source, syncing.cursor)

    try:
        syncing.change("100")
        rang = bell.rang()
    finally:
        bell.end()

    assert rang


def test_the_bell_rings_for_what_changed_before_anybody_listened(syncing):
    syncing.change("100")

    bell = Bell(syncing.source, syncing.cursor)

    try:
        assert bell.rang()
    finally:
        bell.end()


def test_the_bell_is_still_while_nothing_changes_and_ends_when_told(syncing):
    bell = Bell(syncing.source, syncing.cursor)

    bell.thread.join(1)
    bell.end()

    assert (bell.rings, bell.error, bell.thread.is_alive()) == (0, None, False)


def test_a_server_that_dies_ends_the_bell_with_a_word(syncing):
    bell = Bell(syncing.source, syncing.cursor)
    syncing.server.kill()

    bell.thread.join(PATIENCE)
    bell.end()

    assert "source lille-ldap" in str(bell.error)


def test_where_changes_are_found_by_time_no_bell_rings(timed):
    assert list(timed.source.listen(timed.cursor, lambda: False)) == []
