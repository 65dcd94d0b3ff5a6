"""How to draw: a Panel -> SVG, by matplotlib. No text of a log enters a picture; it stands in the HTML key below.

Everything is placed between 0 and 1 by Scale before matplotlib sees it, so that 1e308 is as harmless as 1.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from curvelab.model.finding import Gap, Level, Point, Span, Trend
from curvelab.report.curves import Line
from curvelab.report.pictures import EVAL_LOSS, EVAL_SHAPES, Lane, Panel
from curvelab.report.scale import Scale, scale_for, step_ticks
from curvelab.report.svg import MARK, themed

# Okabe-Ito, with a grey for what is no data. The page swaps them for lighter ones on a dark ground.
COLOURS = {
    "train": "#0072b2",
    "eval-0": "#009e73",
    "eval-1": "#aa4499",
    "eval-2": "#56b4e9",
    "critical": "#d55e00",
    "warning": "#e69f00",
    "info": "#cc79a7",
    "ink": "#24292f",
    "muted": "#646b73",
    "grid": "#dfe2e6",
    "paper": "#ffffff",
}
VARIABLES = {code: name for name, code in COLOURS.items()}
EVAL_MARKERS = {"eval-0": "D", "eval-1": "s", "eval-2": "^"}

LETTER = 6.4  # px, width of a digit at the size of the labels
TEXT_SIZE = 11
LANE = 20  # px, height of a row of findings
BADGE = 9  # px, radius
MOST_MARKERS = 60  # of an eval curve; more are drawn as a line
MOST_POINTS = 60  # of a finding's marked points
MOST_SPOILT = 200
NARROWEST = 3  # px, of a span


@contextmanager
def drawing() -> Iterator[None]:
    """The settings of all pictures, whatever the user's matplotlibrc says; put back afterwards."""
    settings: dict[Any, Any] = {
        "svg.hashsalt": "curvelab",
        "svg.fonttype": "none",
        "font.family": ["DejaVu Sans"],
        "font.size": TEXT_SIZE,
        "path.simplify": True,
        "path.simplify_threshold": 0.2,
        "path.sketch": None,
        "path.effects": [],
        "lines.scale_dashes": True,
        "text.usetex": False,
        "text.parse_math": False,
        "axes.unicode_minus": False,
        "hatch.linewidth": 1.0,
        "agg.path.chunksize": 0,
    }
    with mpl.rc_context(settings):
        yield


def draw(panel: Panel, width: int, height: int, prefix: str, kind: str) -> Markup:
    """The SVG of a panel, width x height CSS pixels plus the rows that its findings need. Use inside `drawing()`."""
    scale = scale_for(_values(panel), _levels(panel))
    rows = _lane_rows(panel.lanes, lambda s: _along(panel, s) * width, width)
    most_y = max(3, height // 40)
    ticks = scale.ticks(most_y)
    left = max([len(label) for _, label in ticks], default=1) * LETTER + 12
    right, bottom = 20.0, 26.0
    top = 8.0 + LANE * (max(rows.values(), default=-1) + 1) + (14 if panel.seams else 0)
    total = height + top - 8
    figure = Figure(figsize=(width / 72, total / 72), dpi=72, frameon=False)
    FigureCanvasSVG(figure)
    axes = figure.add_axes(
        (left / width, bottom / total, (width - left - right) / width, (total - bottom - top) / total)
    )
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    inner = (width - left - right, total - bottom - top)
    _frame(axes, panel, ticks, inner[0])
    _marks(axes, panel, scale, inner[0])
    for one, colour in _coloured(panel.lines):
        _line(axes, one, colour, scale, panel)
    _points(axes, panel, scale)
    if panel.best is not None:
        at = _along(panel, panel.best[0]), float(scale.place(panel.best[1]))
        _plot(axes, *at, "best", marker="*", markersize=15, color=COLOURS["eval-0"], markeredgecolor=COLOURS["paper"])
    _seam_lines(axes, panel, inner)
    _lanes(axes, panel, rows, inner)
    out = io.StringIO()
    figure.savefig(
        out, format="svg", transparent=True, metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
    )
    return themed(out.getvalue(), VARIABLES, prefix, panel.alt, kind)


def _along(panel: Panel, step: float) -> float:
    """Position of a step between the left (0) and the right end (1) of the picture."""
    if panel.last <= panel.first:
        return 0.5
    return min(1.0, max(0.0, (step - panel.first) / (panel.last - panel.first)))


def _all_along(panel: Panel, steps: Any) -> Any:
    if panel.last <= panel.first:
        return np.full(len(steps), 0.5)
    return np.clip((steps - panel.first) / (panel.last - panel.first), 0, 1)


def _values(panel: Panel) -> Any:
    points = [mark.value for mark in panel.marks if isinstance(mark, Point)]
    ends = [v for mark in panel.marks if isinstance(mark, Trend) for v in (mark.start_value, mark.end_value)]
    return np.concatenate([*(one.value for one in panel.lines), np.array([*points, *ends], dtype=np.float64)])


def _levels(panel: Panel) -> list[float]:
    return [mark.value for mark in panel.marks if isinstance(mark, Level)]


def _coloured(lines: Sequence[Line]) -> list[tuple[Line, str]]:
    """Each curve with the name of its colour: evals in the order of the key, everything else as train."""
    evals = iter(EVAL_SHAPES)
    return [(one, next(evals) if EVAL_LOSS.match(one.metric) else "train") for one in lines]


def _plot(axes: Axes, x: Any, y: Any, name: str, **style: Any) -> None:
    style = {"linestyle": "none" if "marker" in style else "-", "clip_on": "marker" not in style, **style}
    axes.plot(np.atleast_1d(x), np.atleast_1d(y), gid=MARK + name, **style)


def _frame(axes: Axes, panel: Panel, ticks: list[tuple[float, str]], width: float) -> None:
    """Grid, labels and the base line; no box."""
    for side in ("top", "left", "right"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(COLOURS["muted"])
    axes.spines["bottom"].set_linewidth(0.8)
    labels = _spaced([(_along(panel, s), text) for s, text in _steps(panel, width)], width)
    axes.set_xticks([at for at, _ in labels], [text for _, text in labels])
    axes.set_yticks([at for at, _ in ticks], [text for _, text in ticks])
    axes.tick_params(length=0, pad=6, colors=COLOURS["muted"], labelsize=TEXT_SIZE)
    axes.grid(visible=False)
    for at, _ in ticks:
        axes.plot([0, 1], [at, at], color=COLOURS["grid"], linewidth=0.8, zorder=0, gid=MARK + "grid")


def _steps(panel: Panel, width: float) -> list[tuple[float, str]]:
    return step_ticks(panel.first, panel.last, max(3, int(width // 90)))


def _spaced(labels: list[tuple[float, str]], width: float) -> list[tuple[float, str]]:
    """The labels that fit: those that would touch their left neighbour or leave the picture are left out."""
    kept: list[tuple[float, str]] = []
    free = -12.0
    for at, text in labels:
        half = len(text) * LETTER / 2
        if at * width - half >= free and at * width + half <= width + 20:
            kept.append((at, text))
            free = at * width + half + 10
    return kept


def _line(axes: Axes, one: Line, colour: str, scale: Scale, panel: Panel) -> None:
    """A curve: evals as joined markers; others faint as logged, with the trend on top; bad values as a rug."""
    x, y = _all_along(panel, one.step), scale.place(one.value)
    paint = COLOURS[colour]
    alone = _alone(y)
    if colour.startswith("eval") and len(x) <= MOST_MARKERS:
        _plot(axes, x, y, "eval", color=paint, linewidth=1.3, linestyle=(0, (5, 2)))
        _plot(axes, x, y, "eval", color=paint, marker=EVAL_MARKERS[colour], markersize=4.5, markeredgewidth=0)
    elif one.trend is None:
        _plot(axes, x, y, "raw", color=paint, linewidth=1.5)
        _plot(axes, x[alone], y[alone], "raw", color=paint, marker="o", markersize=4, markeredgewidth=0)
    else:
        _plot(axes, x, y, "raw", color=paint, linewidth=0.9, alpha=0.5)
        _plot(axes, x[alone], y[alone], "raw", color=paint, marker="o", markersize=3, markeredgewidth=0)
        _plot(axes, _all_along(panel, one.trend[0]), scale.place(one.trend[1]), "trend", color=paint, linewidth=2)
    row = 0.012 if not colour.startswith("eval") else 0.04
    for start, end in one.spoilt[:MOST_SPOILT]:
        a, b = _along(panel, start), _along(panel, end)
        _plot(axes, [a - 0.001, b + 0.001], [row, row], "spoilt", color=paint, linewidth=5, solid_capstyle="butt")


def _alone(y: Any) -> Any:
    """Rows of finite values without a finite neighbour: a line would not show them."""
    good = np.isfinite(y)
    sides = np.concatenate([[False], good, [False]])
    return np.flatnonzero(good & ~sides[:-2] & ~sides[2:])


def _marks(axes: Axes, panel: Panel, scale: Scale, width: float) -> None:
    """Spans, levels, trends and gaps, below the curves but for the trends."""
    paint = COLOURS[panel.severity]
    for mark in panel.marks:
        if isinstance(mark, Span | Gap):
            a, b = _along(panel, mark.start_step), _along(panel, mark.end_step)
            if (b - a) * width < NARROWEST:
                a, b = (a + b) / 2 - NARROWEST / width / 2, (a + b) / 2 + NARROWEST / width / 2
            if isinstance(mark, Span):
                axes.axvspan(
                    a,
                    b,
                    facecolor=paint,
                    alpha=0.1 if panel.lanes else 0.15,
                    linewidth=0,
                    gid=MARK + "span",
                    zorder=0.5,
                )
                _plot(axes, [a, a], [0, 1], "edge", color=paint, linewidth=1, zorder=0.6)
            else:
                hatch: dict[str, Any] = {
                    "facecolor": "none",
                    "edgecolor": COLOURS["muted"],
                    "hatch": "///",
                    "alpha": 0.55,
                }
                axes.axvspan(a, b, linewidth=0, gid=MARK + "gap", zorder=0.5, **hatch)
                _plot(axes, [a, a], [0, 1], "edge", color=COLOURS["muted"], linewidth=1, zorder=0.6)
        elif isinstance(mark, Level):
            a = 0.0 if mark.start_step is None else _along(panel, mark.start_step)
            b = 1.0 if mark.end_step is None else _along(panel, mark.end_step)
            at = float(scale.place(mark.value))
            if 0 <= at <= 1:
                _plot(
                    axes,
                    [a, b],
                    [at, at],
                    "level",
                    color=COLOURS["ink"],
                    linewidth=1.4,
                    linestyle=(0, (6, 3)),
                    zorder=4,
                )
        elif isinstance(mark, Trend):
            x = [_along(panel, mark.start_step), _along(panel, mark.end_step)]
            y = scale.place(np.array([mark.start_value, mark.end_value]))
            _plot(axes, x, y, "slope", color=paint, linewidth=2.4, linestyle=(0, (8, 2, 2, 2)), zorder=5)
            _plot(axes, x, y, "slope", color=paint, marker="o", markersize=6, markeredgewidth=0, zorder=5)


def _points(axes: Axes, panel: Panel, scale: Scale) -> None:
    """Marked points: rings on the curve; crosses at the foot where the value is not finite."""
    points = [mark for mark in panel.marks if isinstance(mark, Point)][:MOST_POINTS]
    if not points:
        return
    x = np.array([_along(panel, point.step) for point in points])
    y = scale.place(np.array([point.value for point in points], dtype=np.float64))
    good = np.isfinite(y)
    style = {"color": COLOURS[panel.severity], "zorder": 6}
    ring = {"marker": "o", "markersize": 8, "markerfacecolor": "none", "markeredgewidth": 1.8}
    if good.any():
        _plot(axes, x[good], y[good], "point", **ring, **style)
    if not good.all():
        _plot(axes, x[~good], np.full((~good).sum(), 0.03), "point", marker="X", markersize=9, **style)


def _seam_lines(axes: Axes, panel: Panel, inner: tuple[float, float]) -> None:
    """Restarts: dashed verticals, each with a word above where there is room."""
    free = -20.0
    for step in panel.seams:
        at = _along(panel, step)
        _plot(axes, [at, at], [0, 1], "seam", color=COLOURS["ink"], linewidth=1, linestyle=(0, (2, 2)), zorder=3)
        half = 7 * LETTER / 2
        centre = min(max(at * inner[0], half), inner[0] - half)
        if centre - half >= free:
            axes.text(
                centre / inner[0],
                1 + 4 / inner[1],
                "restart",
                color=COLOURS["ink"],
                ha="center",
                va="bottom",
                fontsize=TEXT_SIZE,
            )
            free = centre + half + 8


def _lane_rows(lanes: Sequence[Lane], px: Any, width: float) -> dict[int, int]:
    """Which row each finding stands in, so that none touches another: number -> row, 0 the lowest."""
    rows: dict[int, int] = {}
    ends: list[float] = []
    for lane in sorted(lanes, key=lambda one: (one.start, one.number)):
        start, end = px(lane.start) - BADGE, max(px(lane.end), px(lane.start) + BADGE) + 6
        row = next((i for i, taken in enumerate(ends) if taken <= start), len(ends))
        ends[row : row + 1] = [end]
        rows[lane.number] = row
    return rows


def _lanes(axes: Axes, panel: Panel, rows: dict[int, int], inner: tuple[float, float]) -> None:
    """The findings above the curves: a bar over the steps of each, and its number as a link to the list."""
    base = 14 if panel.seams else 0
    for lane in panel.lanes:
        y = 1 + (base + LANE * (rows[lane.number] + 0.5)) / inner[1]
        a, b = _along(panel, lane.start), _along(panel, lane.end)
        paint = COLOURS[lane.severity]
        _plot(axes, [a, b], [y, y], "lane", color=paint, linewidth=4, clip_on=False, solid_capstyle="butt", zorder=7)
        link: dict[str, Any] = {"url": f"#finding-{lane.number}"}
        _plot(
            axes,
            a,
            y,
            "badge",
            marker="o",
            markersize=2 * BADGE,
            color=paint,
            markeredgecolor=COLOURS["paper"],
            zorder=8,
            **link,
        )
        size = TEXT_SIZE if lane.number < 10 else TEXT_SIZE - 1
        axes.text(
            a,
            y,
            str(lane.number),
            color="#000000",
            ha="center",
            va="center_baseline",
            fontsize=size,
            weight="bold",
            zorder=9,
            **link,
        )
