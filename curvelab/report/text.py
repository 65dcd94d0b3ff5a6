"""Diagnosis -> the terminal: verdict, findings with where and what to do, what was not checked, notes."""

from __future__ import annotations

import io
from collections.abc import Iterable

import numpy as np
from rich.console import Console

from curvelab.model.finding import Finding, Samples, Severity
from curvelab.model.result import Diagnosis
from curvelab.report import masked, numerals, wording
from curvelab.report.plain import clean
from curvelab.report.printer import Part, Printer
from curvelab.report.scale import rises_far, scale_for

BLOCKS, ASCII_BLOCKS = "▁▂▃▄▅▆▇█", "_.-~=+*#"
HOLE, ASCII_HOLE = "×", "x"  # where the loss is not finite
STYLES: dict[Severity, str] = {"critical": "bold red", "warning": "bold yellow", "info": "bold magenta"}
SPARK = 48
MOST_NOTES = 5
MOST_REASONS = 6
MOST_RANGES = 4  # of samples, and lines of a batch log
MOST_LEFT_OUT = 8  # patterns not asked for that are named
MOST_CAUSES, ALL_CAUSES = 2, 4  # of a finding, in short and in full
MOST_SIGNS = 2  # for and against a cause, in short


def show(diagnosis: Diagnosis, console: Console, verbose: bool = False) -> None:
    """Print the summary of one run. `verbose` adds the measured numbers, why and when not, and every note."""
    printer = Printer(console)
    _head(diagnosis, printer)
    for number, finding in enumerate(wording.ranked(diagnosis), start=1):
        _finding(number, finding, printer, verbose)
    _patch(diagnosis, printer)
    _foot(diagnosis, printer, verbose)


def plain(diagnoses: list[Diagnosis], width: int) -> str:
    """The same as text without colour, `width` columns wide at most: for files and pipes."""
    out = io.StringIO()
    console = Console(
        file=out, width=width, color_system=None, force_terminal=False, no_color=True, legacy_windows=False
    )
    for number, diagnosis in enumerate(diagnoses):
        if number:
            console.print()
        show(diagnosis, console, verbose=True)
    return "".join(line.rstrip() + "\n" for line in out.getvalue().splitlines())


def _head(diagnosis: Diagnosis, printer: Printer) -> None:
    verdict = wording.verdict(diagnosis)
    shape, style = ("✓", "bold green") if diagnosis.verdict == "healthy" else ("?", "bold")
    if verdict.severity is not None:
        shape, style = wording.SHAPES[verdict.severity], STYLES[verdict.severity]
    name = clean(diagnosis.name, 100)
    printer.line((f"{shape} ", style), (name, "bold"), ": ", (verdict.title, style))
    if verdict.severity is None:
        printer.line(verdict.sentence, indent=2)
    else:
        # The headline follows with its finding, and the title stands above: the terminal shows each once.
        told = verdict.lead.removeprefix(verdict.title).lstrip(", ")
        printer.line((f"{verdict.severity}, {told}" if told else str(verdict.severity), "dim"), indent=2)
    points = numerals.plural(diagnosis.points, "train point")
    printer.line((f"{wording.STATES[diagnosis.state]} · {wording.progress(diagnosis)} · {points}", "dim"), indent=2)
    if restarts := wording.restarts(diagnosis):
        printer.line((f"{restarts}; the later attempt counts", "dim"), indent=2)
    for label, words in (
        ("wasted", wording.wasted(diagnosis)),
        ("early stopping", wording.early_stopping(diagnosis)),
        ("checkpoint", wording.checkpoint(diagnosis)),
    ):
        if words:
            printer.line(f"{label}: ", words, indent=2)
    loss = spark(diagnosis, max(8, min(SPARK, printer.width - 32)), printer.ascii)
    if loss:
        printer.line("train/loss ", *loss, indent=2)


def spark(diagnosis: Diagnosis, width: int, ascii_only: bool = False) -> list[Part]:
    """The train loss as blocks between its first and its last value; empty where none was logged.

    Each column shows the median of its steps; a column with a value that is not finite shows a cross.
    """
    series = masked.curve(diagnosis, "train/loss")
    if series is None or not series.step or len(series.step) != len(series.value):
        return []
    step, value = np.array(series.step, dtype=np.float64), np.array(series.value, dtype=np.float64)
    finite = value[np.isfinite(value)]
    if not len(finite):
        return [numerals.value(float(value[0])), " throughout"]
    span = step[-1] - step[0]
    column = (
        np.minimum(((step - step[0]) / span * width).astype(int), width - 1) if span > 0 else np.zeros(len(step), int)
    )
    share = scale_for(value, log=True if rises_far(value) else None).place(value)
    blocks, hole = (ASCII_BLOCKS, ASCII_HOLE) if ascii_only else (BLOCKS, HOLE)
    drawn: list[str] = []
    for i in range(width if span > 0 else 1):
        inside = share[column == i]
        if not len(inside):
            drawn.append(drawn[-1] if drawn and drawn[-1] != hole else " ")
        elif not np.isfinite(inside).all():
            drawn.append(hole)
        else:
            middle = float(np.sort(inside)[len(inside) // 2])
            drawn.append(blocks[min(len(blocks) - 1, max(0, int(middle * len(blocks))))])
    return [f"{numerals.value(float(value[0]))} ", ("".join(drawn), "cyan"), f" {numerals.value(float(value[-1]))}"]


def _finding(number: int, finding: Finding, printer: Printer, verbose: bool) -> None:
    style = STYLES[finding.severity]
    where = numerals.steps(finding.start_step, finding.end_step)
    tail = " · ".join(part for part in (where, clean(finding.metric, 80), wording.sure(finding.confidence)) if part)
    printer.line("")
    shape = wording.SHAPES[finding.severity]
    printer.line((f"{number} ", "bold"), (f"{shape} {finding.severity} ", style), (clean(finding.pattern, 80), "bold"))
    printer.line((tail, "dim"), indent=3)
    printer.line(wording.sentence(finding.headline), indent=3)
    if finding.explained_by:
        printer.line(f"A consequence of {clean(finding.explained_by, 80)}: treat that first.", indent=3)
    if verbose:
        for number_told in finding.measured[:12]:
            value, unit, threshold = numerals.measured(number_told)
            against = f" (it takes {threshold})" if threshold else ""
            name = clean(number_told.name, 60).replace("_", " ")
            printer.labelled(
                "measured", f"{name}: {' '.join(part for part in (value, unit) if part)}{against}", indent=3
            )
    for one in wording.causes(finding, ALL_CAUSES if verbose else MOST_CAUSES):
        printer.labelled("cause", wording.cause(one), indent=3)
        printer.labelled("", (wording.evidence(one, None if verbose else MOST_SIGNS), "dim"), indent=3)
    if finding.samples is not None:
        _samples(finding.samples, printer, verbose)
    for fix in finding.fixes:
        changes = "; ".join(wording.change(c) for c in fix.changes if c.to is not None)
        costs = f"costs {wording.COSTS[fix.cost]}"
        printer.labelled("fix", wording.sentence(fix.title), indent=3)
        printer.labelled("", (f"{changes}; {costs}" if changes else costs, "dim"), indent=3)
        if grounds := "; ".join(dict.fromkeys(filter(None, map(wording.ground, fix.changes)))) if verbose else "":
            printer.labelled("", (grounds, "dim"), indent=3)
        if verbose and fix.when_not:
            printer.labelled("", "Not when: ", wording.sentence(fix.when_not), indent=3)


def _patch(diagnosis: Diagnosis, printer: Printer) -> None:
    whose, texts = wording.patch_of(diagnosis)
    if not texts:
        return
    printer.line("")
    printer.labelled("patch", whose)
    for line in texts[0][1].splitlines():  # to be copied: a wrapped comment would be code
        printer.as_written(line)
    for setting, remark in wording.remarks(diagnosis):
        printer.labelled("", (f"{clean(setting, 80)}: {remark}", "dim"))


def _samples(samples: Samples, printer: Printer, verbose: bool) -> None:
    """Which data to look at. The snippet is for the page and Markdown: a wrapped program is none."""
    ranges = wording.sample_ranges(samples)
    shown = ranges if verbose else ranges[:MOST_RANGES]
    more = f"; and {numerals.count(len(ranges) - len(shown))} more" if len(ranges) > len(shown) else ""
    printer.labelled("look at", "; ".join(shown) + more, indent=3)
    doubts = samples.doubts if verbose else samples.doubts[:1]
    for told in (wording.sample_basis(samples), *(clean(doubt, 300) for doubt in doubts)):
        if told:
            printer.labelled("", (told, "dim"), indent=3)
    for line in samples.logged if verbose else samples.logged[:MOST_RANGES]:
        printer.labelled("logged", clean(line, 300), indent=3)


def _foot(diagnosis: Diagnosis, printer: Printer, verbose: bool) -> None:
    clear = [clean(o.pattern, 80) for o in diagnosis.outcomes if o.status == "clear"]
    blind = wording.by_reason(diagnosis.outcomes, "not-applicable")
    failed = wording.by_reason(diagnosis.outcomes, "failed")
    printer.line("")
    if clear:
        printer.labelled("clear", _listed(clear))
    for label, groups in (("not checked", blind), ("failed", failed), ("not weighed", wording.unweighed(diagnosis))):
        shown = groups if verbose else groups[:MOST_REASONS]
        for row, (reason, patterns) in enumerate(shown):
            printer.labelled("" if row else label, _listed(clean(p, 80) for p in patterns), f" ({reason})")
        if len(groups) > len(shown):
            printer.labelled("", f"and {sum(len(p) for _, p in groups[len(shown) :])} more")
    if left := wording.left_out(diagnosis):
        names = verbose or len(left) <= MOST_LEFT_OUT
        others = _listed(clean(p, 80) for p in left) if names else f"{numerals.count(len(left))} other checks"
        printer.labelled("not asked for", others)
    for row, changed in enumerate(wording.changed(diagnosis)):
        printer.labelled("" if row else "changed", changed)
    if diagnosis.verdict in ("healthy", "not-assessed"):
        for row, (metric, how, _) in enumerate(wording.to_log(diagnosis)[:4]):
            printer.labelled("" if row else "to log", f"{metric}: {how}")
    notes = sorted(diagnosis.notes, key=lambda note: note.level != "warning")
    for note in notes if verbose else notes[:MOST_NOTES]:
        printer.labelled("warning" if note.level == "warning" else "note", clean(note, 400))
    if not verbose and len(notes) > MOST_NOTES:
        printer.labelled("note", f"and {numerals.count(len(notes) - MOST_NOTES)} more notes")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
