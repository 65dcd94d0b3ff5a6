"""What makes a loss stand still: the level it stands at, how it came there, and what the learning rate did then.

A loss at ln(vocabulary) is guessing: labels that have nothing to do with the input. A fast fall followed by a flat
line is the mark of labels of which only the easy part can be learned, mostly a wrong mask. A rate that is gone
explains everything after it. A slow fall that levels off is what model and data allow, or a rate that is too high to
settle: that one falls again as soon as the rate does.

Sources: axolotl docs, Training Stability & Debugging; Karpathy, A Recipe for Training Neural Networks; judgement for
the factors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from curvelab.causes._log import high_rate_signs, level, number, percent, rate_share
from curvelab.causes._standing import NOTHING, chance_of, level_of, low_rate_signs, norm_signs
from curvelab.facts import Facts
from curvelab.model.finding import Finding
from curvelab.weighing import CLEAR, SLIGHT, STRONG, Candidate, Sign, unseen, weighing

GONE_SOON = 0.1  # of the run: a rate that is gone by then explains a loss that stands (as the detector takes it)
FAST_STEPS, FAST_SHARE = 100, 0.15  # the pattern: a fast fall takes 50 to 100 steps; of a long run, this share
FELL = 0.15  # of the starting loss: something was learned
FELL_AGAIN = 0.02  # of the level, after the rate had decayed
SCATTER = 0.1  # of the level


@weighing(
    Candidate(
        "rate-gone", "the learning rate was gone", 0.15,
        "the rate is below a tenth of its peak when the loss comes to stand",
    ),
    Candidate(
        "label-mask", "the labels that count cannot be learned: a wrong label mask or chat template", 0.22,
        "a fast fall in the first 50 to 100 steps, then a flat line far below guessing, with the rate on",
    ),
    Candidate(
        "guessing", "labels have nothing to do with the inputs: the loss is that of guessing", 0.13,
        "the level is within 3 % of ln(vocab_size)",
    ),
    Candidate(
        "rate-too-low", "the learning rate is too low", 0.12,
        "the rate is below the usual ones and the loss has hardly fallen",
    ),
    Candidate(
        "floor", "model and data allow no more: capacity, or noise of the labels", 0.15,
        "a slow fall that levels off, with a usual rate",
    ),
    Candidate(
        "rate-too-high", "the learning rate is too high to settle", 0.08,
        "the loss falls again when the rate decays; the rate is far above the usual",
    ),
    Candidate(
        "nothing-trains", "next to nothing trains: frozen weights, dead units, a detached adapter", 0.06,
        "the gradient norm is near zero",
    ),
)  # fmt: skip
def signs(facts: Facts, finding: Finding) -> Iterator[Sign]:
    yield from _level(facts, finding)
    yield from _rate_gone(facts, finding)
    yield from _fall(facts, finding)
    yield from low_rate_signs(facts, "rate-too-low", "rate-too-high")
    yield from high_rate_signs(facts, "rate-too-high")
    yield from norm_signs(facts, finding, "nothing-trains", ("label-mask", "rate-too-high"))
    yield from _later(facts, finding)


def _level(facts: Facts, finding: Finding) -> Iterator[Sign]:
    """Held against the loss of guessing, which is also where weights begin that were never trained."""
    chance, stands = chance_of(facts, finding), level_of(facts, finding)
    if facts.preference:
        text = "a preference loss compares two answers: it has no mask of its own"
        yield Sign(text, {"label-mask": 1 / CLEAR, "guessing": 1 / SLIGHT})
    elif chance is None or stands is None:
        text = "vocab_size is not in the log: whether the level is that of guessing cannot be told"
        yield from unseen(text, "guessing")
    elif not chance.near:
        yield Sign(chance.text, {"guessing": 1 / STRONG, "label-mask": SLIGHT})
    elif stands >= (1 - NOTHING) * facts.start_level:
        text = f"{chance.text}, where it began"
        yield Sign(text, {
            "guessing": CLEAR, "nothing-trains": CLEAR, "rate-too-low": CLEAR, "label-mask": 1 / CLEAR, "floor": 1 / CLEAR,
        })  # fmt: skip
    else:
        others = dict.fromkeys(("label-mask", "floor", "rate-too-high"), 1 / CLEAR) if chance.known else {}
        yield Sign(chance.text, {"guessing": STRONG if chance.known else CLEAR} | others)


def _rate_gone(facts: Facts, finding: Finding) -> Iterator[Sign]:
    start, gone = finding.start_step or 0, facts.rate_gone
    if len(facts.rate) < 4:
        yield from unseen("the learning rate was not logged: whether it was gone cannot be seen", "rate-gone")
    elif gone is not None and gone <= start + GONE_SOON * facts.length:
        text = f"the learning rate is below a tenth of its peak from step {gone} on; the loss stands since step {start}"
        others = ("label-mask", "guessing", "floor", "rate-too-high", "rate-too-low")
        yield Sign(text, {"rate-gone": STRONG} | dict.fromkeys(others, 1 / CLEAR))
    else:
        share = rate_share(facts, start)
        text = "the learning rate was on" if share is None else f"the learning rate was at {percent(share)} of its peak when the loss came to stand"
        yield Sign(text, {"rate-gone": 1 / STRONG})


def _fall(facts: Facts, finding: Finding) -> Iterator[Sign]:
    start, stands = finding.start_step or 0, level_of(facts, finding)
    if stands is None or not facts.start_level > 0:
        return
    first = int(facts.loss.step[0])
    fell = 1 - stands / facts.start_level
    took = start - first
    told = f"the loss fell from {number(facts.start_level)} to {number(stands)} in {took} steps"
    if fell <= NOTHING:
        text = f"the loss hardly moved from {number(facts.start_level)}"
        yield Sign(text, {
            "rate-too-low": SLIGHT, "nothing-trains": SLIGHT, "label-mask": 1 / CLEAR, "floor": 1 / CLEAR,
        })  # fmt: skip
    elif fell >= FELL and took <= max(FAST_STEPS, FAST_SHARE * facts.length):
        text = f"{told} and then no further"
        yield Sign(text, {
            "label-mask": CLEAR, "rate-too-low": 1 / CLEAR, "nothing-trains": 1 / CLEAR, "floor": 1 / SLIGHT,
        })  # fmt: skip
    elif fell >= FELL:
        yield Sign(f"{told}: slowly", {"floor": CLEAR, "label-mask": 1 / SLIGHT, "nothing-trains": 1 / CLEAR})


def _later(facts: Facts, finding: Finding) -> Iterator[Sign]:
    """What a rate that is too high leaves: scatter, and a loss that falls again with the rate."""
    stands, end = level_of(facts, finding), finding.end_step or 0
    after = level(facts.loss.value[facts.loss.step > end][-5:])
    if not stands or stands <= 0:
        return
    if after is not None and facts.rate_gone is not None and end >= facts.rate_gone and math.isfinite(after):
        fell = 1 - after / stands
        if fell >= FELL_AGAIN:
            text = f"the loss fell by another {percent(fell)} when the rate had decayed"
            yield Sign(text, {"rate-too-high": STRONG, "label-mask": 1 / CLEAR, "guessing": 1 / CLEAR})
        else:
            yield Sign("the loss did not fall when the rate decayed", {"rate-too-high": 1 / CLEAR})
    scatter = facts.noise / stands
    if np.isfinite(scatter) and scatter >= SCATTER:
        yield Sign(f"single losses scatter by {percent(scatter)} around the level", {"rate-too-high": SLIGHT})
