"""Too few evals to see overfitting, or none at all.

What
----
The run was evaluated fewer than 4 times although it logged more than 50 train points, or it was never evaluated. Any
eval or test metric counts, not the loss alone.

Why
---
Overfitting, a stalled eval and the best checkpoint show in evals only. One eval at the end says where the run ended, not
where it should have.

Look-alikes
-----------
A short smoke test. Reinforcement learning (PPO, GRPO), whose reward is measured on fresh completions all the time. A run
that was killed before its second eval.

When it is wrong
----------------
When the model is evaluated elsewhere: by a separate job, or by a benchmark that logs to another place.

Sources
-------
Google, Deep Learning Tuning Playbook: evaluate at regular step intervals; definition of the pattern: every 5 to 10 % of the steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from curvelab import synth
from curvelab.facts import Facts
from curvelab.model.finding import Finding, Measured, Point, Span
from curvelab.model.run import Run
from curvelab.proposals import eval_every
from curvelab.rules import Example, NotApplicable, Remedy, detector, threshold

EVALS_WANTED = 15  # evals in a run: one every 5 to 10 % of the steps (Tuning Playbook; the definition of the pattern)


@dataclass(frozen=True)
class Thresholds:
    evals: float = threshold(
        4, unit="evals", low=1, high=1000, source="definition of the pattern: about 4",
        meaning="with fewer evals than this, a minimum cannot be told from noise",
    )  # fmt: skip
    points: float = threshold(
        50, unit="logged train points", low=0, high=1e6, source="definition of the pattern: about 50",
        meaning="a run with no more train points than this is too short to ask for several evals",
    )  # fmt: skip


REMEDIES = (
    Remedy(
        title="Evaluate at regular step intervals ({flag_eval_strategy}, {flag_eval_steps}), every 5 to 10 % of the steps",
        why="With an eval count of {evals:.0f} no minimum shows, and without one the best checkpoint is a guess.",
        when_not="A separate job evaluates the checkpoints.",
        cost="rerun",
        source=("playbook", "judgement"),
        propose=lambda facts, finding: eval_every(facts),
    ),
    Remedy(
        title="Take a fixed sample of 100 to 1,000 examples and evaluate it often, if evals cost too much",
        why="A small eval set that is always the same shows a trend better than a large one that is seen once.",
        when_not="The metric needs the full set to mean anything.",
        cost="rerun",
        source=("playbook", "judgement"),
    ),
)


def _example(name: str, points: int, evals: int, fires: bool) -> Example:
    def build() -> Run:
        losses = synth.decay(evals, 2.9, 1.9) if evals else None
        return synth.run_of(synth.decay(points) + synth.noise(points, 0.03), evals=losses)

    return Example(name, build, fires=fires)


@detector(
    title="Sparse evals",
    kind="run",
    needs={"train/loss": 2},
    thresholds=Thresholds,
    remedies=REMEDIES,
    examples=(
        _example("never evaluated", 120, 0, True),
        _example("three evals in 120 points", 120, 3, True),
        _example("four evals in 120 points", 120, 4, False),
        _example("one eval in a short run", 50, 1, False),
        _example("regular evals", 120, 12, False),
    ),
)
def detect(facts: Facts, limits: Thresholds) -> Iterator[Finding]:
    if facts.reinforced:
        raise NotApplicable("the reward is measured on fresh completions; a run of this kind needs no separate eval")
    evals, points = len(facts.evals), facts.run.points
    if evals >= limits.evals or (evals and points <= limits.points):
        return
    loss = facts.curve("train/loss")
    never = evals == 0
    steps = ", ".join(str(s) for s in facts.evals)
    yield Finding(
        severity="info" if never else "warning",
        confidence=0.95 if never or evals < limits.evals - 1 else 0.85,
        metric=facts.eval_loss.metric if len(facts.eval_loss) else "train/loss",
        headline=f"never evaluated: {points} logged train points and no eval metric"
        if never
        else f"{evals} {'eval' if evals == 1 else 'evals'} (step {steps}) beside {points} logged train points: too few to see a minimum",
        start_step=int(loss.step[0]),
        end_step=int(loss.step[-1]),
        measured=(
            Measured(
                name="evals",
                value=float(evals),
                unit="evals",
                threshold=limits.evals,
                setting="sparse-eval.evals",
                fires="below",
            ),
            Measured(
                name="points",
                value=float(points),
                unit="train points",
                threshold=None if never else limits.points,
                setting=None if never else "sparse-eval.points",
                fires="above",
            ),
        ),
        evidence=(
            Span(
                metric="train/loss", start_step=int(loss.step[0]), end_step=int(loss.step[-1]), label=f"{evals} evals"
            ),
            *_marks(facts),
        ),
    )


def _marks(facts: Facts) -> Iterator[Point]:
    evals = facts.eval_loss
    for step, value in zip(evals.step, evals.value, strict=True):
        yield Point(metric=evals.metric, step=int(step), value=float(value), label="eval")
