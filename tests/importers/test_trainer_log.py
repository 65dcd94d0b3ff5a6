"""The LLaMA-Factory importer: both spellings of the learning rate, nulls, two writers, damage."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from _reading import CORPUS, claiming, every_prefix, log_of, points, run_of, written

from curvelab.importers import trainer_log


def row(step: int, **more: object) -> dict[str, object]:
    return {"current_steps": step, "total_steps": 40, "epoch": step / 20, "percentage": 1.0, "elapsed_time": "0:01"} | more


ROWS = [
    row(10, loss=2.0, eval_loss=None, lr=1e-5),
    row(20, loss=1.5, lr=2e-5),
    row(20, eval_loss=1.7),
    row(30, loss=math.nan, lr=1e-5),
    row(40, loss=1.0, learning_rate=0.0, reward="text"),
    row(40, loss=None),
]
TEXT = "".join(json.dumps(entry) + "\n" for entry in ROWS)


def test_rows(tmp_path: Path) -> None:
    path = written(tmp_path, "trainer_log.jsonl", TEXT)
    assert claiming(path) == ["trainer-log"]
    log = log_of(path)
    assert points(log, "lr") == [(10, 1e-5), (20, 2e-5), (30, 1e-5)]
    assert [step for step, _ in points(log, "loss")] == [10, 20, 30, 40]
    assert math.isnan(points(log, "loss")[2][1])
    assert points(log, "eval_loss") == [(20, 1.7)]
    assert (log.plan, log.reached, log.finished, log.skipped) == (40, 40, True, {"reward": 1})
    run = run_of(path)
    assert run.metrics == ("eval/loss", "train/learning_rate", "train/loss") and run.state == "finished"
    assert run.curve("train/learning_rate").step.tolist() == [10, 20, 30, 40]


def test_not_finished_without_the_last_row(tmp_path: Path) -> None:
    assert log_of(written(tmp_path, "trainer_log.jsonl", TEXT.rsplit("\n", 2)[0] + "\n")).finished is None


def test_damaged_lines(tmp_path: Path) -> None:
    first, second, *rest = TEXT.splitlines()
    lines = [first + second, '{"current_steps": 15, "lo' + rest[0], "}", "[1]", "{" * 100_000, *rest[1:]]
    log = log_of(written(tmp_path, "trainer_log.jsonl", "\n".join(lines) + "\n"))
    assert [step for step, _ in points(log, "loss")] == [10, 20, 30, 40]
    assert points(log, "eval_loss") == [(20, 1.7)]
    assert [note.line for note in log.damage] == [2, 3]


def test_extreme_numbers(tmp_path: Path) -> None:
    lines = [
        '{"current_steps": 1, "total_steps": 9, "loss": 1e400}',
        '{"current_steps": 2, "total_steps": 9, "loss": ' + "9" * 6000 + "}",
        '{"current_steps": ' + "9" * 6000 + ', "total_steps": 9, "loss": 3}',
        '{"current_steps": 4, "total_steps": 9, "loss": -Infinity}',
        '{"current_steps": 5, "total_steps": 9, "loss": ' + "[" * 5000 + "]" * 5000 + "}",
    ]
    log = log_of(written(tmp_path, "trainer_log.jsonl", "\n".join(lines) + "\n"))
    assert points(log, "loss") == [(1, math.inf), (2, math.inf), (2, 3.0), (4, -math.inf)]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    path = written(tmp_path, "trainer_log.jsonl", TEXT.replace("\n", "\r\n").encode(encoding))
    assert claiming(path) == ["trainer-log"] and len(points(log_of(path), "loss")) == 4


def test_every_prefix(tmp_path: Path) -> None:
    every_prefix(tmp_path / "trainer_log.jsonl", TEXT.encode(), trainer_log.read.read)


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus is not here")
@pytest.mark.parametrize("path", sorted(CORPUS.glob("trainer_log/*/*.jsonl")), ids=lambda path: path.parent.name)
def test_corpus(path: Path) -> None:
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    expected = [(entry["current_steps"], entry["loss"]) for entry in entries if entry.get("loss") is not None]
    log = log_of(path)
    assert points(log, "loss") == expected
    assert log.plan == entries[-1]["total_steps"] and log.finished and not log.damage
    run = run_of(path.parent)
    assert run.points == len({step for step, _ in expected}) and not run.seams and run.state == "finished"


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus is not here")
def test_two_processes_on_one_file() -> None:
    run = run_of(CORPUS / "trainer_log" / "0126")
    assert any("416 times" in note.text for note in run.notes)
