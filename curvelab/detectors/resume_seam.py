"""The run was restarted, and the seam shows: steps repeated, or a jump of loss or learning rate.

What
----
The log goes back to an earlier step and continues from there. The steps that were done twice are counted; the loss and
the learning rate before the seam are compared with those after it.

Why
---
A resume that restores everything leaves no trace but the repeated steps. A jump of the loss says that weights, optimizer
state or the position in the data were not restored; a jump of the rate that the schedule was set up anew.

Look-alikes
-----------
A spike near the seam that has nothing to do with it. Two processes that write one log.

When it is wrong
----------------
When two different runs were written to one folder, the later one is taken for a continuation.

Sources
-------
Transformers docs, Trainer checkpoints (resume_from_checkpoint restores model, optimizer, scheduler and RNG states).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from curvelab import synth
from curvelab.across import differing, short
from curvelab.facts import Facts
from curvelab.knowledge.setting_bounds import BOUNDS
from curvelab.model.finding import Change, Finding, Measured, Point
from curvelab.model.percent import percent
from curvelab.model.run import Curve, Run, Seam
from curvelab.proposals import EVALS_WANTED, change, round_steps, switched
from curvelab.rules import Example, NotApplicable, Remedy, detector, threshold
from curvelab.signals.line import Jump, fit_line, jump_at

SIDE = 20  # logs on each side of a seam that are compared (judgement)
FEWEST = 5  # logs on a side
MOST_TOLD = 3  # settings that a headline names
REACH = 3  # earlier rates that a rate without overlap is continued from


@dataclass(frozen=True)
class Thresholds:
    jump: float = threshold(
        0.1, unit="of the level before", low=0.01, high=100.0, source="judgement",
        meaning="how far loss or learning rate jump at the seam",
    )  # fmt: skip
    sigmas: float = threshold(
        5.0, unit="standard errors of the jump", low=1.0, high=100.0, source="judgement",
        meaning="how clearly the jump of the loss stands out from the noise",
    )  # fmt: skip


MANY = 0.05  # share of the run that was done twice from which on checkpoints are too far apart (judgement)


def _was_resumed(facts: Facts, finding: Finding) -> bool:
    return "trainings" not in finding.also


def _jumped(facts: Facts, finding: Finding) -> bool:
    return finding.severity != "info"


def _many(facts: Facts, finding: Finding) -> bool:
    return any(m.name == "repeated" and m.value >= MANY * facts.length for m in finding.measured)


def _save_more(facts: Facts, finding: Finding) -> Iterator[Change]:
    steps = facts.run.planned_steps or facts.run.last_step or 0
    every = round_steps(steps / EVALS_WANTED)
    yield from change(facts, "save_steps", every, "judgement", f"{percent(every / max(1, steps))} of {steps} steps", "down")


def _as_before(facts: Facts, finding: Finding) -> Iterator[Change]:
    """The settings of the attempt that went on, back to those of the one before."""
    for seam in facts.run.seams:
        for one in differing(facts, seam) or ():
            if one.name in BOUNDS and not isinstance(one.before, str):
                said = f"what the part before step {seam.step} was given"
                yield from change(facts, one.name, one.before, "measured", said)


REMEDIES = (
    Remedy(
        title="Resume with the settings of the first part",
        why="The part after the restart was given other settings: what the checkpoint restores is not what it goes on with.",
        when_not="They were changed on purpose: then it is a new stage, and to be read as a run of its own.",
        cost="resume",
        source="transformers-checkpoints",
        propose=_as_before,
        applies=lambda facts, finding: _jumped(facts, finding) and next(_as_before(facts, finding), None) is not None,
        causes=("other-settings",),
    ),
    Remedy(
        title="Turn {flag_save_only_model} off: its checkpoints lack the states of optimizer and scheduler",
        why="No resume from such a checkpoint can be clean: the moments of the optimizer and the place in the schedule are lost.",
        when_not="No run will be resumed.",
        cost="rerun",
        source="transformers-training-arguments",
        propose=switched("save_only_model", False, "the source saves optimizer and scheduler then"),
        applies=lambda facts, finding: _jumped(facts, finding) and facts.setting("save_only_model") is True,
    ),
    Remedy(
        title="Log each training into a folder of its own",
        why="Two trainings in one log are told apart by their steps alone, and the earlier one is left out of every number here.",
        when_not="It was one training that was begun from scratch on purpose.",
        cost="none",
        source="judgement",
        applies=lambda facts, finding: not _was_resumed(facts, finding),
    ),
    Remedy(
        title="Nothing: the resume left no trace but {repeated:.0f} steps that were done twice",
        why="Steps between the last checkpoint and the stop are lost in every resume.",
        when_not="They are many: save more often.",
        cost="none",
        source="transformers-checkpoints",
        applies=lambda facts, finding: _was_resumed(facts, finding) and not _jumped(facts, finding) and not _many(facts, finding),
    ),
    Remedy(
        title="Resume with everything: trainer.train(resume_from_checkpoint=True), same {flag_max_steps}, batch size and {flag_seed}",
        why="Loading the weights alone starts optimizer, schedule and data order anew; that is what a jump at the seam shows.",
        when_not="The second part was meant to be a new stage with settings of its own.",
        cost="rerun",
        source="transformers-checkpoints",
        applies=_jumped,
        causes=("schedule-anew", "optimizer-states", "data-order", "other-weights"),
    ),
    Remedy(
        title="Check {flag_save_only_model}: without optimizer and scheduler states a resume cannot be clean",
        why="AdamW without its moments takes its first steps blindly.",
        when_not="The checkpoint folder holds optimizer.pt and scheduler.pt.",
        cost="none",
        source="transformers-training-arguments",
        applies=lambda facts, finding: _jumped(facts, finding) and facts.setting("save_only_model") is None,
    ),
    Remedy(
        title="Save more often ({flag_save_steps}): {repeated:.0f} steps were done twice",
        why="Steps between the last checkpoint and the stop are lost in every resume.",
        when_not="Disk space or the time of a save decides.",
        cost="rerun",
        source="judgement",
        propose=_save_more,
        applies=_many,
    ),
)  # fmt: skip


def _example(name: str, loss_jump: float, rate_times: float, fires: bool) -> Example:
    def build() -> Run:
        step = np.arange(1, 101) * 5
        loss = synth.decay(100) + synth.noise(100, 0.02, seed=13)
        rate = synth.cosine(100)
        again = 50  # the second attempt begins after the checkpoint at step 250; the first had come to step 300
        steps = np.concatenate([step[:60], step[again:]])
        segment = np.repeat([0, 1], [60, 100 - again])
        losses = np.concatenate([loss[:60], loss[again:] + loss_jump])
        rates = np.concatenate([rate[:60], rate[again:] * rate_times])
        run = synth.run_of(loss, rate=rate)
        if name == "never restarted":
            return run
        logged = {
            m: Curve.of(m, steps, v, segment=segment)
            for m, v in (("train/loss", losses), ("train/learning_rate", rates))
        }
        return replace(run, logged=logged, seams=(Seam(segment=1, step=int(step[again]), reached=300),))

    return Example(name, build, fires=fires, onset=(255, 255) if fires else None)


@detector(
    title="Resume seam",
    kind="run",
    needs={"train/loss": 4},
    thresholds=Thresholds,
    remedies=REMEDIES,
    examples=(
        _example("weights only", 0.6, 1.0, True),
        _example("schedule begun anew", 0.0, 1.8, True),
        _example("a clean resume", 0.0, 1.0, True),
        _example("never restarted", 0.0, 1.0, False),
    ),
)
def detect(facts: Facts, limits: Thresholds) -> Iterator[Finding]:
    seams = facts.run.seams
    if not seams:
        return
    if all(_anew(facts, seam) for seam in seams):
        yield _second_training(facts)
        return
    if len(facts.loss) < 2 * FEWEST:
        raise NotApplicable("the run was restarted, but too few logs lie around the seam to compare")
    origins = [_checkpoint(facts, seam) for seam in seams]
    repeated = sum(
        max(0, seam.reached - (seam.step - 1 if origin is None else origin))
        for seam, origin in zip(seams, origins, strict=True)
    )
    losses = [(seam, jump) for seam in seams if (jump := _loss_jump(facts, seam)) is not None]
    loud = [(s, j) for s, j in losses if abs(j.sigmas) >= limits.sigmas and abs(j.size) >= limits.jump * abs(j.before)]
    rates = [
        (seam, *found)
        for seam in seams
        if (found := _rate_times(facts, seam)) is not None and abs(found[0] - 1) >= limits.jump
    ]
    said = [f"the loss jumped from {j.before:.4g} to {j.after:.4g} at step {s.step}" for s, j in loud]
    said += [f"the learning rate was {times:.3g} times what it had been at step {at}" for _, times, at in rates]
    where = ", ".join(str(s.step) for s in seams)
    known = ", ".join(f"checkpoint-{origin}" for origin in origins if origin is not None)
    twice = f"{repeated} steps were done twice" + (f" (from {known})" if known else "")
    others = [one for seam in seams for one in differing(facts, seam) or ()] if said else []
    given = ", ".join(f"{one.name} {short(one.before)} before and {short(one.after)} after" for one in others[:MOST_TOLD])
    yield Finding(
        severity="warning" if said else "info",
        confidence=0.8 if said else 0.9,
        metric="train/loss" if loud or not rates else "train/learning_rate",
        headline=f"restarted at step {where}"
        + (f" with other settings ({given}); " if given else "; ")
        + ("; ".join(said) if said else f"{twice}, {_otherwise(losses, limits)}"),
        start_step=seams[0].step,
        end_step=max(max(s.reached, s.step) for s in seams),
        measured=(
            Measured(name="repeated", value=float(repeated), unit="steps"),
            *(_measured(jump, limits) for _, jump in (loud or losses)[:1]),
            *(
                Measured(
                    name="rate_jump",
                    value=times - 1,
                    unit="of the rate before",
                    threshold=limits.jump,
                    setting="resume-seam.jump",
                )
                for _, times, _ in rates[:1]
            ),
        ),
        evidence=tuple(
            Point(metric="train/loss", step=s.step, value=_value_at(facts, s.step), label="restart") for s in seams
        ),
    )


def _anew(facts: Facts, seam: Seam) -> bool:
    """Whether an attempt begins where the log begins: no resume, but another training that was written into the same log."""
    return seam.step <= (facts.run.first_step or 0)


def _second_training(facts: Facts) -> Finding:
    """What is said where every attempt begins at the first step: nothing was resumed."""
    seams = facts.run.seams
    again = "a second training was" if len(seams) == 1 else f"{len(seams)} more trainings were"
    return Finding(
        severity="info",
        confidence=0.9,
        metric="train/loss",
        headline=f"{again} written into the same log: at step {seams[-1].step} it begins again, after step {seams[-1].reached}; the last one is told here",
        start_step=seams[0].step,
        end_step=max(max(s.reached, s.step) for s in seams),
        also={"trainings": float(len(seams) + 1)},
        evidence=tuple(Point(metric="train/loss", step=s.step, value=_value_at(facts, s.step), label="begins again") for s in seams),
    )


def _checkpoint(facts: Facts, seam: Seam) -> int | None:
    """The checkpoint that a restart went on from: the last one known before its first log, at most one log before it."""
    steps = np.unique(facts.run.logged["train/loss"].step)
    apart = int(np.median(np.diff(steps))) if len(steps) > 1 else 1
    return max((step for step in facts.run.checkpoint_steps if seam.step - apart <= step < seam.step), default=None)


def _noisy(jump: Jump, limits: Thresholds) -> bool:
    """Whether a jump is large but does not stand out from the noise, and so is no proof of anything."""
    return abs(jump.size) >= limits.jump * abs(jump.before) and abs(jump.sigmas) < limits.sigmas


def _measured(jump: Jump, limits: Thresholds) -> Measured:
    """The jump of the loss; how clear it is where that is what decided."""
    if _noisy(jump, limits):
        return Measured(
            name="loss_jump_sigmas",
            fires="above",
            value=abs(jump.sigmas),
            unit="standard errors",
            threshold=limits.sigmas,
            setting="resume-seam.sigmas",
        )
    return Measured(
        name="loss_jump",
        fires="above",
        value=jump.size / abs(jump.before) if jump.before else 0.0,
        unit="of the loss before",
        threshold=limits.jump,
        setting="resume-seam.jump",
    )


def _otherwise(losses: list[tuple[Seam, Jump]], limits: Thresholds) -> str:
    if not losses:
        return "with too few logs around the seam to compare them"
    if any(_noisy(jump, limits) for _, jump in losses):
        return "the loss goes on within its noise"
    return "loss and learning rate go on as before"


def _loss_jump(facts: Facts, seam: Seam) -> Jump | None:
    """What the winning line of the loss does at a seam, between it and its neighbours."""
    others = [s.step for s in facts.run.seams if s is not seam]
    low = max((s for s in others if s < seam.step), default=-1)
    high = min((s for s in others if s > seam.step), default=np.iinfo(np.int64).max)
    loss = facts.loss.take((facts.loss.step >= low) & (facts.loss.step < high))
    if len(loss) < 2 * FEWEST:
        return None
    width = SIDE * float(np.median(np.diff(loss.step)))
    return jump_at(loss.step.astype(np.float64), loss.value, seam.step - 0.5, width, 0.0, FEWEST)


def _rate_times(facts: Facts, seam: Seam) -> tuple[float, int] | None:
    """(the learning rate after a seam over what the earlier attempt had at that step, the step).

    Where both logged the same steps it is the one that is furthest apart, for a new warm-up begins low; else the first
    after the seam over what the earlier attempt was heading for.
    """
    if not facts.has("train/learning_rate"):
        return None
    rows = facts.run.logged["train/learning_rate"].finite
    old, new = rows.take(rows.segment < seam.segment), rows.take(rows.segment == seam.segment)
    old = old.take(old.segment == old.segment.max()) if len(old) else old
    if len(old) < REACH or not len(new):
        return None
    least = 0.01 * float(rows.value.max())
    both = new.take(new.step <= old.step[-1])
    if len(both):
        expected = np.interp(both.step, old.step, old.value)
        if expected.min() <= least or both.value.min() <= 0:
            both, expected = both.take(np.arange(1)), expected[:1]
        if expected[0] <= least:
            return None
        times = both.value / expected
        place = int(np.argmax(np.abs(np.log(np.maximum(times, 1e-9)))))
        return float(times[place]), int(both.step[place])
    at = int(new.step[0])
    tail = old.take(np.arange(len(old) - REACH, len(old)))
    heading = fit_line(tail.step.astype(np.float64), tail.value, float(at)).level
    return (float(new.value[0]) / heading, at) if heading > least else None


def _value_at(facts: Facts, step: int) -> float:
    place = min(int(np.searchsorted(facts.loss.step, step)), len(facts.loss) - 1)
    return float(facts.loss.value[place])
