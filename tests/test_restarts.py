"""Restarts, axes of their own, counters of each epoch, and two raw names for one metric: what becomes of the curves."""

from __future__ import annotations

import json

import numpy as np
import pytest
from events import write_events

from curvelab.ingest import discover, load


def losses(steps, tag: str = "train/loss", start: float = 3.0):
    return [(step, {tag: start - 0.0005 * i}) for i, step in enumerate(steps)]


def said(run, word: str) -> list[str]:
    return [note.text for note in run.notes if word in note.text]


# Parts of a run that count their own steps


def test_a_restart_of_train_leaves_the_evals_of_the_later_attempt(tmp_path):
    """eval/ goes back nowhere: which attempt an eval is of, its time tells."""
    write_events(tmp_path / "train", losses(range(10, 211, 10), "loss"))
    write_events(tmp_path / "train", losses(range(110, 401, 10), "loss"), start=1.7001e9)
    write_events(tmp_path / "eval", losses((100, 200), "loss"))
    write_events(tmp_path / "eval", losses((300, 400), "loss"), start=1.7001e9)
    run = load(tmp_path)
    assert [(seam.step, seam.reached) for seam in run.seams] == [(110, 210)]
    assert run.logged["eval/loss"].segment.tolist() == [0, 0, 1, 1]
    assert run.curve("eval/loss").step.tolist() == [100, 300, 400]


def test_evals_that_go_back_alone_overrule_no_train_loss(tmp_path):
    write_events(tmp_path / "train", losses(range(10, 401, 10), "loss"))
    write_events(tmp_path / "eval", losses((100, 200), "loss"))
    write_events(tmp_path / "eval", losses((200, 300), "loss", start=2.0), start=1.7001e9)
    run = load(tmp_path)
    assert run.seams == ()
    assert len(run.curve("train/loss")) == 40
    assert run.curve("eval/loss").value.tolist() == pytest.approx([3.0, 2.0, 1.9995])


def test_a_second_training_in_the_same_folder_is_called_so(tmp_path):
    """A logdir is one run and the later attempt counts, but this one was not resumed."""
    for start, level in ((1.7e9, 3.0), (1.8e9, 2.9)):
        rows = [(step, {"train/loss": level * 0.97**step + 0.3}) for step in range(200)]
        write_events(tmp_path, rows, start=start)
    run = load(tmp_path)
    assert [(seam.step, seam.reached) for seam in run.seams] == [(0, 199)]
    (note,) = said(run, "a second training was written into the same folder")
    assert "200 rows of the earlier one are overruled" in note


def test_a_resume_from_the_beginning_of_a_flat_loss_is_no_second_training(tmp_path):
    write_events(tmp_path, losses(range(10, 600, 10)))
    write_events(tmp_path, losses(range(310, 700, 10), start=2.985), start=1.8e9)
    assert not said(load(tmp_path), "second training")


def test_the_metrics_of_one_eval_set_bear_one_name(write_state):
    log = [{"loss": 2.0, "step": step} for step in (10, 20)]
    log += [{"eval_dev_loss": 2.0, "eval_dev_runtime": 1.0, "eval_accuracy": 0.5, "step": 20}]
    path = write_state("run")
    path.write_text(json.dumps({"log_history": log}))
    assert load(path).metrics == ("eval/accuracy", "eval/dev/loss", "eval/dev/runtime", "train/loss")


# Axes of their own


def test_evals_at_the_number_of_the_epoch_stand_where_they_were_written(tmp_path):
    rows = []
    for step in range(0, 3000, 10):
        rows.append((step, {"train/loss": 3 - step / 2000}))
        if step % 1000 == 990:
            rows.append((step // 1000 + 1, {"eval/loss": 2.0 - step / 3000}))
    write_events(tmp_path, rows)
    run = load(tmp_path)
    assert run.seams == ()
    assert len(run.curve("train/loss")) == 300
    assert run.curve("eval/loss").step.tolist() == [990, 1990, 2990]
    assert said(run, "eval/loss: logged by a count of their own (to 3), such as epochs; placed at the steps of train/loss")


def test_a_summary_of_each_epoch_after_the_training_restarts_nothing(tmp_path):
    epochs = [(epoch, {"train_loss": 1.0 - epoch / 10, "val_loss": 2.0}) for epoch in range(1, 6)]
    write_events(tmp_path, [*losses(range(100)), *epochs])
    run = load(tmp_path)
    assert run.seams == ()
    assert len(run.curve("train/loss")) == 100
    assert run.curve("train_loss").step.tolist() == [1, 2, 3, 4, 5]


def test_a_restart_is_seen_beside_an_axis_of_its_own(tmp_path):
    def attempt(steps, epochs):
        rows = []
        for step in steps:
            rows.append((step, {"train/loss": 3 - step / 2000}))
            if step % 1000 == 990 and epochs:
                rows.append((epochs.pop(0), {"eval/loss": 2.0 - step / 3000}))
        return rows

    write_events(tmp_path, attempt(range(0, 1600, 10), [1]))
    write_events(tmp_path, attempt(range(1210, 3000, 10), [2, 3]), start=1.8e9)
    run = load(tmp_path)
    assert [(seam.step, seam.reached) for seam in run.seams] == [(1210, 1590)]
    assert len(run.curve("train/loss")) == 300
    assert run.curve("eval/loss").step.tolist() == [1, 2, 3]
    assert said(run, "restarted at step 1210 after step 1590; from there on the later attempt counts (39 rows")


def test_evals_that_go_back_later_than_the_train_loss_are_of_the_same_restart(tmp_path):
    def rows(steps, every):
        return [(step, {"train/loss": 3.0, **({"eval/loss": 2.0} if step % every == 0 else {})}) for step in steps]

    write_events(tmp_path, rows(range(10, 600, 10), 60))
    write_events(tmp_path, rows(range(310, 1010, 10), 100), start=1.8e9)
    run = load(tmp_path)
    assert [(seam.step, seam.reached) for seam in run.seams] == [(310, 590)]
    assert run.curve("eval/loss").step.tolist() == [60, 120, 180, 240, 300, *range(400, 1010, 100)]


def test_an_eval_that_the_new_attempt_logs_first_belongs_to_it(tmp_path):
    write_events(tmp_path, losses(range(10, 600, 10)))
    write_events(tmp_path, [(310, {"eval/loss": 1.5}), *losses(range(310, 700, 10))], start=1.8e9)
    run = load(tmp_path)
    assert [(seam.step, seam.reached) for seam in run.seams] == [(310, 590)]
    assert run.curve("eval/loss").value.tolist() == [1.5]


def test_values_that_a_later_one_at_the_same_step_replaces_are_counted(tmp_path):
    write_events(tmp_path, [(step, {"train/loss": value}) for step in range(20) for value in (2.0, 5.0)])
    run = load(tmp_path)
    assert run.points == 20
    assert said(run, "20 values were logged once more at the same step with another value (train/loss)")


def test_thousands_of_restarts_are_summed_up(tmp_path):
    steps = [step for start in range(0, 3000, 100) for step in range(start, start + 150)]
    write_events(tmp_path, losses(steps))
    run = load(tmp_path)
    assert len(run.seams) == 29
    assert len(run.curve("train/loss")) == 3050
    assert len(said(run, "restarted at step")) == 20
    assert said(run, "restarted 9 more times; 450 rows are overruled")


# Counters of each epoch


@pytest.mark.parametrize("epochs", [3, 10, 20])
def test_a_counter_of_each_epoch_is_continued_and_said(tmp_path, epochs):
    rows = []
    for i in range(epochs * 100 - 30):
        rows.append((i % 100, {"train/loss": 3 - 0.001 * i}))
        if i % 100 == 99:
            rows.append((99, {"eval/loss": 2.5 - 0.001 * i}))
    write_events(tmp_path, rows)
    run = load(tmp_path)
    assert run.seams == ()
    np.testing.assert_array_equal(run.curve("train/loss").step, np.arange(epochs * 100 - 30))
    np.testing.assert_array_equal(run.curve("eval/loss").step, np.arange(1, epochs) * 100 - 1)
    (note,) = [note for note in run.notes if "counter of each epoch" in note.text]
    assert note.level == "warning"
    assert "step + 100 x number of the epoch" in note.text


def test_two_runs_in_one_file_stay_two_attempts(tmp_path):
    write_events(tmp_path, losses([*range(100), *range(100)]))
    assert [(seam.step, seam.reached) for seam in load(tmp_path).seams] == [(0, 99)]


def test_runs_that_begin_anew_each_time_are_no_epochs(tmp_path):
    rows = [(step, {"train/loss": 3 * 0.97**step + 0.01 * attempt}) for attempt in range(4) for step in range(100)]
    write_events(tmp_path, rows)
    run = load(tmp_path)
    assert [(seam.step, seam.reached) for seam in run.seams] == [(0, 99)] * 3
    assert len(run.curve("train/loss")) == 100


def test_two_writers_in_turn_are_no_epochs(tmp_path):
    steps = [step for base in range(0, 200, 2) for step in (base + 1, base)]
    write_events(tmp_path, losses(steps))
    run = load(tmp_path)
    assert run.seams == ()
    assert run.points == 200
    assert said(run, "several processes wrote it")


# Two raw names


@pytest.mark.parametrize(
    ("names", "metric", "kept"),
    [
        (("train/loss", "Loss/train"), "train/loss", "train/loss"),
        (("Loss/train", "train/loss"), "train/loss", "train/loss"),
        (("val/loss", "eval/loss"), "eval/loss", "eval/loss"),
        (("val_loss", "Loss/val"), "eval/loss", "val_loss"),
    ],
)
def test_two_names_that_disagree_are_two_metrics(tmp_path, names, metric, kept):
    one, other = names
    rows = [(step, {one: 2.0 - step / 100, **({other: 5.0 - step / 50} if step % 2 else {})}) for step in range(40)]
    if kept == other:
        rows = [(step, dict(reversed(values.items()))) for step, values in rows]
    write_events(tmp_path, rows)
    run = load(tmp_path)
    (left,) = {one, other} - {kept}
    assert run.logged[metric].raw_names == (kept,)
    assert run.logged[left].raw_names == (left,)
    (note,) = said(run, f"are {metric}, but they differ at 20 of 20 steps")
    assert kept in note and left in note


def test_two_names_that_agree_are_one_metric(tmp_path):
    write_events(
        tmp_path, [(step, {"eval/loss": 2.0 - step / 100, "val/loss": 2.0 - step / 100}) for step in range(40)]
    )
    run = load(tmp_path)
    assert run.metrics == ("eval/loss",)
    assert len(run.curve("eval/loss")) == 40
    assert not run.notes


def test_a_name_that_changed_on_the_way_is_one_metric(tmp_path):
    write_events(tmp_path, losses(range(50), "Loss/train"))
    write_events(tmp_path, losses(range(50, 90), "train/loss"), start=1.8e9)
    assert len(load(tmp_path).curve("train/loss")) == 90


def test_the_same_loss_under_two_names_in_wandb_is_one(corpus):
    run = load(corpus / "wild" / "wandb" / "0172")
    assert run.logged["eval/loss"].raw_names == ("eval/loss", "eval_loss")
    assert len(run.curve("eval/loss")) == 1


# Names that tools give


def test_free_names_mean_the_same_in_every_format(tmp_path):
    """Lightning's loggers write the same names into metrics.csv, TensorBoard and W&B."""
    rows = [(step, {"train_loss_step": 2 - step / 200, "lr-Adam": 1e-3}) for step in range(0, 200, 5)]
    rows += [(step, {"train_loss_epoch": 1.5, "val_loss": 1.6}) for step in (50, 100, 150, 199)]
    write_events(tmp_path, sorted(rows, key=lambda row: row[0]))
    run = load(tmp_path)
    assert {m: len(run.logged[m]) for m in run.metrics} == {
        "train/loss": 40, "train/loss_epoch": 4, "eval/loss": 4, "train/learning_rate": 40,
    }  # fmt: skip


def test_what_add_scalars_writes_is_one_run_with_two_losses(tmp_path):
    write_events(tmp_path / "logs", [(step, {"speed": 1.0}) for step in range(20)])
    for sub, level in (("train", 2.0), ("val", 3.0)):
        write_events(tmp_path / "logs" / f"loss_{sub}", [(step, {"loss": level - step / 100}) for step in range(20)])
    run = load(tmp_path)
    assert (run.curve("train/loss").value[0], run.curve("eval/loss").value[0]) == (2.0, 3.0)
    assert run.seams == ()


def test_a_folder_that_only_looks_like_add_scalars_is_a_run(tmp_path):
    for version in ("v1", "v2"):
        write_events(tmp_path / f"loss_{version}", [(step, {"loss": 2.0 - step / 100}) for step in range(20)])
    assert sorted(run.name for run in discover(tmp_path)) == ["loss_v1", "loss_v2"]
