"""What a logged learning rate says about its schedule: end of warm-up, peak, where it has decayed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LONGEST_WARMUP = 0.35  # share of the logs; a rate that rises for longer is no warm-up (judgement)
RAMP_START = 0.05  # share of the logs that count as warm-up when the rate rises through the run (judgement)
AT_PEAK = 0.98  # share of the first peak at which warm-up counts as done


def warmup_end(rate: Floats) -> int:
    """Index of the first log after warm-up; 0 when the rate does not rise at the start.

    rate float64[n], finite, in the order of steps. Warm-up is the first rising stretch: up to the first log that is
    followed by no higher rate among the next three. A rate that still rises after LONGEST_WARMUP of the logs is a ramp and
    no warm-up: only RAMP_START of the logs are exempt then.
    """
    n = len(rate)
    if n < 4 or not rate[0] < AT_PEAK * rate[: max(2, int(LONGEST_WARMUP * n)) + 1].max():
        return 0
    limit = max(1, int(LONGEST_WARMUP * n))
    top = np.maximum.accumulate(rate[: limit + 3])
    before, ahead = top[:limit], top[np.minimum(np.arange(1, limit + 1) + 2, len(top) - 1)]
    done = np.flatnonzero(ahead <= before * (1 + 1e-9))
    if len(done):
        first = int(done[0]) + 1
        return int(np.argmax(rate[:first] >= AT_PEAK * before[first - 1]))
    return max(1, int(RAMP_START * n))


def decayed_below(rate: Floats, level: float) -> int | None:
    """Index from which on the rate stays below `level`; None when it never does. rate float64[n], finite."""
    high = np.flatnonzero(rate >= level)
    return None if not len(high) or high[-1] == len(rate) - 1 else int(high[-1] + 1)
