"""Malfunctions, maintenance, evolutions: when they open, go on and end; who is told; how soon (federation-slo.md §5)."""

import datetime as dt
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ent_sync.core.levels.calendar import MaintenanceRules, SchoolHours
from ent_sync.core.levels.samples import Cause, Result, Sample
from ent_sync.core.levels.spans import Span
from ent_sync.core.notice import evolution, maintenance, malfunction
from ent_sync.core.notice.evolution import Change, Sight
from ent_sync.core.notice.kinds import Author, Kind, Notice, State, Update, What
from ent_sync.core.notice.malfunction import Seen, Situation
from ent_sync.core.notice.roles import Partner, Role, concerned, is_crisis
from ent_sync.core.notice.timeliness import Word, all_told, announced_ahead, down_inside, timeliness

MONDAY = dt.datetime(2026, 11, 23, 9, 0, tzinfo=dt.UTC)  # 10:00 in Paris, a school day
MINUTE = dt.timedelta(minutes=1)
HOURS = SchoolHours(
    begins=dt.time(7, 30), ends=dt.time(18, 30), weekdays=frozenset(range(5)), off=(), public_holidays=()
)


def at(minute):
    return MONDAY + minute * MINUTE


class Simulation:
    """Ticks a minute apart, decided one by one as the watch does it."""

    def __init__(self, *services, agreed=None):
        self.series = {each: [] for each in services}
        self.notices, self.updates, self.agreed, self.said = {}, {}, agreed or {}, []
        self.minute = -1

    def tick(self, *letters):
        """`U` up, `D` down by a time-out, `T` down by TLS, `?` unknown, `O` unknown by our own network."""
        self.minute += 1
        now = at(self.minute)
        for name, letter in zip(self.series, letters, strict=True):
            self.series[name].append(
                {
                    "U": Seen(now, Result.UP),
                    "D": Seen(now, Result.DOWN, Cause.TCP_TIMEOUT),
                    "T": Seen(now, Result.DOWN, Cause.TLS_EXPIRED),
                    "?": Seen(now, Result.UNKNOWN),
                    "O": Seen(now, Result.UNKNOWN, Cause.OWN_NETWORK),
                }[letter]
            )
        steps = malfunction.decide(
            Situation(
                now=now,
                cadence=MINUTE,
                series=self.series,
                notices=list(self.notices.values()),
                updates=self.updates,
                agreed=self.agreed,
            )
        )
        for each in steps:
            self.notices[each.notice.id] = each.notice
            if each.update:
                self.updates.setdefault(each.notice.id, []).append(each.update)
                if each.tell:
                    self.said.append((self.minute, each.update.what))
        return self

    def run(self, letters):
        for each in letters:
            self.tick(each)
        return self

    @property
    def only(self):
        (notice,) = self.notices.values()
        return notice


# -- opening and ending ------------------------------------------------------------------------------------------------


def test_one_down_tick_opens_nothing():
    found = Simulation("a").run("UUDUU")

    assert found.notices == {}


def test_two_down_ticks_open_a_malfunction_dated_back_to_the_first():
    found = Simulation("a").run("UUDD").only

    assert (found.began, found.detected, found.state) == (at(2), at(3), State.DETECTED)


def test_one_up_tick_ends_nothing():
    found = Simulation("a").run("UDDDU").only

    assert found.ended is None


def test_two_up_ticks_end_it_dated_back_to_the_first():
    found = Simulation("a").run("UDDDUU").only

    assert (found.ended, found.state) == (at(4), State.ENDED)


def test_unknown_opens_nothing_however_long():
    found = Simulation("a").run("U" + "?" * 30)

    assert found.notices == {}


def test_unknown_ends_nothing():
    found = Simulation("a").run("UDD" + "?" * 30).only

    assert found.open


def test_an_unknown_tick_between_two_down_ones_does_not_part_them():
    found = Simulation("a").run("UD?D").only

    assert (found.began, found.detected) == (at(1), at(3))


def test_down_ticks_too_far_apart_are_not_joined():
    found = Simulation("a").run("UD" + "?" * 12 + "D")

    assert found.notices == {}


def test_down_that_goes_on_opens_one_notice():
    found = Simulation("a").run("UDDDDDDDD")

    assert found.said == [(2, What.OPENED)]


def test_what_was_down_when_it_was_last_looked_at_long_ago_opens_nothing():
    course = Simulation("a")
    course.series["a"] = [Seen(at(-30), Result.DOWN), Seen(at(-29), Result.DOWN)]

    steps = malfunction.decide(
        Situation(now=at(0), cadence=MINUTE, series=course.series, notices=[], updates={}, agreed={})
    )

    assert steps == ()


# -- together ----------------------------------------------------------------------------------------------------------


def test_services_down_at_the_same_tick_with_one_cause_are_one_notice():
    found = Simulation("a", "b").tick("U", "U").tick("D", "D").tick("D", "D")

    assert (found.only.services, found.said) == (("a", "b"), [(2, What.OPENED)])


def test_a_service_that_follows_within_three_ticks_joins_the_notice():
    found = Simulation("a", "b").tick("U", "U").tick("D", "U").tick("D", "U").tick("D", "D").tick("D", "D")

    assert (found.only.services, found.said) == (("a", "b"), [(2, What.OPENED), (4, What.JOINED)])


def test_a_service_that_follows_later_has_a_notice_of_its_own():
    found = (
        Simulation("a", "b").tick("U", "U").tick("D", "U").tick("D", "U").tick("D", "U").tick("D", "D").tick("D", "D")
    )

    assert [each.services for each in found.notices.values()] == [("a",), ("b",)]


def test_services_with_different_causes_have_notices_of_their_own():
    found = Simulation("a", "b").tick("U", "U").tick("D", "T").tick("D", "T")

    assert [(each.services, each.cause) for each in found.notices.values()] == [
        (("a",), Cause.TCP_TIMEOUT),
        (("b",), Cause.TLS_EXPIRED),
    ]


def test_a_notice_of_two_services_ends_with_the_last():
    found = (
        Simulation("a", "b").tick("D", "D").tick("D", "D").tick("U", "D").tick("U", "D").tick("U", "U").tick("U", "U")
    )

    assert (found.only.ended, found.said) == (at(4), [(1, What.OPENED), (5, What.ENDED)])


# -- again and again ---------------------------------------------------------------------------------------------------


def test_down_again_within_half_an_hour_continues_the_notice():
    found = Simulation("a").run("DDUU" + "U" * 20 + "DD")

    assert found.said == [(1, What.OPENED), (3, What.ENDED), (25, What.REOPENED)]


def test_a_continued_notice_has_not_ended():
    found = Simulation("a").run("DDUU" + "U" * 20 + "DD").only

    assert (found.ended, found.began, found.open) == (None, at(0), True)


def test_down_again_after_half_an_hour_is_another_notice():
    found = Simulation("a").run("DDUU" + "U" * 30 + "DD")

    assert len(found.notices) == 2


def test_more_than_three_beginnings_in_an_hour_are_unstable():
    found = Simulation("a").run("DDUU" * 4)

    assert (found.only.state, found.said[-1]) == (State.UNSTABLE, (13, What.UNSTABLE))


def test_three_beginnings_in_an_hour_are_not_unstable():
    found = Simulation("a").run("DDUU" * 3)

    assert found.only.state is State.ENDED


def test_an_unstable_service_is_told_once_an_hour():
    found = Simulation("a").run("DDUU" * 50)

    assert [minute for minute, what in found.said if what is What.UNSTABLE] == [13, 73, 133, 193]


def test_an_unstable_service_says_nothing_else():
    found = Simulation("a").run("DDUU" * 50)

    assert {what for minute, what in found.said if minute > 13} == {What.UNSTABLE}


def test_an_unstable_service_that_stays_up_has_ended_when_it_last_came_back():
    found = Simulation("a").run("DDUU" * 4 + "U" * 40)

    assert (found.only.state, found.only.ended, found.said[-1]) == (State.ENDED, at(14), (44, What.ENDED))


def test_an_unstable_service_that_stays_down_is_an_ordinary_malfunction_again():
    found = Simulation("a").run("DDUU" * 4 + "D" * 120)

    assert (found.only.state, found.said[-1][1]) == (State.DETECTED, What.UPDATED)


def test_an_open_malfunction_is_told_at_least_every_hour():
    found = Simulation("a").run("D" * 130)

    assert found.said == [(1, What.OPENED), (60, What.UPDATED), (119, What.UPDATED)]


def test_an_open_malfunction_of_a_service_that_nobody_looks_at_says_nothing_more():
    course = Simulation("b")
    course.notices["x"] = notice(services=("a",))
    course.run("U" * 130)

    assert (course.said, course.notices["x"].open) == ([], True)


# -- what is not told --------------------------------------------------------------------------------------------------


def test_what_begins_in_agreed_maintenance_waits_for_its_end():
    found = Simulation("a", agreed={"a": (Span(at(2), at(10)),)}).run("UUDDDDDDDDDD")

    assert (found.said, found.only.began) == ([(10, What.OPENED)], at(2))


def test_what_ends_within_agreed_maintenance_is_never_told():
    found = Simulation("a", agreed={"a": (Span(at(2), at(10)),)}).run("UUDDDDUUUUUUU")

    assert found.notices == {}


def test_what_began_before_agreed_maintenance_does_not_wait():
    found = Simulation("a", agreed={"a": (Span(at(2), at(10)),)}).run("UDDD")

    assert found.said == [(2, What.OPENED)]


def test_what_we_do_not_know_because_of_ourselves_is_an_internal_notice():
    found = Simulation("a", "b").tick("U", "U").tick("O", "O").tick("O", "O")

    assert (found.only.internal, found.only.services) == (True, ("a", "b"))


def test_an_internal_notice_ends_when_something_is_seen_again():
    found = Simulation("a").run("UOODD")

    assert [(each.internal, each.open) for each in found.notices.values()] == [(True, False), (False, True)]


def test_a_malfunction_that_a_hand_opened_is_not_opened_again():
    course = Simulation("a")
    course.notices["x"] = notice(author=Author.HAND, services=("a",))
    course.run("UDDD")

    assert list(course.notices) == ["x"]


def test_a_malfunction_that_a_hand_opened_is_not_ended_by_the_probe():
    course = Simulation("a")
    course.notices["x"] = notice(author=Author.HAND, services=("a",))
    course.run("UUUU")

    assert course.notices["x"].ended is None


@given(st.lists(st.sampled_from("UD?OT"), max_size=60))
def test_never_more_than_one_malfunction_of_a_service_is_open(letters):
    course = Simulation("a")

    most = 0
    for each in letters:
        course.tick(each)
        most = max(
            most, sum(each.open and each.ended is None and not each.internal for each in course.notices.values())
        )

    assert most <= 1


@given(st.lists(st.sampled_from("UD?"), max_size=60))
def test_the_sequences_of_a_notice_count_up_from_zero(letters):
    course = Simulation("a").run(letters)

    for name, said in course.updates.items():
        assert [each.sequence for each in said] == list(range(len(said)))
        assert course.notices[name].sequence == len(said) - 1


# -- ticks of several vantage points -----------------------------------------------------------------------------------


def sample(vantage, result, cause=None, minute=0, second=0):
    moment = at(minute) + dt.timedelta(seconds=second)
    return Sample(service="a", vantage=vantage, time=moment, result=result, cause=cause)


def test_the_cause_of_a_tick_is_that_of_most_of_those_down():
    samples = [
        sample("x", Result.DOWN, Cause.TCP_REFUSED),
        sample("y", Result.DOWN, Cause.TLS_EXPIRED, second=1),
        sample("z", Result.DOWN, Cause.TLS_EXPIRED, second=2),
    ]

    found = malfunction.seen(samples, 3, lambda _: MINUTE)

    assert found == (Seen(at(0), Result.DOWN, Cause.TLS_EXPIRED),)


def test_one_of_three_that_is_down_makes_no_tick_down():
    samples = [sample("x", Result.DOWN, Cause.TCP_REFUSED), sample("y", Result.UP), sample("z", Result.UP)]

    found = malfunction.seen(samples, 3, lambda _: MINUTE)

    assert found == (Seen(at(0), Result.UP),)


# -- who is told -------------------------------------------------------------------------------------------------------


def notice(**changed):
    values = {
        "id": "x",
        "kind": Kind.MALFUNCTION,
        "state": State.DETECTED,
        "author": Author.PROBE,
        "title": "",
        "services": ("educonnect",),
        "cause": Cause.TCP_TIMEOUT,
        "began": at(0),
        "detected": at(1),
    }
    return Notice(**{**values, **changed})


def partner(role=Role.REGION, **changed):
    values = {
        "name": role.value,
        "role": role,
        "kinds": frozenset(Kind),
        "services": frozenset(),
        "channels": ("email",),
    }
    return Partner(**{**values, **changed})


def told(partners, about, what=What.OPENED, *, crisis=False):
    return [each.partner for each in concerned(partners, about, what, crisis=crisis)]


def test_a_partner_is_told_by_each_of_its_channels():
    found = concerned([partner(channels=("email", "email-2", "webhook"))], notice(), What.OPENED, crisis=False)

    assert [each.channel for each in found] == ["email", "email-2", "webhook"]


def test_a_partner_is_not_told_of_other_services():
    assert told([partner(services=frozenset({"agriculture"}))], notice()) == []


def test_a_partner_is_not_told_of_other_kinds():
    assert told([partner(kinds=frozenset({Kind.MAINTENANCE}))], notice()) == []


def test_what_is_our_own_is_told_to_operators_only():
    partners = [partner(), partner(Role.CRISIS_CELL), partner(Role.OPERATORS)]

    assert told(partners, notice(cause=Cause.OWN_NETWORK), crisis=True) == ["operators"]


def test_the_crisis_cell_is_not_told_of_what_is_small():
    assert told([partner(), partner(Role.CRISIS_CELL)], notice()) == ["region"]


def test_an_escalation_is_told_to_the_crisis_cell_only():
    assert told([partner(), partner(Role.CRISIS_CELL)], notice(), What.ESCALATED, crisis=True) == ["crisis-cell"]


def test_the_crisis_cell_is_not_told_of_maintenance():
    about = notice(kind=Kind.MAINTENANCE, cause=None)

    assert told([partner(Role.CRISIS_CELL)], about, What.PLANNED, crisis=True) == []


@pytest.mark.parametrize(("minutes", "crisis"), [(29, False), (30, True)])
def test_half_an_hour_of_school_time_is_a_crisis(minutes, crisis):
    assert is_crisis(notice(), HOURS, at(minutes)) is crisis


def test_half_an_hour_at_night_is_no_crisis():
    night = notice(began=MONDAY.replace(hour=1), detected=MONDAY.replace(hour=1))

    assert not is_crisis(night, HOURS, MONDAY.replace(hour=4))


def test_only_school_time_counts_towards_a_crisis():
    early = notice(began=MONDAY.replace(hour=5, minute=0))  # 06:00 in Paris; school begins at 06:30 UTC

    assert [is_crisis(early, HOURS, MONDAY.replace(hour=6, minute=each)) for each in (59,)] == [False]


def test_two_services_are_a_crisis_at_once():
    assert is_crisis(notice(services=("a", "b")), HOURS, at(1))


def test_what_is_our_own_is_no_crisis():
    assert not is_crisis(notice(services=("a", "b"), cause=Cause.OWN_NETWORK), HOURS, at(100))


# -- how soon ----------------------------------------------------------------------------------------------------------


def word(role, accepted, sequence=0, who="p"):
    return Word(sequence=sequence, partner=who, role=role, channel="email", accepted=accepted)


OPENED = Update(sequence=0, at=at(1), what=What.OPENED)


def test_the_first_word_is_that_of_the_slowest_role():
    words = [word(Role.REGION, at(2)), word(Role.AGRICULTURE, at(9))]

    assert timeliness(notice(), [OPENED], words, HOURS, at(20)).first_word == 8 * MINUTE


def test_a_role_has_heard_with_its_first_partner():
    words = [word(Role.DEPARTMENT, at(9), who="Oise"), word(Role.DEPARTMENT, at(3), who="Nord")]

    assert timeliness(notice(), [OPENED], words, HOURS, at(20)).first_word == 2 * MINUTE


def test_a_role_that_has_not_heard_leaves_the_first_word_open():
    words = [word(Role.REGION, at(2)), word(Role.AGRICULTURE, None)]

    assert timeliness(notice(), [OPENED], words, HOURS, at(10)).first_word is None


@pytest.mark.parametrize(("minute", "on_time"), [(16, True), (17, False)])
def test_the_first_word_in_school_hours_has_a_quarter_of_an_hour(minute, on_time):
    found = timeliness(notice(), [OPENED], [word(Role.REGION, at(minute))], HOURS, at(30))

    assert found.on_time is on_time


@pytest.mark.parametrize(("minute", "on_time"), [(60, True), (61, False)])
def test_the_first_word_at_night_has_an_hour(minute, on_time):
    night = MONDAY.replace(hour=1)
    about = notice(began=night, detected=night)
    said = [Update(sequence=0, at=night, what=What.OPENED)]

    found = timeliness(about, said, [word(Role.REGION, night + minute * MINUTE)], HOURS, night + 90 * MINUTE)

    assert found.on_time is on_time


def test_a_first_word_that_is_overdue_is_late_before_it_comes():
    found = timeliness(notice(), [OPENED], [word(Role.REGION, None)], HOURS, at(17))

    assert found.on_time is False


def test_without_anybody_to_tell_nothing_is_late():
    assert timeliness(notice(), [OPENED], [], HOURS, at(100)).on_time is None


def test_the_crisis_cell_waits_from_the_moment_it_was_its_business():
    said = [OPENED, Update(sequence=1, at=at(30), what=What.ESCALATED)]
    words = [word(Role.REGION, at(2)), word(Role.CRISIS_CELL, at(33), sequence=1)]

    assert timeliness(notice(), said, words, HOURS, at(40)).first_word == 3 * MINUTE


def test_detection_is_told_apart_from_the_first_word():
    assert timeliness(notice(), [OPENED], [], HOURS, at(2)).detection == MINUTE


def test_the_longest_silence_counts_until_the_end():
    said = [OPENED, Update(sequence=1, at=at(41), what=What.UPDATED)]

    assert timeliness(notice(ended=at(90)), said, [], HOURS, at(95)).between == 49 * MINUTE


def test_the_end_is_told_from_when_it_ended():
    assert timeliness(notice(ended=at(40), end_told=at(45)), [OPENED], [], HOURS, at(50)).end == 5 * MINUTE


def test_all_are_told_when_the_last_role_is():
    assert all_told([word(Role.REGION, at(2)), word(Role.AGRICULTURE, at(9))]) == at(9)


def test_not_all_are_told_while_a_role_is_not():
    assert all_told([word(Role.REGION, at(2)), word(Role.AGRICULTURE, None)]) is None


def test_nobody_to_tell_is_not_all_told():
    assert all_told([]) is None


def test_the_share_of_evolutions_announced_ahead():
    seen = notice(kind=Kind.EVOLUTION, detected=at(0) + dt.timedelta(days=8), announced=at(0))
    late = notice(kind=Kind.EVOLUTION, detected=at(0) + dt.timedelta(days=6), announced=at(0))
    unannounced = notice(kind=Kind.EVOLUTION, detected=at(0))

    assert announced_ahead([seen, late, unannounced, notice()], dt.timedelta(days=7)) == pytest.approx(1 / 3)


def test_the_share_of_down_inside_agreed_windows():
    assert down_inside([Span(at(0), at(60))], [Span(at(45), at(90))]) == 0.25


def test_without_down_there_is_no_share_inside_windows():
    assert down_inside([], [Span(at(45), at(90))]) is None


# -- maintenance -------------------------------------------------------------------------------------------------------

SATURDAY = dt.datetime(2026, 11, 28, 20, 0, tzinfo=dt.UTC)
EVENING = Span(SATURDAY, SATURDAY + dt.timedelta(hours=2))
DAY = dt.timedelta(days=1)


def planned(ahead=10 * DAY, time=EVENING, services=("educonnect",)):
    return maintenance.plan(services, time, "Mise à jour", time.start - ahead).notice


def later(about, now, risen=None, fallen=()):
    step = maintenance.go_on(about, now, risen or {}, fallen)
    return about if step is None else step.notice


def test_maintenance_is_reminded_one_day_before():
    step = maintenance.go_on(planned(), SATURDAY - DAY, {}, ())

    assert (step.notice.state, step.update.what) == (State.REMINDED, What.REMINDED)


def test_maintenance_is_not_reminded_earlier():
    assert maintenance.go_on(planned(), SATURDAY - DAY - MINUTE, {}, ()) is None


def test_maintenance_is_reminded_once():
    reminded = later(planned(), SATURDAY - DAY)

    assert maintenance.go_on(reminded, SATURDAY - DAY + MINUTE, {}, ()) is None


def test_maintenance_announced_within_a_day_needs_no_reminder():
    assert maintenance.go_on(planned(ahead=DAY / 2), SATURDAY - DAY / 4, {}, ()) is None


def test_maintenance_runs_and_is_done_when_its_time_is_over():
    running = later(planned(), SATURDAY)
    done = later(running, EVENING.end)

    assert (running.state, done.state, done.began, done.ended) == (
        State.RUNNING,
        State.DONE,
        EVENING.start,
        EVENING.end,
    )


def test_maintenance_whose_service_is_not_back_overruns():
    over = later(later(planned(), SATURDAY), EVENING.end, fallen={"educonnect"})

    assert over.state is State.OVERRUN


def test_an_overrun_ends_when_the_service_is_back():
    back = EVENING.end + 20 * MINUTE
    over = later(later(planned(), SATURDAY), EVENING.end, fallen={"educonnect"})

    done = later(over, back + MINUTE, risen={"educonnect": back})

    assert timeliness(done, [], [], HOURS, back).overrun == 20 * MINUTE


def test_a_cancelled_maintenance_does_not_go_on():
    gone = maintenance.cancel(planned(), SATURDAY - 5 * DAY).notice

    assert (gone.state, maintenance.go_on(gone, SATURDAY, {}, ())) == (State.CANCELLED, None)


def test_moving_maintenance_announces_it_anew():
    moved = maintenance.move(planned(), Span(SATURDAY + DAY, SATURDAY + DAY + 60 * MINUTE), SATURDAY - 2 * DAY).notice

    assert (moved.announced, moved.sequence) == (SATURDAY - 2 * DAY, 1)


def test_shortening_maintenance_leaves_its_announcement():
    before = planned()

    moved = maintenance.move(before, Span(SATURDAY, SATURDAY + 60 * MINUTE), SATURDAY - 2 * DAY).notice

    assert moved.announced == before.announced


def agreed_hours(about, *others):
    parts = maintenance.agreed_parts(about, [about, *others], MaintenanceRules(), HOURS)
    return sum(each.seconds for each in parts["educonnect"]) / 3600


def test_maintenance_announced_in_time_outside_school_hours_is_agreed():
    assert agreed_hours(planned(ahead=7 * DAY)) == 2


def test_maintenance_announced_late_is_not_agreed():
    assert agreed_hours(planned(ahead=6 * DAY)) == 0


def test_cancelled_maintenance_is_not_agreed():
    assert agreed_hours(maintenance.cancel(planned(), SATURDAY - DAY).notice) == 0


def test_maintenance_beyond_the_months_cap_is_agreed_up_to_it():
    earlier = Span(SATURDAY - 7 * DAY, SATURDAY - 7 * DAY + dt.timedelta(hours=3))

    assert agreed_hours(planned(), planned(time=earlier)) == 1


def test_notice_given_is_from_the_announcement_to_the_start():
    assert timeliness(planned(), [], [], HOURS, SATURDAY).notice == 10 * DAY


# -- evolutions --------------------------------------------------------------------------------------------------------


def sight(change=Change.CERTIFICATE, when=0, **changed):
    return Sight(**{"service": "educonnect", "change": change, "value": "f00d", "at": at(0) + when * DAY, **changed})


def test_a_change_that_nobody_announced_is_told_as_such():
    step = evolution.noticed(sight(), [])

    assert (step.notice.announced, step.notice.detected, step.update.what) == (None, at(0), What.OPENED)


def test_the_same_change_is_told_once():
    first = evolution.noticed(sight(), []).notice

    assert evolution.noticed(sight(when=1), [first]) is None


def test_a_change_that_was_announced_is_that_evolution():
    announced = evolution.announce(["educonnect"], "Nouveau certificat", at(0), in_force=at(0) + 10 * DAY).notice

    step = evolution.noticed(sight(when=11), [announced])

    assert (step.notice.id, step.notice.detected, step.notice.announced) == (announced.id, at(0) + 11 * DAY, at(0))


def test_a_change_far_from_the_announced_moment_is_another():
    announced = evolution.announce(["educonnect"], "Nouveau certificat", at(0), in_force=at(0) + 30 * DAY).notice

    assert evolution.noticed(sight(when=11), [announced]).notice.author is Author.PROBE


def test_a_change_seen_before_it_was_announced_is_unannounced():
    announced = evolution.announce(["educonnect"], "Nouveau certificat", at(0), in_force=at(0)).notice

    assert evolution.noticed(sight(when=-1), [announced]).notice.announced is None


def test_a_certificate_that_ends_is_not_what_was_announced():
    announced = evolution.announce(["educonnect"], "Nouveau certificat", at(0), in_force=at(0)).notice

    assert evolution.noticed(sight(Change.ENDING, until=at(0) + DAY), [announced]).notice.cause == Change.ENDING


def test_an_evolution_comes_into_force_once_it_was_told():
    announced = evolution.announce(["educonnect"], "Nouveau certificat", at(0), in_force=at(0) + DAY).notice
    known = replace(announced, state=State.TOLD)

    states = [evolution.go_on(known, at(0)), evolution.go_on(known, at(0) + DAY).notice.state]

    assert states == [None, State.IN_FORCE]
