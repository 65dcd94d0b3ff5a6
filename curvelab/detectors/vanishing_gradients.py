"""The gradient norm is next to nothing while the loss is not solved: nothing can be learned.

What
----
train/grad_norm lies near zero throughout, or collapses to near zero, while the loss stands still at an unsolved level.

Why
---
No gradient reaches the weights. The steps cost time and change nothing: dead activations, everything frozen or masked,
gradient checkpointing without input gradients, or an initialisation that is far too small.

Look-alikes
-----------
A solved run, whose gradients are small because there is nothing left to learn. A loss that falls all the same: few
trainable parameters, or a loss that is scaled down, make small norms. The rare exact zeros of GRPO, where all
answers of a group got the same reward.

When it is wrong
----------------
When only very few parameters train and the loss falls too slowly for its noise, the norm is small by nature.

Sources
-------
definition of the pattern; axolotl docs, Training Stability & Debugging.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from curvelab import synth
from curvelab.facts import Facts
from curvelab.model.finding import Finding, Level, Measured, Span
from curvelab.rules import Example, NotApplicable, Remedy, detector, threshold
from curvelab.signals.decline import ONE_SIDED, share_seen, usual_fall, widened


@dataclass(frozen=True)
class Thresholds:
    tiny: float = threshold(
        1e-4, unit="of the loss", low=0.0, high=1.0,
        source="judgement: healthy runs measured have norms of 0.05 to 100 times their loss",
        meaning="a norm below this share of the loss is near zero",
    )  # fmt: skip
    collapsed: float = threshold(
        1e-3, unit="of the earlier norm", low=0.0, high=1.0, source="judgement",
        meaning="a norm that fell below this share of its earlier level has collapsed",
    )  # fmt: skip
    share: float = threshold(
        0.3, unit="of the run", low=0.05, high=1.0, source="definition of the pattern: a third of the run as for a plateau",
        meaning="how long the norm must have been near zero at the end",
    )  # fmt: skip
    falls: float = threshold(
        0.05, unit="of the level", low=0.0, high=1.0, source="definition of the pattern: the loss stands still",
        meaning="a loss that surely falls by more in that time learns: the norm is small by nature",
    )  # fmt: skip
    solved: float = threshold(
        0.1, unit="of the starting loss", low=0.0, high=1.0, source="definition of the pattern: about a tenth",
        meaning="below this the task is solved and small gradients are fine",
    )  # fmt: skip


REMEDIES = (
    Remedy(
        title="Count the trainable parameters and print the gradient of each layer for one batch",
        why="A norm of {median_norm:.2g} means that next to nothing reaches the weights.",
        when_not="It was done with the same code before; it takes a minute.",
        cost="none",
        source="judgement",
    ),
    Remedy(
        title="Call model.enable_input_require_grads(), where {flag_gradient_checkpointing} meets adapters",
        why="Checkpointed blocks pass no gradient when their inputs need none.",
        when_not="All weights are trained.",
        cost="rerun",
        source="transformers-input-grads",
        applies=lambda facts, finding: facts.setting("gradient_checkpointing") is not False,
    ),
    Remedy(
        title="Check the label mask, the initialisation and dead activations",
        why="Labels that are all masked, or units that are stuck at zero, give no gradient.",
        when_not="The norm was normal up to step {start_step}: then look for what happened there.",
        cost="rerun",
        source=("axolotl-stability", "judgement"),
    ),
)


def _example(name: str, fires: bool) -> Example:
    def build() -> object:
        n = 120
        loss = np.full(n, 5.5)
        norms = 1e-8 * np.exp(synth.noise(n, 0.1, seed=11))
        if name == "solved":
            loss = 3 * np.exp(-np.arange(n) / 6.0) + 1e-6
        elif name == "few parameters":
            loss, norms = synth.decay(n), np.full(n, 0.03)
        return synth.run_of(loss, norms=norms)

    return Example(name, build, fires=fires, onset=(0, 10) if fires else None)  # type: ignore[arg-type]


@detector(
    title="Vanishing gradients",
    kind="curve",
    needs={"train/loss": 6, "train/grad_norm": 6},
    thresholds=Thresholds,
    remedies=REMEDIES,
    examples=(_example("dead", True), _example("solved", False), _example("few parameters", False)),
    yields_to=("non-finite", "divergence"),
)
def detect(facts: Facts, limits: Thresholds) -> Iterator[Finding]:
    if facts.around_zero:
        raise NotApplicable("the loss changes sign: zero gradients are normal where all rewards are equal (GRPO)")
    norms, value = facts.finite("train/grad_norm"), facts.loss.value
    if len(value) < 6:
        raise NotApplicable(f"train/loss has {len(value)} measured points, 6 are needed")
    end = float(np.median(value[-max(3, len(value) // 10) :]))
    if end <= limits.solved * facts.start_level:
        return
    usual = float(np.median(norms.value[: max(3, len(norms) // 4)]))
    near_zero = norms.value < max(limits.tiny * abs(end), limits.collapsed * usual)
    alive = np.flatnonzero(~near_zero)
    first = int(alive[-1]) + 1 if len(alive) else 0
    if first >= len(norms):
        return
    start, last = int(norms.step[first]), int(norms.step[-1])
    share = (last - start) / facts.length
    if share < limits.share:
        return
    if _still_learns(facts, start, last, limits):
        return
    level = float(np.median(norms.value[first:]))
    begins = f"since step {start}" if first else "from the start"
    yield Finding(
        severity="critical",
        confidence=0.75 + 0.2 * min(1.0, share),
        metric="train/grad_norm",
        headline=f"the gradient norm has been about {level:.2g} {begins} while train/loss stands at {end:.4g}",
        start_step=start,
        end_step=last,
        measured=(
            Measured(name="median_norm", value=level, threshold=max(limits.tiny * abs(end), limits.collapsed * usual), setting="vanishing-gradients.tiny"),
            Measured(name="share", value=share, unit="of the run", threshold=limits.share, setting="vanishing-gradients.share"),
        ),
        evidence=(
            Span(metric="train/grad_norm", start_step=start, end_step=last, label="near zero"),
            Level(metric="train/loss", value=end, start_step=start, end_step=last, label=f"{end:.4g}"),
        ),
    )  # fmt: skip


def _still_learns(facts: Facts, start: int, last: int, limits: Thresholds) -> bool:
    """Whether the loss falls clearly (one-sided 95 %) in spite of the small norm."""
    inside = facts.loss_levels.between(start, last)
    if len(inside) < 4:
        return False
    fall = share_seen(usual_fall(inside.step.astype(np.float64)), inside.value)
    surely = fall.decline - ONE_SIDED * widened(fall.points) * fall.decline_error
    return surely > limits.falls * abs(float(np.median(inside.value)))
