"""The shipped dashboards of Grafana, as far as tests look at them."""

import json
import re
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "deploy" / "grafana"
DASHBOARDS = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))}


def filled(expression):
    """An expression as Grafana sends it when everything is chosen."""
    return re.sub(r"\$(source|target)\b", ".*", expression)


def expressions():
    """All that the panels ask."""
    return sorted(
        {
            filled(each["expr"])
            for board in DASHBOARDS.values()
            for panel in board["panels"]
            for each in panel["targets"]
        }
    )


def metrics_in(expression):
    """The metrics that an expression names: ours, recorded ones, and `up`."""
    return set(re.findall(r"(?:[a-z_]+:)?ent_sync_[a-z_]+(?::\w+)?|\bup\b", re.sub(r'"[^"]*"', '""', expression)))
