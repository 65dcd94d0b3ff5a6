"""Early stopping, replayed on the evals of a log as Transformers does it."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Replay(NamedTuple):
    """Indices of two evals: the one that stops the training (None: none does), the one whose weights are kept (None: none)."""

    stop: int | None
    kept: int | None


def replay(values: Floats, patience: int, threshold: float, greater: bool = False) -> Replay:
    """Count evals as Transformers' EarlyStoppingCallback and Trainer do together.

    values    float64[n], one eval each, in the order of time; NaN and infinities as they were logged
    patience  evals in a row without improvement that stop the training, at least 1
    threshold how much an eval must differ from the best so far to count as improvement, in the metric's own unit
    greater   whether higher is better

    Two things are as in the library, though one may not expect them. The best so far moves with any improvement, also
    with one within the threshold that counts as none: many small gains in a row do stop a training. And an eval that is
    NaN improves on nothing, except that the very first eval never counts, whatever it is.
    """
    values = -values if greater else values
    best, kept, waited = math.inf, None, 0
    for place, value in enumerate(values.tolist()):
        improved = value < best and abs(value - best) > threshold
        waited = 0 if place == 0 or improved else waited + 1
        if value < best:
            best, kept = value, place
        if waited >= patience:
            return Replay(place, kept)
    return Replay(None, kept)
