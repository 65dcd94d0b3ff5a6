"""Thinned curves made ready for the pen: breaks, stretches that are not finite, and a robust trend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from curvelab.model.result import Thinned
from curvelab.signals.thinning import min_max_rows

Floats = NDArray[np.float64]

TREND_SHARE = 40  # the trend's window is one 40th of the points
FEWEST_FOR_TREND = 40
LONG_STRETCH = 0.02  # of the run: bad values over less do not break the trend
SMOOTH = (
    0.004  # of the range without its extremes: a curve that stays this close to its median needs none (learning rates)
)
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
    spoilt = _stretches(step, bad)
    return Line(
        metric=metric,
        step=step,
        value=np.where(bad, np.nan, value),
        spoilt=spoilt,
        trend=None if trend is None else _broken(trend, spoilt),
        points=max(series.points, n),
    )


def between(series: Thinned, first: float, last: float) -> Thinned:
    """The points of a series in a range of steps."""
    rows = [(s, v) for s, v in zip(series.step, series.value, strict=False) if first <= s <= last]
    return Thinned(points=len(rows), step=[s for s, _ in rows], value=[v for _, v in rows])


def _stretches(step: Floats, bad: NDArray[np.bool_]) -> tuple[tuple[float, float], ...]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], bad, [False]]).astype(np.int8)))
    return tuple((float(step[a]), float(step[b - 1])) for a, b in zip(edges[::2], edges[1::2], strict=True))


def _trend(step: Floats, value: Floats, most: int) -> tuple[Floats, Floats] | None:
    """Running median over one 40th of the finite points, smoothed once more to be drawn without stairs.

    It breaks where a long stretch is not finite.
    """
    good = np.isfinite(value)
    step, value = step[good], value[good]
    n = len(value)
    if n < FEWEST_FOR_TREND:
        return None
    smooth = _smoothed(value.tobytes())
    with np.errstate(over="ignore", invalid="ignore"):
        if not np.median(np.abs(value - smooth)) > SMOOTH * np.ptp(np.percentile(value, (5, 95))):
            return None
    rows = np.unique(np.linspace(0, n - 1, min(n, most)).astype(np.int64))
    return step[rows], smooth[rows]


@lru_cache(maxsize=64)
def _smoothed(values: bytes) -> Floats:
    """The running median of float64[n] given as bytes, by which it is kept: a curve stands in several pictures."""
    value = np.frombuffer(values)
    width = max(5, len(value) // TREND_SHARE) | 1
    smooth = _over_window(_over_window(value, width, "median"), max(3, width // 3) | 1, "mean")
    smooth.flags.writeable = False
    return smooth


def _broken(trend: tuple[Floats, Floats], spoilt: Sequence[tuple[float, float]]) -> tuple[Floats, Floats]:
    """A trend with a hole for every stretch of bad values that is long enough to be seen."""
    step, smooth = trend
    least = LONG_STRETCH * (step[-1] - step[0])
    holes = [(start + end) / 2 for start, end in spoilt if end - start > least]
    at = np.searchsorted(step, holes)
    return np.insert(step, at, holes), np.insert(smooth, at, np.nan)


def _over_window(value: Floats, width: int, summary: Literal["median", "mean"]) -> Floats:
    """A centred window's median or mean at every point. float64[n] -> float64[n].

    At the start the window shrinks, because losses fall fastest there; at the end the curve is mirrored, so that its
    last noise does not bend the trend.
    """
    padded = np.pad(value, width // 2, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, width)
    with np.errstate(over="ignore", invalid="ignore"):
        smooth: Floats = np.median(windows, axis=1) if summary == "median" else windows.mean(axis=1)
        for i in range(width // 2):
            smooth[i] = np.median(value[: 2 * i + 1]) if summary == "median" else value[: 2 * i + 1].mean()
    # The mean of values near the largest float overflows: the value itself is drawn there.
    return np.where(np.isfinite(smooth), smooth, value)
