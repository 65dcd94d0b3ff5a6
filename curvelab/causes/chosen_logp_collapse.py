"""Why the chosen answers become unlikely: steps that are too large, a reference that does not hold, or pairs that are
too alike.

The loss only sees the margin. It grows as well when both answers fall, the rejected one faster, and that is the
easier way for pairs that share most of their tokens. A high rate and a low beta let it go far.

Sources: DPO-Positive, arXiv 2402.13228; arXiv 2406.02900; axolotl docs; judgement for the factors.
"""

from __future__ import annotations

from collections.abc import Iterator

from curvelab.causes._log import amount, epochs_at, number, percent
from curvelab.causes._policy import beta_signs, moved, rate_signs
from curvelab.facts import Facts
from curvelab.model.finding import Finding
from curvelab.weighing import CLEAR, SLIGHT, Candidate, Sign, unseen, weighing

LOW_BETA = 0.05  # TRL's default is 0.1
TOGETHER = 0.5  # of the fall of the rejected: the chosen falls with them
EARLY = 0.35  # of the run
EPOCHS = 2.0


@weighing(
    Candidate(
        "rate-too-high", "the learning rate is too high for preference tuning", 0.33,
        "a rate above the usual; the fall begins early",
    ),
    Candidate("beta-too-low", "beta is too low: the reference does not hold the model", 0.2, "beta of 0.05 or less"),
    Candidate(
        "alike-pairs", "chosen and rejected answers are too alike", 0.22,
        "the rejected log-probability falls along, at a usual rate",
    ),
    Candidate("too-long", "too many passes over the pairs", 0.08, "the fall begins late, after two epochs or more"),
)  # fmt: skip
def signs(facts: Facts, finding: Finding) -> Iterator[Sign]:
    yield from rate_signs(facts, "rate-too-high")
    yield from beta_signs(facts, "beta-too-low", LOW_BETA)
    chosen, rejected = moved(facts.finite("train/logps/chosen")), moved(facts.finite("train/logps/rejected"))
    if chosen is None or rejected is None or rejected[0] <= rejected[1]:
        yield from unseen("whether the rejected answers fall along cannot be seen", "alike-pairs")
    else:
        share = (chosen[0] - chosen[1]) / (rejected[0] - rejected[1])
        text = f"the chosen fell by {number(chosen[0] - chosen[1])} nats, the rejected by {number(rejected[0] - rejected[1])}"
        yield Sign(text, {"alike-pairs": SLIGHT if share >= TOGETHER else 1 / SLIGHT})
    place = ((finding.start_step or 0) - (facts.run.first_step or 0)) / facts.length
    epochs = epochs_at(facts, finding.start_step or 0)
    if place <= EARLY:
        text = f"the fall shows after {percent(place)} of the run"
        yield Sign(text, {"rate-too-high": SLIGHT, "too-long": 1 / CLEAR})
    elif epochs is not None and epochs >= EPOCHS:
        yield Sign(f"the fall shows after {number(epochs)} epochs", {"too-long": CLEAR, "rate-too-high": 1 / SLIGHT})
    if amount(facts, "rpo_alpha"):
        yield Sign("an SFT term on the chosen answers is on", {"alike-pairs": 1 / SLIGHT})
