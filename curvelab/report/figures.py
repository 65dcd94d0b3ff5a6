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
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from numpy.typing import NDArray

from curvelab.report.canvas import COLOURS, LETTER, TEXT_SIZE, Canvas, Floats
from curvelab.report.curves import Line
from curvelab.report.keys import EVAL_LOSS, EVAL_SHAPES
from curvelab.report.marks import draw_above, draw_below, height_above, rows_of
from curvelab.report.pictures import Panel
from curvelab.report.scale import step_ticks
from curvelab.report.svg import themed
from curvelab.report.value_axis import scale_of

VARIABLES = {code: name for name, code in COLOURS.items()}
EVAL_MARKERS = {"eval-0": "D", "eval-1": "s", "eval-2": "^"}
MOST_MARKERS = 60  # of an eval curve; more are drawn as a line
THIN = 1  # px, on both sides of a non-finite value
TICK_HEIGHT, TICK_WIDTH = 40, 75  # px, least distance of ticks
TOP, RIGHT, BOTTOM = 8.0, 20.0, 26.0  # px, margins
AXIS_NAME = 15.0  # px, room for the name of the step axis
GAP = 6  # px, between labels and picture
RESET = ("agg.", "axes.", "figure.", "font.", "hatch.", "lines.", "patch.", "path.", "pdf.", "savefig.", "svg.", "text.")
NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))


@contextmanager
def drawing() -> Iterator[None]:
    """The settings of all pictures, whatever the user's matplotlibrc says; put back afterwards."""
    defaults = {name: mpl.rcParamsDefault[name] for name in mpl.rcParamsDefault if name.startswith(RESET)}
    ours: dict[Any, Any] = {
        "svg.hashsalt": "curvelab",
        "svg.fonttype": "none",
        "pdf.fonttype": 42,
        "font.family": ["DejaVu Sans"],
        "font.size": TEXT_SIZE,
        "path.simplify_threshold": 0.2,
        "text.parse_math": False,
    }
    with mpl.rc_context({**defaults, **ours}):
        yield


def margin(panel: Panel, height: int) -> float:
    """Room in px that the labels of the value axis need in a picture of this height."""
    return max([len(label) for _, label in _ticks(panel, height)], default=1) * LETTER + 2 * GAP


def _ticks(panel: Panel, height: int) -> list[tuple[float, str]]:
    return scale_of(panel).ticks(max(3, height // TICK_HEIGHT))


def draw(panel: Panel, width: int, height: int, prefix: str, kind: str, left: float = 0.0) -> Markup:
    """The SVG of a panel, width x height CSS pixels plus the rows that its findings need. Use inside `drawing()`.

    `left` is the least room for the labels of the value axis, for pictures that stand above each other.
    """
    scale, ticks = scale_of(panel), _ticks(panel, height)
    left = max(left, margin(panel, height))
    bottom = BOTTOM + AXIS_NAME
    inner_width, inner_height = width - left - RIGHT, height - TOP - bottom
    total = height + height_above(panel, inner_width)
    figure = Figure(figsize=(width / 72, total / 72), dpi=72, frameon=False)
    FigureCanvasSVG(figure)
    box = (left / width, bottom / total, inner_width / width, inner_height / total)
    axes = figure.add_axes(box, xlim=(0, 1), ylim=(0, 1))
    canvas = Canvas(axes, panel, scale, inner_width, inner_height)
    paint(canvas, ticks)
    canvas.write(0.5, -(bottom - GAP / 2) / inner_height, "step", va="bottom", color=COLOURS["muted"])
    out = io.StringIO()
    figure.savefig(out, format="svg", transparent=True, metadata=NO_METADATA)
    about = {"data-box": f"{left:.4g} {total - bottom - inner_height:.5g} {inner_width:.5g} {inner_height:.5g}"}
    if panel.lanes:
        rows = rows_of(panel, inner_width)
        about["data-rows"] = " ".join(str(rows[lane.number]) for lane in panel.lanes)
    links = {f"#finding-{lane.number}": f"Finding {lane.number}: {lane.title}" for lane in panel.lanes}
    return themed(out.getvalue(), VARIABLES, prefix, panel.alt, kind, about, links)


def paint(canvas: Canvas, ticks: list[tuple[float, str]]) -> None:
    """Everything inside and around the axes of a panel; `ticks` are those of the value axis."""
    _frame(canvas, ticks)
    draw_below(canvas)
    for one, colour in coloured(canvas.panel.lines):
        _line(canvas, one, colour)
    draw_above(canvas)


def coloured(lines: Sequence[Line]) -> list[tuple[Line, str]]:
    """Each curve with the name of its colour: evals in the order of the key, everything else as train."""
    evals = iter(EVAL_SHAPES)
    return [(one, next(evals) if EVAL_LOSS.match(one.metric) else "train") for one in lines]


def _frame(canvas: Canvas, ticks: list[tuple[float, str]]) -> None:
    """Grid, labels and the base line; no box. As plain texts and lines: matplotlib's ticks cost half of the time."""
    canvas.axes.set_axis_off()
    for at, text in ticks:
        canvas.plot("grid", [0, 1], [at, at], color=COLOURS["grid"], linewidth=0.8, zorder=0)
        canvas.write(-GAP / canvas.width, at, text, ha="right", va="center_baseline", color=COLOURS["muted"])
    canvas.plot("base", [0, 1], [0, 0], color=COLOURS["muted"], linewidth=0.8, clip_on=False, zorder=0)
    panel = canvas.panel
    steps = step_ticks(panel.first, panel.last, max(3, int(canvas.width // TICK_WIDTH)))
    for at, text in _spaced([(canvas.along(step), text) for step, text in steps], canvas.width):
        canvas.write(at, -GAP / canvas.height, text, va="top", color=COLOURS["muted"])


def _spaced(labels: list[tuple[float, str]], width: float) -> list[tuple[float, str]]:
    """The labels that fit: those that would touch their left neighbour or leave the picture are left out."""
    kept: list[tuple[float, str]] = []
    free = -2.0 * GAP
    for at, text in labels:
        half = len(text) * LETTER / 2
        if at * width - half >= free and at * width + half <= width + RIGHT:
            kept.append((at, text))
            free = at * width + half + 10
    return kept


def _line(canvas: Canvas, one: Line, colour: str) -> None:
    """A curve: evals as joined markers; others faint as logged, with the trend on top; bad values as a rug."""
    x, y = canvas.all_along(one.step), canvas.scale.place(one.value)
    paint, alone = COLOURS[colour], _alone(y)
    if colour in EVAL_MARKERS and len(x) <= MOST_MARKERS:
        canvas.plot("eval", x, y, color=paint, linewidth=1.3, linestyle=(0, (5, 2)))
        canvas.plot("eval", x, y, color=paint, marker=EVAL_MARKERS[colour], markersize=4.5, markeredgewidth=0)
    elif one.trend is None:
        canvas.plot("raw", x, y, color=paint, linewidth=1.5)
        canvas.plot("raw", x[alone], y[alone], color=paint, marker="o", markersize=4, markeredgewidth=0)
    else:
        canvas.plot("raw", x, y, color=paint, linewidth=0.9, alpha=0.5)
        canvas.plot("raw", x[alone], y[alone], color=paint, marker="o", markersize=3, markeredgewidth=0)
        step, smooth = one.trend
        canvas.plot("trend", canvas.all_along(step), canvas.scale.place(smooth), color=paint, linewidth=2)
    row = 0.04 if colour in EVAL_MARKERS else 0.012  # two rugs do not cover each other
    spare = THIN / canvas.width
    for a, b in _bars([(canvas.along(start) - spare, canvas.along(end) + spare) for start, end in one.spoilt]):
        canvas.plot("spoilt", [a, b], [row, row], color=paint, linewidth=5, solid_capstyle="butt")


def _bars(stretches: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The stretches, rising, those that touch as one: so many marks as can be told apart, whatever was logged."""
    bars: list[tuple[float, float]] = []
    for a, b in stretches:
        if bars and a <= bars[-1][1]:
            bars[-1] = (bars[-1][0], max(b, bars[-1][1]))
        else:
            bars.append((a, b))
    return bars


def _alone(y: Floats) -> NDArray[np.int64]:
    """Rows of finite values without a finite neighbour: a line would not show them."""
    good = np.isfinite(y)
    sides = np.concatenate([[False], good, [False]])
    return np.flatnonzero(good & ~sides[:-2] & ~sides[2:])
