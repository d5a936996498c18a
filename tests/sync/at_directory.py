"""An installation whose ENT is an LDAP directory: a base of its own on a throw-away slapd."""

import base64
import contextlib
import itertools
import os
import signal
import traceback
from pathlib import Path

from ent_sync.wire.ldap.link import Link
from sync.installed import Installation

EMBEDDED = "  - {name: ent, format: embedded, path: ent.sqlite}"
_numbers = itertools.count(1)


def new_base(server) -> str:
    """A base that no other test has; the first push makes it."""
    return f"ou=run{os.getpid()}-{next(_numbers)},{server.base}"


def at_directory(
    folder: Path, server, base: str, *, beside_embedded: bool = False, timeout: str = "5s"
) -> Installation:
    """A new installation that writes below `base`, and into an embedded directory too where a test asks for it."""
    there = Installation(folder)
    target = "\n".join(
        [
            *([EMBEDDED] if beside_embedded else []),
            "  - name: ent-ldap",
            "    format: ldap",
            f'    servers: ["{server.url}"]',
            f'    bind: {{dn: "{server.writer}", password: {{file: "{server.password_file}"}}}}',
            f'    base: "{base}"',
            f"    receive_timeout: {timeout}",
        ]
    )
    there.edit("ent-sync.yaml", EMBEDDED, target)
    return there


def entries(server, base: str) -> dict[str, dict[str, frozenset[str]]]:
    """What lies below a base, by DN without the base: attributes with their values, in no order."""
    found = {}
    for block in server.search("-b", base).strip().split("\n\n"):
        values: dict[str, set[str]] = {}
        for line in block.splitlines():
            name, _, value = line.partition(":")
            text = base64.b64decode(value[2:]).decode() if value.startswith(": ") else value.strip()
            values.setdefault(name, set()).add(text.replace(base, "BASE"))
        (dn,) = values.pop("dn")
        if dn != "BASE":
            found[dn] = {name: frozenset(each) for name, each in values.items()}
    return found


@contextlib.contextmanager
def at_message(number: int, act):
    """Do something when the `number`-th message, from 1, is about to be sent to a directory."""
    sent = itertools.count(1)
    send = Link.send

    def counted(link, message):
        if next(sent) == number:
            act()
        send(link, message)

    Link.send = counted
    try:
        yield sent
    finally:
        Link.send = send


def dies_at_message(there: Installation, number: int) -> bool:
    """A run in a process of its own that dies by SIGKILL before it sends its `number`-th message; whether it did."""
    process = os.fork()
    if process == 0:
        try:
            with at_message(number, lambda: os.kill(os.getpid(), signal.SIGKILL)):
                there.sync()
            os._exit(0)
        except BaseException:  # noqa: BLE001 - nothing may get past here into the test run
            traceback.print_exc()
            os._exit(1)
    _, status = os.waitpid(process, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.waitstatus_to_exitcode(status) == 0, "the run failed instead of dying"
    return False
