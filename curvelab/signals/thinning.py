"""Fewer points for drawing, with every extreme kept: a spike of one step stays visible."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def min_max_rows(values: NDArray[np.float64], most: int) -> NDArray[np.int64]:
    """Indices, rising, of at most `most` points: of each of most/4 stretches the first, last, smallest and largest.

    values float64[n], NaN and infinities allowed: they take up to most/2 points more. Each run of non-finite values keeps
    its ends and the points beside them; where these are too many, each stretch keeps its first and last non-finite value.
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
    turns = np.flatnonzero(bad[1:] != bad[:-1])
    marked = [turns, turns + 1] if len(turns) <= buckets else _first_and_last(np.flatnonzero(bad), starts, ends)
    rows: NDArray[np.int64] = np.unique(np.concatenate([starts, ends - 1, smallest, largest, *marked]))
    return rows


def _first_and_last(places: NDArray[np.int64], starts: NDArray[np.int64], ends: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Of the rising `places` the first and the last in every stretch that has any."""
    first, behind = np.searchsorted(places, starts), np.searchsorted(places, ends)
    some = first < behind
    return [places[first[some]], places[behind[some] - 1]]


def _first_of(marked: NDArray[np.bool_], starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Index of the first marked value of every stretch; each has one."""
    places = np.flatnonzero(marked)
    first: NDArray[np.int64] = places[np.searchsorted(places, starts)]
    return first
