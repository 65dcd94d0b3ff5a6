"""What the fall of a loss so far foretells of the rest of it, and how much of that comes true.

A loss that goes on learning falls roughly as a power law of the steps: ever more slowly, but never so that it stops. How
much is still to come is told by how far it has fallen, and by how early. A stretch without that decline is flat; a slow
decline is not, however small it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curvelab.signals.level import MEDIAN_COST
from curvelab.signals.line import fit_line
from curvelab.signals.noise import step_noise

Floats = NDArray[np.float64]

EXPONENT = 0.5  # of the power law: training curves have 0.2 to 1, and fall more in their last part the smaller it is
EARLIEST, LATEST = 1e-3, 0.25  # of the time of a fall, when half of it is done: within logs it is not known, and
# a fall that got no slower foretells no more than one that did (judgement: nothing falls in a straight line for long)
LEARNS = 0.1  # of the level: what a run that learns at all gains over its length (judgement: underfitting is 3 % and less)
USUAL_PACE = 10.0  # the length of a run over the time scale of its fall (judgement)
ONE_SIDED = 1.645  # standard errors, one-sided 95 % of a normal error


@dataclass(frozen=True)
class Share:
    """How much of a foretold decline a stretch shows: `seen` is 1 where it goes on as before and 0 where it is flat.

    `error` is the standard error of `seen`; `decline` and `decline_error` are the decline from the first to the last
    point of the stretch in the unit of the loss; `points` are those that were fitted.
    """

    seen: float
    error: float
    decline: float
    decline_error: float
    points: int

    def at_most(self, sigmas: float = ONE_SIDED) -> float:
        """Upper end of `seen`, so many standard errors up; wider with few points, as Student's t is.

        A rise by chance makes a stretch no surer to be flat: it counts as none.
        """
        return max(self.seen, 0.0) + sigmas * widened(self.points) * self.error

    def at_least(self, sigmas: float = ONE_SIDED) -> float:
        """Lower end of `seen`, likewise."""
        return self.seen - sigmas * widened(self.points) * self.error


def widened(points: int) -> float:
    """Student's t over the normal quantile at one-sided 95 %, for a line through so many points (Cornish-Fisher)."""
    return 1 + (ONE_SIDED**2 + 1) / (4 * max(1, points - 2))


def foretold(x: Floats, begin: float, half: float, turn: float, fall: float) -> Floats:
    """The decline still to come from `turn` on: float64[n], 0 at `turn`, rising, in the unit of `fall`.

    x      float64[n], places at or after `turn`, in steps
    begin  where the fall began, `half` where half of it was done, `turn` the place from which on it is foretold
    fall   from `begin` to `turn`

    The power law (1 + (x - begin) / s) ** -EXPONENT through the three places, `half` taken as within EARLIEST and LATEST.
    """
    whole = turn - begin
    scale = whole * _scale(min(max((half - begin) / whole, EARLIEST), LATEST))

    def left(place: Floats | float) -> Floats:
        return np.asarray((1 + (place - begin) / scale) ** -EXPONENT)

    curve: Floats = fall * (left(turn) - left(x)) / (1 - left(turn))
    return curve


def _scale(half: float) -> float:
    """The scale s of a power law that has done half of its fall from 0 to 1 at `half`, which is under 0.5. By bisection."""
    low, high = 1e-9, 1e3
    for _ in range(30):
        middle = math.sqrt(low * high)
        done = (1 - (1 + half / middle) ** -EXPONENT) / (1 - (1 + 1 / middle) ** -EXPONENT)
        low, high = (middle, high) if done > 0.5 else (low, middle)
    return low


def share_seen(expected: Floats, value: Floats) -> Share:
    """How much of `expected`, float64[n] as `foretold` gives it, the values, float64[n], show. n >= 3.

    Least squares without outliers. The error grows with the likeness of neighbouring residuals (slow waves).
    """
    line = fit_line(expected, value, float(expected.mean()))
    residual = value - line.level - line.slope * (expected - expected.mean())
    spread = np.clip(residual, -3 * line.noise, 3 * line.noise)
    power = float(np.sum(spread**2))
    alike = min(max(float(np.sum(spread[1:] * spread[:-1])) / power, 0.0), 0.9) if power > 0 else 0.0
    error = line.slope_error * float(np.sqrt((1 + alike) / (1 - alike)))
    reach = float(expected[-1] - expected[0])
    return Share(-line.slope, error, -line.slope * reach, error * reach, len(value))


def usual_fall(step: Floats) -> Floats:
    """The shape of a usual fall over a whole run, float64[n], 0 at the first step and 1 at the last: fast first, slower later.

    Half of it is done in the first sixth; a straight fall and a faster one are both seen in it, nearly in full.
    """
    left = (1 + USUAL_PACE * (step - step[0]) / max(1.0, float(step[-1] - step[0]))) ** -EXPONENT
    shape: Floats = (left[0] - left) / max(1e-12, float(left[0] - left[-1]))
    return shape


def expected_after(step: Floats, value: Floats, start: float, top: float, level: float) -> Floats:
    """The decline, float64[k], that the fall before `start` foretells at the k steps from there on; it begins at 0.

    step, value  float64[n], rising steps and the loss, the whole run
    top, level   where the loss began, as `surely_began_at` has it, and its level from `start` on

    Without a fall before `start` the run is held against one that learns little: a straight fall by LEARNS of the level
    over the length of the run.
    """
    after = step[step >= start]
    if top <= level or len(after) == len(step):
        straight: Floats = LEARNS * abs(level) * (after - after[0]) / max(1.0, float(step[-1] - step[0]))
        return straight
    low = value <= (top + level) / 2
    under = int(np.argmax(low[:-1] & low[1:]))  # if noise makes it early, that foretells less
    half = float(step[under] + step[max(0, under - 1)]) / 2
    return foretold(after, float(step[0]), half, float(after[0]), top - level)


def surely_began_at(value: Floats) -> float:
    """Lower end of where a loss began: its first points (3, or 3 %, 20 at most) together, or the first one by itself."""
    few = value[: max(3, min(len(value) // 33, 20))]
    sigma = ONE_SIDED * step_noise(value)
    return max(float(np.median(few)) - MEDIAN_COST * sigma / float(np.sqrt(len(few))), float(value[0]) - sigma)
