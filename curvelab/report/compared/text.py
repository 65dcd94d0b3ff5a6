"""Comparison -> the terminal: the answer, the table of runs, what differs, where they part."""

from __future__ import annotations

import io

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from curvelab.model.comparison import Comparison
from curvelab.report import numerals
from curvelab.report.compared import cells, paragraphs
from curvelab.report.plain import clean

MOST_ROWS = 20  # runs that are listed all
FIRST_ROWS = 15  # of more than those
MOST_SETTINGS = 12
MOST_VALUES = 12  # of a setting of numbers that are told one by one
MOST_LINES = 8
NARROW = 90  # columns below which the table keeps what matters most
FIRST = ("Rank", "Setting", "Verdict", "Against the baseline", "Best eval loss", "Findings")
LONG_NAME = 40


def show(comparison: Comparison, console: Console) -> None:
    """Print a comparison, as wide as the console is."""
    console.print(Text(clean(cells.brief(comparison, comparison.sentence), 1200), "bold"), highlight=False)
    console.print(Text(clean(f"Aligned {comparison.axis.reason}.", 400), "dim"), highlight=False)
    console.print()
    _groups(comparison, console)
    _table(comparison, console)
    _settings(comparison, console)
    for title, lines in paragraphs.paragraphs(comparison):
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
    shown = rows_of_many(comparison, MOST_ROWS, FIRST_ROWS)
    for place in shown:
        name = Text(clean(comparison.rows[place].name, 80))
        table.add_row(name, *(_cell(column.cells[place], len(shown) == len(comparison.rows)) for column in columns))
    console.print(table)
    if left := left_out(comparison, shown):
        console.print(Text(left, "dim"))


def _groups(comparison: Comparison, console: Console) -> None:
    """The settings with their seeds, the best first."""
    told = cells.groups(comparison)
    if not told:
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title, _ in told:
        table.add_column(title, justify="left" if title == told[0][0] else "right", overflow="fold", max_width=LONG_NAME)
    for place in range(min(FIRST_ROWS, len(told[0][1]))):
        table.add_row(*(_cell(column[place], True) for _, column in told))
    console.print(table)
    if len(told[0][1]) > FIRST_ROWS:
        console.print(Text(f"and {len(told[0][1]) - FIRST_ROWS} more settings", "dim"))
    console.print()


def rows_of_many(comparison: Comparison, most: int, first: int) -> list[int]:
    """Places of the rows that are listed, best first: all up to `most`, else the first ones and the baseline."""
    order = by_rank(comparison)
    if len(order) <= most:
        return order
    base = comparison.baseline.run if comparison.baseline is not None else ""
    return order[:first] + [place for place in order[first:] if comparison.rows[place].run == base]


def left_out(comparison: Comparison, shown: list[int]) -> str:
    """How many runs are not listed, and where they stand; empty where all are."""
    rest = [row for place, row in enumerate(comparison.rows) if place not in shown]
    if not rest:
        return ""
    ranks = [row.rank for row in rest if row.rank is not None]
    where = [f"{len(ranks)} of rank {min(ranks)} to {max(ranks)}" if min(ranks) < max(ranks) else f"{len(ranks)} of rank {min(ranks)}"] if ranks else []
    where += [f"{len(rest) - len(ranks)} not ranked"] if len(rest) > len(ranks) else []
    return f"and {len(rest)} more runs: {', '.join(where)}"


def _cell(cell: cells.Cell, whole: bool) -> Text:
    """`whole`: with what stands below it, in a second line."""
    text = Text(clean(cell.text, 120))
    return text.append(f"\n{clean(cell.below, 60)}", "dim") if cell.below and whole else text


def by_rank(comparison: Comparison) -> list[int]:
    """Places of the rows, the best first, the seeds of a setting together, those without a rank last."""
    rows = comparison.rows
    sign = 1 if comparison.ranking.goal == "min" else -1

    means = {group.number: sign * group.mean if group.mean is not None else float("inf") for group in comparison.groups}

    def key(place: int) -> tuple[bool, float, float, int, float, int]:
        row = rows[place]
        value = sign * row.value if row.value is not None else float("inf")
        if row.rank is None:
            return True, 0.0, 0.0, 0, 0.0, place
        return False, row.rank, means[row.group], row.group, value, place

    return sorted(range(len(rows)), key=key)


def _settings(comparison: Comparison, console: Console) -> None:
    told = cells.settings(comparison)[:MOST_SETTINGS]
    if not told:
        return
    console.print()
    console.print(Text("Settings that differ", "bold"))
    kinds = {one.setting: list(one.values.values()) for one in comparison.differences}
    for name, values in told:
        if (span := _span(kinds[name], values)) is not None:
            console.print(Padding(Text(f"{name}: {span}"), (0, 0, 0, 2)), highlight=False)
            continue
        groups: dict[str, list[str]] = {}
        for row, value in zip(comparison.rows, values, strict=True):
            groups.setdefault(value, []).append(clean(row.name, LONG_NAME))
        parts = [f"{value} ({_few(runs)})" for value, runs in list(groups.items())[:6]]
        more = f"; and {len(groups) - 6} more values" if len(groups) > 6 else ""
        console.print(Padding(Text(f"{name}: {'; '.join(parts)}{more}"), (0, 0, 0, 2)), highlight=False)


def _span(values: list[object], told: list[str]) -> str | None:
    """Many numbers as their range; None for anything else."""
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(set(told)) <= MOST_VALUES or len(numbers) < len(values):
        return None
    without = len(told) - len(numbers)
    return f"{numerals.setting(min(numbers))} to {numerals.setting(max(numbers))} ({len(set(told))} values)" + (f", not told by {without}" if without else "")


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
