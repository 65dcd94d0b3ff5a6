"""The JSON-lines importer: step names, nesting, old W&B folders, data sets that are no logs."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path

import pytest
from _reading import claiming, every_prefix, log_of, points, run_of, written

from curvelab.importers import jsonl_table

ROWS = [
    {"step": 1, "loss": 2.0, "eval": {"loss": 2.5}, "t": "x"},
    {"step": 2, "loss": "1.5", "lr": 1e-4},
    {"step": 3, "loss": math.nan, "eval": None, "hist": [1, 2]},
    {"step": 4, "loss": 1.0, "ok": True},
]
TEXT = "".join(json.dumps(row) + "\n" for row in ROWS)


def test_rows(tmp_path: Path) -> None:
    path = written(tmp_path, "log.jsonl", TEXT)
    assert claiming(path) == ["jsonl-table"]
    log = log_of(path)
    assert points(log, "eval/loss") == [(1, 2.5)] and points(log, "loss")[:2] == [(1, 2.0), (2, 1.5)]
    assert log.skipped == {"t": 1, "hist": 1}
    assert run_of(path).metrics == ("eval/loss", "ok", "train/learning_rate", "train/loss")


def test_gzip(tmp_path: Path) -> None:
    assert len(points(log_of(written(tmp_path, "log.jsonl.gz", gzip.compress(TEXT.encode()))), "loss")) == 4


def test_old_wandb_folder(tmp_path: Path) -> None:
    folder = tmp_path / "wandb" / "run-20200101_120000-abc123"
    text = '{"loss": 2.0, "_step": 0, "_runtime": 1.5, "_timestamp": 1577880001}\n{"loss": 1.0, "_step": 1}\n'
    path = written(folder, "wandb-history.jsonl", text)
    written(folder, "config.yaml", "wandb_version: 1\nlr:\n  desc: null\n  value: 0.1\n_wandb:\n  value:\n    x: 1\n")
    log = log_of(path)
    assert points(log, "loss") == [(0, 2.0), (1, 1.0)] and log.identity == {"id": "abc123"}
    pytest.importorskip("yaml")
    assert run_of(log.path).raw_config == {"config.yaml": {"lr": 0.1}}


@pytest.mark.parametrize(
    "text",
    [
        '{"prompt": "a", "response": "b"}\n' * 3,
        '{"step": "one", "score": 1}\n',
        '{"step": 1, "text": "a", "other": "b", "score": 1}\n' * 3,
        '{"step": 5, "loss": 1}\n{"step": 4, "loss": 1}\n{"step": 3, "loss": 1}\n',
        '{"step": true, "loss": 1}\n',
        "[1, 2]\n", "text\n", "", "{}\n", "{\n" * 50, '{"step": [1], "loss": 1}\n',
    ],
)  # fmt: skip
def test_data_that_is_no_log(tmp_path: Path, text: str) -> None:
    assert claiming(written(tmp_path, "train.jsonl", text)) == []


def test_damaged_line(tmp_path: Path) -> None:
    log = log_of(written(tmp_path, "log.jsonl", TEXT.replace('{"step": 2', '{"step" 2').encode() + b"\xff\xfe{\n"))
    assert [step for step, _ in points(log, "loss")] == [1, 3, 4]
    assert [note.line for note in log.damage] == [2]
    assert "2 lines" in log.damage[0].text


def test_deep_nesting_and_many_names(tmp_path: Path) -> None:
    deep = '{"step": 5, "loss": ' + '{"a":' * 3000 + "1" + "}" * 3000 + "}\n"
    many = json.dumps({"step": 6} | {f"m{i}": i for i in range(30_000)}) + "\n"
    log = log_of(written(tmp_path, "log.jsonl", TEXT + deep + many))
    assert len(points(log, "loss")) == 4 and len(log.series) <= 20_000
    assert points(log, "m0") == [(6, 0.0)]


def test_every_prefix(tmp_path: Path) -> None:
    every_prefix(tmp_path / "log.jsonl", TEXT.encode(), jsonl_table.read.read)


def test_any_number_of_objects_on_one_line(tmp_path: Path) -> None:
    glued = "".join(json.dumps({"step": s, "loss": 1 / (s + 1)}) for s in range(200))
    log = log_of(written(tmp_path, "log.jsonl", f'{{"step": 0, "loss": 1}}\n{glued}\n'))
    assert len(points(log, "loss")) == 201 and not log.damage


def test_long_lines_are_recognised(tmp_path: Path) -> None:
    wide = {f"gradients/layer.{i}.weight": i / 7 for i in range(4_000)}
    text = "".join(json.dumps({"_step": s, **wide}) + "\n" for s in range(12))
    assert len(points(log_of(written(tmp_path, "history.jsonl", text)), "gradients/layer.7.weight")) == 12


def test_rows_may_name_the_step_differently(tmp_path: Path) -> None:
    rows: list[dict[str, float]] = [{"step": s, "loss": 1 / s} for s in range(1, 21)]
    rows[10:10] = [{"global_step": 10, "eval_loss": 2.0}]
    log = log_of(written(tmp_path, "log.jsonl", "".join(json.dumps(row) + "\n" for row in rows)))
    assert points(log, "eval_loss") == [(10, 2.0)] and [s for s, _ in points(log, "loss")] == list(range(1, 21))
    assert not log.notes


def test_another_counter_is_no_substitute(tmp_path: Path) -> None:
    rows = [{"global_step": 10, "step": 1, "loss": 1.0}, {"step": 2, "loss": 0.5}, {"global_step": 30, "step": 3, "loss": 0.4}]
    log = log_of(written(tmp_path, "log.jsonl", "".join(json.dumps(row) + "\n" for row in rows)))
    assert points(log, "loss") == [(10, 1.0), (10, 0.5), (30, 0.4)] and "no usable" in log.notes[0].text


def test_fractional_epochs_keep_their_rows_apart(tmp_path: Path) -> None:
    rows: list[dict[str, float]] = [{"epoch": s / 100, "loss": 1 / s} for s in range(1, 301)]
    rows.insert(200, {"epoch": 2.0, "eval_loss": 1.0})
    log = log_of(written(tmp_path, "log.jsonl", "".join(json.dumps(row) + "\n" for row in rows)))
    series = log.find("loss")
    assert series is not None and series.step.tolist() == list(range(1, 301))
    assert series.epoch is not None and series.epoch[99] == 1.0
    assert points(log, "eval_loss") == [(200, 1.0)] and "are counted" in log.notes[0].text


def test_names_of_data_sets_keep_their_case(tmp_path: Path) -> None:
    rows = [{"step": s, "loss": 1.0, "eval": {"setA": {"loss": 1.5}}, "eval_setB_loss": 2.0} for s in range(4)]
    run = run_of(written(tmp_path, "log.jsonl", "".join(json.dumps(row) + "\n" for row in rows)))
    assert run.metrics == ("eval/setA/loss", "eval/setB/loss", "train/loss")


def test_what_an_agent_did_is_no_log(tmp_path: Path) -> None:
    rows = [{"episode": i // 20, "step": i % 20, "action": i % 3, "reward": 1.0, "done": i % 20 == 19} for i in range(80)]
    assert claiming(written(tmp_path, "trajectory.jsonl", "".join(json.dumps(row) + "\n" for row in rows))) == []


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e308", "-1e308"])
def test_a_log_that_is_not_finite_from_the_start_is_a_log(tmp_path: Path, value: str) -> None:
    path = written(tmp_path, "log.jsonl", "".join(f'{{"step": {i}, "loss": {value}}}\n' for i in range(100)))
    assert claiming(path) == ["jsonl-table"]
    assert len(points(log_of(path), "loss")) == 100
