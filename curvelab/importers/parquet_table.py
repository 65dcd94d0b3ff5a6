"""Parquet with a step column: exported histories (W&B, pandas, polars), read through pyarrow.

What it reads
-------------
The step is the first of train/global_step, global_step, current_steps, step, iteration, iter, `_step` (any case) that
is there, else the epoch, and a note says so; `_timestamp`, `timestamp` and the like give the time. Columns of numbers
and bools are metrics; null is no value, NaN is one.

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
pyarrow is needed (pip install curvelab[parquet]). 20,000 columns, 50 million rows. Columns of texts and lists are
counted, not kept. Without pyarrow only files whose name speaks of a history, metrics or a log are claimed, with a
message.

Sources
-------
https://parquet.apache.org/docs/file-format/, https://arrow.apache.org/docs/python/parquet.html
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

import numpy as np

from curvelab.free_names import common_name, whole_file_names
from curvelab.importers._axes import Axes, axes_of, unix_time
from curvelab.importers._lines import Tally
from curvelab.importers._metric_columns import LARGEST_STEP, MAX_METRICS
from curvelab.importers._table_notes import ABOUT_TRAINING, axis_notes
from curvelab.model.errors import UnreadableError
from curvelab.model.log import Floats, Ints, Log, RawSeries
from curvelab.sources import LFS_MARK, Source, importer

_MOST_ROWS = 50_000_000
_LIKELY = re.compile(r"history|metric|train|(^|[_\-.])log", re.I)
_MESSAGE = "needs pyarrow to be read; install it with `pip install curvelab[parquet]`"


def looks_like_log(source: Source) -> bool:
    """Whether the columns hold a counter and numbers, and the counter's first values go up."""
    if not source.head.startswith(b"PAR1"):
        return False
    try:
        file = _opened(source)
    except ImportError:
        return bool(_LIKELY.search(source.path.name))
    except (OSError, ValueError):
        return bool(_LIKELY.search(source.path.name))  # damaged: read() says so
    try:
        names = _numeric_columns(file)
        axes = axes_of(names)
        if axes is None:
            return False
        metrics = [name for name in names if not axes.is_axis(name)]
        if axes.by_epoch:
            metrics = [name for name in metrics if ABOUT_TRAINING.search(name)]
        if not metrics or not file.metadata.num_rows:
            return False
        first = next(file.iter_batches(batch_size=200, columns=[axes.step]))
        steps = _floats(first.column(0))
        steps = steps[np.isfinite(steps)]
        return bool(len(steps) and (steps >= 0).all() and 2 * (np.diff(steps) >= 0).sum() >= len(steps) - 1)
    except (OSError, ValueError, StopIteration, NotImplementedError):
        return False
    finally:
        file.close()


@importer(title="Parquet with a step column", globs=("*.parquet",), names=common_name, looks=looks_like_log)
def read(source: Source) -> Log:
    """Read one table. Raises UnreadableError when pyarrow is missing or no row group can be read."""
    if source.head.startswith(LFS_MARK):
        raise UnreadableError(source.path, "is a Git LFS pointer, not the file itself; fetch it with `git lfs pull`")
    try:
        file = _opened(source)
    except ImportError:
        raise UnreadableError(source.path, _MESSAGE) from None
    except (OSError, ValueError) as error:
        raise UnreadableError(source.path, f"cut or no parquet file ({_short(error)}); nothing was kept") from None
    try:
        return _read(source, file)
    finally:
        file.close()


def _read(source: Source, file: Any) -> Log:
    tally = Tally(source.path)
    names = _numeric_columns(file)
    axes = axes_of(names)
    if axes is None:
        raise UnreadableError(source.path, "has no column that counts steps or epochs; nothing to read")
    wanted = [name for name in names if axes.is_axis(name) or name in (axes.step, axes.epoch, axes.tokens, axes.time)]
    wanted += [name for name in names if name not in wanted]
    parts: dict[str, list[Any]] = defaultdict(list)
    rows = 0
    for group in range(file.metadata.num_row_groups):
        size = file.metadata.row_group(group).num_rows
        if rows + size > _MOST_ROWS:
            tally.drop(f"are beyond the limit of {_MOST_ROWS:,}", count=file.metadata.num_rows - rows)
            break
        try:
            table = file.read_row_group(group, columns=wanted)
            columns = {name: table.column(name) for name in wanted}
            values = {name: (_floats(column), _present(column)) for name, column in columns.items()}
        except (OSError, ValueError, NotImplementedError) as error:
            tally.drop(f"are in a row group that cannot be read ({_short(error)})", count=size)
            continue
        for name, pair in values.items():
            parts[name].append(pair)
        rows += size
    if not rows:
        raise UnreadableError(source.path, "no row could be read")
    joined = {
        name: (np.concatenate([v for v, _ in pairs]), np.concatenate([p for _, p in pairs]))
        for name, pairs in parts.items()
    }
    steps, guessed = _steps(joined[axes.step][0])
    texts = [field.name for field in file.schema_arrow if field.name not in names]
    notes = [*tally.notes(rows, "rows"), *axis_notes(tally, axes, guessed)]
    if texts:
        notes.append(tally.say(f"{len(texts):,} columns hold no numbers; not kept"))
    series = _series(joined, axes, steps)
    return Log(
        path=source.path,
        format="parquet-table",
        series=series,
        names=whole_file_names([one.name for one in series]),
        skipped=dict.fromkeys(texts[:MAX_METRICS], rows),
        notes=tuple(notes),
        damage=tuple(note for note in notes if note.level == "warning"),
    )


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
    for name, (value, present) in joined.items():
        if axes.is_axis(name) or not present.any():
            continue
        found.append(
            RawSeries(
                name=name,
                step=steps[present],
                value=value[present],
                order=order[present],
                epoch=None if epoch is None else epoch[present],
                tokens=None if tokens is None else tokens[present],
                wall_time=None if time is None else time[present],
            )
        )
    return tuple(found)


def _steps(raw: Floats) -> tuple[Ints, int]:
    """Steps int64[n] of the counter's column; a cell that holds none takes the step before. Also how many did."""
    usable = np.isfinite(raw) & (raw >= 0) & (raw < LARGEST_STEP)
    last = np.maximum.accumulate(np.where(usable, np.arange(len(raw)), -1))
    steps = np.where(last >= 0, np.where(usable, raw, 0)[np.clip(last, 0, None)], 0)
    return steps.astype(np.int64), int((~usable).sum())


def _numeric_columns(file: Any) -> list[str]:
    """Names of the columns that hold numbers, bools or times, each once."""
    import pyarrow.types as kinds

    found = [
        field.name
        for field in file.schema_arrow
        if kinds.is_integer(field.type)
        or kinds.is_floating(field.type)
        or kinds.is_boolean(field.type)
        or kinds.is_decimal(field.type)
        or kinds.is_timestamp(field.type)
    ]
    return [name for name in dict.fromkeys(found) if found.count(name) == 1][:MAX_METRICS]


def _floats(column: Any) -> Floats:
    """A column as float64[n]; null becomes NaN, a time Unix nanoseconds or less, as its unit says."""
    import pyarrow as arrow
    import pyarrow.types as kinds

    if kinds.is_timestamp(column.type):
        column = column.cast(arrow.int64())
    values: Floats = np.asarray(
        column.cast(arrow.float64(), safe=False).to_numpy(zero_copy_only=False), dtype=np.float64
    )
    return values


def _present(column: Any) -> Any:
    return np.asarray(column.is_valid().to_numpy(), dtype=bool)


def _opened(source: Source) -> Any:
    import pyarrow.parquet as parquet

    return parquet.ParquetFile(source.path, memory_map=False)


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:120]
