"""Names of runs at their curves: beside the picture where a curve reaches its edge, in it where a curve ends or leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from curvelab.report.compared.paper import GAP, TOP, Frame, width_of
from curvelab.report.compared.tracks import Track

Floats = NDArray[np.float64]

LINE = 14.0  # px of a label's line
LEAD = 22.0  # px before the edge from which on a curve's name stands beside the picture
MOVED = 3.0  # px that a name may stand away from its curve without a line between them
MARGIN = 12.0  # px between the curves and the names beside them, room for that line
SHIFTS = (0, -14, 14, -28, 28, -42, 42, -56, 56, -70, 70)  # px a name in the picture may be moved by
Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True)
class Label:
    """A curve with its name and the class of its colour; `failed`: a cross where it ends."""

    track: Track
    text: str
    shade: str
    failed: bool = False


def room(labels: Sequence[Label]) -> float:
    """Px that the names need beside the picture."""
    return max((width_of(one.text) for one in labels), default=0.0) + MARGIN + 4


def written(frame: Frame, labels: Sequence[Label]) -> Markup:
    """All names that find a place; the others stand in the key alone."""
    shown = [(one, *_seen(frame, one.track)) for one in labels]
    beside = [(one, float(y[-1])) for one, x, y, out in shown if len(x) and not out and x[-1] >= frame.end - LEAD]
    fit = int((frame.foot - TOP) // LINE)
    made = _beside(frame, beside[:fit])
    boxes: list[Box] = []
    curves = [(x, y) for _, x, y, _ in shown if len(x)]
    for one, x, y, out in shown:
        if len(x) and (out or x[-1] < frame.end - LEAD):
            made.append(_within(frame, one, (float(x[-1]), float(y[-1])), out, curves, boxes))
    return Markup("").join(made)


def _seen(frame: Frame, track: Track) -> tuple[Floats, Floats, str]:
    """(px of the curve up to the last point in the picture, an arrow where it then leaves it for good)."""
    place = frame.scale.place(track.y)
    inside = np.flatnonzero((place >= -0.02) & (place <= 1.02))
    last = int(inside[-1]) if len(inside) else -1
    x, y = frame.across(track.x), frame.down(track.y)
    if last == len(track.x) - 1:
        return x, y, ""
    if last < 0:
        return x[:0], y[:0], ""
    edge = TOP if place[last + 1] > 1 else frame.foot
    part = (edge - y[last]) / (y[last + 1] - y[last])
    crossing = x[last] + part * (x[last + 1] - x[last])
    return np.append(x[: last + 1], crossing), np.append(y[: last + 1], edge), " ↑" if edge == TOP else " ↓"


def _beside(frame: Frame, ends: Sequence[tuple[Label, float]]) -> list[Markup]:
    """The names in the margin, moved apart where they would lie on each other; a line leads to one that was moved."""
    order = sorted(ends, key=lambda end: end[1])
    places = _apart([y for _, y in order], TOP + 2, frame.foot - 2)
    made = []
    for (one, end), y in zip(order, places, strict=True):
        if abs(y - end) > MOVED:
            d = f"M{frame.end + 1:.1f} {end:.1f}L{frame.end + MARGIN - 3:.1f} {y:.1f}"
            made.append(Markup('<path class="lead {}" data-run="{}" d="{}"/>').format(one.shade, one.track.number, d))
        made.append(_text(one, frame.end + MARGIN, y + 4))
    return made


def _within(
    frame: Frame, one: Label, end: tuple[float, float], out: str, curves: Sequence[tuple[Floats, Floats]], boxes: list[Box]
) -> Markup:
    """A name in the picture, at the end of its curve, where it covers as little as can be; nothing where there is no room."""
    name = Label(one.track, one.text + out, one.shade)
    wide = width_of(name.text)
    x, y = end[0] + GAP, min(max(end[1], TOP + 8), frame.foot - 8)
    cross = _cross(one, *end) if one.failed and not out else Markup("")
    best: tuple[float, Box] | None = None
    for shift in SHIFTS:
        for left in (x, end[0] - GAP - wide):
            box = (left, y + shift - LINE / 2, left + wide, y + shift + LINE / 2)
            if box[0] < frame.left or box[2] > frame.end or box[1] < TOP - 6 or box[3] > frame.foot or _hit(box, boxes):
                continue
            cost = sum(_crossed(box, *curve) for curve in curves) * 30 + abs(shift) + (10 if left != x else 0)
            if best is None or cost < best[0]:
                best = cost, box
    if best is None:
        return cross
    boxes.append(best[1])
    return cross + _text(name, best[1][0], best[1][3] - LINE / 2 + 4)


def _hit(box: Box, boxes: Sequence[Box]) -> bool:
    return any(box[0] < b[2] and b[0] < box[2] and box[1] < b[3] and b[1] < box[3] for b in boxes)


def _crossed(box: Box, x: Floats, y: Floats) -> bool:
    """Whether a curve runs through a box."""
    at = np.linspace(box[0], box[2], 9)
    height = np.interp(at, x, y, left=np.nan, right=np.nan)
    return bool(np.any((height > box[1]) & (height < box[3])))


def _cross(one: Label, x: float, y: float) -> Markup:
    d = f"M{x - 3.5:.1f} {y - 3.5:.1f}l7 7m0-7l-7 7"
    return Markup('<path class="ended {}" data-run="{}" d="{}"/>').format(one.shade, one.track.number, d)


def _text(one: Label, x: float, y: float) -> Markup:
    return Markup('<text class="label {}" data-run="{}" x="{:.1f}" y="{:.1f}">{}</text>').format(
        one.shade, one.track.number, x, y, one.text
    )


def _apart(wanted: Sequence[float], low: float, high: float) -> list[float]:
    """Rising places at least LINE apart, as near to the wanted ones as one pass down and one up get them."""
    places: list[float] = []
    for one in wanted:
        places.append(max(one, places[-1] + LINE) if places else max(one, low))
    limit = high
    for i in reversed(range(len(places))):
        places[i] = min(places[i], limit)
        limit = places[i] - LINE
    return places
