"""The reward rises together with a runaway length or KL: it may be bought and not earned.

What
----
Over a PPO or GRPO run the reward rises clearly, and over the same steps the completions become half as long again, or
the KL divergence from the reference grows fivefold to a size that counts. Told as information: only samples can say.

Why
---
Rewards that grow with length or with odd texts are gamed. The number rises and the answers do not improve.

Look-alikes
-----------
Reasoning runs, whose answers become longer because they are better. A KL that rises from zero to a small value, which
every policy does that learns.

When it is wrong
----------------
It is a hint by its nature. Read twenty completions from the end of the run.

Sources
-------
arXiv 2210.10760 (reward over-optimisation); TRL training FAQ.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from curvelab import synth
from curvelab.facts import Facts
from curvelab.model.finding import Finding, Measured, Trend
from curvelab.model.run import Curve, Run
from curvelab.proposals import Applies, scaled
from curvelab.rules import Example, NotApplicable, Remedy, detector, threshold
from curvelab.signals.level import MEDIAN_COST, noise_of

LENGTH = "train/completions/mean_length"
FEW = 20  # the first and the last twentieth, at least three logs, are what the sentences name
THIRD = 3  # the first and the last third are compared
CERTAIN = 4.0  # standard errors of a rise (judgement)
KL_COUNTS = 0.5  # nats; a smaller KL is no distance, however fast it grew (judgement)


@dataclass(frozen=True)
class Thresholds:
    longer: float = threshold(
        0.5, unit="of the length at the start", low=0.05, high=100.0, source="judgement: half as long again",
        meaning="growth of the completions that goes with the reward",
    )  # fmt: skip
    kl: float = threshold(
        5.0, unit="times the KL at the start", low=1.0, high=1e6, source="judgement: fivefold",
        meaning="growth of the KL that goes with the reward",
    )  # fmt: skip


def _grew(name: str) -> Applies:
    return lambda facts, finding: any(m.name == name for m in finding.measured)


REMEDIES = (
    Remedy(
        title="Read completions from the start and the end of the run side by side",
        why="The reward rose by {reward_rise:.3g}; whether it was earned shows in the text alone.",
        when_not="They were read before; it takes ten minutes.",
        cost="none",
        source="trl-faq",
    ),
    Remedy(
        title="Take length out of the reward, or penalise it (soft overlong punishment)",
        why="The completions became {length_growth:.0%} longer, and a reward that grows with length is the easiest one to game.",
        when_not="Long answers are what the task needs.",
        cost="rerun",
        source="dapo",
        applies=_grew("length_growth"),
    ),
    Remedy(
        title="Raise {flag_beta}, the weight of the KL term",
        why="The KL grew {kl_growth:.3g}-fold; the term holds the policy where the reward model can judge.",
        when_not="Samples from the end are good.",
        cost="rerun",
        source=("arxiv-2210-10760", "judgement"),
        propose=scaled("beta", 2, "twice the run's own; the source gives no number"),
        applies=_grew("kl_growth"),
    ),
)


def _example(name: str, reward: float, longer: float, fires: bool) -> Example:
    def build() -> Run:
        x = np.linspace(0, 1, 90)
        more = {
            "train/reward": 0.3 + reward * x + synth.noise(90, 0.03, seed=21),
            LENGTH: 200 * (1 + longer * x) + synth.noise(90, 8, seed=22),
        }
        return synth.run_of(0.01 * synth.noise(90, 1.0), more=more)

    return Example(name, build, fires=fires)


@detector(
    title="Reward hacking",
    kind="run",
    needs={"train/reward": 15},
    thresholds=Thresholds,
    remedies=REMEDIES,
    examples=(
        _example("reward and length rise", 0.5, 1.5, True),
        _example("reward rises, length stays", 0.5, 0.0, False),
        _example("length rises, reward stays", 0.0, 1.5, False),
    ),
)
def detect(facts: Facts, limits: Thresholds) -> Iterator[Finding]:
    reward, length, kl = facts.levels("train/reward"), facts.levels(LENGTH), facts.levels("train/kl")
    if len(length) < 15 and len(kl) < 15:
        raise NotApplicable("neither completion length nor KL was logged beside the reward")
    if _rise(reward) is None:
        return
    before, after = _ends(reward)
    causes: list[tuple[str, str, float, Curve, float, float]] = []
    for name, word, curve, wanted, least in (
        ("length_growth", "length", length, 1 + limits.longer, 0.0),
        ("kl_growth", "KL", kl, limits.kl, KL_COUNTS),
    ):
        levels = _rise(curve)
        if levels and levels[1] >= max(wanted * max(levels[0], 0.0), least) and levels[1] > 0:
            causes.append((name, word, levels[1] / max(levels[0], 1e-9), curve, *_ends(curve)))
    if not causes:
        return
    words = " and ".join(f"{word} from {low:.3g} to {high:.3g}" for _, word, _, _, low, high in causes)
    yield Finding(
        severity="info",
        confidence=0.4 + 0.1 * (len(causes) == 2),
        metric=reward.metric,
        headline=f"the reward rose from {before:.3g} to {after:.3g} together with {words}: read samples before you trust it",
        start_step=int(reward.step[0]),
        end_step=int(reward.step[-1]),
        measured=(
            Measured(name="reward_rise", value=after - before),
            *(
                Measured(
                    name=name,
                    value=times - 1 if name == "length_growth" else times,
                    unit="of the first third, in the last" if name == "length_growth" else "times that of the first third, in the last",
                    threshold=limits.longer if name == "length_growth" else limits.kl,
                    setting=f"reward-hacking.{'longer' if name == 'length_growth' else 'kl'}",
                )
                for name, _, times, _, _, _ in causes
            ),
        ),
        evidence=tuple(
            _trend(c, low, high)
            for c, low, high in ((reward, before, after), *((c, low, high) for *_, c, low, high in causes))
        ),
    )


def _rise(curve: Curve) -> tuple[float, float] | None:
    """(first third, last third) of a metric that rises beyond its noise, or None."""
    if len(curve) < 15:
        return None
    third = len(curve) // THIRD
    before, after = float(np.median(curve.value[:third])), float(np.median(curve.value[-third:]))
    error = MEDIAN_COST * noise_of(curve.value) * float(np.sqrt(2 / third))
    return (before, after) if after - before > CERTAIN * error else None


def _ends(curve: Curve) -> tuple[float, float]:
    """Where a metric began and where it came to: the medians of its first and its last few logs."""
    few = max(3, len(curve) // FEW)
    return float(np.median(curve.value[:few])), float(np.median(curve.value[-few:]))


def _trend(curve: Curve, low: float, high: float) -> Trend:
    first, last = int(curve.step[0]), int(curve.step[-1])
    return Trend(
        metric=curve.metric,
        start_step=first,
        start_value=low,
        end_step=last,
        end_value=high,
        label=f"{low:.3g} to {high:.3g}",
    )
