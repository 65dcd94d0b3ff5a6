"""The baseline: groups of seeds against groups, and a gate that fails where nothing could be judged."""

from __future__ import annotations

import pytest
from comparing.made import broken, made

import curvelab
from curvelab.comparing.baselines import unjudged


def seeds(name: str, floor: float, rate: float) -> list:
    return [made(f"{name}-seed{s}", floor + 0.01 * s, noise=0.002, seed=s, learning_rate=rate) for s in (1, 2, 3)]


@pytest.mark.parametrize("baseline", ["main", "main (3 seeds)", "main-seed1", "main-seed3", "runs/main-seed2"])
def test_any_name_of_a_group_of_seeds_means_the_group(baseline):
    told = curvelab.compare([*seeds("main", 1.8, 1e-4), *seeds("worse", 2.1, 1e-3)], baseline=baseline)
    assert told.baseline is not None
    (one,) = told.baseline.standings
    assert (one.name, one.against, len(one.runs)) == ("worse (3 seeds)", "worse", 3)
    assert told.baseline.regressed == ("worse-seed1", "worse-seed2", "worse-seed3")
    assert len(told.baseline.runs) == 3
    assert told.baseline.of("main-seed2") is None


def test_a_seed_that_failed_is_a_regression_of_its_own():
    runs = [*seeds("main", 1.8, 1e-4), *seeds("new", 1.8, 2e-4)[:2], broken("new-seed3", seed=3, learning_rate=2e-4)]
    told = curvelab.compare(runs, baseline="main")
    assert told.baseline is not None
    assert told.baseline.regressed == ("new-seed3",)
    assert told.baseline.of("new-seed3").against == "failed"
    assert told.baseline.of("new-seed1").against == "within-noise"


def test_intervals_are_widened_for_the_number_of_runs():
    runs = [made("main"), *(made(f"r{i}", learning_rate=1e-4 * (i + 2)) for i in range(8))]
    few, many = (curvelab.compare(runs[:n], baseline="main").baseline for n in (2, 9))
    assert few is not None
    assert many is not None
    assert few.standings[0].change == many.standings[0].change
    needed = [float(one.standings[0].sentence.split("; ")[-1].split()[0]) for one in (few, many)]
    assert needed[1] > 1.2 * needed[0]


def test_what_cannot_be_judged_is_named():
    held = curvelab.compare([broken("gone"), broken("b"), broken("c")], baseline="gone").baseline
    assert held is not None
    assert "the baseline cannot be judged (gone: became NaN" in unjudged(held)
    told = curvelab.compare([broken("gone"), made("b"), broken("c")], baseline="gone")
    assert told.baseline is not None
    assert [one.against for one in told.baseline.standings] == ["better", "not-comparable"]
    assert (unjudged(told.baseline), told.baseline.regressed) == ("", ())
    assert told.sentence.startswith("b is the only one of 3 runs that did not fail: gone became NaN at step")
    other = curvelab.compare([made("a"), made("b", vocab_size=9)], baseline="a").baseline
    assert other is not None
    assert "no run can be judged (b:" in unjudged(other)
    fine = curvelab.compare([made("a"), made("b")], baseline="a").baseline
    assert fine is not None
    assert unjudged(fine) == ""
