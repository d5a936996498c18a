"""The dashboards ask only what we export, in expressions that Prometheus understands."""

import json
import re
import subprocess

import pytest
from ruamel.yaml import YAML

from deploy.dashboards import DASHBOARDS, FOLDER, expressions, filled, metrics_in
from observe.measuring import LABELS

RECORDING = FOLDER.parent / "prometheus" / "recording.yml"


def recorded():
    groups = YAML(typ="safe").load(RECORDING.read_text(encoding="utf-8"))["groups"]
    return {rule["record"] for group in groups for rule in group["rules"]}


def panels():
    return [(name, panel) for name, board in DASHBOARDS.items() for panel in board["panels"]]


def test_each_dashboard_has_an_identifier_of_its_own():
    assert sorted(board["uid"] for board in DASHBOARDS.values()) == ["ent-sync-sources", "ent-sync-targets"]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_dashboard_is_of_a_schema_that_grafana_11_reads(name):
    assert DASHBOARDS[name]["schemaVersion"] == 39


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_dashboard_asks_which_prometheus_and_which_source_or_target(name):
    variables = [each["name"] for each in DASHBOARDS[name]["templating"]["list"]]

    assert variables == ["datasource", name.removesuffix("s")]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_the_panels_of_a_dashboard_lie_beside_each_other(name):
    taken = [
        (x, y)
        for panel in DASHBOARDS[name]["panels"]
        for place in [panel["gridPos"]]
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]

    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 24


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_dashboard_leads_to_the_other_one(name):
    leads = {link["url"] for link in DASHBOARDS[name]["links"]}

    assert leads == {f"/d/{board['uid']}" for each, board in DASHBOARDS.items() if each != name}


def test_every_panel_asks_the_prometheus_that_was_chosen():
    asked = {json.dumps(each["datasource"]) for _, panel in panels() for each in (panel, *panel["targets"])}

    assert asked == {json.dumps({"type": "prometheus", "uid": "${datasource}"})}


def test_every_metric_of_a_panel_is_one_that_we_export_or_record():
    asked = {name for each in expressions() for name in metrics_in(each)}

    assert asked <= {f"ent_sync_{name}" for name in LABELS} | recorded() | {"up"}


def test_every_metric_of_the_contract_is_on_a_dashboard():
    """Histograms are there as quantiles, by their recording rules."""
    recording = RECORDING.read_text(encoding="utf-8")
    shown = {name for each in (*expressions(), recording) for name in metrics_in(each)}

    lacking = {f"ent_sync_{name}" for name in LABELS} - shown
    assert {name for name in lacking if not name.endswith(("_count", "_sum"))} == set()


def labels_of(expression):
    """The labels that an expression filters or groups by, with the metric that each is asked of."""
    for name, matchers in re.findall(r"ent_sync_(\w+)\{([^}]*)\}", expression):
        for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers):
            yield name, label


def test_every_label_that_a_panel_filters_by_is_one_of_its_metric():
    wrong = [
        (name, label)
        for each in expressions()
        if not re.search(r"\w:ent_sync", each)
        for name, label in labels_of(each)
        if label not in LABELS[name]
    ]

    assert wrong == []


def test_promtool_understands_every_expression(tmp_path):
    rules = [{"record": f"dashboards:expression:{place}", "expr": each} for place, each in enumerate(expressions())]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "dashboards", "rules": rules}]}))

    done = subprocess.run(
        ["promtool", "check", "rules", tmp_path / "rules.yml"], capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_a_variable_is_filled_in_wherever_it_stands():
    assert filled('a{source=~"$source|-",target=~"$target"}') == 'a{source=~".*|-",target=~".*"}'


def test_metrics_are_found_in_an_expression():
    expression = (
        'sum by (source) (increase(ent_sync_runs_total{outcome="ent_sync_x"}[1h])) / source:ent_sync_silence:intervals'
    )

    assert metrics_in(expression) == {"ent_sync_runs_total", "source:ent_sync_silence:intervals"}
