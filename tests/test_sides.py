"""Files that lie side by side and are parts of one run: split names (train.csv, val.csv) and charts that W&B exported."""

from __future__ import annotations

from pathlib import Path

import pytest

from curvelab.ingest import discover, load


def table(path: Path, steps, head: str = "step,loss", level: float = 3.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    names = head.split(",")[1:]
    rows = (",".join([str(step), *(str(level - step / 2000) for _ in names)]) for step in steps)
    path.write_text(f"{head}\n" + "\n".join(rows) + "\n")


def chart(path: Path, metric: str, runs: dict[str, float], steps=range(0, 300, 10)) -> None:
    head = ",".join(f'"{run} - {metric}","{run} - {metric}__MIN"' for run in runs)
    rows = (",".join([str(s), *(f"{level - s / 1000},0" for level in runs.values())]) for s in steps)
    path.write_text(f'"Step",{head}\n' + "\n".join(rows) + "\n")


@pytest.mark.parametrize(
    ("other", "head"),
    [("val.csv", "step,val_loss"), ("val.csv", "step,loss"), ("eval.csv", "step,loss"), ("validation.csv", "step,loss")],
)
@pytest.mark.parametrize("first", [100, 300])
def test_train_and_val_files_of_one_folder_are_one_run(tmp_path, other, head, first):
    table(tmp_path / "run" / "train.csv", range(10, 1001, 10))
    table(tmp_path / "run" / other, range(first, 1001, 100), head)
    run = load(tmp_path)
    assert (run.name, run.seams, run.metrics) == ("run", (), ("eval/loss", "train/loss"))
    assert run.points == 100
    assert run.curve("eval/loss").step.tolist() == list(range(first, 1001, 100))


def test_files_of_several_runs_are_paired_by_what_is_left_of_their_names(tmp_path):
    for name in ("small", "big"):
        table(tmp_path / f"{name}_train.csv", range(10, 1001, 10), level=len(name))
        table(tmp_path / f"{name}_test.csv", range(100, 1001, 100), level=len(name))
    assert [run.metrics for run in discover(tmp_path)] == [("test/loss", "train/loss")] * 2


def test_files_on_axes_of_their_own_are_not_paired(tmp_path):
    table(tmp_path / "train.csv", range(10, 1001, 10))
    table(tmp_path / "val.csv", range(10))
    assert [run.metrics for run in discover(tmp_path)] == [("train/loss",), ("eval/loss",)]


@pytest.mark.parametrize(("name", "metric"), [("val_metrics.csv", "eval/loss"), ("dev_baseline.csv", "train/loss"),
                                              ("test.csv", "train/loss")])  # fmt: skip
def test_a_lone_name_says_a_split_only_where_it_can_mean_nothing_else(tmp_path, name, metric):
    table(tmp_path / name, range(10, 1001, 10))
    run = load(tmp_path)
    assert run.metrics == (metric,)
    assert any("the file's name says" in note.text for note in run.notes) == (metric != "train/loss")


def test_charts_of_the_same_runs_are_those_runs(tmp_path):
    chart(tmp_path / "wandb_export_1.csv", "train/loss", {"sun": 1.0, "dew": 2.0})
    chart(tmp_path / "wandb_export_2.csv", "eval/loss", {"sun": 1.5, "dew": 2.5}, range(0, 300, 50))
    runs = discover(tmp_path)
    assert [(run.name, run.metrics, run.seams) for run in runs] == [
        (name, ("eval/loss", "train/loss"), ()) for name in ("sun", "dew")
    ]
    assert [len(run.curve("eval/loss")) for run in runs] == [6, 6]


def test_a_chart_that_was_exported_twice_is_counted_once(tmp_path):
    for name in ("a.csv", "b.csv"):
        chart(tmp_path / name, "train/loss", {"sun": 1.0, "dew": 2.0})
    assert [(run.name, run.points, run.seams) for run in discover(tmp_path)] == [("sun", 30, ()), ("dew", 30, ())]


def test_charts_that_contradict_each_other_are_of_two_runs(tmp_path):
    chart(tmp_path / "a.csv", "train/loss", {"baseline": 1.0, "dew": 2.0})
    chart(tmp_path / "b.csv", "train/loss", {"baseline": 7.0, "sun": 2.0})
    runs = discover(tmp_path)
    assert len(runs) == 4
    assert len({run.id for run in runs}) == len({run.name for run in runs}) == 4
