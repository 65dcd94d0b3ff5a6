"""Fixtures of several tests: the labelled corpus, and run folders with a trainer state in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from states import CORPUS, state_of


@pytest.fixture
def corpus() -> Path:
    """The labelled corpus beside the project; a test that needs it is skipped where it is not."""
    if not CORPUS.is_dir():
        pytest.skip("the labelled corpus is not beside the project")
    return CORPUS


@pytest.fixture
def write_state(tmp_path: Path):
    """Write a trainer_state.json into a fresh run folder and return its path."""

    def write(name: str = "run", **facts: Any) -> Path:
        losses = facts.pop("losses", [3.0 / (1 + i / 10) for i in range(40)])
        path = tmp_path / name / "trainer_state.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(state_of(losses, **facts)))
        return path

    return write
