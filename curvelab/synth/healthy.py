"""Families of runs in which nothing is wrong: the loss keeps falling to the end, be it slowly, or is solved.

Healthy by how they are made and not by what a detector asks: a power law never stands still, an exponential is cut before
it does. Only a fall of FALLS of the starting loss is asked for, since less is no learning by any account.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from curvelab.synth.parts import LEVELS, Draft, Floats, Labelled, draft, length, log_uniform, places

FALLS = 0.08  # of the starting loss, the whole run: clearly more than the 3 % of underfitting
SOLVED = 0.07  # of the starting loss: clearly under the tenth that counts as solved
TRIES = 200

Shape = Callable[[Generator, int], Floats]


def exponential(rng: Generator, n: int) -> Floats:
    """No more than three time constants: the last third of the run still does a tenth of the fall."""
    floor = rng.uniform(0.15, 0.85)
    return np.asarray(floor + (1 - floor) * np.exp(-rng.uniform(1.0, 3.0) * places(n)))


def power_law(rng: Generator, n: int) -> Floats:
    floor = rng.uniform(0.0, 0.6)
    return np.asarray(floor + (1 - floor) * (1 + log_uniform(rng, 3, 100) * places(n)) ** -rng.uniform(0.15, 0.7))


def mild(rng: Generator, n: int) -> Floats:
    """Fine-tuning of a model that knows most of it: a quick small fall, and a slow decline of a few percent ever after."""
    floor = rng.uniform(0.7, 0.88)
    return np.asarray(floor + (1 - floor) * (1 + log_uniform(rng, 20, 300) * places(n)) ** -rng.uniform(0.25, 0.55))


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
    "mild": mild,
    "linear": linear,
    "staircase": staircase,
    "solved": solved,
}


def healthy_draft(rng: Generator, shape: Shape, points: tuple[int, int] | None = None, quiet: float = 1.0) -> Draft:
    """A healthy run of a shape, in the making. `points` are the fewest and most, `quiet` as in parts.draft."""
    for _ in range(TRIES):
        n = length(rng, *points) if points else length(rng)
        one = draft(rng, shape(rng, n), log_uniform(rng, *LEVELS), quiet=quiet)
        if one.level[-1] < (1 - FALLS) * one.level[0]:
            return one
    raise RuntimeError(f"no {shape.__name__} that falls in {TRIES} tries")


def family(shape: Shape) -> Callable[[Generator], Labelled]:
    """The family of healthy runs of one shape."""

    def build(rng: Generator) -> Labelled:
        return healthy_draft(rng, shape).finished(rng)

    return build
