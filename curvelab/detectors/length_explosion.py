"""Completions run away in length, or run into the limit.

What
----
In a PPO or GRPO run more than 30 % of the completions are cut off at the maximum length, or their mean length doubles
without a rise of the reward.

Why
---
A completion that is cut off has no end token and mostly no reward: it teaches noise. Long completions also cost the most
time of the run.

Look-alikes
-----------
Reasoning runs in which length and reward grow together and nothing is cut off.

When it is wrong
----------------
When the limit was set low on purpose, to push the policy towards short answers.

Sources
-------
definition of the pattern: clipped completions above 0.3, critical above 0.8; axolotl docs; TRL docs, GRPOTrainer logged metrics.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from curvelab import synth
from curvelab.facts import Facts
from curvelab.model.finding import Finding, Level, Measured, Span
from curvelab.model.percent import percent
from curvelab.model.run import Curve, Run
from curvelab.proposals import scaled, switched
from curvelab.rules import Example, Remedy, detector, threshold
from curvelab.signals.level import MEDIAN_COST, noise_of
from curvelab.signals.noise import running_median

LENGTH, CLIPPED = "train/completions/mean_length", "train/completions/clipped_ratio"
WINDOW = 5  # logs whose median is the level
START = 0.1  # share of the logs, at least 3, that are where it began
LATE = 0.25  # share of the logs, at least 5, that are where it ended
CERTAIN = 4.0  # standard errors of a rise (judgement)


@dataclass(frozen=True)
class Thresholds:
    clipped: float = threshold(
        0.3, unit="of the completions", low=0.0, high=1.0, source="definition of the pattern: 0.3",
        meaning="share of completions that are cut off at the maximum length",
    )  # fmt: skip
    mostly: float = threshold(
        0.8, unit="of the completions", low=0.0, high=1.0, source="definition of the pattern: 0.8",
        meaning="share of completions cut off that is critical",
    )  # fmt: skip
    longer: float = threshold(
        2.0, unit="times the length at the start", low=1.0, high=1000.0, source="judgement: twice",
        meaning="growth of the mean length that the reward must explain",
    )  # fmt: skip


def _cut_off(facts: Facts, finding: Finding) -> bool:
    return any(m.name == "clipped" for m in finding.measured)


REMEDIES = (
    Remedy(
        title="Leave cut-off completions out of the loss: {flag_mask_truncated_completions}",
        why="{clipped:.0%} of the completions have no end and so no honest reward.",
        when_not="Being short is part of the task.",
        cost="rerun",
        source=("dapo", "trl-grpo"),
        propose=switched("mask_truncated_completions", True, "called overlong filtering in the source"),
        applies=lambda facts, finding: _cut_off(facts, finding) and facts.setting("mask_truncated_completions") is not True,
    ),
    Remedy(
        title="Read completions of the start and of the end side by side: do they repeat themselves?",
        why="Length alone does not say whether the policy thinks longer or rambles.",
        when_not="They were read.",
        cost="none",
        source="trl-faq",
    ),
    Remedy(
        title="Penalise length softly near the limit, or take length out of the reward",
        why="A policy that is paid for long answers gives long answers: {times:.1f} times as long as at the start.",
        when_not="Long answers earn their reward.",
        cost="rerun",
        source="dapo",
        applies=lambda facts, finding: not _cut_off(facts, finding),
    ),
    Remedy(
        title="Give the completions more room ({flag_max_completion_length})",
        why="Right answers may simply need more tokens.",
        when_not="The completions repeat themselves: then the limit is not the fault.",
        cost="rerun",
        source=("axolotl-stability", "judgement"),
        propose=scaled("max_completion_length", 2, "twice the run's own; the source gives no number"),
        alternative=True,
        applies=_cut_off,
    ),
)


def _example(name: str, longer: float, clipped: float, reward: float, fires: bool) -> Example:
    def build() -> Run:
        x = np.linspace(0, 1, 80)
        more = {
            "train/reward": 0.3 + reward * x + synth.noise(80, 0.03, seed=23),
            LENGTH: 200 * (1 + (longer - 1) * x) + synth.noise(80, 8, seed=24),
            CLIPPED: np.clip(clipped * x + synth.noise(80, 0.01, seed=25), 0, 1),
        }
        return synth.run_of(0.01 * synth.noise(80, 1.0), more=more)

    return Example(name, build, fires=fires)


@detector(
    title="Length explosion",
    kind="run",
    needs={LENGTH: 8},
    thresholds=Thresholds,
    remedies=REMEDIES,
    examples=(
        _example("cut off", 2.5, 0.9, 0.3, True),
        _example("longer for nothing", 3.5, 0.0, 0.0, True),
        _example("longer and better", 3.5, 0.0, 0.5, False),
        _example("level", 1.0, 0.0, 0.3, False),
        _example("a few are cut off", 1.2, 0.2, 0.3, False),
    ),
)
def detect(facts: Facts, limits: Thresholds) -> Iterator[Finding]:
    length, clipped = facts.levels(LENGTH), facts.levels(CLIPPED)
    late = float(np.median(clipped.value[-max(5, int(LATE * len(clipped))) :])) if len(clipped) >= 8 else 0.0
    before, after = _levels(length)
    times = after / before if before > 0 else 0.0
    if late >= limits.clipped:
        low = running_median(clipped.value, WINDOW) < limits.clipped
        place = min(int(np.flatnonzero(low)[-1]) + 1 if low.any() else 0, len(clipped) - 1)
        yield Finding(
            severity="critical" if late >= limits.mostly else "warning",
            confidence=0.85,
            metric=CLIPPED,
            headline=f"{percent(late)} of the completions are cut off at the maximum length, "
            f"many since step {int(clipped.step[place])} (mean length {after:.4g})",
            start_step=int(clipped.step[place]),
            end_step=int(clipped.step[-1]),
            measured=(
                Measured(
                    name="clipped",
                    value=late,
                    unit="of the completions",
                    threshold=limits.clipped,
                    setting="length-explosion.clipped",
                ),
                Measured(name="times", value=times, unit="times the length at the start"),
            ),
            evidence=(
                Level(metric=CLIPPED, value=limits.clipped, label=f"{limits.clipped:g}"),
                _span(clipped, place, "cut off"),
            ),
        )
    elif times >= limits.longer and _rises(length) and not _rises(facts.levels("train/reward")):
        place = int(np.argmax(running_median(length.value, WINDOW) >= 0.5 * (before + after)))
        yield Finding(
            severity="warning",
            confidence=0.55 + 0.2 * min(1.0, times / limits.longer - 1),
            metric=LENGTH,
            headline=f"completions grew from {before:.4g} to {after:.4g} tokens ({times:.1f} times) and the reward did not rise with them",
            start_step=int(length.step[place]),
            end_step=int(length.step[-1]),
            measured=(
                Measured(
                    name="times",
                    value=times,
                    unit="times the length at the start",
                    threshold=limits.longer,
                    setting="length-explosion.longer",
                ),
            ),
            evidence=(
                Level(metric=LENGTH, value=before, label=f"start {before:.4g}"),
                _span(length, place, f"{times:.1f}x"),
            ),
        )


def _levels(curve: Curve) -> tuple[float, float]:
    value = curve.value
    first, last = value[: max(3, int(START * len(value)))], value[-max(5, int(LATE * len(value))) :]
    return float(np.median(first)), float(np.median(last))


def _rises(curve: Curve) -> bool:
    """Whether a metric ends above its start beyond its noise."""
    if len(curve) < 8:
        return False
    before, after = _levels(curve)
    firsts, lasts = max(3, int(START * len(curve))), max(5, int(LATE * len(curve)))
    error = MEDIAN_COST * noise_of(curve.value) * float(np.sqrt(1 / firsts + 1 / lasts))
    return after - before > CERTAIN * error


def _span(curve: Curve, place: int, label: str) -> Span:
    return Span(metric=curve.metric, start_step=int(curve.step[place]), end_step=int(curve.step[-1]), label=label)
