"""What a site gives to its Prometheus is judged by Prometheus itself: rules, their cases, and a scrape of our server."""

import contextlib
import json
import re
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from ruamel.yaml import YAML

from deploy.dashboards import expressions, metrics_in
from ent_sync.config.fields import Address
from ent_sync.observe.health import Health
from ent_sync.observe.metrics import exposition
from ent_sync.web.serve import monitoring, served
from observe.federating import FEDERATION_LABELS
from observe.measuring import LABELS, collected, open_store

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy" / "prometheus"
CASES = sorted((DEPLOY / "tests").glob("*.yml"))


def read(path):
    return YAML(typ="safe").load(path.read_text(encoding="utf-8"))


def rules_of(path):
    return [rule for group in read(path)["groups"] for rule in group["rules"]]


OURS = [*rules_of(DEPLOY / "alerts.yml"), *rules_of(DEPLOY / "recording.yml")]
"""The rules for every installation."""
ALL = [*OURS, *rules_of(DEPLOY / "federation.yml")]
"""And those for an installation with a federation."""
ALERTS = {rule["alert"]: rule for rule in ALL if "alert" in rule}
RECORDED = {rule["record"]: rule for rule in ALL if "record" in rule}
EXPORTED = {f"ent_sync_{name}" for name in LABELS} | FEDERATION_LABELS.keys()


def promtool(*arguments, given=None):
    command = ["promtool", *map(str, arguments)]
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False, timeout=120)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def store(tmp_path):
    database = open_store(tmp_path / "state.sqlite")
    yield database
    database.close()


# -- rules -------------------------------------------------------------------------------------------------------------


def test_promtool_reads_the_rules():
    code, said = promtool("check", "rules", *(DEPLOY / f"{name}.yml" for name in ("recording", "alerts", "federation")))

    assert code == 0, said


def test_promtool_reads_the_example_configuration():
    code, said = promtool("check", "config", DEPLOY / "prometheus.example.yml")

    assert code == 0, said


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_alerts_fire_when_they_should_and_not_when_they_should_not(path):
    code, said = promtool("test", "rules", path)

    assert code == 0, said


def test_a_rule_that_says_something_else_would_be_found(tmp_path):
    shutil.copytree(DEPLOY, tmp_path, dirs_exist_ok=True)
    rule = tmp_path / "alerts.yml"
    rule.write_text(rule.read_text().replace("ent_sync_circuit_open == 1", "ent_sync_circuit_open == 0"))

    assert promtool("test", "rules", tmp_path / "tests" / "minutes.yml")[0] != 0


@pytest.mark.parametrize("fires", [True, False])
def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not(fires):
    seen = {
        check["alertname"]
        for path in CASES
        for case in read(path)["tests"]
        for check in case["alert_rule_test"]
        if bool(check["exp_alerts"]) is fires
    }

    assert seen == ALERTS.keys()


def test_every_metric_of_a_rule_is_one_that_we_export_or_record():
    asked = {name for rule in (*ALERTS.values(), *RECORDED.values()) for name in metrics_in(rule["expr"])}

    assert asked <= EXPORTED | RECORDED.keys() | {"up"}


def test_every_metric_of_a_case_is_one_that_we_export():
    """A case with a misspelt series would prove that an alert does not fire."""
    series = {
        re.split("[{]", each["series"])[0]
        for path in CASES
        for case in read(path)["tests"]
        for each in case["input_series"]
    }

    assert series <= EXPORTED | {"up"}


def test_alerts_are_of_two_severities():
    assert {rule["labels"]["severity"] for rule in ALERTS.values()} == {"critical", "warning"}


# -- runbooks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alert", ALERTS)
def test_the_page_of_an_alert_begins_with_the_commands_to_type(alert):
    page = ROOT / ALERTS[alert]["annotations"]["runbook"]

    fence, command, *rest = page.read_text(encoding="utf-8").splitlines()

    assert page == ROOT / "docs" / "runbooks" / f"{alert}.md"
    assert fence == "```sh"
    assert re.match(r"(ent-sync|systemctl|journalctl) ", command)
    assert f"# {alert}" in rest


def test_every_page_is_of_an_alert():
    assert {path.stem for path in (ROOT / "docs" / "runbooks").iterdir()} == ALERTS.keys()


# -- what we serve -----------------------------------------------------------------------------------------------------


def test_promtool_finds_nothing_to_say_about_our_metrics(store):
    body, _ = exposition(collected(store), "text/plain")

    assert promtool("check", "metrics", given=body.decode()) == (0, "")


def test_our_openmetrics_are_read_by_a_strict_reader(store):
    body, _ = exposition(collected(store), "application/openmetrics-text; version=1.0.0")

    names = {family.name for family in text_string_to_metric_families(body.decode())}
    assert {"ent_sync_runs", "ent_sync_freshness_seconds", "ent_sync_build"} <= names


class Prometheus:
    """A real one, asked over its API."""

    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}/api/v1/"

    def ask(self, path, **how):
        with urllib.request.urlopen(f"{self.url}{path}?{urllib.parse.urlencode(how)}", timeout=5) as answer:  # noqa: S310
            return json.load(answer)["data"]

    def query(self, expression):
        return self.ask("query", query=expression)["result"]

    def wait(self, ready, seconds=40.0):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            with contextlib.suppress(OSError):
                if found := ready(self):
                    return found
            time.sleep(0.2)
        raise AssertionError("Prometheus did not get there in time")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


@pytest.fixture
def prometheus(store, tmp_path):
    """A Prometheus with our rules that scrapes our server."""
    with served(monitoring(collected(store), Health({})), Address("127.0.0.1", 0)) as address:
        example = (DEPLOY / "prometheus.example.yml").read_text()
        configured = example.replace("127.0.0.1:9464", str(address)).replace("30s", "1s")
        (tmp_path / "prometheus.yml").write_text(f"global: {{evaluation_interval: 1s}}\n{configured}")
        for name in ("recording.yml", "alerts.yml"):
            shutil.copy(DEPLOY / name, tmp_path)
        port = free_port()
        process = subprocess.Popen(
            [
                "prometheus", f"--config.file={tmp_path / 'prometheus.yml'}", f"--storage.tsdb.path={tmp_path / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}", "--log.level=error",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            yield Prometheus(port)
        finally:
            process.terminate()
            process.wait(timeout=30)


def up(prometheus):
    return any(target["health"] == "up" for target in prometheus.ask("targets")["activeTargets"])


def test_a_real_prometheus_scrapes_us_and_answers_every_question_of_the_dashboards(prometheus):
    prometheus.wait(up)
    prometheus.wait(lambda there: there.query("up == 1") and there.query("ent_sync_build_info"))

    known = set(prometheus.ask("label/__name__/values"))
    answers = {expression: prometheus.query(expression) for expression in expressions()}

    assert {f"ent_sync_{name}" for name in LABELS} <= known
    silent = {
        each for each, found in answers.items() if not found and not re.search("> 0|increase|rate|quantile|:", each)
    }
    assert silent == set()


def test_a_real_prometheus_lets_no_alert_fire_for_an_installation_in_order(prometheus):
    prometheus.wait(up)
    prometheus.wait(
        lambda there: all(rule["health"] == "ok" for group in there.ask("rules")["groups"] for rule in group["rules"])
    )

    found = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]

    assert len(found) == len(OURS)
    assert [rule["name"] for rule in found if rule.get("state") == "firing"] == []
