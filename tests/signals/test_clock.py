"""Seconds of training between two logs: pauses, restarts, slow evals."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from curvelab.signals.clock import intervals


def taken(times, step=None, begins=(), slow=()):
    """Intervals of a log from the seconds between its rows."""
    n = len(times)
    marks = [np.isin(np.arange(n), places) for places in (begins, slow)]
    step = np.arange(n + 1.0) * 10 if step is None else np.asarray(step, dtype=float)
    return intervals(step, np.concatenate([[0.0], np.cumsum(times)]), *marks)


def test_the_pause_between_two_attempts_counts_as_the_steps_that_were_done_in_it():
    seconds, pauses = taken([5, 5, 5, 9000, 5, 5], begins=[3])
    assert (seconds.tolist(), pauses) == ([5, 5, 5, 5, 5, 5], 0)
    seconds, _ = taken([5, 5, 5, 9000, 5, 5], step=[0, 10, 20, 30, 20, 30, 40], begins=[3])
    assert seconds[3] == 5  # steps were taken back: one usual interval


def test_a_machine_that_slept_is_a_pause_and_ten_minutes_are_none():
    times = np.full(200, 5.0)
    times[77] = 8 * 3600
    seconds, pauses = taken(times)
    assert (seconds.sum(), pauses) == (1000, 1)
    times[77] = 500
    assert taken(times)[0].sum() == 199 * 5 + 500


def test_evals_are_compared_with_evals():
    times = np.full(100, 5.0)
    times[9::10] = 700.0
    seconds, pauses = taken(times, slow=np.arange(9, 100, 10))
    assert (seconds.sum(), pauses) == (90 * 5 + 7000, 0)
    assert taken(times)[1] == 0  # they come again and again: so the run is
    times[49] = 1e5
    seconds, pauses = taken(times, slow=np.arange(9, 100, 10))
    assert (seconds.sum(), pauses) == (90 * 5 + 7000, 1)


def test_a_run_that_slows_down_for_good_keeps_its_time():
    times = np.concatenate([np.full(60, 5.0), np.full(40, 900.0)])
    assert taken(times)[0].sum() == times.sum()


def test_a_clock_that_was_set_back_counts_as_nothing():
    assert (taken([5, -3600, 5, 5])[0] >= 0).all()


@given(arrays(np.float64, st.integers(1, 40), elements=st.floats(-1e5, 1e5)), st.integers(0, 39), st.integers(0, 39))
def test_no_interval_is_negative_or_longer_than_it_was(times, begin, slow):
    seconds, pauses = taken(times, begins=[begin], slow=[slow])
    assert seconds.shape == times.shape
    assert np.isfinite(seconds).all() and (seconds >= 0).all() and pauses >= 0
    ordinary = np.arange(len(times)) != begin
    assert (seconds[ordinary] <= np.maximum(times[ordinary], 0) + 1e-6).all()
