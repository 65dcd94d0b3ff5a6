"""Where two curves part: from which place on they stay apart by more than their noise, and what becomes of the gap."""

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
SHORT, SIGMAS_OF_SHORT = 40, 3.0  # places, and sigmas where no more of them are searched (simulated: false in less than 1 %)
WINDOW = 20  # the curves are smoothed over a 20th of their points
SHARE = 0.8  # of the places after the parting that must lie beyond the noise, to the same side (judgement)
STAY = 0.1  # of the grid, at least FEWEST / 2 places: a shorter excursion is no parting (judgement)
LEAST = 0.002  # of the level; see curvelab.comparing.noise
IDENTICAL = 3  # equal values in a row from the first on that are no accident


@dataclass(frozen=True)
class Fork:
    """`at` is the place where the curves part, `gap` second minus first over the stretch after it; None: they do not.

    noise      one sigma of the gap; seen: the least gap that would have been seen (the median over the places)
    crosses    places after `at` at which they change sides for a while; end_gap: second minus first at the end
    identical  the last place up to which both have the very same values from the first on, or None
    """

    at: float | None
    gap: float | None
    noise: float
    seen: float = 0.0
    crosses: tuple[float, ...] = ()
    end_gap: float | None = None
    ends_apart: bool = False
    identical: float | None = None


def fork_of(x1: Floats, y1: Floats, x2: Floats, y2: Floats, least: float = LEAST, spread: float = 0.0) -> Fork | None:
    """Compare two curves on the ground that they share; None where that is too little.

    x rising, y finite, float64[n] and float64[m]; least: share of the level, spread: gap that seeds of one setting have.
    """
    first, last = max(x1[0], x2[0]), min(x1[-1], x2[-1])
    coarser = min((x1, x2), key=lambda x: int(((x >= first) & (x <= last)).sum()))
    grid = coarser[(coarser >= first) & (coarser <= last)]
    if len(grid) < FEWEST:
        return None
    grid = grid[np.unique(np.linspace(0, len(grid) - 1, min(len(grid), GRID)).astype(np.int64))]
    (smooth1, noise1), (smooth2, noise2) = _smooth(y1), _smooth(y2)
    gap = np.interp(grid, x2, smooth2) - np.interp(grid, x1, smooth1)
    noise = max(float(np.hypot(noise1, noise2)), _waves(gap))
    level = np.abs(np.interp(grid, x1, smooth1))
    same = identical_to(x1, y1, x2, y2)
    sigmas = SIGMAS_OF_SHORT if len(grid) <= SHORT else SIGMAS
    floor = LEAST if same is not None else least
    # An early level is high and steep; the share is of the usual one there, too.
    seen = np.maximum(max(sigmas * noise, spread), floor * np.minimum(level, 2 * float(np.median(level))))
    side = np.sign(gap) * (np.abs(gap) > seen)
    places = _stays(side, max(FEWEST // 2, int(STAY * len(grid))))
    stretch = max(3, len(grid) // 10)
    usual, end = float(np.median(seen)), float(np.median(gap[-stretch:]))
    if not places:
        return Fork(None, None, noise, usual, identical=same)
    at, *crosses = places
    return Fork(
        float(grid[at]), float(np.median(gap[at : at + stretch])), noise, usual, tuple(float(grid[one]) for one in crosses), end,
        abs(end) > float(seen[-1]), same,
    )  # fmt: skip


def identical_to(x1: Floats, y1: Floats, x2: Floats, y2: Floats) -> float | None:
    """The last place up to which two curves have the very same values from the first shared one on; None for none."""
    shared, one, two = np.intersect1d(x1, x2, return_indices=True)
    differ = np.flatnonzero(y1[one] != y2[two])
    count = int(differ[0]) if len(differ) else len(shared)
    return float(shared[count - 1]) if count >= IDENTICAL else None


def _smooth(values: Floats) -> tuple[Floats, float]:
    """(running median, noise of one of its values)."""
    width = max(1, len(values) // WINDOW) | 1
    smooth = running_median(values, width)
    if width == 1:
        return smooth, step_noise(values)
    sigma = max(step_noise(values), sigma_of(values - smooth))
    return smooth, float(MEDIAN_COST * sigma / np.sqrt(width))


def _waves(gap: Floats) -> float:
    """Noise of a smoothed gap as its moves over a 20th to an 8th of the ground tell it: neighbouring points may go together.

    Of first and second differences the smaller ones: a gap that opens at once is in few of the first, and the second are
    blind to one that opens slowly.
    """
    if len(gap) <= SHORT:
        return 0.0
    lags = np.unique(np.linspace(len(gap) // WINDOW, len(gap) // 8, 4).astype(np.int64))
    first = [sigma_of(gap[lag:] - gap[:-lag]) / np.sqrt(2) for lag in lags]
    second = [sigma_of(gap[2 * lag :] - 2 * gap[lag:-lag] + gap[: -2 * lag]) / np.sqrt(6) for lag in lags]
    return float(np.max(np.minimum(first, second)))


def averaged(x: Floats, y: Floats, at: Floats) -> tuple[Floats, Floats]:
    """A curve as a log at fewer places holds it: the mean since the last of them. Places without a point are left out."""
    place = np.searchsorted(at, x, side="left")
    inside = place < len(at)
    count = np.bincount(place[inside], minlength=len(at))
    total = np.bincount(place[inside], weights=y[inside], minlength=len(at))
    there = count > 0
    return at[there], total[there] / count[there]


def _stays(side: Floats, stay: int) -> list[int]:
    """The first places of stretches of at least `stay` places, most of them on one side, each on the other side than the last."""
    found: list[int] = []
    last, begin = 0.0, 0
    while True:
        starts = []
        for sign in (1.0, -1.0):
            if sign == last:
                continue
            counted = np.concatenate([[0], np.cumsum(side == sign)])
            places = np.flatnonzero(side[: max(0, len(side) - stay + 1)] == sign)
            places = places[places >= begin]
            held = places[counted[places + stay] - counted[places] >= SHARE * stay]
            starts += [(int(held[0]), sign)] if len(held) else []
        if not starts:
            return found
        begin, last = min(starts)
        found.append(begin)
