"""The train loss steps down at epoch boundaries: what was seen once is known the second time.

What
----
At the end of an epoch the train loss drops by more than its trend on both sides explains: lines through the half epoch
before and after, continued to the boundary, do not meet.

Why
---
It says that the model remembers single examples after one view. That is usual when a large model is fine-tuned for
several epochs, and it answers the question "is this normal?". From then on the train loss says nothing about new data.

Look-alikes
-----------
A loss that falls steadily through the boundary. A small data set in a fixed order, whose pattern repeats each epoch. A
learning rate that is restarted at the boundary. The half-size last logging window of an epoch.

When it is wrong
----------------
With few logs per epoch the step cannot be told from noise, and nothing is said.

Sources
-------
fast.ai, Can LLMs learn from a single example? (2023-09-04).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from curvelab import synth
from curvelab.deciding import still_improving
from curvelab.facts import Facts
from curvelab.model.finding import Change, Finding, Measured, Point, Span
from curvelab.model.percent import percent
from curvelab.model.run import Run
from curvelab.proposals import eval_every, no_longer_than
from curvelab.rules import Example, NotApplicable, Remedy, detector, threshold
from curvelab.signals.line import Jump, jump_at

SIDE = 0.5  # epochs on both sides of a boundary that the lines are laid through: near enough to be straight (judgement)
FEWEST = 6  # points on a side; fewer have no noise level of their own (judgement)
LISTED = 12


@dataclass(frozen=True)
class Thresholds:
    sigmas: float = threshold(
        4.5, unit="standard errors of the step", low=1.0, high=100.0, source="measured: middle of the valley from 3.5 to 5.5",
        meaning="how clearly the steepest step stands out from the noise",
    )  # fmt: skip
    share: float = threshold(
        0.4, unit="of the fall from one half epoch to the next", low=0.0, high=1.0, source="judgement: most of the fall, less noise",
        meaning="how much of the fall across the boundary happens at the boundary itself",
    )  # fmt: skip


def _turned(facts: Facts, finding: Finding) -> bool:
    """Whether the eval loss was best before the run ended: then the later epochs did harm."""
    evals = facts.eval_loss
    return len(evals) >= 3 and int(evals.step[np.argmin(evals.value)]) < int(evals.step[-1])


def _task_improves(facts: Facts, finding: Finding) -> bool:
    """Whether a task metric was clearly better after the best eval loss: then the later epochs did good."""
    evals = facts.eval_loss
    return len(evals) > 0 and still_improving(facts, int(evals.step[np.argmin(evals.value)])) is not None


def _fewer_epochs(facts: Facts, finding: Finding) -> Iterator[Change]:
    evals = facts.eval_loss
    best = int(evals.step[np.argmin(evals.value)])
    yield from no_longer_than(facts, best, f"best of {len(evals)} evals at step {best} of {facts.run.last_step}")


REMEDIES = (
    Remedy(
        title="Nothing, as long as eval loss still falls: steps like these are expected over several epochs",
        why="The model knows examples that it has seen before; the drop is no progress on new data, and no harm by itself.",
        when_not="Eval loss rises after step {start_step}.",
        cost="none",
        source="fastai-one-example",
        applies=lambda facts, finding: not _turned(facts, finding),
    ),
    Remedy(
        title="Nothing, as long as the metric that matters still improves, as it did here after the best eval loss",
        why="The model knows examples that it has seen before and grows too sure of itself; its answers still got better.",
        when_not="The model's probabilities are used, not only its answers.",
        cost="none",
        source=("fastai-one-example", "judgement"),
        applies=lambda facts, finding: _turned(facts, finding) and _task_improves(facts, finding),
    ),
    Remedy(
        title="End the run at its best eval: {flag_num_train_epochs} of 1 to 3 are usual",
        why="{drop:.0%} of the train loss went at one boundary, and eval loss was best before the end: what came after is memory.",
        when_not="Later epochs still improve the metric that matters.",
        cost="rerun",
        source=("fastai-one-example", "unsloth-lora"),
        propose=_fewer_epochs,
        applies=lambda facts, finding: _turned(facts, finding) and not _task_improves(facts, finding),
    ),
    Remedy(
        title="Judge the run by an eval loss, which it lacks",
        why="{drop:.0%} of the train loss went at one boundary: from there on train loss measures memory.",
        when_not="The model is evaluated elsewhere.",
        cost="rerun",
        source=("fastai-one-example", "playbook"),
        propose=lambda facts, finding: eval_every(facts),
        applies=lambda facts, finding: len(facts.eval_loss) < 3,
    ),
)


def _example(name: str, step: float, fires: bool, sigma: float = 0.03) -> Example:
    def build() -> Run:
        n = 120
        epoch = (np.arange(n) + 1) / 40
        loss = synth.decay(n, 2.4, 1.9, 2.0) - step * np.floor(epoch - 1e-9) + synth.noise(n, sigma, seed=11)
        run = synth.run_of(loss)
        curve = replace(run.logged["train/loss"], epoch=epoch)
        return replace(run, logged={**run.logged, "train/loss": curve})

    return Example(name, build, fires=fires, onset=(200, 205) if fires else None)


@detector(
    title="Epoch staircase",
    kind="run",
    needs={"train/loss": 2 * FEWEST},
    thresholds=Thresholds,
    remedies=REMEDIES,
    examples=(
        _example("steps of a quarter", 0.25, True),
        _example("smooth decline", 0.0, False),
        _example("lost in noise", 0.1, False, sigma=0.2),
    ),
)
def detect(facts: Facts, limits: Thresholds) -> Iterator[Finding]:
    if facts.around_zero:
        raise NotApplicable(facts.why_no_level)
    jumps = _jumps(facts)
    steps = [(at, jump, _share(facts, at, jump)) for at, jump in jumps]
    found = [
        (at, -jump.size / abs(jump.before), -jump.sigmas)
        for at, jump, share in steps
        if -jump.sigmas >= limits.sigmas and share >= limits.share
    ]
    if not found:
        return
    clearest = max(sigmas for *_, sigmas in found)
    at, drop, _ = max(found, key=lambda one: one[1])
    where = ", ".join(str(round(a)) for a, *_ in found[:LISTED])
    one = len(found) == 1
    yield Finding(
        severity="info",
        confidence=0.7 + 0.25 * min(1.0, (clearest - limits.sigmas) / limits.sigmas),
        metric="train/loss",
        headline=f"train/loss steps down at {len(found)} of {len(jumps)} epoch boundaries ({'step' if one else 'steps'} {where}), "
        f"{'' if one else 'at most '}by {percent(drop, '.1%')} at step {at:.0f}",
        start_step=round(found[0][0]),
        end_step=round(found[-1][0]),
        measured=(
            Measured(name="drop", value=drop, unit="of the train loss before it"),
            Measured(
                name="clearest",
                value=min(clearest, 1e6),
                unit="standard errors",
                threshold=limits.sigmas,
                setting="epoch-staircase.sigmas",
            ),
            Measured(name="boundaries", value=float(len(found)), unit=f"out of {len(jumps)} epoch boundaries"),
        ),
        evidence=(
            *(
                Point(metric="train/loss", step=round(a), value=_level(facts, a), label=f"−{percent(d, '.1%')}")
                for a, d, _ in found
            ),
            Span(metric="train/loss", start_step=round(found[0][0]), end_step=round(found[-1][0]), label="epoch ends"),
        ),
    )


def _jumps(facts: Facts) -> list[tuple[float, Jump]]:
    """What the train loss does at every epoch boundary with enough logs around it. Raises NotApplicable without one."""
    ends, loss = facts.epoch_ends, facts.loss
    if not len(ends):
        raise NotApplicable("no epoch boundary in the log (no epochs logged, less than one, or they go back)")
    length = float(np.median(np.diff(ends))) if len(ends) > 1 else float(ends[0] - loss.step[0])
    gap = float(np.median(np.diff(loss.step)))
    x = loss.step.astype(np.float64)
    found = [(float(at), jump_at(x, loss.value, at, SIDE * length, gap, FEWEST)) for at in ends]
    jumps = [(at, jump) for at, jump in found if jump is not None]
    if not jumps:
        raise NotApplicable(f"fewer than {FEWEST} train points in the half epoch around every boundary")
    return jumps


def _share(facts: Facts, at: float, jump: Jump) -> float:
    """How much of the fall between the half epochs around a boundary is the step itself; 1 when all of it is."""
    ends, loss = facts.epoch_ends, facts.loss
    length = SIDE * (float(np.median(np.diff(ends))) if len(ends) > 1 else float(ends[0] - loss.step[0]))
    first, place, last = np.searchsorted(loss.step, [at - length, at, at + length], side="right").tolist()
    before, after = loss.value[first:place], loss.value[place:last]
    fall = float(np.median(before) - np.median(after))
    return -jump.size / fall if fall > 0 else 0.0


def _level(facts: Facts, at: float) -> float:
    place = min(int(np.searchsorted(facts.loss.step, at)), len(facts.loss) - 1)
    return float(facts.loss.value[place])
