"""What a probe says of a real identity provider: well, stopped, hung, with another key, another clock, an error page."""

import datetime as dt
from dataclasses import replace

import pytest
from probing import asking, identity, keyed, login, stages, tick, verdict

from ent_sync.core.levels.samples import Cause, Result, Stage
from ent_sync.federation import metadata, saml
from ent_sync.federation.certificates import Use
from ent_sync.federation.fetch import Browser, Limits
from ent_sync.federation.service import Published
from ent_sync.federation.stopwatch import StageError
from servers import front, idp

LIGHT = ["dns", "tcp", "http", "metadata", "sso", "login_page"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return idp.make_folder(tmp_path_factory.mktemp("idp") / "ssp")


@pytest.fixture(scope="module")
def server(folder):
    with idp.running(folder) as made:
        yield made


# -- well --------------------------------------------------------------------------------------------------------------


def test_an_identity_provider_that_works_is_up(server):
    assert verdict(tick(identity(server))) == ("up", None, None)


def test_every_stage_is_timed_in_order(server):
    assert stages(tick(identity(server))) == LIGHT


def test_a_login_that_is_due_is_made_to_its_end(server):
    found = tick(identity(server), login_due=True)

    assert (verdict(found), stages(found)) == (("up", None, None), [*LIGHT, "login", "assertion"])


def test_a_login_that_is_not_due_is_not_made(server):
    assert not tick(identity(server)).logged_in


def test_the_seconds_of_a_sample_are_those_of_its_stages(server):
    found = tick(identity(server))

    assert found.sample.seconds == pytest.approx(sum(seconds for _, seconds in found.stages))


def test_without_anybody_to_ask_as_the_metadata_are_all_that_is_looked_at(server):
    found = tick(identity(server, asking=None))

    assert (verdict(found), stages(found)) == (("up", None, None), ["dns", "tcp", "http", "metadata"])


def test_the_uses_of_its_certificates_are_told(server):
    found = tick(identity(server)).certificates

    assert {each.use for each in found} == {Use.METADATA, Use.SIGNING, Use.ENCRYPTION}


def test_the_ends_of_its_certificates_are_told(server):
    [signing] = [each for each in tick(identity(server)).certificates if each.use is Use.SIGNING]

    assert abs((signing.not_after - dt.datetime.now(dt.UTC)).days - 399) <= 1


def test_its_login_address_is_told(server):
    facts = tick(identity(server)).held.facts

    assert facts.login_address(metadata.REDIRECT) == f"{server.base}/saml2/idp/SSOService.php"


def test_the_algorithms_of_its_metadata_are_told(server):
    assert tick(identity(server)).held.facts.algorithms == ("rsa-sha256", "sha256")


# -- metadata are not asked for each minute ----------------------------------------------------------------------------


def test_metadata_that_are_held_are_not_fetched_again_at_once(server):
    held = tick(identity(server)).held

    assert stages(tick(identity(server), held=held)) == ["dns", "tcp", "metadata", "sso", "login_page"]


def test_metadata_that_have_not_changed_are_taken_as_they_were(server):
    old = tick(identity(server)).held
    aged = replace(old, fetched=old.fetched - dt.timedelta(hours=2))

    found = tick(identity(server), held=aged)

    assert (found.held.facts, found.held.fetched > aged.fetched) == (old.facts, True)


# -- not there ---------------------------------------------------------------------------------------------------------


def test_one_that_is_stopped_refuses_connections(folder):
    with idp.running(folder) as server:
        server.stop()

        assert verdict(tick(identity(server))) == ("down", "tcp", "tcp_refused")


def test_one_that_hangs_is_waited_for_no_longer_than_the_limit(folder):
    with idp.running(folder) as server:
        server.hang()

        found = tick(identity(server), limits=Limits(http=0.5))

    assert (verdict(found), round(found.sample.seconds, 1)) == (("down", "http", "http_timeout"), 0.5)


# -- keys --------------------------------------------------------------------------------------------------------------


def test_metadata_signed_by_nobody_who_is_pinned_are_refused(server):
    published = Published(server.metadata, (server.certificate("idp2"),))

    assert verdict(tick(identity(server, published=published))) == ("down", "metadata", "md_signature")


def test_either_of_two_pins_will_do(server):
    published = Published(server.metadata, (server.certificate("idp2"), server.pin))

    assert verdict(tick(identity(server, published=published))) == ("up", None, None)


def test_metadata_of_another_entity_are_refused(server):
    published = Published("https://somebody.example", (server.pin,))

    assert verdict(tick(identity(server, published=published))) == ("down", "metadata", "md_entity")


@pytest.fixture
def rolled(folder):
    """Metadata that were read before the key changed, and the service as it is now."""
    with front.serving() as door:
        base = f"http://127.0.0.1:{door.port}"
        with idp.running(folder, base=base) as before:
            door.behind = f"http://127.0.0.1:{before.port}"
            held = tick(identity(before)).held
        with idp.running(folder, base=base, key="idp2", certificate="idp2") as after:
            door.behind = f"http://127.0.0.1:{after.port}"
            yield held, identity(after)


def test_a_key_that_rolled_since_the_metadata_were_read_is_found_in_new_ones(rolled):
    held, service = rolled

    assert verdict(tick(service, held=held, login_due=True)) == ("up", None, None)


def test_new_metadata_after_a_rollover_are_held(rolled):
    held, service = rolled

    found = tick(service, held=held, login_due=True)

    assert set(found.held.facts.signing) & set(held.facts.signing) == set()


def test_a_rollover_takes_no_second_login(rolled, monkeypatch):
    held, service = rolled
    posts = []
    post = Browser.post
    monkeypatch.setattr(Browser, "post", lambda *given: posts.append(1) or post(*given))

    tick(service, held=held, login_due=True)

    assert len(posts) == 1


def test_a_signature_by_another_key_than_the_metadata_say_is_a_fault(folder):
    with idp.running(folder, key="idp2", certificate="idp") as server:
        found = tick(identity(server), login_due=True)

    assert verdict(found) == ("down", "assertion", "saml_signature")


# -- clocks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clock", "expected"),
    [
        ("+4m", ("up", None, None)),
        ("-4m", ("up", None, None)),
        ("+8m", ("down", "assertion", "saml_time")),
        ("-6m", ("down", "assertion", "saml_time")),
        ("-12m", ("down", "assertion", "saml_time")),
    ],
)
def test_a_clock_may_be_wrong_by_minutes_but_not_by_many(folder, clock, expected):
    with idp.running(folder, clock=clock) as server:
        found = tick(identity(server), login_due=True)

    assert verdict(found) == expected


def test_how_wrong_its_clock_is_is_told(folder):
    with idp.running(folder, clock="+4m") as server:
        found = tick(identity(server), login_due=True)

    assert found.clock == pytest.approx(240, abs=3)


# -- hubs --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def hub(folder):
    """A door that hands requests on by a form, as a hub does."""
    with front.serving() as door, idp.running(folder, base=f"http://127.0.0.1:{door.port}") as server:
        door.behind = f"http://127.0.0.1:{server.port}"
        yield door, server


def handing_on(address):
    form = f'<form method=post action="{address}"><input type=hidden name=SAMLRequest value=x></form>'
    return front.Mode(page=form.encode(), only="/SSOService.php")


def test_a_request_that_is_handed_on_by_a_form_is_followed_to_the_login_page(hub):
    door, server = hub
    login_page = b"<form method=post><input name=who><input name=secret type=password></form>"
    door.mode, door.more = handing_on("/elsewhere"), (front.Mode(page=login_page, only="/elsewhere"),)

    found = tick(identity(server))

    assert (verdict(found), door.bodies[-1]) == (("up", None, None), b"SAMLRequest=x")


def test_a_request_is_not_handed_on_to_a_stranger(hub):
    door, server = hub
    door.mode = handing_on("http://stranger.example/")

    assert verdict(tick(identity(server))) == ("down", "sso", "http_redirect")


def test_a_request_that_is_handed_on_for_ever_is_given_up(hub):
    door, server = hub
    door.mode = handing_on(f"{server.base}/SSOService.php")

    assert verdict(tick(identity(server))) == ("down", "sso", "http_redirect")


# -- an error page with status 200 -------------------------------------------------------------------------------------


def test_one_that_does_not_know_us_is_told_by_its_page_not_by_its_status(server):
    stranger = asking(server, entity="https://unregistered.example/sp")

    assert verdict(tick(identity(server, asking=stranger))) == ("down", "sso", "sso_rejected")


def test_a_request_signed_with_another_key_is_rejected(server):
    forged = asking(server, certificate=server.certificate("idp2"), key=server.key("idp2"))

    assert verdict(tick(identity(server, asking=forged))) == ("down", "sso", "sso_rejected")


def test_a_login_page_must_show_the_text_that_is_configured(server):
    assert verdict(tick(identity(server, content="Choisissez votre académie"))) == (
        "down",
        "login_page",
        "content_form",
    )


def test_a_text_that_the_login_page_shows_is_found(server):
    assert verdict(tick(identity(server, content="Votre identifiant et  votre mot de passe"))) == ("up", None, None)


# -- the test account --------------------------------------------------------------------------------------------------


def test_a_refused_password_says_nothing_of_the_service(server):
    found = tick(identity(server, login=login(password="x" * 8)), login_due=True)

    assert verdict(found) == ("unknown", "login", "login_refused")


def test_a_refused_password_is_not_tried_again_in_the_same_tick(server):
    found = tick(identity(server, login=login(password="x" * 8)), login_due=True, retries=(5, 15))

    assert found.attempts == 1


def test_another_federation_key_than_the_provisioned_one_is_down(server):
    other = login(expected=keyed("LILLE$7654321"))

    assert verdict(tick(identity(server, login=other), login_due=True)) == ("down", "assertion", "saml_key_mismatch")


def test_a_federation_key_in_another_attribute_is_not_there(server):
    other = login(attribute="eduPersonPrincipalName", expected=None)

    assert verdict(tick(identity(server, login=other), login_due=True)) == ("down", "assertion", "saml_key_mismatch")


def test_an_assertion_that_was_seen_before_is_refused(server):
    found = tick(identity(server), login_due=True, first_time=lambda digest, until: False)

    assert verdict(found) == ("down", "assertion", "saml_binding")


def test_an_assertion_is_remembered_by_digest_and_until_it_can_be_played_no_more(server):
    remembered = []

    tick(identity(server), login_due=True, first_time=lambda *seen: remembered.append(seen) or True)

    [(digest, until)] = remembered
    left = (until - dt.datetime.now(dt.UTC)).total_seconds()
    assert (len(digest), 590 < left < 9 * 3600) == (64, True)


def test_an_answer_that_would_go_to_another_address_is_refused(server):
    """The identity provider answers to the address that is registered, whatever the request says."""
    elsewhere = asking(server, acs="https://sonde.example/elsewhere")

    assert verdict(tick(identity(server, asking=elsewhere), login_due=True)) == ("down", "assertion", "saml_binding")


# -- tries -------------------------------------------------------------------------------------------------------------


def test_a_failed_attempt_is_repeated_after_the_pauses(folder):
    pauses = []
    with idp.running(folder) as server:
        server.stop()
        found = tick(identity(server), retries=(5, 15), pause=pauses.append)

    assert (pauses, found.attempts, verdict(found)[0]) == ([5, 15], 3, "down")


def test_an_attempt_that_comes_up_after_all_is_up_and_flaky(server, monkeypatch):
    asked = saml.request
    calls = []

    def once_down(*arguments):
        calls.append(1)
        if len(calls) == 1:
            raise StageError(Stage.SSO, Cause.HTTP_5XX)
        return asked(*arguments)

    monkeypatch.setattr(saml, "request", once_down)

    found = tick(identity(server), retries=(5,))

    assert (found.sample.result, found.flaky, str(found.first)) == (Result.UP, True, "http_5xx")
