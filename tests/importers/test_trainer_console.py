"""The Trainer console importer: dicts among bars, steps that are guessed, texts that are no logs."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from _reading import claiming, log_of, points, rows_of, run_of, written

from curvelab.importers import trainer_console
from curvelab.importers._console_kinds import pairs_of, trainer_dicts
from curvelab.ingest import gather
from curvelab.model.errors import UnreadableError
from curvelab.sources import Source


def dict_line(i: int, *, as_text: bool = False) -> str:
    if as_text:
        return f"{{'loss': '{2 / i:.4f}', 'grad_norm': 'nan', 'learning_rate': '1e-05', 'epoch': '{i / 10}'}}"
    return f"{{'loss': {2 / i:.4f}, 'grad_norm': nan, 'learning_rate': 1e-05, 'epoch': {i / 10}}}"


def bar(done: int, total: int = 50) -> str:
    return f" {100 * done // total}%|{'#' * 5}     | {done}/{total} [00:05<01:30,  2.1it/s]"


def with_bars(*, as_text: bool = False) -> str:
    out = "Map: 100%|#####| 9000/9000 [00:01<00:00]\nsome text {'a': 1}\r" + bar(0)
    for i in range(1, 6):
        out += "\r" + bar(10 * i - 1) + "\r" + " " * 20 + "\r" + dict_line(i, as_text=as_text) + "\n\r" + bar(10 * i)
    out += "\n\r 33%|###   | 1/3 [00:00<00:00]\r{'eval_loss': 1.25, 'eval_runtime': 2.0, 'epoch': 0.5}\n"
    return (
        out
        + "\r"
        + bar(50)
        + "\n{'train_runtime': 9.5, 'train_loss': 0.9, 'epoch': 0.5}\n100%|#####| 50/50 [01:30<00:00]\n"
    )


@pytest.mark.parametrize("as_text", [False, True])
def test_steps_from_the_bar(tmp_path: Path, as_text: bool) -> None:
    path = written(tmp_path, "slurm-123.out", with_bars(as_text=as_text))
    assert claiming(path) == ["trainer-console"]
    log = log_of(path)
    assert points(log, "loss") == [(10, 2.0), (20, 1.0), (30, 0.6667), (40, 0.5), (50, 0.4)]
    assert all(math.isnan(value) for _, value in points(log, "grad_norm"))
    assert points(log, "eval_loss") == [(50, 1.25)]
    assert (log.plan, log.finished) == (50, True)
    assert any("guessed from the progress bar" in note.text for note in log.notes)
    assert run_of(path).metrics == (
        "eval/loss", "eval/runtime", "final/train_loss", "final/train_runtime",
        "train/grad_norm", "train/learning_rate", "train/loss",
    )  # fmt: skip


def test_steps_from_the_epoch_when_bars_are_elsewhere(tmp_path: Path) -> None:
    text = bar(0) + "\n" + "".join(dict_line(i) + "\n" for i in range(1, 11)) + bar(50) + "\n"
    log = log_of(written(tmp_path, "train.log", text))
    assert [step for step, _ in points(log, "loss")] == [5 * i for i in range(1, 11)]
    assert any("from the epoch" in note.text for note in log.notes)


def test_a_bar_with_a_description_counts_no_steps(tmp_path: Path) -> None:
    weights = "Loading weights:   0%|          | 0/3 [00:00<?, ?it/s]\rLoading weights: 100%|##########| 3/3 [00:00<00:00]\n"
    log = log_of(written(tmp_path, "train.log", weights + "".join(dict_line(i) + "\n" for i in range(1, 11))))
    assert [step for step, _ in points(log, "loss")] == list(range(1, 11))


def test_steps_by_counting(tmp_path: Path) -> None:
    log = log_of(written(tmp_path, "train.txt", "".join(f"INFO {dict_line(i)} done\n" for i in range(1, 5))))
    assert [step for step, _ in points(log, "loss")] == [1, 2, 3, 4]
    assert any("by counting" in note.text for note in log.notes) and log.plan is None


def test_steps_that_are_printed(tmp_path: Path) -> None:
    lines = [f"{{'loss': '{3 - i}', 'epoch': '0.{i}', 'global_step/max_steps': '{5 * i}/100'}}\n" for i in (1, 2)]
    log = log_of(written(tmp_path, "train.log", "".join(lines)))
    assert points(log, "loss") == [(5, 2.0), (10, 1.0)] and log.plan == 100
    assert not any("guessed" in note.text for note in log.notes)


def test_damage(tmp_path: Path) -> None:
    text = with_bars().replace(dict_line(2), dict_line(2)[:30]) + "{'loss': __import__('os').abort(), 'epoch': 1}\n"
    log = log_of(written(tmp_path, "train.log", text))
    assert [value for _, value in points(log, "loss")] == [2.0, 0.6667, 0.5, 0.4]
    assert "cut or broken" in log.damage[0].text


def test_every_prefix(tmp_path: Path) -> None:
    data = "".join(dict_line(i) + "\n" for i in range(1, 6)).encode()
    path = written(tmp_path, "a.log", data)
    whole = rows_of(trainer_console.read.read(Source.at(path)))
    for end in range(len(data)):
        path.write_bytes(data[:end])
        try:
            now = rows_of(trainer_console.read.read(Source.at(path)))
        except UnreadableError:
            now = set()
        assert now <= whole and len(now) == 3 * data[:end].count(b"}")


@pytest.mark.parametrize(
    "text",
    [
        "{'loss': 1}",
        "{'epoch': 1.0, 'name': 'x'}\n" * 3,
        "config = {'loss': [1, 2], 'epoch': 3}\n" * 3,
        "The loss fell at step 3.\n" * 3,
        "loss",
        "",
        "\x00" * 100,
        "{'" * 50_000,
        "{'loss': " * 10_000,
        "iter " * 50_000 + "loss",
    ],
)
def test_texts_that_are_no_logs(tmp_path: Path, text: str) -> None:
    for name in ("notes.txt", "a.log", "b.out"):
        assert claiming(written(tmp_path, name, text)) == []


def test_the_console_of_a_run_is_no_second_run(tmp_path: Path) -> None:
    history = [{"loss": 2 / i + 1e-6, "epoch": i / 10, "step": 10 * i} for i in range(1, 6)]
    written(tmp_path, "trainer_state.json", json.dumps({"log_history": history}))
    written(tmp_path, "train.log", "".join(dict_line(i) + "\n" for i in range(1, 6)))
    run = run_of(tmp_path)
    assert run.curve("train/loss").step.tolist() == [10, 20, 30, 40, 50] and len(run.logged["train/loss"]) == 5
    assert any("console output" in note.text for note in run.notes)
    written(tmp_path, "other.log", "".join(dict_line(i).replace("0.", "0.3") + "\n" for i in range(1, 6)))
    assert len(gather([tmp_path]).runs) == 2


def test_nothing_is_evaluated() -> None:
    assert pairs_of("'loss': 1.5, 'epoch': '0.1'") == {"loss": "1.5", "epoch": "0.1"}
    for inside in ("'loss': print(1)", "'loss': [1]", "'loss': 1 'epoch': 2", "loss: 1", "'a': 'b' 'c'"):
        assert pairs_of(inside) is None
    assert trainer_dicts("{'loss': " + "9" * 300 + ", 'epoch': 1}") != []


def test_bars_before_the_first_dict(tmp_path: Path) -> None:
    bars = "".join(f"\rMap:  {i % 100}%|###   | {i}/16000 [00:01<00:10, 1500.00 examples/s]" for i in range(30_000))
    dicts = "".join(f"{{'loss': {1 / s:.4f}, 'learning_rate': 1e-05, 'epoch': {s / 200:.2f}}}\n" for s in range(1, 9))
    assert len(points(log_of(written(tmp_path, "train.log", bars + "\n" + dicts)), "loss")) == 8
