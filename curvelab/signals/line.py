"""A straight line through a noisy stretch: its level at a place, its slope, and how well both are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curvelab.signals.noise import sigma_of

Floats = NDArray[np.float64]

OUTLIER = 3.5  # robust sigmas beyond which a point does not bend the line (judgement)


@dataclass(frozen=True)
class Line:
    """`level` at the place that was asked for and `slope` per unit of x, with their standard errors; `noise` of one point."""

    level: float
    slope: float
    level_error: float
    slope_error: float
    noise: float


def fit_line(x: Floats, y: Floats, at: float) -> Line:
    """Least squares without outliers.

    x, y float64[n], finite, n >= 3. One pass of rejection at OUTLIER robust sigmas of the residuals; with fewer than
    three distinct x the line is level.
    """
    keep = np.ones(len(x), dtype=bool)
    for last in (False, True):
        line = _least_squares(x[keep] - at, y[keep])
        if last:
            break
        residual = y - line.level - line.slope * (x - at)
        sigma = sigma_of(residual)
        inside = np.abs(residual) <= OUTLIER * sigma
        if sigma > 0 and inside.sum() >= max(3, 0.7 * len(x)):
            keep = inside
    return line


def _least_squares(x: Floats, y: Floats) -> Line:
    n = len(x)
    middle, mean = float(x.mean()), float(y.mean())
    spread = float(np.sum((x - middle) ** 2))
    slope = float(np.sum((x - middle) * (y - mean))) / spread if spread > 0 and len(np.unique(x)) > 2 else 0.0
    residual = y - mean - slope * (x - middle)
    noise = float(np.sqrt(np.sum(residual**2) / max(1, n - 2)))
    slope_error = noise / np.sqrt(spread) if spread > 0 else 0.0
    level_error = float(np.hypot(noise / np.sqrt(n), slope_error * middle))
    return Line(mean - slope * middle, slope, level_error, float(slope_error), noise)


@dataclass(frozen=True)
class Jump:
    """What a curve does at one place: the levels that both sides point at, and the standard error of their difference."""

    before: float
    after: float
    error: float

    @property
    def size(self) -> float:
        """Negative when the curve drops."""
        return self.after - self.before

    @property
    def sigmas(self) -> float:
        if self.error > 0:
            return self.size / self.error
        return 0.0 if self.size == 0 else float(np.copysign(np.inf, self.size))


def jump_at(x: Floats, y: Floats, at: float, width: float, gap: float, fewest: int) -> Jump | None:
    """The jump of a curve at `at`: lines through the `width` before and after it, both continued to `at`.

    x, y float64[n]. Points within `gap` after the place are left out: a logged mean may reach back over it. None with
    fewer than `fewest` points on a side. A smooth curve shows no jump, whatever its slope.
    """
    before = (x > at - width) & (x <= at)
    after = (x > at + gap) & (x <= at + gap + width)
    if before.sum() < fewest or after.sum() < fewest:
        return None
    old, new = fit_line(x[before], y[before], at), fit_line(x[after], y[after], at)
    return Jump(old.level, new.level, float(np.hypot(old.level_error, new.level_error)))
