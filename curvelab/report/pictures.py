"""What to draw: a Diagnosis -> panels (curves, marks, step range) with their keys. The drawing is in figures.py."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from curvelab.model.finding import Evidence, Finding, Gap, Point, Severity, Span
from curvelab.model.result import Diagnosis
from curvelab.report import masked, numerals
from curvelab.report.curves import Line, between, line
from curvelab.report.keys import (
    EVAL_LOSS,
    MOST_SEAMS,
    Key,
    best_key,
    line_keys,
    mark_keys,
    spoilt_keys,
)
from curvelab.report.numerals import count
from curvelab.report.plain import clean

LOSS = "train/loss"
MOST_EVALS = 3
MOST_PANELS = 3  # of one finding
LONGEST_GAP, CUT_GAP = 0.4, 0.25  # of the picture: a gap of more than the first takes the second, and says where it ends
TEETH = 6  # periods in a close-up
SHORTEST_WARMUP = 0.004  # of the picture: less is no stripe that can be seen
FEWEST_IN_PERIOD = 4  # drawn points that a thinned curve must have in a period for its teeth to be seen


@dataclass(frozen=True)
class Lane:
    """A finding above the main picture: its number in the list, its title, and its steps.

    `moments` are the steps of a finding that has single points only: what lies between them is healthy.
    """

    number: int
    title: str
    start: float
    end: float
    severity: Severity
    moments: tuple[float, ...] = ()


@dataclass(frozen=True)
class Panel:
    """One picture. `marks` are drawn in the colour of `severity`; `alt` says what it shows.

    `warmup` is the step at which warm-up ends, `epochs` are steps at which epochs end. `about` continues the
    caption; `note` says what the picture cannot show.
    """

    lines: tuple[Line, ...]
    first: float
    last: float
    alt: str
    marks: tuple[Evidence, ...] = ()
    severity: Severity = "info"
    lanes: tuple[Lane, ...] = ()
    seams: tuple[int, ...] = ()
    warmup: int | None = None
    epochs: tuple[int, ...] = ()
    best: tuple[float, float] | None = None
    keys: tuple[Key, ...] = ()
    about: str = ""
    note: str = ""

    @property
    def metrics(self) -> str:
        """The names of the curves, for the caption."""
        return ", ".join(clean(one.metric, 120) for one in self.lines)


def is_loss(metric: str) -> bool:
    """Whether a metric belongs into the picture of the losses."""
    return metric == LOSS or bool(EVAL_LOSS.match(metric))


def evidence_panels(diagnosis: Diagnosis, finding: Finding, most: int) -> list[Panel]:
    """The pictures of one finding: one for the losses and one for each other metric that its evidence names.

    The picture of the finding's own metric comes first.
    """
    marks = finding.evidence or _own_span(finding)
    groups: dict[str, list[Evidence]] = {}
    for mark in marks:
        groups.setdefault(_subject(mark.metric), []).append(mark)
    panels = []
    own = _subject(finding.metric)
    if own not in groups and own in diagnosis.series:
        groups[own] = [*_own_span(finding)]
    for metric, group in sorted(groups.items(), key=lambda item: item[0] != own)[:MOST_PANELS]:
        metrics = losses_of(diagnosis) if metric == LOSS else [metric] if metric in diagnosis.series else []
        if not metrics:
            continue
        lines = lines_of(diagnosis, metrics, most)
        gaps = [m for m in group if isinstance(m, Gap)]
        first, last = range_of(diagnosis, gaps)
        cannot, closer = _teeth(diagnosis, finding, metrics, first, last)
        best = best_of(diagnosis, lines)
        if finding.pattern != "overfitting" or any(
            isinstance(m, Point) and m.step == diagnosis.best_step for m in group
        ):
            best = None  # it has a ring already, or is no part of this story
        panels.append(
            Panel(
                lines=lines,
                first=first,
                last=last,
                alt=f"{names_of(lines)}: {clean(finding.headline, 300)}",
                marks=tuple(group),
                severity=finding.severity,
                seams=seams_of(diagnosis),
                best=best,
                keys=(
                    *line_keys(lines),
                    *mark_keys(group, named=len(metrics) > 1),
                    *best_key(best, lines),
                    *spoilt_keys(diagnosis, lines),
                ),
                note=cannot,
            )
        )
        panels += closer
    return panels


def _subject(metric: str) -> str:
    """What stands for a metric among the pictures of a finding: all losses share one."""
    return LOSS if is_loss(metric) else metric


def _teeth(
    diagnosis: Diagnosis, finding: Finding, metrics: Sequence[str], first: float, last: float
) -> tuple[str, list[Panel]]:
    """For a sawtooth with a period: (what the picture of the whole cannot show, a close-up of a few periods)."""
    period = next((m.value for m in finding.measured if m.name == "period" and m.unit == "steps"), 0.0)
    series = masked.curve(diagnosis, finding.metric)
    if finding.pattern != "sawtooth" or finding.metric not in metrics or series is None or not 0 < period < last - first:
        return "", []
    start, end = finding.start_step or first, finding.end_step or last
    half = min(TEETH * period, end - start) / 2
    left, right = (start + end) / 2 - half, (start + end) / 2 + half
    part = between(series, left, right)
    thinned = len(series.step) < series.points
    if len(part.step) < 3 or (thinned and len(part.step) * period < FEWEST_IN_PERIOD * 2 * half):
        kept, logged = count(len(series.step)), count(series.points)
        return f"Drawn from {kept} of {logged} logged points: too few to show single teeth.", []
    close = replace(line(finding.metric, part, len(part.step)), trend=None)
    steps = numerals.steps(part.step[0], part.step[-1])
    return "", [
        Panel(
            lines=(close,),
            first=float(part.step[0]),
            last=float(part.step[-1]),
            alt=f"Close-up of {clean(finding.metric, 80)} over {steps}.",
            severity=finding.severity,
            about=f", close-up of {steps}: {2 * half / period:.2g} periods of {numerals.value(round(period))} steps",
        )
    ]


def _own_span(finding: Finding) -> tuple[Evidence, ...]:
    if finding.start_step is None:
        return ()
    return (
        Span(metric=finding.metric, start_step=finding.start_step, end_step=finding.end_step or finding.start_step),
    )


def losses_of(diagnosis: Diagnosis) -> list[str]:
    """The losses that share a picture: that of training and a few evals."""
    evals = sorted((m for m in diagnosis.series if EVAL_LOSS.match(m)), key=lambda m: (m != "eval/loss", m))
    return [m for m in (LOSS, *evals[:MOST_EVALS]) if m in diagnosis.series]


def lines_of(diagnosis: Diagnosis, metrics: Iterable[str], most: int) -> tuple[Line, ...]:
    """The curves of these metrics for one picture, which share `most` points."""
    names = tuple(metrics)
    share = 2 * most // (len(names) + 1)  # several curves in one picture share its bytes
    curves = ((metric, masked.curve(diagnosis, metric)) for metric in names)
    return tuple(line(metric, series, share) for metric, series in curves if series is not None)


def range_of(diagnosis: Diagnosis, gaps: Sequence[Evidence]) -> tuple[float, float]:
    """First and last step of the picture, the end of a gap included unless it lies far away."""
    steps = [s for series in diagnosis.series.values() for s in (series.step[:1] + series.step[-1:])]
    first = float(min([*steps, diagnosis.first_step if diagnosis.first_step is not None else math.inf]))
    last = float(max([*steps, diagnosis.last_step if diagnosis.last_step is not None else -math.inf]))
    if not (math.isfinite(first) and math.isfinite(last)):
        return 0.0, 1.0
    if 0 < first <= 0.1 * last:
        first = 0.0
    end = max([last, *(float(gap.end_step) for gap in gaps if isinstance(gap, Gap))])
    if end - last > LONGEST_GAP * (end - first):
        return first, last + CUT_GAP / (1 - CUT_GAP) * max(last - first, 1.0)
    return first, end


def seams_of(diagnosis: Diagnosis) -> tuple[int, ...]:
    """The steps of restarts: as many as can be told apart, of more one in so many."""
    every = -(-len(diagnosis.seams) // MOST_SEAMS) or 1
    return tuple(seam.step for seam in diagnosis.seams[::every])


def warmup_of(diagnosis: Diagnosis, first: float, last: float) -> int | None:
    """The end of warm-up where it is wide enough to be seen in a picture of these steps."""
    end = diagnosis.landmarks.warmup_end
    return end if end is not None and first + SHORTEST_WARMUP * (last - first) < end < last else None


def best_of(diagnosis: Diagnosis, lines: Sequence[Line]) -> tuple[float, float] | None:
    """(step, value) of the best eval where its curve is one of these."""
    if diagnosis.best_step is None:
        return None
    for one in lines:
        value = one.at(diagnosis.best_step) if EVAL_LOSS.match(one.metric) else None
        if value is not None:
            return float(diagnosis.best_step), value
    return None


def names_of(lines: Sequence[Line]) -> str:
    """The names of curves for a sentence."""
    return " and ".join(clean(one.metric, 80) for one in lines)
