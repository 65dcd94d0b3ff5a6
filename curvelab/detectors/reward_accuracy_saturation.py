"""Chosen and rejected are told apart almost perfectly early on: the rest of the preference run only widens margins.

What
----
rewards/accuracies stays above 0.95 from the first half of the run on.

Why
---
From there on the pairs teach nothing new. The loss goes on falling by making rejected answers ever less likely, which is
over-optimisation. It also happens when the pairs differ in something trivial, such as their length or template.

Look-alikes
-----------
Single batches with an accuracy of 1. A run that gets there at its end.

When it is wrong
----------------
On easy but useful data, when the run ends soon after.

Sources
-------
axolotl docs, Training Stability & Debugging; arXiv 2406.02900; TRL docs, logged metrics.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from curvelab import synth
from curvelab.facts import Facts
from curvelab.model.finding import Change, Finding, Level, Measured, Span
from curvelab.model.percent import percent
from curvelab.model.run import Run
from curvelab.proposals import no_longer_than, proposes, scaled
from curvelab.rules import Example, Remedy, detector, threshold
from curvelab.signals.noise import running_median

WINDOW = 5  # logs whose median is the level: an accuracy of one small batch is coarse (judgement)
HELD = 0.9  # share of the logs from there on that must stay as high (judgement)


@dataclass(frozen=True)
class Thresholds:
    accuracy: float = threshold(
        0.95, unit="of the pairs", low=0.5, high=1.0, source="definition of the pattern: 0.95",
        meaning="reward accuracy above which nothing is left to learn from the pairs",
    )  # fmt: skip
    early: float = threshold(
        0.5, unit="of the run", low=0.0, high=1.0, source="judgement: half of the steps taught nothing",
        meaning="how soon that is reached",
    )  # fmt: skip


FURTHER = 1.2  # times the step of saturation at which to stop: a little beyond it (judgement)
AT_ONCE = 0.1  # share of the run: pairs that are told apart by then were so from the start, and no length mends that (judgement)
_beta = scaled("beta", 2, "twice the run's own; the source gives no number")


def _stop(facts: Facts, finding: Finding) -> Iterator[Change]:
    step = round(FURTHER * (finding.start_step or 0))
    yield from no_longer_than(facts, step, f"a fifth beyond step {finding.start_step}, where the accuracy came to stay")


def _at_once(facts: Facts, finding: Finding) -> bool:
    return any(m.name == "reached" and m.value < AT_ONCE for m in finding.measured)


REMEDIES = (
    Remedy(
        title="Check what tells the pairs apart: length, template, language, a marker in one of them",
        why="An accuracy of {level:.0%} after {reached:.0%} of the run says that the pairs are easy.",
        when_not="The pairs were checked.",
        cost="none",
        source="judgement",
    ),
    Remedy(
        title="Stop earlier, soon after step {start_step}",
        why="What follows widens margins only.",
        when_not="The metric that matters still improves there.",
        cost="rerun",
        source=("arxiv-2406-02900", "judgement"),
        propose=_stop,
        applies=lambda facts, finding: not _at_once(facts, finding),
    ),
    Remedy(
        title="Choose harder pairs: drop those that the reference model tells apart already",
        why="The pairs were told apart from step {start_step} on, {reached:.0%} into the run: there was nothing to learn from them.",
        when_not="A marker in one of the two answers gives them away: mend that first.",
        cost="rerun",
        source="judgement",
        applies=_at_once,
    ),
    Remedy(
        title="Raise {flag_beta}, which lets the margins grow less",
        why="Once the pairs are told apart, the loss falls by leaving the reference; a higher weight makes that dearer.",
        when_not="The chosen log-probability is stable.",
        cost="rerun",
        source=("arxiv-2406-02900", "judgement"),
        propose=_beta,
        applies=lambda facts, finding: facts.setting("beta") is None or proposes(_beta)(facts, finding),
    ),
)


def _example(name: str, speed: float, top: float, fires: bool) -> Example:
    def build() -> Run:
        x = np.linspace(0, 1, 80)
        accuracy = np.clip(top - (top - 0.5) * np.exp(-speed * x) + synth.noise(80, 0.01, seed=18), 0, 1)
        return synth.run_of(0.69 * np.exp(-x), more={"train/rewards/accuracies": accuracy})

    return Example(name, build, fires=fires, onset=(40, 200) if fires else None)


@detector(
    title="Reward accuracy saturation",
    kind="run",
    needs={"train/rewards/accuracies": 10},
    thresholds=Thresholds,
    remedies=REMEDIES,
    examples=(
        _example("after a quarter of the run", 12, 0.99, True),
        _example("at the end only", 3, 0.985, False),
        _example("at three quarters of the pairs", 12, 0.75, False),
    ),
)
def detect(facts: Facts, limits: Thresholds) -> Iterator[Finding]:
    curve = facts.levels("train/rewards/accuracies")
    high = running_median(curve.value, WINDOW) > limits.accuracy
    share = np.cumsum(high[::-1])[::-1] / np.arange(len(high), 0, -1)
    saturated = high & (share >= HELD)
    if not saturated.any():
        return
    place = int(np.argmax(saturated))
    start, first = int(curve.step[place]), facts.run.first_step or 0
    reached = (start - first) / facts.length
    if reached > limits.early:
        return
    level = float(np.median(curve.value[place:]))
    yield Finding(
        severity="warning",
        confidence=0.6 + 0.25 * min(1.0, (limits.early - reached) / 0.5),
        metric=curve.metric,
        headline=f"reward accuracy has stood at {level:.3g} since step {start}, after {percent(reached)} of the run: the pairs teach nothing more",
        start_step=start,
        end_step=int(curve.step[-1]),
        measured=(
            Measured(
                name="level",
                value=level,
                unit="of the pairs",
                threshold=limits.accuracy,
                setting="reward-accuracy-saturation.accuracy",
            ),
            Measured(
                name="reached",
                value=reached,
                unit="of the run",
                threshold=limits.early,
                setting="reward-accuracy-saturation.early",
            ),
        ),
        evidence=(
            Level(metric=curve.metric, value=limits.accuracy, label=f"{limits.accuracy:g}"),
            Span(metric=curve.metric, start_step=start, end_step=int(curve.step[-1]), label="saturated"),
        ),
    )
