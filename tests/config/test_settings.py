from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import Field
from ruamel.yaml import YAML

from ent_sync.config.fields import Cron, Every, OnDelivery, SecretRef
from ent_sync.config.settings import Guards, Limit, Settings, SourceSection, TargetSection, load, schema, show
from ent_sync.core import guard
from ent_sync.core.errors import BadConfigurationError

ROOT = Path(__file__).parents[2]
INVALID = sorted((ROOT / "tests/data/invalid").glob("*.yaml"))
EXAMPLE = ROOT / "config/ent-sync.yaml"


class ToySource(SourceSection):
    path: Path = Field(description="Where deliveries are dropped.")
    password: SecretRef | None = Field(default=None, description="For a source that asks for one.")


class ToyTarget(TargetSection):
    path: Path = Field(description="Where the directory lies.")
    site: str = Field(default="", description="An address.")


SOURCES = {"aaf": ToySource}
TARGETS = {"embedded": ToyTarget}


def loaded(folder: Path, text: str) -> Settings:
    path = folder / "ent-sync.yaml"
    path.write_text(text, encoding="utf-8")
    return load(path, SOURCES, TARGETS)


def problems_of(path: Path) -> list[str]:
    with pytest.raises(BadConfigurationError) as caught:
        load(path, SOURCES, TARGETS)
    return str(caught.value).splitlines()


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_an_invalid_file_is_answered_with_the_lines_that_it_expects(path):
    expected = re.findall(r"^# expect: (.*)$", path.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)

    problems = problems_of(path)

    assert [problem.removeprefix(f"{path}:").lstrip() for problem in problems] == expected


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_no_problem_of_an_invalid_file_shows_the_secret_that_it_holds(path):
    problems = problems_of(path)

    assert "hunter2" not in "\n".join(problems)


# ---------------------------------------------------------------------------------------------------------------------
# The example, and what is left out


def test_the_example_loads_with_its_four_sources_in_order():
    example = load(EXAMPLE, SOURCES, TARGETS)

    assert [(source.name, source.academy, source.degree) for source in example.sources] == [
        ("lille-2d", "LILLE", "2d"),
        ("amiens-2d", "AMIENS", "2d"),
        ("amiens-1d", "AMIENS", "1d"),
        ("agriculture", "AGRICULTURE", "2d"),
    ]


def test_the_example_shows_the_three_kinds_of_schedule():
    example = load(EXAMPLE, SOURCES, TARGETS)

    assert {type(source.schedule) for source in example.sources} == {Cron, Every, OnDelivery}


def test_the_example_states_the_default_guards():
    example = load(EXAMPLE, SOURCES, TARGETS)

    assert example.guards == Guards()


def test_an_empty_file_is_the_contracts_defaults(tmp_path):
    found = loaded(tmp_path, "# nothing yet\n")

    assert (
        found.store.url,
        found.keys.file,
        found.register_path,
        found.mappings,
        found.log.path,
        found.log.level,
        str(found.metrics.listen),
        str(found.web.listen),
        found.sources,
        found.targets,
        found.freeze,
    ) == (
        "sqlite:///state.sqlite",
        Path("keys"),
        Path("register.yaml"),
        Path("mappings"),
        Path("ent-sync.log"),
        "info",
        "127.0.0.1:9464",
        "127.0.0.1:9465",
        (),
        (),
        (),
    )


def test_guards_have_the_contracts_limits():
    guards = Guards()

    assert guards.model_dump() == {
        "dangling_links": "2 %",
        "shrinkage": "90 %",
        "unknown_keys": {"share": "2 %", "count": 20},
        "source_departures": {"share": "3 %", "count": 20},
        "school_departures": {"share": "25 %", "count": 20},
        "deletions": {"share": "1 %", "count": 20},
        "join_keys": {"share": "1 %", "count": 20},
        "updates": {"share": "50 %", "count": 200},
    }


def test_a_limit_of_which_one_half_is_given_keeps_the_other(tmp_path):
    found = loaded(tmp_path, "guards: {updates: {share: 5 %}, deletions: {count: 7}}\n")

    assert (found.guards.updates, found.guards.deletions) == (
        Limit(share=0.05, count=200),
        Limit(share=0.01, count=7),
    )


def test_a_source_settles_a_minute_and_keeps_a_week_unless_told(tmp_path):
    found = loaded(tmp_path, "sources: [{name: lille-2d, format: aaf, academy: LILLE, path: here}]\n")

    assert (found.sources[0].settle, found.sources[0].keep, found.sources[0].schedule) == (
        timedelta(minutes=1),
        timedelta(days=7),
        None,
    )


def test_a_section_is_read_as_the_adapter_of_its_format_describes_it(tmp_path):
    found = loaded(tmp_path, "targets: [{name: ent, format: embedded, path: ent.sqlite}]\n")

    assert found.targets == (ToyTarget(name="ent", format="embedded", path=Path("ent.sqlite")),)


def test_a_source_and_a_target_may_share_a_name(tmp_path):
    found = loaded(
        tmp_path,
        "sources: [{name: ent, format: aaf, academy: LILLE, path: here}]\n"
        "targets: [{name: ent, format: embedded, path: there}]\n",
    )

    assert found.sources[0].name == found.targets[0].name


def test_a_freeze_window_is_read_with_its_offset(tmp_path):
    found = loaded(
        tmp_path, "freeze: [{from: 2026-12-19T00:00:00+01:00, to: 2027-01-04T00:00:00+01:00, title: Noël}]\n"
    )

    assert (found.freeze[0].start, found.freeze[0].hold) == (
        datetime.fromisoformat("2026-12-18T23:00:00+00:00"),
        "departures",
    )


def test_what_the_file_allows_is_what_the_guards_are_given(tmp_path):
    found = loaded(tmp_path, "guards: {shrinkage: 80 %, updates: {share: 5 %, count: 9}}\n")

    assert found.guards.limits() == guard.Limits(shrinkage=0.8, updates=guard.Limit(0.05, 9))


@pytest.mark.parametrize(("hold", "everything"), [("departures", False), ("all", True)])
def test_a_freeze_window_is_given_to_the_guards(tmp_path, hold, everything):
    found = loaded(tmp_path, f"freeze: [{{from: 2026-12-19T00:00:00Z, to: 2027-01-04T00:00:00Z, hold: {hold}}}]\n")

    assert found.freeze[0].window() == guard.Freeze(
        begins=datetime.fromisoformat("2026-12-19T00:00:00+00:00"),
        ends=datetime.fromisoformat("2027-01-04T00:00:00+00:00"),
        everything=everything,
        title="",
    )


def test_paths_are_relative_to_the_folder_of_the_file(tmp_path):
    found = loaded(tmp_path, "store: {url: 'sqlite:///var/state.sqlite'}\n")

    assert (found.base, found.resolve(found.register_path), found.store_url) == (
        tmp_path,
        tmp_path / "register.yaml",
        f"sqlite:///{tmp_path}/var/state.sqlite",
    )


def test_an_absolute_path_stays(tmp_path):
    found = loaded(tmp_path, "store: {url: 'sqlite:////srv/state.sqlite'}\n")

    assert found.store_url == "sqlite:////srv/state.sqlite"


def test_a_file_that_is_not_there_is_named(tmp_path):
    problems = problems_of(tmp_path / "absent.yaml")

    assert problems == [f"{tmp_path}/absent.yaml: cannot be read: No such file or directory"]


# ---------------------------------------------------------------------------------------------------------------------
# Shown


def test_what_is_shown_loads_as_what_it_shows(tmp_path):
    example = load(EXAMPLE, SOURCES, TARGETS)

    again = loaded(tmp_path, show(example))

    assert again.model_dump() == example.model_dump()


def test_a_secret_is_shown_as_its_reference_and_not_read(tmp_path):
    (tmp_path / "reader.password").write_text("hunter2")
    found = loaded(
        tmp_path,
        "sources: [{name: a, format: aaf, academy: LILLE, path: here, password: {file: reader.password}}]\n",
    )

    shown = YAML(typ="safe").load(show(found))

    assert shown["sources"][0]["password"] == {"file": "reader.password"}


def test_a_password_inside_an_address_is_masked_where_an_adapter_let_it_in(tmp_path):
    found = loaded(
        tmp_path,
        "targets: [{name: ent, format: embedded, path: ent.sqlite, site: 'https://ent:hunter2@ent.example/'}]\n",
    )

    assert "hunter2" not in show(found)


# ---------------------------------------------------------------------------------------------------------------------
# The schema


def refs_of(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for value in node.values():
            yield from refs_of(value)
    elif isinstance(node, list):
        for value in node:
            yield from refs_of(value)


def test_every_reference_of_the_schema_leads_somewhere():
    made: Any = schema(SOURCES, TARGETS)

    assert {ref.removeprefix("#/$defs/") for ref in refs_of(made)} <= made["$defs"].keys()


def test_the_schema_offers_each_format_with_its_own_section():
    made: Any = schema(SOURCES, TARGETS)

    assert made["properties"]["sources"]["items"]["oneOf"] == [
        {"$ref": "#/$defs/ToySource", "properties": {"format": {"const": "aaf"}}}
    ]


def test_every_key_of_the_schema_has_a_description():
    made: Any = schema(SOURCES, TARGETS)

    groups = [("", made), *made["$defs"].items()]
    undescribed = [
        f"{name}.{key}"
        for name, group in groups
        for key, shape in group.get("properties", {}).items()
        if "description" not in shape and "description" not in made["$defs"].get(shape.get("$ref", "")[8:], {})
    ]
    assert undescribed == []


def test_the_schema_writes_default_durations_as_the_file_does():
    made: Any = schema(SOURCES, TARGETS)

    assert made["$defs"]["ToySource"]["properties"]["keep"]["default"] == "7d"


def test_the_schema_is_json():
    text = json.dumps(schema(SOURCES, TARGETS))

    assert json.loads(text)["$schema"] == "https://json-schema.org/draft/2020-12/schema"


# ---------------------------------------------------------------------------------------------------------------------
# No value is ever told

WHOLE = """\
store: {url: "sqlite:///state.sqlite"}
keys: {file: keys}
register: register.yaml
mappings: mappings
log: {path: ent-sync.log, level: info}
metrics: {listen: "127.0.0.1:9464"}
sources:
  - name: lille-2d
    format: aaf
    academy: LILLE
    degree: 2d
    path: here
    settle: 60s
    schedule: {cron: 30 5 * * mon-sat, zone: Europe/Paris}
    password: {env: PASSWORD}
  - {name: amiens-1d, format: aaf, academy: AMIENS, path: there, schedule: {every: 5m}, password: {credential: x}}
targets:
  - {name: ent, format: embedded, path: ent.sqlite}
guards: {dangling_links: 2 %, updates: {share: 1 %, count: 3}}
freeze:
  - {from: 2026-12-19T00:00:00+01:00, to: 2027-01-04T00:00:00+01:00, hold: all, title: Noël}
"""


def scalars_of(tree: Any, at: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    entries = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else None
    return [at] if entries is None else [loc for key, value in entries for loc in scalars_of(value, (*at, key))]


SCALARS = scalars_of(YAML(typ="safe").load(WHOLE))
MARK = "Zq7xMark"
MARKED = st.sampled_from(
    [
        MARK,
        f"{MARK}://u:{MARK}@h/",
        f"*/{MARK}",
        f"{MARK} 5 * * mon",
        f"AC-{MARK}",
        f"12 {MARK}",
        f"2026-13-45T00:00:00+{MARK}",
        f"127.0.0.1:{MARK}",
        f"sqlite://{MARK}",
        f"{{{MARK}}}",
        [MARK],
        [[MARK], {"a": MARK}],
        {"a": MARK},
        {"file": {"a": MARK}},
    ]
)


@given(data=st.data(), places=st.sets(st.sampled_from(SCALARS), min_size=1))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_value_of_a_configuration_is_ever_told(tmp_path, data, places):
    tree = YAML(typ="safe").load(WHOLE)
    for place in places:
        node = tree
        for part in place[:-1]:
            node = node[part]
        node[place[-1]] = data.draw(MARKED)
    path = tmp_path / "ent-sync.yaml"
    with path.open("w", encoding="utf-8") as file:
        YAML(typ="safe").dump(tree, file)

    told = ""
    try:
        load(path, SOURCES, TARGETS)
    except BadConfigurationError as error:
        told = f"{error!r} {error} {error.__cause__!r} {error.problems!r}"

    assert MARK not in told


@given(
    at=st.integers(0, len(WHOLE) - 1), garbage=st.sampled_from(['"', "'", "{", "]", ": ", "\t", "&a ", "*", "!!", "%"])
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_broken_file_never_shows_its_lines(tmp_path, at, garbage):
    marked = re.sub(r"(?<=: )[A-Za-z0-9./\-]+(?=[,}\n])", MARK, WHOLE)
    at = min(at, len(marked))
    path = tmp_path / "ent-sync.yaml"
    path.write_text(marked[:at] + garbage + marked[at:], encoding="utf-8")

    told = "\n".join(problems_of(path))

    assert MARK not in told
