"""Why next to nothing was learned: the learning rate, the length, the labels, or weights that do not train.

Sources: Unsloth, LoRA hyperparameters guide, and axolotl docs (usual rates); Google, Deep Learning Tuning Playbook;
judgement for the factors.
"""

from __future__ import annotations

from collections.abc import Iterator

from curvelab.causes._log import level, number, percent
from curvelab.causes._standing import NOTHING, chance_of, level_of, low_rate_signs, norm_signs
from curvelab.facts import Facts
from curvelab.model.finding import Finding
from curvelab.signals.level import drift_of
from curvelab.weighing import CLEAR, SLIGHT, STRONG, Candidate, Sign, unseen, weighing

FEW_STEPS = 200  # optimizer steps in which little can be learned (judgement)
CERTAIN = 3.0  # standard errors of a fall that goes on
FALLING = 0.003  # of the level, in the second half


@weighing(
    Candidate("rate-too-low", "the learning rate is too low", 0.3, "the rate is below the usual ones"),
    Candidate("too-short", "the run was too short", 0.12, "the loss still falls at the end; few steps"),
    Candidate(
        "guessing", "labels have nothing to do with the inputs: wrong labels or mask", 0.2,
        "the level is within 3 % of ln(vocab_size), with a usual rate and normal norms",
    ),
    Candidate(
        "nothing-trains", "next to nothing trains: frozen weights, a detached adapter", 0.15,
        "the gradient norm is near zero",
    ),
    Candidate(
        "rate-gone", "the learning rate was gone before it could teach", 0.05,
        "the rate is below a tenth of its peak for most of the run",
    ),
)  # fmt: skip
def signs(facts: Facts, finding: Finding) -> Iterator[Sign]:
    yield from low_rate_signs(facts, "rate-too-low")
    yield from norm_signs(facts, finding, "nothing-trains", ("guessing", "too-short"))
    yield from _level(facts, finding)
    yield from _length(facts)
    gone = facts.rate_gone
    if len(facts.rate) < 4:
        yield from unseen("the learning rate was not logged: whether it was gone cannot be seen", "rate-gone")
    elif gone is not None and gone <= (facts.run.first_step or 0) + 0.5 * facts.length:
        yield Sign(f"the learning rate is below a tenth of its peak from step {gone} on", {"rate-gone": STRONG})
    else:
        yield Sign("the learning rate was on for most of the run", {"rate-gone": 1 / STRONG})


def _level(facts: Facts, finding: Finding) -> Iterator[Sign]:
    chance, stands = chance_of(facts, finding), level_of(facts, finding)
    if chance is None or stands is None:
        text = "vocab_size is not in the log: whether the level is that of guessing cannot be told"
        yield from unseen(text, "guessing")
    elif not chance.near:
        yield Sign(chance.text, {"guessing": 1 / CLEAR})
    elif stands >= (1 - NOTHING) * facts.start_level:
        yield Sign(f"{chance.text}, where it began", {"guessing": SLIGHT})  # so do weights that were never trained
    else:
        yield Sign(chance.text, {"guessing": CLEAR, "nothing-trains": 1 / SLIGHT, "rate-too-low": 1 / SLIGHT})


def _length(facts: Facts) -> Iterator[Sign]:
    value = facts.loss_levels.value
    if len(value) < 8:
        return
    drift = drift_of(value[len(value) // 2 :])
    fell = -drift.change / abs(drift.before) if drift.before else 0.0
    still = fell >= FALLING and -drift.change >= CERTAIN * drift.error
    steps = f"the run has {number(facts.length)} steps"
    if still:
        text = f"the loss still fell by {percent(fell)} within the second half; {steps}"
        yield Sign(text, {
            "too-short": CLEAR if facts.length <= FEW_STEPS else SLIGHT, "rate-too-low": SLIGHT, "guessing": 1 / CLEAR, "nothing-trains": 1 / SLIGHT,
        })  # fmt: skip
    else:
        end = level(value[-5:]) or 0.0
        yield Sign(f"the loss no longer falls at the end ({number(end)}); {steps}", {"too-short": 1 / CLEAR})
