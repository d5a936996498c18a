"""What a site installs for systemd is judged by systemd itself, on copies that name programs of this machine."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ent_sync.cli.app import run

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
INSTALLED = "/opt/ent-sync/bin/ent-sync"


def answered(*command, **options):
    return subprocess.run(
        [str(each) for each in command], capture_output=True, text=True, check=False, timeout=60, **options
    )


@pytest.fixture
def units(tmp_path):
    """The units, with the ent-sync of these tests in place of the installed one."""
    here = str(Path(sys.executable).with_name("ent-sync"))
    for unit in (DEPLOY / "systemd").iterdir():
        (tmp_path / unit.name).write_text(unit.read_text().replace(INSTALLED, here))
    return tmp_path


def settings_of(unit, name):
    return re.findall(rf"^{name}=(.*)$", (DEPLOY / "systemd" / unit).read_text(), re.MULTILINE)


def test_systemd_finds_nothing_to_say_about_the_units(units):
    verified = answered("systemd-analyze", "verify", "--man=no", *sorted(units.iterdir()))

    # systemd may speak of the machine's own units; ours must not be named.
    said = [line for line in verified.stderr.splitlines() if "ent-sync" in line]
    assert (verified.returncode, said) == (0, [])


def test_a_misspelt_setting_would_be_found(units):
    unit = units / "ent-sync-sync.service"
    unit.write_text(unit.read_text().replace("Type=oneshot", "Type=onshot"))

    verified = answered("systemd-analyze", "verify", "--man=no", unit)

    assert "ent-sync-sync.service" in verified.stderr


def test_the_service_is_exposed_by_at_most_1_5_points():
    unit = DEPLOY / "systemd" / "ent-sync-sync.service"

    judged = answered("systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=15", unit)

    assert judged.returncode == 0, judged.stdout[-400:]


def test_the_timer_strikes_at_half_past_five_in_paris_summer_and_winter():
    [moment] = settings_of("ent-sync-sync.timer", "OnCalendar")

    found = answered(
        "systemd-analyze", "calendar", "--base-time=2026-10-23 12:00:00 UTC", "--iterations=2", moment,
        env={**os.environ, "TZ": "UTC"},
    )  # fmt: skip

    # Saturday before the clocks go back is UTC+2, the Monday after UTC+1.
    assert re.findall(r"2026-\d\d-\d\d \d\d:\d\d:\d\d UTC", found.stdout) == [
        "2026-10-24 03:30:00 UTC",
        "2026-10-26 04:30:00 UTC",
    ]


def test_a_missed_strike_is_caught_up():
    assert settings_of("ent-sync-sync.timer", "Persistent") == ["true"]


def test_a_held_run_fails_the_service_and_a_quarantined_record_does_not():
    assert settings_of("ent-sync-sync.service", "SuccessExitStatus") == ["3"]


def test_the_key_is_a_credential_of_the_name_that_the_configuration_asks_for():
    [credential] = settings_of("ent-sync-sync.service", "LoadCredential")

    assert f"keys: {{credential: {credential.partition(':')[0]}}}" in (DEPLOY / "ent-sync.yaml").read_text()


def test_commands_by_hand_run_with_the_account_and_key_of_the_service():
    by_hand = (DEPLOY / "bin" / "ent-sync-by-hand").read_text()

    asked = dict(re.findall(r"--property=(\w+)=(\S+)", by_hand))

    assert {name: [value] for name, value in asked.items()} == {
        name: settings_of("ent-sync-sync.service", name) for name in asked
    }


def test_the_shell_reads_the_command_by_hand():
    assert answered("sh", "-n", DEPLOY / "bin" / "ent-sync-by-hand").returncode == 0


def test_the_shipped_configuration_is_in_order(tmp_path, capsys):
    shutil.copy(DEPLOY / "ent-sync.yaml", tmp_path)
    shutil.copy(ROOT / "config" / "register.yaml", tmp_path)
    shutil.copytree(ROOT / "mappings", tmp_path / "mappings")
    # The log is opened before anything is judged, and this machine has no such folder.
    text = (tmp_path / "ent-sync.yaml").read_text().replace("/var/log/ent-sync/", "")
    (tmp_path / "ent-sync.yaml").write_text(text)

    code = run(["--config", str(tmp_path / "ent-sync.yaml"), "config", "check"])

    assert (code, capsys.readouterr().out) == (0, f"{tmp_path / 'ent-sync.yaml'}: in order\n")


def test_systemd_makes_the_account_and_its_groups(tmp_path):
    (tmp_path / "etc").mkdir()

    made = answered("systemd-sysusers", f"--root={tmp_path}", DEPLOY / "sysusers.d" / "ent-sync.conf")

    groups = (tmp_path / "etc" / "group").read_text() if made.returncode == 0 else made.stderr
    assert re.search(r"^ent-sync-drop:x:\d+:ent-sync$", groups, re.MULTILINE), groups


def test_nobody_but_root_and_systemd_can_look_at_the_key():
    rules = (DEPLOY / "tmpfiles.d" / "ent-sync.conf").read_text()

    assert re.search(r"^d /etc/ent-sync/credentials\s+0700 root\s+root", rules, re.MULTILINE)


def test_what_is_dropped_belongs_to_the_group_that_drops_it(tmp_path):
    """Whoever runs the tests stands in for the accounts, which are not on this machine."""
    rules = (DEPLOY / "tmpfiles.d" / "ent-sync.conf").read_text()
    mine = re.sub(r"(?m)^(d \S+ +\d+) +\S+ +\S+", rf"\1 {os.getuid()} {os.getgid()}", rules)
    (tmp_path / "ours.conf").write_text(mine)

    made = answered("systemd-tmpfiles", "--create", f"--root={tmp_path}", tmp_path / "ours.conf")

    deliveries = tmp_path / "srv" / "ent-sync" / "deliveries"
    assert deliveries.is_dir(), made.stderr
    assert oct(deliveries.stat().st_mode)[-4:] == "2770"
