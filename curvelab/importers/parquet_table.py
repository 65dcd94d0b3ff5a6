"""Parquet with a step column: exported histories (W&B, pandas, polars), read through pyarrow.

What it reads
-------------
The step is the first of train/global_step, global_step, current_steps, step, iteration, iter, `_step` (any case) that
is there, else the epoch, and a note says so; `_timestamp`, `timestamp` and the like give the time. Columns of numbers
and bools are metrics, also as texts or dictionary-encoded; null is no value, NaN is one.

Damage
------
A row group that cannot be read is dropped and counted, the others are kept. A file that was cut has lost the directory
that stands at its end, and cannot be read at all. A row without a usable step takes the step of the row before.

Names
-----
`loss`, `train_loss`, `val_loss`, `Valid MSE` and their like become train/... and eval/...; other names pass as they
are.

Limits
------
pyarrow is needed (pip install curvelab[parquet]). 20,000 columns; rows times columns are limited by the size of the
file, and the first rows are kept. Columns of texts, lists and nested values are counted, not kept. Without pyarrow only
files whose name speaks of a history, metrics or a log are claimed, with a message.

Sources
-------
https://parquet.apache.org/docs/file-format/, https://arrow.apache.org/docs/python/parquet.html
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from curvelab.free_names import common_name, whole_file_names
from curvelab.importers._about_training import CountingTable
from curvelab.importers._arrow_columns import floats, numeric_columns, present
from curvelab.importers._axes import Axes, axes_of, steps_by_epoch, unix_time
from curvelab.importers._lines import Tally
from curvelab.importers._metric_columns import LARGEST_STEP, MAX_METRICS, numbered
from curvelab.importers._table_notes import axis_notes
from curvelab.model.errors import UnreadableError
from curvelab.model.log import Floats, Ints, Log, RawSeries
from curvelab.sources import LFS_MARK, Source, importer

MAX_VALUES = 200_000_000  # rows times columns
ALWAYS = 5_000_000  # values that any file may hold, whatever its size
PER_BYTE = 2  # values that a larger file may hold a byte: constants pack to nothing, logs to some 0.2
_BATCH = 65_536  # rows that are decoded at a time
_ROWS = 200  # rows that recognition looks at
_LIKELY = re.compile(r"history|metric|train|(^|[_\-.])log", re.I)
_MESSAGE = "needs pyarrow to be read; install it with `pip install curvelab[parquet]`"


def looks_like_log(source: Source) -> bool:
    """Whether the columns hold a counter that goes up, and numbers of a training."""
    try:
        found = _head(source)
    except (ImportError, UnreadableError):
        return bool(_LIKELY.search(source.path.name))  # read() says so
    return found is not None and found.is_log(source.named)


def nearly(source: Source) -> str:
    """What a table lacks that counts and holds numbers, and is no log; empty for all other files."""
    try:
        found = _head(source)
    except (ImportError, UnreadableError):
        return ""
    return found.how_to_name if found is not None else ""


@importer(
    title="Parquet with a step column",
    globs=("*.parquet",),
    names=common_name,
    looks=looks_like_log,
    nearly=nearly,
)
def read(source: Source) -> Log:
    """Read one table. Raises UnreadableError when pyarrow is missing or no row group can be read."""
    if source.head.startswith(LFS_MARK):
        raise UnreadableError(source.path, "is a Git LFS pointer, not the file itself; fetch it with `git lfs pull`")
    try:
        with _opened(source) as file:
            return _read(source, file, numeric_columns(file))
    except ImportError:
        raise UnreadableError(source.path, _MESSAGE) from None


def _head(source: Source) -> CountingTable | None:
    """What the table counts and holds; None when no column counts upwards. Raises ImportError, UnreadableError."""
    if not source.head.startswith(b"PAR1"):
        return None
    with _opened(source) as file:
        columns = numeric_columns(file)
        axes = axes_of(columns)
        metrics = tuple(name for name in columns if axes is not None and not axes.is_axis(name))
        if axes is None or not metrics:
            return None
        try:
            first = next(file.iter_batches(batch_size=_ROWS, columns=[columns[axes.step]]))
            steps = floats(first.column(0))
        except (OSError, ValueError, StopIteration, NotImplementedError):
            return None
    steps = steps[np.isfinite(steps)]
    rising = len(steps) and (steps >= 0).all() and 2 * (np.diff(steps) >= 0).sum() >= len(steps) - 1
    return CountingTable(axes, metrics, file.schema_arrow.names) if rising else None


def _read(source: Source, file: Any, columns: dict[str, str]) -> Log:
    tally = Tally(source.path)
    axes = axes_of(columns)
    if axes is None:
        raise UnreadableError(source.path, "has no column that counts steps or epochs; nothing to read")
    parts, rows = _parts(file, columns, _most_rows(source, len(columns)), tally)
    if not rows:
        raise UnreadableError(source.path, "no row could be read")
    joined: dict[str, tuple[Floats, Any]] = {}
    while parts:  # taken out one by one, so that the parts of a column do not outlive their joining
        name, pairs = parts.popitem()
        joined[name] = np.concatenate([v for v, _ in pairs]), np.concatenate([p for _, p in pairs])
    counter = joined[axes.step][0]
    steps, guessed = _steps(counter)
    fractional = int((counter % 1 > 0).sum()) if axes.by_epoch else 0
    steps = steps_by_epoch(counter) if fractional else steps
    others = [name for name in numbered(file.schema_arrow.names) if name not in columns]
    notes = [*tally.notes(rows, "rows"), *axis_notes(tally, axes, guessed, fractional)]
    if others:
        told = ", ".join(others[:3]) + (", …" if len(others) > 3 else "")
        text = f"{len(others):,} columns hold dates, texts, lists or nested values ({told}); not kept"
        notes.append(tally.say(text))
    series = _series({name: joined[name] for name in columns}, axes, steps)
    return Log(
        path=source.path,
        format="parquet-table",
        series=series,
        names=whole_file_names([one.name for one in series]),
        skipped=dict.fromkeys(others[:MAX_METRICS], rows),
        notes=tuple(notes),
        damage=tuple(note for note in notes if note.level == "warning"),
    )


def _most_rows(source: Source, columns: int) -> int:
    """Rows that a file may hold: some kilobytes of parquet can stand for any number of equal values."""
    return min(MAX_VALUES, max(ALWAYS, source.size * PER_BYTE)) // columns


def _parts(
    file: Any, columns: dict[str, str], most: int, tally: Tally
) -> tuple[dict[str, list[tuple[Floats, Any]]], int]:
    """Column -> its parts as (values, which are there), and the number of rows; what is lost goes into the tally."""
    parts: dict[str, list[tuple[Floats, Any]]] = defaultdict(list)
    rows = 0
    for group in range(file.metadata.num_row_groups):
        size, before = file.metadata.row_group(group).num_rows, rows
        try:
            for batch in file.iter_batches(_BATCH, row_groups=[group], columns=[*columns.values()]):
                if rows + len(batch) > most:
                    tally.drop("are beyond the limit on values", count=file.metadata.num_rows - rows)
                    return parts, rows
                found = zip(numbered(batch.schema.names), batch.columns, strict=True)
                values = {name: (floats(column), present(column)) for name, column in found if name in columns}
                for name, pair in values.items():
                    parts[name].append(pair)
                rows += len(batch)
        except (OSError, ValueError, NotImplementedError) as error:
            lost = size - (rows - before)
            tally.drop(f"are in a row group that cannot be read ({_short(error)})", count=lost)
    return parts, rows


def _series(joined: dict[str, tuple[Floats, Any]], axes: Axes, steps: Ints) -> tuple[RawSeries, ...]:
    def column(name: str | None) -> Floats | None:
        return None if name is None or name not in joined else joined[name][0]

    epoch, tokens, time = column(axes.epoch), column(axes.tokens), column(axes.time)
    if time is not None:
        first = time[np.isfinite(time)][:1]
        scale = (
            1.0
            if not len(first)
            else next((s for s in (1.0, 1e3, 1e6, 1e9) if np.isfinite(unix_time(first[0] / s))), 0)
        )
        time = time / scale if scale else None
    order = np.arange(len(steps), dtype=np.int64)
    found = []
    for name, (value, there) in joined.items():
        if axes.is_axis(name) or not there.any():
            continue
        rows = slice(None) if there.all() else there  # a slice shares the axes instead of copying them
        found.append(
            RawSeries(
                name=name,
                step=steps[rows],
                value=value[rows],
                order=order[rows],
                epoch=None if epoch is None else epoch[rows],
                tokens=None if tokens is None else tokens[rows],
                wall_time=None if time is None else time[rows],
            )
        )
    return tuple(found)


def _steps(raw: Floats) -> tuple[Ints, int]:
    """Steps int64[n] of the counter's column; a cell that holds none takes the step before. Also how many did."""
    usable = np.isfinite(raw) & (raw >= 0) & (raw < LARGEST_STEP)
    last = np.maximum.accumulate(np.where(usable, np.arange(len(raw)), -1))
    steps = np.where(last >= 0, np.where(usable, raw, 0)[np.clip(last, 0, None)], 0)
    return steps.astype(np.int64), int((~usable).sum())


@contextmanager
def _opened(source: Source) -> Iterator[Any]:
    """The file as pyarrow reads it. Raises ImportError without pyarrow, UnreadableError for what is no parquet file."""
    import pyarrow.parquet as parquet

    try:
        file = parquet.ParquetFile(source.path, memory_map=False)
    except (OSError, ValueError) as error:
        raise UnreadableError(source.path, f"cut or no parquet file ({_short(error)}); nothing was kept") from None
    try:
        yield file
    finally:
        file.close()


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:120]
