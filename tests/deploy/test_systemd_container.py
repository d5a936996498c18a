"""What `make test-systemd` plays in a container is there to be played; the container itself is booted by hand."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONTAINER = ROOT / "deploy" / "systemd-test"


@pytest.fixture
def installation():
    """The commands that the page tells to type, found as the container finds them."""
    [found] = re.findall(r"awk '([^']+)'", (CONTAINER / "run.sh").read_text())
    page = ROOT / "docs" / "operating.md"
    return subprocess.run(["awk", found, page], capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.mark.parametrize("script", ["run.sh", "inside.sh"])
def test_the_shell_reads_what_boots_and_looks(script):
    assert subprocess.run(["bash", "-n", CONTAINER / script], check=False, timeout=60).returncode == 0


def test_the_installation_is_found_in_its_page(installation):
    lines = installation.splitlines()

    assert lines[0].startswith("# as root")
    assert lines[-1] == "systemctl enable --now ent-sync"


def test_everything_that_is_installed_is_in_the_repository(installation):
    named = re.findall(r"(?<= )(?:deploy|config)/\S+", installation)

    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []
