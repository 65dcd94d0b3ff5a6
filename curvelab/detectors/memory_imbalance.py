"""One GPU's memory departs from the others'.

What
----
Among the GPUs that the run works on, one holds clearly more or less memory than the median of the others, for most of
the run.

Why
---
The fullest GPU sets the batch size for all, and is the one that runs out of memory. Usual causes: everything gathered on
the first GPU (logits, the optimizer, an eval), an uneven split of layers, another job on the same card.

Look-alikes
-----------
GPUs of the machine that this run does not use. Pipeline stages of different sizes, on purpose.

When it is wrong
----------------
With device_map="auto" and an inference-like split the last GPU is usually emptier, and nothing is wrong.

Sources
-------
Judgement for the threshold; PyTorch, DataParallel (gathers on the first device).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from curvelab import synth
from curvelab.facts import Facts
from curvelab.gpus import FEWEST, MEMORY, works
from curvelab.model.finding import Finding, Level, Measured
from curvelab.model.percent import percent
from curvelab.model.run import Curve, Run
from curvelab.rules import Example, NotApplicable, Remedy, detector, threshold

NAME = re.compile(r"gpu/(\d+)/(memory_\w+)$")


@dataclass(frozen=True)
class Thresholds:
    departs: float = threshold(
        0.25, unit="of the median of the other GPUs", low=0.01, high=10.0, source="judgement: a quarter of the card",
        meaning="how far one GPU's memory departs from the others'",
    )  # fmt: skip


REMEDIES = (
    Remedy(
        title="Look for another process on GPU {gpu:.0f} (nvidia-smi)",
        why="Memory that is not the run's own cannot be freed by its settings.",
        when_not="The machine was yours alone.",
        cost="none",
        source="judgement",
        applies=lambda facts, finding: any(m.name == "departs" and m.value > 0 for m in finding.measured),
    ),
    Remedy(
        title="Use DistributedDataParallel (torchrun, accelerate launch) and not DataParallel; gather nothing on one GPU",
        why="GPU {gpu:.0f} holds {signed:+.0%} against the others, and the fullest one decides how large a batch may be.",
        when_not="The model is split over the GPUs on purpose.",
        cost="rerun",
        source="pytorch-data-parallel",
    ),
)


def _example(name: str, last: float, fires: bool) -> Example:
    def build() -> Run:
        levels = [40.0, 40.5, 39.8, last]
        return synth.run_of(
            synth.decay(40), more={f"gpu/{i}/memory_gb": v + synth.noise(40, 0.1, i) for i, v in enumerate(levels)}
        )

    return Example(name, build, fires=fires)


@detector(
    title="Memory imbalance",
    kind="run",
    needs={"train/loss": 2},
    thresholds=Thresholds,
    remedies=REMEDIES,
    examples=(
        _example("one far fuller", 62.0, True),
        _example("alike", 41.0, False),
        _example("one not used", 1.0, False),
    ),
)
def detect(facts: Facts, limits: Thresholds) -> Iterator[Finding]:
    levels = {c.metric: float(np.median(c.value)) for c in _working(facts)}
    if len(levels) < 2:
        raise NotApplicable("the memory of two or more working GPUs was not logged")
    departs = {
        metric: level / float(np.median([v for m, v in levels.items() if m != metric])) - 1
        for metric, level in levels.items()
    }
    metric = max(departs, key=lambda m: (abs(departs[m]), departs[m]))
    if abs(departs[metric]) < limits.departs:
        return
    curve = facts.levels(metric)
    found = NAME.search(metric)
    gpu = int(found.group(1)) if found else 0
    others = levels[metric] / (1 + departs[metric])
    unit = {"gb": " GB", "percent": " %", "bytes": " bytes", "mb": " MB"}.get(metric.rpartition("_")[2], "")
    yield Finding(
        severity="warning",
        confidence=0.6 + 0.2 * min(1.0, abs(departs[metric]) - limits.departs),
        metric=metric,
        headline=f"GPU {gpu} holds {percent(abs(departs[metric]))} {'more' if departs[metric] > 0 else 'less'} memory than the other {len(levels) - 1}"
        f" ({levels[metric]:.4g}{unit} against {others:.4g}{unit})",
        start_step=int(curve.step[0]),
        end_step=int(curve.step[-1]),
        measured=(
            Measured(
                name="departs",
                value=abs(departs[metric]),
                unit="of the median of the others",
                threshold=limits.departs,
                setting="memory-imbalance.departs",
            ),
        ),
        also={"gpu": float(gpu), "signed": departs[metric]},
        evidence=(
            Level(metric=metric, value=levels[metric], label=f"GPU {gpu}"),
            Level(metric=metric, value=others, label="the others"),
        ),
    )


def _working(facts: Facts) -> list[Curve]:
    """The memory of the GPUs that the run works on, all in one unit."""
    for kind in MEMORY:
        names = [m for m in facts.run.metrics if (found := NAME.search(m)) and found.group(2) == kind]
        curves = [c for m in names if len(c := facts.levels(m)) >= FEWEST]
        if len(curves) < 2:
            continue
        fullest = max(float(np.median(c.value)) for c in curves)
        return [c for c in curves if works(facts, c, fullest)]
    return []
