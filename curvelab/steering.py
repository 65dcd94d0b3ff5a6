"""The likeliest cause steers the advice: which remedies of a finding come first, and which are left out."""

from __future__ import annotations

from collections.abc import Sequence

from curvelab.model.finding import Cause
from curvelab.rules import Remedy

LEFT_OUT = 0.08  # of the belief: a remedy for causes that are less likely is left out (judgement)
OUTWEIGHED = 0.5  # of the weight of the leading cause: a remedy for less is doubted (judgement)


def steered(remedies: Sequence[Remedy], causes: Sequence[Cause]) -> list[Remedy]:
    """Remedies for the likeliest cause, and those for any, then the others; in both the order of the detector's file.

    What serves only causes of less than LEFT_OUT together is left out, unless nothing else is there to say.
    """
    if not causes:
        return list(remedies)
    first = max(causes, key=lambda cause: cause.weight).name
    likely = [r for r in remedies if not r.causes or _belief(r, causes) >= LEFT_OUT]
    return sorted(likely or remedies, key=lambda remedy: bool(remedy.causes) and first not in remedy.causes)


def weight_of(remedy: Remedy, causes: Sequence[Cause]) -> float:
    """The weight of the causes that a remedy treats; one for any cause has that of the likeliest, as has one for it and others."""
    leading = max((cause.weight for cause in causes), default=0.0)
    return min(leading, _belief(remedy, causes)) if remedy.causes else leading


def doubted(remedy: Remedy, causes: Sequence[Cause]) -> bool:
    """Whether the causes that a remedy serves are clearly outweighed: then it is told, but nothing is changed for it."""
    leading = max((cause.weight for cause in causes), default=0.0)
    return bool(remedy.causes) and _belief(remedy, causes) < OUTWEIGHED * leading


def _belief(remedy: Remedy, causes: Sequence[Cause]) -> float:
    """The weight of all the causes that a remedy serves."""
    return sum(cause.weight for cause in causes if cause.name in remedy.causes)
