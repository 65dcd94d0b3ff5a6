"""Comparison -> Markdown for an issue or a chat. Texts from a log are escaped."""

from __future__ import annotations

from curvelab.model.comparison import Comparison
from curvelab.report.compared import cells
from curvelab.report.compared.text import by_rank
from curvelab.report.markdown import code, escaped

MOST_ROWS = 100
WIDEST = 12  # runs whose settings stand side by side


def markdown(comparison: Comparison) -> str:
    """The answer, the table, the settings that differ, and everything that is told in words."""
    lines = [f"## {len(comparison.rows)} runs compared", "", f"**{escaped(comparison.sentence, 1200)}**", ""]
    lines += [f"Aligned {escaped(comparison.axis.reason)}.", "", *_table(comparison), *_settings(comparison)]
    for title, told in cells.paragraphs(comparison):
        lines += ["", f"### {escaped(title)}", "", *(f"- {escaped(one)}" for one in told)]
    return "\n".join(lines) + "\n"


def _table(comparison: Comparison) -> list[str]:
    columns = cells.columns(comparison)
    head = ["Run", *(escaped(one.title) for one in columns)]
    lines = [f"| {' | '.join(head)} |", "|---|" + "".join("---:|" if one.number else "---|" for one in columns)]
    for place in by_rank(comparison)[:MOST_ROWS]:
        told = [_cell(column.cells[place]) for column in columns]
        lines.append(f"| {code(comparison.rows[place].name, 80)} | {' | '.join(told)} |")
    left = len(comparison.rows) - MOST_ROWS
    return [*lines, "", f"And {left} more runs."] if left > 0 else lines


def _cell(cell: cells.Cell) -> str:
    return escaped(cell.text, 120) + (f" ({escaped(cell.below, 160)})" if cell.below else "")


def _settings(comparison: Comparison) -> list[str]:
    told = cells.settings(comparison)
    if not told:
        return []
    if len(comparison.rows) > WIDEST:
        return ["", f"Settings that differ: {', '.join(code(name) for name, _ in told)}."]
    head = f"| Setting | {' | '.join(code(row.name, 60) for row in comparison.rows)} |"
    rows = [f"| {code(name)} | {' | '.join(code(value) for value in values)} |" for name, values in told]
    return ["", "### Settings that differ", "", head, "|---|" + "---|" * len(comparison.rows), *rows]
