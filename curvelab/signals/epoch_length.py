"""How many batches an epoch has, from an epoch column that may be rounded."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST_TRIED = 4_000  # lengths that are tried, spread evenly where more are possible: then the column says nearly nothing
MOST_BATCHES = 2**50  # of an epoch; more is no count but damage, and would not fit the arithmetic
MOST_EPOCHS = 1e9
MOST_POINTS = 400  # of the column; the last ones bind the length best, the first ones tell the two ways apart
EXACT = 1e-6  # epochs: a column that was not rounded
SINGLE = 4e-7  # relative: event files keep float32


@dataclass(frozen=True)
class EpochLength:
    """An epoch of `batches` micro-batches, of which an optimizer step takes `accumulated`.

    carried  an accumulation that the end of an epoch cuts is filled from the next epoch (Transformers before 4.46);
             else the last step of an epoch takes what is left
    """

    batches: int
    accumulated: int
    carried: bool

    @property
    def steps(self) -> int:
        """Optimizer steps that begin in one epoch, the short last one included."""
        return -(-self.batches // self.accumulated)

    def clock(self, step: Ints) -> Floats:
        """The epoch, float64[n], that a Trainer logs at each optimizer step (int64[n], from 1)."""
        if self.carried:
            through: Floats = step * self.accumulated / self.batches
            return through
        done = (step - 1) // self.steps
        taken = np.minimum((step - done * self.steps) * self.accumulated, self.batches)
        clock: Floats = done + taken / self.batches
        return clock


def epoch_lengths(step: Ints, epoch: Floats, accumulated: int, rounded: bool = True) -> list[EpochLength]:
    """All lengths of an epoch that an epoch column allows, shortest first; none when it follows no such clock.

    step int64[n], rising, from 1; epoch float64[n], NaN where not known; `accumulated` micro-batches make a step.
    rounded  whether a column of two or four digits may have been rounded to them (0.25, 0.5 may also be exact)
    """
    known = (step >= 1) & (epoch > 0) & (epoch < MOST_EPOCHS)  # NaN is none of them
    at, clock = step[known], epoch[known]
    if not len(at):
        return []
    rows = np.unique(np.linspace(0, len(at) - 1, MOST_POINTS).astype(np.int64))
    at, clock = at[rows], clock[rows]
    margin = _rounding(clock) if rounded else EXACT
    found = []
    for batches in _possible(float(at[-1]), float(clock[-1]), margin, accumulated):
        for carried in (False, True) if batches % accumulated else (False,):
            length = EpochLength(int(batches), accumulated, carried)
            if (np.abs(length.clock(at) - clock) <= margin + SINGLE * clock).all():
                found.append(length)
    return found


def _possible(step: float, epoch: float, margin: float, accumulated: int) -> Ints:
    """Batches of an epoch that could be: its steps are `step` / `epoch`, but for the rounding and one short step."""
    low, high = step / (epoch + margin), step / max(epoch - margin, 1e-12)
    first, last = (min(max(1, math.ceil(accumulated * steps)), MOST_BATCHES) for steps in (low - 1, high + 1))
    tried: Ints = np.unique(np.linspace(first, last, min(MOST_TRIED, last - first + 1)).astype(np.int64))
    return tried


def _rounding(clock: Floats) -> float:
    """Half a unit of the last digit that a column was rounded to, in epochs."""
    for digits in (2, 4):
        if (np.abs(clock - np.round(clock, digits)) <= SINGLE * clock).all():
            return 0.5 * 10.0**-digits + 1e-9
    return EXACT
