"""Which attempt of a run a row belongs to that is known by its time alone: the one that logged nearest in time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from curvelab.model.log import Floats, Ints
from curvelab.model.run import Seam


@dataclass(frozen=True, eq=False)
class AttemptTimes:
    """When the attempts logged: wall_time float64[n] in Unix seconds, rising; segment int64[n]."""

    wall_time: Floats
    segment: Ints

    @classmethod
    def of(cls, wall_time: Floats, segment: Ints) -> AttemptTimes:
        """The times of rows in any order; rows without a time are left out."""
        known = np.flatnonzero(np.isfinite(wall_time))
        order = known[np.argsort(wall_time[known], kind="stable")]
        return cls(wall_time[order], segment[order])

    @property
    def in_turn(self) -> bool:
        """Whether each attempt ended before the next one began, so that a time tells the attempt."""
        return len(self.segment) > 0 and bool((self.segment[1:] >= self.segment[:-1]).all())

    def segment_at(self, wall_time: Floats) -> Ints:
        """The attempt that logged nearest to each time, int64[n]."""
        after = np.clip(np.searchsorted(self.wall_time, wall_time), 0, len(self.wall_time) - 1)
        before = np.maximum(after - 1, 0)
        nearer = np.abs(wall_time - self.wall_time[before]) <= np.abs(self.wall_time[after] - wall_time)
        return self.segment[np.where(nearer, before, after)]


def segment_at_step(step: Ints, seams: Iterable[Seam]) -> Ints:
    """The attempt of the winning line at each step, int64[n]."""
    out = np.zeros(len(step), dtype=np.int64)
    for seam in seams:
        out[step >= seam.step] = seam.segment
    return out
