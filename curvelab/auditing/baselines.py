"""Runs that are unlike the project's own: one number against the median of the last runs of the same kind.

Runs are of a kind when the settings that decide it are equal (curvelab.auditing.records.ALIKE) and they lie in one folder:
two tasks of one model have other losses and other lengths of text. A departure is told when it is to the worse, by a share
that matters, and by more than these runs differ among themselves. It has states, as findings have, under a pattern of its
own (unusual:throughput), so that it is told once and can be muted.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from curvelab.model.audit import AuditedRun, Departure, FoundTonight
from curvelab.model.finding import Severity

LAST = 12  # runs before it that a run is held against
FEWEST = 5  # fewer say nothing of what is usual (judgement)
SIGMAS = 4.0  # robust standard deviations of these runs (judgement: one in thousands by chance)
SHOWN = 4  # settings that are told as what runs have in common
_MAD = 1.4826
PREFIX = "unusual:"


@dataclass(frozen=True)
class Measure:
    """A number that runs of one kind share: its key in AuditedRun.summary, whether more or less is worse, by which share.

    whole   only runs that came to their end without a fault are held against each other by it
    """

    key: str
    name: str
    word: str
    unit: str
    worse: int
    share: float
    severity: Severity
    whole: bool = False


SPEEDS = (
    Measure("tokens_per_second", "throughput", "throughput", "tokens/s", -1, 0.15, "warning"),
    Measure("samples_per_second", "throughput", "throughput", "samples/s", -1, 0.15, "warning"),
    Measure("steps_per_second", "throughput", "throughput", "steps/s", -1, 0.15, "warning"),
)
OTHERS = (
    Measure("memory_gb", "memory", "peak GPU memory", "GB", +1, 0.15, "info"),
    Measure("best_eval_loss", "eval-loss", "best eval loss", "", +1, 0.1, "info", whole=True),
)
PATTERNS = tuple(dict.fromkeys(f"{PREFIX}{one.name}" for one in (*SPEEDS, *OTHERS)))


def departures(runs: Iterable[AuditedRun]) -> tuple[Departure, ...]:
    """What is unusual in each run, the slowest first. Live runs are left out: their numbers are not final."""
    judged = [run for run in runs if not run.live and run.ended is not None and run.seen != "gone" and not run.unread]
    kinds: dict[tuple[object, ...], list[AuditedRun]] = defaultdict(list)
    for run, folder in zip(judged, _folders(judged), strict=True):
        kinds[_kind(run, folder)].append(run)
    found: list[Departure] = []
    for alike in kinds.values():
        alike.sort(key=lambda run: (run.ended or 0.0, run.key))
        for measures in (SPEEDS, *((one,) for one in OTHERS)):
            found += _among(alike, measures)
    order = {pattern: place for place, pattern in enumerate(PATTERNS)}
    return tuple(sorted(found, key=lambda one: (order[one.pattern], -abs(one.share), one.run)))


def _folders(runs: Sequence[AuditedRun]) -> list[str]:
    """For each run the nearest folder above it that holds enough runs to compare with: runs may have folders of their own."""
    above = [[str(folder) for folder in PurePosixPath(run.key.partition("#")[0]).parents] for run in runs]
    held = Counter(folder for folders in above for folder in folders)
    return [next((folder for folder in folders if held[folder] > FEWEST), ".") for folders in above]


def _kind(run: AuditedRun, folder: str) -> tuple[object, ...]:
    return run.project, folder, run.metric, tuple(sorted((name, str(value)) for name, value in run.settings.items()))


def _among(alike: Sequence[AuditedRun], measures: Sequence[Measure]) -> Iterator[Departure]:
    """Departures by the first of some measures that most of the runs have."""
    measure = next((one for one in measures if 2 * sum(one.key in run.summary for run in alike) > len(alike)), None)
    if measure is None:
        return
    measured = [run for run in alike if measure.key in run.summary and (not measure.whole or _whole(run))]
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
            yield _departure(run, measure, float(values[i]), median, len(before))


def _whole(run: AuditedRun) -> bool:
    return run.verdict == "healthy" and run.state in ("finished", "unknown")


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
        pattern=f"{PREFIX}{measure.name}",
        severity=measure.severity,
        unit=measure.unit,
    )


def as_finding(departure: Departure) -> FoundTonight:
    """What the history keeps of a departure."""
    return FoundTonight(
        pattern=departure.pattern,
        severity=departure.severity,
        confidence=1.0,
        metric=departure.what,
        headline=departure.sentence,
        start_step=0,
        end_step=0,
    )


def _in_common(run: AuditedRun) -> str:
    shown = [f"{name} {value}" for name, value in list(run.settings.items())[:SHOWN]]
    return ", ".join(shown) if shown else f"the folder {PurePosixPath(run.key.partition('#')[0]).parent}"
