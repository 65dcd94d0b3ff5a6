"""Headlines that hold for the run: the numbers of the log, from one end to the other, and the reason that decided."""

from __future__ import annotations

import re

import numpy as np
import pytest
from states import SAMPLES

from curvelab import synth
from curvelab.diagnosis import diagnose
from curvelab.ingest import gather
from curvelab.model.finding import Finding, Point
from curvelab.model.result import Diagnosis
from curvelab.model.run import Run


def told(run: Run, pattern: str) -> Finding:
    return next(finding for finding in diagnose(run).findings if finding.pattern == pattern)


def sample(name: str) -> Diagnosis:
    (run,) = gather([SAMPLES / name]).runs
    return diagnose(run)


def test_underfitting_tells_the_fall_between_the_numbers_that_it_names():
    loss = 5.55 + 4.0 * np.exp(-np.arange(120) / 2) + synth.noise(120, 0.01)
    guessing = told(synth.run_of(loss, config={"vocab_size": 260}), "underfitting")
    assert "ends near the level of guessing" in guessing.headline
    start, end = (next(m.value for m in guessing.measured if m.name == name) for name in ("start_loss", "end_loss"))
    assert next(m.value for m in guessing.measured if m.name == "fall") == pytest.approx(1 - end / start)
    assert [m.name for m in guessing.measured if m.threshold is not None] == ["share_of_chance"]


def test_a_rise_is_no_fall():
    finding = told(synth.run_of(11.43 + np.linspace(0, 0.06, 120) + synth.noise(120, 0.01)), "underfitting")
    assert re.search(r"did not fall: it went from 11\.4\d* to 11\.4\d*, a rise of 0\.[3-6] %", finding.headline)
    assert [m.name for m in finding.measured if m.threshold is not None] == ["fall_beyond_noise"]


def test_without_anything_learned_nothing_is_lost():
    loss = np.concatenate([np.full(7, 1.2), np.linspace(1.9, 1.5, 200)]) + synth.noise(207, 0.25, seed=3)
    loss[:3] = 0.96
    findings = diagnose(synth.run_of(np.abs(loss))).findings
    assert all(np.isfinite(m.value) for finding in findings for m in finding.measured)
    assert not any(f.pattern == "divergence" and f.start_step == f.end_step for f in findings)


def test_overfitting_names_the_logged_evals():
    evals = np.array([2.0, 1.5, 1.62, 1.8, 1.9, 2.0, 2.05, 2.1, 2.2, 2.4])
    diagnosis = diagnose(synth.run_of(synth.decay(100, 3.0, 0.8, 2.0) + synth.noise(100, 0.02), evals=evals))
    finding = next(f for f in diagnosis.findings if f.pattern == "overfitting")
    assert "rose 60 % after step 100 (1.5 to 2.4)" in finding.headline
    assert diagnosis.checkpoint.worse == pytest.approx(0.6)


def test_the_first_value_that_is_not_finite_is_the_one_of_the_log():
    loss = synth.decay(100) + synth.noise(100, 0.03)
    loss[60], loss[61:] = np.inf, np.nan
    (point,) = [mark for mark in told(synth.run_of(loss), "non-finite").evidence if isinstance(mark, Point)]
    assert point.value == np.inf


def test_a_threshold_that_was_assumed_is_a_perhaps_and_changes_nothing():
    loss, norms = synth.decay(120) + synth.noise(120, 0.03), 11.7 + synth.noise(120, 1.0, seed=2)
    diagnosis = diagnose(synth.run_of(loss, norms=norms, format="trainer-state"))
    finding = next(f for f in diagnosis.findings if f.pattern == "clip-saturation")
    assert finding.headline.startswith("perhaps clipped too often: the gradient norm is about 11.")
    assert "max_grad_norm is not logged" in finding.headline
    assert diagnosis.patch is None or all(line.change.canonical != "max_grad_norm" for line in diagnosis.patch.changes)


def test_a_rate_that_jumps_for_one_log_is_told_so():
    rate = synth.cosine(120, peak=1e-3)
    rate[60] = 0.4
    run = synth.run_of(synth.decay(120) + synth.noise(120, 0.03), rate=rate, config={"lr_scheduler_type": "cosine"})
    finding = told(run, "schedule-anomaly")
    assert finding.start_step == finding.end_step and "alone" in finding.headline


def test_a_plateau_begins_where_the_loss_itself_stands():
    loss = np.concatenate([synth.decay(53, 5.6, 2.2, 2.0), [20350.0], np.full(66, 5.561)])
    found = [f for f in diagnose(synth.run_of(loss)).findings if f.pattern == "plateau"]
    assert found and found[0].start_step > 5 * 54
    assert "has stood at 5.561 since" in found[0].headline


def test_the_fix_for_the_likeliest_cause_comes_first():
    loss = np.concatenate([np.full(4, 1.637), np.full(20, 10.4)]) + synth.noise(24, 0.01)
    finding = told(synth.run_of(loss, config={"learning_rate": 5.0, "save_strategy": "no"}), "divergence")
    assert finding.causes[0].name == "rate-too-high"
    titles = [fix.title.split()[0] for fix in finding.fixes]
    assert titles.index("Lower") < titles.index("Look")


def test_a_collapse_of_log_probabilities_is_told_in_nats():
    diagnosis = sample("more/dpo-collapse")
    finding = next(f for f in diagnosis.findings if f.pattern == "chosen-logp-collapse")
    assert re.search(r"fell by [\d.]+ nats, from −\d+ to −[\d.]+", finding.headline)
    assert not any("%" in mark.label for mark in finding.evidence)
    assert diagnosis.checkpoint.sentence.startswith("No eval tells which checkpoint to use")


def test_an_eval_that_is_not_comparable_is_no_plain_advice():
    assert sample("more/other-mask").checkpoint.sentence.startswith("Settle the mismatch first: eval/loss may not measure")


def test_a_resume_with_other_settings_names_them():
    finding = next(f for f in sample("more/resumed").findings if f.pattern == "resume-seam")
    assert "learning_rate 0.0004 before and 0.0012 after" in finding.headline
    assert finding.causes[0].name == "other-settings"
    assert [(c.from_, c.to) for c in finding.fixes[0].changes] == [(0.0012, 0.0004)]


def test_a_checkpoint_that_is_gone_is_not_advised():
    evals = np.array([2.0, 1.5, 1.62, 1.8, 1.9, 2.0, 2.05, 2.1, 2.2, 2.4])
    config = {"save_strategy": "steps", "save_steps": 50, "save_total_limit": 1}
    run = synth.run_of(synth.decay(100, 3.0, 0.8, 2.0) + synth.noise(100, 0.02), evals=evals, config=config)
    diagnosis = diagnose(run)
    finding = next(f for f in diagnosis.findings if f.pattern == "overfitting")
    assert diagnosis.checkpoint.sentence.startswith("Only the final model is left")
    assert not any("checkpoint nearest" in fix.title for fix in finding.fixes)
