"""How noisy a curve is, and what its level is without the noise. Robust, local, and meant for 10 points as for a million."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MAD_TO_SIGMA = 1.4826  # makes the median absolute deviation of a normal sample its standard deviation


def sigma_of(values: Floats) -> float:
    """Robust standard deviation of a sample: 1.4826 x the median absolute deviation; 0.0 for fewer than two values.

    values float64[n], finite.
    """
    if len(values) < 2:
        return 0.0
    return float(MAD_TO_SIGMA * np.median(np.abs(values - np.median(values))))


def step_noise(values: Floats) -> float:
    """Noise of a curve from its second differences: blind to level and slope, robust to isolated jumps.

    values float64[n], finite, in the order of steps. For white noise of standard deviation s the second difference
    has s x sqrt(6). Returns 0.0 for fewer than four values.
    """
    if len(values) < 4:
        return 0.0
    second = values[2:] - 2 * values[1:-1] + values[:-2]
    return float(MAD_TO_SIGMA * np.median(np.abs(second)) / np.sqrt(6))


def grain_of(values: Floats) -> float:
    """The smallest difference between two values: a log that rounds (0.0001, 0.0002) has no finer noise. 0.0 where all are equal.

    values float64[n], finite; a few thousand are enough.
    """
    steps = np.diff(np.unique(values))
    return float(steps.min()) if len(steps) else 0.0


def running_median(values: Floats, width: int) -> Floats:
    """Median over a centred window of `width` points (made odd); the ends are mirrored. float64[n] -> float64[n]."""
    n = len(values)
    width = max(1, min(width | 1, n if n % 2 else n - 1))
    if width <= 1:
        return values.astype(np.float64, copy=True)
    from scipy.ndimage import median_filter

    smooth: Floats = median_filter(values, size=width, mode="mirror")
    return smooth


def local_sigma(residual: Floats, width: int) -> Floats:
    """Noise around every point: 1.4826 x the running median of |residual|. float64[n] -> float64[n]."""
    return MAD_TO_SIGMA * running_median(np.abs(residual), width)


def block_medians(values: Floats, blocks: int) -> tuple[Floats, Floats]:
    """Cut a curve into `blocks` stretches of nearly equal length: (centre index of each, median of each).

    Both float64[k] with k = min(blocks, n).
    """
    n = len(values)
    k = max(1, min(blocks, n))
    edges = np.linspace(0, n, k + 1).astype(int)
    centres = (edges[:-1] + edges[1:] - 1) / 2
    return centres, np.array([np.median(values[a:b]) for a, b in pairwise(edges)])
