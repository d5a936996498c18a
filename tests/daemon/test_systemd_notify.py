"""What systemd hears, over a socket as systemd opens it."""

import contextlib
import os
import re
import socket
import uuid

import pytest

from ent_sync.daemon.systemd import Notify


@pytest.fixture(params=["path", "abstract"])
def systemd(request, tmp_path, monkeypatch):
    """The receiving end and its address."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        name = f"ent-sync-{uuid.uuid4().hex}"
        if request.param == "abstract":
            ear.bind(f"\0{name}")
            address = f"@{name}"
        else:
            monkeypatch.chdir(tmp_path)  # the path of a socket may not be long
            ear.bind("notify")
            address = "notify"
        ear.settimeout(10)
        yield ear, address


@pytest.fixture
def notifying():
    """Makes what tells systemd, and closes it."""
    with contextlib.ExitStack() as stack:
        yield lambda notify: stack.enter_context(contextlib.closing(notify))


def heard(ear):
    return ear.recv(4096).decode()


def silent(ear):
    ear.setblocking(False)
    with pytest.raises(BlockingIOError):
        ear.recv(4096)
    return True


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (Notify.ready, "READY=1"),
        (Notify.alive, "WATCHDOG=1"),
        (Notify.stopping, "STOPPING=1"),
        (lambda notify: notify.status("Idle.\nNext:  lille-2d"), "STATUS=Idle. Next: lille-2d"),
    ],
)
def test_systemd_hears(systemd, notifying, act, message):
    ear, address = systemd

    act(notifying(Notify(address)))

    assert heard(ear) == message


def test_a_reload_says_when_it_began_by_the_clock_of_systemd(systemd, notifying):
    ear, address = systemd

    notifying(Notify(address)).reloading()

    assert re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=[1-9][0-9]+", heard(ear))


def test_the_same_status_is_told_once(systemd, notifying):
    ear, address = systemd
    notify = notifying(Notify(address))
    notify.status("Idle")
    heard(ear)

    notify.status("Idle")

    assert silent(ear)


def test_without_systemd_nobody_is_told():
    notify = Notify.from_environment({})

    notify.ready()
    notify.alive()

    assert notify.watchdog is None


def test_a_systemd_that_is_gone_stops_nothing(tmp_path, notifying):
    notifying(Notify(str(tmp_path / "nobody"))).ready()


def test_no_child_process_can_speak_for_us(notifying):
    environment = {"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid()), "LANG": "C"}

    notify = notifying(Notify.from_environment(environment))

    assert (environment, notify.watchdog) == ({"LANG": "C"}, 60.0)


def test_a_watchdog_that_is_meant_for_another_process_is_not_ours():
    assert Notify.from_environment({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}).watchdog is None
