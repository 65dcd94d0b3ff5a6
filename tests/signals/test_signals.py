"""Signals on curves whose answer is known, and properties that hold for any curve."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from curvelab import synth
from curvelab.signals.episodes import episodes, zigzag_legs
from curvelab.signals.level import drift_of, noise_of
from curvelab.signals.noise import block_medians, local_sigma, running_median, sigma_of, step_noise
from curvelab.signals.periodicity import best_period, detrended
from curvelab.signals.schedule import decayed_below, warmup_end
from curvelab.signals.thinning import min_max_rows

curves = arrays(np.float64, st.integers(1, 300), elements=st.floats(-1e6, 1e6, width=32))


@pytest.mark.parametrize("sigma", [2e-3, 0.05, 3.0])
@pytest.mark.parametrize("n", [400, 5000])
def test_noise_is_measured_whatever_the_trend(sigma, n):
    curve = synth.decay(n) + synth.noise(n, sigma, seed=n)
    assert step_noise(curve) == pytest.approx(sigma, rel=0.2)
    assert noise_of(curve) == pytest.approx(sigma, rel=0.35)


def test_single_jumps_do_not_change_the_noise():
    curve = synth.noise(500, 0.1)
    jumps = curve.copy()
    jumps[::50] += 20
    assert step_noise(jumps) == pytest.approx(step_noise(curve), rel=0.15)
    assert sigma_of(jumps) == pytest.approx(sigma_of(curve), rel=0.15)


@given(curves, st.floats(0.01, 100), st.floats(-100, 100))
def test_noise_scales_with_the_curve_and_ignores_its_offset(curve, scale, offset):
    scaled = step_noise(curve * scale + offset)
    assert scaled == pytest.approx(step_noise(curve) * scale, rel=1e-4, abs=1e-6 * (np.abs(curve).max() * scale + 100))


@given(curves, st.integers(1, 99))
def test_a_running_median_stays_between_the_extremes(curve, width):
    smooth = running_median(curve, width)
    assert len(smooth) == len(curve)
    assert curve.min() <= smooth.min() <= smooth.max() <= curve.max()
    assert (local_sigma(curve, width) >= 0).all()


@given(curves, st.integers(1, 40))
def test_block_medians_cover_the_curve_in_order(curve, blocks):
    centres, medians = block_medians(curve, blocks)
    assert len(centres) == len(medians) == min(blocks, len(curve))
    assert (np.diff(centres) > 0).all()


def test_drift_knows_how_well_it_is_known():
    falls = [drift_of(2 - 0.1 * np.arange(100) / 100 + synth.noise(100, 0.1, seed)) for seed in range(300)]
    changes = np.array([d.change for d in falls])
    assert changes.mean() == pytest.approx(-0.05, abs=0.005)
    assert np.mean([d.error for d in falls]) == pytest.approx(changes.std(), rel=0.35)


def test_warmup_ends_at_the_peak_of_the_rate():
    rate = synth.cosine(200, warmup=0.1)
    assert warmup_end(rate) == pytest.approx(20, abs=1)
    assert warmup_end(np.full(50, 1e-4)) == 0
    assert warmup_end(np.linspace(1, 0, 50)) == 0
    assert warmup_end(np.linspace(0, 1, 100)) == 5  # a ramp through the run is no warm-up


def test_a_decayed_rate_is_recognised_where_it_falls_below_the_share():
    rate = np.concatenate([np.full(60, 1.0), np.full(40, 0.01)])
    assert decayed_below(rate, 0.1) == 60
    assert decayed_below(np.full(40, 1.0), 0.1) is None
    assert decayed_below(np.zeros(40), 0.1) is None
    assert decayed_below(np.empty(0), 0.1) is None


def test_episodes_merge_over_small_gaps():
    marked = np.array([0, 1, 1, 0, 1, 0, 0, 0, 1], dtype=bool)
    assert episodes(marked, gap=0) == [(1, 2), (4, 4), (8, 8)]
    assert episodes(marked, gap=1) == [(1, 4), (8, 8)]
    assert episodes(np.zeros(5, dtype=bool)) == []


def test_zigzag_counts_turns_beyond_the_share():
    assert zigzag_legs(np.array([1, 0.9, 0.7, 0.5]), 0.15) == 1
    assert zigzag_legs(np.array([1, 0.5, 1, 0.5, 1]), 0.15) == 4
    assert zigzag_legs(1 + synth.noise(50, 0.01), 0.15) == 0


@pytest.mark.parametrize("period", [7, 20, 45])
def test_a_period_is_found_in_noise_and_not_in_noise_alone(period):
    n = 400
    teeth = np.abs((np.arange(n) / period * 2) % 2 - 1)
    found = best_period(detrended(synth.decay(n) + teeth + synth.noise(n, 0.15, seed=1)))
    assert found.length == pytest.approx(period, rel=0.05)
    assert found.explained > 0.6
    chance = [best_period(detrended(synth.noise(n, 1.0, seed))).explained for seed in range(40)]
    assert max(chance) < 0.25


floats_with_gaps = arrays(np.float64, st.integers(1, 3000), elements=st.floats(allow_nan=True, allow_infinity=True))


@given(floats_with_gaps, st.integers(8, 400))
def test_thinning_keeps_ends_and_extremes_and_its_limit(values, most):
    rows = min_max_rows(values, most)
    assert (np.diff(rows) > 0).all()
    assert rows[0] == 0
    assert rows[-1] == len(values) - 1
    assert len(rows) <= max(most, len(values) if len(values) <= most else 0) * 1.5 + 4
    finite = values[np.isfinite(values)]
    if len(finite):
        assert values[rows][np.isfinite(values[rows])].max() == finite.max()
        assert values[rows][np.isfinite(values[rows])].min() == finite.min()
