"""What to draw: a Diagnosis -> panels (curves, marks, step range) with their keys. The drawing is in figures.py."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from curvelab.model.finding import Evidence, Finding, Gap, Level, Point, Severity, Span, Trend
from curvelab.model.result import Diagnosis
from curvelab.report import numerals
from curvelab.report.curves import Line, line
from curvelab.report.numerals import count
from curvelab.report.plain import clean
from curvelab.report.wording import title_of

LOSS = "train/loss"
EVAL_LOSS = re.compile(r"^(eval|test|validation)/(.+/)?loss$")
MOST_EVALS = 3
MOST_PANELS = 3  # of one finding
MOST_LABELS = 3  # of the points of one finding that are named in the key
FARTHEST_GAP = 0.6  # of the run: a planned end further away is named, not drawn

Shape = Literal[
    "raw", "trend", "eval-0", "eval-1", "eval-2", "span", "point", "cross", "level", "slope", "gap",
    "spoilt", "spoilt-0", "spoilt-1", "spoilt-2", "seam", "best",
]  # fmt: skip
EVAL_SHAPES: tuple[Shape, ...] = ("eval-0", "eval-1", "eval-2")
EVAL_SPOILT: tuple[Shape, ...] = ("spoilt-0", "spoilt-1", "spoilt-2")


@dataclass(frozen=True)
class Key:
    """One entry below a picture: the shape that is drawn, and what it means."""

    shape: Shape
    text: str


@dataclass(frozen=True)
class Lane:
    """A finding above the main picture: its number in the list, and its steps."""

    number: int
    start: float
    end: float
    severity: Severity


@dataclass(frozen=True)
class Panel:
    """One picture. `marks` are drawn in the colour of `severity`; `alt` says what it shows."""

    lines: tuple[Line, ...]
    first: float
    last: float
    alt: str
    marks: tuple[Evidence, ...] = ()
    severity: Severity = "info"
    lanes: tuple[Lane, ...] = ()
    seams: tuple[int, ...] = ()
    best: tuple[float, float] | None = None
    keys: tuple[Key, ...] = ()

    @property
    def metrics(self) -> str:
        """The names of the curves, for the caption."""
        return ", ".join(clean(one.metric, 120) for one in self.lines)


def is_loss(metric: str) -> bool:
    """Whether a metric belongs into the picture of the losses."""
    return metric == LOSS or bool(EVAL_LOSS.match(metric))


def loss_panel(diagnosis: Diagnosis, findings: Sequence[Finding], most: int) -> Panel | None:
    """The main picture: the losses with every finding above them; the worst one shaded. None without any curve."""
    metrics = _losses(diagnosis) or list(diagnosis.series)[:1]
    if not metrics:
        return None
    lines = _lines(diagnosis, metrics, most)
    gaps = [e for f in findings for e in f.evidence if isinstance(e, Gap)][:1]
    first, last = _range(diagnosis, gaps)
    shaded = findings[0] if findings else None
    reached = diagnosis.last_step if diagnosis.last_step is not None else last
    spans: list[Evidence] = []
    if shaded is not None and shaded.start_step is not None:
        spans = [Span(metric=metrics[0], start_step=shaded.start_step, end_step=_end(shaded, reached))]
    lanes = [
        Lane(number, float(f.start_step), float(_end(f, reached)), f.severity)
        for number, f in enumerate(findings, start=1)
        if f.start_step is not None
    ]
    best = _best(diagnosis, lines)
    named = ", ".join(f"{title_of(f.pattern)} at {numerals.steps(f.start_step, f.end_step)}" for f in findings[:6])
    keys = (
        *_line_keys(lines),
        *_mark_keys(gaps, named=False),
        *_best_key(best),
        *_common_keys(lines, gaps, last),
        *_seam_key(diagnosis),
    )
    return Panel(
        lines=lines,
        first=first,
        last=last,
        alt=f"{_names(lines)} over the steps. " + (f"Findings: {named}." if named else "No fault was found."),
        marks=(*spans, *gaps),
        severity=shaded.severity if shaded else "info",
        lanes=tuple(lanes),
        seams=_seams(diagnosis),
        best=best,
        keys=keys,
    )


def evidence_panels(diagnosis: Diagnosis, finding: Finding, most: int) -> list[Panel]:
    """The pictures of one finding: one for the losses and one for each other metric that its evidence names."""
    marks = finding.evidence or _own_span(finding)
    groups: dict[str, list[Evidence]] = {}
    for mark in marks:
        groups.setdefault(LOSS if is_loss(mark.metric) else mark.metric, []).append(mark)
    panels = []
    for metric, group in list(groups.items())[:MOST_PANELS]:
        metrics = _losses(diagnosis) if metric == LOSS else [metric] if metric in diagnosis.series else []
        if not metrics:
            continue
        lines = _lines(diagnosis, metrics, most)
        gaps = [m for m in group if isinstance(m, Gap)]
        first, last = _range(diagnosis, gaps)
        best = _best(diagnosis, lines)
        if finding.pattern != "overfitting" or any(
            isinstance(m, Point) and m.step == diagnosis.best_step for m in group
        ):
            best = None  # it has a ring already, or is no part of this story
        panels.append(
            Panel(
                lines=lines,
                first=first,
                last=last,
                alt=f"{_names(lines)}: {clean(finding.headline, 300)}",
                marks=tuple(group),
                severity=finding.severity,
                seams=_seams(diagnosis),
                best=best,
                keys=(
                    *_line_keys(lines),
                    *_mark_keys(group, named=len(metrics) > 1),
                    *_best_key(best),
                    *_common_keys(lines, gaps, last),
                ),
            )
        )
    return panels


def curve_panel(diagnosis: Diagnosis, metric: str, most: int) -> Panel:
    """A curve without findings."""
    lines = _lines(diagnosis, [metric], most)
    first, last = _range(diagnosis, [])
    keys = tuple(key for key in _common_keys(lines, [], last) if key.shape.startswith("spoilt"))
    return Panel(lines, first, last, f"{_names(lines)} over the steps", seams=_seams(diagnosis), keys=keys)


def _own_span(finding: Finding) -> tuple[Evidence, ...]:
    if finding.start_step is None:
        return ()
    return (
        Span(metric=finding.metric, start_step=finding.start_step, end_step=finding.end_step or finding.start_step),
    )


def _end(finding: Finding, last: float) -> int:
    return finding.end_step if finding.end_step is not None else max(int(last), finding.start_step or 0)


def _losses(diagnosis: Diagnosis) -> list[str]:
    evals = sorted((m for m in diagnosis.series if EVAL_LOSS.match(m)), key=lambda m: (m != "eval/loss", m))
    return [m for m in (LOSS, *evals[:MOST_EVALS]) if m in diagnosis.series]


def _lines(diagnosis: Diagnosis, metrics: Iterable[str], most: int) -> tuple[Line, ...]:
    names = tuple(metrics)
    share = 2 * most // (len(names) + 1)  # several curves in one picture share its bytes
    return tuple(line(metric, diagnosis.series[metric], share) for metric in names)


def _range(diagnosis: Diagnosis, gaps: Sequence[Evidence]) -> tuple[float, float]:
    """First and last step of the picture; a gap's end counts when it is not far away."""
    steps = [s for series in diagnosis.series.values() for s in (series.step[:1] + series.step[-1:])]
    first = float(min([*steps, diagnosis.first_step if diagnosis.first_step is not None else math.inf]))
    last = float(max([*steps, diagnosis.last_step if diagnosis.last_step is not None else -math.inf]))
    if not (math.isfinite(first) and math.isfinite(last)):
        return 0.0, 1.0
    if 0 < first <= 0.1 * last:
        first = 0.0
    farthest = last + FARTHEST_GAP * max(last - first, 1.0)
    for gap in gaps:
        if isinstance(gap, Gap):
            last = max(last, min(float(gap.end_step), farthest))
    return first, last


def _seams(diagnosis: Diagnosis) -> tuple[int, ...]:
    return tuple(seam.step for seam in diagnosis.seams[:40])


def _best(diagnosis: Diagnosis, lines: Sequence[Line]) -> tuple[float, float] | None:
    if diagnosis.best_step is None:
        return None
    for one in lines:
        value = one.at(diagnosis.best_step) if EVAL_LOSS.match(one.metric) else None
        if value is not None:
            return float(diagnosis.best_step), value
    return None


def _names(lines: Sequence[Line]) -> str:
    return " and ".join(clean(one.metric, 80) for one in lines)


def _line_keys(lines: Sequence[Line]) -> list[Key]:
    keys, evals = [], 0
    for one in lines:
        name = clean(one.metric, 80)
        if EVAL_LOSS.match(one.metric):
            keys.append(Key(EVAL_SHAPES[evals], name))
            evals += 1
        elif one.trend is None:
            keys.append(Key("trend", name))
        else:
            keys += [Key("raw", f"{name} as logged"), Key("trend", "its running median")]
    return keys


def _best_key(best: tuple[float, float] | None) -> list[Key]:
    if best is None:
        return []
    return [Key("best", f"best eval: {numerals.value(best[1])} at step {count(int(best[0]))}")]


def _mark_keys(marks: Sequence[Evidence], named: bool) -> list[Key]:
    """The key of a finding's evidence; many points become one entry."""
    keys: list[Key] = []
    for mark in marks:
        of = f" ({clean(mark.metric, 80)})" if named else ""
        label = clean(mark.label, 120)
        if isinstance(mark, Span):
            keys.append(
                Key("span", (label or "where it holds") + f", {numerals.steps(mark.start_step, mark.end_step)}")
            )
        elif isinstance(mark, Level):
            number = numerals.value(mark.value)
            keys.append(Key("level", label if number in label else f"{label or 'level'}: {number}"))
        elif isinstance(mark, Trend):
            change = f"{numerals.value(mark.start_value)} → {numerals.value(mark.end_value)}"
            keys.append(Key("slope", f"{label or 'trend'}: {change}{of}"))
        elif isinstance(mark, Gap):
            keys.append(Key("gap", (label or "nothing logged") + f", {numerals.steps(mark.start_step, mark.end_step)}"))
    points = [mark for mark in marks if isinstance(mark, Point)]
    for shape, of_shape in (
        ("point", [point for point in points if math.isfinite(point.value)]),
        ("cross", [point for point in points if not math.isfinite(point.value)]),
    ):
        if of_shape:
            words = "; ".join(_point_words(point) for point in of_shape[:MOST_LABELS])
            rest = f"; and {count(len(of_shape) - MOST_LABELS)} more" if len(of_shape) > MOST_LABELS else ""
            keys.append(Key(cast(Shape, shape), words + rest))
    return keys


def _point_words(point: Point) -> str:
    label, number = clean(point.label, 80), numerals.value(point.value)
    if number in label.split():
        return f"{label} at step {count(point.step)}"
    where = f"step {count(point.step)}: {number}"
    return f"{label}, {where}" if label else where


def _common_keys(lines: Sequence[Line], gaps: Sequence[Evidence], last: float) -> list[Key]:
    """Keys of what is no evidence of its own: non-finite values, a planned end outside the picture."""
    keys: list[Key] = []
    evals = iter(EVAL_SPOILT)
    for one in lines:
        shape: Shape = next(evals) if EVAL_LOSS.match(one.metric) else "spoilt"
        if one.spoilt:
            keys.append(Key(shape, f"{clean(one.metric, 80)} is NaN or infinite"))
    far = [gap.end_step for gap in gaps if isinstance(gap, Gap) and gap.end_step > last]
    keys += [Key("gap", f"goes on to step {count(end)}, outside the picture") for end in far]
    return keys


def _seam_key(diagnosis: Diagnosis) -> list[Key]:
    if not diagnosis.seams:
        return []
    places = ", ".join(f"step {count(s.step)} (after reaching {count(s.reached)})" for s in diagnosis.seams[:3])
    more = f" and {count(len(diagnosis.seams) - 3)} more" if len(diagnosis.seams) > 3 else ""
    return [Key("seam", f"restart at {places}{more}")]
