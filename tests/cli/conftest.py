"""Tiny logs and a way to call the command line without a new process."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from curvelab import cli


@dataclass(frozen=True)
class Answer:
    """What a call of the command line gave."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Its stdout as strict JSON: a bare NaN is refused."""

        def refuse(word: str) -> float:
            raise AssertionError(f"bare {word} in the JSON")

        return json.loads(self.out, parse_constant=refuse)


Call = Callable[..., Answer]
WriteState = Callable[..., Path]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test works in a folder without settings files, and without settings in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in ("FORMAT", "OUTPUT", "FAIL_ON", "SELECT", "IGNORE", "CONFIG", "GPUS", "GPU_PRICE", "HISTORY"):
        monkeypatch.delenv(f"CURVELAB_{name}", raising=False)


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    def run(*arguments: str | Path) -> Answer:
        capsys.readouterr()
        code = cli.run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Answer(code, captured.out, captured.err)

    return run


def entries(steps: int = 40, norm: float = 0.5, nan_from: int | None = None) -> list[dict[str, float]]:
    """A falling loss, logged each fifth step, and an eval loss each fiftieth."""
    history: list[dict[str, float]] = []
    for i in range(1, steps + 1):
        step = 5 * i
        loss, grad_norm = 3 * math.exp(-i / 30) + 0.02 * (i % 3), norm + 0.1 * (i % 4)
        if nan_from is not None and step >= nan_from:
            loss = grad_norm = math.nan
        history.append({"loss": loss, "grad_norm": grad_norm, "learning_rate": 1e-4, "step": step, "epoch": i / 20})
        if i % 10 == 0:
            history.append({"eval_loss": 3 * math.exp(-i / 30) + 0.1, "step": step, "epoch": i / 20})
    return history


@pytest.fixture
def write_state(tmp_path: Path) -> WriteState:
    """Write `<tmp>/<name>/trainer_state.json` and return the file. With nan_from the run has a critical finding."""

    def write(name: str = "run", log: list[dict[str, Any]] | None = None, **fields: Any) -> Path:
        shape = {key: fields.pop(key) for key in ("steps", "norm", "nan_from") if key in fields}
        state: Mapping[str, Any] = {
            "max_steps": 200,
            "global_step": 200,
            "log_history": entries(**shape) if log is None else log,
            **fields,
        }
        file = tmp_path / name / "trainer_state.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(state))
        return file

    return write


@pytest.fixture
def state(write_state: WriteState) -> Path:
    """The log of one ordinary run."""
    return write_state()


@pytest.fixture
def broken(write_state: WriteState) -> Path:
    """The log of a run that became NaN: one critical finding."""
    return write_state("broken", nan_from=100)
