"""A curve that falls and then rises again: its lowest level, the rise after it, and whether noise alone could make it.

Two fits are compared: the best curve that only falls, and the best that falls and then rises (isotonic and unimodal
regression). They ask for no shape, so that a steep start or a sharp turn is not taken for noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from curvelab.signals.level import MEDIAN_COST
from curvelab.signals.noise import step_noise

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

COST_OF_A_STEP = 1.5  # degrees of freedom that a level of a monotone fit costs (Meyer and Woodroofe 2000)
OF_A_GUESS = 0.5  # values that the least noise counts for: hardly any where residuals tell it (judgement)
FEWEST_FOR_DIFFERENCES = 8  # values; of fewer, second differences take a turn for noise
NEAR_THE_LOWEST = 2.0  # noises above the lowest value, within which another could have been the lowest by chance
OF_AN_EXTREME = 0.6  # scatter of the lowest of a few values, of the noise of one


@dataclass(frozen=True)
class Turn:
    """Where a curve turned. `bottom` is its lowest level without the luck of the lowest value; `late` the level of the
    last third after it; `error` the standard error of their difference; `noise` that of one value.

    `gain` is what a rise explains beyond a curve that only falls, in squared noises; with values that only scatter about
    a level it stays below 16 in 97 of 100 curves of eight values or more.
    """

    lowest: int
    bottom: float
    late: float
    error: float
    noise: float
    gain: float

    @property
    def rise(self) -> float:
        return self.late - self.bottom

    @property
    def sigmas(self) -> float:
        return self.rise / self.error if self.error > 0 else float(np.copysign(np.inf, self.rise))


def turn_of(values: Floats, least: float, waves: bool = False) -> Turn | None:
    """The turn of a curve at its lowest value; None when fewer than two values follow it.

    values float64[n], finite, n >= 3; `least` is a noise that one value has in any case: so few values can agree by chance.
    With `waves` slow ups and downs count as noise, too: only what the fits leave tells it then, no second differences.
    """
    lowest = int(np.argmin(values))
    after = values[lowest + 1 :]
    if len(after) < 2:
        return None
    falls, turns, steps = _fits(values)
    noise = _noise(values, turns, steps, least, waves)
    near = values[max(0, lowest - FEWEST_FOR_DIFFERENCES // 2) : lowest + FEWEST_FOR_DIFFERENCES // 2]
    below = min(_noise(values, turns, steps, 0.0, waves), step_noise(near) if len(near) >= FEWEST_FOR_DIFFERENCES // 2 else np.inf)
    rivals = int(np.sum(values <= values[lowest] + NEAR_THE_LOWEST * below))
    last = after[-max(2, len(after) // 3) :]
    error = noise * float(np.hypot(MEDIAN_COST / np.sqrt(len(last)), OF_AN_EXTREME if rivals > 1 else 1.0))
    gain = (falls - turns) / (noise * noise) if noise > 0 else (np.inf if falls > turns else 0.0)
    bottom = float(values[lowest]) + below * expected_extreme(rivals)
    return Turn(lowest, bottom, float(np.median(last)), error, noise, float(gain))


def expected_extreme(n: int) -> float:
    """How far the lowest of n normal values lies below their mean, in standard deviations (Blom's approximation)."""
    return NormalDist().inv_cdf((n - 0.375) / (n + 0.25)) if n > 1 else 0.0


def _noise(values: Floats, turns: float, steps: int, least: float, waves: bool) -> float:
    """Noise of one value: what is left around the falling and rising fit, or second differences where they say less."""
    free = max(0.0, len(values) - COST_OF_A_STEP * steps)
    around = float(np.sqrt((turns + OF_A_GUESS * least * least) / (free + OF_A_GUESS)))
    return around if waves or len(values) < FEWEST_FOR_DIFFERENCES else min(around, max(step_noise(values), least))


def _fits(values: Floats) -> tuple[float, float, int]:
    """(squared residuals of the best fall, those of the best fall and rise, levels of the latter)."""
    falling, down = _falling(values)
    rising, up = _falling(values[::-1])
    both = falling[:-1] + rising[::-1][1:]
    place = int(np.argmin(both))
    return float(falling[-1]), min(float(both[place]), float(falling[-1])), int(down[place] + up[::-1][place + 1])


def _falling(values: Floats) -> tuple[Floats, Ints]:
    """Of every beginning of a curve: (squared residuals around its best falling fit, number of levels of that fit).

    Pools neighbours that rise. float64[n] -> float64[n], int64[n]; linear in n.
    """
    total, blocks = 0.0, list[tuple[float, int, float]]()  # a block: mean, values, squared residuals
    residuals, levels = np.empty(len(values)), np.empty(len(values), dtype=np.int64)
    for i, value in enumerate(values.tolist()):
        mean, count, own = value, 1, 0.0
        while blocks and blocks[-1][0] <= mean:
            other, many, rest = blocks.pop()
            total -= rest
            apart = other - mean
            own += rest + apart * apart * (many * count / (many + count))
            mean, count = (other * many + mean * count) / (many + count), many + count
        blocks.append((mean, count, own))
        total += own
        residuals[i], levels[i] = total, len(blocks)
    return residuals, levels
