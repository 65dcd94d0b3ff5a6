"""The plain CSV importer: step columns, W&B exports, quotes, and tables that are no logs."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from _reading import claiming, every_prefix, log_of, logs_of, points, run_of, written

from curvelab.importers import csv_table
from curvelab.ingest import gather

PLAIN = "step,epoch,train_loss,val_loss,note\n1,0.1,2.0,,a\n2,0.2,1.5,1.8,\n3,0.3,nan,,b\n"
CHART = (
    '"Step","a - b - train/loss","a - b - train/loss__MIN","a - b - train/loss__MAX",'
    '"c - train/loss","c - train/loss__MIN","c - train/loss__MAX"\n'
    '"1","2.0","2.0","2.0","","",""\n"2","1.5","1.4","1.6","3.0","3.0","3.0"\n'
)


def test_rows(tmp_path: Path) -> None:
    path = written(tmp_path, "losses.csv", PLAIN)
    assert claiming(path) == ["csv-table"]
    log = log_of(path)
    assert points(log, "val_loss") == [(2, 1.8)] and math.isnan(points(log, "train_loss")[2][1])
    assert log.skipped == {"note": 2}
    run = run_of(path)
    assert run.metrics == ("eval/loss", "train/loss")
    assert run.curve("train/loss").epoch.tolist() == [0.1, 0.2, 0.3]


@pytest.mark.parametrize(
    "counter", ["step", "Step", "global_step", "_step", "iteration", "iter", "current_steps", "trainer/global_step"]
)
def test_step_columns(tmp_path: Path, counter: str) -> None:
    log = log_of(written(tmp_path, "a.csv", f"loss,{counter}\n2,10\n1,20\n"))
    assert points(log, "loss") == [(10, 2.0), (20, 1.0)] and not log.notes


def test_wandb_history(tmp_path: Path) -> None:
    text = (
        ',_step,_runtime,_timestamp,train/global_step,train/loss,prompt\n0,0,1.0,1700000000.5,10,2.0,"a ""b"",\n\nc"\n'
        "1,1,2.0,1700000001.5,,1.5,\n2,2,3.0,1700000002.5,30,1.0,x\n"
    )
    log = log_of(written(tmp_path, "export.csv", text))
    assert points(log, "train/loss") == [(10, 2.0), (10, 1.5), (30, 1.0)]
    (series,) = log.series
    assert series.native_step is not None and series.native_step.tolist() == [0, 1, 2]
    assert series.wall_time is not None and series.wall_time.tolist() == [1700000000.5, 1700000001.5, 1700000002.5]
    assert log.skipped == {"prompt": 2}
    assert any('usable "train/global_step"' in note.text for note in log.notes)


def test_wandb_chart(tmp_path: Path) -> None:
    path = written(tmp_path, "wandb_export.csv", CHART)
    assert claiming(path) == ["csv-table"]
    one, two = logs_of(path)
    assert (one.identity["name"], points(one, "train/loss")) == ("a - b", [(1, 2.0), (2, 1.5)])
    assert (two.identity["name"], points(two, "train/loss")) == ("c", [(2, 3.0)])
    runs = gather([tmp_path]).runs
    assert [run.name for run in runs] == ["a - b", "c"] and {run.path for run in runs} == {str(path)}
    assert len({run.id for run in runs}) == 2


def test_chart_over_time_says_what_to_do(tmp_path: Path) -> None:
    path = written(tmp_path, "chart.csv", CHART.replace('"Step"', '"Relative Time (Process)"'))
    (error,) = gather([path]).errors
    assert "export it over the step" in error.message


def test_epochs_as_a_last_resort(tmp_path: Path) -> None:
    text = "                  epoch,         train/box_loss,  metrics/mAP50\n   0,  1.5,  0.1\n   1,  1.25,  0.2\n"
    log = log_of(written(tmp_path, "results.csv", text))
    assert log.format == "csv-table" and points(log, "train/box_loss") == [(0, 1.5), (1, 1.25)]
    assert any("number of the epoch" in note.text for note in log.notes)


@pytest.mark.parametrize(
    "text",
    [
        "id,label,score\n1,0,0.5\n2,1,0.6\n",
        "y_true,y_pred\n0,1\n1,1\n",
        "step,text\n1,hello\n2,world\n",
        "step,loss\n",
        "step,loss\na,1\nb,2\n",
        "step,loss\n-1.5,1\n-2.5,2\n",
        "epoch,temperature\n1700000000,20\n1700000060,21\n",
        "epoch,city\n1,2\n2,3\n",
        "step\n1\n2\n",
        "1,2,3\n4,5,6\n",
        "",
        "\n\n",
        "\x00\x01\x02",
        "step;1,2\n",
        "just text, with commas, and a step\n",
    ],
)
def test_tables_that_are_no_logs(tmp_path: Path, text: str) -> None:
    for name in ("predictions.csv", "metrics.csv", "a.tsv", "a.log"):
        assert claiming(written(tmp_path, name, text)) == []


def test_open_quotes_cost_one_line(tmp_path: Path) -> None:
    rows = [f"{i},{i / 2}" for i in range(1, 1001)]
    rows[10] = '11,"5.5'
    log = log_of(written(tmp_path, "a.csv", "step,loss\n" + "\n".join(rows) + "\n"))
    assert len(points(log, "loss")) == 999
    assert [note.line for note in log.damage] == [12]


def test_one_damaged_line_of_each_kind(tmp_path: Path) -> None:
    lines = PLAIN.splitlines()
    lines[2:2] = ["7", "8,1,1,1,1,1", "9,\x00,1,1,"]
    log = log_of(written(tmp_path, "a.csv", "\n".join(lines) + "\n"))
    assert [step for step, _ in points(log, "train_loss")] == [1, 2, 3] and len(log.damage) == 3


def test_huge_line(tmp_path: Path) -> None:
    text = "step,loss\n1,2\n2," + "9" * (5 * 1024**2) + "\n3,1\n"
    log = log_of(written(tmp_path, "a.csv", text))
    assert points(log, "loss") == [(1, 2.0), (3, 1.0)]
    assert any("longer than" in note.text for note in log.damage)


def test_every_prefix_of_whole_lines(tmp_path: Path) -> None:
    lines = PLAIN.splitlines(keepends=True)
    for end in range(2, len(lines) + 1):
        log = csv_table.read.read(_source(written(tmp_path, "a.csv", "".join(lines[:end]))))
        assert len(points(log, "train_loss")) == end - 1
    every_prefix(tmp_path / "b.csv", PLAIN.encode(), csv_table.read.read)


def test_two_logs_of_one_training_are_one_run(tmp_path: Path) -> None:
    written(tmp_path, "metrics.csv", "epoch,step,train_loss\n0,1,2.5\n0,2,1.25\n0,3,1.125\n0,4,1.0625\n")
    written(
        tmp_path, "log.jsonl", "".join(f'{{"step": {i}, "loss": {v}}}\n' for i, v in ((1, 2.5), (2, 1.25), (3, 1.125)))
    )
    assert run_of(tmp_path).format == "lightning-csv+jsonl-table"


def _source(path: Path):
    from curvelab.sources import Source

    return Source.at(path)


def test_a_name_twice_is_two_curves(tmp_path: Path) -> None:
    log = log_of(written(tmp_path, "log.csv", "step,loss,loss\n" + "".join(f"{s},{s}.5,9\n" for s in range(5))))
    assert points(log, "loss")[2] == (2, 2.5) and points(log, "loss (2)")[2] == (2, 9.0)
    assert "several columns have one name" in log.notes[0].text


def test_steps_with_thousands_separators(tmp_path: Path) -> None:
    log = log_of(written(tmp_path, "log.csv", "step,loss\n" + "".join(f'"{s:,}",0.5\n' for s in range(500, 3000, 500))))
    assert [step for step, _ in points(log, "loss")] == [500, 1000, 1500, 2000, 2500]


def test_comments_amid_the_rows_are_no_damage(tmp_path: Path) -> None:
    text = "# run A\nstep,loss\n1,0.5\n# checkpoint saved\n2,0.4\n"
    log = log_of(written(tmp_path, "log.csv", text))
    assert len(points(log, "loss")) == 2 and not log.damage


def test_a_wide_header_is_recognised(tmp_path: Path) -> None:
    names = [f"gradients/layer.{i}.weight" for i in range(4_000)]
    rows = [",".join(map(str, (step, *(step / 7 for _ in names)))) for step in range(9)]
    path = written(tmp_path, "history.csv", "\n".join([",".join(["_step", *names]), *rows]) + "\n")
    assert claiming(path) == ["csv-table"] and len(points(log_of(path), names[-1])) == 9


def test_a_chart_of_a_thousand_runs_is_recognised(tmp_path: Path) -> None:
    header = ",".join(f'"r{i} - loss","r{i} - loss__MIN","r{i} - loss__MAX"' for i in range(1_000))
    rows = "".join(f'"{s}",' + ",".join(['"0.5"'] * 3_000) + "\n" for s in range(5))
    assert len(logs_of(written(tmp_path, "wandb_export.csv", f'"Step",{header}\n{rows}'))) == 1_000


def test_charts_of_one_folder_say_that_they_are_of_one_run(tmp_path: Path) -> None:
    charts = [
        written(tmp_path, f"{metric}.csv", f'"Step","a - {metric}/loss","a - {metric}/loss__MIN"\n"0","1","1"\n"1","2","2"\n')
        for metric in ("train", "eval")
    ]
    first, second = (log_of(chart) for chart in charts)
    assert first.identity == second.identity


def test_a_time_past_every_calendar_harms_nothing(tmp_path: Path) -> None:
    text = "step,timestamp,loss\n" + "".join(f"{s},9999-12-31T23:59:59,0.5\n" for s in range(5))
    run = run_of(written(tmp_path, "log.csv", text))
    assert len(run.frame) == 5 and run.frame["wall_time"].isna().all()


STEPS = "date,steps,calories\n" + "".join(f"2024-01-{i:02d},{5000 + i},{2000 + i}\n" for i in range(1, 29))


def test_a_table_of_other_steps_is_no_log(tmp_path: Path) -> None:
    path = written(tmp_path, "fitness.csv", STEPS)
    (error,) = gather([tmp_path]).errors
    assert "name one: --metric calories=train/loss" in error.message
    (run,) = gather([path], metric_names={"calories": "train/loss"}).runs
    assert run.points == 28


@pytest.mark.parametrize("name", ["loss", "Valid MSE", "trainAcc", "val_f1", "a/b", "episode_reward", "lr", "acc@1"])
def test_names_that_speak_of_training(tmp_path: Path, name: str) -> None:
    assert claiming(written(tmp_path, "a.csv", f"step,{name}\n1,0.5\n2,0.4\n")) == ["csv-table"]


@pytest.mark.parametrize("name", ["price", "account", "interval", "lossless_size", "heart rate", "accidents"])
def test_names_that_do_not(tmp_path: Path, name: str) -> None:
    assert claiming(written(tmp_path, "a.csv", f"step,{name}\n1,0.5\n2,0.4\n")) == []
