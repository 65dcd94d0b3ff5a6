"""The loss of guessing, ln(number of tokens or labels), held against the level at which a loss stands."""

from __future__ import annotations

import math
from dataclasses import dataclass

from curvelab.causes._log import amount, level, number, origin, percent
from curvelab.facts import Facts
from curvelab.model.finding import Finding

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
    stands = level(facts.loss.between(finding.start_step or 0, finding.end_step or facts.length).value[-50:])
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
