"""Where settings part, with what differs between them: by the metric that ranks, else by the train loss, else by a failure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from curvelab.comparing.axes import Place
from curvelab.comparing.differences import differing
from curvelab.comparing.entrants import Entrant
from curvelab.comparing.noise import BETWEEN, SIGMAS
from curvelab.comparing.ranking import Unit
from curvelab.comparing.told import Change, listed, untold
from curvelab.comparing.wording import place_text
from curvelab.model.log import Floats
from curvelab.model.run import Curve
from curvelab.model.verdicts import AxisName, Parting
from curvelab.signals.noise import running_median
from curvelab.signals.parting import LEAST, WINDOW, Fork, averaged, fork_of

MOST = 12
ONE_SEED = SIGMAS * 2**0.5 * BETWEEN  # of the level: curves of one setting are as far apart by their seeds alone
FINER = 1.5  # times as many logs make it matter whether a log is a mean (judgement)
SURE = 0.98  # of a gap between means of seeds: a whole grid is searched, but seeds stay apart all along it
Places = Mapping[str, Mapping[AxisName, Place]]
Line = tuple[Floats, Floats]


def partings(
    first: Unit, others: Sequence[Unit], metrics: Sequence[str], axis: AxisName, places: Places, summed: Sequence[Entrant]
) -> list[Parting]:
    """Where each of some groups parts from `first`. A train loss that is a sum (of `summed` runs) is held against none."""
    spreads = {metric: _spread((first, *others), metric, axis, places) for metric in metrics}
    found = []
    for other in others[:MOST]:
        heaped = any(one in summed for one in (*first.members, *other.members))
        usable = {metric: needed for metric, needed in spreads.items() if not (heaped and metric == "train/loss")}
        one = _parting(first, other, usable, axis, places)
        if one is not None:
            found.append(one)
    return found


def _parting(a: Unit, b: Unit, spreads: Mapping[str, float], axis: AxisName, places: Places) -> Parting | None:
    """None where the two have too little common ground to be compared on, and none of them failed."""
    forks = [(metric, fork) for metric, spread in spreads.items() if (fork := _fork(a, b, metric, spread, axis, places)) is not None]
    none = (next(iter(spreads), ""), None)
    metric, fork = next(((m, f) for m, f in forks if f.at is not None), forks[0] if forks else none)
    failed = _failure(a, b, axis, places)
    if fork is None and failed is None:
        return None
    one, two = a.members[0], b.members[0]
    changes = differing(one, two)
    settings = tuple(change.name for change in changes)
    differ = _they_differ(a, b, changes)
    if failed is not None and (fork is None or fork.at is None or failed[0] <= fork.at):
        at, why = failed
        apart = "" if fork is None or fork.gap is None else f", {metric} {_side(fork.gap)} than that of {a.name} from about there"
        return Parting(
            runs=(one.id, two.id), metric=metric, axis=axis, at=at, steps=(_step_at(one, at, axis, places), two.failed_at or 0), gap=fork.gap if fork else None,
            noise=fork.noise if fork else 0.0, settings=settings, failed=why, sentence=f"{b.name} {why}{apart}{differ}",
        )  # fmt: skip
    assert fork is not None
    steps = None if fork.at is None else (_step_at(one, fork.at, axis, places), _step_at(two, fork.at, axis, places))
    then = f"; {b.name} {failed[1]}" if failed is not None else ""
    return Parting(
        runs=(one.id, two.id),
        metric=metric,
        axis=axis,
        at=fork.at,
        steps=steps,
        gap=fork.gap,
        noise=fork.noise,
        settings=settings,
        sentence=_sentence(a, b, metric, axis, fork, steps) + then + differ,
        seen=fork.seen,
        crosses=fork.crosses,
        end_gap=fork.end_gap,
        identical=fork.identical,
    )


def _failure(a: Unit, b: Unit, axis: AxisName, places: Places) -> tuple[float, str] | None:
    """(place, what happened) where all of the second group failed and not all of the first."""
    if not all(one.failure for one in b.members) or all(one.failure for one in a.members):
        return None
    one = b.members[0]
    at = places[one.id][axis](np.array([one.failed_at or 0], dtype=np.float64))
    return float(at[0]), one.failure


def _fork(a: Unit, b: Unit, metric: str, spread: float, axis: AxisName, places: Places) -> Fork | None:
    """`spread`: the gap between two single seeds that is believed; 0: there are no seeds to tell it."""
    groups = [_lines(unit, metric, axis, places) for unit in (a, b)]
    if not all(groups):
        return None
    if not spread:
        return _either(groups[0][0], groups[1][0], metric, ONE_SEED, 0.0)
    one, two = (_mean(lines)[0] for lines in groups)
    if one is None or two is None:
        return None
    return _either(one, two, metric, LEAST, spread * (1 / len(groups[0]) + 1 / len(groups[1])) ** 0.5)


def _either(one: Line, two: Line, metric: str, least: float, spread: float) -> Fork | None:
    """Where two curves part, whichever way a train loss of fewer logs was made: the value at its step, or the mean since the last.

    The log does not say which: they part where they do in both readings, at the later place.
    """
    plain = fork_of(*one, *two, least=least, spread=spread)
    fine, coarse = (one, two) if _apart(one) < _apart(two) else (two, one)
    if plain is None or metric != "train/loss" or _apart(coarse) < FINER * _apart(fine):
        return plain
    mean = averaged(*fine, coarse[0])
    both = (mean, two) if fine is one else (one, mean)
    means = fork_of(*both[0], *both[1], least=least, spread=spread) if len(mean[0]) else None
    if means is None or plain.at is None:
        return plain
    return replace(means if means.at is None or means.at > plain.at else plain, identical=plain.identical)


def _apart(line: Line) -> float:
    """The usual distance of two points."""
    return float(np.median(np.diff(line[0])))


def _spread(units: Sequence[Unit], metric: str, axis: AxisName, places: Places) -> float:
    """The distance of single seeds from their mean that is believed, pooled over all groups of seeds; 0 where there are none."""
    several = [lines for unit in units if len(unit.members) > 1 and len(lines := _lines(unit, metric, axis, places)) > 1]
    found = [(spread, len(lines) - 1) for lines in several for mean, spread in [_mean(lines)] if mean is not None]
    freedom = sum(free for _, free in found)
    if not freedom:
        return 0.0
    from scipy.stats import t

    return float(t.ppf((1 + SURE) / 2, freedom)) * math.sqrt(sum(spread**2 * free for spread, free in found) / freedom)


def _lines(unit: Unit, metric: str, axis: AxisName, places: Places) -> list[Line]:
    """The curves of a group that can be followed: those of its runs that did not fail, where there are any."""
    alive = [one for one in unit.members if not one.failure] or list(unit.members)
    found = []
    for one in alive:
        curve = one.line(metric)
        x = places[one.id][axis](curve.step.astype(np.float64))
        if len(curve) >= 4 and np.ptp(x) > 0:
            found.append((x, curve.value))
    return found


def _mean(lines: Sequence[Line]) -> tuple[Line | None, float]:
    """(mean of some curves where all of them are, the usual standard deviation of one around it)."""
    if len(lines) == 1:
        return lines[0], 0.0
    first, last = max(x[0] for x, _ in lines), min(x[-1] for x, _ in lines)
    coarsest = min((x for x, _ in lines), key=len)
    grid = coarsest[(coarsest >= first) & (coarsest <= last)]
    if len(grid) < 4:
        return None, 0.0
    values = np.array([np.interp(grid, x, y) for x, y in lines])
    smooth = np.array([running_median(one, len(grid) // WINDOW | 1) for one in values])
    return (grid, values.mean(axis=0)), float(np.median(smooth.std(axis=0, ddof=1)))


def _step_at(one: Entrant, at: float, axis: AxisName, places: Places) -> int:
    """The step of a run at a place, of those that it logged."""
    line: Curve = one.facts.loss if len(one.facts.loss) else one.facts.eval_loss
    if axis == "step" or not len(line):
        return round(at)
    x = places[one.id][axis](line.step.astype(np.float64))
    return int(line.step[min(int(np.searchsorted(x, at)), len(line) - 1)])


def _sentence(a: Unit, b: Unit, metric: str, axis: AxisName, fork: Fork, steps: tuple[int, int] | None) -> str:
    same = "" if fork.identical is None else f"identical to that of {a.name} up to {place_text(axis, fork.identical)}"
    if fork.at is None or fork.gap is None or steps is None:
        if same:
            return f"{metric} of {b.name} is {same}, and then not beyond noise from it"
        return f"{metric} of {b.name} cannot be told from that of {a.name}: too noisy to see a gap below {fork.seen:.2g}"
    where = place_text(axis, fork.at) + (f" (steps {steps[0]:,} and {steps[1]:,})" if axis != "step" else "")
    begin = f"is {same} and parts" if same else f"parts from that of {a.name}"
    return f"{metric} of {b.name} {begin} at {where}: {_side(fork.gap)} there{_afterwards(axis, fork)}"


def _afterwards(axis: AxisName, fork: Fork) -> str:
    """What became of the gap after the parting."""
    end = fork.end_gap or 0.0
    at_end = f"{_side(end)} at the end" if fork.ends_apart else f"within noise at the end ({abs(end):.2g})"
    if fork.crosses:
        where = ", ".join(place_text(axis, one) for one in fork.crosses[:3])
        return f"; they change sides by {where}, and it is {at_end}"
    return f", {at_end}"


def _side(gap: float) -> str:
    return f"{abs(gap):.3g} {'higher' if gap > 0 else 'lower'}"


def _they_differ(a: Unit, b: Unit, changes: Sequence[Change]) -> str:
    if changes:
        return f"; they differ in {listed([Change(c.name, (c.values[1], c.values[0]), c.known, c.inferred) for c in changes])}"
    alone = untold(a.members[0].told, b.members[0].told)
    return f"; {alone} settings are told by one log only" if alone else "; no logged setting differs"
