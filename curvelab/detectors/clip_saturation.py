"""Most updates are clipped: the gradient norm stands above max_grad_norm for nearly the whole run.

What
----
After warm-up, train/grad_norm is at or above the run's max_grad_norm on most of the logged steps. Transformers logs the
norm before clipping; a logger that writes it after clipping shows a norm that sticks just under the threshold, which
counts as well.

Why
---
When nearly every update is scaled down, clipping is no safety net any more: every gradient has the same length, large or
small, so that broken batches weigh as much as good ones are allowed to. With SGD the threshold is a hidden learning rate;
with Adam it flattens the differences between steps that its statistics live on.

Look-alikes
-----------
High norms during warm-up only. Occasional clipping, even of a third of the updates. Clipping that is switched off
(max_grad_norm 0 or null).

When it is wrong
----------------
Some recipes clip on purpose on every step (normalised updates). Where the log holds no settings, 1.0 is assumed for
Transformers logs, said so, and the confidence is at most 0.5.

Sources
-------
Google, Deep Learning Tuning Playbook (more than 50 % clipped is a strange way of reducing the learning rate); TRL docs,
logged metrics (grad_norm is logged before clipping).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from curvelab import synth
from curvelab.facts import Facts
from curvelab.model.finding import Change, Finding, Level, Measured, Span
from curvelab.rules import Example, NotApplicable, Remedy, detector, scaled, threshold

HF_DEFAULT = 1.0  # TrainingArguments.max_grad_norm
HF_FORMATS = ("trainer-state", "trainer-log")


@dataclass(frozen=True)
class Thresholds:
    share: float = threshold(
        0.8, unit="of the logs after warm-up", low=0.1, high=1.0, source="definition of the pattern: about 80 %",
        meaning="share of logged norms at or above the clip threshold",
    )  # fmt: skip
    tolerance: float = threshold(
        0.001, unit="of the threshold", low=0, high=0.1, source="judgement: float32 rounding of a norm clipped to it",
        meaning="a norm this close under the threshold counts as clipped",
    )  # fmt: skip


def _high_norm(facts: Facts) -> float:
    norms = facts.finite("train/grad_norm")
    return float(np.percentile(norms.value[norms.step >= facts.warmup_end], 90))


def _raise_threshold(facts: Facts, finding: Finding) -> Iterator[Change]:
    yield Change(setting="max_grad_norm", from_=facts.setting("max_grad_norm"), to=float(f"{_high_norm(facts):.2g}"))


REMEDIES = (
    Remedy(
        title="Raise max_grad_norm to about the 90th percentile of the logged norm",
        why="{clipped_share:.0%} of the logged updates were clipped: the threshold, not the gradient, set the step length.",
        when_not="The loss is unstable already; then lower the learning rate first.",
        cost="rerun",
        source="Google, Deep Learning Tuning Playbook",
        propose=_raise_threshold,
    ),
    Remedy(
        title="Or lower the learning rate, which is what the clipping does in a roundabout way",
        why="More than half of the updates clipped is a strange way of reducing the learning rate.",
        when_not="The threshold is far below the norms of a comparable healthy run.",
        cost="rerun",
        source="Google, Deep Learning Tuning Playbook; judgement for the factor of 3",
        propose=scaled("learning_rate", 1 / 3),
    ),
)


def _example(name: str, clip: float, fires: bool) -> Example:
    def build() -> object:
        loss = synth.decay(120) + synth.noise(120, 0.03)
        norms = 2.5 + synth.noise(120, 0.25, seed=2)
        return synth.run_of(loss, norms=norms, rate=synth.cosine(120), config={"max_grad_norm": clip})

    return Example(name, build, fires=fires, onset=(5, 60) if fires else None)  # type: ignore[arg-type]


@detector(
    title="Clip saturation",
    kind="curve",
    needs={"train/loss": 4, "train/grad_norm": 6},
    thresholds=Thresholds,
    remedies=REMEDIES,
    examples=(_example("far below the norms", 0.3, True), _example("off", 0, False), _example("half", 2.5, False)),
)
def detect(facts: Facts, limits: Thresholds) -> Iterator[Finding]:
    clip, assumed = _clip_threshold(facts)
    norms = facts.finite("train/grad_norm")
    later = norms.take(norms.step >= facts.warmup_end)
    if len(later) < 4:
        raise NotApplicable("fewer than 4 gradient norms after warm-up")
    clipped = later.value >= clip * (1 - limits.tolerance)
    share = float(clipped.mean())
    if share < limits.share:
        return
    start, end = int(later.step[np.argmax(clipped)]), int(later.step[-1])
    level = float(np.median(later.value))
    source = "assumed: no settings in the log" if assumed else "max_grad_norm"
    yield Finding(
        severity="warning",
        confidence=0.5 if assumed else min(0.97, _sure(int(clipped.sum()), len(clipped), limits.share)),
        metric="train/grad_norm",
        headline=f"{share:.0%} of the logged updates were clipped: the gradient norm is about {level:.3g}, the clip threshold {clip:g} ({source})",
        start_step=start,
        end_step=end,
        measured=(
            Measured(name="clipped_share", value=share, unit="of logged steps", threshold=limits.share, setting="clip-saturation.share"),
            Measured(name="median_norm", value=level),
            Measured(name="max_grad_norm", value=clip),
        ),
        evidence=(
            Level(metric="train/grad_norm", value=clip, label=f"clip threshold {clip:g}"),
            Span(metric="train/grad_norm", start_step=start, end_step=end, label=f"{share:.0%} clipped"),
        ),
    )  # fmt: skip


def _sure(clipped: int, logged: int, share: float) -> float:
    """How sure it is that more than `share` of all updates were clipped, of which the logs are a sample: 0.5 to 1.

    The share is taken one clipped and one free update towards a half (Agresti and Coull): few logs tell little.
    """
    likely = (clipped + 1) / (logged + 2)
    error = np.sqrt(likely * (1 - likely) / (logged + 2))
    return max(0.5, NormalDist().cdf(float((likely - share) / error)))


def _clip_threshold(facts: Facts) -> tuple[float, bool]:
    """(threshold, assumed): the run's max_grad_norm, or the default of Transformers for its logs without settings."""
    if "max_grad_norm" in facts.run.config:
        value = facts.setting("max_grad_norm")
        if not isinstance(value, int | float) or value <= 0:
            raise NotApplicable("clipping is off (max_grad_norm is 0 or null)")
        return float(value), False
    if any(name in facts.run.format for name in HF_FORMATS):
        return HF_DEFAULT, True
    raise NotApplicable("max_grad_norm is not in the log")
