"""The paper that curves are drawn on: its sizes, where values stand on it, its axes, and how wide a text is."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from curvelab.report.compared.tracks import Track
from curvelab.report.plain import clean, shortened
from curvelab.report.scale import Scale, scale_for, tick_label
from curvelab.report.svg import short_path

Floats = NDArray[np.float64]
Kind = Literal["wide", "narrow"]

LETTER = 6.6  # px of a digit at the size of the axes' labels
TOP, BOTTOM, GAP = 10.0, 24.0, 6.0
EDGE = 2.0  # of the picture's height beyond which a curve is not followed
TICK_HEIGHT, TICK_WIDTH, TICK_NARROW = 40, 80, 44
SMALL = 400.0  # px of a picture below which its ticks stand closer
CUTS = (0.0, 0.03, 0.06, 0.1, 0.13)  # of the way whose values may leave the picture (judgement)
LATE = 0.7  # of the way from which on curves are to be told apart
APART = 0.3  # of the picture's height that the late values are to take

NARROW_LETTERS, WIDE_LETTERS = frozenset("iljtf.,:;'|!I()[]/ "), frozenset("mwMW@%")
ADVANCE = {"narrow": 4.6, "small": 7.6, "capital": 9.0, "wide": 12.2, "ideograph": 13.5}  # px in bold at 11.5 px, on the safe side


@dataclass(frozen=True)
class Frame:
    """The paper: sizes in px, the value axis, and the ends of the other axis; `whole`: ticks of it are whole numbers."""

    width: float
    height: float
    left: float
    right: float
    scale: Scale
    first: float
    last: float
    whole: bool = True

    @classmethod
    def around(
        cls, tracks: Sequence[Track], scale: Scale, size: tuple[int, int], right: float = 14.0, whole: bool = True
    ) -> Frame:
        """The paper for some tracks; `right`: px that names need beside it."""
        labels = scale.ticks(max(3, size[1] // TICK_HEIGHT))
        left = max((len(text) for _, text in labels), default=1) * LETTER + 2 * GAP
        first, last = min(float(t.x[0]) for t in tracks), max(float(t.x[-1]) for t in tracks)
        return cls(*size, left, right, scale, first, last, whole)

    @property
    def end(self) -> float:
        """Px of the right end of the curves."""
        return self.width - self.right

    @property
    def foot(self) -> float:
        """Px of the lower end of the curves."""
        return self.height - BOTTOM

    def across(self, x: Floats) -> Floats:
        inner = self.width - self.left - self.right
        span = self.last - self.first
        return self.left + (x - self.first) / span * inner if span > 0 else np.full(len(x), self.left + inner / 2)

    def down(self, y: Floats) -> Floats:
        """Pixels from the top; a curve beyond the picture is held near its edge."""
        at = np.clip(self.scale.place(y), -EDGE, 1 + EDGE)
        return TOP + (1 - at) * (self.height - TOP - BOTTOM)

    def path(self, x: Floats, y: Floats, close: bool = False) -> str:
        """The d of a path through the points."""
        points = [f"{a:.1f} {b:.1f}" for a, b in zip(self.across(x), self.down(y), strict=True)]
        if len(points) == 1:
            points *= 2
        return short_path("M " + " L ".join(points)) + ("z" if close else "")


def telling_scale(tracks: Sequence[Track], also: Sequence[float] = ()) -> tuple[Scale, float]:
    """(the scale on which curves can be told apart, the place before which they may leave the picture).

    All of them fall from where they began: as little of that is cut as leaves their late values a part of the height.
    also: values that must be on the axis, which then is not logarithmic (zero, of differences)
    """
    first, last = min(float(t.x[0]) for t in tracks), max(float(t.x[-1]) for t in tracks)
    late = _from(tracks, first + LATE * (last - first))
    best: tuple[Scale, float] | None = None
    for cut in CUTS:
        values = np.concatenate([_from(tracks, first + cut * (last - first)), also])
        scale = scale_for(values, log=False if len(also) else None)
        best = scale, first + cut * (last - first)
        if not len(late) or float(np.ptp(scale.place(late))) >= APART:
            break
    assert best is not None
    return best


def _from(tracks: Sequence[Track], start: float) -> Floats:
    """The values from a place on; of a curve that ended before it, all."""
    parts = [track.y[track.x >= start] if track.x[-1] >= start else track.y[-1:] for track in tracks]
    return np.concatenate(parts)


def width_of(text: str) -> float:
    """Px of a name in bold at the size of the labels, rather too many than too few."""
    return sum(ADVANCE[_kind(letter)] for letter in text if not unicodedata.combining(letter))


def _kind(letter: str) -> str:
    if letter in NARROW_LETTERS:
        return "narrow"
    if letter in WIDE_LETTERS:
        return "wide"
    if unicodedata.east_asian_width(letter) in "WF" or ord(letter) > 0x2FFF:
        return "ideograph"
    return "small" if letter.islower() or letter.isdigit() or letter in "-_=" else "capital" if letter.isascii() else "wide"


def fitting(name: str, most: float) -> str:
    """A name of at most so many px, its middle left out."""
    text = clean(name, 80)
    letters = len(text)
    while letters > 3 and width_of(text) > most:
        letters -= 1
        text = shortened(clean(name, 80), letters)
    return text


def axes(frame: Frame) -> Markup:
    """Grid and the labels of both axes."""
    parts = []
    for at, text in frame.scale.ticks(max(3, int(frame.height // TICK_HEIGHT))):
        y = round(TOP + (1 - at) * (frame.height - TOP - BOTTOM), 1)
        parts.append(
            Markup('<path class="grid" d="M{} {}H{}"/><text class="y" x="{}" y="{}">{}</text>').format(
                round(frame.left, 1), y, round(frame.end, 1), round(frame.left - GAP, 1), y + 4, text
            )
        )
    apart = TICK_NARROW if frame.width < SMALL else TICK_WIDTH
    for place, text in ticks(frame.first, frame.last, max(3, int((frame.end - frame.left) // apart)), frame.whole):
        x = float(frame.across(np.array([place]))[0])
        if x + len(text) * LETTER / 2 <= frame.width:
            parts.append(Markup('<text class="x" x="{}" y="{}">{}</text>').format(round(x, 1), frame.height - GAP, text))
    return Markup("").join(parts)


def ticks(first: float, last: float, most: int, whole: bool) -> list[tuple[float, str]]:
    """At most about `most` round places between the ends of an axis, with their labels."""
    span = last - first
    if span <= 0:
        return [(first, tick_label(first, 1, abs(first)))]
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next((m * power for m in (1.0, 2.0, 5.0) if m * power * most >= span * (1 - 1e-9)), 10 * power)
    step = max(1.0, step) if whole else step
    places = [k * step for k in range(math.ceil(first / step - 1e-9), math.floor(last / step + 1e-9) + 1)]
    return [(place, tick_label(place, step, max(abs(first), abs(last)))) for place in places]
