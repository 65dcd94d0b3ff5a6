"""A run's curve in a cell of the table, in a few hundred bytes: a thousand of them stand on one page."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from curvelab.report import numerals
from curvelab.report.scale import rises_far, scale_for

HEIGHT, EDGE = 28, 3  # whole px: fractions would double the bytes
APART = 2  # px from one value to the next; the style sheet stretches the picture to the width of its cell
MOST = 96  # values; a result has 48 at most
_SVG = (
    '<svg class="spark" viewBox="0 0 %d %d" preserveAspectRatio="none" role="img" aria-label="%s">'
    '<path d="%s"/><path class="%s" d="M%d %dh0"/></svg>'
)


def spark(values: Sequence[float]) -> Markup:
    """The curve, broken where it is not finite, with a dot at its last finite value; empty without any."""
    value = np.array(values, dtype=np.float64)
    if len(value) > MOST:
        value = value[np.linspace(0, len(value) - 1, MOST).astype(np.int64)]
    finite = np.isfinite(value)
    if not finite.any():
        return Markup("")
    up = np.clip(scale_for(value, log=True if rises_far(value) else None).place(value[finite]), 0, 1)
    downs = np.rint(HEIGHT - EDGE - up * (HEIGHT - 2 * EDGE)).astype(int).tolist()
    places = np.flatnonzero(finite).tolist()
    ends = [numerals.value(float(one)) for one in value[finite][[0, -1]]]
    label = f"{ends[0]} to {ends[1] if finite[-1] else 'NaN'}"
    width = max(APART, APART * (len(value) - 1))
    # Every part is a number: there is nothing to escape, and a template would take ten times as long.
    return Markup(_SVG % (width, HEIGHT, label, _path(places, downs), "end" if finite[-1] else "lost", APART * places[-1], downs[-1]))


def _path(places: Sequence[int], downs: Sequence[int]) -> str:
    """Relative lines from value to value; a value that stands alone is a dot."""
    parts: list[str] = []
    before = (-2, 0)
    for place, down in zip(places, downs, strict=True):
        if place == before[0] + 1:
            parts.append(f"{'' if parts[-1][0] != 'M' else 'l'}{APART}{'-' if down < before[1] else ' '}{abs(down - before[1])}")
        else:
            parts.append(f"M{APART * place} {down}")
        before = (place, down)
    return " ".join(parts).replace(" M", "M").replace(" l", "l")
