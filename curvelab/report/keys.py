"""The keys below a picture: which shape means what. Texts of a log are cleaned here and stay out of the drawing."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

from curvelab.model.finding import Evidence, Gap, Level, Point, Span, Trend
from curvelab.model.result import Diagnosis
from curvelab.report import masked, numerals, wording
from curvelab.report.curves import Line
from curvelab.report.numerals import count
from curvelab.report.plain import clean

EVAL_LOSS = re.compile(r"^(eval|test|validation)/(.+/)?loss$")
MOST_SEAMS = 40  # restarts that are drawn; more could not be told apart
MOST_LABELS = 3  # of the points of one finding that are named in the key

Shape = Literal[
    "raw", "trend", "eval-0", "eval-1", "eval-2", "span", "point", "cross", "level", "slope", "gap",
    "spoilt", "spoilt-0", "spoilt-1", "spoilt-2", "seam", "best", "warmup", "epoch",
]  # fmt: skip
EVAL_SHAPES: tuple[Shape, ...] = ("eval-0", "eval-1", "eval-2")
EVAL_SPOILT: tuple[Shape, ...] = ("spoilt-0", "spoilt-1", "spoilt-2")


@dataclass(frozen=True)
class Key:
    """One entry below a picture: the shape that is drawn, and what it means.

    `metric` names the curve that it stands for, `trend` says that it is the running median of that.
    """

    shape: Shape
    text: str
    metric: str = ""
    trend: bool = False


def line_keys(lines: Sequence[Line]) -> list[Key]:
    """The key of each curve: the trend beside what was logged, evals each with its marker."""
    keys, evals = [], 0
    for one in lines:
        name = clean(one.metric, 80)
        if EVAL_LOSS.match(one.metric):
            keys.append(Key(EVAL_SHAPES[evals], name, one.metric))
            evals += 1
        elif one.trend is None:
            keys.append(Key("trend", name, one.metric))
        else:
            keys += [Key("raw", f"{name} as logged", one.metric), Key("trend", "its running median", one.metric, trend=True)]
    return keys


def best_key(best: tuple[float, float] | None, lines: Sequence[Line]) -> list[Key]:
    """The key of the star at the best eval, and of the dots at its level where any curve goes on."""
    if best is None:
        return []
    goes_on = any(len(one.step) and one.step[-1] > best[0] for one in lines)
    dots = " (dotted: its level)" if goes_on else ""
    return [Key("best", f"best eval: {numerals.value(best[1])} at step {count(int(best[0]))}{dots}")]


def mark_keys(marks: Sequence[Evidence], named: bool) -> list[Key]:
    """The key of a finding's evidence; many points become one entry."""
    keys: list[Key] = []
    for mark in marks:
        label, metric = clean(mark.label, 120), clean(mark.metric, 80)
        of = f" ({metric})" if named and metric not in label else ""
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


def spoilt_keys(diagnosis: Diagnosis, lines: Sequence[Line]) -> list[Key]:
    """The keys of values that are not finite."""
    keys: list[Key] = []
    evals = iter(EVAL_SPOILT)
    for one in lines:
        shape: Shape = next(evals) if EVAL_LOSS.match(one.metric) else "spoilt"
        if one.spoilt:
            logged = "NaN (a filter logged it as 0)" if masked.hides(diagnosis, one.metric) else "NaN or infinite"
            keys.append(Key(shape, f"{clean(one.metric, 80)} is {logged}"))
    return keys


def warmup_key(end: int | None) -> list[Key]:
    """The key of the shaded warm-up."""
    return [] if end is None else [Key("warmup", f"warm-up, up to step {count(end)}")]


def epoch_key(every: int) -> list[Key]:
    """The key of the ticks at ends of epochs, of which one in `every` is drawn; 0: none."""
    return [Key("epoch", "end of an epoch" if every == 1 else f"end of every {numerals.ordinal(every)} epoch")] if every else []


def seam_key(diagnosis: Diagnosis) -> list[Key]:
    """The key of restarts."""
    restarts = wording.restarts(diagnosis)
    every = -(-len(diagnosis.seams) // MOST_SEAMS)
    drawn = f"; every {numerals.ordinal(every)} is drawn" if every > 1 else ""
    return [Key("seam", restarts + drawn)] if restarts else []
