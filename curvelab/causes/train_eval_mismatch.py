"""Why eval lies far below train from the start: a sum over micro-batches, another mask, or a leak.

A ratio that is the number of accumulation steps is a sum. A leak makes eval as easy as training, hardly easier:
samples that are in both sets were seen as often as the others. What lies many times below train after a few steps is
measured on other tokens.

Sources: transformers#37766; Karpathy, A Recipe for Training Neural Networks; judgement for the factors.
"""

from __future__ import annotations

from collections.abc import Iterator

from curvelab.causes._log import amount, epochs_at, measured, number
from curvelab.facts import Facts
from curvelab.model.finding import Finding
from curvelab.weighing import CLEAR, RULED_OUT, SLIGHT, STRONG, Candidate, Sign, unseen, weighing

NEAR = 0.1  # of the accumulation steps: the ratio is their number (as the detector takes it)
FAR = 3.0  # train over eval, which a leak hardly gives
MANY = 3.0  # epochs at the first evals, by which a leak could have been learned by heart


@weighing(
    Candidate(
        "summed-loss", "the train loss is a sum over the micro-batches", 0.3,
        "train over eval is the number of accumulation steps",
    ),
    Candidate(
        "other-mask", "eval counts other tokens: another label mask, template or collator", 0.3,
        "eval many times below train after a few steps",
    ),
    Candidate("leak", "eval samples are in the training set", 0.15, "eval somewhat below train, after some epochs"),
    Candidate(
        "harder-training", "training is harder than eval: dropout, augmentation, harder samples", 0.12,
        "eval somewhat below train from the first eval on",
    ),
)  # fmt: skip
def signs(facts: Facts, finding: Finding) -> Iterator[Sign]:
    ratio, steps = measured(finding, "ratio"), amount(facts, "gradient_accumulation_steps")
    if ratio is None:
        return
    yield from _ratio(ratio, steps)
    epochs = epochs_at(facts, finding.start_step or 0)
    if epochs is None:
        yield from unseen("the log has no epochs: how often samples were seen by then cannot be told", "leak")
    elif epochs >= MANY:
        yield Sign(f"the samples had been seen {number(epochs)} times by the first eval", {"leak": SLIGHT})
    else:
        yield Sign(f"only {number(epochs)} epochs had passed by the first eval", {"leak": 1 / SLIGHT})


def _ratio(ratio: float, steps: float | None) -> Iterator[Sign]:
    told = f"train over eval is {number(ratio)} at the first evals"
    if steps is not None and steps >= 2 and abs(ratio / steps - 1) <= NEAR:
        text = f"{told}, and gradients are accumulated over {number(steps)} batches"
        yield Sign(text, {"summed-loss": STRONG, "leak": 1 / SLIGHT})
        return
    if steps is None:
        yield from unseen("gradient_accumulation_steps is not in the log", "summed-loss")
    elif steps < 2:
        yield Sign("gradients are not accumulated", {"summed-loss": RULED_OUT})
    else:
        yield Sign(f"{told}, not the {number(steps)} of the accumulation", {"summed-loss": 1 / STRONG})
    if ratio >= FAR:
        yield Sign(told, {"other-mask": CLEAR, "leak": 1 / CLEAR, "harder-training": 1 / CLEAR})
