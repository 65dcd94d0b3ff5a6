"""Most groups of completions get the same reward: there is nothing to learn from.

What
----
frac_reward_zero_std, the share of prompts whose completions all have one reward, stays above 0.8 over the last half of a
GRPO run; or reward_std, the spread of all rewards of a step, is zero but for rounding.

Why
---
The advantage is the distance from the group's mean. When all rewards of a group are equal, it is zero, and generation was
paid for without a gradient.

Look-alikes
-----------
Single batches of easy or hard prompts. A share that rises to a half while the reward rises.

When it is wrong
----------------
At the end of a run that has solved its task, where every completion is right. The headline gives the level of the reward.

Sources
-------
definition of the pattern: 0.8; DAPO, arXiv 2503.14476 (dynamic sampling); TRL docs, GRPOTrainer logged metrics.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from curvelab import synth
from curvelab.facts import Facts
from curvelab.model.finding import Change, Finding, Level, Measured, Span
from curvelab.model.percent import percent
from curvelab.model.run import Curve, Run
from curvelab.proposals import at_least, lower_rate, proposes, rate_can_fall
from curvelab.rules import Example, NotApplicable, Remedy, detector, threshold
from curvelab.signals.noise import running_median

SHARE, SPREAD = "train/frac_reward_zero_std", "train/reward_std"
WINDOW = 5  # logs whose median is the level: few groups a step make the share coarse
FEWEST = 8
FELL = 0.25  # of the reward before: a fall by this is a policy that broke (judgement)
ROUNDING = 1e-6  # of the reward: a spread of no more is float32 rounding


@dataclass(frozen=True)
class Thresholds:
    share: float = threshold(
        0.8, unit="of the groups", low=0.0, high=1.0, source="definition of the pattern: 0.8",
        meaning="share of groups with equal rewards, over the last half of the run",
    )  # fmt: skip


_groups = at_least("num_generations", 16, "16 or more in the source")
_varied = at_least("temperature", 0.8, "0.8 to 1.0 in the source; 1.0 taken", to=1.0, unknown=False)


def _more_variety(facts: Facts, finding: Finding) -> Iterator[Change]:
    yield from _groups(facts, finding)
    yield from _varied(facts, finding)


def _broke(facts: Facts, finding: Finding) -> bool:
    """Whether the groups differed until the reward fell: the policy broke under its learning rate, the reward works."""
    reward, start = facts.levels("train/reward"), finding.start_step or 0
    before, after = reward.value[reward.step < start], reward.value[reward.step >= start]
    if len(before) < WINDOW or len(after) < WINDOW:
        return False
    level = float(np.median(before))
    return float(np.median(after)) <= level - FELL * abs(level) and rate_can_fall(facts, finding)


def _never_was(facts: Facts, finding: Finding) -> bool:
    return not _broke(facts, finding)


REMEDIES = (
    Remedy(
        title="Lower {flag_learning_rate} by 2 to 5x",
        why="There was a signal until step {start_step}; then the reward fell to {reward:.3g} and all completions were alike: the policy broke.",
        when_not="Something else changed at that step.",
        cost="rerun",
        source=("axolotl-stability", "judgement"),
        propose=lower_rate(5, "2 to 5x in the source for unstable runs; 5x taken, for the policy did not come back"),
        applies=_broke,
    ),
    Remedy(
        title="Run the reward function alone, on completions that are known to be right and wrong",
        why="A reward of {reward:.3g} for nearly every completion may be the function's fault and not the policy's.",
        when_not="It was tested.",
        cost="none",
        source="axolotl-stability",
        applies=_never_was,
    ),
    Remedy(
        title="Choose prompts of middle difficulty: drop those that are always or never solved (dynamic sampling)",
        why="{share:.0%} of the groups gave no gradient.",
        when_not="The task is solved: then stop.",
        cost="rerun",
        source="dapo",
        applies=_never_was,
    ),
    Remedy(
        title="Sample more and with more variety: {flag_num_generations} of 16 or more, {flag_temperature} of 0.8 to 1.0",
        why="More and more varied completions are less often all alike.",
        when_not="The reward function itself gives the same value to everything: check it first.",
        cost="rerun",
        source="axolotl-stability",
        propose=_more_variety,
        applies=lambda facts, finding: _never_was(facts, finding) and proposes(_more_variety)(facts, finding),
    ),
    Remedy(
        title="Grade the reward: partial credit, format and correctness apart",
        why="A reward of 0 or 1 that is hardly ever reached says nothing about better and worse.",
        when_not="Partial credit would be gamed.",
        cost="rerun",
        source="judgement",
        applies=_never_was,
    ),
)


def _example(name: str, level: float, fires: bool, spread: float = 0.1) -> Example:
    def build() -> Run:
        share = np.clip(level + synth.noise(60, 0.08, seed=26), 0, 1)
        more = {SHARE: share, SPREAD: np.full(60, spread), "train/reward": np.full(60, 0.2)}
        return synth.run_of(0.01 * synth.noise(60, 1.0), more=more)

    return Example(name, build, fires=fires, onset=(5, 20) if fires else None)


@detector(
    title="No learning signal",
    kind="run",
    needs={"train/reward": FEWEST},
    thresholds=Thresholds,
    remedies=REMEDIES,
    examples=(
        _example("nearly all groups alike", 0.95, True),
        _example("half of them", 0.5, False),
        _example("two thirds", 0.67, False),
        _example("a spread of rounding errors", 0.0, True, spread=1.5e-8),
    ),
    yields_to=("entropy-collapse", "length-explosion"),  # equal completions, or none with its end, get equal rewards
)
def detect(facts: Facts, limits: Thresholds) -> Iterator[Finding]:
    curve = _equal_groups(facts)
    share = float(np.median(curve.value[len(curve) // 2 :]))
    if share <= limits.share:
        return
    low = np.flatnonzero(running_median(curve.value, WINDOW) <= limits.share)
    place = min(int(low[-1]) + 1 if len(low) else 0, len(curve) - 1, len(curve) // 2)
    start, end = int(curve.step[place]), int(curve.step[-1])
    reward = facts.levels("train/reward")
    level = float(np.median(reward.value[len(reward) // 2 :]))
    yield Finding(
        severity="warning",
        confidence=0.7 + 0.25 * (share - limits.share) / max(1e-9, 1 - limits.share),
        metric=curve.metric,
        headline=f"{percent(share)} of the groups have had completions with equal rewards since step {start} (reward {level:.3g}): they give no gradient",
        start_step=start,
        end_step=end,
        measured=(
            Measured(
                name="share",
                value=share,
                unit="of the groups",
                threshold=limits.share,
                setting="no-learning-signal.share",
            ),
            Measured(name="reward", value=level),
        ),
        evidence=(
            *(
                (Level(metric=curve.metric, value=limits.share, label=f"{limits.share:g}"),)
                if curve.metric == SHARE
                else ()
            ),
            Span(metric=curve.metric, start_step=start, end_step=end, label="no gradient"),
        ),
    )


def _equal_groups(facts: Facts) -> Curve:
    """The share of groups with equal rewards, as logged; 1 where the rewards of all groups have no spread.

    A spread of rounding errors is none, and then the logged share may be 0: TRL compares it with zero to 1e-8, and
    the standard deviation of eight rewards of 0.2 in float32 is 1.6e-8.
    """
    share, spread, reward = facts.levels(SHARE), facts.levels(SPREAD), facts.levels("train/reward")
    if len(share) < FEWEST and len(spread) < FEWEST:
        raise NotApplicable(f"neither {SHARE} nor {SPREAD} was logged")
    size = np.abs(np.interp(spread.step, reward.step, reward.value))
    equal = spread.step[spread.value <= ROUNDING * size]
    if len(share) < FEWEST:
        return Curve.of(SPREAD, spread.step, np.isin(spread.step, equal).astype(np.float64))
    return Curve.of(SHARE, share.step, np.where(np.isin(share.step, equal), 1.0, share.value))
