"""What a resume lost: the schedule, the optimizer's states, the order of the data, or the right weights.

The schedule shows in the rate itself. Optimizer states that are missing throw the loss up for some logs, until they
are built up again. Samples that come a second time let it drop. A loss that jumps and stays comes from other weights,
or other data.

Sources: Transformers docs, Trainer checkpoints; judgement for the factors.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from curvelab.across import OF_THE_RATE, differing, short
from curvelab.causes._log import level, measured, number, percent
from curvelab.facts import Facts
from curvelab.model.finding import Finding
from curvelab.weighing import CLEAR, COUNTED, RULED_OUT, SLIGHT, STRONG, Candidate, Sign, unseen, weighing

JUMP = 0.1  # of the level before (as the detector takes it)
SIDE, LATER = 10, 20  # logs beside the seam, and those after which the loss should have come back
BACK = 0.5  # of the jump that is gone by then
NORM = 2.0  # times the norm before
NAMES = ("schedule-anew", "other-settings", "optimizer-states", "data-order", "other-weights")


@weighing(
    Candidate(
        "schedule-anew", "the schedule was begun anew or has another rate", 0.3,
        "the learning rate jumps at the seam",
    ),
    Candidate(
        "other-settings", "the resume was given other settings than the part before it", 0.1,
        "the files on both sides of the restart name different settings",
    ),
    Candidate(
        "optimizer-states", "the optimizer's states were not restored", 0.25,
        "loss or norm jump up at the seam and come back within some logs",
    ),
    Candidate("data-order", "the data were read in another order, or once more", 0.15, "the loss drops at the seam"),
    Candidate(
        "other-weights", "the weights are those of another checkpoint", 0.1,
        "the loss jumps up at the seam and stays",
    ),
)  # fmt: skip
def signs(facts: Facts, finding: Finding) -> Iterator[Sign]:
    if finding.severity == "info":
        yield Sign("neither loss nor rate jumped", dict.fromkeys(NAMES, RULED_OUT))
        return
    rate = measured(finding, "rate_jump")
    if not len(facts.rate):
        yield from unseen("the learning rate was not logged: whether it jumped cannot be seen", "schedule-anew")
    elif rate is None or abs(rate) < JUMP:
        yield Sign("the learning rate goes on as before", {"schedule-anew": 1 / STRONG})
    else:
        yield Sign(f"the learning rate is {number(1 + rate)} times what it was", {"schedule-anew": STRONG, "other-settings": CLEAR})
    yield from _settings(facts, rate is not None and abs(rate) >= JUMP)
    yield from _loss(facts, finding)
    yield from _norm(facts, finding.start_step or 0)


def _settings(facts: Facts, rate_jumped: bool) -> Iterator[Sign]:
    found = [differing(facts, seam) for seam in facts.run.seams]
    if all(one is None for one in found):
        yield from unseen("the settings of both parts are not in the log", "other-settings")
        return
    others = [one for some in found for one in some or ()]
    if not others:
        yield Sign("both parts were given the same settings", {"other-settings": 1 / STRONG})
        return
    text = "; ".join(f"{one.name} is {short(one.before)} before and {short(one.after)} after the restart" for one in others[:3])
    explains = rate_jumped and any(one.name in OF_THE_RATE for one in others)
    weaker = {"schedule-anew": 1 / STRONG} if explains else {}
    yield Sign(text, {"other-settings": COUNTED if explains else CLEAR} | weaker)


def _loss(facts: Facts, finding: Finding) -> Iterator[Sign]:
    jump, loss, seam = measured(finding, "loss_jump"), facts.loss, finding.start_step or 0
    if jump is None:
        text = "too few logs around the seam to compare the loss"
        yield from unseen(text, "optimizer-states", "data-order", "other-weights")
        return
    if abs(jump) < JUMP:
        loud = ("data-order", "other-weights", "optimizer-states")
        text = f"the loss moved by {percent(abs(jump))} only"
        yield Sign(text, dict.fromkeys(loud, 1 / CLEAR) | {"optimizer-states": 1 / SLIGHT})
        return
    if jump < 0:
        text = f"the loss dropped by {percent(-jump)}: samples that were seen before"
        yield Sign(text, {"data-order": CLEAR, "optimizer-states": 1 / CLEAR})
        return
    place = int(np.searchsorted(loss.step, seam))
    before = level(loss.value[max(0, place - SIDE) : place])
    later = level(loss.value[place + LATER : place + LATER + SIDE])
    top = level(loss.value[place : place + 3])
    if before is None or later is None or top is None or top <= before:
        yield Sign(f"the loss jumped up by {percent(jump)}", {"optimizer-states": SLIGHT, "other-weights": SLIGHT})
    elif (later - before) / (top - before) <= BACK:
        text = f"the loss jumped up by {percent(jump)} and came back within {LATER} logs"
        yield Sign(text, {"optimizer-states": CLEAR, "other-weights": 1 / SLIGHT})
    else:
        text = f"the loss jumped up by {percent(jump)} and stayed"
        yield Sign(text, {"other-weights": CLEAR, "optimizer-states": 1 / SLIGHT})


def _norm(facts: Facts, seam: int) -> Iterator[Sign]:
    norms = facts.finite("train/grad_norm")
    before, after = level(norms.value[norms.step < seam][-SIDE:]), level(norms.value[norms.step >= seam][:3])
    if before is None or after is None or before <= 0:
        yield from unseen("no gradient norms around the seam", "optimizer-states")
    elif after >= NORM * before:
        text = f"the gradient norm jumped from {number(before)} to {number(after)}"
        yield Sign(text, {"optimizer-states": SLIGHT, "other-weights": SLIGHT})
    else:
        yield Sign(f"the gradient norm goes on at {number(after)}", {"other-weights": 1 / SLIGHT})
