"""One demonstration for all tests that only read, copies of it for those that write."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ent_sync.cli.app import run


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


EntSync = Callable[..., Answer]


def called(*arguments: str, stdin: str = "") -> Answer:
    out, err = io.StringIO(), io.StringIO()
    before, sys.stdin = sys.stdin, io.StringIO(stdin)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run([str(each) for each in arguments])
    finally:
        sys.stdin = before
    return Answer(code, out.getvalue(), err.getvalue())


@dataclass(frozen=True)
class Installation:
    dir: Path

    @property
    def config(self) -> Path:
        return self.dir / "ent-sync.yaml"

    @property
    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.dir / "ent-sync.log").read_text().splitlines()]

    def __call__(self, *arguments: str, stdin: str = "") -> Answer:
        return called("--config", str(self.config), *arguments, stdin=stdin)


@pytest.fixture(scope="session")
def ent_sync() -> EntSync:
    return called


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Installation, Answer]:
    """The demonstration and what it said."""
    place = tmp_path_factory.mktemp("demo") / "region"
    return Installation(place), called("demo", "--dir", str(place), "--pupils", "100", "--json")


@pytest.fixture(scope="session")
def demo(told: tuple[Installation, Answer]) -> Installation:
    return told[0]


@pytest.fixture
def copied(demo: Installation, tmp_path: Path) -> Installation:
    """A demonstration of one's own, whose deliveries were taken away after they were applied."""
    shutil.copytree(demo.dir, tmp_path / "region")
    for source in (tmp_path / "region" / "deliveries").iterdir():
        shutil.rmtree(source)
        source.mkdir()
    return Installation(tmp_path / "region")


@pytest.fixture(scope="session")
def held_once(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """An installation in which a plan waits: 9 % of 400 pupils left."""
    place = Installation(tmp_path_factory.mktemp("held") / "region")
    called("init", str(place.dir), "--source", "lille-2d")
    into = str(place.dir / "deliveries" / "lille-2d")
    called("synth", into, "--pupils", "400", "--date", "2026-09-01")
    place("sync")
    called("synth", into, "--pupils", "400", "--date", "2026-09-02", "--leavers", "9")
    place("sync")
    return place


@pytest.fixture
def held(held_once: Installation, tmp_path: Path) -> tuple[Installation, str]:
    """A copy of it, and the name of the plan that waits."""
    place = Installation(Path(shutil.copytree(held_once.dir, tmp_path / "held")))
    [plan] = [each["plan"] for each in place("plan", "list", "--json").document if each["status"] == "held"]
    return place, plan
