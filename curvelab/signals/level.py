"""Levels of a noisy stretch, the change between two of them, and how well that change is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curvelab.signals.noise import running_median, sigma_of, step_noise

Floats = NDArray[np.float64]

MEDIAN_COST = 1.2533  # standard error of a median over that of a mean, for normal noise: sqrt(pi / 2)
FEWEST_CORRELATED = 24  # points that tell whether each goes with the last
MOST_CORRELATED = 0.99


@dataclass(frozen=True)
class Drift:
    """Change of level from the first half of a stretch to its second: negative falls. `error` is its standard error."""

    before: float
    after: float
    error: float

    @property
    def change(self) -> float:
        return self.after - self.before


def drift_of(values: Floats) -> Drift:
    """Compare the medians of the two halves of a stretch.

    values float64[n], finite, n >= 4, in the order of steps. The error is that of a difference of two medians under the
    noise of the stretch around its own slow trend, but not below what the scatter of quarters around that trend shows
    (so that slow waves count as noise as well).
    """
    half = len(values) // 2
    first, second = values[:half], values[half:]
    before, after = float(np.median(first)), float(np.median(second))
    sigma = noise_of(values)
    return Drift(before, after, MEDIAN_COST * sigma * float(np.sqrt(1 / len(first) + 1 / len(second))))


def error_of_level(values: Floats, count: int) -> float:
    """Standard error of the median of the last `count` points of a curve, of which each may go with the last.

    values float64[n], finite. White noise is taken from the points around them. Where the later half, without its quadratic
    trend, goes with itself from point to point (smoothed logs, slow waves), a point is worth (1 - r) / (1 + r) of one, r its
    correlation after the bias that the trend makes (Marriott and Pope 1954).
    """
    white = MEDIAN_COST * noise_of(values[-max(12, 3 * count) :]) / float(np.sqrt(count))
    later = values[-max(12, len(values) // 2) :]
    n = len(later)
    if n < FEWEST_CORRELATED:
        return white
    x = np.linspace(-1, 1, n)
    left = later - np.polyval(np.polyfit(x, later, 2), x)
    left = np.clip(left, -4 * sigma_of(left), 4 * sigma_of(left))
    total = float(left @ left)
    r = float(left[1:] @ left[:-1]) / total if total > 0 else 0.0
    if r < 2 / np.sqrt(n):
        return white
    r = min(MOST_CORRELATED, r + 2 * (1 + 4 * r) / n)
    each = (1 + r) / (1 - r)
    sigma = float(np.sqrt(total / max(n - 3 * each, n / 4)))
    return max(white, MEDIAN_COST * sigma * min(1.0, float(np.sqrt(each / count))))


def noise_of(values: Floats) -> float:
    """Noise of a stretch: the larger of its second-difference noise and its scatter around a wide running median."""
    n = len(values)
    if n < 8:
        return max(step_noise(values), 0.0)
    residual = values - running_median(values, max(5, n // 6))
    return max(step_noise(values), sigma_of(residual))
