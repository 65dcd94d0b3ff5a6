"""Comparison -> the terminal: the answer, the table of runs, what differs, where they part."""

from __future__ import annotations

import io

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from curvelab.model.comparison import Comparison
from curvelab.report.compared import cells
from curvelab.report.plain import clean

MOST_ROWS = 60
MOST_SETTINGS = 12
MOST_LINES = 8
NARROW = 90  # columns below which the table keeps what matters most
FIRST = ("Rank", "Verdict", "Against the baseline", "Best eval loss", "Findings")
LONG_NAME = 40


def show(comparison: Comparison, console: Console) -> None:
    """Print a comparison, as wide as the console is."""
    console.print(Text(clean(comparison.sentence, 1200), "bold"), highlight=False)
    console.print(Text(clean(f"Aligned {comparison.axis.reason}.", 400), "dim"), highlight=False)
    console.print()
    _table(comparison, console)
    _settings(comparison, console)
    for title, lines in cells.paragraphs(comparison):
        console.print()
        console.print(Text(title, "bold"), highlight=False)
        for line in lines[:MOST_LINES]:
            console.print(Padding(Text(line), (0, 0, 0, 2)), highlight=False)
        if len(lines) > MOST_LINES:
            console.print(Padding(Text(f"and {len(lines) - MOST_LINES} more", "dim"), (0, 0, 0, 2)), highlight=False)


def plain(comparison: Comparison, width: int) -> str:
    """The same as text without colour: for files and pipes."""
    out = io.StringIO()
    console = Console(file=out, width=width, color_system=None, force_terminal=False, no_color=True, legacy_windows=False)
    show(comparison, console)
    return "".join(line.rstrip() + "\n" for line in out.getvalue().splitlines())


def _table(comparison: Comparison, console: Console) -> None:
    """The runs from best to worst; on a narrow terminal with the columns that matter most."""
    columns = cells.columns(comparison)
    if console.width < NARROW:
        columns = [one for one in columns if one.title in FIRST or one.title.startswith(comparison.ranking.metric)]
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("Run", overflow="fold", max_width=LONG_NAME)
    for column in columns:
        table.add_column(column.title, justify="right" if column.number else "left", overflow="fold")
    for place in by_rank(comparison)[:MOST_ROWS]:
        name = Text(clean(comparison.rows[place].name, 80))
        table.add_row(name, *(_cell(column.cells[place]) for column in columns))
    console.print(table)
    if len(comparison.rows) > MOST_ROWS:
        console.print(Text(f"and {len(comparison.rows) - MOST_ROWS} more runs", "dim"))


def _cell(cell: cells.Cell) -> Text:
    text = Text(clean(cell.text, 120))
    return text.append(f"\n{clean(cell.below, 60)}", "dim") if cell.below else text


def by_rank(comparison: Comparison) -> list[int]:
    """Places of the rows, the best first, those without a rank last."""
    rows = comparison.rows
    sign = 1 if comparison.ranking.goal == "min" else -1

    def key(place: int) -> tuple[bool, float, float, int]:
        row = rows[place]
        value = sign * row.value if row.value is not None else float("inf")
        return row.rank is None, row.rank or 0, value if row.rank is not None else 0.0, place

    return sorted(range(len(rows)), key=key)


def _settings(comparison: Comparison, console: Console) -> None:
    told = cells.settings(comparison)[:MOST_SETTINGS]
    if not told:
        return
    console.print()
    console.print(Text("Settings that differ", "bold"))
    for name, values in told:
        groups: dict[str, list[str]] = {}
        for row, value in zip(comparison.rows, values, strict=True):
            groups.setdefault(value, []).append(clean(row.name, LONG_NAME))
        parts = [f"{value} ({_few(runs)})" for value, runs in list(groups.items())[:6]]
        more = f"; and {len(groups) - 6} more values" if len(groups) > 6 else ""
        console.print(Padding(Text(f"{name}: {'; '.join(parts)}{more}"), (0, 0, 0, 2)), highlight=False)


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
