"""Small projects of trainer states for the tests of an audit."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from states import state_of

NOW = 1_790_000_000.0  # the night of the first audit
DAY = 86_400.0


def healthy(seed: int = 0, points: int = 120) -> dict[str, Any]:
    """A run that learns and is done, with evals."""
    rng = np.random.default_rng(seed)
    step = np.arange(points)
    losses = (1.5 + 1.5 * np.exp(-step / (points / 2.5)) + rng.normal(0, 0.02, points)).tolist()
    evals = {10 * (i + 1): float(1.6 + 1.4 * np.exp(-i / (points / 2.5)) + rng.normal(0, 0.002)) for i in range(9, points, 10)}
    return state_of(losses, evals=evals)


def overfitted(seed: int = 0, points: int = 120, rise: float = 2.0) -> dict[str, Any]:
    """A run whose eval loss rises from the middle on."""
    state = healthy(seed, points)
    for row in state["log_history"]:
        if "eval_loss" in row:
            row["eval_loss"] += rise * max(0.0, row["step"] / (10 * points) - 0.4)
    return state


def broken(seed: int = 0, points: int = 120) -> dict[str, Any]:
    """A run whose loss is NaN for its last fifth."""
    state = healthy(seed, points)
    for row in state["log_history"]:
        if row["step"] > 8 * points:
            row.update({name: float("nan") for name in ("loss", "eval_loss") if name in row})
    return state


def unfinished(state: dict[str, Any], planned: int) -> dict[str, Any]:
    """The same run on its way to more steps."""
    history = [row for row in state["log_history"] if "train_runtime" not in row]
    return {**state, "log_history": history, "max_steps": planned}


def put(root: Path, name: str, state: dict[str, Any], *, age: float = 10 * DAY, settings: dict[str, Any] | None = None) -> Path:
    """Write a run below a project, as old as told on the night of the first audit."""
    path = root / name / "trainer_state.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(state))
    os.utime(path, (NOW - age, NOW - age))
    if settings is not None:
        (path.parent / "config.json").write_text(json.dumps(settings))
    return path
