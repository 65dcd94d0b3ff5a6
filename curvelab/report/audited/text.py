"""AuditResult -> the terminal: the answer, what is new or worse, fixed, unusual or unread, and the counts, on one screen."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich.console import Console

from curvelab.model.audit import AuditResult, TrackedFinding
from curvelab.report import wording
from curvelab.report.audited import telling
from curvelab.report.numerals import count, plural
from curvelab.report.plain import clean
from curvelab.report.printer import Printer
from curvelab.report.text import STYLES

# Findings, fixed ones, unusual runs, unread inputs: so many that all of it is some 40 lines at most.
MOST, MOST_IF_NARROW = (5, 3, 2, 2), (3, 3, 2, 1)
NARROW = 90  # columns


def show(result: AuditResult, console: Console) -> None:
    """Print the summary of an audit, as wide as the console is."""
    printer, names = Printer(console), telling.names(result)
    findings, fixes, departures, inputs = MOST if printer.width >= NARROW else MOST_IF_NARROW
    _head(result, printer)
    told = telling.ranked(result.told)
    if told:
        _title("What was found" if result.previous is None else "New and worse", printer)
        for one in told[:findings]:
            _finding(one, telling.name_of(one, names), printer)
        _more(len(told) - findings, printer)
    fixed = telling.ranked(result.of("fixed"))
    if fixed:
        _title("Fixed", printer)
        for one in fixed[:fixes]:
            was = f" ({clean(one.was, 80)})" if one.was else ""
            printer.line(("✓ ", "green"), f"{telling.name_of(one, names)}: {wording.title_of(one.pattern)}{was}", indent=2, most=1)
        _more(len(fixed) - fixes, printer)
    unusual = telling.unusual(result, new=True)
    if unusual:
        _title("Unlike the runs before", printer)
        for departure in unusual[:departures]:
            name = telling.name_of(departure, names)
            printer.line((f"{name}: ", "bold"), telling.departure(departure), indent=2, most=2)
        _more(len(unusual) - departures, printer)
    lost, before = telling.unread(result)
    if lost:
        _title("Could not be read", printer)
        for error in lost[:inputs]:
            printer.line(f"{clean(error.path, 120)}: {clean(error.message, 200)}", indent=2, most=2)
        _more(len(lost) - inputs, printer)
        if before:
            printer.line((f"and {plural(len(before), 'input')} that could not be read before either", "dim"), indent=2)
    _counts(result, printer)


def plain(result: AuditResult, width: int) -> str:
    """The same as text without colour, `width` columns wide at most: for files and pipes."""
    out = io.StringIO()
    show(result, Console(file=out, width=width, color_system=None, force_terminal=False, no_color=True, legacy_windows=False))
    return "".join(line.rstrip() + "\n" for line in out.getvalue().splitlines())


def _head(result: AuditResult, printer: Printer) -> None:
    answer = telling.answer(result)
    if answer.severity is not None:
        shape, style = wording.SHAPES[answer.severity], STYLES[answer.severity]
    else:
        shape, style = ("✓", "bold green") if result.runs and (result.previous is not None or result.accepted) else ("?", "bold")
    printer.line((f"{shape} ", style), (answer.title, "bold"), most=3)
    if answer.sentence:
        printer.line(answer.sentence, indent=2, most=4)


def _title(text: str, printer: Printer) -> None:
    printer.line("")
    printer.line((text, "bold"))


def _more(left: int, printer: Printer) -> None:
    if left > 0:
        printer.line((f"and {count(left)} more", "dim"), indent=2)


def _finding(one: TrackedFinding, name: str, printer: Printer) -> None:
    style = STYLES[one.severity]
    printer.line((f"{wording.SHAPES[one.severity]} ", style), (name, "bold"), f": {telling.title(one)} ({telling.history(one)})", indent=2, most=2)
    printer.line(wording.sentence(one.headline), indent=4, most=2)
    if one.fix:
        printer.line(("fix  ", "dim"), wording.sentence(one.fix), indent=4, most=1)


def _counts(result: AuditResult, printer: Printer) -> None:
    told: Sequence[str] = [f"{count(number)} {label}" for label, number, _ in telling.tally(result) if number]
    if told:
        printer.line("")
        printer.line((" · ".join(told), "dim"), most=3)
