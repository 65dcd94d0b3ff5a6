"""Where settings part: the metric that ranks first, crossings, equal beginnings, failures, and what could not be seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from comparing.made import broken, made

import curvelab
from curvelab.model.run import Curve, Run
from curvelab.report.compared import paragraphs
from curvelab.signals.parting import fork_of


def shifted(run: Run, name: str, by: np.ndarray, metric: str = "eval/loss", **config: object) -> Run:
    """A run of another name with a metric moved, point by point."""
    other = made(name, **config)
    curve = run.logged[metric]
    return replace(other, logged={**run.logged, metric: replace(curve, value=curve.value + by)})


def test_the_metric_that_ranks_is_looked_at_first():
    base = made("base", evals=20)
    told = curvelab.compare([base, shifted(base, "other", np.where(np.arange(20) > 9, 0.3, 0.0), learning_rate=1e-5)])
    (one,) = told.partings
    assert one.metric == "eval/loss"
    assert one.identical == base.logged["eval/loss"].step[9]
    assert one.steps is not None
    assert one.steps[0] == base.logged["eval/loss"].step[10]
    assert "is identical to that of base up to step" in one.sentence


def test_curves_that_cross_are_not_apart_from_there_on():
    x = np.arange(200.0)
    level = 2 + np.exp(-x / 40)
    fork = fork_of(x, level, x, level + np.where(x < 100, -0.3, 0.2) + 0.001 * np.sin(x))
    assert fork is not None
    assert fork.gap is not None
    assert fork.gap < 0
    assert len(fork.crosses) == 1
    assert 95 <= fork.crosses[0] <= 105
    assert fork.end_gap is not None
    assert fork.end_gap > 0.15
    assert fork.ends_apart


def test_a_crossing_is_told_with_the_gap_at_the_end():
    base = made("base", evals=20)
    told = curvelab.compare([base, shifted(base, "other", np.where(np.arange(20) < 8, -0.5, 0.4), learning_rate=1e-5)], baseline="base")
    (one,) = told.partings
    assert "they change sides by step" in one.sentence
    assert "0.4 higher at the end" in one.sentence
    assert "from there on" not in one.sentence


def test_a_failure_is_a_parting():
    (one,) = curvelab.compare([made("base", 1.0), broken("nan")], baseline="base").partings
    assert one.failed.startswith("became NaN at step")
    assert one.sentence.startswith("nan became NaN at step 30")
    assert one.steps is not None


def test_what_could_not_be_seen_is_folded_into_one_line():
    told = curvelab.compare([made("base"), *(made(f"r{i}", 1.8, weight_decay=0.1 * (i + 1)) for i in range(3))], baseline="base")
    assert len(told.partings) == 3
    (line,) = dict(paragraphs.paragraphs(told))["Where they part"]
    assert "r2" in line.split(" cannot be told from that of base: too noisy to see a gap below")[0]


def test_seeds_are_held_against_seeds():
    runs = [made(f"{n}-seed{s}", floor + 0.002 * s, noise=0.002, evals=20, seed=s, learning_rate=rate)
            for n, floor, rate in (("a", 1.8, 1e-4), ("b", 1.95, 1e-3)) for s in (1, 2, 3)]  # fmt: skip
    (one,) = curvelab.compare(runs).partings
    assert one.at is not None
    assert "b (3 seeds) parts from that of a (3 seeds)" in one.sentence


def test_the_same_curve_logged_as_means_does_not_part():
    rng = np.random.default_rng(0)
    for every in (20, 50, 100):
        x = np.arange(1, 2001) / 2000
        fine, coarse = (1.8 + 8 * np.exp(-20 * x) + rng.normal(0, 0.1, 2000) for _ in range(2))
        runs = [made("fine"), made("coarse", evals=0)]
        step = np.arange(1, 2001)
        logged = [Curve.of("train/loss", step, fine), Curve.of("train/loss", step[every - 1 :: every], coarse.reshape(-1, every).mean(1))]
        told = curvelab.compare([replace(run, logged={"train/loss": curve}) for run, curve in zip(runs, logged, strict=True)])
        assert [one.at for one in told.partings] == [None]
