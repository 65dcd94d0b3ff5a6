"""Why eval stands while train falls: another format or mask, other data, or a train loss that falls by heart.

A wrong format and another distribution look alike in a log; what can be told is whether the two sets began apart,
whether eval moves at all, whether other eval sets move, and whether train could have been learned by heart by then.

Sources: definition of the pattern; judgement for the factors.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from curvelab.causes._log import epochs_at, level, number, percent
from curvelab.facts import Facts
from curvelab.model.finding import Finding
from curvelab.weighing import CLEAR, RULED_OUT, SLIGHT, STRONG, Candidate, Sign, unseen, weighing

APART = 1.3  # eval over train, or train over eval, at the first eval
DEAD = 0.01  # of the eval level: an eval that moves no further measures nothing that is learned
FELL = 0.1  # of its first value: another eval set did fall


@weighing(
    Candidate(
        "other-format", "the eval set has another format: template, special tokens, label mask or truncation", 0.4,
        "eval hardly moves at all, from another level than train",
    ),
    Candidate(
        "other-data", "the eval set is of another kind than the training data", 0.28,
        "eval moves a little; other eval sets fall",
    ),
    Candidate(
        "by-heart", "the training samples are learned by heart", 0.12,
        "train and eval began together, and every sample was seen several times",
    ),
)  # fmt: skip
def signs(facts: Facts, finding: Finding) -> Iterator[Sign]:
    evals, loss = facts.eval_loss, facts.loss
    place = int(np.searchsorted(loss.step, evals.step[0])) if len(evals) else 0
    train = level(loss.value[max(0, place - 3) : place + 3])
    if train is not None and train > 0 and len(evals) and evals.value[0] > 0:
        ratio = float(evals.value[0]) / train
        text = f"the first eval is {number(ratio)} times the train loss there"
        apart = ratio >= APART or ratio <= 1 / APART
        yield Sign(text, {"by-heart": 1 / CLEAR if apart else SLIGHT, "other-format": SLIGHT if apart else 1 / SLIGHT})
        band = float(np.ptp(evals.value)) / float(evals.value[0])
        if band <= DEAD:
            text = f"eval stays within {percent(band)}: nothing of what is learned is in it"
            yield Sign(text, {"other-format": SLIGHT, "by-heart": 1 / CLEAR})
    yield from _others(facts, finding)
    yield from _epochs(facts)


def _others(facts: Facts, finding: Finding) -> Iterator[Sign]:
    others = [one for one in facts.eval_losses if one.metric != finding.metric and len(one) >= 3]
    fell = [one.metric for one in others if one.value[0] > 0 and 1 - float(one.value[-1]) / float(one.value[0]) >= FELL]
    if fell:
        yield Sign(f"another eval set falls ({fell[0][:60]})", {"other-data": CLEAR, "by-heart": 1 / STRONG})
    elif not others:
        text = "there is no second eval set to tell another format from other data"
        yield from unseen(text, "other-format", "other-data")


def _epochs(facts: Facts) -> Iterator[Sign]:
    epochs = epochs_at(facts, facts.run.last_step or 0)
    if epochs is None:
        yield from unseen("the log has no epochs: whether samples were seen again cannot be told", "by-heart")
    elif epochs <= 1.01:  # an epoch column is rounded to two decimals
        yield Sign("no sample was seen twice", {"by-heart": RULED_OUT})
    else:
        yield Sign(f"the samples were seen {number(epochs)} times", {"by-heart": SLIGHT})
