"""What makes a loss climb for good: a rate beyond stability, a jump of it, a restart, bad data, or updates of the wrong
sign.

The rate is suspect when the loss leaves its level at the end of warm-up or at the peak, and more so when the gradient
norm had climbed before. A loss that had been stable for long at the same rate and leaves it in one log has met data
that it cannot bear; one that climbs steadily, away from a stable level, is being pushed.

Sources: Wortsman et al., Small-scale proxies, arXiv 2309.14322; Google, Deep Learning Tuning Playbook; judgement for
the factors.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from curvelab.causes._log import (
    climb,
    high_rate_signs,
    jump_signs,
    level,
    number,
    percent,
    rate_share,
    restart_signs,
    spacing,
)
from curvelab.facts import Facts
from curvelab.model.finding import Finding
from curvelab.weighing import CLEAR, SLIGHT, STRONG, Candidate, Sign, unseen, weighing

AROUND_WARMUP = 0.3  # of the length of warm-up, around its end (judgement)
STABLE = 0.2  # of the run, at the same rate or a higher one before the onset: the rate had been borne for long
CLIMBED = 3.0  # times the usual norm
SUDDEN, SLOW = 0.5, 0.2  # of the whole rise, within the first logs
SOON = 3  # logs


@weighing(
    Candidate(
        "rate-too-high", "the learning rate is beyond what is stable", 0.37,
        "the loss leaves its level at the end of warm-up or at the peak of the rate, behind a climb of the norm",
    ),
    Candidate("rate-jump", "a jump of the learning rate", 0.1, "the logged rate jumps up at the onset"),
    Candidate(
        "resume", "a restart without optimizer states, or with other settings", 0.1,
        "a restart right before the onset",
    ),
    Candidate(
        "bad-data", "data that the model cannot bear", 0.1,
        "a sudden rise after a long stable stretch at the same rate",
    ),
    Candidate(
        "wrong-update", "updates that push the loss up: a wrong sign, or weight decay that feeds on itself", 0.08,
        "a slow steady climb after a stable stretch",
    ),
)  # fmt: skip
def signs(facts: Facts, finding: Finding) -> Iterator[Sign]:
    start = finding.start_step or 0
    yield from jump_signs(facts, start, "rate-jump", ("rate-too-high", "bad-data", "wrong-update"))
    yield from restart_signs(facts, start, "resume", ("rate-too-high", "wrong-update"))
    yield from _rate(facts, start)
    yield from high_rate_signs(facts, "rate-too-high")
    yield from _norm(facts, start)
    yield from _speed(facts, start)


def _rate(facts: Facts, start: int) -> Iterator[Sign]:
    share = rate_share(facts, start)
    if share is None:
        text = "the learning rate was not logged: whether it was at its peak cannot be seen"
        yield from unseen(text, "rate-too-high")
        return
    end, rate = facts.warmup_end, facts.rate
    width = max(AROUND_WARMUP * (end - (facts.run.first_step or 0)), 3 * spacing(facts.loss.step))
    if end > 0 and abs(start - end) <= width:
        text = f"the loss leaves its level at step {start}, around the end of warm-up (step {end})"
        yield Sign(text, {"rate-too-high": CLEAR, "bad-data": 1 / SLIGHT, "wrong-update": 1 / SLIGHT})
        return
    borne = rate.step[(rate.step <= start) & (rate.value >= share * facts.peak_rate * (1 - 1e-9))]
    stable = start - int(borne[0]) if len(borne) else 0
    if share > 0 and stable >= STABLE * facts.length:
        text = f"the same rate or a higher one had been borne for {number(stable)} steps"
        yield Sign(text, {"rate-too-high": 1 / SLIGHT, "bad-data": SLIGHT, "wrong-update": SLIGHT})
    elif 0 <= start < end:
        text = f"the loss leaves its level during warm-up, at {percent(share)} of the peak rate"
        yield Sign(text, {"rate-too-high": SLIGHT})


def _norm(facts: Facts, start: int) -> Iterator[Sign]:
    norm = climb(facts.finite("train/grad_norm"), start, facts.warmup_end)
    if norm is None:
        yield from unseen("too few gradient norms before it to see whether they climbed", "rate-too-high")
    elif norm.times >= CLIMBED:
        text = f"the gradient norm rose from {number(norm.usual)} to {number(norm.last)} over the {norm.steps} steps before"
        yield Sign(text, {"rate-too-high": CLEAR, "bad-data": 1 / SLIGHT})
    else:
        yield Sign(f"the gradient norm was as usual before it ({number(norm.last)})", {"bad-data": SLIGHT})


def _speed(facts: Facts, start: int) -> Iterator[Sign]:
    loss = facts.loss
    place = int(np.searchsorted(loss.step, start))
    before, top = level(loss.value[max(0, place - 5) : place + 1]), level(loss.value[-5:])
    soon = loss.value[place + 1 : place + 1 + SOON]
    if before is None or top is None or not len(soon) or not top > before:
        return
    risen = (float(np.max(soon)) - before) / (top - before)
    steps = int(loss.step[min(place + SOON, len(loss) - 1)] - start)
    if risen >= SUDDEN:
        text = f"half of the rise or more came within {steps} steps"
        yield Sign(text, {"bad-data": SLIGHT, "rate-jump": SLIGHT, "wrong-update": 1 / CLEAR})
    elif risen <= SLOW:
        text = f"the loss climbs steadily: {percent(max(0.0, risen))} of the rise in the first {steps} steps"
        yield Sign(text, {"wrong-update": CLEAR, "bad-data": 1 / STRONG, "rate-jump": 1 / SLIGHT})
