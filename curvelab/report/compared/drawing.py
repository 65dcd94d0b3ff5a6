"""SVG of several curves by hand: hundreds of them must stay small, and names of runs stand beside their curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from curvelab.report.compared.tracks import Band, Track
from curvelab.report.plain import clean, shortened
from curvelab.report.scale import Scale, scale_for, step_ticks
from curvelab.report.svg import short_path

Floats = NDArray[np.float64]

LETTER, LINE = 6.6, 14.0  # px of a label's letter and line
TOP, BOTTOM, GAP = 10.0, 24.0, 6.0
MOST_LETTERS = 24
LEAD = 20.0  # px between the end of a curve and its name from which on a dotted line joins them
EDGE = 2.0  # of the picture's height beyond which a curve is not followed
TICK_HEIGHT, TICK_WIDTH = 40, 80
GHOST_POINTS = 50
MOST_RAW = 3  # runs whose single points are drawn behind their smoothed curves
SHADES = 8  # kinds of line that the style sheet knows
Kind = Literal["wide", "narrow"]


@dataclass(frozen=True)
class Frame:
    """The paper: sizes in px, the value axis, and the ends of the other axis."""

    width: float
    height: float
    left: float
    right: float
    scale: Scale
    first: float
    last: float

    @classmethod
    def around(cls, tracks: Sequence[Track], ranked: Sequence[Track], width: float, height: float, labelled: bool) -> Frame:
        """The paper for some tracks. Values are those of `ranked` runs: one that diverged must not flatten the others."""
        values = np.concatenate([track.y for track in (ranked or tracks)])
        scale = scale_for(values)
        labels = scale.ticks(int(height // TICK_HEIGHT))
        left = max((len(text) for _, text in labels), default=1) * LETTER + 2 * GAP
        longest = max((len(shortened(clean(track.name), MOST_LETTERS)) for track in tracks), default=0)
        right = min(longest, MOST_LETTERS) * LETTER + 2 * GAP if labelled else 14.0
        first, last = min(float(t.x[0]) for t in tracks), max(float(t.x[-1]) for t in tracks)
        return cls(width, height, left, right, scale, first, last)

    def across(self, x: Floats) -> Floats:
        inner = self.width - self.left - self.right
        span = self.last - self.first
        return self.left + (x - self.first) / span * inner if span > 0 else np.full(len(x), self.left + inner / 2)

    def down(self, y: Floats) -> Floats:
        """Pixels from the top; a curve beyond the picture is held near its edge."""
        inner = self.height - TOP - BOTTOM
        at = np.clip(self.scale.place(y), -EDGE, 1 + EDGE)
        return TOP + (1 - at) * inner

    def path(self, x: Floats, y: Floats, close: bool = False) -> str:
        """The d of a path through the points."""
        points = [f"{a:.1f} {b:.1f}" for a, b in zip(self.across(x), self.down(y), strict=True)]
        if len(points) == 1:
            points *= 2
        return short_path("M " + " L ".join(points)) + ("z" if close else "")


def overlay(
    tracks: Sequence[Track], ranked: Sequence[Track], kind: Kind, alt: str, size: tuple[int, int], mark: str,
    bands: Sequence[Band | None] = (),
) -> Markup:  # fmt: skip
    """A few curves in one picture, each with its own line; the wide one names them at their ends.

    bands: of each track the range of its seeds, or None; empty where there are none at all
    """
    frame = Frame.around(tracks, ranked, *size, labelled=kind == "wide")
    parts = [_axes(frame)]
    for place, (track, band) in enumerate(zip(tracks, bands, strict=False)):
        if band is not None:
            ring = _ring(frame, band.x, band.levels[0], band.levels[-1])
            parts.append(_path(ring, f"spread r{place % SHADES}", track.number))
    if len(tracks) <= MOST_RAW:
        parts += [_path(frame.path(*t.raw), f"raw r{i % SHADES}", t.number) for i, t in enumerate(tracks) if t.raw is not None]
    parts += [_path(frame.path(t.x, t.y), f"line r{i % SHADES}", t.number) for i, t in enumerate(tracks)]
    labels = _labels(frame, tracks) if kind == "wide" else []
    return _svg(frame, parts, labels, kind, alt, mark)


def banded(
    tracks: Sequence[Track], ranked: Sequence[Track], band: Band, named: Sequence[Track], kind: Kind, alt: str,
    size: tuple[int, int], mark: str,
) -> Markup:  # fmt: skip
    """The quantiles of many curves, and some of them by name."""
    frame = Frame.around([*named, *tracks] if kind == "wide" else tracks, ranked, *size, labelled=kind == "wide")
    parts = [_axes(frame)]
    for low, high, shade in ((0, 4, "outer"), (1, 3, "inner")):
        ring = _ring(frame, band.x, band.levels[low], band.levels[high])
        parts.append(Markup('<path class="band {}" d="{}"/>').format(shade, ring))
    parts.append(Markup('<path class="median" d="{}"/>').format(frame.path(band.x, band.levels[2])))
    parts += [_ghost(frame, t) for t in tracks if kind == "wide" and t not in named]
    parts += [_path(frame.path(t.x, t.y), f"line r{place % SHADES}", t.number) for place, t in enumerate(named)]
    labels = _labels(frame, named) if kind == "wide" else []
    return _svg(frame, parts, labels, kind, alt, mark)


def miniature(track: Track, frame: Frame, backdrop: str, alt: str) -> Markup:
    """One run of small multiples before the band of all, which is drawn once and used by each."""
    return Markup(
        '<svg class="mini" viewBox="0 0 {} {}" role="img" aria-label="{}"><use href="#{}"/><path class="line r0" d="{}"/></svg>'
    ).format(round(frame.width), round(frame.height), alt, backdrop, frame.path(track.x, track.y))


def backdrop(band: Band, frame: Frame, name: str) -> Markup:
    """What miniatures stand before: the band of all runs, defined once in the page."""
    ring = _ring(frame, band.x, band.levels[0], band.levels[-1])
    return Markup(
        '<svg class="defs" aria-hidden="true"><defs><g id="{}"><path class="band outer" d="{}"/>'
        '<path class="median" d="{}"/></g></defs></svg>'
    ).format(name, ring, frame.path(band.x, band.levels[2]))


def _ring(frame: Frame, x: Floats, low: Floats, high: Floats) -> str:
    """The d of the area between two curves."""
    return frame.path(np.concatenate([x, x[::-1]]), np.concatenate([high, low[::-1]]), close=True)


def _svg(frame: Frame, parts: Sequence[Markup], labels: Sequence[Markup], kind: Kind, alt: str, mark: str) -> Markup:
    """The whole picture. Curves are cut at the paper's edge: what is far beyond is named, not followed."""
    inner = (round(frame.left - 2, 1), TOP - 8, round(frame.width - frame.left - frame.right + 4, 1), frame.height - TOP - BOTTOM + 10)
    head = Markup(
        '<svg class="{}" viewBox="0 0 {} {}" role="img" aria-label="{}">'
        '<clipPath id="{}"><rect x="{}" y="{}" width="{}" height="{}"/></clipPath>'
    ).format(kind, round(frame.width), round(frame.height), alt, mark, *inner)
    axes, *curves = parts
    body = Markup('{}<g clip-path="url(#{})">{}</g>{}</svg>').format(axes, mark, Markup("").join(curves), Markup("").join(labels))
    return head + body


def _path(d: str, shade: str, number: int) -> Markup:
    return Markup('<path class="{}" data-run="{}" d="{}"/>').format(shade, number, d)


def _ghost(frame: Frame, track: Track) -> Markup:
    """A curve that is there to be highlighted: a few points, not seen until then."""
    rows = np.unique(np.linspace(0, len(track.x) - 1, min(len(track.x), GHOST_POINTS)).astype(np.int64))
    return _path(frame.path(track.x[rows], track.y[rows]), "ghost", track.number)


def _axes(frame: Frame) -> Markup:
    """Grid and the labels of both axes."""
    end = frame.width - frame.right
    parts = []
    for at, text in frame.scale.ticks(max(3, int(frame.height // TICK_HEIGHT))):
        y = round(TOP + (1 - at) * (frame.height - TOP - BOTTOM), 1)
        parts.append(
            Markup('<path class="grid" d="M{} {}H{}"/><text class="y" x="{}" y="{}">{}</text>').format(
                round(frame.left, 1), y, round(end, 1), round(frame.left - GAP, 1), y + 4, text
            )
        )
    ticks = step_ticks(frame.first, frame.last, max(3, int((end - frame.left) // TICK_WIDTH)))
    for place, text in ticks:
        x = float(frame.across(np.array([place]))[0])
        if x + len(text) * LETTER / 2 <= frame.width:
            parts.append(Markup('<text class="x" x="{}" y="{}">{}</text>').format(round(x, 1), frame.height - GAP, text))
    return Markup("").join(parts)


def _labels(frame: Frame, tracks: Sequence[Track]) -> list[Markup]:
    """The names at the ends of the curves, moved apart where they would lie on each other."""
    ends = [float(np.clip(frame.down(t.y[-1:])[0], TOP + 4, frame.height - BOTTOM)) for t in tracks]
    order = sorted(range(len(tracks)), key=lambda i: ends[i])
    at = _apart([ends[i] for i in order], TOP + 4, frame.height - 4)
    x = round(frame.width - frame.right + GAP, 1)
    made = []
    for i, y in zip(order, at, strict=True):
        track = tracks[i]
        name = shortened(clean(track.name), MOST_LETTERS)
        end, right = float(frame.across(track.x[-1:])[0]), frame.width - frame.right + 2
        if right - end > LEAD:
            made.append(
                Markup('<path class="lead r{}" data-run="{}" d="M{:.1f} {:.1f}L{:.1f} {:.1f}"/>').format(
                    i % SHADES, track.number, end + 3, ends[i], right, y
                )
            )
        made.append(
            Markup('<text class="label r{}" data-run="{}" x="{}" y="{}">{}</text>').format(
                i % SHADES, track.number, x, round(y + 4, 1), name
            )
        )
    return made


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
