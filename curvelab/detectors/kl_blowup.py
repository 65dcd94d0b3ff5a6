"""The policy runs away from its reference: the KL divergence passes its limit and stays there.

What
----
The level of train/kl stands above 2 (a mean over tokens or an estimate of that size, as GRPO logs it) to the end of the
log, or for a fifth of it. TRL's PPO logs objective/kl, a sum over the completion: there the limit is 20.

Why
---
Far from the reference, the reward model is asked about texts that it never saw, and language quality is no longer held
by anything.

Look-alikes
-----------
A short burst that comes back. A KL that rises slowly with the reward and stays small. Training without a KL term (beta 0),
where most trainers log no KL.

When it is wrong
----------------
Reasoning recipes without a KL penalty let it grow on purpose; judge by samples then.

Sources
-------
TRL training FAQ; axolotl docs (KL above 2); arXiv 2210.10760 (reward over-optimisation against KL).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from curvelab import synth
from curvelab.facts import Facts
from curvelab.model.finding import Finding, Level, Measured, Span
from curvelab.model.run import Run
from curvelab.proposals import lower_rate, proposes, rate_can_fall, scaled
from curvelab.rules import Example, Remedy, detector, threshold
from curvelab.signals.episodes import episodes
from curvelab.signals.noise import running_median

WINDOW = 5  # logs whose median is the level
SUMMED = "objective/kl"  # TRL's PPO sums over the completion


@dataclass(frozen=True)
class Thresholds:
    kl: float = threshold(
        2.0, unit="nats", low=0.0, high=1e6, source="definition of the pattern: 2 (GRPO)",
        meaning="KL divergence from the reference that is too far",
    )  # fmt: skip
    summed: float = threshold(
        20.0, unit="nats per completion", low=0.0, high=1e6, source="judgement: arXiv 2210.10760 sees the reward turn at 10 or more",
        meaning="the same where the log holds a sum over the completion (PPO's objective/kl)",
    )  # fmt: skip
    share: float = threshold(
        0.2, unit="of the logs", low=0.0, high=1.0, source="judgement",
        meaning="how long a KL that comes back must have been too high",
    )  # fmt: skip


_beta = scaled("beta", 2, "twice the run's own; the source gives no number")

REMEDIES = (
    Remedy(
        title="Raise {flag_beta}, the weight of the KL term",
        why="The KL reached {level:.3g} against a limit of {limit:g}: the penalty is too weak for this learning rate.",
        when_not="The KL jumped in one step: then look at that batch and the rate first.",
        cost="rerun",
        source=("trl-faq", "arxiv-2210-10760", "judgement"),
        propose=_beta,
        applies=lambda facts, finding: facts.setting("beta") is None or proposes(_beta)(facts, finding),
        causes=("beta-too-low",),
    ),
    Remedy(
        title="Go back to the last checkpoint before step {start_step}",
        why="A policy that has left its reference does not come back by itself.",
        when_not="Samples from the end are still good.",
        cost="resume",
        source="judgement",
        applies=lambda facts, finding: facts.saves and (finding.start_step or 0) > (facts.run.first_step or 0),
    ),
    Remedy(
        title="Lower {flag_learning_rate}",
        why="The policy came to a KL of {level:.3g} by step {end_step}: each of its steps is too long.",
        when_not="The reward hardly moves.",
        cost="rerun",
        source=("axolotl-stability", "judgement"),
        propose=lower_rate(3, "2 to 5x in the source for unstable runs; 3x taken"),
        applies=rate_can_fall,
        causes=("rate-too-high",),
    ),
)


def _example(name: str, end: float, fires: bool) -> Example:
    def build() -> Run:
        x = np.linspace(0, 1, 80)
        kl = 0.02 + end * np.clip(x - 0.4, 0, None) / 0.6 * np.exp(synth.noise(80, 0.1, seed=19))
        if name == "a short burst":
            kl[30:36] += 5
        return synth.run_of(0.01 * synth.noise(80, 1.0), more={"train/kl": kl, "train/reward": x})

    return Example(name, build, fires=fires, onset=(160, 400) if fires else None)


@detector(
    title="KL blow-up",
    kind="run",
    needs={"train/kl": 8},
    thresholds=Thresholds,
    remedies=REMEDIES,
    examples=(
        _example("up to 12", 12.0, True),
        _example("up to 4", 4.0, True),
        _example("up to 0.5", 0.5, False),
        _example("a short burst", 0.3, False),
    ),
)
def detect(facts: Facts, limits: Thresholds) -> Iterator[Finding]:
    curve = facts.levels("train/kl")
    summed = any(raw.endswith(SUMMED) for raw in facts.curve("train/kl").raw_names)
    limit = limits.summed if summed else limits.kl
    level = running_median(curve.value, WINDOW)
    parts = episodes(level > limit, gap=1)
    lasting = [
        (a, b)
        for a, b in parts
        if b - a + 1 >= limits.share * len(level) or (b == len(level) - 1 and b - a + 1 >= WINDOW)
    ]
    if not lasting:
        return
    first, last = lasting[0][0], lasting[-1][1]
    high = float(np.median(curve.value[first : last + 1]))
    start, end = int(curve.step[first]), int(curve.step[last])
    yield Finding(
        severity="critical" if high >= 5 * limit else "warning",
        confidence=0.65 + 0.25 * min(1.0, (high / limit - 1) / 2),
        metric=curve.metric,
        headline=f"KL from the reference passed {limit:g} at step {start} and stood at {high:.3g} "
        + ("to the end" if last == len(level) - 1 else f"until step {end}"),
        start_step=start,
        end_step=end,
        measured=(
            Measured(
                name="level",
                value=high,
                unit="nats",
                threshold=limit,
                setting="kl-blowup.summed" if summed else "kl-blowup.kl",
            ),
        ),
        also={"limit": limit},
        evidence=(
            Level(metric=curve.metric, value=limit, label=f"limit {limit:g}"),
            Span(metric=curve.metric, start_step=start, end_step=end, label="too far"),
        ),
    )
