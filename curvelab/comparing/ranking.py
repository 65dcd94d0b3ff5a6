"""Which run is better, and whether the difference is more than noise.

A run stands for the best value of its metric (the train loss for its level at the end, which noise cannot flatter). Runs
of one setting with several seeds stand together for their mean. What two groups must differ by: curvelab.comparing.noise.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from os.path import commonprefix

import numpy as np

from curvelab.comparing.choice import Choice
from curvelab.comparing.entrants import Entrant, level_at_end
from curvelab.comparing.fairness import fewest
from curvelab.comparing.noise import Noise
from curvelab.comparing.wording import short
from curvelab.deciding import eval_noise
from curvelab.model.log import Floats
from curvelab.model.run import Curve
from curvelab.model.verdicts import Lead
from curvelab.signals.level import error_of_level

FEWEST_SETTLED = 6  # evals that tell their noise by second differences
CONTENDERS = 4.0  # sigmas within which evals could as well have been the best
GLITCH = 6.0  # times the noise and the usual move of an eval by which a best one is off both its neighbours (judgement)
STILL = 1e-6  # of the level, at least of 1: what float32 keeps of a value (judgement)
_SEED_BEFORE = re.compile(r"[\W_]*(?<![A-Za-z])(s|seed)?[\W_]*$", re.I)  # what is left of "lr1-seed" once the numbers differ


@dataclass(frozen=True)
class Value:
    """A run's value of the metric, the step of it, and the noise of that value."""

    value: float
    step: int
    noise: float
    points: int
    run: str = ""
    luck: float = 0.0  # sigmas by which the best of so many evals is better than a single one by chance
    alone: bool = False  # whether no eval beside the best supports it


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
    def stem(self) -> str:
        """What the names of its runs have in common but for the seed."""
        names = [one.name for one in self.members]
        stem = names[0] if len(names) == 1 else _SEED_BEFORE.sub("", commonprefix(names)) or names[0]  # noqa: RUF071 - names, not paths
        return short(stem)

    @property
    def name(self) -> str:
        return self.stem if len(self.members) == 1 else f"{self.stem} ({len(self.members)} seeds)"

    @property
    def lost(self) -> tuple[Entrant, ...]:
        """The seeds that failed."""
        return tuple(one for one in self.members if one.failure)

    @property
    def ranked(self) -> tuple[Entrant, ...]:
        """The members that have a value, in the order of `values`."""
        return tuple(one for one in self.members if one.id in {value.run for value in self.values})


def value_of(one: Entrant, choice: Choice) -> Value | None:
    """What a run stands for; None where it did not log the metric."""
    value = value_in(one.line(choice.metric), choice)
    return None if value is None else replace(value, run=one.id)


def value_in(curve: Curve, choice: Choice) -> Value | None:
    """What a curve of the metric stands for; None for an empty one."""
    if not len(curve):
        return None
    if choice.metric == "train/loss":
        level, values = level_at_end(curve)
        noise = max(error_of_level(curve.value, len(values)), _of_a_still_curve(curve.value))
        return Value(level, int(curve.step[-1]), noise, len(curve))
    costs = choice.sign * curve.value
    place = int(np.argmin(costs))
    noise = _settled_noise(costs)
    off = _stands_alone(costs, place, noise)
    return Value(
        float(curve.value[place]),
        int(curve.step[place]),
        max(noise, off, _of_a_still_curve(curve.value)),
        len(curve),
        luck=_best_of(int((costs <= costs[place] + CONTENDERS * noise).sum())),
        alone=off > 0,
    )


def _of_a_still_curve(values: Floats) -> float:
    """The noise of a curve that never moves, which tells none: rounding; 0 of any other."""
    return STILL * max(1.0, abs(float(values[0]))) if len(values) > 1 and np.ptp(values) == 0 else 0.0


def _stands_alone(costs: Floats, place: int, noise: float) -> float:
    """How far the best eval is from the better of its neighbours where it is a glitch of the log, not a place on the way; else 0."""
    if not 0 < place < len(costs) - 1:
        return 0.0
    off = float(min(costs[place - 1], costs[place + 1]) - costs[place])
    return off if off > GLITCH * max(noise, float(np.median(np.abs(np.diff(costs))))) else 0.0


def _best_of(count: int) -> float:
    """How many sigmas the best of so many equal evals is better than their mean (Blom 1958)."""
    from scipy.stats import norm

    return float(norm.ppf((count - 0.375) / (count + 0.25))) if count > 1 else 0.0


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
    if value.points < (needed := fewest(choice)) and not seeds:
        return f"{value.points} {'value' if value.points == 1 else 'values'} of {choice.metric}, {needed} are needed"
    return ""


def ranks(units: Sequence[Unit], choice: Choice, noise: Noise) -> dict[int, int]:
    """Unit number -> rank, 1 the best. A unit within the noise of the best of a rank shares that rank.

    The first is held against the second as one pair, which is enough to call it the best however many there are (Gutmann
    and Maymin 1987); every other step must hold among all pairs.
    """
    found: dict[int, int] = {}
    ordered = in_order(units, choice)
    head: Unit | None = None
    for place, unit in enumerate(ordered, start=1):
        among = 2 if place == 2 else len(ordered)
        if head is None or choice.sign * (unit.mean - head.mean) >= noise.needed(head, unit, among=among):
            head, rank = unit, place
        found[unit.number] = rank
    return found


def leads(ordered: Sequence[Unit], choice: Choice, noise: Noise) -> tuple[Lead, ...]:
    """How far the best is ahead of each other: where it is ahead of the second for sure, it is so of all."""
    if len(ordered) < 2:
        return ()
    best, second, *rest = ordered
    first = lead(best, second, choice, noise)
    return first, *(lead(best, one, choice, noise, among=2 if first.real else len(ordered)) for one in rest)


def in_order(units: Sequence[Unit], choice: Choice) -> list[Unit]:
    """The units that have a value, the best first."""
    return sorted((one for one in units if one.values), key=lambda one: choice.sign * one.mean)


def lead(better: Unit, worse: Unit, choice: Choice, noise: Noise, *, among: int = 2, pairs: int = 1) -> Lead:
    """How far one unit is ahead of another, in a sentence that says what the noise makes of it; see Noise.needed."""
    by = choice.sign * (worse.mean - better.mean) + 0.0  # no "-0"
    sigma, needed = noise.sigma(better, worse), noise.needed(better, worse, among=among, pairs=pairs)
    real = by >= needed
    return Lead(
        better=better.name,
        worse=worse.name,
        by=by,
        noise=sigma,
        needed=needed,
        noise_from=noise.origin,
        real=real,
        sentence=ahead(by, sigma, noise.origin, needed=None if real else needed, tiny=needed <= noise.least(better, worse)),
    )


def ahead(by: float, sigma: float, origin: str, than: str = "", needed: float | None = None, tiny: bool = False) -> str:
    """ "better than b by 0.04, twice the seed noise"; with `needed` it is within noise, and that would be needed.

    tiny   whether that is needed for the level alone, though the noise is less
    """
    other = f" than {than}" if than else ""
    amount = f"better{other} by {by:.3g}" if by > 0 else f"no better{other}" if by == 0 else f"worse{other} by {-by:.3g}"
    reason = "no more than rounding and order of sums" if tiny else "within noise"
    within = "" if needed is None else f": {reason} ({needed:.2g} would be needed)"
    return f"{amount}, {_against_noise(by / sigma, origin)}{within}"


def _against_noise(times: float, origin: str) -> str:
    size = abs(times)
    if size < 0.95:
        return f"less than the {origin}"
    if size < 1.5:
        return f"about the {origin}"
    return f"twice the {origin}" if 1.9 <= size < 2.1 else f"{size:.2g} times the {origin}" if size < 100 else f"far beyond the {origin}"
