"""Fewer points for drawing, with every extreme kept: a spike of one step stays visible."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def min_max_rows(values: NDArray[np.float64], most: int) -> NDArray[np.int64]:
    """Indices, rising, of at most `most` points: of each of most/4 stretches the first, last, smallest and largest.

    values float64[n], NaN and infinities allowed; every non-finite stretch keeps its first and last point.
    """
    n = len(values)
    if n <= most:
        return np.arange(n)
    buckets = max(1, most // 4)
    edges = np.linspace(0, n, buckets + 1).astype(np.int64)
    starts, ends = edges[:-1], edges[1:]
    low = np.where(np.isfinite(values), values, np.inf)
    high = np.where(np.isfinite(values), values, -np.inf)
    smallest = _first_of(low == np.repeat(np.minimum.reduceat(low, starts), ends - starts), starts)
    largest = _first_of(high == np.repeat(np.maximum.reduceat(high, starts), ends - starts), starts)
    bad = ~np.isfinite(values)
    turns = np.flatnonzero(bad[1:] != bad[:-1])[: most // 4]
    rows: NDArray[np.int64] = np.unique(np.concatenate([starts, ends - 1, smallest, largest, turns, turns + 1]))
    return rows


def _first_of(marked: NDArray[np.bool_], starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Index of the first marked value of every stretch; each has one."""
    places = np.flatnonzero(marked)
    first: NDArray[np.int64] = places[np.searchsorted(places, starts)]
    return first
