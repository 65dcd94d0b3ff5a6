"""Why nearly every update is clipped: the threshold is too low, the norms are too high, or the threshold is not the
run's own.

Norms that are steady, in a run that learns well, and lie far above a low threshold: then the threshold is wrong.
Norms that grow, or a loss that is unstable under them: then the learning rate is. Transformers' default of 1.0,
assumed for a log without settings, may be neither.

Sources: Google, Deep Learning Tuning Playbook; axolotl docs (typical norms of fine-tuning 0.1 to 10); judgement for
the factors.
"""

from __future__ import annotations

from collections.abc import Iterator

from curvelab.causes._log import high_rate_signs, level, measured, number, origin, percent
from curvelab.facts import Facts
from curvelab.model.finding import Finding
from curvelab.signals.noise import running_median
from curvelab.weighing import CLEAR, RULED_OUT, SLIGHT, Candidate, Sign, unseen, weighing

USUAL_CLIP = 0.3  # the lowest threshold in common use (QLoRA, arXiv 2305.14314); Transformers' default is 1.0
FAR, VERY_FAR = 3.0, 10.0  # median norm over the threshold
HIGH_NORM = 10.0  # upper end of the typical norms of fine-tuning (axolotl docs)
GREW = 2.0  # times, from the first third to the last
STEADY = 1.3
LEARNED = 0.15  # of the starting loss
UNSTABLE = 0.08  # of the best level: how far the loss ends above it (as the detector of divergence takes it)


@weighing(
    Candidate(
        "threshold-too-low", "max_grad_norm is below the usual norms of this run", 0.45,
        "steady norms far above a low threshold while the loss falls well",
    ),
    Candidate(
        "rate-too-high", "the learning rate is too high: norms grow or the loss is unstable", 0.25,
        "norms that grow through the run, a loss that ends above its best",
    ),
    Candidate(
        "threshold-assumed", "nothing is clipped: the threshold was only assumed", 0.15,
        "max_grad_norm is not in the log",
    ),
)  # fmt: skip
def signs(facts: Facts, finding: Finding) -> Iterator[Sign]:
    norm, clip = measured(finding, "median_norm"), finding.also.get("max_grad_norm")
    if "max_grad_norm" in facts.run.config:
        text = f"max_grad_norm is {number(clip or 0)}{origin(facts, 'max_grad_norm')}"
        yield Sign(text, {"threshold-assumed": RULED_OUT})
    else:
        yield Sign("max_grad_norm is not in the log; 1.0 is the default of Transformers", {"threshold-assumed": CLEAR})
    if norm is not None and clip:
        yield from _distance(facts, norm, clip)
    yield from _growth(facts)
    yield from _loss(facts)
    yield from high_rate_signs(facts, "rate-too-high")


def _distance(facts: Facts, norm: float, clip: float) -> Iterator[Sign]:
    times = norm / clip
    told = f"the median norm of {number(norm)} is {number(times)} times the threshold of {number(clip)}"
    if norm >= HIGH_NORM and clip >= USUAL_CLIP:
        text = f"{told}, and above {number(HIGH_NORM)}, the upper end of the typical ones"
        yield Sign(text, {"rate-too-high": SLIGHT})
    elif times >= FAR:
        yield Sign(told, {"threshold-too-low": CLEAR if times >= VERY_FAR else SLIGHT})
    if clip < USUAL_CLIP:
        text = f"a threshold of {number(clip)} is below {USUAL_CLIP:g}, the lowest in common use"
        yield Sign(text, {"threshold-too-low": CLEAR, "rate-too-high": 1 / SLIGHT})


def _growth(facts: Facts) -> Iterator[Sign]:
    norms = facts.finite("train/grad_norm")
    value = norms.value[norms.step >= facts.warmup_end]
    third = len(value) // 3
    first, last = level(value[:third]), level(value[-third:]) if third else None
    if first is None or last is None or first <= 0:
        yield from unseen("too few norms after warm-up to see whether they grow", "rate-too-high")
        return
    told = f"the norm went from {number(first)} in the first third to {number(last)} in the last"
    if last >= GREW * first:
        yield Sign(told, {"rate-too-high": CLEAR, "threshold-too-low": 1 / SLIGHT})
    elif last <= STEADY * first:
        yield Sign(f"{told}: it does not grow", {"rate-too-high": 1 / SLIGHT, "threshold-too-low": SLIGHT})


def _loss(facts: Facts) -> Iterator[Sign]:
    value = facts.loss_levels.value
    if len(value) < 10 or facts.around_zero or not facts.start_level > 0:
        text = "the loss has no level of its own: whether the run learns well cannot be told from it"
        yield from unseen(text, "threshold-too-low", "rate-too-high")
        return
    smooth = running_median(value, max(3, len(value) // 12))
    best, end = float(smooth.min()), float(smooth[-max(3, len(smooth) // 12) :].mean())
    fell = 1 - end / facts.start_level
    if best > 0 and end >= (1 + UNSTABLE) * best:
        text = f"the loss ends {percent(end / best - 1)} above its best level of {number(best)}"
        yield Sign(text, {"rate-too-high": CLEAR, "threshold-too-low": 1 / CLEAR})
    elif fell >= LEARNED:
        text = f"the loss fell by {percent(fell)} and stays at its best: the run is stable"
        yield Sign(text, {"threshold-too-low": SLIGHT, "rate-too-high": 1 / CLEAR})
