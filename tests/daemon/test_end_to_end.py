"""The daemon through a day: a schedule of seconds, deliveries good and bad, a Prometheus that watches, a kill, hands.

Each test is a story, told by the real program in a process of its own: every step builds on those before it.
"""

import signal
import sqlite3
from contextlib import closing

import pytest

from daemon.started import Site, until
from delivering import LEGAL, guardian, pupil, village
from servers.prometheus import Prometheus

PEOPLE = village(30)  # 30 pupils, 30 guardians, a teacher
OFTEN = "schedule: {every: 2s}"


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path / "site")
    made.edit("ent-sync.yaml", "schedule: {on: delivery}", OFTEN)
    yield made
    made.close()


@pytest.fixture
def prometheus(tmp_path):
    made = Prometheus(tmp_path / "prometheus")
    yield made
    made.close()


def arrival(number):
    """A pupil who arrives, with a guardian."""
    return [pupil(str(number), guardians={str(number + 100_000): LEGAL}), guardian(str(number + 100_000))]


def watched(prometheus, site, started):
    """Point Prometheus at a daemon that has just been started; it says itself where."""
    [*_, line] = until(lambda: len(site.log("metrics served")) == started and site.log("metrics served"), "metrics")
    prometheus.point_at(f"{line['host']}:{line['port']}")
    prometheus.sees("up == 1")


def truncated(site, number):
    """A complete delivery of which a file breaks off."""
    folder = site.complete(number, PEOPLE)
    [pupils] = folder.glob("*_Eleve_*")
    pupils.write_bytes(pupils.read_bytes()[:-200])


def edit_by_hand(site, key):
    """Somebody changes an account of the ENT behind our back."""
    with closing(sqlite3.connect(site.folder / "ent.sqlite")) as ent:
        ent.execute("UPDATE stored_account SET profile = NULL WHERE source_key = ?", [key])
        ent.commit()


def test_a_day_of_the_daemon(site, prometheus):
    # Morning: the first load, then a delta, by the clock.
    site.start()
    site.complete(1, PEOPLE)
    site.provisioned(61)
    watched(prometheus, site, 1)
    prometheus.sees('ent_sync_accounts{population="pupil", status="active"} == 30')
    prometheus.sees("ent_sync_last_success_timestamp_seconds > time() - 30")
    site.delta(2, add=arrival(500))
    site.provisioned(63)

    # A delivery breaks off: it is held, seen from outside, and nobody loses anything.
    truncated(site, 3)
    prometheus.sees('ent_sync_guard_held{guard="completeness"} == 1')
    assert [status for _, status in site.accounts()] == ["active"] * 63

    # The daemon is killed, and Prometheus sees that.
    [daemon] = site._daemons
    daemon.kill()
    daemon.wait()
    prometheus.sees("up == 0")

    # With nobody there, hands still work: what somebody broke at the ENT is put right for one person.
    edit_by_hand(site, "LILLE$100")
    resync = site.type_("resync", "person", "LILLE$100", "--json")
    assert (resync.code, resync.document["applied"]["update"]) == (0, 1)
    assert site.type_("status", "--json").code == 0
    site.complete(4, [*PEOPLE, *arrival(500), *arrival(501)])

    # It is started again: what came meanwhile is taken, the hold is over, and the counts have gone on.
    before = prometheus.query('sum(last_over_time(ent_sync_runs_total{outcome="done"}[5m]))')
    site.start()
    site.provisioned(65)
    watched(prometheus, site, 2)
    prometheus.sees('ent_sync_guard_held{guard="completeness"} == 0')
    prometheus.sees(f'sum(ent_sync_runs_total{{outcome="done"}}) > {before[0]}')

    # A bad configuration is refused, with its line, and the old one works on.
    site.edit("ent-sync.yaml", OFTEN, "schedule: {every: sometimes}")
    refused = site.type_("reload")
    assert refused.code == 78
    assert "ent-sync.yaml:" in refused.out
    site.delta(5, add=arrival(502))
    site.provisioned(67)
    site.edit("ent-sync.yaml", "schedule: {every: sometimes}", OFTEN)
    assert site.type_("reload").code == 0

    # A pause holds what is to be pushed, and nothing else; resuming lets it go.
    assert site.type_("pause").code == 0
    site.delta(6, add=arrival(503))
    until(lambda: site.stored("SELECT 1 FROM deliveries WHERE delivery LIKE '%20260907%'"), "the delta is read")
    until(lambda: site.runs()[-2:] == ["held", "held"], "runs that push nothing")
    assert site.there() == 67
    assert site.type_("resume").code == 0
    site.provisioned(69)

    # Evening: it ends well, and nobody's name is in its log.
    site._daemons[-1].send_signal(signal.SIGTERM)
    assert site.ended(site._daemons[-1]) == 0
    assert "FAMILLE-" not in (site.folder / "ent-sync.log").read_text()


# -- in the middle of a push -------------------------------------------------------------------------------------------

MANY = village(800)  # 800 pupils, 800 guardians and a teacher: two batches


@pytest.fixture
def pushing(site):
    """A daemon whose push waits, because somebody holds the ENT's directory; `let` lets it go on."""
    site.complete(1, PEOPLE)
    daemon = site.start()
    site.provisioned(61)
    site.complete(2, [*MANY, *PEOPLE])
    until(lambda: len(site.log("delivery judged")) == 2, "the delivery is read")
    with closing(sqlite3.connect(site.folder / "ent.sqlite", isolation_level=None)) as ent:
        ent.execute("BEGIN IMMEDIATE")
        until(lambda: [line for line in site.log("plan made") if line["waiting"] > 1000], "a plan that is pushed")
        daemon.let = lambda: ent.execute("ROLLBACK")
        yield daemon


def test_a_stop_ends_the_run_before_its_next_batch_and_the_daemon_goes_on(site, pushing):
    answer = site.type_("stop", "--wait", "0", "--json")
    pushing.let()

    stopped = answer.document["run"]
    until(lambda: ("stopped",) in site.stored("SELECT outcome FROM runs WHERE run = ?", stopped), "the run has stopped")
    [line] = [line for line in site.log("run ended") if line["run"] == stopped]
    assert 0 < line["applied"]["create"] < 1600
    site.provisioned(1601)


def test_a_daemon_that_is_ended_keeps_what_was_acknowledged_and_goes_on_when_it_is_back(site, pushing):
    assert site.type_("status", "--json").document["lease"]["process"] == pushing.pid

    pushing.send_signal(signal.SIGTERM)
    site.hears("STOPPING=1")
    pushing.let()

    assert (site.ended(pushing), site.runs()[-1]) == (0, "stopped")
    [*_, line] = site.log("run ended")
    assert 61 < site.there() == 61 + line["applied"]["create"] < 1601
    site.start()
    site.provisioned(1601)


def test_a_daemon_that_is_killed_is_back_where_it_was(site, pushing):
    pushing.kill()
    pushing.wait()
    pushing.let()

    site.start()

    site.provisioned(1601)
    assert until(lambda: site.runs()[-1] == "done", "a run that is done")
