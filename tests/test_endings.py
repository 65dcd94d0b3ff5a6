"""How a run ended and how far it was meant to go, when its attempts disagree."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
from events import write_events
from importers.test_wandb_file import framed, history

from curvelab.ingest import load

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", module=r"(wandb|google|pydantic)(\.|$)")
    pb = pytest.importorskip("wandb.proto.wandb_internal_pb2")


def wandb_log(root: Path, day: int, steps: range, *, plan: int | None = None, done: bool = False, code: int | None = None):
    """One attempt of the run `abc`, a log each ten seconds, its GPU beside it."""
    start = pb.Record()
    start.run.run_id = "abc"
    if plan:
        start.run.config.update.add(key="max_steps", value_json=str(plan))
    records, began = [start.SerializeToString()], 1.7e9 + 86400 * day
    for i, step in enumerate(steps):
        at = began + 10 * i
        values = {"train/loss": 3 - step / 400, "train/global_step": step, "_step": i, "_timestamp": at}
        stats = pb.Record()
        stats.stats.timestamp.seconds = int(at)
        stats.stats.item.add(key="gpu.0.gpu", value_json=str(50 + day))
        records += [history(values), stats.SerializeToString()]
    if done:
        records.append(history({"train/train_runtime": 3.0, "train/global_step": steps[-1], "_step": len(steps)}))
    if code is not None:
        end = pb.Record()
        end.exit.exit_code = code
        if code == 0:
            end.exit.SetInParent()
        records.append(end.SerializeToString())
    folder = root / "wandb" / f"offline-run-2024010{day + 1}_000000-abc"
    folder.mkdir(parents=True)
    (folder / "run-abc.wandb").write_bytes(framed(records))


def test_a_state_that_was_trained_on_after_its_summary_is_not_finished(tmp_path):
    rows = [{"loss": 3 - s / 500, "step": s} for s in range(10, 101, 10)]
    rows += [{"train_runtime": 5.0, "train_loss": 2.9, "step": 100}]
    rows += [{"loss": 3 - s / 500, "step": s} for s in range(110, 501, 10)]
    (tmp_path / "trainer_state.json").write_text(json.dumps({"global_step": 500, "max_steps": 1000, "log_history": rows}))
    assert load(tmp_path).state == "unknown"


@pytest.mark.parametrize(("again", "state"), [(True, "finished"), (False, "crashed")])
def test_the_last_event_file_says_how_the_run_ended(tmp_path, again, state):
    first = [(s, {"train/loss": 3 - s / 500}) for s in range(10, 101, 10)]
    then = [(s, {"train/loss": 3 - s / 500}) for s in range(110, 501, 10)]
    done = [(500, {"train/train_runtime": 5.0})] if again else []
    write_events(tmp_path, [*first, (100, {"train/train_runtime": 5.0})], args={"max_steps": 100})
    write_events(tmp_path, [*then, *done], start=1.7001e9, args={"max_steps": 1000})
    run = load(tmp_path)
    assert (run.state, run.planned_steps, run.setting("max_steps")) == (state, 1000, 1000)


@pytest.mark.parametrize(("codes", "state"), [((0, 1), "crashed"), ((1, 0), "unknown"), ((1, None), "unknown")])
def test_the_exit_code_of_the_last_attempt_counts(tmp_path, codes, state):
    wandb_log(tmp_path, 0, range(10, 101, 10), code=codes[0])
    wandb_log(tmp_path, 1, range(110, 501, 10), code=codes[1])
    assert load(tmp_path).state == state


def test_a_finished_attempt_that_a_killed_one_follows_is_a_crash(tmp_path):
    wandb_log(tmp_path, 0, range(10, 101, 10), plan=100, done=True, code=0)
    wandb_log(tmp_path, 1, range(110, 501, 10), plan=1000, code=1)
    run = load(tmp_path)
    assert (run.state, run.planned_steps) == ("crashed", 1000)


@pytest.mark.parametrize("code", [None, 0])
def test_a_missing_exit_record_is_said(tmp_path, code):
    wandb_log(tmp_path, 0, range(10, 101, 10), code=code)
    run = load(tmp_path)
    assert run.state == "unknown"
    assert any("no exit record" in note.text for note in run.notes) == (code is None)


def test_system_metrics_belong_to_the_attempt_that_logged_them(tmp_path):
    wandb_log(tmp_path, 0, range(10, 501, 10))
    wandb_log(tmp_path, 1, range(410, 1001, 10))
    run = load(tmp_path)
    used = run.curve("gpu/0/utilization")
    assert used.step.tolist() == list(range(10, 1001, 10))
    assert used.value.tolist() == [50.0] * 40 + [51.0] * 60
