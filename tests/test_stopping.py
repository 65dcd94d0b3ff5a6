"""Early stopping on runs: which metric it watches, what it would have kept, saved and missed."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from curvelab import synth
from curvelab.diagnosis import diagnose
from curvelab.ingest import gather
from curvelab.model.options import Options
from curvelab.model.run import Curve, Run


def run_with(evals: list[float], config: dict[str, object] | None = None, **metrics: list[float]) -> Run:
    """500 steps with evals spread evenly; `metrics`: other eval metrics at the same steps."""
    run = synth.run_of(synth.decay(100) + synth.noise(100, 0.02), evals=np.array(evals), config=config)
    at = run.logged["eval/loss"].step
    more = {f"eval/{name}": Curve.of(f"eval/{name}", at[: len(values)], values) for name, values in metrics.items()}
    return replace(run, logged={**run.logged, **more})


def stopped(run: Run, **options: object):
    return diagnose(run, Options(**options)).early_stopping  # type: ignore[arg-type]


RISEN = [3.0, 2.0, 1.5, 1.6, 1.7, 1.8, 1.9, 2.0, 2.1, 2.2]


def test_where_it_would_have_stopped_and_what_it_would_have_kept():
    one = stopped(run_with(RISEN))
    assert (one.metric, one.patience, one.threshold, one.evals) == ("eval/loss", 3, 0.001, 10)
    assert (one.stop_step, one.kept_step, one.kept_value, one.saved_steps) == (300, 150, 1.5, 200)
    assert (one.saved_seconds, one.saved_gpu_hours, one.saved_money, one.later_step) == (None, None, None, None)


def test_patience_and_least_gain_are_the_users():
    assert stopped(run_with(RISEN), patience=5).stop_step == 400
    assert stopped(run_with(RISEN), patience=8).stop_step is None
    assert stopped(run_with(RISEN), min_gain=2.0).stop_step == 200


def test_what_it_saves_is_reckoned_with_the_run_s_gpus_and_price():
    run = run_with(RISEN)
    loss = replace(run.logged["train/loss"], wall_time=1.7e9 + 36.0 * run.logged["train/loss"].step)
    one = stopped(replace(run, logged={**run.logged, "train/loss": loss}), gpus=4, gpu_price=2.0)
    assert (one.saved_seconds, one.saved_gpu_hours, one.saved_money) == (7200.0, 8.0, 16.0)


def test_a_better_eval_after_the_stop_is_told():
    one = stopped(run_with([3.0, 2.0, 2.1, 2.1, 2.1, 1.5, 1.2, 1.3]))
    assert (one.kept_value, one.later_value) == (2.0, 1.2)
    assert one.stop_step < one.later_step


def test_it_watches_the_metric_that_the_run_named_when_it_was_logged():
    accuracy = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9]
    named = {"metric_for_best_model": "accuracy", "greater_is_better": True}
    one = stopped(run_with(RISEN, named, accuracy=accuracy))
    assert (one.metric, one.stop_step, one.kept_step, one.kept_value) == ("eval/accuracy", None, 500, 0.9)
    assert stopped(run_with(RISEN, {"metric_for_best_model": "eval_accuracy"}, accuracy=accuracy)).stop_step is None
    falling = {"metric_for_best_model": "wer", "greater_is_better": "False"}
    assert stopped(run_with(RISEN, falling, wer=RISEN[::-1])).kept_step == 400
    for name in ("f1", "None", "loss", "eval_loss"):
        assert stopped(run_with(RISEN, {"metric_for_best_model": name}, accuracy=[0.5] * 10)).stop_step == 300


def test_nan_evals_count_and_all_nan_say_nothing():
    one = stopped(run_with([3.0, 2.0, math.nan, math.nan, math.nan, math.nan]))
    assert (one.kept_value, one.saved_steps) == (2.0, 500 - one.stop_step)
    assert stopped(run_with([math.nan] * 5)) is None


def test_too_few_evals_and_policy_gradients_say_nothing():
    assert stopped(run_with([2.0])) is None
    assert stopped(synth.run_of(synth.decay(50))) is None
    run = run_with(RISEN)
    assert stopped(replace(run, logged={**run.logged, "train/reward": run.logged["train/loss"]})) is None


def test_the_eval_that_load_best_model_adds_and_the_one_before_training_do_not_count():
    evals = [3.0, 2.0, 1.5, 1.6, 1.7, 1.5]
    restored = run_with(evals, {"load_best_model_at_end": True})
    assert stopped(restored).stop_step is None
    assert stopped(run_with(evals)).stop_step == 500
    at = run_with(evals).logged["eval/loss"]
    first = Curve.of("eval/loss", [0, *at.step], [0.1, *at.value])
    before = replace(run_with(evals), logged={**run_with(evals).logged, "eval/loss": first})
    assert stopped(before).kept_value == 1.5


def test_json_both_ways():
    diagnosis = diagnose(run_with(RISEN), Options(gpus=2, gpu_price=1.0))
    assert type(diagnosis).from_json(diagnosis.to_json()) == diagnosis


def test_the_sentence_of_overfitting_and_the_replay_agree_on_real_runs(corpus):
    compared = 0
    for run in gather([corpus / "trained" / "runs"]).runs:
        diagnosis = diagnose(run)
        one = diagnosis.early_stopping
        if one is None:
            continue
        assert one.evals >= 2 and one.saved_steps == (0 if one.stop_step is None else run.last_step - one.stop_step)
        assert one.stop_step is None or one.kept_step <= one.stop_step
        told = next((f.also for f in diagnosis.findings if f.pattern == "overfitting"), {})
        if "early_stop" in told:
            compared += 1
            assert told["early_stop"] == pytest.approx(one.stop_step)
    assert compared >= 5


# A task metric that went on improving after the minimum of the eval loss

BETTER = [0.5, 0.6, 0.65, 0.7, 0.74, 0.78, 0.8, 0.82, 0.84, 0.86]


def test_it_watches_the_task_metric_where_that_one_still_improved():
    diagnosis = diagnose(run_with(RISEN, accuracy=BETTER))
    assert (diagnosis.early_stopping.metric, diagnosis.early_stopping.stop_step, diagnosis.early_stopping.kept_step) == ("eval/accuracy", None, 500)
    (finding,) = [f for f in diagnosis.findings if f.pattern == "overfitting"]
    assert "early_stop" not in finding.also
    told = {line.change.setting: line.change.to for line in diagnosis.patch.changes}
    assert (told["load_best_model_at_end"], told["metric_for_best_model"], told["greater_is_better"]) == (True, "eval_accuracy", True)
    assert "max_steps" not in told and "num_train_epochs" not in told
    assert any("stops where eval_accuracy no longer improves" in line.remark for line in diagnosis.patch.changes)


def test_a_metric_that_the_trainer_cannot_choose_by_is_not_proposed():
    run = run_with(RISEN, mean_token_accuracy=BETTER)
    run = replace(run, raw_config={"settings.json": {"dataset_text_field": "text"}})  # TRL logs it, and evaluate() does not return it
    patch = diagnose(run).patch
    assert patch is None or not {"load_best_model_at_end", "early_stopping_patience"} & {line.change.setting for line in patch.changes}


def test_the_finding_and_the_patch_take_the_users_patience():
    diagnosis = diagnose(run_with(RISEN), Options(patience=5, min_gain=0.01))
    told = {line.change.setting: line.change.to for line in diagnosis.patch.changes}
    assert (told["early_stopping_patience"], told["early_stopping_threshold"]) == (5, 0.01)
    (finding,) = [f for f in diagnosis.findings if f.pattern == "overfitting"]
    assert finding.also["early_stop"] == diagnosis.early_stopping.stop_step == 400
    assert any("patience 5, threshold 0.01" in fix.why for fix in finding.fixes)
