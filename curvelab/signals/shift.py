"""One change of level: where a series splits best into a before and an after."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curvelab.signals.level import MEDIAN_COST
from curvelab.signals.noise import sigma_of

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Split:
    """`index` is the first point of the after; levels are medians, `error` the standard error of their difference."""

    index: int
    before: float
    after: float
    error: float


def best_split(values: Floats, fewest: int = 4) -> Split | None:
    """The split between two levels that the ranks of the values show most clearly; None for fewer than 2 x `fewest`.

    values float64[n], finite. Ranks keep single outliers from deciding. Near-linear: a sort and a running sum.
    """
    n = len(values)
    if n < 2 * fewest:
        return None
    rank = np.empty(n)
    rank[np.argsort(values, kind="stable")] = np.arange(n)
    left = np.arange(1, n)
    contrast = np.abs(np.cumsum(rank - (n - 1) / 2)[:-1]) / np.sqrt(left * (n - left))
    contrast[: fewest - 1] = contrast[n - fewest :] = -1
    index = int(np.argmax(contrast)) + 1
    before, after = values[:index], values[index:]
    error = MEDIAN_COST * np.hypot(sigma_of(before) / np.sqrt(len(before)), sigma_of(after) / np.sqrt(len(after)))
    return Split(index, float(np.median(before)), float(np.median(after)), float(error))
