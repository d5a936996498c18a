"""What a watch remembers of an identity provider between ticks: logins, refusals, assertions, metadata."""

import datetime as dt

import pytest

from ent_sync.core.levels.samples import Cause, Result
from ent_sync.federation import remembered
from ent_sync.federation.probe import Means
from ent_sync.federation.watch import Watch
from ent_sync.store import notices as kept
from ent_sync.store.database import Database
from federation.probing import QUICK, keyed
from federation.telling import federation
from servers import idp


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return idp.make_folder(tmp_path_factory.mktemp("idp") / "ssp")


@pytest.fixture(scope="module")
def server(folder):
    with idp.running(folder) as made:
        yield made


@pytest.fixture
def database(tmp_path):
    opened = Database(f"sqlite:///{tmp_path / 'state.sqlite'}")
    opened.upgrade()
    yield opened
    opened.close()


class Course:
    """A watch of one identity provider, on the machine's clock and what tests add to it."""

    def __init__(self, database, server, password=idp.PASSWORD, **changed):
        self.database, self.ahead = database, dt.timedelta()
        (server.folder / "sp.key").write_text(server.key("sp"))
        (server.folder / "sp.key").chmod(0o600)
        login = {"account": idp.ACCOUNT, "password": {"env": "PASSWORD"}, "key": {"env": "KEY"}}
        service = {"name": "educonnect", "metadata": server.metadata, "pins": ["cert/md.crt"], "login": login}
        asking = {"entity": idp.SP_ENTITY, "acs": idp.ACS, "certificate": "cert/sp.crt", "key": {"file": "sp.key"}}
        self.watch = Watch(
            database,
            federation(services=[{**service, **changed}], reference="educonnect", asking=asking),
            base=server.folder,
            environ={"PASSWORD": password, "KEY": idp.KEY},
            digest=keyed,
            now=lambda: dt.datetime.now(dt.UTC) + self.ahead,
            means=Means(limits=QUICK, retries=(), pause=lambda _: None),
        )

    def tick(self, minutes=0):
        self.ahead += dt.timedelta(minutes=minutes)
        (attempt,) = self.watch.tick().attempts
        return attempt

    def read(self, function, *arguments):
        with self.database.reading() as connection:
            return function(connection, *arguments)


def test_the_first_tick_logs_in(database, server):
    found = Course(database, server).tick()

    assert (found.sample.result, found.logged_in) == (Result.UP, True)


def test_the_next_tick_does_not(database, server):
    course = Course(database, server)
    course.tick()

    assert not course.tick().logged_in


def test_a_restart_does_not_log_in_earlier(database, server):
    Course(database, server).tick()

    assert not Course(database, server).tick().logged_in


def test_a_refused_login_is_unknown(database, server):
    found = Course(database, server, "wrong").tick()

    assert (found.sample.result, found.sample.cause) == (Result.UNKNOWN, Cause.LOGIN_REFUSED)


def test_after_two_refusals_no_more_logins_are_made(database, server):
    course = Course(database, server, "wrong")

    found = [course.tick(minutes=20 * bool(each)).logged_in for each in range(3)]

    assert found == [True, True, False]


def test_another_password_is_tried(database, server):
    wrong = Course(database, server, "wrong")
    wrong.tick()
    wrong.tick(minutes=20)
    mended = Course(database, server)

    assert mended.tick(minutes=40).logged_in


def test_a_hand_may_have_it_tried_again(database, server):
    course = Course(database, server, "wrong")
    course.tick()
    course.tick(minutes=20)
    with database.transaction() as connection:
        remembered.resume_logins(connection, "educonnect")

    assert course.tick(minutes=20).logged_in


def test_no_secret_is_remembered(database, server):
    Course(database, server).tick()

    with database.reading() as connection:
        facts = "".join(connection.exec_driver_sql("SELECT value FROM facts").scalars())

    assert not any(secret in facts for secret in (idp.PASSWORD, idp.KEY, idp.ACCOUNT + "\n"))


def test_an_accepted_assertion_is_remembered(database, server):
    Course(database, server).tick()

    with database.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM assertions_seen").scalar() == 1


def test_metadata_are_not_fetched_at_every_tick(database, server):
    course = Course(database, server)
    first = {stage.value for stage, _ in course.tick().stages}
    second = {stage.value for stage, _ in course.tick().stages}

    assert ("http" in first, "http" in second) == (True, False)


def test_a_key_that_was_rolled_is_told_as_an_evolution(database, folder):
    with idp.running(folder) as before:
        Course(database, before, login=None).tick()
    with idp.running(folder, key="idp2", certificate="idp2") as after:
        course = Course(database, after, login=None)
        course.tick()

    assert "certificate" in {each.cause for each in course.read(kept.listed)}
