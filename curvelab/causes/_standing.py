"""What a loss that stands still says: its level against that of guessing, the rate and the gradients that it had."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from curvelab.causes._log import amount, level, number, origin, percent
from curvelab.facts import Facts
from curvelab.model.finding import Finding
from curvelab.model.log import Floats
from curvelab.weighing import CLEAR, STRONG, Sign, unseen

NOTHING = 0.05  # of the starting loss: what fell no further learned nothing (judgement)
TINY = 1e-3  # norm over loss, below which next to nothing reaches the weights (healthy runs measured: 0.05 to 100)
LATEST = 50  # logs that are the level at the end of a stretch

NEAR = 0.03  # of ln(vocabulary): at the level of guessing (as the detectors of plateau and underfitting take it)
VERY_NEAR = 0.003  # of ln(size), for a size that is not in the log: several fit, so the match must be close (judgement)
USUAL = {  # sizes that many models share, for logs without vocab_size
    32_000: "Llama 2 and Mistral", 50_257: "GPT-2", 128_256: "Llama 3", 151_936: "Qwen 2", 256_000: "Gemma", 30_522: "BERT",
    2: "two labels",
}  # fmt: skip


@dataclass(frozen=True)
class Chance:
    """Whether a level is that of guessing; `known`: by the vocabulary of the run itself."""

    near: bool
    known: bool
    text: str


def chance_of(facts: Facts, finding: Finding) -> Chance | None:
    """The level of the train loss within a finding against guessing; None when nothing can be said."""
    stands = level(_within(facts, finding, "train/loss")[-LATEST:])
    if stands is None or stands <= 0:
        return None
    size = amount(facts, "vocab_size")
    if size is not None and size > 2:
        guess = math.log(size)
        said = f"ln({number(size)}) = {guess:.4g}{origin(facts, 'vocab_size')}"
        off = abs(stands / guess - 1)
        if off <= NEAR:
            return Chance(True, True, f"the loss {stands:.4g} is within {percent(math.ceil(100 * off) / 100 or 0.01)} of {said}")
        return Chance(False, True, f"the loss {stands:.4g} is {percent(stands / guess)} of {said}, the loss of guessing")
    for usual, whose in USUAL.items():
        if abs(stands / math.log(usual) - 1) <= VERY_NEAR:
            said = f"ln({number(usual)}) = {math.log(usual):.4g}"
            return Chance(True, False, f"the loss {stands:.4g} is that of guessing among {number(usual)} ({whose}), {said}; vocab_size is not in the log")
    return None


def level_of(facts: Facts, finding: Finding) -> float | None:
    """The level of the train loss within a finding; None without a point."""
    return level(_within(facts, finding, "train/loss"))


def _within(facts: Facts, finding: Finding, metric: str) -> Floats:
    curve = facts.loss if metric == "train/loss" else facts.finite(metric)
    return curve.between(finding.start_step or 0, finding.end_step or facts.run.last_step or 0).value


def low_rate_signs(facts: Facts, low: str, *high: str) -> Iterator[Sign]:
    """The learning rate against the usual ones, for a cause that it is too low; `high`: causes that it is too high."""
    rate, usual = amount(facts, "learning_rate"), facts.usual_rate
    if rate is None:
        yield from unseen("the learning rate is not in the log", low, *high)
    elif rate < usual:
        text = f"the learning rate {number(rate)} is below the usual {number(usual)}"
        yield Sign(text, {low: CLEAR} | dict.fromkeys(high, 1 / CLEAR))
    else:
        yield Sign(f"the learning rate {number(rate)} is not below the usual {number(usual)}", {low: 1 / CLEAR})


def norm_signs(facts: Facts, finding: Finding, nothing: str, others: Sequence[str] = ()) -> Iterator[Sign]:
    """Whether gradients reach the weights, for a cause that next to nothing does; `others` do not go with that."""
    norm, stands = level(_within(facts, finding, "train/grad_norm")), level_of(facts, finding)
    if norm is None or stands is None or stands <= 0:
        yield from unseen("grad_norm was not logged: whether anything reaches the weights cannot be seen", nothing)
    elif norm <= TINY * stands:
        text = f"the gradient norm is {number(norm)} at a loss of {number(stands)}: next to nothing reaches the weights"
        yield Sign(text, {nothing: STRONG} | dict.fromkeys(others, 1 / CLEAR))
    else:
        yield Sign(f"the gradient norm is {number(norm)}: gradients reach the weights", {nothing: 1 / CLEAR})
