"""Messages leave the store for a real mail server and a real receiver; what fails is tried again, and shown."""

import datetime as dt
import ssl

import pytest

from ent_sync.core.errors import BadConfigurationError
from ent_sync.core.notice.kinds import Kind, State
from ent_sync.federation import notices, outbox
from ent_sync.store import notices as kept
from ent_sync.store.database import Database
from federation.mailbox import mailbox
from federation.telling import MINUTE, MONDAY, federation
from servers import front
from servers.front import Mode
from servers.slapd import free_port

HOUR = 60 * MINUTE


class Sending:
    """A store with a malfunction that is told, and a clock that tests set."""

    def __init__(self, folder, section):
        self.database = Database(f"sqlite:///{folder / 'state.sqlite'}")
        self.database.upgrade()
        self.folder, self.now = folder, MONDAY
        self.configure(section)
        self.notice = self.open()

    def configure(self, section):
        audience = notices.audience_of(section, MONDAY)
        self.audience = audience
        self.channels = outbox.channels_of(section, audience, base=self.folder, environ={"KEY": "a key of webhooks"})

    def open(self, services=("educonnect",)):
        with self.database.transaction() as connection:
            return notices.open_notice(
                connection,
                self.audience,
                kind=Kind.MALFUNCTION,
                services=list(services),
                title="Panne",
                now=self.now,
            )

    def flush(self, minutes=0):
        self.now += minutes * MINUTE
        return outbox.flush(self.database, self.channels, lambda: self.now)

    def deliveries(self):
        with self.database.reading() as connection:
            return {each.channel: each for each in kept.deliveries(connection)}

    @property
    def state(self):
        with self.database.reading() as connection:
            return kept.get(connection, self.notice.id)


@pytest.fixture
def box():
    with mailbox() as made:
        yield made


@pytest.fixture
def receiver():
    with front.serving() as made:
        made.mode = Mode(status=204)
        yield made


@pytest.fixture
def sending(tmp_path):
    opened = []

    def made(*partners, port=None, **more):
        if port is not None:
            more["smtp"] = {"server": f"127.0.0.1:{port}", "from": "ent@ent.example", "starttls": False}
        opened.append(Sending(tmp_path, federation(*partners, **more)))
        return opened[-1]

    yield made
    for each in opened:
        each.database.close()


def region(*emails, **more):
    return {"role": "region", "email": list(emails or ("ops@region.example",)), **more}


def hook(receiver, path="/"):
    return {
        "role": "operators",
        "webhook": {"url": f"http://127.0.0.1:{receiver.port}{path}", "keys": [{"env": "KEY"}]},
    }


def test_a_malfunction_reaches_the_partner_by_mail(sending, box):
    course = sending(region(), port=box.port)

    course.flush()

    assert [each["To"] for each in box.messages] == ["ops@region.example"]


def test_a_malfunction_reaches_the_partner_by_webhook(sending, receiver):
    course = sending(hook(receiver, "/hook"))

    course.flush()

    assert [each[1] for each in receiver.asked] == ["/hook"]


def test_a_message_that_was_accepted_is_not_sent_again(sending, box):
    course = sending(region(), port=box.port)

    course.flush()
    course.flush(minutes=120)

    assert len(box.messages) == 1


def test_the_first_word_is_the_moment_of_acceptance(sending, box):
    course = sending(region(), port=box.port)

    course.flush(minutes=4)

    assert (course.state.told, course.state.state) == (MONDAY + 4 * MINUTE, State.TOLD)


def test_a_role_that_cannot_be_reached_leaves_the_notice_untold(sending, box):
    course = sending(region(), {"role": "agriculture", "email": ["draaf@example.org"]}, port=box.port)
    box.refuses["draaf@example.org"] = "550 no"

    course.flush()

    assert (len(box.messages), course.state.told) == (1, None)


def test_of_several_addresses_the_refused_one_is_seen(sending, box):
    course = sending(region("ops@region.example", "gone@region.example"), port=box.port)
    box.refuses["gone@region.example"] = "550 no"

    course.flush()

    assert {name: (each.status, each.pending) for name, each in course.deliveries().items()} == {
        "email": ("250", False),
        "email-2": ("550", True),
    }


def test_of_several_addresses_only_the_refused_one_is_tried_again(sending, box):
    course = sending(region("ops@region.example", "gone@region.example"), port=box.port)
    box.refuses["gone@region.example"] = "451 later"
    course.flush()
    box.refuses.clear()

    course.flush(minutes=1)

    assert box.recipients == [["ops@region.example"], ["gone@region.example"]]


# -- again, and at last not ------------------------------------------------------------------------------------------


def test_a_message_is_not_tried_again_at_once(sending, box):
    course = sending(region(), port=box.port)
    box.data = "451 later"
    course.flush()
    box.data = "250 kept"

    course.now += dt.timedelta(seconds=29)
    course.flush()

    assert box.messages == []


def test_a_message_is_tried_again_after_half_a_minute(sending, box):
    course = sending(region(), port=box.port)
    box.data = "451 later"
    course.flush()
    box.data = "250 kept"

    course.now += dt.timedelta(seconds=30)
    course.flush()

    assert (len(box.messages), course.deliveries()["email"].tries) == (1, 2)


@pytest.mark.parametrize(("tries", "seconds"), [(1, 30), (2, 60), (3, 120), (7, 1920), (8, 3600), (500, 3600)])
def test_pauses_grow_from_half_a_minute_to_an_hour(tries, seconds):
    assert outbox.pause(tries) == dt.timedelta(seconds=seconds)


def test_after_a_day_a_message_is_given_up_and_shown(sending, box):
    course = sending(region(), port=box.port)
    box.data = "451 later"
    for _ in range(26):
        course.flush(minutes=60)

    delivery = course.deliveries()["email"]

    assert (delivery.given_up, delivery.status, delivery.accepted) == (MONDAY + 24 * HOUR, "451", None)


def test_what_is_given_up_is_not_tried_again(sending, box):
    course = sending(region(), port=box.port)
    box.data = "451 later"
    for _ in range(26):
        course.flush(minutes=60)
    box.data = "250 kept"

    course.flush(minutes=60)

    assert box.messages == []


def test_a_flush_says_what_it_did(sending, box, receiver):
    course = sending(region("a@region.example", "b@region.example"), hook(receiver), port=box.port)
    box.refuses["b@region.example"] = "451 later"
    receiver.mode = Mode(status=410)

    assert course.flush() == outbox.Flushed(accepted=1, failed=1, given_up=1)


# -- what stops nothing ------------------------------------------------------------------------------------------------


def test_a_mail_server_that_is_not_there_does_not_stop_the_webhook(sending, receiver):
    course = sending(region(), hook(receiver), port=free_port())

    course.flush()

    assert {name: each.status for name, each in course.deliveries().items()} == {
        "email": "unreachable",
        "webhook": "204",
    }


def test_a_webhook_that_fails_does_not_stop_the_mail(sending, box, receiver):
    receiver.mode = Mode(status=500)
    course = sending(hook(receiver), region(), port=box.port)

    course.flush()

    assert len(box.messages) == 1


def test_without_a_mail_server_messages_wait_and_are_shown(sending):
    course = sending(region())

    course.flush()

    assert (course.deliveries()["email"].status, course.deliveries()["email"].pending) == ("no mail server", True)


def test_a_partner_that_has_left_is_given_up(sending, box):
    course = sending(region(), port=box.port)
    course.configure(federation({"role": "department", "email": ["x@oise.example"]}))

    course.flush()

    assert course.deliveries()["email"].given_up is not None


def test_a_flush_that_has_taken_too_long_leaves_the_rest_to_the_next(sending, box, monkeypatch):
    course = sending(region(), port=box.port)
    monkeypatch.setattr(outbox, "SECONDS", 0.0)

    course.flush()

    assert (box.messages, course.deliveries()["email"].tries) == ([], 0)


def test_two_processes_do_not_send_one_message_twice(sending, box, tmp_path):
    course = sending(region(), port=box.port)
    with course.database.reading() as connection:
        (waiting,) = kept.due(connection, course.now)
    other = Database(f"sqlite:///{tmp_path / 'state.sqlite'}")
    with other.transaction() as connection:
        kept.claim(connection, waiting, course.now + MINUTE)

    course.flush()

    assert box.messages == []
    other.close()


def test_a_message_that_was_taken_by_who_then_died_is_sent_after_a_while(sending, box):
    course = sending(region(), port=box.port)
    with course.database.transaction() as connection:
        (waiting,) = kept.due(connection, course.now)
        kept.claim(connection, waiting, course.now + 2 * MINUTE)

    course.flush(minutes=2)

    assert len(box.messages) == 1


# -- a webhook that wants no more --------------------------------------------------------------------------------------


def test_gone_ends_the_subscription_for_further_notices(sending, receiver):
    course = sending(hook(receiver))
    receiver.mode = Mode(status=410)
    course.flush()
    receiver.mode = Mode(status=204)

    course.open(["ent"])
    course.flush(minutes=1)

    assert len(receiver.asked) == 1


def test_another_address_begins_a_new_subscription(sending, receiver):
    course = sending(hook(receiver))
    receiver.mode = Mode(status=410)
    course.flush()
    receiver.mode = Mode(status=204)
    course.configure(federation(hook(receiver, "/new")))

    course.open(["ent"])
    course.flush(minutes=1)

    assert [each[1] for each in receiver.asked] == ["/", "/new"]


def test_a_receiver_is_believed_by_the_authority_of_the_configuration(sending, tmp_path):
    authority = front.Authority(tmp_path)
    (tmp_path / "ca.pem").write_text(authority.pem)
    with front.serving(certificate=authority.certificate(-front.DAY, front.DAY)) as made:
        made.mode = Mode(status=204)
        url = f"https://localhost:{made.port}/"
        course = sending({"role": "operators", "webhook": {"url": url, "keys": [{"env": "KEY"}], "ca": "ca.pem"}})

        course.flush()

    assert course.deliveries()["webhook"].status == "204"


def test_a_mail_server_is_believed_by_the_authority_of_the_configuration(sending, tmp_path):
    authority = front.Authority(tmp_path)
    (tmp_path / "ca.pem").write_text(authority.pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.certificate(-front.DAY, front.DAY))
    with mailbox(context=context) as made:
        smtp = {"server": f"127.0.0.1:{made.port}", "from": "ent@ent.example", "ca": "ca.pem"}
        course = sending(region(), smtp=smtp)

        course.flush()

    assert made.encrypted == [True]


def test_an_authority_that_cannot_be_read_is_bad_configuration(sending):
    smtp = {"server": "127.0.0.1:25", "from": "ent@ent.example", "ca": "absent.pem"}

    with pytest.raises(BadConfigurationError, match=r"absent\.pem: cannot be read"):
        sending(region(), smtp=smtp)


def test_messages_carry_the_address_of_the_status_page(sending, box):
    course = sending(region(), port=box.port, public={"url": "https://etat.ent.example/"})

    course.flush()

    assert "https://etat.ent.example/" in box.messages[0].get_content()
