"""The axes of W&B's rows: which step, time, epoch and token count each logged value belongs to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from curvelab.importers import _protobuf_wire as wire
from curvelab.importers._wandb_table import LARGEST_STEP, Column, Table
from curvelab.model.log import Floats, Ints, RawSeries, TimedSeries

GLOBAL_STEP = "train/global_step"
EPOCHS = ("train/epoch", "epoch")
TOKENS = ("train/num_input_tokens_seen", "num_input_tokens_seen", "train/num_tokens", "num_tokens")
INTERNAL = ("_step", "_runtime", "_timestamp")
MAX_STEP_METRICS = 100  # judgement: each is an array over all rows

StepNotes = list[tuple[Literal["info", "warning"], str]]


@dataclass
class StepMetrics:
    """What `define_metric` said: the step metric by key, and by the beginning of keys (`train/*`)."""

    by_name: dict[str, str] = field(default_factory=dict)
    by_prefix: dict[str, str] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)

    def take(self, message: bytes) -> None:
        """Take in one MetricRecord. Raises WireError."""
        texts = {number: wire.text(value) for number, _, value in wire.fields(message) if isinstance(value, bytes)}
        self.define(texts.get(1), texts.get(2), texts.get(4))

    def define(self, name: str | None, glob: str | None, step: str | None) -> None:
        """Take in one definition: the step metric of a key, or of all keys that fit a glob."""
        if not step or (step not in self.known and len(self.known) == MAX_STEP_METRICS):
            return
        self.known.add(step)
        if name:
            self.by_name[name] = step
        elif glob:
            self.by_prefix[glob.removesuffix("*")] = step

    def of(self, name: str) -> str | None:
        """The step metric of a key: its own, else that of the longest glob (W&B's globs end in a star)."""
        if name in self.by_name:
            return self.by_name[name]
        prefixes = (name[:size] for size in range(len(name), -1, -1))
        return next((self.by_prefix[prefix] for prefix in prefixes if prefix in self.by_prefix), None)


@dataclass
class Axis:
    """A column as an x axis over all rows: step int64[rows], known bool[rows] (false where it had to be guessed)."""

    step: Ints
    known: NDArray[np.bool_]


def history_series(table: Table, metrics: StepMetrics, start: float | None) -> tuple[tuple[RawSeries, ...], StepNotes]:
    """All numeric keys as series, and what was guessed about their steps.

    They come in the order in which they first appear; those of one row by name, since the writer shuffles its items.
    """
    if not table.rows:
        return (), []
    native = _native_steps(table)
    wall = _wall_time(table, start)
    epoch, tokens = _first_of(table, EPOCHS), _first_of(table, TOKENS)
    axes: dict[str, Axis | None] = {}

    def axis(name: str) -> Axis | None:
        if name not in axes:
            axes[name] = _axis(table, name, native)
        return axes[name]

    guessed = np.zeros(table.rows, np.bool_)
    unusable: set[str] = set()
    series = []
    columns = [(column, *column.values()) for name, column in table.columns.items() if name not in INTERNAL]
    for column, rows, values in sorted((c for c in columns if len(c[1])), key=lambda c: (int(c[1][0]), c[0].name)):
        chosen, own = axis(GLOBAL_STEP), metrics.of(column.name)
        if own and own != GLOBAL_STEP and (chosen is None or not chosen.known[rows].any()):
            defined = axis(own)
            if defined is None and own in table.columns:
                unusable.add(own)
            chosen = defined or chosen
        step = native[rows] if chosen is None else chosen.step[rows]
        if chosen is not None:
            guessed[rows] |= ~chosen.known[rows]
        series.append(
            RawSeries(
                name=column.name,
                step=step,
                value=values,
                order=rows,
                wall_time=_at(wall, rows),
                epoch=_at(epoch, rows),
                tokens=_at(tokens, rows),
                native_step=None if np.array_equal(step, native[rows]) else native[rows],
            )
        )
    notes: StepNotes = [
        ("info", f"step metric {name!r} holds no whole numbers; not used as step") for name in sorted(unusable)
    ]
    if count := int(guessed.sum()):
        notes.append(("info", f"{count:,} of {table.rows:,} rows lack their step metric; its last known value is used"))
    return tuple(series), notes


def system_series(table: Table) -> tuple[TimedSeries, ...]:
    """The system metrics, by time."""
    wall = np.full(table.rows, np.nan)
    for row, stamp in table.stamps.items():
        seconds = wire.timestamp(stamp)
        wall[row] = np.nan if seconds is None else seconds
    series = []
    for name, column in table.columns.items():
        rows, values = column.values()
        if len(rows):
            series.append(TimedSeries(f"system.{name}", wall[rows], values))
    return tuple(series)


def _axis(table: Table, name: str, native: Ints) -> Axis | None:
    """The column as steps of all rows: where it has no value, the last known one. None when it is no step counter."""
    column = table.columns.get(name)
    if column is None:
        return None
    rows, values = column.values()
    usable = np.abs(values) < LARGEST_STEP  # false for NaN
    rows, values = rows[usable], values[usable]
    if not len(rows) or (values != np.floor(values)).any():
        return None
    known = np.zeros(table.rows, np.bool_)
    known[rows] = True
    before = np.cumsum(known) - 1  # index of the last known value, -1 before the first
    step = values.astype(np.int64)[before]
    head = before < 0
    # W&B's own counter is right for what a fresh run logs before its first step, and too small in a resumed one
    step[head] = np.minimum(native[head], int(values[0]))
    return Axis(step, known)


def _native_steps(table: Table) -> Ints:
    """W&B's `_step` of every row, int64[rows]; else the step of the record itself, else the row's number."""
    steps = np.arange(table.rows, dtype=np.int64)
    missing = np.ones(table.rows, np.bool_)
    if (column := table.columns.get("_step")) is not None:
        rows, values = column.values()
        usable = np.abs(values) < LARGEST_STEP
        steps[rows[usable]] = values[usable].astype(np.int64)
        missing[rows[usable]] = False
    for row in np.flatnonzero(missing):
        if (step := _record_step(table.stamps.get(int(row)))) is not None:
            steps[row] = step
    return steps


def _record_step(stamp: bytes | None) -> int | None:
    """The number in a HistoryStep; None where the record has none."""
    if stamp is None:
        return None
    try:
        found = [value for number, _, value in wire.fields(stamp) if number == 1 and isinstance(value, int)]
    except wire.WireError:
        return None
    return wire.signed(found[-1]) if found else 0


def _wall_time(table: Table, start: float | None) -> Floats | None:
    """Unix seconds of every row, float64[rows]: `_timestamp`, else the run's start and `_runtime`."""
    time = _dense(table, "_timestamp")
    if start is not None and (runtime := _dense(table, "_runtime")) is not None:
        time = start + runtime if time is None else np.where(np.isnan(time), start + runtime, time)
    return time


def _first_of(table: Table, names: tuple[str, ...]) -> Floats | None:
    """Of each row the value of the first of the keys that it has, float64[rows]."""
    found: Floats | None = None
    for name in names:
        column = _dense(table, name)
        if column is not None:
            found = column if found is None else np.where(np.isnan(found), column, found)
    return found


def _dense(table: Table, name: str) -> Floats | None:
    column: Column | None = table.columns.get(name)
    if column is None:
        return None
    rows, values = column.values()
    dense = np.full(table.rows, np.nan)
    dense[rows] = values
    return None if np.isnan(dense).all() else dense


def _at(dense: Floats | None, rows: Ints) -> Floats | None:
    """The entries of the rows; None when none of them says anything."""
    if dense is None:
        return None
    values = dense[rows]
    return None if np.isnan(values).all() else values
