"""The console importer for nanoGPT, Megatron-LM and their like."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from _reading import claiming, every_prefix, log_of, points, run_of, written

from curvelab.importers import console_loss

NANOGPT = """number of parameters: 10.65M
step 0: train loss 4.2874, val loss 4.2823
iter 0: loss 4.2654, time 12345.67ms, mfu -100.00%
iter 10: loss 3.2654, time 12.67ms, mfu 10.00%
saving checkpoint to out
step 20: train loss 2.2874, val loss nan
iter 20: loss inf, time 12.67ms, mfu 10.00%
"""
MEGATRON = """> building indices ...
 [2024-01-01 00:00:00] iteration      100/    5000 | consumed samples:        25600 | elapsed time per iteration (ms): \
100.1 | learning rate: 1.000E-04 | global batch size:   256 | lm loss: 2.300000E+00 | loss scale: 1.0 | \
grad norm: 1.200 | number of skipped iterations:   0 | number of nan iterations:   0 |
 iteration      200/    5000 | consumed samples:        51200 | learning rate: 9.000E-05 | lm loss: 2.200000E+00 | \
grad norm: nan |
------------
 validation loss at iteration 200 | lm loss value: 2.100000E+00 | lm loss PPL: 8.200000E+00 |
"""


def test_nanogpt(tmp_path: Path) -> None:
    path = written(tmp_path, "train.log", NANOGPT)
    assert claiming(path) == ["console-loss"]
    log = log_of(path)
    assert points(log, "loss") == [(0, 4.2654), (10, 3.2654), (20, math.inf)]
    assert points(log, "train loss") == [(0, 4.2874), (20, 2.2874)]
    run = run_of(path)
    assert run.metrics == ("eval/loss", "mfu", "time", "train/loss", "train/loss (train loss)") and not run.seams


def test_only_estimates(tmp_path: Path) -> None:
    text = "".join(line + "\n" for line in NANOGPT.splitlines() if not line.startswith("iter"))
    assert run_of(written(tmp_path, "train.log", text)).metrics == ("eval/loss", "train/loss")


def test_megatron(tmp_path: Path) -> None:
    path = written(tmp_path, "log.txt", MEGATRON)
    assert claiming(path) == ["console-loss"]
    log = log_of(path)
    assert points(log, "lm loss") == [(100, 2.3), (200, 2.2)] and log.plan == 5000
    run = run_of(path)
    assert run.curve("eval/loss").value.tolist() == [2.1]
    assert {"train/loss", "train/grad_norm", "train/learning_rate", "train/loss_scale"} <= set(run.metrics)


def test_bars_between_numbers(tmp_path: Path) -> None:
    text = "".join(
        f"step {i:4d} | loss: {9 - i}.5 | lr 6.00e-04 | norm: 0.5 | dt: 12.00ms | tok/sec: 100\n" for i in range(3)
    )
    run = run_of(written(tmp_path, "main.log", text))
    assert run.curve("train/loss").value.tolist() == [9.5, 8.5, 7.5]
    assert {"train/learning_rate", "train/grad_norm", "train/tokens_per_second"} <= set(run.metrics)


def test_damaged_line(tmp_path: Path) -> None:
    text = NANOGPT.replace("iter 10: loss 3.2654", "iter 10: loss 3.2\x00654").replace("time 12345.67ms", "time ?")
    log = log_of(written(tmp_path, "a.log", text))
    assert points(log, "loss") == [(0, 4.2654), (20, math.inf)] and [note.line for note in log.damage] == [4]


def test_every_prefix(tmp_path: Path) -> None:
    every_prefix(tmp_path / "a.log", NANOGPT.encode(), console_loss.read.read)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    path = written(tmp_path, "a.log", NANOGPT.replace("\n", "\r\n").encode(encoding))
    assert claiming(path) == ["console-loss"] and len(points(log_of(path), "loss")) == 3


def test_huge_numbers(tmp_path: Path) -> None:
    text = NANOGPT + "iter 30: loss " + "9" * 6000 + ", time 1ms\niter " + "9" * 6000 + ": loss 1, time 1ms\n"
    assert points(log_of(written(tmp_path, "a.log", text)), "loss")[-1] == (30, math.inf)


def test_torchtune(tmp_path: Path) -> None:
    text = "".join(f"Step {s} | loss:{2 / s} lr:2e-05 tokens_per_second_per_gpu:1234.5 \n" for s in range(1, 20))
    path = written(tmp_path, "log_1700000000.txt", "Writing logs to /x/log.txt\n" + text + "Step 20 | loss:0.1 lr:2e-")
    assert claiming(path) == ["console-loss"]
    log = log_of(path)
    assert points(log, "loss")[-2:] == [(19, 2 / 19), (20, 0.1)] and len(points(log, "lr")) == 19
    assert {"train/loss", "train/learning_rate", "tokens_per_second_per_gpu"} <= set(run_of(path).metrics)


def test_a_late_beginning_is_found(tmp_path: Path) -> None:
    bars = "".join(f"\rMap:  {i % 100}%|###   | {i}/16000 [00:01<00:10, 1500.00 examples/s]" for i in range(30_000))
    losses = "".join(f"iter {s}: loss {2 / s}, time 12ms\n" for s in range(1, 20))
    assert len(points(log_of(written(tmp_path, "train.log", bars + "\n" + losses)), "loss")) == 19
    late = "not a loss\n" * 900_000 + losses
    assert claiming(written(tmp_path, "late.log", late)) == ["console-loss"]
