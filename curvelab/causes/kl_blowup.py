"""Why a policy leaves its reference: steps too large, a KL term too weak, or a reward that pays for it.

Sources: TRL training FAQ; Gao et al., arXiv 2210.10760; axolotl docs; judgement for the factors.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from curvelab.causes._log import number, percent, rate_share
from curvelab.causes._policy import beta_signs, moved, rate_signs
from curvelab.facts import Facts
from curvelab.model.finding import Finding
from curvelab.weighing import CLEAR, SLIGHT, Candidate, Sign, unseen, weighing

LOW_BETA = 0.01  # a KL term weaker than this hardly holds (TRL's PPO has 0.05; GRPO 0 to 0.04)
EARLY = 0.25  # of the run
ROSE = 0.15  # of the reward, that it rose by
CLIPPED = 0.1  # of the ratios: the steps are large


@weighing(
    Candidate(
        "rate-too-high", "the learning rate is too high for policy gradients", 0.35,
        "a rate above the usual; the KL passes its limit early; many ratios are clipped",
    ),
    Candidate("beta-too-low", "the KL term is too weak, or off", 0.25, "beta of 0.01 or less"),
    Candidate("reward-pays", "the reward pays for going away: it is hacked", 0.2, "the reward rises with the KL"),
)  # fmt: skip
def signs(facts: Facts, finding: Finding) -> Iterator[Sign]:
    yield from rate_signs(facts, "rate-too-high")
    yield from beta_signs(facts, "beta-too-low", LOW_BETA)
    start = finding.start_step or 0
    place, share = (start - (facts.run.first_step or 0)) / facts.length, rate_share(facts, start)
    at = f", at {percent(share)} of the peak rate" if share is not None and share > 0 else ""
    factor = SLIGHT if place <= EARLY else 1 / SLIGHT
    text = f"the KL passed its limit after {percent(place)} of the run{at}"
    yield Sign(text, {"rate-too-high": factor, "reward-pays": 1 / factor})
    reward = moved(facts.finite("train/reward"))
    if reward is None:
        yield from unseen("too few rewards were logged to see whether they rise with the KL", "reward-pays")
    elif reward[1] - reward[0] >= ROSE * max(abs(reward[0]), abs(reward[1])):
        yield Sign("the reward rose with it", {"reward-pays": CLEAR})
    else:
        text = f"the reward did not rise ({number(reward[0])} to {number(reward[1])})"
        yield Sign(text, {"reward-pays": 1 / CLEAR, "rate-too-high": SLIGHT})
    clipped = facts.finite("train/clip_ratio/region_mean").value
    if len(clipped) and float(np.mean(clipped)) >= CLIPPED:
        yield Sign(f"{percent(float(np.mean(clipped)))} of the ratios were clipped", {"rate-too-high": SLIGHT})
