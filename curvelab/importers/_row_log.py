"""Rows that are dicts (JSON lines, databases) -> columns, with the axes found among the names of the first rows."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from curvelab.importers._axes import Axes, AxisReader, axes_of, steps_by_epoch
from curvelab.importers._json_lines import flat
from curvelab.importers._lines import Tally
from curvelab.importers._metric_columns import MetricColumns
from curvelab.importers._table_notes import axis_notes, value_notes
from curvelab.model.note import Note

_FIRST = 500  # rows whose names are looked at for axes


@dataclass
class RowLog:
    """The columns of a log of dicts, its axes, and how many rows had no step of their own."""

    columns: MetricColumns = field(default_factory=MetricColumns)
    reader: AxisReader | None = None

    def notes(self, tally: Tally, unit: str = "lines") -> list[Note]:
        """What was dropped or guessed."""
        found = tally.notes(self.columns.rows, unit)
        if self.reader is not None:
            found += axis_notes(tally, self.reader.axes, self.reader.guessed, self.reader.fractional)
        return found + value_notes(tally, self.columns)


def read_rows(
    rows: Iterable[dict[str, Any]], axes: Axes | None = None, without: frozenset[str] = frozenset()
) -> RowLog:
    """Read rows into columns.

    axes     the axes, where the format knows them; else they are found by name
    without  names that are neither axes nor metrics

    The reader of the result is None when no row has anything that counts steps or epochs.
    """
    stream = iter(rows)
    log = RowLog()
    if axes is None:
        first = list(itertools.islice(stream, _FIRST))
        axes = axes_of(dict.fromkeys(name for row in first for name, _ in flat(row)))
        stream = itertools.chain(first, stream)
    if axes is None:
        return log
    log.reader = AxisReader(axes)
    for row in stream:
        values = dict(flat(row))
        step, more = log.reader.read(values.get)
        metrics = [(name, value) for name, value in values.items() if not axes.is_axis(name) and name not in without]
        log.columns.add(step, metrics, **more)
    if log.reader.fractional:
        log.columns.count_by(steps_by_epoch)
    return log
