"""Notices by e-mail, handed to a real mail server."""

import re
import ssl

import pytest
from icalendar import Calendar

from ent_sync.config.fields import Address
from ent_sync.core.notice.kinds import State, What
from ent_sync.federation.channels import mail
from ent_sync.federation.channels.mail import Post, Server, message
from federation.mailbox import mailbox
from federation.telling import at, letter, maintenance, notice, update
from servers.front import DAY, Authority
from servers.slapd import free_port

TO = "ops@region.example"


def server(port, **changed):
    values = {"address": Address("127.0.0.1", port), "sender": "ent@ent.example", "starttls": False, "seconds": 5}
    return Server(**{**values, **changed})


def sent(box, *letters, to=TO, **changed):
    where = server(box.port, **changed)
    with Post(where) as post:
        return [post.send(message(each, where, to, at(2)), to) for each in letters]


@pytest.fixture
def box():
    with mailbox() as made:
        yield made


def test_a_message_arrives(box):
    answers = sent(box, letter())

    assert ([each.accepted for each in answers], box.recipients) == ([True], [[TO]])


def test_the_subject_says_what_and_of_which_service(box):
    sent(box, letter())

    assert box.messages[0]["Subject"] == "Dysfonctionnement : EduConnect"


def test_french_comes_first_then_english(box):
    sent(box, letter())

    text = box.messages[0].get_content().replace("\r\n", "\n")

    french, english = text.split("\n-- English --\n")
    assert ("Un dysfonctionnement a été détecté." in french, "A malfunction has been detected." in english) == (
        True,
        True,
    )


def test_a_partner_that_reads_english_only_gets_english_only(box):
    sent(box, letter(languages=("en",)))

    assert ("Un dysfonctionnement" in box.messages[0].get_content(), box.messages[0]["Subject"]) == (
        False,
        "Malfunction: EduConnect",
    )


def test_times_are_those_of_the_schools_with_their_zone(box):
    sent(box, letter())

    assert "Début : le 23/11/2026 à 10:00 (heure de Paris)" in box.messages[0].get_content()


def test_the_cause_is_told_no_finer_than_its_stage(box):
    sent(box, letter())

    text = box.messages[0].get_content()
    assert ("la connexion chiffrée échoue" in text, "tls_expired" in text) == (True, False)


def test_operators_are_told_the_exact_cause(box):
    sent(box, letter(code=True))

    assert "Code : tls_expired" in box.messages[0].get_content()


def test_a_message_says_that_no_person_wrote_it(box):
    sent(box, letter())

    assert box.messages[0]["Auto-Submitted"] == "auto-generated"


@pytest.mark.parametrize("about", [notice(), maintenance()])
def test_a_message_says_its_languages(box, about):
    sent(box, letter(about, update(What.UPDATED)))

    assert box.messages[0]["Content-Language"] == "fr, en"


def test_the_messages_of_a_notice_are_one_thread(box):
    sent(box, letter(), letter(said=update(What.ENDED, 3)))

    opened, ended = box.messages
    assert (ended["References"], ended["In-Reply-To"]) == (opened["Message-ID"], opened["Message-ID"])


def test_the_same_message_sent_again_is_known_by_its_id(box):
    sent(box, letter(), letter())

    assert box.messages[0]["Message-ID"] == box.messages[1]["Message-ID"]


def test_the_first_message_of_a_thread_refers_to_none(box):
    sent(box, letter())

    assert box.messages[0]["References"] is None


def test_what_somebody_wrote_is_in_both_languages(box):
    sent(box, letter(said=update(What.UPDATED, 1, text="Un équipement réseau est remplacé.")))

    assert box.messages[0].get_content().count("Un équipement réseau est remplacé.") == 2


def test_a_title_cannot_add_a_header():
    made = message(letter(notice(title="x\r\nBcc: other@example.org")), server(1), TO, at(2))

    assert (made["Bcc"], made["Subject"]) == (None, "x Bcc: other@example.org")


def test_maintenance_brings_its_calendar(box):
    sent(box, letter(maintenance(), update(What.PLANNED), agreed="all"))

    (attached,) = box.messages[0].iter_attachments()
    (event,) = Calendar.from_ical(attached.get_content()).walk("VEVENT")
    assert (attached.get_content_type(), str(event["SUMMARY"])) == ("text/calendar", "Mise à jour d'EduConnect")


@pytest.mark.parametrize(
    ("state", "what", "method"), [(State.PLANNED, What.PLANNED, "PUBLISH"), (State.CANCELLED, What.CANCELLED, "CANCEL")]
)
def test_the_attachment_says_its_method(box, state, what, method):
    sent(box, letter(maintenance(state=state), update(what)))

    (attached,) = box.messages[0].iter_attachments()
    assert attached.get_param("method") == method


def test_maintenance_says_whether_it_is_agreed(box):
    sent(box, letter(maintenance(), update(What.PLANNED), agreed="part"))

    assert "Maintenance convenue : en partie" in box.messages[0].get_body().get_content()


# -- what may go wrong -------------------------------------------------------------------------------------------------


def test_a_refused_recipient_is_seen(box):
    box.refuses[TO] = "550 no such box"

    assert sent(box, letter()) == [mail.Answer(False, "550")]


def test_after_a_refused_recipient_the_next_is_served(box):
    box.refuses["gone@region.example"] = "550 no such box"
    where = server(box.port)

    with Post(where) as post:
        answers = [
            post.send(message(letter(), where, each, at(2)), each).status for each in ("gone@region.example", TO)
        ]

    assert answers == ["550", "250"]


def test_a_server_that_wants_us_to_come_back_is_seen(box):
    box.data = "451 later"

    assert sent(box, letter()) == [mail.Answer(False, "451")]


def test_an_answer_holds_no_text_of_the_server(box):
    box.refuses[TO] = "550 <ops@region.example> unknown"

    (answer,) = sent(box, letter())

    assert "region" not in answer.status


def test_many_messages_share_one_session(box):
    sent(box, letter(), letter(), letter())

    assert box.sessions == 1


def test_a_server_that_is_not_there_is_seen():
    where = server(free_port())

    with Post(where) as post:
        assert post.send(message(letter(), where, TO, at(2)), TO) == mail.Answer(False, "unreachable")


# -- encryption and login ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def secure(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.certificate(-DAY, DAY))
    with mailbox(context=context, login=("ent", "a password")) as made:
        yield made


def trusting(authority):
    return lambda: ssl.create_default_context(cadata=authority.pem)


def test_a_message_is_sent_encrypted_and_as_somebody(secure, authority):
    sent(secure, letter(), starttls=True, login=("ent", "a password"), context=trusting(authority))

    assert secure.encrypted == [True]


def test_a_refused_login_is_seen_and_nothing_sent(secure, authority):
    answers = sent(secure, letter(), starttls=True, login=("ent", "wrong"), context=trusting(authority))

    assert ([each.status for each in answers], secure.messages) == (["login refused"], [])


def test_a_server_that_nobody_vouches_for_gets_nothing(secure):
    answers = sent(secure, letter(), starttls=True, login=("ent", "a password"))

    assert ([each.status for each in answers], secure.messages) == (["no STARTTLS"], [])


def test_a_server_without_starttls_gets_nothing(box):
    answers = sent(box, letter(), starttls=True)

    assert ([each.status for each in answers], box.messages) == (["no STARTTLS"], [])


def test_a_server_that_cannot_be_used_is_asked_once_a_session(box):
    answers = sent(box, letter(), letter(), starttls=True)

    assert ([each.status for each in answers], box.sessions) == (["no STARTTLS", "no STARTTLS"], 1)


def test_the_password_is_not_shown():
    assert not re.search("a password", repr(server(1, login=("ent", "a password"))))
