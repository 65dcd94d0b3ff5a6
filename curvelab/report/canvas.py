"""The paper that figures.py and marks.py draw on: sizes, colours, and where a step or a value stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from curvelab.report.pictures import Panel
from curvelab.report.scale import Scale
from curvelab.report.svg import MARK

# Okabe-Ito, with greys for what is no data. The page swaps each for the CSS variable of its name (see style.css).
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
TEXT_SIZE = 11
LETTER = 6.4  # px, width of a digit at that size

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Canvas:
    """Axes from (0, 0) to (1, 1) for one panel; `width` and `height` are their size in px, for distances in px."""

    axes: Axes
    panel: Panel
    scale: Scale
    width: float
    height: float

    def along(self, step: float) -> float:
        """Position of a step between the left (0) and the right end (1)."""
        return along(self.panel, step)

    def all_along(self, steps: Floats) -> Floats:
        """The same for float64[n]."""
        if self.panel.last <= self.panel.first:
            return np.full(len(steps), 0.5)
        return np.clip((steps - self.panel.first) / (self.panel.last - self.panel.first), 0, 1)

    def plot(self, name: str, x: Any, y: Any, **style: Any) -> None:
        """A line, or markers where the style has one, in a group of class `name`."""
        if np.size(x):
            given = {"linestyle": "none" if "marker" in style else "-", "clip_on": "marker" not in style, **style}
            self.axes.plot(np.atleast_1d(x), np.atleast_1d(y), gid=MARK + name, **given)

    def vertical(self, name: str, at: float, **style: Any) -> None:
        """A line from the bottom to the top."""
        self.plot(name, [at, at], [0, 1], **style)

    def write(self, x: float, y: float, text: str, **style: Any) -> None:
        """A short text of our own; texts of a log stay in HTML."""
        self.axes.text(x, y, text, **{"fontsize": TEXT_SIZE, "ha": "center", **style})


def along(panel: Panel, step: float) -> float:
    """Position of a step between the left (0) and the right end (1) of a panel."""
    if panel.last <= panel.first:
        return 0.5
    return min(1.0, max(0.0, (step - panel.first) / (panel.last - panel.first)))
