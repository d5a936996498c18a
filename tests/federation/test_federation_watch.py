"""Ticks: real pages looked at, samples kept, notices told; and when a tick is due."""

import datetime as dt
import itertools

import pytest

from ent_sync.core.levels.calendar import SchoolHours
from ent_sync.core.levels.samples import Cause, Result
from ent_sync.core.levels.spans import Span
from ent_sync.core.notice.kinds import Kind, State
from ent_sync.core.notice.roles import Role
from ent_sync.federation import remembered
from ent_sync.federation.chain import Freshness
from ent_sync.federation.probe import Means
from ent_sync.federation.rhythm import Rhythm
from ent_sync.federation.watch import Watch
from ent_sync.store import measures, samples, seen
from ent_sync.store import notices as kept
from ent_sync.store.database import Database
from federation.mailbox import mailbox
from federation.probing import QUICK, keyed
from federation.telling import MINUTE, MONDAY, federation
from servers import front
from servers.front import Mode
from servers.slapd import free_port

ALL = Span(MONDAY - dt.timedelta(days=400), MONDAY + dt.timedelta(days=400))
PAGE = b"<html><body>Se connecter</body></html>"


@pytest.fixture
def door():
    with front.serving() as made:
        made.mode = Mode(page=PAGE)
        yield made


@pytest.fixture
def box():
    with mailbox() as made:
        yield made


@pytest.fixture
def database(tmp_path):
    opened = Database(f"sqlite:///{tmp_path / 'state.sqlite'}")
    opened.upgrade()
    yield opened
    opened.close()


class Course:
    """A watch whose clock tests set."""

    def __init__(self, database, folder, section, **more):
        self.database, self.now = database, MONDAY
        means = Means(limits=QUICK, retries=(), pause=lambda _: None)
        self.watch = Watch(
            database, section, base=folder, environ={}, digest=keyed, now=lambda: self.now, means=means, **more
        )

    def tick(self, minutes=1, only=None):
        self.now += minutes * MINUTE
        return self.watch.tick(only)

    def verdicts(self, ticked):
        return {each.sample.service: each.sample.result.value for each in ticked.attempts}

    def read(self, function, *arguments, **more):
        with self.database.reading() as connection:
            return function(connection, *arguments, **more)

    def counted(self, name, *labels):
        return self.read(measures.counted).get(name, labels)


@pytest.fixture
def course(database, tmp_path, door):
    def made(*partners, services=None, more=None, **changed):
        listed = services or [
            {"name": "ent", "url": f"http://127.0.0.1:{door.port}/ent", "content": "Se connecter"},
            {"name": "educonnect", "url": f"http://127.0.0.1:{door.port}/educonnect", "content": "Se connecter"},
        ]
        return Course(database, tmp_path, federation(*partners, services=listed, **changed), **(more or {}))

    return made


def down(door):
    door.mode = Mode(page=PAGE)
    door.more = ()
    door.mode = Mode(status=503, only="educonnect")
    door.more = (Mode(page=PAGE),)


def up(door):
    door.mode, door.more = Mode(page=PAGE), ()


# -- a tick ------------------------------------------------------------------------------------------------------------


def test_a_tick_looks_at_every_service(course):
    watching = course()

    assert watching.verdicts(watching.tick()) == {"ent": "up", "educonnect": "up"}


def test_all_samples_of_a_tick_have_one_time(course):
    watching = course()
    calls = itertools.count()
    watching.watch._now = lambda: MONDAY + MINUTE + dt.timedelta(seconds=next(calls) / 1000)
    watching.watch.tick()

    found = {
        each.time
        for name in ("ent", "educonnect")
        for each in watching.read(lambda c, n=name: list(samples.of(c, n, ALL)))
    }

    assert found == {MONDAY + MINUTE}


def test_a_tick_of_one_service_looks_at_that_one(course, door):
    watching = course()

    assert watching.verdicts(watching.tick(only=["ent"])) == {"ent": "up"}


def test_an_excluded_service_is_not_looked_at(course, door):
    services = [
        {"name": "ent", "url": f"http://127.0.0.1:{door.port}/"},
        {"name": "old", "url": f"http://127.0.0.1:{door.port}/old", "excluded": "fermé"},
    ]
    watching = course(services=services)

    assert watching.verdicts(watching.tick()) == {"ent": "up"}


def test_what_is_down_is_kept_with_its_cause(course, door):
    watching = course()
    down(door)
    watching.tick()

    (sample,) = watching.read(lambda c: list(samples.of(c, "educonnect", ALL)))

    assert (sample.result, sample.cause) == (Result.DOWN, Cause.HTTP_5XX)


def test_when_our_own_network_is_gone_nothing_is_said_of_services(course):
    watching = course(probing={"controls": [f"127.0.0.1:{free_port()}"]})

    found = watching.tick()

    assert {(each.sample.result, each.sample.cause) for each in found.attempts} == {(Result.UNKNOWN, Cause.OWN_NETWORK)}


def test_the_probe_remembers_what_it_found_of_itself(course):
    watching = course(probing={"controls": [f"127.0.0.1:{free_port()}"]})
    watching.tick()

    found = watching.read(remembered.probe_state, "main")

    assert (found.tick, found.network) == (MONDAY + MINUTE, False)


def test_stages_are_counted_with_their_seconds(course):
    watching = course()
    watching.tick()

    counted = watching.read(measures.counted).values["federation_stage_bucket"]

    assert sum(value for labels, value in counted.items() if labels[:2] == ("ent", "http")) == 1


# -- from the door to the partner --------------------------------------------------------------------------------------


def by_mail(box):
    return {"smtp": {"server": f"127.0.0.1:{box.port}", "from": "ent@ent.example", "starttls": False}}


REGION = {"role": "region", "email": ["ops@region.example"]}


def test_a_service_that_falls_is_told_at_the_second_tick(course, door, box):
    watching = course(REGION, **by_mail(box))
    down(door)

    watching.tick()
    before = len(box.messages)
    watching.tick()

    assert (before, [each["Subject"] for each in box.messages]) == (0, ["Dysfonctionnement : educonnect"])


def test_its_return_is_told_at_the_second_tick(course, door, box):
    watching = course(REGION, **by_mail(box))
    down(door)
    watching.tick()
    watching.tick()
    up(door)

    watching.tick()
    watching.tick()

    assert [each["Subject"] for each in box.messages][1:] == ["Dysfonctionnement : educonnect (fin)"]


def test_its_clocks_are_those_of_the_ticks(course, door, box):
    watching = course(REGION, **by_mail(box))
    down(door)
    watching.tick()
    watching.tick()
    up(door)
    watching.tick()
    watching.tick()

    (notice,) = watching.read(kept.listed)

    assert [
        (moment - MONDAY) / MINUTE
        for moment in (notice.began, notice.detected, notice.told, notice.ended, notice.end_told)
    ] == [1, 2, 2, 3, 4]


def test_a_mail_server_that_is_gone_does_not_stop_the_ticks(course, door):
    smtp = {"server": f"127.0.0.1:{free_port()}", "from": "ent@ent.example", "starttls": False}
    watching = course(REGION, smtp=smtp)
    down(door)
    watching.tick()
    watching.tick()

    found = watching.tick()

    assert (len(found.attempts), found.flushed.accepted) == (2, 0)


# -- what changes ------------------------------------------------------------------------------------------------------


@pytest.fixture
def encrypted(tmp_path):
    authority = front.Authority(tmp_path)
    (tmp_path / "ca.pem").write_text(authority.pem)
    with front.serving(certificate=authority.certificate(-front.DAY, 90 * front.DAY)) as made:
        made.mode = Mode(page=PAGE)
        made.authority = authority
        made.services = [{"name": "ent", "url": f"https://localhost:{made.port}/", "ca": "ca.pem"}]
        yield made


def real_now(watching):
    """Certificates are judged by the machine's clock, so this clock is set to it."""
    watching.now = dt.datetime.now(dt.UTC)
    return watching


def test_a_certificate_that_changes_is_told_as_an_evolution(course, encrypted):
    watching = real_now(course(services=encrypted.services, reference="ent"))
    watching.tick()
    encrypted.show(encrypted.authority.certificate(-front.DAY, 80 * front.DAY))

    watching.tick()

    (notice,) = watching.read(kept.listed)
    assert (notice.kind, notice.cause, notice.announced) == (Kind.EVOLUTION, "certificate", None)


def test_a_change_of_metadata_is_counted(course, encrypted):
    watching = real_now(course(services=encrypted.services, reference="ent"))
    watching.tick()
    encrypted.show(encrypted.authority.certificate(-front.DAY, 80 * front.DAY))

    watching.tick()

    assert watching.counted("federation_metadata_changes", "ent", "certificate") == 1


def test_what_is_seen_first_is_no_change(course, encrypted):
    watching = real_now(course(services=encrypted.services, reference="ent"))

    watching.tick()
    watching.tick()

    assert watching.read(kept.listed) == []


def test_the_end_of_a_certificate_is_known(course, encrypted):
    watching = real_now(course(services=encrypted.services, reference="ent"))
    watching.tick()

    found = watching.read(seen.ends)["ent", "certificate:tls"]

    assert dt.timedelta(days=89) < found - watching.now < dt.timedelta(days=91)


def test_a_certificate_that_ends_soon_is_told_once(course, encrypted):
    encrypted.show(encrypted.authority.certificate(-front.DAY, 5 * front.DAY))
    watching = real_now(course(services=encrypted.services, reference="ent"))

    watching.tick()
    watching.tick()

    assert [each.cause for each in watching.read(kept.listed)] == ["certificate_ending"]


# -- when --------------------------------------------------------------------------------------------------------------

HOURS = SchoolHours(
    begins=dt.time(7, 30), ends=dt.time(18, 30), weekdays=frozenset(range(5)), off=(), public_holidays=()
)


def rhythm(place="main"):
    return Rhythm(school=MINUTE, off=5 * MINUTE, hours=HOURS, place=place)


def moments(start, number):
    found = [rhythm().after(start)]
    while len(found) < number:
        found.append(rhythm().after(found[-1]))
    return [later - earlier for earlier, later in itertools.pairwise(found)]


def test_in_school_hours_a_tick_is_due_each_minute():
    assert set(moments(MONDAY, 10)) == {MINUTE}


def test_at_night_a_tick_is_due_every_five_minutes():
    assert set(moments(MONDAY.replace(hour=1), 10)) == {5 * MINUTE}


def test_when_school_begins_ticks_come_closer_at_once():
    begins = MONDAY.replace(hour=6, minute=30)  # 07:30 in Paris

    assert rhythm().after(begins) - begins <= MINUTE


def test_the_tick_before_school_is_followed_by_one_in_its_first_minute():
    last = rhythm().last(MONDAY.replace(hour=6, minute=29))

    assert MONDAY.replace(hour=6, minute=30) <= rhythm().after(last) < MONDAY.replace(hour=6, minute=31)


def test_vantage_points_do_not_all_ask_at_the_same_second():
    assert len({rhythm(place).after(MONDAY) for place in ("main", "amiens", "lille", "creil")}) > 1


def at_tick(watching, minutes):
    """The clock at a moment of probing, so many minutes on."""
    watching.now = rhythm().last(MONDAY) + minutes * MINUTE
    return watching.watch.tick_if_due()


def test_a_tick_comes_when_it_is_due_and_once(course):
    watching = course()

    found = [at_tick(watching, each) is not None for each in (0, 0.5, 1, 1)]

    assert found == [True, False, True, False]


def test_a_tick_that_would_begin_late_is_left_out(course):
    watching = course()
    at_tick(watching, 0)

    assert at_tick(watching, 1.6) is None


def test_a_tick_that_is_left_out_is_counted(course):
    watching = course()
    at_tick(watching, 0)
    at_tick(watching, 1.6)

    assert watching.counted("federation_skipped", "ent", "late") == 1


def test_ticks_that_were_missed_are_counted(course):
    watching = course()
    at_tick(watching, 0)
    at_tick(watching, 5)

    assert watching.counted("federation_skipped", "ent", "late") == 4


def test_the_next_tick_is_known(course):
    watching = course()
    at_tick(watching, 0)

    assert watching.watch.next_due() == rhythm().last(MONDAY) + MINUTE


def test_a_service_that_asks_to_be_left_alone_is_left_alone(course, door):
    watching = course()
    door.mode = Mode(status=503, headers={"Retry-After": "300"})
    watching.tick()
    asked = len(door.asked)

    watching.tick()

    assert (len(door.asked), watching.counted("federation_skipped", "ent", "backoff")) == (asked, 1)


def test_a_service_is_left_alone_for_a_quarter_of_an_hour_at_most(course, door):
    watching = course()
    door.mode = Mode(status=503, headers={"Retry-After": "86400"})
    watching.tick()
    up(door)

    assert watching.verdicts(watching.tick(minutes=15)) == {"ent": "up", "educonnect": "up"}


# -- our own chain -----------------------------------------------------------------------------------------------------


def fresh(database, success):
    with database.transaction() as connection:
        connection.exec_driver_sql("INSERT INTO sources (source) VALUES ('lille-2d')")
    if success is not None:
        from ent_sync.store import runs

        with database.transaction() as connection:
            runs.succeeded(connection, "lille-2d", success)
    return {"freshness": [Freshness(name="chain-lille-2d", source="lille-2d", interval=dt.timedelta(hours=24))]}


@pytest.mark.parametrize(
    ("hours", "result"), [(1, Result.UP), (47, Result.UP), (49, Result.DOWN), (None, Result.UNKNOWN)]
)
def test_people_that_come_too_late_are_our_own_chain_down(course, database, hours, result):
    success = None if hours is None else MONDAY - dt.timedelta(hours=hours)
    watching = course(more=fresh(database, success))

    found = {each.sample.service: each.sample for each in watching.tick().attempts}

    assert found["chain-lille-2d"].result is result


def test_the_interval_of_a_chain_may_change_with_the_calendar(course, database):
    more = fresh(database, MONDAY - dt.timedelta(hours=60))
    weekend = dt.timedelta(hours=72)
    more["freshness"] = [Freshness(name="chain-lille-2d", source="lille-2d", interval=lambda _: weekend)]

    found = {each.sample.service: each.sample.result for each in course(more=more).tick().attempts}

    assert found["chain-lille-2d"] is Result.UP


def test_a_chain_that_is_late_is_told_to_operators_only(course, database):
    partners = ({"role": "region", "email": ["a@region.example"]}, {"role": "operators", "email": ["b@ent.example"]})
    watching = course(*partners, more=fresh(database, MONDAY - dt.timedelta(days=3)))

    watching.tick()
    watching.tick()

    (notice,) = watching.read(kept.listed)
    assert (notice.state, {each.role for each in watching.read(kept.deliveries)}) == (State.DETECTED, {Role.OPERATORS})
