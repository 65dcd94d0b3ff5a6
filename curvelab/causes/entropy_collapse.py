"""Why a policy stops exploring: steps that are too large, a reward that is solved, or nothing that keeps it apart.

Sources: DAPO, arXiv 2503.14476; TRL training FAQ; axolotl docs; judgement for the factors.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from curvelab.causes._log import amount, level, number, origin, percent
from curvelab.causes._policy import beta_signs, moved, rate_signs
from curvelab.facts import Facts
from curvelab.model.finding import Finding
from curvelab.weighing import CLEAR, SLIGHT, Candidate, Sign, unseen, weighing

LOW_BETA = 0.001
STILL_RISES = 0.05  # of the reward, after the collapse
EQUAL = 0.5  # of the groups: most completions are alike in reward
COLD = 0.7  # temperature below which samples are alike


@weighing(
    Candidate(
        "rate-too-high", "the learning rate is too high for policy gradients", 0.33,
        "a rate above the usual; the reward had not reached its end when the entropy fell",
    ),
    Candidate(
        "reward-solved", "the reward is solved: nothing is left to explore", 0.2,
        "the reward stood at its best when the entropy fell; groups have equal rewards",
    ),
    Candidate(
        "no-exploration", "nothing keeps the policy exploring: no KL term, a low upper clip, a cold temperature", 0.3,
        "beta of 0, epsilon_high not raised, temperature below 0.7",
    ),
)  # fmt: skip
def signs(facts: Facts, finding: Finding) -> Iterator[Sign]:
    yield from rate_signs(facts, "rate-too-high")
    yield from beta_signs(facts, "no-exploration", LOW_BETA)
    temperature, high = amount(facts, "temperature"), amount(facts, "epsilon_high")
    if temperature is not None:
        factor = CLEAR if temperature < COLD else 1 / SLIGHT
        text = f"the temperature is {number(temperature)}{origin(facts, 'temperature')}"
        yield Sign(text, {"no-exploration": factor})
    if high is not None:
        yield Sign(f"epsilon_high is {number(high)}", {"no-exploration": 1 / SLIGHT})
    yield from _reward(facts, finding.start_step or 0)


def _reward(facts: Facts, start: int) -> Iterator[Sign]:
    reward = facts.finite("train/reward")
    whole, at = moved(reward), level(reward.value[reward.step <= start][-5:])
    if whole is None or at is None:
        yield from unseen("too few rewards around it to see whether they were at their end", "reward-solved")
        return
    best = float(np.median(np.sort(reward.value)[-5:]))
    size = max(abs(best), abs(whole[0]), 1e-12)
    learned, left = (at - whole[0]) / size, (best - at) / size
    if learned > STILL_RISES and left <= STILL_RISES:
        text = f"the reward had risen from {number(whole[0])} to {number(at)} by then, which is its best"
        yield Sign(text, {"reward-solved": CLEAR})
    else:
        text = f"the reward stood at {number(at)} then; its best is {number(best)}, it began at {number(whole[0])}"
        yield Sign(text, {"reward-solved": 1 / CLEAR, "rate-too-high": SLIGHT})
    equal = level(facts.finite("train/frac_reward_zero_std").value[-5:])
    if equal is not None and equal >= EQUAL:
        yield Sign(f"{percent(equal)} of the groups have equal rewards at the end", {"reward-solved": SLIGHT})
