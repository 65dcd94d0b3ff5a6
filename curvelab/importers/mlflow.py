"""MLflow: run folders below `mlruns/`, and the SQLite database `mlflow.db`, read without mlflow.

What it reads
-------------
Of a run folder (its meta.yaml stands for it): metrics/<key>, one line `time value step` a value; params/<key> as
settings; the run's name and the experiment's. Of a database: the tables metrics, params, runs, tags and experiments;
each run in it is a run. `epoch`, where it was logged, gives the epochs. System metrics are series by time. Runs that
were deleted in MLflow are left out.

Damage
------
A metric's line that is not time, value and step is dropped and counted, as is a last line without a line end, which
may be cut. A damaged page of a database costs its rows, and reading goes on behind it. Texts are counted, not kept.

Names
-----
As MLflow's own loggers name them: `loss`, `train_loss`, `val_loss`, `Valid MSE` and their like become train/... and
eval/...; other names pass as they are.

Limits
------
A metric that was logged without steps (all are 0) has its values counted instead, and a note says so. The status
FINISHED is no mark of completion, since MLflow also sets it when a script just ends; FAILED and KILLED are marks of a
crash. 5,000 runs a database, 20,000 metrics a run. Links in a run folder are not followed. Other databases than SQLite
are not read.

Sources
-------
https://mlflow.org/docs/latest/tracking.html; files and databases that mlflow 3 writes.
"""

from __future__ import annotations

import math
import re
import sys
from array import array
from collections import defaultdict
from dataclasses import dataclass, field, replace

import numpy as np

from curvelab.free_names import common_name, whole_file_names
from curvelab.importers._lines import Lines, Tally
from curvelab.importers._metric_columns import cell_number, count_of
from curvelab.importers._mlflow_folder import LONGEST_SETTING, beginning_of, files_below, texts_of
from curvelab.importers._sqlite import GLOBS, MAGIC, Database, has_tables
from curvelab.model.errors import UnreadableError
from curvelab.model.log import Log, RawSeries, TimedSeries
from curvelab.model.note import Note
from curvelab.sources import Source, importer

MAX_RUNS = 5_000
MAX_SETTINGS = 5_000
_TABLES = {"metrics": frozenset(("key", "value", "run_uuid")), "runs": frozenset(("run_uuid",))}
_RUN_FOLDER = re.compile(r"^[0-9a-f]{32}$")
_CRASHES = ("4", "5", "FAILED", "KILLED")
_INFINITE = sys.float_info.max  # what MLflow's databases hold for an infinity
_SYSTEM = "system/"


def looks_like_mlflow(source: Source) -> bool:
    """Whether a file is the meta.yaml of a run, or a database with MLflow's tables."""
    if source.head.startswith(MAGIC):
        return has_tables(source, _TABLES)
    if source.path.name != "meta.yaml":
        return False
    if b"artifact_uri:" in source.head and (b"run_id:" in source.head or b"run_uuid:" in source.head):
        return True
    folder = source.path.parent  # a meta.yaml that was cut while it was written
    return bool(_RUN_FOLDER.match(folder.name)) and (folder / "metrics").is_dir()


@importer(
    title="MLflow (mlruns folder, SQLite)", globs=("meta.yaml", *GLOBS), names=common_name, looks=looks_like_mlflow
)
def read(source: Source) -> list[Log]:
    """Read the run of a folder, or all runs of a database. Raises UnreadableError when nothing can be read."""
    if source.path.name == "meta.yaml":
        log = _folder(source)
        return [] if log is None else [log]
    with Database(source) as database:
        return _database(source, database)


@dataclass
class _Values:
    """The values of one metric in the order they were logged."""

    step: array[int] = field(default_factory=lambda: array("q"))
    value: array[float] = field(default_factory=lambda: array("d"))
    time: array[float] = field(default_factory=lambda: array("d"))
    order: array[int] = field(default_factory=lambda: array("q"))

    def add(self, step: int, value: float, milliseconds: float, order: int) -> None:
        self.step.append(step)
        self.value.append(value)
        self.time.append(milliseconds / 1e3)
        self.order.append(order)


def _database(source: Source, database: Database) -> list[Log]:
    tally = Tally(source.path)
    runs = {
        str(row[0]): row
        for row in database.rows("runs", ("run_uuid", "name", "status", "lifecycle_stage", "experiment_id"), tally)
    }
    experiments = {row[0]: row[1] for row in database.rows("experiments", ("experiment_id", "name"), tally)}
    names = {str(run): str(name) for run, key, name in database.rows("tags", ("run_uuid", "key", "value"), tally)
             if key == "mlflow.runName"}  # fmt: skip
    settings: dict[str, dict[str, object]] = defaultdict(dict)
    for run, key, value in database.rows("params", ("run_uuid", "key", "value"), tally):
        _set(settings[str(run)], str(key), value)
    metrics: dict[str, dict[str, _Values]] = defaultdict(dict)
    kept = 0
    columns = ("run_uuid", "key", "value", "timestamp", "step", "is_nan")
    for order, (run, key, value, time, step, is_nan) in enumerate(database.rows("metrics", columns, tally)):
        count = _step_of(str(step or 0))
        if not isinstance(value, int | float) or count is None:
            tally.drop("of metrics hold no number or no step")
            continue
        number = math.nan if is_nan else math.copysign(math.inf, value) if abs(value) >= _INFINITE else float(value)
        values = metrics[str(run)].setdefault(str(key), _Values())
        values.add(count, number, float(time) if isinstance(time, int | float) else math.nan, order)
        kept += 1
    found = [run for run in dict.fromkeys((*runs, *metrics)) if runs.get(run, (None,) * 5)[3] != "deleted"]
    if not found:
        raise UnreadableError(source.path, "is an MLflow database without runs")
    notes = tally.notes(kept, "rows")
    if database.unmerged:
        notes.append(tally.warn("values that its writer had not merged yet (the -wal file beside it) are not read"))
    if len(found) > MAX_RUNS:
        notes.append(tally.warn(f"{len(found):,} runs are in it; the first {MAX_RUNS:,} are read"))
    logs = []
    for run in found[:MAX_RUNS]:
        _, name, status, _, experiment = runs.get(run, (run, None, None, None, None))
        identity = {
            "id": run,
            "name": str(name or names.get(run) or run),
            "project": str(experiments.get(experiment) or ""),
        }
        logs.append(_log(source, metrics.get(run, {}), settings.get(run, {}), identity, str(status), notes))
    return logs


def _folder(source: Source) -> Log | None:
    """The run of a folder; None when it was deleted."""
    folder = source.path.parent
    meta = texts_of(source)
    if meta.get("lifecycle_stage") == "deleted":
        return None
    tally = Tally(folder)
    metrics: dict[str, _Values] = {}
    for key, file in files_below(folder / "metrics", tally):
        values = _metric_file(file, tally)
        if len(values.step):
            metrics[key] = values
    _in_order_of_time(metrics)
    settings: dict[str, object] = {}
    for key, file in files_below(folder / "params", tally):
        _set(settings, key, beginning_of(file))
    name = beginning_of(folder / "tags" / "mlflow.runName").strip() or meta.get("run_name") or folder.name
    above = folder.parent / "meta.yaml"
    try:
        experiment = texts_of(Source.at(above)).get("name", "")
    except UnreadableError:
        experiment = ""
    run = meta.get("run_id") or meta.get("run_uuid") or folder.name
    notes = tally.notes(sum(len(values.step) for values in metrics.values()))
    identity = {"id": run, "name": name, "project": experiment}
    return _log(source, metrics, settings, identity, meta.get("status", ""), notes)


def _log(
    source: Source,
    metrics: dict[str, _Values],
    settings: dict[str, object],
    identity: dict[str, str],
    status: str,
    notes: list[Note],
) -> Log:
    uncounted: list[str] = []
    series, timed = [], []
    for key, values in metrics.items():
        step, value = np.array(values.step, dtype=np.int64), np.array(values.value, dtype=np.float64)
        time, order = np.array(values.time, dtype=np.float64), np.array(values.order, dtype=np.int64)
        if key.startswith(_SYSTEM):
            timed.append(TimedSeries(name=key, wall_time=time, value=value))
            continue
        if len(step) > 1 and not step.any():
            uncounted.append(key)
            step = np.arange(len(step), dtype=np.int64)
        series.append(RawSeries(name=key, step=step, value=value, order=order, wall_time=time))
    guesses = []
    if uncounted:
        text = f"{len(uncounted):,} metrics were logged without steps; their values are counted (0, 1, 2 ...)"
        guesses.append(Note(level="warning", text=text, file=str(source.path)))
    plan = count_of(str(settings.get("max_steps", "")))
    return Log(
        path=source.path,
        format="mlflow",
        series=_with_epochs(series),
        timed=tuple(timed),
        settings={"params": settings} if settings else {},
        plan=plan or None,
        finished=False if status in _CRASHES else True if "train_runtime" in metrics else None,
        identity={word: text for word, text in identity.items() if text},
        names=whole_file_names([one.name for one in series]),
        notes=(*notes, *guesses),
        damage=tuple(note for note in notes if note.level == "warning"),
    )


def _with_epochs(series: list[RawSeries]) -> tuple[RawSeries, ...]:
    """The series with the epochs that were logged as a metric of their own, at the steps where they were."""
    epochs = next((one for one in series if one.name in ("epoch", "train/epoch")), None)
    if epochs is None or not len(epochs):
        return tuple(series)
    steps, last = np.unique(epochs.step[::-1], return_index=True)
    values = epochs.value[::-1][last]
    found = []
    for one in series:
        place = np.clip(np.searchsorted(steps, one.step), 0, len(steps) - 1)
        found.append(replace(one, epoch=np.where(steps[place] == one.step, values[place], math.nan)))
    return tuple(found)


def _metric_file(source: Source, tally: Tally) -> _Values:
    values = _Values()
    lines = Lines(source.blocks(), tally)
    for number, line in lines:
        words = line.split()
        if not words:
            continue
        time = cell_number(words[0])
        value = cell_number(words[1]) if len(words) > 1 else None
        step = _step_of(words[2]) if len(words) == 3 else 0 if len(words) == 2 else None
        if lines.unended:
            tally.drop(f'of metrics have no line end, so they may be cut (the last of "{source.path.name}")', number)
        elif time is None or value is None or step is None:
            tally.drop(f'of metrics are not time, value and step (first in "{source.path.name}")', number)
        else:
            values.add(step, value, time, len(values.step))
    return values


def _step_of(text: str) -> int | None:
    """A step as MLflow takes it: a whole number, also a negative one."""
    count = count_of(text.removeprefix("-"))
    return -count if count is not None and text.startswith("-") else count


def _in_order_of_time(metrics: dict[str, _Values]) -> None:
    """Give the values of all metrics positions by their time, as one log would have them."""
    if not metrics:
        return
    time = np.concatenate([np.array(values.time) for values in metrics.values()])
    step = np.concatenate([np.array(values.step) for values in metrics.values()])
    line = np.concatenate([np.array(values.order) for values in metrics.values()])
    rank = np.empty(len(time), dtype=np.int64)
    rank[np.lexsort((line, step, time))] = np.arange(len(time))
    at = 0
    for values in metrics.values():
        values.order = array("q", rank[at : at + len(values.step)].tolist())
        at += len(values.step)


def _set(settings: dict[str, object], key: str, value: object) -> None:
    if len(settings) < MAX_SETTINGS and value is not None:
        settings[key[:200]] = str(value)[:LONGEST_SETTING]
