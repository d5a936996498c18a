"""The LDAP target while the server dies, the connection breaks, or the disk is full: it converges all the same."""

from contextlib import closing
from dataclasses import replace

import pytest
from ldap_directory import attributes_of, ldap_target, new_base

from ent_sync.core.entry import EntryId
from ent_sync.core.errors import UnavailableError
from ent_sync.core.plan import Create, Restore, Update
from ent_sync.core.record import Key
from ent_sync.ports import Acknowledged, Refused, Unanswered
from ent_sync.targets.ldap.members import Delta
from ports.target_contract import (
    CLASS,
    EVERYBODY,
    GUARDIAN,
    PUPIL,
    TEACHER,
    active,
    by_id,
    contents,
    delete,
    fill,
    suspend,
)
from servers.slapd import slapd


@pytest.fixture(scope="module")
def server():
    with slapd() as running:
        yield running


@pytest.fixture
def target(server, tmp_path):
    with closing(ldap_target(server, tmp_path, new_base(server))) as opened:
        yield opened


def breaking(target, at, do):
    """The target's directory, where something happens half way through the `at`-th thing that is asked of it."""
    directory, perform, calls = target._directory, target._directory.perform, []

    def broken(_, operations):
        calls.append(len(operations))
        if len(calls) != at:
            return perform(operations)
        half = len(operations) // 2
        first = perform(operations[:half]) if half else []
        do()
        return first + perform(operations[half:])

    return type(directory), broken


CHANGES = [
    *(Update(replace(entry, attributes={"family_name": ("Neu",)}), ("family_name",)) for entry in (PUPIL, TEACHER)),
    suspend(GUARDIAN),
]


@pytest.mark.parametrize("at", range(1, 10))
def test_a_server_killed_in_the_middle_of_a_push_is_made_true_by_the_next(server, target, monkeypatch, at):
    fill(target, EVERYBODY[:3])
    changes = [*map(Create, EVERYBODY), suspend(PUPIL), Restore(PUPIL), suspend(GUARDIAN), delete(TEACHER)]
    with monkeypatch.context() as patch:
        kind, broken = breaking(target, at, server.kill)
        patch.setattr(kind, "perform", broken)
        try:
            outcomes = list(target.push(changes))
        except UnavailableError:
            outcomes = []
    server.restart()

    again = list(target.push(changes))

    assert not [outcome for outcome in outcomes if isinstance(outcome, Refused)]
    assert all(isinstance(outcome, Acknowledged) for outcome in again)
    left = {held.entry.id: held.lifecycle for held in contents(target)}
    assert left == {
        **{entry.id: "active" for entry in (*EVERYBODY[:3], PUPIL)},
        GUARDIAN.id: "suspended",
    }
    assert list(target.read_back([PUPIL.id])) == [active(PUPIL)]


@pytest.mark.parametrize("at", range(1, 9))
def test_a_connection_that_breaks_is_opened_again_and_nothing_is_lost(target, monkeypatch, at):
    kind, broken = breaking(target, at, lambda: target._directory.link().close())
    monkeypatch.setattr(kind, "perform", broken)

    outcomes = list(target.push([Create(entry) for entry in EVERYBODY]))

    assert outcomes == [Acknowledged(entry.id, None) for entry in EVERYBODY]
    assert contents(target) == by_id(map(active, EVERYBODY))


def test_a_server_that_is_gone_before_anything_was_answered_is_unavailable(server, target):
    fill(target)
    server.stop()
    try:
        with pytest.raises(UnavailableError):
            list(target.push([Update(TEACHER, ("profile",))]))
    finally:
        server.start()


def test_what_was_answered_before_the_server_was_gone_stays_acknowledged(server, target, monkeypatch):
    fill(target)
    kind, broken = breaking(target, 8, server.kill)
    monkeypatch.setattr(kind, "perform", broken)

    outcomes = list(target.push([*CHANGES, delete(PUPIL)]))

    monkeypatch.undo()
    server.restart()
    assert isinstance(outcomes[0], Acknowledged)
    assert isinstance(outcomes[-1], Unanswered)


def test_reading_back_from_a_server_that_dies_is_no_reading_at_all(server, target):
    fill(target)
    reading = target.read_back(None)
    next(reading)
    server.kill()
    try:
        with pytest.raises(UnavailableError):
            list(reading)
    finally:
        server.start()


def test_a_full_disk_of_the_server_refuses_and_the_next_push_goes_on(tmp_path):
    everybody = [
        replace(GUARDIAN, id=EntryId(f"guardian-{number}"), source_key=Key(f"LILLE${number}"), guardianships=())
        for number in range(600)
    ]
    with slapd(durable=False, max_bytes=1 << 20) as server:
        with closing(ldap_target(server, tmp_path, server.base)) as target:
            outcomes = list(target.push(list(map(Create, everybody))))
        server.restart(replace(server.settings, max_bytes=1 << 30))
        with closing(ldap_target(server, tmp_path, server.base)) as target:
            again = list(target.push(list(map(Create, everybody))))

            found = contents(target)

    assert {outcome.rule for outcome in outcomes if isinstance(outcome, Refused)} == {"other"}
    assert all(isinstance(outcome, Acknowledged) for outcome in again)
    assert found == by_id(map(active, everybody))


# -- what a lost answer or another writer left behind in a group -------------------------------------------------------


def test_a_member_whom_the_group_lists_already_joins_it_once(server, target):
    fill(target, EVERYBODY[:3])
    base = target._settings.base
    dn = f"cn=0590001A$6A,ou=groups,{base}"
    server.modify_ldif(f"dn: {dn}\nchangetype: modify\nadd: member\nmember: uid=pupil-1,ou=people,{base}\n")

    (outcome,) = target.push([Create(PUPIL)])

    assert outcome == Acknowledged(PUPIL.id, None)
    assert attributes_of(server, dn, "member") == {"member": [f"uid=pupil-1,ou=people,{base}"]}


def test_a_member_whom_the_group_lists_no_more_leaves_it_without_a_failure(server, target):
    fill(target)
    base = target._settings.base
    ground, joining = target._ground(), f"uid=new,ou=people,{base}"

    failed = target._members.apply({CLASS: Delta({joining}, {f"uid=gone,ou=people,{base}"})}, ground)

    assert failed == {}
    assert joining in attributes_of(server, f"cn=0590001A$6A,ou=groups,{base}", "member")["member"]


def test_a_group_that_somebody_deleted_is_made_again_for_its_members(server, target):
    fill(target, EVERYBODY[:3])
    base = target._settings.base
    server.tool("ldapdelete", f"cn=0590001A$6A,ou=groups,{base}")

    (outcome,) = target.push([Create(PUPIL)])

    assert outcome == Acknowledged(PUPIL.id, None)
    assert list(target.read_back([PUPIL.id, CLASS])) == [active(PUPIL)]


def test_a_branch_that_somebody_deleted_is_made_again_by_the_next_push(server, target):
    fill(target, EVERYBODY[:1])
    server.tool("ldapdelete", f"ou=people,{target._settings.base}")

    (outcome,) = target.push([Create(GUARDIAN)])

    (later,) = target.push([Create(GUARDIAN)])
    assert isinstance(outcome, Refused)
    assert (outcome.rule, later) == ("noSuchObject", Acknowledged(GUARDIAN.id, None))
