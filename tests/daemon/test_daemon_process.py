"""The daemon as a process: what it does by itself, what it is told by signals, by systemd and by commands."""

import datetime as dt
import os
import signal
import sqlite3
import stat
import time
from contextlib import closing

import pytest

from daemon.started import until
from delivering import village

PEOPLE = village(3)  # three pupils, three guardians, a teacher


# -- by itself ---------------------------------------------------------------------------------------------------------


def test_a_delivery_that_is_dropped_is_provisioned(site):
    site.start()
    site.complete(1, PEOPLE)

    assert site.provisioned(7)


def test_a_delivery_that_came_while_no_daemon_ran_is_provisioned_at_its_start(site):
    site.complete(1, PEOPLE)
    site.start()

    assert site.provisioned(7)


def test_a_source_with_an_interval_is_read_again_and_again(site):
    site.edit("ent-sync.yaml", "schedule: {on: delivery}", "schedule: {every: 1s}")
    site.start()

    assert until(lambda: site.runs().count("done") >= 3, "three runs")


def test_a_calendar_that_struck_while_no_daemon_ran_is_made_up_for_once(site):
    site.synced(1, PEOPLE)
    yesterday = dt.datetime.now(dt.UTC).replace(tzinfo=None) - dt.timedelta(days=2)
    with closing(sqlite3.connect(site.folder / "state.sqlite")) as store:
        store.execute("UPDATE sources SET last_success = ?", [yesterday.isoformat(sep=" ", timespec="microseconds")])
        store.commit()
    site.edit("ent-sync.yaml", "schedule: {on: delivery}", "schedule: {cron: 30 5 * * *}")
    site.start()

    assert until(lambda: site.runs() == ["done", "done"], "one more run")
    assert len(site.log("missed run caught up")) == 1


def test_a_source_without_a_schedule_is_left_alone(site):
    site.edit("ent-sync.yaml", "schedule: {on: delivery}", "delivers: []")
    site.complete(1, PEOPLE)
    daemon = site.start()
    site.hears("STATUS=Idle")

    assert daemon.poll() is None
    assert site.runs() == []


def test_what_failed_is_told_and_does_not_end_the_daemon(site):
    site.edit("ent-sync.yaml", "schedule: {on: delivery}", "schedule: {every: 1s}")
    site.deliveries().rename(site.folder / "away")
    daemon = site.start()

    assert until(lambda: site.log("run failed"), "a run that failed")
    assert daemon.poll() is None


# -- systemd and signals -----------------------------------------------------------------------------------------------


def test_systemd_hears_what_the_daemon_is_doing(site):
    site.start()

    assert site.hears("STATUS=Idle. Next: lille-2d, ")


def test_systemd_hears_that_all_advances(site):
    site.start(WATCHDOG_USEC="4000000")
    site.hears("WATCHDOG=1")
    site.heard.clear()

    assert site.hears("WATCHDOG=1")


def test_a_daemon_that_is_stopped_says_so_and_ends_well_in_seconds(site, stop):
    daemon = site.start()
    began = time.monotonic()

    code = stop(daemon)

    assert (code, "STOPPING=1" in site.listen()) == (0, True)
    assert time.monotonic() - began < 10


def test_a_daemon_that_is_interrupted_ends_well_too(site):
    daemon = site.start()
    daemon.send_signal(signal.SIGINT)

    assert site.ended(daemon) == 0


def test_a_daemon_that_ended_leaves_neither_socket_nor_lease(site, stop):
    stop(site.start())

    assert not (site.folder / "control.sock").exists()
    assert site.stored("SELECT host FROM leases WHERE name = 'daemon'") == [(None,)]


def test_a_daemon_that_was_killed_is_followed_by_another_at_once(site):
    daemon = site.start()
    daemon.kill()
    daemon.wait()
    site.start()
    site.complete(1, PEOPLE)

    assert site.provisioned(7)


def test_a_signal_reads_the_configuration_again(site):
    daemon = site.start()
    site.heard.clear()
    daemon.send_signal(signal.SIGHUP)

    assert site.hears("RELOADING=1\nMONOTONIC_USEC=")
    assert site.hears("READY=1")


def test_a_bad_configuration_keeps_the_daemon_from_starting(site):
    site.edit("ent-sync.yaml", "settle: 0s", "settle: soon")

    assert site.ended(site.start(ready=False)) == 78


def test_a_second_daemon_is_told_who_works_on_the_store(site):
    first = site.start()

    second = site.type_("run")

    assert second.code == 5
    assert f"process {first.pid} on " in second.err


# -- reload ------------------------------------------------------------------------------------------------------------


def test_a_reload_answers_when_it_is_done(site):
    site.start()

    answer = site.type_("reload", "--json")

    assert (answer.code, answer.document["schema"], answer.document["sources"]) == (
        0,
        "ent-sync/reload/1",
        ["lille-2d"],
    )


def test_what_a_reload_took_up_is_what_happens(site):
    site.start()
    site.edit("ent-sync.yaml", "path: deliveries/lille-2d", "path: elsewhere")
    (site.folder / "elsewhere").mkdir()
    site.type_("reload")
    site.complete(1, PEOPLE).rename(site.folder / "elsewhere" / "ENT_Complet_20260902")

    assert site.provisioned(7)


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [("ent-sync.yaml", "settle: 0s", "settle: soon"), ("register.yaml", "purposes:", "purposses:")],
)
def test_a_bad_configuration_is_refused_with_its_problems(site, file, old, new):
    site.start()
    site.edit(file, old, new)

    answer = site.type_("reload")

    assert answer.code == 78
    assert f"{file}:" in answer.out


def test_after_a_refused_reload_the_old_configuration_works_on(site):
    site.start()
    site.edit("register.yaml", "purposes:", "purposses:")
    site.type_("reload")
    site.complete(1, PEOPLE)

    assert site.provisioned(7)


def test_an_edit_that_nobody_asked_to_take_up_changes_nothing(site):
    site.start()
    (site.folder / "ent-sync.yaml").write_text("not: a configuration\n")
    site.complete(1, PEOPLE)

    assert site.provisioned(7)


def test_a_daemon_does_not_move_to_another_store(site):
    site.start()
    (site.folder / "other").mkdir()
    site.edit("ent-sync.yaml", "metrics: {listen: ", "#metrics: {listen: ")
    site.edit("ent-sync.yaml", "127.0.0.1:9465", "127.0.0.1:9499")

    answer = site.type_("reload")

    assert answer.code == 78
    assert "restart it instead" in answer.out


def test_without_a_daemon_there_is_nobody_to_reload(site):
    answer = site.type_("reload")

    assert (answer.code, "control.sock" in answer.err) == (6, True)


def test_a_socket_that_a_dead_daemon_left_is_nobody(site):
    daemon = site.start()
    daemon.kill()
    daemon.wait()

    assert site.type_("reload").code == 6


def test_the_control_socket_is_closed_to_others(site):
    site.start()

    mode = stat.S_IMODE((site.folder / "control.sock").stat().st_mode)

    assert mode == 0o660


def test_who_asked_for_a_reload_is_in_the_log(site):
    site.start()
    site.type_("reload")

    [line] = site.log("reload asked")

    assert line["account"] == os.getuid()


# -- hands, with the daemon up and with the daemon down ----------------------------------------------------------------


def test_a_pause_holds_what_the_daemon_would_push(site):
    site.start()
    site.type_("pause")
    site.complete(1, PEOPLE)

    assert until(lambda: "held" in site.runs(), "a run that is held")
    assert not site.there()


def test_what_waited_goes_after_resume(site):
    site.edit("ent-sync.yaml", "schedule: {on: delivery}", "schedule: {every: 1s}")
    site.start()
    site.type_("pause", "--target", "ent")
    site.complete(1, PEOPLE)
    until(lambda: "held" in site.runs(), "a run that is held")
    site.type_("resume")

    assert site.provisioned(7)


def test_a_pause_works_with_the_daemon_down(site):
    site.complete(1, PEOPLE)
    site.type_("pause")

    run = site.type_("sync", "--json")

    assert (run.code, run.document["outcome"], sum(run.document["applied"].values())) == (4, "held", 0)
    assert run.document["changes"]["create"] == 7


def test_a_pause_says_what_is_paused(site):
    answer = site.type_("pause", "--target", "ent", "--json")

    assert answer.code == 0
    assert answer.document["schema"] == "ent-sync/pauses/1"
    assert [each["target"] for each in answer.document["pauses"]] == ["ent"]


def test_resume_says_that_nothing_is_paused(site):
    site.type_("pause")

    assert site.type_("resume", "--json").document["pauses"] == []


def test_a_target_that_does_not_exist_is_not_paused(site):
    assert site.type_("pause", "--target", "nobody").code == 2


def test_a_stop_without_a_run_does_nothing_now_or_later(site):
    stopped = site.type_("stop", "--json")
    site.complete(1, PEOPLE)

    run = site.type_("sync", "--json")

    assert (stopped.code, stopped.document["run"], run.document["outcome"]) == (0, None, "done")


def test_a_command_works_beside_the_daemon(site):
    site.edit("ent-sync.yaml", "schedule: {on: delivery}", "delivers: []")
    site.start()
    site.complete(1, PEOPLE)

    run = site.type_("sync", "--json")

    assert (run.code, site.there()) == (0, 7)


def test_a_run_is_known_by_its_lease_to_who_stops_it(site):
    """`stop` names the run in progress, whoever holds the lease, and follows it until it has ended."""
    from ent_sync.store import hands
    from ent_sync.sync.heartbeat import holding

    with site.opened() as parts, holding(parts, "20260101T0-first"):
        answer = site.type_("stop", "--wait", "0", "--json")
        with parts.database.reading() as connection:
            asked = hands.stop_asked(connection, "20260101T0-first")

    assert (answer.code, answer.document["run"], asked) == (0, "20260101T0-first", True)
