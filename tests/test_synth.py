"""Synthetic families: the same for the same seed, labels that agree with the curves, healthy ones not flagged."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from curvelab.catalogue import detectors
from curvelab.diagnosis import diagnose
from curvelab.model.options import Options
from curvelab.synth.families import FAMILIES, FAULTS, HEALTHY, sample
from curvelab.synth.healthy import SHAPES
from curvelab.synth.parts import CURVE_PATTERNS, NOISES, noise_of_kind

CURVES = Options(select=CURVE_PATTERNS)


def test_the_patterns_are_the_curve_patterns_of_the_shelf():
    assert set(CURVE_PATTERNS) == {one.pattern for one in detectors() if one.kind == "curve"}


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_is_deterministic_and_its_runs_differ(name):
    one, again, other = sample(name, 3), sample(name, 3), sample(name, 4)
    assert (one.labels, one.onset, one.about) == (again.labels, again.onset, again.about)
    for metric, curve in one.run.logged.items():
        assert np.array_equal(curve.value, again.run.logged[metric].value, equal_nan=True)
    assert one.about != other.about


@pytest.mark.parametrize("name", FAMILIES)
def test_labels_are_consistent(name):
    for seed in range(20):
        one = sample(name, seed)
        assert set(one.labels) == {*CURVE_PATTERNS, "healthy"}
        yes = {pattern for pattern in CURVE_PATTERNS if one.labels[pattern] == "yes"}
        assert one.labels["healthy"] in (("no",) if yes else ("yes", "unsure"))
        assert set(one.onset) == yes
        for first, last in one.onset.values():
            assert first <= last <= one.run.last_step + 1
        loss = one.run.curve("train/loss").value
        assert len(loss) == one.about["points"] >= 10
        assert (loss[np.isfinite(loss)] >= 0).all()
        if name in HEALTHY:
            assert one.labels["healthy"] == "yes"
        else:
            assert (one.labels[one.about["fault"]] == "yes") <= one.about["holds"]


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_family_has_both_sides(name):
    """Some runs have the fault, and others are its look-alikes (but nothing looks like NaN)."""
    labels = {(one := sample(name, seed)).labels[one.about["fault"]] for seed in range(60)}
    assert labels >= ({"yes"} if name == "becomes-nan" else {"yes", "no"})


@pytest.mark.parametrize("name", [name for name in SHAPES if name not in ("solved", "staircase")])
def test_a_healthy_loss_goes_on_falling(name):
    """By its shape: the last third does more than what noise and rounding make, whatever a detector takes for flat."""
    for seed in range(50):
        level = SHAPES[name](np.random.default_rng(seed), 300)
        assert (np.diff(level) < 0).all()
        assert level[200] - level[-1] > 0.01 * (level[0] - level[-1])


@pytest.mark.parametrize("kind", NOISES)
def test_noise_has_the_level_that_was_asked_for(kind):
    noise = noise_of_kind(np.random.default_rng(0), 20_000, kind, 0.05)
    assert np.std(noise) == pytest.approx(0.05, rel=0.1)
    assert abs(np.mean(noise)) < 0.005
    assert noise.min() > -1


def test_few_healthy_runs_are_flagged():
    """At most 2 % of a small sample; tests/benchmarks/false_alarms.py measures 6,000."""
    flagged = []
    for name in HEALTHY:
        for seed in range(40):
            found = diagnose(sample(name, seed).run, CURVES).findings
            flagged += [(name, seed, one.pattern) for one in found if one.severity != "info"][:1]
    assert len(flagged) <= 4, flagged


@pytest.mark.parametrize("name", FAULTS)
def test_strong_faults_are_found(name):
    runs = (sample(name, seed) for seed in range(400))  # of some families few are strong
    strong = list(islice((one for one in runs if one.labels[one.about["fault"]] == "yes"), 20))
    found = [diagnose(one.run, Options(select=(one.about["fault"],))).findings for one in strong]
    assert sum(map(bool, found)) >= 0.75 * len(strong)
