"""What the script of a page draws from when a reader zooms: thinned curves, other axes and marks, as one JSON block."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from curvelab.model.finding import Evidence, Gap, Level, Point, Span, Trend
from curvelab.model.result import Diagnosis, Thinned
from curvelab.report import masked
from curvelab.report.figures import coloured
from curvelab.report.marks import MOST_POINTS
from curvelab.report.pictures import Panel, is_loss
from curvelab.report.plain import clean
from curvelab.report.value_axis import scale_of
from curvelab.signals.thinning import min_max_rows

Floats = NDArray[np.float64]

LOSS_POINTS = 3200  # of one or two losses together; more of them are evals, and share less
OTHER_POINTS, MOST_OTHERS, FEWEST = 600, 3400, 120  # of one other curve, of all together, and what one has at least
DIGITS = 5  # significant: what the zoomed picture can show
STRAIGHT = 2000  # an axis is told by so many straight pieces that it is nowhere off by more than one 2000th of itself
MOST_KNOTS = 300


def metrics_of(panels: Sequence[Panel]) -> list[str]:
    """The metrics of some pictures, each once."""
    return list(dict.fromkeys(one.metric for panel in panels for one in panel.lines))


def block(diagnosis: Diagnosis, panels: Sequence[Panel]) -> Markup:
    """JSON for a <script type="application/json">; figure i of the page is panel i.

    No text of a log can end the block: it is ASCII, and `<`, `>` and `&` are escaped.
    """
    metrics = metrics_of(panels)
    losses = sum(is_loss(metric) for metric in metrics)
    of_loss = LOSS_POINTS // max(2, 2 * losses - 2)
    of_other = max(FEWEST, min(OTHER_POINTS, MOST_OTHERS // max(1, len(metrics) - losses)))
    plain = {
        "axes": axes(diagnosis),
        "series": [_series(diagnosis, metric, of_loss if is_loss(metric) else of_other) for metric in metrics],
        "figures": [_figure(panel, metrics) for panel in panels],
        "seams": list(panels[0].seams) if panels else [],
    }
    text = json.dumps(plain, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def axes(diagnosis: Diagnosis) -> dict[str, list[list[float | int | None]]]:
    """The other step axes that the log knows: name -> (steps, values there), straight in between.

    Only axes that never go back; time is in seconds since the first log.
    """
    found = {}
    for name in ("epoch", "tokens", "wall_time"):
        curves = [one for one in diagnosis.series.values() if getattr(one, name)]
        table = _knots(max(curves, key=lambda one: one.points), name) if curves else None
        if table is not None:
            step, value = table
            origin = value[0] if name == "wall_time" else 0.0
            found["time" if name == "wall_time" else name] = [_short(step, 12), _short(value - origin, 7)]
    return found


def _knots(series: Thinned, name: str) -> tuple[Floats, Floats] | None:
    """(steps, values) where an axis bends; None where it goes back or stands still."""
    n = min(len(series.step), len(getattr(series, name)))
    step, value = np.array(series.step[:n], dtype=np.float64), np.array(getattr(series, name)[:n], dtype=np.float64)
    known = np.isfinite(value)
    step, value = step[known], value[known]
    if len(step) < 2 or not (np.diff(value) >= 0).all() or not (np.diff(step) > 0).all() or value[-1] <= value[0]:
        return None
    # A clock of whole seconds stands still over several steps: what passes between two ticks is spread over them.
    ticks = np.flatnonzero(np.diff(value, prepend=-np.inf) > 0)
    ticks = ticks if name == "wall_time" and len(ticks) > 1 else np.arange(len(step))
    step, value = step[ticks], value[ticks]
    rows = _bends(step, value)
    return step[rows], value[rows]


def _bends(step: Floats, value: Floats) -> list[int]:
    """Rows that tell a line apart from the straight pieces between them, the worst bend first."""
    slack = (value[-1] - value[0]) / STRAIGHT
    kept, open_ = {0, len(step) - 1}, [(0, len(step) - 1)]
    while open_ and len(kept) < MOST_KNOTS:
        a, b = open_.pop(0)
        straight = np.interp(step[a : b + 1], [step[a], step[b]], [value[a], value[b]])
        off = np.abs(value[a : b + 1] - straight)
        worst = a + int(off.argmax())
        if off[worst - a] > slack:
            kept.add(worst)
            open_ += [(a, worst), (worst, b)]
    return sorted(kept)


def _series(diagnosis: Diagnosis, metric: str, most: int) -> dict[str, Any]:
    """Name, how many points were logged, steps as differences, values; null where a value is not finite."""
    series = masked.curve(diagnosis, metric)
    assert series is not None  # it is drawn
    n = min(len(series.step), len(series.value))
    value = np.array(series.value[:n], dtype=np.float64)
    rows = min_max_rows(value, most)
    step = np.array(series.step[:n], dtype=np.float64)[rows]
    return {"name": clean(metric, 80), "points": max(n, series.points), "step": _short(np.diff(step, prepend=0), 17), "value": _short(value[rows], DIGITS)}


def _figure(panel: Panel, metrics: Sequence[str]) -> dict[str, Any]:
    scale = scale_of(panel)
    return {
        "x": _short([panel.first, panel.last], 17),
        "y": [scale.low, scale.high, scale.unit, int(scale.log)],
        "lines": [
            [metrics.index(one.metric), colour, int(one.trend is not None)] for one, colour in coloured(panel.lines)
        ],
        "marks": [mark for mark in map(_mark, _drawn(panel.marks)) if mark],
        "best": _short(panel.best, 7) if panel.best else None,
        "warmup": panel.warmup,
        "epochs": list(panel.epochs),
        "lanes": [
            [lane.number, lane.title, *_short([lane.start, lane.end], 17), lane.severity, _short(lane.moments[1:MOST_POINTS], 17)]
            for lane in panel.lanes
        ],
    }


def _drawn(marks: Sequence[Evidence]) -> list[Evidence]:
    """The marks that the still picture has, too: of points only the first ones."""
    points = [mark for mark in marks if isinstance(mark, Point)]
    return [*(mark for mark in marks if not isinstance(mark, Point)), *points[:MOST_POINTS]]


def _mark(mark: Evidence) -> list[Any]:
    """[kind, numbers]: steps before values."""
    if isinstance(mark, Span | Gap):
        return ["gap" if isinstance(mark, Gap) else "span", mark.start_step, mark.end_step]
    if isinstance(mark, Level):
        return ["level", mark.start_step, mark.end_step, *_short([mark.value], 7)]
    if isinstance(mark, Trend):
        return ["slope", mark.start_step, mark.end_step, *_short([mark.start_value, mark.end_value], 7)]
    return ["point", mark.step, *_short([mark.value], 7)]


def _short(values: Any, digits: int) -> list[float | int | None]:
    """Numbers with so many significant digits; null for what is not finite."""
    return [_number(float(value), digits) if math.isfinite(value) else None for value in values]


def _number(value: float, digits: int) -> float | int:
    rounded = float(f"{value:.{digits}g}")
    return int(rounded) if rounded == int(rounded) and abs(rounded) < 1e15 else rounded
