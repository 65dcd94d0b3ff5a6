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
definition of the pattern: about 5 % above the minimum, sustained; Google, Deep Learning Tuning Playbook.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from curvelab import synth
from curvelab.deciding import Judge, eval_noise, still_improving, task_judge, without_restored_best
from curvelab.facts import Facts
from curvelab.model.finding import Change, Finding, Measured, Point, Span, Trend
from curvelab.model.percent import percent
from curvelab.model.run import Curve
from curvelab.proposals import at_least, change, keep_best, no_longer_than, number, round_steps
from curvelab.rules import Example, Remedy, detector, threshold
from curvelab.signals.early_stopping import replay


@dataclass(frozen=True)
class Thresholds:
    rise: float = threshold(
        0.05, unit="of the eval minimum", low=0.0, high=10.0, source="definition of the pattern: about 5 %",
        meaning="how far the late evals stand above the minimum",
    )  # fmt: skip
    noises: float = threshold(
        3.0, unit="standard deviations of one eval", low=0.0, high=100.0, source="judgement: three sigma",
        meaning="how far beyond the eval noise the rise must be",
    )  # fmt: skip
    sustained: float = threshold(
        0.75, unit="of the last third of the evals after the minimum", low=0.0, high=1.0, source="judgement",
        meaning="share of the later half of those evals that stand above a third of the rise",
    )  # fmt: skip
    train_fall: float = threshold(
        0.02, unit="of the train loss at the minimum", low=0.0, high=1.0, source="judgement",
        meaning="how much the train loss must have gone on falling",
    )  # fmt: skip


def _best_was_first(facts: Facts, finding: Finding) -> bool:
    """Whether the minimum is the very first eval: when eval turned is not known then."""
    return finding.start_step == int(facts.curve(finding.metric).step[0])


def _shorter(facts: Facts, finding: Finding) -> Iterator[Change]:
    best, evals = finding.start_step or 0, facts.finite(finding.metric)
    yield from no_longer_than(facts, best, f"best of {len(evals)} evals at step {best} of {facts.run.last_step}")


def _more_evals(facts: Facts, finding: Finding) -> Iterator[Change]:
    every = round_steps((finding.start_step or 0) / 5)
    said = f"five evals up to step {finding.start_step}, the first of now"
    yield from change(facts, "eval_strategy", "steps", "judgement", said)
    yield from change(facts, "eval_steps", every, "judgement", said, "down")


def _keep_best(facts: Facts, finding: Finding) -> Iterator[Change]:
    """load_best_model_at_end needs evals and saves at the same steps."""
    kept = tuple(keep_best(facts, finding.start_step or 0, "the source puts the best weights back at the end then"))
    yield from kept
    if kept and not facts.saves:
        said = "saves must fall on evals for it"
        yield from change(facts, "save_strategy", "steps", "documented", said)
        yield from change(facts, "save_steps", facts.setting("eval_steps"), "documented", said)


def _regular(facts: Facts, finding: Finding) -> Iterator[Change]:
    yield from at_least("weight_decay", 0.01, "0.01 to 0.1 in the source; 0.05 taken", to=0.05, unknown=False)(facts, finding)
    yield from at_least("lora_dropout", 0.05, "0.05 in the source", unknown=False)(facts, finding)
    if (number(facts, "r") or 0) > 32:
        yield from change(facts, "r", 16, "documented", "8 to 32 in the source; 16 taken", "down")


def _restored(facts: Facts, finding: Finding) -> bool:
    return facts.setting("load_best_model_at_end") is True


def _task_decides(facts: Facts, finding: Finding) -> bool:
    return any(m.name == "task_best_step" for m in finding.measured)


def _can_be_kept(facts: Facts, finding: Finding) -> bool:
    """Whether the best model was not put back, and the trainer can be told what the best one is."""
    return not _restored(facts, finding) and next(_keep_best(facts, finding), None) is not None


def _would_have_stopped(facts: Facts, finding: Finding) -> bool:
    return any(m.name == "early_stop" for m in finding.measured)


REMEDIES = (
    Remedy(
        title="Choose the checkpoint by the task metric: it was best at step {task_best_step:.0f}",
        why="Eval loss rises with over-confidence while the answers still get better.",
        when_not="The model's probabilities are used, not only its answers.",
        cost="none",
        source="judgement",
        applies=_task_decides,
    ),
    Remedy(
        title="Keep the model as it was saved: {flag_load_best_model_at_end} put the weights of the best eval back",
        why="The rise after step {start_step} cost time, not quality.",
        when_not="{flag_metric_for_best_model} is not the eval loss.",
        cost="none",
        source="transformers-training-arguments",
        applies=_restored,
    ),
    Remedy(
        title="Use the checkpoint nearest to step {start_step}, not the last one",
        why="Eval loss was lowest there; it is {rise:.0%} higher at the end.",
        when_not="No checkpoint was saved near that step, or another metric decides.",
        cost="none",
        source="playbook",
        applies=lambda facts, finding: facts.saves and not _restored(facts, finding) and not _task_decides(facts, finding),
    ),
    Remedy(
        title="Keep the best checkpoint automatically and stop early",
        why="With EarlyStoppingCallback(patience {patience}, threshold {min_gain:g}) this run would have stopped at step {early_stop:.0f}.",
        when_not="Evals are so rare or noisy that the minimum is luck.",
        cost="rerun",
        source="early-stopping-callback",
        propose=_keep_best,
        applies=lambda facts, finding: _can_be_kept(facts, finding) and _would_have_stopped(facts, finding),
    ),
    Remedy(
        title="Keep the best checkpoint automatically: {flag_load_best_model_at_end}",
        why="Eval loss is {rise:.0%} higher at the end than at step {start_step}; this setting puts the best model back.",
        when_not="Evals are so rare or noisy that the minimum is luck.",
        cost="rerun",
        source="transformers-training-arguments",
        propose=_keep_best,
        applies=lambda facts, finding: _can_be_kept(facts, finding) and not _would_have_stopped(facts, finding),
    ),
    Remedy(
        title="Evaluate earlier and more often ({flag_eval_steps}): the first eval was already the best",
        why="The turn lies before step {start_step}, where nothing was measured.",
        when_not="The model was evaluated before training and was no better.",
        cost="rerun",
        source="judgement",
        propose=_more_evals,
        applies=lambda facts, finding: _best_was_first(facts, finding) and not _task_decides(facts, finding),
    ),
    Remedy(
        title="Train for fewer steps, to about step {start_step}",
        why="What follows the best eval is memorised.",
        when_not="The learning rate schedule is tied to the length: a shorter one moves the minimum, too.",
        cost="rerun",
        source=("unsloth-lora", "axolotl-stability"),
        propose=_shorter,
        applies=lambda facts, finding: not _best_was_first(facts, finding) and not _task_decides(facts, finding),
    ),
    Remedy(
        title="Regularise: {flag_weight_decay} of 0.01 to 0.1, {flag_lora_dropout} of 0.05, a LoRA rank of 8 to 32; more or deduplicated data",
        why="The model has room to memorise the training set: train loss fell {train_fall:.0%} more while eval loss rose.",
        when_not="The run is short and the data are not repeated.",
        cost="rerun",
        source=("axolotl-stability", "unsloth-lora"),
        propose=_regular,
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
    sets = facts.eval_losses
    risen = [rise for rise in (_rise(facts, curve, limits) for curve in sets) if rise is not None]
    if risen:
        worst = max(risen, key=lambda rise: rise.share)
        yield _told(facts, worst, len(risen), len(sets), limits)


@dataclass(frozen=True)
class Rise:
    """An eval loss that turned: index of its minimum, level of its last third, rise as a share and in sigmas."""

    curve: Curve
    lowest: int
    level: float
    share: float
    beyond: float
    late: int
    train: tuple[float, float]


def _rise(facts: Facts, curve: Curve, limits: Thresholds) -> Rise | None:
    """The rise of one eval set after its minimum, or None when it does not pass every threshold."""
    evals = without_restored_best(curve.value)
    if len(evals) < 4:
        return None
    lowest = int(np.argmin(evals))
    minimum, after = float(evals[lowest]), evals[lowest + 1 :]
    if len(after) < 2 or minimum <= 0:
        return None
    level = float(np.median(after[-max(2, len(after) // 3) :]))
    share = (level - minimum) / minimum
    noise = eval_noise(evals, lowest)
    beyond = (level - minimum) / noise if noise > 0 else np.inf
    held = float(np.mean(after[-max(2, len(after) // 2) :] > minimum + (level - minimum) / 3))
    before, end = _train_levels(facts, int(curve.step[lowest]))
    fell = (before - end) / abs(before) if before else 0.0
    if share < limits.rise or beyond < limits.noises or held < limits.sustained or fell < limits.train_fall:
        return None
    return Rise(curve, lowest, level, share, beyond, len(after), (before, end))


def _told(facts: Facts, rise: Rise, risen: int, sets: int, limits: Thresholds) -> Finding:
    step, metric = rise.curve.step, rise.curve.metric
    start, end = int(step[rise.lowest]), int(step[-1])
    minimum, (before, after) = float(rise.curve.value[rise.lowest]), rise.train
    fell = (before - after) / abs(before)
    headline = f"{metric} rose {percent(rise.share)} after step {start} ({minimum:.4g} to {rise.level:.4g}) while train/loss fell {percent(min(fell, 0.99))}"
    better = still_improving(facts, start)
    if sets > 1:
        headline += f"; so did {risen} of {sets} eval sets" if risen > 1 else f"; the other eval {'set' if sets == 2 else 'sets'} did not"
    if better:
        headline += f". But {better[0]} still improved, until step {better[1]}: decide by the metric that matters"
    stop = _stop(facts, rise.curve, start)
    return Finding(
        severity="critical" if rise.share >= 0.5 and not better else "warning",
        confidence=0.55 + 0.2 * min(1.0, (rise.share - limits.rise) / 0.1) + 0.1 * min(1.0, rise.late / 4)
        + 0.12 * min(1.0, rise.beyond / 10) - (0.2 if better else 0.0),
        metric=metric,
        headline=headline,
        start_step=start,
        end_step=end,
        measured=(
            Measured(name="rise", value=rise.share, unit="of the minimum", threshold=limits.rise, setting="overfitting.rise"),
            Measured(name="beyond_noise", value=min(rise.beyond, 1000.0), unit="eval sigmas", threshold=limits.noises, setting="overfitting.noises"),
            Measured(name="train_fall", value=fell, unit="of the train loss at the minimum", threshold=limits.train_fall, setting="overfitting.train_fall"),
            *((Measured(name="early_stop", value=float(stop), unit="step"),) if stop is not None else ()),
            *((Measured(name="task_best_step", value=float(better[1]), unit="step"),) if better else ()),
        ),
        evidence=(
            Point(metric=metric, step=start, value=minimum, label=f"best eval {minimum:.4g}"),
            Span(metric=metric, start_step=start, end_step=end, label="eval rises, train falls"),
            Trend(metric="train/loss", start_step=start, start_value=before, end_step=end, end_value=after, label="train/loss"),
        ),
    )  # fmt: skip








def _stop(facts: Facts, curve: Curve, lowest: int) -> int | None:
    """Where early stopping would have ended the run: by the task metric, where one still improved, else by the eval loss."""
    judge = task_judge(facts, lowest) or Judge(curve, greater=False)
    found = replay(judge.curve.value, facts.options.patience, facts.options.min_gain, judge.greater).stop
    return None if found is None else int(judge.curve.step[found])


def _train_levels(facts: Facts, step: int) -> tuple[float, float]:
    """Train loss around the eval minimum and at the end: medians of a tenth of the points each."""
    loss = facts.loss
    width = max(3, len(loss) // 10)
    place = int(np.searchsorted(loss.step, step))
    around = loss.value[max(0, place - width // 2) : place + width // 2 + 1]
    return float(np.median(around)) if len(around) else float("nan"), float(np.median(loss.value[-width:]))
