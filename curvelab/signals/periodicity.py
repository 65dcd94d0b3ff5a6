"""Whether a curve repeats itself: the best period, and how much of the variance its folded shape explains."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

FEWEST_CYCLES = 4  # fewer repetitions are no evidence of a period (judgement)
SHORTEST = 5  # points a period; what is shorter cannot be told from noise (judgement)
MOST_BINS = 12  # bins of the folded profile
CANDIDATES = 8  # spectral peaks that are folded


@dataclass(frozen=True)
class Period:
    """`length` in points; `explained` is the share of the variance that the folded profile explains beyond chance."""

    length: float
    explained: float
    amplitude: float


def detrended(values: Floats, blocks: int = 8) -> Floats:
    """A curve without its slow trend: minus the straight lines between the medians of `blocks` stretches."""
    n = len(values)
    edges = np.linspace(0, n, min(blocks, max(2, n // 4)) + 1).astype(int)
    centres = (edges[:-1] + edges[1:] - 1) / 2
    medians = np.array([np.median(values[a:b]) for a, b in pairwise(edges)])
    result: Floats = values - np.interp(np.arange(n), centres, medians)
    return result


def best_period(values: Floats) -> Period | None:
    """The period whose folded profile explains most of a detrended curve; None for fewer than 4 x SHORTEST points.

    values float64[n], finite, evenly spaced, detrended. The share explained is adjusted for the number of bins, so that
    white noise gives about 0.
    """
    n = len(values)
    if n < FEWEST_CYCLES * SHORTEST:
        return None
    clipped = np.clip(values, *np.quantile(values, (0.01, 0.99)))
    centred = clipped - clipped.mean()
    size = 1 << (4 * n - 1).bit_length()
    power = np.abs(np.fft.rfft(centred * np.hanning(n), size)) ** 2
    frequency = np.arange(len(power)) / size
    allowed = (frequency >= FEWEST_CYCLES / n) & (frequency <= 1 / SHORTEST)
    peaks = np.flatnonzero(allowed[1:-1] & (power[1:-1] >= power[:-2]) & (power[1:-1] >= power[2:])) + 1
    best: Period | None = None
    for peak in peaks[np.argsort(-power[peaks])[:CANDIDATES]]:
        for multiple in (1, 2):
            length = multiple / frequency[peak]
            if length * FEWEST_CYCLES <= n:
                found = _folded(centred, length)
                if best is None or found.explained > best.explained + 0.02:
                    best = found
    return best


def _folded(values: Floats, length: float) -> Period:
    n = len(values)
    bins = int(min(MOST_BINS, max(3, length)))
    phase = ((np.arange(n) % length) / length * bins).astype(int).clip(0, bins - 1)
    count = np.bincount(phase, minlength=bins)
    mean = np.bincount(phase, values, minlength=bins) / np.maximum(count, 1)
    total = float(np.sum((values - values.mean()) ** 2))
    rest = float(np.sum((values - mean[phase]) ** 2))
    if total == 0 or n <= bins:
        return Period(length, 0.0, 0.0)
    explained = 1 - (rest / (n - bins)) / (total / (n - 1))
    return Period(length, max(0.0, explained), float(np.ptp(mean[count > 0])))
