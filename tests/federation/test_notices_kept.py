"""Notices as the probe and hands make them in the store, and to whom each word goes."""

import datetime as dt

import pytest

from ent_sync.core.errors import UsageError
from ent_sync.core.levels.samples import Cause, Result, Sample, Stage
from ent_sync.core.notice.evolution import Change, Sight
from ent_sync.core.notice.kinds import Author, Kind, State, What
from ent_sync.core.notice.roles import Role
from ent_sync.federation import follow, notices
from ent_sync.store import notices as kept
from ent_sync.store import samples
from ent_sync.store.database import Database
from federation.telling import MINUTE, MONDAY, SATURDAY, at, federation

DAY = dt.timedelta(days=1)
REGION = {"role": "region", "email": ["ops@region.example"]}
DRAAF = {"role": "agriculture", "email": ["draaf@example.org"], "services": ["ent"]}
CRISIS = {"role": "crisis-cell", "email": ["crise@region.example"]}
OPERATORS = {"role": "operators", "email": ["astreinte@ent.example"]}
EVERYBODY = (REGION, DRAAF, CRISIS, OPERATORS)


class Scene:
    """A store, an audience, and ticks a minute apart."""

    def __init__(self, database):
        self.database = database
        self.audience = notices.audience_of(federation(*EVERYBODY), MONDAY)
        self.probing = follow.Probing(services=("ent", "educonnect"), vantages=1, school=MINUTE, off=5 * MINUTE)

    def tick(self, minute, down=(), cause=Cause.TCP_TIMEOUT, base=MONDAY):
        """The services named are down, the others up."""
        now = base + minute * MINUTE
        fallen = {"result": Result.DOWN, "stage": Stage.TCP, "cause": cause}
        if cause is Cause.OWN_NETWORK:
            fallen = {"result": Result.UNKNOWN, "stage": Stage.OWN, "cause": cause}
        with self.database.transaction() as connection:
            samples.add(
                connection,
                [
                    Sample(
                        service=each, vantage="main", time=now, **(fallen if each in down else {"result": Result.UP})
                    )
                    for each in self.probing.services
                ],
            )
            return follow.follow(connection, self.audience, self.probing, now)

    def ticks(self, letters, service="educonnect", **more):
        for minute, letter in enumerate(letters):
            self.tick(minute, down=[service] if letter == "D" else [], **more)
        return self

    def do(self, function, *arguments, **more):
        with self.database.transaction() as connection:
            return function(connection, self.audience, *arguments, **more)

    def read(self, function, *arguments, **more):
        with self.database.reading() as connection:
            return function(connection, *arguments, **more)

    def accept(self, notice, role, minute, base=MONDAY):
        """The messages of a notice to a role are accepted."""
        with self.database.transaction() as connection:
            for each in kept.deliveries(connection, notice):
                if each.role is role and each.pending:
                    moment = base + minute * MINUTE
                    kept.answered(connection, kept_as(each, accepted=moment, status="250"))
            return notices.hear(connection, notice)

    def to(self, notice, sequence=0):
        """The roles that a word goes to."""
        return {each.role.value for each in self.read(kept.deliveries, notice) if each.sequence == sequence}

    @property
    def only(self):
        (found,) = self.read(kept.listed)
        return found


def kept_as(delivery, **changed):
    from dataclasses import replace

    return replace(delivery, **changed)


@pytest.fixture
def scene(tmp_path):
    opened = Database(f"sqlite:///{tmp_path / 'state.sqlite'}")
    opened.upgrade()
    yield Scene(opened)
    opened.close()


def hand_opened(scene, minute=0, **changed):
    values = {"kind": Kind.MALFUNCTION, "services": ["educonnect"], "title": "Panne", "now": at(minute)}
    return scene.do(notices.open_notice, **{**values, **changed})


# -- what the probe decides --------------------------------------------------------------------------------------------


def test_two_down_ticks_in_the_store_open_a_malfunction(scene):
    scene.ticks("UDD")

    assert (scene.only.services, scene.only.began, scene.only.detected) == (("educonnect",), at(1), at(2))


def test_the_first_word_goes_to_whom_it_concerns(scene):
    scene.ticks("UDD")

    assert scene.to(scene.only.id) == {"region", "operators"}


def test_two_services_are_told_to_the_crisis_cell_at_once(scene):
    for minute in range(2):
        scene.tick(minute, down=["ent", "educonnect"])

    assert scene.to(scene.only.id) == {"region", "agriculture", "crisis-cell", "operators"}


def test_half_an_hour_of_school_time_is_told_to_the_crisis_cell(scene):
    scene.ticks("D" * 32)

    (escalated,) = [
        each for each in scene.read(kept.updates, [scene.only.id])[scene.only.id] if each.what is What.ESCALATED
    ]
    assert (escalated.at, scene.to(scene.only.id, escalated.sequence)) == (at(30), {"crisis-cell"})


def test_the_crisis_cell_is_told_of_what_follows(scene):
    scene.ticks("D" * 32 + "UU")

    assert "crisis-cell" in scene.to(scene.only.id, scene.only.sequence)


def test_a_malfunction_at_night_is_not_told_to_the_crisis_cell(scene):
    for each in range(0, 90, 5):
        scene.tick(each, down=["educonnect"], base=SATURDAY)

    assert Role.CRISIS_CELL not in {each.role for each in scene.read(kept.deliveries)}


def test_what_is_our_own_is_told_to_operators_only(scene):
    for minute in range(2):
        scene.tick(minute, down=["ent", "educonnect"], cause=Cause.OWN_NETWORK)

    assert (scene.only.internal, scene.to(scene.only.id)) == (True, {"operators"})


def test_the_end_is_told(scene):
    scene.ticks("DDUU")

    assert (scene.only.state, scene.only.ended, scene.to(scene.only.id, 1)) == (
        State.ENDED,
        at(2),
        {"region", "operators"},
    )


def test_the_same_tick_twice_says_nothing_twice(scene):
    scene.ticks("UDD")
    scene.tick(2, down=["educonnect"])

    assert len(scene.read(kept.deliveries)) == 2


def test_a_store_that_was_closed_in_between_goes_on(scene, tmp_path):
    scene.ticks("UDD")
    again = Database(f"sqlite:///{tmp_path / 'state.sqlite'}")
    after = Scene(again)

    after.tick(3)
    after.tick(4)

    assert after.only.state is State.ENDED
    again.close()


def test_what_ended_long_ago_is_closed(scene):
    scene.ticks("DDUU")

    scene.tick(7 * 24 * 60 + 3)

    assert scene.only.state is State.CLOSED


# -- the clocks --------------------------------------------------------------------------------------------------------


def test_it_is_told_when_the_last_role_has_heard(scene):
    scene.ticks("UDD")
    name = scene.only.id

    first = scene.accept(name, Role.REGION, 3)
    second = scene.accept(name, Role.OPERATORS, 7)

    assert (first.told, second.told, second.state) == (None, at(7), State.TOLD)


def test_the_end_is_told_when_the_last_role_has_heard_of_it(scene):
    scene.ticks("DDUU")
    name = scene.only.id

    scene.accept(name, Role.REGION, 5)
    found = scene.accept(name, Role.OPERATORS, 9)

    assert (found.end_told, found.state) == (at(9), State.ENDED)


def test_timeliness_is_computed_from_the_store(scene):
    scene.ticks("UDD")
    scene.accept(scene.only.id, Role.REGION, 3)
    scene.accept(scene.only.id, Role.OPERATORS, 7)

    found = scene.read(notices.timeliness_of, scene.only, scene.audience.hours, at(10))

    assert (found.detection, found.first_word, found.on_time) == (MINUTE, 5 * MINUTE, True)


def test_the_word_of_the_end_counts_though_a_hand_closed_later(scene):
    scene.ticks("DDUU")
    name = scene.only.id
    scene.do(notices.close_notice, name, "Câble.", at(50))

    with scene.database.transaction() as connection:
        for each in kept.deliveries(connection, name):
            moment = at(4) if each.sequence < 2 else at(51)
            kept.answered(connection, kept_as(each, accepted=moment))
        found = notices.hear(connection, name)

    assert found.end_told == at(4)


# -- hands -------------------------------------------------------------------------------------------------------------


def test_a_hand_opens_a_malfunction(scene):
    made = hand_opened(scene, 5, began=at(2))

    assert (scene.only, made.author, made.began, made.detected) == (made, Author.HAND, at(2), at(5))


def test_a_title_is_one_line(scene):
    assert hand_opened(scene, title="a\r\nBcc: b\x00").title == "a Bcc: b"


def test_a_second_malfunction_of_a_service_is_refused(scene):
    first = hand_opened(scene)

    with pytest.raises(UsageError, match=first.id):
        hand_opened(scene, 1, title="Autre")


def test_a_malfunction_of_tomorrow_is_refused(scene):
    with pytest.raises(UsageError, match="not in the future"):
        hand_opened(scene, began=at(10))


def test_the_probe_opens_none_beside_it(scene):
    hand_opened(scene)

    scene.ticks("DDD")

    assert scene.only.author is Author.HAND


def test_an_update_is_told(scene):
    made = hand_opened(scene)

    scene.do(notices.update_notice, made.id, "On cherche.", at(5))

    assert (scene.read(kept.updates, [made.id])[made.id][1].text, scene.to(made.id, 1)) == (
        "On cherche.",
        {"region", "operators"},
    )


def test_closing_ends_what_is_open(scene):
    made = hand_opened(scene)

    closed = scene.do(notices.close_notice, made.id, "Cause : câble. Mesure : câble neuf.", at(50))

    assert (closed.state, closed.ended, closed.closed) == (State.CLOSED, at(50), at(50))


def test_closing_leaves_the_end_that_the_probe_saw(scene):
    scene.ticks("DDUU")

    closed = scene.do(notices.close_notice, scene.only.id, "Câble.", at(50))

    assert closed.ended == at(2)


def test_a_notice_that_is_closed_is_not_closed_again(scene):
    made = hand_opened(scene)
    scene.do(notices.close_notice, made.id, "", at(50))

    with pytest.raises(UsageError, match="closed already"):
        scene.do(notices.close_notice, made.id, "", at(51))


@pytest.mark.parametrize("what", [notices.update_notice, notices.close_notice])
def test_a_notice_that_does_not_exist_is_named_as_such(scene, what):
    with pytest.raises(UsageError, match="no notice of this id"):
        scene.do(what, "x", "", at(0))


def test_the_authoritys_own_word_is_kept_and_told_to_nobody(scene):
    made = hand_opened(scene, 9, author=Author.AUTHORITY, began=at(0))

    assert (made.told, made.state, scene.read(kept.deliveries)) == (at(9), State.TOLD, [])


def test_the_authoritys_word_of_the_end_is_its_closing(scene):
    made = hand_opened(scene, 0, author=Author.AUTHORITY)

    assert scene.do(notices.close_notice, made.id, "", at(30)).end_told == at(30)


def test_the_authoritys_own_word_stands_beside_the_probes(scene):
    scene.ticks("DD")
    hand_opened(scene, 9, author=Author.AUTHORITY, began=at(0))

    assert {each.author for each in scene.read(kept.listed)} == {Author.PROBE, Author.AUTHORITY}


def test_the_authoritys_own_word_does_not_keep_the_probe_from_telling(scene):
    hand_opened(scene, 0, author=Author.AUTHORITY)

    scene.ticks("DDD")

    assert Author.PROBE in {each.author for each in scene.read(kept.listed)}


def test_the_authoritys_own_word_is_never_escalated(scene):
    hand_opened(scene, 0, author=Author.AUTHORITY)

    scene.ticks("U" * 40)

    assert scene.read(kept.deliveries) == []


# -- maintenance -------------------------------------------------------------------------------------------------------


def planned(scene, now=None, starts=SATURDAY, hours=2, **changed):
    values = {"services": ["educonnect"], "title": "Mise à jour", "now": now or SATURDAY - 10 * DAY}
    return scene.do(notices.plan_maintenance, starts=starts, ends=starts + hours * 60 * MINUTE, **{**values, **changed})


def test_maintenance_is_told_when_planned(scene):
    made = planned(scene)

    assert (made.state, scene.to(made.id)) == (State.PLANNED, {"region", "operators"})


def test_maintenance_is_announced_when_all_have_heard(scene):
    made = planned(scene)
    scene.accept(made.id, Role.REGION, 1)

    assert scene.accept(made.id, Role.OPERATORS, 2).state is State.ANNOUNCED


def test_a_moved_maintenance_is_announced_when_all_have_heard_of_the_move(scene):
    made = planned(scene)
    scene.accept(made.id, Role.REGION, 1)
    scene.accept(made.id, Role.OPERATORS, 2)
    scene.do(notices.move_maintenance, made.id, SATURDAY + DAY, SATURDAY + DAY + 60 * MINUTE, SATURDAY - 8 * DAY)

    states = [scene.accept(made.id, each, 3).state for each in (Role.REGION, Role.OPERATORS)]

    assert states == [State.PLANNED, State.ANNOUNCED]


def test_maintenance_is_reminded_one_day_before(scene):
    made = planned(scene)

    scene.tick(0, base=SATURDAY - DAY)

    assert (scene.only.state, scene.to(made.id, 1)) == (State.REMINDED, {"region", "operators"})


def test_maintenance_goes_through_its_states(scene):
    planned(scene)
    states = []

    for minute in (-5, 0, 60, 120):
        scene.tick(minute, base=SATURDAY)
        states.append(scene.only.state)

    assert states == [State.REMINDED, State.RUNNING, State.RUNNING, State.DONE]


def test_down_inside_agreed_maintenance_is_not_told(scene):
    planned(scene)

    for minute in range(0, 110, 5):
        scene.tick(minute, down=["educonnect"], base=SATURDAY)

    assert scene.only.kind is Kind.MAINTENANCE


def test_down_inside_maintenance_that_was_announced_late_is_told(scene):
    planned(scene, now=SATURDAY - 6 * DAY)

    for minute in range(0, 20, 5):
        scene.tick(minute, down=["educonnect"], base=SATURDAY)

    assert len(scene.read(kept.listed, kinds=[Kind.MALFUNCTION])) == 1


def test_down_that_outlasts_maintenance_is_told_and_dated_back(scene):
    planned(scene)

    for minute in range(0, 125, 5):
        scene.tick(minute, down=["educonnect"] if minute >= 10 else [], base=SATURDAY)

    (fallen,) = scene.read(kept.listed, kinds=[Kind.MALFUNCTION])
    (window,) = scene.read(kept.listed, kinds=[Kind.MAINTENANCE])
    assert (fallen.began, fallen.detected, window.state) == (
        SATURDAY + 10 * MINUTE,
        SATURDAY + 120 * MINUTE,
        State.OVERRUN,
    )


def test_down_that_began_hours_ago_in_maintenance_is_dated_back_all_the_same(scene):
    planned(scene, hours=4)

    for minute in range(0, 245, 5):
        scene.tick(minute, down=["educonnect"] if minute >= 10 else [], base=SATURDAY)

    (fallen,) = scene.read(kept.listed, kinds=[Kind.MALFUNCTION])
    assert fallen.began == SATURDAY + 10 * MINUTE


def test_cancelled_maintenance_is_told(scene):
    made = planned(scene)

    gone = scene.do(notices.cancel_maintenance, made.id, SATURDAY - DAY)

    assert (gone.state, gone.sequence, scene.to(made.id, 1)) == (State.CANCELLED, 1, {"region", "operators"})


def test_maintenance_that_is_over_is_not_cancelled(scene):
    made = planned(scene)
    scene.do(notices.cancel_maintenance, made.id, SATURDAY - DAY)

    with pytest.raises(UsageError, match="is over"):
        scene.do(notices.cancel_maintenance, made.id, SATURDAY - DAY)


def test_a_moved_maintenance_loses_its_notice(scene):
    made = planned(scene)
    before = scene.read(notices.agreement, scene.only, scene.audience)

    scene.do(notices.move_maintenance, made.id, SATURDAY + DAY, SATURDAY + DAY + 60 * MINUTE, SATURDAY - 2 * DAY)

    assert (before, scene.read(notices.agreement, scene.only, scene.audience)) == ("all", "none")


def test_maintenance_that_crosses_the_cap_is_agreed_in_part(scene):
    planned(scene, hours=5)

    assert scene.read(notices.agreement, scene.only, scene.audience) == "part"


def test_the_authoritys_own_announcement_counts_from_when_it_was_made(scene):
    planned(scene, now=SATURDAY - DAY, author=Author.AUTHORITY, announced=SATURDAY - 8 * DAY)

    assert scene.read(notices.agreement, scene.only, scene.audience) == "all"


def test_maintenance_that_ends_before_it_starts_is_refused(scene):
    with pytest.raises(UsageError, match="ends after it starts"):
        planned(scene, hours=-1)


# -- evolutions --------------------------------------------------------------------------------------------------------


def seen(scene, when, value="f00d", change=Change.CERTIFICATE):
    with scene.database.transaction() as connection:
        sight = Sight(service="educonnect", change=change, value=value, at=when)
        return follow.sighted(connection, [sight], scene.audience, when)


def test_an_unannounced_change_is_told(scene):
    seen(scene, at(0))

    assert (scene.only.announced, scene.to(scene.only.id)) == (None, {"region", "operators"})


def test_an_unannounced_change_is_in_force_when_it_was_told(scene):
    seen(scene, at(0))
    scene.accept(scene.only.id, Role.REGION, 1)
    told = scene.accept(scene.only.id, Role.OPERATORS, 2)

    scene.tick(3)

    assert (told.state, scene.only.state) == (State.TOLD, State.IN_FORCE)


def test_a_change_that_waits_for_its_word_is_not_in_force(scene):
    seen(scene, at(0))

    scene.tick(3)

    assert scene.only.state is State.SEEN


def test_an_announced_change_is_recognised(scene):
    made = hand_opened(scene, kind=Kind.EVOLUTION, title="Nouveau certificat", began=at(0) + 10 * DAY)

    seen(scene, at(0) + 10 * DAY)

    assert (scene.only.id, scene.only.announced, scene.only.detected) == (made.id, at(0), at(0) + 10 * DAY)
