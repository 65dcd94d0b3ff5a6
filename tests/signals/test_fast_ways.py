"""The fast ways of signals/ against the plain loops that say what they mean."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from curvelab.signals.episodes import zigzag_legs
from curvelab.signals.schedule import AT_PEAK, LONGEST_WARMUP, RAMP_START, warmup_end
from curvelab.signals.thinning import min_max_rows

POSITIVE = st.integers(1, 12).map(float)


def plain_legs(values, share):
    legs, direction = 0, 0
    low = high = float(values[0]) if len(values) else 0.0
    for value in values[1:].tolist():
        low, high = min(low, value), max(high, value)
        if direction <= 0 and value > low * (1 + share):
            legs, direction, high = legs + 1, 1, value
        elif direction >= 0 and value < high * (1 - share):
            legs, direction, low = legs + 1, -1, value
        if direction > 0:
            low = high
        elif direction < 0:
            high = low
    return legs


def plain_warmup_end(rate):
    n = len(rate)
    if n < 4 or not rate[0] < AT_PEAK * rate[: max(2, int(LONGEST_WARMUP * n)) + 1].max():
        return 0
    top = rate[0]
    for i in range(1, max(1, int(LONGEST_WARMUP * n)) + 1):
        if rate[i : i + 3].max() <= top * (1 + 1e-9):
            return int(np.argmax(rate[:i] >= AT_PEAK * top))
        top = max(top, float(rate[i]))
    return max(1, int(RAMP_START * n))


@given(arrays(np.float64, st.integers(0, 40), elements=POSITIVE), st.sampled_from([0.1, 0.3, 0.6]))
def test_legs_of_the_turning_points_are_those_of_the_curve(values, share):
    assert zigzag_legs(values, share) == plain_legs(values, share)


@given(arrays(np.float64, st.integers(1, 40), elements=POSITIVE))
def test_warmup_end(rate):
    assert warmup_end(rate) == plain_warmup_end(rate)


@given(arrays(np.float64, st.integers(1, 200), elements=st.floats(-5, 5) | st.just(np.nan)), st.sampled_from([4, 8, 40]))
def test_thinning_keeps_the_extremes_of_every_stretch(values, most):
    rows = min_max_rows(values, most)
    assert (np.diff(rows) > 0).all()
    if np.isfinite(values).any():
        assert np.nanmin(values) in values[rows]
        assert np.nanmax(values) in values[rows]
