"""Why eval turned: how often the samples had been seen by then, how many there are, and how far apart the two sets were
before.

A turn after several epochs comes of repetition, and the fewer samples the sooner. A turn within the first epoch
cannot: no sample had been seen twice; there the rate or a difference between the two sets is at work.

Sources: fast.ai, Can LLMs learn from a single example? (2023-09-04); Unsloth, LoRA hyperparameters guide (1 to 3
epochs); judgement for the factors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from curvelab.causes._log import epochs_at, high_rate_signs, level, number, samples_of_epoch
from curvelab.facts import Facts
from curvelab.model.finding import Finding
from curvelab.weighing import CLEAR, RULED_OUT, SLIGHT, STRONG, Candidate, Sign, unseen, weighing

FEW, VERY_FEW, MANY = 2000, 500, 20_000  # samples of an epoch (judgement)
USUAL_EPOCHS = 3.0  # upper end of the usual number
WENT_ON = 1.5  # times the steps of the minimum: the run was much longer than needed
APART = 1.25  # eval over train at the first eval: the sets differ


@weighing(
    Candidate(
        "few-samples", "too few training samples for what is trained", 0.3,
        "an epoch of some hundred samples or fewer, seen many times",
    ),
    Candidate(
        "too-many-epochs", "too many passes over the same samples", 0.33,
        "the minimum lies after several epochs and the run went on far beyond",
    ),
    Candidate(
        "rate-too-high", "the learning rate is too high", 0.12,
        "eval turns within the first epoch or two, at a high rate",
    ),
    Candidate(
        "eval-shift", "the eval set differs from the training set", 0.1,
        "eval lies clearly above train from the first eval on; eval turns within the first epoch",
    ),
)  # fmt: skip
def signs(facts: Facts, finding: Finding) -> Iterator[Sign]:
    yield from _seen(facts, finding)
    yield from _samples(facts)
    yield from _gap(facts)
    yield from high_rate_signs(facts, "rate-too-high")


def _seen(facts: Facts, finding: Finding) -> Iterator[Sign]:
    turn, end = finding.start_step or 0, finding.end_step or 0
    epochs = epochs_at(facts, turn)
    if epochs is None:
        text = "the log has no epochs: how often the samples were seen cannot be told"
        yield from unseen(text, "too-many-epochs", "few-samples")
    elif epochs < 1:
        text = f"eval turned after {number(epochs)} epochs: no sample had been seen twice"
        yield Sign(text, {
            "too-many-epochs": RULED_OUT, "few-samples": 1 / CLEAR, "rate-too-high": CLEAR, "eval-shift": CLEAR,
        })  # fmt: skip
    elif epochs <= USUAL_EPOCHS:
        text = f"eval turned after {number(epochs)} epochs, within the usual 1 to {number(USUAL_EPOCHS)}"
        yield Sign(text, {"few-samples": SLIGHT, "rate-too-high": SLIGHT})
    else:
        text = f"eval turned after {number(epochs)} epochs"
        yield Sign(text, {
            "too-many-epochs": SLIGHT, "few-samples": SLIGHT, "rate-too-high": 1 / CLEAR, "eval-shift": 1 / SLIGHT,
        })  # fmt: skip
    if epochs is not None and epochs >= 1 and end >= WENT_ON * turn > 0:
        text = f"the run went on to {number(end / turn)} times the steps of the minimum"
        yield Sign(text, {"too-many-epochs": SLIGHT})


def _samples(facts: Facts) -> Iterator[Sign]:
    samples = samples_of_epoch(facts)
    if samples is None or not math.isfinite(samples):
        yield from unseen("the number of training samples is not in the log", "few-samples")
    elif samples <= FEW:
        factor = STRONG if samples <= VERY_FEW else CLEAR
        yield Sign(f"an epoch has about {number(round(samples))} samples", {"few-samples": factor})
    elif samples >= MANY:
        yield Sign(f"an epoch has about {number(round(samples))} samples", {"few-samples": 1 / STRONG})


def _gap(facts: Facts) -> Iterator[Sign]:
    loss, evals = facts.loss, facts.eval_loss
    if not len(evals):
        return
    place = int(np.searchsorted(loss.step, evals.step[0]))
    train = level(loss.value[max(0, place - 3) : place + 3])
    if train is None or train <= 0:
        return
    ratio = float(evals.value[0]) / train
    text = f"the first eval (step {evals.step[0]}) is {number(ratio)} times the train loss there"
    yield Sign(text, {"eval-shift": CLEAR if ratio >= APART else 1 / CLEAR})
