"""Training became slower and stayed slower.

What
----
Tokens, samples or steps per second, as logged during training, fall by 20 % or more from one level to another, or little
by little through the run, and stay there to the end. Where no speed was logged, the time between train logs tells it, under a stricter rule.

Why
---
The same run costs more from then on. Usual causes: a GPU that throttles or is shared, a data loader that falls behind
(cache lost, slow disk), memory close to its limit, longer samples.

Look-alikes
-----------
A slow first log (compilation, cache). A pause for an eval or a checkpoint. A short dip that recovers. Steps of a few
milliseconds, whose time is that of the logger. Steps of a policy whose completions grow: each takes as long as it writes,
so the speed is reckoned at the length of the start.

When it is wrong
----------------
When samples get longer on purpose (a curriculum, packing off): steps per second fall then and tokens per second do not.

Sources
-------
definition of the pattern: a sustained 20 %, critical below 50 % of the baseline; PyTorch, Performance Tuning Guide.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from curvelab import synth
from curvelab.facts import Facts, levels_of
from curvelab.model.finding import Finding, Level, Measured, Span
from curvelab.model.percent import percent
from curvelab.model.run import Curve, Run
from curvelab.proposals import at_least
from curvelab.rules import Example, NotApplicable, Remedy, detector, threshold
from curvelab.signals.coarse import block_size, coarse
from curvelab.signals.level import MEDIAN_COST
from curvelab.signals.noise import sigma_of
from curvelab.signals.shift import Split, best_split

SPEEDS = ("train/tokens_per_second", "train/samples_per_second", "train/steps_per_second")
TIMES = ("train/step_time", "train/time_per_step", "train/iteration_time")
CRITICAL = 0.5  # of the baseline (the definition of the pattern)
LENGTH = "train/completions/mean_length"
FEWEST = 12  # points; fewer show no two levels (judgement)
SHORTEST_LOG = 1.0  # seconds between two logs, below which their distance is the logger's time and not the training's
CLOCK_RULE = 1.75  # times the drop that a logged speed needs: clock times also hold evals, checkpoints, other users
CERTAIN = 4.0  # standard errors of the difference of the two levels (judgement)
STRETCHES = 20  # of what lies before and after the drop, whose levels are looked at: single logs are noisy (judgement)
PARTS = 8  # stretches of a run whose speed falls little by little
FALLING = 6  # of the 7 changes between them (judgement: one may rest)
HELD = 0.8  # share of the later levels that stay on the low side (judgement)


@dataclass(frozen=True)
class Thresholds:
    drop: float = threshold(
        0.2, unit="of the speed before", low=0.01, high=1.0, source="definition of the pattern: 20 %",
        meaning="how far the speed falls, from one level to the next",
    )  # fmt: skip


_more_workers = at_least("dataloader_num_workers", 4, to=4, because="above 0 in the source; 4 taken, to be tuned", unknown=False)

REMEDIES = (
    Remedy(
        title="Look at the machine around step {start_step}: GPU clocks and temperature, other jobs, disk and network",
        why="Speed fell by {drop:.0%} at one step; the settings of a run do not change in the middle, its surroundings do.",
        when_not="The data become longer there on purpose.",
        cost="none",
        source="judgement",
    ),
    Remedy(
        title="Load the data with more workers ({flag_dataloader_num_workers}), from a local disk, if the loader is behind",
        why="A cold or evicted file cache slows a run from some step on: {before:,.4g} before step {start_step}, {after:,.4g} after it.",
        when_not="GPU utilisation stayed high after the drop.",
        cost="resume",
        source=("pytorch-tuning", "judgement"),
        propose=_more_workers,
        conditional=True,
    ),
)


def _example(name: str, after: float, fires: bool, until: int = 80, longer: float = 0.0) -> Example:
    def build() -> Run:
        speed = 20_000 * np.exp(synth.noise(80, 0.06, seed=8))
        speed[40:until] *= after
        if longer:
            length = np.where(np.arange(80) < 40, 200.0, longer * 200.0)
            return synth.run_of(synth.decay(80), more={"train/step_time": 1e4 / speed, LENGTH: length})
        return synth.run_of(synth.decay(80), more={"train/tokens_per_second": speed})

    return Example(name, build, fires=fires, onset=(195, 215) if fires else None)


@detector(
    title="Throughput drop",
    kind="run",
    needs={"train/loss": FEWEST},
    thresholds=Thresholds,
    remedies=REMEDIES,
    examples=(
        _example("to a half", 0.5, True),
        _example("by a third", 0.67, True),
        _example("by a tenth", 0.9, False),
        _example("a dip that recovers", 0.5, False, until=55),
        _example("to a half, with completions twice as long", 0.5, False, longer=2.0),
        _example("to a half, with completions half as long", 0.5, True, longer=0.5),
    ),
)
def detect(facts: Facts, limits: Thresholds) -> Iterator[Finding]:
    speed, unit, clocked = _speed(facts)
    wanted = min(0.9, limits.drop * (CLOCK_RULE if clocked else 1.0))
    split, at_once = best_split(speed.value), True
    if split is None or not _stays_down(speed.value, split, wanted):
        split, at_once = _slide(speed.value, wanted), False
    if split is None:
        return
    left = split.after / split.before
    start = int(speed.step[split.index])
    yield Finding(
        severity="critical" if left < CRITICAL else "warning",
        confidence=(0.6 if clocked else 0.75) + 0.2 * min(1.0, (1 - left - wanted) / 0.3),
        metric=speed.metric,
        headline=f"speed fell by {percent(1 - left)} {'at' if at_once else 'little by little from'} step {start}"
        + f"{'' if at_once else ' on'}, from {split.before:,.4g} to {split.after:,.4g} {unit}, and stayed there"
        + (" (from the times of the train logs)" if clocked else ""),
        start_step=start,
        end_step=int(speed.step[-1]),
        measured=(
            Measured(
                name="drop",
                value=1 - left,
                unit="of the speed before",
                threshold=wanted,
                setting="throughput-drop.drop",
            ),
            Measured(name="before", value=split.before, unit=unit),
            Measured(name="after", value=split.after, unit=unit),
        ),
        evidence=(
            Span(metric=speed.metric, start_step=start, end_step=int(speed.step[-1]), label=f"{percent(1 - left)} slower"),
        )
        if clocked or speed.metric in TIMES
        else (
            Level(
                metric=speed.metric, value=split.before, start_step=int(speed.step[0]), end_step=start, label="before"
            ),
            Level(
                metric=speed.metric, value=split.after, start_step=start, end_step=int(speed.step[-1]), label="after"
            ),
        ),
    )


def _stays_down(speed: np.ndarray, split: Split, drop: float) -> bool:
    """Whether the later level is lower by `drop` beyond doubt: nearly all later levels and the last quarter are low, and
    nearly none was before (longer samples slow a run again and again).
    """
    middle = 0.5 * (split.before + split.after)
    certain = split.before - split.after >= CERTAIN * split.error
    earlier, later = (coarse(part, block_size(len(part), STRETCHES)) for part in np.split(speed, [split.index]))
    stays = np.median(speed[-max(3, len(speed) // 4) :]) < middle and np.mean(later < middle) >= HELD
    return bool(np.mean(earlier > middle) >= HELD and split.after <= (1 - drop) * split.before and certain and stays)


def _slide(speed: np.ndarray, drop: float) -> Split | None:
    """A speed that falls little by little: the levels of its first and last fifth, and where it had left the first one."""
    levels = np.array([np.median(part) for part in np.array_split(speed, PARTS)])
    fifth = max(2, len(speed) // 5)
    first, last = speed[:fifth], speed[-fifth:]
    before, after = float(np.median(first)), float(np.median(last))
    error = MEDIAN_COST * float(np.hypot(sigma_of(first), sigma_of(last))) / np.sqrt(fifth)
    steady = int(np.sum(np.diff(levels) < 0)) >= FALLING
    if not steady or after > (1 - drop) * before or before - after < CERTAIN * error:
        return None
    return Split(fifth, before, after, float(error))


def _speed(facts: Facts) -> tuple[Curve, str, bool]:
    """(speed, its unit, whether it was read off the clock). Raises NotApplicable when no speed can be told."""
    for metric in (*SPEEDS, *TIMES):
        curve = facts.levels(metric)
        curve = curve.take(curve.value > 0)
        if len(curve) >= FEWEST:
            per_second = metric.removeprefix("train/").replace("_per_second", "/s").replace("_", " ")
            if metric in SPEEDS:
                return curve, per_second, False
            return _by_length(facts, _replaced(curve, 1 / curve.value)), "steps/s", False
    clock = _clock(facts)
    if len(clock) < FEWEST:
        raise NotApplicable(
            "no speed was logged, and the times of the train logs are missing, too few or too short to tell it"
        )
    return _by_length(facts, clock), "steps/s", True


def _by_length(facts: Facts, speed: Curve) -> Curve:
    """Steps per second, in PPO and GRPO runs as if completions had not grown: a step takes as long as it writes."""
    length = facts.finite(LENGTH)
    if not len(length):
        return speed
    tokens = np.interp(speed.step, length.step, length.value)
    grown = tokens / max(float(np.median(tokens[: max(3, len(tokens) // 10)])), 1.0)
    return _replaced(speed, speed.value * np.maximum(1.0, grown))


def _clock(facts: Facts) -> Curve:
    """Steps per second between train logs: without intervals that hold an eval or a restart; empty when logs are too close."""
    loss = facts.curve("train/loss")
    loss = loss.take(np.isfinite(loss.wall_time))
    seconds, steps = np.diff(loss.wall_time), np.diff(loss.step)
    same = (np.diff(loss.segment) == 0) & (seconds > 0) & (steps > 0)
    first = np.searchsorted(facts.evals, loss.step[:-1], side="left")
    same &= first == np.searchsorted(facts.evals, loss.step[1:], side="right")
    if same.sum() < FEWEST or float(np.median(seconds[same])) < SHORTEST_LOG:
        return loss.take(np.zeros(len(loss), dtype=bool))
    after = loss.take(np.flatnonzero(same) + 1)
    return levels_of(_replaced(after, steps[same] / seconds[same]))


def _replaced(curve: Curve, value: np.ndarray) -> Curve:
    return Curve.of(curve.metric, curve.step, value)
