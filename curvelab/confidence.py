"""Confidence that means something: what a detector says of itself, corrected by what was measured and by the log at hand."""

from __future__ import annotations

import re

from curvelab.facts import Facts
from curvelab.knowledge.calibration import POWER, SCALE
from curvelab.rules import Detector

ASSUMED = 0.5  # what a detector says no more than, when it had to assume a setting: that is kept as it is
HIGHEST = 0.99  # nothing is certain (judgement)
PLENTY = 3  # times the points that a detector needs; with fewer a finding is less sure (judgement)
FEW = 0.1  # of the confidence, lost with no more than the points that are needed (judgement)
DISAGREEING = 0.1  # of the confidence, lost when two logs of the run hold different values (judgement)
_DIFFER = re.compile(r"\bdiffer\b")


def calibrated(said: float, one: Detector, facts: Facts) -> float:
    """The share of such findings that is right: rising with what the detector said, 0 to HIGHEST."""
    right = measured(said)
    if said > ASSUMED:
        right *= (1 - FEW * _scarcity(one, facts)) * (1 - DISAGREEING * logs_disagree(facts))
    return min(max(right, 0.0), HIGHEST)


def measured(said: float) -> float:
    """The map alone: 0..1 -> 0..1, rising."""
    if said <= ASSUMED:
        return max(said, 0.0)
    wrong: float = SCALE * (1 - min(said, 1.0)) ** POWER
    return max(ASSUMED, 1 - wrong)


def logs_disagree(facts: Facts) -> bool:
    """Whether the import had to choose between values that differ from log to log."""
    return any(note.level == "warning" and _DIFFER.search(note.text) for note in facts.run.notes)


def _scarcity(one: Detector, facts: Facts) -> float:
    """0 with plenty of points of all that a detector needs, 1 with no more than it needs."""
    worst = 0.0
    for metric, needed in one.needs.items():
        spare = (len(facts.finite(metric)) - needed) / ((PLENTY - 1) * needed)
        worst = max(worst, 1 - spare)
    return min(max(worst, 0.0), 1.0)
