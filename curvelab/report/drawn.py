"""The pictures of a page, drawn: SVG with caption and key, and the data from which the page's script draws them again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from curvelab.model.finding import Finding
from curvelab.model.result import Diagnosis
from curvelab.report.gallery import NARROW, Picture, gallery
from curvelab.report.keys import Key
from curvelab.report.means import with_means
from curvelab.report.other_curves import not_drawn
from curvelab.report.pictures import Panel
from curvelab.report.value_axis import scale_of


@dataclass(frozen=True)
class Figure:
    """A picture in its two widths, with caption and key. `narrow` is empty where the wide one serves both.

    `number` is its place in the data of the script. With each key goes what it stands for there.
    """

    number: int
    wide: Markup
    narrow: Markup
    caption: str
    keys: Sequence[tuple[Key, str]]
    note: str


@dataclass(frozen=True)
class Drawn:
    """All pictures; `axes` are what else than steps the curves can be drawn over, `data` is the JSON of the script.

    `told` says whether the first shows what the finding that names the run says; `not_drawn` names what was logged besides.
    """

    top: Sequence[Figure]
    told: bool
    evidence: Sequence[Sequence[Figure]]
    curves: Sequence[Figure]
    axes: list[str]
    not_drawn: list[str]
    data: Markup


def drawn(diagnosis: Diagnosis, findings: Sequence[Finding]) -> Drawn:
    """Draw everything; `findings` in the order of the page. matplotlib is imported here: 0.4 s."""
    from curvelab.report.figures import drawing, margin
    from curvelab.report.live import axes, block, metrics_of

    diagnosis = with_means(diagnosis)
    pictures = gallery(diagnosis, findings)
    panels = [picture.wide for picture in pictures]
    metrics = metrics_of(panels)
    # The pictures at the top share their steps: they begin and end at the same places.
    shared = max((margin(picture.wide, picture.height) for picture in pictures.top), default=0.0)
    lefts = [*(shared for _ in pictures.top), *(0.0 for _ in panels[len(pictures.top) :])]
    with drawing():
        figures = iter([_figure(picture, number, metrics, left) for number, (picture, left) in enumerate(zip(pictures, lefts, strict=True))])
    return Drawn(
        top=[next(figures) for _ in pictures.top],
        told=pictures.told,
        evidence=[[next(figures) for _ in several] for several in pictures.evidence],
        curves=[*figures],
        axes=[*axes(diagnosis)],
        not_drawn=not_drawn(diagnosis, metrics),
        data=block(diagnosis, panels),
    )


def _figure(picture: Picture, number: int, metrics: Sequence[str], left: float) -> Figure:
    from curvelab.report.figures import draw

    wide, narrow, height = picture.wide, picture.narrow, picture.height
    return Figure(
        number=number,
        wide=draw(wide, picture.width, height, f"f{number}-", "wide" if narrow else "any", left),
        narrow=draw(narrow, NARROW, round(0.75 * height), f"n{number}-", "narrow", left) if narrow else Markup(""),
        caption=wide.metrics + wide.about + axis_words(wide),
        keys=[(key, _place(key, metrics)) for key in wide.keys],
        note=wide.note,
    )


def _place(key: Key, metrics: Sequence[str]) -> str:
    """What the script hides when a reader asks for it: the place of a curve, with a "t" its trend; empty for a mark."""
    return f"{metrics.index(key.metric)}{'t' if key.trend else ''}" if key.metric else ""


def axis_words(panel: Panel) -> str:
    """What a caption says of a logarithmic axis."""
    if not scale_of(panel).log:
        return ""
    zeros = any((one.value == 0).any() for one in panel.lines)
    return " (logarithmic; 0 stands at the foot)" if zeros else " (logarithmic)"
