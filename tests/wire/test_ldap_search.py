"""Reads of a real slapd as an ordinary reader: whole, or incomplete with its reason."""

import threading

import pytest
from ldap_linking import connect, cut_after, linked, person

from ent_sync.wire.ldap import ber, search
from ent_sync.wire.ldap.ber_write import BadFilterError
from ent_sync.wire.ldap.result import LdapError
from ent_sync.wire.ldap.search import IncompleteError, Scope, Search
from servers.slapd import slapd

BASE = "dc=ent,dc=example"
PEOPLE = Search(base=BASE, filter="(objectClass=inetOrgPerson)", attributes=("uid",), page=10)
COUNT = 45


def names(pages):
    return [entry.dn.split(",")[0] for page in pages for entry in page]


@pytest.fixture(scope="module")
def server():
    with slapd(durable=False) as running:
        running.add_ldif("".join(person(number) for number in range(COUNT)))
        yield running


@pytest.fixture(scope="module")
def limited():
    with slapd(durable=False, size_limit=20) as running:
        running.add_ldif("".join(person(number) for number in range(COUNT)))
        yield running


def rule_of(link, wanted=PEOPLE):
    with pytest.raises(IncompleteError) as caught:
        names(search.pages(link, wanted))
    return caught.value.rule


def test_a_read_in_pages_gives_every_entry_once(server):
    with linked(server) as link:
        found = names(search.pages(link, PEOPLE))

    assert sorted(found) == sorted(f"uid=p{number}" for number in range(COUNT))


def test_a_page_holds_as_many_entries_as_were_asked_for(server):
    with linked(server) as link:
        found = [len(page) for page in search.pages(link, PEOPLE)]

    assert found == [10, 10, 10, 10, 5]


def test_an_entry_holds_the_attributes_that_were_asked_for(server):
    wanted = Search(base=BASE, filter="(uid=p7)", attributes=("cn", "uid"))

    with linked(server) as link:
        [[entry]] = search.pages(link, wanted)

    assert ber.attributes(entry.content) == {"uid": [b"p7"], "cn": [b"Person 7"]}


def test_a_read_that_finds_nothing_is_whole(server):
    wanted = Search(base=BASE, filter="(uid=nobody)")

    with linked(server) as link:
        found = names(search.pages(link, wanted))

    assert found == []


def test_a_server_side_size_limit_makes_a_read_incomplete(limited):
    """The named trap: ldap3's own paged search ends here without a word (ops.md §0)."""
    with linked(limited) as link:
        rule = rule_of(link)

    assert rule == "size-limit"


def test_a_size_limit_within_one_page_makes_a_read_incomplete(limited):
    wanted = Search(base=BASE, filter="(objectClass=inetOrgPerson)", page=1000)

    with linked(limited) as link:
        rule = rule_of(link, wanted)

    assert rule == "size-limit"


def test_a_read_of_all_that_a_size_limit_allows_is_whole(limited):
    wanted = Search(base=BASE, filter="(|(uid=p1)(uid=p2))", page=1)

    with linked(limited) as link:
        found = names(search.pages(link, wanted))

    assert sorted(found) == ["uid=p1", "uid=p2"]


def test_a_server_that_refuses_pages_makes_a_read_incomplete():
    lines = ("limits users size.prtotal=disabled",)

    with slapd(durable=False, database_lines=lines) as refusing, linked(refusing) as link:
        rule = rule_of(link)

    assert rule in {"admin-limit", "refused"}


def test_a_server_side_time_limit_makes_a_read_incomplete():
    # slapd looks at its clock before each entry; values and filters that nearly match make the whole a minute long
    people = "".join(person(number).replace(": pupil", f": {'a' * 20_000}") for number in range(1000))
    slow = "(|" + "".join(f"(description=*aaaaaaaaaaaaaaab{number}*)" for number in range(400)) + ")"
    with slapd(durable=False, time_limit=1, indices=("objectClass eq",)) as hasty:
        hasty.slapadd(people)
        with linked(hasty) as link:
            rule = rule_of(link, Search(base=BASE, filter=slow))

    assert rule == "time-limit"


def test_a_referral_below_the_base_makes_a_read_incomplete():
    with slapd(durable=False) as pointing:
        pointing.add_ldif(
            f"dn: ou=elsewhere,{BASE}\nobjectClass: referral\nobjectClass: extensibleObject\nou: elsewhere\n"
            f"ref: ldap://127.0.0.1:1/ou=elsewhere,{BASE}\n"
        )
        with linked(pointing) as link:
            rule = rule_of(link)

    assert rule == "referral"


def test_a_base_that_lies_elsewhere_makes_a_read_incomplete():
    with slapd(durable=False) as pointing:
        pointing.add_ldif(
            f"dn: ou=elsewhere,{BASE}\nobjectClass: referral\nobjectClass: extensibleObject\nou: elsewhere\n"
            f"ref: ldap://127.0.0.1:1/ou=elsewhere,{BASE}\n"
        )
        with linked(pointing) as link:
            rule = rule_of(link, Search(base=f"ou=people,ou=elsewhere,{BASE}"))

    assert rule == "referral"


def test_a_base_that_does_not_exist_makes_a_read_incomplete(server):
    with linked(server) as link:
        rule = rule_of(link, Search(base=f"ou=nowhere,{BASE}"))

    assert rule == "no-such-entry"


@pytest.mark.parametrize("limit", [1500, 2000, 2500, 3000])
def test_a_connection_that_breaks_within_a_page_makes_a_read_incomplete(server, limit):
    with cut_after(server, limit) as url, linked(server, servers=[url]) as link:
        rule = rule_of(link)

    assert rule in {"closed", "reset"}


def test_a_server_killed_between_pages_makes_a_read_incomplete():
    with slapd(durable=False) as dying:
        dying.add_ldif("".join(person(number) for number in range(COUNT)))
        with linked(dying) as link:
            reading = search.pages(link, PEOPLE)
            next(reading)
            dying.kill()
            with pytest.raises(IncompleteError) as caught:
                names(reading)

    assert caught.value.rule in {"closed", "reset"}


def test_a_server_that_falls_silent_makes_a_read_incomplete():
    with slapd(durable=False) as silent:
        silent.add_ldif("".join(person(number) for number in range(COUNT)))
        with linked(silent, receive_timeout="1s") as link:
            silent.pause()
            rule = rule_of(link)

    assert rule == "receive-timeout"


def test_other_questions_may_be_asked_while_a_read_is_under_way(server):
    with linked(server) as link:
        reading = search.pages(link, PEOPLE)
        first = next(reading)
        other = search.read(link, f"uid=p3,ou=people,{BASE}", ("cn",))
        rest = names(reading)

    assert (len(first), other and ber.attributes(other.content), len(rest)) == (10, {"cn": [b"Person 3"]}, 35)


def test_a_read_that_was_stopped_early_leaves_the_link_fit_for_the_next(server):
    with linked(server) as link:
        reading = search.pages(link, PEOPLE)
        next(reading)
        reading.close()
        found = names(search.pages(link, PEOPLE))

    assert len(found) == COUNT


def test_two_threads_read_side_by_side_each_on_its_own_link(server):
    found = []

    def read():
        with linked(server) as link:
            found.append(len(names(search.pages(link, PEOPLE))))

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert found == [COUNT, COUNT]


def test_one_level_is_only_that(server):
    wanted = Search(base=BASE, scope=Scope.ONE, attributes=("1.1",))

    with linked(server) as link:
        found = names(search.pages(link, wanted))

    assert sorted(found) == ["cn=reader", "cn=writer", "ou=groups", "ou=people", "ou=structures", "ou=suspended"]


def test_no_attributes_are_given_where_none_were_asked_for(server):
    wanted = Search(base=BASE, filter="(uid=p7)", attributes=("1.1",))

    with linked(server) as link:
        [[entry]] = search.pages(link, wanted)

    assert entry.content == b""


def test_one_entry_is_read_by_its_name(server):
    with linked(server) as link:
        entry = search.read(link, f"uid=p3,ou=people,{BASE}", ("uid",))

    assert entry is not None
    assert ber.attributes(entry.content) == {"uid": [b"p3"]}


def test_an_entry_that_does_not_exist_is_none(server):
    with linked(server) as link:
        entry = search.read(link, f"uid=nobody,ou=people,{BASE}")

    assert entry is None


def test_a_refused_reading_of_one_entry_says_the_name_of_its_code(server):
    with linked(server) as link, pytest.raises(LdapError) as caught:
        search.read(link, "this is no name")

    assert (caught.value.code, str(caught.value)) == (34, "invalidDNSyntax")


def test_a_filter_that_is_none_is_refused_before_it_is_sent(server):
    with linked(server) as link, pytest.raises(BadFilterError):
        names(search.pages(link, Search(base=BASE, filter="(uid=")))


def test_aliases_are_not_followed():
    with slapd(durable=False) as aliased:
        aliased.add_ldif(person(1))
        aliased.add_ldif(
            f"dn: cn=double,ou=groups,{BASE}\nobjectClass: alias\nobjectClass: extensibleObject\ncn: double\n"
            f"aliasedObjectName: uid=p1,ou=people,{BASE}\n"
        )
        with linked(aliased) as link:
            found = names(search.pages(link, Search(base=f"ou=groups,{BASE}", attributes=("1.1",))))

    assert found == ["ou=groups", "cn=double"]


def test_an_entry_does_not_show_whom_it_is_about(server):
    with linked(server) as link:
        entry = search.read(link, f"uid=p3,ou=people,{BASE}", ("uid",))

    assert "p3" not in repr(entry)


def test_a_closed_link_may_be_closed_again(server):
    link = connect(server)
    link.close()

    link.close()
