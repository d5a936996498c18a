"""Servers that are busy, slow, gone or silent. A fake stands only where slapd does not fail on command."""

import socket
import threading
import time
from pathlib import Path

import pytest
import tenacity

from ent_sync.config.directory import DirectorySection
from ent_sync.wire.ldap import ber
from ent_sync.wire.ldap.access import connect
from ent_sync.wire.ldap.link import Link
from ent_sync.wire.ldap.result import BUSY, UNAVAILABLE, UNWILLING
from ent_sync.wire.ldap.write import Add, Modify, Move, Pipeline, Remove
from servers.slapd import slapd

ADD_RESPONSE = 0x69
AT_ONCE = tenacity.wait_none()


def role(number):
    return Add(f"cn=n{number},ou=people,dc=ent,dc=example", {"objectClass": [b"organizationalRole"]})


ROLES = [role(number) for number in range(300)]


# -- a fake that answers as it is told ---------------------------------------------------------------------------------


class Told:
    """Answers each request with the code that `code_of` gives for its place; None closes the connection.

    Of those that wait together the last is answered first where it is told to be `backwards`; `done` are the kinds of
    requests, in the order of the answers.
    """

    def __init__(self, code_of=lambda _: 0, *, backwards=False):
        self.ours, self._theirs = socket.socketpair()
        self.most_waiting = 0
        self.done = []
        self._code_of = code_of
        self._backwards = backwards
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        data, count = b"", 0
        with self._theirs:
            while chunk := self._theirs.recv(1 << 20):
                found, at, _ = ber.messages(data + chunk)
                data = (data + chunk)[at:]
                self.most_waiting = max(self.most_waiting, len(found))
                for message in reversed(found) if self._backwards else found:
                    self.done.append(message.op)
                    if message.op == 0x42:
                        return
                    code = self._code_of(count)
                    count += 1
                    if code is None:
                        return
                    body = bytes((0x0A, 1, code, 4, 0, 4, 0))
                    number = message.id.to_bytes(4, "big")
                    self._theirs.sendall(bytes((0x30, 8 + len(body), 2, 4)) + number + bytes((ADD_RESPONSE, 7)) + body)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ours.close()
        self._thread.join(5)


def pipeline_to(fake, **more):
    return Pipeline(Link(fake.ours, server="ldap://fake.example", timeout=5), **more)


def test_what_a_server_is_too_busy_for_is_tried_again_until_done():
    with Told(lambda count: BUSY if count in {3, 10, 12} else 0) as fake:
        pipeline = pipeline_to(fake, pauses=AT_ONCE)
        answers = pipeline.perform(ROLES)

    assert [answer.result.code for answer in answers] == [0] * 300
    assert pipeline.retries == 3


def test_a_server_that_stays_busy_is_not_asked_for_ever():
    with Told(lambda _: UNAVAILABLE) as fake:
        pipeline = pipeline_to(fake, pauses=AT_ONCE, attempts=4)
        (answer,) = pipeline.perform([role(1)])

    assert (answer.result.code, answer.sent) == (UNAVAILABLE, True)
    assert pipeline.retries == 3


def test_other_refusals_are_not_tried_again():
    with Told(lambda _: UNWILLING) as fake:
        pipeline = pipeline_to(fake, pauses=AT_ONCE)
        pipeline.perform(ROLES)

    assert pipeline.retries == 0


def test_the_window_grows_at_a_server_that_takes_all_and_shrinks_at_a_busy_one():
    with Told(lambda count: BUSY if count >= 300 else 0) as fake:
        pipeline = pipeline_to(fake, pauses=AT_ONCE, attempts=8)
        pipeline.perform(ROLES)
        grown = pipeline.window
        pipeline.perform(ROLES[:20])

    assert grown == 64
    assert pipeline.window < 16


def test_there_are_never_more_under_way_than_allowed():
    with Told(lambda _: 0) as fake:
        pipeline_to(fake, most=5).perform(ROLES)

    assert fake.most_waiting <= 5


def test_a_stop_cuts_a_pause_and_leaves_the_rest_unsent():
    with Told(lambda count: BUSY if count == 0 else 0) as fake:
        pipeline = pipeline_to(fake, most=1, pauses=tenacity.wait_fixed(3600), stopping=lambda: True)
        answers = pipeline.perform(ROLES[:3])

    assert [(answer.result and answer.result.code, answer.sent) for answer in answers] == [
        (BUSY, True),
        (None, False),
        (None, False),
    ]


def test_a_pause_is_told_which_attempt_it_follows():
    attempts = []

    def noted(state):
        attempts.append(state.attempt_number)
        return 0.01

    with Told(lambda _: BUSY) as fake:
        pipeline_to(fake, attempts=4, pauses=noted).perform([role(1)])

    assert attempts == [1, 2, 3]


def test_what_was_sent_is_told_from_what_was_not_when_the_connection_ends():
    with Told(lambda count: None if count == 4 else 0) as fake:
        answers = pipeline_to(fake, most=8).perform(ROLES[:30])

    ended = [(answer.result is not None, answer.sent) for answer in answers]
    assert ended[:4] == [(True, True)] * 4
    assert ended[4] == (False, True)
    assert ended[-1] == (False, False)


def test_a_server_that_answers_what_is_not_ldap_leaves_the_rest_unanswered():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        (answer,) = Pipeline(Link(ours, server="ldap://fake.example", timeout=5)).perform([role(1)])

    assert answer.result is None


def test_an_answer_that_is_none_leaves_the_rest_unanswered():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(bytes.fromhex("30050201016900"))
        answers = Pipeline(Link(ours, server="ldap://fake.example", timeout=5)).perform([role(1), role(2)])

    assert [(answer.result, answer.sent) for answer in answers] == [(None, True)] * 2


def test_what_was_refused_and_then_lost_may_have_been_done():
    with Told(lambda count: BUSY if count == 0 else None) as fake:
        (answer,) = pipeline_to(fake, pauses=AT_ONCE).perform([role(1)])

    assert (answer.result, answer.sent) == (None, True)


def test_an_answer_to_a_question_nobody_asked_is_passed_over():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(bytes.fromhex("300c02012a6907 0a010004000400".replace(" ", "")))
        theirs.sendall(bytes.fromhex("300c0201016907 0a010004000400".replace(" ", "")))
        (answer,) = Pipeline(Link(ours, server="ldap://fake.example", timeout=5)).perform([role(1)])

    assert answer.result.code == 0


# -- order at a server that does the last first ------------------------------------------------------------------------

ADD, MODIFY, REMOVE, MOVE = 0x68, 0x66, 0x4A, 0x6C
CLASS = {"objectClass": [b"organizationalUnit"]}


def kinds_done(operations):
    with Told(backwards=True) as fake:
        pipeline_to(fake).perform(operations)
    return [kind for kind in fake.done if kind != 0x42]


def test_one_dn_is_never_under_way_twice_however_it_is_spelt():
    operations = [Add("ou=a,dc=b", CLASS), Modify("OU=A, dc=b", []), Modify("ou=a,DC=b", []), Remove("ou=a,dc=b")]

    assert kinds_done(operations) == [ADD, MODIFY, MODIFY, REMOVE]


def test_a_child_comes_after_its_parent():
    assert kinds_done([Modify("ou=a,dc=b", []), Add("ou=c,ou=a,dc=b", CLASS)]) == [MODIFY, ADD]


def test_a_parent_goes_after_all_its_children():
    operations = [Remove("ou=c,ou=a,dc=b"), Remove("ou=d,ou=a,dc=b"), Move("ou=a,dc=b", "ou=e")]

    assert kinds_done(operations) == [REMOVE, REMOVE, MOVE]


def test_what_takes_the_new_name_of_a_moved_entry_comes_after_the_move():
    assert kinds_done([Move("ou=a,dc=b", "ou=e"), Modify("ou=e,dc=b", [])]) == [MOVE, MODIFY]


def test_children_of_one_parent_need_not_wait_for_each_other():
    with Told(backwards=True) as fake:
        pipeline_to(fake).perform([Remove(f"ou={name},ou=a,dc=b") for name in "cdefgh"])

    assert fake.most_waiting > 1


def test_what_is_tried_again_keeps_its_dn():
    with Told(lambda count: BUSY if count == 0 else 0) as fake:
        pipeline_to(fake, pauses=AT_ONCE).perform([Add("ou=a,dc=b", CLASS), Remove("ou=a,dc=b")])

    assert fake.done[:3] == [ADD, ADD, REMOVE]


# -- a real one that dies or falls silent ------------------------------------------------------------------------------


@pytest.fixture
def server():
    with slapd(durable=False) as running:
        yield running


def link_to(server, seconds="30s"):
    section = DirectorySection.model_validate(server.section(receive_timeout=seconds))
    return connect(section, Path("/"), {}, who="target ent")


def test_a_server_killed_in_the_middle_leaves_operations_unanswered(server):
    many = [role(number) for number in range(50_000)]
    killer = threading.Thread(target=kill_when_busy, args=(server,))

    with link_to(server) as link:
        killer.start()
        answers = Pipeline(link).perform(many)
        killer.join()

    done = sum(answer.result is not None for answer in answers)
    unknown = sum(answer.result is None and answer.sent for answer in answers)
    assert 0 < done < 50_000
    assert 0 < unknown <= 64


def kill_when_busy(server):
    deadline = time.monotonic() + 20
    while server.search("(cn=n100)", "1.1") == "" and time.monotonic() < deadline:
        time.sleep(0.01)
    server.kill()


def test_what_was_answered_before_a_kill_is_there_after_it():
    many = [role(number) for number in range(50_000)]
    with slapd() as server:
        killer = threading.Thread(target=kill_when_busy, args=(server,))
        with link_to(server) as link:
            killer.start()
            answers = Pipeline(link).perform(many)
            killer.join()
        server.start()
        there = set(server.search("(objectClass=organizationalRole)", "1.1").split("\n"))

    done = {f"dn: {answer.operation.dn}" for answer in answers if answer.result is not None}
    assert done
    assert done <= there


def test_after_a_lost_connection_nothing_is_sent(server):
    with link_to(server) as link:
        pipeline = Pipeline(link)
        server.kill()
        pipeline.perform([role(1)])
        answers = pipeline.perform([role(2), role(3)])

    assert pipeline.lost
    assert [(answer.result, answer.sent) for answer in answers] == [(None, False)] * 2


def test_a_server_that_falls_silent_is_not_waited_for_longer_than_the_time_out(server):
    with link_to(server, "1s") as link:
        server.pause()
        (answer,) = Pipeline(link).perform([role(1)])
        server.proceed()

    assert (answer.result, answer.sent) == (None, True)


def test_a_server_stopped_in_good_order_leaves_the_next_operations_unanswered(server):
    with link_to(server) as link:
        pipeline = Pipeline(link)
        pipeline.perform([role(1)])
        server.stop()
        answers = pipeline.perform([Modify("ou=people,dc=ent,dc=example", []), Remove("cn=n1,dc=ent,dc=example")])

    assert [answer.result for answer in answers] == [None, None]
