"""The Lightning importer: sparse rows, free names, hparams.yaml, damage."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pytest
from _reading import CORPUS, claiming, every_prefix, log_of, points, run_of, written

from curvelab.importers import lightning_csv
from curvelab.model.errors import UnreadableError
from curvelab.sources import Source

PLAIN = """epoch,step,train_loss_epoch,train_loss_step,val_loss
0,0,,2.5,
0,49,,1.5,
0,49,,,1.8
0,49,2.0,,
1,99,,nan,
1,99,,,inf
"""


def test_sparse_rows(tmp_path: Path) -> None:
    log = log_of(written(tmp_path, "metrics.csv", PLAIN))
    assert log.format == "lightning-csv"
    assert points(log, "train_loss_step")[:2] == [(0, 2.5), (49, 1.5)]
    assert math.isnan(points(log, "train_loss_step")[2][1])
    assert points(log, "val_loss") == [(49, 1.8), (99, math.inf)]
    series = log.find("val_loss")
    assert series is not None and series.epoch is not None and series.epoch.tolist() == [0.0, 1.0]
    assert not log.damage and not log.skipped


def test_names_by_step_and_by_epoch(tmp_path: Path) -> None:
    run = run_of(written(tmp_path, "metrics.csv", PLAIN))
    assert run.metrics == ("eval/loss", "train/loss", "train/loss_epoch")
    lone = run_of(written(tmp_path / "b", "metrics.csv", "epoch,step,train_loss_epoch\n0,9,1.0\n1,19,0.5\n"))
    assert lone.metrics == ("train/loss",)  # nothing finer is there


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("Train loss", "train/loss"), ("Valid MSE", "eval/mse"), ("Test MSE", "test/mse"), ("val_loss", "eval/loss"),
        ("val/loss", "eval/loss"), ("training_loss", "train/loss"), ("train_loss_step", "train/loss"),
        ("val_loss_epoch", "eval/loss"), ("val_acc", "eval/acc"), ("lr-AdamW", "train/learning_rate"),
        ("loss", "train/loss"), ("grad_norm", "train/grad_norm"), ("something else", "something else"),
        ("Validation Loss", "eval/loss"), ("loss_val", "eval/loss"), ("train/box_loss", "train/box_loss"),
    ],
)  # fmt: skip
def test_free_names(raw: str, name: str) -> None:
    assert lightning_csv.read.names(raw) == name


def test_settings_beside(tmp_path: Path) -> None:
    path = written(tmp_path, "metrics.csv", PLAIN)
    written(tmp_path, "hparams.yaml", "lr: 0.001\nmodel:\n  width: 64\n  act: relu\n")
    run = run_of(path)
    assert run.config["learning_rate"].value == 0.001 and run.config["learning_rate"].origin == "hparams.yaml"
    assert run.raw_config["hparams.yaml"]["model"] == {"width": 64, "act": "relu"}


@pytest.mark.parametrize(
    "text",
    [
        "x: !!python/object/apply:os.system ['true']\n",
        "a: &a [x,x]\n" + "".join(f"b{i}: &b{i} [*a,*a,*a]\n" for i in range(40)),
        "[" * 100_000,
        "a: " + "{" * 20_000,
        "k: v\n" * 100_000,
        "\x00\x01",
        "a: &a {k: 1}\n" + "".join(f"b{i}: &b{i}\n  <<: [{', '.join(['*a'] * 12)}]\n" for i in range(19)),
    ],
)
def test_hostile_settings(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, "metrics.csv", PLAIN)
    written(tmp_path, "hparams.yaml", text)
    start = time.perf_counter()
    run = run_of(path)
    assert len(run.metrics) == 3 and not run.config
    assert "python" in text or any("settings are not used" in note.text for note in run.notes)
    assert time.perf_counter() - start < 5


def test_link_to_settings_is_not_followed(tmp_path: Path) -> None:
    path = written(tmp_path / "run", "metrics.csv", PLAIN)
    (tmp_path / "run" / "hparams.yaml").symlink_to(written(tmp_path, "secret.yaml", "lr: 1\n"))
    assert not run_of(path).raw_config


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings(tmp_path: Path, encoding: str, newline: str) -> None:
    path = written(tmp_path, "metrics.csv", PLAIN.replace("\n", newline).encode(encoding))
    assert claiming(path) == ["lightning-csv"]
    assert points(log_of(path), "val_loss") == [(49, 1.8), (99, math.inf)]


def test_damaged_lines(tmp_path: Path) -> None:
    damaged = PLAIN.splitlines()
    damaged[2:2] = ["1,2", '0,7,"oops,1.0,', "0,8,,\x00,", "\x00\x00", "1,2,3,4,5,6", "0,9,,\udcff,"]
    text = "\n".join(damaged) + "\n"
    log = log_of(written(tmp_path, "metrics.csv", text.encode("utf-8", "surrogateescape")))
    assert points(log, "val_loss") == [(49, 1.8), (99, math.inf)]
    assert points(log, "train_loss_step")[:2] == [(0, 2.5), (49, 1.5)]
    assert log.skipped == {"train_loss_step": 1}
    told = " ".join(str(note) for note in log.damage)
    for reason in ("fewer fields", "more fields", "never closes", "NUL"):
        assert reason in told
    assert ":3:" in told


def test_every_prefix(tmp_path: Path) -> None:
    every_prefix(tmp_path / "metrics.csv", PLAIN.encode(), lightning_csv.read.read)


def test_a_cut_last_cell_is_no_value(tmp_path: Path) -> None:
    log = log_of(written(tmp_path, "metrics.csv", PLAIN + "1,120,,,1.2"))
    assert points(log, "val_loss")[-1] == (99, math.inf)
    assert any("cut" in note.text for note in log.damage)


def test_nothing_to_read(tmp_path: Path) -> None:
    for data in (b"", b"\x00" * 100, b"epoch,step,loss\n"):
        with pytest.raises(UnreadableError):
            lightning_csv.read.read(Source.at(written(tmp_path, "metrics.csv", data)))


def test_extreme_numbers(tmp_path: Path) -> None:
    rows = ["epoch,step,a", "0,1,1e400", "0,2," + "9" * 6000, "0," + "9" * 6000 + ",1", "0,-3,1", "0,4,1_000"]
    log = log_of(written(tmp_path, "metrics.csv", "\n".join(rows) + "\n0,5,2\n" * 9))
    assert points(log, "a")[:4] == [(1, math.inf), (2, math.inf), (2, 1.0), (2, 1.0)]
    assert log.skipped == {"a": 1}
    assert any("beyond the range" in note.text for note in log.notes)


def test_a_hundred_thousand_columns(tmp_path: Path) -> None:
    header = "epoch,step," + ",".join(f"m{i}" for i in range(100_000))
    row = "0,{}," + ",".join(["1"] * 100_000)
    path = written(tmp_path, "metrics.csv", "\n".join([header, row.format(1), row.format(2)]) + "\n")
    log = lightning_csv.read.read(Source.at(path))
    assert len(log.series) == 19_998 and log.series[0].step.tolist() == [1, 2]
    assert any("columns beyond" in note.text for note in log.damage)


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus is not here")
@pytest.mark.parametrize("path", sorted(CORPUS.glob("lightning_csv/*/metrics.csv")), ids=lambda path: path.parent.name)
def test_corpus(path: Path) -> None:
    import pandas as pd

    log, table = log_of(path), pd.read_csv(path)
    for name in table.columns.drop(["epoch", "step"]):
        expected = table[["step", name]].dropna()
        assert points(log, name) == list(zip(expected["step"], expected[name], strict=True))
    assert "train/loss" in run_of(path.parent).metrics
    assert not log.damage and not log.skipped
