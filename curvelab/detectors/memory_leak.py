"""GPU or host memory climbs through the run.

What
----
A logged memory level rises steadily: after the first tenth of the run it grows by more than 10 %, in nearly every stretch
of the run or of its later part, with no single step that explains it.

Why
---
A run that leaks ends with an out-of-memory kill, and longer runs end before their plan.

Look-alikes
-----------
The growth of the first steps (allocator, optimizer state, caches). One step up when eval begins or a longer batch comes.
Peak counters (max_memory_allocated), which can only rise but level off.

When it is wrong
----------------
Host memory that the operating system uses as a file cache is no leak: a process's own memory (RSS) decides.

Sources
-------
definition of the pattern: about 10 % after warm-up; pytorch#13246 (workers and copy-on-write lists), pytorch#20433.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from curvelab import synth
from curvelab.facts import Facts
from curvelab.model.finding import Finding, Measured, Trend
from curvelab.model.percent import percent
from curvelab.model.run import Curve, Run
from curvelab.proposals import number, scaled
from curvelab.rules import Example, NotApplicable, Remedy, detector, threshold
from curvelab.signals.line import fit_line
from curvelab.signals.noise import block_medians

MEMORY = re.compile(r"(?<![a-z])(rss|vram)|(?<![a-z])(mem|ram)(?![a-z])|memory", re.I)
OTHERS = re.compile(  # shares of bandwidth, what is left, and the memory of all processes of the machine
    r"free|avail|clock|error|bandwidth|limit|total|swap|disk|memory_percent$|system\.gpu\.\d+\.memory$|^system\.memory|frac|ratio",
    re.I,
)
WARM = 0.1  # share of the run that is left out: allocators and caches fill (judgement)
STARTS = (WARM, 0.35, 0.6)  # share of the run from which on the level may climb: a leak may begin with a phase of it (judgement)
BLOCKS = 8  # stretches that are compared (judgement)
FEWEST = 20  # points; fewer make no eight stretches
RISING = 6  # of the 7 changes between neighbouring stretches (judgement: one may rest)
LARGEST = 0.5  # of the growth; one change that is larger is a step and no leak (judgement)
LATE = 0.2  # of the growth that must fall into the second half; a counter that levels off has less (judgement)


@dataclass(frozen=True)
class Thresholds:
    growth: float = threshold(
        0.10, unit="of the level after the first tenth", low=0.0, high=100.0, source="definition of the pattern: about 10 %",
        meaning="how much the memory grows, its uncertainty deducted",
    )  # fmt: skip


def _on_the_host(facts: Facts, finding: Finding) -> bool:
    return not finding.metric.startswith("gpu/")


_fewer_workers = scaled("dataloader_num_workers", 0.5, "half of the run's own; every worker has a copy of its own")

REMEDIES = (
    Remedy(
        title="Turn Python lists in the data set into arrays, and use fewer loader workers ({flag_dataloader_num_workers})",
        why="Each worker copies the pages whose reference counts it touches: memory grows with the samples seen, {growth:.0%} here.",
        when_not="The data set is read from arrays or from disk.",
        cost="rerun",
        source=("pytorch-13246", "pytorch-20433"),
        propose=_fewer_workers,
        applies=lambda facts, finding: _on_the_host(facts, finding) and number(facts, "dataloader_num_workers") != 0,
    ),
    Remedy(
        title="Detach what you keep: append loss.item() or loss.detach(), not the loss",
        why="A list of losses that still hold their graphs grows with every step.",
        when_not="Nothing is collected in the training loop or its callbacks.",
        cost="rerun",
        source="pytorch-faq",
    ),
    Remedy(
        title="Checkpoint often and resume in a new process until the leak is found",
        why="At {per_thousand:.3g} per 1,000 steps it is known when the memory will be full.",
        when_not="The run ends well before that.",
        cost="resume",
        source="judgement",
    ),
)


def _example(name: str, growth: float, fires: bool) -> Example:
    def build() -> Run:
        x = np.linspace(0, 1, 80)
        used = 4.0 + synth.noise(80, 0.02, seed=9)
        if name == "a step when eval begins":
            used += growth * 4 * (x > 0.5)
        elif name == "levels off":
            used += growth * 4 * (1 - np.exp(-8 * x))
        else:
            used += growth * 4 * x
        return synth.run_of(synth.decay(80), more={"train/rss_gb": used})

    return Example(name, build, fires=fires)


@detector(
    title="Memory leak",
    kind="run",
    needs={"train/loss": 2},
    thresholds=Thresholds,
    remedies=REMEDIES,
    examples=(
        _example("half as much again", 0.5, True),
        _example("by a quarter", 0.25, True),
        _example("by a twentieth", 0.05, False),
        _example("a step when eval begins", 0.5, False),
        _example("levels off", 0.5, False),
    ),
)
def detect(facts: Facts, limits: Thresholds) -> Iterator[Finding]:
    curves = memory_curves(facts)
    if not curves:
        raise NotApplicable(f"no memory metric with {FEWEST} points or more was logged")
    leaks = [(climb, curve) for curve in curves if (climb := _first_climb(curve, limits)) is not None]
    if not leaks:
        return
    (growth, trend), curve = max(leaks, key=lambda leak: leak[0][0])
    others = [c.metric for _, c in leaks if c is not curve]
    yield Finding(
        severity="warning",
        confidence=0.75 + 0.2 * min(1.0, (growth - limits.growth) / 0.3),
        metric=curve.metric,
        headline=f"{curve.metric} climbs steadily: {trend.start_value:.4g} to {trend.end_value:.4g} ({percent(growth, '+.0%')} {_since(trend, curve)})"
        + (f"; so does {', '.join(others)}" if others else ""),
        start_step=trend.start_step,
        end_step=trend.end_step,
        measured=(
            Measured(
                name="growth",
                value=growth,
                unit="of the level after the first tenth",
                threshold=limits.growth,
                setting="memory-leak.growth",
            ),
            Measured(
                name="per_thousand",
                value=1000 * (trend.end_value - trend.start_value) / max(1, trend.end_step - trend.start_step),
                unit="per 1,000 steps",
            ),
        ),
        evidence=(trend,),
    )


def _since(trend: Trend, curve: Curve) -> str:
    late = trend.start_step > int(curve.step[int(WARM * len(curve))])
    return f"since step {trend.start_step}" if late else "after the first tenth of the run"


def memory_curves(facts: Facts) -> list[Curve]:
    """Every logged memory level: canonical names, and raw ones that speak of rss or memory; bytes before percent."""
    names = [m for m in facts.run.metrics if MEMORY.search(m) and not OTHERS.search(m)]
    return [curve for m in names if len(curve := facts.levels(m)) >= FEWEST]


def _first_climb(curve: Curve, limits: Thresholds) -> tuple[float, Trend] | None:
    """(growth, its line) of a level that climbs steadily to the end from the first of STARTS on that shows it, or None."""
    climbs = (_climb(curve, start, limits) for start in STARTS if (1 - start) * len(curve) >= FEWEST - WARM * FEWEST)
    return next((climb for climb in climbs if climb is not None), None)


def _climb(curve: Curve, begin: float, limits: Thresholds) -> tuple[float, Trend] | None:
    """(growth, its line) of a level that climbs steadily from the place `begin` of the run, 0 to 1, to its end, or None."""
    later = curve.value[int(begin * len(curve)) :]
    x = np.arange(len(later), dtype=np.float64)
    _, level = block_medians(later, BLOCKS)
    changes = np.diff(level)
    line = fit_line(x, later, 0.0)
    whole = float(level[-1] - level[0])
    growth = line.slope * (len(later) - 1) / line.level if line.level > 0 else 0.0
    doubt = 1.64 * line.slope_error * (len(later) - 1) / line.level if line.level > 0 else 0.0
    steady = (
        (changes > 0).sum() >= RISING
        and changes.max() <= LARGEST * whole
        and level[-1] - level[BLOCKS // 2] >= LATE * whole
    )
    if not steady or growth - doubt < limits.growth:
        return None
    steps = curve.step[int(begin * len(curve)) :]
    start = int(curve.step[0]) if begin == WARM and curve.value[0] < level[0] else int(steps[0])
    return growth, Trend(
        metric=curve.metric,
        start_step=start,
        start_value=float(curve.value[0]) if start == curve.step[0] and begin == WARM else line.level,
        end_step=int(steps[-1]),
        end_value=line.level + line.slope * (len(later) - 1),
        label=percent(growth, '+.0%'),
    )
