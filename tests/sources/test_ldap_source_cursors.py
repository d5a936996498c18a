"""Where the LDAP source goes on: cursors that are lost, refused or of another question, and marks of time."""

import base64
import dataclasses
import datetime as dt
import json

import pytest

from ent_sync.core.record import Population
from ent_sync.ports import StaleCursorError, UnreadableError
from servers.slapd import slapd
from sources.directory_people import LATER, Directory, People, directory_source, read

PUPIL = Population.PUPIL


@pytest.fixture
def syncing(tmp_path):
    with slapd(durable=False) as server:
        yield Directory(server, tmp_path)


@pytest.fixture
def timed(tmp_path):
    with slapd(durable=False) as server:
        yield Directory(server, tmp_path, now=LATER, changes="timestamp")


# -- cursors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cursor",
    [
        None,
        "",
        "x",
        "[]",
        "{}",
        '{"a": "b"}',
        '{"a": 1}',
        '{"a": "{}"}',
        '{"a": "{\\"population\\": \\"x\\", \\"of\\": \\"x\\"}"}',
    ],
)
def test_a_cursor_that_cannot_be_read_means_everything(syncing, cursor):
    (delivery,) = syncing.source.deliveries(0.0, cursor)

    assert delivery.complete


def test_a_cursor_that_lacks_a_population_means_everything(syncing):
    marks = json.loads(syncing.cursor)
    del marks["lille-ldap staff"]

    (delivery,) = syncing.source.deliveries(0.0, json.dumps(marks))

    assert delivery.complete


@pytest.mark.parametrize(
    "otherwise",
    [
        {"filters": {"staff": "(objectClass=ENTAuxEnseignant)"}},
        {"people": ""},
        {"changes": "timestamp"},
        {"changes": "none"},
        {"person_key": "uid"},
        {"wanted": {each: frozenset({"sn"}) for each in Population}},
    ],
)
def test_a_cursor_of_another_question_means_everything(syncing, otherwise):
    other = directory_source(syncing.server, syncing.folder, **otherwise)

    (delivery,) = other.deliveries(0.0, syncing.cursor)

    assert delivery.complete


def spoilt(cursor, cookie):
    """The same cursor with another cookie."""
    marks = {name: json.loads(text) for name, text in json.loads(cursor).items()}
    for mark in marks.values():
        mark["cookie"] = base64.b64encode(cookie).decode()
    return json.dumps({name: json.dumps(mark) for name, mark in marks.items()})


@pytest.mark.parametrize(
    "cookie",
    [
        pytest.param(b"nonsense", id="nonsense"),
        pytest.param(b"rid=000,csn=20990101000000.000000Z#000000#000#000000", id="from-the-future"),
    ],
)
def test_a_refused_cookie_is_stale_and_says_nothing_of_anyone(syncing, cookie):
    syncing.cursor = spoilt(syncing.cursor, cookie)

    with pytest.raises(StaleCursorError):
        syncing.read()


def test_a_cookie_from_before_all_that_is_remembered_names_all_that_is_there(tmp_path):
    with slapd(durable=False, session_log=1) as server:
        directory = Directory(server, tmp_path)
        directory.remove("101")
        directory.change("100")
        directory.change("200")

        found = directory.read()

    assert all(found.whole(PUPIL))
    assert directory.left(found, PUPIL) == {directory.handle("101")}


def test_a_server_that_was_set_up_anew_is_read_as_a_whole_or_named_as_one(syncing):
    """A cookie of the server before: whatever is told, nobody leaves by a word of it."""
    syncing.server.clear()
    syncing.server.add_ldif(syncing.people.a_few())

    found = syncing.read()

    assert all(found.whole(PUPIL))
    assert found.handles("delete", PUPIL) == set()


def test_too_many_changes_for_one_answer_are_read_in_pages(tmp_path):
    with slapd(durable=False, session_log=None) as server:
        directory = Directory(server, tmp_path)
        for id_ in ("100", "101"):
            directory.change(id_)
        server.restart(dataclasses.replace(server.settings, size_limit=1))

        with pytest.raises(StaleCursorError):
            directory.read()


def test_a_server_that_offers_no_changes_any_more_is_read_as_a_whole(syncing):
    syncing.server.restart(dataclasses.replace(syncing.server.settings, syncprov=False))

    (delivery,) = syncing.source.deliveries(0.0, syncing.cursor)

    assert delivery.complete


def test_a_question_that_another_server_answers_is_stale(syncing):
    (delivery,) = syncing.source.deliveries(0.0, syncing.cursor)
    syncing.server.restart(dataclasses.replace(syncing.server.settings, syncprov=False))

    with pytest.raises(StaleCursorError):
        next(syncing.source.read(syncing.source.shards(delivery)[0]))


def test_a_server_that_dies_is_not_one_where_nobody_is(syncing):
    (delivery,) = syncing.source.deliveries(0.0, syncing.cursor)
    syncing.server.kill()

    with pytest.raises(UnreadableError):
        next(syncing.source.read(syncing.source.shards(delivery)[1]))


def test_without_changes_everything_is_read_each_time(tmp_path):
    with slapd(durable=False) as server:
        directory = Directory(server, tmp_path, changes="none")
        (delivery,) = directory.source.deliveries(0.0, directory.cursor)

    assert delivery.complete
    assert directory.cursor is None


def test_a_server_that_tells_not_where_its_changes_stand_tells_it_after_a_refresh(tmp_path, monkeypatch):
    monkeypatch.setattr("ent_sync.sources.ldap.source._STATE", "description")  # as servers that are not OpenLDAP
    with slapd(durable=False) as server:
        directory = Directory(server, tmp_path, split=4)
        directory.change("100")

        found = directory.read()

    assert directory.first.of(PUPIL) == [("add", "LILLE$100"), ("add", "LILLE$101")]
    assert found.of(PUPIL) == [("add", "LILLE$100")]


def test_a_refresh_of_everything_meets_the_size_limit(tmp_path, monkeypatch):
    monkeypatch.setattr("ent_sync.sources.ldap.source._STATE", "description")
    with slapd(durable=False, size_limit=1) as server:
        server.add_ldif(People(server.base).a_few())

        with pytest.raises(UnreadableError) as raised:
            read(directory_source(server, tmp_path))

    assert raised.value.problem.rule == "size-limit"


# -- by time -----------------------------------------------------------------------------------------------------------


def since(cursor, population="pupils"):
    return json.loads(json.loads(cursor)[f"lille-ldap {population}"])["since"]


def test_the_mark_is_the_newest_time_of_the_server(timed):
    timed.change("100")

    timed.read()

    raw = timed.server.search("(uid=u100)", "modifyTimestamp")
    assert f"modifyTimestamp: {since(timed.cursor)}" in raw


def test_what_changed_before_the_overlap_is_not_told_again(timed):
    marks = {name: json.loads(text) for name, text in json.loads(timed.cursor).items()}
    for mark in marks.values():
        mark["since"] = f"{dt.datetime.now(dt.UTC) + dt.timedelta(hours=1):%Y%m%d%H%M%SZ}"
    timed.cursor = json.dumps({name: json.dumps(mark) for name, mark in marks.items()})

    found = timed.read()

    assert found.of(PUPIL) == [("present", None), ("present", None)]
    assert [(each.whole, each.records) for each in found.evidence][1] == (True, {PUPIL: 2})


def test_what_changed_within_the_overlap_is_told_again(timed):
    assert timed.read().of(PUPIL) == [("add", "LILLE$100"), ("add", "LILLE$101")]


def test_the_mark_never_goes_back(timed):
    timed.change("100")
    timed.read()
    before = since(timed.cursor)
    timed.remove("100")
    timed.read()

    timed.read()

    assert since(timed.cursor) == before


def test_the_mark_stays_where_nobody_was_modified(timed):
    marks = {name: json.loads(text) for name, text in json.loads(timed.cursor).items()}
    for mark in marks.values():
        mark["since"] = "20360101000000Z"
    timed.cursor = json.dumps({name: json.dumps(mark) for name, mark in marks.items()})

    timed.read()

    assert since(timed.cursor) == "20360101000000Z"


def test_the_mark_is_no_later_than_the_read_began(tmp_path):
    """What is modified during a long read may stand behind what was modified later."""
    with slapd(durable=False) as server:
        directory = Directory(server, tmp_path, now=dt.datetime(2020, 1, 1, tzinfo=dt.UTC), changes="timestamp")

    assert since(directory.cursor) == "20200101000000Z"


@pytest.mark.parametrize("times", [("20200101000000Z", "20300101000000Z"), ("20300101000000Z", "20200101000000Z")])
def test_a_population_in_parts_goes_on_where_the_earliest_ended(timed, times):
    marks = {name: json.loads(text) for name, text in json.loads(timed.cursor).items()}
    pupils = marks.pop("lille-ldap pupils")
    for number, time in enumerate(times, start=1):
        marks[f"lille-ldap pupils {number} of 2"] = pupils | {"since": time}
    cursor = json.dumps({name: json.dumps(mark) for name, mark in marks.items()})

    (delivery,) = timed.source.deliveries(0.0, cursor)

    assert "20191231235500Z" in timed.source.shards(delivery)[1].place


def test_a_sweep_that_meets_a_limit_makes_nobody_absent(tmp_path):
    with slapd(durable=False) as server:
        directory = Directory(server, tmp_path, now=LATER, changes="timestamp")
        directory.cursor = directory.cursor.replace(since(directory.cursor), "20990101000000Z")
        server.restart(dataclasses.replace(server.settings, size_limit=1))

        with pytest.raises(UnreadableError) as raised:
            directory.read()

    assert raised.value.problem.rule == "size-limit"
