"""The metric against one setting, a dot a run: what a rank correlation sums up in one number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from curvelab.model.comparison import Comparison
from curvelab.model.verdicts import Association
from curvelab.report import numerals
from curvelab.report.plain import clean, shortened
from curvelab.report.scale import Scale, scale_for

Floats = NDArray[np.float64]

MOST = 4  # pictures
SIZE = (300, 180)  # px
LEFT, RIGHT, TOP, BOTTOM = 56.0, 12.0, 10.0, 24.0
WIDE = 20.0  # times the least value from which on the settings' axis is logarithmic
FEWEST = 3  # dots
LETTER = 6.6


@dataclass(frozen=True)
class Scatter:
    """One picture, and the setting that it is of."""

    caption: str
    drawn: Markup


def scatters(comparison: Comparison) -> list[Scatter]:
    """The settings that go with the metric most surely, those of numbers only."""
    wanted = [one for one in comparison.associations if one.rho is not None][:MOST]
    return [made for one in wanted if (made := _scatter(comparison, one)) is not None]


def _scatter(comparison: Comparison, one: Association) -> Scatter | None:
    values = next((d.values for d in comparison.differences if d.setting == one.setting), {})
    dots = [
        (number, float(values[row.run]), row.value)
        for number, row in enumerate(comparison.rows)
        if row.rank is not None and row.value is not None and row.run in values and isinstance(values[row.run], int | float)
    ]
    if len(dots) < FEWEST:
        return None
    x, y = np.array([at for _, at, _ in dots]), np.array([value for *_, value in dots])
    across = scale_for(x, log=bool(x.min() > 0 and x.max() >= WIDE * x.min()))
    down = scale_for(y, log=False)
    points = zip(dots, _across(across, x), _down(down, y), strict=True)
    marks = [Markup('<circle data-run="{}" cx="{:.1f}" cy="{:.1f}" r="3"/>').format(dot[0], a, b) for dot, a, b in points]
    caption = f"{clean(comparison.ranking.metric, 60)} against {clean(one.setting, 60)}"
    head = Markup('<svg class="dots" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(*SIZE, f"{caption}, {len(dots)} runs")
    return Scatter(caption, head + _axes(across, down, x) + Markup("").join(marks) + Markup("</svg>"))


def _across(scale: Scale, x: Floats) -> Floats:
    at: Floats = LEFT + scale.place(x) * (SIZE[0] - LEFT - RIGHT)
    return at


def _down(scale: Scale, y: Floats) -> Floats:
    at: Floats = TOP + (1 - scale.place(y)) * (SIZE[1] - TOP - BOTTOM)
    return at


def _axes(across: Scale, down: Scale, x: Floats) -> Markup:
    parts = []
    for at, text in down.ticks(4):
        y = round(TOP + (1 - at) * (SIZE[1] - TOP - BOTTOM), 1)
        parts.append(
            Markup('<path class="grid" d="M{} {}H{}"/><text class="y" x="{}" y="{}">{}</text>').format(
                LEFT, y, SIZE[0] - RIGHT, LEFT - 6, y + 4, text
            )
        )
    for value, text, anchor in _ends(x):
        place = float(_across(across, np.array([value]))[0])
        left = max(LEFT, min(place, SIZE[0] - RIGHT)) if anchor == "x" else place
        parts.append(Markup('<text class="{}" x="{}" y="{}">{}</text>').format(anchor, round(left, 1), SIZE[1] - 6, text))
    return Markup("").join(parts)


def _ends(x: Floats) -> Sequence[tuple[float, str, str]]:
    """The least and the largest value of the setting, as labels of the axis."""
    low, high = float(x.min()), float(x.max())
    return [(value, shortened(numerals.setting(float(f"{value:.3g}")), 10), anchor) for value, anchor in ((low, "x"), (high, "y"))]
