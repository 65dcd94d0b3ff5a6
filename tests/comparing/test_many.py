"""Many runs, other lengths: what is said of many pairs, trends, kinds, bends, and the last place that all reached."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from comparing.made import made

import curvelab
from curvelab.report.compared import paragraphs
from curvelab.report.compared.page import page


def test_equal_runs_have_no_best_and_no_picked_pairs():
    rng = np.random.default_rng(0)
    told = curvelab.compare([made(f"n{i}", 2.0 + rng.normal(0, 0.006), optim=f"o{i}", noise=0.004) for i in range(40)])
    assert {row.rank for row in told.rows} == {1}
    assert told.sentence.startswith("No clear winner (one seed each)")
    assert told.effects == ()
    assert any("each value has too few runs: optim (40 values in 40 runs)" in one for one in told.caveats)


def test_many_values_of_a_setting_are_one_trend():
    told = curvelab.compare([made(f"r{i}", 1.8 + 0.05 * i, learning_rate=1e-4 * 2**i) for i in range(6)])
    (one,) = told.effects
    assert (one.setting, one.pairs, one.runs) == ("learning_rate", 0, 6)
    assert 0.2 < one.change < 0.3
    assert one.low > 0


def test_three_values_are_pairs_that_hold_together():
    told = curvelab.compare([made(f"r{i}", 1.8 + 0.3 * i, learning_rate=1e-4 * 2**i) for i in range(3)])
    assert len(told.effects) == 3
    assert all("95 % for all 3 together" in one.sentence for one in told.effects)


def test_kinds_are_counted_and_a_bend_is_named():
    rng = np.random.default_rng(1)
    kinds = {"adamw_torch": 0.0, "lion_8bit": 0.05, "adafactor": 0.1}
    runs = []
    for i in range(30):
        optim, rate = list(kinds)[i % 3], 10 ** rng.uniform(-5, -3)
        runs.append(made(f"r{i}", 1.8 + kinds[optim] + 0.4 * (np.log10(rate) + 4) ** 2, noise=0.004, optim=optim, learning_rate=float(rate)))
    told = {one.setting: one for one in curvelab.compare(runs).associations}
    assert "adamw_torch" in told["optim"].sentence
    assert "(10)" in told["optim"].sentence
    assert told["optim"].rho is None
    assert told["learning_rate"].shape.startswith("best between")
    low, high = (float(word) for word in told["learning_rate"].shape.split(",")[0].split()[2::2])
    assert low < 1e-4 < high
    assert '<svg class="dots"' in page(curvelab.compare(runs))


def test_a_setting_that_goes_with_another_is_told_with_that_one_held():
    rng = np.random.default_rng(2)
    runs = []
    for i in range(40):
        rate = 10 ** rng.uniform(-5, -3)
        warmup = int(40 * (np.log10(rate) + 5) + rng.integers(0, 60))
        runs.append(made(f"r{i}", 1.8 + 0.3 * (-3 - np.log10(rate)), noise=0.004, learning_rate=float(rate), warmup_steps=warmup))
    told = {one.setting: one for one in curvelab.compare(runs).associations}
    assert told["warmup_steps"].rho < -0.4
    assert abs(told["warmup_steps"].partial) < 0.35
    assert told["warmup_steps"].q > 0.01
    assert told["warmup_steps"].together
    assert told["learning_rate"].partial < -0.8


def test_runs_of_other_lengths_are_held_against_each_other_where_both_were():
    short, long = made("short", 1.8, max_steps=250, points=50), made("long", 1.5, points=200, max_steps=1000)
    told = curvelab.compare([short, long])
    common = told.ranking.common
    assert common is not None
    assert common.at == short.last_step
    assert told.ranking.budget.startswith("whole runs of different lengths, from step 250 to step 1,000")
    assert "at step 250, the last place that all reached" in told.sentence
    assert all(row.common is not None for row in told.rows)
    assert curvelab.compare([made("a"), made("b")]).ranking.common is None


def test_dataframes_have_numbers_as_numbers():
    runs = [made("base"), made("neft", 2.2, neftune_noise_alpha=5, learning_rate=1e-3), made("c", 2.3, learning_rate=2e-3, bf16=True)]
    told = curvelab.compare(runs, baseline="base")
    settings = told.settings
    assert settings["learning_rate"].dtype == np.float64
    assert settings["neftune_noise_alpha"].dtype == np.float64
    assert np.isnan(settings.loc["base", "neftune_noise_alpha"])
    table = told.table
    assert {"against", "change", "group_mean", "group_spread"} <= set(table.columns)
    assert list(table["against"]) == ["baseline", "worse", "worse"]
    assert table["money"].dtype == table["best"].dtype == np.float64
    assert isinstance(table["rank"].dtype, pd.Int64Dtype)


def test_the_highest_loss_is_not_ranked_first_in_silence():
    told = curvelab.compare([made("a"), made("b", 2.2)], goal="max")
    assert "of a loss less is better" in told.caveats[0]


@pytest.mark.parametrize("name", ["main", "weight"])
def test_names_keep_their_case(name):
    told = curvelab.compare([made(name), made("other", 2.2, optim="sgd")], baseline=name)
    lines = [line for _, found in paragraphs.paragraphs(told) for line in found]
    assert not any(line.startswith(("Other", "Main", "Weight", "Optim")) for line in lines)
