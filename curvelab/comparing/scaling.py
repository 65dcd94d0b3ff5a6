"""Train losses that are sums over accumulation steps, or divided by them: their level is off by the ratio of accumulation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from curvelab.comparing.entrants import Entrant, level_at_end
from curvelab.model.log import Floats

MATCH = 1.3  # factor by which the ratio of levels may miss that of accumulation (judgement)
ENDS = 10  # the levels are compared over the first and the last tenth of the common ground
FEWEST = 6  # logs of a run
GRID = 100
MOST_HELD = 3  # runs of one accumulation that the others are held against


def scaled_by_accumulation(entrants: Sequence[Entrant]) -> list[Entrant]:
    """The runs whose train loss is a sum over the accumulation steps (train-eval-mismatch says so, or another run shows it),
    or is divided by them."""
    few, divided = _few(entrants), divided_by_accumulation(entrants)
    return [one for one in entrants if _said(one) or one in divided or any(_times(other, one, 1) for other in few)]


def divided_by_accumulation(entrants: Sequence[Entrant]) -> list[Entrant]:
    """The runs whose train loss is divided by the accumulation steps once too often."""
    few = _few(entrants)
    return [one for one in entrants if any(_times(other, one, -1) for other in few)]


def _few(entrants: Sequence[Entrant]) -> list[Entrant]:
    """Some runs of each accumulation, those of the lowest losses."""
    alike: dict[int, list[Entrant]] = {}
    for one in entrants:
        alike.setdefault(one.accumulation or 0, []).append(one)
    return [one for runs in alike.values() for one in sorted(runs, key=lambda one: level_at_end(one.facts.loss)[0])[:MOST_HELD]]


def _said(one: Entrant) -> bool:
    found = (finding for finding in one.diagnosis.findings if finding.pattern == "train-eval-mismatch")
    return any(measured.name == "accumulation" for finding in found for measured in finding.measured)


def _times(low: Entrant, high: Entrant, power: int) -> bool:
    """Whether one train loss is that of another times (power 1) or over (-1) their ratio of accumulation, at equal samples, from
    first to last. Of two runs of one accumulation, one may be a sum over it."""
    if not low.accumulation or not high.accumulation or low.accumulation > high.accumulation:
        return False
    equal = low.accumulation == high.accumulation
    if equal and (high.accumulation == 1 or power < 0):
        return False
    times = float(high.accumulation if equal else high.accumulation / low.accumulation)
    ratios = _ratios(low, high)
    if not len(ratios):
        return False
    ends = max(1, len(ratios) // ENDS)
    return all(abs(math.log(float(np.median(part)) / times**power)) < math.log(min(MATCH, math.sqrt(times))) for part in (ratios[:ends], ratios[-ends:]))


def _ratios(low: Entrant, high: Entrant) -> Floats:
    """The second train loss over the first at equal samples (equal shares of the runs where those are not known)."""
    a, b = low.facts.loss_levels, high.facts.loss_levels
    if min(len(a), len(b)) < FEWEST or min(a.value.min(), b.value.min()) <= 0:
        return np.empty(0)
    known = low.batch is not None and high.batch is not None
    x, y = (c.step * float(e.batch or 1) if known else c.step / c.step[-1] for c, e in ((a, low), (b, high)))
    first, last = max(x[0], y[0]), min(x[-1], y[-1])
    if first >= last:
        return np.empty(0)
    grid = np.linspace(first, last, GRID)
    ratios: Floats = np.interp(grid, y, b.value) / np.interp(grid, x, a.value)
    return ratios
