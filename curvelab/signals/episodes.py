"""Episodes: neighbouring points that belong together, and the legs of a zigzag."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def episodes(marked: NDArray[np.bool_], gap: int = 1) -> list[tuple[int, int]]:
    """Runs of marked points as (first, last) index; runs with at most `gap` unmarked points between them are one."""
    at = np.flatnonzero(marked)
    if not len(at):
        return []
    breaks = np.flatnonzero(np.diff(at) > gap + 1)
    starts = np.concatenate([[at[0]], at[breaks + 1]])
    ends = np.concatenate([at[breaks], [at[-1]]])
    return [(int(a), int(b)) for a, b in zip(starts, ends, strict=True)]


def zigzag_legs(values: Floats, share: float, least: float = 0.0) -> int:
    """How many times a positive curve turns and moves by at least `share` of its level the other way, and by `least`.

    values float64[n], positive. A steady fall is one leg, a fall and a rise two.
    """
    return _legs(_turning_points(values), share, least)


def _turning_points(values: Floats) -> Floats:
    """The ends of a curve and the values at which it turns; what lies between them on a slope adds no leg."""
    if len(values) < 3:
        return values
    kept = np.concatenate([[True], values[1:] != values[:-1]])
    moving = values[kept]
    rising = moving[1:] > moving[:-1]
    turns = np.concatenate([[True], rising[1:] != rising[:-1], [True]])[: len(moving)]
    turning: Floats = moving[turns]
    return turning


def _legs(values: Floats, share: float, least: float) -> int:
    legs, direction = 0, 0
    low = high = float(values[0]) if len(values) else 0.0
    for value in values[1:].tolist():
        low, high = min(low, value), max(high, value)
        if direction <= 0 and value > max(low * (1 + share), low + least):
            legs, direction, high = legs + 1, 1, value
        elif direction >= 0 and value < min(high * (1 - share), high - least):
            legs, direction, low = legs + 1, -1, value
        if direction > 0:
            low = high
        elif direction < 0:
            high = low
    return legs
