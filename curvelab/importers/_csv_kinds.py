"""Which of the CSV formats a file is: exactly one importer claims a log, none a table that is no log."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import Literal

from curvelab.importers._about_training import CountingTable
from curvelab.importers._axes import Axes, axes_of
from curvelab.importers._csv_rows import cells_of, delimiter_of
from curvelab.importers._lines import head_lines
from curvelab.importers._metric_columns import cell_number, count_of, numbered
from curvelab.sources import Source

Kind = Literal["lightning-csv", "keras-csv", "csv-table"]

GLOBS = ("*.csv", "*.tsv", "*.csv.gz")
_LIGHTNING_FILES = ("metrics.csv", "metrics.csv.gz")
_ROWS = 100  # rows that recognition looks at
_MOSTLY = 0.8  # share of an axis' cells that must be what an axis holds; judgement
_MOST_EPOCHS = 1_000_000  # a larger "epoch" is a time stamp
CHART = re.compile(r"^(?P<run>.+) - (?P<metric>.+?)(?P<bound>__MIN|__MAX)?$", re.S)  # W&B: export of one chart


def kind_of(source: Source) -> Kind | None:
    """The CSV format of a file; None for a table that is no training log."""
    header, rows = _cells(source)
    if rows and is_chart(header) and axes_of(header) is None:
        return "csv-table" if _numeric(rows, range(1, len(header))) else None
    head = _head(header, rows)
    if head is None or not head.is_log(source.named):
        return None
    name = source.path.name.lower()
    if not head.axes.by_epoch and "epoch" in header and any(fnmatchcase(name, glob) for glob in _LIGHTNING_FILES):
        return "lightning-csv"
    if head.axes.by_epoch and header[0] == "epoch" and _is_keras(header):
        return "keras-csv"
    return "csv-table"


def nearly(source: Source) -> str:
    """What a table lacks that counts and holds numbers, and is no log; empty for all other files."""
    head = _head(*_cells(source))
    return head.how_to_name if head is not None else ""


def _cells(source: Source) -> tuple[list[str], list[list[str]]]:
    """The header and the first whole rows."""
    lines = [line for line in head_lines(source, _ROWS + 1) if line.strip() and not line.startswith("#")]
    if len(lines) < 2:
        return [], []
    delimiter = delimiter_of(lines[0])
    header = [cell.strip() for cell in cells_of(lines[0], delimiter)]
    rows = [[cell.strip() for cell in cells_of(line, delimiter)] for line in lines[1:]]
    return header, [row for row in rows if len(row) == len(header)]


def _head(header: list[str], rows: list[list[str]]) -> CountingTable | None:
    """What the table counts and holds; None when no column counts upwards."""
    axes = axes_of(header)
    if axes is None or not rows or not _counts(axes, header, rows):
        return None
    names = numbered(header)
    beside = [i for i, name in enumerate(header) if not axes.is_axis(name)]
    return CountingTable(axes, [names[i] for i in beside if _numeric(rows, [i])], header)


def is_chart(header: Sequence[str]) -> bool:
    """Whether a header is that of a W&B chart export: an x axis, then `run - metric` columns with their bounds."""
    if len(header) < 2:
        return False
    found = [CHART.match(name) for name in header[1:]]
    return all(found) and any(match is not None and match["bound"] for match in found)


def _is_keras(header: Sequence[str]) -> bool:
    """Keras names the train metrics plainly and the validation's `val_...`."""
    names = set(header)
    return "loss" in names or any("val_" + name in names for name in names)


def _counts(axes: Axes, header: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Whether the counter's column holds counts: whole, not negative, and going up more often than down."""
    at = [name.strip() for name in header].index(axes.step)
    cells = [row[at] for row in rows if row[at]]
    counts = [count_of(cell) for cell in cells]
    whole = [
        count
        for cell, count in zip(cells, counts, strict=True)
        if count is not None and (axes.by_epoch or cell_number(cell.replace(",", "")) == count)
    ]
    if not whole or len(whole) < _MOSTLY * len(cells):
        return False
    if axes.by_epoch and max(whole) > _MOST_EPOCHS:
        return False
    ups = sum(b >= a for a, b in pairwise(whole))
    return 2 * ups >= len(whole) - 1


def _numeric(rows: Sequence[Sequence[str]], columns: Sequence[int] | range) -> bool:
    for i in columns:
        cells = [row[i] for row in rows if row[i]]
        numbers = sum(cell_number(cell) is not None for cell in cells)
        if numbers and numbers >= _MOSTLY * len(cells):
            return True
    return False
