"""What a difference must exceed to be believed.

Settings with several known seeds tell it themselves: Student's t on their pooled spread. Without them a run's own evals
do not: they are all of one seed, and another seed moves the whole curve. There the noise of one run is that of its curve
and, beside it, the spread that seeds usually have: `BETWEEN` of the level, or the spread of runs of equal settings where
that is larger. Beside groups of seeds, a run alone is as noisy as their seeds, or as its own curve. Many runs make many
pairs: what separates any two of k runs is taken from the studentized range (Tukey 1949).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from curvelab.comparing.differences import replicates
from curvelab.signals.noise import sigma_of

if TYPE_CHECKING:
    from curvelab.comparing.ranking import Unit

LEVEL = 0.95  # of the belief in a difference
SIGMAS = 2.0  # of one pair without seeds: 1.96, and a little for a noise that is itself estimated
# Of the level: standard deviation of one run's result over seeds where nothing tells it. Published ones of language
# models lie between 0.1 % (pre-training) and 1 % (fine-tuning on few data) of the eval loss; simulated false rates:
# tests/comparing/test_noise.py.
BETWEEN = 0.005
LEAST = 0.002  # of the level: differences below it are no more than rounding and order of sums (judgement)
LEAST_OF_SEEDS = 0.0002  # of the level, where seeds themselves show what rounding and order of sums do (judgement)
ENOUGH_SEEDS = 4  # degrees of freedom with which they do: a spread of few seeds may be small by chance (judgement)
MORE = 1.5  # times as many evals make the luck of the best of them count (judgement)
CLOSE = 1e-12
FEWEST_EQUAL = 4  # runs of equal settings that tell how far such runs spread
SEEDS, EQUALS, EXPECTED = "seed noise", "spread of runs of equal settings", "noise to expect of another seed"


@dataclass(frozen=True)
class Noise:
    """What one value is uncertain by.

    seeds     the pooled spread of seeds with its degrees of freedom, or None
    equals    without seeds, or with no more than one pair of them: the spread of runs of equal settings, or None
    """

    seeds: float | None
    freedom: int
    equals: float | None = None

    @property
    def origin(self) -> str:
        return SEEDS if self.seeds is not None else EQUALS if self.equals is not None else EXPECTED

    def sigma(self, a: Unit, b: Unit) -> float:
        """One sigma of the difference of two units' means."""
        return max(math.hypot(*(self.of_mean(one) for one in (a, b))), CLOSE)

    def needed(self, a: Unit, b: Unit, *, among: int = 2, pairs: int = 1) -> float:
        """The difference that is believed at 95 %: of one pair, of any pair `among` so many units, or of all of some `pairs`."""
        freedom = self.freedom if self.seeds is not None else 0
        believed = _quantile(freedom, among, pairs) * self.sigma(a, b)
        return max(self.least(a, b), believed + _luck(a, b))

    def least(self, a: Unit, b: Unit) -> float:
        """The difference below which two levels are the same whatever the noise."""
        share = LEAST_OF_SEEDS if self.freedom >= ENOUGH_SEEDS else LEAST
        return share * max(abs(a.mean), abs(b.mean))

    def between(self, level: float) -> float:
        """The spread of single runs over seeds, where no seeds tell it."""
        return max(BETWEEN * abs(level), self.equals or 0.0)

    def of_mean(self, one: Unit) -> float:
        """One sigma of a unit's mean."""
        curve = float(np.mean([value.noise for value in one.values]))
        if self.seeds is not None:
            return (max(self.seeds, curve) if len(one.values) == 1 else self.seeds) / math.sqrt(len(one.values))
        return math.hypot(curve, self.between(one.mean)) / math.sqrt(len(one.values))


def _luck(a: Unit, b: Unit) -> float:
    """How much better the best of more evals is by chance than that of fewer, where their numbers differ much."""
    few, many = sorted(float(np.mean([value.points for value in one.values])) for one in (a, b))
    if many <= MORE * few:
        return 0.0
    tries = [float(np.mean([value.luck for value in one.values])) for one in (a, b)]
    return abs(tries[0] - tries[1]) * max(float(np.mean([value.noise for value in one.values])) for one in (a, b))


def single(freedom: int, tested: int) -> float:
    """Sigmas beyond which one of so many tested changes is believed; freedom 0: the noise is taken as known."""
    return _quantile(freedom, 2, tested)


@cache
def _quantile(freedom: int, among: int, pairs: int) -> float:
    """Sigmas of a difference that are believed; freedom 0: the noise is taken as known."""
    from scipy.stats import norm, studentized_range, t

    if among > 2:
        found = float(studentized_range.ppf(LEVEL, among, freedom or math.inf)) / math.sqrt(2)
    else:
        tail = 1 - (1 - LEVEL) / (2 * pairs)
        found = float(t.ppf(tail, freedom)) if freedom else float(norm.ppf(tail))
    return found if freedom else found * SIGMAS / float(norm.ppf((1 + LEVEL) / 2))


def noise_among(units: Sequence[Unit]) -> Noise:
    """The pooled spread of the seeds, where some setting has several; else of equal runs; else what is to be expected."""
    several = [one for one in units if one.spread is not None]
    freedom = sum(len(one.values) - 1 for one in several)
    if freedom:
        squares = sum((len(one.values) - 1) * (one.spread or 0.0) ** 2 for one in several)
        spread = math.sqrt(squares / freedom)
        # Two seeds of one setting among many: Student's t of one degree of freedom (12.7) would believe nothing at all.
        return Noise(spread, freedom) if freedom > 1 else Noise(None, 0, spread)
    return Noise(None, 0, _spread_of_equals(units))


def _spread_of_equals(units: Sequence[Unit]) -> float | None:
    """Robust standard deviation of runs of equal settings whose seeds are not told, or None: one that is off counts little."""
    value = {one.members[0].id: one.mean for one in units if one.values}
    groups = [[value[run.id] for run in group if run.id in value] for group in replicates([one.members[0] for one in units])]
    groups = [group for group in groups if len(group) >= FEWEST_EQUAL]
    return max((sigma_of(np.array(group)) for group in groups), default=None)
