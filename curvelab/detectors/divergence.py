"""The train loss rises to a much worse level and has not come back by the end.

What
----
The level of the train loss at the end stands far above the best level that the run had reached: beyond the noise, and a
good part of all that had been learned is lost. The onset is where the loss leaves its best level for good. A loss that
goes below zero (a log-likelihood, a similarity) is judged by the share of its fall that is lost.

Why
---
What was learned is being destroyed; the final weights are worse than an earlier checkpoint. Usual causes are a learning
rate that is too high (often at the end of warm-up), missing clipping, or a bug in the schedule or the optimizer.

Look-alikes
-----------
A rising eval loss while train falls, which is overfitting. A spike that recovers. The waves of a cyclic learning rate.
Losses of policy-gradient runs, which have no level.

When it is wrong
----------------
When the task becomes harder on purpose (a curriculum, a new data mixture), or when a spike near the end is still
recovering; the headline says so when the last points fall.

Sources
-------
Wortsman et al., Small-scale proxies, arXiv 2309.14322; Google, Deep Learning Tuning Playbook.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from curvelab import synth
from curvelab.facts import Facts
from curvelab.model.finding import Change, Finding, Level, Measured, Span, Trend
from curvelab.proposals import (
    change,
    clip_at,
    decay_to_zero,
    lower_rate,
    not_clipped,
    proposes,
    rate_can_fall,
    settled_norms,
    warm_up,
)
from curvelab.rules import Example, NotApplicable, Remedy, detector, threshold
from curvelab.signals.coarse import block_size, coarse
from curvelab.signals.episodes import episodes
from curvelab.signals.noise import running_median, sigma_of, step_noise
from curvelab.signals.turn import Turn, turn_of

AVERAGED = 2  # points in a stretch, above which its level is better known than a point (judgement)
BLOCKS = 32  # stretches of the run whose levels are compared (judgement)
WANDERING = 16.0  # squared scatters of a level that the rise must explain: four sigma (see curvelab.signals.turn)
LOST_BELOW_ZERO = 0.35  # of the fall, for a loss whose level has no zero to measure the rise by: a clear part of it (judgement)
OF_THE_RISE = 0.25  # within which of the best level a level still is at it, where single points cannot tell (judgement)
BURST = 2.0  # times what a rise needs otherwise, when only the last three logs show it (judgement)


@dataclass(frozen=True)
class Thresholds:
    noises: float = threshold(
        5.0, unit="standard deviations of one point, or standard errors of a level", low=1.0, high=100.0, source="judgement: far beyond chance",
        meaning="how far the level at the end stands above the best level",
    )  # fmt: skip
    lost: float = threshold(
        0.2, unit="of the fall from the start to the best level", low=0.0, high=10.0, source="judgement",
        meaning="share of what was learned that is lost again",
    )  # fmt: skip
    worse: float = threshold(
        0.08, unit="of the best level", low=0.0, high=10.0, source="judgement",
        meaning="how much worse the end is than the best level",
    )  # fmt: skip
    end: float = threshold(
        0.08, unit="of the points", low=0.01, high=0.5, source="judgement",
        meaning="the last part of the run whose median is the level at the end",
    )  # fmt: skip


EARLY = 0.2  # share of the run: what breaks later than this, no warm-up would have kept (judgement)


def _jumped(facts: Facts, finding: Finding) -> bool:
    return facts.rate_jump(finding.start_step or 0) is not None


def _broke_early(facts: Facts, finding: Finding) -> bool:
    return (finding.start_step or 0) <= (facts.run.first_step or 0) + EARLY * (facts.run.planned_steps or facts.length)


def _clip(facts: Facts, finding: Finding) -> Iterator[Change]:
    """The usual norm of the time before it broke; where that was not logged, 1."""
    norms = settled_norms(facts, before=finding.start_step or 0)
    found = tuple(clip_at(facts, norms, f"logged norms before step {finding.start_step}", "any"))
    yield from found or change(facts, "max_grad_norm", 1.0, "documented", "1 in the source")


REMEDIES = (
    Remedy(
        title="Mend the schedule: the learning rate jumps upwards at the onset",
        why="The loss left its level when the rate jumped; no other setting has to change.",
        when_not="The jump is a planned restart; then lower its peak.",
        cost="resume",
        source="judgement",
        applies=_jumped,
    ),
    Remedy(
        title="Go back to the last checkpoint before step {start_step}",
        why="The train loss rose from {best_level:.3g} to {end_level:.3g} after it and did not come back.",
        when_not="The loss is still recovering and the checkpoint would cost more than the wait.",
        cost="resume",
        source=("palm", "judgement"),
        applies=lambda facts, finding: facts.saves and (finding.start_step or 0) > (facts.run.first_step or 0),
    ),
    Remedy(
        title="Set {flag_weight_decay} to 0, or to a usual 0.01 to 0.1",
        why="It is {weight_decay:g} in the settings: weights that are decayed by that move away from what the gradient asks for.",
        when_not="The optimizer counts its decay with the other sign or in another unit.",
        cost="rerun",
        source="judgement",
        propose=decay_to_zero,
        applies=proposes(decay_to_zero),
        causes=("wrong-update",),
    ),
    Remedy(
        title="Check the loss and the update for a wrong sign, and the optimizer for a weight decay that is negative or far too large",
        why="After a stable stretch the loss climbs steadily: something pushes it up at every step.",
        when_not="It climbed at once, or as soon as the rate was at its peak.",
        cost="none",
        source="judgement",
        applies=lambda facts, finding: facts.absurd_decay is None,
        causes=("wrong-update",),
    ),
    Remedy(
        title="Look at the data of the steps after {start_step}: another source, empty or repeated samples",
        why="One broken batch, or a source that is unlike the rest, can throw a loss up at a rate that the run bears otherwise.",
        when_not="The gradient norm had climbed before.",
        cost="none",
        source="judgement",
        causes=("bad-data",),
    ),
    Remedy(
        title="Lengthen the warm-up to 5 to 10 % of the steps",
        why="The loss broke early, at step {start_step}: a longer way up lets weights and optimizer settle before the rate is high.",
        when_not="The run was resumed from a checkpoint with its optimizer state.",
        cost="rerun",
        source=("axolotl-stability", "playbook"),
        propose=warm_up,
        applies=lambda facts, finding: (
            not _jumped(facts, finding) and _broke_early(facts, finding) and proposes(warm_up)(facts, finding)
        ),
        causes=("rate-too-high",),
    ),
    Remedy(
        title="Clip the gradients ({flag_max_grad_norm}), which is off",
        why="Without a bound one batch can take a step of any length.",
        when_not="The gradient norm stayed where it was while the loss rose.",
        cost="rerun",
        source=("playbook", "axolotl-stability"),
        propose=_clip,
        applies=lambda facts, finding: not _jumped(facts, finding) and not_clipped(facts),
        causes=("rate-too-high", "bad-data"),
    ),
    Remedy(
        title="Lower {flag_learning_rate} to a rate that the run bears",
        why="A rate above the stability limit makes the loss climb, from {best_level:.3g} to {end_level:.3g} here.",
        when_not="One broken batch at step {start_step} is the cause: look at it first.",
        cost="rerun",
        source=("small-scale-proxies", "axolotl-stability", "judgement"),
        propose=lower_rate(5, "2 to 5x in the source for spikes; 5x taken, for this loss did not come back"),
        applies=lambda facts, finding: not _jumped(facts, finding) and rate_can_fall(facts, finding),
        causes=("rate-too-high",),
    ),
)


def _example(name: str, fires: bool) -> Example:
    def build() -> object:
        loss = synth.decay(120) + synth.noise(120, 0.04)
        if name == "climbs":
            loss[60:] += 2.0 * (1 - np.exp(-np.arange(60) / 10))
        elif name == "spike that recovers":
            loss[60:70] += 3.0 * np.exp(-np.arange(10) / 2)
        elif name == "slight rise within the noise":
            loss[60:] += np.linspace(0, 0.08, 60)
        return synth.run_of(loss)

    return Example(name, build, fires=fires, onset=(285, 330) if fires else None)  # type: ignore[arg-type]


@detector(
    title="Divergence",
    kind="curve",
    needs={"train/loss": 6},
    thresholds=Thresholds,
    remedies=REMEDIES,
    examples=(
        _example("climbs", True),
        _example("spike that recovers", False),
        _example("slight rise within the noise", False),
    ),
    yields_to=("exploding-gradients", "overfitting"),
)
def detect(facts: Facts, limits: Thresholds) -> Iterator[Finding]:
    if facts.reinforced:
        raise NotApplicable(facts.why_no_level)
    step, value = facts.loss.step, facts.loss.value
    n = len(value)
    if n < 6:
        raise NotApplicable(f"train/loss has {n} measured points, 6 are needed")
    level = running_median(value, _width(n))
    tail = value[-max(3, int(limits.end * n)) :]
    end = float(np.median(tail)) if n >= 20 else float(np.min(value[-3:]))
    burst = float(np.min(value[-3:]))  # a loss that blows up in the last few logs is not yet in the median of the tail
    lowest = int(np.argmin(level))
    best = float(level[lowest])
    before = slice(None, lowest + 1) if lowest >= 8 else slice(None)
    sigma = max(sigma_of(value[before] - level[before]), step_noise(value[before]))
    fall = max(facts.start_level, float(level[0])) - best
    least = max(limits.lost * fall, limits.worse * abs(best)) if facts.bounded else LOST_BELOW_ZERO * fall
    late = burst - best > BURST * max(limits.noises * sigma, least) and burst > end
    end = burst if late else end
    rise = end - best
    turn = _turn(value, end)
    clear = rise > limits.noises * sigma
    beyond, by_levels = _ratio(rise, sigma), False
    if turn and not clear and n > AVERAGED * BLOCKS and turn.sigmas >= limits.noises and facts.start_level > turn.bottom:
        best, rise = turn.bottom, end - turn.bottom  # the lowest of many noisy levels is lower than the loss ever was
        clear, by_levels, beyond, fall = True, True, turn.sigmas, facts.start_level - best
    steady = turn is None or turn.gain >= WANDERING
    if rise <= max(least, 0.0) or not (late or (clear and steady)):
        return
    margin = OF_THE_RISE * rise if by_levels else max(3 * sigma, 0.02 * rise)
    onset = _onset(level, level if by_levels else value, lowest, best, margin)  # single points may scatter by more than the rise
    if _waves(level[np.searchsorted(step, facts.warmup_end) : lowest], rise):
        return
    start, last = int(step[onset]), int(step[-1])
    jump = facts.rate_jump(start)
    peak = float(value[onset:].max())
    recovering = float(np.median(tail[-3:])) < best + 0.5 * (peak - best) and end < best + 0.8 * (peak - best)
    yield Finding(
        severity="critical",
        confidence=0.6 + 0.2 * min(1.0, rise / (10 * limits.noises * sigma + 1e-300)) + 0.15 * min(1.0, rise / max(fall, 1e-300)),
        metric="train/loss",
        headline=f"train/loss rose from {best:.4g} to {end:.4g} after step {start} and did not come back"
        + (f" (it peaked at {peak:.4g})" if recovering else "")
        + (" before the log ended; it may still recover" if late else "")
        + (f"; the learning rate jumps from {jump[1]:.3g} to {jump[2]:.3g} at step {jump[0]}" if jump else ""),
        start_step=start,
        end_step=last,
        measured=(
            Measured(name="end_level", value=end),
            Measured(name="best_level", value=best),
            *((Measured(name="lost", value=rise / fall, unit="of what was learned", threshold=limits.lost if facts.bounded else LOST_BELOW_ZERO,
                        setting="divergence.lost" if facts.bounded else None, fires="above"),) if fall > 0 else ()),
            *((Measured(name="worse", value=rise / best, unit="of the best level", threshold=limits.worse, setting="divergence.worse", fires="above"),)
              if facts.bounded and best > 0 else ()),
            *((Measured(name="beyond_noise", value=beyond, unit="standard errors of a level" if by_levels else "sigmas",
                        threshold=limits.noises, setting="divergence.noises", fires="above"),) if np.isfinite(beyond) else ()),
        ),
        evidence=(
            Span(metric="train/loss", start_step=start, end_step=last, label="diverged"),
            Level(metric="train/loss", value=best, label=f"best level {best:.4g}"),
            Trend(metric="train/loss", start_step=start, start_value=float(level[onset]), end_step=last, end_value=end, label="rise"),
        ),
    )  # fmt: skip


def _turn(value: np.ndarray, end: float) -> Turn | None:
    """The turn of the levels of the run. What stood above the level at the end on the way there is no noise, and neither
    is one bump before the minimum; a loss that wanders up and down all along is, and its last rise may be chance.
    """
    blocks = coarse(value, block_size(len(value), BLOCKS))
    lowest = int(np.argmin(blocks))
    later = np.arange(len(blocks)) > lowest
    low = np.minimum.accumulate(blocks)
    bumps = [(a, b) for a, b in episodes((blocks > low) & ~later, gap=0) if b - a < len(blocks) // 4]
    if bumps:
        a, b = max(bumps, key=lambda bump: float(np.sum((blocks - low)[bump[0] : bump[1] + 1])))
        blocks = np.concatenate([blocks[:a], low[a : b + 1], blocks[b + 1 :]])
    return turn_of(np.where(later, np.minimum(blocks, end), blocks), 0.0, waves=True)


def _ratio(a: float, b: float) -> float:
    """a / b, infinite where b is 0."""
    return a / b if b > 0 else float("inf")


def _width(n: int) -> int:
    """Points of the running median: wide enough to pass over single spikes, narrow enough to keep the onset."""
    return 1 if n < 12 else max(3, min(25, n // 20)) | 1


def _onset(level: np.ndarray, value: np.ndarray, lowest: int, best: float, margin: float) -> int:
    """Index of the last point, from the minimum on, that still lies at the best level."""
    at_best = np.flatnonzero(np.minimum(level, value)[lowest:] <= best + margin)
    return lowest + (int(at_best[-1]) if len(at_best) else 0)


def _waves(before: np.ndarray, rise: float) -> bool:
    """Whether the loss had risen nearly as far before its minimum and come back, twice or more.

    Then the end is one more wave and no divergence. A single bump, such as one after warm-up, proves nothing.
    """
    if len(before) < 8:
        return False
    climbing = before - np.minimum.accumulate(before) >= 0.7 * rise
    return len(episodes(climbing, gap=2)) >= 2
