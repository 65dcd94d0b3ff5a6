"""The loss stopped improving for a third of the run or more, at a level that is not solved.

What
----
Over a long stretch the level of the train loss, and of the eval loss where there is one, changes by less than about one
percent although training went on: either the learning rate was still above a tenth of its peak, or it had decayed to
nearly nothing far too early. A fast fall in the first 50 to 100 steps followed by a flat line is the mark of a wrong
label mask.

Why
---
The steps after the onset bought nothing. Either the model cannot learn what is left (labels, masks, format of the
data), or the learning rate does not let it.

Look-alikes
-----------
A loss that converged near zero (below a tenth of where it began). A slow decline that goes on. The flat tail of a cosine
schedule that did its work: the stretch under a tenth of the peak rate is not counted.

When it is wrong
----------------
When the loss has reached the entropy of the data: noisy labels and creative text have a floor above zero. A run that
was resumed from a good checkpoint is flat from its first step.

Sources
-------
definition of the pattern; axolotl docs, Training Stability & Debugging; Karpathy, A Recipe for Training Neural Networks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from curvelab import synth
from curvelab.facts import Facts
from curvelab.model.finding import Finding, Level, Measured, Span
from curvelab.model.percent import percent
from curvelab.proposals import raise_rate
from curvelab.rules import Example, NotApplicable, Remedy, detector, threshold
from curvelab.signals.level import drift_of
from curvelab.signals.noise import running_median, step_noise

CANDIDATES = 24  # starts of a flat stretch that are tried, spread evenly over the run
DEAD = 1e-3  # noise, as a share of the level, below which a loss is no longer measured on changing batches (judgement)
NEARLY = 0.9  # share of the shortest stretch that must remain once its beginning is placed exactly
SMOOTH_NOISE = 0.54  # noise of a running median of five points over that of one point, for normal noise
RATE_LATE = 0.6  # share of the run: a rate that is gone before this decayed too early (judgement)


@dataclass(frozen=True)
class Thresholds:
    share: float = threshold(
        0.33, unit="of the run", low=0.05, high=1.0, source="definition of the pattern: a third",
        meaning="shortest stretch without improvement",
    )  # fmt: skip
    improvement: float = threshold(
        0.004, unit="of the level", low=0.0, high=1.0,
        source="judgement: healthy runs still improve by more in a third of their length",
        meaning="largest improvement from the first half of the stretch to its second",
    )  # fmt: skip
    doubt: float = threshold(
        0.015, unit="of the level", low=0.0, high=1.0, source="judgement",
        meaning="largest improvement that the noise may hide (one-sided 95 %)",
    )  # fmt: skip
    solved: float = threshold(
        0.1, unit="of the starting loss", low=0.0, high=1.0, source="definition of the pattern: about a tenth",
        meaning="below this the task is solved and flat is fine",
    )  # fmt: skip


def _rate_was_gone(facts: Facts, finding: Finding) -> bool:
    return facts.rate_gone is not None and facts.rate_gone <= (finding.start_step or 0) + 0.1 * facts.length


def _rate_was_on(facts: Facts, finding: Finding) -> bool:
    return not _rate_was_gone(facts, finding)


REMEDIES = (
    Remedy(
        title="Check the schedule: the learning rate was nearly zero long before the end",
        why="Nothing moves at a rate below a tenth of the peak; the steps after that were wasted.",
        when_not="The run was meant to stop there.",
        cost="rerun",
        source=("transformers-schedules", "judgement"),
        applies=_rate_was_gone,
        causes=("rate-gone",),
    ),
    Remedy(
        title="Look at a few tokenised samples: the share of labels that are not -100, the chat template, the EOS token",
        why="A loss that falls fast and then stands still at {level:.3g} is the mark of labels that cannot be learned.",
        when_not="The same data trained well before.",
        cost="none",
        source=("axolotl-stability", "karpathy-recipe"),
        applies=_rate_was_on,
        causes=("label-mask", "guessing"),
    ),
    Remedy(
        title="Overfit one batch: the loss must go to nearly zero",
        why="If it does not, the bug is in labels, masks or trainable parameters and not in the learning rate.",
        when_not="Never: it takes a minute.",
        cost="none",
        source="karpathy-recipe",
        applies=_rate_was_on,
        causes=("label-mask", "guessing", "nothing-trains"),
    ),
    Remedy(
        title="Raise {flag_learning_rate} by 2 to 5x",
        why="If the data are sound, the steps are too small to leave the plateau at {level:.3g}.",
        when_not="Gradient norms are unstable, or the loss is at the entropy of the data.",
        cost="rerun",
        source="axolotl-stability",
        propose=raise_rate,
        applies=lambda facts, finding: _rate_was_on(facts, finding) and facts.rate_is_low,
        causes=("rate-too-low",),
    ),
)


def _example(name: str, fires: bool) -> Example:
    def build() -> object:
        n = 150
        rate = synth.cosine(n)
        loss = 5.5 + 5 * np.exp(-np.arange(n) / 5.0)
        if name == "healthy decline":
            loss = synth.decay(n, 3.0, 1.6, 2.0)
        elif name == "solved":
            loss = 0.05 + 3 * np.exp(-np.arange(n) / 5.0)
        elif name == "too noisy to tell":
            loss = synth.decay(n, 3.0, 2.8, 2.0) + synth.noise(n, 0.6, seed=5)
        return synth.run_of(loss + synth.noise(n, 0.02, seed=4), rate=rate)

    return Example(name, build, fires=fires, onset=(50, 200) if fires else None)  # type: ignore[arg-type]


@detector(
    title="Plateau",
    kind="curve",
    needs={"train/loss": 12},
    thresholds=Thresholds,
    remedies=REMEDIES,
    examples=(
        _example("falls, then flat", True),
        _example("healthy decline", False),
        _example("solved", False),
        _example("too noisy to tell", False),
    ),
    yields_to=("vanishing-gradients", "underfitting", "divergence", "non-finite"),
)
def detect(facts: Facts, limits: Thresholds) -> Iterator[Finding]:
    if facts.around_zero:
        raise NotApplicable("the loss changes sign: it has no level (policy-gradient losses do)")
    step, value = facts.loss_levels.step, facts.loss_levels.value
    if len(value) < 12:
        raise NotApplicable(f"train/loss has {len(value)} measured points, 12 are needed")
    first, last = int(step[0]), int(step[-1])
    gone = facts.rate_gone
    early = gone is not None and gone < first + RATE_LATE * (last - first)
    end = last if gone is None or early else gone
    found = _longest_flat(facts, end, limits)
    if found is None:
        return
    flat_from, level, change = found
    if level <= limits.solved * facts.start_level:
        return
    start = _reached(facts, flat_from, end, level, limits.doubt)
    if _was_better(facts, start, level) and not _dead(facts, start, end):
        return  # a run that diverged and then stands still is a divergence, unless it is dead
    share = (end - start) / max(1, last - first)
    if share < NEARLY * limits.share:
        return  # the stretch began before the loss had come to its level
    chance = _chance(facts, level)
    why = f" while the learning rate was below a tenth of its peak since step {gone}" if early else ""
    yield Finding(
        severity="warning",
        confidence=0.55 + 0.2 * min(1.0, (share - limits.share) / 0.4) + 0.2 * (1 - abs(change) / max(limits.improvement, 1e-9)),
        metric="train/loss",
        headline=f"train/loss stands at {level:.4g} since step {start}, for {percent(share)} of the run{why}{chance}",
        start_step=start,
        end_step=end,
        measured=(
            Measured(name="level", value=level),
            Measured(name="improvement", value=-change, unit="of the level", threshold=limits.improvement, setting="plateau.improvement"),
            Measured(name="flat_share", value=share, unit="of the run", threshold=limits.share, setting="plateau.share"),
        ),
        evidence=(
            Span(metric="train/loss", start_step=start, end_step=end, label=f"flat at {level:.4g}"),
            Level(metric="train/loss", value=level, start_step=start, end_step=end, label=f"{level:.4g}"),
        ),
    )  # fmt: skip


def _longest_flat(facts: Facts, end: int, limits: Thresholds) -> tuple[int, float, float] | None:
    """(first step, level, relative change) of the longest stretch up to `end` that is flat beyond doubt, or None.

    Beyond doubt: the improvement from its first half to its second, with the uncertainty added, is under the limit,
    and eval (three values or more in the stretch) does not say otherwise.
    """
    step, value = facts.loss_levels.step, facts.loss_levels.value
    first, last = int(step[0]), int(step[-1])
    for start in np.linspace(first, end - limits.share * (last - first), CANDIDATES):
        inside = value[(step >= start) & (step <= end)]
        if start > end or len(inside) < 8 or not _halves_agree(inside, limits.improvement):
            continue
        drift = drift_of(inside)
        level = abs(drift.after)
        if level == 0:
            continue
        change = drift.change / level
        doubt = 1.64 * drift.error / level
        flat = -change <= limits.improvement and max(doubt - change, doubt) <= limits.doubt and change - doubt <= limits.doubt
        if flat and _level_quarters(inside, drift.error, limits) and _eval_flat(facts, start, end, limits):
            return int(start), drift.after, change
    return None


def _halves_agree(inside: np.ndarray, improvement: float) -> bool:
    """What is needed in any case, and quick to see: the level changes by no more than is allowed."""
    half = len(inside) // 2
    before, after = float(np.median(inside[:half])), float(np.median(inside[half:]))
    return abs(after - before) <= improvement * abs(after)


def _level_quarters(inside: np.ndarray, error: float, limits: Thresholds) -> bool:
    """Whether the quarters of a stretch agree: a valley has equal halves and is not flat."""
    if len(inside) < 12:
        return True
    medians = np.array([np.median(part) for part in np.array_split(inside, 4)])
    return float(np.ptp(medians)) <= 2 * limits.doubt * abs(float(np.median(medians))) + 3 * error


def _eval_flat(facts: Facts, start: float, end: float, limits: Thresholds) -> bool:
    """Whether the eval loss does not contradict a flat stretch."""
    inside = facts.eval_loss.between(start, end).value
    if len(inside) < 3 or not inside[-1]:
        return True
    half = len(inside) // 2
    fall = (float(np.median(inside[:half])) - float(np.median(inside[-half:]))) / abs(float(inside[-1]))
    return fall <= 2 * limits.improvement  # half of the evals each: twice the noise of a stretch of train points


def _reached(facts: Facts, flat_from: int, end: int, level: float, margin: float) -> int:
    """The step at which the loss came to its flat level, within its noise; the stretch may begin a little too early."""
    step, value = facts.loss_levels.step, facts.loss_levels.value
    smooth = running_median(value, 5)
    inside = (step >= flat_from) & (step <= end)
    away_by = max(3 * SMOOTH_NOISE * step_noise(value[inside]), margin * abs(level))
    away = np.flatnonzero((np.abs(smooth - level) > away_by) & (step <= (flat_from + end) / 2))
    return int(step[min(away[-1] + 1, len(step) - 1)]) if len(away) else int(step[0])


def _was_better(facts: Facts, start: int, level: float) -> bool:
    """Whether the loss had been clearly lower before the flat stretch."""
    before = facts.loss_levels.value[facts.loss_levels.step < start]
    if len(before) < 5:
        return False
    return float(running_median(before, 5).min()) < level - max(5 * facts.noise, DEAD * abs(level))


def _dead(facts: Facts, start: int, end: int) -> bool:
    """Whether the loss does not even show mini-batch noise any more."""
    inside = facts.loss_levels.between(start, end).value
    return step_noise(inside) <= DEAD * abs(float(np.median(inside)))


def _chance(facts: Facts, level: float) -> str:
    """Say when the level is that of guessing: ln(vocabulary), or ln(number of labels) of a classifier."""
    vocabulary = facts.setting("vocab_size")
    if isinstance(vocabulary, int) and vocabulary > 1 and abs(level - math.log(vocabulary)) < 0.03 * math.log(vocabulary):
        return f"; that is chance, ln({vocabulary}) = {math.log(vocabulary):.3g}"
    return ""
