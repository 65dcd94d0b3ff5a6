"""Why next to nothing reaches the weights: from the first log on, or from some step on.

From the start: frozen weights, a detached adapter, masked labels, or a deep network that passes no gradient. From
some step on, after norms that were normal: units that died, mostly by updates that were too large.

Sources: axolotl docs, Training Stability & Debugging; Transformers docs, PEFT with gradient checkpointing; judgement
for the factors.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from curvelab.causes._log import climb, jump_signs, number, origin
from curvelab.causes._standing import chance_of, level_of
from curvelab.facts import Facts
from curvelab.model.finding import Finding
from curvelab.weighing import CLEAR, RULED_OUT, SLIGHT, STRONG, Candidate, Sign, unseen, weighing

CLIMBED = 3.0  # times the usual norm, before it collapsed
FROZEN = 1e-5  # of its level: a loss that moves by less is computed by weights that do not


@weighing(
    Candidate(
        "nothing-trains", "weights are frozen, or the adapter is cut off from the loss", 0.28,
        "near zero from the first log on, with adapters and gradient checkpointing",
    ),
    Candidate(
        "deep-or-init", "the network passes no gradient: depth without residuals, or its initialisation", 0.2,
        "near zero but not zero from the first log on, at the loss of guessing",
    ),
    Candidate("masked-labels", "labels that are all masked", 0.12, "the norm is exactly zero from the first log on"),
    Candidate(
        "dead-units", "units that died of updates that were too large", 0.22,
        "the norm collapses from a normal level, after a climb or a jump of the rate",
    ),
)  # fmt: skip
def signs(facts: Facts, finding: Finding) -> Iterator[Sign]:
    norms, start = facts.finite("train/grad_norm"), finding.start_step or 0
    before = norms.value[norms.step < start]
    if len(before):
        text = f"the norm was {number(float(np.median(before)))} before step {start}, and collapsed there"
        at_once = dict.fromkeys(("nothing-trains", "deep-or-init", "masked-labels"), 1 / STRONG)
        yield Sign(text, {"dead-units": STRONG} | at_once)
        yield from jump_signs(facts, start, "dead-units")
        climbed = climb(norms, start)
        if climbed is not None and climbed.times >= CLIMBED:
            yield Sign(f"it had climbed to {number(climbed.last)} before", {"dead-units": SLIGHT})
    else:
        yield Sign("the norm is near zero from the first log on", {"dead-units": 1 / STRONG})
    yield from _values(facts, finding)
    yield from _adapters(facts)


def _values(facts: Facts, finding: Finding) -> Iterator[Sign]:
    norms = facts.finite("train/grad_norm").between(finding.start_step or 0, finding.end_step or 0).value
    if len(norms) and not norms.any():
        text = "it is exactly zero"
        yield Sign(text, {
            "masked-labels": CLEAR, "nothing-trains": SLIGHT, "dead-units": SLIGHT, "deep-or-init": 1 / CLEAR,
        })  # fmt: skip
    elif len(norms):
        text = "it is small but not zero: a path to the weights is there"
        yield Sign(text, {"deep-or-init": CLEAR, "masked-labels": 1 / CLEAR, "nothing-trains": 1 / SLIGHT})
    chance, stands = chance_of(facts, finding), level_of(facts, finding)
    if chance is not None and chance.near:
        yield Sign(chance.text, {"deep-or-init": SLIGHT, "dead-units": SLIGHT})
    if stands and facts.noise <= FROZEN * abs(stands):
        text = "the loss does not even show the noise of its batches: the output no longer depends on the input"
        yield Sign(text, {"dead-units": SLIGHT, "deep-or-init": SLIGHT, "nothing-trains": 1 / SLIGHT})


def _adapters(facts: Facts) -> Iterator[Sign]:
    adapter = bool(facts.setting("r") or facts.setting("peft_type"))
    checkpointing = facts.setting("gradient_checkpointing")
    if adapter and checkpointing is True:
        text = f"an adapter is trained with gradient checkpointing{origin(facts, 'gradient_checkpointing')}, which cuts it off unless inputs require gradients"
        yield Sign(text, {"nothing-trains": CLEAR})
    elif not adapter and checkpointing is False:
        yield Sign("there is no adapter in the settings, and no gradient checkpointing", {"nothing-trains": 1 / SLIGHT})
    elif checkpointing is None:
        yield from unseen("which weights are trained is not in the log", "nothing-trains")
    if facts.loss.value.any() and facts.loss.value.min() > 0:
        yield Sign("the loss is above zero: some labels do count", {"masked-labels": 1 / SLIGHT})
    elif not facts.loss.value.any():
        yield Sign("the loss is zero as well: no label counts", {"masked-labels": STRONG, "deep-or-init": RULED_OUT})
