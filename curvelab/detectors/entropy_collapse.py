"""The policy stops exploring: its entropy falls to almost nothing.

What
----
In a PPO or GRPO run the entropy of the policy falls below 0.01, or to a twentieth of where it began, and stays there.

Why
---
A policy without entropy gives the same completion every time. All rewards of a group are equal then, and there is nothing
left to learn from.

Look-alikes
-----------
An entropy that halves while the reward rises: that is learning. Supervised and preference runs, where a low entropy is
what they are for: not applicable.

When it is wrong
----------------
On tasks with one short right answer, once they are solved.

Sources
-------
axolotl docs (entropy below 0.01); DAPO, arXiv 2503.14476 (entropy collapse and clip-higher).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from curvelab import synth
from curvelab.facts import Facts
from curvelab.model.finding import Change, Finding, Level, Measured, Span
from curvelab.model.run import Run
from curvelab.proposals import at_least, change, lower_rate, number, proposes, rate_can_fall
from curvelab.rules import Example, NotApplicable, Remedy, detector, threshold
from curvelab.signals.noise import running_median

WINDOW = 5  # logs whose median is the level
START = 0.1  # share of the logs, at least 3, that are where it began


@dataclass(frozen=True)
class Thresholds:
    entropy: float = threshold(
        0.01, unit="nats per token", low=0.0, high=10.0, source="definition of the pattern: 0.01",
        meaning="entropy below which the policy is deterministic",
    )  # fmt: skip
    left: float = threshold(
        0.05, unit="of the entropy at the start", low=0.0, high=1.0, source="judgement: a few percent",
        meaning="an entropy that fell to this share has collapsed, whatever its size",
    )  # fmt: skip


_varied = at_least("temperature", 0.8, "0.8 to 1.0 in the source; 1.0 taken", to=1.0, unknown=False)
_groups = at_least("num_generations", 16, "16 or more in the source", unknown=False)


def _more_variety(facts: Facts, finding: Finding) -> Iterator[Change]:
    yield from _varied(facts, finding)
    yield from _groups(facts, finding)


REMEDIES = (
    Remedy(
        title="Stop where the reward was at its best: nothing is left to explore",
        why="The reward had reached its end when the entropy fell; an entropy of {level:.3g} is then what is to be expected.",
        when_not="Harder tasks can be added.",
        cost="none",
        source="judgement",
        causes=("reward-solved",),
        applies=lambda facts, finding: any(c.name == "reward-solved" and c.weight == max(x.weight for x in finding.causes) for c in finding.causes),
    ),
    Remedy(
        title="Clip higher: {flag_epsilon_high} of 0.28",
        why="The usual upper clip keeps unlikely tokens from becoming likelier: the entropy fell from {before:.3g} to {level:.3g}.",
        when_not="The entropy began to fall only when the reward was at its maximum.",
        cost="rerun",
        source="dapo",
        propose=at_least("epsilon_high", 0.28, "0.28 in the source"),
        applies=lambda facts, finding: (number(facts, "epsilon_high") or 0.0) < 0.28,
        causes=("no-exploration",),
    ),
    Remedy(
        title="Sample with more variety: {flag_temperature} of 0.8 to 1.0, {flag_num_generations} of 16 or more",
        why="Equal completions get equal rewards; variety is what policy gradients learn from.",
        when_not="The reward is at its maximum: then the run is done.",
        cost="rerun",
        source="axolotl-stability",
        propose=_more_variety,
        applies=proposes(_more_variety),
        causes=("no-exploration",),
    ),
    Remedy(
        title="Lower {flag_learning_rate}",
        why="Entropy went from {before:.3g} to {level:.3g} faster than the policy could explore.",
        when_not="The reward hardly moves.",
        cost="rerun",
        source=("axolotl-stability", "judgement"),
        propose=lower_rate(3, "2 to 5x in the source for unstable runs; 3x taken"),
        applies=rate_can_fall,
        causes=("rate-too-high",),
    ),
    Remedy(
        title="Add a KL term: {flag_beta} above 0",
        why="Near its reference a policy keeps the entropy of the reference.",
        when_not="The recipe leaves the KL term out on purpose.",
        cost="rerun",
        source=("axolotl-stability", "judgement"),
        propose=lambda facts, finding: change(facts, "beta", 0.01, "judgement", "a weak term; the source gives no number", "up"),
        applies=lambda facts, finding: number(facts, "beta") == 0,
        causes=("no-exploration",),
    ),
)


def _example(name: str, end: float, fires: bool, reward: bool = True) -> Example:
    def build() -> Run:
        x = np.linspace(0, 1, 80)
        entropy = end + (1.0 - end) * np.exp(-10 * x) * np.exp(synth.noise(80, 0.05, seed=20))
        more = {"train/entropy": entropy, **({"train/reward": x} if reward else {})}
        return synth.run_of(0.01 * synth.noise(80, 1.0), more=more)

    return Example(name, build, fires=fires, onset=(80, 300) if fires else None)


@detector(
    title="Entropy collapse",
    kind="run",
    needs={"train/entropy": 8},
    thresholds=Thresholds,
    remedies=REMEDIES,
    examples=(
        _example("to nothing", 0.001, True),
        _example("to a fiftieth", 0.02, True),
        _example("to a half", 0.5, False),
        _example("to an eighth", 0.125, False),
        _example("supervised", 0.001, False, reward=False),
    ),
)
def detect(facts: Facts, limits: Thresholds) -> Iterator[Finding]:
    if not facts.reinforced:
        raise NotApplicable("no reward was logged: in supervised and preference tuning a low entropy is no fault")
    curve = facts.levels("train/entropy")
    before = float(np.median(curve.value[: max(3, int(START * len(curve)))]))
    limit = max(limits.entropy, limits.left * before)
    low = running_median(curve.value, WINDOW) < limit
    if not low[-WINDOW:].all():
        return
    high = np.flatnonzero(~low)
    place = int(high[-1]) + 1 if len(high) else 0
    start, end = int(curve.step[place]), int(curve.step[-1])
    level = float(np.median(curve.value[place:]))
    yield Finding(
        severity="warning",
        confidence=0.65 + 0.25 * min(1.0, 1 - level / limit if limit > 0 else 1.0),
        metric=curve.metric,
        headline=f"the policy's entropy fell from {before:.3g} to {level:.3g} and has stayed there since step {start}: it no longer explores",
        start_step=start,
        end_step=end,
        measured=(
            Measured(
                name="level", value=level, unit="nats per token", threshold=limit, setting="entropy-collapse.entropy"
            ),
            Measured(name="before", value=before, unit="nats per token"),
        ),
        evidence=(
            Level(metric=curve.metric, value=limit, label=f"{limit:.3g}"),
            Span(metric=curve.metric, start_step=start, end_step=end, label="collapsed"),
        ),
    )
