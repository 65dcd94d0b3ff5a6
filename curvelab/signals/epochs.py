"""Where epochs end, from an epoch column that may be rounded."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ROUNDED = 0.02  # epochs; older Trainers round to two decimals, and the step that ends an epoch may be a little off
MOST = 1_000_000  # epochs of a run; more is no clock (judgement)
BACK = 0.05  # epochs a column may step back before it counts as no clock (judgement)


def epoch_ends(step: Ints, epoch: Floats) -> Floats:
    """The steps, as float64[k], at which the epochs 1, 2, ... k of a run end.

    step int64[n], rising, epoch float64[n], NaN where not known. Empty when the epochs go back (a streamed data set that
    begins anew) or are not known. A column that is a straight line but for its rounding is read off that line.
    """
    known = np.isfinite(epoch)
    at: Floats = step[known].astype(np.float64)
    clock = epoch[known]
    if len(at) < 3 or np.ptp(at) == 0 or (np.diff(clock) < -BACK).any() or np.ptp(clock) <= 0:
        return np.empty(0)
    begin, end = int(np.ceil(clock[0] - ROUNDED / 2)), int(np.floor(clock[-1] + ROUNDED / 2))
    if end - begin > min(np.ptp(at), MOST):
        return np.empty(0)  # an epoch takes a step at least: this is no clock
    whole = np.arange(max(1, begin), end + 1).astype(np.float64)
    middle, mean = float(at.mean()), float(clock.mean())
    slope = float(np.dot(at - middle, clock - mean) / np.dot(at - middle, at - middle))
    start = float(mean - slope * middle)
    if slope > 0 and np.abs(start + slope * at - clock).max() <= ROUNDED:
        on_line: Floats = (whole - start) / slope
        return on_line
    rising = np.maximum.accumulate(clock)
    first = np.concatenate([[True], rising[1:] > rising[:-1]])
    between: Floats = np.interp(whole, rising[first], at[first])
    return between
