"""trackio: the SQLite database that trackio keeps for each project, read without trackio.

What it reads
-------------
The tables metrics (one JSON object a row), system_metrics (by time) and configs; each run in it is a run. The step is
`train/global_step` where the Hugging Face Trainer logged it, else trackio's own, which stays beside it as the native
step. Texts "NaN" and "Infinity" are numbers, as trackio writes them; nested names are joined with slashes.

Damage
------
A row whose metrics are no JSON object is dropped and counted. A damaged page costs its rows, and reading goes on
behind it. Values that are texts, images or tables are counted, not kept.

Names
-----
`loss`, `train_loss`, `val_loss`, `Valid MSE` and their like become train/... and eval/...; other names pass as they
are.

Limits
------
5,000 runs a database. Runs that bear one name in a database of an old trackio, which knew no run ids, are one run.
Media files beside the database are not read. No mark of completion: trackio logs none, except the Trainer's
`train_runtime`.

Sources
-------
https://github.com/gradio-app/trackio; databases that trackio writes.
"""

from __future__ import annotations

import hashlib
import math
from array import array
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from curvelab.free_names import common_name, whole_file_names
from curvelab.importers._axes import unix_time
from curvelab.importers._json_lines import flat
from curvelab.importers._json_text import number, parse
from curvelab.importers._lines import Tally
from curvelab.importers._metric_columns import MAX_METRICS, MetricColumns, count_of
from curvelab.importers._sqlite import GLOBS, Database, has_tables
from curvelab.importers._table_notes import value_notes
from curvelab.model.errors import UnreadableError
from curvelab.model.log import Log, TimedSeries
from curvelab.sources import Source, importer

MAX_RUNS = 5_000
_TABLES = {"metrics": frozenset(("timestamp", "run_name", "step", "metrics"))}
_GLOBAL_STEP = "train/global_step"
_EPOCHS = ("epoch", "train/epoch")
_COMPLETION = ("train_runtime", "train/train_runtime")


@dataclass
class _Run:
    """What the rows of one run have said so far."""

    name: str
    columns: MetricColumns = field(default_factory=MetricColumns)
    timed: dict[str, tuple[array[float], array[float]]] = field(default_factory=dict)
    settings: dict[str, object] = field(default_factory=dict)
    global_step: int | None = None

    def add(self, step: int, time: float, metrics: dict[str, Any]) -> None:
        values = dict(flat(metrics))
        given = count_of(values.pop(_GLOBAL_STEP, None))
        self.global_step = self.global_step if given is None else given
        epoch = next((found for key in _EPOCHS if (found := number(values.get(key))) is not None), math.nan)
        row = [(key, value) for key, value in values.items() if key not in _EPOCHS]
        at = step if self.global_step is None else self.global_step
        self.columns.add(at, row, epoch=epoch, wall_time=time, native_step=step)

    def add_timed(self, time: float, metrics: dict[str, Any]) -> None:
        for key, item in flat(metrics):
            value = number(item)
            if value is None or math.isnan(time) or (key not in self.timed and len(self.timed) >= MAX_METRICS):
                continue
            times, values = self.timed.setdefault(key, (array("d"), array("d")))
            times.append(time)
            values.append(value)


@importer(
    title="trackio (SQLite)",
    globs=GLOBS,
    names=common_name,
    looks=lambda source: has_tables(source, _TABLES),
)
def read(source: Source) -> list[Log]:
    """Read all runs of a project's database. Raises UnreadableError when no row can be read."""
    tally = Tally(source.path)
    runs: dict[str, _Run] = {}

    def run_of(run_id: object, name: object) -> _Run:
        return runs.setdefault(str(run_id or name), _Run(str(name)))

    with Database(source) as database:
        unmerged = database.unmerged
        columns = ("run_id", "run_name", "timestamp", "step", "metrics")
        for run_id, name, time, step, text in database.rows("metrics", columns, tally):
            metrics, count = _object(text), count_of(step)
            if metrics is None or count is None:
                tally.drop("of metrics are no JSON object or have no step")
            else:
                run_of(run_id, name).add(count, unix_time(time), metrics)
        for run_id, name, time, text in database.rows(
            "system_metrics", ("run_id", "run_name", "timestamp", "metrics"), tally
        ):
            if (metrics := _object(text)) is not None:
                run_of(run_id, name).add_timed(unix_time(time), metrics)
        for run_id, name, text in database.rows("configs", ("run_id", "run_name", "config"), tally):
            if (config := _object(text)) is not None and str(run_id or name) in runs:
                run_of(run_id, name).settings = {key: value for key, value in config.items() if not key.startswith("_")}
    if not runs:
        raise UnreadableError(source.path, "is a trackio database without runs")
    notes = tally.notes(sum(run.columns.rows for run in runs.values()), "rows")
    if unmerged:
        notes.append(tally.warn("values that its writer had not merged yet (the -wal file beside it) are not read"))
    if len(runs) > MAX_RUNS:
        notes.append(tally.warn(f"{len(runs):,} runs are in it; the first {MAX_RUNS:,} are read"))
    return [
        Log(
            path=source.path,
            format="trackio",
            series=run.columns.series(),
            timed=tuple(
                TimedSeries(name="system." + key, wall_time=np.array(times), value=np.array(values))
                for key, (times, values) in run.timed.items()
            ),
            settings={"config": run.settings} if run.settings else {},
            plan=count_of(run.settings.get("max_steps")) or None,
            finished=True if any(name in run.columns for name in _COMPLETION) else None,
            identity={"id": _identity(source, key), "name": run.name, "project": source.path.stem},
            names=whole_file_names(run.columns.names),
            skipped=run.columns.skipped,
            notes=(*notes, *value_notes(tally, run.columns)),
            damage=tuple(note for note in notes if note.level == "warning"),
        )
        for key, run in list(runs.items())[:MAX_RUNS]
    ]


def _identity(source: Source, key: str) -> str:
    """The run's id; of a run that has none, one made of its name and its file."""
    if len(key) == 32 and key.isalnum():
        return key
    return hashlib.sha256(f"{source.path.name}|{key}".encode()).hexdigest()[:12]


def _object(text: object) -> dict[str, Any] | None:
    """The JSON object that a cell holds, as text or bytes; None for anything else."""
    raw = text.encode("utf-8", "replace") if isinstance(text, str) else text
    if not isinstance(raw, bytes):
        return None
    try:
        value = parse(raw)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
