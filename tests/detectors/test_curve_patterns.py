"""Curves that an engineer would judge at a glance: what must be found, what must stay silent, and what is said of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from curvelab import synth
from curvelab.catalogue import detector
from curvelab.diagnosis import diagnose
from curvelab.model.result import Diagnosis
from curvelab.model.run import Curve


def fall(n: int, start: float = 3.0, end: float = 1.5, speed: float = 5.0) -> np.ndarray:
    return synth.decay(n, start, end, speed)


def noisy(n: int, sigma: float = 0.02, seed: int = 0, **shape: float) -> np.ndarray:
    return fall(n, **shape) + synth.noise(n, sigma, seed)


def told(train: np.ndarray, **facts: Any) -> Diagnosis:
    facts.setdefault("rate", synth.cosine(len(train)))
    return diagnose(synth.run_of(train, every=10, **facts))


def alarms(result: Diagnosis) -> set[str]:
    """Curve patterns that were raised at warning or above."""
    return {f.pattern for f in result.findings if f.severity != "info" and detector(f.pattern).kind == "curve"}


def found(result: Diagnosis, pattern: str):
    return next(f for f in result.findings if f.pattern == pattern)


@pytest.mark.parametrize("n", [30, 60, 120, 300, 1000])
def test_one_low_last_point_is_a_short_logging_window(n):
    loss = noisy(n)
    loss[-1] *= 0.5
    assert alarms(told(loss)) == set()


@pytest.mark.parametrize("period", [12, 25, 50])
def test_the_short_window_at_the_end_of_every_epoch_is_no_tooth(period):
    loss = noisy(300)
    loss[period - 1 :: period] *= 0.5
    assert alarms(told(loss)) == set()


@pytest.mark.parametrize("seed", range(4))
def test_a_policy_gradient_loss_has_no_level(seed):
    n = 200
    kl = 0.02 * np.arange(n) / n * np.exp(synth.noise(n, 0.2, seed))
    reward = np.linspace(0.3, 0.7, n) + synth.noise(n, 0.03, seed)
    assert alarms(told(kl, more={"train/reward": reward})) == set()
    assert alarms(told(0.002 * np.abs(synth.noise(n, 1, seed)), more={"train/reward": reward})) == set()


@pytest.mark.parametrize("bump", ["after warm-up", "wide spike"])
def test_divergence_after_an_earlier_bump_is_still_found(bump):
    t = np.arange(300)
    loss = noisy(300, speed=5)
    loss += 3 * np.exp(-(((t - 12) / 6) ** 2)) if bump == "after warm-up" else 3.0 * ((t > 80) & (t < 105))
    loss += 2.0 * (t > 200)
    result = told(loss)
    assert result.verdict == "divergence"
    assert found(result, "divergence").start_step == pytest.approx(2010, abs=60)


@pytest.mark.parametrize(("n", "last"), [(300, 4), (300, 10), (300, 12), (100, 3)])
def test_a_loss_that_blows_up_at_the_end_is_said(n, last):
    loss = noisy(n)
    loss[-last:] = 6.0 + synth.noise(last, 0.05)
    result = told(loss)
    assert result.verdict == "divergence"
    assert "may still recover" in found(result, "divergence").headline or last >= 0.04 * n


def test_slow_divergence_is_no_plateau():
    t = np.arange(300)
    assert alarms(told(noisy(300) + np.clip((t - 120) / 180, 0, 1) * 0.5)) == {"divergence"}
    assert "plateau" not in alarms(told(1.5 + 0.4 * np.abs(t - 150) / 150 + synth.noise(300, 0.02)))


EPOCHS = [1.8, 1.6, 1.9, 2.4]


@pytest.mark.parametrize("evals", [EPOCHS, [1.8, 1.6, 1.7, 1.95], [1.6, 1.7, 1.9, 2.2], [1.8, 1.5, 1.6, 1.9, 2.4]])
def test_overfitting_is_found_with_one_eval_an_epoch(evals):
    assert told(noisy(200, end=0.8, speed=2), evals=np.array(evals)).verdict == "overfitting"


def with_sets(**sets: list[float]) -> Diagnosis:
    run = synth.run_of(noisy(200, end=0.8, speed=2), every=10, rate=synth.cosine(200))
    steps = {name: np.linspace(200, 2000, len(values)).astype(int) for name, values in sets.items()}
    logged = {f"eval/{name}/loss": Curve.of(f"eval/{name}/loss", steps[name], values) for name, values in sets.items()}
    return diagnose(type(run)(**{**vars(run), "logged": {**run.logged, **logged}}))


def test_every_eval_set_is_looked_at():
    rising, falling = [1.8, 1.6, 1.7, 1.9, 2.1, 2.3, 2.4], [2.0, 1.9, 1.8, 1.7, 1.65, 1.6, 1.58]
    result = with_sets(a=rising, b=falling)
    assert result.verdict == "overfitting"
    assert found(result, "overfitting").metric == "eval/a/loss"
    assert "the other eval set did not" in found(result, "overfitting").headline
    assert "non-finite" in alarms(with_sets(a=[float("nan")] * 7, b=falling))


def test_a_task_metric_that_still_improves_is_said_and_lowers_the_verdict():
    evals = np.array([1.0, 0.9, 1.1, 1.3, 1.5, 1.6, 1.7, 1.8])
    accuracy = Curve.of("eval/accuracy", np.linspace(250, 2000, 8).astype(int), [0.5, 0.6, 0.66, 0.7, 0.72, 0.73, 0.74, 0.74])
    run = synth.run_of(noisy(200, end=0.3, speed=3), every=10, evals=evals)
    result = diagnose(type(run)(**{**vars(run), "logged": {**run.logged, "eval/accuracy": accuracy}}))
    finding = found(result, "overfitting")
    assert "eval/accuracy still improved" in finding.headline
    assert finding.severity == "warning"
    assert finding.fixes[0].title.startswith("Choose the checkpoint by the task metric")


def test_a_nan_that_recovers_is_no_dead_run():
    loss = noisy(300)
    loss[20] = np.nan
    result = told(loss)
    finding = found(result, "non-finite")
    assert (finding.severity, result.wasted) == ("warning", None)
    assert "at step 210 (1 of its 300 values) and recovered" in finding.headline


def test_one_infinite_norm_with_a_finite_loss_is_information():
    norms = np.ones(300)
    norms[150] = np.inf
    assert alarms(told(noisy(300), norms=norms)) == set()


@pytest.mark.parametrize(("count", "config", "silent"), [(1, {"fp16": True}, True), (30, {"fp16": True}, False), (1, {"bf16": True}, False)])
def test_only_a_few_early_nan_norms_are_the_loss_scaler(count, config, silent):
    norms = np.ones(300)
    norms[:count] = np.nan
    result = told(noisy(300), norms=norms, config=config)
    assert ("non-finite" not in {f.pattern for f in result.findings}) is silent


def test_an_early_nan_does_not_hide_an_abrupt_end():
    loss = noisy(120)
    loss[20] = np.nan
    assert "abrupt-end" in {f.pattern for f in told(loss, planned=3000, state="crashed").findings}


def test_a_gradient_norm_that_rises_tenfold_and_stays_is_found_at_an_unsolved_loss():
    for at in (100, 150):
        norms = np.exp(synth.noise(300, 0.1)) * np.where(np.arange(300) < at, 1.0, 60.0)
        result = told(noisy(300), norms=norms)
        assert "exploding-gradients" in alarms(result)
        assert found(result, "exploding-gradients").start_step == pytest.approx(10 * at, abs=120)


def test_norms_that_grow_where_a_classifier_starts_to_learn_are_fine():
    t = np.arange(200)
    loss = 0.69 - 0.55 / (1 + np.exp(-(t - 60) / 8)) + synth.noise(200, 0.01)
    norms = np.where(t < 50, 0.5, 7.0) * np.exp(synth.noise(200, 0.3))
    assert alarms(told(loss, norms=norms)) == set()


def test_a_run_resumed_from_a_good_checkpoint_is_not_underfitted():
    run = synth.run_of(np.linspace(1.20, 1.18, 100) + synth.noise(100, 0.01), every=10)
    shifted = {m: Curve.of(m, c.step + 5000, c.value) for m, c in run.logged.items()}
    result = diagnose(type(run)(**{**vars(run), "logged": shifted, "planned_steps": 6000}))
    assert "underfitting" not in alarms(result)


def test_an_assumed_clip_threshold_never_names_a_run_that_has_another_fault():
    run = synth.run_of(noisy(200, end=0.8, speed=2), every=10, norms=np.full(200, 3.0) + synth.noise(200, 0.2), evals=np.array(EPOCHS))
    result = diagnose(type(run)(**{**vars(run), "format": "trainer-state"}))
    assert found(result, "clip-saturation").confidence <= 0.5
    assert result.verdict == "overfitting"


def test_a_jump_of_the_learning_rate_is_named_as_the_cause():
    t = np.arange(200)
    rate = np.where(t < 120, 1e-4, 2e-2)
    result = told(noisy(200) + 1.5 * (t >= 120), rate=rate)
    finding = found(result, "divergence")
    assert "the learning rate jumps from 0.0001 to 0.02 at step 1,210" in finding.headline
    assert finding.fixes[0].title.startswith("Mend the schedule")


def test_no_advice_to_use_a_checkpoint_of_a_run_that_saved_none():
    result = told(noisy(200, end=0.8, speed=2), evals=np.array(EPOCHS), config={"save_strategy": "no"})
    finding = found(result, "overfitting")
    assert not any("checkpoint nearest" in fix.title for fix in finding.fixes)
    changes = {c.setting for fix in finding.fixes for c in fix.changes}
    assert {"load_best_model_at_end", "save_strategy"} <= changes


def test_early_stopping_is_simulated_on_the_log():
    evals = np.array([2.0, 1.6, 1.5, 1.55, 1.7, 1.8, 1.9, 2.0, 2.1, 2.2])
    finding = found(told(noisy(200, end=0.8, speed=2), evals=evals), "overfitting")
    assert finding.also["early_stop"] == 1200  # the third eval after the best
    assert any("would have stopped at step 1,200" in fix.why for fix in finding.fixes)
