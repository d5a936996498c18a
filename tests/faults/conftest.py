"""An installation in which 300 invented pupils are in order, made once; copies of it to do harm to."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from spoiled import Installation, called


@pytest.fixture(scope="session")
def in_order(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    place = tmp_path_factory.mktemp("faults")
    made = Installation(place / "region", place / "original")
    assert called("init", made.dir, "--source", "lille-2d").code == 0
    assert called("synth", made.deliveries, "--pupils", "300", "--date", "2026-11-20").code == 0
    assert made.sync().code == 0
    [delivery] = made.deliveries.iterdir()
    shutil.move(delivery, made.original)
    return made


@pytest.fixture(scope="session")
def before(in_order: Installation) -> list[tuple[Any, ...]]:
    """All rows of the ENT's directory before anything bad arrives."""
    return in_order.directory


@pytest.fixture
def place(in_order: Installation, tmp_path: Path) -> Installation:
    """A copy of it to do harm to."""
    return Installation(Path(shutil.copytree(in_order.dir, tmp_path / "region")), in_order.original)
