"""Which run is better, and whether the difference is more than noise.

A run stands for the best value of its metric (the train loss for its level at the end, which noise cannot flatter). Runs
of one setting with several seeds stand together for their mean. What two groups must differ by comes from the spread of
the seeds where there are any (Student's t on the pooled spread), else from the noise of the curves themselves, which says
nothing of what another seed would have done: that is said beside it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from os.path import commonprefix

import numpy as np

from curvelab.comparing.choice import Choice
from curvelab.comparing.entrants import Entrant, level_at_end
from curvelab.comparing.fairness import FEWEST
from curvelab.deciding import eval_noise
from curvelab.model.comparison import Lead
from curvelab.model.log import Floats
from curvelab.signals.level import MEDIAN_COST, noise_of

LEVEL = 0.95  # of the belief in a difference
SIGMAS = 2.0  # two-sided 95 % of normal noise
LEAST = 0.002  # of the level: differences below it are no more than rounding and order of sums (judgement)
FEWEST_SETTLED = 6  # evals that tell their noise by second differences
CLOSE = 1e-12
_SEED_BEFORE = re.compile(r"[\W_]*(?<![A-Za-z])(s|seed)?[\W_]*$", re.I)  # what is left of "lr1-seed" once the numbers differ


@dataclass(frozen=True)
class Value:
    """A run's value of the metric, the step of it, and the noise of that value."""

    value: float
    step: int
    noise: float
    points: int


@dataclass(frozen=True)
class Unit:
    """What is ranked: a setting with the values of its ranked seeds; `members` holds the others as well."""

    number: int
    members: tuple[Entrant, ...]
    values: tuple[Value, ...]

    @property
    def mean(self) -> float:
        return float(np.mean([one.value for one in self.values]))

    @property
    def spread(self) -> float | None:
        """Sample standard deviation of the seeds, None for fewer than two."""
        return float(np.std([one.value for one in self.values], ddof=1)) if len(self.values) > 1 else None

    @cached_property
    def name(self) -> str:
        names = [one.name for one in self.members]
        if len(names) == 1:
            return names[0]
        shared = _SEED_BEFORE.sub("", commonprefix(names)) or names[0]  # noqa: RUF071 - names, not paths
        return f"{shared} ({len(names)} seeds)"


@dataclass(frozen=True)
class Noise:
    """What one value is uncertain by: `seeds` is the pooled spread of seeds with its degrees of freedom, or None."""

    seeds: float | None
    freedom: int

    @property
    def origin(self) -> str:
        return "seed noise" if self.seeds is not None else "noise of the curves"

    def of(self, a: Unit, b: Unit) -> tuple[float, float]:
        """(one sigma of the difference of two units' means, the difference needed to believe it)."""
        least = LEAST * max(abs(a.mean), abs(b.mean))
        if self.seeds is not None:
            from scipy.stats import t

            sigma = max(self.seeds * math.sqrt(1 / len(a.values) + 1 / len(b.values)), CLOSE)
            return sigma, max(least, sigma * float(t.ppf((1 + LEVEL) / 2, self.freedom)))
        parts = [float(np.mean([v.noise for v in one.values])) / math.sqrt(len(one.values)) for one in (a, b)]
        sigma = max(math.hypot(*parts), least / SIGMAS, CLOSE)
        return sigma, SIGMAS * sigma


def noise_among(units: Sequence[Unit]) -> Noise:
    """The pooled spread of the seeds, where some setting has several; else that of the curves."""
    several = [one for one in units if one.spread is not None]
    freedom = sum(len(one.values) - 1 for one in several)
    if not freedom:
        return Noise(None, 0)
    squares = sum((len(one.values) - 1) * (one.spread or 0.0) ** 2 for one in several)
    return Noise(math.sqrt(squares / freedom), freedom)


def value_of(one: Entrant, choice: Choice) -> Value | None:
    """What a run stands for; None where it did not log the metric."""
    curve = one.line(choice.metric)
    if not len(curve):
        return None
    if choice.metric == "train/loss":
        level, values = level_at_end(curve)
        noise = MEDIAN_COST * noise_of(curve.value[-max(12, 3 * len(values)) :]) / math.sqrt(len(values))
        return Value(level, int(curve.step[-1]), noise, len(curve))
    costs = choice.sign * curve.value
    place = int(np.argmin(costs))
    return Value(float(curve.value[place]), int(curve.step[place]), _settled_noise(costs), len(curve))


def _settled_noise(costs: Floats) -> float:
    """Noise of one eval, from the later half where there are enough: the steep bend of the beginning looks like noise.

    Fewer cannot tell noise from progress: there it is at least what the last evals moved by (simulated: without that, six
    in ten pairs of equal runs with five evals were told apart; tests/comparing/test_noise.py).
    """
    later = costs[-max(FEWEST_SETTLED, len(costs) // 2) :]
    noise = eval_noise(later, int(np.argmin(later)))
    moved = np.abs(np.diff(later[-3:]))
    return noise if len(later) >= FEWEST_SETTLED or not len(moved) else max(noise, float(moved.mean()))


def unranked(one: Entrant, value: Value | None, choice: Choice, seeds: bool) -> str:
    """Why a run has no place, or an empty string. With seeds one value a run is enough: their spread is the noise."""
    if one.failure:
        return one.failure
    if value is None:
        return f"{choice.metric} was not logged"
    if value.points < FEWEST and not seeds:
        return f"{value.points} {'value' if value.points == 1 else 'values'} of {choice.metric}, {FEWEST} are needed"
    return ""


def ranks(units: Sequence[Unit], choice: Choice, noise: Noise) -> dict[int, int]:
    """Unit number -> rank, 1 the best. A unit within the noise of the best of a rank shares that rank."""
    found: dict[int, int] = {}
    head: Unit | None = None
    for place, unit in enumerate(in_order(units, choice), start=1):
        if head is None or choice.sign * (unit.mean - head.mean) >= noise.of(head, unit)[1]:
            head, rank = unit, place
        found[unit.number] = rank
    return found


def in_order(units: Sequence[Unit], choice: Choice) -> list[Unit]:
    """The units that have a value, the best first."""
    return sorted((one for one in units if one.values), key=lambda one: choice.sign * one.mean)


def lead(better: Unit, worse: Unit, choice: Choice, noise: Noise) -> Lead:
    """How far one unit is ahead of another, in a sentence that says what the noise makes of it."""
    by = choice.sign * (worse.mean - better.mean)
    sigma, needed = noise.of(better, worse)
    real = by >= needed
    return Lead(
        better=better.name,
        worse=worse.name,
        by=by,
        noise=sigma,
        needed=needed,
        noise_from=noise.origin,
        real=real,
        sentence=ahead(by, sigma, noise.origin, needed=None if real else needed),
    )


def ahead(by: float, sigma: float, origin: str, than: str = "", needed: float | None = None) -> str:
    """ "better than b by 0.04, twice the seed noise"; with `needed` it is within noise, and that would be needed."""
    other = f" than {than}" if than else ""
    amount = f"better{other} by {by:.3g}" if by > 0 else f"no better{other}" if by == 0 else f"worse{other} by {-by:.3g}"
    within = "" if needed is None else f": within noise ({needed:.2g} would be needed)"
    return f"{amount}, {_against_noise(by / sigma, origin)}{within}"


def _against_noise(times: float, origin: str) -> str:
    size = abs(times)
    if size < 0.95:
        return f"less than the {origin}"
    if size < 1.5:
        return f"about the {origin}"
    return f"twice the {origin}" if 1.9 <= size < 2.1 else f"{size:.2g} times the {origin}" if size < 100 else f"far beyond the {origin}"
