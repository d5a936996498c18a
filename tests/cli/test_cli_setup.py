"""`init`, `synth`, `config`, `demo`: before the first run, and beside it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

# -- init --------------------------------------------------------------------------------------------------------------


def test_init_makes_an_installation_that_is_in_order(ent_sync: Any, tmp_path: Path) -> None:
    answer = ent_sync("init", tmp_path / "new", "--source", "lille-2d", "--source", "amiens-1d", "--json")

    assert answer.code == 0
    assert [each["name"] for each in answer.document["sources"]] == ["lille-2d", "amiens-1d"]
    assert ent_sync("config", "check", "--config", tmp_path / "new" / "ent-sync.yaml").code == 0


def test_a_first_trial_takes_a_delivery_and_one_command(ent_sync: Any, tmp_path: Path) -> None:
    ent_sync("init", tmp_path, "--source", "lille-2d")
    ent_sync("synth", tmp_path / "deliveries" / "lille-2d", "--pupils", "30", "--date", "2026-09-01")

    answer = ent_sync("--config", tmp_path / "ent-sync.yaml", "sync", "--json")

    assert (answer.code, answer.document["sources"][0]["read"]["pupil"]) == (0, 30)


def test_init_never_changes_what_is_there(ent_sync: Any, tmp_path: Path) -> None:
    (tmp_path / "ent-sync.yaml").write_text("mine")

    answer = ent_sync("init", tmp_path, "--source", "lille-2d")

    assert (answer.code, (tmp_path / "ent-sync.yaml").read_text()) == (2, "mine")


@pytest.mark.parametrize("name", ["lille", "lille-3d", "-2d"])
def test_a_source_is_named_by_academy_and_degree(ent_sync: Any, tmp_path: Path, name: str) -> None:
    assert ent_sync("init", tmp_path / "new", "--source", name).code == 2


# -- synth -------------------------------------------------------------------------------------------------------------


def test_synth_tells_what_it_wrote(ent_sync: Any, tmp_path: Path) -> None:
    document = ent_sync("synth", tmp_path, "--pupils", "30", "--date", "2026-09-01", "--json").document

    assert document["records"]["pupil"] == 30
    assert all(Path(each).is_file() for each in document["files"])


def test_a_delta_follows_on_what_is_there(ent_sync: Any, tmp_path: Path) -> None:
    ent_sync("synth", tmp_path, "--pupils", "30", "--date", "2026-09-01", "--degree", "1d", "--academy", "amiens")

    answer = ent_sync(
        *("synth", tmp_path, "--pupils", "30", "--date", "2026-09-02", "--degree", "1d", "--academy", "amiens"),
        *("--delta-of", tmp_path, "--json"),
    )

    assert (answer.code, answer.document["delta"]) == (0, True)


@pytest.mark.parametrize(
    "options", [["--fault", "nothing"], ["--format", "csv"], ["--date", "1.9.2026"], ["--degree", "3d"], []]
)
def test_options_of_synth_that_do_not_fit_are_wrong_usage(ent_sync: Any, tmp_path: Path, options: list[str]) -> None:
    pupils = ["--pupils", "30"] if options else []

    assert ent_sync("synth", tmp_path, *pupils, *options).code == 2


# -- config ------------------------------------------------------------------------------------------------------------


def test_config_check_tells_all_problems_of_configuration_or_policy(copied: Any) -> None:
    register = copied.dir / "register.yaml"
    register.write_text(register.read_text().replace("family_name:", "familly_name:", 1))

    answer = copied("config", "check")

    assert answer.code == 78
    assert all(line.startswith(str(copied.dir)) for line in answer.out.splitlines())
    assert len(answer.out.splitlines()) >= 1


def test_config_check_has_a_document_too(copied: Any) -> None:
    copied.config.write_text(copied.config.read_text().replace("level: info", "level: loud"))

    answer = copied("config", "check", "--json")

    [problem] = answer.document["problems"]
    assert (answer.code, problem["path"]) == (78, "log.level")
    assert (Path(problem["file"]), type(problem["line"]), type(problem["column"])) == (copied.config, int, int)


def test_a_configuration_in_order_has_no_problems(demo: Any) -> None:
    answer = demo("config", "check", "--json")

    assert (answer.code, answer.document["problems"]) == (0, [])


def test_the_schema_is_a_json_schema(demo: Any) -> None:
    document = json.loads(demo("config", "schema").out)

    assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_the_configuration_is_shown_with_its_defaults(demo: Any) -> None:
    document = demo("config", "show", "--json").document

    assert document["guards"]["source_departures"] == {"share": "3 %", "count": 20}
    assert document["keys"] == {"file": "keys"}


# -- demo --------------------------------------------------------------------------------------------------------------


def test_the_last_line_of_the_demonstration_is_its_document(told: Any) -> None:
    demo, answer = told

    document = json.loads(answer.out.splitlines()[-1])

    assert (answer.code, document["schema"], document["dir"]) == (0, "ent-sync/demo/1", str(demo.dir))


def test_the_demonstration_has_four_runs(told: Any) -> None:
    runs = told[1].document["runs"]

    assert [(each["kind"], each["outcome"]) for each in runs] == [
        ("full", "done"),
        ("delta", "done"),
        ("full", "held"),
        ("targeted", "done"),
    ]


def test_the_truncated_delivery_of_the_demonstration_costs_nobody_an_account(told: Any) -> None:
    third = told[1].document["runs"][2]

    assert set(third["applied"].values()) == {0}
    assert [each["guard"] for each in third["held"]] == ["completeness"]


def test_the_demonstration_leaves_a_working_installation(demo: Any) -> None:
    found = {path.name for path in demo.dir.iterdir()}

    assert found >= {
        "ent-sync.yaml",
        "register.yaml",
        "keys",
        "deliveries",
        "state.sqlite",
        "ent.sqlite",
        "ent-sync.log",
    }
    assert {path.name for path in (demo.dir / "deliveries").iterdir()} == {"lille-2d", "amiens-2d", "lille-1d"}


def test_the_region_of_the_demonstration_has_the_pupils_asked_for(told: Any) -> None:
    first = told[1].document["runs"][0]

    assert sum(each["read"]["pupil"] for each in first["sources"]) == 100


def test_people_read_what_happens_between_the_runs(ent_sync: Any, tmp_path: Path) -> None:
    out = ent_sync("demo", "--dir", tmp_path, "--pupils", "40").out

    assert [line.split(" ─")[0] for line in out.splitlines() if line[:2] in {"1.", "2.", "3.", "4."}] == [
        "1. The first load",
        "2. The next day",
        "3. A truncated delivery",
        "4. One person again",
    ]
    assert "nobody lost an account" in out


def test_the_demonstration_starts_afresh_where_it_was_before(ent_sync: Any, tmp_path: Path) -> None:
    ent_sync("demo", "--dir", tmp_path, "--pupils", "40")

    answer = ent_sync("demo", "--dir", tmp_path, "--pupils", "20", "--json")

    assert answer.code == 0
    with closing(sqlite3.connect(tmp_path / "ent.sqlite")) as connection:
        [(pupils,)] = connection.execute("SELECT count(*) FROM accounts WHERE population = 'pupil'").fetchall()
    assert pupils < 40


def test_the_demonstration_never_touches_somebodys_installation(ent_sync: Any, tmp_path: Path) -> None:
    ent_sync("init", tmp_path, "--source", "lille-2d")
    before = (tmp_path / "ent-sync.yaml").read_text()

    answer = ent_sync("demo", "--dir", tmp_path)

    assert (answer.code, answer.out) == (2, "")
    assert (tmp_path / "ent-sync.yaml").read_text() == before
