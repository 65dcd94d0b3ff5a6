"""Eval loss lies far below train loss from the start: the two are not measured alike.

What
----
At the first evals already, the eval loss is a third of the train loss around it or less; or train over eval is the run's
own number of accumulation steps, which says that the logged train loss is a sum and not a mean.

Why
---
The curves cannot be compared: neither a gap nor its growth means anything. The cause may be harmless (another scale) or
serious (the eval examples are in the training set, or most of their tokens are masked).

Look-alikes
-----------
Dropout, augmentation or label smoothing, which raise the train loss by up to a half. A train loss that still falls fast
and is logged as a mean over many steps. A small eval set that happens to be easy.

When it is wrong
----------------
With strong augmentation (images, SpecAugment) the train loss may stay at twice the eval loss in a sound run.

Sources
-------
transformers#37766 (loss multiplied by the accumulation steps in some versions); judgement for the third.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from curvelab import synth
from curvelab.facts import Facts
from curvelab.model.finding import Finding, Level, Measured, Point
from curvelab.model.run import Run
from curvelab.rules import Example, NotApplicable, Remedy, detector, threshold
from curvelab.signals.line import fit_line

FIRST = 3  # evals that are "from the start" (judgement)
NEAR = 0.1  # how near to the accumulation steps the ratio must be (judgement: dropout and noise)
AROUND = 20  # a train level is taken over a 20th of the logs on each side, at least 2


@dataclass(frozen=True)
class Thresholds:
    below: float = threshold(
        1 / 3, unit="of the train loss", low=0.01, high=1.0, source="measured: augmented healthy runs stay above 0.38; judgement",
        meaning="an eval loss under this share of the train loss is not measured like it",
    )  # fmt: skip


def _scaled(facts: Facts, finding: Finding) -> bool:
    return any(m.name == "accumulation" for m in finding.measured)


REMEDIES = (
    Remedy(
        title="Divide the logged train loss by {flag_gradient_accumulation_steps}, or update Transformers",
        why="Train over eval is {ratio:.2f} and {flag_gradient_accumulation_steps} is {accumulation:.0f}: the log holds a sum.",
        when_not="Gradients are too large as well: then the loss itself is not averaged, and the learning rate is in effect higher.",
        cost="none",
        source="transformers-37766",
        applies=_scaled,
    ),
    Remedy(
        title="Look for eval examples in the training set, and compare label masks and collators of both",
        why="Eval is {share:.0%} of train from its first value on: that was not learned, it was given.",
        when_not="The training data are augmented or much harder on purpose.",
        cost="none",
        source=("karpathy-recipe", "judgement"),
        applies=lambda facts, finding: not _scaled(facts, finding),
    ),
)


def _example(name: str, share: float, fires: bool, steps: int = 1) -> Example:
    def build() -> Run:
        train = synth.decay(100) + synth.noise(100, 0.03, seed=14)
        evals = share * synth.decay(10, 2.6, 1.8)
        return synth.run_of(train, evals=evals, config={"gradient_accumulation_steps": steps})

    return Example(name, build, fires=fires, onset=(40, 60) if fires else None)


@detector(
    title="Train/eval mismatch",
    kind="run",
    needs={"train/loss": 10, "eval/loss": 2},
    thresholds=Thresholds,
    remedies=REMEDIES,
    examples=(
        _example("a leak", 0.2, True),
        _example("a sum over two steps", 0.5, True, steps=2),
        _example("half, without accumulation", 0.5, False),
        _example("dropout", 0.85, False, steps=4),
        _example("alike", 1.0, False),
    ),
)
def detect(facts: Facts, limits: Thresholds) -> Iterator[Finding]:
    if facts.around_zero or not facts.bounded or float(facts.eval_loss.value.min()) <= 0:
        raise NotApplicable("the losses are not positive: a ratio means nothing")
    pairs = _pairs(facts)
    if len(pairs) < 2:
        raise NotApplicable("fewer than two evals lie among the train logs")
    if min(pair.trained for pair in pairs) <= 0:
        raise NotApplicable("the train loss is zero at the first evals: a ratio means nothing")
    steps = facts.setting("gradient_accumulation_steps")
    scaled = isinstance(steps, int) and steps >= 2 and _is_a_sum(pairs, steps)
    if not scaled and max(pair.evaluated / pair.trained for pair in pairs) > limits.below:
        return
    step, trained, evaluated, ratio = pairs[0].step, pairs[0].trained, pairs[0].evaluated, pairs[0].ratio
    why = (
        f", which is gradient_accumulation_steps: the train loss is logged as a sum over {steps} micro-batches"
        if scaled
        else ""
    )
    yield Finding(
        severity="warning",
        confidence=0.75 if scaled else 0.6,
        metric=facts.eval_loss.metric,
        headline=f"train/loss is {ratio:.1f} times {facts.eval_loss.metric} from the first evals on "
        f"({trained:.4g} against {evaluated:.4g} at step {step}){why}",
        start_step=step,
        end_step=pairs[-1].step,
        measured=(
            Measured(
                name="share",
                value=1 / ratio,
                unit="of the train loss",
                threshold=limits.below,
                setting="train-eval-mismatch.below",
            ),
            Measured(name="ratio", value=ratio, unit="train over eval"),
            *((Measured(name="accumulation", value=float(steps), unit="steps"),) if scaled else ()),
        ),
        evidence=(
            Point(metric=facts.eval_loss.metric, step=step, value=evaluated, label=f"eval {evaluated:.4g}"),
            Level(
                metric="train/loss", value=trained, start_step=step, end_step=pairs[-1].step, label=f"train {trained:.4g}"
            ),
        ),
    )


@dataclass(frozen=True)
class Pair:
    """An eval among the train logs: its step, the train level there with its standard error, the eval loss."""

    step: int
    trained: float
    error: float
    evaluated: float

    @property
    def ratio(self) -> float:
        return self.trained / self.evaluated


def _is_a_sum(pairs: list[Pair], steps: int) -> bool:
    """Whether train over eval is the number of accumulation steps at the first eval, and no less at the next ones.

    Later the ratio grows where the noise of training holds the train loss up: the first eval tells the factor best.
    """
    near = [abs(pair.ratio / steps - 1) <= NEAR + pair.error / pair.trained for pair in pairs]
    return near[0] and all(ok or pair.ratio > steps for ok, pair in zip(near, pairs, strict=True))


def _pairs(facts: Facts) -> list[Pair]:
    """The first evals that lie within the train log, each with the train level at its step: a loss may still fall fast.

    A logged loss is the mean since the log before: it stands for the middle between the two.
    """
    loss, evals = facts.loss, facts.eval_loss
    width = max(2, len(loss) // AROUND)
    middle = loss.step - np.diff(loss.step, prepend=2 * loss.step[0] - loss.step[1]) / 2
    found = []
    for step, value in zip(evals.step, evals.value, strict=True):
        place = int(np.searchsorted(loss.step, step, side="right"))
        if place >= 2:
            near = slice(max(0, place - width), place + width)
            line = fit_line(middle[near], loss.value[near], float(step))
            found.append(Pair(int(step), line.level, line.level_error, float(value)))
        if len(found) == FIRST:
            break
    return found
