"""Levels of a noisy stretch, the change between two of them, and how well that change is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curvelab.signals.noise import running_median, sigma_of, step_noise

Floats = NDArray[np.float64]

MEDIAN_COST = 1.2533  # standard error of a median over that of a mean, for normal noise: sqrt(pi / 2)


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


def noise_of(values: Floats) -> float:
    """Noise of a stretch: the larger of its second-difference noise and its scatter around a wide running median."""
    n = len(values)
    if n < 8:
        return max(step_noise(values), 0.0)
    residual = values - running_median(values, max(5, n // 6))
    return max(step_noise(values), sigma_of(residual))
