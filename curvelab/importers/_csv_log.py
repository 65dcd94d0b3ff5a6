"""A CSV file -> one Log. The CSV importers differ in recognition, names and settings, not in how rows are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from curvelab.free_names import whole_file_names
from curvelab.importers._axes import AxisReader, axes_of, steps_by_epoch
from curvelab.importers._csv_rows import CsvTable
from curvelab.importers._lines import Tally, lines_of
from curvelab.importers._metric_columns import MetricColumns, numbered
from curvelab.importers._table_notes import axis_notes, value_notes
from curvelab.model.errors import UnreadableError
from curvelab.model.log import Log
from curvelab.model.note import Note
from curvelab.sources import Source


@dataclass
class _Layout:
    """What the columns under one header are."""

    header: list[str]
    reader: AxisReader
    metrics: list[tuple[int, str]]
    place: dict[str, int]

    @classmethod
    def of(cls, source: Source, header: list[str]) -> _Layout:
        axes = axes_of(header)
        if axes is None:
            raise UnreadableError(source.path, "has no column that counts steps or epochs; nothing to read")
        metrics = [(i, name) for i, name in enumerate(numbered(header)) if not axes.is_axis(header[i])]
        return cls(header, AxisReader(axes), metrics, {name: i for i, name in reversed(list(enumerate(header)))})

    def cell(self, cells: list[str], name: str) -> str | None:
        """The text of a cell by its column's name, None for a blank one."""
        return cells[self.place[name]].strip() or None


def read_csv(
    source: Source,
    format_: str,
    common: Callable[[str], str],
    *,
    ends_lines: bool,
) -> Log:
    """Read a CSV log.

    common      raw name -> common name
    ends_lines  whether the writer ends every line: then a last cell that touches the end of the file is a cut one

    Raises UnreadableError when no row can be read.
    """
    tally = Tally(source.path)
    table = CsvTable(lines_of(source, tally), tally)
    columns = MetricColumns()
    layout: _Layout | None = None
    layouts: list[_Layout] = []
    restarts: list[int] = []
    cut = False
    for line, row in table.rows():
        if layout is None or layout.header is not table.header:
            if layouts:
                restarts.append(columns.rows)
            layout = _Layout.of(source, table.header)
            layouts.append(layout)
        cells = row
        if table.unended and ends_lines and row[-1].strip():
            cells, cut = [*row[:-1], ""], True
            if layout.place[layout.reader.axes.step] == len(row) - 1:
                tally.drop("end in a step that may be cut", line)
                continue
        step, more = layout.reader.read(partial(layout.cell, cells))
        columns.add(step, [(name, text) for i, name in layout.metrics if (text := cells[i].strip())], **more)
    if layout is None or not columns.rows:
        raise UnreadableError(source.path, "holds no complete row; nothing to read")
    damage = tally.notes(columns.rows)
    if cut:
        damage.append(tally.say("the last line is not whole; its last cell may be cut and is left out"))
    elif table.unended:
        damage.append(tally.say("the last line has no line end; its last cell may be cut"))
    if twice := sorted({name for _, name in layout.metrics} - {*layout.header}):
        damage.append(tally.say(f"several columns have one name; they are kept apart ({', '.join(twice[:3])})"))
    if table.too_wide:
        damage.append(tally.warn(f"{table.too_wide:,} columns beyond the first {len(layout.header):,} were not read"))
    guessed = sum(one.reader.guessed for one in layouts)
    fractional = sum(one.reader.fractional for one in layouts)
    if fractional and all(one.reader.axes.by_epoch for one in layouts):
        columns.count_by(steps_by_epoch)
    damage += axis_notes(tally, layout.reader.axes, guessed, fractional)
    damage += value_notes(tally, columns)
    if table.new_headers:
        text = f"the header stands in it {len(table.new_headers) + 1} times: several processes wrote to this file"
        damage.append(tally.say(text, table.new_headers[0]))
    return Log(
        path=source.path,
        format=format_,
        series=columns.series(),
        restarts=tuple(restarts),
        names=whole_file_names(columns.names, common),
        skipped=columns.skipped,
        notes=tuple(damage),
        damage=tuple(note for note in damage if is_damage(note)),
    )


def is_damage(note: Note) -> bool:
    """Whether a note tells of a loss, and not of how the file was understood."""
    return note.level == "warning" or "cut" in note.text
