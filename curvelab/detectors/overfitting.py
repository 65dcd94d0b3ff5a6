"""Eval loss has passed its minimum and risen while train loss kept falling: the hockey stick.

What
----
The eval loss stands clearly above its minimum, for several evals and beyond their noise, while the train loss went on
falling. The onset is the step of the eval minimum: the checkpoint to keep.

Why
---
From the minimum on, every step makes the model worse on data that it has not seen. The final weights are not the best
ones, and the time after the minimum was wasted.

Look-alikes
-----------
One noisy eval. A constant gap between train and eval. Both losses rising, which is divergence. The noise of a small
eval set. A last eval that repeats the best one because load_best_model_at_end restored it.

When it is wrong
----------------
When the eval loss rises while the metric that matters (accuracy, win rate) still improves; common in classification
and preference tuning. Judge by that metric then.

Sources
-------
patterns.md: about 5 % above the minimum, sustained; Google, Deep Learning Tuning Playbook.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from curvelab import synth
from curvelab.facts import Facts
from curvelab.model.finding import Change, Finding, Measured, Point, Span, Trend
from curvelab.rules import Example, Remedy, detector, threshold
from curvelab.signals.noise import step_noise


@dataclass(frozen=True)
class Thresholds:
    rise: float = threshold(
        0.05, unit="of the eval minimum", low=0.0, high=10.0, source="patterns.md: about 5 %",
        meaning="how far the late evals stand above the minimum",
    )  # fmt: skip
    noises: float = threshold(
        3.0, unit="standard deviations of one eval", low=0.0, high=100.0, source="judgement: three sigma",
        meaning="how far beyond the eval noise the rise must be",
    )  # fmt: skip
    sustained: float = threshold(
        0.75, unit="of the last third of the evals after the minimum", low=0.0, high=1.0, source="judgement",
        meaning="share of the late evals that stand above half the rise",
    )  # fmt: skip
    train_fall: float = threshold(
        0.02, unit="of the train loss at the minimum", low=0.0, high=1.0, source="judgement",
        meaning="how much the train loss must have gone on falling",
    )  # fmt: skip


def _shorter(facts: Facts, finding: Finding) -> Iterator[Change]:
    """Steps or epochs up to the best eval, whichever the run was planned in (max_steps overrides the epochs)."""
    planned, best = facts.setting("max_steps"), finding.start_step
    if best is None:
        return
    if isinstance(planned, int) and planned > 0:
        yield Change(setting="max_steps", from_=planned, to=best)
        return
    known = facts.loss.take(np.isfinite(facts.loss.epoch))
    if len(known):
        epochs = float(np.interp(best, known.step, known.epoch))
        yield Change(setting="num_train_epochs", from_=facts.setting("num_train_epochs"), to=float(f"{max(epochs, 0.1):.2g}"))


def _keep_best(facts: Facts, finding: Finding) -> Iterator[Change]:
    yield Change(setting="load_best_model_at_end", from_=facts.setting("load_best_model_at_end"), to=True)
    yield Change(setting="metric_for_best_model", from_=facts.setting("metric_for_best_model"), to="eval_loss")


def _decay(facts: Facts, finding: Finding) -> Iterator[Change]:
    now = facts.setting("weight_decay")
    if now is None or (isinstance(now, int | float) and now < 0.01):
        yield Change(setting="weight_decay", from_=now, to=0.05)


REMEDIES = (
    Remedy(
        title="Use the checkpoint nearest to step {start_step}, not the last one",
        why="Eval loss was lowest there; it is {rise:.0%} higher at the end.",
        when_not="No checkpoint was saved near that step, or another metric decides.",
        cost="none",
        source="Google, Deep Learning Tuning Playbook",
    ),
    Remedy(
        title="Keep the best checkpoint automatically and stop early",
        why="load_best_model_at_end with EarlyStoppingCallback(patience 3, threshold 0.001) would have ended this run soon after the minimum.",
        when_not="Evals are so rare or noisy that the minimum is luck.",
        cost="rerun",
        source="Transformers, EarlyStoppingCallback",
        propose=_keep_best,
        applies=lambda facts, finding: facts.setting("load_best_model_at_end") is not True,
    ),
    Remedy(
        title="Train for fewer steps, about as far as the best eval",
        why="Fine-tuning on a fixed set usually needs 1 to 3 epochs; what follows is memorised.",
        when_not="The learning rate schedule is tied to the length: a shorter cosine moves the minimum, too.",
        cost="rerun",
        source="Unsloth, LoRA hyperparameters guide",
        propose=_shorter,
    ),
    Remedy(
        title="Regularise: weight decay of 0.01 to 0.1, LoRA dropout, a lower LoRA rank; more or deduplicated data",
        why="The model has room to memorise the training set.",
        when_not="The run is short and the data are not repeated.",
        cost="rerun",
        source="Unsloth, LoRA hyperparameters guide",
        propose=_decay,
    ),
)  # fmt: skip


def _example(name: str, rise: float, fires: bool, seed: int = 0, sigma: float = 0.01) -> Example:
    def build() -> object:
        train = synth.decay(120, 3.0, 0.8, 2.0) + synth.noise(120, 0.03, seed)
        x = np.linspace(0, 1, 12)
        evals = 2.0 + 1.2 * np.exp(-8 * x) + rise * 2.0 * np.clip((x - 0.35) / 0.65, 0, None) + synth.noise(12, sigma, seed)
        return synth.run_of(train, evals=evals)

    return Example(name, build, fires=fires, onset=(100, 400) if fires else None)  # type: ignore[arg-type]


@detector(
    title="Overfitting",
    kind="curve",
    needs={"train/loss": 6, "eval/loss": 4},
    thresholds=Thresholds,
    remedies=REMEDIES,
    examples=(
        _example("hockey stick", 0.3, True),
        _example("mild", 0.09, True, seed=1),
        _example("flat", 0.0, False),
        _example("below the threshold", 0.025, False, seed=2),
        _example("noisy evals", 0.0, False, seed=3, sigma=0.15),
    ),
)
def detect(facts: Facts, limits: Thresholds) -> Iterator[Finding]:
    steps, evals = facts.eval_loss.step, _without_restored_best(facts.eval_loss.value)
    steps = steps[: len(evals)]
    lowest = int(np.argmin(evals))
    minimum = float(evals[lowest])
    late = evals[lowest + 1 :]
    if len(late) < 2 or minimum <= 0:
        return
    late = late[-max(2, len(late) // 3) :]
    level = float(np.median(late))
    rise = (level - minimum) / minimum
    noise = step_noise(evals)
    beyond = (level - minimum) / noise if noise > 0 else np.inf
    held = float(np.mean(late > minimum + 0.5 * (level - minimum)))
    start = int(steps[lowest])
    before, after = _train_levels(facts, start)
    fell = (before - after) / abs(before) if before else 0.0
    if rise < limits.rise or beyond < limits.noises or held < limits.sustained or fell < limits.train_fall:
        return
    last = float(evals[-1])
    yield Finding(
        severity="critical" if rise >= 0.5 else "warning",
        confidence=0.55 + 0.2 * min(1.0, (rise - limits.rise) / 0.1) + 0.1 * min(1.0, len(late) / 4) + 0.12 * min(1.0, beyond / 10),
        metric=facts.eval_loss.metric,
        headline=f"{facts.eval_loss.metric} rose {rise:.0%} after step {start} ({minimum:.4g} to {last:.4g}) while train/loss fell {fell:.0%}",
        start_step=start,
        end_step=int(steps[-1]),
        measured=(
            Measured(name="rise", value=rise, unit="of the minimum", threshold=limits.rise, setting="overfitting.rise"),
            Measured(name="beyond_noise", value=min(beyond, 1e6), unit="eval sigmas", threshold=limits.noises, setting="overfitting.noises"),
            Measured(name="train_fall", value=fell, unit="of the train loss at the minimum", threshold=limits.train_fall, setting="overfitting.train_fall"),
        ),
        evidence=(
            Point(metric=facts.eval_loss.metric, step=start, value=minimum, label=f"best eval {minimum:.4g}"),
            Span(metric=facts.eval_loss.metric, start_step=start, end_step=int(steps[-1]), label="eval rises, train falls"),
            Trend(metric="train/loss", start_step=start, start_value=before, end_step=int(steps[-1]), end_value=after, label="train/loss"),
        ),
    )  # fmt: skip


def _without_restored_best(evals: np.ndarray) -> np.ndarray:
    """Drop a last eval that repeats the minimum: load_best_model_at_end restores the best weights and evaluates again."""
    if len(evals) > 3 and evals[-1] == evals[:-1].min() and evals[-2] > evals[-1]:
        return evals[:-1]
    return evals


def _train_levels(facts: Facts, step: int) -> tuple[float, float]:
    """Train loss around the eval minimum and at the end: medians of a tenth of the points each."""
    loss = facts.loss
    width = max(3, len(loss) // 10)
    place = int(np.searchsorted(loss.step, step))
    around = loss.value[max(0, place - width // 2) : place + width // 2 + 1]
    return float(np.median(around)) if len(around) else float("nan"), float(np.median(loss.value[-width:]))
