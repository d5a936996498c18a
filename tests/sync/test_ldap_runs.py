"""Whole runs with an LDAP directory as the ENT: what comes there, and what happens when it or we break down."""

from dataclasses import replace

import pytest

from delivering import LEGAL, changed, guardian, pupil, staff, village, without
from ent_sync.core.errors import UnavailableError
from ent_sync.core.plan import Operation
from ent_sync.core.run import Outcome
from ent_sync.sync import push
from servers.slapd import slapd
from sync.at_directory import at_directory, at_message, dies_at_message, entries, new_base
from sync.dying import Moment, dies
from sync.installed import applied

PEOPLE = village(24)
NEXT = [
    *changed(without(PEOPLE, "100", "101"), pupil("102", classes=["6B"], guardians={"100102": LEGAL})),
    pupil("500"),
]


@pytest.fixture(scope="module")
def server():
    with slapd(durable=False) as running:
        yield running


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(push, "BATCH", 25)
    monkeypatch.setattr(push, "_LONGEST_PAUSE", 0.2)


@pytest.fixture
def there(server, tmp_path):
    return at_directory(tmp_path / "there", server, new_base(server))


def base_of(there):
    return there.config.read_text().split('base: "')[1].split('"')[0]


def contents(server, there):
    return entries(server, base_of(there))


def of_class(found, name):
    return [dn for dn, attributes in found.items() if name in attributes["objectClass"]]


def waiting(there):
    ((changes,),) = there.stored("SELECT count(*) FROM changes WHERE status IN ('pending', 'held')")
    ((stale,),) = there.stored("SELECT count(*) FROM entries WHERE stale")
    return changes + stale


# -- what comes there --------------------------------------------------------------------------------------------------


def test_a_delivery_becomes_entries_of_the_national_classes(server, there):
    there.synced(1, PEOPLE)

    found = contents(server, there)

    assert [len(of_class(found, name)) for name in ("ENTEleve", "ENTAuxPersRelEleve", "ENTAuxEnseignant")] == [
        24,
        24,
        1,
    ]


def test_a_class_has_its_pupils_and_teachers_as_members(server, there):
    there.synced(1, PEOPLE)

    found = contents(server, there)

    (group,) = of_class(found, "ENTClasse")
    assert found[group]["member"] == frozenset([*of_class(found, "ENTEleve"), *of_class(found, "ENTAuxEnseignant")])


def test_the_same_delivery_again_writes_nothing(server, there):
    there.synced(1, PEOPLE)
    before = server.search("-b", base_of(there), "(objectClass=*)", "entryCSN")

    there.sync(full=True)

    assert server.search("-b", base_of(there), "(objectClass=*)", "entryCSN") == before


def test_who_left_is_moved_and_keeps_identifier_join_key_and_names(server, there):
    there.synced(1, PEOPLE)

    there.synced(2, without(PEOPLE, "100", "101"))

    found = contents(server, there)
    kept = [found[dn] for dn in found if dn.endswith(",ou=suspended,BASE")]
    assert sorted(value for each in kept for value in each["ENTPersonJointure"] | each["sn"]) == [
        *("AC-LILLE$100", "AC-LILLE$100100", "AC-LILLE$100101", "AC-LILLE$101"),
        *("FAMILLE-100", "FAMILLE-100100", "FAMILLE-100101", "FAMILLE-101"),
    ]


def test_a_restored_account_is_the_same_entry(server, there):
    there.synced(1, PEOPLE)
    uuids = server.search("-b", base_of(there), "(ENTPersonJointure=AC-LILLE$100)", "entryUUID").splitlines()[1]
    there.synced(2, without(PEOPLE, "100"))

    there.synced(3, PEOPLE)

    assert uuids in server.search("-b", f"ou=people,{base_of(there)}", "(ENTPersonJointure=AC-LILLE$100)", "entryUUID")


def test_a_delta_and_the_complete_delivery_of_the_same_people_give_the_same_entries(server, there, tmp_path):
    there.synced(1, PEOPLE)
    there.delta(
        2,
        add=[pupil("500", guardians={"55": LEGAL}), guardian("55")],
        modify=[staff("9", functions=[("1", "DIR")])],
        delete=[pupil("100")],
    )
    there.sync()
    other = at_directory(tmp_path / "other", server, new_base(server))
    other.synced(1, PEOPLE)

    other.synced(
        2,
        [
            *changed(without(PEOPLE, "100"), staff("9", functions=[("1", "DIR")])),
            pupil("500", guardians={"55": LEGAL}),
            guardian("55"),
        ],
    )

    assert contents(server, there) == contents(server, other)


# -- two targets -------------------------------------------------------------------------------------------------------


def test_two_targets_of_one_run_have_the_same_people(server, tmp_path):
    there = at_directory(tmp_path / "both", server, new_base(server), beside_embedded=True)

    there.synced(1, PEOPLE)

    keys = {
        value.removeprefix("AC-")
        for attributes in contents(server, there).values()
        for value in attributes.get("ENTPersonJointure", ())
    }
    assert keys == {key for (key,) in there.ask("SELECT source_key FROM accounts")}


def test_one_target_that_is_down_delays_only_itself(tmp_path):
    with slapd(durable=False) as server:
        there = at_directory(tmp_path / "both", server, new_base(server), beside_embedded=True)
        server.kill()

        with pytest.raises(UnavailableError):
            there.synced(1, PEOPLE)

        assert there.ask("SELECT count(*) FROM accounts") == [(49,)]


def test_a_target_that_was_down_gets_all_of_it_later(tmp_path):
    with slapd(durable=False) as server:
        there = at_directory(tmp_path / "both", server, new_base(server), beside_embedded=True)
        server.kill()
        with pytest.raises(UnavailableError):
            there.synced(1, PEOPLE)
        server.start()

        result = there.sync()

        assert (result.outcome, applied(result), len(of_class(contents(server, there), "ENTPerson"))) == (
            Outcome.DONE,
            {Operation.CREATE: 49},
            49,
        )


# -- we die ------------------------------------------------------------------------------------------------------------


def prepared(server, folder):
    """An installation on a base of its own, with one delivery applied and the next waiting."""
    there = at_directory(folder, server, new_base(server))
    there.synced(1, PEOPLE)
    there.complete(2, NEXT)
    return there


@pytest.fixture
def expected(server, tmp_path):
    """What a run makes of the waiting delivery when it is left alone."""
    undisturbed = prepared(server, tmp_path / "undisturbed")
    undisturbed.sync()
    return contents(server, undisturbed)


def test_a_run_that_dies_before_any_commit_is_finished_by_the_next(server, expected, tmp_path):
    """What the directory acknowledged by then is not stored yet."""
    number, found, died = 0, {}, True
    while died:
        number += 1
        there = prepared(server, tmp_path / f"commit-{number}")
        died = dies(there, lambda here: here.sync(), number, Moment.BEFORE)
        if died:
            there.sync()
        found[number] = (contents(server, there) == expected, waiting(there))

    assert number > 3
    assert {each: what for each, what in found.items() if what != (True, 0)} == {}


def test_a_run_that_dies_before_every_other_message_is_finished_by_the_next(server, expected, tmp_path):
    number, found, died = -1, {}, True
    while died:
        number += 2
        there = prepared(server, tmp_path / f"message-{number}")
        died = dies_at_message(there, number)
        if died:
            there.sync()
        found[number] = (contents(server, there) == expected, waiting(there))

    assert number > 3
    assert {each: what for each, what in found.items() if what != (True, 0)} == {}


# -- the server breaks down --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [4, 6, 8])
def test_a_server_killed_in_the_middle_of_a_push_has_all_of_it_after_the_next_run(number, tmp_path):
    with slapd() as server:
        there = at_directory(tmp_path / "there", server, new_base(server))
        there.complete(1, PEOPLE)
        with at_message(number, server.kill), pytest.raises(UnavailableError):
            there.sync()
        server.start()

        result = there.sync()

        assert (result.outcome, len(of_class(contents(server, there), "ENTPerson")), waiting(there)) == (
            Outcome.DONE,
            49,
            0,
        )


def test_a_server_that_falls_silent_is_left_alone_and_has_all_of_it_after_the_next_run(tmp_path):
    with slapd(durable=False) as server:
        there = at_directory(tmp_path / "there", server, new_base(server), timeout="1s")
        there.complete(1, PEOPLE)
        with at_message(6, server.pause), pytest.raises(UnavailableError):
            there.sync()
        server.proceed()

        result = there.sync()

        assert (result.outcome, len(of_class(contents(server, there), "ENTPerson")), waiting(there)) == (
            Outcome.DONE,
            49,
            0,
        )


def test_a_server_that_takes_no_writes_now_is_one_that_cannot_be_reached(tmp_path):
    with slapd(durable=False) as server:
        there = at_directory(tmp_path / "there", server, new_base(server))
        there.synced(1, PEOPLE)
        there.complete(2, NEXT)
        writable = server.settings
        server.restart(replace(writable, read_only=True))
        with pytest.raises(UnavailableError, match="unwillingToPerform"):
            there.sync()
        server.restart(writable)

        result = there.sync()

        assert (result.outcome, waiting(there)) == (Outcome.DONE, 0)


def test_a_server_whose_disk_is_full_gets_the_rest_when_there_is_room(tmp_path):
    with slapd(durable=False, max_bytes=400_000) as server:
        there = at_directory(tmp_path / "there", server, new_base(server))
        first = there.synced(1, village(400))
        server.restart(replace(server.settings, max_bytes=1 << 28))

        there.sync()

        assert (first.outcome, len(of_class(contents(server, there), "ENTPerson")), waiting(there)) == (
            Outcome.PARTIAL,
            801,
            0,
        )
