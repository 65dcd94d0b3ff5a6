"""The run shakes when the learning rate reaches its peak, or at its start for want of a warm-up.

What
----
The train loss jumps up around the end of warm-up, by a quarter or more and beyond its noise; or the run starts at its full
learning rate and the loss first rises. A gradient norm alone that peaks there, tenfold, is told as information.

Why
---
The rate is larger than the model bears before its weights and the optimizer's statistics have settled. What breaks here
is often repaired later, at the price of the first part of the run.

Look-alikes
-----------
High gradient norms during warm-up, which are expected and fall. One bad batch that happens to lie there. The ordinary
noise of the first steps.

When it is wrong
----------------
A single jump at the end of warm-up may come from its batch. The same jump in a second seed is the rate's.

Sources
-------
Google, Deep Learning Tuning Playbook (warm-up until the rate is stable); axolotl docs, Training Stability & Debugging.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from curvelab import synth
from curvelab.facts import Facts
from curvelab.model.finding import Finding, Measured, Point, Span
from curvelab.model.percent import percent
from curvelab.model.run import Curve, Run
from curvelab.proposals import lower_rate, number, proposes, rate_can_fall, scaled, warm_up
from curvelab.rules import Example, NotApplicable, Remedy, detector, threshold
from curvelab.signals.noise import running_median, step_noise

AROUND = (
    0.5  # of the warm-up: how far before and after its end a jump still belongs to the peak of the rate (judgement)
)
LEAST = 3  # logs after the peak that belong to it, however short the warm-up
START = 0.15  # share of the logs that are the start of a run without warm-up (judgement)
AT_FULL = 0.95  # of the peak; a run whose first rate is higher had no warm-up
FIRST_LOG = 0.05  # share of the run; a first log later than this may hide a warm-up
NORM_PEAK = 10.0  # times the norm before and after, for a gradient norm alone (judgement)
AGAIN = (
    0.5  # of the rise; a run that jumps as high later does so for another reason than the peak of its rate (judgement)
)
FAR = 10.0  # times a high rate, which is ten times a usual one (measured: sample run no-warmup, rate 0.02, four seeds)
MANY = 6  # logs around the peak of the rate from which on one log alone does not count
SETTLED = 5  # logs that the loss needs after the jump to show where it went


@dataclass(frozen=True)
class Thresholds:
    rise: float = threshold(
        0.25, unit="of the loss before", low=0.01, high=100.0, source="judgement: as for spikes",
        meaning="how far the loss rises",
    )  # fmt: skip
    sigmas: float = threshold(
        6.0, unit="standard deviations of one log", low=1.0, high=100.0, source="the definition of the pattern, spikes: about 6",
        meaning="how far the rise stands out from the noise",
    )  # fmt: skip


def _far_too_high(facts: Facts, finding: Finding) -> bool:
    """Whether no warm-up helps alone: it moves the jump to the step at which the rate comes to its peak."""
    rate = number(facts, "learning_rate")
    return rate is not None and rate >= FAR * facts.highest_rate and not facts.plain_descent


REMEDIES = (
    Remedy(
        title="Lower the peak of {flag_learning_rate} by 5x",
        why="{learning_rate:.3g} is a hundred times what is usual: a longer warm-up alone only makes the loss jump later.",
        when_not="The model is tiny, and a comparable run was stable at this rate.",
        cost="rerun",
        source=("axolotl-stability", "judgement"),
        propose=scaled("learning_rate", 0.2, "2 to 5x in the source; 5x taken, for the rate is a hundred times the usual"),
        applies=_far_too_high,
    ),
    Remedy(
        title="Lengthen the warm-up to 5 to 10 % of the steps",
        why="The jump comes where the rate is highest; a longer way up lets weights and optimizer settle.",
        when_not="The jump is one bad batch: look at the samples of step {start_step} first.",
        cost="rerun",
        source=("axolotl-stability", "playbook"),
        propose=warm_up,
        applies=proposes(warm_up),
    ),
    Remedy(
        title="Lower the peak of {flag_learning_rate}",
        why="A rate that needs a very long warm-up is too high.",
        when_not="A comparable run was stable at this rate.",
        cost="rerun",
        source=("playbook", "axolotl-stability"),
        propose=lower_rate(2, "2 to 5x in the source; 2x taken, for the loss came back"),
        alternative=True,
        applies=lambda facts, finding: rate_can_fall(facts, finding) and not _far_too_high(facts, finding),
    ),
    Remedy(
        title="Look at the samples of step {start_step}",
        why="The warm-up is long and the rate low: one bad batch that happens to lie there looks the same.",
        when_not="A second seed jumps at the same step.",
        cost="none",
        source="judgement",
        applies=lambda facts, finding: not proposes(warm_up)(facts, finding) and not rate_can_fall(facts, finding),
    ),
)


def _example(name: str, height: float, fires: bool, warmup: float = 0.1) -> Example:
    def build() -> Run:
        n = 150
        loss = synth.decay(n, 3.0, 1.5, 5.0) + synth.noise(n, 0.03, seed=12)
        at = 15 if warmup else 3
        loss[at : at + 4] += height * np.array([0.5, 1.0, 0.8, 0.4])
        rate = synth.cosine(n, warmup=warmup) if warmup else synth.cosine(n + 1, warmup=0.0)[1:]
        return synth.run_of(loss, rate=rate)

    return Example(name, build, fires=fires, onset=(10, 95) if fires else None)


@detector(
    title="Warm-up instability",
    kind="run",
    needs={"train/loss": 30, "train/learning_rate": 10},
    thresholds=Thresholds,
    remedies=REMEDIES,
    examples=(
        _example("a jump at the peak of the rate", 2.0, True),
        _example("no warm-up, unstable start", 3.0, True, warmup=0.0),
        _example("a quiet warm-up", 0.0, False),
        _example("a bump within the noise", 0.1, False),
        _example("no warm-up, quiet start", 0.0, False, warmup=0.0),
    ),
    yields_to=("divergence", "non-finite", "exploding-gradients", "spikes", "sawtooth"),
)
def detect(facts: Facts, limits: Thresholds) -> Iterator[Finding]:
    if facts.around_zero:
        raise NotApplicable(facts.why_no_level)
    if not len(facts.loss):
        raise NotApplicable("no train/loss was really measured: all of it is a filter's stand-in for NaN")
    start, end, warmed = _peak_of_the_rate(facts)
    jump = _loss_jump(facts, start, end, limits)
    where = (
        f"around the end of warm-up (step {facts.warmup_end})" if warmed else "right at the start, without a warm-up"
    )
    if jump is not None:
        before, top, at = jump
        rise = top / before - 1
        yield Finding(
            severity="warning",
            confidence=0.55 + 0.25 * min(1.0, (rise - limits.rise) / 0.75),
            metric="train/loss",
            headline=f"train/loss rose {percent(rise)} at step {at} ({before:.4g} to {top:.4g}) {where}",
            start_step=at,
            end_step=end,
            measured=(
                Measured(
                    name="rise",
                    value=rise,
                    unit="of the loss before",
                    threshold=limits.rise,
                    setting="warmup-instability.rise",
                ),
            ),
            evidence=(
                Point(metric="train/loss", step=at, value=top, label=f"+{percent(rise)}"),
                Span(metric="train/loss", start_step=start, end_step=end, label="peak of the learning rate"),
            ),
        )
        return
    peak = _norm_peak(facts, start, end) if warmed else None
    if peak is not None:
        times, top, at = peak
        yield Finding(
            severity="info",
            confidence=0.6,
            metric="train/grad_norm",
            headline=f"train/grad_norm peaked at step {at} ({top:.4g}, {times:.0f} times its level) {where}; the loss did not follow",
            start_step=at,
            end_step=end,
            measured=(
                Measured(name="norm_peak", value=times, unit="times the norm before and after", threshold=NORM_PEAK),
            ),
            evidence=(Point(metric="train/grad_norm", step=at, value=top, label=f"{times:.0f}x"),),
        )


def _peak_of_the_rate(facts: Facts) -> tuple[int, int, bool]:
    """(first, last step) around the end of warm-up and True, or the start of a run without one and False."""
    rate, loss = facts.rate, facts.loss
    peak = float(rate.value.max())
    if facts.warmup_end > 0:
        at = float(np.interp(facts.warmup_end, rate.step, rate.value))
        if at < AT_FULL * peak:
            raise NotApplicable("the learning rate rises through the run: its warm-up has no end")
        begin = int(loss.step[0])
        length = facts.warmup_end - begin
        later = loss.step[loss.step > facts.warmup_end][:LEAST]
        last = max(facts.warmup_end + AROUND * length, float(later[-1]) if len(later) else 0.0)
        return int(begin + (1 - AROUND) * length), int(last), True
    if rate.value[0] < AT_FULL * peak or loss.step[0] > FIRST_LOG * (facts.run.last_step or 0):
        raise NotApplicable("the log begins too late to tell whether there was a warm-up")
    return int(loss.step[0]), int(loss.step[max(LEAST, int(START * len(loss)))]), False


def _loss_jump(facts: Facts, start: int, end: int, limits: Thresholds) -> tuple[float, float, int] | None:
    """(loss before, highest loss, its step) of a jump between two steps that later recovers, or None."""
    loss = facts.loss
    inside = np.flatnonzero((loss.step >= start) & (loss.step <= end))
    if not len(inside) or inside[-1] + SETTLED >= len(loss):
        return None
    # where there are logs enough, an unstable rate shows in more than one of them; a single one is its batch
    value = running_median(loss.value, 3) if len(inside) >= MANY else loss.value
    top = int(inside[np.argmax(value[inside])])
    earlier = loss.value[: top + 1]
    # the level that the loss had come to: a median of three keeps one lucky batch from lowering it
    before = float(running_median(earlier, 3).min()) if len(earlier) >= 5 else float(earlier[0])
    rise = float(value[top]) - before
    recovers = float(running_median(loss.value[top + 1 :], SETTLED).min()) <= before
    if before <= 0 or rise < limits.rise * before or rise < limits.sigmas * step_noise(value) or not recovers:
        return None
    later = value[inside[-1] + 1 :]
    level = np.minimum.accumulate(running_median(later, SETTLED))
    if level.min() > 0 and float((later / level).max()) - 1 > AGAIN * rise / before:
        return None
    around = inside[np.abs(inside - top) <= 1]  # a median of three may stand one log beside the peak that it keeps
    return before, float(value[top]), int(loss.step[around[np.argmax(loss.value[around])]])


def _norm_peak(facts: Facts, start: int, end: int) -> tuple[float, float, int] | None:
    """(times its level, norm, step) of a gradient norm that peaks between two steps and nowhere else, or None."""
    norms: Curve = facts.finite("train/grad_norm")
    before, after = norms.value[norms.step < start], norms.value[norms.step > end]
    inside = norms.between(start, end)
    if len(before) < LEAST or len(after) < 2 * LEAST or not len(inside):
        return None
    top = int(np.argmax(inside.value))
    level = max(float(np.median(before)), float(np.median(after)))
    highest = max(float(before.max()), float(after.max()))
    peak = float(inside.value[top])
    return (
        (peak / level, peak, int(inside.step[top]))
        if level > 0 and peak >= NORM_PEAK * level and peak > 2 * highest
        else None
    )
