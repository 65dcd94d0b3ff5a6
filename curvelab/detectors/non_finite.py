"""NaN or infinity in the loss or the gradient norm, or the marks that a filter leaves where they were.

What
----
NaN or Inf in train/loss, eval/loss or train/grad_norm. Also its masks: with logging_nan_inf_filter on (the default of
Transformers) a NaN loss is never logged; what is left is a loss of exactly 0.0, or the same value again and again,
beside a NaN grad_norm.

Why
---
From the first NaN update on the weights are NaN: every later step is wasted. With the filter on, the run looks alive
and ends with a loss of 0.0.

Look-alikes
-----------
An exact 0.0 alone is a solved task or GRPO. One NaN grad_norm in the first steps under fp16 with a finite loss is the
loss scaler searching for its scale. A metric that was not logged is no NaN.

When it is wrong
----------------
With the filter off, one NaN batch makes every later logged loss NaN while training goes on well; gradient norms and
eval stay finite then, and the headline says so.

Sources
-------
Transformers, TrainingArguments.logging_nan_inf_filter; Transformers docs, Debugging; float16's largest number is 65,504.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from curvelab import synth
from curvelab.facts import Facts
from curvelab.model.finding import Change, Finding, Measured, Point, Span
from curvelab.model.run import Curve
from curvelab.rules import Example, Remedy, detector, threshold


@dataclass(frozen=True)
class Thresholds:
    scaler_steps: float = threshold(
        0.1, unit="of the run", low=0, high=1, source="judgement",
        meaning="isolated NaN norms with a finite loss this early under fp16 are the loss scaler's search",
    )  # fmt: skip


def _half(facts: Facts, finding: Finding) -> bool:
    return facts.setting("fp16") is True


def _climbed(facts: Facts, finding: Finding) -> bool:
    """Whether the gradient norm rose before the first NaN."""
    norms = facts.finite("train/grad_norm")
    before = norms.value[norms.step < (finding.start_step or 0)]
    return len(before) >= 8 and float(np.median(before[-4:])) > 3 * float(np.median(before))


def _lower_rate(facts: Facts, finding: Finding) -> Iterator[Change]:
    rate = facts.setting("learning_rate")
    yield Change(setting="learning_rate", from_=rate, to=float(f"{rate / 5:.2g}") if isinstance(rate, float) else None)


REMEDIES = (
    Remedy(
        title="Lower the learning rate by 5x and resume from a checkpoint before step {start_step}",
        why="The gradient norm climbed before the first NaN: the updates were too large for some time.",
        when_not="The NaN is caused by one sample or by float16 alone.",
        cost="resume",
        source="Wortsman et al., arXiv 2309.14322; judgement for the factor",
        propose=_lower_rate,
        applies=_climbed,
    ),
    Remedy(
        title="Train in bfloat16 instead of float16",
        why="float16 overflows above 65,504; bfloat16 has the range of float32.",
        when_not="The GPU has no bfloat16 (before Ampere); then keep fp16 and clip the gradients.",
        cost="resume",
        source="Transformers docs, Debugging",
        propose=lambda facts, finding: (Change(setting="fp16", from_=True, to=False), Change(setting="bf16", from_=facts.setting("bf16"), to=True)),
        applies=_half,
    ),
    Remedy(
        title="Look at the batch of step {start_step}: empty or fully masked labels, token ids outside the vocabulary, extreme values",
        why="A NaN without a climb of the gradient norm before it usually comes from the data or the initialisation.",
        when_not="The gradient norm climbed for many steps before.",
        cost="none",
        source="Transformers docs, Debugging",
        applies=lambda facts, finding: not _climbed(facts, finding),
    ),
    Remedy(
        title="Turn the NaN filter off, so that the log shows the first NaN where it happens",
        why="The filter replaces NaN losses before they are logged; a dead run then looks alive.",
        when_not="The loss is expected to be NaN now and then (packed batches without labels).",
        cost="rerun",
        source="Transformers, TrainingArguments.logging_nan_inf_filter",
        propose=lambda facts, finding: (
            Change(setting="logging_nan_inf_filter", from_=facts.setting("logging_nan_inf_filter"), to=False),
        ),
        applies=lambda facts, finding: facts.setting("logging_nan_inf_filter") is not False,
    ),
)  # fmt: skip


def _example(kind: str) -> Example:
    def build() -> object:
        loss = synth.decay(100) + synth.noise(100, 0.03)
        norms = 1 + np.abs(synth.noise(100, 0.2, seed=1))
        if kind == "masked":
            loss[60:], norms[60:] = 0.0, np.nan
        elif kind == "scaler":
            norms[1] = np.nan
        elif kind == "solved":
            loss[80:] = 0.0
        return synth.run_of(loss, norms=norms, config={"fp16": kind == "scaler"})

    fires = kind == "masked"
    return Example(kind, build, fires=fires, onset=(300, 306) if fires else None)  # type: ignore[arg-type]


@detector(
    title="Non-finite loss or gradient",
    kind="curve",
    needs={"train/loss": 1},
    thresholds=Thresholds,
    remedies=REMEDIES,
    examples=tuple(_example(kind) for kind in ("masked", "scaler", "solved")),
    yields_to=("divergence", "exploding-gradients"),
)
def detect(facts: Facts, limits: Thresholds) -> Iterator[Finding]:
    loss = facts.curve("train/loss")
    norm = facts.curve("train/grad_norm") if facts.has("train/grad_norm") else Curve.of("train/grad_norm", [], [])
    evals = facts.curve("eval/loss") if facts.has("eval/loss") else Curve.of("eval/loss", [], [])
    masked = facts.masked
    early = (facts.run.first_step or 0) + limits.scaler_steps * facts.length
    bad_norm = norm.step[~np.isfinite(norm.value)]
    searching = len(bad_norm[bad_norm > early]) == 0 and np.isfinite(loss.value).all() and not len(masked)
    places = {
        "train/loss": np.concatenate([loss.step[~np.isfinite(loss.value)], masked]),
        "train/grad_norm": np.empty(0, np.int64) if searching else bad_norm,
        evals.metric: evals.step[~np.isfinite(evals.value)],
    }
    first = {metric: int(steps.min()) for metric, steps in places.items() if len(steps)}
    if not first:
        return
    metric = min(first, key=lambda m: (first[m], m != "train/loss"))
    start, end = first[metric], max(int(steps.max()) for steps in places.values() if len(steps))
    count = sum(len(steps) for steps in places.values())
    alive = not len(bad_norm) and len(norm) and not len(places[evals.metric])
    if len(masked) and metric in ("train/loss", "train/grad_norm"):
        how = f"NaN gradients from step {start} on; the logged loss is a filter's {float(loss.value[np.searchsorted(loss.step, masked[0])]):g}"
    else:
        how = f"{metric} is not finite from step {start} on ({count} of the logged values)"
        if alive:
            how += "; gradient norms stay finite: the logged average is spoilt, training itself went on"
    yield Finding(
        severity="warning" if alive else "critical",
        confidence=0.9 if alive else 0.98,
        metric=metric,
        headline=how,
        start_step=start,
        end_step=end,
        measured=(Measured(name="non_finite_values", value=float(count), unit="logged values"),),
        evidence=(
            Span(metric="train/loss", start_step=start, end_step=end, label="not finite"),
            Point(metric=metric, step=start, value=float("nan"), label="first non-finite value"),
        ),
    )

