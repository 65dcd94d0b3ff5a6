"""How long a stretch of a log took to train, pauses left out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

PAUSE = 600.0  # seconds between two logs below which nothing is called a pause (judgement: saves and evals take minutes)
FAR = 20.0  # times the usual interval of its kind, above which one is a pause (judgement)
FEW = 4  # intervals of a kind without which none of them is unusual (judgement)
RARE, RARE_SHARE = 3, 0.02  # more long intervals than these, of a kind, are no accidents: they are how the run is (judgement)


def intervals(step: Floats, wall: Floats, begins: Bools, slow: Bools) -> tuple[Floats, int]:
    """(seconds of training from each log to the next, float64[n - 1]; how many of them held a pause of the machine).

    step, wall  float64[n]: optimizer step and Unix seconds of each log, in the order of time
    begins      bool[n - 1]: the later log is the first of a new process
    slow        bool[n - 1]: there was an eval in between; such intervals are compared with their like

    What lies between two processes is no training: it counts as the steps at the usual pace, and as one usual interval
    where steps were taken back. The same within a process for an interval that is longer than ten minutes and 20 times
    the usual one of its kind, as long as such are rare: a laptop that slept, a job that was suspended. A run that slows
    down for good keeps its time, and so do evals and saves, which come again and again. A clock set back counts as 0.
    """
    time, steps = np.maximum(np.diff(wall), 0.0), np.diff(step)
    paused = np.zeros(len(time), dtype=bool)
    own = np.zeros(len(time))
    for kind in (~begins & slow, ~begins & ~slow):
        known = kind & (steps > 0)
        if known.sum() < FEW:
            continue
        pace = float(np.median(time[known] / steps[known]))
        far = known & (time > PAUSE) & (time > FAR * pace * steps)
        if far.sum() <= max(RARE, RARE_SHARE * known.sum()):
            paused |= far
            own[far] = pace * steps[far]
    ordinary = ~begins & ~paused & (steps > 0)
    if begins.any() and ordinary.any():
        pace, usual = float(np.median(time[ordinary] / steps[ordinary])), float(np.median(time[ordinary]))
        own[begins] = np.where(steps[begins] > 0, pace * steps[begins], usual)
    return np.where(begins | paused, own, time), int(paused.sum())
