"""The pictures of a page, drawn: SVG with caption and key, and the data from which the page's script draws them again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from curvelab.model.finding import Finding
from curvelab.model.result import Diagnosis
from curvelab.report.gallery import NARROW, Picture, gallery
from curvelab.report.keys import Key
from curvelab.report.pictures import Panel
from curvelab.report.value_axis import scale_of


@dataclass(frozen=True)
class Figure:
    """A picture in its two widths, with caption and key. `narrow` is empty where the wide one serves both.

    `number` is its place in the data of the script. With each key goes the place of the curve that it stands for.
    """

    number: int
    wide: Markup
    narrow: Markup
    caption: str
    keys: Sequence[tuple[Key, int | None]]
    note: str


@dataclass(frozen=True)
class Drawn:
    """All pictures; `axes` are what else than steps the curves can be drawn over, `data` is the JSON of the script."""

    main: Figure | None
    evidence: Sequence[Sequence[Figure]]
    curves: Sequence[Figure]
    axes: list[str]
    data: Markup


def drawn(diagnosis: Diagnosis, findings: Sequence[Finding]) -> Drawn:
    """Draw everything; `findings` in the order of the page. matplotlib is imported here: 0.4 s."""
    from curvelab.report.figures import drawing
    from curvelab.report.live import axes, block, metrics_of

    pictures = gallery(diagnosis, findings)
    panels = [picture.wide for picture in pictures]
    metrics = metrics_of(panels)
    with drawing():
        figures = iter([_figure(picture, number, metrics) for number, picture in enumerate(pictures)])
    return Drawn(
        main=next(figures) if pictures.main else None,
        evidence=[[next(figures) for _ in several] for several in pictures.evidence],
        curves=[*figures],
        axes=[*axes(diagnosis)],
        data=block(diagnosis, panels),
    )


def _figure(picture: Picture, number: int, metrics: Sequence[str]) -> Figure:
    from curvelab.report.figures import draw

    wide, narrow, height = picture.wide, picture.narrow, picture.height
    return Figure(
        number=number,
        wide=draw(wide, picture.width, height, f"f{number}-", "wide" if narrow else "any"),
        narrow=draw(narrow, NARROW, round(0.75 * height), f"n{number}-", "narrow") if narrow else Markup(""),
        caption=wide.metrics + wide.about + axis_words(wide),
        keys=[(key, metrics.index(key.metric) if key.metric else None) for key in wide.keys],
        note=wide.note,
    )


def axis_words(panel: Panel) -> str:
    """What a caption says of a logarithmic axis."""
    if not scale_of(panel).log:
        return ""
    zeros = any((one.value == 0).any() for one in panel.lines)
    return " (logarithmic; 0 stands at the foot)" if zeros else " (logarithmic)"
