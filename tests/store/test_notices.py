"""Notices, their updates, and the outbox."""

import datetime as dt
from dataclasses import replace

import pytest

from ent_sync.core.errors import StoreError
from ent_sync.core.notice.kinds import Author, Kind, Notice, State, Update, What, step
from ent_sync.core.notice.roles import Address, Role
from ent_sync.store import notices

NOON = dt.datetime(2026, 11, 23, 12, 0, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)
REGION = Address("Région", Role.REGION, "email")
DRAAF = Address("DRAAF", Role.AGRICULTURE, "webhook")


def notice(**changed):
    values = {
        "id": "m1",
        "kind": Kind.MALFUNCTION,
        "state": State.DETECTED,
        "author": Author.PROBE,
        "title": "",
        "services": ("educonnect", "ent"),
        "cause": "tls_expired",
        "began": NOON,
        "detected": NOON + MINUTE,
    }
    return Notice(**{**values, **changed})


def opened(sequence=0, minute=1):
    return Update(sequence=sequence, at=NOON + minute * MINUTE, what=What.OPENED)


@pytest.fixture
def put(database):
    def kept(about, update, to=()):
        with database.transaction() as connection:
            return notices.put(connection, about, update, to)

    return kept


@pytest.fixture
def read(database):
    def asked(function, *arguments, **more):
        with database.reading() as connection:
            return function(connection, *arguments, **more)

    return asked


def test_a_notice_comes_back_as_it_was(put, read):
    put(notice(), opened())

    assert read(notices.get, "m1") == notice()


def test_a_notice_becomes_what_it_is_now(put, read):
    put(notice(), opened())
    put(replace(notice(), ended=NOON + 9 * MINUTE, state=State.ENDED), None)

    assert read(notices.get, "m1").state is State.ENDED


def test_updates_come_back_in_order(put, read):
    put(notice(), opened())
    later = step(notice(), What.UPDATED, NOON + 5 * MINUTE, "On cherche.")
    put(later.notice, later.update)

    assert read(notices.updates, ["m1"])["m1"] == [opened(), later.update]


def test_whoever_is_second_with_an_update_changes_nothing(put, read):
    put(notice(), opened(), [REGION])

    second = put(replace(notice(), title="B"), opened(), [DRAAF])

    assert (second, read(notices.get, "m1").title, len(read(notices.deliveries))) == (False, "", 1)


def test_a_message_stands_with_its_notice_or_not_at_all(database, read):
    def fails():
        with database.transaction() as connection:
            notices.put(connection, notice(), opened(), [REGION])
            connection.exec_driver_sql("INSERT INTO no_such_table VALUES (1)")

    with pytest.raises(StoreError):
        fails()

    assert (read(notices.get, "m1"), read(notices.deliveries)) == (None, [])


def test_the_same_message_is_sent_once(database, put, read):
    put(notice(), opened(), [REGION])
    with database.transaction() as connection:
        notices.send(connection, "m1", 0, [REGION, DRAAF], NOON)

    assert [each.partner for each in read(notices.deliveries)] == ["DRAAF", "Région"]


def test_what_is_over_is_not_among_the_open_ones(put, read):
    put(notice(), opened())
    put(notice(id="m2", state=State.CLOSED), opened())

    assert [each.id for each in read(notices.listed, open_only=True)] == ["m1"]


def test_what_ended_since_is_among_the_recent_ones(put, read):
    put(notice(id="old", state=State.CLOSED, ended=NOON + 5 * MINUTE), opened())
    put(notice(id="new", state=State.CLOSED, ended=NOON + 50 * MINUTE), opened())

    assert [each.id for each in read(notices.listed, since=NOON + 30 * MINUTE)] == ["new"]


def test_notices_are_listed_by_kind_the_newest_first(put, read):
    put(notice(), opened())
    put(notice(id="m2", began=NOON + MINUTE), opened())
    put(notice(id="p", kind=Kind.MAINTENANCE, state=State.PLANNED), opened())

    assert [each.id for each in read(notices.listed, kinds=[Kind.MALFUNCTION])] == ["m2", "m1"]


def test_notices_are_counted_by_kind_and_state(put, read):
    put(notice(), opened())
    put(notice(id="m2"), opened())

    assert read(notices.states) == {(Kind.MALFUNCTION, State.DETECTED): 2}


def test_a_message_is_due_from_its_moment(put, read):
    put(notice(), opened(), [REGION])

    due = [len(read(notices.due, NOON + each * MINUTE)) for each in (0, 1)]

    assert due == [0, 1]


@pytest.mark.parametrize("done", [{"accepted": NOON}, {"given_up": NOON}])
def test_a_message_that_is_done_is_not_due(database, put, read, done):
    put(notice(), opened(), [REGION])
    (delivery,) = read(notices.deliveries)

    with database.transaction() as connection:
        notices.answered(connection, replace(delivery, **done))

    assert read(notices.due, NOON + 60 * MINUTE) == []


def test_a_message_is_taken_by_one_only(database, put, read):
    put(notice(), opened(), [REGION])
    (delivery,) = read(notices.deliveries)

    with database.transaction() as connection:
        taken = [notices.claim(connection, delivery, NOON + 3 * MINUTE) for _ in range(2)]

    assert taken == [True, False]


def test_messages_are_counted_by_kind_of_channel_and_result(database, put, read):
    second = Address("Région", Role.REGION, "email-2")
    put(notice(), opened(), [REGION, second, DRAAF])
    delivery = next(each for each in read(notices.deliveries) if each.channel == "email")
    with database.transaction() as connection:
        notices.answered(connection, replace(delivery, accepted=NOON, status="250"))

    assert read(notices.results) == {("email", "accepted"): 1, ("email", "pending"): 1, ("webhook", "pending"): 1}


def test_whether_a_role_was_ever_written_to(put, read):
    put(notice(), opened(), [REGION])

    assert [read(notices.has_role, "m1", each) for each in (Role.REGION, Role.CRISIS_CELL)] == [True, False]
