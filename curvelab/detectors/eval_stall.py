"""Eval loss hardly moves from the start on while train loss clearly falls.

What
----
Over all evals the eval loss stays within a narrow band, without the rise of overfitting, and falls by a small share of
what the train loss falls in the same time, or rises a little from its first value on.

Why
---
What the model learns has nothing to do with what it is tested on: another format or chat template, another label mask,
another distribution. Choosing checkpoints by such an eval is choosing at random.

Look-alikes
-----------
Overfitting, where eval fell first and then rose. Evals that begin late, after the fast part. Too few evals to tell. Later
epochs, where train falls because its samples are known: with steps down at their ends, only the first epoch counts.

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
from curvelab.model.run import Curve
from curvelab.rules import Example, NotApplicable, Remedy, detector, threshold
from curvelab.signals.coarse import block_size, coarse
from curvelab.signals.level import MEDIAN_COST, noise_of
from curvelab.signals.line import jump_at
from curvelab.signals.noise import block_medians, step_noise
from curvelab.signals.turn import expected_extreme, turn_of

MOST = 300  # evals; more are looked at in blocks
LEVELS = 5  # stretches of the evals whose levels tell the band; more evals make them surer, not more (judgement)
CERTAIN = 2.0  # standard errors, of what eval did (judgement)
BEYOND_DOUBT = 3.0  # standard errors, of the fall of train (judgement)
SOLVED = 0.1  # of the starting loss: below that both move by noise (definition of solved)
OPPOSITE = 0.75  # of `train_fall` is enough where eval clearly went the other way (judgement)
FELL = 0.01  # of the first eval; an eval loss that went lower fell first (judgement)
QUIET = 0.005  # of the level: so much an eval of a fixed set moves in any case (measured: sound runs scatter by 1 % or less)
GAIN = 16.0  # squared eval noises that a rise must explain: four sigma (see curvelab.signals.turn)
EPOCH_LOGS = 4  # logs on both sides of the end of an epoch that show a step there (judgement)
MOST_ENDS = 20  # ends of epochs that are looked at
STEPS = 0.05  # of the loss of the first epoch: so much must the steps at the ends of epochs make up to be seen (judgement)
FOLLOWS = 0.5  # of the fall of the train loss: an eval that may have moved as far is too noisy to be called still (judgement)


@dataclass(frozen=True)
class Thresholds:
    band: float = threshold(
        0.08, unit="of the eval level", low=0.0, high=1.0, source="judgement",
        meaning="the levels of the eval loss stay within this band from the first on, its noise deducted",
    )  # fmt: skip
    ratio: float = threshold(
        0.22, unit="of the fall of the train loss", low=0.0, high=1.0, source="judgement",
        meaning="the most that eval may have followed the train loss, both relative to their level",
    )  # fmt: skip
    train_fall: float = threshold(
        0.2, unit="of the train loss at the first eval", low=0.0, high=1.0, source="judgement",
        meaning="how far the train loss must have fallen since the first eval, the rise of eval added",
    )  # fmt: skip
    rise: float = threshold(
        0.025, unit="of the eval minimum", low=0.0, high=1.0, source="judgement: half of what overfitting needs",
        meaning="an eval loss that fell first and ended further above its minimum turned, not stalled; twice as much when it never fell",
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
    evals, loss = facts.eval_loss, facts.loss_levels
    if not facts.bounded or evals.value.min() <= 0:
        raise NotApplicable("the losses are not positive: they have no relative level")
    start, last = int(evals.step[0]), int(evals.step[-1])
    moved = _movement(coarse(evals.value, block_size(len(evals), MOST)))
    train = _train_fall(loss, start)
    if train is None or train[0] <= SOLVED * facts.start_level:
        return
    before, after, train_fall = train
    if not _stalls(moved, train_fall, limits):
        return
    if not moved.against:
        train_fall -= _known_by_then(facts, loss, start) / before
        if not _stalls(moved, train_fall, limits):
            return
    if train_fall < BEYOND_DOUBT * _train_error(loss, start) / before or moved.fall + CERTAIN * moved.error > FOLLOWS * train_fall:
        raise NotApplicable("too noisy to tell: train and eval scatter more than they would have moved")
    eval_fall, band = moved.fall, moved.band
    yield Finding(
        severity="warning",
        confidence=0.6 + 0.15 * min(1.0, train_fall / 0.5) + 0.15 * (1 - band / limits.band),
        metric=evals.metric,
        headline=f"{evals.metric} {'fell' if eval_fall >= 0 else 'rose'} by {percent(abs(eval_fall), '.1%')} since step {start} "
        f"while train/loss fell by {percent(train_fall)}",
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


@dataclass(frozen=True)
class Movement:
    """What an eval loss did, as shares of its first level: its fall to the last level (negative when it rose) with the
    standard error, the rise above its lowest level, and the band of its levels; noise deducted from the last two.

    fell_first says that its lowest level lies clearly below its first value, against that it rose from the start, beyond
    doubt.
    """

    fall: float
    error: float
    rise: float
    band: float
    fell_first: bool
    against: bool


def _stalls(moved: Movement, train_fall: float, limits: Thresholds) -> bool:
    """Whether an eval loss stood still while train fell by a share of its level."""
    wanted = limits.train_fall * (OPPOSITE if moved.against else 1)
    rises = moved.rise > limits.rise * (1 if moved.fell_first else 2)
    still = max(moved.band, moved.fall) <= limits.band and moved.fall <= limits.ratio * train_fall and not rises
    return still and train_fall + max(0.0, -moved.fall) >= wanted


def _movement(evals: np.ndarray) -> Movement:
    """Levels of the first and last part of the evals, and of up to LEVELS stretches between."""
    turn, sure = turn_of(evals, 0.0), turn_of(evals, QUIET * float(np.median(evals)))
    noise = turn.noise if turn else step_noise(evals)
    first, last = 2, max(2, len(evals) // 4)  # what comes later may have followed the train loss already
    head, tail = float(np.median(evals[:first])), float(np.median(evals[-last:]))
    _, levels = block_medians(evals, LEVELS)
    of_level = MEDIAN_COST * noise * float(np.sqrt(len(levels) / len(evals)))
    lucky = expected_extreme(len(levels)) * of_level
    lowest = float(levels.min()) + lucky
    error = MEDIAN_COST * noise * float(np.hypot(1 / np.sqrt(first), 1 / np.sqrt(last)))
    fell_first = lowest < float(evals[0]) * (1 - FELL) - CERTAIN * noise
    return Movement(
        fall=(head - tail) / head,
        error=error / head,
        rise=(tail - lowest) / lowest,
        band=max(0.0, float(np.ptp(levels)) - 2 * lucky) / head,
        fell_first=fell_first,
        against=sure is not None and sure.gain >= GAIN and not fell_first and tail - head > CERTAIN * error,
    )


def _known_by_then(facts: Facts, loss: Curve, start: int) -> float:
    """How much of the fall of the train loss says nothing about new samples: all that it fell after the first epoch, where
    it steps down at the ends of epochs or an epoch has too few logs to show such a step; else nothing.
    """
    ends = facts.epoch_ends[(facts.epoch_ends > start) & (facts.epoch_ends < loss.step[-1])]
    if not len(ends):
        return 0.0
    x, length = loss.step.astype(np.float64), float(facts.epoch_ends[-1]) / len(facts.epoch_ends)
    jumps = [jump_at(x, loss.value, float(end), length, float(np.median(np.diff(x))), EPOCH_LOGS) for end in ends[:MOST_ENDS]]
    steps = [-jump.size for jump in jumps if jump is not None]
    once = float(np.median(loss.value[x <= ends[0]][-EPOCH_LOGS:]))
    if len(steps) == len(jumps) and float(np.sum(steps)) < STEPS * once:
        return 0.0
    return max(0.0, once - float(np.median(loss.value[-_width(loss) :])))


def _train_fall(loss: Curve, start: int) -> tuple[float, float, float] | None:
    """(level of the train loss at the step `start` and at its end, the fall as a share); None where either is not known."""
    if not len(loss) or loss.step[-1] <= start:
        return None
    width = _width(loss)
    place = int(np.searchsorted(loss.step, start))
    around = loss.value[max(0, place - width // 2) : place + width // 2 + 1]
    before, after = float(np.median(around)), float(np.median(loss.value[-width:]))
    return (before, after, (before - after) / before) if before > 0 else None


def _train_error(loss: Curve, start: int) -> float:
    """Standard error of the difference of the two levels."""
    noise = noise_of(loss.value[max(0, int(np.searchsorted(loss.step, start)) - _width(loss) // 2) :])
    return MEDIAN_COST * noise * float(np.sqrt(2 / _width(loss)))


def _width(loss: Curve) -> int:
    return max(3, len(loss) // 12)
