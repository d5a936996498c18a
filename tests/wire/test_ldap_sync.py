"""Content synchronisation with a real slapd (RFC 4533): what changed, and what that says of what was not named."""

import itertools
import threading
from uuid import UUID

import pytest
from ldap_linking import change, cut_after, linked, person

from ent_sync.wire.ldap import ber, search, sync
from ent_sync.wire.ldap.search import IncompleteError, Search
from ent_sync.wire.ldap.sync import End, RefreshRequiredError, State
from servers.slapd import slapd

BASE = "dc=ent,dc=example"
PEOPLE = Search(base=BASE, filter="(&(objectClass=inetOrgPerson)(description=pupil))", attributes=("uid",))


@pytest.fixture(params=[1000, None], ids=["session log", "no session log"])
def server(request):
    """With a log the server names what is gone; without one it names all that is still there."""
    with slapd(durable=False, session_log=request.param) as running:
        running.add_ldif("".join(person(number) for number in range(3)))
        yield running


@pytest.fixture
def logging_server():
    with slapd(durable=False, session_log=1000) as running:
        running.add_ldif("".join(person(number) for number in range(3)))
        yield running


def told(link, cookie=None, wanted=PEOPLE):
    """Everything that was said, and the end."""
    changes = []
    refreshing = sync.refresh(link, wanted, cookie)
    while True:
        try:
            changes += next(refreshing)
        except StopIteration as stop:
            return changes, stop.value


class Mirror:
    """Who is there by what the server said, kept as RFC 4533 §3.4 wants it."""

    def __init__(self, link):
        self._link = link
        self.cookie = None
        self.names = {}

    def follow(self):
        changes, end = told(self._link, self.cookie)
        named = set()
        for said in changes:
            match said.state:
                case State.DELETE:
                    self.names.pop(said.uuid, None)
                    named.discard(said.uuid)
                case State.PRESENT:
                    named.add(said.uuid)
                case _:
                    self.names[said.uuid] = said.entry.dn.split(",")[0]
                    named.add(said.uuid)
        if not end.deletes:
            self.names = {uuid: name for uuid, name in self.names.items() if uuid in named}
        self.cookie = end.cookie
        return sorted(self.names.values())


@pytest.fixture
def mirror(server):
    with linked(server) as link:
        found = Mirror(link)
        found.follow()
        yield found


def test_without_a_cookie_everything_is_named(server):
    with linked(server) as link:
        found = Mirror(link).follow()

    assert found == ["uid=p0", "uid=p1", "uid=p2"]


def test_without_a_cookie_what_is_not_named_is_not_there(server):
    """OpenLDAP sets refreshDeletes here too, as if only what left had been named."""
    with linked(server) as link:
        _, end = told(link)

    assert end.deletes is False


def test_nothing_changed_is_not_nobody_is_there(server, mirror):
    found = mirror.follow()

    assert found == ["uid=p0", "uid=p1", "uid=p2"]


def test_nothing_changed_names_nobody_and_keeps_the_cookie(server, mirror):
    with linked(server) as link:
        changes, end = told(link, mirror.cookie)

    assert (changes, end) == ([], End(mirror.cookie, deletes=True))


def test_an_entry_that_was_added_appears(server, mirror):
    server.add_ldif(person(7))

    found = mirror.follow()

    assert found == ["uid=p0", "uid=p1", "uid=p2", "uid=p7"]


def test_an_entry_that_was_modified_is_told_with_what_it_now_holds(server, mirror):
    server.modify_ldif(change(1, "changetype: modify", "replace: cn", "cn: Other"))

    with linked(server) as link:
        wanted = Search(base=BASE, filter=PEOPLE.filter, attributes=("cn",))
        changes, _ = told(link, mirror.cookie, wanted)

    assert [ber.attributes(said.entry.content) for said in changes if said.entry] == [{"cn": [b"Other"]}]


def test_an_entry_that_was_renamed_keeps_its_uuid(server, mirror):
    before = {name: uuid for uuid, name in mirror.names.items()}
    server.modify_ldif(change(1, "changetype: modrdn", "newrdn: uid=p8", "deleteoldrdn: 1"))

    mirror.follow()

    assert mirror.names[before["uid=p1"]] == "uid=p8"


def test_an_entry_that_was_deleted_disappears(server, mirror):
    server.modify_ldif(change(1, "changetype: delete"))

    found = mirror.follow()

    assert found == ["uid=p0", "uid=p2"]


def test_an_entry_that_no_longer_matches_the_filter_disappears(server, mirror):
    server.modify_ldif(change(1, "changetype: modify", "replace: description", "description: former"))

    found = mirror.follow()

    assert found == ["uid=p0", "uid=p2"]


def test_an_entry_that_was_deleted_and_made_again_is_there_once(server, mirror):
    server.modify_ldif(change(1, "changetype: delete"))
    server.add_ldif(person(1))

    found = mirror.follow()

    assert found == ["uid=p0", "uid=p1", "uid=p2"]


def test_a_cookie_from_before_many_changes_still_leads_to_what_is_there(server, mirror):
    server.modify_ldif(change(0, "changetype: delete"))
    server.add_ldif(person(7))
    server.modify_ldif(change(7, "changetype: modrdn", "newrdn: uid=p9", "deleteoldrdn: 1"))
    server.modify_ldif(change(2, "changetype: modify", "replace: cn", "cn: Other"))

    found = mirror.follow()

    assert found == ["uid=p1", "uid=p2", "uid=p9"]


def test_with_a_session_log_only_what_left_is_named(logging_server):
    with linked(logging_server) as link:
        _, before = told(link)
        logging_server.modify_ldif(change(1, "changetype: delete"))
        changes, end = told(link, before.cookie)

    assert ([said.state for said in changes], end.deletes) == ([State.DELETE], True)


def test_a_session_log_that_was_too_short_names_what_is_still_there():
    with slapd(durable=False, session_log=2) as forgetful, linked(forgetful) as link:
        forgetful.add_ldif("".join(person(number) for number in range(3)))
        mirror = Mirror(link)
        mirror.follow()
        for number in range(6):
            forgetful.modify_ldif(change(0, "changetype: modify", "replace: cn", f"cn: Name {number}"))
        forgetful.modify_ldif(change(1, "changetype: delete"))

        found = mirror.follow()

    assert found == ["uid=p0", "uid=p2"]


def test_the_uuid_of_a_change_is_that_of_the_entry(logging_server):
    with linked(logging_server) as link:
        changes, _ = told(link)
        uuid = next(said.uuid for said in changes if said.entry.dn.startswith("uid=p1,"))
        entry = search.read(link, f"uid=p1,ou=people,{BASE}", ("entryUUID",))

    assert ber.attributes(entry.content) == {"entryUUID": [str(UUID(bytes=uuid)).encode()]}


# -- cookies that are not good -----------------------------------------------------------------------------------------


def test_a_cookie_of_a_later_state_than_the_server_has_asks_for_a_refresh(logging_server):
    """As after the server was restored from a backup."""
    later = b"rid=000,csn=20990101000000.000000Z#000000#000#000000"

    with linked(logging_server) as link, pytest.raises(RefreshRequiredError):
        told(link, later)


@pytest.mark.parametrize("cookie", [b"garbage", b"csn=abc"])
def test_a_cookie_that_the_server_cannot_read_asks_for_a_refresh(logging_server, cookie):
    """OpenLDAP answers with everything, and an empty cookie, and says that nothing is gone."""
    with linked(logging_server) as link, pytest.raises(RefreshRequiredError):
        told(link, cookie)


@pytest.mark.parametrize("cookie", [b"", b"rid=000"])
def test_a_cookie_that_stands_for_no_state_is_none(logging_server, cookie):
    with linked(logging_server) as link:
        changes, end = told(link, cookie)

    assert (len(changes), end.deletes) == (3, False)


@pytest.mark.parametrize("year", [2020, 2099])
def test_a_cookie_of_another_server_leads_to_everything_that_is_there(server, year):
    foreign = b"rid=000,csn=%d0101000000.000000Z#000000#005#000000" % year
    with linked(server) as link:
        mirror = Mirror(link)
        mirror.cookie, mirror.names = foreign, {b"0" * 16: "uid=from-elsewhere"}

        found = mirror.follow()

    assert found == ["uid=p0", "uid=p1", "uid=p2"]


# -- refreshes that do not come to their end ---------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1500, 2000, 2100])
def test_a_refresh_whose_connection_breaks_is_incomplete(logging_server, limit):
    logging_server.add_ldif("".join(person(number) for number in range(10, 30)))

    with (
        cut_after(logging_server, limit) as url,
        linked(logging_server, servers=[url]) as link,
        pytest.raises(IncompleteError) as caught,
    ):
        told(link)

    assert caught.value.rule in {"closed", "reset"}


def test_a_size_limit_makes_a_refresh_incomplete():
    with slapd(durable=False, size_limit=2) as limited:
        limited.add_ldif("".join(person(number) for number in range(3)))

        with linked(limited) as link, pytest.raises(IncompleteError) as caught:
            told(link)

    assert caught.value.rule == "size-limit"


def test_a_server_that_offers_no_synchronisation_refuses_a_refresh():
    with (
        slapd(durable=False, syncprov=False) as plain,
        linked(plain) as link,
        pytest.raises(IncompleteError) as caught,
    ):
        told(link)

    assert caught.value.rule == "refused"


def test_a_server_says_that_it_offers_synchronisation(logging_server):
    with linked(logging_server) as link:
        found = sync.offered(link)

    assert found is True


def test_a_server_without_it_says_so():
    with slapd(durable=False, syncprov=False) as plain, linked(plain) as link:
        found = sync.offered(link)

    assert found is False


def test_a_refresh_that_was_stopped_early_leaves_the_link_fit_for_the_next(logging_server):
    with linked(logging_server) as link:
        refreshing = sync.refresh(link, PEOPLE, None)
        next(refreshing)
        refreshing.close()
        changes, _ = told(link)

    assert len(changes) == 3


# -- the bell ----------------------------------------------------------------------------------------------------------


def test_the_bell_rings_when_something_changes(server):
    with linked(server) as link, linked(server) as bell:
        _, end = told(link)
        stop = threading.Event()
        ringing = sync.persist(bell, PEOPLE, end.cookie, stopping=stop.is_set, every=0.02)
        later = threading.Timer(0.1, lambda: server.add_ldif(person(7)))
        later.start()
        next(ringing)
        later.join()
        changes, _ = told(link, end.cookie)

    assert [said.entry.dn.split(",")[0] for said in changes if said.entry] == ["uid=p7"]


def test_the_bell_rings_at_once_for_what_changed_before(logging_server):
    with linked(logging_server) as link, linked(logging_server) as bell:
        _, end = told(link)
        logging_server.modify_ldif(change(1, "changetype: delete"))

        cookie = next(sync.persist(bell, PEOPLE, end.cookie, stopping=lambda: False))

    assert cookie is not None


def test_the_bell_is_silent_while_nothing_changes_until_it_is_stopped(logging_server):
    asked = itertools.count()
    with linked(logging_server) as link, linked(logging_server) as bell:
        _, end = told(link)

        rings = list(sync.persist(bell, PEOPLE, end.cookie, stopping=lambda: next(asked) > 10, every=0.02))

    assert rings == []


def test_a_bell_whose_server_dies_says_so(logging_server):
    with linked(logging_server) as link, linked(logging_server) as bell:
        _, end = told(link)
        threading.Timer(0.1, logging_server.kill).start()

        with pytest.raises(IncompleteError) as caught:
            list(sync.persist(bell, PEOPLE, end.cookie, stopping=lambda: False, every=0.02))

    assert caught.value.rule in {"closed", "reset"}
