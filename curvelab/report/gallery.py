"""Every picture of a run: the main one, those of the findings, the other curves. Page and files are drawn from this."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from curvelab.model.finding import Finding, Span
from curvelab.model.result import Diagnosis
from curvelab.report import wording
from curvelab.report.other_curves import curve_panel, other_curves
from curvelab.report.pictures import Panel, evidence_panels, is_loss
from curvelab.report.top import naming, top_panels

WIDE, NARROW, HALF = 960, 350, 466  # px: pictures of a wide page, of a telephone, and of two side by side
MAIN_HEIGHT, UPPER_HEIGHT, LOWER_HEIGHT, EVIDENCE_HEIGHT, CURVE_HEIGHT = 350, 290, 220, 240, 200  # px
MAIN_POINTS, EVIDENCE_POINTS, CURVE_POINTS, NARROW_POINTS, SMALL_POINTS = 1600, 700, 360, 200, 90
ALL_EVIDENCE_POINTS = 3600  # in all pictures of findings: a page of many findings stays small
MOST_EVIDENCE = 10  # pictures of findings in all; the main picture shows every finding


@dataclass(frozen=True)
class Picture:
    """A panel with its size in CSS pixels, and one for telephones; None where the wide one serves both.

    `name` says in a file's name what it shows, `headline` in a sentence.
    """

    name: str
    headline: str
    wide: Panel
    narrow: Panel | None
    width: int
    height: int


@dataclass(frozen=True)
class Gallery:
    """The pictures in the order of the page; `evidence` has a list for each finding. `top` is empty without any curve.

    No picture comes twice: that of the finding which names the run stands at the top, and `told` says whether there is one.
    """

    top: Sequence[Picture]
    told: bool
    evidence: Sequence[Sequence[Picture]]
    curves: Sequence[Picture]

    def __iter__(self) -> Iterator[Picture]:
        yield from self.top
        for pictures in self.evidence:
            yield from pictures
        yield from self.curves


def gallery(diagnosis: Diagnosis, findings: Sequence[Finding]) -> Gallery:
    """All pictures of a run; `findings` in the order of the page."""
    top = _top(diagnosis, findings)
    on_top = {picture.wide.metrics for picture in top}
    seen = {one.metric for picture in top for one in picture.wide.lines}
    left = MOST_EVIDENCE
    share = max(NARROW_POINTS, min(EVIDENCE_POINTS, ALL_EVIDENCE_POINTS // max(1, len(findings))))
    evidence, told = [], False
    for number, finding in enumerate(findings, start=1):
        name = f"finding-{number}-{finding.pattern}"
        pictures = _evidence(diagnosis, finding, name, share)
        if finding is naming(diagnosis, findings):
            told = bool(pictures)
            pictures = [picture for picture in pictures if picture.wide.about or picture.wide.metrics not in on_top]
        else:
            pictures = [picture for picture in pictures if not _told(picture.wide, seen)]
        evidence.append(pictures[:left])
        left -= len(evidence[-1])
    shown = seen.union(*({one.metric for p in several for one in p.wide.lines} for several in evidence))
    curves = [curve_panel(diagnosis, metric, CURVE_POINTS) for metric in other_curves(diagnosis, shown)]
    small = [curve_panel(diagnosis, panel.lines[0].metric, SMALL_POINTS) for panel in curves]
    return Gallery(
        top,
        told,
        evidence,
        [Picture(_subject(a), a.alt, a, b, HALF, CURVE_HEIGHT) for a, b in zip(curves, small, strict=True)],
    )


def _top(diagnosis: Diagnosis, findings: Sequence[Finding]) -> list[Picture]:
    wide, narrow = (top_panels(diagnosis, findings, most) for most in (MAIN_POINTS, NARROW_POINTS))
    title = wording.verdict(diagnosis).title
    heights = [MAIN_HEIGHT] if len(wide) < 2 else [UPPER_HEIGHT, LOWER_HEIGHT]
    return [Picture(_subject(a), title, a, b, WIDE, height) for a, b, height in zip(wide, narrow, heights, strict=False)]


def _evidence(diagnosis: Diagnosis, finding: Finding, name: str, most: int) -> list[Picture]:
    wide, narrow = (evidence_panels(diagnosis, finding, points) for points in (most, NARROW_POINTS))
    headline = wording.sentence(finding.headline)
    return [
        Picture(f"{name}-{_subject(a)}", headline, a, b, WIDE, EVIDENCE_HEIGHT)
        for a, b in zip(wide, narrow, strict=True)
    ]


def _told(panel: Panel, seen: set[str]) -> bool:
    """Whether the pictures at the top show all of this one already: the same curves, and as a bar its stretch of steps."""
    spans = all(isinstance(mark, Span) for mark in panel.marks)
    return spans and bool(panel.marks) and {one.metric for one in panel.lines} <= seen


def _subject(panel: Panel) -> str:
    """What a picture is of, for the name of a file."""
    if all(is_loss(one.metric) for one in panel.lines):
        return "loss"
    return panel.lines[0].metric.removeprefix("train/").replace("_", "-")
