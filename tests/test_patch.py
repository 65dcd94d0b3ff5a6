"""The patch: one set of settings from many findings, without contradictions, as text that its trainer can read."""

from __future__ import annotations

import ast
import shlex
from collections.abc import Mapping
from dataclasses import replace

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from curvelab import synth
from curvelab.catalogue import detector
from curvelab.diagnosis import diagnose
from curvelab.dialects import Spoken, spoken
from curvelab.knowledge.merging import TIED
from curvelab.knowledge.trainers import DIALECTS
from curvelab.model.finding import Change, Finding, Fix
from curvelab.model.result import Diagnosis, Patch
from curvelab.model.run import Run
from curvelab.patch import patch_of

MARKS = {
    "transformers": {},
    "trl": {"dataset_text_field": "text"},
    "axolotl": {"sequence_len": 512, "micro_batch_size": 2},
    "llamafactory": {"finetuning_type": "lora"},
    "lightning": {},
    "torchtune": {"optimizer": {"_component_": "torch.optim.AdamW", "lr": 2e-4}},
}


def run_of(trainer: str = "transformers", *, evals: bool = True, raw: Mapping[str, object] | None = None, **config) -> Run:
    run = synth.run_of(synth.decay(40), planned=200, config=config, evals=synth.decay(10) if evals else None)
    name = "hparams.yaml" if trainer == "lightning" else "settings.json"
    return replace(run, raw_config={name: {**MARKS[trainer], **(raw or {})}})


def fix(*, alternative: bool = False, title: str = "Do it", **changes) -> Fix:
    made = tuple(Change(setting=name, from_=now, to=to) for name, (now, to) in changes.items())
    return Fix(title=title, why="w", when_not="n", changes=made, alternative=alternative)


def finding(pattern: str, *fixes: Fix, severity: str = "warning", confidence: float = 0.9, after: str | None = None) -> Finding:
    return Finding(
        pattern=pattern, severity=severity, confidence=confidence, metric="train/loss", headline="h", start_step=1,
        end_step=2, fixes=fixes, explained_by=after,
    )  # fmt: skip


def patched(run: Run, *findings: Finding) -> Patch:
    words = spoken(run)
    told = [in_words(f, words) for f in findings]
    patch = patch_of(told, words)
    assert patch is not None
    return patch


def in_words(one: Finding, words: Spoken) -> Finding:
    """A finding as the engine completes it: its changes in the words of the trainer."""
    fixes = tuple(msgspec.structs.replace(f, changes=words.said(f.changes)) for f in one.fixes)
    return msgspec.structs.replace(one, fixes=fixes)


def settings(patch: Patch) -> dict[str, object]:
    return {line.change.setting: line.change.to for line in patch.changes}


def remark(patch: Patch, setting: str) -> str:
    return next(line.remark for line in patch.changes if line.change.setting == setting)


LOWER, RAISE = {"learning_rate": (2e-4, 4e-5)}, {"learning_rate": (2e-4, 6e-4)}


def test_two_findings_that_pull_one_setting_both_ways_become_one_line_that_says_so():
    patch = patched(run_of(), finding("plateau", fix(**RAISE)), finding("divergence", fix(**LOWER), severity="critical"))
    assert settings(patch) == {"learning_rate": 4e-5}
    (line,) = patch.changes
    assert line.patterns == ("divergence",)
    assert line.remark == "findings disagree: plateau asks for 0.0006; divergence decides, the more severe finding"
    assert line.remark not in patch.forms["python"]  # it stands beside the text


def test_at_equal_severity_the_steadier_way_is_taken():
    patch = patched(run_of(), finding("underfitting", fix(**RAISE), confidence=0.99), finding("spikes", fix(**LOWER), confidence=0.6))
    assert settings(patch) == {"learning_rate": 4e-5}
    assert remark(patch, "learning_rate").endswith("spikes decides, the steadier way")


def test_the_same_way_takes_the_stronger_value_and_does_not_multiply():
    half = fix(learning_rate=(2e-4, 1e-4))
    patch = patched(run_of(), finding("spikes", half), finding("exploding-gradients", fix(**LOWER)))
    (line,) = patch.changes
    assert (line.change.to, line.patterns) == (4e-5, ("spikes", "exploding-gradients"))
    assert "the stronger value is taken" in line.remark


def test_of_alternatives_the_first_that_computes_a_value_is_taken():
    either = (fix(max_grad_norm=(0.3, 2.5)), fix(alternative=True, **LOWER))
    assert settings(patched(run_of(), finding("clip-saturation", *either))) == {"max_grad_norm": 2.5}
    unknown = (fix(max_grad_norm=(None, None), title="Raise it"), fix(alternative=True, **LOWER))
    patch = patched(run_of(), finding("clip-saturation", *unknown))
    assert (settings(patch), patch.by_hand) == ({"learning_rate": 4e-5}, ("Raise it",))


def test_what_is_right_only_if_something_holds_is_done_by_hand():
    smaller = fix(title="Shrink it, if memory ran out", per_device_train_batch_size=(8, 4), gradient_accumulation_steps=(2, 4))
    asks = finding("abrupt-end", msgspec.structs.replace(smaller, conditional=True), fix(save_steps=(None, 10)))
    patch = patched(run_of(), asks)
    assert settings(patch) == {"save_steps": 10}
    assert patch.by_hand == ("Shrink it, if memory ran out (per_device_train_batch_size 4, gradient_accumulation_steps 4)",)


def test_the_clip_threshold_is_not_raised_while_the_learning_rate_is_lowered():
    patch = patched(
        run_of(), finding("divergence", fix(**LOWER), severity="critical"), finding("clip-saturation", fix(max_grad_norm=(0.3, 2.5)))
    )
    assert settings(patch) == {"learning_rate": 4e-5}
    assert patch.by_hand == ("max_grad_norm 2.5 (clip-saturation) only after a run at the lower learning_rate: one of the two at a time",)


def test_a_consequence_adds_only_what_no_cause_touches():
    cause = finding("divergence", fix(**LOWER), severity="critical")
    effect = finding("exploding-gradients", fix(learning_rate=(2e-4, 1e-6), max_grad_norm=(0, 1.0)), after="divergence")
    patch = patched(run_of(), cause, effect)
    assert settings(patch) == {"learning_rate": 4e-5, "max_grad_norm": 1.0}
    assert not remark(patch, "learning_rate")


def test_what_is_only_worth_knowing_does_not_change_how_the_model_is_trained():
    info = finding("sparse-eval", fix(eval_strategy=("steps", "steps"), eval_steps=(100, 10), **LOWER), severity="info")
    assert settings(patched(run_of(eval_strategy="steps"), info)) == {"eval_steps": 10}


def test_steps_and_epochs_are_one_setting_and_the_first_finding_has_it():
    patch = patched(
        run_of(), finding("overfitting", fix(num_train_epochs=(3, 1.2))), finding("reward-accuracy-saturation", fix(max_steps=(-1, 60)))
    )
    assert settings(patch) == {"num_train_epochs": 1.2}
    assert remark(patch, "num_train_epochs") == "reward-accuracy-saturation asks for max_steps 60; overfitting comes first; " + TIED


def test_the_batch_is_split_by_one_finding():
    smaller = fix(per_device_train_batch_size=(8, 4), gradient_accumulation_steps=(2, 4))
    larger = fix(per_device_train_batch_size=(8, 16), gradient_accumulation_steps=(2, 1))
    patch = patched(run_of(), finding("abrupt-end", smaller), finding("low-utilization", larger))
    assert settings(patch) == {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 4}
    assert "low-utilization asks for gradient_accumulation_steps 1" in remark(patch, "gradient_accumulation_steps")


def test_no_limit_is_more_than_any_limit():
    off = finding("spikes", fix(max_grad_norm=(0, 0.7)))
    patch = patched(run_of(), finding("divergence", fix(**LOWER, max_grad_norm=(0, 1.0))), off)
    assert settings(patch) == {"learning_rate": 4e-5, "max_grad_norm": 0.7}


def test_a_doubted_finding_changes_no_training():
    run, config = run_of(), {"max_grad_norm": (None, 21.0), "logging_steps": (None, 5)}
    words = spoken(run)
    patch = patch_of([in_words(finding("clip-saturation", fix(**config), confidence=0.5), words)], words)
    assert [line.change.setting for line in patch.changes] == ["logging_steps"]


def test_a_change_to_what_is_there_is_none():
    assert patch_of([finding("spikes", fix(max_grad_norm=(1.0, 1.0)))], spoken(run_of())) is None
    printed = finding("sparse-eval", fix(eval_strategy=("IntervalStrategy.STEPS", "steps")))
    assert patch_of([printed], spoken(run_of())) is None
    assert patch_of([finding("plateau", fix(title="Look"))], spoken(run_of())) is None
    assert patch_of([finding("plateau", fix(learning_rate=(None, float("nan"))))], spoken(run_of())) is None


# companions


def test_an_accumulation_keeps_the_batch():
    run = run_of(per_device_train_batch_size=16, gradient_accumulation_steps=2)
    patch = patched(run, finding("abrupt-end", fix(per_device_train_batch_size=(16, 4))))
    assert settings(patch) == {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 8}
    run = run_of(per_device_train_batch_size=16, gradient_accumulation_steps=1)
    patch = patched(run, finding("low-utilization", fix(per_device_train_batch_size=(16, 32))))
    assert remark(patch, "per_device_train_batch_size") == "the batch of an optimizer step changes 2 times with it"


def test_generations_divide_the_generated_batch():
    config = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 3, "world_size": 1, "num_generations": 4}
    patch = patched(run_of("trl", **config), finding("no-learning-signal", fix(num_generations=(4, 16))))
    assert settings(patch) == {"num_generations": 16, "gradient_accumulation_steps": 4}


ONE_DECAY = finding("sawtooth", fix(lr_scheduler_type=("cosine_with_restarts", "cosine")))


@pytest.mark.parametrize("raw", [{"lr_scheduler_kwargs": {"num_cycles": 12}}, {"lr_scheduler_kwargs.num_cycles": 12}])
def test_a_new_schedule_does_not_take_the_arguments_of_the_old_one(raw):
    """Transformers hands them on: cosine with num_cycles 12 has twelve teeth like the restarts before it."""
    for trainer in ("transformers", "trl", "axolotl", "llamafactory"):
        patch = patched(run_of(trainer, raw=raw), ONE_DECAY)
        assert patch.changes[1].change.canonical == "lr_scheduler_kwargs"
        assert (patch.changes[1].change.from_, patch.changes[1].change.to) == ('{"num_cycles": 12}', "{}")
        if "yaml" in patch.forms:
            assert yaml.safe_load(patch.forms["yaml"])["lr_scheduler_kwargs"] == {}


@pytest.mark.parametrize("raw", [{}, {"lr_scheduler_kwargs": None}, {"lr_scheduler_kwargs": {}}])
def test_a_schedule_without_arguments_goes_alone(raw):
    assert list(settings(patched(run_of(raw=raw), ONE_DECAY))) == ["lr_scheduler_type"]


def test_bf16_ends_fp16():
    patch = patched(run_of(fp16=True), finding("non-finite", fix(bf16=(False, True))))
    assert settings(patch) == {"bf16": True, "fp16": False}


def test_eval_steps_need_their_strategy_and_data():
    patch = patched(run_of("llamafactory", evals=False), finding("sparse-eval", fix(eval_steps=(None, 20))))
    assert settings(patch) == {"eval_steps": 20, "eval_strategy": "steps"}
    assert "needs val_size or eval_dataset" in remark(patch, "eval_steps")


def test_the_first_evals_of_a_run_need_data():
    asks = finding("overfitting", fix(eval_strategy=("no", "steps")))
    assert remark(patched(run_of(evals=False), asks), "eval_strategy") == "needs an eval_dataset"
    assert remark(patched(run_of("trl", evals=False), asks), "eval_strategy") == "needs an eval_dataset"
    assert remark(patched(run_of("llamafactory", evals=False), asks), "eval_strategy") == "needs val_size or eval_dataset"
    assert remark(patched(run_of(), asks), "eval_strategy") == ""


def test_a_run_stops_early_or_has_a_shorter_plan_but_not_both():
    patch = patched(run_of(), finding("overfitting", fix(load_best_model_at_end=(False, True)), fix(max_steps=(200, 60))))
    assert "max_steps" not in settings(patch) and settings(patch)["early_stopping_patience"] == 3
    assert patch.by_hand == (f"max_steps 60 (overfitting) instead of early stopping, not beside it: {TIED}",)
    run = run_of(load_best_model_at_end=True, eval_strategy="steps", eval_steps=100, save_strategy="steps", save_steps=500)
    patch = patched(run, finding("overfitting", fix(max_steps=(200, 60)), fix(eval_steps=(100, 80))))
    assert settings(patch) == {"max_steps": 60, "eval_steps": 60, "save_steps": 60}  # none would be left within the run
    assert remark(patch, "max_steps") == TIED


BEST = finding("no-useful-checkpoint", fix(load_best_model_at_end=(False, True)))


@pytest.mark.parametrize(
    ("config", "added"),
    [
        ({"eval_strategy": "steps", "eval_steps": 20, "save_strategy": "steps", "save_steps": 50}, {"save_steps": 20}),
        ({"eval_strategy": "steps", "eval_steps": 20, "save_strategy": "epoch", "save_steps": 20}, {"save_strategy": "steps"}),
        ({"eval_strategy": "whenever"}, {"eval_strategy": "steps", "save_strategy": "steps", "eval_steps": 20, "save_steps": 20}),
        ({"eval_strategy": "epoch", "save_strategy": "steps"}, {"save_strategy": "epoch"}),
        ({"eval_strategy": "epoch", "save_strategy": "best"}, {}),
        ({"eval_strategy": "steps", "eval_steps": 0.1, "save_strategy": "steps", "save_steps": 50}, {"save_steps": 0.1}),
        ({}, {"eval_strategy": "steps", "save_strategy": "steps", "eval_steps": 20, "save_steps": 20}),
    ],
)
def test_the_best_model_is_kept_only_where_saves_and_evals_meet(config, added):
    stop = {"early_stopping_patience": 3, "early_stopping_threshold": 0.001}
    assert settings(patched(run_of(**config), BEST)) == {"load_best_model_at_end": True, **added, **stop}


def test_new_eval_steps_move_the_saves_of_a_run_that_keeps_its_best():
    run = run_of(load_best_model_at_end=True, eval_strategy="steps", eval_steps=100, save_strategy="steps", save_steps=100)
    assert settings(patched(run, finding("sparse-eval", fix(eval_steps=(100, 30))))) == {"eval_steps": 30, "save_steps": 30}


def test_axolotl_is_given_what_its_checks_want():
    run = run_of("axolotl", raw={"evals_per_epoch": 4, "saves_per_epoch": 1}, eval_strategy="steps", save_strategy="steps", save_steps=100)
    text = patched(run, BEST).forms["yaml"]
    assert {**yaml.safe_load(text)} == {
        "load_best_model_at_end": True, "eval_steps": 20, "save_steps": 20, "early_stopping_patience": 3,
        "evals_per_epoch": None, "saves_per_epoch": None,
    }  # fmt: skip


def test_lightning_keeps_and_stops_by_callbacks():
    (tree,) = [ast.parse(patched(run_of("lightning"), BEST).forms["python"])]
    calls = {node.func.id: {k.arg: k.value for k in node.keywords} for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert {k: v.value for k, v in calls["ModelCheckpoint"].items()} == {"monitor": "eval/loss", "mode": "min"}
    assert {k: v.value for k, v in calls["EarlyStopping"].items()} == {
        "patience": 3, "monitor": "eval/loss", "mode": "min", "min_delta": 0.001,
    }  # fmt: skip
    assert isinstance(calls["Trainer"]["callbacks"], ast.List)


# texts

WISHES = (
    finding("divergence", fix(**LOWER, max_grad_norm=(0, 1.0), warmup_steps=(0, 10)), severity="critical"),
    finding("overfitting", fix(weight_decay=(0.0, 0.05), num_train_epochs=(3, 1.5), lora_dropout=(0.0, 0.05))),
    finding("no-useful-checkpoint", fix(load_best_model_at_end=(False, True), metric_for_best_model=(None, "eval_loss"))),
    finding("non-finite", fix(fp16=(True, False), bf16=(None, True))),
)
FORMS = {
    "transformers": ["python", "cli"],
    "trl": ["python", "cli", "yaml"],
    "axolotl": ["yaml"],
    "llamafactory": ["yaml", "cli"],
    "lightning": ["python"],
    "torchtune": ["yaml", "cli"],
}


@pytest.mark.parametrize("trainer", FORMS)
def test_texts_can_be_read_back(trainer: str):
    patch = patched(run_of(trainer), *WISHES)
    assert patch.trainer == next(d.title for d in DIALECTS if d.name == trainer)
    assert list(patch.forms) == FORMS[trainer]
    values = settings(patch)
    rate = next(line.change for line in patch.changes if line.change.canonical == "learning_rate")
    for form, text in patch.forms.items():
        if form == "yaml":
            tree = yaml.safe_load(text)
            for part in rate.setting.split("."):
                tree = tree[part]
            assert tree == 4e-5
        elif form == "python":
            calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
            given = {k.arg: ast.literal_eval(k.value) for node in calls for k in node.keywords if k.arg != "callbacks"}
            assert values.items() <= given.items()
        else:
            words = shlex.split(text, comments=True)
            assert ("optimizer.lr=4.0e-05" in words) or ("learning_rate=4.0e-05" in words) or words[words.index("--learning_rate") + 1] == "4e-05"
    assert all(line.patterns for line in patch.changes)


def test_each_line_says_the_value_before_and_who_asks():
    patch = patched(run_of(), finding("divergence", fix(**LOWER)))
    assert "    learning_rate=4e-05,  # was 0.0002 (divergence)\n" in patch.forms["python"]
    assert patch.forms["cli"] == "--learning_rate 4e-05\n"


def test_torchtune_is_nested():
    text = patched(run_of("torchtune"), *WISHES).forms["yaml"]
    assert yaml.safe_load(text)["optimizer"] == {"lr": 4e-5, "weight_decay": 0.05}
    assert text.startswith("# in the YAML that you passed to tune run")


HOSTILE = 'x"\n__import__("os").system("id")\r\u2028\x85- a: !!python/object:os.system {} #\ud800 $(id) `id` \\'


@pytest.mark.parametrize("trainer", FORMS)
def test_hostile_texts_stay_values_and_comments(trainer: str):
    run = run_of(trainer, lr_scheduler_type=HOSTILE)
    run = replace(run, raw_config={**run.raw_config, f"{HOSTILE}.yaml": {"learning_rate": 1, "micro_batch_size": 1}})
    asks = finding("x\ny", fix(metric_for_best_model=(HOSTILE, HOSTILE + "2"), learning_rate=(HOSTILE, 4e-5)))
    patch = patched(run, asks)
    for form, text in patch.forms.items():
        if form == "yaml":
            tree = yaml.safe_load(text)
            assert "- a" not in str(tree.keys())
            assert tree.get("metric_for_best_model", HOSTILE + "2") == HOSTILE + "2"
        elif form == "python":
            tree = ast.parse(text)
            names = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
            assert "__import__" not in names
        else:
            words = shlex.split(text, comments=True)
            assert "id" not in words and not any(word.startswith("$(") for word in words)


@pytest.mark.parametrize("text", ["yes", "no", "null", "~", "", "1e3", "0x1", "a: b", "- a", "#", "eval_loss", "bf16-mixed", HOSTILE])
def test_yaml_texts_stay_texts(text: str):
    patch = patched(run_of("llamafactory"), finding("x", fix(metric_for_best_model=(None, text))))
    assert yaml.safe_load(patch.forms["yaml"])["metric_for_best_model"] == text


@pytest.mark.parametrize("number", [5e-5, 1e-7, 1.5e-9, 3.0, 0.05, 1e22, 1, -1, True, False])
def test_yaml_numbers_stay_numbers(number):
    patch = patched(run_of("llamafactory"), finding("x", fix(weight_decay=(0.123, number))))
    read = yaml.safe_load(patch.forms["yaml"])["weight_decay"]
    assert (read, type(read)) == (number, type(number))


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 10**6), st.floats(), st.sampled_from(["steps", "epoch", "no", "auto", "1e-4", HOSTILE])
)
NAMES = (
    "learning_rate", "max_grad_norm", "warmup_steps", "warmup_ratio", "max_steps", "num_train_epochs", "eval_steps", "save_steps",
    "eval_strategy", "save_strategy", "load_best_model_at_end", "metric_for_best_model", "greater_is_better", "fp16", "bf16",
    "per_device_train_batch_size", "gradient_accumulation_steps", "num_generations", "world_size", "lr_scheduler_type",
)  # fmt: skip


@settings_of_hypothesis(max_examples=200, deadline=None)
@given(
    st.sampled_from(tuple(FORMS)), st.dictionaries(st.sampled_from(NAMES), VALUES), st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=12)
)
def test_whatever_the_settings_are_the_texts_can_be_read(trainer, config, wishes):
    run = run_of(trainer, evals=len(wishes) % 2 == 0, **config)
    asks = [finding(f"p{i}", fix(**{name: (config.get(name), to)})) for i, (name, to) in enumerate(wishes)]
    words = spoken(run)
    patch = patch_of([in_words(one, words) for one in asks], words)
    if patch is None:
        return
    names = [line.change.setting for line in patch.changes]
    assert len(names) == len(set(names))
    for form, text in patch.forms.items():
        assert {"yaml": yaml.safe_load, "python": ast.parse, "cli": shlex.split}[form](text)


def test_a_diagnosis_holds_the_patch_and_json_brings_it_back():
    run = next(e for e in detector("clip-saturation").examples if e.fires).build()
    result = diagnose(run)
    assert result.patch is not None and settings(result.patch)["max_grad_norm"] > 0.3
    assert Diagnosis.from_json(result.to_json()).patch == result.patch
    healthy = synth.run_of(synth.decay(60) + synth.noise(60, 0.02), evals=synth.decay(12, 2.9, 1.9))
    assert diagnose(healthy).patch is None
