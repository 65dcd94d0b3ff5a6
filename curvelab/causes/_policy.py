"""What policies and preference runs share: their usual rates, beta, and how a metric moved."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from curvelab.causes._log import amount, number, origin
from curvelab.facts import Facts
from curvelab.model.run import Curve
from curvelab.weighing import CLEAR, SLIGHT, Sign, unseen

RATES = {"LoRA": 1e-4, "full": 1e-5}  # upper end of the usual rates (TRL: 1e-6 is the default of DPO and GRPO; axolotl docs)
FAR = 10.0  # times that


def rate_signs(facts: Facts, cause: str) -> Iterator[Sign]:
    """The learning rate against the usual ones of preference tuning and policy gradients."""
    rate, kind = amount(facts, "learning_rate"), "LoRA" if facts.setting("r") else "full"
    if rate is None:
        yield from unseen("the learning rate is not in the log", cause)
    elif rate > RATES[kind]:
        text = f"the learning rate {number(rate)} is above {number(RATES[kind])}, the upper end of the usual ({kind}), though tiny models bear more"
        yield Sign(text, {cause: CLEAR if rate >= FAR * RATES[kind] else SLIGHT})
    else:
        yield Sign(f"the learning rate {number(rate)} is a usual one ({kind})", {cause: 1 / CLEAR})


def beta_signs(facts: Facts, cause: str, low: float) -> Iterator[Sign]:
    """The weight of the KL term, or of the reference, against `low`, below which it hardly holds."""
    beta = amount(facts, "beta")
    if beta is None:
        yield from unseen("beta is not in the log", cause)
    elif beta <= low:
        yield Sign(f"beta is {number(beta)}{origin(facts, 'beta')}: it hardly holds the model", {cause: CLEAR})
    else:
        yield Sign(f"beta is {number(beta)}{origin(facts, 'beta')}", {cause: 1 / SLIGHT})


def moved(curve: Curve) -> tuple[float, float] | None:
    """(median of the first fifth, of the last) of a finite curve; None for fewer than ten points."""
    part = len(curve) // 5
    return (float(np.median(curve.value[:part])), float(np.median(curve.value[-part:]))) if part >= 2 else None
