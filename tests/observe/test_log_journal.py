"""Under systemd a line reaches the journal with its priority and its fields, whichever way is open."""

import contextlib
import json
import os
import socket
import subprocess
import sys

import pytest
import structlog

from ent_sync.observe import journal, log


@pytest.fixture
def stream(tmp_path, monkeypatch):
    """A stream that systemd connected with its journal."""
    with (tmp_path / "stream").open("w+") as opened:
        there = os.fstat(opened.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{there.st_dev}:{there.st_ino}")
        yield opened
    log.configure(None, "info")


@pytest.fixture
def journald(tmp_path, monkeypatch):
    """The socket on which journald listens."""
    monkeypatch.setattr(journal, "SOCKET", str(tmp_path / "journald"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(journal.SOCKET)
        listening.settimeout(5)
        yield listening


@pytest.fixture
def no_journald(tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "SOCKET", str(tmp_path / "nobody"))


def heard(listening):
    """The fields of the next message, read as journald's protocol has it."""
    rest, fields = listening.recv(65536), {}
    while rest:
        name, _, rest = rest.partition(b"\n")
        if b"=" in name:
            name, _, value = name.partition(b"=")
        else:
            length = int.from_bytes(rest[:8], "little")
            value, rest = rest[8 : 8 + length], rest[9 + length :]
        fields[name.decode()] = value.decode()
    return fields


def said(stream):
    stream.flush()
    stream.seek(0)
    return stream.read().splitlines()


def test_a_run_is_found_in_the_journal_by_its_name(stream, journald):
    log.configure(None, "info", echo=stream)

    structlog.get_logger().info("delivery judged", run="20260901T0-ab", source="lille-2d", target="ent")

    fields = heard(journald)
    assert {name: fields[f"ENT_SYNC_{name}"] for name in ("EVENT", "RUN", "SOURCE", "TARGET")} == {
        "EVENT": "delivery judged",
        "RUN": "20260901T0-ab",
        "SOURCE": "lille-2d",
        "TARGET": "ent",
    }


@pytest.mark.parametrize(("level", "priority"), [("debug", "7"), ("info", "6"), ("warning", "4"), ("error", "3")])
def test_a_line_has_the_priority_of_its_level(stream, journald, level, priority):
    log.configure(None, "debug", echo=stream)

    getattr(structlog.get_logger(), level)("something happened")

    assert heard(journald)["PRIORITY"] == priority


def test_the_message_reads_as_a_line(stream, journald):
    log.configure(None, "info", echo=stream)

    structlog.get_logger().info("run ended", outcome="held", plan=None, held=[], failed=0, reasons=["too many"])

    assert heard(journald)["MESSAGE"] == 'run ended outcome=held failed=0 reasons=["too many"]'


def test_what_has_several_lines_stays_one_field(stream, journald):
    log.configure(None, "info", echo=stream)

    structlog.get_logger().info("run failed", name="one\nPRIORITY=0", count=3)

    fields = heard(journald)
    assert (fields["ENT_SYNC_NAME"], fields["PRIORITY"], fields["ENT_SYNC_COUNT"]) == ("one\nPRIORITY=0", "6", "3")


def test_what_the_journal_got_is_not_written_to_the_stream_again(stream, journald):
    log.configure(None, "info", echo=stream)

    structlog.get_logger().info("run began")

    assert said(stream) == []


def test_the_journal_gets_no_more_than_the_file(stream, journald):
    log.configure(None, "info", echo=stream)

    structlog.get_logger().info("record read", family_name="DUPONT", person="LILLE$1234")

    fields = heard(journald)
    assert json.loads(fields["ENT_SYNC_REFUSED"]) == ["family_name", "person"]
    assert not any("DUPONT" in value or "1234" in value for value in fields.values())


@pytest.mark.usefixtures("no_journald")
@pytest.mark.parametrize(("level", "prefix"), [("info", "<6>{"), ("warning", "<4>{"), ("error", "<3>{")])
def test_without_the_socket_a_line_goes_over_the_stream_with_its_priority(stream, level, prefix):
    log.configure(None, "info", echo=stream)

    getattr(structlog.get_logger(), level)("run began", run="20260901T0-ab")

    [line] = said(stream)
    assert line.startswith(prefix)
    assert json.loads(line[3:])["run"] == "20260901T0-ab"


@pytest.mark.usefixtures("no_journald")
def test_a_stream_that_was_redirected_is_not_the_journals(stream, tmp_path):
    with (tmp_path / "elsewhere").open("w+") as other:
        log.configure(None, "info", echo=other)
        structlog.get_logger().info("run began")

        assert [json.loads(line)["event"] for line in said(other)] == ["run began"]


@pytest.mark.usefixtures("no_journald")
def test_the_program_itself_tells_systemd_how_grave_a_line_is(tmp_path):
    """Its own standard error is a socket that systemd holds the other end of."""
    ours, its = socket.socketpair()
    there = os.fstat(its.fileno())
    program = "import sys, structlog; from ent_sync.observe import journal, log; journal.SOCKET = sys.argv[1]; "
    program += "log.configure(None, 'info', echo=sys.stderr); structlog.get_logger().warning('it happened')"
    with contextlib.closing(ours):
        subprocess.run(
            [sys.executable, "-c", program, journal.SOCKET],
            stderr=its,
            env={**os.environ, "JOURNAL_STREAM": f"{there.st_dev}:{there.st_ino}"},
            check=True,
            timeout=60,
        )
        its.close()

        assert ours.recv(65536).startswith(b"<4>{")
