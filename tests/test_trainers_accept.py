"""Against the trainers themselves: the names exist, and Transformers accepts what a patch sets.

They run where transformers and trl can be imported, or with the interpreter that CURVELAB_TRAINING_PYTHON names.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
from test_patch import finding, fix, patched, run_of

from curvelab.knowledge.trainers import LLAMAFACTORY, TRANSFORMERS, TRL

ASK = """
import dataclasses, json, sys, warnings
warnings.filterwarnings("ignore")
import transformers, trl
def fields(one): return sorted(f.name for f in dataclasses.fields(one))
answer = {name: fields(getattr(trl, name)) for name in ("SFTConfig", "DPOConfig", "GRPOConfig", "ModelConfig")}
answer["TrainingArguments"] = fields(transformers.TrainingArguments)
import inspect
answer["EarlyStoppingCallback"] = list(inspect.signature(transformers.EarlyStoppingCallback).parameters)
refused = []
for settings in json.load(sys.stdin):
    try:
        transformers.TrainingArguments(output_dir="unused", use_cpu=True, report_to="none", **settings)
    except Exception as error:
        refused.append([settings, f"{type(error).__name__}: {error}"])
print(json.dumps({"fields": answer, "refused": refused}))
"""
BEFORE = [  # settings of a run, as the trainer logs them
    {"eval_strategy": evals, "save_strategy": saves, "eval_steps": every, "save_steps": save, "fp16": False, "bf16": False}
    for evals, saves, every, save in itertools.product(("no", "steps", "epoch"), ("no", "steps", "epoch", "best"), (20, 0.1), (50, 0.25))
]
WISHES = (
    finding("divergence", fix(learning_rate=(2e-4, 4e-5), warmup_steps=(0, 10), max_grad_norm=(0, 1.0)), severity="critical"),
    finding("overfitting", fix(load_best_model_at_end=(False, True)), fix(max_steps=(-1, 120), weight_decay=(0.0, 0.05))),
    finding("non-finite", fix(fp16=(False, False), bf16=(False, True), logging_nan_inf_filter=(True, False))),
    finding("low-utilization", fix(dataloader_num_workers=(0, 4), per_device_train_batch_size=(8, 16))),
    finding("sparse-eval", fix(eval_strategy=("no", "steps"), eval_steps=(20, 15))),
)


def patched_settings() -> list[dict[str, object]]:
    """What the arguments become: those of the run with the patch written over them."""
    made = [{"lr_scheduler_type": "cosine", "lr_scheduler_kwargs": "{}"}]  # as text, which it reads as JSON
    for before, few in itertools.product(BEFORE, (WISHES, WISHES[1:2], WISHES[4:])):
        evals = before["eval_strategy"] != "no"
        run = run_of(evals=evals, **before)
        lines = patched(run, *few).changes
        changes = {c.setting: c.to for line in lines if (c := line.change) and not TRANSFORMERS.words[c.canonical].place}
        made.append(before | changes)
    return made


@pytest.fixture(scope="module")
def answer() -> dict:
    here = all(importlib.util.find_spec(name) for name in ("transformers", "trl"))
    python = sys.executable if here else os.environ.get("CURVELAB_TRAINING_PYTHON")
    if not python:
        pytest.skip("neither transformers and trl nor CURVELAB_TRAINING_PYTHON")
    done = subprocess.run([python, "-c", ASK], input=json.dumps(patched_settings()), capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_transformers_accepts_every_patch(answer):
    assert answer["refused"] == []


def test_the_names_are_fields(answer):
    fields = {name: set(found) for name, found in answer["fields"].items()}
    gone = {"warmup_ratio"}  # of older versions: said only to runs whose settings have it
    arguments = {w.flag for w in TRANSFORMERS.words.values() if w.flag and not w.place}
    assert arguments - gone <= fields["TrainingArguments"]
    assert {w.flag for w in TRANSFORMERS.words.values() if w.place == "EarlyStoppingCallback"} <= fields["EarlyStoppingCallback"]
    configs = fields["SFTConfig"] | fields["DPOConfig"] | fields["GRPOConfig"]
    assert {w.flag for w in TRL.words.values() if w.flag and not w.place} - gone <= configs
    assert {w.cli for w in TRL.words.values() if w.cli} <= fields["ModelConfig"]
    shared = {w.flag for name, w in LLAMAFACTORY.words.items() if w.flag == name and name in TRANSFORMERS.words}
    own = {"lora_alpha", "lora_dropout", "packing", "temperature"}  # of LLaMA-Factory's other arguments
    assert shared - gone - own <= fields["TrainingArguments"]


def test_the_names_of_other_versions_are_no_fields_of_this_one(answer):
    assert "evaluation_strategy" not in answer["fields"]["TrainingArguments"]
    assert "rpo_alpha" not in answer["fields"]["DPOConfig"]


def test_every_wish_is_in_the_patch_of_a_plain_run():
    lines = patched(replace(run_of(), config={}), *WISHES).changes
    assert {line.change.canonical for line in lines} >= {"learning_rate", "eval_steps", "bf16", "load_best_model_at_end"}
