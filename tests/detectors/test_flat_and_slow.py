"""Flat or slow, a spike or noise: where the right statistic decides, both ways, over ten seeds each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from curvelab import synth
from curvelab.catalogue import detector
from curvelab.diagnosis import diagnose, look
from curvelab.facts import Facts
from curvelab.model.run import Curve, Run

SEEDS = range(10)
Make = Callable[[np.random.Generator], Run]


def share_found(pattern: str, make: Make) -> float:
    """Share of the seeds on which a pattern is raised."""
    one = detector(pattern)
    return float(np.mean([look(one, Facts(make(np.random.default_rng(s))), one.limits())[0].status == "found" for s in SEEDS]))


def reasons(pattern: str, make: Make) -> set[str]:
    """The beginnings of the reasons why a pattern was not judged; an empty one where it was."""
    one = detector(pattern)
    return {look(one, Facts(make(np.random.default_rng(s))), one.limits())[0].reason.partition(":")[0] for s in SEEDS}


def run(level: np.ndarray, noise: float, dice: np.random.Generator, **more) -> Run:
    evals = more.pop("evals", None)
    if evals is not None:
        evals = evals * (1 + dice.normal(0, 0.005, len(evals)))
    return synth.run_of(level * (1 + dice.normal(0, noise, len(level))), evals=evals, **more)


def places(n: int) -> np.ndarray:
    return np.arange(1, n + 1) / n


def stuck(n: int) -> np.ndarray:
    """Falls fast in the first tenth, then stands still."""
    return 4 * (0.55 + 0.45 * np.exp(-places(n) / 0.02))


def slow(n: int) -> np.ndarray:
    """A slow decline: 2.8 % of its level from 40 % of the run on, and no end of it."""
    return 1.2 * (0.8 + 0.2 * (1 + 150 * places(n)) ** -0.4)


@pytest.mark.parametrize(("n", "noise"), [(30, 0.01), (120, 0.03), (300, 0.06), (1000, 0.1)])
def test_a_textbook_plateau_is_found_and_a_slow_decline_is_none(n, noise):
    assert share_found("plateau", lambda dice: run(stuck(n), noise, dice)) >= 0.8
    assert share_found("plateau", lambda dice: run(slow(n), noise, dice)) == 0
    assert share_found("plateau", lambda dice: run(slow(n), 0.001, dice)) == 0


def test_flat_evals_help_to_see_a_plateau_and_falling_ones_exclude_it():
    flat, falling = np.full(10, 2.3), np.linspace(2.6, 2.1, 10)
    alone = share_found("plateau", lambda dice: run(stuck(120), 0.07, dice))
    assert share_found("plateau", lambda dice: run(stuck(120), 0.07, dice, evals=flat)) >= alone + 0.4
    assert share_found("plateau", lambda dice: run(stuck(120), 0.02, dice, evals=falling)) == 0


def test_noise_that_hides_a_plateau_is_said():
    assert "too noisy to tell" in reasons("plateau", lambda dice: run(stuck(60), 0.2, dice))
    assert reasons("plateau", lambda dice: run(synth.decay(60, 3.0, 1.0), 0.02, dice)) == {""}


def test_a_log_that_rounds_to_the_size_of_the_loss_is_not_judged():
    falling = 0.001 * (0.12 + 0.88 * (1 + 40 * places(200)) ** -0.7)

    def rounded(dice: np.random.Generator) -> Run:
        return synth.run_of(np.round(falling * (1 + dice.normal(0, 0.06, 200)), 4))

    assert reasons("plateau", rounded) == {"too coarse to tell"}
    assert share_found("plateau", lambda dice: run(1000 * stuck(200), 0.01, dice)) == 1


def test_the_last_epoch_of_a_staircase_is_no_plateau():
    n, epochs = 150, 2.0
    clock = epochs * places(n)
    steps = np.where(clock <= 1, 2.0, 1.5)
    assert share_found("plateau", lambda dice: run(steps, 0.01, dice, epoch=clock)) == 0
    assert share_found("plateau", lambda dice: run(stuck(n), 0.01, dice, epoch=clock)) == 1


def jumping(n: int, count: int, width: int = 1, times: float = 3.0) -> Make:
    def make(dice: np.random.Generator) -> Run:
        loss = (1.2 + 1.5 * (1 + 60 * places(n)) ** -0.5) * (1 + dice.normal(0, 0.03, n))
        for first in np.linspace(0.2 * n, 0.8 * n, count).astype(int):
            loss[first : first + width] *= times
        return synth.run_of(loss)

    return make


@pytest.mark.parametrize(("n", "count", "width"), [(40, 5, 1), (60, 1, 3), (80, 4, 1), (120, 3, 2), (300, 1, 18), (1000, 2, 60)])
def test_isolated_spikes_are_found_in_short_logs_and_wide_ones_in_long_logs(n, count, width):
    assert share_found("spikes", jumping(n, count, width)) >= 0.8


def test_what_is_common_or_does_not_recover_is_no_spike():
    assert share_found("spikes", jumping(60, 20)) == 0
    assert share_found("spikes", jumping(300, 1, 60)) == 0
    two_kinds = synth.decay(400)

    def mixed(dice: np.random.Generator) -> Run:
        return synth.run_of(two_kinds * np.where(dice.random(400) < 0.2, 1.6, 0.85) * np.exp(dice.normal(0, 0.05, 400)))

    assert share_found("spikes", mixed) == 0


@pytest.mark.parametrize(("n", "noise"), [(60, 0.03), (120, 0.06), (1000, 0.1)])
def test_a_constant_level_is_underfitting_whatever_its_noise(n, noise):
    assert share_found("underfitting", lambda dice: run(np.full(n, 4.0), noise, dice)) >= 0.7
    assert share_found("underfitting", lambda dice: run(synth.decay(n, 4.0, 3.5), noise, dice)) == 0


def test_noise_that_hides_a_fall_is_said():
    assert reasons("underfitting", lambda dice: run(np.full(30, 4.0), 0.2, dice)) >= {"too noisy to tell"}


def test_near_chance_is_no_guess_while_the_loss_falls_at_full_speed_or_is_a_sum():
    words, x = 50_257, places(60)
    chance = {"vocab_size": words}
    falling, standing = np.log(words) * (1 - 0.14 * x**0.8), np.log(words) * (0.9 + 0.1 * np.exp(-20 * x))
    assert share_found("underfitting", lambda dice: run(falling, 0.01, dice, config=chance)) == 0
    assert share_found("underfitting", lambda dice: run(standing, 0.01, dice, config=chance)) == 1
    summed, accumulated = 8 * (1.3 + 1.2 * np.exp(-8 * x)), {"vocab_size": 32_000, "gradient_accumulation_steps": 8}
    assert share_found("underfitting", lambda dice: run(summed, 0.03, dice, config=accumulated)) == 0


def test_small_norms_are_no_fault_while_the_loss_falls():
    def small(level: np.ndarray) -> Make:
        return lambda dice: run(level, 0.03, dice, norms=3e-5 * level * np.exp(dice.normal(0, 0.3, len(level))))

    assert share_found("vanishing-gradients", small(synth.decay(200, 3.0, 1.2))) == 0
    assert share_found("vanishing-gradients", small(np.full(200, 3.0))) == 1


def test_a_slow_decline_is_healthy_when_it_is_cut_or_thinned():
    loss = slow(1500) * (1 + np.random.default_rng(5).normal(0, 0.02, 1500))
    for part in (loss[:450], loss[:750], loss[:1050], loss[::2], loss[::5], loss + 0.3):
        assert "plateau" not in {finding.pattern for finding in diagnose(synth.run_of(part)).findings}


def test_small_bumps_of_a_solved_run_are_no_spikes_and_a_relapse_is_one():
    n = 120
    loss = 3.5 * np.exp(-np.arange(n) / 12) + 0.04 + synth.noise(n, 0.001, seed=3)
    for height, expected in ((0.02, []), (2.0, ["spikes"])):
        bumped = loss.copy()
        bumped[[80, 100]] += height
        found = diagnose(synth.run_of(bumped, every=1)).findings
        assert [f.pattern for f in found if f.pattern == "spikes"] == expected


@pytest.mark.parametrize(("growing", "expected"), [(True, []), (False, ["plateau"])])
def test_a_preference_run_whose_margins_grow_is_no_plateau(growing, expected):
    n = 60
    loss = np.where(np.arange(n) < 4, 0.70, 0.69) + synth.noise(n, 0.0005, seed=1)
    margins = (np.linspace(0, 0.05, n) if growing else np.zeros(n)) + synth.noise(n, 0.004, seed=2)
    run = synth.run_of(loss, every=5)
    logged = {**run.logged, "train/rewards/margins": Curve.of("train/rewards/margins", run.curve("train/loss").step, margins)}
    found = diagnose(replace(run, logged=logged)).findings
    assert [f.pattern for f in found if f.pattern == "plateau"] == expected
