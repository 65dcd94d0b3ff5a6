"""Thinned curves made ready for the pen: breaks, stretches that are not finite, and a robust trend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from curvelab.model.result import Thinned
from curvelab.signals.thinning import min_max_rows

Floats = NDArray[np.float64]

TREND_SHARE = 25  # the trend's window is one 25th of the points
FEWEST_FOR_TREND = 40
SMOOTH = 0.004  # of the range: a curve that stays this close to its median needs none (learning rates)
MOST_TREND, FEWEST_TREND = 160, 40  # points of the trend as it is drawn


@dataclass(frozen=True)
class Line:
    """A curve for drawing: step, value float64[n] (NaN: not finite), and what there is besides.

    spoilt   (first step, last step) of each stretch that is NaN or infinite
    trend    (step, value) float64[k] of the running median, None for short curves
    points   how many points were logged
    """

    metric: str
    step: Floats
    value: Floats
    spoilt: tuple[tuple[float, float], ...]
    trend: tuple[Floats, Floats] | None
    points: int

    def at(self, step: int) -> float | None:
        """The finite value logged at a step, if there is one."""
        rows = np.flatnonzero((self.step == step) & np.isfinite(self.value))
        return float(self.value[rows[0]]) if len(rows) else None


def line(metric: str, series: Thinned, most: int) -> Line:
    """A curve of at most about `most` points, extremes kept."""
    n = min(len(series.step), len(series.value))
    step = np.array(series.step[:n], dtype=np.float64)
    value = np.array(series.value[:n], dtype=np.float64)
    trend = _trend(step, value, max(FEWEST_TREND, min(MOST_TREND, most // 4)))
    rows = min_max_rows(value, most)
    step, value = step[rows], value[rows]
    bad = ~np.isfinite(value)
    return Line(
        metric=metric,
        step=step,
        value=np.where(bad, np.nan, value),
        spoilt=_stretches(step, bad),
        trend=trend,
        points=max(series.points, n),
    )


def _stretches(step: Floats, bad: NDArray[np.bool_]) -> tuple[tuple[float, float], ...]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], bad, [False]]).astype(np.int8)))
    return tuple((float(step[a]), float(step[b - 1])) for a, b in zip(edges[::2], edges[1::2], strict=True))


def _trend(step: Floats, value: Floats, most: int) -> tuple[Floats, Floats] | None:
    """Running median over one 25th of the finite points, smoothed once more to be drawn without stairs."""
    good = np.isfinite(value)
    step, value = step[good], value[good]
    n = len(value)
    if n < FEWEST_FOR_TREND:
        return None
    width = max(5, n // TREND_SHARE) | 1
    smooth = _over_window(_over_window(value, width, "median"), max(3, width // 3) | 1, "mean")
    with np.errstate(over="ignore", invalid="ignore"):
        if not np.median(np.abs(value - smooth)) > SMOOTH * (value.max() - value.min()):
            return None
    rows = np.unique(np.linspace(0, n - 1, min(n, most)).astype(np.int64))
    return step[rows], smooth[rows]


def _over_window(value: Floats, width: int, summary: Literal["median", "mean"]) -> Floats:
    """A centred window's median or mean at every point; the ends are mirrored. float64[n] -> float64[n]."""
    padded = np.pad(value, width // 2, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, width)
    with np.errstate(over="ignore", invalid="ignore"):
        smooth: Floats = np.median(windows, axis=1) if summary == "median" else windows.mean(axis=1)
    # The mean of values near the largest float overflows: the value itself is drawn there.
    return np.where(np.isfinite(smooth), smooth, value)
