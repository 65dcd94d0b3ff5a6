"""Comparison -> HTML for a notebook's cell: the answer and the table, without scripts or styles of its own."""

from __future__ import annotations

from markupsafe import Markup

from curvelab.model.comparison import Comparison
from curvelab.report.compared import cells
from curvelab.report.compared.text import by_rank
from curvelab.report.plain import clean

MOST_ROWS = 40


def notebook(comparison: Comparison) -> str:
    """A fragment that holds on light and dark grounds: it brings no colours."""
    columns = cells.columns(comparison)
    head = Markup("").join(Markup("<th>{}</th>").format(one.title) for one in columns)
    rows = []
    for place in by_rank(comparison)[:MOST_ROWS]:
        told = Markup("").join(Markup("<td>{}</td>").format(column.cells[place].text) for column in columns)
        rows.append(Markup("<tr><th>{}</th>{}</tr>").format(clean(comparison.rows[place].name, 80), told))
    left = len(comparison.rows) - MOST_ROWS
    more = Markup("<p>and {} more</p>").format(left) if left > 0 else ""
    return str(
        Markup("<p><b>{}</b></p><p>Aligned {}.</p><table><tr><th>run</th>{}</tr>{}</table>{}").format(
            clean(cells.brief(comparison, comparison.sentence), 1200), clean(comparison.axis.reason, 240), head, Markup("").join(rows), more
        )
    )
