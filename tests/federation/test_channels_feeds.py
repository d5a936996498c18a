"""The Atom feed and the calendar, read back by libraries that did not write them where there is one."""

import datetime as dt

import pytest
from icalendar import Calendar
from lxml import etree

from ent_sync.core.notice.kinds import State, What
from ent_sync.federation.channels import feeds
from ent_sync.federation.words import LANGUAGES, Words, catalogue
from federation.telling import MINUTE, SATURDAY, TITLES, at, maintenance, notice, update

ATOM = {"a": "http://www.w3.org/2005/Atom"}
URL = "https://etat.ent.example/"
FRENCH = Words(language="fr", titles=TITLES)
DAY = dt.timedelta(days=1)


def atom(*pairs, words=FRENCH):
    notices = [each for each, _ in pairs]
    said = {each.id: updates for each, updates in pairs}
    return etree.fromstring(feeds.atom(notices, said, words, url=URL, name="fr", now=at(100)))


def texts(tree, path):
    return tree.xpath(path + "/text()", namespaces=ATOM)


def test_a_notice_is_one_entry_however_often_it_was_updated():
    tree = atom((notice(), [update(), update(What.UPDATED, 1, 30)]))

    assert len(tree.findall("a:entry", ATOM)) == 1


def test_an_entry_keeps_its_id():
    ids = [texts(atom((notice(), said)), "a:entry/a:id") for said in ([update()], [update(), update(What.ENDED, 1, 9)])]

    assert ids[0] == ids[1] == ["tag:etat.ent.example,2026:malfunction-20261123T090000-abcdef"]


def test_an_entry_changes_with_each_update():
    tree = atom((notice(), [update(), update(What.UPDATED, 1, 30)]))

    assert (texts(tree, "a:entry/a:published"), texts(tree, "a:entry/a:updated")) == (
        ["2026-11-23T09:01:00+00:00"],
        ["2026-11-23T09:30:00+00:00"],
    )


def test_the_feed_is_as_new_as_its_newest_entry():
    tree = atom((notice(), [update(minute=30)]), (notice(id="b"), [update(minute=10)]))

    assert texts(tree, "a:updated") == ["2026-11-23T09:30:00+00:00"]


def test_the_last_changed_comes_first():
    tree = atom((notice(id="a"), [update(minute=10)]), (notice(id="b"), [update(minute=30)]))

    assert [each.rpartition(":")[2] for each in texts(tree, "a:entry/a:id")] == ["b", "a"]


def test_an_entry_has_its_kind_as_category():
    tree = atom((maintenance(), [update(What.PLANNED)]))

    assert tree.xpath("a:entry/a:category/@term", namespaces=ATOM) == ["maintenance"]


def test_the_feed_is_in_french():
    assert atom().get("{http://www.w3.org/XML/1998/namespace}lang") == "fr"


def test_what_is_our_own_is_not_in_the_feed():
    assert atom((notice(cause="own_network"), [update()])).findall("a:entry", ATOM) == []


def test_the_feed_tells_no_exact_cause():
    tree = atom((notice(), [update()]))

    assert b"tls_expired" not in etree.tostring(tree)


def test_what_somebody_wrote_cannot_become_markup():
    tree = atom((notice(), [update(text="<script>x</script>")]))

    assert "<script>x</script>" in texts(tree, "a:entry/a:content")[0]


# -- the calendar ------------------------------------------------------------------------------------------------------


def calendar(*notices, now=None):
    return Calendar.from_ical(feeds.calendar(notices, FRENCH, now=now or at(0)))


def event(about, what=What.PLANNED):
    method, text = feeds.invitation(about, update(what), FRENCH, now=at(0))
    made = Calendar.from_ical(text)
    assert str(made["METHOD"]) == method
    return method, made.walk("VEVENT")[0]


def test_a_cancellation_is_the_same_event_with_a_higher_sequence():
    planned = event(maintenance())
    cancelled = event(maintenance(state=State.CANCELLED, sequence=1), What.CANCELLED)

    assert [
        (method, str(each["UID"]), int(each["SEQUENCE"]), str(each["STATUS"])) for method, each in (planned, cancelled)
    ] == [
        ("PUBLISH", "maintenance-20261128T200000-abcdef@ent-sync", 0, "CONFIRMED"),
        ("CANCEL", "maintenance-20261128T200000-abcdef@ent-sync", 1, "CANCELLED"),
    ]


def test_the_times_of_an_event_are_in_utc():
    _, text = feeds.invitation(maintenance(), update(What.PLANNED), FRENCH, now=at(0))

    assert (b"DTSTART:20261128T200000Z" in text, b"DTEND:20261128T220000Z" in text, b"VTIMEZONE" in text) == (
        True,
        True,
        False,
    )


def test_the_calendar_holds_what_is_planned():
    assert [each.decoded("DTSTART") for each in calendar(maintenance()).walk("VEVENT")] == [SATURDAY]


def test_the_calendar_holds_no_malfunction():
    assert calendar(notice()).walk("VEVENT") == []


@pytest.mark.parametrize(("days", "events"), [(29, 1), (31, 0)])
def test_what_was_cancelled_stays_in_the_calendar_for_thirty_days(days, events):
    gone = maintenance(state=State.CANCELLED, closed=SATURDAY - DAY)

    found = calendar(gone, now=SATURDAY + 120 * MINUTE + days * DAY).walk("VEVENT")

    assert len(found) == events


# -- the words ---------------------------------------------------------------------------------------------------------


def test_both_languages_have_the_same_texts():
    french, english = (catalogue(each) for each in LANGUAGES)

    assert french.keys() == english.keys()


def test_both_languages_take_the_same_values():
    fields = [
        {
            name: sorted(set(text.split("{")[1:])) and sorted(part.partition("}")[0] for part in text.split("{")[1:])
            for name, text in catalogue(each).items()
        }
        for each in LANGUAGES
    ]

    assert fields[0] == fields[1]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_cause_has_words(language):
    from ent_sync.core.levels.samples import Cause

    words = Words(language=language)

    assert all(words.cause(notice(cause=each.value)) for each in Cause)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    "what", [each for each in What if each not in {What.PLANNED, What.MOVED, What.REMINDED, What.CANCELLED}]
)
def test_every_update_of_a_malfunction_has_words(language, what):
    words = Words(language=language)

    assert words.said(notice(), update(what))
    assert words.subject(notice(), update(what))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("what", [What.PLANNED, What.MOVED, What.REMINDED, What.CANCELLED, What.UPDATED])
def test_every_update_of_maintenance_has_words(language, what):
    words = Words(language=language)

    assert words.said(maintenance(), update(what))
    assert words.subject(maintenance(), update(what))


def test_several_services_are_named_in_a_row():
    assert FRENCH.services(notice(services=("educonnect", "ent", "draaf"))) == "EduConnect, l'ENT et draaf"


@pytest.mark.parametrize(
    ("minutes", "written"), [(5, "5 min"), (60, "1 h 0 min"), (135, "2 h 15 min"), (1500, "1 j 1 h 0 min")]
)
def test_lengths_are_written_to_the_minute(minutes, written):
    assert FRENCH.length(minutes * MINUTE) == written
