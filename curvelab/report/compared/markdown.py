"""Comparison -> Markdown for an issue or a chat. Texts from a log are escaped."""

from __future__ import annotations

from curvelab.model.comparison import Comparison
from curvelab.report.compared import cells, paragraphs
from curvelab.report.compared.text import left_out, rows_of_many
from curvelab.report.markdown import code, escaped

MOST_ROWS = 40
WIDEST = 12  # runs whose settings stand side by side


def markdown(comparison: Comparison) -> str:
    """The answer, the table, the settings that differ, and everything that is told in words."""
    lines = [f"## {len(comparison.rows)} runs compared", "", f"**{escaped(cells.brief(comparison, comparison.sentence), 1200)}**", ""]
    lines += [f"Aligned {escaped(comparison.axis.reason)}.", "", *_groups(comparison), *_table(comparison), *_settings(comparison)]
    for title, told in paragraphs.paragraphs(comparison):
        lines += ["", f"### {escaped(title)}", "", *(f"- {escaped(one)}" for one in told)]
    return "\n".join(lines) + "\n"


def _table(comparison: Comparison) -> list[str]:
    columns = cells.columns(comparison)
    head = ["Run", *(escaped(one.title) for one in columns)]
    lines = [f"| {' | '.join(head)} |", "|---|" + "".join("---:|" if one.number else "---|" for one in columns)]
    shown = rows_of_many(comparison, MOST_ROWS, MOST_ROWS // 2)
    for place in shown:
        told = [_cell(column.cells[place]) for column in columns]
        lines.append(f"| {code(comparison.rows[place].name, 80)} | {' | '.join(told)} |")
    left = left_out(comparison, shown)
    return [*lines, "", f"{left[0].upper()}{left[1:]}."] if left else lines


def _groups(comparison: Comparison) -> list[str]:
    told = cells.groups(comparison)
    if not told:
        return []
    lines = [f"| {' | '.join(escaped(title) for title, _ in told)} |", "|---|" + "---:|" * (len(told) - 1)]
    for place, first in enumerate(told[0][1][:MOST_ROWS]):
        lines.append(f"| {code(first.text, 80)} | {' | '.join(_cell(column[place]) for _, column in told[1:])} |")
    return [*lines, ""]


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
