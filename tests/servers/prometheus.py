"""A real Prometheus in a folder of its own, which scrapes whatever address it is pointed at."""

import contextlib
import json
import socket
import subprocess
import time
import urllib.parse
import urllib.request

_CONFIGURATION = """\
global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs:
  - job_name: ent-sync
    file_sd_configs: [{files: [targets.json], refresh_interval: 1s}]
"""


class Prometheus:
    """Answers queries about what it scraped."""

    def __init__(self, folder):
        folder.mkdir()
        self._targets = folder / "targets.json"
        self.point_at()
        (folder / "prometheus.yml").write_text(_CONFIGURATION)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        self._url = f"http://127.0.0.1:{port}/api/v1/query"
        self._process = subprocess.Popen(
            [
                "prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data",
                f"--web.listen-address=127.0.0.1:{port}", "--log.level=error",
            ],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def point_at(self, *addresses):
        """Scrape these addresses, and no others."""
        # The whole file at once: it is read as soon as it changes.
        new = self._targets.with_suffix(".new")
        new.write_text(json.dumps([{"targets": list(addresses)}]))
        new.replace(self._targets)

    def query(self, expression):
        """The values that an expression has now, by their labels; empty while Prometheus does not answer."""
        with contextlib.suppress(OSError):
            asked = f"{self._url}?{urllib.parse.urlencode({'query': expression})}"
            with urllib.request.urlopen(asked, timeout=5) as answer:  # noqa: S310 - our own server
                found = json.load(answer)["data"]["result"]
            return [float(each["value"][1]) for each in found]
        return []

    def sees(self, expression, within=20.0):
        """Wait until an expression has a value."""
        end = time.monotonic() + within
        while time.monotonic() < end:
            if found := self.query(expression):
                return found
            time.sleep(0.1)
        raise AssertionError(f"Prometheus does not see {expression}")

    def close(self):
        """End it."""
        self._process.terminate()
        self._process.wait(timeout=30)
