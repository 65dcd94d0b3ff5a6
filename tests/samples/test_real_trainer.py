"""The ranges and the snippet against the real Trainer of Transformers, where it is installed."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from curvelab.facts import Facts
from curvelab.ingest import load
from curvelab.samples.counts import counted
from curvelab.samples.order import order_of, ranges_of
from curvelab.samples.snippet import snippet_of

pytestmark = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("torch", "transformers", "accelerate")),
    reason="needs torch and transformers",
)
SCRIPT = Path(__file__).with_name("tiny_trainer.py")
COMMON = {"samples": 50, "per_device_train_batch_size": 4, "num_train_epochs": 3, "seed": 7, "logging_steps": 2}
CASES = {
    "one batch a step": {},
    "accumulation, last step of an epoch short": {"gradient_accumulation_steps": 3},
    "data_seed": {"gradient_accumulation_steps": 3, "data_seed": 99},
    "incomplete batches dropped": {"gradient_accumulation_steps": 3, "dataloader_drop_last": True},
    "every step logged": {"gradient_accumulation_steps": 2, "logging_steps": 1},
    "ended by max_steps": {"gradient_accumulation_steps": 3, "max_steps": 13},
    "resumed inside an epoch": {"gradient_accumulation_steps": 3, "save_steps": 7},
}


def call(what: str, folder: Path, settings: dict, text: str = "") -> str:
    command = [sys.executable, str(SCRIPT), what, str(folder), json.dumps(settings)]
    done = subprocess.run(command, input=text, check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.parametrize("name", CASES)
def test_ranges_and_snippet_name_the_samples_that_were_read(name, tmp_path):
    settings = {"save_strategy": "steps" if "save_steps" in CASES[name] else "no", **COMMON, **CASES[name]}
    call("train", tmp_path, settings)
    read = {int(step): rows for step, rows in json.loads((tmp_path / "read.json").read_text()).items()}
    if "save_steps" in settings:
        call("train", tmp_path, settings | {"resume": "checkpoint-7"})
        again = {int(step): rows for step, rows in json.loads((tmp_path / "read.json").read_text()).items()}
        assert min(again) == 8 and all(read[step] == rows for step, rows in again.items())
    facts = Facts(load(tmp_path / "trainer_state.json"))
    one = counted(facts)
    order = order_of(facts, one)
    assert (one.gpus, order.shuffled, order.reproducible) == (1, True, True)
    steps = facts.curve("train/loss").step.tolist()
    windows = [(a + 1, b) for a, b in zip([0, *steps], steps, strict=False)]
    ranges = ranges_of(windows, one, order)
    program = snippet_of(ranges, one, order, None)
    told = re.findall(r"^steps (\d+)(?:-(\d+))?: rows \[(.*)\]$", call("print", tmp_path, settings, program), re.M)
    assert len(told) == len(ranges)
    for (first, last, rows), each in zip(told, ranges, strict=True):
        assert (each.step, each.end_step) == (int(first), int(last or first))
        given = [row for step in range(each.step, each.end_step + 1) for row in read[step]]
        assert given == [int(row) for row in rows.split(",")]
        assert len(given) <= each.end - each.first < len(given) + settings["per_device_train_batch_size"]


def test_the_snippet_counts_from_the_steps_where_the_log_says_too_little(tmp_path):
    settings = {**COMMON, "gradient_accumulation_steps": 3, "save_strategy": "no"}
    call("train", tmp_path, settings)
    read = json.loads((tmp_path / "read.json").read_text())
    (tmp_path / "training_args.bin").unlink()
    state = json.loads((tmp_path / "trainer_state.json").read_text())
    state["log_history"] = [row for row in state["log_history"] if "train_runtime" not in row]
    (tmp_path / "trainer_state.json").write_text(json.dumps(state))
    facts = Facts(load(tmp_path / "trainer_state.json"))
    one = counted(facts)
    order = order_of(facts, one)
    ranges = ranges_of([(3, 4), (9, 10)], one, order)
    assert one.per_step is None and all(each.first is None for each in ranges)
    printed = call("print", tmp_path, settings, snippet_of(ranges, one, order, None))
    told = {step: [int(row) for row in rows.split(",")] for step, rows in re.findall(r"^step (\d+): rows \[(.*)\]$", printed, re.M)}
    assert told == {step: read[step] for step in ("3", "4", "9", "10")}
