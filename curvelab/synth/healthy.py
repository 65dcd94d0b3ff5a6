"""Families of runs in which nothing is wrong: the loss keeps falling until the learning rate has decayed, or is solved.

Healthy by the definitions of the patterns, not by looks: a power law whose last third improves by less than a percent
is a plateau. Shapes are drawn until every third of the run, up to where the rate is gone, improves by IMPROVES.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from curvelab.synth.parts import LEVELS, Draft, Floats, Labelled, draft, length, log_uniform, places

IMPROVES = 0.025  # of its level, every third of a run: clearly more than the 1 % of a plateau
FALLS = 0.12  # of the starting loss, the whole run: clearly more than the 3 % of underfitting
SOLVED = 0.07  # of the starting loss: clearly under the tenth that counts as solved
GONE = 0.1  # of the peak: a rate below it has decayed
TRIES = 200

Shape = Callable[[Generator, int], Floats]


def exponential(rng: Generator, n: int) -> Floats:
    floor = rng.uniform(0.15, 0.85)
    return np.asarray(floor + (1 - floor) * np.exp(-rng.uniform(1.0, 6.0) * places(n)))


def power_law(rng: Generator, n: int) -> Floats:
    floor = rng.uniform(0.0, 0.6)
    return np.asarray(floor + (1 - floor) * (1 + log_uniform(rng, 3, 100) * places(n)) ** -rng.uniform(0.15, 0.7))


def linear(rng: Generator, n: int) -> Floats:
    return np.asarray(1 - rng.uniform(0.15, 0.8) * places(n) ** rng.uniform(0.4, 1.2))


def staircase(rng: Generator, n: int) -> Floats:
    """A step down at every epoch, and a slow fall in between: what is seen a second time is known."""
    epochs = int(rng.integers(4, 9))
    place = places(n) * epochs
    drop, slope = rng.uniform(0.06, 0.25), rng.uniform(0.01, 0.08)
    return np.asarray((1 - drop) ** np.floor(place) * (1 - slope) ** place)


def solved(rng: Generator, n: int) -> Floats:
    floor = log_uniform(rng, 0.001, SOLVED)
    return np.asarray(floor + (1 - floor) * np.exp(-rng.uniform(6.0, 30.0) * places(n)))


SHAPES: dict[str, Shape] = {
    "exponential": exponential,
    "power-law": power_law,
    "linear": linear,
    "staircase": staircase,
    "solved": solved,
}


def is_healthy(level: Floats, rate: Floats | None) -> bool:
    """Whether a loss without noise, float64[n], is neither a plateau nor underfitting by their definitions."""
    n = len(level)
    end = n
    if rate is not None:
        on = np.flatnonzero(rate >= GONE * rate.max())
        end = int(on[-1]) + 1
    third = max(2, round(n / 3))
    starts = np.arange(0, max(1, end - third + 1))
    before, after = level[starts], level[np.minimum(starts + third - 1, n - 1)]
    flat = (before - after < IMPROVES * after) & (after > SOLVED * level[0])
    return not flat.any() and level[-1] < (1 - FALLS) * level[0]


def healthy_draft(rng: Generator, shape: Shape, points: tuple[int, int] | None = None, quiet: float = 1.0) -> Draft:
    """A healthy run of a shape, in the making. `points` are the fewest and most, `quiet` as in parts.draft."""
    for _ in range(TRIES):
        n = length(rng, *points) if points else length(rng)
        one = draft(rng, shape(rng, n), log_uniform(rng, *LEVELS), quiet=quiet)
        if is_healthy(one.level, one.rate):
            return one
    raise RuntimeError(f"no healthy {shape.__name__} in {TRIES} tries")


def family(shape: Shape) -> Callable[[Generator], Labelled]:
    """The family of healthy runs of one shape."""

    def build(rng: Generator) -> Labelled:
        return healthy_draft(rng, shape).finished(rng)

    return build
