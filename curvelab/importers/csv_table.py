"""CSV with a step column: any table that counts steps or epochs beside numbers, and W&B's CSV exports.

What it reads
-------------
The step is the first of train/global_step, global_step, current_steps, step, iteration, iter, `_step` (any case) that
is there, else the epoch, and a note says so. `_timestamp`, `timestamp` and the like give the time. Commas, semicolons
(with decimal commas), tabs and bars divide cells; a blank is no value. A chart exported from W&B, with columns `run -
metric`, holds several runs: each becomes one, and the bounds `__MIN` and `__MAX` beside each column are left out.

Damage
------
Lines with fewer or more fields than the header, with an open quote, with NUL bytes or longer than 4 MiB are dropped
and counted. A row without a usable step takes the step of the row before. Values that are texts are counted, not kept.

Names
-----
`loss`, `train_loss`, `val_loss`, `Valid MSE` and their like become train/... and eval/...; other names pass as they
are.

Limits
------
Recognition is cautious, since most CSV files are data: a column that counts and goes up, and another that holds
numbers; with an epoch alone its name must speak of training. A chart over time and not over steps is refused with a
message. 20,000 columns. Charts of one folder that name one run are joined, unless they contradict each other.

Sources
-------
RFC 4180; https://docs.wandb.ai (export of charts and runs to CSV).
"""

from __future__ import annotations

import hashlib

from curvelab.free_names import common_name, whole_file_names
from curvelab.importers._axes import AxisReader, axes_of, steps_by_epoch
from curvelab.importers._csv_kinds import CHART, GLOBS, is_chart, kind_of, nearly
from curvelab.importers._csv_log import is_damage, read_csv
from curvelab.importers._csv_rows import CsvTable, cells_of, delimiter_of
from curvelab.importers._lines import Tally, head_lines, lines_of
from curvelab.importers._metric_columns import MetricColumns
from curvelab.importers._table_notes import axis_notes, value_notes
from curvelab.model.errors import UnreadableError
from curvelab.model.log import Log
from curvelab.sources import Source, importer


@importer(
    title="CSV with a step column",
    globs=GLOBS,
    names=common_name,
    looks=lambda source: kind_of(source) == "csv-table",
    nearly=nearly,
)
def read(source: Source) -> Log | list[Log]:
    """Read one table, or the runs of one chart. Raises UnreadableError when no row can be read."""
    lines = [line for line in head_lines(source, 20) if line.strip() and not line.startswith("#")]
    if lines and is_chart(cells_of(lines[0], delimiter_of(lines[0]))):
        return _chart(source)
    return read_csv(source, "csv-table", common_name, ends_lines=False)


def _chart(source: Source) -> list[Log]:
    """One log for each run of a chart."""
    tally = Tally(source.path)
    table = CsvTable(lines_of(source, tally), tally)
    runs: dict[str, MetricColumns] = {}
    wanted: list[tuple[int, str, str]] = []
    reader: AxisReader | None = None
    for _, cells in table.rows():
        if reader is None:
            axis = table.header[0]
            axes = axes_of([axis])
            if axes is None:
                raise UnreadableError(
                    source.path, f'is a chart over "{axis}"; export it over the step (X axis: Step) to have it read'
                )
            reader = AxisReader(axes)
            wanted = [
                (i, match["run"], match["metric"])
                for i, name in enumerate(table.header)
                if i and (match := CHART.match(name)) and not match["bound"] and match["metric"] != "_step"
            ]
            runs = {run: MetricColumns() for _, run, _ in wanted}
        step, more = reader.read(lambda name, row=cells: row[0].strip() or None)  # type: ignore[misc]
        values: dict[str, list[tuple[str, str]]] = {}
        for i, run, metric in wanted:
            if text := cells[i].strip():
                values.setdefault(run, []).append((metric, text))
        for run, metrics in values.items():
            runs[run].add(step, metrics, **more)
    if reader is None:
        raise UnreadableError(source.path, "holds no complete row; nothing to read")
    whole = [
        *tally.notes(sum(columns.rows for columns in runs.values())),
        *axis_notes(tally, reader.axes, reader.guessed, reader.fractional),
    ]
    whole.append(tally.say("a chart of W&B: bounds (__MIN, __MAX) are left out; long runs may have been sampled"))
    logs = []
    for run, columns in runs.items():
        if reader.fractional:
            columns.count_by(steps_by_epoch)
        notes = (*whole, *value_notes(tally, columns))
        logs.append(
            Log(
                path=source.path,
                format="csv-table",
                series=columns.series(),
                identity={"id": _digest(f"{source.path.parent}|{run}"), "name": run},
                names=whole_file_names(columns.names),
                skipped=columns.skipped,
                notes=notes,
                damage=tuple(note for note in notes if is_damage(note)),
            )
        )
    return logs


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
