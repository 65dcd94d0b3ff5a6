"""The loss stopped improving for a third of the run or more, at a level that is not solved.

What
----
Over a third of the run or more the level of the train loss, and of the eval loss where there is one, changes by no more
than about one percent from beginning to end, as far as the noise lets tell, although training went on: either the
learning rate was still above a tenth of its peak, or it had decayed to nearly nothing far too early. The stretch shows
less than a third of the decline that the fall before it foretells (a power law through that fall), noise included. A fast
fall in the first 50 to 100 steps followed by a flat line is the mark of a wrong label mask.

Why
---
The steps after the onset bought nothing. Either the model cannot learn what is left (labels, masks, format of the
data), or the learning rate does not let it.

Look-alikes
-----------
A loss that converged near zero (below a tenth of where it began). A slow decline that goes on, however small: what is
still to come of a power law is little, and it is seen. The flat tail of a cosine schedule that did its work: the stretch
under a tenth of the peak rate is not counted. The last epoch of a staircase, whose next step down is still to come.

When it is wrong
----------------
When the loss has reached the entropy of the data: noisy labels and creative text have a floor above zero. A run that
was resumed from a good checkpoint is flat from its first step. A short or noisy log cannot tell a slow decline from none
and is not judged.

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
from curvelab.facts import Facts, levels_of
from curvelab.model.finding import Finding, Level, Measured, Span
from curvelab.model.percent import percent
from curvelab.proposals import raise_rate
from curvelab.rules import Example, NotApplicable, Remedy, detector, threshold
from curvelab.signals.decline import ONE_SIDED, Floats, Share, expected_after, share_seen, surely_began_at, widened
from curvelab.signals.level import MEDIAN_COST, noise_of
from curvelab.signals.line import fit_line
from curvelab.signals.noise import grain_of, running_median, step_noise

CANDIDATES = 16  # starts of a flat stretch that are tried, spread evenly over the run
POINTS = 500  # that a slow decline is looked for in: medians of blocks of a longer log
FEWEST = 8  # points in a stretch (judgement)
EVALS = 4  # evals in a stretch from which on they have a say: a line through three has one degree of freedom
AGREED = 0.84  # standard errors that the train loss must be sure of where a flat eval says the same: 80 % (judgement)
STAIR = 0.05  # share of the run from the end of an epoch within which a stretch begins with it (judgement)
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
        0.01, unit="of the level", low=0.0, high=1.0, source="judgement: about a percent",
        meaning="largest improvement from the beginning of the stretch to its end",
    )  # fmt: skip
    seen: float = threshold(
        0.3, unit="of the decline that the fall before foretells", low=0.0, high=1.0,
        source="measured: 0.6 and more in slow declines by a power law, 0 in a stretch that stands still",
        meaning="a stretch that may show more of it, its uncertainty included, is a slow decline",
    )  # fmt: skip
    doubt: float = threshold(
        0.04, unit="of the level", low=0.0, high=1.0, source="judgement: a few percent are a decline that one would see",
        meaning="largest improvement in the stretch that the noise may hide (one-sided 95 %)",
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
        applies=lambda facts, finding: _rate_was_on(facts, finding) and not facts.preference,
        causes=("label-mask", "guessing"),
    ),
    Remedy(
        title="Stop where the loss levels off, or give it more to learn with: a larger model or LoRA rank, more or cleaner data",
        why="The loss came down slowly and levelled off at {level:.3g} with the rate on: model and data may allow no more.",
        when_not="Comparable runs reach a lower loss on these data.",
        cost="rerun",
        source="judgement",
        applies=_rate_was_on,
        causes=("floor",),
    ),
    Remedy(
        title="Look at a few pairs: chosen and rejected the right way round, clearly different, and not cut off before they differ",
        why="A preference loss that stands at {level:.3g} does not tell the two answers apart (ln 2 = 0.693 is guessing).",
        when_not="The same pairs trained well before.",
        cost="none",
        source="judgement",
        applies=lambda facts, finding: _rate_was_on(facts, finding) and facts.preference,
        causes=("guessing", "floor"),
    ),
    Remedy(
        title="Overfit one batch: the loss must go to nearly zero",
        why="If it does not, the bug is in labels, masks or trainable parameters and not in the learning rate.",
        when_not="It was done on the same data before; it takes a minute.",
        cost="none",
        source="karpathy-recipe",
        applies=_rate_was_on,
        causes=("label-mask", "guessing", "nothing-trains"),
    ),
    Remedy(
        title="Raise {flag_learning_rate}",
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
    step = facts.loss_levels.step
    if len(step) < 12:
        raise NotApplicable(f"train/loss has {len(step)} measured points, 12 are needed")
    first, last = int(step[0]), int(step[-1])
    gone = facts.rate_gone
    early = gone is not None and gone < first + RATE_LATE * (last - first)
    end = last if gone is None or early else min(gone, last)
    flat = _flat_stretch(facts, end, limits)
    if flat is None:
        return
    start = _reached(facts, flat.start, end, flat.level, limits.improvement)
    if _was_better(facts, start, flat.level) and not _dead(facts, start, end):
        return  # a run that diverged and then stands still is a divergence, unless it is dead
    if _between_steps(facts, start, end, flat.level * (1 + 2 * limits.improvement)):
        return  # what it learned came at the end of an epoch, and the next one is still to come
    if _margins_grow(facts, start, end):
        return
    share = (end - start) / max(1, last - first)
    if share < NEARLY * limits.share:
        return  # the stretch began before the loss had come to its level
    why = f" while the learning rate was below a tenth of its peak from step {gone} on" if early else ""
    yield _finding(facts, flat, (start, end), share, why, limits)


def _finding(facts: Facts, flat: Stretch, place: tuple[int, int], share: float, why: str, limits: Thresholds) -> Finding:
    """What is said of a flat stretch from step to step, `share` of the run long."""
    start, end = place
    level, sure = flat.level, max(0.0, 1 - flat.share.at_most(AGREED) / max(limits.seen, 1e-9))
    return Finding(
        severity="warning",
        confidence=0.55 + 0.2 * min(1.0, (share - limits.share) / 0.4) + 0.2 * sure,
        metric="train/loss",
        headline=f"train/loss {_stood(facts, level, start, end)}, {percent(share)} of the run{why}{_chance(facts, level)}",
        start_step=start,
        end_step=end,
        measured=(
            Measured(name="level", value=level),
            Measured(name="improvement", value=flat.share.decline / level, unit="of the level", threshold=limits.improvement, setting="plateau.improvement"),
            Measured(name="flat_share", value=share, unit="of the run", threshold=limits.share, setting="plateau.share"),
        ),
        evidence=(
            Span(metric="train/loss", start_step=start, end_step=end, label=f"flat at {level:.4g}"),
            Level(metric="train/loss", value=level, start_step=start, end_step=end, label=f"{level:.4g}"),
        ),
    )  # fmt: skip


def _stood(facts: Facts, level: float, start: int, end: int) -> str:
    """Where the loss stood, and from when to when."""
    steps = facts.loss_levels.step
    to_the_end, begins = end >= int(steps[-1]), "from the start" if start <= int(steps[0]) else f"since step {start}"
    if to_the_end:
        return f"has stood at {level:.4g} {begins}"
    return f"stood at {level:.4g} {begins if begins.startswith('from') else f'from step {start}'} to step {end}"


@dataclass(frozen=True)
class Stretch:
    """The loss from `start` to the end that is looked at: its points, its level, and how much of the foretold decline it shows."""

    start: int
    step: Floats
    value: Floats
    expected: Floats
    level: float
    share: Share


def _stretches(facts: Facts, end: int, limits: Thresholds) -> Iterator[Stretch]:
    """Stretches up to `end` of a third of the run and more, the longest first."""
    levels = levels_of(facts.loss_levels, POINTS)
    step, value = levels.step.astype(np.float64), levels.value
    first, last = float(step[0]), float(step[-1])
    top = surely_began_at(value)
    stop = int(np.searchsorted(step, end, side="right"))
    for start in np.linspace(first, end - limits.share * (last - first), CANDIDATES):
        begin = int(np.searchsorted(step, start))
        here = value[begin:stop]
        if start < first or len(here) < FEWEST:
            continue
        level = float(np.median(here))
        expected = expected_after(step, value, float(step[begin]), top, level)[: len(here)]
        if np.ptp(expected) > 0:
            yield Stretch(int(start), step[begin:stop], here, expected, level, share_seen(expected, here))


def _flat_stretch(facts: Facts, end: int, limits: Thresholds) -> Stretch | None:
    """The longest stretch up to `end` that is flat at an unsolved level, or None. Raises NotApplicable where none can be told."""
    value = facts.loss_levels.value
    unsolved = limits.solved * max(facts.start_level, surely_began_at(value))
    stretches = [one for one in _stretches(facts, end, limits) if one.level > unsolved]
    grain, lowest = grain_of(value), min((one.level for one in stretches), default=np.inf)
    if grain > limits.doubt * lowest:
        raise NotApplicable(f"too coarse to tell: the log holds the loss in steps of {grain:.1g}, {percent(grain / lowest)} of its level")
    flat = next((one for one in stretches if _is_flat(facts, one, end, limits)), None)
    if flat is None:
        _say_if_hidden(stretches, limits)
    return flat


def _is_flat(facts: Facts, one: Stretch, end: int, limits: Thresholds) -> bool:
    """Whether a stretch changes by next to nothing and a decline that goes on is ruled out, by eval as well."""
    allowed = limits.improvement * one.level + one.share.decline_error
    if abs(one.share.decline) > allowed or not _level_quarters(one, limits):
        return False
    evals = _seen_by_eval(facts, one, end)
    if evals is not None and evals.at_least() > limits.seen:
        return False
    agreed = evals is not None and evals.at_most() <= limits.seen
    most = one.share.at_most(AGREED if agreed else ONE_SIDED)
    return most <= limits.seen and most * float(np.ptp(one.expected)) <= limits.doubt * one.level


def _seen_by_eval(facts: Facts, one: Stretch, end: int) -> Share | None:
    """How much of the foretold decline the eval loss shows; None with fewer than EVALS of it in the stretch."""
    evals = facts.eval_loss.between(one.step[0], end)
    if len(evals) < EVALS:
        return None
    return share_seen(np.interp(evals.step, one.step, one.expected), evals.value)


def _say_if_hidden(stretches: list[Stretch], limits: Thresholds) -> None:
    """Raise NotApplicable where even the stretch that is known best may as well be flat as go on falling."""
    best = min(stretches, key=lambda one: one.share.error, default=None)
    if best is None:
        return
    unsure = ONE_SIDED * widened(best.share.points) * best.share.decline_error
    if best.share.at_least() <= limits.seen and abs(best.share.decline) - unsure <= limits.improvement * best.level:
        raise NotApplicable(f"too noisy to tell: since step {best.start} the noise hides changes of up to {percent(unsure / best.level, '.1%')} of the level")


def _level_quarters(one: Stretch, limits: Thresholds) -> bool:
    """Whether the quarters of a stretch agree: a valley has equal halves and is not flat."""
    if len(one.value) < 12:
        return True
    means = np.array([np.median(part) for part in np.array_split(one.value, 4)])
    error = MEDIAN_COST * noise_of(one.value) / math.sqrt(len(one.value) / 4)
    return float(np.ptp(means)) <= 2 * limits.improvement * one.level + 3 * error


def _between_steps(facts: Facts, start: int, end: int, above: float) -> bool:
    """Whether a stretch lies between two ends of epochs, and the loss was above a level right before it: a staircase."""
    ends, near = facts.epoch_ends, STAIR * facts.length
    if ((ends > start + near) & (ends < end - near)).any():
        return False
    step, value = facts.loss_levels.step, facts.loss_levels.value
    before = [value[step <= at][-5:] for at in ends if abs(at - start) <= near]
    return any(len(last) == 5 and float(np.median(last)) > above for last in before)


def _margins_grow(facts: Facts, start: int, end: int) -> bool:
    """Whether a preference run learns all the same: from ln 2 its loss falls by little while the margins grow."""
    margins = facts.finite("train/rewards/margins").between(start, end)
    if len(margins) < FEWEST:
        return False
    line = fit_line(margins.step.astype(np.float64), margins.value, float(margins.step.mean()))
    return line.slope > 2 * line.slope_error


def _reached(facts: Facts, flat_from: int, end: int, level: float, margin: float) -> int:
    """The step at which the loss came to its flat level, within its noise; the stretch may begin a little too early."""
    step, value = facts.loss_levels.step, facts.loss_levels.value
    inside = (step >= flat_from) & (step <= end)
    width = max(5, int(inside.sum()) // 20)
    smooth = running_median(value, width)
    away_by = max(3 * SMOOTH_NOISE * (5 / width) ** 0.5 * step_noise(value[inside]), margin * abs(level))
    away = np.flatnonzero((np.abs(smooth - level) > away_by) & (step <= (flat_from + end) / 2))
    place = min(int(away[-1]) + 1, len(step) - 1) if len(away) else 0
    far = max(4 * step_noise(value[inside]), margin * abs(level))
    near = np.flatnonzero(np.abs(value[place : place + width] - level) <= far)  # the smoothed loss is there before the loss itself
    return int(step[place + (int(near[0]) if len(near) else 0)])


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
