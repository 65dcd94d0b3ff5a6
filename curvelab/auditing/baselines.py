"""Runs that are unlike the project's own: one number against the median of the last runs of the same kind.

Runs are of a kind when the settings that decide it are equal (curvelab.auditing.records.ALIKE); where not even the model
is known, they must lie in one folder, too. A departure is told when it is to the worse, by a share that matters, and by
more than these runs differ among themselves.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from curvelab.model.audit import AuditedRun, Departure

LAST = 12  # runs before it that a run is held against
FEWEST = 5  # fewer say nothing of what is usual (judgement)
SIGMAS = 4.0  # robust standard deviations of these runs (judgement: one in thousands by chance)
SHOWN = 4  # settings that are told as what runs have in common
_MAD = 1.4826
_MODEL = ("model_type", "hidden_size", "num_hidden_layers", "vocab_size")


@dataclass(frozen=True)
class Measure:
    """A number that runs of one kind share: its key in AuditedRun.summary, whether more or less is worse, by which share."""

    key: str
    word: str
    unit: str
    worse: int
    share: float


SPEEDS = (
    Measure("tokens_per_second", "throughput", "tokens/s", -1, 0.15),
    Measure("samples_per_second", "throughput", "samples/s", -1, 0.15),
    Measure("steps_per_second", "throughput", "steps/s", -1, 0.15),
)
OTHERS = (
    Measure("memory_gb", "peak GPU memory", "GB", +1, 0.15),
    Measure("best_eval_loss", "best eval loss", "", +1, 0.1),
)


def departures(runs: Iterable[AuditedRun]) -> tuple[Departure, ...]:
    """What is unusual in each run, the newest run first. Live runs are left out: their numbers are not final."""
    kinds: dict[tuple[object, ...], list[AuditedRun]] = defaultdict(list)
    for run in runs:
        if not run.live and run.ended is not None and run.seen != "gone":
            kinds[_kind(run)].append(run)
    found: list[tuple[float, Departure]] = []
    for alike in kinds.values():
        alike.sort(key=lambda run: (run.ended or 0.0, run.key))
        for measures in (SPEEDS, *((one,) for one in OTHERS)):
            found += _among(alike, measures)
    return tuple(departure for _, departure in sorted(found, key=lambda pair: (-pair[0], pair[1].run, pair[1].what)))


def _kind(run: AuditedRun) -> tuple[object, ...]:
    known = tuple(sorted((name, str(value)) for name, value in run.settings.items()))
    place = "" if any(name in run.settings for name in _MODEL) else str(PurePosixPath(run.key.partition("#")[0]).parent)
    return (run.project, place, run.metric, known)


def _among(alike: Sequence[AuditedRun], measures: Sequence[Measure]) -> Iterable[tuple[float, Departure]]:
    """Departures by the first of some measures that most of the runs have."""
    measure = next((one for one in measures if 2 * sum(one.key in run.summary for run in alike) > len(alike)), None)
    if measure is None:
        return
    measured = [run for run in alike if measure.key in run.summary]
    values = np.array([run.summary[measure.key] for run in measured])
    ended = [run.ended or 0.0 for run in measured]
    for i, run in enumerate(measured):
        before = values[max(0, bisect_left(ended, run.ended or 0.0) - LAST) : bisect_left(ended, run.ended or 0.0)]
        if len(before) < FEWEST:
            continue
        median = float(np.median(before))
        spread = _MAD * float(np.median(np.abs(before - median)))
        beyond = measure.worse * (values[i] - median)
        if median > 0 and beyond > max(measure.share * median, SIGMAS * spread):
            yield run.ended or 0.0, _departure(run, measure, float(values[i]), median, len(before))


def _departure(run: AuditedRun, measure: Measure, value: float, median: float, among: int) -> Departure:
    share = (value - median) / median
    side = "below" if share < 0 else "above"
    unit = f" {measure.unit}" if measure.unit else ""
    sentence = (
        f"{measure.word} is {abs(share):.0%} {side} the median of the last {among} runs like it: "
        f"{value:.4g} against {median:.4g}{unit}"
    )
    return Departure(
        run=run.key,
        run_name=run.name,
        what=measure.key,
        value=value,
        median=median,
        share=share,
        among=among,
        alike=_in_common(run),
        sentence=sentence.replace("%", " %"),
        new=run.seen in ("new", "changed"),
        unit=measure.unit,
    )


def _in_common(run: AuditedRun) -> str:
    shown = [f"{name} {value}" for name, value in list(run.settings.items())[:SHOWN]]
    return ", ".join(shown) if shown else f"the folder {PurePosixPath(run.key.partition('#')[0]).parent}"
