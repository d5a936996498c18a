"""`verify` and `plan export`: exit codes, the document, and what is said to people."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Any

import pytest

from ent_sync import compose
from ent_sync.core.plan import Create
from ent_sync.store import lease
from ent_sync.targets.embedded import EmbeddedTarget

RENAME = (
    "UPDATE stored_account SET attributes = json_set(attributes, '$.family_name', json('[\"X\"]')) WHERE number = 1"
)
STRANGER = (
    "INSERT INTO stored_account (id, population, source_key, profile, status, attributes) VALUES "
    "('zoe.dessai', 'staff', 'LILLE$666', NULL, 'active', '{}')"
)


def harm(installation: Any, statement: str) -> None:
    with closing(sqlite3.connect(installation.dir / "ent.sqlite")) as directory:
        directory.execute(statement)
        directory.commit()


def test_a_directory_as_acknowledged_ends_with_0(copied: Any) -> None:
    answer = copied("verify", "--all", "--json")

    [target] = answer.document["targets"]
    assert (answer.code, answer.document["schema"], answer.document["run"]) == (0, "ent-sync/verify/1", None)
    assert target["looked"] == target["held"] == target["known"] > 0
    assert (target["target"], target["ratio"], target["sample"], target["seed"]) == ("ent", 0, None, None)


def test_the_document_has_the_keys_of_the_report(copied: Any) -> None:
    [target] = copied("verify", "--json").document["targets"]

    assert {"target", "looked", "held", "drift", "attributes", "acknowledged", "ratio", "sample", "seed"} <= set(target)
    assert set(target["drift"]) == {"missing", "changed", "lifecycle", "unknown"}
    assert (target["looked"], target["sample"], bool(target["seed"])) == (100, 1.0, True)


def test_drift_ends_with_3_and_is_told_by_attribute(copied: Any) -> None:
    harm(copied, RENAME)

    answer = copied("verify", "--all")

    assert answer.code == 3
    assert "changed: the target holds it otherwise than it acknowledged it" in answer.out
    assert "What differs: family_name 1" in answer.out
    assert re.search(r"^    [0-9a-f]{32}  changed: family_name$", answer.out, re.MULTILINE)
    assert "ent-sync verify --all --repair" in answer.out


def test_drift_that_is_repaired_ends_as_the_run_did(copied: Any) -> None:
    harm(copied, RENAME)

    answer = copied("verify", "--all", "--repair", "--json")

    assert (answer.code, answer.document["targets"][0]["drift"]["changed"]) == (0, 1)
    assert (answer.document["run"]["kind"], answer.document["run"]["applied"]["update"]) == ("targeted", 1)
    assert copied("verify", "--all").code == 0


def test_without_drift_a_repair_makes_no_run(copied: Any) -> None:
    before = copied("runs", "list", "--json").document

    answer = copied("verify", "--all", "--repair", "--json")

    assert (answer.code, answer.document["run"]) == (0, None)
    assert copied("runs", "list", "--json").document == before


def test_what_ent_sync_did_not_make_stays_and_is_not_named(copied: Any) -> None:
    harm(copied, STRANGER)

    answer = copied("verify", "--all", "--repair")

    assert answer.code == 3
    assert "1 unknown: at the target, and never acknowledged" in answer.out
    assert "zoe" not in answer.out + answer.err + (copied.dir / "ent-sync.log").read_text()
    assert copied("verify", "--all").code == 3


def test_a_sample_can_be_chosen_again(copied: Any) -> None:
    harm(copied, "DELETE FROM stored_account")
    [first] = copied("verify", "--sample", "2", "--json").document["targets"]

    [again] = copied("verify", "--sample", "2", "--seed", first["seed"], "--json").document["targets"]

    assert again == first


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--target", "nothing"], "no target is called nothing; there are: ent"),
        (["--all", "--sample", "5"], "--all reads everything back: it takes neither --sample nor --seed"),
        (["--sample", "0"], "a sample is more than 0 percent"),
    ],
)
def test_what_does_not_fit_is_wrong_usage(copied: Any, arguments: list[str], sentence: str) -> None:
    answer = copied("verify", *arguments)

    assert (answer.code, answer.out, answer.err) == (2, "", f"{sentence}\n")


def test_a_target_that_cannot_be_reached_ends_with_7(copied: Any) -> None:
    (copied.dir / "ent.sqlite").unlink()
    (copied.dir / "ent.sqlite").mkdir()

    answer = copied("verify", "--all", "--json")

    assert (answer.code, answer.document["targets"]) == (7, [])
    assert answer.err.startswith("target ent cannot be reached: ")


def test_another_run_is_waited_for_and_then_busy(copied: Any) -> None:
    settings = compose.load(copied.config)
    with closing(compose.open_store(settings)) as database, database.transaction() as connection:
        lease.acquire(connection, "another-run", compose.now())

    answer = copied("verify", "--wait", "0")

    assert (answer.code, answer.out) == (5, "")


def test_nobody_is_readable_in_what_is_printed_or_logged(copied: Any) -> None:
    harm(copied, "UPDATE stored_account SET attributes = replace(attributes, '[\"', '[\"Zz')")

    answer = copied("verify", "--all", "-v")

    assert answer.code == 3
    assert "Zz" not in answer.out + answer.err + (copied.dir / "ent-sync.log").read_text()


def test_a_verification_is_logged_in_counts(copied: Any) -> None:
    harm(copied, RENAME)
    copied("verify", "--all")

    said = [each for each in copied.log if each["event"] in {"target verified", "drift found"}]
    assert [(each["target"], each.get("rule"), each["count"]) for each in said] == [
        ("ent", None, 1),
        ("ent", "changed", 1),
    ]


# -- a first load as a file --------------------------------------------------------------------------------------------


class FromFile(EmbeddedTarget):
    """The embedded directory, if a tool could fill it from a file with an identifier in each line."""

    def written(self, creates: Iterable[Create]) -> Iterator[str]:
        for create in creates:
            yield f"{create.entry.id}\n"


@pytest.fixture
def planned(ent_sync: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A new installation with a plan that was only made, and a directory that could be filled from a file."""
    place = tmp_path / "new"
    ent_sync("init", place, "--source", "lille-2d")
    ent_sync("synth", place / "deliveries" / "lille-2d", "--pupils", "30", "--date", "2026-09-01")
    config = place / "ent-sync.yaml"
    plan = ent_sync("--config", config, "sync", "--plan-only", "--json").document["plan"]
    installed = compose._adapters
    monkeypatch.setattr(
        compose,
        "_adapters",
        lambda group: {**installed(group), **({"embedded": FromFile} if group == "ent_sync.targets" else {})},
    )
    return lambda *arguments: ent_sync("--config", config, *(plan if each == "PLAN" else each for each in arguments))


def test_a_first_load_is_written_and_it_is_told_how_to_go_on(planned: Any, tmp_path: Any) -> None:
    file = tmp_path / "first.ldif"

    answer = planned("plan", "export", "PLAN", "--ldif", file)

    assert answer.code == 0
    assert f"for ent is written to {file}: " in answer.out
    assert f"slapadd -q -l {file}" in answer.out
    assert "ent-sync verify --all --target ent" in answer.out


def test_the_document_counts_what_the_file_holds(planned: Any, tmp_path: Any) -> None:
    document = planned("plan", "export", "PLAN", "--ldif", tmp_path / "first.ldif", "--json").document

    assert document["schema"] == "ent-sync/export/1"
    assert sum(document["entries"].values()) == len((tmp_path / "first.ldif").read_text().splitlines())


def test_a_file_is_never_overwritten(planned: Any, tmp_path: Any) -> None:
    (tmp_path / "first.ldif").write_text("mine")

    answer = planned("plan", "export", "PLAN", "--ldif", tmp_path / "first.ldif")

    assert (answer.code, (tmp_path / "first.ldif").read_text()) == (2, "mine")


def test_a_plan_that_is_applied_cannot_be_written(planned: Any, tmp_path: Any) -> None:
    planned("plan", "approve", "PLAN")

    answer = planned("plan", "export", "PLAN", "--ldif", tmp_path / "first.ldif")

    assert (answer.code, "is applied: only what waits can be written to a file" in answer.err) == (2, True)


def test_a_target_without_a_file_format_is_told(held: Any, tmp_path: Any) -> None:
    installation, plan = held

    answer = installation("plan", "export", plan, "--ldif", tmp_path / "first.ldif")

    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("target ent has no file format for a first load; ")
