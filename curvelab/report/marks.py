"""Draws what findings say: spans, points, levels, trends, gaps; restarts; and numbered bars above the main picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from curvelab.model.finding import Gap, Level, Point, Span, Trend
from curvelab.report.canvas import COLOURS, LETTER, TEXT_SIZE, Canvas, along
from curvelab.report.pictures import Panel
from curvelab.report.svg import MARK

LANE = 20  # px, height of a row of findings
BADGE = 9  # px, radius
EPOCH_TICK = 7  # px
SEAM_LABEL = 14  # px, height of the row of words above restarts
NARROWEST = 3  # px, of a span
MOST_POINTS = 40  # of a finding's marked points
FOOT = 0.03  # height at which values are marked that are not finite


def draw_below(canvas: Canvas) -> None:
    """What lies under the curves: warm-up, spans and gaps."""
    paint = COLOURS[canvas.panel.severity]
    if canvas.panel.warmup is not None:
        shade: dict[str, Any] = {"facecolor": COLOURS["muted"], "alpha": 0.1}
        canvas.axes.axvspan(0, canvas.along(canvas.panel.warmup), linewidth=0, gid=MARK + "warmup", zorder=0.4, **shade)
    for mark in canvas.panel.marks:
        if isinstance(mark, Span):
            shade = {"facecolor": paint, "alpha": 0.12}
            _stretch(canvas, "span", mark.start_step, mark.end_step, paint, shade)
        elif isinstance(mark, Gap):
            grey = COLOURS["muted"]
            hatch: dict[str, Any] = {"facecolor": "none", "edgecolor": grey, "hatch": "///", "alpha": 0.55}
            _stretch(canvas, "gap", mark.start_step, mark.end_step, grey, hatch)
            _beyond(canvas, mark)


def _stretch(canvas: Canvas, name: str, start: int, end: int, paint: str, style: dict[str, Any]) -> None:
    a, b = canvas.along(start), canvas.along(end)
    spare = max(0.0, NARROWEST / canvas.width - (b - a)) / 2
    canvas.axes.axvspan(a - spare, b + spare, linewidth=0, gid=MARK + name, zorder=0.5, **style)
    canvas.vertical("edge", a - spare, color=paint, linewidth=1, zorder=0.6)


def _beyond(canvas: Canvas, gap: Gap) -> None:
    """Where a gap ends that goes on beyond the picture."""
    if gap.end_step <= canvas.panel.last:
        return
    start = canvas.along(gap.start_step)
    text = f"to step {gap.end_step:,} →"
    if len(text) * LETTER > (1 - start) * canvas.width - BADGE:
        text = text.replace("to step ", "to step\n")
    paper: dict[str, Any] = {"facecolor": COLOURS["paper"], "edgecolor": "none", "pad": 3}
    canvas.write((1 + start) / 2, 0.5, text, va="center", color=COLOURS["ink"], bbox=paper, zorder=3)


def draw_above(canvas: Canvas) -> None:
    """What lies over the curves: levels, trends, points, restarts, the best eval, and the numbered findings."""
    for mark in canvas.panel.marks:
        if isinstance(mark, Level):
            _level(canvas, mark)
        elif isinstance(mark, Trend):
            _trend(canvas, mark)
    _points(canvas, [mark for mark in canvas.panel.marks if isinstance(mark, Point)][:MOST_POINTS])
    _seams(canvas)
    _epochs(canvas)
    if canvas.panel.best is not None:
        step, value = canvas.panel.best
        level = [float(canvas.scale.place(value))] * 2
        dots: dict[str, Any] = {"linewidth": 1.2, "linestyle": (0, (1, 3)), "zorder": 3}
        reached = max((float(one.step[-1]) for one in canvas.panel.lines if len(one.step)), default=step)
        canvas.plot("best", [canvas.along(step), canvas.along(reached)], level, color=COLOURS["eval-0"], **dots)
        star: dict[str, Any] = {"marker": "*", "markersize": 15, "markeredgecolor": COLOURS["paper"]}
        canvas.plot("best", canvas.along(step), canvas.scale.place(value), color=COLOURS["eval-0"], zorder=6, **star)
    _lanes(canvas)


def _level(canvas: Canvas, mark: Level) -> None:
    a = 0.0 if mark.start_step is None else canvas.along(mark.start_step)
    b = 1.0 if mark.end_step is None else canvas.along(mark.end_step)
    at = float(canvas.scale.place(mark.value))
    if 0 <= at <= 1:
        dashes = (0, (6, 3))
        canvas.plot("level", [a, b], [at, at], color=COLOURS["ink"], linewidth=1.4, linestyle=dashes, zorder=4)


def _trend(canvas: Canvas, mark: Trend) -> None:
    paint = COLOURS[canvas.panel.severity]
    x = [canvas.along(mark.start_step), canvas.along(mark.end_step)]
    y = canvas.scale.place(np.array([mark.start_value, mark.end_value]))
    canvas.plot("slope", x, y, color=paint, linewidth=2.4, linestyle=(0, (8, 2, 2, 2)), zorder=5)
    canvas.plot("slope", x, y, color=paint, marker="o", markersize=6, markeredgewidth=0, zorder=5)


def _points(canvas: Canvas, points: Sequence[Point]) -> None:
    """Rings on the curve; crosses at the foot where the value is not finite."""
    x = np.array([canvas.along(point.step) for point in points])
    y = canvas.scale.place(np.array([point.value for point in points], dtype=np.float64))
    good = np.isfinite(y)
    style: dict[str, Any] = {"color": COLOURS[canvas.panel.severity], "zorder": 6}
    ring = {"marker": "o", "markersize": 8, "markerfacecolor": "none", "markeredgewidth": 1.8}
    canvas.plot("point", x[good], y[good], **ring, **style)
    canvas.plot("point", x[~good], np.full(int((~good).sum()), FOOT), marker="X", markersize=9, **style)


def _seams(canvas: Canvas) -> None:
    """Restarts: dashed verticals, each with a word above where there is room."""
    half = len("restart") * LETTER / 2
    free = -half
    for step in canvas.panel.seams:
        at = canvas.along(step)
        canvas.vertical("seam", at, color=COLOURS["ink"], linewidth=1, linestyle=(0, (2, 2)), zorder=3)
        centre = min(max(at * canvas.width, half), canvas.width - half)
        if centre - half >= free:
            x, y = centre / canvas.width, 1 + 4 / canvas.height
            canvas.write(x, y, "restart", color=COLOURS["ink"], va="bottom")
            free = centre + half + 8


def _epochs(canvas: Canvas) -> None:
    """Ends of epochs: short ticks that hang from the upper edge, where no curve and no label is in their way."""
    for step in canvas.panel.epochs:
        at, foot = canvas.along(step), 1 - EPOCH_TICK / canvas.height
        canvas.plot("epoch", [at, at], [foot, 1], color=COLOURS["muted"], linewidth=1, zorder=3)


def rows_of(panel: Panel, width: float) -> dict[int, int]:
    """In which row above the picture each finding stands, so that none touches another: number -> row, 0 the lowest."""
    rows: dict[int, int] = {}
    ends: list[float] = []
    for lane in sorted(panel.lanes, key=lambda one: (one.start, one.number)):
        start, end = along(panel, lane.start) * width, along(panel, lane.end) * width
        row = next((i for i, taken in enumerate(ends) if taken <= start - BADGE), len(ends))
        ends[row : row + 1] = [max(end, start + BADGE) + 6]
        rows[lane.number] = row
    return rows


def height_above(panel: Panel, width: float) -> float:
    """Room in px that restarts and findings need above the picture."""
    return LANE * (max(rows_of(panel, width).values(), default=-1) + 1) + (SEAM_LABEL if panel.seams else 0)


def _lanes(canvas: Canvas) -> None:
    """The findings above the curves: a bar over the steps of each, and its number as a link to the list."""
    base = SEAM_LABEL if canvas.panel.seams else 0
    rows = rows_of(canvas.panel, canvas.width)
    for lane in canvas.panel.lanes:
        y = 1 + (base + LANE * (rows[lane.number] + 0.5)) / canvas.height
        a, b = canvas.along(lane.start), canvas.along(lane.end)
        link: dict[str, Any] = {"url": f"#finding-{lane.number}"}
        bar: dict[str, Any] = {"linewidth": 4, "solid_capstyle": "butt", "clip_on": False}
        if lane.moments:
            # No bar: the steps between single points are healthy.
            x = canvas.all_along(np.array(lane.moments[1:MOST_POINTS]))
            down: dict[str, Any] = {"marker": "v", "markersize": BADGE, "markeredgewidth": 0}
            canvas.plot("moment", x, np.full(len(x), y), color=COLOURS[lane.severity], zorder=7, **down)
        else:
            canvas.plot("lane", [a, b], [y, y], color=COLOURS[lane.severity], zorder=7, **bar)
        disc: dict[str, Any] = {"marker": "o", "markersize": 2 * BADGE, "markeredgecolor": COLOURS["paper"]}
        canvas.plot("badge", a, y, color=COLOURS[lane.severity], zorder=8, **disc, **link)
        size = TEXT_SIZE if lane.number < 10 else TEXT_SIZE - 1
        # Black on these colours is legible on both grounds.
        style: dict[str, Any] = {"color": "#000000", "va": "center_baseline", "weight": "bold", "fontsize": size}
        canvas.write(a, y, str(lane.number), zorder=9, **style, **link)
