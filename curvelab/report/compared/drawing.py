"""SVG of several curves by hand: hundreds of them must stay small, and names of runs stand beside their curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from curvelab.report.compared import names
from curvelab.report.compared.gaps import Spot
from curvelab.report.compared.paper import BOTTOM, TOP, Frame, Kind, axes, fitting
from curvelab.report.compared.tracks import Band, Track
from curvelab.report.scale import Scale

Floats = NDArray[np.float64]

GHOST_POINTS = 50
MOST_RAW = 3  # runs whose single points are drawn behind their smoothed curves
SHADES = 8  # kinds of line that the style sheet knows
MOST_WIDE, MOST_NARROW = 176.0, 64.0  # px of a name at a curve


@dataclass(frozen=True)
class Pen:
    """How a run is drawn in all pictures: the class of its colour, its number in the key, and whether it came to a bad end."""

    shade: str
    number: int
    failed: bool = False


@dataclass(frozen=True)
class Sheet:
    """What pictures of one metric on one axis have in common. `whole`: places on the axis are whole numbers."""

    kind: Kind
    size: tuple[int, int]
    alt: str
    mark: str
    whole: bool
    pens: Mapping[int, Pen]
    numbered: bool = False

    def labels(self, named: Sequence[Track]) -> list[names.Label]:
        most = MOST_WIDE if self.kind == "wide" else MOST_NARROW
        told = [(t, self.pens[t.number]) for t in named]
        if self.kind == "narrow" and self.numbered:
            return [names.Label(t, str(pen.number), pen.shade, pen.failed) for t, pen in told]
        return [names.Label(t, fitting(t.name, most), pen.shade, pen.failed) for t, pen in told]

    def frame(self, tracks: Sequence[Track], scale: Scale, labels: Sequence[names.Label]) -> Frame:
        return Frame.around(tracks, scale, self.size, names.room(labels), self.whole)


def overlay(
    sheet: Sheet, tracks: Sequence[Track], scale: Scale, bands: Sequence[Band | None] = (), spots: Sequence[Spot] = (),
    zero: tuple[Track, float | None] | None = None,
) -> Markup:  # fmt: skip
    """A few curves in one picture, each with its own line and its name.

    bands   of each track the range of its seeds, or None; empty where there are none at all
    zero    of differences: the run that they are from, and what would have to be exceeded where that is known
    """
    labels = sheet.labels([*([zero[0]] if zero else []), *tracks])
    frame = sheet.frame(tracks, scale, labels)
    parts = _level(frame, sheet, *zero) if zero else []
    if zero is not None:
        labels[0] = replace(labels[0], track=_flat(zero[0], frame))
    for track, band in zip(tracks, bands, strict=False):
        if band is not None:
            ring = _ring(frame, band.x, band.levels[0], band.levels[-1])
            parts.append(_path(ring, f"spread {sheet.pens[track.number].shade}", track.number))
    if len(tracks) <= MOST_RAW:
        parts += [_path(frame.path(*t.raw), f"raw {sheet.pens[t.number].shade}", t.number) for t in tracks if t.raw is not None]
    parts += [_path(frame.path(t.x, t.y), f"line {sheet.pens[t.number].shade}", t.number) for t in _baseline_last(sheet, tracks)]
    return _svg(sheet, frame, [*parts, *_spots(sheet, frame, spots)], names.written(frame, labels))


def banded(
    sheet: Sheet, tracks: Sequence[Track], scale: Scale, band: Band, named: Sequence[Track], spots: Sequence[Spot] = (),
    zero: tuple[Track, float | None] | None = None,
) -> Markup:  # fmt: skip
    """The quantiles of many curves, and some of them by name; the others are there to be highlighted."""
    labels = sheet.labels([*([zero[0]] if zero else []), *named])
    frame = sheet.frame([*named, *tracks], scale, labels)
    parts = _level(frame, sheet, *zero) if zero else []
    if zero is not None:
        labels[0] = replace(labels[0], track=_flat(zero[0], frame))
    for low, high, shade in ((0, 4, "outer"), (1, 3, "inner")):
        ring = _ring(frame, band.x, band.levels[low], band.levels[high])
        parts.append(Markup('<path class="band {}" d="{}"/>').format(shade, ring))
    parts.append(Markup('<path class="median" d="{}"/>').format(frame.path(band.x, band.levels[2])))
    numbers = {t.number for t in named}
    parts += [_ghost(frame, t) for t in tracks if sheet.kind == "wide" and t.number not in numbers]
    parts += [_path(frame.path(t.x, t.y), f"line {sheet.pens[t.number].shade}", t.number) for t in _baseline_last(sheet, named)]
    return _svg(sheet, frame, [*parts, *_spots(sheet, frame, spots)], names.written(frame, labels))


def miniature(track: Track, frame: Frame, backdrop: str, alt: str) -> Markup:
    """One run of small multiples before the band of all, which is drawn once and used by each."""
    return Markup(
        '<svg class="mini" viewBox="0 0 {} {}" role="img" aria-label="{}"><use href="#{}"/><path class="line r0" d="{}"/></svg>'
    ).format(round(frame.width), round(frame.height), alt, backdrop, frame.path(track.x, track.y))


def backdrop(band: Band, best: Track | None, frame: Frame, name: str) -> Markup:
    """What miniatures stand before: the band of all runs, their median and the best, defined once in the page."""
    ring = _ring(frame, band.x, band.levels[0], band.levels[-1])
    line = Markup('<path class="best" d="{}"/>').format(frame.path(best.x, best.y)) if best is not None else ""
    return Markup(
        '<svg class="defs" aria-hidden="true"><defs><g id="{}"><path class="band outer" d="{}"/>'
        '<path class="median" d="{}"/>{}</g></defs></svg>'
    ).format(name, ring, frame.path(band.x, band.levels[2]), line)


def _ring(frame: Frame, x: Floats, low: Floats, high: Floats) -> str:
    """The d of the area between two curves."""
    return frame.path(np.concatenate([x, x[::-1]]), np.concatenate([high, low[::-1]]), close=True)


def _flat(track: Track, frame: Frame) -> Track:
    """The run that differences are from, as the zero that it is in their picture."""
    return replace(track, x=np.array([frame.first, frame.last]), y=np.zeros(2), raw=None)


def _level(frame: Frame, sheet: Sheet, held: Track, needed: float | None) -> list[Markup]:
    """The line of no difference, and around it what differences must exceed."""
    x = np.array([frame.first, frame.last])
    parts = []
    if needed is not None:
        ring = _ring(frame, x, np.full(2, -needed), np.full(2, needed))
        parts.append(Markup('<path class="band noise" d="{}"/>').format(ring))
    parts.append(_path(frame.path(x, np.zeros(2)), f"line {sheet.pens[held.number].shade}", held.number))
    return parts


def _spots(sheet: Sheet, frame: Frame, spots: Sequence[Spot]) -> list[Markup]:
    """Marks on the curves, where these are in the picture: a ring where one parts, an upright where a run was resumed."""
    made = []
    for one in spots:
        pen = sheet.pens[one.track.number]
        x, y = float(frame.across(np.array([one.at]))[0]), float(frame.down(np.array([one.value]))[0])
        if not TOP - 1 <= y <= frame.foot + 1:
            continue
        if one.kind == "seam":
            d = f"M{x:.1f} {max(TOP, y - 16):.1f}V{min(frame.foot, y + 16):.1f}"
            made.append(_path(d, f"seam {pen.shade}", one.track.number))
        else:
            made.append(
                Markup('<circle class="parts {}" data-run="{}" cx="{:.1f}" cy="{:.1f}" r="4.2"/>').format(
                    pen.shade, one.track.number, x, y
                )
            )
    return made


def _svg(sheet: Sheet, frame: Frame, curves: Sequence[Markup], labels: Markup) -> Markup:
    """The whole picture. Curves are cut at the paper's edge: what is far beyond is named, not followed."""
    inner = (round(frame.left - 5, 1), TOP - 8, round(frame.end - frame.left + 10, 1), frame.height - TOP - BOTTOM + 10)
    head = Markup(
        '<svg class="{}" viewBox="0 0 {} {}" role="img" aria-label="{}">'
        '<clipPath id="{}"><rect x="{}" y="{}" width="{}" height="{}"/></clipPath>'
    ).format(sheet.kind, round(frame.width), round(frame.height), sheet.alt, sheet.mark, *inner)
    return head + Markup('{}<g clip-path="url(#{})">{}</g>{}</svg>').format(axes(frame), sheet.mark, Markup("").join(curves), labels)


def _path(d: str, shade: str, number: int) -> Markup:
    return Markup('<path class="{}" data-run="{}" d="{}"/>').format(shade, number, d)


def _ghost(frame: Frame, track: Track) -> Markup:
    """A curve that is there to be highlighted: a few points, not seen until then."""
    rows = np.unique(np.linspace(0, len(track.x) - 1, min(len(track.x), GHOST_POINTS)).astype(np.int64))
    return _path(frame.path(track.x[rows], track.y[rows]), "ghost", track.number)


def _baseline_last(sheet: Sheet, tracks: Sequence[Track]) -> list[Track]:
    """The order of drawing: the baseline lies over the others."""
    return sorted(tracks, key=lambda t: sheet.pens[t.number].shade == "base")
