"""Lines through noise, one change of level, epoch ends: answers that are known, and properties of any curve."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from curvelab import synth
from curvelab.signals.coarse import block_size, coarse
from curvelab.signals.epochs import epoch_ends
from curvelab.signals.line import Jump, fit_line, jump_at
from curvelab.signals.shift import best_split

curves = arrays(np.float64, st.integers(8, 200), elements=st.floats(-1e3, 1e3, width=32))


# lines


def test_line_is_read_off_through_noise_and_outliers():
    x = np.arange(200.0)
    y = 3 - 0.01 * x + synth.noise(200, 0.05, seed=1)
    y[::20] += 10
    line = fit_line(x, y, at=100.0)
    assert line.level == pytest.approx(2.0, abs=4 * line.level_error)
    assert line.slope == pytest.approx(-0.01, abs=4 * line.slope_error)
    assert line.noise == pytest.approx(0.05, rel=0.2)


@given(st.floats(-1e3, 1e3), st.floats(-10, 10), st.floats(-1e3, 1e3))
def test_exact_line_is_found(level, slope, at):
    x = np.arange(20.0)
    line = fit_line(x, level + slope * x, at)
    assert line.level == pytest.approx(level + slope * at, abs=1e-6 * (1 + abs(level) + abs(slope * at)))
    assert line.slope == pytest.approx(slope, abs=1e-9 + 1e-9 * abs(level))


@given(curves, st.floats(0.1, 100), st.floats(-1e3, 1e3))
def test_line_follows_scale_and_offset(curve, scale, offset):
    x = np.arange(float(len(curve)))
    one, other = fit_line(x, curve, 3.0), fit_line(x, scale * curve + offset, 3.0)
    size = scale * (np.abs(curve).max() + 1) + abs(offset)
    # an outlier at the very edge of rejection may fall on either side of it after rounding
    if np.isclose(other.noise, scale * one.noise, rtol=1e-3, atol=1e-6 * size):
        assert other.level == pytest.approx(scale * one.level + offset, abs=1e-3 * size)


def test_all_points_at_one_place_make_a_level_line():
    line = fit_line(np.full(5, 7.0), np.array([1.0, 2, 3, 4, 5]), at=7.0)
    assert (line.level, line.slope) == (3.0, 0.0)


# jumps


@pytest.mark.parametrize("size", [-0.5, 0.0, 0.3])
def test_jump_is_measured_on_a_slope(size):
    x = np.arange(100.0)
    y = 5 - 0.02 * x + size * (x > 50) + synth.noise(100, 0.02, seed=2)
    jump = jump_at(x, y, at=50.0, width=30, gap=0, fewest=5)
    assert jump is not None
    assert jump.size == pytest.approx(size, abs=4 * jump.error)
    assert (abs(jump.sigmas) > 5) == (size != 0)


def test_no_jump_without_points_on_both_sides():
    x = np.arange(20.0)
    assert jump_at(x, x, at=2.0, width=10, gap=0, fewest=5) is None
    assert jump_at(x, x, at=18.0, width=10, gap=0, fewest=5) is None


def test_points_in_the_gap_are_left_out():
    x = np.arange(40.0)
    y = np.where(x <= 20, 2.0, 1.0)
    y[21] = 1.5  # a logged mean that reaches over the boundary
    jump = jump_at(x, y, at=20.0, width=10, gap=1.0, fewest=5)
    assert jump is not None
    assert jump.size == pytest.approx(-1.0)


def test_sigmas_of_an_exact_jump():
    assert Jump(1.0, 1.0, 0.0).sigmas == 0.0
    assert Jump(1.0, 0.5, 0.0).sigmas == -np.inf


def test_white_noise_shows_few_jumps():
    loud = 0
    for seed in range(300):
        jump = jump_at(np.arange(60.0), synth.noise(60, 1.0, seed), 29.5, 30, 0, 5)
        loud += jump is not None and abs(jump.sigmas) > 4.5
    assert loud <= 3


# splits


@pytest.mark.parametrize("place", [20, 50, 85])
def test_change_of_level_is_found(place):
    values = np.where(np.arange(100) < place, 10.0, 6.0) + synth.noise(100, 0.5, seed=3)
    values[[5, 60]] = 100  # outliers
    split = best_split(values)
    assert split is not None
    assert abs(split.index - place) <= 2
    assert split.before == pytest.approx(10, abs=0.4)
    assert split.after == pytest.approx(6, abs=0.4)


@given(curves)
def test_split_lies_inside_and_ignores_scale(curve):
    split, scaled = best_split(curve), best_split(8 * curve)
    assert split is not None and scaled is not None
    assert 4 <= split.index <= len(curve) - 4
    assert split.index == scaled.index
    assert split.error >= 0


def test_too_short_to_split():
    assert best_split(np.arange(7.0)) is None


# epochs


def test_epoch_ends_of_an_exact_column():
    step = np.arange(10, 1001, 10)
    assert epoch_ends(step, step / 250) == pytest.approx([250, 500, 750, 1000])


def test_epoch_ends_of_a_rounded_column():
    step = np.arange(10, 1001, 10)
    assert epoch_ends(step, np.round(step / 334, 2)) == pytest.approx([334, 668, 1002], abs=6)


def test_epochs_that_go_back_are_no_clock():
    step = np.arange(100)
    assert len(epoch_ends(step, (step % 50) / 25)) == 0
    assert len(epoch_ends(step, np.full(100, np.nan))) == 0
    assert len(epoch_ends(step[:2], step[:2] / 1.0)) == 0


@given(st.integers(20, 300), st.floats(0.5, 9))
def test_epoch_ends_rise_and_lie_within_the_run(n, epochs):
    step = np.arange(1, n + 1) * 5
    ends = epoch_ends(step, epochs * step / step[-1])
    assert (np.diff(ends) > 0).all()
    assert len(ends) in (int(epochs), int(epochs + 0.011))
    assert ((ends > 0) & (ends <= step[-1] * 1.03)).all()


# coarse levels


@given(st.integers(0, 10**7), st.integers(1, 5000))
def test_blocks_leave_no_more_than_asked_for(n, most):
    size = block_size(n, most)
    assert size >= 1
    assert -(-n // size) <= most


@given(curves, st.integers(1, 20))
def test_coarse_levels_are_medians_of_blocks(curve, size):
    levels = coarse(curve, size)
    assert levels.tolist() == [float(np.median(curve[i : i + size])) for i in range(0, len(curve), size)]


def test_more_epochs_than_steps_are_no_clock():
    assert len(epoch_ends(np.array([5, 10, 15]), np.array([0.0, 0.0, 1.5e10]))) == 0
