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

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from curvelab import synth
from curvelab.facts import Facts
from curvelab.model.finding import Change, Finding, Measured, Point, Scalar, Span, Trend
from curvelab.model.run import Curve
from curvelab.rules import Example, NotApplicable, Remedy, detector, threshold
from curvelab.signals.coarse import block_size, coarse
from curvelab.signals.noise import step_noise
from curvelab.signals.turn import turn_of

FEWEST = 4  # evals; fewer show no fall and rise
MOST = 300  # evals; more are looked at in blocks
QUIET = 0.005  # of the level: so much an eval of a fixed set moves in any case (measured: sound runs scatter by 1 % or less)
GAIN = 16.0  # squared eval noises that a rise must explain: four sigma (see curvelab.signals.turn)
OF_THE_START = 0.5  # times `rise`, of the starting loss: the least that a rise must be in a task that is all but solved (judgement)
OF_THE_FALL = 3.0  # losses fall by about a third of their level: so the fall tells the scale of one that goes below zero (judgement)
TASK_GAIN = 0.01  # relative gain of a task metric after the eval minimum that counts, twice (judgement)


@dataclass(frozen=True)
class Thresholds:
    rise: float = threshold(
        0.05, unit="of the eval minimum", low=0.0, high=10.0, source="definition of the pattern: about 5 %",
        meaning="how far the late evals stand above the minimum",
    )  # fmt: skip
    noises: float = threshold(
        3.0, unit="standard errors of the rise", low=0.0, high=100.0, source="judgement: three sigma",
        meaning="how far beyond the eval noise the rise must be",
    )  # fmt: skip
    sustained: float = threshold(
        0.75, unit="of the last third of the evals after the minimum", low=0.0, high=1.0, source="judgement",
        meaning="share of the later half of those evals that stand above a third of the rise, or at twice `rise`",
    )  # fmt: skip
    train_fall: float = threshold(
        0.02, unit="of the train loss at the minimum", low=0.0, high=1.0, source="judgement",
        meaning="how much the train loss must have gone on falling",
    )  # fmt: skip


def _best_was_first(facts: Facts, finding: Finding) -> bool:
    """Whether the minimum is the very first eval: when eval turned is not known then."""
    return finding.start_step == int(facts.curve(finding.metric).step[0])


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


def _more_evals(facts: Facts, finding: Finding) -> Iterator[Change]:
    yield Change(setting="eval_steps", from_=facts.setting("eval_steps"), to=max(1, (finding.start_step or 10) // 5))


def _keep_best(facts: Facts, finding: Finding) -> Iterator[Change]:
    """load_best_model_at_end needs evals and saves at the same steps."""
    wanted: dict[str, Scalar] = {"load_best_model_at_end": True}
    if not facts.saves:
        wanted |= {"save_strategy": "steps", "save_steps": facts.setting("eval_steps")}
    for name, value in wanted.items():
        if value is not None and facts.setting(name) != value:
            yield Change(setting=name, from_=facts.setting(name), to=value)


def _decay(facts: Facts, finding: Finding) -> Iterator[Change]:
    now = facts.setting("weight_decay")
    if now is None or (isinstance(now, int | float) and now < 0.01):
        yield Change(setting="weight_decay", from_=now, to=0.05)


def _restored(facts: Facts, finding: Finding) -> bool:
    return facts.setting("load_best_model_at_end") is True


def _task_decides(facts: Facts, finding: Finding) -> bool:
    return any(m.name == "task_best_step" for m in finding.measured)


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
        title="Keep the model as it was saved: load_best_model_at_end put the weights of the best eval back",
        why="The rise after step {start_step} cost time, not quality.",
        when_not="metric_for_best_model is not the eval loss.",
        cost="none",
        source="Transformers, TrainingArguments.load_best_model_at_end",
        applies=_restored,
    ),
    Remedy(
        title="Use the checkpoint nearest to step {start_step}, not the last one",
        why="Eval loss was lowest there; it is {rise:.0%} higher at the end.",
        when_not="No checkpoint was saved near that step, or another metric decides.",
        cost="none",
        source="Google, Deep Learning Tuning Playbook",
        applies=lambda facts, finding: facts.saves and not _restored(facts, finding) and not _task_decides(facts, finding),
    ),
    Remedy(
        title="Keep the best checkpoint automatically and stop early",
        why="With EarlyStoppingCallback(patience 3, threshold 0.001) this run would have stopped at step {early_stop:.0f}.",
        when_not="Evals are so rare or noisy that the minimum is luck.",
        cost="rerun",
        source="Transformers, EarlyStoppingCallback",
        propose=_keep_best,
        applies=lambda facts, finding: not _restored(facts, finding),
    ),
    Remedy(
        title="Evaluate earlier and more often, and lower the learning rate: the first eval was already the best",
        why="The turn lies before step {start_step}, where nothing was measured.",
        when_not="The model was evaluated before training and was no better.",
        cost="rerun",
        source="judgement",
        propose=_more_evals,
        applies=lambda facts, finding: _best_was_first(facts, finding) and not _task_decides(facts, finding),
    ),
    Remedy(
        title="Train for fewer steps, about as far as the best eval",
        why="What follows the best eval is memorised.",
        when_not="The learning rate schedule is tied to the length: a shorter one moves the minimum, too.",
        cost="rerun",
        source="Unsloth, LoRA hyperparameters guide",
        propose=_shorter,
        applies=lambda facts, finding: not _best_was_first(facts, finding) and not _task_decides(facts, finding),
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
    if not any(len(curve) >= FEWEST for curve in facts.eval_losses):
        raise NotApplicable(f"no eval loss has {FEWEST} evals")
    if not facts.bounded and facts.fallen <= 0:
        raise NotApplicable("the losses go below zero and the train loss never fell: there is nothing to measure a rise with")
    rises = [rise for curve in facts.eval_losses if (rise := _rise(facts, curve, limits)) is not None]
    sure = [rise for rise in rises if rise.beyond >= limits.noises and rise.gain >= GAIN]
    risen = [rise for rise in sure if rise.share >= limits.rise and rise.held >= limits.sustained and rise.fell >= limits.train_fall]
    if risen:
        worst = max(risen, key=lambda rise: rise.share)
        yield _told(facts, worst, len(risen), len(facts.eval_losses), limits)
    elif doubtful := [rise for rise in rises if rise not in sure and rise.share >= limits.rise and rise.fell >= limits.train_fall]:
        worst = max(doubtful, key=lambda rise: rise.share)
        raise NotApplicable(
            f"too noisy to tell: {worst.curve.metric} ends {worst.share:.0%} above its minimum, and one eval scatters by {worst.noise:.0%}"
        )


@dataclass(frozen=True)
class Rise:
    """How an eval loss stands above its minimum at the end.

    share    of the rise in the level of the minimum (in what the losses fell, where zero is no floor); noise likewise
    beyond   the rise in standard errors; gain: see curvelab.signals.turn
    held     share of the later half of the evals after the minimum that stand clearly above it
    train    level of the train loss around the minimum and at the end; fell: the same as a share
    """

    curve: Curve
    lowest: int
    bottom: float
    level: float
    share: float
    noise: float
    beyond: float
    gain: float
    held: float
    late: int
    train: tuple[float, float]
    fell: float


def _rise(facts: Facts, curve: Curve, limits: Thresholds) -> Rise | None:
    """How one eval set rose after its minimum; None when it is too short, did not rise, or is solved."""
    size = block_size(len(curve), MOST)
    evals = coarse(_without_restored_best(curve.value), size)
    if len(evals) < FEWEST:
        return None
    before, end = _train_levels(facts, int(curve.step[int(np.argmin(evals)) * size]))
    scale, train_scale = float(np.median(evals)), abs(before)
    if not facts.bounded:
        train_scale = facts.fallen
        scale = max(float(evals[0] - evals.min()), facts.fallen) * OF_THE_FALL
    turn = turn_of(evals, QUIET * scale)
    if turn is None or scale <= 0 or train_scale <= 0:
        return None
    if facts.bounded:
        scale = turn.bottom
    after = evals[turn.lowest + 1 :]
    if facts.bounded and turn.rise < OF_THE_START * limits.rise * max(facts.start_level, float(evals[0])):
        return None
    kept = min(turn.rise / 3, 2 * limits.rise * scale)  # an explosion is not sustained at a third of its last height
    held = float(np.mean(after[-max(2, len(after) // 2) :] > turn.bottom + kept))
    lowest = turn.lowest * size + int(np.argmin(curve.value[turn.lowest * size : (turn.lowest + 1) * size]))
    return Rise(
        curve, lowest, turn.bottom, turn.late, turn.rise / scale, turn.noise / scale, turn.sigmas, turn.gain, held,
        len(after), (before, end), (before - end) / train_scale,
    )  # fmt: skip


def _told(facts: Facts, rise: Rise, risen: int, sets: int, limits: Thresholds) -> Finding:
    step, metric = rise.curve.step, rise.curve.metric
    start, end = int(step[rise.lowest]), int(step[-1])
    minimum, (before, after), fell = rise.bottom, rise.train, rise.fell
    better = _still_improving(facts, start)
    if facts.bounded:
        headline = f"{metric} rose {rise.share:.0%} after step {start} ({minimum:.4g} to {rise.level:.4g}) while train/loss fell {min(fell, 0.99):.0%}"
    else:
        headline = f"{metric} rose from {minimum:.4g} to {rise.level:.4g} after step {start} while train/loss fell from {before:.4g} to {after:.4g}"
    if sets > 1:
        headline += f"; so did {risen} of {sets} eval sets" if risen > 1 else f"; the other eval {'set' if sets == 2 else 'sets'} did not"
    if better:
        headline += f". But {better[0]} still improved, until step {better[1]}: decide by the metric that matters"
    stop = _early_stop(rise.curve)
    of_eval, of_train = ("of the minimum", "of the train loss at the minimum") if facts.bounded else ("of 3 x all that fell", "of all that fell")
    return Finding(
        severity="critical" if rise.share >= 0.5 and not better else "warning",
        confidence=0.55 + 0.2 * min(1.0, (rise.share - limits.rise) / 0.1) + 0.1 * min(1.0, rise.late / 4)
        + 0.12 * min(1.0, rise.beyond / 10) - (0.2 if better else 0.0),
        metric=metric,
        headline=headline,
        start_step=start,
        end_step=end,
        measured=(
            Measured(name="rise", value=rise.share, unit=of_eval, threshold=limits.rise, setting="overfitting.rise"),
            Measured(name="beyond_noise", value=min(rise.beyond, 1000.0), unit="standard errors", threshold=limits.noises, setting="overfitting.noises"),
            Measured(name="train_fall", value=fell, unit=of_train, threshold=limits.train_fall, setting="overfitting.train_fall"),
            *((Measured(name="early_stop", value=float(stop), unit="step"),) if stop else ()),
            *((Measured(name="task_best_step", value=float(better[1]), unit="step"),) if better else ()),
        ),
        evidence=(
            Point(metric=metric, step=start, value=float(rise.curve.value[rise.lowest]), label=f"best eval {rise.curve.value[rise.lowest]:.4g}"),
            Span(metric=metric, start_step=start, end_step=end, label="eval rises, train falls"),
            Trend(metric="train/loss", start_step=start, start_value=before, end_step=end, end_value=after, label="train/loss"),
        ),
    )  # fmt: skip


RISES = re.compile(r"acc|f1|exact_match|bleu|rouge|precision|recall|auc|reward|win|mrr|map$|ndcg|pass@|spearman|pearson|matthews", re.I)
FALLS = re.compile(r"(^|[/_])(wer|cer|perplexity|ppl|mae|mse|rmse|error|eer)$", re.I)


def _still_improving(facts: Facts, step: int) -> tuple[str, int] | None:
    """(metric, its best step) of a task metric of eval that was clearly better after `step` than up to it."""
    for metric in facts.run.metrics:
        sign = 1 if RISES.search(metric) else -1 if FALLS.search(metric) else 0
        if not metric.startswith(("eval/", "test/")) or not sign:
            continue
        curve = facts.finite(metric)
        value = sign * curve.value
        before, after = value[curve.step <= step], value[curve.step > step]
        if not len(before) or len(after) < 2:
            continue
        margin = max(TASK_GAIN * abs(float(before.max())), 2 * step_noise(value))
        if float(np.sort(after)[-2]) > float(before.max()) + margin:
            return metric, int(curve.step[int(np.argmax(value))])
    return None


def _early_stop(curve: Curve) -> int | None:
    """Step at which Transformers' EarlyStoppingCallback with patience 3 and threshold 0.001 would have stopped."""
    best, waited = np.inf, 0
    for step, value in zip(curve.step.tolist(), curve.value.tolist(), strict=True):
        if value < best - 0.001:
            best, waited = value, 0
        else:
            waited += 1
            if waited >= 3:
                return int(step)
    return None


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
