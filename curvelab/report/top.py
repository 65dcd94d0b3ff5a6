"""The pictures at the top: that of the finding which names the run, with all findings above it; the losses below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from curvelab.model.finding import Evidence, Finding, Point, Span
from curvelab.model.result import Diagnosis
from curvelab.report import numerals
from curvelab.report.curves import Line
from curvelab.report.keys import EVAL_LOSS, best_key, epoch_key, line_keys, mark_keys, seam_key, spoilt_keys, warmup_key
from curvelab.report.pictures import (
    Lane,
    Panel,
    best_of,
    evidence_panels,
    is_loss,
    lines_of,
    losses_of,
    names_of,
    range_of,
    seams_of,
    warmup_of,
)
from curvelab.report.plain import clean
from curvelab.report.wording import title_of

SHARED, FEWEST_SHARED = 0.6, 200  # of the points of one picture, for each of two; and at least so many
REWARD = "train/reward"  # says how a policy does; its loss does not
WHOLE = 0.95  # of the picture: a stretch that is longer is not shaded
MOST_EPOCHS = 30  # ticks; of more epochs every second, fifth, tenth … is drawn


def naming(diagnosis: Diagnosis, findings: Sequence[Finding]) -> Finding | None:
    """The finding that names the run, which comes first; None for a run without a fault."""
    return findings[0] if findings and findings[0].pattern == diagnosis.verdict else None


def top_panels(diagnosis: Diagnosis, findings: Sequence[Finding], most: int) -> list[Panel]:
    """The picture of the finding that names the run, or the reward of a policy, or the losses; the losses below the others.

    Both have the same steps. Empty without any curve.
    """
    name = naming(diagnosis, findings)
    shown = evidence_panels(diagnosis, name, most) if name else []
    losses = losses_of(diagnosis) or list(diagnosis.series)[:1]
    share = max(FEWEST_SHARED, int(SHARED * most))
    reach = range_of(diagnosis, [])
    if not shown and REWARD in diagnosis.series and losses_of(diagnosis):
        first = _with_findings(diagnosis, findings, _plain(diagnosis, lines_of(diagnosis, [REWARD], share), reach))
        return [first, _below(diagnosis, losses, first, share)]
    if not shown:
        lines = lines_of(diagnosis, losses, most)
        return [_with_findings(diagnosis, findings, _plain(diagnosis, lines, reach))] if lines else []
    if _of_loss(shown[0]) or not losses_of(diagnosis):
        return [_with_findings(diagnosis, findings, _marked(diagnosis, shown[0]))]
    first, *others = evidence_panels(diagnosis, name, share) if name else shown
    first = _with_findings(diagnosis, findings, _marked(diagnosis, first))
    own = next((panel for panel in others if _of_loss(panel)), None)
    below = _below(diagnosis, losses, first, share) if own is None else _marked(diagnosis, own)
    return [first, replace(below, first=first.first, last=first.last, warmup=first.warmup, epochs=first.epochs)]


def _of_loss(panel: Panel) -> bool:
    return not panel.about and any(is_loss(one.metric) for one in panel.lines)


def _plain(diagnosis: Diagnosis, lines: Sequence[Line], reach: tuple[float, float]) -> Panel:
    """Curves without a finding of their own."""
    best = best_of(diagnosis, lines)
    keys = (*line_keys(lines), *best_key(best, lines), *spoilt_keys(diagnosis, lines))
    seams = seams_of(diagnosis)
    return Panel(lines=tuple(lines), first=reach[0], last=reach[1], alt=f"{names_of(lines)} over the steps.", seams=seams, best=best, keys=keys)


def _marked(diagnosis: Diagnosis, panel: Panel) -> Panel:
    """The picture of a finding as it stands at the top.

    A star at the best eval takes the place of a ring, and what holds from end to end is not shaded: it has its bar.
    """
    best = best_of(diagnosis, panel.lines)
    starred = best[0] if best else None
    long = WHOLE * (panel.last - panel.first)
    marks = tuple(
        mark
        for mark in panel.marks
        if not (isinstance(mark, Point) and mark.step == starred and EVAL_LOSS.match(mark.metric))
        and not (isinstance(mark, Span) and mark.end_step - mark.start_step > long)
    )
    keys = (
        *line_keys(panel.lines),
        *mark_keys(marks, named=len(panel.lines) > 1),
        *best_key(best, panel.lines),
        *spoilt_keys(diagnosis, panel.lines),
    )
    return replace(panel, marks=marks, best=best, keys=keys)


def _with_findings(diagnosis: Diagnosis, findings: Sequence[Finding], panel: Panel) -> Panel:
    """The panel with every finding above it, and with restarts, warm-up and epochs named."""
    reached = diagnosis.last_step if diagnosis.last_step is not None else panel.last
    lanes = tuple(
        Lane(number, title_of(f.pattern), float(f.start_step), float(_end(f, reached)), f.severity, _moments(f))
        for number, f in enumerate(findings, start=1)
        if f.start_step is not None
    )
    warmup, (epochs, every) = warmup_of(diagnosis, panel.first, panel.last), _epochs(diagnosis)
    named = ", ".join(f"{title_of(f.pattern)} at {numerals.steps(f.start_step, f.end_step)}" for f in findings[:6])
    told = f"Findings: {named}." if named else "No fault was found."
    first = clean(findings[0].headline, 300) if naming(diagnosis, findings) else ""
    return replace(
        panel,
        alt=f"{names_of(panel.lines)} over the steps{f': {first}' if first else ''}. {told}",
        lanes=lanes,
        warmup=warmup,
        epochs=epochs,
        keys=(*panel.keys, *seam_key(diagnosis), *warmup_key(warmup), *epoch_key(every)),
    )


def _below(diagnosis: Diagnosis, losses: Sequence[str], above: Panel, most: int) -> Panel:
    """The losses under the picture of another metric, over the same steps, its stretch shaded in them, too."""
    panel = _plain(diagnosis, lines_of(diagnosis, losses, most), (above.first, above.last))
    spans: list[Evidence] = [mark for mark in above.marks if isinstance(mark, Span)]
    return replace(panel, marks=tuple(spans), severity=above.severity)


def _moments(finding: Finding) -> tuple[float, ...]:
    """The steps of a finding whose evidence is single points, else nothing."""
    if not finding.evidence or not all(isinstance(mark, Point) for mark in finding.evidence):
        return ()
    return tuple(sorted({float(mark.step) for mark in finding.evidence if isinstance(mark, Point)}))


def _end(finding: Finding, last: float) -> int:
    return finding.end_step if finding.end_step is not None else max(int(last), finding.start_step or 0)


def _epochs(diagnosis: Diagnosis) -> tuple[tuple[int, ...], int]:
    """(steps at which epochs end, one in how many that is): so few that ticks can be told apart."""
    ends = diagnosis.landmarks.epoch_ends
    every = next(k * 10**power for power in range(9) for k in (1, 2, 5) if len(ends) <= MOST_EPOCHS * k * 10**power)
    return ends[every - 1 :: every], every if ends else 0
