"""Scores as text for the terminal and as Markdown for the README. Computes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from curvelab.scoring import INTERVAL, Benchmark, PatternScore, Score, Wrong

COLUMNS = ("pattern", "yes", "false", "missed", "precision", "recall", "F1")


def score_text(result: Benchmark, misses: Sequence[Wrong] | None = None) -> str:
    """The table of all sets together, a line for each set, and every wrong label where `misses` are given."""
    shown = list(_scored(result.together))
    wide = max(len(COLUMNS[0]), *(len(row.pattern) for row in shown)) if shown else len(COLUMNS[0])
    lines = [_aligned(COLUMNS, wide), *(_aligned(_cells(row), wide) for row in shown), ""]
    for name, one in _named(result).items():
        lines += [f"{name}: {one.cases} cases, {one.answered} answered", *(f"  {fact}" for fact in _facts(one))]
    without = [row.pattern for row in result.together.patterns if not (row.cases or row.false)]
    if without:
        lines.append("no labelled case: " + ", ".join(without))
    lines += ["", "confidence    findings   mean   right"]
    for row in result.together.reliability:
        lines.append(f"{row.low:.1f} to {row.high:.1f}{row.findings:>12}{row.confidence:>7.2f}{row.right:>8.2f}")
    if misses is not None:
        lines += ["", *(f"{one.what:7}{one.pattern:{wide + 2}}{one.case}  {one.path}" for one in misses)]
        if not misses:
            lines.append("no label is contradicted")
    return "\n".join(lines) + "\n"


def score_markdown(result: Benchmark, misses: Sequence[Wrong] | None = None) -> str:
    """The same as Markdown tables."""
    lines = [_row(COLUMNS), "|---|" + "---:|" * (len(COLUMNS) - 1)]
    for row in _scored(result.together):
        first, *rest = _cells(row)
        lines.append(_row((f"`{first}`", *rest)))
    lines += ["", _row(("set", "runs", "micro F1 (95 %)", "macro F1", "healthy runs flagged", "onset error", "ECE")), "|---|---:|" + "---|" * 5]
    for name, one in _named(result).items():
        low, high = one.interval
        flagged = f"{len(one.false_alarms)} of {one.healthy}"
        about = (f"{one.micro_f1:.3f} ({low:.3f} to {high:.3f})", _number(one.macro_f1), flagged,
                 _number(one.median_onset_error), _number(one.calibration_error))  # fmt: skip
        lines.append(_row((name, str(one.cases), *about)))
    if misses is not None:
        lines += ["", _row(("label", "pattern", "case")), "|---|---|---|"]
        lines += [_row((one.what, f"`{one.pattern}`", one.case)) for one in misses]
    return "\n".join(lines) + "\n"


def _named(result: Benchmark) -> dict[str, Score]:
    """Every set by its name, and all of them together where there are several."""
    return {**result.sets, **({"all": result.together} if len(result.sets) > 1 else {})}


def _scored(one: Score) -> Iterator[PatternScore]:
    """The patterns of which a case was labelled yes, or that were raised wrongly."""
    return (row for row in one.patterns if row.cases or row.false)


def _cells(row: PatternScore) -> tuple[str, ...]:
    shares = (_number(share) for share in (row.precision, row.recall, row.f1))
    return (row.pattern, str(row.cases), str(row.false), str(row.missed), *shares)


def _facts(one: Score) -> Iterable[str]:
    low, high = one.interval
    yield f"curve patterns: micro F1 {one.micro_f1:.3f} ({INTERVAL:.0%}: {low:.3f} to {high:.3f}), macro F1 {_number(one.curve_macro_f1)}"
    yield f"all patterns: macro F1 {_number(one.macro_f1)}"
    alarms = f" ({', '.join(one.false_alarms[:5])})" if one.false_alarms else ""
    yield f"flagged {len(one.false_alarms)} of {one.healthy} healthy runs{alarms}"
    yield f"median onset error {_number(one.median_onset_error)} of the run, over {len(one.onset_errors)}"
    findings = sum(row.findings for row in one.reliability)
    yield f"expected calibration error {_number(one.calibration_error)}, over {findings} findings"


def _aligned(cells: Sequence[str], wide: int) -> str:
    return f"{cells[0]:{wide}}" + "".join(f"{cell:>11}" for cell in cells[1:])


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"
