"""Notices by webhook, posted to a real receiver that checks what Standard Webhooks says."""

import base64
import hashlib
import hmac
import json

import pytest

from ent_sync.core.notice.kinds import What
from ent_sync.federation.channels.letter import Answer
from ent_sync.federation.channels.webhook import Subscription, key, post
from federation.telling import at, letter, maintenance, notice, update
from servers import front
from servers.front import DAY, Authority, Mode
from servers.slapd import free_port

KEY = b"0123456789abcdef01234567"


@pytest.fixture
def receiver():
    with front.serving() as made:
        made.mode = Mode(status=204)
        yield made


def posted(receiver, what=None, keys=(KEY,), path="/notices?a=b", **more):
    return post(what or letter(), Subscription(url=f"http://127.0.0.1:{receiver.port}{path}", keys=keys, **more), at(2))


def signed(secret, headers, body):
    """What the receiver computes, by the text of the specification."""
    said = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(secret, said, hashlib.sha256).digest()).decode()


def test_a_notice_is_posted_to_its_address(receiver):
    answer = posted(receiver)

    assert (answer, [each[:2] for each in receiver.asked]) == (Answer(True, "204"), [("POST", "/notices?a=b")])


def test_the_signature_is_that_which_the_receiver_computes(receiver):
    posted(receiver)

    headers = receiver.asked[0][2]
    assert headers["webhook-signature"] == signed(KEY, headers, receiver.bodies[0])


def test_while_keys_change_each_of_two_fits(receiver):
    posted(receiver, keys=(b"new" * 8, b"old" * 8))

    headers = receiver.asked[0][2]
    assert headers["webhook-signature"].split() == [
        signed(each, headers, receiver.bodies[0]) for each in (b"new" * 8, b"old" * 8)
    ]


def test_the_timestamp_is_now(receiver):
    posted(receiver)

    assert int(receiver.asked[0][2]["webhook-timestamp"]) == at(2).timestamp()


def test_the_same_message_sent_again_has_the_same_id(receiver):
    posted(receiver)
    posted(receiver)

    assert len({headers["webhook-id"] for _, _, headers in receiver.asked}) == 1


def test_another_update_has_another_id(receiver):
    posted(receiver)
    posted(receiver, letter(said=update(What.ENDED, 1)))

    assert len({headers["webhook-id"] for _, _, headers in receiver.asked}) == 2


def test_the_body_says_what_happened(receiver):
    posted(receiver, letter(notice(ended=at(9)), update(What.ENDED, 1, minute=10)))

    body = json.loads(receiver.bodies[0])
    assert (body["type"], body["timestamp"], body["data"]["services"], body["data"]["ended"]) == (
        "malfunction.ended",
        "2026-11-23T09:10:00Z",
        ["educonnect"],
        "2026-11-23T09:09:00Z",
    )


def test_the_body_is_in_both_languages(receiver):
    posted(receiver)

    assert json.loads(receiver.bodies[0])["data"]["title"] == {
        "fr": "Dysfonctionnement : EduConnect",
        "en": "Malfunction: EduConnect",
    }


@pytest.mark.parametrize(("code", "cause"), [(False, "tls"), (True, "tls_expired")])
def test_the_cause_is_exact_for_operators_only(receiver, code, cause):
    posted(receiver, letter(code=code))

    assert json.loads(receiver.bodies[0])["data"]["cause"] == cause


def test_maintenance_has_its_times(receiver):
    posted(receiver, letter(maintenance(), update(What.PLANNED), agreed="all"))

    data = json.loads(receiver.bodies[0])["data"]
    assert (data["starts"], data["ends"], data["agreed"]) == ("2026-11-28T20:00:00Z", "2026-11-28T22:00:00Z", "all")


# -- what may go wrong -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 404, 429, 500, 503])
def test_a_refusal_is_seen(receiver, status):
    receiver.mode = Mode(status=status)

    assert posted(receiver) == Answer(False, str(status))


def test_gone_ends_the_subscription(receiver):
    receiver.mode = Mode(status=410)

    assert posted(receiver) == Answer(False, "410", ended=True)


def test_a_redirect_is_not_followed(receiver):
    with front.serving() as other:
        other.mode = Mode(status=204)
        receiver.mode = Mode(redirect=f"http://127.0.0.1:{other.port}/", redirect_status=307)

        answer = posted(receiver)

    assert (answer, other.asked) == (Answer(False, "307"), [])


def test_a_receiver_that_is_not_there_is_seen():
    answer = post(letter(), Subscription(url=f"http://127.0.0.1:{free_port()}/", keys=(KEY,)), at(2))

    assert answer == Answer(False, "tcp_refused")


def test_a_receiver_that_says_nothing_is_left(receiver):
    receiver.mode = Mode(silent=True)

    assert not posted(receiver, seconds=1).accepted


def test_an_encrypted_receiver_is_believed_by_its_certificate(tmp_path):
    authority = Authority(tmp_path)
    with front.serving(certificate=authority.certificate(-DAY, DAY)) as made:
        made.mode = Mode(status=200)
        url = f"https://localhost:{made.port}/"

        answers = [
            post(letter(), Subscription(url=url, keys=(KEY,), trust=each), at(2)) for each in (authority.pem, None)
        ]

    assert [each.status for each in answers] == ["200", "tls_chain"]


def test_a_key_may_be_written_as_standard_webhooks_writes_it():
    assert key(b"whsec_" + base64.b64encode(KEY)) == KEY


def test_any_other_key_is_taken_as_it_is():
    assert key(b"whsec_no base64") == b"whsec_no base64"


def test_keys_are_not_shown():
    assert "0123456789abcdef" not in repr(Subscription(url="https://x.example/", keys=(KEY,)))
