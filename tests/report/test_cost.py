"""What a run cost and which checkpoint to use, in words: terminal, Markdown and page say the same."""

from __future__ import annotations

import msgspec
import pytest

from curvelab.model.result import EarlyStopping, Waste
from curvelab.report import wording
from curvelab.report.markdown import markdown
from curvelab.report.numerals import money
from curvelab.report.page import page

from . import diagnoses as made
from .test_page import Collector


def waste(**fields: object) -> str:
    one = Waste(since_step=350, steps=650, **fields)  # type: ignore[arg-type]
    return wording.wasted(msgspec.structs.replace(made.diagnosis(), wasted=one))


def test_only_what_is_known_is_told() -> None:
    assert waste(why="overfitting", share=0.65) == "650 steps, 65\u202f% of the run after step 350 (the best eval)"
    assert waste(why="plateau", seconds=60.0).endswith("1 min after step 350 (the loss stopped improving)")
    assert waste(why="schedule-anomaly", gpus=8, gpus_from="--gpus").endswith("(the learning rate is zero)")
    all_of_it = waste(
        why="non-finite", seconds=9412.0, gpus=8, gpus_from="world_size in training_args.bin", gpu_hours=20.9156,
        price=2.5, money=52.289, tokens=123456789,
    )  # fmt: skip
    assert "2 h 36 min, 20.9 GPU-hours, a cost of 52.29, 1.23e8 tokens after step 350 (non-finite)" in all_of_it
    assert all_of_it.endswith("; 8 GPUs at 2.50 an hour (world_size in training_args.bin)")


@pytest.mark.parametrize(("amount", "words"), [(0.066, "0.07"), (999.994, "999.99"), (12345.6, "12,346"), (0.0, "0.00")])
def test_money(amount: float, words: str) -> None:
    assert money(amount) == words


def stopped(**fields: object) -> str:
    plain = {"metric": "eval/loss", "patience": 3, "threshold": 0.001, "evals": 20, "stop_step": None, "kept_step": 350}
    one = EarlyStopping(**(plain | {"kept_value": 1.662} | fields))  # type: ignore[arg-type]
    return wording.early_stopping(msgspec.structs.replace(made.diagnosis(), early_stopping=one))


def test_early_stopping() -> None:
    assert stopped() == "would not have stopped this run (patience 3, least gain 0.001 on eval/loss, 20 evals)"
    kept = "would have stopped at step 500 with step 350 kept (eval/loss 1.662)"
    assert stopped(stop_step=500) == ""  # at the end of the run: it would have saved nothing
    assert stopped(stop_step=500, saved_steps=1).startswith(f"{kept}, 1 step saved")
    missed = stopped(stop_step=500, saved_steps=500, later_step=900, later_value=1.5)
    assert missed.endswith("; it would have missed a better eval at step 900 (1.5)")


def test_page_and_markdown_have_a_line_each() -> None:
    words = Collector(page(made.ten_findings())).text()
    assert "What it cost and which checkpoint to use" in words
    for part in (wording.wasted, wording.early_stopping, wording.checkpoint):
        assert " ".join(part(made.ten_findings()).split()) in words
    text = markdown([made.ten_findings()])
    assert "\n- Wasted: 650 steps" in text and "\n- Early stopping: would" in text and "\n- Checkpoint: Use checkpoint-350" in text


def test_nothing_is_said_of_a_run_that_cost_nothing() -> None:
    assert "What it cost" not in page(made.diagnosis())
    assert (wording.wasted(made.diagnosis()), wording.early_stopping(made.diagnosis()), wording.checkpoint(made.diagnosis())) == ("", "", "")
    assert "Wasted" not in markdown([made.diagnosis()])
