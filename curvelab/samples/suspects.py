"""Which optimizer steps are suspect: those whose mean a conspicuous logged value is."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from curvelab.facts import Facts
from curvelab.model.finding import Finding, Point
from curvelab.model.log import Ints
from curvelab.model.run import Curve
from curvelab.signals.episodes import episodes

AROUND = 7  # points on each side that tell the level which a spike stands on (judgement)
RISING = 3  # points before a peak that may belong to its rise (judgement)


def suspects(facts: Facts, finding: Finding) -> list[tuple[int, int]]:
    """Windows of optimizer steps, first and last, rising and apart; none for a finding that is no matter of single steps.

    A value logged at step s is the mean since the last log before it, so its window is everything after that.
    """
    if finding.pattern == "spikes":
        windows = _of_spikes(facts.curve("train/loss"), finding)
    elif finding.pattern == "non-finite" and finding.metric in ("train/loss", "train/grad_norm"):
        windows = _of_holes(facts, finding)
    else:
        return []
    kept: list[tuple[int, int]] = []
    for start, end in sorted(windows):
        begin = max(start, kept[-1][1] + 1) if kept else start
        if begin <= end:
            kept.append((begin, end))
    return kept


def _window(curve: Curve, first: int, last: int) -> tuple[int, int]:
    """The steps whose mean the points first..last are (places in the curve); a log that begins late has one step there."""
    begin, end = int(curve.step[first]), int(curve.step[last])
    if first:
        return int(curve.step[first - 1]) + 1, end
    usual = int(curve.step[1]) - begin if len(curve) > 1 else 1
    return max(1, begin - usual + 1), end


def _of_spikes(curve: Curve, finding: Finding) -> Iterator[tuple[int, int]]:
    """One window for each peak, from the point at which the loss began to rise."""
    for mark in finding.evidence:
        place = int(np.searchsorted(curve.step, mark.step)) if isinstance(mark, Point) else len(curve)
        if place >= len(curve):
            continue
        begin, value = place, curve.value
        around = value[max(0, place - AROUND) : place + AROUND + 1]
        half = (value[place] + np.median(around[np.isfinite(around)])) / 2 if np.isfinite(around).any() else np.inf
        while begin > max(0, place - RISING) and value[begin - 1] >= half:
            begin -= 1
        yield _window(curve, begin, place)


def _of_holes(facts: Facts, finding: Finding) -> Iterator[tuple[int, int]]:
    """One window for each stretch of values that are not finite: its first point is where it happened.

    A lone norm that is not finite is the norm of that very step, and the next one shows that it did no harm.
    """
    curve = facts.curve(finding.metric)
    bad = ~np.isfinite(curve.value) | np.isin(curve.step, _masked(facts, finding))
    for first, last in episodes(bad, gap=0):
        alone = finding.metric == "train/grad_norm" and first == last < len(curve) - 1
        yield (int(curve.step[first]),) * 2 if alone else _window(curve, first, first)


def _masked(facts: Facts, finding: Finding) -> Ints:
    return facts.masked if finding.metric == "train/loss" else np.empty(0, dtype=np.int64)
