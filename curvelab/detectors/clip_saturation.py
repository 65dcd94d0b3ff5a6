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
from curvelab.model.log import Floats
from curvelab.model.percent import percent
from curvelab.proposals import change, clip_at, lower_rate, number, rate_can_fall, two_digits
from curvelab.rules import Example, NotApplicable, Remedy, detector, threshold

HF_DEFAULT = 1.0  # TrainingArguments.max_grad_norm
HF_FORMATS = ("trainer-state", "trainer-log")
STUCK = 0.01  # of the threshold: norms that go no further beyond it were logged after clipping (judgement)


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


UNEVEN = 2.0  # times the median: a 90th percentile beyond it speaks of a restless run, which a lower rate calms (judgement)


def _later(facts: Facts) -> Floats:
    norms = facts.finite("train/grad_norm")
    return norms.value[norms.step >= facts.warmup_end]


def _logged_after_clipping(facts: Facts, finding: Finding) -> bool:
    """Whether the norms stick at the threshold: then they were logged after clipping, and their size is not known."""
    clip = finding.also.get("max_grad_norm", 0.0)
    return float(np.percentile(_later(facts), 90)) <= clip * (1 + STUCK)


def _uneven(facts: Facts) -> bool:
    high, middle = np.percentile(_later(facts), [90, 50])
    return bool(high >= UNEVEN * middle)


def _raise_threshold(facts: Facts, finding: Finding) -> Iterator[Change]:
    if not _logged_after_clipping(facts, finding):
        yield from clip_at(facts, _later(facts), "logged norms after warm-up", "up")


def _same_step(facts: Facts, finding: Finding) -> Iterator[Change]:
    """SGD's step is rate x norm: what clipping took off in the median goes into the rate, and the threshold is free."""
    yield from _raise_threshold(facts, finding)
    rate, clip = number(facts, "learning_rate"), number(facts, "max_grad_norm")
    if rate and clip:
        kept = float(np.median(np.minimum(1.0, clip / np.maximum(_later(facts), 1e-300))))
        said = f"times {kept:.2g}, the median of threshold over norm: the step that the optimizer really made"
        yield from change(facts, "learning_rate", two_digits(rate * kept), "measured", said, "down")


def _rate_suspect(facts: Facts, finding: Finding) -> bool:
    """Whether the norms are uneven, or the weighing of the causes says that the rate is what is wrong."""
    leading = max(finding.causes, key=lambda cause: cause.weight, default=None)
    return _uneven(facts) or (leading is not None and leading.name == "rate-too-high")


REMEDIES = (
    Remedy(
        title="Give the clip threshold that was in use ({flag_max_grad_norm}), or log the settings with the run: {max_grad_norm:g} was assumed",
        why="Without the run's own threshold nothing says that a single update was clipped.",
        when_not="The run did use the trainer's default.",
        cost="none",
        source="judgement",
        applies=lambda facts, finding: "max_grad_norm" not in facts.run.config,
        causes=("threshold-assumed",),
    ),
    Remedy(
        title="Log the gradient norm before clipping, then set {flag_max_grad_norm} to its 90th percentile",
        why="The logged norms stick at {max_grad_norm:g}: they were written after clipping, and how large they were is not in the log.",
        when_not="Every update is meant to have the same length.",
        cost="rerun",
        source=("playbook", "trl-metrics"),
        applies=_logged_after_clipping,
    ),
    Remedy(
        title="Raise {flag_max_grad_norm} to about the 90th percentile of the logged norm",
        why="{clipped_share:.0%} of the logged norms lie above the threshold, so that outliers count as much as any other batch. "
        "Adam divides a constant scale out again: its steps stay about as long, and {flag_learning_rate} may stay.",
        when_not="The threshold is what keeps the loss stable, or every update is meant to have the same length.",
        cost="rerun",
        source="playbook",
        propose=_raise_threshold,
        causes=("threshold-too-low",),
        applies=lambda facts, finding: not facts.plain_descent and not _logged_after_clipping(facts, finding),
    ),
    Remedy(
        title="Raise {flag_max_grad_norm} to the 90th percentile of the logged norm and lower {flag_learning_rate} by what clipping took off",
        why="{clipped_share:.0%} of the logged norms lie above the threshold. With SGD that is a hidden learning rate: the threshold "
        "cannot be raised alone, or every step becomes longer.",
        when_not="Every update is meant to have the same length.",
        cost="rerun",
        source=("playbook", "judgement"),
        propose=_same_step,
        causes=("threshold-too-low",),
        applies=lambda facts, finding: facts.plain_descent and not _logged_after_clipping(facts, finding),
    ),
    Remedy(
        title="Lower {flag_learning_rate}, if the threshold was what kept the loss stable",
        why="The norms are uneven, and clipping more than half of the updates is a roundabout way to lower the rate.",
        when_not="The loss is smooth: then the threshold is too low, not the rate too high.",
        cost="rerun",
        source=("playbook", "axolotl-stability"),
        propose=lower_rate(2, "2 to 5x in the source for unstable runs; 2x taken"),
        alternative=True,
        causes=("rate-too-high",),
        applies=lambda facts, finding: (
            not facts.plain_descent and rate_can_fall(facts, finding) and _rate_suspect(facts, finding)
        ),
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
    headline = f"{percent(share)} of the logged updates were clipped: the gradient norm is about {level:.3g}, the clip threshold {clip:g} (max_grad_norm)"
    if assumed:
        headline = f"perhaps clipped too often: the gradient norm is about {level:.3g}, and max_grad_norm is not logged (the trainer's default is {clip:g})"
    yield Finding(
        severity="warning",
        confidence=0.5 if assumed else min(0.97, _sure(int(clipped.sum()), len(clipped), limits.share)),
        metric="train/grad_norm",
        headline=headline,
        start_step=start,
        end_step=end,
        measured=(
            Measured(name="clipped_share", value=share, unit="of logged steps", threshold=limits.share, setting="clip-saturation.share"),
            Measured(name="median_norm", value=level),
            Measured(name="assumed_max_grad_norm" if assumed else "max_grad_norm", value=clip),
        ),
        also={"max_grad_norm": clip},
        evidence=(
            Level(metric="train/grad_norm", value=clip, label=f"{'default' if assumed else 'clip'} threshold {clip:g}"),
            Span(metric="train/grad_norm", start_step=start, end_step=end, label=f"{percent(share)} above it" if assumed else f"{percent(share)} clipped"),
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
