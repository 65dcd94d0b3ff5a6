"""The best model of the run was not kept: no saved checkpoint is as good as the best eval.

What
----
By the run's own save settings, the best checkpoint that is left after the run has a clearly higher eval loss than the
best eval: checkpoints were too far apart, or save_total_limit removed the good one, and load_best_model_at_end was off.

Why
---
The run found a better model than it leaves behind. Getting it back costs a rerun.

Look-alikes
-----------
An eval loss that ends at its minimum: the last checkpoint is the best then. Runs that save nothing on purpose.

When it is wrong
----------------
When checkpoints were copied elsewhere, or another metric than the eval loss decides.

Sources
-------
Transformers, TrainingArguments (save_strategy, save_steps, save_total_limit, load_best_model_at_end).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from curvelab import synth
from curvelab.facts import Facts
from curvelab.model.finding import Change, Finding, Measured, Point
from curvelab.model.percent import percent
from curvelab.model.run import Run
from curvelab.proposals import change, keep_best, number, proposes
from curvelab.rules import Example, NotApplicable, Remedy, detector, threshold
from curvelab.saved import saved, saved_by_settings
from curvelab.signals.noise import running_median, step_noise


@dataclass(frozen=True)
class Thresholds:
    worse: float = threshold(
        0.05, unit="of the best eval loss", low=0.001, high=10.0, source="as for overfitting: about 5 %",
        meaning="how much worse the best kept checkpoint is",
    )  # fmt: skip
    noises: float = threshold(
        3.0, unit="standard deviations of one eval", low=0.0, high=100.0, source="judgement: three sigma",
        meaning="how far beyond the eval noise that is",
    )  # fmt: skip


def _save(facts: Facts, finding: Finding) -> Iterator[Change]:
    evals = facts.eval_loss.step
    if len(evals) > 1:
        said = f"the median distance of {len(evals)} evals"
        yield from change(facts, "save_steps", int(np.median(np.diff(evals))), "measured", said)
    if number(facts, "save_total_limit"):
        yield from change(facts, "save_total_limit", 3, "judgement", "the last two and the best", "up")


def _keep_best(facts: Facts, finding: Finding) -> Iterator[Change]:
    yield from keep_best(facts, finding.start_step or 0, "the source keeps the best checkpoint beside the last ones then")


REMEDIES = (
    Remedy(
        title="Keep the best checkpoint: {flag_load_best_model_at_end}",
        why="The best kept checkpoint is {worse:.0%} worse than the best eval; with this setting the best one is never removed.",
        when_not="Another metric than the eval loss decides; then name it in {flag_metric_for_best_model}.",
        cost="rerun",
        source="transformers-training-arguments",
        propose=_keep_best,
        applies=proposes(_keep_best),
    ),
    Remedy(
        title="Save as often as you evaluate ({flag_save_steps}), and keep more than the last checkpoints ({flag_save_total_limit})",
        why="The best checkpoint that is left is of step {kept_step:.0f}; one that lies between two evals, or was removed, cannot be chosen.",
        when_not="Disk space decides; then save weights only ({flag_save_only_model}).",
        cost="rerun",
        source=("transformers-training-arguments", "judgement"),
        propose=_save,
        applies=proposes(_save),
    ),
)


def _example(name: str, config: dict[str, object], fires: bool, rise: float = 0.4) -> Example:
    def build() -> Run:
        x = np.linspace(0, 1, 20)
        evals = 2.0 + 1.2 * np.exp(-8 * x) + rise * np.clip((x - 0.3) / 0.7, 0, None) + synth.noise(20, 0.01, seed=15)
        return synth.run_of(synth.decay(100), evals=evals, config=config)

    return Example(name, build, fires=fires, onset=(75, 250) if fires else None)


@detector(
    title="No useful checkpoint",
    kind="run",
    needs={"train/loss": 2, "eval/loss": 4},
    thresholds=Thresholds,
    remedies=REMEDIES,
    examples=(
        _example("only the last is kept", {"save_strategy": "steps", "save_steps": 50, "save_total_limit": 1}, True),
        _example("saved too rarely", {"save_strategy": "steps", "save_steps": 400}, True),
        _example("all are kept", {"save_strategy": "steps", "save_steps": 25}, False),
        _example(
            "the best is kept",
            {"save_strategy": "steps", "save_steps": 50, "save_total_limit": 1, "load_best_model_at_end": True},
            False,
        ),
        _example(
            "ends at its best", {"save_strategy": "steps", "save_steps": 50, "save_total_limit": 1}, False, rise=0.0
        ),
    ),
    yields_to=("overfitting", "divergence", "non-finite"),
)
def detect(facts: Facts, limits: Thresholds) -> Iterator[Finding]:
    kept = _kept(facts)
    evals = facts.eval_loss
    smooth = running_median(evals.value, 3)
    lowest = float(smooth.min())
    level = np.flatnonzero(smooth == lowest)  # a median takes one value several times: the best eval is the lowest of them
    best = int(level[np.argmin(evals.value[level])])
    if lowest <= 0:
        raise NotApplicable("the eval loss is not positive: how much worse a checkpoint is has no measure")
    at_kept = np.interp(kept, evals.step, smooth)
    place = int(np.argmin(at_kept))
    worse = float(at_kept[place]) / lowest - 1
    noise = step_noise(evals.value)
    if worse < limits.worse or float(at_kept[place]) - lowest < limits.noises * noise:
        return
    step, nearest = int(evals.step[best]), int(kept[place])
    yield Finding(
        severity="warning",
        confidence=0.6 + 0.25 * min(1.0, (worse - limits.worse) / 0.2),
        metric=evals.metric,
        headline=f"the best kept checkpoint (step {nearest}) has {evals.metric} {percent(worse)} above the best eval ({evals.value[best]:.4g} at step {step})",
        start_step=step,
        end_step=int(evals.step[-1]),
        measured=(
            Measured(
                name="worse",
                value=worse,
                unit="of the best eval loss",
                threshold=limits.worse,
                setting="no-useful-checkpoint.worse",
            ),
        ),
        also={"kept_step": float(nearest)},
        evidence=(
            Point(metric=evals.metric, step=step, value=evals.value[best], label=f"best {evals.value[best]:.4g}"),
            Point(metric=evals.metric, step=nearest, value=float(at_kept[place]), label="best that was kept"),
        ),
    )


def _kept(facts: Facts) -> np.ndarray:
    """Steps of the checkpoints that are left after the run. Raises NotApplicable when its settings do not say."""
    planned = saved_by_settings(facts)
    if planned.reason:
        raise NotApplicable(planned.reason)
    if facts.setting("load_best_model_at_end") is True or planned.known_from.startswith("save_strategy best"):
        raise NotApplicable("the best checkpoint is kept (load_best_model_at_end)")
    return saved(facts).steps
