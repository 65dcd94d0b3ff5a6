"""What makes a loss swing: whether the teeth keep a clock, and whose clock it is.

Teeth in the rhythm of the learning rate follow its restarts. In the rhythm of the epochs they follow the order of the
data. With a rhythm of its own, shards or groups of samples come in one after the other, unshuffled. A rate that
overshoots keeps no clock: its waves are irregular, lie where the rate is high, shrink with it, and show in eval as
well, since the weights themselves are thrown about.

Sources: Transformers, LengthGroupedSampler (50 batches are sorted together); definition of the pattern; judgement for
the factors.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from curvelab.causes._log import (
    AT_PEAK,
    amount,
    epoch_steps,
    high_rate_signs,
    measured,
    number,
    origin,
    percent,
    spacing,
)
from curvelab.facts import Facts
from curvelab.model.finding import Finding
from curvelab.signals.episodes import zigzag_legs
from curvelab.signals.noise import sigma_of
from curvelab.signals.periodicity import detrended
from curvelab.weighing import CLEAR, RULED_OUT, SLIGHT, STRONG, Candidate, Sign, unseen, weighing

SAME = 0.06  # of the longer: two periods that agree within this are one (a period is known to a bin or so)
RATE_SAME = 0.2  # the same for the clock of the rate, which is counted from its turns
SHARES = (2, 3, 4, 5)  # a period that is an epoch over one of these may still belong to the epoch
TURN = 0.2  # of the rate: a rise or fall by this is a turn of a cyclic rate (as the detector takes it)
CYCLIC = 4  # turns
REGULAR = 0.6  # of the variance explained by one period: nothing that overshoots keeps such a clock (judgement)
SHRUNK = 1.7  # times smaller teeth where the rate is below half its peak
SWING = 0.1  # of the level: eval swings as well
GROUPED = 50  # batches that Transformers sorts by length together


@weighing(
    Candidate(
        "rate-restarts", "the learning rate goes up again and again", 0.2,
        "the logged rate rises in the rhythm of the teeth",
    ),
    Candidate(
        "rate-too-high", "the learning rate is too high: it overshoots", 0.27,
        "irregular waves, in eval too, where the rate is at its peak",
    ),
    Candidate(
        "epoch-order", "the order of the data repeats with every epoch", 0.1,
        "the period of the teeth is one epoch",
    ),
    Candidate(
        "shards", "data of different kinds come one after the other, unshuffled", 0.2,
        "a steady period that is neither the rate's nor the epoch's",
    ),
    Candidate(
        "length-groups", "batches are grouped by length", 0.05,
        "group_by_length is on; the period is about 50 batches",
    ),
    Candidate(
        "accumulation", "the last logging window of an epoch is shorter under accumulation", 0.03,
        "accumulation is on and the period is one epoch",
    ),
)  # fmt: skip
def signs(facts: Facts, finding: Finding) -> Iterator[Sign]:
    period = measured(finding, "period")
    yield from _clock(finding, period, _turns(facts) >= CYCLIC)
    yield from _restarts(facts, period)
    yield from _epoch(facts, period)
    yield from _heights(facts)
    yield from _eval(facts, period)
    yield from _settings(facts, period)


def _same(one: float, other: float, within: float = SAME) -> bool:
    return abs(one - other) <= within * max(one, other)


def _turns(facts: Facts) -> int:
    """How many times the logged rate turns after warm-up."""
    rate = facts.rate.value[facts.rate.step >= facts.warmup_end]
    return zigzag_legs(rate + 1e-300, TURN) if len(rate) > 2 * CYCLIC and rate.min() >= 0 else 0


def _clock(finding: Finding, period: float | None, cyclic: bool) -> Iterator[Sign]:
    explained = measured(finding, "explained")
    if period is None:
        clocks = ("epoch-order", "shards", "length-groups", "accumulation")
        yield Sign("the waves keep no period", {"rate-too-high": SLIGHT} | dict.fromkeys(clocks, 1 / CLEAR))
    elif explained is not None and explained >= REGULAR and not cyclic:
        text = f"one period of {number(period)} steps explains {percent(explained)} of the movement: a clock"
        yield Sign(text, {"shards": SLIGHT, "rate-too-high": 1 / CLEAR})


def _restarts(facts: Facts, period: float | None) -> Iterator[Sign]:
    turns, kind = _turns(facts), str(facts.setting("lr_scheduler_type") or "")
    if len(facts.rate) < 8:
        declared = CLEAR if "restart" in kind or "cycl" in kind.lower() else 1.0
        text = f"the learning rate was not logged{f'; {kind[:40]} is declared' if kind else ''}: its rhythm cannot be seen"
        yield Sign(text, {"rate-restarts": declared})
        return
    if turns < CYCLIC:
        yield Sign("the learning rate does not go up again after warm-up", {"rate-restarts": 1 / STRONG})
        return
    steps = 2 * float(np.ptp(facts.rate.step[facts.rate.step >= facts.warmup_end])) / turns
    times = f"the learning rate goes up {turns // 2} times, about every {number(steps)} steps"
    if period is not None and _same(period, steps, RATE_SAME):
        others = dict.fromkeys(("epoch-order", "shards", "length-groups"), 1 / CLEAR)
        yield Sign(f"{times}; the teeth come every {number(period)}", {"rate-restarts": STRONG} | others)
    else:
        text = f"{times}{'' if period is None else f', the teeth every {number(period)}'}"
        yield Sign(text, {"rate-restarts": SLIGHT})


def _epoch(facts: Facts, period: float | None) -> Iterator[Sign]:
    if period is None:
        return
    epoch = epoch_steps(facts)
    if epoch is None:
        yield from unseen("the log has no epochs: whether the period is an epoch cannot be told", "epoch-order")
    elif _same(period, epoch):
        text = f"the period of {number(period)} steps is one epoch of {number(epoch)} steps"
        yield Sign(text, {"epoch-order": STRONG, "shards": 1 / SLIGHT, "rate-too-high": 1 / SLIGHT})
    elif any(_same(period * k, epoch) for k in SHARES) and epoch < facts.length:
        text = f"the period of {number(period)} steps divides the epoch of {number(epoch)}, which came round again and again"
        yield Sign(text, {"epoch-order": SLIGHT, "shards": SLIGHT})
    else:
        text = f"the period of {number(period)} steps is not the epoch of {number(epoch)}"
        yield Sign(text, {"epoch-order": 1 / STRONG, "accumulation": 1 / STRONG, "shards": SLIGHT})


def _heights(facts: Facts) -> Iterator[Sign]:
    """Whether the teeth lie where the rate is at its peak, and shrink with it."""
    loss, rate = facts.settled, facts.rate
    if len(rate) < 8 or len(loss) < 16 or facts.peak_rate <= 0 or _turns(facts) >= CYCLIC:
        return
    share = np.interp(loss.step, rate.step, rate.value) / facts.peak_rate
    wave, full, low = np.abs(detrended(loss.value)), share >= AT_PEAK, share < 0.5
    if low.sum() < 8 or (~low).sum() < 8:
        at = f"the learning rate is at {percent(AT_PEAK)} or more of its peak of {number(facts.peak_rate)} during {percent(float(full.mean()))} of the teeth"
        yield Sign(at, {"rate-too-high": SLIGHT if full.mean() >= 0.5 else 1 / SLIGHT})
        return
    high_wave, low_wave = sigma_of(wave[~low]), sigma_of(wave[low])
    if high_wave <= 0 and low_wave <= 0:
        return
    if high_wave >= SHRUNK * low_wave:
        text = "the teeth shrink as the learning rate falls" + (f", {number(high_wave / low_wave)}-fold below half its peak" if low_wave > 0 else "")
        yield Sign(text, {"rate-too-high": CLEAR, "shards": 1 / CLEAR, "epoch-order": 1 / SLIGHT})
    else:
        yield Sign("the teeth do not shrink as the learning rate falls", {"rate-too-high": 1 / CLEAR, "shards": SLIGHT})


def _eval(facts: Facts, period: float | None) -> Iterator[Sign]:
    evals = facts.eval_loss
    if len(evals) < 4 or evals.value.min() <= 0:
        yield from unseen("too few evals to see whether they swing as well", "rate-too-high")
        return
    turns, gap = zigzag_legs(evals.value, SWING), spacing(evals.step)
    if turns >= CYCLIC:
        text = "eval/loss swings as well: the weights are thrown about"
        yield Sign(text, {"rate-too-high": CLEAR, "shards": 1 / SLIGHT, "length-groups": 1 / CLEAR})
    elif period is not None and gap > period / 2:
        text = f"evals every {number(gap)} steps are too far apart to show teeth of {number(period)}"
        yield from unseen(text, "rate-too-high")
    elif turns <= 2:
        text = f"eval/loss, every {number(gap)} steps, does not swing: the batches differ, not the weights"
        yield Sign(text, {"rate-too-high": 1 / CLEAR, "length-groups": SLIGHT})


def _settings(facts: Facts, period: float | None) -> Iterator[Sign]:
    yield from high_rate_signs(facts, "rate-too-high")
    steps = amount(facts, "gradient_accumulation_steps")
    if steps == 1:
        yield Sign("gradients are not accumulated", {"accumulation": RULED_OUT})
    elif steps:
        yield from unseen(f"gradients are accumulated over {number(steps)} batches", "accumulation")
    grouped = facts.setting("group_by_length")
    by_length = "length" in str(facts.setting("train_sampling_strategy") or "")
    if grouped is True or by_length:
        text = f"batches are grouped by length{origin(facts, 'group_by_length', 'train_sampling_strategy')}"
        clock = period is not None and _same(period, GROUPED, RATE_SAME)
        about = f"; {GROUPED} batches are sorted together, and the period is {number(period or 0)} steps" if clock else ""
        yield Sign(text + about, {"length-groups": STRONG if clock else CLEAR, "shards": 1 / SLIGHT})
    elif grouped is False or facts.setting("train_sampling_strategy") is not None:
        yield Sign("batches are not grouped by length", {"length-groups": 1 / STRONG})
    else:
        text = "whether batches are grouped by length, and how many steps a shard lasts, is not in the log"
        yield from unseen(text, "length-groups", "shards")
