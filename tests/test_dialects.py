"""Trainers: each is recognised on a log as it writes it, and its own names and values are said."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from states import ROOT, state_of

from curvelab import cards, synth
from curvelab.catalogue import detector, detectors
from curvelab.diagnosis import diagnose
from curvelab.dialects import Spoken, spoken
from curvelab.facts import Facts
from curvelab.ingest import load
from curvelab.knowledge.trainers import DIALECTS, LIGHTNING, SPOKEN
from curvelab.model.finding import Change, Finding, Fix
from curvelab.model.run import Run
from curvelab.patch import patch_of

AXOLOTL = "base_model: Qwen/Qwen2.5-0.5B\nmicro_batch_size: 2\nsequence_len: 2048\nlearning_rate: 2e-4\nnum_epochs: 3\nevals_per_epoch: 4\n"
FACTORY = "stage: sft\nfinetuning_type: lora\ntemplate: qwen\ncutoff_len: 2048\nlearning_rate: 1.0e-4\nlora_rank: 16\n"
TUNE = """
model:
  _component_: torchtune.models.llama3_1.lora_llama3_1_8b
  lora_rank: 8
optimizer:
  _component_: torch.optim.AdamW
  lr: 3e-4
lr_scheduler:
  _component_: torchtune.training.lr_schedulers.get_cosine_schedule_with_warmup
  num_warmup_steps: 100
batch_size: 2
epochs: 2
clip_grad_norm: 0.5
gradient_accumulation_steps: 8
dtype: bf16
"""
LIGHTNING_CSV = "epoch,step,train_loss_epoch,train_loss_step,val_loss\n" + "".join(
    f"0,{step},,{3 - step / 500},\n0,{step},,,{3.1 - step / 500}\n" for step in range(9, 400, 10)
)


def folder(tmp_path: Path, **files: str | dict) -> Run:
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (tmp_path / name.replace("__", ".")).write_text(text)
    return load(tmp_path)


def state(**facts) -> dict:
    return state_of([3.0 / (1 + i / 10) for i in range(40)], **facts)


def progress(step: int) -> str:
    return json.dumps({"current_steps": step, "total_steps": 400, "loss": 3 - step / 400, "lr": 1e-4, "epoch": step / 400})


def raw(**values: object) -> Run:
    return replace(synth.run_of(synth.decay(40)), raw_config={"config.json": values})


RUNS = {
    "LLaMA-Factory": {"trainer_log__jsonl": "\n".join(progress(step) for step in range(10, 401, 10)) + "\n"},
    "LLaMA-Factory by its YAML": {"trainer_state__json": state(), "qwen_sft__yaml": FACTORY},
    "axolotl": {"trainer_state__json": state(), "axolotl__yml": AXOLOTL},
    "torchtune": {
        "log_1__txt": "".join(f"step {i} | loss: {3 - i / 200:.4f} | lr 0.0003 | grad_norm: 1.5\n" for i in range(1, 200)),
        "torchtune_config__yaml": TUNE,
    },
    "Lightning": {"metrics__csv": LIGHTNING_CSV, "hparams__yaml": "lr: 0.001\nbatch_size: 8\n"},
    "Transformers": {"trainer_state__json": state()},
}


@pytest.mark.parametrize("name", RUNS)
def test_a_trainer_is_recognised_on_its_log(name: str, tmp_path: Path):
    found = spoken(folder(tmp_path, **RUNS[name]))
    assert found.dialect.title == name.split(" by ")[0], found.because
    assert found.because and "\n" not in found.because


def test_trl_is_recognised_by_its_fields_and_by_its_metrics(tmp_path: Path):
    rows = state()
    for row in rows["log_history"]:
        if "loss" in row:
            row |= {"rewards/margins": 1.0, "rewards/accuracies": 0.7, "logps/chosen": -40.0}
    by_metrics = spoken(folder(tmp_path, trainer_state__json=rows))
    assert (by_metrics.dialect.title, by_metrics.call) == ("TRL", "DPOConfig")
    assert "train/rewards/margins" in by_metrics.because
    by_fields = spoken(raw(num_generations=8, beta=0.04))
    assert (by_fields.dialect.title, by_fields.call) == ("TRL", "GRPOConfig")
    assert spoken(raw(dataset_text_field="text")).call == "SFTConfig"


def test_without_a_mark_transformers_is_assumed_and_said():
    found = spoken(synth.run_of(synth.decay(40)))
    assert (found.dialect.title, found.because) == ("Transformers", "no mark of another trainer: Transformers assumed")


def test_one_likely_name_is_no_mark():
    assert spoken(raw(template="x")).dialect.title == "Transformers"
    assert spoken(raw(template="x", stage="sft")).dialect.title == "LLaMA-Factory"
    alpaca_lora = {"base_model": "x", "micro_batch_size": 4, "num_epochs": 3, "cutoff_len": 256, "val_set_size": 2000}
    assert spoken(raw(**alpaca_lora)).dialect.title == "Transformers"


def test_settings_below_sections_and_in_dotted_names_are_marks():
    assert spoken(raw(finetuning_args={"lora_rank": 8})).dialect.title == "LLaMA-Factory"
    assert spoken(raw(**{"model._component_": "torchtune.models.x"})).dialect.title == "torchtune"
    assert spoken(raw(loss={"_component_": "torchtune.rlhf.loss.DPOLoss"})).dialect.title == "torchtune"


def test_the_file_of_the_settings_is_named_where_it_stands_beside_the_log(tmp_path: Path):
    run = folder(tmp_path, **RUNS["LLaMA-Factory by its YAML"])
    assert spoken(run).file == "qwen_sft.yaml"
    assert "llamafactory-cli" in Spoken(spoken(run).dialect, "", synth.run_of(synth.decay(9))).file


def test_every_dialect_says_every_setting_or_says_what_to_do_by_hand():
    for dialect in DIALECTS:
        assert set(SPOKEN) <= set(dialect.words), (dialect.name, set(SPOKEN) - set(dialect.words))
        for name, word in dialect.words.items():
            assert word.flag or word.by_hand, (dialect.name, name)
            assert not (word.flag and word.by_hand), (dialect.name, name)


def test_every_setting_that_a_detector_may_propose_has_a_word():
    named = set()
    for path in (ROOT / "curvelab" / "proposals.py", *(ROOT / "curvelab" / "detectors").glob("*.py")):
        named |= set(re.findall(r'\b(?:scaled|at_least|switched|change)\((?:facts, )?"(\w+)"', path.read_text()))
    proposed = {
        change.canonical
        for one in detectors()
        for example in one.examples
        if example.fires
        for finding in diagnose(example.build()).findings
        for fix in finding.fixes
        for change in fix.changes
    }
    assert len(named) > 20
    assert (named | proposed) - set(SPOKEN) == set()


def said(run: Run, **changes) -> list[tuple]:
    found = spoken(run).said(Change(setting=name, from_=now, to=to) for name, (now, to) in changes.items())
    return [(c.setting, c.from_, c.to, c.canonical) for c in found]


@pytest.fixture
def tune(tmp_path: Path) -> Run:
    return folder(tmp_path, **RUNS["torchtune"])


def test_torchtune_nests_its_names_and_counts_steps_by_epoch(tune: Run):
    assert said(tune, learning_rate=(3e-4, 1e-4)) == [("optimizer.lr", 3e-4, 1e-4, "learning_rate")]
    assert said(tune, max_steps=(None, 301)) == [("max_steps_per_epoch", None, 151, "max_steps")]
    assert said(tune, fp16=(True, False), bf16=(None, True)) == [("dtype", "bf16", "bf16", "bf16")]
    assert said(tune, num_train_epochs=(2, 1.4)) == [("epochs", 2, 2, "num_train_epochs")]
    component = "torchtune.training.lr_schedulers.get_cosine_schedule_with_warmup"
    assert said(tune, lr_scheduler_type=(None, "cosine")) == [
        ("lr_scheduler._component_", component, component, "lr_scheduler_type")
    ]


def test_torchtune_settings_are_read_by_their_own_names(tune: Run):
    facts = Facts(tune)
    assert [facts.setting(n) for n in ("max_grad_norm", "learning_rate", "r", "warmup_steps", "bf16")] == [0.5, 3e-4, 8, 100, True]
    only_raw = replace(tune, config={})
    assert Facts(only_raw).setting("max_grad_norm") == 0.5


def test_what_a_trainer_lacks_keeps_its_name_and_says_what_to_do(tune: Run):
    (change,) = spoken(tune).said([Change(setting="load_best_model_at_end", from_=None, to=True)])
    assert (change.setting, change.canonical) == ("load_best_model_at_end", "load_best_model_at_end")
    assert change.because.startswith("torchtune: torchtune neither stops early")


@pytest.fixture
def lightning(tmp_path: Path) -> Run:
    return folder(tmp_path, **RUNS["Lightning"])


def test_lightning_has_one_precision_and_counts_batches(lightning: Run):
    assert said(lightning, fp16=(True, False), bf16=(None, True)) == [("precision", None, "bf16-mixed", "bf16")]
    assert said(lightning, max_grad_norm=(1.0, 0.5)) == [("gradient_clip_val", 1.0, 0.5, "max_grad_norm")]
    accumulating = replace(lightning, config=synth.run_of(synth.decay(9), config={"gradient_accumulation_steps": 4}).config)
    assert said(accumulating, eval_strategy=(None, "steps"), eval_steps=(None, 25)) == [
        ("val_check_interval", None, 100, "eval_steps")
    ]
    assert said(lightning, load_best_model_at_end=(None, True)) == [("monitor", None, "val_loss", "load_best_model_at_end")]


def test_the_name_that_the_run_itself_has_is_taken(lightning: Run):
    assert spoken(lightning).flag("learning_rate") == "lr"
    other = replace(lightning, raw_config={"hparams.yaml": {"learning_rate": 0.1, "warmup_steps": 5}})
    assert [spoken(other).flag(name) for name in ("learning_rate", "warmup_steps")] == ["learning_rate", "warmup_steps"]
    old = raw(evaluation_strategy="steps")
    assert [spoken(run).flag("eval_strategy") for run in (raw(), old)] == ["eval_strategy", "evaluation_strategy"]
    new_trl, old_trl = raw(num_generations=8), raw(rpo_alpha=1.0, precompute_ref_log_probs=False)
    assert not spoken(new_trl).word("rpo_alpha").flag and spoken(old_trl).flag("rpo_alpha") == "rpo_alpha"


def test_warm_up_is_said_in_the_unit_of_the_run():
    def run(**config):
        return synth.run_of(synth.decay(40), planned=200, config=config)

    assert said(run(warmup_ratio=0.01), warmup_steps=(0, 20)) == [("warmup_ratio", 0.01, 0.1, "warmup_ratio")]
    assert said(run(warmup_steps=4), warmup_steps=(4, 20)) == [("warmup_steps", 4, 20, "warmup_steps")]
    assert said(run(warmup_steps=4), warmup_ratio=(None, 0.1)) == [("warmup_steps", 4, 20, "warmup_steps")]


def test_beta_of_axolotl_is_another_key_for_policies():
    marks = {"sequence_len": 512, "micro_batch_size": 2}
    preferences = replace(raw(**marks), logged=synth.run_of(synth.decay(9), more={"train/rewards/margins": synth.decay(9)}).logged)
    policy = replace(raw(**marks), logged=synth.run_of(synth.decay(9), more={"train/reward": synth.decay(9)}).logged)
    assert [spoken(run).flag("beta") for run in (preferences, policy)] == ["rl_beta", "trl.beta"]


def test_fixes_of_a_finding_name_the_trainers_own_flags(lightning: Run):
    clipped = next(e for e in detector("clip-saturation").examples if e.fires).build()
    run = replace(clipped, format="lightning-csv")
    (change,) = next(f for f in diagnose(run).findings if f.pattern == "clip-saturation").fixes[0].changes
    assert (change.setting, change.canonical, change.from_) == ("gradient_clip_val", "max_grad_norm", 0.3)
    assert LIGHTNING.words["max_grad_norm"].flag == change.setting


def test_a_placeholder_for_a_flag_is_filled_and_explained(monkeypatch):
    from curvelab import diagnosis

    one = detector("clip-saturation")
    raised = next(remedy for remedy in one.remedies if remedy.title.startswith("Raise {flag_max_grad_norm} to about"))
    first = replace(raised, title="Raise {flag_max_grad_norm}", when_not="{flag_bf16} is off")
    mine = replace(one, remedies=(first,))
    monkeypatch.setattr(diagnosis, "detectors", lambda: (mine,))
    monkeypatch.setattr(diagnosis, "detector_of", lambda pattern: mine)
    run = replace(next(e for e in one.examples if e.fires).build(), format="lightning-csv")
    fix = diagnose(run).findings[0].fixes[0]
    assert (fix.title, fix.when_not) == ("Raise gradient_clip_val", "precision is off")
    assert "Raise max_grad_norm" in cards.card_text(mine) and "bf16 is off" in cards.card_markdown(mine)


def test_keras_has_no_settings_to_copy():
    run = replace(synth.run_of(synth.decay(40), planned=200), format="keras-csv")
    told = spoken(run)
    assert (told.dialect.title, told.forms) == ("Keras", ())
    (change,) = told.said([Change(setting="save_steps", to=3)])
    assert change.because == "Keras: a ModelCheckpoint in the callbacks of fit saves after each epoch"
    fix = Fix(title="Save more often", why="w", when_not="n", changes=(change,))
    asks = Finding(severity="warning", confidence=0.9, metric="train/loss", headline="h", start_step=1, end_step=2, fixes=(fix,))
    assert patch_of([asks], told) is None
