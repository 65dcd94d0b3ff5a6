"""Keras histories as JSON: lists, pandas' dicts, cut files."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from _reading import claiming, log_of, points, rows_of, run_of, written

from curvelab.importers import keras_history
from curvelab.model.errors import UnreadableError
from curvelab.sources import Source

HISTORY = {"loss": [1.0, math.nan, 0.5], "accuracy": [0.1, 0.2, 0.3], "val_loss": [1.5, 1.25], "lr": ["0.1", "x", None]}


def test_lists(tmp_path: Path) -> None:
    path = written(tmp_path, "history.json", json.dumps(HISTORY))
    assert claiming(path) == ["keras-history"]
    run = run_of(path)
    assert run.metrics == ("eval/loss", "train/accuracy", "train/learning_rate", "train/loss")
    assert run.curve("eval/loss").step.tolist() == [0, 1] and math.isnan(run.curve("train/loss").value[1])
    assert log_of(path).skipped == {"lr": 1}


def test_other_shapes(tmp_path: Path) -> None:
    nested = {"history": {"loss": [2.0, 1.0]}, "epoch": [5, 6], "params": {"epochs": 2}}
    assert points(log_of(written(tmp_path, "my_history.json", json.dumps(nested))), "loss") == [(5, 2.0), (6, 1.0)]
    pandas = {"loss": {str(i): float(i) for i in range(12)}, "val_loss": {"0": 1.0}}
    log = log_of(written(tmp_path, "trainHistoryDict.History.json", json.dumps(pandas)))
    assert points(log, "loss") == [(i, float(i)) for i in range(12)]


@pytest.mark.parametrize("text", ['{"messages": [1, 2]}', '[{"loss": 1}]', '{"history": ["a"]}', '{"loss": 3}', "{}", ""])
def test_other_json_is_not_claimed(tmp_path: Path, text: str) -> None:
    assert claiming(written(tmp_path, "history.json", text)) == []


def test_every_prefix(tmp_path: Path) -> None:
    data = json.dumps(HISTORY).encode()
    path = tmp_path / "history.json"
    path.write_bytes(data)
    whole, most = rows_of(keras_history.read.read(Source.at(path))), 0
    for end in range(len(data)):
        path.write_bytes(data[:end])
        try:
            now = rows_of(keras_history.read.read(Source.at(path)))
        except UnreadableError:
            now = set()
        assert now <= whole and len(now) >= most
        most = len(now)


def test_damage_keeps_the_rest(tmp_path: Path) -> None:
    log = log_of(written(tmp_path, "history.json", '{"loss": [1.0, 0.5, oops, 2], "val_loss": [3.0, 2.0]}'))
    assert points(log, "loss") == [(0, 1.0), (1, 0.5)] and points(log, "val_loss") == [(0, 3.0), (1, 2.0)]
    assert log.damage
