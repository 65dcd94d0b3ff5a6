"""The logged learning rate does not do what its schedule should.

What
----
One of three: the rate is (nearly) zero long before the end; it stays at its peak although a decaying schedule was
declared; it rises after warm-up although the schedule only falls.

Why
---
The rate decides what a step is worth: nothing at zero, little of the last gains at a peak that never falls, and a jump
upwards can undo what was learned. Usual reasons are a plan of steps that the trainer did not know (a wrong max_steps, a
resume with other settings) or two schedulers on one optimizer.

Look-alikes
-----------
The tail of a cosine. Restarts and cycles, declared or plain to see. Reductions on a plateau, even to a hundredth. A
warm-up over a large part of the run. A rate that changes at the seam of a resume, which `resume-seam` tells.

When it is wrong
----------------
When several parameter groups have rates of their own and the log shows a frozen one.

Sources
-------
Transformers, get_scheduler; definition of the pattern; judgement for the thresholds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from curvelab import synth
from curvelab.facts import Facts
from curvelab.model.finding import Change, Finding, Measured, Point, Span
from curvelab.model.percent import percent
from curvelab.model.run import Curve, Run
from curvelab.proposals import Applies, change
from curvelab.rules import Example, Remedy, detector, threshold
from curvelab.signals.noise import running_median

DECAYING = ("linear", "cosine", "polynomial", "inverse_sqrt", "cosine_with_min_lr", "warmup_stable_decay")
FALLING = (*DECAYING, "constant", "constant_with_warmup")
HALF = 0.5  # of the plan; a decaying schedule has left its peak by then (cosine is at 0.5, inverse_sqrt well below 1)
STILL = 0.99  # of the peak
SUDDEN = 5.0  # times the usual change from log to log, for a rise under an unknown schedule (judgement)
AGAIN = 0.25  # above its first peak, which warm-up may have clipped: a restart comes back to it, or stays below (judgement)
STEPPED = 0.01  # of `gone`, for a rate that was cut by steps: each cut is meant, and training went on with it (judgement)
FEW_CUTS = 0.1  # of the logs
DOUBLED = 2.0  # times the rate before: from here on a rise is a warning


@dataclass(frozen=True)
class Thresholds:
    gone: float = threshold(
        0.01, unit="of the peak rate", low=0.0, high=0.5, source="judgement: a hundredth of the peak moves nothing",
        meaning="below this the rate counts as zero",
    )  # fmt: skip
    idle: float = threshold(
        0.2, unit="of the run", low=0.01, high=1.0, source="judgement: a cosine is under a hundredth for 6 % of the run",
        meaning="how much of the run passes at a rate of zero",
    )  # fmt: skip
    rise: float = threshold(
        0.2, unit="of the rate before", low=0.01, high=1000.0, source="judgement",
        meaning="how far the rate rises after warm-up",
    )  # fmt: skip


def _plan(facts: Facts, finding: Finding) -> Iterator[Change]:
    last = facts.run.last_step or 0
    yield from change(facts, "max_steps", last, "measured", f"the log goes to step {last}", "up")


def _is(kind: str) -> Applies:
    return lambda facts, finding: any(m.name == kind for m in finding.measured)


def _never_on(facts: Facts, finding: Finding) -> bool:
    """Whether the rate was zero in every log."""
    return facts.peak_rate <= 0


REMEDIES = (
    Remedy(
        title="Check which parameter group is logged, and that {flag_learning_rate} reaches the optimizer",
        why="The logged rate is zero in every log: either nothing was trained, or the log shows a frozen group.",
        when_not="The loss fell: then only the log is wrong.",
        cost="none",
        source="judgement",
        applies=_never_on,
    ),
    Remedy(
        title="Give the schedule the number of optimizer steps that the run really has",
        why="{idle:.0%} of the run passed at a learning rate of zero: the decay was over too early.",
        when_not="The steps at the end were not meant to train (evaluation, averaging).",
        cost="rerun",
        source="transformers-schedules",
        propose=_plan,
        applies=lambda facts, finding: _is("idle")(facts, finding) and not _never_on(facts, finding),
    ),
    Remedy(
        title="Check that the scheduler is stepped, once per optimizer step, and belongs to this optimizer",
        why="{flag_lr_scheduler_type} declares a decay, and the logged rate stood at its peak.",
        when_not="The rate is held constant on purpose; then declare constant_with_warmup.",
        cost="rerun",
        source="pytorch-schedulers",
        applies=_is("still"),
    ),
    Remedy(
        title="Find what set the rate at step {start_step}: a resume with other steps, a callback, a second scheduler",
        why="A schedule that only falls does not raise the rate to {rise_to:.3g}.",
        when_not="It is a schedule with restarts of your own.",
        cost="none",
        source="judgement",
        applies=_is("rise"),
    ),
)


def _example(name: str, fires: bool) -> Example:
    def build() -> Run:
        n, kind = 120, "cosine"
        rate = synth.cosine(n)
        if name == "over after a third":
            rate = np.concatenate([synth.cosine(40), np.zeros(n - 40)])
        elif name == "cosine declared, constant logged":
            rate = np.full(n, 2e-4)
        elif name == "a jump in the middle":
            rate[60:] *= 8
        elif name == "declared restarts":
            rate, kind = np.concatenate([synth.cosine(60, warmup=0.02)] * 2), "cosine_with_restarts"
        return synth.run_of(synth.decay(n), rate=rate, config={"lr_scheduler_type": kind})

    return Example(name, build, fires=fires, onset=(190, 305) if fires and "constant" not in name else None)


@detector(
    title="Schedule anomaly",
    kind="run",
    needs={"train/loss": 2, "train/learning_rate": 10},
    thresholds=Thresholds,
    remedies=REMEDIES,
    examples=(
        _example("over after a third", True),
        _example("cosine declared, constant logged", True),
        _example("a jump in the middle", True),
        _example("cosine", False),
        _example("declared restarts", False),
    ),
    yields_to=("resume-seam",),  # a schedule begun anew warms up again: the cause is the resume
    explains=("underfitting",),  # without a learning rate nothing is learned
)
def detect(facts: Facts, limits: Thresholds) -> Iterator[Finding]:
    for look in (_risen, _gone, _never_fell):
        found = look(facts, limits)
        if found is not None:
            yield found
            return


def _gone(facts: Facts, limits: Thresholds) -> Finding | None:
    """The rate is zero for the last part of the run, or was never anything else."""
    rate = facts.rate
    peak = float(running_median(rate.value, 5).max())  # a rate that was high in one log is no peak of a schedule
    gone = limits.gone * (STEPPED if _by_steps(rate.value) else 1)
    high = np.flatnonzero(rate.value > gone * peak) if peak > 0 else np.empty(0, dtype=np.int64)
    place = int(high[-1]) + 1 if len(high) else 0
    if place >= len(rate) or peak < 0:
        return None
    start, last = int(rate.step[place]), int(rate.step[-1])
    idle = (last - start) / facts.length
    if idle < limits.idle:
        return None
    said = f"the learning rate is zero from step {start} on" if place else f"the learning rate is zero from the first log on (step {start})"
    share = f"{percent(idle)} of the run (highest {float(rate.value.max()):.3g})" if place else "so that nothing could be learned"
    return Finding(
        severity="warning",
        confidence=0.75 + 0.2 * min(1.0, (idle - limits.idle) / 0.3),
        metric="train/learning_rate",
        headline=f"{said}, {share}",
        start_step=start,
        end_step=last,
        measured=(
            Measured(
                name="idle" if place else "idle_throughout",
                value=idle,
                unit="of the run",
                threshold=limits.idle,
                setting="schedule-anomaly.idle",
            ),
        ),
        evidence=(Span(metric="train/learning_rate", start_step=start, end_step=last, label="rate of zero"),),
    )


def _risen(facts: Facts, limits: Thresholds) -> Finding | None:
    """The rate rises after warm-up, under a declared schedule that only falls; or at once, under an unknown one."""
    kind = _declared(facts)
    if kind is not None and kind not in FALLING:
        return None
    rate = _after_warmup(facts)
    if len(rate) < 4:
        return None
    before, change = rate.value[:-1], np.diff(rate.value)
    lowest = np.minimum.accumulate(before)
    least = limits.gone * np.maximum.accumulate(before)
    risen = (rate.value[1:] - lowest > limits.rise * np.maximum(lowest, least)) & ~_at_seam(facts, rate.step[1:])
    if kind is None:
        moved = np.abs(change[change != 0])
        usual = float(np.median(moved)) if len(moved) > 2 else 0.0
        risen &= (change > limits.rise * before) & (change > SUDDEN * usual)
    if not risen.any() or (kind is None and _restarts(rate.value, risen)):
        return None
    place = int(np.argmax(risen))
    base = float(max(lowest[place], least[place]))
    top = place + 1 + int(np.argmax(rate.value[place + 1 : place + 1 + len(rate) // 4 + 1]))
    times = float(rate.value[top]) / base
    start, end = int(rate.step[place + 1]), int(rate.step[_high_until(rate.value, place + 1, base, limits.rise)])
    until = "on" if end == int(rate.step[-1]) else f"to step {end}"
    where = f"at step {start} alone" if end == start and until != "on" else f"from step {start} {until}"
    return Finding(
        severity="warning" if times >= DOUBLED else "info",
        confidence=(0.8 if kind else 0.7) + 0.15 * min(1.0, (times - 1) / 4),
        metric="train/learning_rate",
        headline=f"the learning rate rises after warm-up: {base:.3g} to {float(rate.value[top]):.3g} {where}"
        + (f", under a declared {kind} schedule" if kind else ", and no schedule was declared"),
        start_step=start,
        end_step=end,
        measured=(
            Measured(
                name="rise",
                value=times - 1,
                unit="of the rate before",
                threshold=limits.rise,
                setting="schedule-anomaly.rise",
            ),
        ),
        also={"rise_to": float(rate.value[top])},
        evidence=(
            Point(metric="train/learning_rate", step=start, value=float(rate.value[place + 1]), label=f"{times:.3g}x"),
        ),
    )


def _high_until(rate: np.ndarray, place: int, base: float, rise: float) -> int:
    """The last of the logs, from one that had risen on, at which the rate still stands above where it came from."""
    back = np.flatnonzero(rate[place:] <= (1 + rise) * base)
    return place + int(back[0]) - 1 if len(back) and back[0] else len(rate) - 1


def _restarts(rate: np.ndarray, risen: np.ndarray) -> bool:
    """Whether a rate goes up and comes down again, twice or more and never above its first peak: cycles of somebody's own."""
    jumps = np.flatnonzero(risen & (np.diff(rate) > 0))
    apart = jumps[np.diff(jumps, prepend=-2) > 1]
    falls = [float(rate[a + 1 : b + 1].min()) < float(rate[a + 1]) for a, b in pairwise([*apart.tolist(), len(rate) - 1])]
    return len(apart) >= 2 and all(falls) and float(rate.max()) <= (1 + AGAIN) * float(rate[: apart[0] + 1].max())


def _by_steps(rate: np.ndarray) -> bool:
    """Whether a rate comes down in a few steps to a level above zero and rests on each: cut on a plateau or at milestones.

    float64[n] -> two cuts or more, rare among the logs.
    """
    cuts = np.flatnonzero(np.diff(rate) < 0)
    return rate[-1] > 0 and 2 <= len(cuts) <= FEW_CUTS * len(rate)


def _never_fell(facts: Facts, limits: Thresholds) -> Finding | None:
    """The rate stands at its peak past the middle of the plan although the declared schedule decays."""
    kind, rate, plan = _declared(facts), _after_warmup(facts), facts.run.planned_steps
    if (
        kind not in DECAYING
        or kind == "warmup_stable_decay"
        or len(rate) < 4
        or not plan
        or rate.step[-1] < HALF * plan
    ):
        return None
    peak = float(rate.value.max())
    left = float(rate.value.min()) / peak if peak > 0 else 0.0
    if left < STILL:
        return None
    return Finding(
        severity="warning",
        confidence=0.85,
        metric="train/learning_rate",
        headline=f"the learning rate stands at {peak:.3g} up to step {int(rate.step[-1])} of {plan} although a {kind} schedule was declared",
        start_step=int(rate.step[0]),
        end_step=int(rate.step[-1]),
        measured=(Measured(name="still", value=left, unit="of the peak", threshold=STILL),),
        evidence=(
            Span(
                metric="train/learning_rate",
                start_step=int(rate.step[0]),
                end_step=int(rate.step[-1]),
                label="no decay",
            ),
        ),
    )


def _declared(facts: Facts) -> str | None:
    """The declared schedule in Transformers' words; None when no log says."""
    kind = facts.setting("lr_scheduler_type")
    return str(kind).rpartition(".")[2].lower() if kind else None


def _after_warmup(facts: Facts) -> Curve:
    declared = facts.setting("warmup_steps")
    ratio = facts.setting("warmup_ratio")
    end = max(
        facts.warmup_end,
        declared if isinstance(declared, int | float) and declared >= 1 else 0,
        ratio * (facts.run.planned_steps or 0) if isinstance(ratio, int | float) else 0,
    )
    return facts.rate.take(facts.rate.step >= end)


def _at_seam(facts: Facts, steps: np.ndarray) -> np.ndarray:
    """Which of the logged steps come first after a restart: resume-seam tells of them."""
    at = np.zeros(len(steps), dtype=bool)
    for seam in facts.run.seams:
        place = int(np.searchsorted(steps, seam.step))
        at[place : place + 1] = True
    return at
