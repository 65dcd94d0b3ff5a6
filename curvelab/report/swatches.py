"""The shapes of a key inside a picture: each as it is drawn there, 22 px wide."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from curvelab.report.canvas import COLOURS

WIDTH, HEIGHT = 22, 11  # px
_EVALS = {"eval-0": "D", "eval-1": "s", "eval-2": "^"}
_LINES: dict[str, dict[str, Any]] = {
    "raw": {"color": "train", "linewidth": 1, "alpha": 0.5},
    "trend": {"color": "train", "linewidth": 2},
    "level": {"color": "ink", "linewidth": 1.4, "linestyle": (0, (6, 3))},
    "slope": {"color": "", "linewidth": 2.4, "linestyle": (0, (8, 2, 2, 2))},
    "spoilt": {"color": "train", "linewidth": 5},
    "spoilt-0": {"color": "eval-0", "linewidth": 5},
    "spoilt-1": {"color": "eval-1", "linewidth": 5},
    "spoilt-2": {"color": "eval-2", "linewidth": 5},
}
_POINTS: dict[str, dict[str, Any]] = {
    "point": {"color": "", "marker": "o", "markersize": 8, "markerfacecolor": "none", "markeredgewidth": 1.8},
    "cross": {"color": "", "marker": "X", "markersize": 9},
    "best": {"color": "eval-0", "marker": "*", "markersize": 13},
}
_BOXES: dict[str, dict[str, Any]] = {
    "span": {"facecolor": "", "alpha": 0.2},
    "warmup": {"facecolor": "muted", "alpha": 0.15},
    "gap": {"facecolor": "none", "edgecolor": "muted", "hatch": "///", "alpha": 0.55},
}
_UPRIGHT: dict[str, dict[str, Any]] = {
    "seam": {"color": "ink", "linewidth": 1, "linestyle": (0, (2, 2))},
    "epoch": {"color": "muted", "linewidth": 1},
}


def swatch(sheet: Axes, shape: str, x: float, y: float, severity: str) -> None:
    """Draw a shape with its left end at x, its middle at y (px). A finding is "<number> <severity>"."""
    middle = x + WIDTH / 2
    if shape in _EVALS:
        sheet.plot([x, x + WIDTH], [y, y], color=COLOURS[shape], linewidth=1.3, linestyle=(0, (5, 2)))
        sheet.plot(middle, y, color=COLOURS[shape], marker=_EVALS[shape], markersize=5, linestyle="none")
    elif shape in _LINES:
        sheet.plot([x, x + WIDTH], [y, y], solid_capstyle="butt", **_coloured(_LINES[shape], severity))
    elif shape in _POINTS:
        sheet.plot(middle, y, linestyle="none", **_coloured(_POINTS[shape], severity))
    elif shape in _BOXES:
        style = _coloured(_BOXES[shape], severity)
        sheet.add_patch(Rectangle((x, y - HEIGHT / 2), WIDTH, HEIGHT, linewidth=0, **style))
    elif shape in _UPRIGHT:
        for at in np.array([middle]) if shape == "seam" else middle + np.array([-6, 0, 6]):
            sheet.plot([at, at], [y - HEIGHT / 2, y + HEIGHT / 2], **_coloured(_UPRIGHT[shape], severity))
    else:
        number, _, worth = shape.partition(" ")
        sheet.plot(middle, y, marker="o", markersize=16, color=COLOURS[worth], linestyle="none")
        sheet.text(middle, y, number, ha="center", va="center_baseline", weight="bold", fontsize=10, color="#000000")


def _coloured(style: dict[str, Any], severity: str) -> dict[str, Any]:
    """The style with colours for their names; an empty name is that of the finding."""
    named = {"color", "facecolor", "edgecolor"} & {*style}
    return style | {key: COLOURS.get(style[key] or severity, style[key]) for key in named}
