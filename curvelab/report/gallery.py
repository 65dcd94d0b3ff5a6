"""Every picture of a run: the main one, those of the findings, the other curves. Page and files are drawn from this."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from curvelab.model.finding import Finding
from curvelab.model.result import Diagnosis
from curvelab.report import wording
from curvelab.report.other_curves import curve_panel, other_curves
from curvelab.report.pictures import Panel, evidence_panels, is_loss, loss_panel

WIDE, NARROW, HALF = 960, 350, 466  # px: pictures of a wide page, of a telephone, and of two side by side
MAIN_HEIGHT, EVIDENCE_HEIGHT, CURVE_HEIGHT = 340, 230, 190  # px
MAIN_POINTS, EVIDENCE_POINTS, CURVE_POINTS, NARROW_POINTS = 1600, 700, 400, 200
ALL_EVIDENCE_POINTS = 3600  # in all pictures of findings: a page of many findings stays small
MOST_EVIDENCE = 12  # pictures of findings in all; the main picture shows every finding


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
    """The pictures in the order of the page; `evidence` has a list for each finding. `main` is None without any curve."""

    main: Picture | None
    evidence: Sequence[Sequence[Picture]]
    curves: Sequence[Picture]

    def __iter__(self) -> Iterator[Picture]:
        if self.main is not None:
            yield self.main
        for pictures in self.evidence:
            yield from pictures
        yield from self.curves


def gallery(diagnosis: Diagnosis, findings: Sequence[Finding]) -> Gallery:
    """All pictures of a run; `findings` in the order of the page."""
    wide, narrow = (loss_panel(diagnosis, findings, most) for most in (MAIN_POINTS, NARROW_POINTS))
    title = wording.verdict(diagnosis).title
    main = None if wide is None else Picture(_subject(wide), title, wide, narrow, WIDE, MAIN_HEIGHT)
    left = MOST_EVIDENCE
    share = max(NARROW_POINTS, min(EVIDENCE_POINTS, ALL_EVIDENCE_POINTS // max(1, len(findings))))
    evidence = []
    for number, finding in enumerate(findings, start=1):
        pictures = _evidence(diagnosis, finding, f"finding-{number}-{finding.pattern}", share)[:left]
        left -= len(pictures)
        evidence.append(pictures)
    curves = [curve_panel(diagnosis, metric, CURVE_POINTS) for metric in other_curves(diagnosis)]
    return Gallery(main, evidence, [Picture(_subject(one), one.alt, one, None, HALF, CURVE_HEIGHT) for one in curves])


def _evidence(diagnosis: Diagnosis, finding: Finding, name: str, most: int) -> list[Picture]:
    wide, narrow = (evidence_panels(diagnosis, finding, points) for points in (most, NARROW_POINTS))
    headline = wording.sentence(finding.headline)
    return [
        Picture(f"{name}-{_subject(a)}", headline, a, b, WIDE, EVIDENCE_HEIGHT)
        for a, b in zip(wide, narrow, strict=True)
    ]


def _subject(panel: Panel) -> str:
    """What a picture is of, for the name of a file."""
    if all(is_loss(one.metric) for one in panel.lines):
        return "loss"
    return panel.lines[0].metric.removeprefix("train/").replace("_", "-")
