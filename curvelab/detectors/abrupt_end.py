"""The log ends long before the plan: the run was killed, or this is a snapshot of a longer run.

What
----
The last logged step lies before 90 % of the planned steps, and the log bears no mark of completion. The plan is
max_steps, or num_train_epochs and the epoch that the log had reached.

Why
---
An unfinished schedule is not a finished model: the rate never decayed. Usual causes are memory running out on a long
batch, a preempted node, a time limit, a crash of the data loader.

Look-alikes
-----------
A run that is still being written. A run that stopped at NaN, or was stopped early on purpose (early stopping ends with a
final summary row, which counts as finished).

When it is wrong
----------------
A lone checkpoint's state says nothing about what came later: it may be a snapshot of a run that went on. The confidence
is lower then, and the headline says so.

Sources
-------
definition of the pattern; Transformers, TrainerState.max_steps; axolotl docs, Training Stability & Debugging.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from curvelab import synth
from curvelab.facts import Facts
from curvelab.model.finding import Change, Finding, Gap, Measured
from curvelab.model.percent import percent
from curvelab.proposals import EVALS_WANTED, change, number, round_steps, switched
from curvelab.rules import Example, NotApplicable, Remedy, detector, threshold


@dataclass(frozen=True)
class Thresholds:
    done: float = threshold(
        0.9, unit="of the planned steps", low=0.0, high=1.0, source="definition of the pattern: 90 %",
        meaning="a log that ends before this share of the plan ended abruptly",
    )  # fmt: skip


def _smaller_batches(facts: Facts, finding: Finding) -> Iterator[Change]:
    """Smaller micro-batches and as many more of them, so that an update goes on to hold the same samples."""
    size, steps = number(facts, "per_device_train_batch_size"), number(facts, "gradient_accumulation_steps")
    if size is None or steps is None or size < 2:
        return
    parts = 2 if size % 2 == 0 else size
    said = f"{size / parts:g} x {steps * parts:g} samples an update, as many as {size:g} x {steps:g}"
    yield from change(facts, "per_device_train_batch_size", size / parts, "judgement", said, "down")
    yield from change(facts, "gradient_accumulation_steps", steps * parts, "judgement", said, "up")


def _save(facts: Facts, finding: Finding) -> Iterator[Change]:
    every = round_steps((facts.run.planned_steps or 0) / EVALS_WANTED)
    said = f"{percent(every / (facts.run.planned_steps or 1))} of {facts.run.planned_steps} planned steps"
    yield from change(facts, "save_strategy", "steps", "judgement", "a stop then costs no more than the steps since the last save")
    yield from change(facts, "save_steps", every, "judgement", said)


REMEDIES = (
    Remedy(
        title="Resume from the last checkpoint: trainer.train(resume_from_checkpoint=True)",
        why="{missing:.0f} of the planned steps were never done; the learning rate had not decayed.",
        when_not="This log is a snapshot of a run that went on after step {start_step}.",
        cost="resume",
        source="transformers-checkpoints",
        applies=lambda facts, finding: facts.saves,
    ),
    Remedy(
        title="Save checkpoints at regular steps ({flag_save_strategy}, {flag_save_steps})",
        why="Nothing was saved: all {start_step} steps have to be done again.",
        when_not="A run of this length is cheap enough to lose.",
        cost="rerun",
        source=("transformers-training-arguments", "judgement"),
        propose=_save,
        applies=lambda facts, finding: not facts.saves,
    ),
    Remedy(
        title="Shrink the micro-batch and accumulate more, and truncate the longest samples, if memory ran out",
        why="A single long batch is the usual cause of a crash in the middle of a run.",
        when_not="The log of the job shows another cause (time limit, preemption, disk full).",
        cost="resume",
        source=("axolotl-stability", "judgement"),
        propose=_smaller_batches,
        conditional=True,
        causes=("out-of-memory",),
        applies=lambda facts, finding: number(facts, "per_device_train_batch_size") != 1,
    ),
    Remedy(
        title="Turn on {flag_gradient_checkpointing}, if memory ran out",
        why="Activations are computed again in the backward pass instead of being kept: less memory for about a fifth more time.",
        when_not="The log of the job shows another cause (time limit, preemption, disk full).",
        cost="resume",
        source=("axolotl-stability", "judgement"),
        propose=switched("gradient_checkpointing", True, "the second step of the source against a full memory", unknown=False),
        applies=lambda facts, finding: facts.setting("gradient_checkpointing") is False,
        conditional=True,
        causes=("out-of-memory",),
    ),
)  # fmt: skip


def _example(name: str, planned: int, fires: bool, state: str) -> Example:
    def build() -> object:
        return synth.run_of(synth.decay(60) + synth.noise(60, 0.03), planned=planned, state=state)

    return Example(name, build, fires=fires, onset=(290, 300) if fires else None)  # type: ignore[arg-type]


@detector(
    title="Abrupt end",
    kind="run",
    needs={"train/loss": 2},
    thresholds=Thresholds,
    remedies=REMEDIES,
    examples=(
        _example("killed half-way", 600, True, "crashed"),
        _example("nearly done", 320, False, "unknown"),
        _example("stopped early on purpose", 600, False, "finished"),
    ),
    yields_to=("non-finite",),
)
def detect(facts: Facts, limits: Thresholds) -> Iterator[Finding]:
    run = facts.run
    planned = run.planned_steps
    if not planned:
        raise NotApplicable("no plan in the log (max_steps, or num_train_epochs with epochs)")
    if run.state == "running":
        raise NotApplicable("the run is still being written")
    last = run.last_step or 0
    loss = facts.curve("train/loss")
    lost_to_nan = not np.isfinite(loss.value[-1]) or (len(facts.masked) and facts.masked[-1] == loss.step[-1])
    if run.state == "finished" or last >= limits.done * planned or lost_to_nan:
        return
    share = last / planned
    lone = run.state == "unknown"
    yield Finding(
        severity="warning",
        confidence=0.7 if lone else 0.9,
        metric="train/loss",
        headline=f"the log ends at step {last} of {planned} planned ({percent(share)})"
        + ("; a lone checkpoint may be a snapshot of a longer run" if lone else ""),
        start_step=last,
        end_step=planned,
        measured=(
            Measured(name="done", value=share, unit="of the plan", threshold=limits.done, setting="abrupt-end.done"),
            Measured(name="missing", value=float(planned - last), unit="steps"),
        ),
        evidence=(Gap(metric="train/loss", start_step=last, end_step=planned, label="planned, never logged"),),
    )
