"""The GPU waits: low utilisation, or a small share of its peak arithmetic.

What
----
The median utilisation of the GPUs that the run works on is below 60 %, or the logged MFU (achieved over peak arithmetic)
is below 10 %.

Why
---
A GPU that waits costs as much as one that works. Usual causes: data loading, tiny batches, frequent evals or
checkpoints, logging at every step.

Look-alikes
-----------
Other GPUs of the same machine that the run does not use. Pauses for evals: the median does not see them. Reinforcement
learning, where generation alternates with training.

When it is wrong
----------------
High utilisation alone proves nothing: it counts the time in which any kernel runs. And a logger may watch the wrong
device: a median of exactly 0 % on all GPUs says that the work was done elsewhere.

Sources
-------
definition of the pattern: 60 % and 10 %; PaLM, arXiv 2204.02311 (model FLOPs utilisation); PyTorch, Performance Tuning Guide.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from curvelab import synth
from curvelab.facts import Facts
from curvelab.gpus import AT_WORK
from curvelab.model.finding import Change, Finding, Level, Measured
from curvelab.model.run import Curve, Run
from curvelab.proposals import at_least, change, number, proposes
from curvelab.rules import Example, NotApplicable, Remedy, detector, threshold

FEWEST = 10  # samples of a logger that looks every few seconds (judgement)
UTILIZATION = re.compile(r"gpu/\d+/utilization$")
MFU = re.compile(r"(^|[/_.])mfu($|[/_.])", re.I)


@dataclass(frozen=True)
class Thresholds:
    utilization: float = threshold(
        60.0, unit="percent", low=0.0, high=100.0, source="definition of the pattern: 60 %",
        meaning="median utilisation of the run's GPUs below which they wait",
    )  # fmt: skip
    mfu: float = threshold(
        0.10, unit="of peak arithmetic", low=0.0, high=1.0, source="definition of the pattern: fine-tuning reaches 15 to 25 %",
        meaning="median model FLOPs utilisation below which something is wrong",
    )  # fmt: skip


def _idle(facts: Facts, finding: Finding) -> bool:
    """Whether no GPU that was watched did any work."""
    return any(m.name == "utilization" and m.value <= AT_WORK for m in finding.measured)


def _waits(facts: Facts, finding: Finding) -> bool:
    return any(m.name == "utilization" for m in finding.measured) and not _idle(facts, finding)


_workers = at_least("dataloader_num_workers", 2, "above 0 in the source; 4 taken, to be tuned", to=4)


def _batch(facts: Facts, finding: Finding) -> Iterator[Change]:
    """A larger micro-batch with less accumulation: an update goes on to hold the same samples."""
    size, steps = number(facts, "per_device_train_batch_size"), number(facts, "gradient_accumulation_steps")
    if size and steps and steps % 2 == 0:
        said = f"{2 * size:g} x {steps / 2:g} samples an update, as many as {size:g} x {steps:g}"
        yield from change(facts, "per_device_train_batch_size", 2 * size, "judgement", said, "up")
        yield from change(facts, "gradient_accumulation_steps", steps / 2, "judgement", said, "down")


REMEDIES = (
    Remedy(
        title="Check which device the model is on, and which one the logger watches",
        why="A GPU at {utilization:.0f} % in the median did none of the work.",
        when_not="The run is meant for the CPU.",
        cost="none",
        source="judgement",
        applies=_idle,
    ),
    Remedy(
        title="Load data in the background: {flag_dataloader_num_workers} above 0, pinned memory, tokenise before training",
        why="The GPU was at {utilization:.0f} % in the median: most often it waits for data.",
        when_not="The data are in memory already and the workers are idle.",
        cost="rerun",
        source="pytorch-tuning",
        propose=_workers,
        applies=lambda facts, finding: _waits(facts, finding) and proposes(_workers)(facts, finding),
    ),
    Remedy(
        title="Profile a few steps: does the GPU wait for data, for the CPU, or for other GPUs?",
        why="Below its peak a GPU waits for something, and the settings do not say for what.",
        when_not="The cause is known.",
        cost="none",
        source=("axolotl-stability", "judgement"),
        applies=lambda facts, finding: not _idle(facts, finding),
    ),
    Remedy(
        title="Use a larger micro-batch ({flag_per_device_train_batch_size}) with less accumulation, or packing",
        why="Small kernels leave the GPU idle between them.",
        when_not="GPU memory is nearly full, or the learning rate was tuned for this batch and accumulation cannot be cut.",
        cost="rerun",
        source=("pytorch-tuning", "judgement"),
        propose=_batch,
        applies=lambda facts, finding: not _idle(facts, finding),
    ),
)


def _example(name: str, level: float, fires: bool) -> Example:
    def build() -> Run:
        used = np.clip(level + synth.noise(60, 8, seed=3), 0, 100)
        return synth.run_of(synth.decay(60), more={"gpu/0/utilization": used, "gpu/1/utilization": np.zeros(60)})

    return Example(name, build, fires=fires)


@detector(
    title="Low utilisation",
    kind="run",
    needs={"train/loss": 2},
    thresholds=Thresholds,
    remedies=REMEDIES,
    examples=(_example("at 35 %", 35, True), _example("at 90 %", 90, False), _example("at 70 %", 70, False)),
)
def detect(facts: Facts, limits: Thresholds) -> Iterator[Finding]:
    used, arithmetic = _logged(facts, UTILIZATION), _logged(facts, MFU)
    if not used and not arithmetic:
        raise NotApplicable("neither GPU utilisation nor MFU was logged")
    if used:
        medians = {c.metric: float(np.median(c.value)) for c in used}
        working = [m for m, level in medians.items() if level > AT_WORK]
        level = float(np.median([medians[m] for m in working or medians]))
        if level < limits.utilization:
            yield _finding(used, level, limits.utilization, "utilization", working)
            return
    if arithmetic:
        level = max(_as_share(c) for c in arithmetic)
        if level < limits.mfu:
            yield _finding(arithmetic, level, limits.mfu, "mfu", [])


def _logged(facts: Facts, name: re.Pattern[str]) -> list[Curve]:
    curves = [facts.levels(m) for m in facts.run.metrics if name.search(m)]
    return [c for c in curves if len(c) >= FEWEST]


def _as_share(curve: Curve) -> float:
    """Median MFU as a share; some logs give percent."""
    level = float(np.median(curve.value))
    return level / 100 if float(np.max(curve.value)) > 1 else level


def _finding(curves: list[Curve], level: float, limit: float, name: str, working: list[str]) -> Finding:
    first = next((c for c in curves if c.metric in working), curves[0])
    percent = level if name == "utilization" else 100 * level
    if name == "utilization" and not working:
        said = "no GPU did any work for most of the run: the model may run elsewhere, or the logger watches another device"
    elif name == "utilization":
        said = f"GPU utilisation was {percent:.0f} % in the median of {len(working)} working GPU{'s' if len(working) > 1 else ''}, below {limit:g} %"
    else:
        said = f"MFU was {percent:.1f} % in the median, below {100 * limit:g} % of the peak arithmetic"
    return Finding(
        severity="warning",
        confidence=0.5 if name == "utilization" and not working else 0.7 + 0.2 * min(1.0, 2 * (1 - level / limit)),
        metric=first.metric,
        headline=said,
        start_step=int(first.step[0]),
        end_step=int(first.step[-1]),
        measured=(
            Measured(
                name=name,
                value=level,
                unit="percent" if name == "utilization" else "of peak",
                threshold=limit,
                setting=f"low-utilization.{name}",
            ),
        ),
        evidence=(Level(metric=first.metric, value=float(np.median(first.value)), label="median"),),
    )
