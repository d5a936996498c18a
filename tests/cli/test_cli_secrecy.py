"""Nobody is readable in what commands print or log, except where somebody asked for one person on purpose."""

from __future__ import annotations

import re
import stat
from typing import Any

import pytest

COMMANDS = [
    ["sync"],
    ["sync", "--full", "-v"],
    ["sync", "--plan-only", "--json"],
    ["status"],
    ["status", "--json"],
    ["runs", "list"],
    ["runs", "list", "--json"],
    ["plan", "list"],
    ["plan", "list", "--json"],
    ["quarantine", "list"],
    ["resync", "source", "lille-1d", "-v"],
    ["config", "show"],
    ["db", "check"],
]


@pytest.fixture(scope="module")
def names(demo: Any) -> re.Pattern[str]:
    """Every family name that was delivered."""
    found = set()
    for path in demo.dir.glob("deliveries/*/*/*.xml"):
        text = path.read_text(encoding="utf-8", errors="replace")
        found.update(re.findall(r'<attr name="(?:sn|ENTPersonNom)">\s*<value>([^<]+)</value>', text))
    assert len(found) > 50
    return re.compile(rf"\b({'|'.join(sorted(map(re.escape, found)))})\b")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_family_name_is_printed_by(demo: Any, names: re.Pattern[str], command: list[str]) -> None:
    answer = demo(*command)

    assert answer.code in {0, 4}
    assert not names.search(answer.out + answer.err)


def test_no_family_name_is_in_the_log(demo: Any, names: re.Pattern[str]) -> None:
    demo("sync")
    demo("explain", "LILLE$1000000")

    assert not names.search((demo.dir / "ent-sync.log").read_text())


def test_plans_and_their_facets_name_nobody(held: Any, names: re.Pattern[str]) -> None:
    installation, plan = held

    said = [installation("plan", "show", plan, "--by", by).out for by in ("school", "population", "attribute")]

    assert not names.search(" ".join(said))


def test_every_log_line_is_json_with_the_three_fields(demo: Any) -> None:
    assert all({"timestamp", "level", "event"} <= set(line) for line in demo.log)


def test_each_run_has_one_summary_line(told: Any) -> None:
    demo, answer = told

    for run in answer.document["runs"]:
        summary = [line for line in demo.log if line.get("run") == run["run"] and "outcome" in line]
        assert [line["outcome"] for line in summary] == [run["outcome"]]


def test_no_field_was_ever_refused(demo: Any) -> None:
    assert [line for line in demo.log if "refused" in line] == []


def test_an_explained_person_is_logged_under_a_pseudonym(copied: Any) -> None:
    copied("explain", "LILLE$1000000")

    last = copied.log[-1]
    assert last["event"] == "person explained"
    assert re.fullmatch(r"p-[0-9a-f]{12}", last["person"])


def test_the_log_is_private(demo: Any) -> None:
    assert stat.S_IMODE((demo.dir / "ent-sync.log").stat().st_mode) == 0o600
