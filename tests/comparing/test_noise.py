"""How often equal runs are told apart, and how often different ones are: the promise of 95 % is measured."""

from __future__ import annotations

import numpy as np
import pytest
from comparing.made import made

from curvelab.comparing.choice import Choice
from curvelab.comparing.entrants import Entrant
from curvelab.comparing.noise import Noise, noise_among
from curvelab.comparing.ranking import Unit, Value, in_order, lead, ranks, value_of
from curvelab.diagnosis import diagnose
from curvelab.facts import Facts
from curvelab.model.run import Curve

CHOICE = Choice("eval/loss", "min", "")
TRIALS = 300


@pytest.fixture(scope="module")
def anyone() -> Entrant:
    run = made("anyone", evals=0)
    return Entrant(run, Facts(run), diagnose(run))


def with_evals(entrant: Entrant, values: np.ndarray) -> Unit:
    n = len(values)
    curve = Curve.of("eval/loss", np.arange(1, n + 1) * 50, values)
    run = entrant.run
    copy = type(run)(**{**vars_of(run), "logged": {**run.logged, "eval/loss": curve}})
    one = Entrant(copy, Facts(copy), entrant.diagnosis)
    value = value_of(one, CHOICE)
    assert value is not None
    return Unit(int(values[0] * 1e9), (one,), (value,))


def vars_of(run):
    return {name: getattr(run, name) for name in run.__dataclass_fields__}


def told_apart(units_of, noise_of) -> float:
    """Share of the trials in which the lead was believed."""
    rng = np.random.default_rng(0)
    believed = 0
    for _ in range(TRIALS):
        units = in_order(units_of(rng), CHOICE)
        believed += lead(units[0], units[1], CHOICE, noise_of(units)).real
    return believed / TRIALS


@pytest.mark.parametrize("noise", [0.01, 0.05])
@pytest.mark.parametrize("evals", [3, 5, 8, 20])
def test_equal_runs_are_seldom_told_apart_by_the_noise_of_their_curves(evals, noise, anyone):
    fall = 1.8 + np.exp(-5 * np.arange(1, evals + 1) / evals)
    pairs = lambda rng: [with_evals(anyone, fall + rng.normal(0, noise, evals)) for _ in range(2)]  # noqa: E731
    assert told_apart(pairs, lambda units: Noise(None, 0)) <= 0.07


def test_runs_that_differ_by_five_sigmas_are_told_apart(anyone):
    fall = 1.8 + np.exp(-5 * np.arange(1, 21) / 20)
    pairs = lambda rng: [with_evals(anyone, fall + gap + rng.normal(0, 0.02, 20)) for gap in (0.0, 0.1)]  # noqa: E731
    assert told_apart(pairs, lambda units: Noise(None, 0)) >= 0.8


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_equal_settings_are_told_apart_in_one_of_twenty_by_their_seeds(seeds, anyone):
    def pairs(rng):
        return [Unit(i, (anyone,), tuple(Value(2 + rng.normal(0, 0.05), 1, 0.01, 9) for _ in range(seeds))) for i in (0, 1)]

    assert told_apart(pairs, noise_among) <= 0.09


def curves(anyone, rng, count: int, moved: float, better: float = 0.0) -> list[Unit]:
    """Units of one seed each at a level of 2, moved by their seeds; the first is better by so much."""
    fall = np.exp(-6 * np.arange(1, 21) / 20)
    floors = 2 + rng.normal(0, moved, count) - better * (np.arange(count) == 0)
    return [with_evals(anyone, floor + fall + rng.normal(0, 0.004, 20)) for floor in floors]


@pytest.mark.parametrize("moved", [0.006, 0.01])  # 0.3 % and 0.5 % of the level
def test_one_seed_each_is_seldom_told_apart_though_seeds_move_the_whole_curve(moved, anyone):
    assert told_apart(lambda rng: curves(anyone, rng, 2, moved), noise_among_curves) <= 0.07


@pytest.mark.parametrize("count", [3, 10, 40])
def test_a_ranking_of_equal_runs_seldom_holds_two_ranks(count, anyone):
    rng = np.random.default_rng(0)
    trials = 60
    split = [len(set(ranks(curves(anyone, rng, count, 0.01), CHOICE, Noise(None, 0)).values())) > 1 for _ in range(trials)]
    assert sum(split) / trials <= 0.1


def test_six_standard_deviations_are_seen_with_one_seed_each(anyone):
    assert told_apart(lambda rng: curves(anyone, rng, 2, 0.01, better=0.065), noise_among_curves) >= 0.95


def noise_among_curves(units: list[Unit]) -> Noise:
    return Noise(None, 0)


def test_one_pair_of_seeds_among_many_settings_does_not_hide_all_differences(anyone):
    def unit(number: int, *values: float) -> Unit:
        return Unit(number, (anyone,), tuple(Value(one, 1, 0.004, 9) for one in values))

    units = [unit(0, 2.0, 2.01), unit(1, 2.2), unit(2, 2.5)]
    assert ranks(units, CHOICE, noise_among(units)) == {0: 1, 1: 2, 2: 3}
    wide = [unit(0, 2.0, 2.2), unit(1, 2.3), unit(2, 3.5)]
    assert ranks(wide, CHOICE, noise_among(wide)) == {0: 1, 1: 1, 2: 3}


def test_a_lone_noisy_run_is_not_judged_by_the_quiet_seeds_of_another_setting(anyone):
    def units(rng):
        quiet = tuple(Value(1.8 + rng.normal(0, 0.002), 1, 0.002, 10) for _ in range(3))
        return [Unit(0, (anyone,), quiet), with_evals(anyone, 1.8 + np.exp(-5 * np.arange(1, 11) / 10) + rng.normal(0, 0.05, 10))]

    assert told_apart(units, noise_among) <= 0.07


@pytest.mark.parametrize("counts", [(100, 5), (1000, 3), (50, 50)])
def test_the_best_of_many_evals_is_not_better_than_that_of_few(counts, anyone):
    pairs = lambda rng: [with_evals(anyone, 1.8 + rng.normal(0, 0.02, n)) for n in counts]  # noqa: E731
    assert told_apart(pairs, noise_among_curves) <= 0.1


def test_a_glitch_of_one_eval_makes_no_winner(anyone):
    falls = np.array([2.5, 2.2, 2.0, 1.9, 1.7, 1.65, 1.64, 1.63, 1.62, 1.61])
    glitch = with_evals(anyone, np.where(np.arange(10) == 4, 0.2, falls + 0.2))
    units = in_order([glitch, with_evals(anyone, falls)], CHOICE)
    assert glitch.values[0].alone
    assert not lead(units[0], units[1], CHOICE, Noise(None, 0)).real
    steep = with_evals(anyone, np.abs(np.arange(10) - 4.0) + 1)
    assert not steep.values[0].alone


def test_curves_that_never_move_tell_no_noise(anyone):
    units = [with_evals(anyone, np.full(6, level)) for level in (0.0, 1e-9)]
    assert not lead(units[0], units[1], CHOICE, Noise(None, 0)).real


def test_many_seeds_may_find_what_is_less_than_the_usual_rounding(anyone):
    units = [Unit(i, (anyone,), tuple(Value(3 + 0.005 * i + 0.0005 * s, 1, 0.0002, 9) for s in range(5))) for i in (0, 1)]
    found = lead(units[0], units[1], CHOICE, noise_among(units))
    assert found.real
    few = [Unit(i, (anyone,), tuple(Value(3 + 0.005 * i + 0.0001 * s, 1, 0.0002, 9) for s in range(2))) for i in (0, 1)]
    assert "no more than rounding" in lead(few[0], few[1], CHOICE, noise_among(few)).sentence
