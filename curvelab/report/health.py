"""The verdict on a run without a fault: what speaks for it, how far the checks could see, and what they could not."""

from __future__ import annotations

import math
from statistics import median

from curvelab.model.result import Diagnosis, Thinned
from curvelab.report import numerals
from curvelab.report.plain import clean

NEAR = 0.05  # of the best eval (as for overfitting: about 5 %)
FEW = 20  # the first and the last twentieth of a curve, three points at least, tell where it began and where it ended
# what a healthy run is above all without: when one of these could not look, the verdict says so
TELLING = ("overfitting", "divergence", "plateau", "non-finite", "exploding-gradients")


def evidence(diagnosis: Diagnosis) -> list[str]:
    """What in the log speaks for the run, in clauses: the loss fell, the last eval is the best, no norm was clipped."""
    return [told for told in (_fall(diagnosis), _evals(diagnosis), _norms(diagnosis)) if told]


def _fall(diagnosis: Diagnosis) -> str:
    values = _finite(diagnosis.series.get("train/loss"))
    if len(values) < 6:
        return ""
    few = max(3, len(values) // FEW)
    first, last = numerals.value(median(values[:few])), numerals.value(median(values[-few:]))
    if first == last:
        return f"train/loss stayed at {last}"
    return f"train/loss {'fell' if median(values[-few:]) < median(values[:few]) else 'rose'} from {first} to {last}"


def _evals(diagnosis: Diagnosis) -> str:
    one = diagnosis.checkpoint
    if one is None:
        return ""
    metric, value = clean(one.metric, 80), numerals.value(one.final_value)
    if one.best_step == one.final_step or one.best_value == one.final_value:
        return f"the last eval is the best ({metric} {value})"
    best = f"{numerals.value(one.best_value)} at step {numerals.count(one.best_step)}"
    if one.worse <= NEAR:
        return f"the last eval ({metric} {value}) is near the best ({best})"
    return f"the last eval ({metric} {value}) is {numerals.percent(one.worse)} worse than the best ({best})"


def _norms(diagnosis: Diagnosis) -> str:
    norms = _finite(diagnosis.series.get("train/grad_norm"))
    if not norms:
        return ""
    setting = diagnosis.config.get("max_grad_norm")
    bound = setting.get("value") if isinstance(setting, dict) else None
    if isinstance(bound, int | float) and bound > 0 and max(norms) <= bound:
        return f"no gradient norm is above max_grad_norm {numerals.value(bound)} (highest {numerals.value(max(norms))})"
    return f"the gradient norm is about {numerals.value(median(norms))} (highest {numerals.value(max(norms))})"


def _finite(series: Thinned | None) -> list[float]:
    return [] if series is None else [value for value in series.value if math.isfinite(value)]


def seen(diagnosis: Diagnosis) -> str:
    """How sure that is: "26 of 31 checks could look"."""
    looked = sum(one.status in ("clear", "found") for one in diagnosis.outcomes)
    return f"{numerals.count(looked)} of {numerals.plural(len(diagnosis.outcomes), 'check')} could look"


def unseen(diagnosis: Diagnosis) -> list[str]:
    """What could not be seen, of what matters most: "overfitting could not be seen: eval/loss was not logged"."""
    blind = {one.pattern: clean(one.reason, 200) for one in diagnosis.outcomes if one.status == "not-applicable"}
    return [f"{pattern.replace('-', ' ')} could not be seen: {blind[pattern]}" for pattern in TELLING if pattern in blind]
