"""Eval loss hardly moves from the start on while train loss clearly falls.

What
----
Over all evals the eval loss stays within a narrow band, without the rise of overfitting, and falls by a small share of
what the train loss falls in the same time.

Why
---
What the model learns has nothing to do with what it is tested on: another format or chat template, another label mask,
another distribution. Choosing checkpoints by such an eval is choosing at random.

Look-alikes
-----------
Overfitting, where eval fell first and then rose. Evals that begin late, after the fast part. Too few evals to tell.

When it is wrong
----------------
When the eval set measures on purpose something that should not change, such as a regression suite.

Sources
-------
The definition of the pattern.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from curvelab import synth
from curvelab.facts import Facts
from curvelab.model.finding import Finding, Measured, Span, Trend
from curvelab.model.percent import percent
from curvelab.rules import Example, NotApplicable, Remedy, detector, threshold


@dataclass(frozen=True)
class Thresholds:
    band: float = threshold(
        0.08, unit="of the eval level", low=0.0, high=1.0, source="judgement",
        meaning="the eval loss stays within this band from its first value on",
    )  # fmt: skip
    ratio: float = threshold(
        0.22, unit="of the fall of the train loss", low=0.0, high=1.0, source="judgement",
        meaning="the most that eval may have followed the train loss, both relative to their level",
    )  # fmt: skip
    train_fall: float = threshold(
        0.2, unit="of the train loss at the first eval", low=0.0, high=1.0, source="judgement",
        meaning="how far the train loss must have fallen since the first eval",
    )  # fmt: skip
    rise: float = threshold(
        0.025, unit="of the eval minimum", low=0.0, high=1.0, source="judgement: half of what overfitting needs",
        meaning="an eval loss that ended further above its minimum is rising, not stalled",
    )  # fmt: skip


REMEDIES = (
    Remedy(
        title="Compare one tokenised train sample with one eval sample: template, special tokens, label mask, truncation",
        why="Train fell {train_fall:.0%} since the first eval, eval {eval_fall:.1%}: the two sets measure different things.",
        when_not="The eval set is meant to be unrelated.",
        cost="none",
        source=("karpathy-recipe", "judgement"),
    ),
    Remedy(
        title="Add an eval set split off from the training data",
        why="It tells a wrong format (both eval sets stall) from another distribution (only the old one stalls).",
        when_not="There is one already.",
        cost="rerun",
        source="judgement",
    ),
)


def _example(name: str, evals: tuple[float, float], fires: bool) -> Example:
    def build() -> object:
        n = 120
        loss = synth.decay(n, 2.8, 1.0, 2.0) + synth.noise(n, 0.03, seed=12)
        return synth.run_of(loss, evals=np.linspace(*evals, 10) + synth.noise(10, 0.005, seed=13))

    return Example(name, build, fires=fires, onset=(0, 150) if fires else None)  # type: ignore[arg-type]


@detector(
    title="Eval stall",
    kind="curve",
    needs={"train/loss": 12, "eval/loss": 5},
    thresholds=Thresholds,
    remedies=REMEDIES,
    examples=(
        _example("flat eval", (2.4, 2.35), True),
        _example("eval follows", (2.4, 1.5), False),
        _example("eval follows a little", (2.4, 2.0), False),
    ),
    yields_to=("overfitting",),
)
def detect(facts: Facts, limits: Thresholds) -> Iterator[Finding]:
    evals, loss = facts.eval_loss, facts.loss
    if evals.value.min() <= 0:
        raise NotApplicable("eval/loss is not positive: it has no relative level")
    start, last = int(evals.step[0]), int(evals.step[-1])
    width = max(3, len(loss) // 12)
    place = int(np.searchsorted(loss.step, start))
    before = float(np.median(loss.value[max(0, place - width // 2) : place + width // 2 + 1]))
    after = float(np.median(loss.value[-width:]))
    if before <= 0:
        return
    train_fall = (before - after) / before
    head, tail = float(np.median(evals.value[:2])), float(np.median(evals.value[-3:]))
    eval_fall = (head - tail) / head
    band = float(np.ptp(evals.value)) / head
    rise = tail / float(evals.value.min()) - 1
    if train_fall < limits.train_fall or band > limits.band or rise > limits.rise or eval_fall > limits.ratio * train_fall:
        return
    yield Finding(
        severity="warning",
        confidence=0.6 + 0.15 * min(1.0, train_fall / 0.5) + 0.15 * (1 - band / limits.band),
        metric=evals.metric,
        headline=f"{evals.metric} moved by {percent(eval_fall, '.1%')} since step {start} while train/loss fell by {percent(train_fall)}",
        start_step=start,
        end_step=last,
        measured=(
            Measured(name="eval_fall", value=eval_fall, unit="of the first evals"),
            Measured(name="train_fall", value=train_fall, unit="since the first eval", threshold=limits.train_fall, setting="eval-stall.train_fall"),
            Measured(name="band", value=band, unit="of the eval level", threshold=limits.band, setting="eval-stall.band"),
        ),
        evidence=(
            Span(metric=evals.metric, start_step=start, end_step=last, label="eval stands still"),
            Trend(metric="train/loss", start_step=start, start_value=before, end_step=int(loss.step[-1]), end_value=after, label="train falls"),
        ),
    )  # fmt: skip
