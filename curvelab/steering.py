"""The likeliest cause steers the advice: which remedies of a finding come first, and which are left out."""

from __future__ import annotations

from collections.abc import Sequence

from curvelab.model.finding import Cause
from curvelab.rules import Remedy

LEFT_OUT = 0.08  # of the belief: a remedy for causes that are less likely is left out (judgement)


def steered(remedies: Sequence[Remedy], causes: Sequence[Cause]) -> list[Remedy]:
    """Remedies for the likeliest cause, and those for any, then the others; in both the order of the detector's file.

    What serves only causes of less than LEFT_OUT together is left out, unless nothing else is there to say.
    """
    if not causes:
        return list(remedies)
    weight = {cause.name: cause.weight for cause in causes}
    first = max(causes, key=lambda cause: cause.weight).name
    likely = [r for r in remedies if not r.causes or sum(weight.get(name, 0.0) for name in r.causes) >= LEFT_OUT]
    return sorted(likely or remedies, key=lambda remedy: bool(remedy.causes) and first not in remedy.causes)
