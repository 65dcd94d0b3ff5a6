"""JSON lines with a step: any `*.jsonl` log, and the `wandb-history.jsonl` of old W&B folders.

What it reads
-------------
One object a line. The step is the first of train/global_step, global_step, current_steps, step, iteration, iter,
`_step` (any case) that is there, else the epoch, and a note says so; a row that lacks it may have another of them.
`_timestamp`, `timestamp` and the like give the time. Numbers, also as texts and in nested objects (joined with slashes),
are metrics.

Damage
------
A line that is no complete JSON object is dropped and counted; whole objects that share a line are kept. A row without
a usable step takes the step of the row before. Values that are texts, lists or media are counted, not kept.

Names
-----
`loss`, `train_loss`, `val_loss`, `Valid MSE` and their like become train/... and eval/...; other names pass as they
are.

Limits
------
Recognition is cautious, since most `.jsonl` files are data sets: a counter that goes up, and at least half of the
values beside it numbers. A log that fails this is not claimed. 20,000 names and values a row.

Sources
-------
https://jsonlines.org; W&B's run folders before 0.10.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from curvelab.free_names import common_name, whole_file_names
from curvelab.importers._about_training import CountingTable
from curvelab.importers._axes import Axes, axes_of, cell_or_number
from curvelab.importers._json_lines import flat, head_rows, is_trainer_log, json_rows
from curvelab.importers._lines import Tally, lines_of
from curvelab.importers._metric_columns import count_of
from curvelab.importers._row_log import read_rows
from curvelab.model.errors import UnreadableError
from curvelab.model.log import Log
from curvelab.sources import Source, importer

_NUMBERS = 0.5  # share of the values beside the axes that are numbers; judgement
_COUNTS = 0.8  # share of rows with a step that is one
_MOST_EPOCHS = 1_000_000
_WANDB_FILE = "wandb-history.jsonl"
_WANDB_FOLDER = re.compile(r"^(?:dry|offline-)?run-\d{8}_\d{6}-(\w+)$")


def looks_like_log(source: Source) -> bool:
    """Whether the first lines count something upwards beside numbers of a training, and are not LLaMA-Factory's."""
    found = _head(source)
    return found is not None and found.is_log(source.named)


def nearly(source: Source) -> str:
    """What a log of something else lacks; empty for all other files."""
    found = _head(source)
    return found.how_to_name if found is not None else ""


def _head(source: Source) -> CountingTable | None:
    """What the first lines count and hold; None when they are no log of anything."""
    if is_trainer_log(source):
        return None
    rows = [dict(flat(row)) for row in head_rows(source)]
    axes = axes_of(dict.fromkeys(name for row in rows for name in row))
    if axes is None or not _counts(axes, rows) or not _has_metrics(axes, rows):
        return None
    metrics = {name: None for row in rows for name, value in row.items() if not axes.is_axis(name) and _number(value)}
    return CountingTable(axes, tuple(metrics), {name for row in rows for name in row})


@importer(
    title="JSON lines with a step",
    globs=("*.jsonl", "*.ndjson", "*.jsonl.gz"),
    names=common_name,
    looks=looks_like_log,
    nearly=nearly,
)
def read(source: Source) -> Log:
    """Read one JSON-lines log. Raises UnreadableError when no row counts steps or epochs."""
    tally = Tally(source.path)
    log = read_rows(row for _, row in json_rows(lines_of(source, tally), tally))
    if log.reader is None or not log.columns.rows:
        raise UnreadableError(source.path, "has no complete row that counts steps or epochs; nothing to read")
    notes = log.notes(tally)
    return Log(
        path=source.path,
        format="jsonl-table",
        series=log.columns.series(),
        identity=_of_wandb(source),
        names=whole_file_names(log.columns.names),
        skipped=log.columns.skipped,
        notes=tuple(notes),
        damage=tuple(note for note in notes if note.level == "warning"),
    )


def _of_wandb(source: Source) -> dict[str, str]:
    """The run id that the folder of an old W&B history bears in its name."""
    folder = source.path.parent.parent.name if source.path.parent.name == "files" else source.path.parent.name
    known = _WANDB_FOLDER.match(folder) if source.path.name == _WANDB_FILE else None
    return {"id": known.group(1)} if known else {}


def _counts(axes: Axes, rows: Sequence[dict[str, Any]]) -> bool:
    counters = (axes.step, *axes.instead)
    cells = [next((row[name] for name in counters if row.get(name) is not None), None) for row in rows]
    values = [value for value in cells if value is not None]
    counts = [count for value in values if (count := count_of(value)) is not None and _plain(value)]
    if not counts or len(counts) < _COUNTS * len(values) or 2 * len(values) < len(rows):
        return False
    if axes.by_epoch and max(counts) > _MOST_EPOCHS:
        return False
    ups = sum(b >= a for a, b in pairwise(counts))
    return 2 * ups >= len(counts) - 1


def _plain(value: Any) -> bool:
    """Whether a step is a number, or a text that is nothing else: no bool, no list."""
    return not isinstance(value, bool) and cell_or_number(value) is not None


def _number(value: Any) -> bool:
    """Whether a value is a number, NaN and infinities included: a log of nothing else is one that broke at once."""
    return cell_or_number(value) is not None if isinstance(value, str) else isinstance(value, int | float) and not isinstance(value, bool)


def _has_metrics(axes: Axes, rows: Sequence[dict[str, Any]]) -> bool:
    beside = [value for row in rows for name, value in row.items() if not axes.is_axis(name)]
    numbers = sum(isinstance(value, int | float) and not isinstance(value, bool) for value in beside)
    written = sum(isinstance(value, str) and cell_or_number(value) is not None for value in beside)
    return bool(numbers) and numbers + written >= _NUMBERS * len(beside)
