"""The trainer states of one run: steps that only one checkpoint holds are not lost, and a later attempt counts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from states import state_of

from curvelab.ingest import load
from curvelab.model.run import Run


def state(folder: Path, name: str, losses: dict[int, float], **facts: object) -> Path:
    """A state with a train row a step."""
    path = folder / name / "trainer_state.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    history = [{"loss": loss, "step": step} for step, loss in losses.items()]
    path.write_text(json.dumps({"global_step": max(losses), "max_steps": 1000, **facts, "log_history": history}, indent=1))
    return path


def falling(steps, seed: int = 1) -> dict[int, float]:
    noise = np.random.default_rng(seed).uniform(0, 0.1, len(steps))
    return {step: 3 - step / 500 + float(one) for step, one in zip(steps, noise, strict=True)}


def said(run: Run, word: str) -> list[str]:
    return [note.text for note in run.notes if word in note.text]


@pytest.mark.parametrize(("first", "last"), [(10, 600), (10, 500), (10, 390)])
def test_steps_that_only_an_earlier_checkpoint_holds_are_filled_in(tmp_path, first, last):
    """The later state begins in the middle: a resumed run whose log was not carried on."""
    losses = falling(range(10, 1001, 10))
    state(tmp_path, "checkpoint-600", {s: v for s, v in losses.items() if first <= s <= last})
    state(tmp_path, "checkpoint-1000", {s: v for s, v in losses.items() if s >= 400})
    run = load(tmp_path)
    curve = run.curve("train/loss")
    assert dict(zip(curve.step.tolist(), curve.value.tolist(), strict=True)) == losses
    assert said(run, "checkpoint-1000/trainer_state.json lacks 39 values of 39 steps (10 to 390); filled in from here")


def test_a_damaged_state_is_completed_by_an_intact_one(tmp_path):
    losses = falling(range(10, 1001, 10))
    intact = state(tmp_path, "checkpoint-600", {s: v for s, v in losses.items() if s <= 600})
    path = state(tmp_path, "checkpoint-1000", losses)
    raw = bytearray(path.read_bytes())
    raw[400:1424] = bytes(1024)  # as a lost block of a disk leaves it
    path.write_bytes(raw)
    run = load(tmp_path)
    assert run.curve("train/loss").step.tolist() == list(losses)
    (note,) = said(run, "dropped")
    dropped = run.points - int(note.split()[-4])
    assert abs(int(note.split("about ")[1].split()[0]) - dropped) <= 3
    assert {str(intact), str(path)} == set(run.logged["train/loss"].origins)


def test_what_a_later_attempt_did_again_is_not_filled_in(tmp_path):
    """checkpoint-500 is of the first attempt; the second was resumed from 300 and logged every 20 steps."""
    first = falling(range(10, 501, 10))
    then = {s: v for s, v in first.items() if s <= 300} | falling(range(320, 701, 20), seed=2)
    state(tmp_path, "checkpoint-500", first)
    state(tmp_path, "checkpoint-700", then)
    run = load(tmp_path)
    assert run.curve("train/loss").step.tolist() == list(then)
    assert said(run, "10 values are of an attempt before the run was resumed")
    assert not said(run, "filled in")


def test_the_summary_of_an_earlier_training_is_not_filled_in(tmp_path):
    """A training of 100 steps was done and then carried on to 500 of 1,000: it is not finished."""
    (tmp_path / "trainer_state.json").write_text(json.dumps(state_of([3.0 - i / 10 for i in range(10)], every=10)))
    rows = {10 * (i + 1): 3.0 - i / 10 for i in range(10)} | dict.fromkeys(range(110, 501, 10), 2.0)
    state(tmp_path, "checkpoint-500", rows)
    run = load(tmp_path)
    assert (run.points, run.planned_steps, run.state) == (50, 1000, "unknown")
    assert "final/train_runtime" not in run.metrics
