"""`federation`, as contract §6 has it: exit codes, documents, and what a bad line or a bad moment leads to."""

from __future__ import annotations

import csv
import datetime as dt
import io
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import Answer, EntSync, Installation

SECTION = """
federation:
  reference: ent
  services:
    - {{name: ent, url: "http://127.0.0.1:{port}/", content: "Se connecter"}}
    - {{name: educonnect, title: EduConnect, url: "http://127.0.0.1:{port}/educonnect"}}
  probing: {{retries: []}}
  partners:
    - {{name: Région, role: region, email: [ops@example.org]}}
"""
HEAD = "time,service,vantage,result,stage,cause,seconds"
EXAMPLE_1 = ((0, "up"), (1, "up"), (2, "down"), (3, "down"), (4, "up"), (5, "unknown"), (6, "up"), (9, "up"))
SUNDAY = "2036-11-30"  # far enough ahead to be announced in time, whenever this runs


class Pages(BaseHTTPRequestHandler):
    """The ENT's door, and EduConnect's as `status` has it."""

    status = 200

    def do_GET(self) -> None:
        body = b"<html><body>Se connecter</body></html>"
        self.send_response(type(self).status if self.path == "/educonnect" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def door() -> Iterator[tuple[int, type[Pages]]]:
    handler = type("Door", (Pages,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server.server_address[1], handler
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def federated(tmp_path: Path, ent_sync: EntSync) -> Any:
    """An installation with a federation; its doors are at `port`."""

    def made(port: int = 9) -> Installation:
        assert ent_sync("init", tmp_path / "trial", "--source", "lille-2d").code == 0
        installation = Installation(tmp_path / "trial")
        with installation.config.open("a", encoding="utf-8") as file:
            file.write(SECTION.format(port=port))
        return installation

    return made


def example_1(path: Path, day: str = "2026-10-06") -> Path:
    lines = [f"{day}T10:{minute:02d}:00Z,ent,main,{result},,,0.1" for minute, result in EXAMPLE_1]
    path.write_text("\r\n".join([HEAD, *lines, ""]), encoding="utf-8", newline="")
    return path


def measured(installation: Installation) -> Installation:
    assert installation("federation", "samples", "import", str(example_1(installation.dir / "in.csv"))).code == 0
    return installation


TEN_MINUTES = ("--from", "2026-10-06T10:00:00Z", "--to", "2026-10-06T10:10:00Z")


# -- probe -------------------------------------------------------------------------------------------------------------


def test_probe_of_services_that_are_up_ends_with_0(federated: Any, door: Any) -> None:
    answer = federated(door[0])("federation", "probe", "--json")

    assert answer.code == 0
    assert [(each["service"], each["result"], each["cause"]) for each in answer.document] == [
        ("ent", "up", None),
        ("educonnect", "up", None),
    ]


def test_probe_of_a_service_that_is_down_ends_with_7_and_says_why(federated: Any, door: Any) -> None:
    door[1].status = 503

    answer = federated(door[0])("federation", "probe", "--json")

    assert answer.code == 7
    assert (answer.document[1]["result"], answer.document[1]["stage"], answer.document[1]["cause"]) == (
        "down",
        "http",
        "http_5xx",
    )


def test_probe_without_a_network_of_our_own_ends_with_3(federated: Any, door: Any) -> None:
    installation = federated(door[0])
    text = installation.config.read_text().replace("retries: []", 'retries: [], controls: ["127.0.0.1:9"]')
    installation.config.write_text(text)

    answer = installation("federation", "probe", "--json")

    assert (answer.code, {each["result"] for each in answer.document}) == (3, {"unknown"})


def test_probe_names_the_stages_and_their_seconds(federated: Any, door: Any) -> None:
    answer = federated(door[0])("federation", "probe", "--service", "ent", "--json")

    (only,) = answer.document
    assert [each["stage"] for each in only["stages"]] == ["dns", "tcp", "http", "login_page"]
    assert all(each["seconds"] >= 0 for each in only["stages"])


def test_what_probe_found_is_stored(federated: Any, door: Any) -> None:
    installation = federated(door[0])

    installation("federation", "probe")

    lines = installation("federation", "samples", "export", "-").out.splitlines()
    assert [line.split(",")[1:4] for line in lines[1:]] == [["educonnect", "main", "up"], ["ent", "main", "up"]]


def test_probe_of_a_service_that_there_is_not_is_wrong_usage(federated: Any) -> None:
    assert federated()("federation", "probe", "--service", "edu").code == 2


def test_without_a_section_there_is_nothing_to_probe(tmp_path: Path, ent_sync: EntSync) -> None:
    ent_sync("init", tmp_path / "bare", "--source", "lille-2d")

    assert ent_sync("--config", tmp_path / "bare" / "ent-sync.yaml", "federation", "probe").code == 2


# -- samples -----------------------------------------------------------------------------------------------------------


def test_importing_the_same_file_twice_changes_nothing(federated: Any) -> None:
    installation = measured(federated())
    before = installation("federation", "samples", "export", "-").out

    again = installation("federation", "samples", "import", str(installation.dir / "in.csv"), "--json")

    assert (again.document["samples"], again.document["new"]) == (8, 0)
    assert installation("federation", "samples", "export", "-").out == before


def test_what_was_imported_comes_out_again(federated: Any) -> None:
    installation = measured(federated())

    installation("federation", "samples", "export", str(installation.dir / "out.csv"))

    assert (installation.dir / "out.csv").read_bytes() == (installation.dir / "in.csv").read_bytes()


def test_a_bad_line_is_named_and_nothing_is_imported(federated: Any) -> None:
    installation = federated()
    path = example_1(installation.dir / "bad.csv")
    path.write_text(path.read_text().replace("10:04:00Z,ent,main,up", "10:04:00Z,ent,main,maybe"))

    answer = installation("federation", "samples", "import", str(path))

    assert answer.code == 1
    assert f"{path}:6" in answer.err
    assert "maybe" not in answer.err
    assert installation("federation", "samples", "export", "-").out.strip() == HEAD


# -- report ------------------------------------------------------------------------------------------------------------


def row(answer: Answer, calendar: str = "school", maintenance: str = "excluded", name: str = "ent") -> Any:
    return next(
        each
        for each in answer.document["services"]
        if (each["name"], each["calendar"], each["maintenance"]) == (name, calendar, maintenance)
    )


def test_example_1_through_the_command_line(federated: Any) -> None:
    found = row(measured(federated())("federation", "report", *TEN_MINUTES, "--format", "json"))

    assert (found["up_seconds"], found["down_seconds"], found["unknown_seconds"]) == (330, 120, 150)
    assert (found["availability"], found["low"], found["high"]) == (pytest.approx(0.733333, abs=1e-6), 0.55, 0.8)


def test_a_report_has_the_keys_of_the_contract_and_no_others(federated: Any) -> None:
    answer = measured(federated())("federation", "report", *TEN_MINUTES, "--json")

    assert answer.document.keys() == {"schema", "from", "to", "services"}
    assert (answer.document["from"], answer.document["to"]) == ("2026-10-06T10:00:00Z", "2026-10-06T10:10:00Z")
    assert row(answer).keys() == {
        *("name", "calendar", "maintenance", "up_seconds", "down_seconds", "unknown_seconds"),
        *("availability", "low", "high", "interval", "outages", "mttr_seconds", "gap", "trend"),
    }


def test_a_month_is_that_of_paris(federated: Any) -> None:
    answer = federated()("federation", "report", "--month", "2026-10", "--json")

    assert (answer.document["from"], answer.document["to"]) == ("2026-09-30T22:00:00Z", "2026-10-31T23:00:00Z")
    assert row(answer, "all")["unknown_seconds"] == 745 * 3600


def test_a_csv_report_is_the_same_numbers(federated: Any) -> None:
    answer = measured(federated())("federation", "report", *TEN_MINUTES, "--format", "csv")

    lines = list(csv.DictReader(io.StringIO(answer.out, newline="")))
    assert answer.out.count("\r\n") == 9
    assert (lines[0]["name"], lines[0]["up_seconds"], lines[0]["low"], lines[0]["gap"]) == ("ent", "330.0", "0.55", "")


def test_a_report_as_html_begins_in_french_and_ends_in_english(federated: Any) -> None:
    page = measured(federated())("federation", "report", *TEN_MINUTES, "--format", "html").out

    assert '<html lang="fr">' in page
    assert page.index("Disponibilité") < page.index('lang="en"') < page.index("School hours")


def test_a_report_as_pdf_is_one(federated: Any) -> None:
    installation = measured(federated())

    code = installation(
        "federation", "report", *TEN_MINUTES, "--format", "pdf", "--out", str(installation.dir / "r.pdf")
    ).code

    assert (code, (installation.dir / "r.pdf").read_bytes()[:5]) == (0, b"%PDF-")


def test_a_table_tells_bounds_where_much_is_unknown(federated: Any) -> None:
    answer = measured(federated())("federation", "report", *TEN_MINUTES)

    assert "between 55.000 and 80.000 %" in answer.out


@pytest.mark.parametrize(
    "asked",
    [
        (),
        ("--month", "2026-13"),
        ("--month", "octobre"),
        ("--from", "2026-10-06T10:00:00Z"),
        ("--from", "2026-10-06T10:00:00", "--to", "2026-10-06T11:00:00Z"),
        ("--from", "2026-10-06T10:00:00Z", "--to", "2026-10-06T10:00:00Z"),
        ("--month", "2026-10", *TEN_MINUTES),
    ],
)
def test_a_time_that_is_none_is_wrong_usage(federated: Any, asked: tuple[str, ...]) -> None:
    assert federated()("federation", "report", *asked).code == 2


def test_before_the_first_sample_a_report_leaves_no_store_behind(federated: Any) -> None:
    installation = federated()

    installation("federation", "report", "--month", "2026-10")

    assert not (installation.dir / "state.sqlite").exists()


def test_the_yearly_report_has_the_observatorys_figures_and_no_small_group(copied: Installation) -> None:
    with copied.config.open("a", encoding="utf-8") as file:
        file.write(SECTION.format(port=9))

    page = copied("federation", "report", "--year", "2026", "--format", "html").out

    assert "Observatoire (article 3.4)" in page
    assert ">Élèves</th><td>" in page
    assert ">non publié</td>" in page


# -- notices -----------------------------------------------------------------------------------------------------------


def opened(installation: Installation, *more: str) -> str:
    command = ("federation", "notice", "open", "--kind", "malfunction", "--service", "educonnect", "--title", "Panne")
    return installation(*command, *more).out.strip()


def test_opening_a_notice_prints_its_id_and_nothing_else(federated: Any) -> None:
    installation = federated()

    name = opened(installation)

    listed = installation("federation", "notice", "list", "--json").document
    assert [(each["id"], each["kind"], each["services"]) for each in listed] == [(name, "malfunction", ["educonnect"])]


def test_a_notice_can_begin_before_somebody_says_so(federated: Any) -> None:
    installation = federated()

    opened(installation, "--began", "2026-10-06T10:00:00+02:00")

    assert installation("federation", "notice", "list", "--json").document[0]["began"] == "2026-10-06T08:00:00Z"


def test_a_notice_is_updated_and_closed(federated: Any) -> None:
    installation = federated()
    name = opened(installation)

    codes = [
        installation("federation", "notice", verb, name, "--text", "On cherche").code for verb in ("update", "close")
    ]

    (found,) = installation("federation", "notice", "list", "--json").document
    assert (codes, found["state"], found["closed"] is not None) == ([0, 0], "closed", True)


@pytest.mark.parametrize("verb", ["update", "close"])
def test_a_notice_that_there_is_not_is_wrong_usage(federated: Any, verb: str) -> None:
    assert federated()("federation", "notice", verb, "malfunction-1").code == 2


def test_a_channel_that_fails_is_told_and_stops_nothing(federated: Any) -> None:
    installation = federated()

    answer = installation(
        "federation", "notice", "open", "--kind", "evolution", "--service", "ent", "--title", "Certificat"
    )

    assert answer.code == 0
    assert "0 of 1 messages accepted" in answer.err


@pytest.mark.parametrize(
    "wrong",
    [
        ("--kind", "maintenance", "--service", "ent", "--title", "T"),
        ("--kind", "malfunction", "--service", "gone", "--title", "T"),
        ("--kind", "malfunction", "--service", "ent", "--title", "T", "--began", "yesterday"),
    ],
)
def test_a_notice_that_cannot_be_is_wrong_usage(federated: Any, wrong: tuple[str, ...]) -> None:
    assert federated()("federation", "notice", "open", *wrong).code == 2


# -- maintenance -------------------------------------------------------------------------------------------------------


def planned(installation: Installation, start: str, end: str) -> Any:
    command = ("federation", "maintenance", "plan", "--service", "educonnect", "--title", "Mise à jour", "--json")
    return installation(*command, "--start", start, "--end", end).document


def test_maintenance_announced_in_time_outside_school_hours_is_agreed(federated: Any) -> None:
    found = planned(federated(), f"{SUNDAY}T01:00:00Z", f"{SUNDAY}T04:00:00Z")

    assert (found["agreed"], found["agreed_seconds"]) == ("all", {"educonnect": 10800})


def test_of_five_hours_four_are_agreed(federated: Any) -> None:
    found = planned(federated(), f"{SUNDAY}T01:00:00Z", f"{SUNDAY}T06:00:00Z")

    assert found["agreed"] == "part"
    assert found["agreed_parts"] == [
        {"service": "educonnect", "from": f"{SUNDAY}T01:00:00Z", "to": f"{SUNDAY}T05:00:00Z"}
    ]


def test_maintenance_of_tomorrow_is_not_agreed(federated: Any) -> None:
    start = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)

    found = planned(federated(), start.isoformat(), (start + dt.timedelta(hours=1)).isoformat())

    assert (found["agreed"], found["agreed_parts"]) == ("none", [])


def test_cancelled_maintenance_is_listed_and_not_agreed(federated: Any) -> None:
    installation = federated()
    name = planned(installation, f"{SUNDAY}T01:00:00Z", f"{SUNDAY}T04:00:00Z")["id"]

    code = installation("federation", "maintenance", "cancel", name).code

    (found,) = installation("federation", "maintenance", "list", "--json").document
    assert (code, found["id"], found["state"], found["agreed_parts"]) == (0, name, "cancelled", [])


def test_maintenance_that_ends_before_it_starts_is_wrong_usage(federated: Any) -> None:
    command = ("federation", "maintenance", "plan", "--service", "ent", "--title", "T")

    answer = federated()(*command, "--start", f"{SUNDAY}T04:00:00Z", "--end", f"{SUNDAY}T01:00:00Z")

    assert answer.code == 2


# -- status ------------------------------------------------------------------------------------------------------------


def test_status_tells_services_notices_and_maintenance(federated: Any, door: Any) -> None:
    installation = federated(door[0])
    installation("federation", "probe")
    name = opened(installation)
    coming = planned(installation, f"{SUNDAY}T01:00:00Z", f"{SUNDAY}T04:00:00Z")["id"]

    found = installation("federation", "status", "--json").document

    assert [(each["service"], each["result"]) for each in found["services"]] == [("ent", "up"), ("educonnect", "up")]
    assert ([each["id"] for each in found["notices"]], [each["id"] for each in found["maintenance"]]) == (
        [name],
        [coming],
    )


def test_a_service_nobody_looked_at_is_unknown(federated: Any) -> None:
    found = federated()("federation", "status", "--json").document

    assert [each["result"] for each in found["services"]] == ["unknown", "unknown"]
