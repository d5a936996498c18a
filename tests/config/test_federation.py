"""The section `federation`: what is accepted, what is refused and where, and what it becomes."""

import datetime as dt

import pytest
from pydantic import ValidationError

from ent_sync.config.document import read, validate
from ent_sync.config.federation import FederationSection
from ent_sync.core.levels.calendar import MaintenanceRules

OF_THE_CONTRACT = """
federation:
  reference: ent                 # the service that the others are compared with: the ENT's own door
  services:
    - {name: ent, url: "https://ent.example/", content: "Se connecter"}
    - {name: educonnect, metadata: "https://idp.example/metadata", pins: [idp.crt], populations: [pupil, guardian]}
  partners:
    - {name: Région, role: region, email: [ops@example.org]}
"""
ENT = {"name": "ent", "url": "https://ent.example/"}
IDENTITY = {"name": "educonnect", "metadata": "https://idp.example/metadata"}
ASKING = {"entity": "urn:sp", "acs": "https://sonde.example/acs", "certificate": "sp.crt", "key": {"file": "sp.key"}}
LOGIN = {"account": "sonde", "password": {"file": "sonde.password"}}
PARTNER = {"name": "Région", "role": "region", "email": ["ops@example.org"]}


def made(**keys):
    return FederationSection.model_validate(keys)


def refused(**keys):
    """The rule and the place of the one thing that is wrong."""
    with pytest.raises(ValidationError) as caught:
        made(**keys)
    [line] = caught.value.errors(include_url=False, include_context=False)
    return line["type"].removeprefix("ent-sync:"), line["loc"]


def test_the_example_of_the_contract_is_a_valid_configuration(tmp_path):
    file = tmp_path / "ent-sync.yaml"
    file.write_text(OF_THE_CONTRACT)

    found = validate(read(file), FederationSection, ("federation",))

    assert [each.name for each in found.services] == ["ent", "educonnect"]


def test_an_empty_section_is_a_valid_configuration():
    assert made().services == ()


def test_every_key_has_a_description():
    schema = FederationSection.model_json_schema()
    sections = [schema, *schema["$defs"].values()]

    lacking = [
        f"{section.get('title')}.{name}"
        for section in sections
        for name, key in section.get("properties", {}).items()
        if "description" not in key
    ]
    assert lacking == []


# -- services ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:8080/", "http://localhost/", "http://[::1]:80/x", "https://a.b/"]
)
def test_an_address_is_encrypted_or_on_this_machine(address):
    assert made(services=[{"name": "ent", "url": address}]).services[0].address == address


@pytest.mark.parametrize("address", ["http://ent.example/", "http://10.0.0.1/", "http://127.0.0.1.example/"])
def test_an_address_in_clear_elsewhere_is_refused(address):
    assert refused(services=[{"name": "ent", "url": address}]) == ("insecure", ("services", 0, "url"))


def test_an_address_in_clear_elsewhere_may_be_insisted_on():
    assert made(services=[{"name": "ent", "url": "http://ent.example/", "insecure": True}]).services


@pytest.mark.parametrize(
    "address",
    ["ent.example", "ftp://ent.example/", "https://me:secret@ent.example/", "https://a b/", "https://a:0/", "https://"],
)
def test_what_is_no_address_of_the_web_is_refused(address):
    assert refused(services=[{"name": "ent", "url": address}]) == ("url", ("services", 0, "url"))


def test_a_service_is_a_page_or_metadata_and_not_both():
    assert refused(services=[ENT | IDENTITY]) == ("service", ("services", 0, "url"))


def test_a_service_is_a_page_or_metadata_and_not_neither():
    assert refused(services=[{"name": "ent"}]) == ("service", ("services", 0, "url"))


@pytest.mark.parametrize("more", [{"pins": ["a.crt"]}, {"entity": "x"}, {"login": LOGIN}, {"sso": False}])
def test_what_belongs_to_metadata_is_refused_of_a_page(more):
    assert refused(services=[ENT | more]) == ("service", ("services", 0, *more))


def test_a_login_needs_somebody_to_ask_as():
    assert refused(services=[IDENTITY | {"login": LOGIN}]) == ("missing-asking", ("services", 0, "login"))


def test_a_login_is_not_made_more_often_than_each_quarter_of_an_hour():
    often = IDENTITY | {"login": LOGIN | {"every": "14m"}}

    assert refused(asking=ASKING, services=[often]) == ("duration", ("services", 0, "login", "every"))


def test_schools_do_not_log_in():
    assert refused(services=[ENT | {"populations": ["school"]}]) == ("population", ("services", 0, "populations", 0))


def test_names_of_services_are_unique():
    assert refused(services=[ENT, IDENTITY, ENT]) == ("repeated-name", ("services", 2, "name"))


def test_the_reference_is_one_of_the_services():
    assert refused(services=[ENT], reference="educonnect") == ("unknown-service", ("reference",))


def test_the_account_of_a_login_is_in_no_repr():
    found = made(asking=ASKING, services=[IDENTITY | {"login": LOGIN | {"account": "sonde-17"}}])

    assert "sonde-17" not in repr(found)


# -- partners ----------------------------------------------------------------------------------------------------------


def test_a_partner_is_told_of_everything_in_french_then_english():
    [found] = made(partners=[PARTNER]).partners

    assert (found.languages, found.kinds) == (("fr", "en"), ("malfunction", "maintenance", "evolution"))


def test_a_partner_that_cannot_be_reached_is_refused():
    assert refused(partners=[{"name": "Région", "role": "region"}]) == ("missing", ("partners", 0, "email"))


@pytest.mark.parametrize("address", ["ops", "Ops <ops@example.org>", "a@b.c\nBcc: x@y.z", "a@b, c@d"])
def test_what_is_no_single_mail_address_is_refused(address):
    assert refused(partners=[PARTNER | {"email": [address]}]) == ("mail", ("partners", 0, "email", 0))


def test_a_partner_is_told_of_services_that_exist():
    assert refused(partners=[PARTNER | {"services": ["ent"]}]) == ("unknown-service", ("partners", 0, "services", 0))


def test_a_password_for_mail_needs_encryption():
    smtp = {"server": "mail.example:25", "from": "a@b.c", "starttls": False, "login": LOGIN}

    assert refused(smtp=smtp) == ("password-in-clear", ("smtp", "login"))


# -- calendar and rules ------------------------------------------------------------------------------------------------


def test_school_hours_are_taken_from_the_calendar():
    holidays = [{"title": "Toussaint", "from": "2026-10-17", "to": "2026-11-02"}]
    hours = made(calendar={"holidays": holidays}).calendar.school_hours([2026])

    def at(*moment):
        return hours.holds(dt.datetime(*moment, tzinfo=hours.zone))

    # A Friday of school, before and in its hours; a Monday of holidays; All Saints' week's first day back; 11 November.
    found = [
        at(2026, 10, 16, 7, 29),
        at(2026, 10, 16, 7, 30),
        at(2026, 10, 19, 9),
        at(2026, 11, 2, 9),
        at(2026, 11, 11, 9),
    ]
    assert found == [False, True, False, True, False]


def test_public_holidays_may_be_left_out():
    hours = made(calendar={"public_holidays": "none"}).calendar.school_hours([2026])

    assert hours.is_school_day(dt.date(2026, 11, 11))


@pytest.mark.parametrize("hours", ["18:30-07:30", "7:30-18:30", "07:30", "07:30-25:00", "24:00-24:00"])
def test_hours_that_make_no_sense_are_refused(hours):
    assert refused(calendar={"hours": hours}) == ("hours", ("calendar", "hours"))


def test_days_that_end_before_they_begin_are_refused():
    days = [{"from": "2026-10-17", "to": "2026-10-17"}]

    assert refused(calendar={"holidays": days}) == ("days", ("calendar", "holidays", 0, "to"))


def test_a_day_that_does_not_exist_is_refused():
    days = [{"from": "2026-02-30", "to": "2026-03-01"}]

    assert refused(calendar={"holidays": days}) == ("day", ("calendar", "holidays", 0, "from"))


def test_the_rules_of_maintenance_are_those_of_the_reference_unless_said_otherwise():
    assert made().maintenance.rules() == MaintenanceRules(dt.timedelta(days=7), dt.timedelta(hours=4))


def test_a_cadence_of_seconds_is_refused():
    assert refused(probing={"cadence": {"school": "5s"}}) == ("duration", ("probing", "cadence", "school"))
