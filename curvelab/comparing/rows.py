"""The table of runs: what each of them reached, what it cost, and what was found."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from curvelab.comparing.entrants import Entrant, level_at_end
from curvelab.comparing.ranking import Value
from curvelab.cost import tariff_of
from curvelab.model.comparison import Row
from curvelab.model.options import Options
from curvelab.perplexity import perplexity

SPEEDS = {
    "tokens": ("train/tokens_per_second",),
    "samples": ("train/samples_per_second", "final/train_samples_per_second"),
    "steps": ("train/steps_per_second", "final/train_steps_per_second"),
}


def row_of(
    one: Entrant, group: int, rank: int | None, why: str, value: Value | None, unit: str, options: Options, common: float | None
) -> Row:
    """One run of the table; `unit` is that of the throughput, `common` the metric where all ranked runs were."""
    evals = one.facts.eval_loss
    best = int(np.argmin(evals.value)) if len(evals) else None
    metric = evals.metric if best is not None else None
    lowest = None if best is None else float(evals.value[best])
    level = level_at_end(one.facts.loss)[0]
    tariff = tariff_of(one.facts, options)
    spent = tariff.after((one.run.first_step or 1) - 1 if one.facts.resumed else 0)
    return Row(
        run=one.id,
        name=one.name,
        group=group,
        verdict=one.diagnosis.verdict,
        state=one.run.state,
        steps=one.run.last_step,
        rank=rank,
        unranked=why,
        value=None if value is None else value.value,
        value_step=None if value is None else value.step,
        eval_metric=metric,
        best=lowest,
        best_step=None if best is None else int(evals.step[best]),
        last=None if best is None else float(evals.value[-1]),
        last_step=None if best is None else int(evals.step[-1]),
        perplexity=None if lowest is None or metric is None else perplexity(one.facts, metric, lowest),
        train_loss=level if math.isfinite(level) else None,
        throughput=throughput(one, spent.seconds, unit),
        throughput_unit=unit,
        seconds=spent.seconds,
        gpu_hours=spent.gpu_hours,
        money=spent.money,
        wasted=None if one.diagnosis.wasted is None else one.diagnosis.wasted.share,
        findings=one.key_findings,
        common=common,
    )


def throughput(one: Entrant, seconds: float | None, unit: str) -> float | None:
    """Tokens, samples or steps a second: the median of what was logged, else by steps over the run's own time."""
    for metric in SPEEDS[unit]:
        speed = one.facts.finite(metric)
        if len(speed) and float(np.median(speed.value)) > 0:
            return float(np.median(speed.value))
    steps = (one.run.last_step or 0) - ((one.run.first_step or 0) if one.facts.resumed else 0)
    each = 1 if unit == "steps" else one.batch if unit == "samples" else None
    return each * steps / seconds if each and seconds and steps > 0 else None


def common_speed(entrants: Sequence[Entrant]) -> str:
    """The unit of throughput that every run can be given in: other units cannot be held against each other."""
    for unit, metrics in SPEEDS.items():
        known = all((unit == "samples" and one.batch) or any(map(one.facts.has, metrics)) for one in entrants)
        if known:
            return unit
    return "steps"
