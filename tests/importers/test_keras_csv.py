"""The Keras importers: CSVLogger files, appended ones, and histories as JSON."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from _reading import CORPUS, claiming, every_prefix, log_of, points, run_of, written

from curvelab.importers import keras_csv

PLAIN = "epoch,accuracy,loss,val_loss\n0,0.5,1.0,1.2\n1,0.6,0.8,nan\n2,0.7,0.6,1.1\n"


def test_rows(tmp_path: Path) -> None:
    path = written(tmp_path, "training.log", PLAIN)
    assert claiming(path) == ["keras-csv"]
    run = run_of(path)
    assert run.metrics == ("eval/loss", "train/accuracy", "train/loss")
    curve = run.curve("eval/loss")
    assert curve.step.tolist() == [0, 1, 2] and curve.epoch.tolist() == [0.0, 1.0, 2.0] and math.isnan(curve.value[1])
    assert any("epoch" in note.text for note in run.notes)


def test_appended_run_is_a_restart(tmp_path: Path) -> None:
    second = PLAIN.replace("0.8", "0.75").split("\n", 1)[1]
    run = run_of(written(tmp_path, "log.csv", PLAIN + second))
    assert [(seam.step, seam.reached) for seam in run.seams] == [(0, 2)]
    assert len(run.logged["train/loss"]) == 6 and run.curve("train/loss").value.tolist() == [1.0, 0.75, 0.6]


def test_header_in_the_middle(tmp_path: Path) -> None:
    other = "epoch,loss,lr\n0,0.4,0.1\n1,0.3,0.1\n"
    log = log_of(written(tmp_path, "log.csv", PLAIN + PLAIN + other))
    assert points(log, "loss") == [(0, 1.0), (1, 0.8), (2, 0.6)] * 2 + [(0, 0.4), (1, 0.3)]
    assert points(log, "lr") == [(0, 0.1), (1, 0.1)]
    assert log.restarts == (3, 6) and not log.skipped


def test_semicolons_and_decimal_commas(tmp_path: Path) -> None:
    log = log_of(written(tmp_path, "log.csv", "epoch;loss;val_loss\n0;1,5;2,5e-1\n1;1,25;NA\n"))
    assert points(log, "loss") == [(0, 1.5), (1, 1.25)] and points(log, "val_loss") == [(0, 0.25)]
    assert log.skipped == {"val_loss": 1}


def test_damaged_line(tmp_path: Path) -> None:
    log = log_of(written(tmp_path, "log.csv", PLAIN.replace("1,0.6,0.8,nan", '1,"0.6')))
    assert points(log, "loss") == [(0, 1.0), (2, 0.6)]
    assert [note.line for note in log.damage] == [3]


def test_every_prefix(tmp_path: Path) -> None:
    every_prefix(tmp_path / "log.csv", PLAIN.encode(), keras_csv.read.read)


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus is not here")
def test_corpus() -> None:
    run = run_of(CORPUS / "keras_csv" / "0148")
    assert len(run.logged["train/loss"]) == 100 and run.points == 50
    assert [(seam.step, seam.reached) for seam in run.seams] == [(0, 49)]
