"""NaN or infinity in the loss or the gradient norm, or the marks that a filter leaves where they were.

What
----
NaN or Inf in train/loss, eval/loss or train/grad_norm. Also its masks: with logging_nan_inf_filter on (the default of
Transformers) a NaN loss is never logged; what is left is a loss of exactly 0.0, or the same value again and again,
beside a NaN grad_norm.

Why
---
A NaN that reaches the weights stays there: every later step is wasted, and with the filter on the run even looks alive
and ends with a loss of 0.0. A NaN that the optimizer never saw (a skipped step, an average that it spoilt) costs less, but
the loss can no longer be read.

Look-alikes
-----------
An exact 0.0 alone is a solved task or GRPO. One NaN grad_norm in the first steps under fp16 with a finite loss is the
loss scaler searching for its scale. A metric that was not logged is no NaN.

When it is wrong
----------------
With the filter off, one NaN batch makes every later logged loss NaN while training goes on well; gradient norms and
eval stay finite then, and the headline says so. A value that comes back is told as recovered, and lone NaN norms with a
finite loss as information only.

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
from curvelab.proposals import change, lower_rate, rate_can_fall, switched
from curvelab.rules import Example, Remedy, detector, threshold

HIGHER = 2.0  # times what the loss had fallen, or its lowest value, above that value: it blew up (judgement)
FAR = 10.0  # times the median norm (definition of exploding gradients)


@dataclass(frozen=True)
class Thresholds:
    scaler_steps: float = threshold(
        0.1, unit="of the run", low=0, high=1, source="judgement",
        meaning="isolated NaN norms with a finite loss this early under fp16 are the loss scaler's search",
    )  # fmt: skip
    isolated: float = threshold(
        0.02, unit="of the logs", low=0, high=1, source="judgement",
        meaning="no more NaN norms than this, with a finite loss, are steps that the loss scaler skipped",
    )  # fmt: skip


def _half(facts: Facts, finding: Finding) -> bool:
    return facts.setting("fp16") is True and facts.setting("bf16") is not True


def _climbed(facts: Facts, finding: Finding) -> bool:
    """Whether the gradient norm rose before the first NaN."""
    norms = facts.finite("train/grad_norm")
    before = norms.value[norms.step < (finding.start_step or 0)]
    return len(before) >= 8 and float(np.median(before[-4:])) > 3 * float(np.median(before))


def _harmed(facts: Facts, finding: Finding) -> bool:
    return finding.severity != "info"


def _filtered(facts: Facts, finding: Finding) -> bool:
    """Whether the filter of Transformers is on: by the settings, by its stand-ins, or by default."""
    theirs = any(name in facts.run.format for name in ("trainer-state", "trainer-log", "trainer-console"))
    known = facts.setting("logging_nan_inf_filter")
    return bool(known) or (known is None and (theirs or len(facts.masked) > 0))


def _bfloat(facts: Facts, finding: Finding) -> Iterator[Change]:
    said = "float16 ends at 65,504, bfloat16 has the range of float32"
    yield from change(facts, "fp16", False, "documented", said)
    yield from change(facts, "bf16", True, "documented", said)


REMEDIES = (
    Remedy(
        title="Nothing: {non_finite_values:.0f} of the gradient norms were not finite, their steps were skipped",
        why="The loss stayed finite and training went on.",
        when_not="They become more frequent.",
        cost="none",
        source="judgement",
        applies=lambda facts, finding: not _harmed(facts, finding),
    ),
    Remedy(
        title="Lower {flag_learning_rate} and resume from a checkpoint before step {start_step}",
        why="The gradient norm climbed before the first NaN: the updates were too large for some time.",
        when_not="The NaN is caused by one sample or by float16 alone.",
        cost="resume",
        source=("small-scale-proxies", "axolotl-stability", "judgement"),
        propose=lower_rate(5, "2 to 5x in the source for spikes; 5x taken, for this loss did not come back"),
        applies=lambda facts, finding: _harmed(facts, finding) and _climbed(facts, finding) and rate_can_fall(facts, finding),
        causes=("updates-too-large",),
    ),
    Remedy(
        title="Train in bfloat16 ({flag_bf16}) instead of float16 ({flag_fp16})",
        why="float16 overflows above 65,504; bfloat16 has the range of float32.",
        when_not="The GPU has no bfloat16 (before Ampere); then keep fp16 and clip the gradients.",
        cost="resume",
        source="transformers-debugging",
        propose=_bfloat,
        applies=lambda facts, finding: _harmed(facts, finding) and _half(facts, finding),
        causes=("fp16-overflow",),
    ),
    Remedy(
        title="Look at the batch of step {start_step}: empty or fully masked labels, token ids outside the vocabulary, extreme values",
        why="A NaN without a climb of the gradient norm before it usually comes from the data or the initialisation.",
        when_not="The same batch passed in another run.",
        cost="none",
        source="axolotl-stability",
        applies=lambda facts, finding: _harmed(facts, finding) and not _climbed(facts, finding),
        causes=("bad-batch", "broken-from-start"),
    ),
    Remedy(
        title="Turn {flag_logging_nan_inf_filter} off, so that the log shows the first NaN where it happens",
        why="The filter replaces NaN losses before they are logged; a dead run then looks alive.",
        when_not="The loss is expected to be NaN now and then (packed batches without labels).",
        cost="rerun",
        source="logging-nan-inf-filter",
        propose=switched("logging_nan_inf_filter", False, "on by default in the source"),
        applies=lambda facts, finding: _harmed(facts, finding) and _filtered(facts, finding),
    ),
    Remedy(
        title="Find the layer: run the steps before {start_step} again with the trainer's underflow and overflow check",
        why="It names the first module whose input, output or weight is not finite.",
        when_not="The cause is known.",
        cost="resume",
        source="transformers-debugging",
        applies=_harmed,
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
    bad = {metric: steps for metric, steps in _bad_steps(facts, limits).items() if len(steps)}
    if not bad:
        return
    metric = min(bad, key=lambda m: (int(bad[m].min()), m != "train/loss"))
    start, end = int(bad[metric].min()), max(int(steps.max()) for steps in bad.values())
    count, logged = len(bad[metric]), len(facts.curve(metric))
    state = _state(facts, bad)
    if len(facts.masked) and metric in ("train/loss", "train/grad_norm") and state == "dead":
        shown = float(facts.curve("train/loss").value[np.searchsorted(facts.curve("train/loss").step, facts.masked[0])])
        headline = f"NaN gradients from step {start} on; the logged loss is a filter's {shown:g}"
    elif state == "dead":
        headline = f"{metric} is not finite from step {start} on ({count} of its {logged} values)"
    elif state == "spoilt":
        headline = (
            f"{metric} is not finite from step {start} on ({count} of its {logged} values), but gradients and eval stay "
            "finite: the logged average is spoilt, training itself went on"
        )
    else:
        headline = f"{metric} was not finite at {_places(bad[metric])} ({count} of its {logged} values) and recovered"
    if state == "dead":
        headline += _blown_up(facts, start)
    lone = state == "recovered" and set(bad) == {"train/grad_norm"} and count <= limits.isolated * logged
    yield Finding(
        severity="critical" if state == "dead" else "info" if lone else "warning",
        confidence={"dead": 0.98, "spoilt": 0.9, "recovered": 0.9}[state],
        metric=metric,
        headline=headline,
        start_step=start,
        end_step=end,
        measured=(Measured(name="non_finite_values", value=float(count), unit=f"values, {logged:,} logged, of {metric}"),),
        evidence=(
            Span(metric="train/loss", start_step=start, end_step=end, label="not finite"),
            Point(metric=metric, step=start, value=_first_value(facts, metric, start), label="first non-finite value"),
        ),
    )


def _first_value(facts: Facts, metric: str, step: int) -> float:
    """What the log has at a step: NaN or an infinity; NaN where a filter's stand-in hides it."""
    curve = facts.curve(metric)
    values = curve.value[(curve.step == step) & ~np.isfinite(curve.value)]
    return float(values[0]) if len(values) else float("nan")


def _bad_steps(facts: Facts, limits: Thresholds) -> dict[str, np.ndarray]:
    """Metric -> steps of its non-finite values, int64[k] rising; a filter's stand-ins count as such of train/loss."""
    loss = facts.curve("train/loss")
    bad = {"train/loss": np.union1d(loss.step[~np.isfinite(loss.value)], facts.masked)}
    for metric in ("train/grad_norm", *(m for m in facts.run.metrics if m.startswith("eval/") and m.endswith("/loss"))):
        if facts.has(metric):
            curve = facts.curve(metric)
            bad[metric] = curve.step[~np.isfinite(curve.value)]
    norms = bad.get("train/grad_norm", np.empty(0, dtype=np.int64))
    early = (facts.run.first_step or 0) + limits.scaler_steps * facts.length
    few = len(norms) <= max(3, limits.isolated * len(loss))
    if len(norms) and few and norms.max() <= early and not len(bad["train/loss"]) and facts.setting("bf16") is not True:
        del bad["train/grad_norm"]  # the loss scaler searching for its scale
    return bad


def _state(facts: Facts, bad: dict[str, np.ndarray]) -> str:
    """dead: not finite to the end; spoilt: only the logged loss is, gradients and eval are fine; recovered: it came back."""
    start = min(int(steps.min()) for steps in bad.values())
    ends = {}
    for metric, steps in bad.items():
        later = facts.curve(metric).step >= start
        ends[metric] = float(np.isin(facts.curve(metric).step[later], steps).mean()) > 0.5 or steps[-1] == facts.curve(metric).step[-1]
    if not any(ends.values()):
        return "recovered"
    others = [m for m in bad if m != "train/loss"]
    fine = facts.has("train/grad_norm") or any(m.startswith("eval/") and m not in bad for m in facts.run.metrics)
    if ends.get("train/loss") and fine and not any(ends[m] for m in others) and not len(facts.masked):
        return "spoilt"
    return "dead"


def _blown_up(facts: Facts, start: int) -> str:
    """What had blown up before the first NaN, in words: the loss far above where it began, or the norm far above its median."""
    loss = facts.loss.take(facts.loss.step <= start)
    norms = facts.finite("train/grad_norm")
    norms = norms.take(norms.step <= start)
    told = []
    if len(loss) >= 2:
        top = len(loss) - min(3, len(loss) - 1) + int(np.argmax(loss.value[-min(3, len(loss) - 1) :]))
        earlier, high = loss.value[:top], float(loss.value[top])
        first, low = float(np.median(earlier[:3])), float(earlier.min())
        if high > first and high - low >= HIGHER * max(first - low, abs(low) if facts.bounded else 0.0):
            told.append(f"train/loss rose from {low:.4g} to {high:.4g} by step {int(loss.step[top])}")
    if len(norms) >= 2:
        usual, high = float(np.median(norms.value[:-1])), float(norms.value[-1])
        if high >= FAR * usual > 0:
            told.append(f"the gradient norm from about {usual:.3g} to {high:.3g} by step {int(norms.step[-1])}")
    return "; it had blown up before: " + ", ".join(told) if told else ""


def _places(steps: np.ndarray) -> str:
    if len(steps) == 1:
        return f"step {int(steps[0])}"
    return f"{len(steps)} steps from {int(steps[0])} to {int(steps[-1])}"
