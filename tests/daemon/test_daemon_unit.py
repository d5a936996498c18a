"""The unit of the daemon, judged by systemd itself; its settings are those that the daemon was written for."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "deploy" / "systemd" / "ent-sync.service"
INSTALLED = "/opt/ent-sync/bin/ent-sync"


def settings_of(name, unit=UNIT):
    return re.findall(rf"^{name}=(.*)$", unit.read_text(), re.MULTILINE)


def answered(*command):
    return subprocess.run([str(each) for each in command], capture_output=True, text=True, check=False, timeout=60)


def test_systemd_finds_nothing_to_say_about_it(tmp_path):
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace(INSTALLED, str(Path(sys.executable).with_name("ent-sync"))))

    verified = answered("systemd-analyze", "verify", "--man=no", unit)

    said = [line for line in verified.stderr.splitlines() if "ent-sync" in line]
    assert (verified.returncode, said) == (0, [])


def test_it_is_exposed_by_at_most_1_5_points():
    judged = answered("systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=15", UNIT)

    assert judged.returncode == 0, judged.stdout[-400:]


def test_without_its_protections_it_would_be_refused(tmp_path):
    unit = tmp_path / UNIT.name
    unit.write_text(re.sub(r"^(Protect|Restrict|Private|SystemCall).*\n", "", UNIT.read_text(), flags=re.MULTILINE))

    judged = answered("systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=15", unit)

    assert judged.returncode == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Type", "notify"),
        ("ExecStart", f"{INSTALLED} run"),
        ("ExecReload", f"{INSTALLED} reload"),
        ("WatchdogSec", "60"),
        ("Restart", "on-failure"),
        ("RestartPreventExitStatus", "78"),
        ("PrivateUsers", "no"),
    ],
)
def test_it_says_what_the_daemon_needs(name, value):
    assert settings_of(name) == [value]


@pytest.mark.parametrize("name", ["User", "Group", "UMask", "LoadCredential", "StateDirectory", "ReadWritePaths"])
def test_it_works_on_the_same_files_as_the_timer(name):
    assert settings_of(name) == settings_of(name, UNIT.with_name("ent-sync-sync.service"))
