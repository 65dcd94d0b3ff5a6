"""Where two curves part: from which place on they stay apart by more than their noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curvelab.signals.level import MEDIAN_COST
from curvelab.signals.noise import running_median, sigma_of, step_noise

Floats = NDArray[np.float64]

GRID = 400  # places at most at which the curves are compared
FEWEST = 6  # places of common ground without which nothing is said
SIGMAS = 4.0  # of the difference of two smoothed curves; a whole grid is searched, so more than the usual two (judgement)
WINDOW = 20  # the curves are smoothed over a 20th of their points
SHARE = 0.8  # of the places after the parting that must lie beyond the noise, to the same side (judgement)
STAY = 0.1  # of the grid, at least FEWEST / 2 places: a shorter excursion is no parting (judgement)
LEAST = 0.002  # of the level; see curvelab.comparing.ranking


@dataclass(frozen=True)
class Fork:
    """`at` is the place where the curves part, `gap` second minus first over the stretch after it; None: they do not."""

    at: float | None
    gap: float | None
    noise: float


def fork_of(x1: Floats, y1: Floats, x2: Floats, y2: Floats) -> Fork | None:
    """Compare two curves on the ground that they share; None where that is too little.

    x rising, y finite, float64[n] and float64[m].
    """
    first, last = max(x1[0], x2[0]), min(x1[-1], x2[-1])
    coarser = min((x1, x2), key=lambda x: int(((x >= first) & (x <= last)).sum()))
    grid = coarser[(coarser >= first) & (coarser <= last)]
    if len(grid) < FEWEST:
        return None
    grid = grid[np.unique(np.linspace(0, len(grid) - 1, min(len(grid), GRID)).astype(np.int64))]
    (smooth1, noise1), (smooth2, noise2) = _smooth(y1), _smooth(y2)
    gap = np.interp(grid, x2, smooth2) - np.interp(grid, x1, smooth1)
    noise = float(np.hypot(noise1, noise2))
    level = float(np.median(np.abs(np.interp(grid, x1, smooth1))))
    beyond = np.sign(gap) * (np.abs(gap) > max(SIGMAS * noise, LEAST * level))
    place = _first_stay(beyond, max(FEWEST // 2, int(STAY * len(grid))))
    if place is None:
        return Fork(None, None, noise)
    return Fork(float(grid[place]), float(np.median(gap[place : place + max(3, len(grid) // 10)])), noise)


def _smooth(values: Floats) -> tuple[Floats, float]:
    """(running median, noise of one of its values)."""
    width = max(1, len(values) // WINDOW) | 1
    smooth = running_median(values, width)
    if width == 1:
        return smooth, step_noise(values)
    sigma = max(step_noise(values), sigma_of(values - smooth))
    return smooth, float(MEDIAN_COST * sigma / np.sqrt(width))


def _first_stay(side: Floats, stay: int) -> int | None:
    """The first place that begins a stretch of at least `stay` places, most of them on one side of the noise."""
    starts = []
    for sign in (1.0, -1.0):
        counted = np.concatenate([[0], np.cumsum(side == sign)])
        places = np.flatnonzero(side[: max(0, len(side) - stay + 1)] == sign)
        starts += places[counted[places + stay] - counted[places] >= SHARE * stay].tolist()[:1]
    return min(starts, default=None)
