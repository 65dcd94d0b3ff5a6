"""Eval loss has passed its minimum and risen while train loss kept falling: the hockey stick.

What
----
The eval loss stands clearly above its minimum, for several evals and beyond their noise, while the train loss went on
falling. The onset is the step of the eval minimum: the checkpoint to keep.

Why
---
From the minimum on, every step makes the model worse on data that it has not seen. Unless the best weights were put back
or kept, what the run leaves is worse than what it had; the time after the minimum was wasted in any case.

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
from curvelab.deciding import Judge, still_improving, task_judge, without_restored_best
from curvelab.facts import Facts
from curvelab.model.finding import Change, Finding, Measured, Point, Span, Trend
from curvelab.model.percent import percent
from curvelab.model.run import Curve
from curvelab.proposals import at_least, change, keep_best, no_longer_than, number, round_steps
from curvelab.rules import Example, NotApplicable, Remedy, detector, threshold
from curvelab.saved import saved
from curvelab.signals.coarse import block_size, coarse
from curvelab.signals.early_stopping import replay
from curvelab.signals.turn import turn_of

FEWEST = 4  # evals; fewer show no fall and rise
MOST = 300  # evals; more are looked at in blocks
QUIET = 0.005  # of the level: so much an eval of a fixed set moves in any case (measured: sound runs scatter by 1 % or less)
GAIN = 16.0  # squared eval noises that a rise must explain: four sigma (see curvelab.signals.turn)
OF_THE_START = 0.5  # times `rise`, of the starting loss: the least that a rise must be in a task that is all but solved (judgement)
OF_THE_FALL = 3.0  # losses fall by about a third of their level: so the fall tells the scale of one that goes below zero (judgement)


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


def _still_there(facts: Facts, finding: Finding) -> bool:
    """Whether a checkpoint near the best eval may be left: one is known nearer to it than to the end, or none is known."""
    if not facts.saves:
        return False
    kept, best, last = saved(facts), finding.start_step or 0, facts.run.last_step or 0
    if kept.partly or not len(kept.steps):
        return not kept.off
    return float(np.abs(kept.steps - best).min()) < (last - best) / 2


def _task_decides(facts: Facts, finding: Finding) -> bool:
    return "task_best_step" in finding.also


def _can_be_kept(facts: Facts, finding: Finding) -> bool:
    """Whether the best model was not put back, and the trainer can be told what the best one is."""
    return not _restored(facts, finding) and next(_keep_best(facts, finding), None) is not None


def _would_have_stopped(facts: Facts, finding: Finding) -> bool:
    return "early_stop" in finding.also


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
        why="Eval loss was lowest there; it is {higher:.0%} higher at the end.",
        when_not="No checkpoint was saved near that step, or another metric decides.",
        cost="none",
        source="playbook",
        applies=lambda facts, finding: _still_there(facts, finding) and not _restored(facts, finding) and not _task_decides(facts, finding),
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
        why="Eval loss is {higher:.0%} higher at the end than at step {start_step}; this setting puts the best model back.",
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
    elif doubtful := [rise for rise in rises if rise not in sure and rise.seen >= limits.rise and rise.fell >= limits.train_fall]:
        worst = max(doubtful, key=lambda rise: rise.seen)
        raise NotApplicable(
            f"too noisy to tell: {worst.curve.metric} ends {percent(worst.seen)} above its lowest value, and one eval scatters by {percent(worst.noise)}"
        )


@dataclass(frozen=True)
class Rise:
    """How an eval loss stands above its minimum at the end.

    share    of the rise in the level of the minimum (in what the losses fell, where zero is no floor); noise likewise;
             seen is that above the lowest value, with its luck
    beyond   the rise in standard errors; gain: see curvelab.signals.turn
    held     share of the later half of the evals after the minimum that stand clearly above it
    train    level of the train loss around the minimum and at the end; fell: the same as a share
    """

    curve: Curve
    lowest: int
    bottom: float
    level: float
    share: float
    seen: float
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
    evals = coarse(without_restored_best(curve.value), size)
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
    seen = turn.late - float(evals[turn.lowest])
    if facts.bounded and seen < OF_THE_START * limits.rise * max(facts.start_level, float(evals[0])):
        return None
    kept = min(turn.rise / 3, 2 * limits.rise * scale)  # an explosion is not sustained at a third of its last height
    held = float(np.mean(after[-max(2, len(after) // 2) :] > turn.bottom + kept))
    lowest = turn.lowest * size + int(np.argmin(curve.value[turn.lowest * size : (turn.lowest + 1) * size]))
    return Rise(
        curve, lowest, turn.bottom, turn.late, turn.rise / scale, seen / scale, turn.noise / scale, turn.sigmas, turn.gain, held,
        len(after), (before, end), (before - end) / train_scale,
    )  # fmt: skip


def _told(facts: Facts, rise: Rise, risen: int, sets: int, limits: Thresholds) -> Finding:
    step, metric = rise.curve.step, rise.curve.metric
    start, end = int(step[rise.lowest]), int(step[-1])
    minimum, last = float(rise.curve.value[rise.lowest]), _last(rise, limits)
    (before, after), fell = rise.train, rise.fell
    better = still_improving(facts, start)
    if facts.bounded:
        headline = f"{metric} rose {percent(last / minimum - 1)} after step {start} ({minimum:.4g} to {last:.4g})"
        headline += f" while train/loss fell {percent(min(fell, 0.99))}"
    else:
        headline = f"{metric} rose from {minimum:.4g} to {last:.4g} after step {start} while train/loss fell from {before:.4g} to {after:.4g}"
    if sets > 1:
        headline += f"; so did {risen} of {sets} eval sets" if risen > 1 else f"; the other eval {'set' if sets == 2 else 'sets'} did not"
    if better:
        headline += f". But {better[0]} still improved, until step {better[1]}: decide by the metric that matters"
    stop = _stop(facts, rise.curve, start)
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
            Measured(name="smoothed_rise", value=rise.share, unit=of_eval, threshold=limits.rise, setting="overfitting.rise"),
            Measured(name="beyond_noise", value=min(rise.beyond, 1000.0), unit="standard errors", threshold=limits.noises, setting="overfitting.noises"),
            Measured(name="train_fall", value=fell, unit=of_train, threshold=limits.train_fall, setting="overfitting.train_fall"),
        ),
        also={
            "higher": last / minimum - 1 if minimum > 0 else rise.share,
            **({"early_stop": float(stop)} if stop is not None else {}),
            **({"task_best_step": float(better[1])} if better else {}),
        },
        evidence=(
            Point(metric=metric, step=start, value=float(rise.curve.value[rise.lowest]), label=f"best eval {rise.curve.value[rise.lowest]:.4g}"),
            Span(metric=metric, start_step=start, end_step=end, label="eval rises, train falls"),
            Trend(metric="train/loss", start_step=start, start_value=before, end_step=end, end_value=after, label="train/loss"),
        ),
    )  # fmt: skip


def _last(rise: Rise, limits: Thresholds) -> float:
    """The last eval; the level of the last ones where that one happens to lie low."""
    last = float(without_restored_best(rise.curve.value)[-1])
    low = float(rise.curve.value[rise.lowest])
    return last if last - low >= limits.rise * abs(low) else rise.level


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
