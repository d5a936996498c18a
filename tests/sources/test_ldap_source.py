"""The LDAP source asked for all that a real slapd holds, and for a few keys."""

import dataclasses
import datetime as dt
import json
import pickle

import pytest

import servers.slapd
from ent_sync.core.errors import Problem, UnavailableError
from ent_sync.core.record import Population, Record
from ent_sync.ports import UnreadableError
from ent_sync.wire.ldap import dn
from ports.source_contract import Giving, ReadingContract
from servers.slapd import slapd
from sources.directory_people import NOW, WANTED, People, Read, digest, directory_source, read, referring

PUPIL, GUARDIAN, STAFF, SCHOOL = Population.PUPIL, Population.GUARDIAN, Population.STAFF, Population.SCHOOL


class GivingDirectory(Giving):
    """Fills a server; what it holds is one delivery, whatever the day."""

    def __init__(self, server, folder):
        self.server = server
        self.people = People(server.base)
        self.source = directory_source(server, folder)

    def complete(self, day, people):
        self.server.clear()
        self.server.add_ldif("".join(self.people.one(population, id_) for population, id_ in people))

    def delta(self, day, requests):
        pytest.fail("a directory has no requests")

    def spoil(self, day):
        self.server.restart(dataclasses.replace(self.server.settings, size_limit=1))

    def vanish(self):
        self.server.stop()


class TestLdapSource(ReadingContract):
    @pytest.fixture
    def giving(self, tmp_path):
        with slapd(durable=False) as server:
            yield GivingDirectory(server, tmp_path)


@pytest.fixture
def server():
    with slapd(durable=False) as running:
        yield running


@pytest.fixture
def people(server):
    return People(server.base)


@pytest.fixture
def source(server, tmp_path):
    return directory_source(server, tmp_path)


def some(*sightings):
    """What is seen, without what a directory calls it."""
    return sorted((each.population, each.key) for each in sightings)


def test_a_directory_is_one_complete_live_delivery(server, people, source):
    server.add_ldif(people.a_few())

    (delivery,) = source.deliveries(0.0)

    assert (delivery.complete, delivery.live, delivery.id) == (True, True, "ldap-20261124T231500Z")


def test_questions_travel_to_other_processes(server, people, source):
    server.add_ldif(people.a_few())
    (delivery,) = source.deliveries(0.0)

    shards = source.shards(delivery)

    assert pickle.loads(pickle.dumps(shards)) == shards  # noqa: S301 - our own


def test_only_wanted_attributes_leave_the_server(server, people, source):
    server.add_ldif(people.school() + people.guardian("200", mail="ailleurs@example.org", homePhone="+33 3"))

    found = read(source)

    (sighting,) = [each for each in found.sightings if each.population is GUARDIAN]
    assert b"ailleurs" not in sighting.raw
    assert [dict(each.values) for each in found.opened(GUARDIAN)] == [
        {"sn": ("FAMILLE-200",), "givenName": ("Prénom-200",)}
    ]


def test_an_attribute_is_named_as_the_mapping_spells_it(server, people, tmp_path):
    server.add_ldif(people.guardian("200"))
    wanted = WANTED | {GUARDIAN: frozenset({"SN", "givenname"})}

    (record,) = read(directory_source(server, tmp_path, wanted=wanted)).opened(GUARDIAN)

    assert dict(record.values) == {"SN": ("FAMILLE-200",), "givenname": ("Prénom-200",)}


def test_a_value_in_a_language_is_another_attribute(server, people, source):
    server.add_ldif(people.guardian("200", **{"sn;lang-fr": "AUTREMENT"}))

    (record,) = read(source).opened(GUARDIAN)

    assert record.values["sn"] == ("FAMILLE-200",)


def test_spaces_around_a_value_are_not_part_of_it(server, people, source):
    server.add_ldif(people.guardian("200", sn="  FAMILLE  ", givenName=[]))

    (record,) = read(source).opened(GUARDIAN)

    assert dict(record.values) == {"sn": ("FAMILLE",)}


def test_a_value_that_is_not_utf8_is_a_problem_and_the_rest_is_read(server, people, source):
    server.add_ldif(people.pupil("100", audio=b"\xff\xfe") + people.pupil("101", audio="ok"))

    opened = read(source).opened(PUPIL)

    (bad,) = [each for each in opened if isinstance(each, Problem)]
    (good,) = [each for each in opened if isinstance(each, Record)]
    assert (bad.rule, bad.where.file, bad.where.line) == ("encoding", "lille-ldap pupils", 1)
    assert good.key == "LILLE$101"


@pytest.mark.parametrize(
    ("joints", "key"),
    [
        (["AC-LILLE$100"], "LILLE$100"),
        (["LILLE$100"], "LILLE$100"),
        (["100"], "LILLE$100"),
        (["ac-lille$100"], "LILLE$100"),
        (["AC-LILLE$100", "LILLE$100"], "LILLE$100"),
        (["AC-AMIENS$7", "AC-LILLE$100"], "LILLE$100"),
        (["ENT$7", "MENESR$8", "100"], "LILLE$100"),
        (["AC-AMIENS$7"], "AMIENS$7"),
        (["AC-LILLE$100", "AC-LILLE$101"], None),
        (["AC-AMIENS$7", "ENT$8"], None),
        (["?"], None),
        ([f"AC-LILLE$@{'0' * 32}"], None),
    ],
)
def test_the_key_is_the_one_of_our_academy_else_the_only_one(server, people, source, joints, key):
    server.add_ldif(people.pupil("100", ENTPersonJointure=joints))

    found = read(source)

    assert found.of(PUPIL) == [("add", key)]
    assert [each.keyless for each in found.evidence if PUPIL in each.records] == [{} if key else {PUPIL: 1}]


def test_an_entry_without_key_is_a_problem_with_its_place(server, people, source):
    server.add_ldif(people.pupil("100", ENTPersonJointure="?"))

    (problem,) = read(source).opened(PUPIL)

    assert (problem.rule, problem.where.line) == ("no-key", 1)


def test_who_is_of_two_classes_is_seen_in_both_populations(server, people, source):
    classes = ["inetOrgPerson", "ENTPerson", "ENTAuxPersRelEleve", "ENTAuxEnseignant"]
    server.add_ldif(people.guardian("200", objectClass=classes))

    found = read(source)

    assert (found.of(GUARDIAN), found.of(STAFF)) == ([("add", "LILLE$200")], [("add", "LILLE$200")])


# -- references --------------------------------------------------------------------------------------------------------


def test_a_dn_in_a_value_becomes_a_reference(server, people, source):
    server.add_ldif(people.pupil("100", ENTElevePersRelEleve=f"{people.dn('200')}$10$1$1$1$1"))

    (record,) = read(source).opened(PUPIL)

    assert record.values["ENTPersonStructRattach"] == (referring(people.structure()),)
    assert record.values["ENTEleveClasses"] == (f"{referring(people.structure())}$3A",)
    assert record.values["ENTElevePersRelEleve"] == (f"{referring(people.dn('200'))}$10$1$1$1$1",)


def test_a_reference_is_by_the_name_of_whom_it_means(server, people, source):
    server.add_ldif(people.a_few())

    found = read(source)

    names = {each.key: each.name for each in found.sightings}
    assert names["LILLE$1"].hex() == found.opened(PUPIL)[0].values["ENTPersonStructRattach"][0].partition("@")[2]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("AC-LILLE$1$3A", "AC-LILLE$1$3A"),
        ("LILLE$1$a=b", "LILLE$1$a=b"),
        ("1$3=A", "1$3=A"),
        ("DN$3A=1$x", "REF$3A=1$x"),
        ("OTHER$3A", "REF$3A"),
        ("not a = dn \\$3A", "not a = dn \\$3A"),
    ],
)
def test_only_a_dn_is_taken_for_one(server, people, source, value, expected):
    other = "  ENTStructureSiren = 19000000000001 , OU=Structures," + server.base.upper()
    server.add_ldif(
        people.pupil("100", ENTEleveClasses=value.replace("DN", people.structure()).replace("OTHER", other))
    )

    (record,) = read(source).opened(PUPIL)

    assert record.values["ENTEleveClasses"] == (expected.replace("REF", referring(people.structure())),)


@pytest.mark.parametrize(("rest", "found"), [("", ""), ("$3A", "$3A"), ("$a$b", "$a$b")])
def test_a_dn_may_hold_the_sign_that_ends_it(server, people, source, rest, found):
    named = f"cn=COL$3A,ou=structures,{server.base}"
    server.add_ldif(people.pupil("100", ENTEleveClasses=f"{named}{rest}"))

    (record,) = read(source).opened(PUPIL)

    assert record.values["ENTEleveClasses"] == (f"{referring(named)}{found}",)


def test_a_dn_of_elsewhere_ends_before_the_first_sign(server, people, source):
    server.add_ldif(people.pupil("100", ENTEleveClasses="ou=x,dc=ailleurs$3A$b"))

    (record,) = read(source).opened(PUPIL)

    assert record.values["ENTEleveClasses"] == (f"{referring('ou=x,dc=ailleurs')}$3A$b",)


def test_an_equals_sign_elsewhere_is_just_a_sign(server, people, source):
    server.add_ldif(people.guardian("200", sn="uid=u1,ou=people"))

    (record,) = read(source).opened(GUARDIAN)

    assert record.values["sn"] == ("uid=u1,ou=people",)


def test_all_spellings_of_a_dn_are_one_name(server, people, source):
    server.add_ldif(
        people.guardian("200", dn=f"cn=FAMILLE\\, Léa,ou=people,{server.base}", cn="FAMILLE, Léa")
        + people.pupil("100", ENTElevePersRelEleve=f"CN=famille\\2C l\\C3\\A9a, ou=people,{server.base}$10$1$1$1$1")
    )

    found = read(source)

    (guardian,) = [each for each in found.sightings if each.population is GUARDIAN]
    (pupil,) = found.opened(PUPIL)
    assert pupil.values["ENTElevePersRelEleve"] == (f"AC-LILLE$@{guardian.name.hex()}$10$1$1$1$1",)


def test_no_dn_leaves_the_source_in_clear_but_sealed_with_the_rest(server, people, source):
    server.add_ldif(people.pupil("100", ENTElevePersRelEleve=f"{people.dn('200')}$10$1$1$1$1"))

    found = read(source)

    shown = repr([found.sightings, found.batches, found.evidence, found.opened(PUPIL), found.delivery])
    assert "u100" not in shown
    assert "u200" not in "".join(value for each in found.opened(PUPIL) for one in each.values.values() for value in one)


# -- what makes a read whole -------------------------------------------------------------------------------------------


def many(people, number):
    return "".join(people.pupil(str(1000 + each)) for each in range(number))


@pytest.mark.parametrize("changes", ["syncrepl", "timestamp", "none"])
def test_a_size_limit_makes_the_read_unreadable(tmp_path, changes):
    with slapd(durable=False, size_limit=20) as server:
        server.add_ldif(many(People(server.base), 30))
        source = directory_source(server, tmp_path, changes=changes, page=7)

        with pytest.raises(UnreadableError) as raised:
            read(source)

    assert (raised.value.problem.rule, raised.value.problem.where.file) == ("size-limit", "lille-ldap pupils")


def test_a_server_that_dies_between_two_pages_leaves_no_evidence(server, people, tmp_path):
    server.add_ldif(many(people, 30))
    source = directory_source(server, tmp_path, page=7)
    (delivery,) = source.deliveries(0.0)
    reading = source.read(source.shards(delivery)[1])
    next(reading)
    server.kill()

    with pytest.raises(UnreadableError):
        list(reading)


def test_a_base_that_is_not_there_is_unreadable(server, source, tmp_path):
    source = directory_source(server, tmp_path, people="ou=nobody")

    with pytest.raises(UnreadableError) as raised:
        read(source)

    assert raised.value.problem.rule == "no-such-entry"


def test_a_server_that_is_gone_is_unavailable_and_no_secret_is_told(server, source):
    server.stop()

    with pytest.raises(UnavailableError) as raised:
        source.deliveries(0.0)

    assert "source lille-ldap" in str(raised.value)
    assert server.password not in str(raised.value)


@pytest.mark.parametrize("changes", ["syncrepl", "timestamp"])
@pytest.mark.parametrize("split", [2, 3, 16])
def test_a_population_in_parts_is_everybody_once(server, people, tmp_path, split, changes):
    odd = people.pupil("101", uid=["u101", "autre0", "autrez"]) + people.pupil("102", uid=["u102", "é"])
    named = people.pupil("103", dn=f"cn=x,ou=people,{server.base}", uid=[], cn="x")
    server.add_ldif(many(people, 40) + odd + named)
    source = directory_source(server, tmp_path, split=split, changes=changes)

    found = read(source)

    expected = [f"LILLE${each}" for each in (101, 102, 103, *range(1000, 1040))]
    assert found.of(PUPIL) == [("add", key) for key in sorted(expected)]
    assert [part.number for part in found.delivery.parts if part.population is PUPIL] == list(range(split))
    assert len({part.file for part in found.delivery.parts}) == len(found.delivery.parts)


def test_a_population_in_parts_goes_on_as_one(server, people, tmp_path):
    server.add_ldif(many(people, 20))
    source = directory_source(server, tmp_path, split=4)
    cursor = read(source).cursor
    server.add_ldif(people.pupil("100"))

    found = read(source, cursor)

    assert (found.delivery.complete, found.of(PUPIL)) == (False, [("add", "LILLE$100")])


def test_an_entry_that_was_only_renamed_has_other_bytes(server, people, source):
    server.add_ldif(people.pupil("100"))
    before = read(source)
    server.modify_ldif(f"dn: {people.dn('100')}\nchangetype: modrdn\nnewrdn: cn=FAMILLE-100\ndeleteoldrdn: 0\n\n")

    after = read(source)

    assert after.sightings[0].raw != before.sightings[0].raw
    assert after.sightings[0].handle == before.sightings[0].handle
    assert after.sightings[0].name == digest(dn.normal(f"cn=famille-100,ou=people,{server.base}").encode())


def test_an_entry_that_stayed_has_the_same_bytes(server, people, source):
    server.add_ldif(people.a_few())

    first, second = read(source), read(source)

    assert [each.raw for each in first.sightings] == [each.raw for each in second.sightings]


@pytest.fixture
def hiding(monkeypatch):
    """A server hides the entryUUID of people, or of all entries, from our account."""
    usual = servers.slapd._write_configuration

    def hide(what):
        def write(server):
            usual(server)
            path = server.folder / "slapd.conf"
            rule = f"access to {what} attrs=entryUUID by * none\naccess to * by"
            path.write_text(path.read_text().replace("access to * by", rule, 1))

        monkeypatch.setattr(servers.slapd, "_write_configuration", write)

    return hide


def test_an_entry_whose_uuid_is_hidden_makes_the_read_unreadable(hiding, tmp_path):
    """Changes would come by a name that nobody knows, and whoever stays would seem to have left."""
    hiding('dn.subtree="ou=people,dc=ent,dc=example"')
    with slapd(durable=False) as server:
        server.add_ldif(People(server.base).a_few())

        with pytest.raises(UnreadableError) as raised:
            read(directory_source(server, tmp_path))

    assert raised.value.problem.rule == "no-entry-uuid"


def test_where_every_uuid_is_hidden_entries_are_known_by_those_that_changes_come_with(hiding, tmp_path):
    """Such a server says first that the entry is gone, since it cannot find it itself, and then what it holds."""
    hiding("*")
    with slapd(durable=False) as server:
        people = People(server.base)
        server.add_ldif(people.a_few())
        source = directory_source(server, tmp_path)
        before = read(source)
        server.modify_ldif(f"dn: {people.dn('100')}\nchangetype: modify\nreplace: sn\nsn: AUTRE\n\n")

        after = read(source, before.cursor)

    assert [(each.verb, each.key) for each in after.sightings if each.population is PUPIL][-1] == ("add", "LILLE$100")
    assert after.handles("add", PUPIL) < before.handles("add", PUPIL)


def test_where_every_uuid_is_hidden_timestamps_go_by_names(hiding, tmp_path):
    hiding("*")
    with slapd(durable=False) as server:
        server.add_ldif(People(server.base).a_few())
        source = directory_source(server, tmp_path, changes="timestamp", now=NOW + dt.timedelta(days=3650))
        before = read(source)

        after = read(source, before.cursor)

    assert after.handles("add", PUPIL) | after.handles("present", PUPIL) == before.handles("add", PUPIL)


# -- lookup ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spelled", ["AC-LILLE$100", "LILLE$100", "100", "ac-lille$100"])
def test_a_key_is_looked_up_however_it_is_spelled(server, people, source, spelled):
    server.add_ldif(people.pupil("100", ENTPersonJointure=spelled) + people.pupil("101") + people.staff("300"))

    delivery = source.lookup(["LILLE$100", "LILLE$999"])
    found = Read(source, delivery)

    assert (delivery.complete, delivery.live) == (False, True)
    assert some(*found.sightings) == [(PUPIL, "LILLE$100")]


def test_a_key_of_another_academy_is_looked_up_by_its_name_only(server, people, source):
    server.add_ldif(people.pupil("100", ENTPersonJointure="AC-AMIENS$7") + people.pupil("101", ENTPersonJointure="7"))

    found = Read(source, source.lookup(["AMIENS$7"]))

    assert some(*found.sightings) == [(PUPIL, "AMIENS$7")]


def test_a_look_up_proves_nothing_and_moves_no_cursor(server, people, source):
    server.add_ldif(people.a_few())

    found = Read(source, source.lookup(["LILLE$100"]))

    assert {(each.whole, each.cursor) for each in found.evidence} == {(False, None)}


def test_signs_of_filters_in_a_key_are_only_signs(server, people, source):
    server.add_ldif(people.pupil("100") + people.pupil("101"))

    found = Read(source, source.lookup(["LILLE$*", "LILLE$10)(uid=*", "LILLE$\\2a"]))

    assert found.sightings == []


def test_many_keys_are_looked_up_in_several_searches(server, people, source):
    server.add_ldif(many(people, 120))

    delivery = source.lookup([f"LILLE${1000 + each}" for each in range(120)])

    assert len(Read(source, delivery).of(PUPIL)) == 120
    assert [len(json.loads(shard.place)["filters"]) for shard in source.shards(delivery)] == [3, 3, 3]


def test_a_look_up_where_nobody_answers_is_told(server, source):
    server.stop()

    with pytest.raises(UnavailableError):
        source.lookup(["LILLE$100"])


# -- settings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("filter_", ["objectClass=x", "(a=b)(c=d)", "(&(a=b)", "(a=b))", "(objectClass)", ""])
def test_what_is_no_filter_is_refused(server, tmp_path, filter_):
    with pytest.raises(ValueError, match="RFC 4515"):
        directory_source(server, tmp_path, filters={"pupil": filter_})


def test_branches_may_be_the_base_itself(server, people, tmp_path):
    server.add_ldif(people.a_few())

    found = read(directory_source(server, tmp_path, people="", structures=""))

    assert some(*found.sightings) == [
        (GUARDIAN, "LILLE$200"),
        (PUPIL, "LILLE$100"),
        (PUPIL, "LILLE$101"),
        (SCHOOL, "LILLE$1"),
        (STAFF, "LILLE$300"),
    ]
