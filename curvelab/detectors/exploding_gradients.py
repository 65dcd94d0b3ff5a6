"""The gradient norm leaves its range after warm-up: its level rises many times over, or a good share of it is far out.

What
----
Either the level of train/grad_norm has risen tenfold and stays while the loss does not improve. Fourfold is enough when the
loss has become clearly worse as well: two witnesses need to say less each, and a norm that doubles again and again is told
before it has reached ten times. Or about a fifth of the logged norms exceed ten times their median, while the loss is not
nearly solved. Or the last norms before a NaN stand tenfold above all before.

Why
---
Updates are dominated by a few huge gradients: with clipping most of the signal is thrown away, without it the run is on
its way to divergence or NaN.

Look-alikes
-----------
High norms during warm-up, which are expected. Isolated peaks, which belong to spikes. The noisy norms of a solved run or
of small-batch classification, whose level rises when it starts to learn. A policy left without a signal: its norm falls
to nearly nothing and the median with it, so in PPO and GRPO runs far-out norms must fill a fifth of the second half too.

When it is wrong
----------------
Norms that were logged after clipping, or summed instead of averaged over micro-batches by the logger.

Sources
-------
definition of the pattern; OLMo 2, arXiv 2501.00656; axolotl docs, Training Stability & Debugging (house values).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from curvelab import synth
from curvelab.facts import Facts, levels_of
from curvelab.model.finding import Change, Finding, Level, Measured, Span
from curvelab.model.percent import percent
from curvelab.model.run import Curve
from curvelab.proposals import clip_at, decay_to_zero, lower_rate, proposes, rate_can_fall, scaled, settled_norms
from curvelab.rules import Example, NotApplicable, Remedy, detector, threshold
from curvelab.signals.noise import running_median

FAR = 10.0  # times the median: norms beyond it are left out of what is usual
NEARLY_SOLVED = 0.25  # of the starting loss: far-out norms of a run that learned as much are those of small batches (judgement)
LEARNED = 0.3  # relative fall of the loss since the norm rose that shows that the run goes on learning (judgement)


@dataclass(frozen=True)
class Thresholds:
    times: float = threshold(
        10.0, unit="times the median norm", low=2.0, high=1e6, source="definition of the pattern: 10x",
        meaning="a norm this far above the median is far out",
    )  # fmt: skip
    share: float = threshold(
        0.2, unit="of the logs after warm-up", low=0.01, high=1.0, source="definition of the pattern: about a fifth",
        meaning="share of far-out norms",
    )  # fmt: skip
    rise: float = threshold(
        4.0, unit="times the earlier level", low=2.0, high=1e6,
        source="definition of the pattern: 10x; less here because the loss must have become worse as well",
        meaning="rise of the level of the norm, together with a loss above its best level",
    )  # fmt: skip
    solved: float = threshold(
        0.1, unit="of the starting loss", low=0.0, high=1.0, source="definition of the pattern: about a tenth",
        meaning="below this the task is solved and noisy norms are normal",
    )  # fmt: skip


def _heavy_tail(facts: Facts, finding: Finding) -> bool:
    """Whether it is a share of far-out norms, and not a level that rose."""
    return any(m.name == "far_share" and m.value >= (m.threshold or 0.0) for m in finding.measured)


def _clip(facts: Facts, finding: Finding) -> Iterator[Change]:
    """The 90th percentile of the usual norms: of those that are not far out, or of those before the level rose."""
    if _heavy_tail(facts, finding):
        norms = settled_norms(facts)
        usual = norms[norms <= FAR * np.median(norms)]
        yield from clip_at(facts, usual, f"logged norms up to {FAR:g} times the median", "down")
    else:
        norms = settled_norms(facts, before=finding.start_step or 0)
        yield from clip_at(facts, norms, f"logged norms before step {finding.start_step}", "down")


REMEDIES = (
    Remedy(
        title="Set {flag_weight_decay} to 0, or to a usual 0.01 to 0.1",
        why="It is {weight_decay:g} in the settings: weights that are decayed by that move away from what the gradient asks for.",
        when_not="The optimizer counts its decay with the other sign or in another unit.",
        cost="rerun",
        source="judgement",
        propose=decay_to_zero,
        applies=proposes(decay_to_zero),
        causes=("wrong-update",),
    ),
    Remedy(
        title="Look at the batches of the highest norms: very short targets, endless repetitions, foreign samples",
        why="{far_share:.0%} of the norms are far out, the highest {highest:.3g} against a median of {median_norm:.3g}: "
        "at a small batch size a few samples do that.",
        when_not="The batches are large and the norms rise together.",
        cost="none",
        source=("olmo2", "axolotl-stability"),
        applies=_heavy_tail,
        causes=("bad-batches", "small-batches"),
    ),
    Remedy(
        title="Clip the gradients at their usual norm ({flag_max_grad_norm})",
        why="The norm reaches {highest:.3g} against a median of {median_norm:.3g}: single updates can undo many others.",
        when_not="The norms were logged after clipping.",
        cost="rerun",
        source=("playbook", "axolotl-stability"),
        propose=_clip,
        applies=proposes(_clip),
        causes=("rate-too-high", "bad-batches", "small-batches"),
    ),
    Remedy(
        title="Lower {flag_learning_rate}",
        why="A norm that grows while the loss does not improve means that the steps leave the region where the gradient is valid.",
        when_not="The norm is high from single broken batches.",
        cost="rerun",
        source="axolotl-stability",
        propose=lower_rate(3, "2 to 5x in the source for unstable runs; 3x taken"),
        alternative=True,
        applies=rate_can_fall,
        causes=("rate-too-high", "rate-jump", "resume"),
    ),
    Remedy(
        title="Accumulate over more micro-batches ({flag_gradient_accumulation_steps})",
        why="A mean over more samples has a smaller tail.",
        when_not="The level of the norm rises steadily, from step {start_step} on.",
        cost="rerun",
        source=("axolotl-stability", "judgement"),
        propose=scaled("gradient_accumulation_steps", 2, "twice the run's own; the source gives no number"),
        applies=_heavy_tail,
        causes=("small-batches", "bad-batches"),
    ),
)


def _example(name: str, fires: bool) -> Example:
    def build() -> object:
        n = 200
        loss = synth.decay(n) + synth.noise(n, 0.03, seed=9)
        norms = np.exp(synth.noise(n, 0.2, seed=10))
        if name == "level rises with the loss":
            loss[120:] += np.linspace(0, 3, 80)
            norms[120:] *= np.geomspace(1, 60, 80)
        elif name == "heavy tail":
            norms[::4] *= 40
        elif name == "isolated peaks":
            norms[[50, 120]] *= 60
        elif name == "grows while learning":
            norms *= np.geomspace(1, 6, n)
        elif name == "a policy left without a signal":
            norms[70:] *= 0.01
            return synth.run_of(0.01 * synth.noise(n, 1.0), norms=norms, more={"train/reward": loss})
        return synth.run_of(loss, norms=norms, rate=synth.cosine(n))

    onset = {"level rises with the loss": (600, 1000), "heavy tail": (1, 120)}.get(name)
    return Example(name, build, fires=fires, onset=onset)  # type: ignore[arg-type]


@detector(
    title="Exploding gradients",
    kind="curve",
    needs={"train/loss": 4, "train/grad_norm": 12},
    thresholds=Thresholds,
    remedies=REMEDIES,
    examples=(
        _example("level rises with the loss", True),
        _example("heavy tail", True),
        _example("isolated peaks", False),
        _example("grows while learning", False),
        _example("a policy left without a signal", False),
    ),
    yields_to=("divergence",),
)
def detect(facts: Facts, limits: Thresholds) -> Iterator[Finding]:
    norms = facts.finite("train/grad_norm")
    norms = norms.take(norms.step >= facts.warmup_end)
    if len(norms) < 8:
        raise NotApplicable(f"{len(norms)} gradient norms after warm-up, 8 are needed")
    median = float(np.median(norms.value))
    solved = facts.bounded and _end_level(facts) <= limits.solved * facts.start_level
    if median <= 0 or solved:
        return
    far = norms.value > limits.times * median
    start, rise, above = _risen(facts, norms, limits)
    late = far[len(far) // 2 :]  # norms that were high and came down have not left their range: the median did
    learned = facts.bounded and _late_level(facts) <= NEARLY_SOLVED * facts.start_level
    gone = learned or not late.any() or (facts.reinforced and float(late.mean()) < limits.share)
    last = _before_nan(facts, norms, limits) if start is None else None
    if start is None and last is None and (float(far.mean()) < limits.share or gone):
        return
    highest = float(norms.value.max())
    if last is not None:
        where = last
        headline = f"the gradient norm rose to {float(norms.value[-1]):.3g}, {float(norms.value[-1]) / median:.3g} times its median, and then to NaN"
        confidence = 0.8
    elif start is not None:
        where = int(start)
        headline = f"the gradient norm rose {rise:,.0f}-fold after step {where}, to about {_end(norms.value):.3g}, and the loss {above}"
        confidence = 0.6 + 0.3 * min(1.0, (rise - limits.rise) / 20)
    else:
        where = int(norms.step[np.argmax(far)])
        headline = f"{percent(far.mean())} of the gradient norms exceed {limits.times:g} times their median of {median:.3g} (the highest is {highest:.3g})"
        confidence = 0.6 + 0.3 * min(1.0, (float(far.mean()) - limits.share) / 0.15)
    yield Finding(
        severity="warning",
        confidence=confidence,
        metric="train/grad_norm",
        headline=headline,
        start_step=where,
        end_step=int(norms.step[-1]),
        measured=(
            Measured(name="far_share", value=float(far.mean()), unit="of the logs", threshold=limits.share, setting="exploding-gradients.share", fires="above"),
            Measured(name="level_rise", value=rise, unit="times", threshold=limits.rise, setting="exploding-gradients.rise", fires="above"),
            Measured(name="median_norm", value=median),
            Measured(name="highest", value=highest),
        ),
        evidence=(
            Span(metric="train/grad_norm", start_step=where, end_step=int(norms.step[-1]), label="out of range"),
            Level(metric="train/grad_norm", value=limits.times * median, label=f"{limits.times:g} x median"),
        ),
    )  # fmt: skip


def _before_nan(facts: Facts, norms: Curve, limits: Thresholds) -> int | None:
    """Step from which on the last norms before a NaN stand far above the median and all norms before: no isolated peaks."""
    norm = facts.curve("train/grad_norm")
    if norm.step[-1] == norms.step[-1] or np.isfinite(norm.value[norm.step > norms.step[-1]]).any():
        return None
    low = np.flatnonzero(norms.value <= limits.times * float(np.median(norms.value)))
    first = int(low[-1]) + 1 if len(low) else 0
    rises = 0 < first < len(norms) and float(norms.value[first:].max()) > float(norms.value[:first].max())
    return int(norms.step[first]) if rises else None


def _end(value: np.ndarray) -> float:
    return float(np.median(value[-max(3, len(value) // 25) :]))


def _end_level(facts: Facts) -> float:
    value = facts.loss.value
    return float(np.median(value[-max(3, len(value) // 20) :]))


def _late_level(facts: Facts) -> float:
    value = facts.loss.value
    return float(np.median(value[-max(3, len(value) // 3) :]))


def _risen(facts: Facts, norms: Curve, limits: Thresholds) -> tuple[int | None, float, str]:
    """(onset step or None, rise of the level, what the loss did): the end of the norm against its first quarter and half.

    A rise of `times` counts when the loss has not improved since it began, one of `rise` when the loss has become worse:
    norms also grow tenfold where a classifier starts to learn.
    """
    value, loss = norms.value, facts.loss
    early, half = (float(np.median(value[: max(4, len(value) // k)])) for k in (4, 2))
    slow = levels_of(norms)
    level = running_median(slow.value, max(3, len(slow) // 25) | 1)
    end, now = _end(value), _end_level(facts)
    best = float(running_median(facts.loss_levels.value, 5).min())
    before = float(np.median(loss.value[: max(3, len(loss) // 2)]))
    scale = abs(best) if facts.bounded else facts.fallen
    worse = now > best + 0.2 * scale and now > before - 0.1 * scale
    for base, times, at_least, loss_did in ((half, limits.rise, worse, "became worse"), (early, limits.times, True, "did not improve")):
        rise = end / base if base > 0 else 0.0
        low = np.flatnonzero(level <= 2 * base)
        onset = int(slow.step[min(int(low[-1]) + 1, len(slow) - 1)] if len(low) else norms.step[0])
        around = loss.value[(loss.step >= onset - 0.05 * facts.length) & (loss.step <= onset + 0.05 * facts.length)]
        then = float(np.median(around)) if len(around) else now
        improved = then - now > LEARNED * (abs(then) if facts.bounded else facts.fallen)
        if rise >= times and at_least and not improved:
            return onset, rise, loss_did
    return None, end / early if early > 0 else 0.0, ""
