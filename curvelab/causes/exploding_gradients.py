"""Why gradient norms leave their range: updates that are too large, a jump of the rate, or a few samples with huge
gradients.

A level that rises and stays goes with weights that were thrown off, by the learning rate mostly. Norms that are far
out now and then, around a level that does not move, come from the samples, and the smaller the batch the more so.

Sources: axolotl docs, Training Stability & Debugging; OLMo 2, arXiv 2501.00656; judgement for the factors.
"""

from __future__ import annotations

from collections.abc import Iterator

from curvelab.causes._log import (
    amount,
    high_rate_signs,
    jump_signs,
    measured,
    number,
    origin,
    percent,
    rate_share,
    restart_signs,
)
from curvelab.facts import Facts
from curvelab.model.finding import Finding
from curvelab.weighing import CLEAR, SLIGHT, Candidate, Sign, unseen, weighing

ROSE = 4.0  # times the earlier level (as the detector takes it)
SMALL = 4  # samples a step
HIGH, LOW = 0.5, 0.2  # of the peak rate


@weighing(
    Candidate(
        "rate-too-high", "the updates are too large for where the weights are", 0.37,
        "the level of the norm rises and stays, at a high rate and without clipping",
    ),
    Candidate("rate-jump", "a jump of the learning rate", 0.08, "the logged rate jumps up at the onset"),
    Candidate("resume", "a restart without optimizer states", 0.05, "a restart right before the onset"),
    Candidate(
        "bad-batches", "a few samples with huge gradients", 0.2,
        "norms that are far out now and then around a steady level",
    ),
    Candidate(
        "small-batches", "batches of few samples, whose gradients scatter", 0.1,
        "no more than four samples a step, norms that are far out now and then",
    ),
)  # fmt: skip
def signs(facts: Facts, finding: Finding) -> Iterator[Sign]:
    start, rise, far = finding.start_step or 0, measured(finding, "level_rise"), measured(finding, "far_share")
    if rise is not None and rise >= ROSE:
        text = f"the level of the norm rose {number(rise)}-fold and stays"
        yield Sign(text, {"rate-too-high": CLEAR, "bad-batches": 1 / CLEAR, "small-batches": 1 / CLEAR})
    elif far is not None:
        text = f"{percent(far)} of the norms are far out, around a level that did not rise"
        yield Sign(text, {"bad-batches": SLIGHT, "small-batches": SLIGHT, "rate-too-high": 1 / SLIGHT})
    yield from jump_signs(facts, start, "rate-jump", ("bad-batches", "small-batches"))
    yield from restart_signs(facts, start, "resume")
    yield from _settings(facts, start)
    yield from high_rate_signs(facts, "rate-too-high")


def _settings(facts: Facts, start: int) -> Iterator[Sign]:
    share = rate_share(facts, start)
    if share is not None and share >= HIGH:
        yield Sign(f"the learning rate was at {percent(share)} of its peak", {"rate-too-high": SLIGHT})
    elif share is not None and share <= LOW:
        yield Sign(f"the learning rate had fallen to {percent(share)} of its peak", {"rate-too-high": 1 / SLIGHT})
    if amount(facts, "max_grad_norm") == 0:
        yield Sign(f"clipping is off{origin(facts, 'max_grad_norm')}", {"rate-too-high": SLIGHT, "bad-batches": SLIGHT})
    batch = amount(facts, "train_batch_size") or amount(facts, "per_device_train_batch_size")
    if batch is None:
        yield from unseen("the batch size is not in the log", "small-batches")
        return
    samples = batch * (amount(facts, "gradient_accumulation_steps") or 1) * (amount(facts, "world_size") or 1)
    factor = CLEAR if samples <= SMALL else 1 / CLEAR
    yield Sign(f"a step takes {number(samples)} samples", {"small-batches": factor})
