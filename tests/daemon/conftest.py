import signal

import pytest

from daemon.started import LONG, Site


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path / "site")
    yield made
    made.close()


@pytest.fixture
def stop():
    """Ends a daemon as systemd does, and gives its exit code."""

    def act(daemon):
        daemon.send_signal(signal.SIGTERM)
        return daemon.wait(timeout=LONG)

    return act
